"""What machines could make, and what they have proved they can. Pure.

Words, each with its own denominator; none may stand for another:

    design        output of n machines at the ideal cycle over a basis of time (24 h, a shift): C_n
    effective     design less planned downtime: C_n · planned time / basis · planned availability: C_eff
    demonstrated  most good pieces the ledger holds in any stretch of 1 h, 8 h, 24 h, 3 d, 7 d
    sustained     the demonstrated output of 7 d, per day

Rules of demonstrated output. Final rows only. What is doubtful is no proof: a row with a flag of `DOUBTFUL` proves
neither its pieces nor its time, and so costs only itself. A stretch counts if what is left covers at least 95 % of it
and at least 95 % of its planned time was observed. A step of the clock (`SPOILING`) spoils every stretch it lies in:
more time may have passed than the stretch says. So the figure is a lower bound of what was made. Pieces made outside
shifts count, for they were made. Exact sums over whole rows; a stretch begins where a row begins.

The fastest sustained cycle is found the same way, from all pieces of one product over half an hour: the calendar time
per piece that a machine has proved it can keep up, to compare with the ideal cycle when performance exceeds 100 %. It
is a mean over half an hour, not a percentile of single cycles: a poll does not see those.

Rows come in order of time and are forgotten once they are older than the stretch: seven days of minutes at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from edge.kpi.figure import NS_PER_HOUR, Figure, Why, divide
from edge.kpi.figures import COVERAGE_FLOOR_PERCENT, DERIVED_FLAGS, SUSPECT_RUN_NS
from edge.kpi.row import Row, Sums
from ext.buckets import Flag

DAY_NS = 24 * NS_PER_HOUR
LENGTHS: Mapping[int, str] = MappingProxyType(
    {NS_PER_HOUR: "1h", 8 * NS_PER_HOUR: "8h", DAY_NS: "24h", 3 * DAY_NS: "3d", 7 * DAY_NS: "7d"}
)
STRETCHES_NS: tuple[int, ...] = tuple(LENGTHS)

DOUBTFUL = (
    Flag.AMBIGUOUS  # a count was a guess
    | Flag.ESTIMATED  # pieces were spread over windows: this one may have got another's
    | Flag.STATE_CONFLICT  # counter and state contradict each other
    | Flag.COUNTER_FAULT
    | Flag.COUNTER_CONFLICT  # total, good and reject contradict each other
    | Flag.MANUAL_EDIT
)
SPOILING = Flag.CLOCK_STEP  # the stretch may be longer than it says
SEVERE = DOUBTFUL | SPOILING


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
    flags: Flag  # of its rows, the doubtful ones too, whose pieces are not in it

    @property
    def per_day(self) -> Fraction:
        """Pieces per 24 h at this rate."""
        return Fraction(self.pieces * DAY_NS, self.length_ns)

    @property
    def cycle_ns(self) -> Fraction | None:
        """Calendar time per piece, ns. None where nothing was made."""
        return Fraction(self.length_ns, self.pieces) if self.pieces else None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a stretch needs of a row."""

    start_ns: int
    end_ns: int
    pieces: int  # proved
    proved_ns: int  # calendar time
    ppt_ns: int
    observed_ns: int  # of planned time
    flags: int


class Best:
    """The earliest of the best stretches of one length. Give it final rows in order of their start, then `found`."""

    def __init__(self, length_ns: int, count: Callable[[Sums], int]) -> None:
        self._length_ns = length_ns
        self._count = count
        self._rows: deque[_Seen] = deque()
        self._pieces = self._proved_ns = self._ppt_ns = self._observed_ns = self._spoiled = 0
        self._best: Demonstrated | None = None

    def take(self, row: Row) -> None:
        """One row more."""
        while self._rows and row.end_ns > self._rows[0].start_ns + self._length_ns:
            self._judge()
            self._leave()
        if row.end_ns - row.key.start_ns <= self._length_ns:
            self._enter(row)

    def found(self) -> Demonstrated | None:
        """The best of all rows; there are no more. None where no stretch is proof."""
        while self._rows:
            self._judge()
            self._leave()
        return self._best

    def _enter(self, row: Row) -> None:
        sums = row.sums
        doubtful = bool(sums.flags & DOUBTFUL)
        seen = _Seen(
            row.key.start_ns,
            row.end_ns,
            0 if doubtful else self._count(sums),
            0 if doubtful else sums.all_ns,
            sums.ppt_ns,
            0 if doubtful else sums.ppt_ns - sums.unknown_ns,
            sums.flags,
        )
        self._rows.append(seen)
        self._add(seen, +1)

    def _leave(self) -> None:
        self._add(self._rows.popleft(), -1)

    def _add(self, seen: _Seen, sign: int) -> None:
        self._pieces += sign * seen.pieces
        self._proved_ns += sign * seen.proved_ns
        self._ppt_ns += sign * seen.ppt_ns
        self._observed_ns += sign * seen.observed_ns
        self._spoiled += sign * bool(seen.flags & SPOILING)

    def _judge(self) -> None:
        """Whether the stretch that begins with the oldest row is the best so far."""
        if self._best is not None and self._pieces <= self._best.pieces:
            return
        if (
            self._spoiled
            or self._proved_ns * 100 < self._length_ns * COVERAGE_FLOOR_PERCENT
            or self._observed_ns * 100 < self._ppt_ns * COVERAGE_FLOOR_PERCENT
        ):
            return
        flags = Flag.NONE
        for seen in self._rows:
            flags |= Flag(seen.flags)
        self._best = Demonstrated(
            self._length_ns,
            self._rows[0].start_ns,
            self._pieces,
            Fraction(self._observed_ns, self._ppt_ns) if self._ppt_ns else Fraction(1),
            flags & ~DERIVED_FLAGS,
        )


def good_pieces(sums: Sums) -> int:
    """All good pieces, outside the schedule too."""
    return sums.gc + sums.unscheduled_gc


def all_pieces(sums: Sums) -> int:
    """All pieces, outside the schedule too."""
    return sums.tc + sums.unscheduled_tc


def demonstrated(rows: Iterable[Row], length_ns: int) -> Demonstrated | None:
    """Most good pieces in any stretch of `length_ns`. None where no stretch is proof.

    rows: minute or hour rows of one machine or of the last station of a line, each once.
    """
    return _best(rows, Best(length_ns, good_pieces))


def demonstrated_all(rows: Iterable[Row]) -> Mapping[int, Demonstrated | None]:
    """`demonstrated` for each of `STRETCHES_NS`."""
    kept = list(rows)
    return MappingProxyType({length_ns: demonstrated(kept, length_ns) for length_ns in STRETCHES_NS})


def fastest_sustained(rows: Iterable[Row], product: str, length_ns: int = SUSPECT_RUN_NS) -> Demonstrated | None:
    """The stretch of `length_ns` in which most pieces of `product`, good or bad, were made: see `cycle_ns`."""
    return _best((row for row in rows if row.key.product == product), Best(length_ns, all_pieces))


def _best(rows: Iterable[Row], best: Best) -> Demonstrated | None:
    for row in sorted((row for row in rows if row.final), key=lambda row: row.key.start_ns):
        best.take(row)
    return best.found()
