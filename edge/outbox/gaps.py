"""Gaps as SQL. The newest are kept: a gap was sent as a point long before it goes from here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from edge.gaps.gap import Gap, GapCause, GapScope
from edge.outbox.codec import seal

KEPT = 10_000  # closed ones
JOIN_NS = 3_600_000_000_000
JOINED_NS = 24 * JOIN_NS

COLUMNS = (
    "subject", "start_ns", "cause", "scope", "end_ns", "open", "records", "pieces_min", "pieces_max", "detail",
    "settled", "void",
)  # fmt: skip
_NAMES = ", ".join(COLUMNS)
_UPSERT = f"INSERT OR REPLACE INTO gap ({_NAMES}, crc) VALUES ({', '.join('?' * len(COLUMNS))}, ?)"  # noqa: S608
_TRIM = """
DELETE FROM gap WHERE (subject, start_ns, cause) IN
    (SELECT subject, start_ns, cause FROM gap WHERE NOT open ORDER BY start_ns DESC LIMIT -1 OFFSET ?)
"""
_NEWEST = f"SELECT {_NAMES} FROM gap WHERE end_ns >= ? AND start_ns < ? ORDER BY start_ns DESC LIMIT ?"  # noqa: S608
_LAST = (
    f"SELECT {_NAMES} FROM gap WHERE subject = ? AND cause = ? AND end_ns >= ? AND start_ns <= ? "  # noqa: S608
    "ORDER BY start_ns DESC LIMIT 1"
)
_OPEN = f"SELECT {_NAMES} FROM gap WHERE open OR NOT settled ORDER BY start_ns"  # noqa: S608


def upsert(connection: sqlite3.Connection, gaps: Iterable[Gap]) -> None:
    """Write gaps; one with the same key is replaced. Beyond the limit the oldest go."""
    rows = [(*values, seal_of(values)) for values in map(_values, gaps)]
    if not rows:
        return
    connection.executemany(_UPSERT, rows)
    connection.execute(_TRIM, (KEPT,))


def select(connection: sqlite3.Connection, from_ns: int, until_ns: int, limit: int) -> list[Gap]:
    """The newest `limit` gaps that touch [from_ns, until_ns), newest first; void ones included."""
    return [_gap(row) for row in connection.execute(_NEWEST, (from_ns, until_ns, limit))]


def select_open(connection: sqlite3.Connection) -> list[Gap]:
    """What goes on at the next start: open gaps, and those whose pieces are not settled; oldest first."""
    return [_gap(row) for row in connection.execute(_OPEN)]


def joined(connection: sqlite3.Connection, gap: Gap) -> Gap:
    """`gap`, as the growth of the last one of its cause and subject where that ended less than an hour before it began:
    a database that refuses a point a second, a store that is full for weeks, leave one gap a day.
    """
    row = connection.execute(_LAST, (gap.subject, str(gap.cause), gap.start_ns - JOIN_NS, gap.end_ns)).fetchone()
    if row is None or gap.end_ns - row[1] > JOINED_NS:
        return gap
    last = _gap(row)
    return replace(gap, start_ns=last.start_ns, end_ns=max(gap.end_ns, last.end_ns), records=_sum(gap, last))


def _sum(one: Gap, other: Gap) -> int:
    return (one.records or 0) + (other.records or 0)


def seal_of(values: Iterable[Any]) -> int:
    """Checksum of a row: its columns, `crc` excepted. None is not 0: nobody can tell."""
    return seal(*("?" if value is None else f"={value}" for value in values))


def _values(gap: Gap) -> tuple[object, ...]:
    return (
        gap.subject, gap.start_ns, str(gap.cause), str(gap.scope), gap.end_ns, int(gap.is_open), gap.records,
        gap.pieces_min, gap.pieces_max, gap.detail, int(gap.settled), int(gap.void),
    )  # fmt: skip


def _gap(row: tuple[Any, ...]) -> Gap:
    subject, start_ns, cause, scope, end_ns, is_open, records, least, most, detail, settled, void = row
    return Gap(
        GapCause(cause), GapScope(scope), subject, start_ns, end_ns, bool(is_open), records, least, most, detail,
        bool(settled), bool(void),
    )  # fmt: skip
