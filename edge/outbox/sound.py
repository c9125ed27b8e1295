"""May this file be gone on with as it is? Asked at each start, before anything is written to it.

Theory. SQLite looks at a page when it needs it, so a flipped byte is met in the middle of a commit, or never: it has no
checksum of its pages, takes a broken write-ahead log for one that ends there, and believes a header that says the file
is of another format. Each of that is looked for here, and found damage leads to `edge.outbox.salvage`.

Rules. Read-only, by a connection that folds nothing: the log of a damaged file is part of what can be saved. Raises
DamagedError; StoreError for a file that is another program's, or a later release's, by all that it says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edge.errors import StoreError, Text
from edge.outbox import schema, whole
from edge.outbox.codec import seal
from edge.outbox.pages import Log, page_bytes_of
from edge.outbox.states import GENERATIONS

META_SCHEMA = "schema_version"  # under a checksum, other than the one in the header

_HEADER_BYTES = 100
# Magic; behind the page size: write and read version (WAL), reserved bytes, payload fractions ("Database File Format",
# section 1.3). All files of ours agree in these from the first byte on; what follows may stand in the log alone.
_MAGIC = b"SQLite format 3\x00"
_VERSIONS = bytes((2, 2, 0, 64, 32, 32))
_OURS = frozenset({"record", "checkpoint", "ledger", "sink"})
_LAID_OUT_PAGES = 2  # before the first table
_SMALL = ("sink", "checkpoint", *GENERATIONS, "change", "meta", "folded", "gap")
_SEALED_SINCE = 2  # format: rows have checksums
_NEWEST_ROWS = 5_000  # of the ledger: what the open windows are made of, and more


class DamagedError(Exception):
    """The file is ours but cannot be trusted."""


class UnbegunError(Exception):
    """Nothing was ever committed to it: killed while it was laid out."""


def look(path: Path, log_path: Path, *, closely: bool) -> None:
    """`closely`: read all pages and every row that the next minutes rest on. Raises DamagedError,
    UnbegunError, StoreError, sqlite3.Error.
    """
    page_bytes = page_bytes_of(path, log_path)
    log = Log(log_path, page_bytes)
    if not log.committed and path.stat().st_size <= _LAID_OUT_PAGES * page_bytes and not _has_tables(path):
        raise UnbegunError
    if log.lost:
        raise DamagedError(str(Text("写前日志中段损坏", "its write-ahead log is broken before its end")))
    with closing(_connect(path)) as connection:
        refuse_foreign(connection, path)
        _look_at_header(path, page_bytes)
        is_sealed = schema.pragma(connection, "user_version") >= _SEALED_SINCE
        if closely:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise DamagedError(str(verdict).splitlines()[-1])
            if is_sealed:
                _look_at_layout(connection)
                _look_at_rows(connection)
        elif is_sealed:  # little, and what every count goes on from
            _look_at_small(connection, (*GENERATIONS, "change"))


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=schema.BUSY_TIMEOUT_S, isolation_level=None
    )
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    return connection


def _has_tables(path: Path) -> bool:
    """False for an empty list of them; anything that cannot be read may be one."""
    with path.open("rb") as file:
        page = file.read(schema.PAGE_BYTES)
    return not (page.startswith(_MAGIC) and page[_HEADER_BYTES + 3 : _HEADER_BYTES + 5] == bytes(2))


def _look_at_header(path: Path, page_bytes: int) -> None:
    """Of the file, not of the log: the header is written with the file and hardly ever again."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    wanted = _MAGIC + page_bytes.to_bytes(2, "big") + _VERSIONS
    if not head.startswith(wanted):
        raise DamagedError(str(Text("文件头损坏", "its header is not what was written")))


def refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    """A file of another program or of a later release is left alone; one that says so by mistake is damaged."""
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if names and schema.pragma(connection, "application_id") != schema.APPLICATION_ID:
        if names >= _OURS:
            raise DamagedError(str(Text("文件头损坏", "its header is not what was written")))
        raise StoreError(
            Text(
                f"{path} 是其他程序的 SQLite 文件；请把 store.path 指到别处",
                f"{path} is another program's SQLite file; point store.path elsewhere",
            )
        )
    version = schema.pragma(connection, "user_version")
    if not version:
        raise DamagedError("no schema inside")
    told = _told_version(connection) if version != schema.SCHEMA_VERSION else None
    if told is not None and (version < told or told <= schema.SCHEMA_VERSION < version):
        raise DamagedError(f"format {version}, written as {told}")
    if version > schema.SCHEMA_VERSION:
        raise StoreError(
            Text(
                f"{path} 由更新版本的 seamline 写入（格式 {version}，本版本支持到 {schema.SCHEMA_VERSION}）；请升级",
                f"{path} was written by a later seamline (format {version}; this one knows "
                f"{schema.SCHEMA_VERSION}); upgrade",
            )
        )


def _told_version(connection: sqlite3.Connection) -> int | None:
    """What the store itself says, under its checksum; None where it does not."""
    try:
        row = connection.execute("SELECT text, crc FROM meta WHERE key = ?", (META_SCHEMA,)).fetchone()
    except sqlite3.OperationalError:
        return None  # the first format had no checksums
    return int(row[0]) if row and row[1] == seal(META_SCHEMA, row[0]) else None


def _look_at_layout(connection: sqlite3.Connection) -> None:
    """The definitions of tables are text in a page without checksum: one letter, and nothing can be written."""
    if schema.pragma(connection, "user_version") == schema.SCHEMA_VERSION:
        missing = schema.missing_columns(connection)
        if set().union(*missing.values()) - set(schema.NUMBER_COLUMNS):
            raise DamagedError(str(Text(f"表定义损坏：{', '.join(missing)}", f"broken tables: {', '.join(missing)}")))


def _look_at_rows(connection: sqlite3.Connection) -> None:
    """Everything a start rests on, and what is still to be sent."""
    _look_at_small(connection, _SMALL)
    _look_at(connection, "ledger", f" ORDER BY start_ns DESC LIMIT {_NEWEST_ROWS}")
    low = connection.execute(
        "SELECT min(CASE WHEN replay_from < replay_to THEN min(cursor, replay_from) ELSE cursor END) FROM sink"
    ).fetchone()[0]
    _look_at(connection, "record", f" WHERE id > {low or 0:d}")


def _look_at_small(connection: sqlite3.Connection, tables: Iterable[str]) -> None:
    """All rows of tables; one that a later format added may not be there yet."""
    there = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    for table in tables:
        if table in there:
            _look_at(connection, table, "")


def _look_at(connection: sqlite3.Connection, table: str, part: str) -> None:
    try:
        rows = connection.execute(f"SELECT {whole.COLUMNS_OF[table]} FROM {table}{part}")  # noqa: S608 - names are ours
    except sqlite3.OperationalError as error:
        if _lacks_sums(error):
            return
        raise DamagedError(f"{table}: {error}") from error
    row: tuple[Any, ...]
    for row in rows:
        if not whole.WHOLE[table](row):
            raise DamagedError(str(Text(f"表 {table} 有校验不符的行", f"a row of {table} is not what was stored")))


def _lacks_sums(error: sqlite3.Error) -> bool:
    """A column is missing that an earlier release did not have; it is added when the file is opened."""
    return any(f"no such column: {name}" in str(error) for name in schema.NUMBER_COLUMNS)
