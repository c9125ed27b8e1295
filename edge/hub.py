"""Where readings meet machines: routes each frame to the machines it samples, keeps what devices are doing.
Synchronous, bounded.

Theory. A frame carries one consistent sample of a device. A machine is sampled when the block of its trigger signal
arrives, or when a subscription confirms that nothing else changed. Process values are kept apart: by interval and
deadband, never on the way of a count.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from edge.clock import Clock
from edge.logs import facts
from edge.machines.life import MachineLife
from edge.machines.values import ProcessValues
from edge.plan import Device
from protocols.reading import DeviceFact, Frame

log = logging.getLogger(__name__)

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
        self._devices = devices
        self._clock = clock
        self._values = values
        self._by_device: list[list[tuple[int, MachineLife]]] = [[] for _ in devices]
        for life in lives:
            trigger = life.trigger
            if trigger is not None:
                self._by_device[trigger.device].append((trigger.tag, life))
        self.states = [DeviceState() for _ in devices]
        self.news: deque[DeviceFact] = deque(maxlen=FACTS_KEPT)

    def on_frame(self, frame: Frame) -> None:
        """Sample the machines of this frame."""
        # The moment of the frame, not of its arrival here: a late sample must not look like a fast machine.
        monotonic_ns = self._clock.monotonic_ns() - (self._clock.now_ns() - frame.t_ns)
        for tag, life in self._by_device[frame.device]:
            if frame.confirms or tag in frame.tags:
                life.observe(frame.t_ns, monotonic_ns)
        self._values.on_frame(frame)

    def on_fact(self, fact: DeviceFact) -> None:
        """Remember and log what a device did."""
        state = self.states[fact.device]
        if state.up != fact.up or not state.since_ns:
            state.since_ns = fact.t_ns
        state.up, state.reason, state.detail = fact.up, fact.reason, fact.detail
        self.news.append(fact)
        log.log(
            logging.INFO if fact.up else logging.WARNING,
            "device up" if fact.up else "device down",
            extra=facts(device=self._devices[fact.device].id, reason=fact.reason, detail=fact.detail),
        )
