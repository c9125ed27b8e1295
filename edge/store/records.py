"""Stored records for exports: in order of commit, a megabyte at a time, so memory stays small and the log beside a
running agent can be folded between two looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from edge.outbox.facts import StoredRecord
from edge.outbox.reader import Reader
from edge.points import RecordClass
from edge.store import line

_AT_ONCE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Choice:
    """Which points are wanted."""

    classes: frozenset[RecordClass] = frozenset(RecordClass)
    machine: str | None = None
    from_ns: int = 0  # of the points' own times
    until_ns: int = (1 << 63) - 1

    @property
    def is_all(self) -> bool:
        """Every line of the chosen classes."""
        return self.machine is None and self.from_ns <= 0 and self.until_ns == (1 << 63) - 1

    def takes(self, text: bytes) -> bool:
        """A line is wanted. One that is no line protocol never is."""
        try:
            if not self.from_ns <= line.time_of(text) < self.until_ns:
                return False
            return self.machine is None or line.tags_of(text).get("machine") == self.machine
        except ValueError:
            return False


@dataclass(slots=True)
class Damaged:
    """Records that could not be read."""

    records: int = 0


def chosen(reader: Reader, choice: Choice, damaged: Damaged) -> Iterator[StoredRecord]:
    """Records with the chosen lines only, up to what is stored now. Raises StoreError."""
    last_id, after = reader.last_id(), 0
    while after < last_id:
        records, bad = reader.stretch(after, last_id, _AT_ONCE_BYTES)
        damaged.records += len(bad)
        if not records:
            if not bad:
                return
            after = max(bad)
            continue
        after = records[-1].id
        for record in records:
            if record.record_class in choice.classes and (kept := _cut(record, choice)) is not None:
                yield kept


def _cut(record: StoredRecord, choice: Choice) -> StoredRecord | None:
    if choice.is_all:
        return record
    lines = [text for text in record.lines.split(b"\n") if choice.takes(text)]
    return replace(record, lines=b"\n".join(lines), points=len(lines)) if lines else None
