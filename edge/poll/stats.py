"""What a poller counts about its device: cheap integers on the hot path, read by metrics and the page.

Counters only ever grow; whoever wants a rate or a mean over an interval takes two copies and subtracts. Lateness (how
long after its due time a request really started) is kept in a fixed histogram, because a mean hides exactly the stalls
one looks for, and a histogram needs neither memory nor sorting.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field

# Upper bounds of the buckets, ns: 1-2-5 steps from 100 us to 50 s. What is later falls into one last, open bucket.
BOUNDS_NS: tuple[int, ...] = tuple(step * 10**power for power in range(5, 11) for step in (1, 2, 5))


@dataclass(slots=True)
class Histogram:
    """Counts of durations in fixed 1-2-5 buckets."""

    counts: array[int] = field(default_factory=lambda: array("Q", bytes(8 * (len(BOUNDS_NS) + 1))))
    total: int = 0
    maximum_ns: int = 0

    def add(self, duration_ns: int) -> None:
        """One observation; below zero counts as zero (a timer that fired early)."""
        self.counts[bisect_left(BOUNDS_NS, duration_ns)] += 1
        self.total += 1
        if duration_ns > self.maximum_ns:
            self.maximum_ns = duration_ns

    def quantile_ns(self, share: float) -> int | None:
        """Upper bound of the bucket in which `share` (0 … 1) of the observations is reached; None without any."""
        if not self.total:
            return None
        seen = 0
        for bound, count in zip(BOUNDS_NS, self.counts, strict=False):
            seen += count
            if seen >= share * self.total:
                return min(bound, self.maximum_ns)
        return self.maximum_ns


@dataclass(slots=True)
class PollStats:
    """Counters of one device since the poller was made."""

    requests: int = 0  # sent
    replies: int = 0  # answered in time, exception replies included
    exceptions: int = 0  # refusals by the device
    timeouts: int = 0  # deadlines missed
    reconnects: int = 0  # connections made, the first included
    failed_connects: int = 0
    retries: int = 0  # requests asked again in their round
    skipped: int = 0  # due times that passed while the device was still busy
    refused: tuple[int, ...] = ()  # image indices of tags the device refuses
    max_registers: int | None = None  # per request, where it turned out to take fewer than asked for
    certificate_ends_ns: int | None = None  # OPC UA: of the server's certificate in use, UTC
    own_certificate_ends_ns: int | None = None  # OPC UA: of ours
    depth: int | None = None  # requests at a time, where it turned out to take fewer than configured
    busy_ns: int = 0  # time in which answers were waited for, over all requests
    latency_sum_ns: int = 0  # over `replies`
    latency_last_ns: int = 0
    lateness: Histogram = field(default_factory=Histogram)

    def replied(self, latency_ns: int) -> None:
        """One reply came back."""
        self.replies += 1
        self.latency_sum_ns += latency_ns
        self.latency_last_ns = latency_ns

    @property
    def latency_mean_ms(self) -> float | None:
        """Mean time from request to reply, ms; None before the first reply."""
        return self.latency_sum_ns / self.replies / 1e6 if self.replies else None

    @property
    def lateness_p50_ms(self) -> float | None:
        """Half of the requests started at most this long after they were due, ms."""
        quantile_ns = self.lateness.quantile_ns(0.50)
        return None if quantile_ns is None else quantile_ns / 1e6

    @property
    def lateness_p99_ms(self) -> float | None:
        """99 of 100 requests started at most this long after they were due, ms."""
        quantile_ns = self.lateness.quantile_ns(0.99)
        return None if quantile_ns is None else quantile_ns / 1e6


@dataclass(slots=True)
class LinkStats:
    """Counters of one connection, whoever is on it."""

    up: bool = False  # somebody answers
    connections: int = 0  # made so far
    busy_ns: int = 0  # time in which at least one request was under way
