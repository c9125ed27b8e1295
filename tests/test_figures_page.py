"""docs/kpi.md and its Chinese twin say what the code computes: every figure, with an example that comes out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.figures_page import BEGIN, PAGES, render, updated, worked
from edge.kpi.catalogue import CATALOGUE
from edge.kpi.example import EXAMPLE, SUMS
from edge.kpi.figure import Why
from edge.kpi.words import ELEMENTS, LEDGER, in_words, symbols

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("language", PAGES)
def test_the_pages_are_up_to_date(language: str) -> None:
    page = (DOCS / PAGES[language]).read_text(encoding="utf-8")
    assert page == updated(page, language), "run: python -m edge.figures_page docs"


@pytest.mark.parametrize("language", PAGES)
def test_every_figure_has_a_row_and_every_reason_a_line(language: str) -> None:
    page = render(language)
    for each in CATALOGUE:
        assert f"`{each.key}`" in page
        assert in_words(each.formula, language) in page
    assert all(f"`{why.code}`" in page for why in Why)


def test_the_example_has_every_figure() -> None:
    """So that all of them can be checked by hand; its OEE is the published 74.79 %."""
    assert [each.key for each in CATALOGUE if each.of(EXAMPLE).value is None] == []
    assert {each.key: worked(each) for each in CATALOGUE}["oee"].startswith("18 848 s / 25 200 s = 74.79 %")
    assert sum(SUMS.stop_ns) == SUMS.all_ns


def test_every_symbol_has_words_in_both_languages() -> None:
    """A letter in a formula that no word explains would leave the reader alone."""
    known = {*LEDGER, *ELEMENTS, "of the first operation", "throughput", "average inventory", "max", "min", "h", "d"}
    for each in CATALOGUE:
        formula = f"{each.formula} {each.bounds}"
        left = re.sub(r"\d+ ?(h|d|min)", "", formula)
        for symbol in sorted(symbols(formula), key=len, reverse=True):
            assert symbol in known, (each.key, symbol)
            left = left.replace(symbol, "")
        assert not re.findall(r"[A-Za-z_]{2,}", left.replace("max", "").replace("min", "")), (each.key, left)


def test_a_page_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no part to generate"):
        updated(f"{BEGIN} and never an end", "en")
