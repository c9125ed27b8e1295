"""Random lives of machines, with the truth: readings in the kernel's sample format, made fast and the same for a seed.

A life is a machine that runs and stops, and a line to it that lies now and then: wraps, single glitches, torn 32-bit
reads, unreadable registers and states, silences, a clock that steps, copies of samples. All of these leave the count
recoverable. Lives with `resets` also clear their registers; there the truth lies between what was credited and that
plus `lost_max`. What nobody could recover or bound is not made: a lie within the physical bound of the true value, a
clearing that looks like a wrap, a silence as long as a turn of the register.
"""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass
from typing import Any

from ext.buckets import Bucket, Counter, Schedule

S = 1_000_000_000
MINUTE = 60 * S
BEGIN = 1_700_035_200 * S
HOLD = 5 * S
WIDTH = 9
_STATES = (
    Bucket.INTERNAL_MINOR,
    Bucket.BREAKDOWN,
    Bucket.SETUP,
    Bucket.EXTERNAL_STARVED,
    Bucket.UNASSIGNED,
    Bucket.MANUAL,
)
_MODULI = (999, 1000, 9999, 10_000, 1 << 15, 1 << 16, (1 << 31) - 1, 1 << 32)


@dataclass(frozen=True, slots=True)
class Life:
    """Rules, calendar and readings of one machine, and what it really made between first and last sample."""

    counters: tuple[tuple[int, int, float, int], ...]
    products: tuple[tuple[int, int, int, int], ...]
    calendar: tuple[array[int], ...]
    samples: array[int]  # rows of SAMPLE_FIELDS
    true_pieces: int  # of the counter of output, which is the total
    resets: bool

    def ledger(self, build: Any, t3_ns: int = 0) -> Any:
        """A new one under these rules; t3_ns: with another t3."""
        products = tuple((i, t1, t2, max(t2, t3_ns) if t3_ns else t3) for i, t1, t2, t3 in self.products)
        made = build(HOLD, self.counters, products)
        made.set_calendar(*self.calendar)
        return made

    @property
    def rows(self) -> memoryview:
        """As `MachineLedger.run` takes them."""
        return memoryview(self.samples).cast("B").cast("q", (len(self), WIDTH))

    def __len__(self) -> int:
        return len(self.samples) // WIDTH

    def row(self, number: int) -> array[int]:
        """One sample."""
        return self.samples[WIDTH * number : WIDTH * number + WIDTH]


class _Line:
    """What a PLC shows of a true count, and what arrives of it."""

    def __init__(self, chance: random.Random, modulus: int, rate_per_s: float) -> None:
        self.modulus = modulus
        self.true = 0
        self.base = chance.randrange(modulus)
        self._chance = chance
        self._rate = rate_per_s
        self._shown = self.base

    def cap(self, dt_ns: int) -> int:
        """More than can have been counted in this time, with room for two more readings."""
        return int(self._rate * (dt_ns + 8 * S) / S) + 8

    @property
    def value(self) -> int:
        """The register."""
        return (self.base + self.true) % self.modulus

    def lie(self, dt_ns: int) -> int | None:
        """A value that cannot be true, nor the beginning of another truth; None where the register is too small."""
        bound = 4 * self.cap(dt_ns)
        for _ in range(4):
            false = self.value ^ 65536 if self.modulus == 1 << 32 and self._chance.random() < 0.5 else 0
            if not false:
                false = self._chance.randrange(self.modulus)
            if bound < (false - self.value) % self.modulus < self.modulus - bound and false > bound:
                return false
        return None

    def may_be_cleared(self, dt_ns: int) -> bool:
        """Neither a wrap nor a low count explains it as well."""
        bound = 4 * self.cap(dt_ns)
        return bound < self.value < self.modulus - bound

    def clear(self, shown: int) -> None:
        """The register begins again at 0, `shown` counts ago."""
        self.base = (shown - self.true) % self.modulus


