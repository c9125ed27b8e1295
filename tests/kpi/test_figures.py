"""Figures from sums: published examples, undefined and zero kept apart, nothing capped, nothing averaged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.kpi import figures
from edge.kpi.row import Sums
from edge.kpi.target import efficiency, takt_ns, target_count
from ext.buckets import N_BUCKETS, Bucket, Flag

S = 1_000_000_000
MINUTE = 60 * S


def sums(**numbers: Any) -> Sums:
    """Sums with stops by name, in ns."""
    stops = {Bucket[name.upper()]: numbers.pop(name) for name in list(numbers) if name.upper() in Bucket.__members__}
    made = Sums(**numbers)
    for bucket, stop_ns in stops.items():
        made.stop_ns[bucket] = stop_ns
    made.all_ns = made.all_ns or sum(made.stop_ns)
    return made


VORNE = sums(
    run=373 * MINUTE,
    breakdown=47 * MINUTE,
    planned_stop=60 * MINUTE,
    ppt_ns=420 * MINUTE,
    rt_ns=373 * MINUTE,
    nrt_ns=19271 * S,
    fpt_ns=18848 * S,
    tc=19271,
    gc=18848,
    sc=423,
)


def test_published_worked_example() -> None:
    """The example OEE is taught with (Vorne: 480 min shift, 60 min breaks, 47 min down, 60/min, 19271 pieces, 423
    bad).
    """
    found = [round(f(VORNE) or 0, 6) for f in (figures.availability, figures.performance, figures.quality)]
    assert found == [0.888095, 0.861081, 0.978050]
    assert round(figures.oee(VORNE) or 0, 6) == 0.747937
    assert round(figures.teep(VORNE) or 0, 6) == 0.654444
    assert figures.ooe(VORNE) == figures.teep(VORNE), "all of the calendar is shift here"
    assert figures.scrap_ratio(VORNE) == 423 / 19271
    assert figures.technical_efficiency(VORNE) == 373 / 420


def test_sum_first_divide_last() -> None:
    """100 h at 80 % and 300 h at 45 % are 53.75 %, not the mean 62.5 %."""
    month = sums(ppt_ns=100, fpt_ns=80).add(sums(ppt_ns=300, fpt_ns=135))
    assert figures.oee(month) == 0.5375


def test_mixed_cycles_are_weighed_by_time() -> None:
    """90 good pieces of 0.1 s and 9 bad ones of 10 s in 100 s: nine percent, though nine tenths of the pieces are
    good.
    """
    mixed = sums(ppt_ns=100 * S, rt_ns=100 * S, nrt_ns=99 * S, fpt_ns=9 * S, tc=99, gc=90, sc=9)
    assert figures.oee(mixed) == 0.09
    assert figures.quality(mixed) == 9 / 99
    assert figures.piece_yield(mixed) == 90 / 99


def test_a_dead_shift_is_zero_and_an_unplanned_day_is_nothing() -> None:
    """0 is measured, None is undefined: a dead shift has an OEE, a Sunday has none."""
    dead = sums(breakdown=480 * MINUTE, ppt_ns=480 * MINUTE)
    assert (figures.oee(dead), figures.availability(dead), figures.coverage(dead)) == (0.0, 0.0, 1.0)
    assert (figures.performance(dead), figures.quality(dead), figures.nee(dead)) == (None, None, None)
    sunday = sums(not_scheduled=1440 * MINUTE)
    assert figures.oee(sunday) is figures.availability(sunday) is figures.coverage(sunday) is None
    assert figures.availability_bounds(sunday) is None
    assert figures.ooe(sunday) is None
    assert (figures.teep(sunday), figures.utilisation(sunday)) == (0.0, 0.0)


def test_running_without_output_has_a_performance_of_zero() -> None:
    """It ran and made nothing: performance is a measured zero, quality does not exist."""
    idle = sums(run=60 * S, ppt_ns=60 * S, rt_ns=60 * S)
    assert (figures.performance(idle), figures.quality(idle)) == (0.0, None)


def test_nothing_is_capped() -> None:
    """Pieces faster than the ideal show as they are, and after half an hour the ideal cycle is suspect."""
    fast = sums(run=31 * MINUTE, ppt_ns=31 * MINUTE, rt_ns=31 * MINUTE, nrt_ns=40 * MINUTE, fpt_ns=40 * MINUTE)
    assert figures.performance(fast) == 40 / 31
    assert figures.oee(fast) == 40 / 31
    assert figures.doubts(fast) == Flag.ICT_SUSPECT
    assert figures.losses(fast).performance_ns == -9 * MINUTE


def test_recovered_pieces_do_not_accuse_the_ideal_cycle() -> None:
    """Pieces counted across unobserved time have no run time of their own; performance has bounds, as availability
    has.
    """
    gap = sums(
        run=30 * MINUTE, unknown=30 * MINUTE, ppt_ns=60 * MINUTE, rt_ns=30 * MINUTE, unknown_ns=30 * MINUTE,
        nrt_ns=60 * MINUTE, fpt_ns=60 * MINUTE,
    )  # fmt: skip
    assert figures.performance_bounds(gap) == (1.0, 2.0)
    assert figures.availability_bounds(gap) == (0.5, 1.0)
    assert figures.doubts(gap) == Flag.COVERAGE_LOW


@pytest.mark.parametrize(("unknown", "low"), [(5, False), (6, True)])
def test_coverage_is_low_below_95_percent(unknown: int, low: bool) -> None:
    """Exactly 95 % is enough."""
    assert bool(figures.doubts(sums(ppt_ns=100, unknown_ns=unknown)) & Flag.COVERAGE_LOW) is low


def test_flags_of_events_stay_and_those_of_the_window_are_judged_anew() -> None:
    """A minute without coverage does not make its day one, a reset in a minute does."""
    day = sums(ppt_ns=1000, unknown_ns=10, flags=int(Flag.COVERAGE_LOW | Flag.RESET))
    assert figures.doubts(day) == Flag.RESET


def test_setup_is_no_loss_of_nee() -> None:
    """NEE counts setup as used time, OEE as a loss."""
    job = sums(run=60, setup=40, ppt_ns=100, rt_ns=60, nrt_ns=60, fpt_ns=30)
    assert figures.nee(job) == 0.5
    assert figures.oee(job) == 0.3
    assert figures.setup_ratio(job) == 0.4


def test_overtime_counts_for_teep_only() -> None:
    """Made outside shifts: in TEEP, neither in OEE nor in OOE."""
    overtime = sums(
        run=20, not_scheduled=80, ppt_ns=10, rt_ns=10, fpt_ns=10, unscheduled_run_ns=10, unscheduled_fpt_ns=10
    )
    assert (figures.oee(overtime), figures.ooe(overtime), figures.teep(overtime)) == (1.0, 1.0, 0.2)


numbers = st.integers(0, 10**15)


@given(st.lists(numbers, min_size=N_BUCKETS, max_size=N_BUCKETS), numbers, numbers, numbers, numbers, numbers)
def test_the_waterfall_closes(stops: list[int], ppt: int, rt: int, nrt: int, fpt: int, small: int) -> None:
    """Whatever the sums, calendar time is the losses and what is left, to the nanosecond; figures are finite or
    None.
    """
    anything = Sums(all_ns=sum(stops), stop_ns=stops, ppt_ns=ppt, rt_ns=rt, nrt_ns=nrt, fpt_ns=fpt, small_ns=small)
    down = figures.losses(anything)
    steps = down.schedule_ns + down.availability_ns + down.performance_ns + down.quality_ns
    assert steps + down.fpt_ns == anything.all_ns
    assert down.residual_ns + down.slow_ns + down.small_ns == down.performance_ns
    for figure in (figures.oee, figures.ooe, figures.teep, figures.nee, figures.performance, figures.quality):
        value = figure(anything)
        assert value is None or value == value


# ---- targets ---------------------------------------------------------------------------------------------------------


def test_target_follows_planned_time() -> None:
    """An hour of planned time at 2 s and 85 %: 1530 pieces. It grows with planned time only, so it rests in a break."""
    assert target_count([(3600 * S, 2 * S)], 0.85) == 1530
    assert target_count([(3600 * S, 2 * S), (600 * S, 10 * S)], 0.5) == 930
    assert target_count([], 0.85) == 0


def test_efficiency_against_the_target() -> None:
    """Good pieces over expected ones; before anything is expected there is no efficiency."""
    assert efficiency(765, 1530) == 0.5
    assert efficiency(3, 0) is None


def test_takt() -> None:
    """Available time over demand."""
    assert takt_ns(480 * MINUTE, 960) == 30 * S
    assert takt_ns(480 * MINUTE, 0) is None


@pytest.mark.parametrize("wish", [0.0, -0.1, 1.01, float("nan")])
def test_impossible_targets_are_refused(wish: float) -> None:
    """A target above 100 % is a wish, not a plan."""
    with pytest.raises(ValueError, match="OEE target"):
        target_count([(S, S)], wish)
