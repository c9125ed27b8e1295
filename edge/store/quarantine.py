"""`seamline store quarantine list|retry|drop`: points a database refused for good, with its words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from edge.errors import StoreError, Text
from edge.outbox.batch import Record
from edge.outbox.facts import Quarantined
from edge.outbox.keeper import take_from_quarantine
from edge.outbox.reader import Reader
from edge.points import MEASUREMENTS, RecordClass
from edge.store.line import measurement_of
from edge.store.table import moment, table
from edge.store.where import Where

ID_CHARACTERS = 10
_SHOWN = 160
_AT_ONCE = 500
_CLASS_OF = {measurement.name: measurement.record_class for measurement in MEASUREMENTS}


def listing(store: Where, sink: str | None) -> str:
    """A table, oldest first."""
    entries = _entries(store, sink)
    if not entries:
        return str(Text("隔离区为空", "the quarantine is empty"))
    words = (
        Text("编号", "id"),
        Text("数据库", "database"),
        Text("时间", "time"),
        Text("数据库原话", "its words"),
        Text("数据点", "point"),
    )
    rows = [
        [
            identity(entry),
            entry.sink or str(Text("（本机磁盘）", "(this disk)")),
            moment(entry.t_ns),
            entry.words[:_SHOWN],
            entry.line[:_SHOWN].decode(errors="replace") if entry.sink else str(Text("无法读取", "cannot be read")),
        ]
        for entry in entries
    ]
    return table([str(word) for word in words], rows)


def retry(store: Where, sink: str | None, ids: Sequence[str], now_ns: int) -> str:
    """Send them again: they leave the quarantine and stand behind everything else that waits. Raises StoreError."""
    entries = [entry for entry in _named(_entries(store, sink), ids) if entry.sink]
    gone = take_from_quarantine(store.path, entries, list(_records(entries)), now_ns) if entries else 0
    return str(
        Text(
            f"{gone} 个点已重新排队；代理运行时随即发送，否则下次启动时发送",
            f"{gone} points are queued again: sent at once where the agent runs, else at its next start",
        )
    )


def drop(store: Where, sink: str | None, ids: Sequence[str], now_ns: int) -> str:
    """Let them go for ever. Raises StoreError."""
    gone = take_from_quarantine(store.path, _named(_entries(store, sink), ids), (), now_ns)
    return str(Text(f"已删除 {gone} 个点", f"{gone} points dropped"))


def identity(entry: Quarantined) -> str:
    """What people name it by: stays the same however often it is refused."""
    return sha256(entry.sink.encode() + b"\0" + entry.line).hexdigest()[:ID_CHARACTERS]


def _entries(store: Where, sink: str | None) -> list[Quarantined]:
    with Reader(store.path) as reader:
        return [entry for entry in reader.quarantined() if sink is None or entry.sink == sink]


def _named(entries: Iterable[Quarantined], ids: Sequence[str]) -> list[Quarantined]:
    """Those of `ids`; all where none is named. Raises StoreError for an id nobody has."""
    if not ids:
        return list(entries)
    by_id = {identity(entry): entry for entry in entries}
    if unknown := [each for each in ids if each not in by_id]:
        raise StoreError(Text(f"隔离区里没有 {'、'.join(unknown)}", f"the quarantine has no {', '.join(unknown)}"))
    return [by_id[each] for each in ids]


def _records(entries: Iterable[Quarantined]) -> Iterable[Record]:
    """By class, so that what matters more outlives what matters less; never too many in one."""
    by_class: dict[RecordClass, dict[bytes, None]] = {}  # the same line of two databases is sent once
    for entry in entries:
        by_class.setdefault(_class_of(entry.line), {})[entry.line] = None
    for record_class, lines in by_class.items():
        wanted = list(lines)
        for first in range(0, len(wanted), _AT_ONCE):
            yield Record.of(record_class, wanted[first : first + _AT_ONCE])


def _class_of(line: bytes) -> RecordClass:
    try:
        return _CLASS_OF.get(measurement_of(line), RecordClass.TAG)
    except ValueError:
        return RecordClass.TAG
