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

Sums and counts only; one division at the end (`edge.kpi.iso22400`), so windows, machines and months add up.

Sources: ISO 22400-2 (FE, TBF, TTF, TTR); IEC 60050-192 (up and down state, restoration). Printed tables of the 2014
edition that divide by FE + 1 are known from hearsay; here it is FE, and nothing at all where FE is 0.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate, zip_longest

from edge.kpi.row import Row
from ext.buckets import Bucket

MERGE_NS = 60 * 1_000_000_000

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
    record = _Record(stops, from_ns, until_ns)
    lasting = t3_ns if callable(t3_ns) else lambda _start_ns: t3_ns
    events = [event for event in _events(record, merge_ns) if _counts(event, lasting(event[0].start_ns))]
    found: list[Failure] = []
    up_from_ns = restored_ns = from_ns
    for event, after in zip_longest(events, events[1:]):
        start_ns, end_ns = event[0].start_ns, event[-1].end_ns
        back_ns = _first_good(end_ns, until_ns, good)
        if after is not None:
            next_ns = after[0].start_ns
            back_ns = next_ns if back_ns is None else min(back_ns, next_ns)
        found.append(
            Failure(
                start_ns=start_ns,
                end_ns=end_ns if end_ns < until_ns else None,
                fault_code=event[0].fault_code,
                breakdowns=len(event),
                down_ns=_down_ns(event),
                tbf_ns=record.busy_ns(up_from_ns, start_ns),
                ttf_ns=record.busy_ns(restored_ns, start_ns),
                ttr_ns=None if back_ns is None else back_ns - start_ns,
            )
        )
        up_from_ns = end_ns
        restored_ns = end_ns if back_ns is None else back_ns
    return found


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


def good_minutes(rows: Iterable[Row]) -> list[tuple[int, int]]:
    """The spans of rows with good pieces, in order: `good` of `failures`, as sharp as the rows are long."""
    spans = {(row.key.start_ns, row.end_ns - 1) for row in rows if row.sums.gc + row.sums.unscheduled_gc > 0}
    return sorted(spans)


# ---- the record ------------------------------------------------------------------------------------------------------


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


def _events(record: _Record, merge_ns: int) -> Iterable[list[Stop]]:
    """Breakdowns, with those that began before the machine had been able to work for `merge_ns` put together."""
    group: list[Stop] = []
    able_ns = 0
    edge_ns = record.from_ns
    for stop in record.stops:
        able_ns += stop.start_ns - edge_ns
        edge_ns = stop.end_ns
        if stop.bucket != Bucket.BREAKDOWN:
            able_ns += stop.end_ns - stop.start_ns if stop.bucket in ABLE else 0
            continue
        if group and able_ns >= merge_ns:
            yield group
            group = []
        group.append(stop)
        able_ns = 0
    if group:
        yield group


def _down_ns(event: list[Stop]) -> int:
    return sum(stop.end_ns - stop.start_ns for stop in event)


def _counts(event: list[Stop], t3_ns: int) -> bool:
    return _down_ns(event) >= t3_ns or any(stop.cleared for stop in event)


def _first_good(end_ns: int, until_ns: int, good: Sequence[tuple[int, int]] | None) -> int | None:
    """When the first good piece came after `end_ns`. None: not within the record."""
    if end_ns >= until_ns:
        return None
    if good is None:
        return end_ns
    index = bisect_left(good, end_ns, key=lambda span: span[1])
    back_ns = max(end_ns, good[index][0]) if index < len(good) else until_ns
    return back_ns if back_ns < until_ns else None
