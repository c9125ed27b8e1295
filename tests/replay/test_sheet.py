"""The table for people: bounds where time went unseen, a reason where there is no figure, every figure on request."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import cli
from edge.kpi.catalogue import CATALOGUE
from edge.kpi.figure import Figure
from edge.kpi.say import division_text, value_text

CASES = Path(__file__).parents[1] / "cases" / "replay"


def told(name: str, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    case = CASES / name
    files = ["-c", f"{case}/site.yaml", "--readings", f"{case}/readings.csv"]
    assert cli.main(["--lang", "zh", "replay", *files, *options]) == 0
    return capsys.readouterr().out


def test_every_figure_of_the_record_is_on_the_sheet(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told("failures", capsys, "--figures").splitlines()
    keys = [words for line in lines for words in line.split() if words in {each.key for each in CATALOGUE}]
    assert keys == [each.key for each in CATALOGUE]
    (mtbf,) = (line for line in lines if " mtbf " in line)
    assert "615 s" in mtbf
    assert "1 230 s / 2" in mtbf


def test_what_a_counter_cannot_tell_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    total = told("counter-only", capsys).splitlines()[-1]
    assert "60.00%" in total
    assert total.count("–") == 2, "availability and performance"


def test_unseen_time_is_a_range(capsys: pytest.CaptureFixture[str]) -> None:
    """The gap of ten minutes: availability somewhere between the two."""
    assert "66.94–" in told("gap-recovered", capsys).splitlines()[-1]


def test_numbers_as_people_read_them() -> None:
    assert value_text(Figure(1, 2, 0.5, None, 0.25, 0.75), "1") == "50.00 % (25.00 % … 75.00 %)"
    assert division_text(Figure(90_000_000_000, 7, 1.0, None)) == "90 s / 7"
    assert division_text(Figure(12_345, 1, 12345.0, None)) == ""
    assert value_text(Figure(12_345, 1, 12345.0, None), "pieces") == "12 345 pieces"
