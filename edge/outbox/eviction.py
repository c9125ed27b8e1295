"""Room for the next commit: what leaves a full store, in which order, and what has to be said about it.

Order, each step only when the one before did not free enough:
1. records every database has, oldest first, lowest class first (raw tags, live, ledger, events);
2. local ledger rows older than two days; their pieces stay in the totals;
3. records some database still waits for, again oldest first, lowest class first, each reported as an `Eviction`;
4. evidence, which is what all the rest is proved by.
A class with a bound of its own gives its oldest whenever it passes it, delivered or not, before any of this.
Age alone forgets only what every database has: no clock, however wrong, kills data that is still to be delivered.

All of it happens inside the transaction of the commit that needs the room: an eviction and the record that tells of it
are on the disk together, or neither is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from edge.outbox import ledger, schema
from edge.outbox.facts import ClassBound, Eviction, Position
from edge.points import RecordClass

LEDGER_KEEP_NS = 2 * 86_400 * 1_000_000_000  # the page and the last shifts are computed from local rows
_FOLD_STEP_NS = 6 * 3_600 * 1_000_000_000
_CHUNK = 16  # records dropped between two looks at the room
_FORGOTTEN_PER_COMMIT = 64  # by age: spreads the work, and bounds what a wrong clock can take
_CLASS_HEADROOM_SHARE = 32  # of its bound is freed at once, so that it happens seldom
_NO_LIMIT = (1 << 63) - 1

_ORDINARY: tuple[RecordClass, ...] = tuple(c for c in sorted(RecordClass) if c is not RecordClass.EVIDENCE)


@dataclass(slots=True)
class _Loss:
    """Undelivered records of one class, as they are dropped."""

    start_ns: int
    end_ns: int = 0
    records: int = 0
    points: int = 0
    size_bytes: int = 0
    sinks: set[str] = field(default_factory=set)


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the main file that hold something; its free pages will be used again."""
    pages = schema.pragma(connection, "page_count") - schema.pragma(connection, "freelist_count")
    return pages * schema.pragma(connection, "page_size")


def make_room(
    connection: sqlite3.Connection, goal_bytes: int, positions: Mapping[str, Position], now_ns: int
) -> tuple[Eviction, ...]:
    """Drop until at most `goal_bytes` are used, or nothing is left. Returns what some database never got.

    `positions` are those of the configured databases; `now_ns` is the time of the batch. Must run inside a transaction.
    """
    losses: dict[RecordClass, _Loss] = {}
    for _ in _steps(connection, positions, losses, now_ns):
        if used_bytes(connection) <= goal_bytes:
            break
    return _evictions(losses)


def keep_classes(
    connection: sqlite3.Connection, bounds: Iterable[ClassBound], positions: Mapping[str, Position]
) -> tuple[Eviction, ...]:
    """Bring each class below its own bound of bytes, oldest first. Returns what some database never got."""
    losses: dict[RecordClass, _Loss] = {}
    for bound in bounds:
        if bound.max_bytes and _class_bytes(connection, bound.record_class) > bound.max_bytes:
            goal = bound.max_bytes - bound.max_bytes // _CLASS_HEADROOM_SHARE
            for _ in _drop_class(connection, bound.record_class, _NO_LIMIT, positions, losses):
                if _class_bytes(connection, bound.record_class) <= goal:
                    break
    return _evictions(losses)


def _class_bytes(connection: sqlite3.Connection, record_class: RecordClass) -> int:
    row = connection.execute("SELECT bytes FROM tally WHERE class = ?", (record_class,)).fetchone()
    return row[0] if row else 0


def _evictions(losses: Mapping[RecordClass, _Loss]) -> tuple[Eviction, ...]:
    return tuple(
        Eviction(cls, x.start_ns, x.end_ns, x.records, x.points, x.size_bytes, tuple(sorted(x.sinks)))
        for cls, x in sorted(losses.items())
    )


