"""Which shifts start on a date: rotations, versions, holidays and exceptions; what each of them may not touch."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from edge.calendar import shift_of, slices
from edge.calendar.listing import dates_from, listed_shifts
from edge.calendar.rosters import roster_on
from edge.plan import (
    EVERY_DAY,
    Break,
    Calendar,
    CalendarVersion,
    DayException,
    PlannedStop,
    Rotation,
    Shift,
)
from ext.buckets import Schedule

HOUR_NS = 3_600_000_000_000
ANCHOR = date(2026, 1, 5)  # a Monday
WORKDAYS = frozenset(range(5))
DAY = Shift("day", time(8), time(20), EVERY_DAY)
NIGHT = Shift("night", time(20), time(8), EVERY_DAY)


def worked(calendar: Calendar, first: date, days: int = 1) -> list[str]:
    """Names of the shifts that start on each date, one word a date."""
    found = []
    for day in dates_from(first, days):
        roster = roster_on(calendar, day)
        found.append("+".join(roster.shifts[place].name for place in roster.worked) or "-")
    return found


def turns(*days: int) -> frozenset[int]:
    return frozenset(day - 1 for day in days)


# ---- rotations ----


def test_four_on_two_off_repeats_for_ever_both_ways() -> None:
    calendar = Calendar("c", "UTC", (Shift("d", time(8), time(20), EVERY_DAY, (), turns(1, 2, 3, 4)),))
    calendar = Calendar("c", "UTC", calendar.shifts, rotation=Rotation(6, ANCHOR))
    assert worked(calendar, ANCHOR, 8) == ["d", "d", "d", "d", "-", "-", "d", "d"]
    assert worked(calendar, ANCHOR - timedelta(days=3), 3) == ["d", "-", "-"]
    far = ANCHOR + timedelta(days=6 * 10_000)
    assert worked(calendar, far, 6) == worked(calendar, ANCHOR, 6)


def test_two_two_three_gives_each_crew_every_other_weekend() -> None:
    """2 on, 2 off, 3 on, 2 off, 2 on, 3 off: 14 days, two crews, always one at work."""
    crew_a = turns(1, 2, 5, 6, 7, 10, 11)
    crews = (
        Shift("A", time(7), time(19), EVERY_DAY, (), crew_a),
        Shift("B", time(7), time(19), EVERY_DAY, (), turns(*range(1, 15)) - crew_a),
    )
    calendar = Calendar("c", "UTC", crews, rotation=Rotation(14, ANCHOR))
    assert worked(calendar, ANCHOR, 14) == [*"AABBAAABBAABBB"]
    weekends = [worked(calendar, ANCHOR + timedelta(days=5 + 7 * week), 2) for week in range(4)]
    assert weekends == [["A", "A"], ["B", "B"], ["A", "A"], ["B", "B"]]


def test_four_crews_move_on_from_early_to_late_to_night_to_free() -> None:
    names, starts = ("A", "B", "C", "D"), (6, 14, 22)
    shifts = tuple(
        Shift(
            name,
            time(h),
            time((h + 8) % 24),
            EVERY_DAY,
            (),
            turns(*(2 * ((2 - place + crew) % 4) + n for n in (1, 2))),
        )
        for crew, name in enumerate(names)
        for place, h in enumerate(starts)
    )
    calendar = Calendar("c", "UTC", shifts, rotation=Rotation(8, ANCHOR))
    for day in dates_from(ANCHOR, 16):
        (said,) = worked(calendar, day)
        assert len(set(said.split("+"))) == 3, "three different crews, one shift each"
    start = int(datetime(2026, 1, 6, tzinfo=ZoneInfo("UTC")).timestamp()) * 10**9
    assert {s.schedule for s in slices(calendar, start, start + 16 * 24 * HOUR_NS)} == {Schedule.SCHEDULED}


def test_weekdays_and_rotation_must_both_hold() -> None:
    """Crews that change over every week, at work Monday to Friday."""
    week_1, week_2 = turns(*range(1, 8)), turns(*range(8, 15))
    shifts = (
        Shift("A", time(8), time(20), WORKDAYS, (), week_1),
        Shift("B", time(8), time(20), WORKDAYS, (), week_2),
    )
    calendar = Calendar("c", "UTC", shifts, rotation=Rotation(14, ANCHOR))
    assert worked(calendar, ANCHOR, 14) == [*"AAAAA--BBBBB--"]


# ---- versions ----

NEW = CalendarVersion(date(2026, 3, 1), (Shift("early", time(8), time(14), EVERY_DAY),))
CHANGED = Calendar("c", "Asia/Shanghai", (DAY, NIGHT), versions=(NEW,))


def test_a_change_of_pattern_leaves_yesterday_alone() -> None:
    before = Calendar("c", "Asia/Shanghai", (DAY, NIGHT))
    february = [shift for day in dates_from(date(2026, 2, 1), 28) for shift in listed_shifts(before, day)]
    assert february == [shift for day in dates_from(date(2026, 2, 1), 28) for shift in listed_shifts(CHANGED, day)]
    assert worked(CHANGED, date(2026, 2, 28), 3) == ["day+night", "early", "early"]


def test_the_last_night_of_the_old_pattern_stays_of_it_to_its_end() -> None:
    midnight = int(datetime(2026, 3, 1, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * 10**9
    night, early = slices(CHANGED, midnight, midnight + 10 * HOUR_NS)
    named = [(s.name, s.date.isoformat()) for s in (shift_of(CHANGED, piece.shift_id) for piece in (night, early))]
    assert named == [("night", "2026-02-28"), ("early", "2026-03-01")]
    assert night.end_ns - midnight == 8 * HOUR_NS


def test_each_version_has_its_own_rotation() -> None:
    rotating = CalendarVersion(
        date(2026, 3, 2), (Shift("d", time(8), time(20), EVERY_DAY, (), turns(1)),), Rotation(2, date(2026, 3, 2))
    )
    calendar = Calendar("c", "UTC", (DAY,), versions=(rotating, CalendarVersion(date(2026, 3, 6), ())))
    assert worked(calendar, date(2026, 3, 1), 6) == ["day", "d", "-", "d", "-", "day"]
    assert roster_on(calendar, date(2026, 3, 6)).shifts[0].start == time(0), "no shifts: around the clock"


# ---- holidays and exceptions ----


def days(first: str, last: str = "") -> tuple[date, date]:
    return date.fromisoformat(first), date.fromisoformat(last or first)


WEEK = Calendar(
    "c",
    "Asia/Shanghai",
    (Shift("day", time(8), time(20), WORKDAYS), Shift("short", time(8), time(14), frozenset({5}))),
    holidays=frozenset({date(2026, 2, 17)}),
    exceptions=(
        DayException(*days("2026-02-14"), like=4),  # a Saturday worked like a Friday
        DayException(*days("2026-02-15"), like=date(2026, 2, 17)),  # like a Tuesday, holiday or not
        DayException(*days("2026-02-18", "2026-02-20"), shifts=()),
        DayException(*days("2026-02-22"), shifts=(Shift("extra", time(9), time(15), EVERY_DAY),)),
        DayException(*days("2026-02-17"), shifts=(Shift("urgent", time(9), time(15), EVERY_DAY),)),
    ),
)


def test_exceptions_rule_their_dates_and_no_others() -> None:
    assert worked(WEEK, date(2026, 2, 13), 11) == [
        "day",  # Friday
        "day",  # Saturday, made up
        "day",  # Sunday, made up
        "day",
        "urgent",  # on a holiday: the exception is the nearer word
        "-",
        "-",
        "-",
        "short",
        "extra",
        "day",
    ]


def test_what_starts_on_an_exception_is_found_again_by_its_number() -> None:
    (listed,) = listed_shifts(WEEK, date(2026, 2, 22))
    found = shift_of(WEEK, listed.shift_id)
    assert (found.name, found.date, found.end_ns - found.start_ns) == ("extra", date(2026, 2, 22), 6 * HOUR_NS)


def test_a_night_that_began_before_an_idle_date_runs_to_its_end() -> None:
    idle = Calendar("c", "UTC", (NIGHT,), exceptions=(DayException(*days("2026-05-02"), shifts=()),))
    start = int(datetime(2026, 5, 2, tzinfo=ZoneInfo("UTC")).timestamp()) * 10**9
    assert [(s.schedule, (s.end_ns - start) // HOUR_NS) for s in slices(idle, start, start + 24 * HOUR_NS)] == [
        (Schedule.SCHEDULED, 8),
        (Schedule.NOT_SCHEDULED, 24),
    ]


def test_in_a_rotation_a_date_is_worked_like_another_date() -> None:
    shifts = (Shift("d", time(8), time(20), EVERY_DAY, (), turns(1, 2)),)
    exception = DayException(*days("2026-01-07"), like=date(2026, 1, 6))
    calendar = Calendar("c", "UTC", shifts, rotation=Rotation(4, ANCHOR), exceptions=(exception,))
    assert worked(calendar, ANCHOR, 5) == ["d", "d", "d", "-", "d"]


def test_an_idle_date_counts_for_a_plant_around_the_clock_too() -> None:
    calendar = Calendar("c", "UTC", (), exceptions=(DayException(*days("2026-05-01"), shifts=()),))
    assert worked(calendar, date(2026, 4, 30), 3) == ["day", "-", "day"]


def test_breaks_may_belong_to_some_weekdays() -> None:
    cleaning = Break(time(18), time(20), frozenset({4}))
    calendar = Calendar(
        "c", "UTC", (Shift("day", time(8), time(20), EVERY_DAY, (cleaning,)),), exceptions=WEEK.exceptions
    )
    minutes = [
        shift.ns(Schedule.BREAK) // 60_000_000_000
        for day in dates_from(date(2026, 2, 12), 3)
        for shift in listed_shifts(calendar, day)
    ]
    assert minutes == [0, 120, 120], "Thursday, Friday, and a Saturday worked like a Friday"


# ---- report dates ----


def test_a_night_may_be_reported_under_the_date_it_ends_on() -> None:
    night = Shift("night", time(20), time(8), EVERY_DAY, report_days=1)
    _, listed = listed_shifts(Calendar("c", "Asia/Shanghai", (DAY, night)), date(2026, 5, 31))
    assert (listed.anchor, listed.shift.date) == (date(2026, 5, 31), date(2026, 6, 1))


# ---- stops ----


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def cut(calendar: Calendar, day: str) -> list[tuple[str, float, bool]]:
    """Schedule, length in hours and whether it is of a shift, slice by slice of a local date."""
    zone = ZoneInfo(calendar.timezone)
    start = int(at(day).replace(tzinfo=zone).timestamp()) * 10**9
    return [
        (s.schedule.name, (s.end_ns - s.start_ns) / HOUR_NS, s.shift_id != 0)
        for s in slices(calendar, start, start + 24 * HOUR_NS)
    ]


def test_planned_maintenance_is_a_break_and_a_closed_hall_is_no_shift() -> None:
    stops = (
        PlannedStop(at("2026-06-01 10:00"), at("2026-06-01 12:00"), Schedule.BREAK),
        PlannedStop(at("2026-06-01 18:00"), at("2026-06-02 06:00"), Schedule.NOT_SCHEDULED),
    )
    calendar = Calendar("c", "Asia/Shanghai", (DAY,), stops=stops)
    assert cut(calendar, "2026-06-01") == [
        ("NOT_SCHEDULED", 8, False),
        ("SCHEDULED", 2, True),
        ("BREAK", 2, True),
        ("SCHEDULED", 6, True),
        ("NOT_SCHEDULED", 2, False),
        ("NOT_SCHEDULED", 4, False),
    ]


@pytest.mark.parametrize("order", [1, -1], ids=["maintenance first", "closed first"])
def test_where_two_stops_meet_nobody_is_there(order: int) -> None:
    maintenance = PlannedStop(at("2026-06-01 10:00"), at("2026-06-01 14:00"), Schedule.BREAK)
    closed = PlannedStop(at("2026-06-01 12:00"), at("2026-06-01 13:00"), Schedule.NOT_SCHEDULED)
    calendar = Calendar("c", "Asia/Shanghai", (DAY,), stops=(maintenance, closed)[::order])
    pieces = [piece for piece in cut(calendar, "2026-06-01") if piece[2] or piece[1] == 1]
    assert pieces == [
        ("SCHEDULED", 2, True),
        ("BREAK", 2, True),
        ("NOT_SCHEDULED", 1, False),
        ("BREAK", 1, True),
        ("SCHEDULED", 6, True),
    ]


def test_a_stop_never_makes_time_scheduled() -> None:
    whole_week = PlannedStop(at("2026-06-01 00:00"), at("2026-06-08 00:00"), Schedule.BREAK)
    calendar = Calendar("c", "UTC", (DAY,), stops=(whole_week,))
    assert cut(calendar, "2026-06-03") == [
        ("NOT_SCHEDULED", 8, False),
        ("BREAK", 12, True),
        ("NOT_SCHEDULED", 4, False),
    ]
