"""Where readings meet machines: routes each frame to the machines it samples, keeps what devices are doing.
Synchronous, bounded.

Theory. A frame carries one consistent sample of a device. A machine is sampled when the block of its trigger signal
arrives, or when a subscription confirms that nothing else changed; frames of its other devices and blocks are facts
that wait for that moment, each with its own time. Process values are kept apart: by interval and
deadband, never on the way of a count.

A poller speaks under the index it was born with, its seat; `follow` says which place in the plan that is now. So a
connection that stays across a reload knows nothing of it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.clock import Clock
from edge.logs import facts
from edge.machines.life import MachineLife
from edge.machines.past import repeated
from edge.machines.values import ProcessValues
from edge.plan import Device
from protocols.reading import DeviceFact, Frame, Past

log = logging.getLogger(__name__)

_NO_TAG = -1
FACTS_KEPT = 1000  # device facts waiting for the next commit; beyond it the oldest go, what is now stays known


@dataclass(slots=True)
class DeviceState:
    """What is known of one device now."""

    up: bool = False
    since_ns: int = 0
    reason: str = "starting"
    detail: str = ""


class Hub:
    """Receiver of every poller of the site."""

    def __init__(
        self, devices: Sequence[Device], lives: Sequence[MachineLife], values: ProcessValues, clock: Clock
    ) -> None:
        self._clock = clock
        self.states: list[DeviceState] = []
        self.news: deque[DeviceFact] = deque(maxlen=FACTS_KEPT)
        self.filled: deque[Past] = deque(maxlen=FACTS_KEPT)  # spans of devices, told by their history
        self.follow(devices, lives, values, range(len(devices)), [DeviceState() for _ in devices])

    def follow(
        self,
        devices: Sequence[Device],
        lives: Sequence[MachineLife],
        values: ProcessValues,
        seats: Sequence[int],
        states: Sequence[DeviceState],
    ) -> None:
        """Route by this plan from now on. `seats`: the index under which each device's poller speaks, which it keeps
        for life; `states`: what is known of each device. Take `news` and `filled` first: they are of the plan before.
        """
        self._devices = devices
        self._values = values
        self._places = dict(zip(seats, range(len(devices)), strict=True))
        self.states[:] = states
        self._by_device: list[list[tuple[int, MachineLife]]] = [[] for _ in devices]
        for life in lives:
            trigger = life.trigger
            if trigger is not None:
                for device in life.devices:
                    self._by_device[device].append((trigger.tag if device == trigger.device else _NO_TAG, life))

    @property
    def refused_values(self) -> int:
        """Readings of process values that were worth keeping and found no room: the commits do not keep up."""
        return self._values.dropped

    def on_frame(self, frame: Frame) -> None:
        """Tell the machines of this frame, and sample those whose trigger is in it."""
        monotonic_ns = self._monotonic_ns(frame.t_ns)
        place = self._places[frame.device]
        for tag, life in self._by_device[place]:
            samples = tag != _NO_TAG and (tag in frame.tags or (frame.confirms and _speaks_of(frame, tag)))
            life.observe(frame.t_ns, monotonic_ns, place, samples=samples)
        self._values.on_frame(place, frame.tags)

    def _monotonic_ns(self, t_ns: int) -> int:
        """Of a moment, not of its arrival here: a late sample must not look like a fast machine."""
        return self._clock.monotonic_ns() - (self._clock.now_ns() - t_ns)

    def on_fact(self, fact: DeviceFact) -> None:
        """Remember and log what a device did; what it did to its readings is a fact for the machines."""
        place = self._places[fact.device]
        for _, life in self._by_device[place]:
            life.observe(fact.t_ns, self._monotonic_ns(fact.t_ns), place, samples=False)
        state = self.states[place]
        if state.up != fact.up or not state.since_ns:
            state.since_ns = fact.t_ns
        state.up, state.reason, state.detail = fact.up, fact.reason, fact.detail
        self.news.append(replace(fact, device=place))
        calm = fact.up and fact.reason in (
            "connected",
            "recovered",
            "foreign-master-gone",
        )  # or it is up, but slow, refuses tags, …
        log.log(
            logging.INFO if calm else logging.WARNING,
            "device up" if fact.up else "device down",
            extra=facts(device=self._devices[place].id, reason=fact.reason, detail=fact.detail),
        )

    def on_past(self, past: Past) -> None:
        """Readings from a device's memory go to the machines they belong to, as late ones: the windows they touch are
        written again, with the next revision. Process values among them are kept as those read now are.
        """
        place = self._places[past.device]
        for _, life in self._by_device[place]:
            if life.reach_ns:  # one that was never heard before has no past here
                life.backfill(repeated(past, life.signals_of(place), life.machine.hold_ns))
        self._values.on_past(place, past.readings)
        self.filled.append(replace(past, device=place, readings=(), standing=(), steady=frozenset()))
        span_s = (past.to_ns - past.from_ns) / 1e9
        log.info(
            "gap filled from history",
            extra=facts(device=self._devices[place].id, readings=len(past.readings), detail=f"{span_s:.0f} s"),
        )


def _speaks_of(frame: Frame, tag: int) -> bool:
    return frame.among is None or tag in frame.among
