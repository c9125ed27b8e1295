"""How a record's lines lie on the disk: compressed where that helps, and under a checksum always.

The checksum of a record covers its id, class, time and number of points as well as its lines, so a record that comes
back is the one that was stored, in its place. Rows of other tables are sealed (`seal`) the same way.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum

from edge.deflate import compress, decompress
from edge.outbox.batch import Record
from edge.points import RecordClass


class Codec(IntEnum):
    """Stored; never renumber."""

    PLAIN = 0  # by earlier releases: the checksum covers the lines alone
    ZLIB = 1
    WHOLE_PLAIN = 2
    WHOLE_ZLIB = 3


@dataclass(frozen=True, slots=True)
class Packed:
    """A record ready for its row."""

    record_class: RecordClass
    points: int
    codec: Codec
    blob: bytes

    def crc(self, record_id: int, t_ns: int) -> int:
        """Of this record in its place."""
        return _whole(record_id, self.record_class, t_ns, self.points, self.codec, self.blob)


def pack(record: Record) -> Packed:
    """Compress where it helps."""
    squeezed = compress(record.lines)
    if len(squeezed) < len(record.lines):
        return Packed(record.record_class, record.points, Codec.WHOLE_ZLIB, squeezed)
    return Packed(record.record_class, record.points, Codec.WHOLE_PLAIN, record.lines)


def maybe_unpack(
    record_id: int, record_class: int, points: int, t_ns: int, codec: int, crc: int, blob: object
) -> bytes | None:
    """The lines, or None where the disk gave back something else than was stored."""
    head = (record_class, points, t_ns, codec, crc)
    if not isinstance(blob, bytes) or not all(isinstance(number, int) for number in head):
        return None
    whole = codec in (Codec.WHOLE_PLAIN, Codec.WHOLE_ZLIB)
    if (_whole(record_id, record_class, t_ns, points, codec, blob) if whole else zlib.crc32(blob)) != crc:
        return None
    if codec in (Codec.PLAIN, Codec.WHOLE_PLAIN):
        return blob
    if codec in (Codec.ZLIB, Codec.WHOLE_ZLIB):
        with suppress(ValueError):
            return decompress(blob)
    return None


def seal(*values: object) -> int:
    """Checksum of a row. Numbers that are zero and texts that are empty say no more than their absence does."""
    told = "\x1f".join("" if not value else value if isinstance(value, str) else f"{value:d}" for value in values)
    return zlib.crc32(told.rstrip("\x1f").encode("utf-8", "surrogateescape"))


def seal_blob(key: str, blob: bytes) -> int:
    """Checksum of a row with bytes."""
    return zlib.crc32(blob, seal(key))


def _whole(record_id: int, record_class: int, t_ns: int, points: int, codec: int, blob: bytes) -> int:
    return zlib.crc32(blob, zlib.crc32(b"%d %d %d %d %d" % (record_id, record_class, t_ns, points, codec)))
