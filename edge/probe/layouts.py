"""Every way in which a tag may really lie in its device, beginning with the configured one. Pure.

Theory. A map goes wrong in few ways, and each is tried with each of the others: the document counted from 1 (or the
base is one off), input registers instead of holding registers, high word first instead of low, bytes swapped, sixteen
bits instead of thirty-two, BCD or float instead of an integer; of a bit: another bit of the word, the other bit table,
an octal number taken for a decimal one (X17 is the sixteenth input, not the eighteenth), or the other way round.

A `Layout` is one such way. It is a tag like the configured one, to be decoded by the kernel that will decode it in the
agent: what the probe says a register holds is what the agent will say.

Rules.
* `cost` says how far a layout is from the configured one: of several that fit, the nearest is named first.
* Scale, offset or range map are the configured ones; ranges and sentinels are left out, they are no matter of layout.
  Other powers of ten count only where nothing else fits (`decade`).
* Two layouts of one place, width and order that differ in the number format only (u32, i32) are one answer while they
  give one value; `Layout.frame` is what they share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from protocols.modbus.address import TABLE_NAMES, AddressMap
from protocols.modbus.plan import ADDRESSES, width
from protocols.modbus.tags import DataType, ModbusTag, Table, WordOrder

WINDOW = 1  # registers before and after the configured place
MAX_WINDOW = 500
_SIBLING = {
    Table.HOLDING_REGISTERS: Table.INPUT_REGISTERS,
    Table.INPUT_REGISTERS: Table.HOLDING_REGISTERS,
    Table.COILS: Table.DISCRETE_INPUTS,
    Table.DISCRETE_INPUTS: Table.COILS,
}
_FORMATS = (
    (DataType.U16, DataType.I16, DataType.BCD16, DataType.SM16, DataType.F16),
    (DataType.U32, DataType.I32, DataType.F32, DataType.BCD32, DataType.SM32),
    (DataType.U64, DataType.I64, DataType.F64, DataType.BCD64),
)
_HALVES = (DataType.U8H, DataType.U8L, DataType.I8H, DataType.I8L)
_FOUR = (WordOrder.ABCD, WordOrder.CDAB, WordOrder.BADC, WordOrder.DCBA)
_EIGHT = tuple(WordOrder)
_TWO = (WordOrder.ABCD, WordOrder.BADC)  # of one register: its bytes as they are, or swapped
_DIGITS = re.compile(r"[0-9]+")
_DECADES = (0.1, 10.0, 0.01, 100.0, 0.001, 1000.0)
_COST_PLACE, _COST_FAR, _COST_TABLE, _COST_FORMAT, _COST_WIDTH, _COST_RADIX, _COST_DECADE = 2, 4, 4, 3, 5, 1, 8


@dataclass(frozen=True, slots=True)
class Layout:
    """One way a tag may lie."""

    tag: ModbusTag  # as it would be configured
    cost: int  # 0 = as configured
    decade: float = 1.0  # the configured scale times this

    @property
    def frame(self) -> tuple[Table, int, int, WordOrder, int | None, bool, float]:
        """Which bits in which order, whatever number they make."""
        tag = self.tag
        order = order_that_shows(tag)
        return tag.table, tag.address, tag.registers, order, tag.bit, tag.string_low_byte_first, self.decade


def order_that_shows(tag: ModbusTag) -> WordOrder:
    """The order as far as a value of this tag can tell: one register knows no words, two know no halves."""
    order = tag.word_order
    if tag.table.is_bits or tag.type is DataType.STRING:
        return WordOrder.ABCD
    if tag.registers == 1:
        return WordOrder.BADC if order.swaps_bytes else WordOrder.ABCD
    if tag.registers == 2:
        return next(o for o in _FOUR if (o.swaps_words, o.swaps_bytes) == (order.swaps_words, order.swaps_bytes))
    return order


def layouts(tag: ModbusTag, addresses: AddressMap, window: int = WINDOW) -> tuple[Layout, ...]:
    """The configured way first, then the others by cost. Each differs from all others in what it reads."""
    plain = replace(tag, minimum=None, maximum=None, sentinels=(), words=())
    found: Iterator[Layout]
    if tag.table.is_bits:
        found = _bit_table(plain, addresses, window)
    elif tag.type is DataType.BOOL:
        found = _bits_of_words(plain, window)
    elif tag.type is DataType.STRING:
        found = _texts(plain, window)
    else:
        found = chain(_numbers(plain, window), _decades(plain, window))
    unique: dict[tuple[object, ...], Layout] = {}
    for one in sorted(found, key=lambda layout: layout.cost):
        unique.setdefault((one.tag.type, *one.frame), one)
    return tuple(unique.values())


def _decades(tag: ModbusTag, window: int) -> Iterator[Layout]:
    """Other powers of ten: a decimal point that the document forgot. In the configured format only."""
    if tag.range_map is not None:
        return
    for one in _numbers(tag, window):
        if one.tag.type is tag.type:
            for place, ten in enumerate(_DECADES):
                scaled = replace(one.tag, scale=float(f"{one.tag.scale * ten:.12g}"))
                yield Layout(scaled, one.cost + _COST_DECADE + place, ten)


def _places(tag: ModbusTag, window: int) -> Iterator[tuple[Table, int, int]]:
    """Table, address and cost of every place of the window, in both tables."""
    for table, switched in ((tag.table, 0), (_SIBLING[tag.table], _COST_TABLE)):
        for by in range(-window, window + 1):
            if 0 <= tag.address + by < ADDRESSES:
                far = 0 if not by else _COST_PLACE if abs(by) == 1 else _COST_FAR + abs(by)
                yield table, tag.address + by, switched + far


def _numbers(tag: ModbusTag, window: int) -> Iterator[Layout]:
    for table, address, cost in _places(tag, window):
        for kind, registers, extra in _shapes(tag):
            if address + registers > ADDRESSES:
                continue
            field = (tag.bit, tag.bits) if tag.bits is not None and registers >= tag.registers else (None, None)
            orders = (tag.word_order,) if kind in _HALVES else {1: _TWO, 2: _FOUR}.get(registers, _EIGHT)
            for order in orders:  # a half with its bytes swapped is the other half
                moved = replace(
                    tag,
                    table=table,
                    address=address,
                    type=kind,
                    registers=registers,
                    word_order=order,
                    bit=field[0],
                    bits=field[1],
                )
                shown, own = order_that_shows(moved), order_that_shows(replace(moved, word_order=tag.word_order))
                order_cost = 0 if shown == own else 1 + order.swaps_bytes + 2 * (order not in _FOUR)
                moved = replace(moved, word_order=tag.word_order) if shown == own else moved
                yield Layout(moved, cost + extra + order_cost)


def _shapes(tag: ModbusTag) -> Iterator[tuple[DataType, int, int]]:
    """Types, their registers, and what each costs. Bit fields and halves of a register keep their type."""
    if tag.bits is not None:
        yield tag.type, tag.registers, 0
        return
    if tag.type in _HALVES:
        for kind in _HALVES:
            yield kind, 1, 0 if kind is tag.type else 1 if kind[0] == tag.type[0] else _COST_FORMAT
    for formats in _FORMATS:
        same_width = tag.type in formats
        for kind in formats:
            extra = 0 if kind is tag.type else _COST_FORMAT if same_width else _COST_WIDTH
            yield kind, width(kind) or 1, extra + 3 * (not same_width and kind != formats[0])


def _texts(tag: ModbusTag, window: int) -> Iterator[Layout]:
    for table, address, cost in _places(tag, window):
        if address + tag.registers > ADDRESSES:
            continue
        for low_first in (tag.string_low_byte_first, not tag.string_low_byte_first):
            moved = replace(tag, table=table, address=address, string_low_byte_first=low_first)
            yield Layout(moved, cost + (low_first != tag.string_low_byte_first))


def _bits_of_words(tag: ModbusTag, window: int) -> Iterator[Layout]:
    """A bit of a register: its neighbours, for documents that count bits from 1, and bytes swapped."""
    own = tag.bit or 0
    for table, address, cost in _places(tag, window):
        for bit, bit_cost in ((own, 0), (own ^ 8, 2), (own - 1, 2), (own + 1, 2)):
            if 0 <= bit <= 15:
                yield Layout(replace(tag, table=table, address=address, bit=bit), cost + bit_cost)


def _bit_table(tag: ModbusTag, addresses: AddressMap, window: int) -> Iterator[Layout]:
    """A coil or input: its neighbours, and its number read in another radix."""
    for address, cost in ((tag.address, 0), *((other, _COST_RADIX) for other in other_radices(tag, addresses))):
        for table, place, extra in _places(replace(tag, address=address), window):
            yield Layout(replace(tag, table=table, address=place), cost + extra)


def other_radices(tag: ModbusTag, addresses: AddressMap) -> tuple[int, ...]:
    """Where the bit would lie if its number were octal, decimal or hexadecimal, and is not what the map says."""
    name = addresses.render(tag.table, tag.address)
    digits = _DIGITS.search(name.partition(":")[2] if ":" in name else name)
    if digits is None or "." in name:
        return ()
    area = next((a for a in addresses.areas if a.table is tag.table and a.maybe_name(tag.address, None) == name), None)
    radix, start = (10, 0) if area is None else (area.radix, area.base - area.first)
    own = int(digits[0], radix)
    others = {int(digits[0], r) for r in (8, 10, 16) if r == 10 or r == 16 or not set("89") & set(digits[0])}
    return tuple(sorted(start + n for n in others - {own} if 0 <= start + n < ADDRESSES and (area is None or n < 4096)))


def place_name(tag: ModbusTag, addresses: AddressMap) -> str:
    """As the device's vendor writes it."""
    return addresses.render(tag.table, tag.address, tag.bit if tag.bits is None else None)


def protocol_name(tag: ModbusTag) -> str:
    """As it stands in the PDU."""
    return f"{TABLE_NAMES[tag.table]}:{tag.address}" + ("" if tag.bit is None or tag.bits else f".{tag.bit}")
