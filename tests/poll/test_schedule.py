"""Due times stand on a grid, nothing is caught up in bursts, and nobody is asked beyond his budget."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge.poll.schedule import GRAIN_NS, Backoff, Budget, next_due, phase_ns

S, MS = 1_000_000_000, 1_000_000


def test_due_again_on_the_grid():
    """After a first round at any time, due times are multiples of the interval, moved by the phase."""
    assert next_due(10 * S + 7, 10 * S + 9, S, 0) == (11 * S, 0)
    assert next_due(11 * S, 11 * S, S, 0) == (12 * S, 0)
    assert next_due(11 * S, 11 * S, 5 * S, 2 * S) == (12 * S, 0)


def test_overrun_is_skipped_and_counted():
    """Three and a half intervals late: three due times are missed, the next one is the next on the grid."""
    assert next_due(10 * S, 13 * S + S // 2, S, 0) == (14 * S, 3)


@given(st.integers(1, 10), st.integers(0, 9), st.integers(0, 50), st.integers(-5, 50))
def test_grid_and_no_bursts(interval, phase, due, late):
    """Every due time lies on its grid, after the moment it was set, and misses add up."""
    now = due + late
    again, missed = next_due(due, now, interval, phase)
    assert again > max(due, now)
    assert (again - phase) % interval == 0
    assert missed == sum(1 for t in range(due + 1, now + 1) if (t - phase) % interval == 0)


def test_phase_spreads_devices_over_utc():
    """Device 0 stands on whole intervals of UTC; others are spread over it, wherever the monotonic clock began."""
    offset = 1_700_000_000_123_456_789
    assert (phase_ns(0, S, offset) + offset) % S == 0
    shares = sorted((phase_ns(d, S, offset) + offset) % S for d in range(50))
    assert max(b - a for a, b in pairwise(shares)) < S // 20


def test_budget():
    """Pause after a reply, and spacing of starts; whichever is longer."""
    budget = Budget(pause_ns=10 * MS, requests_per_s=10)
    assert budget.free_ns() == 0
    budget.start(0)
    assert budget.free_ns() is None  # an answer will tell
    budget.end(0, 50 * MS)
    assert budget.free_ns() == 100 * MS  # between starts
    budget.start(100 * MS)
    budget.end(100 * MS, 195 * MS)
    assert budget.free_ns() == 205 * MS


def test_a_spacing_finer_than_a_grain():
    """1000 requests a second are ten at once and then none before the ten milliseconds they stand for are over."""
    budget, now_ns = Budget(pause_ns=0, requests_per_s=1000), 7 * S
    for _ in range(2):
        began_ns = now_ns
        for _ in range(10):
            assert (budget.free_ns() or 0) <= now_ns
            budget.start(now_ns)
            now_ns += 1000
            budget.end(now_ns - 1000, now_ns)
        assert budget.free_ns() == began_ns + 10 * MS
        now_ns = began_ns + 10 * MS


@given(
    st.floats(0.5, 1000),
    st.lists(st.tuples(st.integers(0, 20 * MS), st.integers(0, 5 * MS)), min_size=2, max_size=60),
)
def test_no_more_than_the_rate_and_one_grain(rate, waits):
    """Between any two starts lie no more requests than the rate allows for that time and one grain, whenever whoever
    asks was ready; and up to a hundred a second each keeps its distance.
    """
    budget, now_ns, starts = Budget(pause_ns=0, requests_per_s=rate), S, []
    for idle_ns, took_ns in waits:
        now_ns = max(now_ns + idle_ns, budget.free_ns() or 0)
        starts.append(now_ns)
        budget.start(now_ns)
        now_ns += took_ns
        budget.end(starts[-1], now_ns)
    spacing_ns = int(1e9 / rate)
    for first, begin_ns in enumerate(starts):
        for last in range(first + 1, len(starts)):
            assert (last - first) * spacing_ns <= starts[last] - begin_ns + max(0, GRAIN_NS - spacing_ns) + spacing_ns
    if spacing_ns >= GRAIN_NS:
        assert all(b - a >= spacing_ns for a, b in pairwise(starts))


def test_lanes_and_occupancy():
    """A device of depth 2 takes two at a time; one that may be busy a quarter of its time rests three times as long."""
    budget = Budget(pause_ns=0, requests_per_s=0, depth=2, occupancy=0.25)
    budget.start(0)
    assert budget.free_ns() == 0
    budget.start(5)
    assert budget.free_ns() is None
    budget.end(0, 10)
    assert budget.free_ns() == 40


def test_a_busy_device_is_held_back():
    """Nothing goes out before the time it asked for."""
    budget = Budget(pause_ns=0, requests_per_s=0)
    budget.hold(70)
    assert budget.free_ns() == 70


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
