"""Promises: slices cover time exactly; shifts keep their date across midnight; clock changes neither stretch nor fold.

Local times are naive here on purpose: they are what a shift plan says.
"""

# ruff: noqa: DTZ001

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.calendar import Slice, shift_of, slices
from edge.calendar.localtime import utc_ns
from edge.plan import Break, Calendar, Shift
from ext.buckets import Schedule

HOUR_NS = 3_600_000_000_000
EVERY_DAY = frozenset(range(7))
ZONES = [
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "America/Havana",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "UTC",
]


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


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    """Any week of shifts that do not overlap: the day is cut at random minutes, some pieces are shifts, with breaks."""
    cuts = sorted(draw(st.sets(st.integers(0, 1439), min_size=2, max_size=6)))
    shifts = []
    for index, (start, end) in enumerate(pairwise([*cuts, cuts[0] + 1440])):
        if not draw(st.booleans()):
            continue
        edges = sorted(draw(st.sets(st.integers(start, end), min_size=0, max_size=4)))
        breaks = tuple(Break(_time(a), _time(b)) for a, b in zip(edges[::2], edges[1::2], strict=False))
        days = draw(st.frozensets(st.integers(0, 6), min_size=1))
        shifts.append(Shift(f"s{index}", _time(start), _time(end), days, breaks))
    holidays = draw(st.frozensets(st.dates(date(2026, 3, 20), date(2026, 4, 10)), max_size=3))
    return Calendar("c", draw(st.sampled_from(ZONES)), tuple(shifts), holidays)


def _time(minute: int) -> time:
    return time(minute % 1440 // 60, minute % 60)


@given(
    calendars(),
    st.datetimes(datetime(2026, 3, 20), datetime(2026, 4, 10))
    | st.datetimes(datetime(2011, 12, 20), datetime(2012, 1, 5)),
    st.integers(0, 10 * 24 * HOUR_NS),
)
def test_slices_are_contiguous_and_cover_exactly(calendar: Calendar, start: datetime, length_ns: int) -> None:
    from_ns = int(start.replace(tzinfo=UTC).timestamp()) * 1_000_000_000 + start.microsecond * 1_000
    cut = slices(calendar, from_ns, from_ns + length_ns)
    assert sum(s.end_ns - s.start_ns for s in cut) == length_ns
    assert all(s.start_ns < s.end_ns for s in cut)
    assert all(a.end_ns == b.start_ns for a, b in pairwise(cut))
    assert not cut or (cut[0].start_ns, cut[-1].end_ns) == (from_ns, from_ns + length_ns)
    for piece in cut:
        assert (piece.shift_id == 0) == (piece.schedule is Schedule.NOT_SCHEDULED)
        if piece.shift_id:
            instance = shift_of(calendar, piece.shift_id)
            assert instance.start_ns <= piece.start_ns < piece.end_ns <= instance.end_ns


@given(calendars(), st.integers(1, 40 * 24))
def test_cutting_in_parts_gives_the_same_as_cutting_at_once(calendar: Calendar, hours: int) -> None:
    start, middle, end = 1_774_000_000 * 10**9, 1_774_000_000 * 10**9 + hours * HOUR_NS, 1_778_000_000 * 10**9
    whole = slices(calendar, start, end)
    parts = slices(calendar, start, min(middle, end)) + slices(calendar, min(middle, end), end)
    assert _booked(whole) == _booked(parts)


def _booked(cut: tuple[Slice, ...]) -> dict[tuple[int, Schedule], int]:
    booked: dict[tuple[int, Schedule], int] = {}
    for piece in cut:
        key = (piece.shift_id, piece.schedule)
        booked[key] = booked.get(key, 0) + piece.end_ns - piece.start_ns
    return booked