def life(seed: int, samples: int, *, resets: bool = False) -> Life:
    """One machine. The same numbers give the same life."""
    chance = random.Random(seed)
    draw, pick = chance.random, chance.choice
    poll_ns = pick((S // 2, S, S, 2 * S))
    ideal_ns = int(pick((0.06, 0.5, 1.0, 2.0, 9.0)) * S)
    rate = 1.2 * S / ideal_ns
    modulus = pick([m for m in _MODULI if m * S / rate > 40 * MINUTE // 60])
    multiplier = pick((1, 1, 2, 20))
    total, reject = _Line(chance, modulus, rate), _Line(chance, modulus, rate)
    longest_ns = int(min(0.5 * modulus / rate, 20 * 60) * S)  # of a silence that hides no turn of the register
    rows = array("q")
    t_ns, due, state, run, left = BEGIN, 0.0, 0, True, 0
    quiet, fault = 12, 0  # samples without a lie ahead; the baseline is one of them
    seen_total = 0  # true count at the last sample in which the total was readable
    first: int | None = None
    unread_ns = 0
    wall_ns = 0
    for number in range(samples):
        dt = int(poll_ns * (0.97 + 0.06 * draw())) if number else 0
        mask, bucket = 7, None
        quiet -= 1
        trouble = ""
        if quiet < 0 and number < samples - 14 and draw() < 0.03:  # what is held at the very end nobody can decide
            trouble = pick(
                ("glitch", "glitch", "unread", "unseen", "silence", "step", "copy", "clear" if resets else "glitch")
            )
            quiet = 14
        if trouble == "silence":
            dt += int(longest_ns * draw() ** 2)
        t_ns += dt
        if left <= 0:
            run = not run or draw() < 0.4
            left = 1 + int((300 if run else 60) * draw())
            state = 0 if run else int(pick(_STATES))
            fault = 0 if run else chance.randrange(9)
        left -= 1
        if run:
            due += dt / ideal_ns * (0.7 + 0.4 * draw())
            counts = int(due)
            due -= counts
            total.true += counts
            reject.true += counts > 0 and draw() < 0.02
        shown, shown_reject = total.value, reject.value
        unread_ns += dt
        if trouble == "glitch":
            shown = total.lie(unread_ns) or shown
        elif trouble == "unread":
            mask &= ~pick((1, 4, 5, 7))
        elif trouble == "unseen":
            bucket = int(Bucket.UNKNOWN)
        elif trouble == "step":
            wall_ns += int(pick((-1, 1)) * 3600 * S * draw())
        elif trouble == "clear" and total.may_be_cleared(unread_ns):
            total.clear(min(total.true - seen_total, int(3 * draw())))
            shown = total.value
        if mask & 1:
            if first is None:
                first = total.true
            if shown == total.value:
                seen_total, unread_ns = total.true, 0
        row = (
            t_ns + wall_ns, dt, state if bucket is None else bucket, fault, 0, mask, shown, 0, shown_reject,
        )  # fmt: skip
        rows.extend(row)
        if trouble == "copy":
            rows.extend((row[0], 0, *row[2:]))
    return Life(
        counters=((Counter.TOTAL, modulus, rate, multiplier), (Counter.REJECT, modulus, rate, multiplier)),
        products=((ideal_ns, int(1.05 * ideal_ns), max(int(1.7 * ideal_ns), 2 * poll_ns), max(60 * S, 6 * ideal_ns)),),
        calendar=_calendar(chance),
        samples=rows,
        true_pieces=(total.true - (first or 0)) * multiplier,
        resets=resets,
    )


def _calendar(chance: random.Random) -> tuple[array[int], ...]:
    """Shifts, breaks and nights of any length, from long before to long after."""
    at, slices = BEGIN - 40 * 86_400 * S, []
    slices.append((at, BEGIN, int(Schedule.SCHEDULED), 1))
    at = BEGIN
    for number in range(400):
        length = chance.randrange(1, 7200) * S
        slices.append((at, at + length, int(chance.choice((0, 0, 0, 1, 2))), 2 + number // 3))
        at += length
    slices.append((at, at + 400 * 86_400 * S, int(Schedule.SCHEDULED), 1000))
    return tuple(array("q", column) for column in zip(*slices, strict=True))
