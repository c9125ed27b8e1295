"""Ledger rows as SQL: columns are named as the fields of `Sums`, in both directions from one table of names."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any

from edge.gaps.gap import Hidden
from edge.kpi.row import SUM_COLUMNS, Row, RowKey, Sums
from edge.kpi.windows import MINUTE_NS
from edge.outbox.codec import seal
from edge.outbox.facts import Counts
from edge.outbox.schema import NUMBER_COLUMNS
from edge.points import BUCKET_FIELDS

_KEY = ("machine", '"window"', "start_ns", "product", "shift", "shift_date")
_ABOUT = ("end_ns", "revision", "final", "config_version", "tier")
COLUMNS = (*_KEY, *_ABOUT, *NUMBER_COLUMNS)
_N_HEAD = len(_KEY) + len(_ABOUT)
_N_SUMS = len(SUM_COLUMNS)

_UPSERT = (
    f"INSERT OR REPLACE INTO ledger ({', '.join(COLUMNS)}, crc) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(COLUMNS))}, ?)"
)
_SELECT = (
    f"SELECT {', '.join(COLUMNS)} FROM ledger "  # noqa: S608  (names are ours)
    'WHERE machine = ? AND "window" = ? AND start_ns >= ? AND start_ns < ? ORDER BY start_ns'
)
_PIECES = "sum(tc + unscheduled_tc), sum(gc + unscheduled_gc), sum(sc + unscheduled_sc)"
_TOTALS = f"SELECT machine, {_PIECES} FROM ledger WHERE \"window\" = '1m' GROUP BY machine"  # noqa: S608
_FOLD = f"""
INSERT INTO folded (machine, total, good, reject)
SELECT machine, {_PIECES} FROM ledger WHERE "window" = '1m' AND start_ns < ? GROUP BY machine
ON CONFLICT (machine) DO UPDATE SET total = total + excluded.total, good = good + excluded.good,
    reject = reject + excluded.reject
"""  # noqa: S608

# Pieces of a minute that another gap of the same machine touches too may belong to either.
_HIDDEN = """
SELECT sum(CASE WHEN EXISTS (
           SELECT 1 FROM gap WHERE subject = machine AND scope = 'machine' AND NOT void AND gap.start_ns <> :gap
           AND gap.start_ns - :hold < ledger.end_ns AND gap.end_ns >= ledger.start_ns
       ) THEN 0 ELSE recovered END), sum(recovered), sum(lost_max), sum(final = 0), max(end_ns)
FROM ledger WHERE machine = :machine AND "window" = '1m' AND start_ns >= :first AND start_ns <= :until
"""
_HIDDEN_FLAGS = (
    "SELECT DISTINCT flags FROM ledger WHERE machine = ? AND \"window\" = '1m' AND start_ns >= ? AND start_ns <= ?"
)

_sums_of = attrgetter(*SUM_COLUMNS, "flags")


def upsert(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Write rows; a row with the same key is replaced."""
    connection.executemany(_UPSERT, ((*values, seal_of(values)) for values in map(_values, rows)))


def select(connection: sqlite3.Connection, machine: str, window: str, start_ns: int, end_ns: int) -> Iterator[Row]:
    """Rows of one machine whose windows start in [start_ns, end_ns), by start."""
    return map(_row, connection.execute(_SELECT, (machine, window, start_ns, end_ns)))


def totals(connection: sqlite3.Connection) -> dict[str, Counts]:
    """Pieces per machine over the life of the store: rows that are there and rows that were folded."""
    folded = connection.execute("SELECT machine, total, good, reject FROM folded")
    counts = {machine: Counts(*pieces) for machine, *pieces in folded}
    for machine, total, good, reject in connection.execute(_TOTALS):
        before = counts.get(machine, Counts())
        counts[machine] = Counts(before.total + total, before.good + good, before.reject + reject)
    return counts


def fold(connection: sqlite3.Connection, before_ns: int) -> int:
    """Forget rows that start before `before_ns`, keeping their pieces in the totals. Returns how many went."""
    connection.execute(_FOLD, (before_ns,))
    for machine, *pieces in connection.execute("SELECT machine, total, good, reject FROM folded").fetchall():
        connection.execute("UPDATE folded SET crc = ? WHERE machine = ?", (seal(machine, *pieces), machine))
    return connection.execute("DELETE FROM ledger WHERE start_ns < ?", (before_ns,)).rowcount


def oldest_ns(connection: sqlite3.Connection) -> int | None:
    """Start of the oldest row."""
    start: int | None = connection.execute("SELECT min(start_ns) FROM ledger").fetchone()[0]
    return start


def hidden(
    connection: sqlite3.Connection, machine: str, gap_ns: int, from_ns: int, until_ns: int, hold_ns: int
) -> Hidden:
    """What the minutes in [from_ns, until_ns] say that a gap which began at `gap_ns` may hide."""
    first_ns = from_ns - from_ns % MINUTE_NS
    pieces, all_pieces, lost, open_rows, last_ns = connection.execute(
        _HIDDEN, {"machine": machine, "gap": gap_ns, "first": first_ns, "until": until_ns, "hold": hold_ns}
    ).fetchone()
    flags = 0
    for (bits,) in connection.execute(_HIDDEN_FLAGS, (machine, first_ns, until_ns)):
        flags |= bits
    return Hidden(pieces or 0, all_pieces or 0, lost or 0, flags, 0 if open_rows else last_ns or 0)


def seal_of(values: Iterable[Any]) -> int:
    """Checksum of a row: its columns, `crc` excepted, in the order of `COLUMNS`. By name, so a column that a later
    release puts among the others changes nothing.
    """
    return seal(*(f"{name}={value}" for name, value in zip(COLUMNS, values, strict=True) if value))


def _values(row: Row) -> tuple[object, ...]:
    key = row.key
    return (
        key.machine, key.window, key.start_ns, key.product, key.shift, key.shift_date,
        row.end_ns, row.revision, int(row.final), row.config_version, row.tier,
        *map(int, _sums_of(row.sums)), *row.sums.stop_ns,
    )  # fmt: skip


def _row(values: tuple[Any, ...]) -> Row:
    machine, window, start_ns, product, shift, shift_date, end_ns, revision, final, version, tier = values[:_N_HEAD]
    numbers = values[_N_HEAD:]
    sums = Sums(
        **dict(zip(SUM_COLUMNS, numbers[:_N_SUMS], strict=True)),
        flags=numbers[_N_SUMS],
        stop_ns=list(numbers[-len(BUCKET_FIELDS) :]),
    )
    key = RowKey(machine, window, start_ns, product, shift, shift_date)
    return Row(key, end_ns, sums, revision, bool(final), version, tier)
