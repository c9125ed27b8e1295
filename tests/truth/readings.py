"""A day of readings as an agent would have had them: columns, one entry per sample, before and after faults.

Theory. A poll is asked for, the PLC evaluates it a moment later (`true_ns`: what the values are true of), the reply
arrives after that (`heard_ns`, on the agent's monotonic clock) and gets a time stamp (`stamp_ns`, its wall clock). With
honest clocks the last two are one. Columns are filled stretch by stretch from the life, so a sample costs a fraction of
a microsecond and a thousand machine-days take minutes.

Rules. Registers are kept modulo the counter's modulus from the first moment. A sample that never arrived is `gone`; the
order in which samples are handed on is `order` (None = as read). What the ledger could not have had is nowhere here.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import compress, pairwise
from operator import sub
from random import Random

from truth.faces import Faces
from truth.life import Life

from edge.plan import Machine
from ext.buckets import Counter
from ext.ledger import SAMPLE_FIELDS
from protocols.reading import Quality

WIDTH = len(SAMPLE_FIELDS)
SOON_NS, QUICK_NS, SLOW_NS = 2_000_000, 60_000_000, 700_000_000  # a reply's way back; beyond QUICK: one in 500
ASKED_NS = 20_000_000  # how late the request itself may leave
_POOL = 1_024


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault: when it acts, true time."""

    start_ns: int
    end_ns: int


