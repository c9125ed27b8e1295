"""Which simulated value stands behind which tag of a device: the plan read backwards, once, at start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.plan import Device, Machine, SitePlan
from edge.simulate.plant import Plant, SimulatedMachine
from edge.simulate.values import Reading, Value, View, reading_of


@dataclass(frozen=True, slots=True)
class Bound:
    """One tag of a device, bound to a machine."""

    machine: str
    name: str  # as the template calls it
    counter: int | None  # index into the machine's counter rules
    reading: Reading | None  # None: the simulation does not know this name, it reads 0
    modulus: int  # where that counter rolls over; 0 for anything else
    slow: bool  # an analogue value: once a second is enough where values are pushed


class DeviceImage:
    """The values of one device at the instant of the last `refresh`."""

    def __init__(self, device: Device, plant: Plant, now_ns: Callable[[], int]) -> None:
        self.device = device
        self.bound = tuple(_bind(plant.plan, device))
        self._now_ns = now_ns
        self._machines: list[SimulatedMachine] = [
            plant.machines[machine.id]
            for machine in plant.plan.machines
            if any(bound and bound.machine == machine.id for bound in self.bound)
        ]
        self._views: dict[str, View] = {}
        self._held: list[Value] | None = None

    def hold(self) -> None:
        """Freeze: from now on every value stays as it is, while the machines live on. Holding twice changes nothing."""
        if self._held is None:
            self.refresh()
            self._held = [self.value(tag) for tag in range(len(self.bound))]

    def release(self) -> None:
        """Thaw."""
        self._held = None

    def refresh(self) -> None:
        """Bring every machine of the device to now; until the next call all values are of this one instant."""
        now_ns = self._now_ns()
        for machine in self._machines:
            machine.live(now_ns)
        self._views = {machine.plan.id: View(machine) for machine in self._machines}

    def value(self, tag: int) -> Value:
        """Of one tag, in engineering units; a counter's raw register value."""
        if self._held is not None:
            return self._held[tag]
        bound = self.bound[tag]
        if bound is None:
            return 0
        view = self._views[bound.machine]
        if bound.counter is not None:
            counts = (view.cycles, view.good, view.reject)
            return view.machine.process.counters.raw(bound.counter, counts)
        return bound.reading(view) if bound.reading else 0


def _bind(plan: SitePlan, device: Device) -> Iterator[Bound | None]:
    named = dict(_names(plan, device))
    names = [tag.name for tag in device.tags]
    for index, full_name in enumerate(names):
        machine, name, slow = named.get(index) or _by_name(plan, full_name)
        if machine is None:
            yield None
            continue
        counter = _counter(machine, device, index)
        modulus = machine.counters[counter].modulus if counter is not None else 0
        yield Bound(machine.id, name, counter, reading_of(machine.kind, name), modulus, slow)


def _names(plan: SitePlan, device: Device) -> Iterator[tuple[int, tuple[Machine, str, bool]]]:
    for machine in plan.machines:
        for value in machine.process_values:
            if value.device == device.index:
                yield value.tag, (machine, value.name, True)
        for signal in machine.signals:
            if signal.device == device.index:
                yield signal.tag, (machine, signal.name, False)


def _by_name(plan: SitePlan, tag: str) -> tuple[Machine | None, str, bool]:
    """Tags that are neither signal nor process value are named after their machine: `mask-1.operator`."""
    for machine in plan.machines:
        if tag.startswith(machine.id + "."):
            return machine, tag[len(machine.id) + 1 :], True
    return None, tag, True


def _counter(machine: Machine, device: Device, tag: int) -> int | None:
    for index, rule in enumerate(machine.counters):
        signal = machine.signals[rule.signal]
        if (signal.device, signal.tag) == (device.index, tag):
            return index
    return None
