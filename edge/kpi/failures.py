"""Failure events from the record of stops, and the times between, to and after them. Pure.

Theory. A machine reports faults as stops; a failure is more than a stop and less than every stop. Rules:

- A failure begins with a BREAKDOWN stop (the calendar has already kept those outside scheduled production out of that
  bucket).
- Restarts that do not hold belong to the same failure: as long as the machine was able to work for less than `merge_ns`
  between two breakdowns, they are one event. Able to work is: running, setup, waiting for an order, material or room.
  Breaks, nights, maintenance, manual mode and time nobody observed prove no restoration.
- It counts if its breakdowns together lasted at least t3, or if people had to clear it.
- TTR runs from its beginning to the first good piece, calendar time, waiting included; to the next failure at most, so
  that no time is counted twice. Without a record of good pieces it ends with the last breakdown: a lower bound.
- TBF is busy time without delay (production and setup) from the end of the last breakdown of one failure to the next
  failure; TTF the same from restoration, so without the run-up to the first good piece. Before the first failure both
  begin with the record.
- A failure belongs to the window in which it begins, with all of its times: a window's edge never makes two of it.

A record may be taken in pieces (`Account`): what is decided is a few numbers, however long the record. One code path:
`failures` is an account of one piece.

Sums and counts only; one division at the end (`edge.kpi.iso22400`), so windows, machines and months add up.

Sources: ISO 22400-2 (FE, TBF, TTF, TTR); IEC 60050-192 (up and down state, restoration). Printed tables of the 2014
edition that divide by FE + 1 are known from hearsay; here it is FE, and nothing at all where FE is 0.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from itertools import accumulate
from typing import Self

from edge.kpi.row import Row
from ext.buckets import Bucket

MERGE_NS = 60 * 1_000_000_000

CLEARING = frozenset({"aborting", "aborted", "clearing"})  # states of PackML that only people end
ABLE = frozenset(
    {Bucket.RUN, Bucket.SETUP, Bucket.EXTERNAL_STARVED, Bucket.EXTERNAL_BLOCKED, Bucket.NO_ORDER}
)  # the machine could have worked
BUSY = frozenset({Bucket.RUN, Bucket.SETUP, Bucket.STARTUP})  # production and setup: busy without delay


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop of a machine, ns. What lies between two stops was run."""

    start_ns: int
    end_ns: int
    bucket: Bucket
    fault_code: int = 0
    cleared: bool = False  # people had to clear or reset it, however short it was


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure event. Times in ns."""

    start_ns: int
    end_ns: int | None  # end of its last breakdown; None: it goes on
    fault_code: int  # first-out
    breakdowns: int  # stops that make up the event
    down_ns: int  # of them together
    tbf_ns: int
    ttf_ns: int
    ttr_ns: int | None  # None: not restored yet


@dataclass(frozen=True, slots=True)
class FailureSums:
    """What adds up: over windows, machines, months."""

    fe: int = 0  # failures that began here
    restored: int = 0  # of them
    tbf_ns: int = 0
    ttf_ns: int = 0
    ttr_ns: int = 0  # of the restored ones

    def __add__(self, other: FailureSums) -> FailureSums:
        """Both together."""
        return FailureSums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def failures(
    stops: Iterable[Stop],
    *,
    from_ns: int,
    until_ns: int,
    t3_ns: int | Callable[[int], int],
    merge_ns: int = MERGE_NS,
    good: Sequence[tuple[int, int]] | None = None,
) -> list[Failure]:
    """Every failure of one machine, in order.

    stops: all stops of the record [from_ns, until_ns], in order of time, none overlapping; one that goes on ends at
    `until_ns`. t3_ns: how long a failure lasts at least, one for all or by its beginning (products differ). good:
    stretches (first ns, last ns) in which good pieces were counted, in order of time (`good_minutes`, or a piece's
    moment twice). Raises ValueError where stops overlap or leave the record.
    """
    account = Account(from_ns, merge_ns)
    ended = account.advance(stops, until_ns, t3_ns if callable(t3_ns) else lambda _start_ns: t3_ns, good)
    return [*ended, *account.unended()]


def sum_failures(found: Iterable[Failure], start_ns: int, end_ns: int) -> FailureSums:
    """The failures that began in [start_ns, end_ns), as sums and counts."""
    mine = [failure for failure in found if start_ns <= failure.start_ns < end_ns]
    return FailureSums(
        fe=len(mine),
        restored=sum(failure.ttr_ns is not None for failure in mine),
        tbf_ns=sum(failure.tbf_ns for failure in mine),
        ttf_ns=sum(failure.ttf_ns for failure in mine),
        ttr_ns=sum(failure.ttr_ns or 0 for failure in mine),
    )


def note_good(good: list[tuple[int, int]], first_ns: int, last_ns: int) -> None:
    """One more stretch with good pieces, in order of time: those that follow each other are one."""
    if good and good[-1][1] >= first_ns - 1:
        good[-1] = good[-1][0], max(last_ns, good[-1][1])
    else:
        good.append((first_ns, last_ns))


def good_minutes(rows: Iterable[Row]) -> list[tuple[int, int]]:
    """The spans of rows with good pieces, in order: `good` of `failures`, as sharp as the rows are long."""
    spans = {(row.key.start_ns, row.end_ns - 1) for row in rows if row.sums.gc + row.sums.unscheduled_gc > 0}
    return sorted(spans)


# ---- a record in pieces ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Event:
    """Breakdowns that are one event so far. Busy times are since the record began."""

    start_ns: int
    busy_at_start_ns: int
    t3_ns: int
    fault_code: int
    end_ns: int = 0
    busy_at_end_ns: int = 0
    breakdowns: int = 0
    down_ns: int = 0
    cleared: bool = False
    back_ns: int | None = None  # the first good piece since
    busy_at_back_ns: int = 0

    @property
    def counts(self) -> bool:
        return self.down_ns >= self.t3_ns or self.cleared

    def take(self, stop: Stop, busy_at_end_ns: int) -> None:
        """One more breakdown."""
        self.end_ns, self.busy_at_end_ns = stop.end_ns, busy_at_end_ns
        self.breakdowns += 1
        self.down_ns += stop.end_ns - stop.start_ns
        self.cleared |= stop.cleared
        self.back_ns = None

    def end_with(self, after: _Event) -> None:
        """Another began: it is restored by then at the latest, so that no time is counted twice."""
        if self.back_ns is None or self.back_ns > after.start_ns:
            self.back_ns, self.busy_at_back_ns = after.start_ns, after.busy_at_start_ns

    @property
    def ups(self) -> tuple[int, int]:
        """Busy time by its end, and by its restoration."""
        return self.busy_at_end_ns, self.busy_at_back_ns


class Account:
    """The failures of a record that is told piece by piece: a dozen numbers, and some for each of the last two events.

    The last failure that counts has no end before the next one begins: nobody knows when its repair is over. Nor has
    the event behind it, which may still grow until it counts. All others are given once, by `advance`.
    """

    def __init__(self, from_ns: int, merge_ns: int = MERGE_NS) -> None:
        self.from_ns = from_ns
        self.edge_ns = from_ns  # everything before is taken in
        self._merge_ns = merge_ns
        self._busy_ns = 0
        self._able_ns = 0  # since the last breakdown
        self._before: tuple[int, int] = (0, 0)  # busy by the end of the failure before `_last`, and by its restoration
        self._last: _Event | None = None  # counts, and can grow no more
        self._open: _Event | None = None  # may grow

    def advance(
        self,
        stops: Iterable[Stop],
        until_ns: int,
        t3_at: Callable[[int], int],
        good: Sequence[tuple[int, int]] | None,
    ) -> list[Failure]:
        """The next piece, up to `until_ns`, as in `failures`; of `good` no stretch that ends behind `edge_ns` may be
        missing. Returns the failures that ended in it for good. Raises ValueError where stops overlap or leave it.
        """
        record = _Record(stops, self.edge_ns, until_ns)
        piece = _Piece(record, self._busy_ns, good)
        found: list[Failure] = []
        edge_ns = self.edge_ns
        for stop in record.stops:
            self._able_ns += stop.start_ns - edge_ns
            edge_ns = stop.end_ns
            if stop.bucket != Bucket.BREAKDOWN:
                self._able_ns += stop.end_ns - stop.start_ns if stop.bucket in ABLE else 0
                continue
            if self._open is not None and self._able_ns >= self._merge_ns:
                found += self._close(self._open, piece)
            if self._open is None:
                busy_ns = piece.busy_ns(stop.start_ns)
                self._open = _Event(stop.start_ns, busy_ns, t3_at(stop.start_ns), stop.fault_code)
            self._open.take(stop, piece.busy_ns(stop.end_ns))
            self._able_ns = 0
        self._able_ns += until_ns - edge_ns
        for event in (self._last, self._open):
            if event is not None:
                piece.restore(event)
        self._busy_ns = piece.busy_ns(until_ns)
        self.edge_ns = until_ns
        return found

    def _close(self, event: _Event, piece: _Piece) -> list[Failure]:
        """It can grow no more."""
        self._open = None
        if not event.counts:
            return []
        last, self._last = self._last, event
        if last is None:
            return []
        piece.restore(last)
        last.end_with(event)
        found = self._failure(last, self._before)
        self._before = last.ups
        return [found]

    def _failure(self, event: _Event, before: tuple[int, int]) -> Failure:
        up_ns, restored_ns = before
        return Failure(
            start_ns=event.start_ns,
            end_ns=None if event is self._open and event.end_ns >= self.edge_ns else event.end_ns,
            fault_code=event.fault_code,
            breakdowns=event.breakdowns,
            down_ns=event.down_ns,
            tbf_ns=event.busy_at_start_ns - up_ns,
            ttf_ns=event.busy_at_start_ns - restored_ns,
            ttr_ns=None if event.back_ns is None else event.back_ns - event.start_ns,
        )

    def unended(self) -> list[Failure]:
        """As it stands: the last failure, and the event behind it if it counts by now."""
        growing = self._open if self._open is not None and self._open.counts else None
        found, before = [], self._before
        if self._last is not None:
            last = replace(self._last)
            if growing is not None:
                last.end_with(growing)
            found.append(self._failure(last, before))
            before = last.ups
        if growing is not None:
            found.append(self._failure(growing, before))
        return found

    def copy(self) -> Account:
        """To look ahead with."""
        return Account.load(self.dump(), self._merge_ns)

    # ---- what outlives the process ----

    def dump(self) -> list[list[int | None]]:
        """As JSON takes it."""
        events = ([*map(_number, astuple(event))] if event is not None else [] for event in (self._last, self._open))
        return [[self.from_ns, self.edge_ns, self._busy_ns, self._able_ns, *self._before], *events]

    @classmethod
    def load(cls, saved: Sequence[Sequence[int | None]], merge_ns: int = MERGE_NS) -> Self:
        """From a dump. Raises ValueError or TypeError for what is none."""
        numbers, last, growing = saved
        from_ns, edge_ns, busy_ns, able_ns, up_ns, restored_ns = (int(number or 0) for number in numbers)
        account = cls(from_ns, merge_ns)
        account.edge_ns, account._busy_ns, account._able_ns = edge_ns, busy_ns, able_ns
        account._before = up_ns, restored_ns
        account._last, account._open = _event(last), _event(growing)
        return account


def _number(value: int | None) -> int | None:
    return None if value is None else int(value)


def _event(saved: Sequence[int | None]) -> _Event | None:
    if not saved:
        return None
    start, busy_at_start, t3, code, end, busy_at_end, breakdowns, down, cleared, back, busy_at_back = saved
    event = _Event(int(start or 0), int(busy_at_start or 0), int(t3 or 0), int(code or 0))
    event.end_ns, event.busy_at_end_ns = int(end or 0), int(busy_at_end or 0)
    event.breakdowns, event.down_ns, event.cleared = int(breakdowns or 0), int(down or 0), bool(cleared)
    event.back_ns, event.busy_at_back_ns = back, int(busy_at_back or 0)
    return event


class _Piece:
    """Busy time and good pieces of one piece of a record."""

    def __init__(self, record: _Record, busy_before_ns: int, good: Sequence[tuple[int, int]] | None) -> None:
        self._record = record
        self._busy_before_ns = busy_before_ns
        self._good = good

    def busy_ns(self, t_ns: int) -> int:
        """Production and setup time since the record began."""
        record = self._record
        return self._busy_before_ns + record.busy_ns(record.from_ns, max(record.from_ns, t_ns))

    def restore(self, event: _Event) -> None:
        """Note the first good piece since an event, if it came."""
        if event.back_ns is None:
            back_ns = _first_good(event.end_ns, self._record.until_ns, self._good)
            if back_ns is not None:
                event.back_ns, event.busy_at_back_ns = back_ns, self.busy_ns(back_ns)


class _Record:
    """Stops in order, and the time not busy before each."""

    __slots__ = ("_idle_before", "_starts", "from_ns", "stops", "until_ns")

    def __init__(self, stops: Iterable[Stop], from_ns: int, until_ns: int) -> None:
        self.stops = list(stops)
        self.from_ns = from_ns
        self.until_ns = until_ns
        edge_ns = from_ns
        for stop in self.stops:
            if not edge_ns <= stop.start_ns <= stop.end_ns <= until_ns:
                raise ValueError(
                    f"stop {stop.start_ns}..{stop.end_ns} overlaps the one before it, runs backwards, or leaves the "
                    f"record {from_ns}..{until_ns}: give the stops of one machine in order of time"
                )
            edge_ns = stop.end_ns
        self._starts = [stop.start_ns for stop in self.stops]
        idle = (0 if stop.bucket in BUSY else stop.end_ns - stop.start_ns for stop in self.stops)
        self._idle_before = list(accumulate(idle, initial=0))

    def busy_ns(self, start_ns: int, end_ns: int) -> int:
        """Production and setup time between two moments of the record."""
        return end_ns - start_ns - (self._idle_until(end_ns) - self._idle_until(start_ns))

    def _idle_until(self, t_ns: int) -> int:
        index = bisect_left(self._starts, t_ns)  # stops before `index` began earlier
        if not index:
            return 0
        last = self.stops[index - 1]
        over_ns = 0 if last.bucket in BUSY else max(0, last.end_ns - t_ns)
        return self._idle_before[index] - over_ns


def _first_good(end_ns: int, until_ns: int, good: Sequence[tuple[int, int]] | None) -> int | None:
    """When the first good piece came after `end_ns`. None: not within the record."""
    if end_ns >= until_ns:
        return None
    if good is None:
        return end_ns
    index = bisect_left(good, end_ns, key=lambda span: span[1])
    back_ns = max(end_ns, good[index][0]) if index < len(good) else until_ns
    return back_ns if back_ns < until_ns else None
