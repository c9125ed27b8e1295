"""The shifts of some dates, one by one, each with its slices: what a person checks a calendar by. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from edge.calendar.rosters import roster_on
from edge.calendar.shifts import ShiftInstance, Slice, shift_id_of, shift_of, slices
from edge.plan import Calendar
from ext.buckets import Schedule

_NS_PER_MIN = 60_000_000_000


@dataclass(frozen=True, slots=True)
class ListedShift:
    """One shift of one date as the ledger will see it."""

    shift_id: int
    anchor: date  # the date it starts on; `shift.date` is the one on reports
    shift: ShiftInstance
    slices: tuple[Slice, ...]  # of the shift's time; those of a not-scheduled stop belong to no shift
    paper_ns: int  # its length by the wall clock; another than the real one where the clock is changed

    def ns(self, schedule: Schedule) -> int:
        """Time of one schedule. SCHEDULED is planned production time, if nothing is made in breaks and stops."""
        return sum(piece.end_ns - piece.start_ns for piece in self.slices if piece.schedule is schedule)

    @property
    def clock_change_ns(self) -> int:
        """By how much the real length differs from the one on paper."""
        return self.shift.end_ns - self.shift.start_ns - self.paper_ns


def listed_shifts(calendar: Calendar, day: date) -> Iterator[ListedShift]:
    """The shifts that start on a date, the earliest first; one that a clock change leaves no time for is listed too."""
    roster = roster_on(calendar, day)
    for place in roster.worked:
        shift_id = shift_id_of(day, place)
        found, planned = shift_of(calendar, shift_id), roster.shifts[place]
        start, end = (clock.hour * 60 + clock.minute for clock in (planned.start, planned.end))
        paper_ns = ((end - start) % (24 * 60) or 24 * 60) * _NS_PER_MIN
        yield ListedShift(shift_id, day, found, slices(calendar, found.start_ns, found.end_ns), paper_ns)


def dates_from(first: date, days: int) -> Iterator[date]:
    """`days` dates from `first` on."""
    return (first + timedelta(days=n) for n in range(days))
