"""From the outbox to one database. The only module that knows both.

Theory. A delivery is two streams beside each other: what is new, and the backlog behind it. Each reads what the
database has not got, lets its courier send it, and moves the cursor; it holds no queue, sleeps until a commit wakes it,
and never decides that data are old or tried too often: only the server's yes moves the cursor.

Rules.
* What is new never waits behind a backlog: after an outage the cursor leaps to the newest record and the rest is sent
  beside it, oldest first, at most `backlog_bytes_per_s`, in pieces the server is soon through with (`edge.pace`). A
  piece does not start while something new is on its way, unless that goes on and on.
* A point may stand in both streams: a window while it was open, and closed. The backlog's old version can arrive last,
  so what passed the backlog is told again when it ends, in order; of that only points as old as the backlog matter,
  and only they are sent.
* Lines that are refused for good go to the quarantine with the server's words, durably, before the cursor passes them.
* One delivery per database, each with its own cursor: one never holds another.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from edge.clock import Clock
from edge.courier import Courier, Load, Server, end_of_piece
from edge.errors import StoreError
from edge.outbox.facts import StoredRecord, StoreStats
from edge.outbox.store import Outbox
from edge.pace import Pace
from edge.plan import Route
from edge.sinks import Sink
from edge.sinks.routing import Router
from edge.snapshot import SinkView
from ext.victoria import newest_ns

BACKLOG_AGE_NS = 30_000_000_000  # records older than this, in a full batch, are a backlog
GIVE_WAY_S = 0.5  # at most, before each piece: a line that is always busy still drains its backlog
FUTURE_NS = 7_200_000_000_000
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Next:
    """Records, and what is to be sent of them."""

    records: tuple[StoredRecord, ...]
    load: Load


@dataclass(frozen=True, slots=True)
class _Ahead:
    """The records behind `after`, read and made ready while those before them are on their way."""

    after: int
    reading: asyncio.Task[_Next]


class Delivery:
    """Keeps one database fed. `run` is the task; the rest are views and tests of it."""

    def __init__(
        self,
        outbox: Outbox,
        sink: Sink,
        clock: Clock,
        *,
        batch_bytes: int = 1_000_000,
        backlog_bytes_per_s: int = 0,
        future_ns: int = FUTURE_NS,
        routes: Sequence[Route] = (),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self._sink = sink
        self._clock = clock
        self.pace = Pace(backlog_bytes_per_s)
        self._server = Server(sink, clock, Router(routes), batch_bytes, future_ns, jitter)
        self._news = Courier(self._server, self._announce)
        self._backlog = Courier(self._server, self._announce)
        self._turn = asyncio.Lock()  # held from a reading of what is new until the cursor moved, and to close a backlog
        self._quiet = asyncio.Event()  # nothing new is on its way
        self._quiet.set()
        self._ahead: _Ahead | None = None
        self._leapt = asyncio.Event()  # a backlog is open
        self._moved = asyncio.Event()  # replaced whenever the cursor moved
        self._store_error = ""
        self._told_up_to = 0  # records up to this were sent, out of turn: they are told again …
        self._told_before_ns = 0  # … as far as their points are this old

    @property
    def server_offset_ns(self) -> int | None:
        """How far the server's clock is ahead (+) of ours, to about a second; None before its first answer."""
        return self._server.offset_ns

    async def run(self) -> None:
        """Deliver for ever. Ends only by cancellation, or by an error that is a bug."""
        try:
            async with asyncio.TaskGroup() as streams:
                streams.create_task(self._follow())
                streams.create_task(self._drain())
        finally:
            self._forget_ahead()

    async def _follow(self) -> None:
        """What is new."""
        while True:
            try:
                if await self._next():
                    continue
            except StoreError as error:  # the disk, not the database: nothing moved, so nothing is lost
                self._store_error = str(error)
                await self._news.back_off()
                continue
            self._announce()
            await self._outbox.something_new(self._sink.id)

    async def _next(self) -> bool:
        """The next new records. False = there are none. Raises StoreError."""
        async with self._turn:
            last_id = self._outbox.last_id
            found = await self._read_new()
            records = found.records
            self._store_error = ""
            if records and (old := await self._end_of_backlog(records)):
                self._outbox.leap(self._sink.id, old)  # and read again, from where the cursor is now
                self._leapt.set()
            elif records:
                self._read_ahead(records[-1].id)
                await self._deliver_new(found.load)
                await self._move(records[-1].id)
            elif self._outbox.position(self._sink.id).cursor < last_id:
                await self._move(last_id)  # the newest were evicted, or set aside
            return bool(records)

    async def _read_new(self) -> _Next:
        """What was read ahead, where the cursor is still there; else from the store. Raises StoreError."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.after == self._outbox.position(self._sink.id).cursor:
            found = await ahead.reading
            if found.records:
                return found
        elif ahead is not None:
            ahead.reading.cancel()
        records = await self._outbox.read_new(self._sink.id, self._news.batch_bytes)
        return _Next(records, self._news.load(self._to_tell(records)))

    async def _prepare(self, after: int) -> _Next:
        records = await self._outbox.read_after(after, self._news.batch_bytes)
        return _Next(records, await self._news.prepare(self._to_tell(records)))

    def _read_ahead(self, after: int) -> None:
        """The database should wait between two requests neither for our disk nor for our arithmetic."""
        self._forget_ahead()
        if after < self._outbox.last_id:
            reading = asyncio.create_task(self._prepare(after))
            reading.add_done_callback(_hear_out)
            self._ahead = _Ahead(after, reading)

    def _forget_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.reading.cancel()
            self._ahead = None

    async def _drain(self) -> None:
        """The backlog, beside it, whenever there is one."""
        while True:
            if not self._outbox.position(self._sink.id).replaying:
                self._leapt.clear()
                await self._leapt.wait()
            try:
                await self._drain_some()
            except StoreError as error:
                self._store_error = str(error)
                await self._backlog.back_off()

    async def _drain_some(self) -> None:
        """The next of the backlog, at its pace. Raises StoreError."""
        records = await self._outbox.read_backlog(self._sink.id, min(self.pace.piece_bytes, self._backlog.batch_bytes))
        lines, start = self._to_tell(records), 0
        while start < len(lines):
            size_limit = min(self.pace.piece_bytes, self._backlog.batch_bytes)
            end = end_of_piece(lines, start, size_limit)
            await self._deliver_piece(lines[start:end])
            start = end + 1
        unsent = [record.t_ns for record in records if record.id > self._told_up_to]
        self._told_before_ns = max([self._told_before_ns, *unsent])
        up_to = records[-1].id if records else self._outbox.position(self._sink.id).replay_to  # evicted meanwhile
        if up_to < self._outbox.position(self._sink.id).replay_to:
            await self._move(up_to)
        else:
            await self._close_backlog(up_to)

    async def _deliver_piece(self, lines: bytes) -> None:
        """Some of the backlog, once nothing new is on its way, and the server's rest behind it. Raises StoreError."""
        await self._news.well.wait()  # one stream knocks at a closed door, not two
        began_ns = self._clock.monotonic_ns()
        with suppress(TimeoutError):
            async with asyncio.timeout(GIVE_WAY_S):
                await self._quiet.wait()
        await self._deliver(self._backlog, self._backlog.load(lines))
        since_ns = self._clock.monotonic_ns() - began_ns
        if self._backlog.answer_ns is not None:  # else nothing of it was for this server, or all was refused
            rest_ns = self.pace.answered(len(lines), self._backlog.answer_ns, since_ns)
            await asyncio.sleep(max(0, rest_ns) / _NS_PER_S)

    async def _close_backlog(self, up_to: int) -> None:
        """The cursor goes back to the end of the backlog, so nothing new may be on its way meanwhile."""
        async with self._turn:
            before = self._outbox.position(self._sink.id)
            await self._move(up_to)
            if before.replaying and up_to == before.replay_to and self._told_before_ns:
                self._told_up_to = before.cursor

    async def _deliver_new(self, load: Load) -> None:
        """Send until every line is accepted or quarantined; the backlog gives way. Raises StoreError."""
        self._quiet.clear()
        try:
            await self._deliver(self._news, load)
        finally:
            self._quiet.set()
        if self._news.answer_ns is not None:
            self.pace.heard(self._news.answer_ns)

    async def _deliver(self, courier: Courier, load: Load) -> None:
        """Send until every line is accepted or quarantined. Raises StoreError."""
        refused = await courier.deliver(load)
        if refused:
            await self._outbox.quarantine(self._sink.id, refused)

    def _to_tell(self, records: tuple[StoredRecord, ...]) -> bytes:
        return b"\n".join(filter(None, map(self._still_to_tell, records)))

    def _still_to_tell(self, record: StoredRecord) -> bytes:
        """All of it; of what was told out of turn, the points that the backlog may have overwritten."""
        if record.id > self._told_up_to:
            return record.lines
        limit_ns = self._told_before_ns + self._server.future_ns
        return b"\n".join(line for line in record.lines.split(b"\n") if newest_ns(line) <= limit_ns)

    async def _move(self, record_id: int) -> None:
        await self._outbox.advance(self._sink.id, record_id)
        self._announce()

    async def drained(self, deadline_s: float) -> bool:
        """Wait until the database has everything committed before this call. False when the deadline passes first."""
        goal = self._outbox.last_id
        self._server.hurried += 1
        self._server.hurry.set()
        try:
            async with asyncio.timeout(deadline_s):
                while not self._has(goal):
                    await self._moved.wait()
        except TimeoutError:
            return False
        finally:
            self._server.hurried -= 1
        return True

    def view(self, stats: StoreStats) -> SinkView:
        """For people and scrapers. `stats` are fresh ones of the outbox."""
        backlog = next((b for b in stats.backlogs if b.sink == self._sink.id), None)
        oldest_ns = backlog.oldest_ns if backlog else None
        waiting = self._news.waiting or self._backlog.waiting
        error = waiting.detail if waiting else self._store_error
        offset_ns = self._server.offset_ns
        return SinkView(
            id=self._sink.id,
            url=self._sink.url,
            state="waiting" if error else "delivering" if oldest_ns is not None else "idle",
            backlog_records=backlog.records if backlog else 0,
            oldest_unsent_age_s=None if oldest_ns is None else max(0, self._clock.now_ns() - oldest_ns) / _NS_PER_S,
            delivered_points=self._server.delivered_points,
            quarantined_points=backlog.quarantined if backlog else 0,
            error=error,
            clock_ahead_s=None if offset_ns is None else offset_ns / _NS_PER_S,
        )

    def _has(self, record_id: int) -> bool:
        return self._outbox.position(self._sink.id).delivered_up_to >= record_id

    async def _end_of_backlog(self, records: tuple[StoredRecord, ...]) -> int:
        """The newest record that is old, where old ones fill a batch and go on behind it; else 0. Raises StoreError."""
        before_ns = self._clock.now_ns() - BACKLOG_AGE_NS
        if records[-1].t_ns > before_ns or sum(len(r.lines) for r in records) <= self._news.batch_bytes // 2:
            return 0
        end = await self._outbox.last_before(before_ns)
        return end if end > records[-1].id else 0

    def _announce(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


def _hear_out(reading: asyncio.Task[_Next]) -> None:
    """What went wrong with a reading nobody wanted any more is told by the next one."""
    if not reading.cancelled():
        reading.exception()
