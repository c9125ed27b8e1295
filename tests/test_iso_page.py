"""docs/iso22400.md says what the code computes."""

from __future__ import annotations

from pathlib import Path

from edge.iso_page import render
from edge.kpi.iso22400 import KPIS

PAGE = Path(__file__).parents[1] / "docs" / "iso22400.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run: python -m edge.iso_page > docs/iso22400.md"


def test_the_page_names_every_figure_in_both_languages() -> None:
    page = render()
    for kpi in KPIS:
        assert f"| {kpi.number} | {kpi.clause} | {kpi.zh} | {kpi.en} `{kpi.key}` | {kpi.formula} |" in page


def test_the_other_page_leads_here() -> None:
    assert "(iso22400.md)" in (PAGE.parent / "kpi.md").read_text(encoding="utf-8")
