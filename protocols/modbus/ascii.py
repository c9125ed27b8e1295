"""Modbus ASCII frames out of what a line delivers. No I/O and no clock: bytes in, frames out.

Theory. A frame is ":", then unit, PDU and LRC as two hexadecimal characters per byte, then CR LF (MODBUS over Serial
Line V1.02 §2.5.2). Both ends are marked, so garbage costs the frame it falls into and no other: a ":" always begins a
new frame.

Rules.
* What stands between two frames is noise; a frame that is interrupted by the next ":" was cut short.
* Characters that are no hexadecimal digits, an odd number of them, or a wrong LRC: damaged, dropped, counted.
"""

from __future__ import annotations

from collections.abc import Iterator

from protocols.modbus.framing import Adu, WireCounters
from protocols.modbus.line import Line
from protocols.modbus.pdu import MAX_PDU, Query

_BEGIN, _END = b":", b"\r\n"
_AROUND = 2  # unit and LRC
_LONGEST = 1 + 2 * (MAX_PDU + _AROUND) + 2  # 513 characters (§2.5.2.1)


def lrc(data: bytes) -> int:
    """The longitudinal redundancy check: two's complement of the sum of all bytes (§2.5.2.2, appendix B)."""
    return -sum(data) & 0xFF


class AsciiFramer:
    """Cuts what one line delivers into frames."""

    __slots__ = ("_buffer", "_counters", "_line", "damaged")

    numbered = False

    def __init__(self, counters: WireCounters) -> None:
        self.damaged = False
        self._counters = counters
        self._line = Line(counters)
        self._buffer = b""

    def wrap(self, transaction: int, unit: int, query: Query) -> bytes:
        """The request in characters. What was heard before belongs to the past."""
        self.silence()
        self.damaged = False
        self._line.asked(transaction, unit, query)
        adu = bytes((unit,)) + query.pdu
        return _BEGIN + (adu + bytes((lrc(adu),))).hex().upper().encode() + _END

    def length(self, pdu_bytes: int) -> int:
        """Characters of a frame around a PDU of so many bytes."""
        return 1 + 2 * (pdu_bytes + _AROUND) + 2

    def feed(self, data: bytes) -> None:
        """Bytes as they came from the line."""
        self._buffer += data

    def frames(self) -> Iterator[Adu]:
        """Complete frames so far, each once."""
        while (text := self._maybe_text()) is not None:
            frame = _maybe_frame(text)
            if frame is None:
                self._counters.checksums += 1
                self._suspect(text)
            elif (adu := self._line.judge(frame[0], frame[1:])) is not None:
                yield adu

    def silence(self) -> None:
        """Nothing more belongs to what was heard so far."""
        if self._buffer.startswith(_BEGIN):
            self._cut_short(self._buffer)
        else:
            self._counters.noise_bytes += len(self._buffer)
        self._buffer = b""

    def _maybe_text(self) -> bytes | None:
        """The characters between the marks of the next frame."""
        while True:
            begin = self._buffer.find(_BEGIN)
            noise = len(self._buffer) if begin < 0 else begin
            self._counters.noise_bytes += noise
            self._buffer = self._buffer[noise:]
            end, again = self._buffer.find(_END), self._buffer.find(_BEGIN, 1)
            if 0 < again < end or (end < 0 < again):
                self._cut_short(self._buffer[:again])
                self._buffer = self._buffer[again:]
            elif end < 0 and len(self._buffer) > _LONGEST:
                self._cut_short(self._buffer)
                self._buffer = b""
            elif end < 0:
                return None
            else:
                text, self._buffer = self._buffer[1:end], self._buffer[end + 2 :]
                return text

    def _cut_short(self, part: bytes) -> None:
        self._counters.truncated += 1
        self._counters.noise_bytes += len(part)
        self._suspect(part[1:])

    def _suspect(self, text: bytes) -> None:
        """Was that the answer we wait for?"""
        if self._line.query is not None and text[:2].upper() == b"%02X" % self._line.unit:
            self.damaged = True


def _maybe_frame(text: bytes) -> bytes | None:
    """Unit and PDU of a frame with a right LRC."""
    try:
        adu = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        return None
    if len(adu) < _AROUND + 1 or len(text) != 2 * len(adu) or sum(adu) & 0xFF:
        return None
    return adu[:-1]
