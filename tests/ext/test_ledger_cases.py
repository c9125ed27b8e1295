"""Golden cases: one folder, one story, one truth; the compiled ledger and its plain twin must both tell it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from cases.ledger.story import S, tell
from twins.ledger import LedgerTwin

from edge.kpi import figures
from ext.buckets import Correction, Flag
from ext.ledger import MachineLedger

FOLDER = Path(__file__).parent.parent / "cases" / "ledger"
CASES = sorted(path.parent.name for path in FOLDER.glob("*/case.yaml"))


@pytest.mark.parametrize("ledger", [MachineLedger, LedgerTwin], ids=["compiled", "twin"])
@pytest.mark.parametrize("name", CASES)
def test_story_ends_as_told(name: str, ledger: Any) -> None:
    """Every golden case comes out to the nanosecond and to the piece."""
    case = yaml.safe_load((FOLDER / name / "case.yaml").read_text())
    outcome, expect = tell(ledger, case), case["expect"]
    sums = outcome.sums
    if "buckets" in expect:
        assert outcome.buckets == expect["buckets"]
    for key, wanted in expect.get("sums", {}).items():
        found = getattr(sums, key.removesuffix("_s") + "_ns") / S if key.endswith("_s") else getattr(sums, key)
        assert found == wanted, key
    if "flags" in expect:
        assert outcome.flags == Flag(sum(Flag[flag] for flag in expect["flags"]))
    for key, wanted in expect.get("figures", {}).items():
        assert getattr(figures, key)(sums) == wanted, key
    if "availability_bounds" in expect:
        assert figures.availability_bounds(sums) == tuple(expect["availability_bounds"])
    if "stops" in expect:
        assert outcome.stop_story == [tuple(stop) for stop in expect["stops"]]
    if "minutes" in expect:
        assert outcome.minutes == [tuple(minute) for minute in expect["minutes"]]
    if "losses" in expect:
        assert outcome.losses == [tuple(minute) for minute in expect["losses"]]
    if "products" in expect:
        assert outcome.products == [tuple(product) for product in expect["products"]]
    if "last_correction" in expect:
        last = outcome.corrections[-1]
        assert {"kind": Correction(last[2]).name, "credited": last[5]} == expect["last_correction"]
    assert sum(sums.stop_ns) == sums.all_ns
    assert sums.tc + sums.unscheduled_tc == outcome.made[0]


def test_there_are_cases() -> None:
    """An empty folder would prove nothing."""
    assert len(CASES) >= 20
