"""Modbus RTU frames out of what a line delivers. No I/O and no clock: bytes in, frames out.

Theory. An RTU frame is unit, PDU and CRC-16 (MODBUS over Serial Line V1.02 §2.5.1, CRC in appendix B): no length, no
mark. On the wire 3.5 characters of silence part two frames; behind an operating system, a USB adapter or a TCP gateway
those gaps are gone or new ones appear. So frames are cut by content: the function code tells how long a request or a
reply is, the CRC tells whether that was right. `silence` is a help, not a condition.

Rules.
* At the beginning of the buffer any known frame with a right CRC is a frame.
* Behind garbage only the answer that is waited for is found: unit, function code, length and CRC, 40 bits that must all
  be right. Anything else would be guessing.
* What is dropped is counted: a whole frame with a wrong CRC, a frame that ended early, or noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from protocols.modbus.framing import Adu, WireCounters
from protocols.modbus.line import Line
from protocols.modbus.pdu import MAX_PDU, MORE, Query, reply_size, request_size

_AROUND = 3  # unit and CRC
_KEPT = 2 * (MAX_PDU + _AROUND)  # a buffer longer than two frames without a frame in it is garbage


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC = _crc_table()


def crc16(data: bytes) -> bytes:
    """The CRC of a frame as it travels, low byte first (appendix B). Over a frame and its CRC it is 00 00."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


class RtuFramer:
    """Cuts what one line delivers into frames."""

    __slots__ = ("_buffer", "_counters", "_line", "damaged")

    numbered = False

    def __init__(self, counters: WireCounters) -> None:
        self.damaged = False
        self._counters = counters
        self._line = Line(counters)
        self._buffer = b""

    def wrap(self, transaction: int, unit: int, query: Query) -> bytes:
        """Unit, PDU, CRC. What was heard before belongs to the past."""
        self.silence()
        self.damaged = False
        self._line.asked(transaction, unit, query)
        adu = bytes((unit,)) + query.pdu
        return adu + crc16(adu)

    def length(self, pdu_bytes: int) -> int:
        """Characters of a frame around a PDU of so many bytes."""
        return pdu_bytes + _AROUND

    def feed(self, data: bytes) -> None:
        """Bytes as they came from the line."""
        self._buffer += data

    def frames(self) -> Iterator[Adu]:
        """Complete frames so far, each once."""
        while self._buffer and (cut := self._maybe_cut()) is not None:
            start, end = cut
            self._drop(start)
            frame, self._buffer = self._buffer[: end - start], self._buffer[end - start :]
            adu = self._line.judge(frame[0], frame[1:-2])
            if adu is not None:
                yield adu
        if len(self._buffer) > _KEPT:
            self._drop(len(self._buffer) - _KEPT // 2)

    def silence(self) -> None:
        """Nothing more belongs to what was heard so far."""
        self._drop(len(self._buffer))

    def _maybe_cut(self) -> tuple[int, int] | None:
        """Where the next frame lies in the buffer."""
        for shape in (reply_size, request_size):
            end = self._end(0, shape)
            if self._is_frame(0, end):
                return 0, end
        for head in self._line.heads:
            start = self._buffer.find(head, 1)
            while start >= 0:
                end = self._end(start, reply_size)
                if self._is_frame(start, end):
                    return start, end
                start = self._buffer.find(head, start + 1)
        return None

    def _end(self, start: int, shape: Callable[[bytes], int]) -> int:
        """Where a frame of this shape that begins at `start` ends; beyond the buffer where it is incomplete, else 0."""
        size = shape(self._buffer[start + 1 : start + 1 + MAX_PDU])
        if size == MORE:
            return len(self._buffer) + 1
        return start + size + _AROUND if 0 < size <= MAX_PDU else 0

    def _is_frame(self, start: int, end: int) -> bool:
        return start < end <= len(self._buffer) and crc16(self._buffer[start:end]) == b"\0\0"

    def _drop(self, count: int) -> None:
        """Count and forget the first `count` bytes, in which there is no frame."""
        if not count:
            return
        ends = (self._end(0, reply_size), self._end(0, request_size))
        if any(0 < end <= count for end in ends):
            self._counters.checksums += 1
        elif any(end > count for end in ends):
            self._counters.truncated += 1
        dropped, self._buffer = self._buffer[:count], self._buffer[count:]
        self._counters.noise_bytes += count
        self.damaged |= any(head in dropped for head in self._line.heads)
