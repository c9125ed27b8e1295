"""What people write (D1000, X17, HD1000, 40001) and what stands in the PDU (table, zero-based address). Pure.

Theory. Every PLC brand numbers its memory in its own way and publishes a table that says where each area begins in the
four Modbus tables. An `Area` is one line of that table; an `AddressMap` is the table. Beside the vendor's names three
notations are always understood, because manuals use them:

* raw      `holding:1000`, `input:5`, `coil:3`, `discrete:7`: the protocol address, zero-based (hex: `holding:0x3E8`);
* classic  `4x1001`, `3x…`, `1x…`, `0x…`: one-based, so `4x1001` is `holding:1000`;
* Modicon  `41001` or `401001` (five or six digits, first digit the table): one-based as well.

Rules.
* `.n` after a register names one of its bits: 0 … 15 decimal, or a hex letter A … F. Bit 0 is the least significant.
* A vendor's own name wins over the classic notations (an area may be called `0x`), and the longest prefix wins. The
  `%` of IEC 61131-3 addresses may be left out or written: `%MW100` is `MW100`.
* One name may be two areas: `T5` is a time in a register and a contact in a bit table, `X1` a word and `X1.3` a bit of
  a table of its own. A bit number, or a tag that is a bit, asks for the bit table; everything else for the register.
* What a PLC has but gives to nobody who keeps to the specification (`Refused`) is refused here, with the reason.
* Numbers are checked against the area's range: an address the PLC does not have is a mistake in the site file, found by
  `check` and not by an exception reply at night.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from protocols.modbus.tags import Table

ADDRESSES = 65_536  # a table's addresses are 16 bits wide (spec V1.1b3 §4.4)

TABLE_NAMES = {
    Table.COILS: "coil",
    Table.DISCRETE_INPUTS: "discrete",
    Table.HOLDING_REGISTERS: "holding",
    Table.INPUT_REGISTERS: "input",
}
_TABLE_BY_NAME = {name: table for table, name in TABLE_NAMES.items()}
_TABLE_BY_DIGIT = {
    "0": Table.COILS,
    "1": Table.DISCRETE_INPUTS,
    "3": Table.INPUT_REGISTERS,
    "4": Table.HOLDING_REGISTERS,
}

_RAW = re.compile(r"(coil|discrete|holding|input):(0x[0-9a-f]+|[0-9]+)", re.IGNORECASE)
_CLASSIC = re.compile(r"([0134])x([0-9]+)", re.IGNORECASE)
_MODICON = re.compile(r"([0134])([0-9]{4,5})")
_BIT = re.compile(r"1[0-5]|[0-9]|[A-Fa-f]")


class AddressError(ValueError):
    """An address nobody can read: what was given and what would be understood, in both languages."""

    def __init__(self, given: str, zh: str, en: str) -> None:
        self.given = given
        self.zh = zh
        self.en = en
        super().__init__(en)


@dataclass(frozen=True, slots=True)
class Resolved:
    """An address on the wire."""

    table: Table
    address: int  # zero-based protocol address
    bit: int | None  # bit of a register; None in the bit tables
    registers: int  # width of one element of the area, in registers (bits in the bit tables: 1)
    high: bool | None = None  # of a single byte: the high half of the register (True) or the low one


@dataclass(frozen=True, slots=True)
class Area:
    """One line of a PLC's address table: numbers `first` … `last` of `prefix` begin at protocol address `base`.

    `registers` is how many addresses one number spans: 2 for 32-bit counters (C200 …), 16 in a bit table whose bits are
    numbered word.bit (Delta AS `X1.3`), 8 where they are numbered byte.bit (CODESYS `QX1.3`). `first` and `last` are
    plain numbers whatever the radix: X0 … X377 of an octal area is 0 … 255. A `bytewise` area counts bytes, as Siemens
    data blocks do: DBW8 is register 4, DBX8.0 is bit 8 of it (the even byte is the high one), DBD16 with registers=2 is
    registers 8 and 9. Where the even byte is the low one (CODESYS), the area is `low_byte_first`: MX100.0 is bit 0 of
    register 50. Elements of an area of `halves` are single bytes: DBB8, MB100.
    """

    prefix: str
    table: Table
    first: int
    last: int
    base: int
    radix: int = 10
    registers: int = 1
    bytewise: bool = False
    low_byte_first: bool = False
    halves: bool = False

    def __post_init__(self) -> None:
        """A template with an area outside the table is wrong before any tag uses it."""
        if not self.prefix or not 0 <= self.first <= self.last or self.registers < 1 or self.radix not in (8, 10, 16):
            raise ValueError(f"area {self.prefix!r}: first <= last, registers >= 1 and radix 8, 10 or 16 are required")
        if self.bytewise and self.table.is_bits:
            raise ValueError(f"area {self.prefix!r}: only register tables are counted in bytes")
        if (self.low_byte_first or self.halves) and not self.bytewise:
            raise ValueError(f"area {self.prefix!r}: low_byte_first and halves are for areas counted in bytes")
        if self.base < 0 or self.base + self._offset(self.last) + self._width > ADDRESSES:
            raise ValueError(f"area {self.prefix!r}: {self.range_text} does not fit into addresses 0 … {ADDRESSES - 1}")

    @property
    def range_text(self) -> str:
        """The numbers as the vendor writes them, e.g. `X0…X377`."""
        return f"{self.prefix}{self.digits(self.first)}…{self.prefix}{self.digits(self.last)}"

    @property
    def _width(self) -> int:
        return 1 if self.table.is_bits else self.registers

    @property
    def _word_dot_bit(self) -> bool:
        """True where an address of a bit table is written word.bit or byte.bit."""
        return self.table.is_bits and self.registers > 1

    def digits(self, number: int) -> str:
        """`number` in the area's radix."""
        return format(number, {8: "o", 10: "d", 16: "X"}[self.radix])

    def _offset(self, number: int) -> int:
        if self.bytewise:
            return (number - self.first) // 2
        return (number - self.first) * self.registers

    def resolve(self, number: int, bit: int | None, given: str) -> Resolved:
        """The protocol address of `number` (and bit). Raises AddressError where the PLC has no such thing."""
        if not self.first <= number <= self.last:
            raise AddressError(given, f"{given}：超出范围 {self.range_text}", f"{given}: outside {self.range_text}")
        address = self.base + self._offset(number)
        if self._word_dot_bit:
            if bit is None or bit >= self.registers:
                raise AddressError(
                    given,
                    f"{given}：此区按“字.位”编号，例如 {self.prefix}{self.digits(self.first)}.0",
                    f"{given}: bits of this area are numbered word.bit, e.g. {self.prefix}{self.digits(self.first)}.0",
                )
            return Resolved(self.table, address + bit, None, 1)
        if bit is not None and (self.table.is_bits or self.registers > 1):
            raise AddressError(
                given,
                f"{given}：{self.prefix} 不是 16 位寄存器，没有位",
                f"{given}: {self.prefix} is no 16-bit register",
            )
        if self.bytewise:
            return self._resolve_byte(number, address, bit, given)
        return Resolved(self.table, address, bit, self._width)

    def _resolve_byte(self, number: int, address: int, bit: int | None, given: str) -> Resolved:
        odd = (number - self.first) % 2 == 1
        if bit is None and self.halves:
            return Resolved(self.table, address, None, 1, odd == self.low_byte_first)
        if bit is None and odd:
            raise AddressError(given, f"{given}：寄存器从偶数字节开始", f"{given}: registers begin at even bytes")
        if bit is None:
            return Resolved(self.table, address, None, self.registers)
        if bit > 7:
            raise AddressError(given, f"{given}：一个字节只有位 0…7", f"{given}: a byte has bits 0 … 7")
        return Resolved(self.table, address, bit + (8 if odd == self.low_byte_first else 0), 1)

    def maybe_name(self, address: int, bit: int | None) -> str | None:
        """The vendor's name of a protocol address, None where this area does not hold it."""
        offset = address - self.base
        if self.bytewise:
            number, rest = self.first + 2 * offset, 0
            if bit is not None:
                number, bit = number + ((bit >= 8) == self.low_byte_first), bit % 8
        else:
            number, rest = self.first + offset // self.registers, offset % self.registers
        if offset < 0 or number > self.last:
            return None
        if self._word_dot_bit:
            bit = rest
        elif rest:
            return None
        return f"{self.prefix}{self.digits(number)}" + ("" if bit is None else f".{bit}")


