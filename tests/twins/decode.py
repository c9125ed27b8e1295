"""Plain-Python twin of the decode kernel and its compiler: tag by tag, with struct, straight from the tag."""

import struct
from fractions import Fraction
from math import inf, isnan, lcm, nan

from protocols.modbus.tags import DataType, WordOrder
from protocols.reading import Quality

_FORMATS = {
    DataType.U16: ">H",
    DataType.I16: ">h",
    DataType.U32: ">I",
    DataType.I32: ">i",
    DataType.U64: ">Q",
    DataType.I64: ">q",
    DataType.F32: ">f",
    DataType.F64: ">d",
}


def decode_block(request, tags, payload, t_ns, image):
    """Refresh the request's tags in `image`; return how many came out BAD. ValueError on a short payload."""
    block = tags[request.first : request.first + request.count]
    for tag in block:
        end = tag.address + tag.registers - request.address
        if len(payload) < ((end + 7) // 8 if request.table.is_bits else 2 * end):
            raise ValueError("short")
    bad = 0
    for index, tag in enumerate(block, request.first):
        if tag.type is DataType.STRING:
            bad += not _string(request, tag, index, payload, image)
        else:
            raw = _raw(request, tag, payload)
            image.i64[index], image.f64[index], good = _judge(tag, raw)
            image.quality[index] = Quality.GOOD if good else Quality.BAD
            bad += not good
        image.t_ns[index] = t_ns
    return bad


def _registers(request, tag, payload):
    """The tag's bytes, most significant first."""
    start = 2 * (tag.address - request.address)
    words = [payload[i : i + 2] for i in range(start, start + 2 * tag.registers, 2)]
    if tag.word_order in (WordOrder.CDAB, WordOrder.DCBA):
        words.reverse()
    if tag.word_order in (WordOrder.BADC, WordOrder.DCBA):
        words = [word[::-1] for word in words]
    return b"".join(words)


def _raw(request, tag, payload):
    """The number as the device means it; None for invalid BCD."""
    if request.table.is_bits:
        place = tag.address - request.address
        return payload[place // 8] >> place % 8 & 1
    data = _registers(request, tag, payload)
    if tag.type is DataType.BOOL:
        return int.from_bytes(data, "big") >> tag.bit & 1
    if tag.type in (DataType.BCD16, DataType.BCD32):
        return int(data.hex()) if data.hex().isdecimal() else None
    return struct.unpack(_FORMATS[tag.type], data)[0]


def _judge(tag, raw):
    """(i64, f64, good)."""
    if raw is None:
        return 0, nan, False
    value = _scaled(tag, raw)
    good = (-inf if tag.minimum is None else tag.minimum) <= value <= (inf if tag.maximum is None else tag.maximum)
    good = good and abs(value) != inf and not _is_sentinel(tag, raw)
    if isnan(raw):
        return 0, value, False
    if not -(2**63) <= raw < 2**63:
        return (2**63 - 1 if raw > 0 else -(2**63)), value, False
    return round(raw), value, good


def _is_sentinel(tag, raw):
    """Integers are compared by their bits, so 65535 and -1 are one sentinel; floats by value."""
    if isinstance(raw, float) or tag.type in (DataType.BOOL, DataType.BCD16, DataType.BCD32):
        return raw in tag.sentinels
    size = 2 ** (16 * tag.registers)
    return any(raw % size == s % size for s in tag.sentinels if -size // 2 <= s < size)


def _scaled(tag, raw):
    """raw * scale + offset over one common denominator, as people's decimals allow."""
    scale, offset = Fraction(repr(tag.scale)), Fraction(repr(tag.offset))
    common = lcm(scale.denominator, offset.denominator)
    return (float(raw) * float(scale * common) + float(offset * common)) / float(common)


def _string(request, tag, index, payload, image):
    start = 2 * (tag.address - request.address)
    data = payload[start : start + 2 * tag.registers]
    if tag.string_low_byte_first:
        data = b"".join(data[i : i + 2][::-1] for i in range(0, len(data), 2))
    data = data.partition(b"\0")[0]
    for codec in ("utf-8", "gb18030"):
        try:
            image.text[index] = data.decode(codec).rstrip()
        except UnicodeDecodeError:
            continue
        image.quality[index] = Quality.GOOD
        return True
    image.text[index] = ""
    image.quality[index] = Quality.BAD
    return False
