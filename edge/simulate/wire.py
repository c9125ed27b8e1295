"""Server side of Modbus/TCP: bytes in, requests out; answers in, bytes out. No sockets.

Source: "MODBUS Messaging on TCP/IP Implementation Guide V1.0b" §3.1 (MBAP header) and "MODBUS Application Protocol
V1.1b3" §6.1 to §6.4 (reads), §6.21 (read device identification), §7 (exceptions). Only reading exists: a simulated PLC
answers every other function with exception 1 and counts it, so a test can prove that nobody tried to write.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from protocols.modbus.tags import Table

_HEADER = struct.Struct(">HHHB")  # transaction, protocol (0), length of what follows it, unit
_READ = struct.Struct(">HH")
MAX_ADU = 260


class ExceptionCode(IntEnum):
    """Exception codes (§7)."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    NO_SUCH_UNIT = 11


@dataclass(frozen=True, slots=True)
class Ask:
    """One request frame."""

    transaction: int
    unit: int
    function: int
    data: bytes  # the PDU without its function code


class FramingError(Exception):
    """The stream is not Modbus/TCP; a server closes such a connection."""


def split(buffer: bytearray) -> list[Ask]:
    """Take every complete request off the front of `buffer`. Raises `FramingError`."""
    asks: list[Ask] = []
    while len(buffer) >= _HEADER.size + 1:
        transaction, protocol, length, unit = _HEADER.unpack_from(buffer)
        if protocol or not 2 <= length <= MAX_ADU - 6:
            raise FramingError(f"protocol id {protocol}, length {length}")
        if len(buffer) < 6 + length:
            break
        asks.append(Ask(transaction, unit, buffer[7], bytes(buffer[8 : 6 + length])))
        del buffer[: 6 + length]
    return asks


def span(ask: Ask) -> tuple[Table, int, int] | ExceptionCode:
    """Table, address and quantity of a read; or why not. Quantity limits: 2000 bits, 125 registers (§6.1, §6.3)."""
    if ask.function not in (1, 2, 3, 4):
        return ExceptionCode.ILLEGAL_FUNCTION
    if len(ask.data) != _READ.size:
        return ExceptionCode.ILLEGAL_VALUE
    table = Table(ask.function)
    address, quantity = _READ.unpack(ask.data)
    if not 1 <= quantity <= (2000 if table.is_bits else 125):
        return ExceptionCode.ILLEGAL_VALUE
    return table, address, quantity


def reply(ask: Ask, data: bytes) -> bytes:
    """The normal answer to a read."""
    return _frame(ask, bytes((ask.function, len(data))) + data)


def refusal(ask: Ask, code: int) -> bytes:
    """An exception answer."""
    return _frame(ask, bytes((ask.function | 0x80, code)))


def is_identification(ask: Ask) -> bool:
    """Read device identification, function 43 / 14."""
    return ask.function == 43 and ask.data[:1] == b"\x0e"


def identification(ask: Ask, objects: tuple[str, str, str]) -> bytes:
    """Vendor, product code and revision: the basic category, in one reply (§6.21)."""
    listed = b"".join(bytes((number, len(text.encode()))) + text.encode() for number, text in enumerate(objects))
    return _frame(ask, bytes((43, 14, 1, 1, 0, 0, len(objects))) + listed)


def _frame(ask: Ask, pdu: bytes) -> bytes:
    return _HEADER.pack(ask.transaction, 0, len(pdu) + 1, ask.unit) + pdu
