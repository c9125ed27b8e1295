"""When a publish was true: delays are taken out, lies about the time are not taken in."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge.poll.publish_time import DELAY_LIMIT_NS, PublishTime
from protocols.opcua.items import Batch

MS = 1_000_000
S = 1000 * MS
T0 = 1_800_000_000 * S


def publish(sent_ns: int, source_ns: int = 0) -> Batch:
    """One value of one tag, stamped by the server."""
    return Batch([0], [1], [0], [source_ns], [0], sent_ns, complete=True)


def test_delays_are_taken_out():
    """Publishes half a second apart keep their distance, whatever the way added, whatever the server's clock says."""
    times, hour = PublishTime(), 3600 * S
    delays = [1 * MS, 400 * MS, 2 * MS, 499 * MS, 1 * MS]
    given_ns = [
        times.of([publish(T0 + hour + k * 500 * MS)], T0 + k * 500 * MS + delay)[0] for k, delay in enumerate(delays)
    ]
    steps = [b - a for a, b in pairwise(given_ns)]
    assert all(abs(step - 500 * MS) < 2 * MS for step in steps), steps


def test_two_publishes_read_at_once_keep_their_distance():
    """A busy gateway reads two publishes in one wake-up."""
    times = PublishTime()
    times.of([publish(T0)], T0 + MS)
    first, second = times.of([publish(T0 + 500 * MS), publish(T0 + 1000 * MS)], T0 + 1001 * MS)
    assert abs(second - first - 500 * MS) < MS


def test_several_samples_of_one_publish_are_told_apart_by_their_source():
    """Two values of one item in one publish were sampled one after the other."""
    times = PublishTime()
    times.of([publish(T0)], T0)
    first, second = times.of([publish(T0 + S, 7 * S), publish(T0 + S, 7 * S + 250 * MS)], T0 + S)
    assert (first, second) == (T0 + 750 * MS, T0 + S)


def test_a_stepped_or_missing_stamp_means_arrival():
    """A server whose clock is set back by an hour, and one that stamps nothing, are taken at arrival."""
    times = PublishTime()
    times.of([publish(T0)], T0)
    assert times.of([publish(T0 + S - 3600 * S)], T0 + S) == [T0 + S]
    assert times.of([publish(0)], T0 + 2 * S) == [T0 + 2 * S]


stamps = st.lists(
    st.tuples(st.integers(0, 3 * S), st.integers(-10 * S, 10 * S), st.integers(0, 5 * S)), min_size=1, max_size=40
)


@given(stamps)
def test_never_later_than_arrival_and_never_back(series):
    """Whatever a server stamps, time here goes forward, and not ahead of us."""
    times, arrival_ns, before = PublishTime(), T0, 0
    for step_ns, stamp_ns, source_ns in series:
        arrival_ns += step_ns
        (t_ns,) = times.of([publish(max(0, arrival_ns + stamp_ns), source_ns)], arrival_ns)
        assert before <= t_ns <= arrival_ns
        assert t_ns >= arrival_ns - 2 * DELAY_LIMIT_NS
        before = t_ns
