"""When a publish was true, by our clock. Pure: it is told the times.

Theory. A publish arrives late by what the network and a busy gateway add. Two publishes that the server sent half a
second apart may be read in the same millisecond, and a counter that moved by half a second's pieces in a millisecond
looks impossible. The server stamps each publish (PublishTime, OPC 10000-4 §7.26) by its own clock, which may be hours
off but runs evenly: the least delayed publish seen gives the offset between the clocks, and every other one its delay.
Several samples in one publish are told apart by the source times of their values, again only by differences: a publish
after a break of the connection holds what the server's queues kept. What the server sends a second time (a replay after
a break) was sent when it says, by the offset known from before.

Rules. Never later than the arrival, never earlier than what was given before. A server whose clock was stepped, or that
stamps nothing, is taken at arrival: a delay beyond `DELAY_LIMIT_NS` is no delay.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocols.opcua.items import Batch

DELAY_LIMIT_NS = 2_000_000_000
_DRIFT_NS = 50_000  # the clocks may drift apart by this much between two publishes (100 ppm at half a second)


class PublishTime:
    """The clock of one session's publishes."""

    __slots__ = ("_ahead_ns", "_given_ns")

    def __init__(self, since_ns: int = 0) -> None:
        """`since_ns`: nothing of the session is older than that."""
        self._ahead_ns: int | None = None  # server's clock minus ours, of the least delayed publish
        self._given_ns = since_ns

    def of(self, batches: Sequence[Batch], arrival_ns: int) -> list[int]:
        """Time of each batch of one wake-up, UTC ns, oldest first; `arrival_ns`: now."""
        times = []
        newest_ns = max((max(batch.source_ns, default=0) for batch in batches), default=0)
        for batch in batches:
            source_ns = max(batch.source_ns, default=0)
            if batch.replayed:
                t_ns = self._ours(batch.publish_ns or source_ns, arrival_ns)
            else:
                age_ns = newest_ns - source_ns if source_ns and batch.publish_ns == batches[-1].publish_ns else 0
                limit_ns = arrival_ns - self._given_ns if self._given_ns else DELAY_LIMIT_NS
                t_ns = self._sent_ns(batch.publish_ns, arrival_ns) - min(age_ns, limit_ns)
            self._given_ns = min(arrival_ns, max(self._given_ns, t_ns))
            times.append(self._given_ns)
        return times

    def _ours(self, server_ns: int, arrival_ns: int) -> int:
        """A time of the server's clock by ours; now, where nothing is known."""
        return arrival_ns if not server_ns or self._ahead_ns is None else server_ns - self._ahead_ns

    def _sent_ns(self, publish_ns: int, arrival_ns: int) -> int:
        if not publish_ns:
            return arrival_ns
        ahead_ns = publish_ns - arrival_ns
        if self._ahead_ns is None or ahead_ns > self._ahead_ns - _DRIFT_NS:
            self._ahead_ns = ahead_ns
        else:
            self._ahead_ns -= _DRIFT_NS
        delay_ns = self._ahead_ns - ahead_ns
        if delay_ns > DELAY_LIMIT_NS:
            self._ahead_ns, delay_ns = ahead_ns, 0
        return arrival_ns - delay_ns
