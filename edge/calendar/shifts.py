"""Which shift a moment belongs to, and whether the machine is meant to produce then. Pure: no clock, no I/O.

Theory. A shift on a given date is an interval of UTC instants; its length is real elapsed time, an hour longer or
shorter when the clocks change. Time is cut into slices, each with one schedule and one shift; slices are contiguous and
cover the asked interval exactly, so that the ledger can book every nanosecond once. Which shifts start on a date is
`edge.calendar.rosters`.

Rules.
* A shift that crosses midnight belongs to the date it starts on (anchor date). That is also the date on reports, unless
  the shift reports to the day after.
* A shift does not start on a holiday; one that started the evening before runs to its end.
* Time outside every shift is NOT_SCHEDULED, explicitly. A calendar without shifts means around the clock: one shift
  "day" per local date, holidays included.
* An announced stop lies over the shifts: planned down time like a break, or, where it says so, no shift at all. It
  never makes time scheduled.
* Shifts must not overlap (the configuration refuses it). Should they, the one that starts first keeps the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from edge.calendar.localtime import local_date, utc_ns
from edge.calendar.rosters import roster_on
from edge.plan import Break, Calendar, PlannedStop, Shift
from ext.buckets import Schedule

SHIFTS_PER_CALENDAR = 63  # what fits beside the date in a shift id
NO_SHIFT = 0

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
    date: date  # the date on reports: the one it starts on, or the day after where the shift says so
    start_ns: int
    end_ns: int


def slices(calendar: Calendar, from_ns: int, to_ns: int) -> tuple[Slice, ...]:
    """Cut [from_ns, to_ns) by shifts, breaks and stops: contiguous, covering, none of them empty. An empty interval
    gives no slice.
    """
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
    for stop in calendar.stops:
        cut = list(_stopped(cut, stop, zone))
    return tuple(cut)


def shift_of(calendar: Calendar, shift_id: int) -> ShiftInstance:
    """The shift a slice belongs to. Raises ValueError for 0 and for an id this calendar cannot have given."""
    ordinal, slot = divmod(shift_id, SHIFTS_PER_CALENDAR + 1)
    day = date.fromordinal(ordinal) if 1 <= ordinal <= date.max.toordinal() else None
    shifts = roster_on(calendar, day).shifts if day is not None else ()
    if day is None or not 1 <= slot <= len(shifts):
        raise ValueError(f"shift id {shift_id} is not of calendar {calendar.id!r}")
    shift = shifts[slot - 1]
    start_ns, end_ns = _interval(day, shift.start, shift.end, ZoneInfo(calendar.timezone))
    return ShiftInstance(shift.name, day + shift.report_days * _DAY, start_ns, end_ns)


def shift_id_of(day: date, index: int) -> int:
    """A number that names the shift at `index` of its calendar on one date, the same in every run."""
    return day.toordinal() * (SHIFTS_PER_CALENDAR + 1) + index + 1


def _pattern(calendar: Calendar, zone: ZoneInfo, from_ns: int, to_ns: int) -> Iterator[Slice]:
    """Shifts and their breaks that can touch the interval, in time order."""
    day = local_date(from_ns, zone) - 2 * _DAY  # a shift lasts up to a day, and zones have skipped a whole date
    last = local_date(to_ns, zone) + _DAY
    while day <= last:
        roster = roster_on(calendar, day)
        for place in roster.worked:
            shift = roster.shifts[place]
            breaks = [pause for pause in shift.breaks if roster.weekday in pause.weekdays]
            yield from _instance(day, shift_id_of(day, place), shift, breaks, zone)
        day += _DAY


def _instance(day: date, shift_id: int, shift: Shift, breaks: Iterable[Break], zone: ZoneInfo) -> Iterator[Slice]:
    """One shift of one date, cut by its breaks."""
    at, end = _interval(day, shift.start, shift.end, zone)
    for start_ns, end_ns in sorted(_break(day, shift, pause, zone) for pause in breaks):
        yield Slice(at, start_ns, Schedule.SCHEDULED, shift_id)
        yield Slice(start_ns, end_ns, Schedule.BREAK, shift_id)
        at = max(at, end_ns)
    yield Slice(at, end, Schedule.SCHEDULED, shift_id)


def _break(day: date, shift: Shift, pause: Break, zone: ZoneInfo) -> tuple[int, int]:
    """A break before the shift's start time of day lies after midnight."""
    return _interval(day + _DAY if pause.start < shift.start else day, pause.start, pause.end, zone)


def _stopped(cut: Iterable[Slice], stop: PlannedStop, zone: ZoneInfo) -> Iterator[Slice]:
    """The slices with one announced stop laid over them."""
    stop_start, stop_end = utc_ns(stop.start, zone), utc_ns(stop.end, zone)
    for piece in cut:
        start, end = max(piece.start_ns, stop_start), min(piece.end_ns, stop_end)
        if start >= end or piece.schedule is Schedule.NOT_SCHEDULED:
            yield piece
            continue
        if piece.start_ns < start:
            yield replace(piece, end_ns=start)
        shift_id = piece.shift_id if stop.schedule is not Schedule.NOT_SCHEDULED else NO_SHIFT
        yield Slice(start, end, stop.schedule, shift_id)
        if end < piece.end_ns:
            yield replace(piece, start_ns=end)


def _interval(day: date, start: time, end: time, zone: ZoneInfo) -> tuple[int, int]:
    """UTC ns of a local interval; an end not after its start lies on the next day."""
    end_day = day + _DAY if end <= start else day
    return utc_ns(datetime.combine(day, start), zone), utc_ns(datetime.combine(end_day, end), zone)
