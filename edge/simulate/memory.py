"""The memory of one simulated PLC: which register holds what, encoded exactly as the plan says the device does.

Theory. The plan tells a reader how to turn registers into values; here the way back is done with plain `struct`, in
code that shares nothing with the reader's decode kernel, so that a mistake in one of them shows. Registers are
evaluated when they are read: every tag inside the requested range is encoded from the same instant, so one reply is
one consistent sample.

Rules.
* Only what the plan maps exists: its tags and the gaps its requests bridge. Everything else is exception 2 (illegal
  data address).
* Values are clamped to what the register can hold; a counter never needs it, a wild analogue value may.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from protocols.modbus.plan import Request
from protocols.modbus.tags import DataType, Encoding, ModbusTag, Table, WordOrder

Value = int | float | str
Source = Callable[[int], Value]  # tag index → value now, in engineering units (counters: the raw register value)

_INTEGER = {
    DataType.U8H: (">Bx", 0, 0xFF),
    DataType.U8L: (">xB", 0, 0xFF),
    DataType.I8H: (">bx", -0x80, 0x7F),
    DataType.I8L: (">xb", -0x80, 0x7F),
    DataType.U16: (">H", 0, 0xFFFF),
    DataType.I16: (">h", -0x8000, 0x7FFF),
    DataType.U32: (">I", 0, 0xFFFF_FFFF),
    DataType.I32: (">i", -0x8000_0000, 0x7FFF_FFFF),
    DataType.U64: (">Q", 0, (1 << 64) - 1),
    DataType.I64: (">q", -(1 << 63), (1 << 63) - 1),
}
_FLOAT = {DataType.F16: ">e", DataType.F32: ">f", DataType.F64: ">d"}
_BCD = {DataType.BCD16: 4, DataType.BCD32: 8, DataType.BCD64: 16}
_SIGN_MAGNITUDE = {DataType.SM16: 2, DataType.SM32: 4}  # bytes


@dataclass(frozen=True, slots=True)
class _Area:
    """A run of addresses that exist, and the tags in it, ascending."""

    start: int
    stop: int
    tags: tuple[int, ...]


class Memory:
    """All four tables of one unit."""

    def __init__(self, tags: Sequence[ModbusTag], requests: Sequence[Request], source: Source) -> None:
        self._tags = tuple(tags)
        self._source = source
        self._areas = {table: _areas(table, self._tags, requests) for table in Table}
        self._starts = {table: [area.start for area in areas] for table, areas in self._areas.items()}

    def areas(self) -> list[tuple[Table, int, int]]:
        """What exists: table, first and last address."""
        return [(table, area.start, area.stop - 1) for table in Table for area in self._areas[table]]

    def read(self, table: Table, address: int, quantity: int) -> bytes | None:
        """The data bytes of a reply: registers big-endian, bits packed low bit first. None where not all is mapped."""
        index = bisect_right(self._starts[table], address) - 1
        if index < 0 or address + quantity > self._areas[table][index].stop:
            return None
        area = self._areas[table][index]
        return self._bits(area, address, quantity) if table.is_bits else self._words(area, address, quantity)

    def _words(self, area: _Area, address: int, quantity: int) -> bytes:
        image = bytearray(2 * quantity)
        for index in area.tags:
            tag = self._tags[index]
            if tag.address + tag.registers <= address or tag.address >= address + quantity:
                continue
            value = self._source(index)
            at = 2 * (tag.address - address)
            if tag.type is DataType.BOOL:
                _set_bit(image, at, tag.bit or 0, on=bool(value))
            else:
                _overlay(image, at, encode(tag, value))
        return bytes(image)

    def _bits(self, area: _Area, address: int, quantity: int) -> bytes:
        image = bytearray(-(-quantity // 8))
        for index in area.tags:
            bit = self._tags[index].address - address
            if 0 <= bit < quantity and self._source(index):
                image[bit >> 3] |= 1 << (bit & 7)
        return bytes(image)


def encode(tag: ModbusTag, value: Value) -> bytes:
    """The registers of one tag as they go over the wire."""
    if tag.type is DataType.STRING:
        return _text(tag, str(value))
    number = _raw(tag, value)
    if tag.type in _FLOAT:
        plain = struct.pack(_FLOAT[tag.type], number)
    elif tag.type in _SIGN_MAGNITUDE:
        size = _SIGN_MAGNITUDE[tag.type]
        top = 1 << (8 * size - 1)
        plain = (min(abs(round(number)), top - 1) | (top if number < 0 else 0)).to_bytes(size, "big")
    elif tag.bits is not None:
        field = round(number) & ((1 << tag.bits) - 1)
        plain = (field << (tag.bit or 0)).to_bytes(2 * tag.registers, "big")
    elif tag.type in _BCD:
        digits = _BCD[tag.type]
        plain = bytes.fromhex(f"{round(number) % 10**digits:0{digits}d}")
    else:
        code, least, most = _INTEGER[tag.type]
        plain = struct.pack(code, min(most, max(least, round(number))))
    return in_order(plain, tag.word_order)


def _raw(tag: ModbusTag, value: Value) -> int | float:
    """Out of engineering units."""
    assert not isinstance(value, str)
    if tag.range_map is not None:
        line = tag.range_map
        return line.raw_low + (value - line.low) * (line.raw_high - line.raw_low) / (line.high - line.low)
    return (float(value) - tag.offset) / tag.scale if (tag.scale, tag.offset) != (1.0, 0.0) else value


def in_order(plain: bytes, order: WordOrder) -> bytes:
    """Big-endian bytes rearranged: halves, words and bytes swapped, each or not."""
    pairs = [plain[at : at + 4] for at in range(0, len(plain), 4)]
    if order.swaps_halves:
        pairs.reverse()
    if order.swaps_words:
        pairs = [pair[2:] + pair[:2] for pair in pairs]
    plain = b"".join(pairs)
    return b"".join(plain[at : at + 2][:: -1 if order.swaps_bytes else 1] for at in range(0, len(plain), 2))


def _text(tag: ModbusTag, text: str) -> bytes:
    codec = "utf-8" if tag.encoding is Encoding.AUTO else tag.encoding.value
    raw = text.encode(codec, "replace")[: 2 * tag.registers].ljust(2 * tag.registers, b"\0")
    return in_order(raw, WordOrder.BADC) if tag.string_low_byte_first else raw


def _set_bit(image: bytearray, at: int, bit: int, *, on: bool) -> None:
    if on:
        image[at + (bit < 8)] |= 1 << (bit & 7)


def _overlay(image: bytearray, at: int, encoded: bytes) -> None:
    """Put the part of a tag that was asked for; bits already set in the same register stay."""
    for offset, byte in enumerate(encoded, start=at):
        if 0 <= offset < len(image):
            image[offset] |= byte


def _areas(table: Table, tags: Sequence[ModbusTag], requests: Sequence[Request]) -> tuple[_Area, ...]:
    spans = [(request.address, request.address + request.quantity) for request in requests if request.table is table]
    own = (tag for tag in tags if tag.table is table)
    spans.extend((tag.address, tag.address + (1 if table.is_bits else tag.registers)) for tag in own)
    merged: list[list[int]] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], stop)
        else:
            merged.append([start, stop])
    return tuple(
        _Area(
            start,
            stop,
            tuple(index for index, tag in enumerate(tags) if tag.table is table and start <= tag.address < stop),
        )
        for start, stop in merged
    )
