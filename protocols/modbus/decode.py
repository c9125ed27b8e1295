"""From a request and its tags to a decoder: bytes of a reply in, tag image refreshed.

Everything that is decided once is decided here: byte offsets, op codes, sentinels as the type would hold them, scale
and offset (or a range map) as one exact fraction. Numbers are decoded by the kernel `ext.decode` (its rules are written
there), strings in Python. Words for values are no matter of decoding: who shows a value looks them up.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, lcm

from ext.decode import Code, DecodeTable, decode
from protocols.modbus.bus import payload_bytes
from protocols.modbus.plan import Request
from protocols.modbus.tags import DataType, Encoding, ModbusTag, RangeMap, WordOrder
from protocols.reading import Quality, TagImage

_CODES = {
    DataType.BOOL: Code.BIT,
    DataType.U8H: Code.U8,
    DataType.U8L: Code.U8,
    DataType.I8H: Code.I8,
    DataType.I8L: Code.I8,
    DataType.U16: Code.U16,
    DataType.I16: Code.I16,
    DataType.U32: Code.U32,
    DataType.I32: Code.I32,
    DataType.U64: Code.U64,
    DataType.I64: Code.I64,
    DataType.F16: Code.F16,
    DataType.F32: Code.F32,
    DataType.F64: Code.F64,
    DataType.BCD16: Code.BCD16,
    DataType.BCD32: Code.BCD32,
    DataType.BCD64: Code.BCD64,
    DataType.SM16: Code.SM16,
    DataType.SM32: Code.SM32,
    DataType.STRING: Code.SKIP,
}
_FIELDS = {
    DataType.U16: Code.UFIELD16,
    DataType.U32: Code.UFIELD32,
    DataType.U64: Code.UFIELD64,
    DataType.I16: Code.IFIELD16,
    DataType.I32: Code.IFIELD32,
    DataType.I64: Code.IFIELD64,
}
_LOW_HALF = (DataType.U8L, DataType.I8L)
_HALVES = (DataType.U8H, DataType.I8H, *_LOW_HALF)
_SIGNED = {DataType.I8H: 8, DataType.I8L: 8, DataType.I16: 16, DataType.I32: 32, DataType.I64: 64}
_UNSIGNED = {DataType.U8H: 8, DataType.U8L: 8, DataType.U16: 16, DataType.U32: 32, DataType.U64: 64}
_FLOATS = {DataType.F16: "e", DataType.F32: "f", DataType.F64: "d"}
_EXACT = 1 << 53  # integers up to here are exact in a double
# Text on PLC pages is ASCII or, on Chinese HMIs, GBK; UTF-8 first, because GBK bytes rarely are valid UTF-8.
_CODECS = {encoding: (encoding.value,) for encoding in Encoding} | {Encoding.AUTO: ("utf-8", "gb18030")}


@dataclass(frozen=True, slots=True)
class _Text:
    """One string tag: its image index and its bytes in the payload."""

    index: int
    start: int
    end: int
    low_byte_first: bool
    codecs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BlockDecoder:
    """Decodes the replies to one request."""

    table: DecodeTable
    texts: tuple[_Text, ...]

    def decode(self, payload: bytes, t_ns: int, image: TagImage) -> int:
        """Refresh every tag of the request in `image`, stamped `t_ns`. Returns how many came out BAD.

        Raises ValueError where the payload is too short for the tags.
        """
        bad = decode(self.table, payload, t_ns, image.i64, image.f64, image.quality, image.t_ns)
        for text in self.texts:
            bad += not _decode_text(text, payload, t_ns, image)
        return bad


def compile_request(request: Request, tags: Sequence[ModbusTag]) -> BlockDecoder:
    """The decoder of `request`; `tags` are all tags of the device in image order."""
    block = tags[request.first : request.first + request.count]
    starts = [_byte_offset(request, tag) for tag in block]
    affine = [_affine(tag) for tag in block]
    sentinels = [_sentinels(tag) for tag in block]
    table = DecodeTable(
        request.first,
        codes=[_CODES[tag.type] if tag.bits is None else _FIELDS[tag.type] for tag in block],
        orders=[_order(tag.word_order) for tag in block],
        offsets=starts,
        bits=[_bit(request, tag) for tag in block],
        widths=[tag.bits or 0 for tag in block],
        numerators=[a[0] for a in affine],
        addends=[a[1] for a in affine],
        denominators=[a[2] for a in affine],
        minima=[-sys.float_info.max if tag.minimum is None else tag.minimum for tag in block],
        maxima=[sys.float_info.max if tag.maximum is None else tag.maximum for tag in block],
        sentinel_counts=[len(s) for s in sentinels],
        sentinels=[value for s in sentinels for value in s],
    )
    texts = tuple(
        _Text(request.first + i, start, start + 2 * tag.registers, tag.string_low_byte_first, _CODECS[tag.encoding])
        for i, (tag, start) in enumerate(zip(block, starts, strict=True))
        if tag.type is DataType.STRING
    )
    needed = max([table.size, *(text.end for text in texts)])
    if needed > payload_bytes(request.table, request.quantity):
        raise ValueError(f"request for {request.quantity} from {request.address} does not hold all of its tags")
    return BlockDecoder(table, texts)


def _byte_offset(request: Request, tag: ModbusTag) -> int:
    """Byte of the payload at which `tag` begins. A reply packs 8 bits per byte, lowest address in bit 0 (spec §6.1)."""
    offset = tag.address - request.address
    if tag.table is not request.table or offset < 0:
        raise ValueError(f"{tag.name}: not part of the request for {request.table.name} {request.address}")
    if request.table.is_bits:
        return offset // 8
    # A register travels high byte first: bits 8 … 15 are in the first byte.
    if tag.type in _HALVES or tag.type is DataType.BOOL:
        is_low = tag.type in _LOW_HALF or (tag.type is DataType.BOOL and (tag.bit or 0) < 8)
        return 2 * offset + (is_low != tag.word_order.swaps_bytes)
    return 2 * offset


def _order(order: WordOrder) -> int:
    """The three swaps as the kernel has them."""
    return order.swaps_words | order.swaps_bytes << 1 | order.swaps_halves << 2


def _bit(request: Request, tag: ModbusTag) -> int:
    if tag.bits is not None:
        return tag.bit or 0
    if tag.type is not DataType.BOOL:
        return 0
    return (tag.address - request.address if request.table.is_bits else tag.bit or 0) % 8


def _affine(tag: ModbusTag) -> tuple[float, float, float]:
    """The engineering value as (raw * a + b) / c in whole numbers, exactly as written; else in rounded ones."""
    if tag.range_map is not None:
        scale, offset = _line(tag.range_map)
    else:
        scale, offset = _ratio(tag.scale), _ratio(tag.offset)
    common = lcm(scale[1], offset[1])
    a, b = scale[0] * (common // scale[1]), offset[0] * (common // offset[1])
    if max(abs(a), abs(b), common) >= _EXACT:
        return scale[0] / scale[1], offset[0] / offset[1], 1.0
    return float(a), float(b), float(common)


_Ratio = tuple[int, int]  # numerator, denominator > 0, in lowest terms


def _ratio(number: float) -> _Ratio:
    """The decimal number as it is written (as `fractions` would read it, which costs the agent 0.4 MiB)."""
    digits, _, exponent = repr(number).partition("e")
    whole, _, decimals = digits.partition(".")
    power = int(exponent or 0) - len(decimals)
    return _lowest(int(whole + decimals) * 10 ** max(power, 0), 10 ** max(-power, 0))


def _line(points: RangeMap) -> tuple[_Ratio, _Ratio]:
    """Scale and offset of the line through two points. Raises ValueError where it would stand upright."""
    low, run = _ratio(points.low), _difference(_ratio(points.raw_high), _ratio(points.raw_low))
    if not run[0]:
        raise ValueError(f"a range map needs two raw values, not {points.raw_low:g} twice")
    rise = _difference(_ratio(points.high), low)
    scale = _lowest(rise[0] * run[1], rise[1] * run[0])
    raw_low = _ratio(points.raw_low)
    return scale, _difference(low, (scale[0] * raw_low[0], scale[1] * raw_low[1]))


def _difference(a: _Ratio, b: _Ratio) -> _Ratio:
    return _lowest(a[0] * b[1] - b[0] * a[1], a[1] * b[1])


def _lowest(top: int, bottom: int) -> _Ratio:
    common = gcd(top, bottom) * (1 if bottom > 0 else -1)
    return top // common, bottom // common


def _sentinels(tag: ModbusTag) -> list[int]:
    """Sentinels as the kernel compares them.

    Integers as the type holds them: 0xFFFF of an i16 is -1, -1 of a u16 65535; beyond int64 all is BAD anyway. Floats
    as the type rounds them, the bits of the double.
    """
    if tag.type in _FLOATS:
        return [bits for s in tag.sentinels if (bits := _maybe_double(s, _FLOATS[tag.type])) is not None]
    whole = [int(s) for s in tag.sentinels if s == int(s)]
    if tag.type in _SIGNED:
        half = 1 << (tag.bits or _SIGNED[tag.type]) - 1
        whole = [s - 2 * half if half <= s < 2 * half else s for s in whole]
    elif tag.type in _UNSIGNED:
        full = 1 << (tag.bits or _UNSIGNED[tag.type])
        whole = [s + full if -(full >> 1) <= s < 0 else s for s in whole]
    return [s for s in whole if -(1 << 63) <= s < 1 << 63]


def _maybe_double(number: float, code: str) -> int | None:
    """The bits of `number`, rounded to a float of that struct code; None where it is too large for one."""
    try:
        rounded: float = struct.unpack(code, struct.pack(code, float(number)))[0]
    except OverflowError:
        return None
    bits: int = struct.unpack("q", struct.pack("d", rounded))[0]
    return bits


def _decode_text(text: _Text, payload: bytes, t_ns: int, image: TagImage) -> bool:
    """Put the string into the image, without padding; False where the bytes are no text (BAD, and empty)."""
    if len(payload) < text.end:
        raise ValueError(f"reply of {len(payload)} bytes, {text.end} needed")
    raw = bytearray(payload[text.start : text.end])
    if text.low_byte_first:
        raw[0::2], raw[1::2] = raw[1::2], raw[0::2]
    word = _maybe_text(bytes(raw).split(b"\0", 1)[0], text.codecs)
    image.text[text.index] = word or ""
    image.i64[text.index] = bool(word and word.strip())
    image.quality[text.index] = Quality.BAD if word is None else Quality.GOOD
    image.t_ns[text.index] = t_ns
    return word is not None


def _maybe_text(raw: bytes, codecs: Sequence[str]) -> str | None:
    for codec in codecs:
        try:
            return raw.decode(codec).rstrip()
        except UnicodeDecodeError:
            continue
    return None
