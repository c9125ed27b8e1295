"""What a simulated machine really did: the oracle. Nothing here knows readings, counters or the agent's rules.

Theory. A life is the record of one or several simulated processes, one after the other (a process per product), laid on
the UTC axis. Pieces are in closed form inside a stretch, so the number of pieces complete at any instant is exact, and
so is the time spent in any condition.

Rules. Times are UTC ns, counts are counts of the PLC (a count may be several pieces). A piece complete exactly at an
instant is made at that instant.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from edge.plan import Machine
from edge.simulate.conditions import Condition
from edge.simulate.counters import Counters
from edge.simulate.history import Scale
from edge.simulate.parameters import Parameters, parameters_of
from edge.simulate.process import Process

NS = 1_000_000_000
MINUTE_NS = 60 * NS
HOUR_NS = 3_600 * NS
DAY_NS = 24 * HOUR_NS
REAL_TIME = Scale(Fraction(1))


@dataclass(frozen=True, slots=True)
class Stretch:
    """One condition at one pace in [start_ns, end_ns); count `count` + 1 is complete at `first_ns`, then one every
    `cycle_ns` (0: nothing is made).
    """

    start_ns: int
    end_ns: int
    condition: Condition
    code: int
    product: int
    count: int
    first_ns: int
    cycle_ns: int

    def counts_at(self, t_ns: int) -> int:
        """Counts complete by `t_ns`, which lies in the stretch."""
        if not self.cycle_ns or t_ns < self.first_ns:
            return self.count
        return self.count + (t_ns - self.first_ns) // self.cycle_ns + 1

    def time_of(self, number: int) -> int:
        """When count `number`, of this stretch, is complete."""
        return self.first_ns + (number - self.count - 1) * self.cycle_ns


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A stop that is ordered: the machine stands from `at_ns` for `for_ns` and shows `code`."""

    at_ns: int
    for_ns: int
    code: int


class Life:
    """One machine from `start_ns` to `end_ns`."""

    def __init__(self, stretches: Sequence[Stretch], rejected: Sequence[int]) -> None:
        """`rejected`: numbers of the rejected counts, ascending, from 1."""
        self.stretches = tuple(stretches)
        self.start_ns, self.end_ns = stretches[0].start_ns, stretches[-1].end_ns
        self._starts = [stretch.start_ns for stretch in stretches]
        self._firsts = [stretch.count for stretch in stretches]
        self.reject_times = [self.time_of(number) for number in rejected]

    def _index(self, t_ns: int) -> int:
        return max(0, bisect_right(self._starts, t_ns) - 1)

    def at(self, t_ns: int) -> Stretch:
        """The stretch that holds `t_ns`."""
        return self.stretches[self._index(t_ns)]

    def counts(self, t_ns: int) -> tuple[int, int, int]:
        """Total, good, reject by `t_ns`, since the life began."""
        total = self.at(t_ns).counts_at(t_ns)
        rejects = bisect_right(self.reject_times, t_ns)
        return total, total - rejects, rejects

    def time_of(self, number: int) -> int:
        """When count `number` was complete."""
        return self.stretches[bisect_left(self._firsts, number) - 1].time_of(number)

    def between(self, from_ns: int, to_ns: int) -> Iterator[tuple[int, int, Stretch]]:
        """The stretches in [from, to), with the part of each that lies in it."""
        for stretch in self.stretches[self._index(from_ns) :]:
            if stretch.start_ns >= to_ns:
                return
            yield max(stretch.start_ns, from_ns), min(stretch.end_ns, to_ns), stretch

    def run_ns(self, from_ns: int, to_ns: int) -> int:
        """Time in [from, to) in which the machine ran."""
        return sum(end - start for start, end, s in self.between(from_ns, to_ns) if s.condition is Condition.RUN)

    def turns(self, from_ns: int, to_ns: int) -> list[int]:
        """When in [from, to) the machine began or ceased to run."""
        found, running = [], None
        for start, _, s in self.between(from_ns, to_ns):
            if running is not None and (s.condition is Condition.RUN) is not running:
                found.append(start)
            running = s.condition is Condition.RUN
        return found

    def stands(self, least_ns: int) -> list[tuple[int, int]]:
        """Stretches without production of at least `least_ns`, neighbours joined."""
        found: list[tuple[int, int]] = []
        for s in self.stretches:
            if s.condition is Condition.RUN:
                continue
            if found and found[-1][1] == s.start_ns:
                found[-1] = (found[-1][0], s.end_ns)
            else:
                found.append((s.start_ns, s.end_ns))
        return [(start, end) for start, end in found if end - start >= least_ns]


def lived(
    machine: Machine,
    seed: int,
    spans: Sequence[tuple[int, int, int]],
    breakdowns: Sequence[Breakdown] = (),
    parameters: Parameters | None = None,
) -> Life:
    """The life of `machine`: one simulated process per (start_ns, end_ns, product), laid end to end."""
    stretches: list[Stretch] = []
    rejected: list[int] = []
    for number, (start_ns, end_ns, product) in enumerate(spans):
        before = stretches[-1].counts_at(stretches[-1].end_ns) if stretches else 0
        per_count = max((rule.multiplier for rule in machine.counters), default=1)
        cycle_ns = machine.products[product].ideal_cycle_ns * per_count
        row = parameters or parameters_of(machine.kind)
        process = Process(f"{machine.id}/{number}", seed, row, cycle_ns, Counters(()), REAL_TIME)
        process.go(0)
        for stop in sorted(breakdowns, key=lambda stop: stop.at_ns):
            if start_ns <= stop.at_ns < end_ns:
                process.break_down(stop.at_ns - start_ns, stop.code, stop.for_ns)
        process.advance(end_ns - start_ns - 1)
        kept = list(process.history.stretches())
        for s, following in zip(kept, [*kept[1:], None], strict=True):
            stretches.append(
                Stretch(
                    start_ns + s.start_ns,
                    start_ns + following.start_ns if following else end_ns,
                    s.condition,
                    s.code,
                    product,
                    before + s.count,
                    start_ns + s.start_ns + s.first_ns,
                    s.cycle_ns,
                )
            )
        made = process.counts()[0]
        rejected += [before + cycle for cycle in process.history.rejected() if cycle <= made]
    return Life(stretches, rejected)