def forget_old(
    connection: sqlite3.Connection,
    positions: Mapping[str, Position],
    now_ns: int,
    max_age_ns: int,
    bounds: Iterable[ClassBound] = (),
) -> None:
    """Drop a few delivered records, and ledger rows, that are older than the store or their class keeps them."""
    ages = {bound.record_class: bound.max_age_ns for bound in bounds if bound.max_age_ns}
    floor = _delivered_up_to(positions)
    for record_class in RecordClass:
        kept_ns = min(filter(None, (ages.get(record_class), max_age_ns)), default=0)
        if not kept_ns:
            continue
        oldest = connection.execute(
            "SELECT id, t_ns FROM record WHERE class = ? AND id <= ? ORDER BY id LIMIT ?",
            (record_class, floor, _FORGOTTEN_PER_COMMIT),
        )
        drop(connection, list(_while_older(oldest, now_ns - kept_ns)))
    oldest_ns = ledger.oldest_ns(connection) if max_age_ns else None
    if oldest_ns is not None and oldest_ns < now_ns - max_age_ns:
        ledger.fold(connection, min(now_ns - max_age_ns, oldest_ns + _FOLD_STEP_NS))


def _while_older(rows: Iterable[tuple[int, int]], before_ns: int) -> Iterator[int]:
    """Ids up to the first that is young enough: a cursor that is not read on costs nothing."""
    for record_id, t_ns in rows:
        if t_ns >= before_ns:
            return
        yield record_id


def drop(connection: sqlite3.Connection, ids: list[int]) -> None:
    """Delete records and keep the tally."""
    for record_id in ids:
        gone = connection.execute(
            "DELETE FROM record WHERE id = ? RETURNING class, points, length(lines)", (record_id,)
        ).fetchone()
        if gone is not None:
            connection.execute(
                "UPDATE tally SET records = records - 1, points = points - ?, bytes = bytes - ? WHERE class = ?",
                (gone[1], gone[2], gone[0]),
            )


def _steps(
    connection: sqlite3.Connection,
    positions: Mapping[str, Position],
    losses: dict[RecordClass, _Loss],
    now_ns: int,
) -> Iterator[None]:
    """The order of the module's text; yields after each chunk so that the caller can look at the room."""
    yield  # there may be room already
    floor = _delivered_up_to(positions)
    for record_class in _ORDINARY:
        yield from _drop_class(connection, record_class, floor, positions, losses)
    yield from _fold(connection, now_ns - LEDGER_KEEP_NS)
    for record_class in (*_ORDINARY, RecordClass.EVIDENCE):
        yield from _drop_class(connection, record_class, _NO_LIMIT, positions, losses)


def _drop_class(
    connection: sqlite3.Connection,
    record_class: RecordClass,
    up_to_id: int,
    positions: Mapping[str, Position],
    losses: dict[RecordClass, _Loss],
) -> Iterator[None]:
    """Chunk by chunk, oldest first."""
    while chunk := connection.execute(
        "SELECT id, t_ns, points, length(lines) FROM record WHERE class = ? AND id <= ? ORDER BY id LIMIT ?",
        (record_class, up_to_id, _CHUNK),
    ).fetchall():
        for record_id, t_ns, points, size_bytes in chunk:
            lacking = [sink for sink, position in positions.items() if not position.has(record_id)]
            if lacking:
                loss = losses.setdefault(record_class, _Loss(start_ns=t_ns))
                loss.end_ns = t_ns
                loss.records += 1
                loss.points += points
                loss.size_bytes += size_bytes
                loss.sinks.update(lacking)
        drop(connection, [row[0] for row in chunk])
        yield


def _fold(connection: sqlite3.Connection, before_ns: int) -> Iterator[None]:
    while (oldest_ns := ledger.oldest_ns(connection)) is not None and oldest_ns < before_ns:
        ledger.fold(connection, min(before_ns, oldest_ns + _FOLD_STEP_NS))
        yield


def _delivered_up_to(positions: Mapping[str, Position]) -> int:
    """The newest id that, like all before it, every database has. Without databases nobody waits for anything."""
    return min((position.delivered_up_to for position in positions.values()), default=_NO_LIMIT)
