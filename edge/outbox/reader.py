"""The reading side, synchronous: a read-only connection beside the writer (WAL readers neither block nor are blocked).

The outbox keeps one in its reader thread. Offline tools open one themselves while an agent runs or after it stopped;
they should read in short steps, because the log cannot be folded into the file behind a reader that stays.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

from edge.errors import StoreDamagedError, StoreError, Text
from edge.gaps.gap import Gap, Hidden
from edge.kpi.row import Row
from edge.outbox import eviction, files, gaps, ledger, schema, states
from edge.outbox.codec import maybe_unpack, seal, seal_blob
from edge.outbox.facts import Backlog, ClassStats, Counts, Position, Quarantined, StoredRecord, Tally
from edge.outbox.readable import readable
from edge.outbox.sound import DamagedError, refuse_foreign
from edge.points import RecordClass

_COUNTED_EXACTLY = 20_000

_AFTER = "SELECT id, class, points, t_ns, codec, crc, lines FROM record WHERE id > ? AND id <= ? ORDER BY id"
NO_LIMIT = (1 << 63) - 1


class Reader:
    """Read-only. Use from one thread. Every method raises StoreError where the file cannot be read.

    The `owner` of the store leaves a request beside a damaged file to check all of it at the next start.
    """

    def __init__(self, path: Path, *, owner: bool = False) -> None:
        self._path = path
        self._owner = owner
        self._connection: sqlite3.Connection | None = None
        self._place = ExitStack()  # what is to be cleared away

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Connect."""
        try:
            self._connection = sqlite3.connect(
                self._place.enter_context(readable(self._path)).uri,
                uri=True,
                timeout=schema.BUSY_TIMEOUT_S,
                isolation_level=None,
            )
            self._connection.execute(f"PRAGMA cache_size=-{schema.CACHE_KIB}")
            if not self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                raise StoreError(Text(f"{self._path} 是空文件，不是存储", f"{self._path} is empty: no store yet"))
            with suppress(DamagedError):  # what can be read of it is told
                refuse_foreign(self._connection, self._path)
            self._connection.execute("SELECT count(*) FROM checkpoint").fetchone()
        except StoreError:
            self.close()
            raise
        except (sqlite3.Error, UnicodeError, OSError) as error:
            self.close()
            raise self._unreadable(error) from error

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._place.close()

    def stretch(self, after: int, up_to: int, max_bytes: int) -> tuple[tuple[StoredRecord, ...], tuple[int, ...]]:
        """Records with ids in (after, up_to].

        At least one record where there is any, then as many as fit `max_bytes`. Second: ids of records in this stretch
        whose checksum fails; they are left out.
        """
        records: list[StoredRecord] = []
        damaged: list[int] = []
        size = 0
        with self._explained() as connection:
            for row in connection.execute(_AFTER, (after, up_to)):
                record_id, record_class, points, t_ns = row[:4]
                lines = maybe_unpack(*row)
                if lines is None:
                    damaged.append(record_id)
                    continue
                size += len(lines) + 1
                if records and size > max_bytes:
                    break
                records.append(StoredRecord(record_id, RecordClass(record_class), lines, points, t_ns))
        return tuple(records), tuple(damaged)

    def last_id(self) -> int:
        """Id of the newest record ever committed."""
        with self._explained() as connection:
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'record'").fetchone()
        return int(row[0]) if row else 0

    def last_before(self, t_ns: int) -> int:
        """Id of the newest record committed up to `t_ns`; 0 where there is none. Looks backwards from the newest."""
        with self._explained() as connection:
            row = connection.execute(
                "SELECT id FROM record WHERE t_ns <= ? ORDER BY id DESC LIMIT 1", (t_ns,)
            ).fetchone()
        return int(row[0]) if row else 0

    def positions(self) -> dict[str, Position]:
        """How far each database has got, those of earlier configurations included.

        One whose checksum fails is left out: it is sent everything again, which overwrites.
        """
        with self._explained() as connection:
            rows = connection.execute(
                "SELECT id, cursor, replay_from, replay_to, quarantined, crc FROM sink"
            ).fetchall()
        whole = [row for row in rows if row[5] is None or row[5] == seal(*row[:5])]
        return {sink: Position(cursor, start, end) for sink, cursor, start, end, *_ in whole}

    def checkpoints(self) -> dict[str, bytes]:
        """The newest state of every machine, and the pages of their journals, that their checksums prove."""
        with self._explained() as connection:
            rows = connection.execute("SELECT key, blob, crc FROM checkpoint").fetchall()
            newest = states.newest(connection)
        pages = {key: blob for key, blob, crc in rows if crc is None or crc == seal_blob(key, blob)}
        return pages | {key: state.blob for key, state in newest.items()}

    def meta(self) -> dict[str, str]:
        """Facts about the store itself, as batches wrote them; those whose checksum fails are left out."""
        with self._explained() as connection:
            rows = connection.execute("SELECT key, text, crc FROM meta").fetchall()
        return {key: text for key, text, crc in rows if crc is None or crc == seal(key, text)}

    def gaps(self, from_ns: int, until_ns: int, limit: int) -> tuple[Gap, ...]:
        """The newest `limit` gaps that touch [from_ns, until_ns), newest first; void ones included."""
        with self._explained() as connection:
            return tuple(gaps.select(connection, from_ns, until_ns, limit))

    def open_gaps(self) -> tuple[Gap, ...]:
        """Gaps that go on, and those whose pieces are not settled yet; oldest first."""
        with self._explained() as connection:
            return tuple(gaps.select_open(connection))

    def hidden(self, machine: str, gap_ns: int, from_ns: int, until_ns: int, hold_ns: int) -> Hidden:
        """What the minutes in [from_ns, until_ns] say that a gap which began at `gap_ns` may hide."""
        with self._explained() as connection:
            return ledger.hidden(connection, machine, gap_ns, from_ns, until_ns, hold_ns)

    def ledger_rows(self, machine: str, window: str, start_ns: int, end_ns: int) -> tuple[Row, ...]:
        """Rows of one machine whose windows start in [start_ns, end_ns), by start."""
        with self._explained() as connection:
            return tuple(ledger.select(connection, machine, window, start_ns, end_ns))

    def last_row_ns(self, machine: str) -> int:
        """Start of the newest minute of a machine; 0 = there is none."""
        asked = "SELECT max(start_ns) FROM ledger WHERE machine = ? AND \"window\" = '1m'"
        with self._explained() as connection:
            return int(connection.execute(asked, (machine,)).fetchone()[0] or 0)

    def total_counts(self) -> dict[str, Counts]:
        """Pieces per machine since the store began: the sum of its one-minute rows, forgotten ones included."""
        with self._explained() as connection:
            return ledger.totals(connection)

    def quarantined(self) -> tuple[Quarantined, ...]:
        """What databases refused for good, oldest first."""
        with self._explained() as connection:
            rows = connection.execute("SELECT sink, t_ns, words, line FROM quarantine ORDER BY t_ns").fetchall()
        return tuple(Quarantined(*row) for row in rows)

    def tallies(self) -> dict[RecordClass, Tally]:
        """How much of each class is stored."""
        with self._explained() as connection:
            rows = connection.execute("SELECT class, records, points, bytes FROM tally").fetchall()
        return {RecordClass(record_class): Tally(*numbers) for record_class, *numbers in rows}

    def classes(self) -> tuple[ClassStats, ...]:
        """What is stored of each class, lowest first."""
        tallies = self.tallies()
        with self._explained() as connection:
            return tuple(
                ClassStats(c, t.records, t.points, t.size_bytes, *_ends(connection, c))
                for c, t in sorted(tallies.items())
            )

    def used_bytes(self) -> int:
        """Bytes of the main file that hold something; its free pages will be used again."""
        with self._explained() as connection:
            return eviction.used_bytes(connection)

    def backlogs(self, positions: Mapping[str, Position]) -> tuple[Backlog, ...]:
        """What each of these databases has not got yet."""
        with self._explained() as connection:
            return tuple(_backlog(connection, sink, position) for sink, position in positions.items())

    @contextmanager
    def _explained(self) -> Iterator[sqlite3.Connection]:
        """The connection; SQLite's errors become StoreError."""
        if self._connection is None:
            raise self._unreadable("not open")
        try:
            yield self._connection
        except sqlite3.Error as error:
            if self._owner and files.is_damage(error):
                files.request_check(self._path)
                raise StoreDamagedError(*self._unreadable(error).args) from error
            raise self._unreadable(error) from error

    def _unreadable(self, why: object) -> StoreError:
        return StoreError(
            Text(
                f"无法读取存储 {self._path}：{why}；请检查路径和权限；若已损坏，重启后会另存",
                f"cannot read the store {self._path}: {why}; check the path and the rights; "
                "a damaged one is set aside at the next start",
            )
        )


