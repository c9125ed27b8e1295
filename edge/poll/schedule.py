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
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace

_GOLDEN = 618_033_989  # of a billion


def phase_ns(device: int, interval_ns: int, utc_minus_monotonic_ns: int) -> int:
    """Phase, on the monotonic clock, of the due times of `device`: a multiple of the interval in UTC plus its share."""
    share_ns = (device * _GOLDEN % 1_000_000_000) * interval_ns // 1_000_000_000
    return (share_ns - utc_minus_monotonic_ns) % interval_ns


class Schedule:
    """Due times of the requests of one device, earliest first; at equal times in plan order."""

    __slots__ = ("_grid", "_heap")

    def __init__(self, intervals_ns: Sequence[int], phases_ns: Sequence[int], now_ns: int) -> None:
        if not intervals_ns or min(intervals_ns) <= 0:
            raise ValueError("a schedule needs requests with intervals above 0")
        self._grid = tuple(zip(intervals_ns, phases_ns, strict=True))
        self._heap = [(now_ns, index) for index in range(len(intervals_ns))]
        heapify(self._heap)

    def first(self) -> tuple[int, int]:
        """(due time, index) of the request to send next."""
        return self._heap[0]

    def done(self, now_ns: int) -> int:
        """The first request is over at `now_ns` and due again later. Returns how many due times it missed."""
        due_ns, index = self._heap[0]
        interval_ns, phase = self._grid[index]
        slot = (max(now_ns, due_ns) - phase) // interval_ns
        heapreplace(self._heap, (phase + (slot + 1) * interval_ns, index))
        return slot - (due_ns - phase) // interval_ns


@dataclass(slots=True)
class Budget:
    """What a device can stand: a pause after each reply, and so many requests per second."""

    pause_ns: int
    spacing_ns: int  # between the starts of two requests
    _earliest_ns: int = 0

    @classmethod
    def of(cls, pause_ns: int, requests_per_s: float) -> Budget:
        """From the limits of the device."""
        return cls(pause_ns, int(1e9 / requests_per_s) if requests_per_s > 0 else 0)

    def wait_ns(self, now_ns: int) -> int:
        """How long the next request must still wait."""
        return max(0, self._earliest_ns - now_ns)

    def spent(self, start_ns: int, end_ns: int) -> None:
        """A request went out at `start_ns` and was over (reply, refusal, deadline) at `end_ns`."""
        self._earliest_ns = max(start_ns + self.spacing_ns, end_ns + self.pause_ns)


class Backoff:
    """Pauses between attempts to reach a dead device: 0.5, 1, 2, 4 … 30 s, each shortened by up to a quarter at random.

    Where the host is there and refuses (its server restarts), the pause stays at 2 s: a SYN and a RST every two seconds
    cost nobody anything, and the restarted PLC is seen at once. The jitter keeps devices that died together apart.
    """

    FIRST_S = 0.5
    CAP_S = 30.0
    REFUSED_CAP_S = 2.0

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()  # noqa: S311 - spreads attempts, guards nothing
        self._failures = 0

    def next_s(self, refused: bool) -> float:
        """Another attempt failed: seconds until the next one."""
        pause_s = min(self.FIRST_S * 2.0**self._failures, self.REFUSED_CAP_S if refused else self.CAP_S)
        self._failures = min(self._failures + 1, 10)
        return pause_s * self._rng.uniform(0.75, 1.0)

    def reset(self) -> None:
        """The device answered."""
        self._failures = 0