@dataclass(frozen=True, slots=True)
class Refused:
    """An area the PLC has and Modbus does not reach: its prefix, and why, for people."""

    prefix: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class AddressMap:
    """The address table of one PLC model. An empty one understands the raw and classic notations only."""

    areas: tuple[Area, ...] = ()
    refused: tuple[Refused, ...] = ()

    def resolve(self, text: str, is_bit: bool = False) -> Resolved:
        """What `text` means on the wire; `is_bit` says that a bit is wanted, where one name is two areas.

        Raises AddressError with the known prefixes and their ranges.
        """
        given = text.strip()
        body, _, bit_text = given.partition(".")
        bit = _parse_bit(bit_text, given) if "." in given else None
        found = self._maybe_vendor(body, bit, given, is_bit or bit is not None)
        return found or _maybe_generic(body, bit, given) or self._unknown(body, given)

    def step(self, base: str, words: int) -> Resolved:
        """The word `words` after `base`, counted as the vendor counts: D4090 and 8 is D4098, which on a Delta DVP is
        another area of the wire, and DBW0 and 1 is DBW2. Raises AddressError.
        """
        first = self.resolve(base)
        if first.table.is_bits or first.bit is not None or first.registers != 1 or first.high is not None:
            zh, en = f"{base}：基地址应为 16 位字，例如 D1000", f"{base}: a base is a 16-bit word, e.g. D1000"
            raise AddressError(base, zh, en)
        for area, number in self._fitting(base.strip()):
            if area.table is first.table and area.first <= number <= area.last:
                return self.resolve(f"{area.prefix}{area.digits(number + words * (2 if area.bytewise else 1))}")
        return self.resolve(f"{TABLE_NAMES[first.table]}:{first.address + words}")

    def render(self, table: Table, address: int, bit: int | None = None) -> str:
        """The vendor's name of a protocol address, or `holding:123` where the vendor has none."""
        for area in self.areas:
            if area.table is table and (name := area.maybe_name(address, bit)) is not None:
                return name
        return f"{TABLE_NAMES[table]}:{address}" + ("" if bit is None else f".{bit}")

    def _fitting(self, body: str) -> list[tuple[Area, int]]:
        """Areas that may be meant and the number in each: those of the longest prefix."""
        upper = body.upper()
        fitting = [(area, n) for area in self.areas if (n := _maybe_number(area, upper)) is not None]
        longest = max((len(area.prefix.lstrip("%")) for area, _ in fitting), default=0)
        return [(area, number) for area, number in fitting if len(area.prefix.lstrip("%")) == longest]

    def _maybe_vendor(self, body: str, bit: int | None, given: str, is_bit: bool) -> Resolved | None:
        """Of several areas under one prefix (D0…D4095, D4096…) the one that holds the number; of two kinds, first the
        one that is asked for.
        """
        fitting = self._fitting(body)
        holding = [(area, number) for area, number in fitting if area.first <= number <= area.last]
        failed: AddressError | None = None
        for area, number in sorted(holding, key=lambda found: found[0].table.is_bits != is_bit):
            try:
                return area.resolve(number, bit, given)
            except AddressError as error:
                failed = failed or error
        if failed is not None:
            raise failed
        if not fitting:
            return None
        ranges = ", ".join(area.range_text for area, _ in fitting)
        raise AddressError(given, f"{given}：超出范围 {ranges}", f"{given}: outside {ranges}")

    def _unknown(self, body: str, given: str) -> Resolved:
        for area in self.refused:
            if re.fullmatch(re.escape(area.prefix) + "[0-9]+", body.lstrip("%"), re.IGNORECASE):
                raise AddressError(given, f"{given}：读不了，{area.zh}", f"{given}: cannot be read, {area.en}")
        known = ", ".join(area.range_text for area in self.areas)
        generic = "holding:0, input:0, coil:0, discrete:0, 4x1, 40001"
        raise AddressError(
            given,
            f"无法识别地址 {given!r}；可用：" + ("；".join(filter(None, (known, generic)))),
            f"unknown address {given!r}; understood are " + "; ".join(filter(None, (known, generic))),
        )


