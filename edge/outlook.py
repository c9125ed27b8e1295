"""How long the store will last, in the log: once an hour in plain figures, and a warning when room runs short.

Rules. A warning is for a store that fills because a database does not take its data: it is given when less than a day,
six hours, one hour of autonomy are left, once each until there is more again.
"""

from __future__ import annotations

import logging

from edge.clock import Clock
from edge.errors import Text
from edge.logs import facts
from edge.outbox.facts import StoreStats

log = logging.getLogger(__name__)

TOLD_NS = 3_600_000_000_000
WARN_H = (24.0, 6.0, 1.0)
_WAITS_NS = 60_000_000_000  # a backlog younger than this is on its way


class Outlook:
    """Looks at the figures of the store, once a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told_ns = clock.monotonic_ns()
        self._warned_h: float | None = None

    def look(self, stats: StoreStats) -> None:
        """Say what is due."""
        hours = None if stats.autonomy_s is None else stats.autonomy_s / 3600
        waiting = [
            b for b in stats.backlogs if b.oldest_ns is not None and self._clock.now_ns() - b.oldest_ns > _WAITS_NS
        ]
        if hours is not None and waiting:
            self._warn(hours, ", ".join(backlog.sink for backlog in waiting))
        elif self._warned_h is not None:
            self._warned_h = None
        if self._clock.monotonic_ns() - self._told_ns >= TOLD_NS:
            self._told_ns = self._clock.monotonic_ns()
            oldest = min((b.oldest_ns for b in waiting if b.oldest_ns is not None), default=None)
            log.info(
                "store",
                extra=facts(
                    size_bytes=stats.size_bytes,
                    autonomy_h=None if hours is None else round(hours, 1),
                    backlog_records=max((backlog.records for backlog in stats.backlogs), default=0),
                    oldest_unsent_s=None if oldest is None else (self._clock.now_ns() - oldest) // 1_000_000_000,
                    written_per_day=None if stats.flow.written_per_day is None else round(stats.flow.written_per_day),
                    gaps_open=sum(gap.is_open for gap in stats.gaps),
                ),
            )

    def _warn(self, hours: float, sinks: str) -> None:
        passed = [limit for limit in WARN_H if hours < limit]
        if not passed:
            self._warned_h = None
        elif self._warned_h is None or passed[-1] < self._warned_h:
            self._warned_h = passed[-1]
            text = Text(
                f"{sinks} 未收数据，存储还可保存约 {hours:.1f} 小时，之后最旧的低价值数据会被删除；"
                "请恢复上行链路或增大 store.max_bytes",
                f"{sinks} takes no data; the store has room for about {hours:.1f} hours more, then the oldest of the "
                "least valuable goes; restore the uplink or raise store.max_bytes",
            )
            log.warning("store fills", extra=facts(autonomy_h=round(hours, 1), detail=str(text)))
