"""docs/points.md says what the code writes."""

from __future__ import annotations

from pathlib import Path

from edge.points_page import render


def test_the_page_is_up_to_date() -> None:
    page = Path(__file__).parents[1] / "docs" / "points.md"
    assert page.read_text(encoding="utf-8") == render(), "run: python -m edge.points_page > docs/points.md"
