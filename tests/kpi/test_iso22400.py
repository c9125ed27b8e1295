"""The 34 figures: published examples by hand, identities for any ledger, and every empty figure says why."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

import pytest
import yaml
from cases.ledger.story import tell
from hypothesis import given
from hypothesis import strategies as st

from edge.kpi import figures
from edge.kpi.elements import (
    TIME_ELEMENTS,
    Carrier,
    Elements,
    Energy,
    Inspection,
    Inventory,
    Leaf,
    Maintenance,
    Order,
    Personnel,
    Samples,
    elements,
    minor_stops_as_delay,
)
from edge.kpi.failures import FailureSums, Stop, failures, sum_failures
from edge.kpi.figure import Why
from edge.kpi.iso22400 import KPIS, all_figures
from edge.kpi.means import of_tier
from edge.kpi.row import Sums
from edge.plan import Capability
from ext.buckets import N_BUCKETS, Bucket, Flag
from ext.ledger import MachineLedger

STORIES = Path(__file__).parent.parent / "cases" / "ledger"
S = 1_000_000_000
MINUTE = 60 * S
HOUR = 60 * MINUTE


def ledger(**numbers: Any) -> Sums:
    """Sums with buckets by name, ns; all, PPT, RT and unknown follow from them unless given."""
    buckets = {Bucket[name.upper()]: numbers.pop(name) for name in list(numbers) if name.upper() in Bucket.__members__}
    made = Sums(**numbers)
    for bucket, ns in buckets.items():
        made.stop_ns[bucket] = ns
    made.all_ns = sum(made.stop_ns)
    made.rt_ns = made.stop_ns[Bucket.RUN] - made.unscheduled_run_ns
    made.unknown_ns = made.stop_ns[Bucket.UNKNOWN]
    out = (Bucket.PLANNED_STOP, Bucket.NOT_SCHEDULED)
    made.ppt_ns = made.ppt_ns or made.all_ns - made.unscheduled_run_ns - sum(made.stop_ns[each] for each in out)
    return made


VORNE = ledger(
    run=373 * MINUTE, breakdown=47 * MINUTE, planned_stop=60 * MINUTE,
    nrt_ns=19271 * S, fpt_ns=18848 * S, tc=19271, gc=18848, sc=423,
)  # fmt: skip


def value(found: Elements, key: str, tier: int = 4) -> float | None:
    return all_figures(found, of_tier(tier))[key].value


def why(found: Elements, key: str, tier: int = 4) -> Why | None:
    return all_figures(found, of_tier(tier))[key].why_null


# ---- the table -------------------------------------------------------------------------------------------------------


def test_the_table_is_the_standards() -> None:
    """34 figures in the standard's order, no key twice, each with a name in both languages."""
    assert [kpi.number for kpi in KPIS] == list(range(1, 35))
    assert len({kpi.key for kpi in KPIS}) == 34
    assert list(all_figures(elements(VORNE), of_tier(4))) == [kpi.key for kpi in KPIS]
    assert all(kpi.zh and kpi.en and kpi.formula and kpi.needs for kpi in KPIS)
    assert KPIS[24].clause == "8.25"


def test_every_bucket_has_its_place() -> None:
    """One line per bucket; only planned stops, nights and unscheduled runs can lie outside planned busy time."""
    assert set(TIME_ELEMENTS) == set(Bucket)
    outside = {bucket for bucket, lies in TIME_ELEMENTS.items() if lies.outside}
    assert outside == {Bucket.RUN, Bucket.PLANNED_STOP, Bucket.NOT_SCHEDULED}


# ---- published and hand-made examples --------------------------------------------------------------------------------


def test_published_worked_example() -> None:
    """The shift OEE is taught with: 420 min planned, 47 down, 60 a minute, 19271 pieces, 423 bad, 480 min of shift."""
    found = elements(VORNE)
    assert (found.pot_ns, found.pdot_ns, found.pbt_ns, found.adet_ns, found.apt_ns) == tuple(
        minutes * MINUTE for minutes in (480, 60, 420, 47, 373)
    )
    keys = ("availability", "effectiveness", "quality_ratio", "oee")
    assert [round(value(found, key) or 0, 6) for key in keys] == [0.888095, 0.861081, 0.978050, 0.747937]
    assert value(found, "scrap_ratio") == 423 / 19271
    assert value(found, "technical_efficiency") == 373 / 420
    assert value(found, "throughput_rate") == 19271 / 7
    oee = all_figures(found, of_tier(4))["oee"]
    assert (oee.numerator, oee.denominator) == (18848 * S, 25200 * S)


