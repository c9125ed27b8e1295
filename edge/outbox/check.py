"""Is everything in the file what was stored? And what can be saved of one that is not.

Theory. SQLite's own check finds trees that are broken; it has no checksum of what stands in their leaves. Ours does:
every row carries one, and sums that exist twice are compared. So a flipped byte is found wherever it changes what the
store gives back. Nothing is changed here: what is whole is saved into a new file when somebody asks (`repair`).

Rules. One read transaction, so that a running agent cannot move what is being compared; its log grows meanwhile. A
table that cannot be read is one finding, and the next is looked at.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edge.errors import StoreError, Text
from edge.outbox import files, schema, whole
from edge.outbox.readable import Readable, readable
from edge.outbox.salvage import salvage_pages
from edge.outbox.saved import Saved
from edge.outbox.sound import DamagedError, refuse_foreign

_STRUCTURE_FINDINGS = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was stored."""

    where: str  # table and key, e.g. "record 17"
    what: Text


def check(path: Path) -> Iterator[Finding]:
    """Everything that is wrong with a store. Raises StoreError for a file that is no store at all."""
    with _place(path) as place, closing(_open(path, place.uri)) as connection:
        connection.execute("BEGIN")
        yield from _guarded("file", _structure, connection)
        for table, checker in _CHECKERS:
            yield from _guarded(table, checker, connection)


def repair(path: Path, into: Path) -> Saved:
    """Save what is whole of a store that no agent uses into a new file. Raises StoreError: the new file exists, an
    agent runs, nothing can be read.
    """
    if into.exists():
        raise StoreError(Text(f"{into} 已存在；请另取文件名", f"{into} exists; give another name"))
    lock = files.StoreLock(path)
    lock.acquire()
    try:
        return salvage_pages(path, files.wal_of(path), into)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(Text(f"无法从 {path} 恢复：{error}", f"nothing could be saved of {path}: {error}")) from error
    finally:
        lock.release()


@contextmanager
def _place(path: Path) -> Iterator[Readable]:
    try:
        with readable(path) as place:
            yield place
    except OSError as error:
        raise StoreError(
            Text(f"{path} 在只读磁盘上，临时副本放不下：{error}", f"{path}: no room for a copy to read: {error}")
        ) from error


def _open(path: Path, uri: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=schema.BUSY_TIMEOUT_S, isolation_level=None)
        connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        ours = schema.pragma(connection, "application_id") == schema.APPLICATION_ID
    except (sqlite3.Error, UnicodeError) as error:
        raise StoreError(
            Text(
                f"{path} 打不开：{error}；代理下次启动时会把它另存",
                f"{path} cannot be opened: {error}; the agent sets it aside",
            )
        ) from error
    if not ours:
        connection.close()
        raise StoreError(Text(f"{path} 不是 seamline 的存储", f"{path} is no store of seamline"))
    try:
        with suppress(DamagedError, sqlite3.Error, UnicodeError):  # which is what is looked for
            refuse_foreign(connection, path)
    except StoreError:
        connection.close()
        raise
    return connection


def _guarded(
    table: str, checker: Callable[[sqlite3.Connection], Iterator[Finding]], connection: sqlite3.Connection
) -> Iterator[Finding]:
    try:
        yield from checker(connection)
    except (sqlite3.Error, UnicodeError) as error:
        yield Finding(table, Text(f"无法读取：{error}", f"cannot be read: {error}"))


# ---- what is looked at ----


def _structure(connection: sqlite3.Connection) -> Iterator[Finding]:
    for (verdict,) in connection.execute(f"PRAGMA integrity_check({_STRUCTURE_FINDINGS})"):
        if verdict != "ok":
            yield Finding("file", Text(f"结构损坏：{verdict}", f"structure: {verdict}"))
    version = schema.pragma(connection, "user_version")
    if version != schema.SCHEMA_VERSION:
        known = schema.SCHEMA_VERSION
        yield Finding(
            "file", Text(f"格式 {version}，本版本为 {known}", f"format {version}, this release writes {known}")
        )
    for table, missing in schema.missing_columns(connection).items():
        names = ", ".join(sorted(missing))
        yield Finding(table, Text(f"缺少列 {names}", f"columns {names} are missing"))


def _records(connection: sqlite3.Connection) -> Iterator[Finding]:
    found: Counter[tuple[int, str]] = Counter()
    last = 0
    for row in connection.execute("SELECT id, class, points, t_ns, codec, crc, lines FROM record ORDER BY id"):
        last = row[0]
        if not whole.WHOLE["record"](row):
            yield _broken(f"record {last}")
        elif isinstance(row[6], bytes):
            found.update({(row[1], "records"): 1, (row[1], "points"): row[2], (row[1], "bytes"): len(row[6])})
    sequence = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'record'").fetchone()
    if last > (sequence[0] if sequence else 0):
        yield Finding("sqlite_sequence", Text("小于最大的记录号", "is below the newest record"))
    for record_class, *told in connection.execute("SELECT class, records, points, bytes FROM tally"):
        counted = [found[record_class, name] for name in ("records", "points", "bytes")]
        if told != counted:
            yield Finding(
                f"tally {record_class}",
                Text(f"记为 {told}，实数 {counted}", f"says {told}, there are {counted} (records, points, bytes)"),
            )
        for name in ("records", "points", "bytes"):
            found.pop((record_class, name), None)
    for record_class in {key[0] for key in found}:
        yield Finding(f"tally {record_class}", Text("缺失", "is missing"))


def _sinks(connection: sqlite3.Connection) -> Iterator[Finding]:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'record'").fetchone()
    last = row[0] if row else 0
    for sink, cursor, start, end, quarantined, crc in connection.execute(
        "SELECT id, cursor, replay_from, replay_to, quarantined, crc FROM sink"
    ):
        where = f"sink {sink}"
        if not whole.WHOLE["sink"]((sink, cursor, start, end, quarantined, crc)):
            yield _broken(where)
        elif not (start >= 0 and end >= 0 and 0 <= cursor <= last and end <= last):
            yield Finding(where, Text("游标超出记录范围", "its cursor is beyond the records"))


def _rows(table: str, columns: str) -> Callable[[sqlite3.Connection], Iterator[Finding]]:
    """A checker of a table whose rows are whole or not."""

    def checker(connection: sqlite3.Connection) -> Iterator[Finding]:
        for row in connection.execute(f"SELECT {columns} FROM {table}"):  # noqa: S608 - names are ours
            if not whole.WHOLE[table](row):
                key = " ".join(str(value)[:40] for value in row[:3] if not isinstance(value, bytes))
                yield _broken(f"{table} {key}")

    return checker


def _broken(where: str) -> Finding:
    return Finding(where, Text("校验不符：内容与写入时不同", "checksum: this is not what was stored"))


_CHECKERS: tuple[tuple[str, Callable[[sqlite3.Connection], Iterator[Finding]]], ...] = (
    ("record", _records),
    ("sink", _sinks),
    *(
        (table, _rows(table, whole.COLUMNS_OF[table]))
        for table in ("checkpoint", "state_a", "state_b", "change", "meta", "ledger", "folded", "gap", "quarantine")
    ),
)
