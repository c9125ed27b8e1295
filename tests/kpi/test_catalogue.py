"""The one table of figures: identities for any ledger, bounds that hold the truth, nothing a signal cannot tell."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kpi.test_iso22400 import ledgers

from edge.kpi import figures as ratios
from edge.kpi.catalogue import CATALOGUE, Group, Scope, figures
from edge.kpi.evidence import Evidence, Part, Plan, together
from edge.kpi.example import EXAMPLE, SUMS
from edge.kpi.figure import Why
from edge.kpi.means import EVERYTHING, of_tier
from edge.kpi.row import Sums
from edge.plan import Capability
from ext.buckets import Bucket, Flag

S = 1_000_000_000
BY_KEY = {each.key: each for each in CATALOGUE}


def fraction(key: str, known: Evidence) -> Fraction:
    found = BY_KEY[key].of(known)
    assert found.numerator is not None
    assert found.denominator, key
    return Fraction(found.numerator) / Fraction(found.denominator)


# ---- the table -------------------------------------------------------------------------------------------------------


def test_the_table_is_whole() -> None:
    """The 34 of the standard and ours, no key twice, named twice in words; larger rows carry what smaller do."""
    assert len(BY_KEY) == len(CATALOGUE)
    assert sum(each.source.startswith("ISO 22400-2, no.") for each in CATALOGUE) == 34
    assert all(each.zh and each.en and each.formula and each.source and each.needs for each in CATALOGUE)
    assert {each.group for each in CATALOGUE} == set(Group)
    carried = [set(figures(EXAMPLE, scope)) for scope in Scope]
    assert carried[0] < carried[1] < carried[2] == set(BY_KEY)
    assert {"oee", "availability", "performance", "quality", "teep", "nee", "scrap_ratio"} <= carried[0]


@given(ledgers(), st.integers(0, 4))
def test_every_figure_is_finite_or_says_why(sums: Sums, tier: int) -> None:
    """And for a reason the table names: what the signals lack, or one of those in its row."""
    known = Evidence(sums, of_tier(tier), (Part(S, sums),), plan=Plan(0.85))
    for each in CATALOGUE:
        found = each.of(known)
        assert (found.value is None) == (found.why_null is not None), each.key
        if found.value is None:
            lacks = each.means - of_tier(tier)
            assert lacks or found.why_null in each.empty, (each.key, found.why_null)
        else:
            assert isfinite(found.value)
            assert found.denominator
            assert each.means <= of_tier(tier)


def test_an_empty_ledger_and_a_dead_shift_name_their_reasons() -> None:
    """Nothing planned and nothing ran are different, and neither is a zero."""
    nothing = figures(Evidence(Sums(), EVERYTHING))
    assert {nothing[key].why_null for key in ("oee", "availability", "performance")} == {Why.NOTHING_PLANNED}
    assert nothing["teep"].why_null == Why.NO_TIME
    dead = Sums(all_ns=480 * S, ppt_ns=480 * S)
    dead.stop_ns[Bucket.BREAKDOWN] = 480 * S
    found = figures(Evidence(dead, EVERYTHING, (Part(S, dead),)))
    assert (found["oee"].value, found["availability"].value) == (0.0, 0.0)
    assert (found["performance"].why_null, found["quality"].why_null) == (Why.NOTHING_RAN, Why.NO_OUTPUT)
    idle = Sums(all_ns=60 * S, ppt_ns=60 * S, rt_ns=60 * S)
    idle.stop_ns[Bucket.RUN] = 60 * S
    assert figures(Evidence(idle, EVERYTHING))["performance"].value == 0.0


# ---- tiers -----------------------------------------------------------------------------------------------------------


def test_a_counter_and_nothing_else() -> None:
    """T0: A and P are empty, their product is there, and so is OEE; every loss it cannot tell is empty, not zero."""
    found = figures(Evidence(SUMS, of_tier(0), (Part(S, SUMS),)))
    assert (found["availability"].why_null, found["performance"].why_null) == (Why.NEEDS_TIER_1, Why.NEEDS_TIER_1)
    assert found["net_run_ratio"].value == 19271 / 25200
    assert found["oee"].value == 18848 / 25200
    assert (found["piece_yield"].why_null, found["scrap_ratio"].why_null) == (Why.NO_REJECT_COUNTER,) * 2
    assert (found["mtbf"].why_null, found["loss_breakdown"].why_null) == (Why.NEEDS_TIER_1, Why.NEEDS_TIER_1)


def test_no_counter_is_no_output_of_zero() -> None:
    """A machine whose pieces nobody counts has availability, and no OEE at all."""
    found = figures(Evidence(SUMS, frozenset({Capability.STATE}), ()))
    assert {found[key].why_null for key in ("oee", "performance", "quality", "teep", "efficiency")} == {Why.NO_COUNTER}
    assert found["availability"].value == 373 / 420


def test_a_reject_counter_above_the_tier_is_believed() -> None:
    """Counter and rejects without a run bit: T0, and yet a real quality."""
    found = figures(Evidence(SUMS, of_tier(0) | {Capability.QUALITY}, (Part(S, SUMS),)))
    assert found["scrap_ratio"].value == 423 / 19271
    assumed = replace(SUMS, flags=int(Flag.QUALITY_ASSUMED))
    assert figures(Evidence(assumed, EVERYTHING))["piece_yield"].why_null == Why.NO_REJECT_COUNTER


# ---- identities ------------------------------------------------------------------------------------------------------


@given(ledgers())
def test_the_five_steps_are_all_of_the_time(sums: Sums) -> None:
    if sums.all_ns:
        steps = [each.key for each in CATALOGUE if each.group is Group.WATERFALL]
        assert len(steps) == 5
        assert sum(fraction(key, Evidence(sums)) for key in steps) == 1


@given(ledgers(), st.integers(0, 10**15))
def test_all_losses_and_oee_are_all_of_planned_time(sums: Sums, startup_rejects_ns: int) -> None:
    if sums.ppt_ns:
        known = Evidence(sums, startup_rejects_ns=startup_rejects_ns)
        losses = [each.key for each in CATALOGUE if each.group is Group.LOSSES]
        assert len(losses) == 12
        assert sum(fraction(key, known) for key in (*losses, "oee")) == 1


@given(ledgers())
def test_the_factors_of_oee_and_what_they_are_called(sums: Sums) -> None:
    """A·P·Q = OEE exactly, A·P is the net run ratio, TEEP ≤ OOE ≤ OEE where nothing was made outside shifts."""
    known = Evidence(sums, parts=(Part(S, sums),))
    if sums.ppt_ns and sums.rt_ns and sums.nrt_ns:
        a, p, q, oee = (fraction(key, known) for key in ("availability", "performance", "quality", "oee"))
        assert a * p * q == oee
        assert a * p == fraction("net_run_ratio", known)
        assert p == fraction("effectiveness", known)
        assert fraction("ooe", known) <= oee
        if not sums.unscheduled_run_ns:
            assert fraction("teep", known) <= fraction("ooe", known)
            assert fraction("teep", known) == oee * fraction("utilisation", known)


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_three_material_losses_are_what_is_missing(igq: int, pl: int, stl: int, ol: int) -> None:
    """27 + 28 + 29 = 1 − 26, where material is accounted for."""
    assert EXAMPLE.outside is not None
    assert EXAMPLE.outside.inventory is not None
    numbers = {"igq": igq, "pl": pl, "stl": stl, "ol": ol, "cm": igq + pl + stl + ol}
    inventory = replace(EXAMPLE.outside.inventory, **{name: Fraction(number) for name, number in numbers.items()})
    known = replace(EXAMPLE, outside=replace(EXAMPLE.outside, inventory=inventory))
    lost = ("production_loss_ratio", "storage_transport_loss_ratio", "other_loss_ratio")
    assert sum(fraction(key, known) for key in lost) == 1 - fraction("integrated_goods_ratio", known)


@given(st.lists(ledgers(), min_size=1, max_size=4))
def test_the_whole_is_the_sum_of_its_parts_in_any_order(made: list[Sums]) -> None:
    """Machine, line, site: numerators and denominators add up, so the order and the grouping do not matter."""
    several = [Evidence(sums, parts=(Part(S + number, sums),), plan=Plan(0.8)) for number, sums in enumerate(made)]
    whole = together(several)
    nested = together([together(several[:1]), together(several[:0:-1])])
    for key in ("oee", "availability", "performance", "quality", "teep", "utilisation", "coverage", "loss_unassigned"):
        parts = [BY_KEY[key].of(each) for each in several]
        found = BY_KEY[key].of(whole)
        assert found == BY_KEY[key].of(nested)
        assert found.numerator == sum(part.numerator or 0 for part in parts)
        assert found.denominator == sum(part.denominator or 0 for part in parts)
    assert whole.hidden_ns == sum(each.hidden_ns for each in several)


def test_never_the_mean_of_percentages() -> None:
    """100 h at 80 % and 300 h at 45 %: 53.75 %."""
    hours = [Evidence(Sums(ppt_ns=ppt, fpt_ns=fpt, all_ns=ppt)) for ppt, fpt in ((100, 80), (300, 135))]
    assert BY_KEY["oee"].of(together(hours)).value == 0.5375


def test_together_nobody_tells_what_one_cannot() -> None:
    able = Evidence(SUMS, EVERYTHING, (Part(S, SUMS),))
    counter = Evidence(SUMS, of_tier(0), (Part(S, SUMS),))
    assert BY_KEY["availability"].of(together([able, counter])).why_null == Why.NEEDS_TIER_1
    assert together([able, together([])]).means == EVERYTHING


# ---- bounds ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 100)), min_size=1), st.data())
def test_the_truth_lies_between_the_bounds(minutes: list[tuple[bool, bool, int]], data: st.DataObject) -> None:
    """Minutes that ran or stood, seen or not; pieces of all of them are found again, but for those a reset hid."""
    ran = sum(length for run, _, length in minutes if run)
    seen = sum(length for run, seen, length in minutes if run and seen)
    unseen = sum(length for _, seen, length in minutes if not seen)
    ppt = sum(length for *_, length in minutes)
    good, bad = data.draw(st.integers(0, 3 * ran)), data.draw(st.integers(0, ran))
    hidden = data.draw(st.integers(0, 20))
    hidden_good = data.draw(st.integers(0, min(good, hidden)))
    hidden_bad = data.draw(st.integers(0, min(bad, hidden - hidden_good)))
    told_good, told_total = good - hidden_good, good + bad - hidden_good - hidden_bad
    sums = Sums(
        all_ns=ppt, ppt_ns=ppt, rt_ns=seen, unknown_ns=unseen, tc=told_total, gc=told_good, nrt_ns=told_total,
        fpt_ns=told_good, lost_max=hidden,
    )  # fmt: skip
    found = figures(Evidence(sums, EVERYTHING, (Part(1, sums),)), Scope.WINDOW)
    truth = {
        "availability": Fraction(ran, ppt),
        "performance": Fraction(good + bad, ran) if ran else None,
        "quality": Fraction(good, good + bad) if good + bad else None,
        "oee": Fraction(good, ppt),
        "net_run_ratio": Fraction(good + bad, ppt),
    }
    for key, true in truth.items():
        figure = found[key]
        if figure.low is not None and figure.high is not None and true is not None:
            assert figure.low - 1e-12 <= true <= figure.high + 1e-12, key
            assert figure.value is not None
            assert figure.low <= figure.value <= figure.high, key


def test_nothing_in_doubt_has_equal_bounds_and_a_guess_has_none() -> None:
    sure = replace(SUMS, unknown_ns=0, lost_max=0)
    for key in ("oee", "availability", "performance", "quality"):
        found = BY_KEY[key].of(Evidence(sure, parts=(Part(S, sure),)))
        assert found.low == found.value == found.high
    guess = replace(sure, flags=int(Flag.AMBIGUOUS))
    assert BY_KEY["oee"].of(Evidence(guess, parts=(Part(S, guess),))).high is None
    assert BY_KEY["availability"].of(Evidence(guess)).high is not None


# ---- one number wherever it is shown -------------------------------------------------------------------------------


@given(ledgers())
def test_the_page_shows_what_the_table_computes(sums: Sums) -> None:
    """The live page divides floats of the same sums: the same numbers."""
    found = figures(Evidence(sums))
    for key in ("oee", "availability", "performance", "quality", "ooe", "teep", "nee", "utilisation", "coverage"):
        assert found[key].value == getattr(ratios, key)(sums), key
    for key in ("setup_ratio", "scrap_ratio", "piece_yield", "technical_efficiency"):
        assert found[key].value == getattr(ratios, key)(sums), key
    bounds = ratios.availability_bounds(sums)
    assert bounds is None or (found["availability"].low, found["availability"].high) == pytest.approx(bounds)
