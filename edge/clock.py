"""The only module that reads time.

Theory. `now_ns` is UTC as int64 nanoseconds; `monotonic_ns` is for durations. The two are tied together once by an
anchor: between two re-anchorings `now_ns` is the anchor plus elapsed monotonic time, so a wall clock that is stepped
(NTP, a person, a battery that died) can neither stretch nor fold a duration. `step_ns` compares both and says how far
the wall clock has moved away; the agent re-anchors, publishes the step as an event and goes on. Tests and replays use
`ManualClock`.
"""

from __future__ import annotations

import time
from typing import Protocol

STEP_LIMIT_NS = 500_000_000  # a wall step beyond this is an event (kept apart from NTP slewing)


class Clock(Protocol):
    """What the rest of the agent sees of time."""

    def now_ns(self) -> int:
        """UTC, nanoseconds since the epoch; never runs backwards between two calls of `reanchor`."""

    def monotonic_ns(self) -> int:
        """Nanoseconds from an arbitrary start; for durations and due times."""


class SystemClock:
    """The machine's clocks, anchored."""

    __slots__ = ("_anchor_monotonic_ns", "_anchor_wall_ns")

    def __init__(self) -> None:
        self._anchor_wall_ns = time.time_ns()
        self._anchor_monotonic_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        """UTC ns: the anchor plus monotonic time since."""
        return self._anchor_wall_ns + time.monotonic_ns() - self._anchor_monotonic_ns

    monotonic_ns = staticmethod(time.monotonic_ns)

    def step_ns(self) -> int:
        """How far the wall clock is ahead (+) or behind (-) of `now_ns`."""
        return time.time_ns() - self.now_ns()

    def reanchor(self) -> None:
        """Follow the wall clock from here on."""
        self._anchor_wall_ns = time.time_ns()
        self._anchor_monotonic_ns = time.monotonic_ns()


class ManualClock:
    """A clock that moves when told to, for tests and replays."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns
        self._monotonic_ns = 0

    def now_ns(self) -> int:
        """UTC ns as last set."""
        return self._now_ns

    def monotonic_ns(self) -> int:
        """Monotonic ns as last advanced."""
        return self._monotonic_ns

    def advance(self, ns: int) -> None:
        """Let `ns` nanoseconds pass on both clocks."""
        self._now_ns += ns
        self._monotonic_ns += ns

    def step(self, ns: int) -> None:
        """Move only the wall clock, as a person or NTP would."""
        self._now_ns += ns
