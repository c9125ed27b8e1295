"""Machine states (checkpoints) as they lie on the disk: whole in two generations, and what changed since.

Theory. A state is some kilobytes, and little of it changes from one commit to the next. So it is written whole now and
then, and with every other commit only as what changed against the last whole one: deflate (RFC 1951) with that as its
dictionary, some tens of bytes. What changed lies in the same transaction as the points it explains, for all machines
in one row; a restart puts both together and has the very bytes that were given.

Two generations. Whole states alternate between two tables, so the newest and the one before never share a page: a
flipped byte or a lost page costs one of them. Rows of changes lie apart from both. Whatever is damaged, the newest
state that can be proved (`newest`) is gone on with, and whether it may not be the last (`outdated`) is known: commits
with states are numbered without a hole, the last number is among the facts about the store, and each row says whose
states it holds.

Rules. A state is written whole `EVERY` commits after it was the last time, if it has changed since; sooner when what
changed is a good part of it, or when the rows of changes take too much room. Rows that no newest state needs stay for
`KEPT` commits, for the generation before. In memory is one whole state of each machine; after a failed transaction
everything is read again.
"""

from __future__ import annotations

import sqlite3
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from edge.deflate import compress, decompress
from edge.outbox.codec import seal, seal_blob

EVERY = 32  # commits: what changed meanwhile comes to as much as a whole state
KEPT = 2 * EVERY
GENERATIONS = ("state_a", "state_b")
META_NUMBER = "state_number"  # of the last commit with states

_PART = 3  # changes beyond this part of a whole state: it is written whole
_CHANGES_MAX_BYTES = 1 << 20
_CHANGES_SHARE = 32  # of the store's bound
_DROPPED_EVERY = 32  # commits: rows that go share their pages
_LEVEL, _MEMORY = 6, 4
_LEAST_WINDOW_BITS, _MOST_WINDOW_BITS = 10, 15
_LOOKED_BACK = 512  # beyond the size of a state: it grows a little, and deflate keeps a margin
_ENTRY = struct.Struct("<HQII")  # bytes of the key, number of the whole state, checksum of the state, bytes of changes


@dataclass(frozen=True, slots=True)
class State:
    """A state as it was committed."""

    blob: bytes
    number: int  # of its commit
    t_ns: int


@dataclass(frozen=True, slots=True)
class Change:
    """What one commit says of one machine."""

    key: str
    base: int  # number of the whole state it changes; the commit's own number: that one is meant
    crc: int  # of the state
    delta: bytes


@dataclass(slots=True)
class _Whole:
    """The newest whole state of a machine."""

    number: int
    t_ns: int
    table: str
    blob: bytes
    packed_bytes: int
    changed: bool = False  # since


