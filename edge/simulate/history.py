"""The exact, compact record of one machine's life: stretches of one condition, and the pieces made in them, in
closed form.

Theory. Within a stretch the machine does one thing at one pace, so its pieces need no time stamps: the first one is
complete `first_ns` after the start, each further one `cycle_ns` later. "How many by time t" is one bisection and
one division, whatever the rate, and days of production cost a few numbers per minute. Rejects are listed by piece
number.

Rules.
* Times are machine nanoseconds since power-on. A piece exactly at the end of a stretch belongs to that stretch.
* Bounded: beyond `limit` stretches the oldest half is folded into sums. Questions that start inside the folded part
  are refused with `ForgottenError`; the totals since power-on stay exact for ever.
* Real durations come from the boundaries, converted one by one, so they close to the nanosecond at any speed.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from edge.errors import SeamlineError
from edge.simulate.conditions import FACES, Condition
from ext.buckets import N_BUCKETS

LIMIT = 32_768  # stretches kept; about a day of a mask line at twenty times real speed, 1.5 MB


class ForgottenError(SeamlineError):
    """The interval starts before the part of the history that is still kept stretch by stretch."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Machine time against real time, both since power-on. `speed` machine nanoseconds pass in one real nanosecond."""

    speed: Fraction

    def machine_ns(self, real_ns: int) -> int:
        """What the machine's own clock shows after `real_ns`."""
        return real_ns * self.speed.numerator // self.speed.denominator

    def real_ns(self, machine_ns: int) -> int:
        """The first real nanosecond at which the machine's clock has reached `machine_ns`."""
        return -(-machine_ns * self.speed.denominator // self.speed.numerator)


@dataclass(frozen=True, slots=True)
class Event:
    """One stop, for people: when it began (machine ns), what it was."""

    start_ns: int
    condition: Condition
    code: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """One condition at one pace, machine ns: piece `count` + 1 is complete `first_ns` after `start_ns`, each further
    one `cycle_ns` later; `cycle_ns` 0: nothing is made.
    """

    start_ns: int
    condition: Condition
    code: int
    count: int
    first_ns: int
    cycle_ns: int


class History:
    """Append-only; the last stretch is open."""

    __slots__ = (
        "_closed_bucket_ns",
        "_codes",
        "_conditions",
        "_counts",
        "_cycles",
        "_firsts",
        "_folded",
        "_forgotten_rejects",
        "_limit",
        "_rejects",
        "_scale",
        "_starts",
    )

    def __init__(self, scale: Scale, limit: int = LIMIT) -> None:
        self._scale = scale
        self._limit = limit
        self._starts = array("q")
        self._conditions = array("b")
        self._codes = array("H")
        self._counts = array("q")  # cycles complete before the stretch
        self._firsts = array("q")
        self._cycles = array("q")  # 0: nothing is made
        self._rejects = array("q")  # numbers of the rejected cycles, ascending, from 1
        self._forgotten_rejects = 0
        self._closed_bucket_ns = [0] * N_BUCKETS  # real ns of all stretches but the open one
        self._folded = False

    def begin(
        self, start_ns: int, condition: Condition, code: int = 0, *, first_ns: int = 0, cycle_ns: int = 0
    ) -> None:
        """Close the open stretch at `start_ns` and open the next one. A stretch of no length is replaced."""
        count = self.cycles(start_ns) if self._starts else 0
        if self._starts and self._starts[-1] == start_ns:
            self._drop_last()
        elif self._starts:
            self._close_last(start_ns)
        self._starts.append(start_ns)
        self._conditions.append(condition)
        self._codes.append(code)
        self._counts.append(count)
        self._firsts.append(first_ns)
        self._cycles.append(cycle_ns)
        if len(self._starts) > self._limit:
            self._fold()

    def reject(self, cycle: int) -> None:
        """Cycle number `cycle` made scrap."""
        self._rejects.append(cycle)

    def cycles(self, at_ns: int) -> int:
        """Cycles complete by `at_ns`, that instant included."""
        index = bisect_right(self._starts, at_ns) - 1
        if index < 0:
            if not self._folded:
                return 0
            raise ForgottenError(f"machine time {at_ns} ns lies before the kept history")
        cycle_ns = self._cycles[index]
        inside = at_ns - self._starts[index] - self._firsts[index]
        made = inside // cycle_ns + 1 if cycle_ns and inside >= 0 else 0
        return self._counts[index] + made

    def rejects(self, cycles: int) -> int:
        """Rejects among the first `cycles` cycles."""
        return self._forgotten_rejects + bisect_right(self._rejects, cycles) if cycles else 0

    def current(self) -> tuple[Condition, int, int]:
        """Condition, fault code and start (machine ns) of the open stretch."""
        return Condition(self._conditions[-1]), self._codes[-1], self._starts[-1]

    def bucket_ns(self, from_ns: int, to_ns: int) -> list[int]:
        """Real nanoseconds by `Bucket` in [from, to), real time since power-on. They sum to its length exactly."""
        to_real = self._scale.real_ns
        open_since = to_real(self._starts[-1])
        if from_ns <= 0 and to_ns >= open_since:
            sums = list(self._closed_bucket_ns)
            sums[FACES[Condition(self._conditions[-1])].bucket] += to_ns - open_since
            return sums
        if self._folded and from_ns < to_real(self._starts[0]):
            raise ForgottenError(f"asked from {from_ns} ns; kept from {to_real(self._starts[0])} ns after power-on")
        sums = [0] * N_BUCKETS
        index = max(0, bisect_right(self._starts, self._scale.machine_ns(from_ns)) - 1)
        size = len(self._starts)
        start = to_real(self._starts[index])
        while index < size and start < to_ns:
            end = to_real(self._starts[index + 1]) if index + 1 < size else to_ns
            bucket = FACES[Condition(self._conditions[index])].bucket
            sums[bucket] += max(0, min(end, to_ns) - max(start, from_ns))
            index, start = index + 1, end
        return sums

    def events(self, most: int) -> list[Event]:
        """The newest stops, oldest of them first, at most `most`."""
        found: list[Event] = []
        for index in range(len(self._starts) - 1, -1, -1):
            condition = Condition(self._conditions[index])
            if condition not in (Condition.RUN, Condition.IDLE):
                found.append(Event(self._starts[index], condition, self._codes[index]))
                if len(found) == most:
                    break
        return found[::-1]

    def stretches(self) -> Iterator[Stretch]:
        """All that is kept, oldest first; each ends where the next one starts, the last is open."""
        columns = (self._starts, self._conditions, self._codes, self._counts, self._firsts, self._cycles)
        for start_ns, condition, code, count, first_ns, cycle_ns in zip(*columns, strict=True):
            yield Stretch(start_ns, Condition(condition), code, count, first_ns, cycle_ns)

    def rejected(self) -> tuple[int, ...]:
        """Numbers of the cycles that made scrap, from 1, as far as they are kept."""
        return tuple(self._rejects)

    def _close_last(self, end_ns: int) -> None:
        bucket = FACES[Condition(self._conditions[-1])].bucket
        self._closed_bucket_ns[bucket] += self._scale.real_ns(end_ns) - self._scale.real_ns(self._starts[-1])

    def _drop_last(self) -> None:
        for column in (self._starts, self._conditions, self._codes, self._counts, self._firsts, self._cycles):
            column.pop()

    def _fold(self) -> None:
        keep = len(self._starts) // 2
        self._folded = True
        for column in (self._starts, self._conditions, self._codes, self._counts, self._firsts, self._cycles):
            del column[:keep]
        old = bisect_left(self._rejects, self._counts[0] + 1)
        self._forgotten_rejects += old
        del self._rejects[:old]
