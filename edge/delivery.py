"""From the outbox to one database. The only module that knows both.

Theory. A delivery is a loop: read what the database has not got, send it, move the cursor. It holds no queue, sleeps
until a commit wakes it, and never decides that data are old or tried too often: only the server's yes moves the
cursor.

Rules.
* Wait: the very same lines are sent again after a back-off of 0.5 s doubling to 30 s, with jitter so that a thousand
  gateways do not return together; a Retry-After of the server is obeyed. After timeouts the batches shrink, so that a
  link too slow for one megabyte within the deadline still moves.
* Rejected: the lines are halved until the bad ones stand alone. InfluxDB 1.x has stored the good ones by then (a 400
  is a partial write), and sending a point again overwrites it, so halving costs requests and never correctness. Bad
  lines go to the quarantine with the server's words, durably, before the cursor passes them.
* A long backlog does not hold up what is new: the cursor leaps and the backlog is sent whenever nothing new waits.
* One delivery per database, each with its own cursor: one never holds another.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from edge.clock import Clock
from edge.errors import StoreError
from edge.outbox.facts import StoredRecord, StoreStats
from edge.outbox.store import Outbox
from edge.sinks import Delivered, Rejected, Sink, TooLarge, Wait
from edge.snapshot import SinkView

BACKOFF_MIN_S = 0.5
BACKOFF_MAX_S = 30.0
RETRY_AFTER_MAX_S = 3_600.0  # a server that asks for more is asked again after an hour
BATCH_MIN_BYTES = 16_384
BACKLOG_AGE_NS = 30_000_000_000  # records older than this, in a full batch, are a backlog
_NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class _Batch:
    """Lines on their way, in stretches that still have to be accepted, and what was refused so far."""

    up_to_id: int
    stretches: list[list[bytes]]  # a stack: the last is sent next
    refused: list[tuple[bytes, str]]


class Delivery:
    """Keeps one database fed. `run` is the task; the rest are views and tests of it."""

    def __init__(
        self,
        outbox: Outbox,
        sink: Sink,
        clock: Clock,
        *,
        batch_bytes: int = 1_000_000,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self._sink = sink
        self._clock = clock
        self._max_batch_bytes = batch_bytes
        self._batch_bytes = batch_bytes
        self._jitter = jitter
        self._hurried = 0  # how many wait for the end of the backlog: back-offs stay short
        self._hurry = asyncio.Event()  # set: cut the present back-off
        self._moved = asyncio.Event()  # replaced whenever the cursor moved
        self._waiting: Wait | None = None
        self._store_error = ""
        self._failures = 0
        self._delivered_points = 0
        self._server_offset_ns: int | None = None

    @property
    def server_offset_ns(self) -> int | None:
        """How far the server's clock is ahead (+) of ours, to about a second; None before its first answer."""
        return self._server_offset_ns

    async def run(self) -> None:
        """Deliver for ever. Ends only by cancellation, or by an error that is a bug."""
        while True:
            seen = self._outbox.last_id
            try:
                records = await self._outbox.read(self._sink.id, self._batch_bytes)
                self._store_error = ""
                if records and self._is_long_backlog(records):
                    self._outbox.leap(self._sink.id)  # and read again, from where the cursor is now
                    continue
                if records:
                    await self._deliver(records)
                    continue
            except StoreError as error:  # the disk, not the database: nothing moved, so nothing is lost
                self._store_error = str(error)
                await self._back_off(None)
                continue
            self._announce()
            await self._outbox.newer_than(seen)

    async def drained(self, deadline_s: float) -> bool:
        """Wait until the database has everything committed before this call. False when the deadline passes first."""
        goal = self._outbox.last_id
        self._hurried += 1
        self._hurry.set()
        try:
            async with asyncio.timeout(deadline_s):
                while not self._has(goal):
                    await self._moved.wait()
        except TimeoutError:
            return False
        finally:
            self._hurried -= 1
        return True

    def view(self, stats: StoreStats) -> SinkView:
        """For people and scrapers. `stats` are fresh ones of the outbox."""
        backlog = next((b for b in stats.backlogs if b.sink == self._sink.id), None)
        oldest_ns = backlog.oldest_ns if backlog else None
        return SinkView(
            id=self._sink.id,
            url=self._sink.url,
            state="waiting"
            if self._waiting or self._store_error
            else "delivering"
            if oldest_ns is not None
            else "idle",
            backlog_records=backlog.records if backlog else 0,
            oldest_unsent_age_s=None if oldest_ns is None else max(0, self._clock.now_ns() - oldest_ns) / _NS_PER_S,
            delivered_points=self._delivered_points,
            quarantined_points=backlog.quarantined if backlog else 0,
            error=self._waiting.detail if self._waiting else self._store_error,
            clock_ahead_s=None if self._server_offset_ns is None else self._server_offset_ns / _NS_PER_S,
        )

    def _has(self, record_id: int) -> bool:
        return self._outbox.position(self._sink.id).delivered_up_to >= record_id

    def _is_long_backlog(self, records: tuple[StoredRecord, ...]) -> bool:
        """Old records that fill a batch, more behind them, and no backlog open yet."""
        return (
            not self._outbox.position(self._sink.id).replaying
            and records[-1].id < self._outbox.last_id
            and self._clock.now_ns() - records[-1].t_ns > BACKLOG_AGE_NS
            and sum(len(record.lines) for record in records) > self._batch_bytes // 2
        )

    async def _deliver(self, records: tuple[StoredRecord, ...]) -> None:
        """Send until every line is accepted or quarantined, then move the cursor. Raises StoreError."""
        lines = [line for record in records for line in record.lines.split(b"\n")]
        batch = _Batch(records[-1].id, self._cut(lines), [])
        while batch.stretches:
            await self._send(batch)
        if batch.refused:
            await self._outbox.quarantine(self._sink.id, batch.refused)
        await self._outbox.advance(self._sink.id, batch.up_to_id)
        self._announce()

    async def _send(self, batch: _Batch) -> None:
        """One request for the next stretch, and what follows from its outcome."""
        lines = batch.stretches.pop()
        sent_ns = self._clock.now_ns()
        body = b"\n".join(lines)
        outcome = await self._sink.write(body)
        match outcome:
            case Delivered(server_date_ns):
                self._accepted(len(lines), sent_ns, server_date_ns)
            case Rejected(words) if len(lines) == 1:
                batch.refused.append((lines[0], words))
            case Rejected():
                batch.stretches += _halves(lines)
            case TooLarge() if len(lines) == 1:
                batch.refused.append((lines[0], "413: the server takes no request of this size"))
            case TooLarge():
                self._max_batch_bytes = max(BATCH_MIN_BYTES, len(body) // 2)  # a setting of the server: remembered
                self._batch_bytes = min(self._batch_bytes, self._max_batch_bytes)
                batch.stretches += _halves(lines)
            case Wait():
                batch.stretches.append(lines)
                await self._wait(outcome, batch)

    async def _wait(self, wait: Wait, batch: _Batch) -> None:
        self._waiting = wait
        if wait.reason == "timeout":
            self._batch_bytes = max(BATCH_MIN_BYTES, self._batch_bytes // 2)
            batch.stretches += self._cut(batch.stretches.pop())
        await self._back_off(wait.retry_after_s)

    def _accepted(self, points: int, sent_ns: int, server_date_ns: int | None) -> None:
        self._waiting = None
        self._failures = 0
        self._delivered_points += points
        self._batch_bytes = min(self._batch_bytes + self._batch_bytes // 8, self._max_batch_bytes)
        if server_date_ns is not None:
            # The header has whole seconds: its middle against the middle of the request.
            ours_ns = (sent_ns + self._clock.now_ns()) // 2
            self._server_offset_ns = server_date_ns + _NS_PER_S // 2 - ours_ns

    async def _back_off(self, retry_after_s: float | None) -> None:
        """Sleep before the next try; briefly where somebody waits for the end of the backlog."""
        doublings = 0 if self._hurried else min(self._failures, 10)
        delay_s = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2.0**doublings)
        delay_s = max(BACKOFF_MIN_S, delay_s * (0.5 + self._jitter() / 2))
        if retry_after_s is not None:
            delay_s = max(delay_s, min(retry_after_s, RETRY_AFTER_MAX_S))
        self._failures += 1
        self._hurry.clear()
        self._announce()
        try:
            async with asyncio.timeout(delay_s):
                await self._hurry.wait()
        except TimeoutError:
            return

    def _cut(self, lines: list[bytes]) -> list[list[bytes]]:
        """Stretches of at most a batch, the first one last so that it is popped first."""
        stretches: list[list[bytes]] = []
        size = self._batch_bytes
        for line in lines:
            if size + len(line) >= self._batch_bytes:
                stretches.append([])
                size = 0
            stretches[-1].append(line)
            size += len(line) + 1
        stretches.reverse()
        return stretches

    def _announce(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


def _halves(lines: list[bytes]) -> list[list[bytes]]:
    """In the order in which a stack pops them."""
    middle = len(lines) // 2
    return [lines[middle:], lines[:middle]]
