"""What all framings have in common: the frame, the counters, the contract. No I/O: bytes in, frames out.

    mbap.py     transaction id and length in front        Ethernet
    rtu.py      CRC-16 behind, no length, no mark         serial lines, and gateways that pass them through
    ascii.py    ":" … LRC CR LF, hexadecimal              serial lines

A framer wraps what is asked and cuts what is heard. It knows what was asked last, because on a line without
transaction ids that is the only way to tell the answer from all else that is heard there.

Rules.
* Bytes of a frame may come in any number of pieces, and several frames in one piece; the frames are the same.
* A frame is never invented: a wrong checksum is counted and the bytes are dropped.
* Whose answer a frame is, is told by its transaction: that of the query, or NOBODY. Late answers are frames like any
  other; the connection judges them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import NamedTuple, Protocol

from protocols.modbus.pdu import Query

NOBODY = -1  # transaction of a frame on a line without transaction ids that does not answer what was asked last


class Adu(NamedTuple):
    """One application data unit: whose it says it is, and its PDU."""

    transaction: int
    unit: int
    pdu: bytes
    request: bool = False  # a request of another master, overheard


class FramingError(ValueError):
    """The stream cannot be followed any further: close, connect again."""

    def __init__(self, zh: str, en: str) -> None:
        self.zh = zh
        self.en = en
        super().__init__(en)


@dataclass(slots=True)
class WireCounters:
    """What one connection heard besides the answers it asked for. Counters only ever grow."""

    sent: int = 0  # requests put on the wire
    answered: int = 0  # frames that were the answer to a waiting request, exception replies included
    late: int = 0  # answers to requests whose deadline had passed
    duplicates: int = 0  # answers that had come before
    strangers: int = 0  # answers to nothing that was ever asked
    wrong_unit: int = 0  # our transaction, another unit's name
    checksums: int = 0  # frames with a wrong CRC or LRC
    truncated: int = 0  # frames that ended early
    noise_bytes: int = 0  # bytes that belonged to no frame
    echoes: int = 0  # our own requests, heard on a half-duplex line
    foreign_requests: int = 0  # requests of another master on the line

    @property
    def dropped_frames(self) -> int:
        """Frames that were recognised and ignored."""
        return (
            self.late
            + self.duplicates
            + self.strangers
            + self.wrong_unit
            + self.checksums
            + self.truncated
            + self.foreign_requests
        )

    def by_reason(self) -> dict[str, int]:
        """All counters by their names, for metrics."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Framer(Protocol):
    """Wraps queries and cuts what is heard."""

    damaged: bool  # what could have been the answer to the last query came with a wrong checksum, or not completely

    @property
    def numbered(self) -> bool:
        """True where frames carry a transaction id. Where not, one query is asked at a time."""

    def length(self, pdu_bytes: int) -> int:
        """Characters of a frame around a PDU of so many bytes."""

    def wrap(self, transaction: int, unit: int, query: Query) -> bytes:
        """The bytes of a request. What is heard from now on is compared with it."""

    def feed(self, data: bytes) -> None:
        """Bytes as they came from the transport."""

    def frames(self) -> Iterable[Adu]:
        """Complete frames so far, each once. Raises FramingError where the stream cannot be followed."""

    def silence(self) -> None:
        """Nothing more belongs to what was heard so far: an incomplete frame is dropped and counted."""
