"""The whole way: a site file with a new pattern, exceptions and stops, lived by the agent's machine and replayed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from machines.bench import Bench

from edge import cli
from edge.config import compile_site
from edge.plan import Calendar

S = 1_000_000_000
MINUTE = 60 * S
SHANGHAI = ZoneInfo("Asia/Shanghai")

SITE = """\
site: {id: s1, enterprise: e, province: p, city: c}
calendar:
  report_date: end
  shifts:
    - {name: day, start: "08:00", end: "20:00"}
    - {name: night, start: "20:00", end: "06:00"}
  versions:
    - since: 2026-03-02
      shifts: [{name: early, start: "06:00", end: "14:00"}]
  stops:
    - {start: 2026-03-01 19:30, end: 2026-03-01 20:30, reason: maintenance}
    - {start: 2026-03-02 06:20, end: 2026-03-02 06:30, kind: not-scheduled, reason: power cut}
devices: [{id: plc, template: generic-modbus, host: 192.0.2.1}]
machines:
  - {id: m1, template: generic, device: plc, base: "holding:0", ideal_cycle_s: 1, hold_s: 60}
  - {id: m2, template: generic, device: plc, base: "holding:50", ideal_cycle_s: 1, hold_s: 60,
     exceptions: [{date: 2026-03-01..2026-03-02, off: true}]}
"""


def local(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp()) * S


START, END = local("2026-03-01 19:20"), local("2026-03-02 06:40")
STANDS = local("2026-03-01 19:50"), local("2026-03-01 20:20")  # inside the planned stop, which is longer


def samples() -> Iterator[tuple[int, int, int]]:
    """Time, run, total: thirty pieces in thirty seconds, but for half an hour of the maintenance."""
    total = 0
    for t_ns in range(START, END + S, 30 * S):
        stands = STANDS[0] < t_ns <= STANDS[1]
        total += 0 if stands or t_ns == START else 30
        yield t_ns, int(not STANDS[0] <= t_ns < STANDS[1]), total


def calendars() -> dict[str, Calendar]:
    plan = compile_site(SITE, Path("site.yaml"), {})
    of = {calendar.id: calendar for calendar in plan.calendars}
    return {machine.id: of[machine.calendar] for machine in plan.machines}


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("replay")
    site, readings = folder / "site.yaml", folder / "readings.csv"
    site.write_text(SITE)
    rows = ["time_ns,machine,signal,value,quality"]
    for t_ns, run, total in samples():
        for machine in ("m1", "m2"):
            rows += [f"{t_ns},{machine},{n},{v},good" for n, v in (("run", run), ("fault", 0), ("total", total))]
    readings.write_text("\n".join(rows) + "\n")
    with redirect_stdout(StringIO()) as said:
        assert cli.main(["replay", "-c", str(site), "--readings", str(readings), "--json"]) == 0
    found: dict[str, Any] = json.loads(said.getvalue())["machines"]
    return found


def test_a_planned_stop_leaves_planned_time_only_where_nothing_was_made(replayed: dict[str, Any]) -> None:
    """An hour of maintenance, half of it used: 30 min leave planned time, and pieces of the other half count."""
    totals = replayed["m1"]["totals"]
    minutes = (END - START) // MINUTE
    assert totals["all_ns"] == minutes * MINUTE
    assert totals["stop_ns"]["planned_stop"] == 30 * MINUTE
    assert totals["ppt_ns"] == (minutes - 30 - 10) * MINUTE, "and the power cut was no shift at all"
    assert totals["unscheduled_tc"] == 600, "made while nobody was there: output, not OEE"
    assert totals["tc"] + totals["unscheduled_tc"] == (minutes - 30) * 60
    assert totals["figures"]["oee"]["value"] == 1.0


def test_rows_carry_the_shift_and_the_date_it_reports_to(replayed: dict[str, Any]) -> None:
    shifts = {
        (row["shift"], row["shift_date"]): (row["ppt_ns"] // MINUTE, row["all_ns"] // MINUTE)
        for row in replayed["m1"]["shifts"]
    }
    assert shifts == {
        ("day", "2026-03-01"): (30, 40),
        ("night", "2026-03-02"): (10 * 60 - 20, 10 * 60),  # of the old pattern, to its end
        ("early", "2026-03-02"): (30, 30),
    }


def test_a_machine_that_is_off_makes_output_and_no_oee(replayed: dict[str, Any]) -> None:
    totals = replayed["m2"]["totals"]
    assert (totals["ppt_ns"], totals["figures"]["oee"]["value"]) == (0, None)
    assert totals["unscheduled_tc"] == replayed["m1"]["totals"]["tc"] + 600
    assert not replayed["m2"]["shifts"]


@pytest.mark.parametrize("restart_every", [0, 97])
def test_the_live_machine_follows_the_same_calendar(restart_every: int) -> None:
    """Killed and restarted or not: shifts and planned minutes are those of the replay."""
    bench = Bench(calendar=calendars()["m1"], now_ns=START)
    for number, (t_ns, run, total) in enumerate(samples()):
        bench.wait(t_ns - bench.now_ns)
        bench.sample(run=run, total=100 + total // 30)
        if number % 10 == 0:
            bench.commit(minute=True)
        if restart_every and number % restart_every == restart_every - 1:
            bench.restart()
    bench.commit(closing=True)
    minutes: dict[tuple[str, str], int] = {}
    for row in bench.rows.values():
        named = row.key.shift, row.key.shift_date
        minutes[named] = minutes.get(named, 0) + row.sums.all_ns
    assert {named: ns // MINUTE for named, ns in minutes.items()} == {
        ("day", "2026-03-01"): 40,
        ("night", "2026-03-02"): 600,
        ("early", "2026-03-02"): 30,
        ("", ""): 10,
    }