def test_the_example_of_the_page() -> None:
    """Failures after 110, 130 and 120 min of production, 20, 15 and 12 min each: MTBF 120 min, MTTR 15 min 40 s."""
    stops, now = [], 0
    for run, down in ((110, 20), (130, 15), (120, 12)):
        now += run
        stops.append(Stop(now * MINUTE, (now + down) * MINUTE, Bucket.BREAKDOWN, 7))
        now += down
    record = failures(stops, from_ns=0, until_ns=420 * MINUTE, t3_ns=MINUTE)
    found = replace(elements(VORNE), failures=sum_failures(record, 0, 420 * MINUTE))
    assert (value(found, "mtbf"), value(found, "mttf"), value(found, "mttr")) == (7200.0, 7200.0, 940.0)


def test_sums_first_division_last() -> None:
    """100 h at 80 % and 300 h at 45 % are 53.75 %, not the mean 62.5 %."""
    good, bad = ledger(run=100 * HOUR, fpt_ns=80 * HOUR), ledger(run=300 * HOUR, fpt_ns=135 * HOUR)
    assert value(elements(good), "oee") == 0.8
    assert value(elements(bad), "oee") == 0.45
    assert value(elements(Sums().add(good).add(bad)), "oee") == 0.5375


def test_mixed_cycles() -> None:
    """90 good pieces of 0.1 s and 9 bad ones of 10 s in 100 s: OEE nine percent, piece quality 90 / 99."""
    mixed = elements(ledger(run=100 * S, nrt_ns=99 * S, fpt_ns=9 * S, tc=99, gc=90, sc=9))
    assert (value(mixed, "oee"), value(mixed, "quality_ratio")) == (0.09, 90 / 99)


def test_inputs_that_machines_do_not_have() -> None:
    """Orders, people, inspection, energy, material, capacity: each figure by hand."""
    found = replace(
        elements(ledger(run=60 * MINUTE, tc=100, gc=95, sc=5)),
        order=Order(aoet_ns=2 * HOUR, aubt_ns=3 * HOUR, apt_ns=1 * HOUR, psq=4),
        personnel=Personnel(apwt_ns=7 * HOUR, apat_ns=8 * HOUR),
        inspection=Inspection(gp=90, ip=100, rq=2),
        energy=Energy((Carrier(Fraction(3), Fraction(1000)), Carrier(Fraction(1, 2), Fraction(400))), Fraction(-200)),
        inventory=Inventory(*(Fraction(n) for n in (120, 40, 100, 88, 90, 6, 3, 1))),
        maintenance=Maintenance(cmt_ns=1 * HOUR, pmt_ns=3 * HOUR),
        epc=Fraction(80),
        first_pq=125,
    )
    by_hand = {
        "worker_efficiency": 7 / 8, "allocation_ratio": 1.5, "throughput_rate": 50.0, "production_process_ratio": 0.5,
        "actual_to_planned_scrap": 1.25, "first_pass_yield": 0.9, "rework_ratio": 0.02, "fall_off_ratio": 0.04,
        "comprehensive_energy": 30.0, "inventory_turns": 3.0, "finished_goods_ratio": 0.88,
        "integrated_goods_ratio": 0.9, "production_loss_ratio": 0.06, "storage_transport_loss_ratio": 0.03,
        "other_loss_ratio": 0.01, "equipment_load_ratio": 1.25, "corrective_maintenance_ratio": 0.25,
    }  # fmt: skip
    assert {key: value(found, key) for key in by_hand} == by_hand
    kept = {"worker_efficiency", "allocation_ratio", "first_pass_yield", "comprehensive_energy", "inventory_turns"}
    assert all(value(found, key, tier=0) is not None for key in kept), "they do not come from the machine"


