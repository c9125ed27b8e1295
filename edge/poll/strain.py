"""How hard a device finds it to answer, and how long it is left alone for that. Pure.

Theory. A device that is busy (exceptions 4, 5, 6, 8) or misses deadlines is not helped by being asked at the old pace:
each question it cannot answer in time is one more thing to do. So after each of them the pause before the next request
doubles, from a tenth of a second up to five, shortened by up to a quarter at random, that several devices behind one
gateway do not come back in step. While it is strained a quarter of that follows every answer, too: a device that
answers every second question in time is slow, not well.

Rules.
* A single missed deadline is a lost frame: it has cost its deadline already, and costs no pause besides. Another one
  before the device is well again is strain.
* It is well again after `CALM` answers in time, one after another, however bad it was before.
* `slow` is told once the strain has lasted: a single lost frame is no news.
"""

from __future__ import annotations

import random

from edge.poll.schedule import Backoff

FIRST_S, CAP_S = 0.1, 5.0
CALM = 3
TOLD = 3  # doublings


class Strain:
    """Of one device."""

    __slots__ = ("_calm", "_level", "_pauses", "_rng", "told")

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()  # noqa: S311 - spreads attempts, guards nothing
        self._pauses = Backoff(self._rng, FIRST_S, CAP_S)
        self._level = 0
        self._calm = 0
        self.told = False  # people know

    def __bool__(self) -> bool:
        """Whether it is being asked more slowly."""
        return self._level > 0

    @property
    def lasting(self) -> bool:
        """Whether people should know."""
        return self._level >= TOLD

    def busy(self) -> float:
        """It asked for time: seconds to leave it alone."""
        self._level += 1
        self._calm = 0
        return self._pauses.next_s()

    def missed(self) -> float:
        """No answer in time: seconds to leave it alone."""
        if self._level:
            return self.busy()
        self._level = 1
        return 0.0

    def answered(self) -> float:
        """It answered in time: seconds to leave it alone all the same; 0 where it is well."""
        if not self._level:
            return 0.0
        self._calm += 1
        if self._level == 1 and self._calm < CALM:
            return 0.0
        if self._calm < CALM:
            return min(CAP_S, FIRST_S * 2.0 ** min(self._level - 1, 10)) * self._rng.uniform(0.75, 1.0) / 4
        self.reset()
        return 0.0

    def reset(self) -> None:
        """It is well, or somebody else by now."""
        self._level = self._calm = 0
        self._pauses.reset()
