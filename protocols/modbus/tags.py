"""Frozen types of the Modbus side: tables, data types, word orders, tags and device limits. No logic, no I/O.

Vocabulary follows "MODBUS Application Protocol Specification V1.1b3" (unit id, function code, holding register, …).
All addresses are protocol addresses: zero-based, as they stand in the PDU.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Table(IntEnum):
    """The four primary tables (spec §4.3). The value is the one function code that reads it; there are no others."""

    COILS = 1
    DISCRETE_INPUTS = 2
    HOLDING_REGISTERS = 3
    INPUT_REGISTERS = 4

    @property
    def is_bits(self) -> bool:
        """True where one address is one bit, not one 16-bit register."""
        return self in (Table.COILS, Table.DISCRETE_INPUTS)


class DataType(StrEnum):
    """How a tag's bits are to be understood."""

    BOOL = "bool"
    U16 = "u16"
    I16 = "i16"
    U32 = "u32"
    I32 = "i32"
    U64 = "u64"
    I64 = "i64"
    F32 = "f32"
    F64 = "f64"
    BCD16 = "bcd16"
    BCD32 = "bcd32"
    STRING = "string"


class WordOrder(StrEnum):
    """Order of the four bytes of a 32-bit value on the wire; A is the most significant byte."""

    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"


@dataclass(frozen=True, slots=True)
class ModbusTag:
    """One tag, resolved to the wire. `name` is unique within its device."""

    name: str
    table: Table
    address: int  # first register, or the bit address in a bit table
    type: DataType
    bit: int | None = None  # bit 0..15 of a register, for BOOL tags in a register table
    registers: int = 1  # width in registers (in bits for the bit tables)
    word_order: WordOrder = WordOrder.ABCD
    string_low_byte_first: bool = False
    scale: float = 1.0
    offset: float = 0.0
    minimum: float | None = None  # outside [minimum, maximum] (engineering units) the quality is BAD
    maximum: float | None = None
    sentinels: tuple[int, ...] = ()  # raw values that mean "no measurement": quality BAD
    interval_ns: int = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a device accepts. From the PLC template; a site may narrow it."""

    max_registers: int = 100
    max_bits: int = 1968
    max_gap: int = 8  # registers read for nothing to save a request; bits: 16 times as many
    borders: tuple[tuple[Table, int], ...] = ()  # no request may cross from address-1 to address (Delta D4095/D4096)
    forbidden: tuple[tuple[Table, int, int], ...] = ()  # inclusive ranges that must never be read
    pause_ns: int = 10_000_000  # between the end of a reply and the next request
    requests_per_s: float = 50.0


@dataclass(frozen=True, slots=True)
class ModbusEndpoint:
    """One TCP connection to one Modbus server."""

    host: str
    port: int = 502
    unit: int = 1
    deadline_ns: int = 1_000_000_000  # for each I/O: connect, and request to complete reply
    connect_pause_ns: int = 0