def test_capability() -> None:
    """Two groups of two, limits 0 and 10: s = √(1/3 · Σ(x − x̄)²), σ̂ = mean of the groups' s over c₄(2) = √(2/π)."""
    samples = Samples(Fraction(0), Fraction(10), ((Fraction(4), Fraction(6)), (Fraction(5), Fraction(9))))
    found = replace(elements(VORNE), samples=samples)
    s = sqrt(14 / 3)
    sigma = (sqrt(2) + sqrt(8)) / 2 / sqrt(2 / 3.141592653589793)
    assert value(found, "cm") == pytest.approx(10 / (6 * s))
    assert value(found, "cmk") == pytest.approx(4 / (3 * s))
    assert value(found, "cp") == pytest.approx(10 / (6 * sigma))
    assert value(found, "cpk") == pytest.approx(4 / (3 * sigma))
    outside = replace(samples, usl=Fraction(5))
    assert (value(replace(found, samples=outside), "cmk") or 0) < 0


def test_capability_without_spread() -> None:
    """One value, or all values equal, have no capability index; groups of unequal size are refused."""
    for groups in ((), ((Fraction(1),),), ((Fraction(1), Fraction(1)),)):
        found = replace(elements(VORNE), samples=Samples(Fraction(0), Fraction(10), groups))
        assert {why(found, key) for key in ("cm", "cmk", "cp", "cpk")} == {Why.NO_SPREAD}
    uneven = Samples(Fraction(0), Fraction(1), ((Fraction(1), Fraction(2)), (Fraction(1),)))
    with pytest.raises(ValueError, match="one size"):
        _ = uneven.within


# ---- zero, empty, never capped ---------------------------------------------------------------------------------------


def test_zero_and_nothing_are_different() -> None:
    """A dead shift has an OEE of zero and no effectiveness; a Sunday has no OEE; each empty figure says why."""
    dead = elements(ledger(breakdown=480 * MINUTE))
    assert (value(dead, "oee"), value(dead, "availability"), value(dead, "technical_efficiency")) == (0.0, 0.0, 0.0)
    assert (why(dead, "effectiveness"), why(dead, "nee")) == (Why.NOTHING_RAN, Why.NOTHING_RAN)
    assert (why(dead, "quality_ratio"), why(dead, "scrap_ratio")) == (Why.NO_OUTPUT, Why.NO_OUTPUT)
    sunday = elements(ledger(not_scheduled=1440 * MINUTE))
    assert (why(sunday, "oee"), why(sunday, "nee")) == (Why.NOTHING_PLANNED, Why.NOTHING_PLANNED)
    assert sunday.pot_ns == 0


def test_nothing_is_capped() -> None:
    """A planned cycle that is too slow shows as effectiveness above 1."""
    assert value(elements(ledger(run=30, nrt_ns=40, fpt_ns=40)), "effectiveness") == 40 / 30


def test_no_failure_is_no_mtbf() -> None:
    """Neither zero nor infinity; and a repair that goes on has no length yet."""
    found = elements(VORNE)
    assert {why(found, key) for key in ("mtbf", "mttf", "mttr")} == {Why.NEEDS_FAILURES}
    none = replace(found, failures=FailureSums())
    assert {why(none, key) for key in ("mtbf", "mttf", "mttr")} == {Why.NO_FAILURE}
    still_down = replace(found, failures=FailureSums(fe=1, tbf_ns=60 * S, ttf_ns=60 * S))
    assert (value(still_down, "mtbf"), why(still_down, "mttr")) == (60.0, Why.NO_RESTORATION)


def test_quality_is_counted_or_not() -> None:
    """Without a good or reject counter OEE stands, with its flag, but no quality figure; with one there is one, even
    where nothing but counters is read.
    """
    assumed = elements(ledger(run=100, nrt_ns=90, fpt_ns=90, tc=9, gc=9, flags=int(Flag.QUALITY_ASSUMED)))
    assert value(assumed, "oee", tier=0) == 0.9
    assert why(assumed, "quality_ratio", tier=0) == Why.NO_REJECT_COUNTER
    assert why(assumed, "scrap_ratio", tier=4) == Why.NO_REJECT_COUNTER
    means = of_tier(0) | {Capability.QUALITY}
    assert all_figures(elements(VORNE), means)["quality_ratio"].value == 18848 / 19271