def _maybe_number(area: Area, body: str) -> int | None:
    prefix, body = area.prefix.upper().lstrip("%"), body.lstrip("%")
    if not body.startswith(prefix) or not body[len(prefix) :].isalnum():
        return None
    try:
        return int(body[len(prefix) :], area.radix)
    except ValueError:
        return None


def _parse_bit(text: str, given: str) -> int:
    if not _BIT.fullmatch(text):
        raise AddressError(
            given, f"{given}：点后应为位 0…15（或 A…F）", f"{given}: after the dot a bit 0 … 15 (or A … F) is expected"
        )
    return int(text, 16) if text.isalpha() else int(text)


def _maybe_generic(body: str, bit: int | None, given: str) -> Resolved | None:
    """Raw, classic and Modicon notation."""
    if match := _RAW.fullmatch(body):
        table, address = _TABLE_BY_NAME[match[1].lower()], int(match[2], 0 if match[2].lower().startswith("0x") else 10)
    elif match := _CLASSIC.fullmatch(body) or _MODICON.fullmatch(body):
        table, address = _TABLE_BY_DIGIT[match[1]], int(match[2]) - 1
    else:
        return None
    if not 0 <= address < ADDRESSES:
        raise AddressError(
            given,
            f"{given}：地址须在 0…{ADDRESSES - 1} 之内（4x1、40001 一类从 1 起数）",
            f"{given}: addresses run from 0 to {ADDRESSES - 1} (4x1 and 40001 count from 1)",
        )
    if bit is not None and table.is_bits:
        raise AddressError(
            given, f"{given}：位表中的地址没有位号", f"{given}: an address of a bit table has no bit number"
        )
    return Resolved(table, address, bit, 1)
