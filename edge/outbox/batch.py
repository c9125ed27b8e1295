"""What is committed together: everything the agent learned up to one instant. Frozen, so the writer thread needs no
lock.

While the disk refuses, the agent keeps its batches and merges them until a commit succeeds. Memory stays bounded by
this policy, in the order of what hurts least: raw tag lines go first, then live lines, oldest first (`shed`). Events
and evidence stay. Ledger lines, rows, checkpoints and meta stay as well and do not grow with time: of the same row,
key or point only the newest is kept (`merge`). The checkpoint always matches the rows beside it, so a kill in this
state loses time, never truth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from edge.gaps.gap import Gap
from edge.kpi.row import Row
from edge.points import RecordClass

SHED_ORDER = (RecordClass.TAG, RecordClass.LIVE)
_RECORD_BYTES = 262_144  # merged records stay below this, so that reading one back stays cheap

# A point is known by its series (everything before the first bare space) and its time (everything behind the last
# space).
_SERIES = re.compile(rb"(?:[^ \\]|\\.)*")


@dataclass(frozen=True, slots=True)
class Record:
    """A run of line protocol of one class, newest last."""

    record_class: RecordClass
    lines: bytes  # newline-separated, no trailing newline
    points: int

    @classmethod
    def of(cls, record_class: RecordClass, lines: Sequence[bytes]) -> Self:
        """A record of single lines; there must be at least one."""
        return cls(record_class, b"\n".join(lines), len(lines))


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction. Merging two batches in order is again a batch (used while the disk refuses)."""

    t_ns: int
    records: tuple[Record, ...] = ()
    rows: tuple[Row, ...] = ()  # upserts of the local ledger
    checkpoints: tuple[tuple[str, bytes], ...] = ()  # key → state of a machine, replacing
    meta: tuple[tuple[str, str], ...] = ()
    gaps: tuple[Gap, ...] = ()  # upserts of the gap ledger; their points are among the records
    pages: tuple[tuple[str, bytes], ...] = ()  # key → page of a journal, replacing


@dataclass(frozen=True, slots=True)
class Shed:
    """What `shed` dropped from memory: to be published as a gap once the disk takes data again."""

    record_class: RecordClass
    records: int
    points: int
    size_bytes: int


def merge(batches: Iterable[Batch]) -> Batch:
    """One batch with the effect of committing `batches` in order.

    Its time is that of the newest. Raises ValueError for none.
    """
    ordered = tuple(batches)
    if not ordered:
        raise ValueError("nothing to merge")
    rows = {row.key: row for batch in ordered for row in batch.rows}
    checkpoints = {key: blob for batch in ordered for key, blob in batch.checkpoints}
    pages = {key: blob for batch in ordered for key, blob in batch.pages}
    meta = {key: text for batch in ordered for key, text in batch.meta}
    return Batch(
        t_ns=ordered[-1].t_ns,
        records=_merge_records([record for batch in ordered for record in batch.records]),
        rows=tuple(rows.values()),
        checkpoints=tuple(checkpoints.items()),
        meta=tuple(meta.items()),
        gaps=tuple({gap.key: gap for batch in ordered for gap in batch.gaps}.values()),
        pages=tuple(pages.items()),
    )


def shed(batch: Batch, max_bytes: int) -> tuple[Batch, tuple[Shed, ...]]:
    """Drop raw tag, then live records, oldest first, until the lines fit `max_bytes` or nothing droppable is left."""
    excess = sum(len(record.lines) for record in batch.records) - max_bytes
    kept = list(batch.records)
    dropped: list[Shed] = []
    for record_class in SHED_ORDER:
        gone: list[Record] = []
        for record in batch.records:
            if excess > 0 and record.record_class is record_class:
                kept.remove(record)
                gone.append(record)
                excess -= len(record.lines)
        if gone:
            size_bytes = sum(len(record.lines) for record in gone)
            dropped.append(Shed(record_class, len(gone), sum(record.points for record in gone), size_bytes))
    return (replace(batch, records=tuple(kept)), tuple(dropped)) if dropped else (batch, ())


def _merge_records(records: list[Record]) -> tuple[Record, ...]:
    """Neighbours of one class joined up to a size; of each ledger point only the newest."""
    merged: list[Record] = []
    for record_class in sorted({record.record_class for record in records}):
        lines = [
            line for record in records if record.record_class is record_class for line in record.lines.split(b"\n")
        ]
        merged += _cut(record_class, _newest_of_each(lines) if record_class is RecordClass.LEDGER else lines)
    return tuple(merged)


def _cut(record_class: RecordClass, lines: list[bytes]) -> Iterable[Record]:
    """Records of at most about `_RECORD_BYTES`."""
    run: list[bytes] = []
    size = 0
    for line in lines:
        if run and size + len(line) > _RECORD_BYTES:
            yield Record.of(record_class, run)
            run, size = [], 0
        run.append(line)
        size += len(line) + 1
    if run:
        yield Record.of(record_class, run)


def _newest_of_each(lines: list[bytes]) -> list[bytes]:
    """A ledger point carries all its fields: a later one with the same series and time makes the earlier one void."""
    newest: dict[tuple[bytes, bytes], bytes] = {}
    for line in lines:
        series = _SERIES.match(line)
        key = (series.group() if series else line, line.rpartition(b" ")[2])
        newest.pop(key, None)  # keep the order of the last writing
        newest[key] = line
    return list(newest.values())
