"""Counted against true: an hour of machine life per kind of fault, more where doubt takes longer.

What the table promises of a kind holds for every seed: exact kinds count every piece, bounded ones lose no more than
the ledger says, flagged ones never differ in silence, and time closes to the nanosecond whatever happens.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from truth import kinds, page, result
from truth.bench import agrees, day_of, made
from truth.judge import Verdict, judge
from truth.kinds import Kind, Knows

from ext.buckets import Counter, Flag

SEED = 5
HOURS = 1.0
HERE = Path(__file__).parent


@pytest.mark.parametrize("kind", [k for k in kinds.ALL if not k.replayed], ids=lambda kind: kind.key)
def test_a_kind_keeps_its_promise(kind: Kind) -> None:
    day = day_of(kind.key, 0, SEED, kind.told_in_hours)
    assert day.closes
    assert not [span for span in day.spans if span.verdict > result.WORST.get(kind.knows, Verdict.SILENT)]
    if kind.places_time and day.told:
        assert day.contained


@pytest.mark.parametrize("key", ["out-of-order", "late"])
def test_the_order_of_arrival_costs_no_piece(key: str) -> None:
    day = day_of(key, 0, SEED, HOURS)
    assert day.closes
    assert day.counted[0] == day.true[0] > 0


@pytest.mark.parametrize("number", range(3))
def test_without_a_fault_nothing_is_doubted(number: int) -> None:
    day = day_of("none", number, SEED, HOURS)
    assert day.counted == day.true or day.oee is None
    assert not day.flags & (Flag.RESET | Flag.AMBIGUOUS | Flag.GLITCH | Flag.COUNTER_FAULT | Flag.RECOVERED)
    assert day.hours_off == 0


@pytest.mark.parametrize("key", ["glitch", "all-bad", "product-change"])
def test_the_command_books_what_the_kernel_books(key: str) -> None:
    assert agrees(key, SEED) == []


@pytest.mark.parametrize("pulses", [-1, +1])
def test_a_wrong_count_is_found(pulses: int) -> None:
    """The oracle itself: one piece that does not count, one that counts twice."""
    day = made("none", 0, SEED, HOURS)
    at = day.life.time_of(day.life.counts(day.life.end_ns - 1)[0] // 2)
    day.readings.add(Counter.TOTAL, at, pulses)
    day.struck(at)
    (span,) = judge(day, "none", 0).spans
    assert span.difference[Counter.TOTAL] == pulses
    assert span.verdict is Verdict.SILENT


def test_every_kind_says_why_it_is_not_exact() -> None:
    unexplained = [kind.key for kind in kinds.ALL if kind.knows is not Knows.EXACT and kind.why is None]
    assert not unexplained


@pytest.mark.parametrize("language", page.PAGES)
def test_the_page_is_what_the_run_said(language: str) -> None:
    about, rows = result.read(HERE / "result.json")
    written = (HERE.parents[1] / "docs" / page.PAGES[language]).read_text("utf-8")
    assert written == page.render(about, rows, language), "make truth"
    assert {row.key for row in rows} == {kind.key for kind in kinds.ALL}
