"""Production days as windows: sums of their minutes by product, whatever the shifts, the clock changes and restarts in
them; and what a life that is over, or a new configuration, leaves in hours, shifts and days.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time

import pytest
from machines.bench import ALWAYS, MINUTE, T0, TOTAL, Bench, S

from edge.calendar import production_day
from edge.kpi.row import Row, Sums
from edge.machines.kernel import APART_NS
from edge.plan import Calendar, Shift
from ext.buckets import Flag

HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
EVERY_DAY = frozenset(range(7))
NIGHTS = (Shift("day", time(6), time(22), EVERY_DAY), Shift("night", time(22), time(6), EVERY_DAY))


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * S


def days(bench: Bench) -> list[Row]:
    rows = [row for row in bench.sums.values() if row.key.window == "1d" and row.sums != Sums()]
    return sorted(rows, key=lambda row: (row.key.start_ns, row.key.product))


def lived(calendar: Calendar, start_ns: int, hours: int, *, restart_every: int = 0) -> Bench:
    """A reading a minute, a piece each, committed every minute."""
    bench = Bench(calendar=calendar, now_ns=start_ns)
    bench.machine = replace(bench.machine, hold_ns=2 * MINUTE)
    bench.life = bench._new_life()
    bench.sample()
    for minute in range(hours * 60):
        bench.wait(MINUTE)
        bench.sample(total=(bench.registers[TOTAL] + 1) % (1 << 16))
        if minute % 30 == 29:
            bench.commit()
        if restart_every and minute % restart_every == restart_every - 1:
            bench.commit()
            bench.restart()
    bench.commit(closing=True)
    return bench


@pytest.mark.parametrize(
    ("noon", "hours"), [("2026-10-24T10:00", 25), ("2026-03-28T11:00", 23), ("2026-06-01T10:00", 24)]
)
def test_a_day_is_as_long_as_the_clock_makes_it(noon: str, hours: int) -> None:
    """Local midnight to local midnight in Berlin; the night shift lies in two days, and in both it is counted once."""
    calendar = Calendar("c", "Europe/Berlin", NIGHTS)
    bench = lived(calendar, ns(noon), 48)
    first, second, *_ = days(bench)
    assert second.end_ns - second.key.start_ns == hours * HOUR == second.sums.all_ns
    assert (first.end_ns, first.final, second.final) == (second.key.start_ns, True, True)
    assert (second.key.shift, second.key.shift_date) == ("", "")
    assert sum(row.sums.all_ns for row in days(bench)) == 48 * HOUR
    assert sum(row.sums.tc for row in days(bench)) == 48 * 60 == bench.total.tc
    assert second.key.start_ns == production_day(calendar, second.key.start_ns).start_ns


def test_a_plant_may_begin_its_day_when_it_likes() -> None:
    bench = lived(Calendar("c", "Asia/Shanghai", NIGHTS, day_start=time(6)), ns("2026-06-01T10:00"), 30)
    starts = [datetime.fromtimestamp(row.key.start_ns / 1e9, UTC).hour for row in days(bench)]
    assert starts == [22, 22], "6:00 in Shanghai"


def test_a_restart_remembers_the_day_as_it_does_hours_and_shifts() -> None:
    """Killed every 100 minutes: the same sums, to the nanosecond and the piece."""
    calendar = Calendar("c", "Asia/Shanghai", NIGHTS)
    start_ns = ns("2026-06-01T10:00")
    whole, killed = lived(calendar, start_ns, 20), lived(calendar, start_ns, 20, restart_every=100)
    assert killed.sums == whole.sums
    assert len(days(whole)) == 2


# ---- a life that is over ----


@pytest.mark.parametrize("apart_ns", [APART_NS + DAY, -APART_NS - DAY])
def test_a_life_that_ends_leaves_its_last_hour_shift_and_day(apart_ns: int) -> None:
    """The clock is set by weeks within a minute: what was made since the last minute is in the rows and in the sums."""
    bench = Bench()
    bench.sample()
    bench.make(10)
    bench.wait(S)
    bench.sample(run=0)
    bench.wait(15 * S)
    bench.sample()
    bench.now_ns += apart_ns
    bench.sample(total=30_000)
    bench.commit()
    bench.make(10)
    bench.commit(closing=True)
    assert bench.total.tc == 20
    old = [row for row in bench.sums.values() if row.key.start_ns // DAY == T0 // DAY]
    assert {row.key.window: (row.sums.tc, row.final) for row in old} == dict.fromkeys(("1h", "shift", "1d"), (10, True))
    assert all(row.sums.all_ns == 36 * S for row in old)


# ---- a new configuration ----


def test_a_configuration_changed_in_the_middle_is_flagged_in_every_window_it_falls_into() -> None:
    """The minute, the hour, the shift, the day; no other minute."""
    bench = Bench()
    bench.sample()
    bench.make(40)
    bench.commit()
    bench.config_version = "c2"
    changed_ns = bench.now_ns
    bench.restart()
    bench.make(120)
    bench.commit(closing=True)
    flagged = {row.key.start_ns for row in bench.rows.values() if row.doubts & Flag.CONFIG_CHANGED}
    minute_ns = changed_ns - changed_ns % MINUTE
    assert minute_ns in flagged
    assert flagged <= {minute_ns - MINUTE, minute_ns}, "and the one that was not booked yet"
    assert {row.key.window for row in bench.sums.values() if row.doubts & Flag.CONFIG_CHANGED} == {"1h", "shift", "1d"}
    assert {row.config_version for row in bench.rows.values()} == {"c1", "c2"}


def test_the_same_configuration_again_flags_nothing() -> None:
    bench = Bench(calendar=ALWAYS)
    bench.sample()
    bench.make(40)
    bench.commit()
    bench.restart()
    bench.make(40)
    bench.commit(closing=True)
    assert not any(row.doubts & Flag.CONFIG_CHANGED for row in (*bench.rows.values(), *bench.sums.values()))


def test_a_day_of_the_calendar_has_a_date() -> None:
    """The start of a window of a day leads back to the date on reports."""
    calendar = Calendar("c", "Asia/Shanghai", NIGHTS)
    bench = lived(calendar, ns("2026-06-01T10:00"), 1)
    assert production_day(calendar, days(bench)[0].key.start_ns).date == date(2026, 6, 1)
