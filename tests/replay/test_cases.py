"""Golden cases: a site file, readings, and what they come to, worked by hand in the site file's first lines.

`expected.json` names only what the case is about; a list is given whole.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from edge import cli

CASES = sorted((Path(__file__).parents[1] / "cases" / "replay").iterdir())


def unlike(expected: Any, found: Any, where: str = "") -> list[str]:
    """Where `found` is not what was expected. Fractions of a figure are given to six digits."""
    if isinstance(expected, dict):
        return [text for key in expected for text in unlike(expected[key], found[key], f"{where}.{key}")]
    if isinstance(expected, list) and len(expected) == len(found):
        pairs = zip(expected, found, strict=True)
        return [text for at, pair in enumerate(pairs) for text in unlike(*pair, f"{where}[{at}]")]
    if isinstance(expected, float) and found is not None:
        return [] if found == pytest.approx(expected, abs=1e-6) else [f"{where}: {found}, not {expected}"]
    return [] if found == expected else [f"{where}: {found}, not {expected}"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_worked_by_hand(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", "-c", f"{case}/site.yaml", "--readings", f"{case}/readings.csv", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not unlike(json.loads((case / "expected.json").read_text()), found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_waterfall_closes(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All time lies in one class, the windows and the shifts add up to the totals, a total lies between two samples."""
    cli.main(["replay", "-c", f"{case}/site.yaml", "--readings", f"{case}/readings.csv", "--json"])
    machine = json.loads(capsys.readouterr().out)["machines"]["m1"]
    totals = machine["totals"]
    for row in (*machine["windows"], *machine["shifts"], totals):
        assert sum(row["stop_ns"].values()) == row["all_ns"]
    for name in ("all_ns", "ppt_ns", "rt_ns", "nrt_ns", "fpt_ns", "unknown_ns", "tc", "gc", "sc", "unscheduled_tc"):
        assert sum(window[name] for window in machine["windows"]) == totals[name]
    assert totals["all_ns"] == totals["end_ns"] - totals["start_ns"]
    for name, ns in totals["stop_ns"].items():
        lasted = [stop["end_ns"] - stop["start_ns"] for stop in machine["stops"] if stop["class"] == name]
        assert name == "run" or totals["repaired_ns"] or sum(lasted) == ns, "a repaired gap is one event: no order"


@pytest.mark.parametrize("page", ["replay.md", "replay.zh-CN.md"])
def test_every_field_is_explained(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    case = CASES[0]
    cli.main(["replay", "-c", f"{case}/site.yaml", "--readings", f"{case}/readings.csv", "--json"])
    machine = json.loads(capsys.readouterr().out)["machines"]["m1"]
    totals = machine["totals"]
    names = {*machine, *totals, *totals["figures"]["oee"], *totals["figures"]["takt"], *machine["corrections"][0]}
    told = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    untold = [name for name in names if not re.search(rf"[`*]{name}[`*]", told, re.IGNORECASE)]
    assert not [name for name in untold if not name.startswith("unscheduled_")]
    figures = (Path(__file__).parents[2] / "docs" / page.replace("replay", "kpi")).read_text(encoding="utf-8")
    assert not [name for name in totals["figures"] if f"`{name}`" not in figures]
