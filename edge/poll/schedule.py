"""When to ask: due times, budgets, backoff. Pure arithmetic on nanoseconds of the monotonic clock; nothing here waits.

Theory. A request with interval I is due at phase + k * I. Phases are laid so that due times are multiples of I in UTC,
moved by a share of I that differs from device to device: samples stand on a grid that charts can line up, and a gateway
with fifty devices does not ask all of them in the same millisecond. The golden ratio spreads any number of devices
evenly.

Rules.
* After an overrun the next due time is the next one on the grid: what was missed is counted and skipped, never caught
  up in a burst, because a PLC that was too slow once would be asked even faster then.
* The first round is due at once: after (re)connecting, values are wanted now.
* Lateness (start less due time) is measured by whoever starts the request.
"""

from __future__ import annotations

import random
from heapq import heappop, heappush

_GOLDEN = 618_033_989  # of a billion
GRAIN_NS = 10_000_000  # a PLC takes its mail once a scan, some 10 ms: a spacing of starts below that it cannot see


def phase_ns(device: int, interval_ns: int, utc_minus_monotonic_ns: int) -> int:
    """Phase, on the monotonic clock, of the due times of `device`: a multiple of the interval in UTC plus its share."""
    share_ns = (device * _GOLDEN % 1_000_000_000) * interval_ns // 1_000_000_000
    return (share_ns - utc_minus_monotonic_ns) % interval_ns


def next_due(due_ns: int, now_ns: int, interval_ns: int, phase: int) -> tuple[int, int]:
    """What was due at `due_ns` is over at `now_ns`: (when it is due again, how many due times it missed)."""
    slot = (max(now_ns, due_ns) - phase) // interval_ns
    return phase + (slot + 1) * interval_ns, slot - (due_ns - phase) // interval_ns


class Budget:
    """What a device can stand: a pause after each reply, so many requests per second, a share of its time.

    A device that takes several requests at once has as many lanes; each rests after its reply, all of them together
    keep the spacing of starts. A spacing below `GRAIN_NS` is kept by the grain: requests of one grain may follow each
    other at once, then none starts before the time of all of them is over. A timer for each would cost more than the
    request and, being as fine as a millisecond, would halve the rate.
    """

    __slots__ = (
        "_ahead_ns",
        "_earned_ns",
        "_idle",
        "_lanes",
        "_next_start_ns",
        "_pause_ns",
        "_rest",
        "_spacing_ns",
        "depth",
    )

    def __init__(self, pause_ns: int, requests_per_s: float, depth: int = 1, occupancy: float = 1.0) -> None:
        self.depth = depth
        self._pause_ns = pause_ns
        self._spacing_ns = int(1e9 / requests_per_s) if requests_per_s > 0 else 0
        self._ahead_ns = max(0, GRAIN_NS - self._spacing_ns)  # how far starts may be ahead of their spacing
        self._rest = 1 / occupancy - 1  # of the time a request took
        self._earned_ns = 0  # when the spacing of all starts so far is over
        self._next_start_ns = 0
        self._lanes = depth  # there are; more than `depth` while some of them still carry one
        self._idle = [0] * depth  # heap: when each lane that carries nothing is free

    def free_ns(self) -> int | None:
        """When the next request may start; None while all lanes carry one: an answer will tell."""
        return max(self._idle[0], self._next_start_ns) if self._idle else None

    def start(self, now_ns: int) -> None:
        """A request goes out."""
        heappop(self._idle)
        if self._spacing_ns:
            self._earned_ns = max(self._earned_ns, now_ns) + self._spacing_ns
            if self._earned_ns > now_ns + self._ahead_ns:
                self._next_start_ns = self._earned_ns

    def end(self, start_ns: int, now_ns: int) -> None:
        """It is over: reply, refusal, deadline or the end of the connection."""
        if self._lanes > self.depth:
            self._lanes -= 1
            return
        pause_ns = self._pause_ns
        if self._rest:
            pause_ns = max(pause_ns, int((now_ns - start_ns) * self._rest))
        heappush(self._idle, now_ns + pause_ns)

    def limit(self, depth: int) -> None:
        """It takes so many at once, as it turned out."""
        self.depth = depth
        while self._lanes > depth and self._idle:
            self._idle.pop()
            self._lanes -= 1
        while self._lanes < depth:
            heappush(self._idle, 0)
            self._lanes += 1

    def hold(self, until_ns: int) -> None:
        """The device asked for time."""
        self._next_start_ns = max(self._next_start_ns, until_ns)


class Backoff:
    """Pauses between attempts to reach a dead device: 0.5, 1, 2, 4 … 30 s, each shortened by up to a quarter at random.

    Where the host is there and refuses (its server restarts), the pause stays at 2 s: a SYN and a RST every two seconds
    cost nobody anything, and the restarted PLC is seen at once. The jitter keeps devices that died together apart.
    """

    FIRST_S = 0.5
    CAP_S = 30.0
    REFUSED_CAP_S = 2.0

    def __init__(self, rng: random.Random | None = None, first_s: float = FIRST_S, cap_s: float = CAP_S) -> None:
        self._rng = rng or random.Random()  # noqa: S311 - spreads attempts, guards nothing
        self._first_s, self._cap_s = first_s, cap_s
        self._failures = 0

    def next_s(self, refused: bool = False) -> float:
        """Another attempt failed: seconds until the next one."""
        pause_s = min(self._first_s * 2.0**self._failures, self.REFUSED_CAP_S if refused else self._cap_s)
        self._failures = min(self._failures + 1, 10)
        return pause_s * self._rng.uniform(0.75, 1.0)

    def reset(self) -> None:
        """The device answered."""
        self._failures = 0
