"""Promises: shifts keep their date across midnight; clock changes neither stretch nor fold.

Local times are naive here on purpose: they are what a shift plan says.
"""

# ruff: noqa: DTZ001

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from cases.calendar.any import ZONES
from hypothesis import given
from hypothesis import strategies as st

from edge.calendar import Slice, shift_of, slices
from edge.calendar.listing import listed_shifts
from edge.calendar.localtime import utc_ns
from edge.plan import Break, Calendar, Shift
from ext.buckets import Schedule

HOUR_NS = 3_600_000_000_000
EVERY_DAY = frozenset(range(7))


def ns(text: str, zone: str = "UTC") -> int:
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return round(local.timestamp()) * 1_000_000_000


def night(zone: str, *breaks: Break) -> Calendar:
    return Calendar("c", zone, (Shift("night", time(22), time(6), EVERY_DAY, breaks),))


@pytest.mark.parametrize(
    ("evening", "hours"), [("2026-10-24", 9), ("2026-03-28", 7), ("2026-06-01", 8)], ids=["autumn", "spring", "summer"]
)
def test_a_night_shift_lasts_as_long_as_the_night_really_is(evening: str, hours: int) -> None:
    calendar = night("Europe/Berlin")
    start = ns(f"{evening}T22:00", "Europe/Berlin")
    (shift,) = [s for s in slices(calendar, start, start + 12 * HOUR_NS) if s.schedule is Schedule.SCHEDULED]
    assert shift.end_ns - shift.start_ns == hours * HOUR_NS
    instance = shift_of(calendar, shift.shift_id)
    assert (instance.name, instance.date.isoformat()) == ("night", evening)
    assert (instance.start_ns, instance.end_ns) == (shift.start_ns, shift.end_ns)


def test_a_shift_across_midnight_keeps_the_date_it_started_on() -> None:
    calendar = night("Asia/Shanghai")
    at = ns("2026-05-02T03:00", "Asia/Shanghai")
    (piece,) = slices(calendar, at, at + 1)
    assert shift_of(calendar, piece.shift_id).date == date(2026, 5, 1)


def test_breaks_split_a_shift_even_after_midnight() -> None:
    calendar = night("Asia/Shanghai", Break(time(23, 45), time(0, 15)), Break(time(2), time(2, 30)))
    start = ns("2026-05-01T22:00", "Asia/Shanghai")
    kinds = [(s.schedule, (s.start_ns - start) / HOUR_NS) for s in slices(calendar, start, start + 8 * HOUR_NS)]
    work, pause = Schedule.SCHEDULED, Schedule.BREAK
    assert kinds == [(work, 0), (pause, 1.75), (work, 2.25), (pause, 4), (work, 4.5)]


def test_time_outside_every_shift_is_not_scheduled() -> None:
    calendar = Calendar("c", "UTC", (Shift("day", time(8), time(16), frozenset({0})),))
    tuesday = ns("2026-05-05T00:00")
    assert slices(calendar, tuesday, tuesday + 24 * HOUR_NS) == (
        Slice(tuesday, tuesday + 24 * HOUR_NS, Schedule.NOT_SCHEDULED, 0),
    )


