"""Due times stand on a grid, nothing is caught up in bursts, and nobody is asked beyond his budget."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.poll.schedule import Backoff, Budget, Schedule, phase_ns

S = 1_000_000_000


def test_first_round_is_due_at_once_then_on_the_grid():
    """Values are wanted now; afterwards on multiples of the interval."""
    schedule = Schedule([S, 5 * S], [0, 0], now_ns=10 * S + 7)
    assert schedule.first() == (10 * S + 7, 0)
    assert schedule.done(10 * S + 9) == 0
    assert schedule.first() == (10 * S + 7, 1)
    schedule.done(10 * S + 9)
    assert schedule.first() == (11 * S, 0)
    schedule.done(11 * S)
    assert schedule.first() == (12 * S, 0)


def test_overrun_is_skipped_and_counted():
    """Three and a half intervals late: three due times are missed, the next one is the next on the grid."""
    schedule = Schedule([S], [0], now_ns=10 * S)
    assert schedule.done(13 * S + S // 2) == 3
    assert schedule.first() == (14 * S, 0)


def test_slow_requests_do_not_starve_others():
    """The request whose due time is oldest goes first."""
    schedule = Schedule([S, S], [0, 0], now_ns=0)
    order = []
    for now_ns in range(0, 20 * S, 3 * S):  # every request takes three intervals
        order.append(schedule.first()[1])
        schedule.done(now_ns)
    assert order.count(0) - order.count(1) in (0, 1)


@given(
    st.lists(st.tuples(st.integers(1, 10), st.integers(0, 9)), min_size=1, max_size=5),
    st.lists(st.integers(0, 30), min_size=1, max_size=60),
)
def test_grid_and_no_bursts(grid, steps):
    """Every due time after the first round lies on its grid, after the moment it was set, and misses add up."""
    schedule = Schedule([i for i, _ in grid], [p for _, p in grid], now_ns=0)
    now, last = 0, {}
    for step in steps:
        due, index = schedule.first()
        interval, phase = grid[index]
        if index in last:
            assert due > last[index]
            assert (due - phase) % interval == 0
        now = max(now, due) + step
        missed = schedule.done(now)
        assert missed == sum(1 for t in range(due + 1, now + 1) if (t - phase) % interval == 0)
        last[index] = now


def test_phase_spreads_devices_over_utc():
    """Device 0 stands on whole intervals of UTC; others are spread over it, wherever the monotonic clock began."""
    offset = 1_700_000_000_123_456_789
    assert (phase_ns(0, S, offset) + offset) % S == 0
    shares = sorted((phase_ns(d, S, offset) + offset) % S for d in range(50))
    assert max(b - a for a, b in pairwise(shares)) < S // 20


def test_schedule_refuses_nonsense():
    """No request, or an interval of nothing."""
    for intervals in ([], [0]):
        with pytest.raises(ValueError):
            Schedule(intervals, [0] * len(intervals), 0)


def test_budget():
    """Pause after a reply, and spacing of starts; whichever is longer."""
    budget = Budget.of(pause_ns=10, requests_per_s=10_000_000)
    assert budget.wait_ns(0) == 0
    budget.spent(start_ns=0, end_ns=50)
    assert budget.wait_ns(50) == 50  # 100 ns between starts
    budget.spent(start_ns=100, end_ns=195)
    assert budget.wait_ns(195) == 10


def test_backoff_grows_to_its_cap_and_starts_over():
    """0.5, 1, 2 … 30 s for the dead, at most 2 s where the host is there; under a second for the first."""
    backoff = Backoff(random.Random(1))
    pauses = [backoff.next_s(refused=False) for _ in range(20)]
    assert pauses[0] <= 0.5
    assert all(0.75 * 30 <= p <= 30 for p in pauses[6:])
    backoff.reset()
    assert all(backoff.next_s(refused=True) <= 2 for _ in range(20))
    backoff.reset()
    assert backoff.next_s(refused=False) <= 0.5