def _ends(connection: sqlite3.Connection, record_class: RecordClass) -> tuple[int | None, int | None]:
    """Commit times of the oldest and the newest record of a class."""
    first, last = (
        connection.execute(f"SELECT t_ns FROM record WHERE class = ? ORDER BY id {order} LIMIT 1", (record_class,))  # noqa: S608
        for order in ("ASC", "DESC")
    )
    ends = first.fetchone(), last.fetchone()
    return ends[0] and ends[0][0], ends[1] and ends[1][0]


def _backlog(connection: sqlite3.Connection, sink: str, position: Position) -> Backlog:
    stretches = [(position.cursor, NO_LIMIT)]
    if position.replaying:
        stretches.append((position.replay_from, position.replay_to))
    first = "SELECT t_ns FROM record WHERE id > ? AND id <= ? ORDER BY id LIMIT 1"
    oldest = [row[0] for stretch in stretches if (row := connection.execute(first, stretch).fetchone())]
    refused = connection.execute("SELECT quarantined FROM sink WHERE id = ?", (sink,)).fetchone()
    return Backlog(
        sink=sink,
        records=sum(_count(connection, after, up_to) for after, up_to in stretches),
        oldest_ns=min(oldest, default=None),
        quarantined=refused[0] if refused else 0,
    )


def _count(connection: sqlite3.Connection, after: int, up_to: int) -> int:
    """Records in (after, up_to]: exact up to a limit, then the number of ids, to stay cheap on a long backlog."""
    # Class by class, so that the small index answers alone and no page of lines is read.
    counted = "SELECT count(*) FROM (SELECT 1 FROM record WHERE class = ? AND id > ? AND id <= ? LIMIT ?)"
    exact = sum(
        int(connection.execute(counted, (record_class, after, up_to, _COUNTED_EXACTLY)).fetchone()[0])
        for record_class in RecordClass
    )
    if exact < _COUNTED_EXACTLY:
        return exact
    last = connection.execute("SELECT max(id) FROM record WHERE id <= ?", (up_to,)).fetchone()[0]
    return max(exact, int(last) - after)
