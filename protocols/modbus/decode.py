"""From a request and its tags to a decoder: bytes of a reply in, tag image refreshed.

Everything that is decided once is decided here: byte offsets, op codes, sentinels as the type would hold them, scale
and offset as one exact fraction. Numbers are decoded by the kernel `ext.decode` (its rules are written there), strings
in Python.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, lcm

from ext.decode import Code, DecodeTable, decode
from protocols.modbus.plan import Request, payload_bytes
from protocols.modbus.tags import DataType, ModbusTag, WordOrder
from protocols.reading import Quality, TagImage

_CODES = {
    DataType.BOOL: Code.BIT,
    DataType.U16: Code.U16,
    DataType.I16: Code.I16,
    DataType.U32: Code.U32,
    DataType.I32: Code.I32,
    DataType.U64: Code.U64,
    DataType.I64: Code.I64,
    DataType.F32: Code.F32,
    DataType.F64: Code.F64,
    DataType.BCD16: Code.BCD16,
    DataType.BCD32: Code.BCD32,
    DataType.STRING: Code.SKIP,
}
_ORDERS = {WordOrder.ABCD: 0, WordOrder.CDAB: 1, WordOrder.BADC: 2, WordOrder.DCBA: 3}
_SIGNED_BITS = {DataType.I16: 16, DataType.I32: 32, DataType.I64: 64}
_UNSIGNED_BITS = {DataType.U16: 16, DataType.U32: 32, DataType.U64: 64}
_EXACT = 1 << 53  # integers up to here are exact in a double
# Text on PLC pages is ASCII or, on Chinese HMIs, GBK; UTF-8 first, because GBK bytes rarely are valid UTF-8.
_TEXT_CODECS = ("utf-8", "gb18030")


@dataclass(frozen=True, slots=True)
class _Text:
    """One string tag: its image index and its bytes in the payload."""

    index: int
    start: int
    end: int
    low_byte_first: bool


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
    affine = [_fraction(tag.scale, tag.offset) for tag in block]
    sentinels = [_sentinels(tag) for tag in block]
    table = DecodeTable(
        request.first,
        codes=[_CODES[tag.type] for tag in block],
        orders=[_ORDERS[tag.word_order] for tag in block],
        offsets=starts,
        bits=[_bit(request, tag) for tag in block],
        numerators=[a[0] for a in affine],
        addends=[a[1] for a in affine],
        denominators=[a[2] for a in affine],
        minima=[-sys.float_info.max if tag.minimum is None else tag.minimum for tag in block],
        maxima=[sys.float_info.max if tag.maximum is None else tag.maximum for tag in block],
        sentinel_counts=[len(s) for s in sentinels],
        sentinels=[value for s in sentinels for value in s],
    )
    texts = tuple(
        _Text(request.first + i, start, start + 2 * tag.registers, tag.string_low_byte_first)
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
    if tag.type is DataType.BOOL:  # registers travel high byte first: bits 8 … 15 are in the first byte
        swapped = tag.word_order in (WordOrder.BADC, WordOrder.DCBA)
        return 2 * offset + (((tag.bit or 0) < 8) != swapped)
    return 2 * offset


def _bit(request: Request, tag: ModbusTag) -> int:
    if tag.type is not DataType.BOOL:
        return 0
    return (tag.address - request.address if request.table.is_bits else tag.bit or 0) % 8


def _fraction(scale: float, offset: float) -> tuple[float, float, float]:
    """`raw * scale + offset` as (raw * a + b) / c in whole numbers, exactly as written; else (scale, offset, 1)."""
    (scale_top, scale_bottom), (offset_top, offset_bottom) = _ratio(scale), _ratio(offset)
    common = lcm(scale_bottom, offset_bottom)
    a, b = scale_top * (common // scale_bottom), offset_top * (common // offset_bottom)
    if max(abs(a), abs(b), common) >= _EXACT:
        return scale, offset, 1.0
    return float(a), float(b), float(common)


def _ratio(number: float) -> tuple[int, int]:
    """The decimal number as it is written, in lowest terms (as `fractions` would, which costs the agent 0.4 MiB)."""
    digits, _, exponent = repr(number).partition("e")
    whole, _, decimals = digits.partition(".")
    power = int(exponent or 0) - len(decimals)
    top, bottom = int(whole + decimals) * 10 ** max(power, 0), 10 ** max(-power, 0)
    common = gcd(top, bottom)
    return top // common, bottom // common


def _sentinels(tag: ModbusTag) -> list[int]:
    """Sentinels as the type holds them: 0xFFFF of an i16 is -1, -1 of a u16 65535. Beyond int64 all is BAD anyway."""
    if tag.type in _SIGNED_BITS:
        half = 1 << _SIGNED_BITS[tag.type] - 1
        return [s - 2 * half if half <= s < 2 * half else s for s in tag.sentinels]
    if tag.type in _UNSIGNED_BITS:
        full = 1 << _UNSIGNED_BITS[tag.type]
        return [v for s in tag.sentinels if (v := s + full if -(full >> 1) <= s < 0 else s) < 1 << 63]
    return list(tag.sentinels)


def _decode_text(text: _Text, payload: bytes, t_ns: int, image: TagImage) -> bool:
    """Put the string into the image, without padding; False where the bytes are no text (BAD, and empty)."""
    if len(payload) < text.end:
        raise ValueError(f"reply of {len(payload)} bytes, {text.end} needed")
    raw = bytearray(payload[text.start : text.end])
    if text.low_byte_first:
        raw[0::2], raw[1::2] = raw[1::2], raw[0::2]
    word = _maybe_text(bytes(raw).split(b"\0", 1)[0])
    image.text[text.index] = word or ""
    image.i64[text.index] = bool(word and word.strip())
    image.quality[text.index] = Quality.BAD if word is None else Quality.GOOD
    image.t_ns[text.index] = t_ns
    return word is not None


def _maybe_text(raw: bytes) -> str | None:
    for codec in _TEXT_CODECS:
        try:
            return raw.decode(codec).rstrip()
        except UnicodeDecodeError:
            continue
    return None
