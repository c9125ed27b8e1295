"""What a replay promises: it is the live run again, and only the readings and the site file decide it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from copy import deepcopy
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from replay.recording import START_NS, Moment, Row, S, life_of, lived, plan_of, rows_of, write_file

from edge.machines.kernel import APART_NS
from edge.machines.watermark import watermark_ns
from edge.recording.lines import HEADER_LINE
from edge.replay.command import write_ledgers
from edge.replay.document import row_document
from edge.replay.passes import replayed
from ext.buckets import Bucket
from protocols.reading import Quality

SEEDS = st.integers(0, 2**32)
CLASSES = [bucket.name.lower() for bucket in Bucket]
WATERMARK_NS = watermark_ns(plan_of().machines[0])


def printed(rows: Iterable[Row], watermark_ns: int | None = None) -> str:
    """What `seamline replay --json` prints."""
    parts: list[str] = []
    with TemporaryDirectory() as folder:
        path = write_file(Path(folder) / "readings.csv", rows)
        with replayed(plan_of(), path, watermark_ns) as machines:
            write_ledgers([machine.account for machine in machines], parts.append)
    return "".join(parts)


def machine_of(text: str) -> Any:
    return json.loads(text)["machines"]["m1"]


def sums_of(rows: Iterable[Any]) -> list[Any]:
    """Rows without the figures that follow from them."""
    return [{name: value for name, value in row.items() if name not in ("fe", "figures")} for row in rows]


@settings(max_examples=30, phases=[Phase.generate])
@given(SEEDS)
def test_a_replay_of_what_was_recorded_is_the_live_run(seed: int) -> None:
    moments = life_of(seed)
    bench, replay = lived(moments), machine_of(printed(rows_of(moments)))
    live = [row_document(bench.rows[key]) for key in sorted(bench.rows, key=lambda k: (k.start_ns, k.product))]
    windows = sorted(sums_of(replay["windows"]), key=lambda window: (window["start_ns"], window["product"]))
    assert [window for window in live if window["start_ns"] <= moments[-1].t_ns] == windows
    steps = [after.t_ns - before.t_ns for before, after in pairwise(moments)]
    if max(steps) <= APART_NS:  # live, the sums of a life that is over are left as they were published last
        shifts = {key: row_document(row) for key, row in bench.sums.items() if key.window == "shift"}
        assert sorted(shifts.values(), key=str) == sorted(sums_of(replay["shifts"]), key=str)
        told = [bench.stops[start_ns] for start_ns in sorted(bench.stops)]
        live_stops = [(s.start_ns, s.end_ns, s.bucket, s.fault_code) for s in told if not (s.is_open or s.void)]
        stops = [
            (stop["start_ns"], stop["end_ns"], CLASSES.index(stop["class"]), stop["fault_code"])
            for stop in replay["stops"]
            if not stop["open"]
        ]
        assert live_stops == stops[: len(live_stops)]
        assert len(stops) - len(live_stops) <= 2, "at the end, what a live run has not decided yet"


@settings(max_examples=20, phases=[Phase.generate])
@given(SEEDS)
def test_copies_and_another_order_within_the_watermark_change_no_byte(seed: int) -> None:
    rows = rows_of(life_of(seed))
    dice = random.Random(seed)
    copies = rows + dice.sample(rows, len(rows) // 3)
    shuffled = sorted(copies, key=lambda row: row[0] + dice.randrange(WATERMARK_NS))
    assert shuffled != sorted(rows)
    assert printed(shuffled) == printed(rows)


@settings(max_examples=20, phases=[Phase.generate])
@given(SEEDS)
def test_late_readings_are_not_lost_and_open_only_the_windows_they_change(seed: int) -> None:
    """However late they come, the ledger is that of the file in order, but for revisions."""
    rows = rows_of(life_of(seed))
    dice = random.Random(seed)
    times = sorted({t_ns for t_ns, _ in rows if t_ns < rows[-1][0] - WATERMARK_NS})
    late = set(dice.sample(times, 5))
    in_time = [row for row in rows if row[0] not in late]
    everything = machine_of(printed(in_time + [row for row in rows if row[0] in late]))
    assert without_revisions(everything) == without_revisions(machine_of(printed(rows)))
    before = [booked(window) for window in machine_of(printed(in_time))["windows"]]
    for window in everything["windows"]:
        assert window["revision"] == (0 if booked(window) in before else 1)
    assert everything["totals"]["revision"] == sum(window["revision"] for window in everything["windows"])


def booked(window: Any) -> Any:
    """What the ledger of a window holds; failures are told by the minute, but last beyond it."""
    return {name: value for name, value in window.items() if name not in ("revision", "fe", "figures")}


def without_revisions(machine: Any) -> Any:
    machine = deepcopy(machine)
    for row in (*machine["windows"], *machine["shifts"], machine["totals"]):
        del row["revision"]
    return machine


def test_of_two_values_of_one_time_the_last_in_the_file_wins_and_the_minute_says_so() -> None:
    rows = rows_of(life_of(3))
    t_ns = rows[300][0]
    lie = (t_ns, f"{t_ns},m1,total,77,good")
    at = rows.index(next(row for row in rows if row[0] == t_ns))
    first, honest = machine_of(printed([*rows[:at], lie, *rows[at:]])), machine_of(printed(rows))
    minute_ns = t_ns - t_ns % (60 * S)
    for window in first["windows"]:
        assert "ambiguous" in window["flags"] or window["start_ns"] != minute_ns
    assert without_flags(first) == without_flags(honest)
    last = machine_of(printed([*rows[: at + 6], lie, *rows[at + 6 :]]))
    assert without_flags(last) != without_flags(honest)
    assert without_revisions(machine_of(printed([*rows, lie]))) == without_revisions(last), "late or in time"


def without_flags(machine: Any) -> Any:
    machine = deepcopy(machine)
    for row in (*machine["windows"], *machine["shifts"], machine["totals"]):
        del row["flags"]
    return machine


def test_every_arrival_of_late_readings_is_a_revision_of_what_it_changes() -> None:
    """Twice the same minute, then a copy, then another minute in the same breath as something already known."""
    registers = {"run": 1, "fault": 0, "fault_code": 0, "recipe": 1, "total": 0, "reject": 3}
    begin_ns = START_NS - START_NS % (60 * S)
    rows = rows_of(
        Moment(begin_ns + second * S, Quality.GOOD, registers | {"total": second // 2}) for second in range(600)
    )

    def fault(second: int) -> Row:
        t_ns = begin_ns + second * S
        return t_ns, f"{t_ns},m1,fault,1,good"

    def revisions(late: dict[int, list[Row]]) -> list[int]:
        stream: list[Row] = []
        for at, row in enumerate(rows):
            stream.append(row)
            stream += late.get(at // 6, []) if at % 6 == 5 else []
        found = machine_of(printed(stream))
        in_order = machine_of(printed(sorted(stream, key=itemgetter(0))))
        assert without_revisions(found) == without_revisions(in_order)
        assert found["totals"]["revision"] == sum(window["revision"] for window in found["windows"])
        return [window["revision"] for window in found["windows"]]

    assert revisions({240: [fault(70)]}) == [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert revisions({240: [fault(70)], 360: [fault(80)], 480: [fault(70)]}) == [0, 2, 0, 0, 0, 0, 0, 0, 0, 0]
    assert revisions({240: [fault(70)], 360: [fault(80), fault(250)]}) == [0, 2, 0, 0, 1, 0, 0, 0, 0, 0]
    assert revisions({240: [fault(70)], 241: [fault(80)]})[1] == 1, "one arrival"


def test_a_watermark_of_nothing_makes_every_step_back_late() -> None:
    first, second, *rest = rows_of(life_of(5))
    early = (first[0] - S, f"{first[0] - S},m1,total,1,good")
    assert machine_of(printed([first, early, second, *rest], 0))["totals"]["revision"] > 0
    assert machine_of(printed([first, early, second, *rest]))["totals"]["revision"] == 0


def test_what_a_file_never_gives_is_not_there_but_for_a_recording(tmp_path: Path) -> None:
    """And with `as_planned`, for which a store is compared, it is there and unknown."""
    rows = [row for row in rows_of(life_of(4)) if ",fault," not in row[1] and ",reject," not in row[1]]
    path = write_file(tmp_path / "r.csv", rows)
    recorded = tmp_path / "recorded.csv"
    recorded.write_text("\n".join([HEADER_LINE.strip(), *(f"{line},0,0" for _, line in rows)]), encoding="utf-8")
    tiers = []
    for file, as_planned in ((path, False), (path, True), (recorded, False)):
        with replayed(plan_of(), file, as_planned=as_planned) as (found,):
            tiers.append((found.absent, len(found.account.machine.counters), len(found.account.machine.states)))
    assert tiers == [(("fault", "reject"), 1, 1), ((), 2, 2), ((), 2, 2)]


def test_a_signal_that_is_first_given_late_in_the_file_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first readings do not give is a guess, and the last of them corrects it."""
    rows = rows_of(life_of(6))
    half = [row for row in rows[:300] if ",fault" not in row[1]] + rows[300:]
    found = machine_of(printed(half))
    monkeypatch.setattr("edge.replay.passes.FIRST_LOOK", 200)
    assert machine_of(printed(half)) == found
    with replayed(plan_of(), write_file(tmp_path / "r.csv", half)) as (machine_,):
        assert machine_.absent == ()


def test_a_signal_that_is_only_given_late_is_there(tmp_path: Path) -> None:
    rows = [row for row in rows_of(life_of(4)) if ",reject," not in row[1]]
    late = (rows[0][0], f"{rows[0][0]},m1,reject,3,good")
    with replayed(plan_of(), write_file(tmp_path / "r.csv", [*rows, late])) as (found,):
        assert (found.absent, found.late) == ((), 1)