def test_tiers_are_not_exceeded() -> None:
    """A machine with nothing but a counter has OEE, throughput and load; the rest says what is missing."""
    by_counter = {kpi.key for kpi in KPIS if value(replace(elements(VORNE), epc=Fraction(9)), kpi.key, 0) is not None}
    assert by_counter == {"oee", "throughput_rate", "equipment_load_ratio"}
    found = all_figures(elements(VORNE), of_tier(0))
    assert found["availability"].why_null == found["technical_efficiency"].why_null == Why.NEEDS_TIER_1
    found = all_figures(elements(VORNE), of_tier(2))
    missing = (found["allocation_efficiency"].why_null, found["nee"].why_null, found["mtbf"].why_null)
    assert missing == (Why.NEEDS_IDLE, Why.NEEDS_SETUP, Why.NEEDS_FAILURES)
    assert all_figures(elements(VORNE), of_tier(1))["mtbf"].why_null == Why.NEEDS_TIER_2
    with pytest.raises(ValueError, match="tier"):
        all_figures(elements(VORNE), of_tier(5))


# ---- choices said aloud ----------------------------------------------------------------------------------------------


def test_minor_stops_both_ways() -> None:
    """In performance, or as the standard prints it in delay: availability and effectiveness change, OEE does not."""
    job = elements(
        ledger(run=90 * MINUTE, breakdown=10 * MINUTE, nrt_ns=60 * MINUTE, fpt_ns=60 * MINUTE, small_ns=30 * MINUTE)
    )
    printed = minor_stops_as_delay(job)
    assert (value(job, "availability"), value(job, "effectiveness")) == (0.9, 60 / 90)
    assert (value(printed, "availability"), value(printed, "effectiveness")) == (0.6, 1.0)
    assert value(job, "oee") == value(printed, "oee") == 0.6
    assert minor_stops_as_delay(printed) == printed


def test_people_orders_and_the_unseen_are_no_delay() -> None:
    """Maintenance, manual mode, no order, unobserved time and reported planned stops are ADOT; waiting is ADET."""
    found = elements(
        ledger(
            run=10, setup=1, startup=2, breakdown=3, internal_minor=4, external_starved=5, external_blocked=6,
            unassigned=7, no_order=8, maintenance=9, manual=11, unknown=12, planned_stop=20, not_scheduled=30,
            unscheduled_run_ns=0, ppt_ns=83,
        )
    )  # fmt: skip
    assert (found.apt_ns, found.aust_ns, found.adet_ns) == (10, 3, 25)
    assert found.adot_ns == 8 + 9 + 11 + 12 + 5, "5 of 20 planned stop were reported by the machine in planned time"
    assert (found.pdot_ns, found.pot_ns) == (15, 98)


def test_sums_that_do_not_close_have_no_figures() -> None:
    """A damaged row is refused, not divided."""
    for broken in (
        replace(VORNE, all_ns=VORNE.all_ns + 1),
        replace(VORNE, rt_ns=VORNE.rt_ns - 1),
        replace(VORNE, ppt_ns=VORNE.ppt_ns - 1),
        replace(VORNE, ppt_ns=VORNE.all_ns + 1),
    ):
        with pytest.raises(ValueError, match="do not close"):
            elements(broken)


@pytest.mark.parametrize("case", sorted(STORIES.glob("*/case.yaml")), ids=lambda path: path.parent.name)
def test_what_the_kernel_books_closes(case: Path) -> None:
    """Every worked story of the ledger has its elements: breaks worked through, overtime, silence, manual mode."""
    found = elements(tell(MachineLedger, yaml.safe_load(case.read_text())).sums)
    assert found.pbt_ns == found.adot_ns + found.adet_ns + found.aust_ns + found.apt_ns


# ---- for any ledger --------------------------------------------------------------------------------------------------

ns = st.integers(0, 10**16)


