"""What is in a Modbus request, read anew from its bytes. Shares nothing with the codec of the product.

Theory. A request frame shows its framing: an MBAP header says 0 as protocol and its own length, an RTU frame ends in
its CRC, an ASCII frame stands between ":" and CR LF and ends in its LRC. What fits none of them is not a request, and a
byte that is not part of a request must never be sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

READ_FUNCTIONS = frozenset((1, 2, 3, 4))
IDENTIFICATION = (43, 14)


class Asked(NamedTuple):
    """One request."""

    transaction: int  # 0 where the framing has none
    unit: int
    pdu: bytes

    @property
    def function(self) -> int:
        return self.pdu[0]

    @property
    def address(self) -> int:
        return int.from_bytes(self.pdu[1:3], "big")

    @property
    def quantity(self) -> int:
        return int.from_bytes(self.pdu[3:5], "big")

    @property
    def permitted(self) -> bool:
        """A read of a table, or device identification; each of its one right length."""
        if self.function in READ_FUNCTIONS:
            return len(self.pdu) == 5
        return tuple(self.pdu[:2]) == IDENTIFICATION and len(self.pdu) == 4


class NotARequestError(ValueError):
    """Bytes that are no Modbus frame in any framing."""


def crc(data: bytes) -> bytes:
    """CRC-16 of a serial frame, bit by bit as appendix B of the serial line specification describes it."""
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            carry, register = register & 1, register >> 1
            if carry:
                register ^= 0xA001
    return bytes((register & 0xFF, register >> 8))


def requests(data: bytes) -> Iterator[Asked]:
    """The requests in what a client has written at once. Raises NotARequestError where a byte belongs to none."""
    while data:
        asked, data = _first(data)
        yield asked


def _first(data: bytes) -> tuple[Asked, bytes]:
    if len(data) >= 8 and data[2:4] == b"\0\0" and 2 <= int.from_bytes(data[4:6], "big") <= len(data) - 6:
        end = 6 + int.from_bytes(data[4:6], "big")
        return Asked(int.from_bytes(data[:2], "big"), data[6], data[7:end]), data[end:]
    if data[:1] == b":" and b"\r\n" in data:
        line, _, rest = data.partition(b"\r\n")
        frame = bytes.fromhex(line[1:].decode("ascii"))
        if len(frame) >= 3 and sum(frame) % 256 == 0:
            return Asked(0, frame[0], frame[1:-1]), rest
    for end in (8, 7):  # a read, and identification, behind a unit and before a CRC
        if len(data) >= end and crc(data[: end - 2]) == data[end - 2 : end]:
            return Asked(0, data[0], data[1 : end - 2]), data[end:]
    raise NotARequestError(data.hex(" "))
