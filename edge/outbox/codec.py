"""How a record's lines lie on the disk: compressed where that helps, and under a checksum always."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import IntEnum

from edge.outbox.batch import Record
from edge.points import RecordClass

_LEVEL = 1  # a tenth of the CPU of the default level, for almost the same size: lines mostly repeat their tags


class Codec(IntEnum):
    """Stored; never renumber."""

    PLAIN = 0
    ZLIB = 1


@dataclass(frozen=True, slots=True)
class Packed:
    """A record ready for its row."""

    record_class: RecordClass
    points: int
    codec: Codec
    crc: int
    blob: bytes


def pack(record: Record) -> Packed:
    """Compress where it helps."""
    squeezed = zlib.compress(record.lines, _LEVEL)
    codec, blob = (Codec.ZLIB, squeezed) if len(squeezed) < len(record.lines) else (Codec.PLAIN, record.lines)
    return Packed(record.record_class, record.points, codec, zlib.crc32(blob), blob)


def maybe_unpack(codec: object, crc: object, blob: object) -> bytes | None:
    """The lines, or None where the disk gave back something else than was stored."""
    if not isinstance(blob, bytes) or zlib.crc32(blob) != crc:
        return None
    if codec == Codec.PLAIN:
        return blob
    if codec == Codec.ZLIB:
        return zlib.decompress(blob)
    return None
