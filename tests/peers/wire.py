"""What is in a Modbus request, read anew from its bytes. Shares nothing with the codec of the product.

Theory. A request frame shows its framing: an MBAP header says 0 as protocol and its own length, an RTU frame ends in
its CRC, an ASCII frame stands between ":" and CR LF and ends in its LRC. What fits none of them is not a request, and a
byte that is not part of a request must never be sent.
"""

from __future__ import annotations

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


def requests(data: bytes) -> tuple[Asked, ...]:
    """The requests in what a client has written at once. Raises NotARequestError where a byte belongs to none.

    A write is of one framing. RTU is tried first: a CRC is surer than a length that fits by chance.
    """
    for first in (_rtu, _mbap, _ascii):
        asked: list[Asked] = []
        rest = data
        while rest and (cut := first(rest)):
            asked.append(cut[0])
            rest = rest[cut[1] :]
        if not rest:
            return tuple(asked)
    raise NotARequestError(data.hex(" "))


# The first request of a framing and its length; None where there is none.


def _rtu(data: bytes) -> tuple[Asked, int] | None:
    for size in (8, 7):  # a read, and identification, behind a unit and before a CRC
        if len(data) >= size and crc(data[: size - 2]) == data[size - 2 : size]:
            return Asked(0, data[0], data[1 : size - 2]), size
    return None


def _mbap(data: bytes) -> tuple[Asked, int] | None:
    size = 6 + int.from_bytes(data[4:6], "big")
    if not 8 <= size <= len(data) or data[2:4] != b"\0\0":
        return None
    return Asked(int.from_bytes(data[:2], "big"), data[6], data[7:size]), size


def _ascii(data: bytes) -> tuple[Asked, int] | None:
    end = data.find(b"\r\n")
    if not data.startswith(b":") or end < 0:
        return None
    frame = bytes.fromhex(data[1:end].decode("ascii"))
    return (Asked(0, frame[0], frame[1:-1]), end + 2) if len(frame) >= 3 and sum(frame) % 256 == 0 else None
