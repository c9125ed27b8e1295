"""The whole file in one place: tables, pragmas, version. Nothing else in the product contains SQL that creates
anything.

Theory. One record is one commit's lines of one class, as one compressed blob: a row per point would cost more than the
disk does, and lines that share their tags shrink to a fifth, which is hours of autonomy and years of a card's life.
The ledger's columns are generated from `edge.kpi.row.Sums`, so a new sum is a new column, added at the next open.

Durability. WAL with synchronous=FULL: a commit that returned is on the disk (SQLite, "PRAGMA synchronous"); what a
power cut may cost is the time since the last commit. auto_vacuum=INCREMENTAL lets the file shrink when its bound is
lowered.

Checksums. SQLite keeps none of its pages, so every row that cannot be made again carries its own (`edge.outbox.codec`).
Rows of files that an earlier release began have none (NULL) until they are written again.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from edge.kpi.row import SUM_COLUMNS
from edge.points import BUCKET_FIELDS

APPLICATION_ID = 0x5EA311AE  # tells our file from any other SQLite file
SCHEMA_VERSION = 3
# Most commits touch a handful of pages with little in each: half of SQLite's default halves what they cost the card.
# Any smaller, and rows of the ledger would not fit into a page. Files of earlier releases keep theirs.
PAGE_BYTES = 2_048
PAGE_BYTES_EARLIER = 4_096
BUSY_TIMEOUT_S = 5.0
# Of each connection. SQLite fills its default of 2 MiB within the hour and keeps it, and the system caches the file
# anyway; the pages of one commit fit into a quarter of this.
CACHE_KIB = 512

NUMBER_COLUMNS = (*SUM_COLUMNS, "flags", *BUCKET_FIELDS)

# One row a gap (edge.gaps.gap.Gap); `closed` orders what may be forgotten, and finds what is open at a start.
_GAP = """
CREATE TABLE gap (
    subject TEXT NOT NULL, start_ns INTEGER NOT NULL, cause TEXT NOT NULL, scope TEXT NOT NULL,
    end_ns INTEGER NOT NULL, open INTEGER NOT NULL, records INTEGER, pieces_min INTEGER, pieces_max INTEGER,
    detail TEXT NOT NULL, settled INTEGER NOT NULL, void INTEGER NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (subject, start_ns, cause)
) WITHOUT ROWID;
CREATE INDEX gap_by_start ON gap (start_ns)"""
# Machine states, whole in two generations, and what changed since (edge.outbox.states).
_STATES = """
CREATE TABLE state_a (
    key TEXT PRIMARY KEY, number INTEGER NOT NULL, t_ns INTEGER NOT NULL, blob BLOB NOT NULL, crc INTEGER NOT NULL
);
CREATE TABLE state_b (
    key TEXT PRIMARY KEY, number INTEGER NOT NULL, t_ns INTEGER NOT NULL, blob BLOB NOT NULL, crc INTEGER NOT NULL
);
CREATE TABLE change (number INTEGER PRIMARY KEY, t_ns INTEGER NOT NULL, blob BLOB NOT NULL, crc INTEGER NOT NULL)"""
_SEALED_SINCE_2 = ("sink", "quarantine", "checkpoint", "meta", "ledger", "folded")

_TABLES = f"""
CREATE TABLE record (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice, so a cursor can never skip a later record
    class   INTEGER NOT NULL,                   -- edge.points.RecordClass
    t_ns    INTEGER NOT NULL,                   -- time of the batch
    points  INTEGER NOT NULL,
    codec   INTEGER NOT NULL,                   -- edge.outbox.codec.Codec
    crc     INTEGER NOT NULL,                   -- what it covers: edge.outbox.codec.Codec
    lines   BLOB    NOT NULL                    -- line protocol
);
CREATE INDEX record_by_class ON record (class);
CREATE TABLE tally (                            -- what `record` holds, so that nobody has to count it
    class INTEGER PRIMARY KEY, records INTEGER NOT NULL, points INTEGER NOT NULL, bytes INTEGER NOT NULL
);
CREATE TABLE sink (
    id TEXT PRIMARY KEY, cursor INTEGER NOT NULL, replay_from INTEGER NOT NULL, replay_to INTEGER NOT NULL,
    quarantined INTEGER NOT NULL DEFAULT 0,     -- points refused since the store began
    crc INTEGER
);
CREATE TABLE quarantine (
    digest BLOB NOT NULL, sink TEXT NOT NULL, t_ns INTEGER NOT NULL, words TEXT NOT NULL, line BLOB NOT NULL,
    crc INTEGER,
    PRIMARY KEY (sink, digest)
);
CREATE INDEX quarantine_by_age ON quarantine (t_ns);
CREATE TABLE checkpoint (key TEXT PRIMARY KEY, blob BLOB NOT NULL, crc INTEGER);  -- pages of journals
CREATE TABLE meta (key TEXT PRIMARY KEY, text TEXT NOT NULL, crc INTEGER);
CREATE TABLE ledger (
    machine TEXT NOT NULL, "window" TEXT NOT NULL, start_ns INTEGER NOT NULL,
    product TEXT NOT NULL, shift TEXT NOT NULL, shift_date TEXT NOT NULL,
    end_ns INTEGER NOT NULL, revision INTEGER NOT NULL, final INTEGER NOT NULL,
    config_version TEXT NOT NULL, tier INTEGER NOT NULL,
    {", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in NUMBER_COLUMNS)},
    crc INTEGER,
    PRIMARY KEY (machine, "window", start_ns, product, shift, shift_date)
) WITHOUT ROWID;
CREATE INDEX ledger_by_start ON ledger (start_ns);
CREATE TABLE folded (                           -- pieces of ledger rows that were forgotten: totals outlive their rows
    machine TEXT PRIMARY KEY, total INTEGER NOT NULL, good INTEGER NOT NULL, reject INTEGER NOT NULL, crc INTEGER
);
{_GAP};
{_STATES};
"""


def connect(path: Path) -> sqlite3.Connection:
    """The one read-write connection, in autocommit mode (transactions are opened by hand). Opening writes nothing."""
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def create(connection: sqlite3.Connection) -> None:
    """Lay out an empty file. Killed before the end it is still empty, or has no tables."""
    connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # both take effect before the first page only
    connection.execute("PRAGMA journal_mode=WAL")  # remembered by the file
    connection.executescript(
        f"BEGIN IMMEDIATE;{_TABLES}PRAGMA application_id={APPLICATION_ID};PRAGMA user_version={SCHEMA_VERSION};COMMIT;"
    )


def upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Bring the file of an earlier release here, all of it or nothing; nothing that is stored changes."""
    if version < SCHEMA_VERSION:
        columns = "".join(f"ALTER TABLE {table} ADD COLUMN crc INTEGER;" for table in _SEALED_SINCE_2)
        since_2 = f"{columns}{_GAP};" if version < 2 else ""
        connection.executescript(f"BEGIN IMMEDIATE;{since_2}{_STATES};PRAGMA user_version={SCHEMA_VERSION};COMMIT;")
    _add_missing_columns(connection)


def _add_missing_columns(connection: sqlite3.Connection) -> None:
    """A release that knows more sums than the file: add them, zero for the rows that are there.

    A row's checksum is made of what is not zero, so it still holds.
    """
    present = {row[1] for row in connection.execute("PRAGMA table_info(ledger)")}
    for name in NUMBER_COLUMNS:
        if name not in present:
            connection.execute(f"ALTER TABLE ledger ADD COLUMN {name} INTEGER NOT NULL DEFAULT 0")


def columns(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """By table."""
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {table: {row[1] for row in connection.execute(f"PRAGMA table_info({table})")} for table in tables}


def missing_columns(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """What the file lacks of what this release lays out, by table."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        create(fresh)
        wanted = columns(fresh)
    there = columns(connection)
    return {table: lacks for table, names in wanted.items() if (lacks := names - there.get(table, set()))}


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """An integer pragma."""
    value = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return int(value)