class Readings:
    """The samples of one machine over its life."""

    def __init__(self, machine: Machine, life: Life, faces: Faces, first: tuple[int, int, int], dice: Random) -> None:
        """`first`: what the registers showed when the life began: total, good, reject."""
        self.machine, self.life, self.faces = machine, life, faces
        self.poll_ns = machine.poll_ns
        self.modulus = [0, 0, 0]
        for rule in machine.counters:
            self.modulus[rule.counter] = rule.modulus
        self._when(dice)
        size = self.size = len(self.true_ns)
        self.face = array("q", bytes(8 * size))
        self.product = array("q", bytes(8 * size))
        self.mask = array("q", [sum(1 << rule.counter for rule in machine.counters)]) * size
        self.gone = bytearray(size)
        self.order: list[int] | None = None
        self.restarts: list[int] = []  # samples before which the agent came back from its checkpoint
        self.registers = self._count(first)

    # ---- as the machine would have it ----

    def _when(self, dice: Random) -> None:
        poll, start, end = self.poll_ns, self.life.start_ns, self.life.end_ns
        asked = [int(dice.random() * ASKED_NS) for _ in range(_POOL)]
        slow = min(SLOW_NS, poll // 2)
        way = [int(SOON_NS + dice.random() * (QUICK_NS - SOON_NS)) for _ in range(_POOL)]
        for index in dice.sample(range(_POOL), _POOL // 500):
            way[index] = int(QUICK_NS + dice.random() * (slow - QUICK_NS))
        size = (end - start - slow) // poll
        due = range(start, start + size * poll, poll)
        rounds = size // _POOL + 1
        self.true_ns = array("q", [d + a for d, a in zip(due, asked * rounds, strict=False)])
        self.heard_ns = array("q", [t + w for t, w in zip(self.true_ns, way * rounds, strict=False)])
        self.stamp_ns = array("q", self.heard_ns)

    def _count(self, first: tuple[int, int, int]) -> list[array[int]]:
        total = array("q", bytes(8 * self.size))
        reject = array("q", bytes(8 * self.size))
        true_ns, at = self.true_ns, 0
        for stretch in self.life.stretches:
            end = bisect_left(true_ns, stretch.end_ns, at)
            if end == at:
                continue
            face = self.faces.of(stretch.condition, stretch.code)
            self.face[at:end] = array("q", [face]) * (end - at)
            if stretch.product:
                self.product[at:end] = array("q", [stretch.product]) * (end - at)
            if stretch.cycle_ns:
                origin, cycle, count = stretch.first_ns - stretch.cycle_ns, stretch.cycle_ns, stretch.count
                total[at:end] = array("q", [count + (t - origin) // cycle for t in true_ns[at:end]])
            else:
                total[at:end] = array("q", [stretch.count]) * (end - at)
            at = end
        edges = [0, *(bisect_left(true_ns, t) for t in self.life.reject_times), self.size]
        for number, (start, end) in enumerate(pairwise(edges)):
            if end > start:
                reject[start:end] = array("q", [number]) * (end - start)
        self.counted = (total, array("q", map(sub, total, reject)), reject)
        shown = []
        for column, begin, modulus in zip(self.counted, first, self.modulus, strict=True):
            shown.append(array("q", [(begin + n) % modulus for n in column]) if modulus else array("q", column))
        return shown

    # ---- what faults need ----

    def at(self, t_ns: int) -> int:
        """The first sample whose values are of `t_ns` or later."""
        return bisect_left(self.true_ns, t_ns)

    def has(self, counter: Counter) -> bool:
        """The machine has this counter."""
        return self.modulus[counter] != 0

    def counters(self) -> list[Counter]:
        """The counters it has."""
        return [counter for counter in Counter if self.modulus[counter]]

    def show(self, counter: Counter, from_ns: int, value: int) -> None:
        """From `from_ns` on the register counts from `value`: cleared, preset, replaced."""
        start, modulus, column = self.at(from_ns), self.modulus[counter], self.registers[counter]
        if start == self.size:
            return
        wanted = value + self.counted[counter][start] - self.life.counts(from_ns)[counter]
        shift = wanted - column[start]
        column[start:] = array("q", [(v + shift) % modulus for v in column[start:]])

    def clear(self, from_ns: int) -> None:
        """All registers start at 0 again."""
        for counter in self.counters():
            self.show(counter, from_ns, 0)

    def add(self, counter: Counter, from_ns: int, pulses: int) -> None:
        """From `from_ns` on the register is ahead (or behind) by `pulses`."""
        start, modulus, column = self.at(from_ns), self.modulus[counter], self.registers[counter]
        column[start:] = array("q", [(v + pulses) % modulus for v in column[start:]])

    def lose(self, from_ns: int, to_ns: int) -> None:
        """No sample of [from, to) ever arrives."""
        start, end = self.at(from_ns), self.at(to_ns)
        self.gone[start:end] = b"\1" * (end - start)

    def look(self, from_ns: int, to_ns: int, values: dict[str, int], quality: Quality | None = None) -> None:
        """State signals of [from, to) read `values` whatever the machine does."""
        for index in range(self.at(from_ns), self.at(to_ns)):
            self.face[index] = self.faces.changed(self.face[index], values, quality)

    # ---- handed on ----

    def delivered(self) -> list[int]:
        """The samples that arrive, in the order in which they are handed on."""
        indices = range(self.size) if self.order is None else self.order
        return [index for index in indices if not self.gone[index]]

    def rows(self) -> tuple[array[int], array[int]]:
        """What the ledger kernel gets, flat rows of `SAMPLE_FIELDS`, and the sample each row is of. As the agent does,
        a sample in which nothing could be read is left out.
        """
        empty = self._empty()
        indices = array("q", [index for index in self.delivered() if not empty[index]])
        size = len(indices)
        flat = array("q", bytes(8 * size * WIDTH))
        plain = self.order is None
        lost = any(self.gone) or any(empty)
        keep = bytearray(not (gone or no) for gone, no in zip(self.gone, empty, strict=True)) if lost else None

        def pick(column: array[int]) -> array[int]:
            if not plain:
                return array("q", [column[i] for i in indices])
            return column if keep is None else array("q", compress(column, keep))

        stamp, heard, face = pick(self.stamp_ns), pick(self.heard_ns), pick(self.face)
        elapsed = array("q", [0])
        elapsed.extend(map(sub, heard[1:], heard))
        flat[0::WIDTH], flat[1::WIDTH] = stamp, elapsed
        flat[2::WIDTH] = array("q", map(self.faces.buckets.__getitem__, face))
        flat[3::WIDTH] = array("q", map(self.faces.fault_codes.__getitem__, face))
        flat[4::WIDTH], flat[5::WIDTH] = pick(self.product), pick(self.mask)
        for counter in Counter:
            flat[6 + counter :: WIDTH] = pick(self.registers[counter])
        return flat, indices

    def _empty(self) -> bytearray:
        if 0 not in self.mask:
            return bytearray(self.size)
        says_nothing = self.faces.says_nothing
        return bytearray(not m and says_nothing[f] for m, f in zip(self.mask, self.face, strict=True))

    def lines(self, machine_id: str) -> Iterator[tuple[int, str]]:
        """The same as lines of a file of readings, with the sample's time."""
        machine, words = self.machine, {Quality.GOOD: "good", Quality.UNCERTAIN: "uncertain"}
        named = [(rule.counter, machine.signals[rule.signal].name) for rule in machine.counters]
        product = machine.signals[machine.product_signal].name if machine.product_signal is not None else None
        for index in self.delivered():
            t_ns = self.stamp_ns[index]
            values, quality = self.faces.faces[self.face[index]]
            word = words.get(Quality(quality), "bad")
            for name, value in values:
                yield t_ns, f"{t_ns},{machine_id},{name},{value},{word}"
            for counter, name in named:
                seen = "good" if self.mask[index] & 1 << counter else "bad"
                yield t_ns, f"{t_ns},{machine_id},{name},{self.registers[counter][index]},{seen}"
            if product is not None:
                code = machine.products[self.product[index]].code or 0
                yield t_ns, f"{t_ns},{machine_id},{product},{code},{word}"
