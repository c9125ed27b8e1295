"""Capacity: designed by arithmetic, demonstrated by rows that leave no doubt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.kpi.capacity import (
    DAY_NS,
    DOUBTFUL,
    STRETCHES_NS,
    attainment,
    demonstrated,
    demonstrated_all,
    design_capacity,
    effective_capacity,
    fastest_sustained,
)
from edge.kpi.figure import Why
from edge.kpi.row import Row, RowKey, Sums
from edge.kpi.run_at_rate import Pattern, Process, required_good
from ext.buckets import Flag

MINUTE = 60_000_000_000
HOUR = 60 * MINUTE


def row(
    start: int, good: int, *, span: int = MINUTE, flags: Flag = Flag.NONE, unknown: int = 0, product: str = "p"
) -> Row:
    sums = Sums(all_ns=span, ppt_ns=span, unknown_ns=unknown, gc=good, tc=good, flags=int(flags))
    return Row(RowKey("m", "1m", start * span, product, "", ""), (start + 1) * span, sums, 0, True, "c", 2)


def minutes(goods: Iterable[int]) -> list[Row]:
    return [row(start, good) for start, good in enumerate(goods)]


def test_design_and_effective() -> None:
    """1000 a minute are 1.44 million a day by design; 20 planned hours at 90 % leave 1.08 million."""
    design = design_capacity(MINUTE // 1000, DAY_NS)
    assert design == 1_440_000
    assert design_capacity(MINUTE // 1000, DAY_NS, machines=3) == 3 * design
    effective = effective_capacity(design, 20 * HOUR, DAY_NS, Fraction(9, 10))
    assert effective == 1_080_000
    assert attainment(1_200_000, design).value == pytest.approx(0.8333, abs=1e-4)
    assert attainment(1_200_000, effective).value == 1_200_000 / 1_080_000
    assert attainment(5, Fraction(0)).why_null == Why.ZERO_BASE
    with pytest.raises(ValueError, match="ideal cycle"):
        design_capacity(0, DAY_NS)
    with pytest.raises(ValueError, match="longer than 0"):
        effective_capacity(design, 0, 0, Fraction(1))


def test_the_best_hour_begins_at_any_minute() -> None:
    """Not a clock hour: the best sixty minutes in a row."""
    found = demonstrated(minutes([1] * 30 + [10] * 60 + [1] * 90), HOUR)
    assert found is not None
    assert (found.pieces, found.start_ns, found.coverage) == (600, 30 * MINUTE, 1)
    assert (found.per_day, found.cycle_ns) == (14_400, 6_000_000_000)


def test_what_is_doubtful_is_no_proof() -> None:
    """A doubtful minute proves neither pieces nor time; a step of the clock, low coverage, missing rows or rows not
    final leave no stretch.
    """
    flat = minutes([1] * 60)
    assert demonstrated(flat, HOUR) is not None
    for flag in DOUBTFUL:
        found = demonstrated([*flat[:-1], row(59, 1, flags=flag)], HOUR)
        assert found is not None, flag
        assert (found.pieces, found.coverage, found.flags) == (59, Fraction(59, 60), flag)
        assert demonstrated([*flat[:-4], *(row(m, 1, flags=flag) for m in range(56, 60))], HOUR) is None, flag
    assert demonstrated([*flat[:-1], row(59, 1, flags=Flag.CLOCK_STEP)], HOUR) is None
    kept = demonstrated([*flat[:-1], row(59, 1, flags=Flag.ROLLOVER)], HOUR)
    assert kept is not None
    assert kept.flags == Flag.ROLLOVER
    assert demonstrated([row(m, 1, unknown=MINUTE // 10) for m in range(60)], HOUR) is None
    assert demonstrated(flat[:56], HOUR) is None
    assert demonstrated([*flat[:28], *flat[32:]], HOUR) is None
    assert demonstrated([replace(flat[0], final=False), *flat[1:]], HOUR) is not None, "59 of 60 minutes are 98 %"
    assert demonstrated([replace(each, final=False) for each in flat], HOUR) is None
    assert demonstrated([], HOUR) is None


def test_a_spoiled_hour_does_not_spoil_the_next() -> None:
    """The best stretch without a step of the clock is found beside a better one with."""
    rows = [row(m, 10 if m < 60 else 2, flags=Flag.CLOCK_STEP if m == 30 else Flag.NONE) for m in range(180)]
    found = demonstrated(rows, HOUR)
    assert found is not None
    assert (found.pieces, found.start_ns) == (29 * 10 + 31 * 2, 31 * MINUTE)


def test_all_stretches() -> None:
    """Eight days of hour rows: every stretch up to seven days is proved, none longer than the record."""
    found = demonstrated_all([row(hour, 60, span=HOUR) for hour in range(8 * 24)])
    assert [best.pieces if best else None for best in found.values()] == [ns // HOUR * 60 for ns in STRETCHES_NS]
    short = demonstrated_all([row(hour, 60, span=HOUR) for hour in range(24)])
    assert [best is not None for best in short.values()] == [True, True, True, False, False]


def test_fastest_sustained_cycle() -> None:
    """Over half an hour of one product: 30 a minute sustained are 2 s a piece, whatever other products do."""
    rows = [row(m, 30 if 20 <= m < 50 else 20) for m in range(80)]
    rows += [row(m, 99, product="other") for m in range(80, 140)]
    found = fastest_sustained(rows, "p")
    assert found is not None
    assert (found.cycle_ns, found.start_ns) == (2_000_000_000, 20 * MINUTE)
    assert fastest_sustained(rows, "nobody") is None


@given(
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from((0, 0, 0, 0, 0, 0, 1, 2, 3))), max_size=60),
    st.integers(1, 40),
)
def test_two_fingers_find_what_a_search_finds(made: list[tuple[int, int]], length: int) -> None:
    """Against trying every stretch: steps of the clock (1), missing rows (2) and doubt (3) anywhere."""
    flags = {0: Flag.NONE, 1: Flag.CLOCK_STEP, 3: Flag.AMBIGUOUS}
    rows = [row(minute, good, flags=flags[kind]) for minute, (good, kind) in enumerate(made) if kind != 2]
    best = None
    for first in rows:
        start_ns, end_ns = first.key.start_ns, first.key.start_ns + length * MINUTE
        inside = [each for each in rows if start_ns <= each.key.start_ns and each.end_ns <= end_ns]
        proof = [each for each in inside if not each.sums.flags & Flag.AMBIGUOUS]
        spoiled = any(each.sums.flags & Flag.CLOCK_STEP for each in inside)
        if not spoiled and len(proof) * 100 >= length * 95 and len(proof) * 100 >= len(inside) * 95:
            pieces = sum(each.sums.gc for each in proof)
            best = pieces if best is None else max(best, pieces)
    found = demonstrated(reversed(rows), length * MINUTE)
    assert (found.pieces if found else None) == best


# ---- required against available --------------------------------------------------------------------------------------

SHARED = Process(
    pattern=Pattern(Fraction("5.5"), Fraction(2), Fraction(8), allocation=Fraction("0.062")),
    cycle_s=Fraction("6.68"),
    scrap=Fraction("0.001"),
    changeover_min=Fraction(90),
    changeovers_per_week=Fraction("0.13"),
)


def test_published_capacity_analysis() -> None:
    """A published sheet: 5.456 h a week, 2940 pieces at best, 2350 needed: 79.9 % required, 16.4 % slack."""
    assert SHARED.pattern.available_h == Fraction("5.456")
    assert round(SHARED.potential) == 2940
    assert round(float(SHARED.required_oee(Fraction(2350))), 3) == 0.799
    assert round(float(SHARED.slack(Fraction(2350))), 3) == 0.164
    assert SHARED.slack(Fraction(3000)) < 0


def test_up_the_line_more_is_needed() -> None:
    """Each process makes what the next one scraps: 90 at the end, 10 % scrap there, 100 before it."""
    last = Process(SHARED.pattern, Fraction(1), scrap=Fraction(1, 10))
    assert required_good((SHARED, last), Fraction(90)) == [100, 90]
