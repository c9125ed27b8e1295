"""The counters inside the PLC: what its registers show of the pieces made, with their real widths.

A register shows `(initial + counted since the last clear) mod modulus`. The truth is in the process; the counters
only add what a reader has to undo: a start value from before anybody looked, a roll-over, a clear.
"""

from __future__ import annotations

from dataclasses import dataclass

from ext.buckets import Counter

EVENTS = 64  # clears remembered


@dataclass(frozen=True, slots=True)
class CounterSpec:
    """One counter register: it runs 0 … modulus-1 and stood at `initial` at power-on."""

    counter: Counter
    modulus: int
    initial: int


class Counters:
    """All counters of one machine, in cycles. They are cleared together."""

    __slots__ = ("_floor", "_margin", "_offsets", "clears", "resets", "specs", "wraps_cleared")

    def __init__(self, specs: tuple[CounterSpec, ...], *, margin: int = 0, floor: int = 0) -> None:
        self.specs = specs
        self._offsets = [spec.initial for spec in specs]
        self._margin = margin  # a handover never clears a counter this close below its modulus
        self._floor = floor  # nor a total that has hardly moved since it was cleared last
        self.clears: list[int] = []  # machine ns of the newest clears
        self.resets = 0
        self.wraps_cleared = 0  # roll-overs before the last clear

    def raw(self, index: int, counts: tuple[int, int, int]) -> int:
        """Register value of `specs[index]`; `counts` are total, good, reject since power-on."""
        spec = self.specs[index]
        return (self._offsets[index] + counts[spec.counter]) % spec.modulus

    def may_clear(self, total: int, good: int, reject: int) -> bool:
        """False where clearing would look like a roll-over, or where there is nothing worth clearing."""
        counts = (total, good, reject)
        for index, spec in enumerate(self.specs):
            raw = self.raw(index, counts)
            if spec.modulus - raw <= self._margin:
                return False
            if spec.counter is Counter.TOTAL and raw < self._floor:
                return False
        return bool(self.specs)

    def clear(self, at_ns: int, total: int, good: int, reject: int) -> None:
        """All registers show 0 from here on."""
        self.wraps_cleared = self.wraps((total, good, reject))
        counts = (total, good, reject)
        self._offsets = [-counts[spec.counter] for spec in self.specs]
        self.resets += 1
        self.clears = [*self.clears[1 - EVENTS :], at_ns]

    def wraps(self, counts: tuple[int, int, int]) -> int:
        """Roll-overs of all counters since power-on."""
        now = sum(
            (self._offsets[index] + counts[spec.counter]) // spec.modulus for index, spec in enumerate(self.specs)
        )
        return self.wraps_cleared + now
