"""Modbus TCP frames out of a byte stream. No I/O: bytes in, frames out.

Theory. On TCP a PDU travels behind the MBAP header (MODBUS Messaging on TCP/IP Implementation Guide V1.0b §3.1.3):
transaction id, protocol id 0, length of what follows, unit id. The stream has no other mark, so once a length is wrong
every later byte is guesswork. A header that cannot be one is therefore the end of the connection: `FramingError`,
close, connect again. A datagram (UDP) stands for itself and only itself is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct

from protocols.modbus.framing import Adu, FramingError, WireCounters
from protocols.modbus.pdu import MAX_PDU, Query

_HEADER = Struct(">HHHB")
_AHEAD = _HEADER.size  # bytes before the PDU
_BEFORE_UNIT = _AHEAD - 1  # bytes a length does not count
_LENGTH_MIN = 2  # unit id and a function code
_LENGTH_MAX = 1 + MAX_PDU


class MbapFramer:
    """Cuts the bytes of one connection into frames."""

    __slots__ = ("_buffer", "_counters", "damaged")

    numbered = True

    def __init__(self, counters: WireCounters) -> None:
        self.damaged = False  # MBAP has no checksum of its own
        self._counters = counters
        self._buffer = b""

    def wrap(self, transaction: int, unit: int, query: Query) -> bytes:
        """The request behind its header."""
        return _HEADER.pack(transaction, 0, 1 + len(query.pdu), unit) + query.pdu

    def length(self, pdu_bytes: int) -> int:
        """Bytes of a frame around a PDU of so many bytes."""
        return _AHEAD + pdu_bytes

    def feed(self, data: bytes) -> None:
        """Bytes as they came from the socket."""
        self._buffer = self._buffer + data if self._buffer else data

    def frames(self) -> Iterable[Adu]:
        """Complete frames so far, each once. Raises FramingError where a header cannot be one."""
        buffer = self._buffer
        size = len(buffer)
        if size > _AHEAD:  # one frame and nothing else: nearly always
            transaction, protocol, length, unit = _HEADER.unpack_from(buffer)
            if protocol == 0 and size - _BEFORE_UNIT == length <= _LENGTH_MAX:
                self._buffer = b""
                return (Adu(transaction, unit, buffer[_AHEAD:]),)
        return self._cut()

    def _cut(self) -> Iterator[Adu]:
        buffer, start = self._buffer, 0
        try:
            while len(buffer) - start >= _AHEAD:
                transaction, protocol, length, unit = _HEADER.unpack_from(buffer, start)
                if protocol != 0 or not _LENGTH_MIN <= length <= _LENGTH_MAX:
                    start = len(buffer)  # nothing behind it can be believed
                    raise _impossible(protocol, length)
                end = start + _BEFORE_UNIT + length
                if len(buffer) < end:
                    break
                pdu = buffer[start + _AHEAD : end]
                start = end
                yield Adu(transaction, unit, pdu)
        finally:
            self._buffer = buffer[start:]

    def silence(self) -> None:
        """What is incomplete stays so (the end of a datagram): dropped and counted."""
        if self._buffer:
            self._counters.truncated += 1
            self._buffer = b""


def _impossible(protocol: int, length: int) -> FramingError:
    if protocol != 0:
        return FramingError(
            f"协议标识为 {protocol}，应为 0：对方不是 Modbus TCP", f"protocol id {protocol}, not 0: no Modbus TCP"
        )
    return FramingError(f"帧长 {length} 不可能", f"a frame length of {length} is impossible")
