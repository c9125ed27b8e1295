"""Changes people make to a store by hand: quarantined points sent again or let go, an export brought back.

Theory. An agent that runs is the store's writer and keeps cursors in memory, so tools touch only what it does not keep:
they append records and delete from the quarantine, each in one short transaction that the agent's next commit waits
for. An import is large, so it wants the store for itself: it takes the agent's own lock, and is refused while one runs.

Rules. A retry appends the quarantined lines as new records behind everything else: every database reads them in its
turn, at once where an agent runs, at the next start where none does. The lines leave the quarantine in the same
transaction. Databases that had them overwrite them with themselves.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edge.errors import StoreError, Text
from edge.outbox import files, schema
from edge.outbox.batch import Record
from edge.outbox.codec import maybe_unpack, pack
from edge.outbox.facts import Quarantined
from edge.outbox.writer import insert_record
from edge.points import RecordClass

_AFTER = "SELECT id, class, points, t_ns, codec, crc, lines FROM record WHERE id > ? ORDER BY id LIMIT 64"


def take_from_quarantine(path: Path, entries: Sequence[Quarantined], again: Iterable[Record], t_ns: int) -> int:
    """Remove `entries`, and append `again` in the same transaction. Returns how many were there. Raises StoreError."""
    with _transaction(path) as connection:
        gone = 0
        for entry in entries:
            digest = hashlib.sha256(entry.line).digest()
            gone += connection.execute(
                "DELETE FROM quarantine WHERE sink = ? AND digest = ?", (entry.sink, digest)
            ).rowcount
        if gone:
            for record in again:
                insert_record(connection, pack(record), t_ns)
        return gone


class Importer:
    """Appends records to a store that nobody else writes to; one that is there already is left out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = files.StoreLock(path)
        self._connection: sqlite3.Connection | None = None
        self.added = 0
        self.known = 0

    def open(self, now_ns: int) -> None:
        """Lock, open or create, and learn what is there. Raises StoreError, also while an agent runs."""
        self._lock.acquire()
        try:
            self._connection, _ = files.open_store(self._path, now_ns, may_renew=False)
            self._learn(self._connection)
        except (StoreError, sqlite3.Error):
            self.close()
            raise

    def close(self) -> None:
        """Let go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._lock.release()

    def add(self, records: Sequence[tuple[Record, int]]) -> None:
        """One transaction of records, each with its commit time. Raises StoreError."""
        assert self._connection is not None
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for record, t_ns in records:
                if self._is_new(connection, record.record_class, record.lines):
                    insert_record(connection, pack(record), t_ns)
                    self.added += record.points
                else:
                    self.known += record.points
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise _refused(self._path, error) from error

    def _learn(self, connection: sqlite3.Connection) -> None:
        """Digests of what is stored, on disk: a store of gigabytes has too many for memory."""
        connection.execute("PRAGMA temp_store=FILE")
        connection.execute("CREATE TEMP TABLE known (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        after = 0
        while rows := connection.execute(_AFTER, (after,)).fetchall():
            after = rows[-1][0]
            for row in rows:
                lines = maybe_unpack(*row)
                if lines is not None:
                    connection.execute("INSERT OR IGNORE INTO known VALUES (?)", (_digest(row[1], lines),))

    def _is_new(self, connection: sqlite3.Connection, record_class: RecordClass, lines: bytes) -> bool:
        added = connection.execute("INSERT OR IGNORE INTO known VALUES (?)", (_digest(record_class, lines),))
        return added.rowcount == 1


def _digest(record_class: int, lines: bytes) -> bytes:
    return hashlib.blake2b(b"%d " % record_class + lines, digest_size=16).digest()


@contextmanager
def _transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """A short one, beside an agent or alone."""
    try:
        connection = schema.connect(path)
    except sqlite3.Error as error:
        raise _refused(path, error) from error
    try:
        if schema.pragma(connection, "application_id") != schema.APPLICATION_ID:
            raise StoreError(Text(f"{path} 不是 seamline 的存储", f"{path} is no store of seamline"))
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise _refused(path, error) from error
    finally:
        connection.close()  # rolls back what was not committed


def _refused(path: Path, error: sqlite3.Error) -> StoreError:
    return StoreError(
        Text(
            f"存储 {path} 未改动：{error}；请检查权限与磁盘空间后重试",
            f"{path} was not changed: {error}; check rights and free space, then try again",
        )
    )
