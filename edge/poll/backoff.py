"""How long to wait before a server is tried again, and how many are tried at once.

Theory. Servers come back together: after a power cut twenty of them within a second. Each secured connection costs this
gateway some hundredth of a second of computing, and each attempt costs a starting PLC a session. So pauses grow, chance
spreads them, and a gate lets only few connect at a time. A server that has no session left is not asked again soon:
every attempt would take the place of somebody who hangs up.
"""

from __future__ import annotations

import asyncio
from random import Random

FIRST_PAUSE_S = 0.3
PAUSE_CAP_S = 30.0
CROWDED_S = 10.0
_GROWTH = 1.5
_CROWDED = frozenset(("BadTooManySessions", "BadMaxConnectionsReached", "BadTcpNotEnoughResources"))
CONNECTING_MAX = 2


class Backoff:
    """Pauses of one server: growing by half from 0.3 s to 30 s, a random fifth either way."""

    def __init__(self, jitter: Random) -> None:
        self._jitter = jitter
        self._pause_s = FIRST_PAUSE_S

    def next_s(self, reason: str = "") -> float:
        """The pause after a failure for `reason`, s."""
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * _GROWTH, PAUSE_CAP_S)
        if reason in _CROWDED:
            pause_s = max(pause_s, CROWDED_S)
        return pause_s * self._jitter.uniform(0.8, 1.2)

    def start_over(self) -> None:
        """The server proved to be well."""
        self._pause_s = FIRST_PAUSE_S


class Gate(asyncio.Semaphore):
    """Lets `CONNECTING_MAX` connect at a time; one for all servers of a gateway."""

    def __init__(self) -> None:
        super().__init__(CONNECTING_MAX)
