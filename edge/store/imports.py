"""`seamline store import`: line protocol into a store. Idempotent: what is there already is left out.

An export of ours says of each record its class and commit time, and becomes the same records again. Other files are cut
where the class of the measurement changes, and every thousand lines, always the same way, so that a second import of
the same file finds every record there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from edge.errors import StoreError, Text
from edge.outbox.batch import Record
from edge.points import MEASUREMENTS, RecordClass
from edge.store.line import parse

LINES_AT_ONCE = 1_000
_RECORDS_AT_ONCE = 64
_HEADER = re.compile(rb"# seamline record class=(\w+) t_ns=(\d+) points=(\d+)\s*\Z")
_CLASS_OF = {measurement.name: measurement.record_class for measurement in MEASUREMENTS}


def batches(lines: Iterable[bytes], name: str, now_ns: int) -> Iterator[list[tuple[Record, int]]]:
    """Transactions of records with their commit times. Raises StoreError for a line that is none, naming it."""
    records = _records(lines, name, now_ns)
    while batch := list(islice(records, _RECORDS_AT_ONCE)):
        yield batch


def _records(lines: Iterable[bytes], name: str, now_ns: int) -> Iterator[tuple[Record, int]]:
    kept: list[bytes] = []
    kind: RecordClass | None = None
    wanted, t_ns = 0, now_ns  # lines of the record of ours that is being read; 0 = a foreign line
    for number, raw in enumerate(lines, 1):
        text = raw.rstrip(b"\r\n")
        header = _HEADER.match(text)
        if header is not None:
            if kept and kind is not None:
                yield Record.of(kind, kept), t_ns
            kept, kind = [], _class(header[1], name, number)
            t_ns, wanted = int(header[2]), int(header[3])
            continue
        if not text or text.startswith(b"#"):
            continue
        found = _class_of(text, name, number) if not wanted else kind
        if kept and (found is not kind or (not wanted and len(kept) >= LINES_AT_ONCE)):
            assert kind is not None
            yield Record.of(kind, kept), t_ns
            kept = []
        if wanted:
            _check(text, name, number)
        kind = found
        kept.append(text)
        if wanted and len(kept) == wanted:
            assert kind is not None
            yield Record.of(kind, kept), t_ns
            kept, kind, wanted, t_ns = [], None, 0, now_ns
    if kept and kind is not None:
        yield Record.of(kind, kept), t_ns


def _class(word: bytes, name: str, number: int) -> RecordClass:
    try:
        return RecordClass[word.decode().upper()]
    except KeyError:
        raise _wrong(name, number, word) from None


def _class_of(text: bytes, name: str, number: int) -> RecordClass:
    """What nobody declares is a raw value: the first to be given up."""
    return _CLASS_OF.get(_check(text, name, number), RecordClass.TAG)


def _check(text: bytes, name: str, number: int) -> str:
    try:
        return parse(text).measurement
    except ValueError:
        raise _wrong(name, number, text) from None


def _wrong(name: str, number: int, text: bytes) -> StoreError:
    shown = text[:80].decode(errors="replace")
    return StoreError(
        Text(
            f"{name} 第 {number} 行不是行协议：{shown}；此前的行已导入，改正后可重新导入整个文件",
            f"{name}, line {number}: not line protocol: {shown}; what stood before is imported, correct it and import "
            "the whole file again",
        )
    )
