"""What is committed together: everything the agent learned up to one instant. Frozen, so the writer thread needs no lock."""

from __future__ import annotations

from dataclasses import dataclass

from edge.kpi.row import Row
from edge.points import RecordClass


@dataclass(frozen=True, slots=True)
class Record:
    """A run of line protocol of one class, newest last."""

    record_class: RecordClass
    lines: bytes  # newline-separated, no trailing newline
    points: int


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction. Merging two batches in order is again a batch (used while the disk refuses)."""

    t_ns: int
    records: tuple[Record, ...] = ()
    rows: tuple[Row, ...] = ()  # upserts of the local ledger
    checkpoints: tuple[tuple[str, bytes], ...] = ()  # key → blob, replacing
    meta: tuple[tuple[str, str], ...] = ()
