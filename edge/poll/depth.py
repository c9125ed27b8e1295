"""How many requests a device really takes at a time, as learned. Pure.

Theory. `depth` is what somebody wrote into the site file; a gateway or a small PLC may hold fewer, and forgets the
rest: a request gets no answer while another one, sent with it, is answered. That is told from a device that is gone
(nothing is answered) and from a lost frame (which is rare): after `LOST` of them among few answers the depth is halved.
After an hour one more doubling is risked.
"""

from __future__ import annotations

LOST = 3  # requests that got no answer while others did
CALM = 200  # answers in a row after which those lost before are forgiven
DOUBT_NS = 3_600_000_000_000


class Depth:
    """Of one device; `allowed` is what to keep to. While it is not `uneasy`, answers need not be told."""

    __slots__ = ("_calm", "_due_ns", "_lost", "_most", "allowed", "since_ns", "uneasy")

    def __init__(self, most: int) -> None:
        self.allowed = most
        self.since_ns = 0  # UTC, of when it was learned; 0 = as configured
        self.uneasy = False
        self._most = most
        self._lost = self._calm = 0
        self._due_ns = 0

    @property
    def learned(self) -> int | None:
        """What differs from the configuration; None: nothing does."""
        return self.allowed if self.allowed < self._most else None

    def recall(self, allowed: int, since_ns: int, now_ns: int) -> None:
        """What was learned before the agent was last stopped."""
        if 0 < allowed < self._most:
            self.allowed, self.since_ns, self._due_ns = allowed, since_ns, now_ns + DOUBT_NS
            self.uneasy = True

    def lost(self, utc_ns: int, now_ns: int) -> bool:
        """A request got no answer while another one did. True where the depth is another one now."""
        self._lost, self._calm = self._lost + 1, 0
        self.uneasy = self._most > 1
        if self._lost < LOST or self.allowed == 1:
            return False
        self.allowed //= 2
        self.since_ns, self._lost, self._due_ns = utc_ns, 0, now_ns + DOUBT_NS
        return True

    def answered(self, utc_ns: int, now_ns: int) -> bool:
        """A request was answered. True where the depth is another one now."""
        self._calm += 1
        if self._calm >= CALM:
            self._lost = 0
            self.uneasy = self.allowed < self._most
        if self.allowed == self._most or now_ns < self._due_ns:
            return False
        self.allowed = min(self._most, 2 * self.allowed)
        self.since_ns, self._lost, self._due_ns = utc_ns, 0, now_ns + DOUBT_NS
        return True
