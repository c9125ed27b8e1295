"""Which shift a moment belongs to, and whether the machine is meant to produce then. Pure: no clock, no I/O.

Theory. A calendar is a weekly pattern of shifts in local time, less holidays. A shift on a given date is an interval of
UTC instants; its length is real elapsed time, an hour longer or shorter when the clocks change. Time is cut into
slices, each with one schedule and one shift; slices are contiguous and cover the asked interval exactly, so that the
ledger can book every nanosecond once.

Rules.
* A shift that crosses midnight belongs to the date it starts on (anchor date); that is also the date on reports.
* A shift does not start on a holiday; one that started the evening before runs to its end.
* Time outside every shift is NOT_SCHEDULED, explicitly. A calendar without shifts means around the clock: one shift
  "day" per local date, holidays included.
* Shifts must not overlap (the configuration refuses it). Should they, the one that starts first keeps the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from edge.calendar.localtime import local_date, utc_ns
from edge.plan import Calendar, Shift
from ext.buckets import Schedule

SHIFTS_PER_CALENDAR = 63  # what fits beside the date in a shift id
NO_SHIFT = 0

_ALL_DAY = Shift("day", time(0), time(0), frozenset(range(7)))
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of time with one schedule and one shift, [start_ns, end_ns)."""

    start_ns: int
    end_ns: int
    schedule: Schedule
    shift_id: int  # 0 = outside every shift


@dataclass(frozen=True, slots=True)
class ShiftInstance:
    """One shift of one date. `end_ns - start_ns` is real elapsed time."""

    name: str
    date: date  # the date it starts on
    start_ns: int
    end_ns: int


def slices(calendar: Calendar, from_ns: int, to_ns: int) -> tuple[Slice, ...]:
    """Cut [from_ns, to_ns) by shifts and breaks: contiguous, covering, non-empty. An empty interval gives no slice."""
    zone = ZoneInfo(calendar.timezone)
    cut: list[Slice] = []
    at = from_ns
    for piece in _pattern(calendar, zone, from_ns, to_ns):
        start, end = max(piece.start_ns, at), min(piece.end_ns, to_ns)
        if start >= end:
            continue
        if start > at:
            cut.append(Slice(at, start, Schedule.NOT_SCHEDULED, NO_SHIFT))
        cut.append(Slice(start, end, piece.schedule, piece.shift_id))
        at = end
    if at < to_ns:
        cut.append(Slice(at, to_ns, Schedule.NOT_SCHEDULED, NO_SHIFT))
    return tuple(cut)


def shift_of(calendar: Calendar, shift_id: int) -> ShiftInstance:
    """The shift a slice belongs to. Raises ValueError for 0 and for an id this calendar cannot have given."""
    ordinal, slot = divmod(shift_id, SHIFTS_PER_CALENDAR + 1)
    shifts = calendar.shifts or (_ALL_DAY,)
    if not 1 <= slot <= len(shifts) or ordinal < 1:
        raise ValueError(f"shift id {shift_id} is not of calendar {calendar.id!r}")
    day, shift = date.fromordinal(ordinal), shifts[slot - 1]
    start_ns, end_ns = _interval(day, shift.start, shift.end, ZoneInfo(calendar.timezone))
    return ShiftInstance(shift.name, day, start_ns, end_ns)


def shift_id_of(day: date, index: int) -> int:
    """A number that names the shift at `index` of its calendar on one date, the same in every run."""
    return day.toordinal() * (SHIFTS_PER_CALENDAR + 1) + index + 1


def _pattern(calendar: Calendar, zone: ZoneInfo, from_ns: int, to_ns: int) -> Iterator[Slice]:
    """Shifts and their breaks that can touch the interval, in time order."""
    day = local_date(from_ns, zone) - 2 * _DAY  # a shift lasts up to a day, and zones have skipped a whole date
    last = local_date(to_ns, zone) + _DAY
    shifts = calendar.shifts or (_ALL_DAY,)
    while day <= last:
        if day not in calendar.holidays or not calendar.shifts:
            todays = [(i, s) for i, s in enumerate(shifts) if day.weekday() in s.weekdays]
            for index, shift in sorted(todays, key=lambda item: item[1].start):
                yield from _instance(day, index, shift, zone)
        day += _DAY


def _instance(day: date, index: int, shift: Shift, zone: ZoneInfo) -> Iterator[Slice]:
    """One shift of one date, cut by its breaks."""
    shift_id = shift_id_of(day, index)
    at, end = _interval(day, shift.start, shift.end, zone)
    for start_ns, end_ns in sorted(_breaks(day, shift, zone)):
        yield Slice(at, start_ns, Schedule.SCHEDULED, shift_id)
        yield Slice(start_ns, end_ns, Schedule.BREAK, shift_id)
        at = max(at, end_ns)
    yield Slice(at, end, Schedule.SCHEDULED, shift_id)


def _breaks(day: date, shift: Shift, zone: ZoneInfo) -> Iterator[tuple[int, int]]:
    """Breaks of one shift; those before its start time of day lie after midnight."""
    for pause in shift.breaks:
        yield _interval(day + _DAY if pause.start < shift.start else day, pause.start, pause.end, zone)


def _interval(day: date, start: time, end: time, zone: ZoneInfo) -> tuple[int, int]:
    """UTC ns of a local interval; an end not after its start lies on the next day."""
    end_day = day + _DAY if end <= start else day
    return utc_ns(datetime.combine(day, start), zone), utc_ns(datetime.combine(end_day, end), zone)
