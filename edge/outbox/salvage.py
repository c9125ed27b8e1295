"""What can be saved of a damaged store, saved into a new one: at a start by the agent itself, or by `store fsck`.

Theory. Every row of ours carries a checksum, so each is believed or not for itself, whatever became of the tree it hung
on: rows are read page by page (`edge.outbox.pages`), first as they were last, then, for what is missing, as they were
before. Of the states of machines the newest that can be proved is gone on with (`edge.outbox.states`).

Never twice. Everything saved is made harmless by what was there before: records keep their numbers, so a cursor that
was saved means what it meant, and one that was not has everything sent again, the same points; ledger rows are known by
their keys, and those newer than the checkpoint beside them are in doubt from the start and are lived again or made void
(`edge.machines.published`). A machine whose checkpoint is gone begins at a new baseline.

Never unsaid. Numbers of records have no holes but where the store evicted; what is missing above the lowest cursor may
be a loss, and the times of its neighbours bound it. Minutes of that time are told to the databases once more, from the
ledger rows that were saved.

Rules. The new file is built beside the old one, and takes its name when it is whole: a kill at any instant leaves the
damaged file in its place, or the new one. Large files (`LARGE_BYTES`) leave what every database has in the old file.
Memory is bounded by a row and a transaction of `_AT_ONCE_BYTES`.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path

from edge.outbox import gaps, ledger, schema, states, whole
from edge.outbox.opening import Tell, tell_nobody
from edge.outbox.pages import Cell, Pages, Value
from edge.outbox.saved import NOW, Saved

LARGE_BYTES = 256 << 20
_AT_ONCE_BYTES = 4 << 20
_ROW_BYTES = 512
_SCHEMA_PAGES = 64  # the tables' definitions are among the first
_STATE = states.GENERATIONS[0]
_SMALL = ("sink", "checkpoint", _STATE, "change", "meta", "ledger", "folded", "gap", "quarantine")

_Row = tuple[Value, ...]


def salvage_pages(path: Path, log_path: Path, into: Path, tell: Tell = tell_nobody) -> Saved:
    """Build a new store from what is whole in the pages of another; `tell`: how far it is. Raises sqlite3.Error,
    OSError: the disk is full.
    """
    with Pages(path, log_path, tell) as pages, closing(schema.connect(into)) as new:
        schema.create(new)
        new.execute("PRAGMA synchronous=OFF")  # nothing counts before the file has its name
        carrier = _Carrier(new, pages)
        if path.stat().st_size > LARGE_BYTES:
            carrier.carry(_SMALL)
            carrier.carry(("record",), after=carrier.delivered)
        else:
            carrier.carry((*_SMALL, "record"))
        saved = carrier.finish()
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        new.execute("PRAGMA synchronous=FULL")
        return saved


class _Carrier:
    """Rows from pages into tables."""

    def __init__(self, new: sqlite3.Connection, pages: Pages) -> None:
        self._new = new
        self._pages = pages
        self._ledger_columns = tuple(_ledger_columns(pages))
        self._copied: Counter[str] = Counter()
        self._last_id = 0
        self._states: dict[str, dict[int, _Row]] = {}  # whole ones by machine and number
        self._generations = Counter[str]()  # of them, as they were last

    def carry(self, tables: Collection[str], after: int = 0) -> None:
        """Rows as they were last, then what is missing, as it was before; records behind number `after`."""
        size = 0
        self._new.execute("BEGIN IMMEDIATE")
        for cells, is_live in ((self._pages.rows(), True), (self._pages.older(), False)):
            for cell in cells:
                table, row = self._known(cell)
                if table not in tables or (table == "record" and cell.rowid <= after) or not whole.WHOLE[table](row):
                    continue
                if table == _STATE:
                    self._keep_state(row, is_live=is_live)
                else:
                    self._insert(table, row)
                size += _ROW_BYTES + (len(row[-1]) if isinstance(row[-1], bytes) else 0)
                if size > _AT_ONCE_BYTES:
                    self._new.execute("COMMIT")
                    self._new.execute("BEGIN IMMEDIATE")
                    size = 0
        self._new.execute("COMMIT")

    def finish(self) -> Saved:
        """Tally, the next number, and what is missing."""
        new = self._new
        make_tally(new)
        newest = new.execute("SELECT max(id) FROM record").fetchone()[0] or 0
        cursors = new.execute("SELECT max(cursor, replay_to) FROM sink").fetchall()
        self._last_id = max(self._last_id, newest, *(row[0] for row in cursors), 0)
        new.execute("DELETE FROM sqlite_sequence WHERE name = 'record'")
        new.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('record', ?)", (self._last_id,))
        for rows in self._states.values():
            for table, number in zip(states.GENERATIONS, (max(rows), min(rows)), strict=True):
                self._insert(table, rows[number])
        outdated = states.outdated(new, self._generations)
        from_ns = min((state.t_ns for state in outdated.values()), default=0)
        return Saved(self._copied, *self._holes(), tuple(outdated), from_ns)

    def _keep_state(self, row: _Row, *, is_live: bool) -> None:
        """The newest two of a machine, wherever they lay."""
        key, number = row[:2]
        self._generations[str(key)] += is_live
        rows = self._states.setdefault(str(key), {})
        rows[int(str(number))] = row
        if len(rows) > len(states.GENERATIONS):
            del rows[min(rows)]

    def _holes(self) -> tuple[int, int, int]:
        """Numbers that are missing above the lowest cursor; the commit times before the first and behind the last."""
        missing = from_ns = until_ns = 0
        low = self.delivered
        before = self._new.execute("SELECT t_ns FROM record WHERE id <= ? ORDER BY id DESC LIMIT 1", (low,)).fetchone()
        expected, before_ns = low + 1, before[0] if before else 0
        for number, t_ns in self._new.execute("SELECT id, t_ns FROM record WHERE id > ? ORDER BY id", (low,)):
            if number > expected:
                missing += number - expected
                from_ns, until_ns = from_ns or before_ns or t_ns, t_ns
            expected, before_ns = number + 1, t_ns
        if self._last_id >= expected:
            missing += self._last_id - expected + 1
            from_ns, until_ns = from_ns or before_ns, NOW
        return missing, from_ns, until_ns

    @property
    def delivered(self) -> int:
        """Up to here every database has everything."""
        lows = [
            min(cursor, start) if start < end else cursor
            for cursor, start, end in self._new.execute("SELECT cursor, replay_from, replay_to FROM sink")
        ]
        return min(lows, default=0)

    def _insert(self, table: str, row: _Row) -> None:
        marks = ", ".join("?" * len(row))
        statement = f"INSERT OR IGNORE INTO {table} ({whole.COLUMNS_OF[table]}) VALUES ({marks})"  # noqa: S608
        self._copied[table] += self._new.execute(statement, row).rowcount

    def _known(self, cell: Cell) -> tuple[str, _Row]:
        """Table and row in the order of `whole.COLUMNS_OF`; "" where it is none of ours."""
        values = cell.values
        if not cell.in_table:
            if len(values) == len(gaps.COLUMNS) + 1:
                return "gap", values
            return ("ledger", self._ledger_row(values)) if len(values) > _LEDGER_LEAST else ("", ())
        match values:
            case (None, record_class, t_ns, points, codec, crc, lines):
                return "record", (cell.rowid, record_class, points, t_ns, codec, crc, lines)
            case (str(), int(), int(), int(), int(), _):
                return "sink", values
            case (bytes(), str(), int(), str(), bytes(), _):
                digest, sink, *others = values
                return "quarantine", (sink, digest, *others)
            case (str(), int(), int(), bytes(), _):
                return _STATE, values
            case (None, int(), bytes(), _):
                return "change", (cell.rowid, *values[1:])
            case (str(), bytes(), _):
                return "checkpoint", values
            case (str(), str(), _):
                return "meta", values
            case (str(), int(), int(), int(), int() | None):
                return "folded", values
            case ("record", int(number)):
                self._last_id = max(self._last_id, number)
        return "", ()

    def _ledger_row(self, values: _Row) -> _Row:
        """A row written before a column was added has zero there."""
        named = dict(zip(self._ledger_columns, values, strict=False))
        return (*(named.get(name, 0) for name in ledger.COLUMNS), named.get("crc"))


_LEDGER_LEAST = 20  # columns: no other row of ours has so many


def _ledger_columns(pages: Pages) -> Iterator[str]:
    """In the order of the file: columns that came with later releases stand at the end."""
    for cell in pages.rows(_SCHEMA_PAGES):
        if len(cell.values) == 5 and cell.values[:2] == ("table", "ledger"):
            with suppress(sqlite3.Error, UnicodeError), closing(sqlite3.connect(":memory:")) as scratch:
                scratch.execute(str(cell.values[4]))
                names = [str(row[1]) for row in scratch.execute("PRAGMA table_info(ledger)")]
                names = ['"window"' if name == "window" else name for name in names]
                if {*names} <= {*ledger.COLUMNS, "crc"}:  # it is text without a checksum
                    yield from names
                    return
    yield from (*ledger.COLUMNS, "crc")


def make_tally(connection: sqlite3.Connection) -> None:
    """Count anew what the records are."""
    connection.execute("DELETE FROM tally")
    connection.execute(
        "INSERT INTO tally SELECT class, count(*), sum(points), sum(length(lines)) FROM record GROUP BY class"
    )
