"""Laws of every calendar: time is covered once, parts make the whole, numbers keep their meaning, days follow days."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from cases.calendar.any import (
    CLOCKS,
    DATES,
    HOUR_NS,
    MINUTE_NS,
    ZONES,
    calendars,
    first_showing,
    moments,
    plain_calendars,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.calendar import Slice, production_day, shift_of, slices
from edge.calendar.feed import runs_out, stretch
from edge.calendar.listing import dates_from, listed_shifts
from edge.calendar.localtime import utc_ns
from edge.plan import EVERY_DAY, Break, Calendar, Shift
from ext.buckets import Schedule

DAY_NS = 24 * HOUR_NS


@settings(max_examples=40)
@given(calendars() | plain_calendars(), moments(), st.integers(0, 10 * DAY_NS))
def test_slices_cover_time_exactly_once(calendar: Calendar, from_ns: int, length_ns: int) -> None:
    cut = slices(calendar, from_ns, from_ns + length_ns)
    assert sum(s.end_ns - s.start_ns for s in cut) == length_ns
    assert all(s.start_ns < s.end_ns for s in cut)
    assert all(a.end_ns == b.start_ns for a, b in pairwise(cut))
    assert not cut or (cut[0].start_ns, cut[-1].end_ns) == (from_ns, from_ns + length_ns)


@settings(max_examples=40)
@given(calendars(), moments())
def test_every_slice_lies_in_the_shift_it_names(calendar: Calendar, from_ns: int) -> None:
    for piece in slices(calendar, from_ns, from_ns + 5 * DAY_NS):
        assert (piece.shift_id == 0) == (piece.schedule is Schedule.NOT_SCHEDULED)
        if piece.shift_id:
            shift = shift_of(calendar, piece.shift_id)
            assert shift.start_ns <= piece.start_ns < piece.end_ns <= shift.end_ns


@settings(max_examples=40)
@given(plain_calendars() | calendars(), moments(), st.lists(st.integers(0, 10 * DAY_NS), max_size=4))
def test_parts_make_the_whole(calendar: Calendar, from_ns: int, cuts: list[int]) -> None:
    """Looking at a week or at its days gives the same slices, once pieces cut by the looking are joined."""
    edges = sorted({from_ns, from_ns + 10 * DAY_NS, *(from_ns + cut for cut in cuts)})
    parts = [piece for a, b in pairwise(edges) for piece in slices(calendar, a, b)]
    assert joined(parts) == joined(slices(calendar, from_ns, from_ns + 10 * DAY_NS))


@settings(max_examples=30)
@given(calendars(), moments())
def test_a_restart_finds_the_same_numbers(calendar: Calendar, from_ns: int) -> None:
    """The live feed looks at a few days from wherever it starts: each moment has the same shift whoever looks."""
    early, late = stretch(calendar, from_ns, from_ns), stretch(calendar, from_ns + DAY_NS, from_ns + DAY_NS)
    both = [feed for feed in (early, late) if not runs_out(feed, from_ns)]
    seen = [{(t, at(feed, t)) for t in range(from_ns, from_ns + 2 * DAY_NS, 7 * HOUR_NS)} for feed in both]
    assert all(one == seen[0] for one in seen)


def at(feed, t_ns: int) -> tuple[int, int]:
    (place,) = [i for i, (a, b) in enumerate(zip(feed.start, feed.end, strict=True)) if a <= t_ns < b]
    return feed.kind[place], feed.shift[place]


@settings(max_examples=40)
@given(calendars(), moments())
def test_production_days_follow_each_other(calendar: Calendar, t_ns: int) -> None:
    day = production_day(calendar, t_ns)
    assert day.start_ns <= t_ns < day.end_ns
    before, after = production_day(calendar, day.start_ns - 1), production_day(calendar, day.end_ns)
    assert (before.end_ns, after.start_ns) == (day.start_ns, day.end_ns)
    assert before.date < day.date < after.date
    assert day == production_day(calendar, day.start_ns) == production_day(calendar, day.end_ns - 1)


@settings(max_examples=60)
@given(st.sampled_from(ZONES), DATES, CLOCKS)
def test_a_local_time_is_the_first_moment_the_wall_shows_it_or_later(zone: str, day: date, clock) -> None:
    where, local = ZoneInfo(zone), datetime.combine(day, clock)
    assert utc_ns(local, where) == first_showing(local, where)


@pytest.mark.parametrize("zone", ["Australia/Lord_Howe", "Pacific/Apia", "Europe/Berlin", "America/Havana"])
def test_every_minute_around_a_clock_change(zone: str) -> None:
    where = ZoneInfo(zone)
    day = {"Pacific/Apia": datetime(2011, 12, 29, 22), "Australia/Lord_Howe": datetime(2026, 4, 5)}  # noqa: DTZ001
    start = day.get(zone, datetime(2026, 3, 29) if zone == "Europe/Berlin" else datetime(2026, 11, 1))  # noqa: DTZ001
    for minute in range(0, 28 * 60, 29):
        local = start + timedelta(minutes=minute)
        assert utc_ns(local, where) == first_showing(local, where)


@pytest.mark.parametrize(
    ("zone", "changes_min"),
    [("Asia/Shanghai", {}), ("Europe/Berlin", {3: -60, 10: 60}), ("Australia/Lord_Howe", {4: 30, 10: -30})],
)
def test_a_year_of_nights_is_its_paper_time_and_what_the_clock_changes_did(
    zone: str, changes_min: dict[int, int]
) -> None:
    """365 nights of 8 h less a break of 30 min; month by month the clock adds and takes."""
    night = Shift("night", time(22), time(6), EVERY_DAY, (Break(time(0, 30), time(1)),))
    calendar = Calendar("c", zone, (night,))
    for month in range(1, 13):
        first = date(2026, month, 1)
        days = (date(2026 + month // 12, month % 12 + 1, 1) - first).days
        shifts = [shift for day in dates_from(first, days) for shift in listed_shifts(calendar, day)]
        assert sum(shift.ns(Schedule.SCHEDULED) for shift in shifts) // MINUTE_NS == days * 450 + changes_min.get(
            month, 0
        )
        assert sum(shift.ns(Schedule.BREAK) for shift in shifts) // MINUTE_NS == days * 30
        assert sum(shift.clock_change_ns for shift in shifts) // MINUTE_NS == changes_min.get(month, 0)


@pytest.mark.parametrize("zone", ZONES)
def test_three_shifts_around_the_clock_plan_every_second_of_a_year(zone: str) -> None:
    crews = [Shift(f"crew {h}", time(h), time((h + 8) % 24), EVERY_DAY) for h in (6, 14, 22)]
    calendar, where = Calendar("c", zone, tuple(crews)), ZoneInfo(zone)
    start, end = (utc_ns(datetime(year, 1, 1), where) for year in (2026, 2027))  # noqa: DTZ001
    assert {piece.schedule for piece in slices(calendar, start, end)} == {Schedule.SCHEDULED}


@settings(max_examples=40)
@given(calendars(), DATES)
def test_what_is_listed_is_what_is_booked(calendar: Calendar, day: date) -> None:
    calendar = replace(calendar, versions=(), exceptions=())  # seams may overlap here, and the first shift keeps time
    for listed in listed_shifts(calendar, day):
        assert sum(listed.ns(schedule) for schedule in Schedule) == listed.shift.end_ns - listed.shift.start_ns
        booked = slices(calendar, listed.shift.start_ns - DAY_NS, listed.shift.end_ns + DAY_NS)
        mine = [piece for piece in booked if piece.shift_id == listed.shift_id]
        assert mine == [piece for piece in listed.slices if piece.shift_id]


def joined(cut: Iterable[Slice]) -> list[Slice]:
    made: list[Slice] = []
    for piece in cut:
        last = made[-1] if made else None
        if last is not None and (last.schedule, last.shift_id) == (piece.schedule, piece.shift_id):
            made[-1] = Slice(last.start_ns, piece.end_ns, last.schedule, last.shift_id)
        else:
            made.append(piece)
    return made
