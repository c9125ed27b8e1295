"""Batches into the store, in order, each until it is there.

Theory. A commit is all or nothing. A batch the disk refused is kept, merged with the next, and tried again; its
checkpoint stays with it, so a kill in that state costs time, never truth. Machines are sampled and counted meanwhile.

Rules. One commit at a time. While the disk refuses, the pause between attempts grows to ten seconds and the log says
so once a minute, because a full disk is often the disk the log is on. Memory is bounded by shedding raw values and
live views, oldest first; what was shed is told once the disk takes data again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from edge.clock import Clock
from edge.errors import StoreError
from edge.logs import facts
from edge.outbox.batch import Batch, merge, shed
from edge.outbox.store import Outbox
from edge.points import RecordClass

log = logging.getLogger(__name__)

UNCOMMITTED_LIMIT_BYTES = 16_000_000
PAUSE_LIMIT_NS = 10_000_000_000
SAID_AGAIN_NS = 60_000_000_000

OnShed = Callable[[RecordClass, int, int, int], None]  # class, records, from, until (UTC ns)


class Committer:
    """Owns the batch that is not in the store yet. `on_shed` is told what memory could not keep."""

    def __init__(self, outbox: Outbox, clock: Clock, interval_ns: int, on_shed: OnShed) -> None:
        self._outbox = outbox
        self._clock = clock
        self._interval_ns = interval_ns
        self._on_shed = on_shed
        self._turn = asyncio.Lock()
        self._uncommitted: Batch | None = None
        self._shed: Counter[RecordClass] = Counter()
        self._refused_since: tuple[int, int] | None = None  # UTC and monotonic ns
        self._said_ns = 0
        self.pause_ns = interval_ns  # until the next attempt

    def follow(self, interval_ns: int) -> None:
        """Another commit interval, from the next pause on."""
        self._interval_ns = interval_ns
        if not self.refused:
            self.pause_ns = interval_ns

    @property
    def refused(self) -> bool:
        """The last commit failed: what was learned since is in memory only."""
        return self._refused_since is not None

    async def commit(self, batch: Batch) -> bool:
        """Make it durable, together with whatever was refused before. False where the disk refused again."""
        async with self._turn:
            if self._uncommitted is not None:
                batch = self._bounded(merge((self._uncommitted, batch)))
            self._uncommitted = batch
            try:
                await self._outbox.commit(batch)
            except StoreError as error:
                self._refuse(error, batch)
                return False
            self._uncommitted = None
            self._accept(batch)
            return True

    def _bounded(self, batch: Batch) -> Batch:
        kept, dropped = shed(batch, UNCOMMITTED_LIMIT_BYTES)
        for loss in dropped:
            self._shed[loss.record_class] += loss.records
        return kept

    def _refuse(self, error: StoreError, batch: Batch) -> None:
        now_ns = self._clock.monotonic_ns()
        if self._refused_since is None:
            self._refused_since = batch.t_ns, now_ns
            self._said_ns = now_ns - SAID_AGAIN_NS
        if now_ns - self._said_ns >= SAID_AGAIN_NS:
            self._said_ns = now_ns
            waiting_bytes = sum(len(record.lines) for record in batch.records)
            log.error("store refused", extra=facts(detail=str(error), waiting_bytes=waiting_bytes))
        self.pause_ns = min(2 * self.pause_ns, max(PAUSE_LIMIT_NS, self._interval_ns))

    def _accept(self, batch: Batch) -> None:
        if self._refused_since is None:
            return
        since_ns, began_ns = self._refused_since
        for record_class, records in self._shed.items():
            self._on_shed(record_class, records, since_ns, batch.t_ns)
        refused_s = round((self._clock.monotonic_ns() - began_ns) / 1e9, 1)
        log.info("store takes data again", extra=facts(refused_s=refused_s, shed_records=self._shed.total()))
        self._refused_since = None
        self._shed.clear()
        self.pause_ns = self._interval_ns
