"""Is a row what was stored? By its own checksum, table by table."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from edge.gaps.gap import GapCause, GapScope
from edge.outbox import gaps, ledger
from edge.outbox.codec import maybe_unpack, seal, seal_blob
from edge.outbox.states import is_whole_change, is_whole_state
from edge.points import BUCKET_FIELDS, RecordClass

Row = tuple[Any, ...]

_CLASSES = frozenset(int(record_class) for record_class in RecordClass)


def _whole_record(row: Row) -> bool:
    lines = maybe_unpack(*row)
    return lines is not None and lines.count(b"\n") + 1 == row[2] and row[1] in _CLASSES


def _whole_sink(row: Row) -> bool:
    return _sealed(row[5], *row[:5])


def _whole_checkpoint(row: Row) -> bool:
    key, blob, crc = row
    return crc is None or (isinstance(blob, bytes) and isinstance(key, str) and seal_blob(key, blob) == crc)


def _whole_meta(row: Row) -> bool:
    return _sealed(row[2], row[0], row[1])


def _whole_ledger(row: Row) -> bool:
    *values, crc = row
    if crc is not None and crc != ledger.seal_of(values):
        return False
    named = dict(zip(ledger.COLUMNS, values, strict=True))
    return bool(named["all_ns"] == sum(named[name] for name in BUCKET_FIELDS))


def _whole_folded(row: Row) -> bool:
    return _sealed(row[4], *row[:4])


def _whole_gap(row: Row) -> bool:
    *values, crc = row
    known = values[2] in set(GapCause) and values[3] in set(GapScope)
    return known and bool(crc == gaps.seal_of(values))


def _whole_quarantine(row: Row) -> bool:
    sink, digest, t_ns, words, line, crc = row
    if crc is None:
        return True
    if not isinstance(line, bytes) or not isinstance(digest, bytes) or hashlib.sha256(line).digest() != digest:
        return False
    return _sealed(crc, sink, t_ns, words, digest.hex())


def _sealed(crc: object, *values: object) -> bool:
    """A row of an earlier release has no checksum."""
    if crc is None:
        return True
    return all(value is None or isinstance(value, int | str) for value in values) and crc == seal(*values)


_LEDGER_COLUMNS = ", ".join((*ledger.COLUMNS, "crc"))
COLUMNS_OF = {
    "record": "id, class, points, t_ns, codec, crc, lines",
    "sink": "id, cursor, replay_from, replay_to, quarantined, crc",
    "checkpoint": "key, blob, crc",
    "state_a": "key, number, t_ns, blob, crc",
    "state_b": "key, number, t_ns, blob, crc",
    "change": "number, t_ns, blob, crc",
    "meta": "key, text, crc",
    "ledger": _LEDGER_COLUMNS,
    "folded": "machine, total, good, reject, crc",
    "gap": ", ".join((*gaps.COLUMNS, "crc")),
    "quarantine": "sink, digest, t_ns, words, line, crc",
}
WHOLE: dict[str, Callable[[Row], bool]] = {
    "record": _whole_record,
    "sink": _whole_sink,
    "checkpoint": _whole_checkpoint,
    "state_a": lambda row: is_whole_state(*row),
    "state_b": lambda row: is_whole_state(*row),
    "change": lambda row: is_whole_change(*row),
    "meta": _whole_meta,
    "ledger": _whole_ledger,
    "folded": _whole_folded,
    "gap": _whole_gap,
    "quarantine": _whole_quarantine,
}
