"""Process values worth keeping: temperature, pressure, tension, power. By interval and deadband, with their quality.

Theory. What is worth it is decided by a kernel (`ext.values`, with the rules in full), because a big site has a hundred
thousand of them; only what is kept becomes an object here, when the recorder takes it.

Rules. A value is kept when it moved by more than its deadband, when its quality changed, or when its interval passed.
The time written is the time it was read; a value that was not read again is not written again. While nobody takes what
is kept, further readings are refused and counted, and a change that lasts is told once there is room.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from edge.packed import column
from edge.plan import Machine
from ext.values import Backlog, ValueTable
from protocols.reading import Quality, Remembered, TagImage

PLENTY = 5_000  # waiting: reason enough for a commit before its time
WAITING_LIMIT = 20_000  # values waiting for the next commits, or two of each where there are more

_QUALITIES = tuple(Quality)


class Kept(NamedTuple):
    """One process value to be stored."""

    machine: int
    name: str
    unit: str
    t_ns: int
    number: float
    quality: Quality
    remembered: bool = False  # from the device's own history: nobody heard it at its time


class ProcessValues:
    """All process values of a site."""

    def __init__(self, machines: Sequence[Machine], images: Sequence[TagImage]) -> None:
        self._images = images
        self._machines = machines
        self._names = [column(machine.process_values, "name") for machine in machines]
        self._units = [column(machine.process_values, "unit") for machine in machines]
        self._machine, self._index = array("I"), array("I")  # of each value, in the order of the tables
        self._tables: list[ValueTable | None] = [None] * len(images)
        for device, places in sorted(_by_device(machines).items()):
            self._tables[device] = self._table(machines, places)
        self._backlog = Backlog(max(WAITING_LIMIT, 2 * len(self._machine)))
        self._past: deque[Kept] = deque()
        self._past_refused = 0
        self.plenty = asyncio.Event()  # set while `PLENTY` wait to be taken

    def _table(self, machines: Sequence[Machine], places: list[tuple[int, int, int]]) -> ValueTable:
        """The values of one device; `places`: tag, machine, index of the value there."""
        places.sort()
        first = len(self._machine)
        self._machine.extend(machine for _, machine, _ in places)
        self._index.extend(index for _, _, index in places)
        rules = {
            machine: (
                column(machines[machine].process_values, "deadband"),
                column(machines[machine].process_values, "interval_ns"),
            )
            for machine in {machine for _, machine, _ in places}
        }
        return ValueTable(
            first,
            tags=[tag for tag, _, _ in places],
            deadbands=[rules[machine][0][index] for _, machine, index in places],
            intervals_ns=[rules[machine][1][index] for _, machine, index in places],
        )

    @property
    def dropped(self) -> int:
        """Readings worth keeping that found no room."""
        return self._backlog.refused + self._past_refused

    def on_frame(self, device: int, tags: Sequence[int]) -> None:
        """Keep what a frame of this device with these tags changed."""
        table = self._tables[device]
        if table is None:
            return
        image, backlog = self._images[device], self._backlog
        if isinstance(tags, range):
            table.keep(tags.start, tags.stop, image.f64, image.quality, image.t_ns, backlog)
        else:
            for tag in tags:
                table.keep(tag, tag + 1, image.f64, image.quality, image.t_ns, backlog)
        if len(backlog) >= PLENTY:
            self.plenty.set()

    def on_past(self, device: int, readings: Sequence[Remembered]) -> None:
        """Keep what is worth it of a device's history, by the same rules, beside what is read now."""
        by_tag: dict[int, list[Remembered]] = {}
        for one in readings:
            by_tag.setdefault(one.tag, []).append(one)
        for tag, machine, index in _by_device(self._machines).get(device, ()) if by_tag else ():
            if tag in by_tag:
                value = self._machines[machine].process_values[index]
                for one in _worth(by_tag[tag], value.deadband, value.interval_ns):
                    self._keep_past(Kept(machine, value.name, value.unit, one.t_ns, one.f64, one.quality, True))

    def _keep_past(self, kept: Kept) -> None:
        if len(self._past) >= WAITING_LIMIT:
            self._past_refused += 1
            return
        self._past.append(kept)
        if len(self._past) >= PLENTY:
            self.plenty.set()

    def take(self, most: int) -> Iterator[Kept]:
        """The oldest of what was kept and not taken yet, `most` at most."""
        machines, indices, names, units = self._machine, self._index, self._names, self._units
        taken = self._backlog.take(most)
        past = [self._past.popleft() for _ in range(min(most - len(taken[0]), len(self._past)))]
        if len(self._backlog) < PLENTY and len(self._past) < PLENTY:
            self.plenty.clear()
        for value, t_ns, number, quality in zip(*taken, strict=True):
            machine, index = machines[value], indices[value]
            yield Kept(machine, names[machine][index], units[machine][index], t_ns, number, _QUALITIES[quality])
        yield from past


def _worth(entries: Iterable[Remembered], deadband: float, interval_ns: int) -> Iterator[Remembered]:
    """As `ext.values`, of one value: the first, a move beyond the deadband, another quality, an interval over."""
    last: Remembered | None = None
    for one in entries:
        same = last is not None and one.quality == last.quality and one.t_ns < last.t_ns + interval_ns
        if last is None or not same or abs(one.f64 - last.f64) > deadband:
            last = one
            yield one


def _by_device(machines: Sequence[Machine]) -> dict[int, list[tuple[int, int, int]]]:
    """Of each device: tag, machine, and index of the value there."""
    found: dict[int, list[tuple[int, int, int]]] = {}
    for number, machine in enumerate(machines):
        values = machine.process_values
        for index, (device, tag) in enumerate(zip(column(values, "device"), column(values, "tag"), strict=True)):
            found.setdefault(device, []).append((tag, number, index))
    return found
