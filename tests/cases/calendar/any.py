"""Any calendar a site file may describe, and what a wall clock shows, worked out minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from edge.plan import Break, Calendar, CalendarVersion, DayException, PlannedStop, Rotation, Shift
from ext.buckets import Schedule

MINUTE_NS = 60_000_000_000
HOUR_NS = 60 * MINUTE_NS
ZONES = [
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "America/Havana",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "UTC",
]
# around clock changes of the year, and around the date Apia never had
FROM, TO = date(2026, 3, 20), date(2026, 4, 10)
FROM_2011, TO_2011 = date(2011, 12, 20), date(2012, 1, 5)
DATES = st.dates(FROM, TO) | st.dates(FROM_2011, TO_2011)
CLOCKS = st.integers(0, 1439).map(lambda minute: clock(minute))


def clock(minute: int) -> time:
    return time(minute % 1440 // 60, minute % 60)


@st.composite
def shift_lists(draw: st.DrawFn, turns: int = 0) -> tuple[Shift, ...]:
    """Shifts that do not overlap: the day is cut at random minutes, some pieces are shifts, with breaks."""
    cuts = sorted(draw(st.sets(st.integers(0, 1439), min_size=2, max_size=6)))
    shifts = []
    for index, (start, end) in enumerate(pairwise([*cuts, cuts[0] + 1440])):
        if not draw(st.booleans()):
            continue
        edges = sorted(draw(st.sets(st.integers(start, end), min_size=0, max_size=4)))
        breaks = tuple(Break(clock(a), clock(b)) for a, b in zip(edges[::2], edges[1::2], strict=False))
        days = draw(st.frozensets(st.integers(0, 6), min_size=1))
        cycle = draw(st.frozensets(st.integers(0, turns - 1))) if turns else frozenset()
        shifts.append(Shift(f"s{index}", clock(start), clock(end), days, breaks, cycle))
    return tuple(shifts)


@st.composite
def plain_calendars(draw: st.DrawFn) -> Calendar:
    """Shifts by weekday, and holidays: five lines of a site file."""
    holidays = draw(st.frozensets(st.dates(FROM, TO), max_size=3))
    return Calendar("c", draw(st.sampled_from(ZONES)), draw(shift_lists()), holidays)


@st.composite
def rotations(draw: st.DrawFn) -> Rotation | None:
    return draw(st.none() | st.builds(Rotation, st.integers(2, 15), DATES))


@st.composite
def versions(draw: st.DrawFn) -> CalendarVersion:
    rotation = draw(rotations())
    shifts = draw(shift_lists(rotation.days if rotation else 0))
    return CalendarVersion(draw(DATES), shifts, rotation, draw(CLOCKS))


@st.composite
def exceptions(draw: st.DrawFn) -> DayException:
    first = draw(DATES)
    last = first + timedelta(days=draw(st.integers(0, 4)))
    if draw(st.booleans()):
        return DayException(first, last, draw(shift_lists()))
    return DayException(first, last, None, draw(st.integers(0, 6) | DATES))


@st.composite
def stops(draw: st.DrawFn) -> PlannedStop:
    start = datetime.combine(draw(DATES), draw(CLOCKS))
    end = start + timedelta(minutes=draw(st.integers(1, 3000)))
    return PlannedStop(start, end, draw(st.sampled_from([Schedule.BREAK, Schedule.NOT_SCHEDULED])))


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    """Everything at once. Versions and exceptions may overlap at their seams, which a site file may not."""
    plain, base = draw(plain_calendars()), draw(versions())
    return Calendar(
        "c",
        plain.timezone,
        base.shifts,
        plain.holidays,
        base.rotation,
        base.day_start,
        tuple(sorted(draw(st.lists(versions(), max_size=2, unique_by=lambda v: v.since)), key=lambda v: v.since)),
        tuple(draw(st.lists(exceptions(), max_size=3))),
        tuple(draw(st.lists(stops(), max_size=2))),
    )


@st.composite
def moments(draw: st.DrawFn) -> int:
    """UTC ns, any nanosecond, around the dates the calendars speak of."""
    day = draw(DATES)
    start = datetime.combine(day, time(0), UTC)
    return int(start.timestamp()) * 1_000_000_000 + draw(st.integers(0, 86_400_000_000_000 - 1))


def first_showing(local: datetime, zone: ZoneInfo) -> int:
    """UTC ns of the first minute at which the wall shows `local` or later: hand by hand from two days before."""
    at = int((local.replace(tzinfo=UTC) - timedelta(days=2)).timestamp())
    while datetime.fromtimestamp(at, zone).replace(tzinfo=None) < local:
        at += 60
    return at * 1_000_000_000
