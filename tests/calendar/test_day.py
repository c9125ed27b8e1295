"""The production day: as long as the day really was, under the date a plant would give it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from edge.calendar import production_day
from edge.plan import Calendar, CalendarVersion

HOUR_NS = 3_600_000_000_000


def ns(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**9


def hours(calendar: Calendar, day: str) -> float:
    """Length of the production day that holds a local noon."""
    found = production_day(calendar, ns(f"{day}T12:00", calendar.timezone))
    assert found.date.isoformat() == day
    return (found.end_ns - found.start_ns) / HOUR_NS


@pytest.mark.parametrize(
    ("zone", "day", "length"),
    [
        ("Asia/Shanghai", "2026-03-29", 24),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("America/Havana", "2026-11-01", 25),  # midnight happens twice
        ("America/Sao_Paulo", "2018-11-04", 23),  # midnight does not happen
        ("Pacific/Apia", "2011-12-29", 24),
        ("Pacific/Apia", "2011-12-31", 24),
    ],
)
def test_a_day_is_as_long_as_it_really_was(zone: str, day: str, length: float) -> None:
    assert hours(Calendar("c", zone, ()), day) == length


def test_a_date_that_never_was_has_no_day() -> None:
    apia = Calendar("c", "Pacific/Apia", ())
    last = production_day(apia, ns("2011-12-30T09:59:59"))
    assert (last.date, production_day(apia, last.end_ns).date) == (date(2011, 12, 29), date(2011, 12, 31))


@pytest.mark.parametrize(
    ("start", "moment", "day"),
    [
        (time(0), "2026-05-01T00:00", "2026-05-01"),
        (time(8), "2026-05-01T07:59", "2026-04-30"),
        (time(8), "2026-05-01T08:00", "2026-05-01"),
        (time(12), "2026-05-01T12:00", "2026-05-01"),
        (time(12, 1), "2026-05-01T12:01", "2026-05-02"),
        (time(20), "2026-05-01T19:59", "2026-05-01"),
        (time(20), "2026-05-01T20:00", "2026-05-02"),  # the night shift opens the next day
    ],
)
def test_a_day_carries_the_date_on_which_most_of_it_lies(start: time, moment: str, day: str) -> None:
    calendar = Calendar("c", "Asia/Shanghai", (), day_start=start)
    assert production_day(calendar, ns(moment, "Asia/Shanghai")).date.isoformat() == day


def test_the_day_before_a_change_of_its_beginning_takes_up_the_difference() -> None:
    later = CalendarVersion(date(2026, 3, 1), (), day_start=time(8))
    earlier = CalendarVersion(date(2026, 4, 1), (), day_start=time(20))
    calendar = Calendar("c", "Asia/Shanghai", (), versions=(later, earlier))
    assert [hours(calendar, f"2026-{day}") for day in ("02-27", "02-28", "03-01", "03-31", "04-01")] == [
        24,
        32,
        24,
        12,
        24,
    ]


def test_days_are_cut_on_whole_minutes() -> None:
    now = int(datetime(2026, 5, 1, tzinfo=UTC).timestamp()) * 10**9
    for zone in ("Asia/Kathmandu", "Australia/Lord_Howe", "Asia/Shanghai"):
        assert production_day(Calendar("c", zone, ()), now).start_ns % 60_000_000_000 == 0