class States:
    """The writing side: lives in the writer's thread, mirrors what is committed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Reads what is there."""
        self._whole: dict[str, _Whole] = {}
        for key, number, t_ns, packed, table in _whole_rows(connection):
            known = self._whole.get(key)
            if known is None or known.number < number:
                with suppress(ValueError):
                    self._whole[key] = _Whole(number, t_ns, table, decompress(packed), len(packed))
        self._number = last_number(connection)
        self._changes_bytes = 0
        for number, _, blob in _change_rows(connection):
            self._changes_bytes += len(blob)
            for change in unpack(blob):
                if (whole := self._whole.get(change.key)) is not None and number > whole.number:
                    whole.changed = True

    def write(
        self, connection: sqlite3.Connection, t_ns: int, states: Iterable[tuple[str, bytes]], bound_bytes: int
    ) -> tuple[tuple[str, str], ...]:
        """Inside the transaction of a commit; throw this away if that fails. Returns facts to be stored with it."""
        news = dict(states)
        if not news:
            return ()
        self._number += 1
        crowded = self._changes_bytes > min(_CHANGES_MAX_BYTES, bound_bytes // _CHANGES_SHARE)
        old = 0 if crowded else EVERY
        stale = {key for key, whole in self._whole.items() if whole.changed and self._number - whole.number >= old}
        known = newest(connection) if stale - news.keys() else {}
        changes = []
        for key in sorted(news.keys() | (stale & known.keys())):
            blob = news[key] if key in news else known[key].blob
            change = self._changed(key, blob) if key not in stale else None
            if change is None:
                self._write_whole(connection, key, blob, t_ns)
            changes.append(change or Change(key, self._number, zlib.crc32(blob), b""))
        row = pack(changes)
        connection.execute(_INSERT_CHANGE, (self._number, t_ns, row, _seal_change(self._number, t_ns, row)))
        self._changes_bytes += len(row)
        if crowded or self._number % _DROPPED_EVERY == 0:
            self._drop(connection, kept=0 if crowded else KEPT)
        return ((META_NUMBER, str(self._number)),)

    def _changed(self, key: str, blob: bytes) -> Change | None:
        """None where the state is better written whole."""
        whole = self._whole.get(key)
        if whole is None:
            return None
        delta = _delta(blob, whole.blob)
        if len(delta) * _PART > whole.packed_bytes:
            return None
        whole.changed = True
        return Change(key, whole.number, zlib.crc32(blob), delta)

    def _write_whole(self, connection: sqlite3.Connection, key: str, blob: bytes, t_ns: int) -> None:
        """Over the older generation; the first of a machine is both."""
        before = self._whole.get(key)
        table = GENERATIONS[before is not None and before.table == GENERATIONS[0]]
        packed = compress(blob)
        crc = _seal_state(key, self._number, t_ns, packed)
        for each in (table,) if before is not None else GENERATIONS:
            connection.execute(_upsert(each), (key, self._number, t_ns, packed, crc))
        if before is None:
            connection.execute("DELETE FROM checkpoint WHERE key = ?", (key,))  # as an earlier release kept it
        self._whole[key] = _Whole(self._number, t_ns, table, blob, len(packed))

    def _drop(self, connection: sqlite3.Connection, kept: int) -> None:
        """Rows of changes that no newest state is made of, but for the last ones."""
        needed = min((whole.number for whole in self._whole.values() if whole.changed), default=self._number)
        gone = connection.execute(
            "DELETE FROM change WHERE number < ? RETURNING length(blob)", (min(needed, self._number - kept),)
        ).fetchall()
        self._changes_bytes -= sum(row[0] for row in gone)


def newest(connection: sqlite3.Connection) -> dict[str, State]:
    """By key: the newest state that can be proved. One with no such state is missing."""
    found: dict[str, State] = {}
    whole: dict[tuple[str, int], bytes] = {}
    for key, number, t_ns, packed, _ in _whole_rows(connection):
        with suppress(ValueError):
            blob = whole[key, number] = decompress(packed)
            if key not in found or found[key].number < number:
                found[key] = State(blob, number, t_ns)
    for number, t_ns, row in _change_rows(connection):
        for change in unpack(row):
            known, base = found.get(change.key), whole.get((change.key, change.base))
            if base is None or change.base == number or (known is not None and known.number >= number):
                continue
            blob = _applied(change.delta, base)
            if zlib.crc32(blob) == change.crc:
                found[change.key] = State(blob, number, t_ns)
    return found


def last_number(connection: sqlite3.Connection) -> int:
    """Of the last commit with states, as far as anything tells."""
    told = connection.execute("SELECT text, crc FROM meta WHERE key = ?", (META_NUMBER,)).fetchone()
    numbers = [int(told[0])] if told is not None and told[1] == seal(META_NUMBER, told[0]) else []
    for table in (*GENERATIONS, "change"):
        numbers += [row[0] for row in connection.execute(f"SELECT max(number) FROM {table}") if row[0]]  # noqa: S608
    return max(numbers, default=0)


def outdated(connection: sqlite3.Connection, generations: Mapping[str, int]) -> dict[str, State]:
    """What was saved of a damaged store: states that may not be the last of their machines. A row says there was a
    later one, a row is missing that may have said so, or one of the two `generations` is missing and no row says that
    it was the older.
    """
    last = last_number(connection)
    there: set[int] = set()
    told: dict[str, int] = {}
    for number, _, row in _change_rows(connection):
        there.add(number)
        told.update((change.key, number) for change in unpack(row))
    hole = max((n for n in range(max(last - EVERY, 1), last + 1) if n not in there), default=0)
    untold = {key for key, count in generations.items() if count < len(GENERATIONS)} - told.keys()
    return {
        key: state
        for key, state in newest(connection).items()
        if key in untold or max(hole, told.get(key, 0)) > state.number
    }


# ---- rows ----


def is_whole_state(key: object, number: object, t_ns: object, packed: object, crc: object) -> bool:
    """By its checksum."""
    return (
        isinstance(key, str) and isinstance(number, int) and isinstance(t_ns, int) and isinstance(packed, bytes)
    ) and crc == _seal_state(key, number, t_ns, packed)


def is_whole_change(number: object, t_ns: object, blob: object, crc: object) -> bool:
    """By its checksum."""
    return (isinstance(number, int) and isinstance(t_ns, int) and isinstance(blob, bytes)) and crc == _seal_change(
        number, t_ns, blob
    )


def pack(changes: Iterable[Change]) -> bytes:
    """One row."""
    parts = []
    for change in changes:
        key = change.key.encode()
        parts += [_ENTRY.pack(len(key), change.base, change.crc, len(change.delta)), key, change.delta]
    return b"".join(parts)


def unpack(blob: bytes) -> Iterator[Change]:
    """What `pack` made, proved by the checksum of its row."""
    at = 0
    while at < len(blob):
        key_bytes, base, crc, size = _ENTRY.unpack_from(blob, at)
        at += _ENTRY.size
        key = blob[at : at + key_bytes].decode()
        at += key_bytes
        yield Change(key, base, crc, blob[at : at + size])
        at += size


def _whole_rows(connection: sqlite3.Connection) -> Iterator[tuple[str, int, int, bytes, str]]:
    for table in _there(connection, GENERATIONS):
        for row in connection.execute(f"SELECT key, number, t_ns, blob, crc FROM {table}"):  # noqa: S608
            if is_whole_state(*row):
                yield (*row[:4], table)


def _change_rows(connection: sqlite3.Connection) -> Iterator[tuple[int, int, bytes]]:
    if not _there(connection, ("change",)):
        return
    for number, t_ns, blob, crc in connection.execute("SELECT number, t_ns, blob, crc FROM change ORDER BY number"):
        if is_whole_change(number, t_ns, blob, crc):
            yield number, t_ns, blob


def _there(connection: sqlite3.Connection, tables: Sequence[str]) -> list[str]:
    """Those of `tables` that the file has: tools read stores that an earlier release wrote."""
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    return [table for table in tables if table in names]


def _seal_state(key: str, number: int, t_ns: int, packed: bytes) -> int:
    return seal_blob(f"{key}\x1f{number}\x1f{t_ns}", packed)


def _seal_change(number: int, t_ns: int, blob: bytes) -> int:
    return seal_blob(f"{number}\x1f{t_ns}", blob)


def _delta(blob: bytes, base: bytes) -> bytes:
    bits = (len(base) + _LOOKED_BACK).bit_length()  # tables of the size of a state, which are made for each
    bits = min(max(bits, _LEAST_WINDOW_BITS), _MOST_WINDOW_BITS)
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -bits, _MEMORY, zdict=base)
    return packer.compress(blob) + packer.flush()


def _applied(delta: bytes, base: bytes) -> bytes:
    """Empty for what is no change of this state."""
    try:
        unpacker = zlib.decompressobj(-_MOST_WINDOW_BITS, zdict=base)
        return unpacker.decompress(delta) + unpacker.flush()
    except zlib.error:
        return b""


def _upsert(table: str) -> str:
    return (
        f"INSERT INTO {table} (key, number, t_ns, blob, crc) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "  # noqa: S608
        "number = excluded.number, t_ns = excluded.t_ns, blob = excluded.blob, crc = excluded.crc"
    )


_INSERT_CHANGE = "INSERT INTO change (number, t_ns, blob, crc) VALUES (?, ?, ?, ?)"