@st.composite
def ledgers(draw: st.DrawFn) -> Sums:
    """Anything the kernel could have booked: every bucket, overtime, breaks worked through, reported planned stops."""
    made = Sums(stop_ns=draw(st.lists(ns, min_size=N_BUCKETS, max_size=N_BUCKETS)))
    made.all_ns = sum(made.stop_ns)
    made.unscheduled_run_ns = draw(st.integers(0, made.stop_ns[Bucket.RUN]))
    made.rt_ns = made.stop_ns[Bucket.RUN] - made.unscheduled_run_ns
    made.unknown_ns = made.stop_ns[Bucket.UNKNOWN]
    calendar = {Bucket.RUN, Bucket.PLANNED_STOP, Bucket.NOT_SCHEDULED}
    machine_ns = sum(made.stop_ns[bucket] for bucket in Bucket if bucket not in calendar)
    reported_ns = draw(st.integers(0, made.stop_ns[Bucket.PLANNED_STOP]))
    made.ppt_ns = made.rt_ns + machine_ns + reported_ns
    made.nrt_ns, made.small_ns = draw(ns), draw(ns)
    made.fpt_ns = draw(st.integers(0, made.nrt_ns))
    made.tc = draw(st.integers(0, 10**9))
    made.gc = draw(st.integers(0, made.tc))
    made.sc = made.tc - made.gc
    return made


@given(ledgers())
def test_the_time_model_closes(sums: Sums) -> None:
    """To the nanosecond, in both views of minor stops, and on our own lines."""
    found = elements(sums)
    for view in (found, minor_stops_as_delay(found)):
        assert view.pot_ns == view.pdot_ns + view.pbt_ns
        assert view.pbt_ns == view.aubt_ns + view.adot_ns
        assert view.aubt_ns == view.aupt_ns + view.adet_ns
        assert view.aupt_ns == view.apt_ns + view.aust_ns
        assert min(view.pdot_ns, view.adot_ns, view.adet_ns, view.aust_ns, view.apt_ns) >= 0
    assert (found.pbt_ns, found.apt_ns) == (sums.ppt_ns, sums.rt_ns)
    assert found.pot_ns == figures.operating_ns(sums)
    assert Leaf.OUTSIDE not in {lies.inside for lies in TIME_ELEMENTS.values()}


@given(ledgers())
def test_one_figure_wherever_it_is_shown(sums: Sums) -> None:
    """The table and the figures of the live page are the same numbers."""
    found = all_figures(elements(sums), of_tier(4))
    for key, function in {
        "oee": figures.oee, "nee": figures.nee, "availability": figures.availability,
        "effectiveness": figures.performance, "setup_ratio": figures.setup_ratio,
        "technical_efficiency": figures.technical_efficiency, "scrap_ratio": figures.scrap_ratio,
        "quality_ratio": figures.piece_yield,
    }.items():  # fmt: skip
        assert found[key].value == function(sums), key


@given(ledgers(), st.integers(0, 4), st.booleans())
def test_every_figure_is_finite_or_says_why(sums: Sums, tier: int, printed: bool) -> None:
    """Never NaN, never infinite, never empty without a reason, and the value is the division it shows."""
    found = elements(sums)
    for each in all_figures(minor_stops_as_delay(found) if printed else found, of_tier(tier)).values():
        assert (each.value is None) == (each.why_null is not None)
        if each.value is not None:
            assert isfinite(each.value)
            assert each.numerator is not None
            assert each.denominator


@given(ledgers(), st.integers(1, 10**10))
def test_oee_of_one_product_is_the_product_of_its_factors(sums: Sums, pri_ns: int) -> None:
    """Exactly, in fractions: availability · effectiveness · quality ratio = OEE index."""
    sums.nrt_ns, sums.fpt_ns = sums.tc * pri_ns, sums.gc * pri_ns
    found = all_figures(elements(sums), of_tier(4))
    factors = [found[key] for key in ("availability", "effectiveness", "quality_ratio")]
    if all(factor.value is not None for factor in factors):
        product = Fraction(1)
        for factor in factors:
            product *= Fraction(factor.numerator or 0) / Fraction(factor.denominator or 1)
        oee = found["oee"]
        assert product == Fraction(oee.numerator or 0) / Fraction(oee.denominator or 1)
