"""The outbox as the agent sees it: asynchronous, durable, bounded.

Theory. The log comes first, always: whatever is to be published is committed here, together with the checkpoint it
matches, and delivery reads it back from here. SQLite never runs on the event loop: one thread writes, one reads for
the databases, one looks for people, so that a draining backlog holds up no page and no figure.
Cursors move in memory and reach the disk with the next commit (or at close): after a crash a database gets the last
second twice, which overwrites, and the card is spared a second flush for every delivery.

Loss window: what a power cut may cost is the time since the last commit, so the commit interval is shown to the user.
A kill of the process alone costs no more either, and never tears a batch: `commit` is one transaction.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from edge.clock import Clock
from edge.errors import StoreDamagedError, StoreError
from edge.gaps.gap import Gap, Hidden
from edge.kpi.row import Row
from edge.outbox import files
from edge.outbox.batch import Batch
from edge.outbox.facts import (
    Counts,
    OpenReport,
    Position,
    StoredRecord,
    StoreSettings,
    StoreStats,
    delivered_bytes,
)
from edge.outbox.flow import autonomy_s
from edge.outbox.opening import Opening
from edge.outbox.reader import NO_LIMIT, Reader
from edge.outbox.saved import Saved
from edge.outbox.writer import GapRecord, Writer, file_bytes

_P = ParamSpec("_P")
_T = TypeVar("_T")

_COMMITS_TIMED = 512
_GAPS_SHOWN = 50
_NO_LIMIT_NS = (1 << 63) - 1


class Outbox:
    """One store.

    `gap_record` writes the point of a gap that the store itself made (called in the writer thread).
    """

    def __init__(self, settings: StoreSettings, clock: Clock, gap_record: GapRecord) -> None:
        self.settings = settings
        self._clock = clock
        self._writer = Writer(settings, gap_record)
        self._reader = Reader(settings.path, owner=True)
        self._writing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox-writer")
        self._reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox-reader")
        self._looker = Reader(settings.path, owner=True)
        self._looking = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox-looker")
        self._positions: dict[str, Position] = {}
        self._last_id = 0
        self._news = asyncio.Event()
        self._commit_ns: deque[int] = deque(maxlen=_COMMITS_TIMED)
        self._last_commit_ns: int | None = None
        self._error = ""
        self.is_damaged = False  # met in use: the file has to be opened anew
        self.opening: Opening | None = None  # what `open` is at; None before it began
        self._saved: Saved | None = None

    @property
    def last_id(self) -> int:
        """Id of the newest committed record."""
        return self._last_id

    async def open(self) -> OpenReport:
        """Open or create the file; a damaged one is set aside. Raises StoreError where nothing can be opened."""
        report = await self._in_writer(self._writer.open, self._clock.now_ns(), self._note_opening)
        self._saved = report.saved
        await self._in_reader(self._reader.open)
        await self._in_looker(self._looker.open)
        stored = await self._in_reader(self._reader.positions)
        self._positions = {sink: stored.get(sink, Position()) for sink in self.settings.sinks}
        self._last_id = await self._in_reader(self._reader.last_id)
        return report

    def _note_opening(self, opening: Opening) -> None:
        self.opening = opening  # from the writer's thread: one reference, replaced whole

    async def follow(self, settings: StoreSettings, gap_record: GapRecord) -> None:
        """Other bounds, other databases; the file stays as it is and open. A database that is new gets its stored
        cursor, or everything; call it while nobody reads for one that is gone. Raises StoreError where the disk takes
        no cursors: then those that moved last are sent once more.
        """
        stored = await self._in_reader(self._reader.positions)
        before, self.settings = dict(self._positions), settings
        known = {**stored, **before}
        self._positions = {sink: known.get(sink, Position()) for sink in settings.sinks}
        await self._in_writer(self._writer.follow, settings, gap_record)
        await self._in_writer(self._writer.save_positions, {**before, **self._positions})

    async def close(self) -> None:
        """Make the cursors durable and let go of the file. Safe to call after a failed open."""
        try:
            if self._positions:
                await self._in_writer(self._writer.save_positions, dict(self._positions))
        except StoreError as error:  # a full disk: what was delivered last is sent once more, and overwrites
            self._error = str(error)
        finally:
            await self._in_reader(self._reader.close)
            await self._in_looker(self._looker.close)
            await self._in_writer(self._writer.close)
            self._reading.shutdown(wait=False)
            self._looking.shutdown(wait=False)
            self._writing.shutdown(wait=False)

    async def commit(self, batch: Batch) -> None:
        """Make a batch durable, all of it or nothing.

        Raises StoreError (disk full, I/O error); the caller keeps the batch and commits it again, merged with later
        ones.
        """
        started_ns = self._clock.monotonic_ns()
        try:
            last_id = await self._in_writer(self._writer.commit, batch, dict(self._positions))
        except StoreError as error:
            self._error = str(error)
            raise
        self._commit_ns.append(self._clock.monotonic_ns() - started_ns)
        self._last_commit_ns = self._clock.now_ns()
        self._error = ""
        self._wake(last_id)

    def _wake(self, last_id: int) -> None:
        if last_id > self._last_id:
            self._last_id = last_id
            self._tell()

    def _tell(self) -> None:
        """There is something new for a database."""
        self._news.set()
        self._news = asyncio.Event()

    async def something_new(self, sink: str) -> None:
        """Wait until there are records behind the cursor of a database."""
        while self._last_id <= self._positions[sink].cursor:
            await self._news.wait()

    async def read(self, sink: str, max_bytes: int) -> tuple[StoredRecord, ...]:
        """The next records for a database: what is new first, then its backlog. Empty = it has everything."""
        records = await self.read_new(sink, max_bytes) or await self.read_backlog(sink, max_bytes)
        if not records and self._positions[sink].replaying:  # the rest of the backlog was evicted
            await self.advance(sink, self._positions[sink].replay_to)
        return records

    async def read_new(self, sink: str, max_bytes: int) -> tuple[StoredRecord, ...]:
        """The next records behind the cursor of a database.

        At least one record where there is any, then as many as fit `max_bytes`. Damaged records are moved to the
        quarantine.
        """
        return await self.read_after(self._positions[sink].cursor, max_bytes)

    async def read_after(self, record_id: int, max_bytes: int) -> tuple[StoredRecord, ...]:
        """As `read_new`, behind a record that is still on its way: what a database will want next."""
        return await self._read(record_id, NO_LIMIT, max_bytes)

    async def read_backlog(self, sink: str, max_bytes: int) -> tuple[StoredRecord, ...]:
        """The next records of the backlog of a database, as `read_new`. Empty = what is left of it was evicted."""
        position = self._positions[sink]
        return await self._read(position.replay_from, position.replay_to, max_bytes)

    async def _read(self, after: int, up_to: int, max_bytes: int) -> tuple[StoredRecord, ...]:
        records, damaged = await self._in_reader(self._reader.stretch, after, up_to, max_bytes)
        if damaged:
            await self._in_writer(self._writer.set_damaged_aside, damaged, self._clock.now_ns())
            return records or await self._read(after, up_to, max_bytes)
        return records

    async def advance(self, sink: str, record_id: int) -> None:
        """A database has everything up to `record_id` of the stretch it was reading. Durable with the next commit."""
        before = self._positions[sink]
        self._positions[sink] = before.advanced(record_id)
        if self._positions[sink].cursor < before.cursor:  # a backlog ended: what passed it is new once more
            self._tell()

    def position(self, sink: str) -> Position:
        """How far a database has got."""
        return self._positions[sink]

    async def last_before(self, t_ns: int) -> int:
        """Id of the newest record committed up to `t_ns`; 0 where there is none."""
        return await self._in_reader(self._reader.last_before, t_ns)

    def leap(self, sink: str, up_to: int | None = None) -> None:
        """Let what comes after `up_to` (the newest record) pass the backlog, which is sent beside it from now on.

        Never between `read_new` and `advance`: what was read would belong to another stretch than before.
        """
        self._positions[sink] = self._positions[sink].leapt(self._last_id if up_to is None else up_to)

    async def quarantine(self, sink: str, refused: Sequence[tuple[bytes, str]]) -> None:
        """Keep lines that a database refused for good, each with its words. Durable on return. Raises StoreError."""
        self._wake(await self._in_writer(self._writer.quarantine, sink, self._clock.now_ns(), refused))

    async def load_checkpoints(self) -> dict[str, bytes]:
        """The newest checkpoint of every key."""
        return await self._in_reader(self._reader.checkpoints)

    async def load_meta(self) -> dict[str, str]:
        """Facts about the store itself, as batches wrote them."""
        return await self._in_reader(self._reader.meta)

    async def open_gaps(self) -> tuple[Gap, ...]:
        """Gaps that go on, and those whose pieces are not settled yet; oldest first."""
        return await self._in_looker(self._looker.open_gaps)

    async def hidden(self, machine: str, gap_ns: int, from_ns: int, until_ns: int, hold_ns: int) -> Hidden:
        """What the minutes in [from_ns, until_ns] say that a gap which began at `gap_ns` may hide."""
        return await self._in_looker(self._looker.hidden, machine, gap_ns, from_ns, until_ns, hold_ns)

    async def ledger_rows(self, machine: str, window: str, start_ns: int, end_ns: int) -> tuple[Row, ...]:
        """Rows of one machine whose windows start in [start_ns, end_ns), by start."""
        return await self._in_looker(self._looker.ledger_rows, machine, window, start_ns, end_ns)

    async def last_row_ns(self, machine: str) -> int:
        """Start of the newest minute of a machine; 0 = there is none."""
        return await self._in_looker(self._looker.last_row_ns, machine)

    async def total_counts(self) -> dict[str, Counts]:
        """Pieces per machine since the store began: the sum of its one-minute rows, forgotten ones included."""
        return await self._in_looker(self._looker.total_counts)

    async def stats(self) -> StoreStats:
        """The store at this moment."""
        positions = dict(self._positions)
        return await self._in_looker(self._stats, positions)

    def _stats(self, positions: dict[str, Position]) -> StoreStats:
        classes = self._looker.classes()
        backlogs = self._looker.backlogs(positions)
        timed = sorted(self._commit_ns)
        flow = self._writer.flow
        return StoreStats(
            size_bytes=files.size_bytes(self.settings.path),
            records=sum(each.records for each in classes),
            points=sum(each.points for each in classes),
            last_id=self._last_id,
            commit_p99_ms=timed[len(timed) * 99 // 100] / 1e6 if timed else None,
            last_commit_ns=self._last_commit_ns,
            error=self._error,
            backlogs=backlogs,
            gaps=self._looker.gaps(0, _NO_LIMIT_NS, _GAPS_SHOWN),
            classes=classes,
            flow=flow,
            autonomy_s=autonomy_s(
                flow,
                bound_bytes=file_bytes(self.settings.max_bytes),
                used_bytes=self._looker.used_bytes(),
                delivered_bytes=delivered_bytes(classes, backlogs),
                free_bytes=files.free_bytes(self.settings.path),
            )
            if positions
            else None,
            saved=self._saved,
        )

    async def _in_writer(self, job: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await self._run(self._writing, job, *args, **kwargs)

    async def _in_reader(self, job: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await self._run(self._reading, job, *args, **kwargs)

    async def _in_looker(self, job: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await self._run(self._looking, job, *args, **kwargs)

    async def _run(self, pool: ThreadPoolExecutor, job: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return await asyncio.wrap_future(pool.submit(job, *args, **kwargs))
        except StoreDamagedError:
            self.is_damaged = True
            raise
