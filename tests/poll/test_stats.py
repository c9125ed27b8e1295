"""Lateness is kept so that a stall shows."""

from edge.poll.stats import PollStats

MS = 1_000_000


def test_quantiles_show_the_tail():
    """99 punctual requests and two very late ones: the median stays small, the 99th percentile does not."""
    stats = PollStats()
    assert stats.lateness_p99_ms is None
    for _ in range(99):
        stats.lateness.add(MS // 2)
    for _ in range(2):
        stats.lateness.add(700 * MS)
    assert stats.lateness_p50_ms == 0.5
    assert stats.lateness_p99_ms == 700.0


def test_beyond_all_buckets():
    """An hour late is an hour late."""
    stats = PollStats()
    stats.lateness.add(3_600_000 * MS)
    stats.lateness.add(-1)
    assert stats.lateness_p99_ms == 3_600_000.0


def test_latency():
    """Mean over replies; None before the first."""
    stats = PollStats()
    assert stats.latency_mean_ms is None
    stats.replied(2 * MS)
    stats.replied(4 * MS)
    assert stats.latency_mean_ms == 3.0
    assert stats.latency_last_ns == 4 * MS
