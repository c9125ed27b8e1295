"""What machines could make, and what they have proved they can. Pure.

Words, each with its own denominator; none may stand for another:

    design        output of n machines at the ideal cycle over a basis of time (24 h, a shift): C_n
    effective     design less planned downtime: C_n · planned time / basis · planned availability: C_eff
    demonstrated  most good pieces the ledger holds in any stretch of 1 h, 8 h, 24 h, 3 d, 7 d
    sustained     the demonstrated output of 7 d, per day

Rules of demonstrated output. Final rows only. A stretch counts if rows cover at least 95 % of it, at least 95 % of its
planned time was observed, and no row in it carries a severe flag: what is doubtful is no proof. Pieces made outside
shifts count, for they were made. Exact sums over whole rows; a stretch begins where a row begins.

The fastest sustained cycle is found the same way, from all pieces of one product over half an hour: the cycle a machine
has proved, to compare with the ideal one when performance exceeds 100 %.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from edge.kpi.figure import NS_PER_HOUR, Figure, Why, divide
from edge.kpi.figures import COVERAGE_FLOOR_PERCENT, DERIVED_FLAGS, SUSPECT_RUN_NS
from edge.kpi.row import Row, Sums
from ext.buckets import Flag

DAY_NS = 24 * NS_PER_HOUR
STRETCHES_NS: tuple[int, ...] = (NS_PER_HOUR, 8 * NS_PER_HOUR, DAY_NS, 3 * DAY_NS, 7 * DAY_NS)

SEVERE = (
    Flag.AMBIGUOUS  # a count was a guess
    | Flag.ESTIMATED  # pieces were spread over windows: a stretch may have got another's
    | Flag.CLOCK_STEP  # the stretch may be longer than it says
    | Flag.STATE_CONFLICT  # counter and state contradict each other
    | Flag.COUNTER_FAULT
    | Flag.MANUAL_EDIT
)


# ---- designed --------------------------------------------------------------------------------------------------------


def design_capacity(ideal_cycle_ns: int, basis_ns: int, machines: int = 1) -> Fraction:
    """C_n: pieces that `machines` make at the ideal cycle in `basis_ns`. Raises ValueError for a cycle ≤ 0."""
    if ideal_cycle_ns <= 0:
        raise ValueError(f"an ideal cycle is longer than 0 ns, got {ideal_cycle_ns}")
    return Fraction(machines * basis_ns, ideal_cycle_ns)


def effective_capacity(design: Fraction, planned_ns: int, basis_ns: int, planned_availability: Fraction) -> Fraction:
    """C_eff = C_n · planned time / basis · planned availability, pieces. Raises ValueError for a basis ≤ 0."""
    if basis_ns <= 0:
        raise ValueError(f"capacity is said over a time longer than 0 ns, got {basis_ns}")
    return design * Fraction(planned_ns, basis_ns) * planned_availability


def attainment(good: int, capacity: Fraction) -> Figure:
    """Good pieces over a capacity of the same time: utilisation on a design basis, efficiency on an effective one.

    Say which: the same output is a different percentage on each basis.
    """
    return divide(good, capacity, Why.ZERO_BASE)


# ---- demonstrated ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Demonstrated:
    """The best stretch of one length."""

    length_ns: int
    start_ns: int
    pieces: int
    coverage: Fraction  # observed part of its planned time; 1 where nothing was planned
    flags: Flag  # of its rows; none is severe

    @property
    def per_day(self) -> Fraction:
        """Pieces per 24 h at this rate."""
        return Fraction(self.pieces * DAY_NS, self.length_ns)

    @property
    def cycle_ns(self) -> Fraction | None:
        """Calendar time per piece, ns. None where nothing was made."""
        return Fraction(self.length_ns, self.pieces) if self.pieces else None


def demonstrated(rows: Iterable[Row], length_ns: int) -> Demonstrated | None:
    """Most good pieces in any stretch of `length_ns`. None where no stretch is proof.

    rows: minute or hour rows of one machine or of the last station of a line, each once.
    """
    return _best(rows, length_ns, lambda sums: sums.gc + sums.unscheduled_gc)


def demonstrated_all(rows: Iterable[Row]) -> Mapping[int, Demonstrated | None]:
    """`demonstrated` for each of `STRETCHES_NS`."""
    kept = list(rows)
    return MappingProxyType({length_ns: demonstrated(kept, length_ns) for length_ns in STRETCHES_NS})


def fastest_sustained(rows: Iterable[Row], product: str, length_ns: int = SUSPECT_RUN_NS) -> Demonstrated | None:
    """The stretch of `length_ns` in which most pieces of `product`, good or bad, were made: see `cycle_ns`."""
    return _best(
        (row for row in rows if row.key.product == product), length_ns, lambda sums: sums.tc + sums.unscheduled_tc
    )


@dataclass(slots=True)
class _Stretch:
    """Running sums of the rows inside the stretch."""

    pieces: int = 0
    all_ns: int = 0
    ppt_ns: int = 0
    unknown_ns: int = 0
    severe: int = 0  # rows that spoil it

    def take(self, row: Row, pieces: int, sign: int) -> None:
        self.pieces += sign * pieces
        self.all_ns += sign * row.sums.all_ns
        self.ppt_ns += sign * row.sums.ppt_ns
        self.unknown_ns += sign * row.sums.unknown_ns
        self.severe += sign * bool(row.sums.flags & SEVERE)

    def proves(self, length_ns: int) -> bool:
        return (
            not self.severe
            and self.all_ns * 100 >= length_ns * COVERAGE_FLOOR_PERCENT
            and (self.ppt_ns - self.unknown_ns) * 100 >= self.ppt_ns * COVERAGE_FLOOR_PERCENT
        )


def _best(rows: Iterable[Row], length_ns: int, count: Callable[[Sums], int]) -> Demonstrated | None:
    """The earliest of the best stretches. Each row enters once and leaves once."""
    ordered = sorted((row for row in rows if row.final), key=lambda row: row.key.start_ns)
    stretch = _Stretch()
    best: tuple[int, int, int] | None = None  # pieces, first row, end of the stretch
    best_coverage = Fraction(1)
    entered = 0
    for first, row in enumerate(ordered):
        while entered < len(ordered) and ordered[entered].end_ns <= row.key.start_ns + length_ns:
            stretch.take(ordered[entered], count(ordered[entered].sums), +1)
            entered += 1
        if entered <= first:  # a row longer than the stretch
            entered = first + 1
            continue
        if stretch.proves(length_ns) and (best is None or stretch.pieces > best[0]):
            best = stretch.pieces, first, entered
            observed_ns = stretch.ppt_ns - stretch.unknown_ns
            best_coverage = Fraction(observed_ns, stretch.ppt_ns) if stretch.ppt_ns else Fraction(1)
        stretch.take(row, count(row.sums), -1)
    if best is None:
        return None
    pieces, first, end = best
    flags = Flag.NONE
    for row in ordered[first:end]:
        flags |= Flag(row.sums.flags)
    return Demonstrated(length_ns, ordered[first].key.start_ns, pieces, best_coverage, flags & ~DERIVED_FLAGS)
