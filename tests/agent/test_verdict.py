"""The judge of the demo: agrees with nothing that differs by a piece, and says so in both languages."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edge.simulate.table import _width, as_table
from edge.simulate.verdict import Booked, Line, as_json

LINE = Line("mask-1", "flat-mask-1+2", "modbus", 500, 500, 500, 500, 0.75, 0.75)
BOOKED = {"mask-1": Booked(500, 0.75, 1, 0, 0, 1_500_000_000, 60_000_000_000)}


@pytest.mark.parametrize("figure", ["made", "counted", "stored", "delivered"])
def test_one_piece_off_anywhere_is_a_disagreement(figure: str) -> None:
    assert LINE.agrees
    assert not replace(LINE, **{figure: 501}).agrees


@pytest.mark.parametrize(
    ("truth", "oee", "agrees"),
    [(0.75, 0.75 + 9e-7, True), (0.75, 0.750002, False), (None, None, True), (None, 0.5, False), (0.5, None, False)],
)
def test_oee_agrees_to_a_millionth(truth: float | None, oee: float | None, agrees: bool) -> None:
    assert replace(LINE, oee_truth=truth, oee=oee).agrees is agrees


def test_what_was_not_asked_is_null_and_no_disagreement() -> None:
    line = replace(LINE, delivered=None, oee=None, oee_truth=None)
    document = json.loads(as_json([line]))
    assert document["ok"] is True
    assert document["machines"][0]["delivered"] is document["machines"][0]["oee"] is None
    assert "–" in as_table([line], BOOKED)


def test_the_document_says_when_anything_disagrees() -> None:
    assert json.loads(as_json([LINE, replace(LINE, stored=1)]))["ok"] is False


@pytest.mark.parametrize(("language", "words"), [("zh", "账目相符"), ("en", "the books agree")])
def test_the_table_is_aligned_in_both_languages(language: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns end where they should although a Chinese character is two columns wide."""
    monkeypatch.setenv("SEAMLINE_LANG", language)
    head, row, _, sentence = as_table([LINE], BOOKED).splitlines()
    assert _width(head) - _width(head.split()[-1]) == _width(row) - 1, "the last column begins under its head"
    assert words in sentence


def test_the_table_names_who_disagrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAMLINE_LANG", "en")
    text = as_table([LINE, replace(LINE, id="kn95-2", counted=2)], {**BOOKED, "kn95-2": BOOKED["mask-1"]})
    assert text.splitlines()[-1] == "✗ the books disagree: kn95-2"
