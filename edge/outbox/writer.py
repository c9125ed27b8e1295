"""The writing side, synchronous: it lives in the outbox's one writer thread and owns the one read-write connection.

Rules. One batch is one transaction: records, ledger rows, checkpoints, meta, cursors and evictions are on the disk
together, or none of them is. After an error the transaction is rolled back and the connection is opened anew before
the next job, so that no state of a failed write is carried on.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from edge.errors import StoreDamagedError, StoreError, Text
from edge.gaps.detail import coded
from edge.gaps.gap import Gap, GapCause, GapScope
from edge.outbox import eviction, files, gaps, ledger, schema
from edge.outbox.batch import Batch, Record
from edge.outbox.codec import Packed, pack, seal, seal_blob
from edge.outbox.facts import OpenReport, Position, StoreSettings
from edge.outbox.flow import META_FLOW, RECORD_BYTES, Flow, Hour, ThreadWrites
from edge.outbox.opening import Tell, tell_nobody
from edge.outbox.sound import META_SCHEMA
from edge.outbox.states import States

QUARANTINE_LINES = 10_000  # the newest are kept; the count per database goes on
_MAX_WORDS = 1_000
_WAL_SHARE = 4  # the write-ahead log may take this part of the bound …
_WAL_MAX_BYTES = 4 << 20  # … and never more than this
_HEADROOM_SHARE = 32  # eviction frees this part of the bound at once, so that it happens seldom …
_HEADROOM_MAX_BYTES = 1 << 20  # … and never so much that one commit takes long
_SHRINK_BYTES = 1 << 20  # given back to the file system by one commit
_ROW_BYTES = 512  # a ledger row and its share of two b-trees
_SLACK_BYTES = 64 << 10  # b-tree overhead and small tables

CHECKSUM_WORDS = "checksum of the stored record does not match"
_GAP_POINT = b"gap,"

# In place: a REPLACE would take the row out and put it in elsewhere, which touches twice the pages and the index, with
# every commit.
_PAGE = (
    "INSERT INTO checkpoint (key, blob, crc) VALUES (?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET blob = excluded.blob, crc = excluded.crc"
)
_META = (
    "INSERT INTO meta (key, text, crc) VALUES (?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET text = excluded.text, crc = excluded.crc"
)
_QUARANTINE = "INSERT OR REPLACE INTO quarantine (digest, sink, t_ns, words, line, crc) VALUES (?, ?, ?, ?, ?, ?)"
_TRIM_QUARANTINE = """
DELETE FROM quarantine WHERE rowid IN (SELECT rowid FROM quarantine ORDER BY t_ns DESC LIMIT -1 OFFSET ?)
"""

POSITIONS_NS = 5_000_000_000  # between two savings of cursors that go with a commit
META_BOUND = "store_max_bytes"  # for tools that know the file alone
META_LOSS_WINDOW = "loss_window_ns"

GapRecord = Callable[[Gap], Record]


class Writer:
    """Not thread-safe; every call comes from the writer thread."""

    def __init__(self, settings: StoreSettings, gap_record: GapRecord) -> None:
        self._lock = files.StoreLock(settings.path)
        self._connection: sqlite3.Connection | None = None
        self._states: States | None = None  # None: to be read again
        self._positions: dict[str, Position] = {}  # as saved last
        self._positions_ns = 0
        self._flow = Flow()
        self._writes = ThreadWrites()
        self.follow(settings, gap_record)

    def follow(self, settings: StoreSettings, gap_record: GapRecord) -> None:
        """Other bounds for the same file: kept to from the next commit on."""
        self._settings = settings
        self._gap_record = gap_record
        self._wal_bytes = _wal_bytes(settings.max_bytes)
        self._file_bytes = file_bytes(settings.max_bytes)
        if self._connection is not None:
            self._tune(self._connection)

    def open(self, now_ns: int, tell: Tell = tell_nobody) -> OpenReport:
        """Lock, open, check. Raises StoreError."""
        self._settings.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            self._connection, report = files.open_store(self._settings.path, now_ns, tell=tell)
            self._tune(self._connection)
            self._flow = Flow.load(_meta(self._connection, META_FLOW))
            if _meta(self._connection, META_SCHEMA) != str(schema.SCHEMA_VERSION):
                save_meta(self._connection, [(META_SCHEMA, str(schema.SCHEMA_VERSION))])
        except (StoreError, sqlite3.Error):
            self.close()
            raise
        return report

    def close(self) -> None:
        """Fold the log into the file and let go of it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._writes.close()
        self._lock.release()

    def commit(self, batch: Batch, positions: Mapping[str, Position]) -> int:
        """Make `batch` and the cursors durable. Returns the id of the newest record. Raises StoreError."""
        packed = [pack(record) for record in batch.records]
        written = self._writes.read()
        last_id = self._commit(batch, packed, positions)
        self._flow.add(
            batch.t_ns,
            points=sum(record.points for record in packed),
            kept_bytes=sum(len(record.blob) + RECORD_BYTES for record in packed),
            written_bytes=self._writes.read() - written,
        )
        return last_id

    def _commit(self, batch: Batch, packed: Sequence[Packed], positions: Mapping[str, Position]) -> int:
        with self._transaction() as connection:
            self._make_room(connection, batch, _needed_bytes(batch, packed), positions)
            for record in packed:
                insert_record(connection, record, batch.t_ns)
            ledger.upsert(connection, batch.rows)
            gaps.upsert(connection, batch.gaps)
            connection.executemany(_PAGE, ((key, blob, seal_blob(key, blob)) for key, blob in batch.pages))
            self._states = self._states or States(connection)
            save_meta(connection, self._states.write(connection, batch.t_ns, batch.checkpoints, self._file_bytes))
            save_meta(connection, batch.meta)
            if self._flow.due(batch.t_ns):
                save_meta(connection, self._about())
            self._save_positions_now_and_then(connection, positions, batch.t_ns)
            return _last_id(connection)

    def _save_positions_now_and_then(
        self, connection: sqlite3.Connection, positions: Mapping[str, Position], t_ns: int
    ) -> None:
        """Spares a page with most commits. What was delivered meanwhile is sent once more after a crash."""
        if 0 <= t_ns - self._positions_ns < POSITIONS_NS or self._positions == positions:
            return
        _save_positions(connection, positions)
        self._positions, self._positions_ns = dict(positions), t_ns

    def _about(self) -> Iterator[tuple[str, str]]:
        yield META_FLOW, self._flow.dump()
        yield META_BOUND, str(self._settings.max_bytes)
        yield META_LOSS_WINDOW, str(self._settings.loss_window_ns)

    @property
    def flow(self) -> Hour:
        """What flowed into the store, over the last day of activity."""
        return self._flow.total

    def quarantine(self, sink: str, t_ns: int, refused: Sequence[tuple[bytes, str]]) -> int:
        """Keep lines a database refused for good, each with its words. The same line twice is kept once. Returns the id
        of the newest record: a gap tells of it.
        """
        rows = [(sink, t_ns, words[:_MAX_WORDS], line) for line, words in refused]
        with self._transaction() as connection:
            before = connection.execute("SELECT count(*) FROM quarantine WHERE sink = ?", (sink,)).fetchone()[0]
            connection.executemany(_QUARANTINE, map(_quarantine_row, rows))
            after = connection.execute("SELECT count(*) FROM quarantine WHERE sink = ?", (sink,)).fetchone()[0]
            connection.execute("INSERT OR IGNORE INTO sink VALUES (?, 0, 0, 0, 0, NULL)", (sink,))
            connection.execute("UPDATE sink SET quarantined = quarantined + ? WHERE id = ?", (after - before, sink))
            _seal_sinks(connection, (sink,))
            connection.execute(_TRIM_QUARANTINE, (QUARANTINE_LINES,))
            if after > before:
                self._tell(connection, _quarantine_gap(sink, t_ns, [line for line, _ in refused]), t_ns)
            return _last_id(connection)

    def set_damaged_aside(self, ids: Iterable[int], t_ns: int) -> None:
        """Records whose checksum fails: out of the way of delivery, into the quarantine of the store itself."""
        damaged = list(ids)
        with self._transaction() as connection:
            found = connection.execute(
                f"SELECT t_ns, CAST(lines AS BLOB) FROM record WHERE id IN ({','.join('?' * len(damaged))})",  # noqa: S608
                damaged,
            ).fetchall()
            rows = [("", t_ns, CHECKSUM_WORDS, lines) for _, lines in found]
            connection.executemany(_QUARANTINE, map(_quarantine_row, rows))
            eviction.drop(connection, damaged)
            times = [at_ns for at_ns, _ in found if isinstance(at_ns, int)] or [t_ns]
            gap = Gap(
                GapCause.DAMAGED, GapScope.CLASS, "records", min(times), max(times), records=len(found),
                detail=coded("checksum"),
            )  # fmt: skip
            self._tell(connection, gap, t_ns)

    def save_positions(self, positions: Mapping[str, Position]) -> None:
        """Make cursors durable without a batch."""
        with self._transaction() as connection:
            _save_positions(connection, positions)

    def _tune(self, connection: sqlite3.Connection) -> None:
        # The log is folded into the file at a quarter of its share: the rest is for the transaction that is under way.
        page_bytes = schema.pragma(connection, "page_size")
        connection.execute(f"PRAGMA wal_autocheckpoint={self._wal_bytes // 4 // page_bytes}")
        connection.execute(f"PRAGMA journal_size_limit={self._wal_bytes}")

    def _make_room(
        self, connection: sqlite3.Connection, batch: Batch, needed_bytes: int, positions: Mapping[str, Position]
    ) -> None:
        """Keep the files inside their bound, and drop what is too old."""
        settings = self._settings
        eviction.forget_old(connection, positions, batch.t_ns, settings.max_age_ns, settings.classes)
        for gone in eviction.keep_classes(connection, settings.classes, positions):
            self._tell(connection, gone.gap, batch.t_ns)
        room = self._file_bytes - needed_bytes
        if eviction.used_bytes(connection) > room:
            goal = room - min(self._file_bytes // _HEADROOM_SHARE, _HEADROOM_MAX_BYTES)
            for gone in eviction.make_room(connection, goal, positions, batch.t_ns):
                self._tell(connection, gone.gap, batch.t_ns)
        page_bytes = schema.pragma(connection, "page_size")
        excess = schema.pragma(connection, "page_count") - self._file_bytes // page_bytes
        # Where the bound was lowered pages are given back, a few with each commit.
        for _ in range(min(excess, _SHRINK_BYTES // page_bytes)):
            connection.execute("PRAGMA incremental_vacuum(1)")  # the module steps it once, whatever the number says

    def _tell(self, connection: sqlite3.Connection, gap: Gap | None, t_ns: int) -> None:
        """A gap that the store itself made: its row and its point."""
        if gap is not None:
            gap = gaps.joined(connection, gap)
            gaps.upsert(connection, (gap,))
            insert_record(connection, pack(self._gap_record(gap)), t_ns)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. SQLite's errors become StoreError, and the connection is opened anew for the next job."""
        try:
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._abandon()
            if files.is_damage(error):
                files.request_check(self._settings.path)
            raise self._explain(error) from error
        except BaseException:
            self._abandon()
            raise

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = schema.connect(self._settings.path)
            self._tune(self._connection)
        return self._connection

    def _abandon(self) -> None:
        """Close rolls back; an error while doing so changes nothing."""
        self._states = None
        self._positions = {}
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _explain(self, error: sqlite3.Error) -> StoreError:
        path = self._settings.path
        code = files.result_code(error) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return StoreError(
                Text(
                    f"磁盘已满，无法写入存储 {path}；数据暂留内存并会重试。请清理该分区或减小 store.max_bytes",
                    f"the disk is full, nothing can be written to {path}; the data stay in memory and are tried again. "
                    "Free space on this partition or lower store.max_bytes",
                )
            )
        if files.is_damage(error):
            return StoreDamagedError(
                Text(
                    f"存储 {path} 已损坏（{error}）；将把它另存，并用其中完好的内容继续",
                    f"store {path} is damaged ({error}); it is set aside, and what is whole of it goes on",
                )
            )
        return StoreError(
            Text(
                f"无法写入存储 {path}：{error}；数据暂留内存并会重试。请检查存储卡、挂载状态和权限",
                f"cannot write to {path}: {error}; the data stay in memory and are tried again. Check the card, its "
                "mount and the rights",
            )
        )


def file_bytes(max_bytes: int) -> int:
    """The main file's share of the bound; the log and its index (32 KiB per 4096 frames) have the rest."""
    return max_bytes - _wal_bytes(max_bytes) - (64 << 10)


def _wal_bytes(max_bytes: int) -> int:
    return min(_WAL_MAX_BYTES, max_bytes // _WAL_SHARE)


def _meta(connection: sqlite3.Connection, key: str) -> str | None:
    row = connection.execute("SELECT text FROM meta WHERE key = ?", (key,)).fetchone()
    return row[0] if row else None


def insert_record(connection: sqlite3.Connection, record: Packed, t_ns: int) -> None:
    """The next record, its checksum made for its place; the tally follows."""
    record_id = _last_id(connection) + 1
    connection.execute(
        "INSERT INTO record (id, class, t_ns, points, codec, crc, lines) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            record_id, record.record_class, t_ns, record.points, record.codec, record.crc(record_id, t_ns), record.blob,
        ),
    )  # fmt: skip
    connection.execute(
        "INSERT INTO tally VALUES (?, 1, ?, ?) ON CONFLICT (class) DO UPDATE SET records = records + 1, "
        "points = points + excluded.points, bytes = bytes + excluded.bytes",
        (record.record_class, record.points, len(record.blob)),
    )


def save_meta(connection: sqlite3.Connection, meta: Iterable[tuple[str, str]]) -> None:
    """Facts about the store, replacing."""
    connection.executemany(_META, ((key, text, seal(key, text)) for key, text in meta))


def _save_positions(connection: sqlite3.Connection, positions: Mapping[str, Position]) -> None:
    connection.executemany(
        "INSERT INTO sink (id, cursor, replay_from, replay_to) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "cursor = excluded.cursor, replay_from = excluded.replay_from, replay_to = excluded.replay_to",
        ((sink, p.cursor, p.replay_from, p.replay_to) for sink, p in positions.items()),
    )
    _seal_sinks(connection, positions)


def _seal_sinks(connection: sqlite3.Connection, sinks: Iterable[str]) -> None:
    for sink in sinks:
        row = connection.execute(
            "SELECT id, cursor, replay_from, replay_to, quarantined FROM sink WHERE id = ?", (sink,)
        ).fetchone()
        connection.execute("UPDATE sink SET crc = ? WHERE id = ?", (seal(*row), sink))


def _quarantine_row(row: tuple[str, int, str, bytes]) -> tuple[bytes, str, int, str, bytes, int]:
    """Sink, time, words, line. The same line of the same database is kept once."""
    sink, t_ns, words, line = row
    digest = hashlib.sha256(line).digest()
    return digest, sink, t_ns, words, line, seal(sink, t_ns, words, digest.hex())


def _quarantine_gap(sink: str, t_ns: int, lines: Sequence[bytes]) -> Gap | None:
    """Points a database has not got, by their own times. A refused gap is no gap: telling it would never end."""
    lines = [line for line in lines if not line.startswith(_GAP_POINT)]
    if not lines:
        return None
    stamps = [line.rpartition(b" ")[2] for line in lines]
    times = [int(stamp) for stamp in stamps if stamp.isdigit()] or [t_ns]
    return Gap(
        GapCause.QUARANTINED, GapScope.DATABASE, sink, min(times), max(times), records=len(lines),
        detail=coded("points-refused"),
    )  # fmt: skip


def _last_id(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'record'").fetchone()
    return int(row[0]) if row else 0


def _needed_bytes(batch: Batch, packed: Sequence[Packed]) -> int:
    """An upper estimate of what the batch adds to the main file."""
    lines = sum(len(record.blob) for record in packed)
    checkpoints = sum(len(blob) for _, blob in (*batch.checkpoints, *batch.pages))
    return lines + lines // 4 + checkpoints + len(batch.rows) * _ROW_BYTES + _SLACK_BYTES