def test_no_shift_starts_on_a_holiday_but_last_nights_runs_to_its_end() -> None:
    calendar = Calendar("c", "UTC", night("UTC").shifts, frozenset({date(2026, 5, 2)}))
    start = ns("2026-05-02T00:00")
    cut = slices(calendar, start, start + 24 * HOUR_NS)
    assert [(s.schedule, (s.end_ns - start) // HOUR_NS) for s in cut] == [
        (Schedule.SCHEDULED, 6),
        (Schedule.NOT_SCHEDULED, 24),
    ]


def test_an_empty_calendar_is_one_shift_a_day_around_the_clock_holidays_or_not() -> None:
    calendar = Calendar("c", "Europe/Berlin", (), frozenset({date(2026, 10, 25)}))
    start = ns("2026-10-24T00:00", "Europe/Berlin")
    cut = slices(calendar, start, start + 73 * HOUR_NS)
    assert [(s.end_ns - s.start_ns) // HOUR_NS for s in cut] == [24, 25, 24]
    assert {s.schedule for s in cut} == {Schedule.SCHEDULED}
    assert [shift_of(calendar, s.shift_id).date.day for s in cut] == [24, 25, 26]
    assert {shift_of(calendar, s.shift_id).name for s in cut} == {"day"}


def test_a_local_time_that_does_not_exist_is_the_instant_the_clock_changes() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    change = ns("2026-03-29T01:00")
    assert utc_ns(datetime(2026, 3, 29, 2, 30), berlin) == change == utc_ns(datetime(2026, 3, 29, 3, 0), berlin)
    calendar = night("Europe/Berlin", Break(time(2, 30), time(3, 10)))
    start = ns("2026-03-28T22:00", "Europe/Berlin")
    (pause,) = [s for s in slices(calendar, start, start + 8 * HOUR_NS) if s.schedule is Schedule.BREAK]
    assert (pause.start_ns, pause.end_ns) == (change, change + 10 * 60_000_000_000)


def test_a_number_that_is_no_shift_is_refused() -> None:
    for bad in (0, 64 * 740_000, 64 * 740_000 + 2):
        with pytest.raises(ValueError, match="not of calendar"):
            shift_of(night("UTC"), bad)


@given(st.sampled_from(ZONES), st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), st.integers(0, 200_000))
def test_a_later_local_time_is_never_an_earlier_instant(zone: str, local: datetime, seconds: int) -> None:
    where, local = ZoneInfo(zone), local.replace(microsecond=0)
    assert utc_ns(local, where) <= utc_ns(local + timedelta(seconds=seconds), where)


def one_shift(zone: str, start: time, end: time, *breaks: Break) -> Calendar:
    return Calendar("c", zone, (Shift("s", start, end, EVERY_DAY, breaks),))


@pytest.mark.parametrize(
    ("zone", "day", "start", "end", "minutes"),
    [
        ("Europe/Berlin", "2026-03-29", time(2, 30), time(10), 7 * 60),  # begins in the hour that is left out, at 03:00
        ("Europe/Berlin", "2026-03-28", time(22), time(2, 30), 4 * 60),  # ends in it
        ("Europe/Berlin", "2026-03-29", time(2), time(3), 0),  # lies in it: there is no such shift that day
        ("Europe/Berlin", "2026-10-25", time(2), time(3), 2 * 60),  # an hour that happens twice
        ("Europe/Berlin", "2026-10-25", time(2, 30), time(2, 45), 15),  # inside it: its first occurrence
        ("Australia/Lord_Howe", "2026-10-03", time(22), time(6), 7 * 60 + 30),  # half an hour
        ("Australia/Lord_Howe", "2026-04-04", time(22), time(6), 8 * 60 + 30),
        ("Pacific/Apia", "2011-12-29", time(20), time(8), 4 * 60),  # its morning was the 30th, which never was
        ("Pacific/Apia", "2011-12-30", time(8), time(20), 0),
        ("Pacific/Apia", "2011-12-31", time(8), time(20), 12 * 60),
    ],
)
def test_a_shift_is_as_long_as_its_time_really_was(zone: str, day: str, start: time, end: time, minutes: int) -> None:
    calendar = one_shift(zone, start, end)
    (listed,) = listed_shifts(calendar, date.fromisoformat(day))
    assert (listed.shift.end_ns - listed.shift.start_ns) / 60_000_000_000 == minutes
    around = slices(calendar, listed.shift.start_ns - HOUR_NS, listed.shift.end_ns + HOUR_NS)
    assert {piece.shift_id == listed.shift_id for piece in around} == ({True, False} if minutes else {False})


def test_a_break_in_the_hour_that_happens_twice_is_taken_once() -> None:
    calendar = one_shift("Europe/Berlin", time(22), time(6), Break(time(2, 15), time(2, 45)))
    (listed,) = listed_shifts(calendar, date(2026, 10, 24))
    assert listed.ns(Schedule.BREAK) == HOUR_NS // 2
    assert listed.ns(Schedule.SCHEDULED) == 8 * HOUR_NS + HOUR_NS // 2


def test_a_break_in_the_hour_that_is_left_out_has_no_length() -> None:
    calendar = one_shift("Europe/Berlin", time(22), time(6), Break(time(2), time(3)))
    (listed,) = listed_shifts(calendar, date(2026, 3, 28))
    assert (listed.ns(Schedule.BREAK), listed.ns(Schedule.SCHEDULED)) == (0, 7 * HOUR_NS)
