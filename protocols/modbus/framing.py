"""Modbus TCP frames out of a byte stream. No I/O: bytes in, frames out.

Theory. On TCP a PDU travels behind the MBAP header (MODBUS Messaging on TCP/IP Implementation Guide V1.0b §3.1.3):
transaction id, protocol id 0, length of what follows, unit id. The stream has no other mark, so once a length is wrong
every later byte is guesswork. A header that cannot be one is therefore the end of the connection: `MbapError`, close,
connect again.

Rules.
* Bytes of a frame may come in any number of pieces, and several frames in one piece.
* Whose answer a frame is (transaction, unit) is for the caller to judge; late answers are frames like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

_HEADER = Struct(">HHHB")
_LENGTH_MIN = 2  # unit id and a function code
_LENGTH_MAX = 254  # unit id and the largest PDU, 253 bytes (spec V1.1b3 §4.1)


class MbapError(ValueError):
    """The bytes cannot be a Modbus TCP header."""

    def __init__(self, zh: str, en: str) -> None:
        self.zh = zh
        self.en = en
        super().__init__(en)


@dataclass(frozen=True, slots=True)
class MbapFrame:
    """One frame: whose it says it is, and its PDU (function code and data)."""

    transaction: int
    unit: int
    pdu: bytes


class MbapStream:
    """Cuts the bytes of one connection into frames."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Bytes as they came from the socket."""
        self._buffer += data

    def frames(self) -> Iterator[MbapFrame]:
        """Complete frames so far, each once. Raises MbapError where a header cannot be one."""
        while len(self._buffer) >= _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(self._buffer)
            if protocol != 0:
                raise MbapError(
                    f"协议标识为 {protocol}，应为 0：对方不是 Modbus TCP",
                    f"protocol id {protocol}, not 0: no Modbus TCP",
                )
            if not _LENGTH_MIN <= length <= _LENGTH_MAX:
                raise MbapError(f"帧长 {length} 不可能", f"a frame length of {length} is impossible")
            end = _HEADER.size - 1 + length
            if len(self._buffer) < end:
                return
            pdu = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            yield MbapFrame(transaction, unit, pdu)
