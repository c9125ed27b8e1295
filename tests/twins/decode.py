"""Plain-Python twin of the decode kernel and its compiler: tag by tag, with struct, straight from the tag."""

import struct
from fractions import Fraction
from math import inf, isnan, lcm, nan

from protocols.modbus.tags import DataType, Encoding
from protocols.reading import Quality

_FORMATS = {
    DataType.U16: ">H",
    DataType.I16: ">h",
    DataType.U32: ">I",
    DataType.I32: ">i",
    DataType.U64: ">Q",
    DataType.I64: ">q",
    DataType.U8H: ">B",
    DataType.U8L: ">B",
    DataType.I8H: ">b",
    DataType.I8L: ">b",
    DataType.F16: ">e",
    DataType.F32: ">f",
    DataType.F64: ">d",
}
_FLOATS = (DataType.F16, DataType.F32, DataType.F64)
_BCD = (DataType.BCD16, DataType.BCD32, DataType.BCD64)
_SIGN_MAGNITUDE = (DataType.SM16, DataType.SM32)


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
    """The tag's bytes, most significant first: the order's letters say which byte stands where."""
    start = 2 * (tag.address - request.address)
    wire, size = payload[start : start + 2 * tag.registers], 2 * tag.registers
    four, eight = tag.word_order[:4], _EIGHT.get(tag.word_order, tag.word_order)
    if size == 8:
        places = ["ABCDEFGH".index(letter) for letter in eight]
    elif size == 4:  # what an order of eight letters says of its first four
        places = ["ABCD".index(chr(ord(letter) - 4) if letter > "D" else letter) for letter in four]
    else:
        places = [0, 1] if four[0] < four[1] else [1, 0]
    return bytes(byte for _, byte in sorted(zip(places, wire, strict=True)))


_EIGHT = {"ABCD": "ABCDEFGH", "CDAB": "GHEFCDAB", "BADC": "BADCFEHG", "DCBA": "HGFEDCBA"}


def _raw(request, tag, payload):
    """The number as the device means it; None for invalid BCD."""
    if request.table.is_bits:
        place = tag.address - request.address
        return payload[place // 8] >> place % 8 & 1
    data = _registers(request, tag, payload)
    if tag.type is DataType.BOOL:
        return int.from_bytes(data, "big") >> tag.bit & 1
    if tag.type in _BCD:
        return int(data.hex()) if data.hex().isdecimal() else None
    if tag.type in _SIGN_MAGNITUDE:
        return int(("-" if data[0] & 0x80 else "") + bytes([data[0] & 0x7F, *data[1:]]).hex(), 16)
    if tag.bits is not None:
        return _field(int.from_bytes(data, "big"), tag)
    if tag.type in (DataType.U8H, DataType.I8H):
        data = data[:1]
    if tag.type in (DataType.U8L, DataType.I8L):
        data = data[1:]
    return struct.unpack(_FORMATS[tag.type], data)[0]


def _field(value, tag):
    """A bit field, written in binary."""
    digits = f"{value:064b}"[::-1][tag.bit or 0 :][: tag.bits]
    number = int(digits[::-1], 2)
    return number - 2**tag.bits if tag.type.startswith("i") and digits[-1] == "1" else number


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
    """Integers are compared by their bits, so 65535 and -1 are one sentinel; floats by value, rounded as they are."""
    if tag.type in _FLOATS:
        return any(raw == _rounded(tag.type, s) for s in tag.sentinels)
    if tag.type in (DataType.BOOL, *_BCD, *_SIGN_MAGNITUDE):
        return raw in tag.sentinels
    size = 2 ** (tag.bits or (8 if "8" in tag.type else 16 * tag.registers))
    return any(raw % size == s % size for s in tag.sentinels if -size // 2 <= s < size)


def _rounded(kind, number):
    """`number` as a float of that type; None where it is beyond it."""
    try:
        return struct.unpack(_FORMATS[kind], struct.pack(_FORMATS[kind], float(number)))[0]
    except OverflowError:
        return None


def _scaled(tag, raw):
    """raw * scale + offset over one common denominator, as people's decimals allow; a range map is a line as well."""
    scale, offset = Fraction(repr(tag.scale)), Fraction(repr(tag.offset))
    if tag.range_map is not None:
        points = tag.range_map
        raw_low, raw_high, low, high = (
            Fraction(repr(x)) for x in (points.raw_low, points.raw_high, points.low, points.high)
        )
        scale = (high - low) / (raw_high - raw_low)
        offset = low - scale * raw_low
    common = lcm(scale.denominator, offset.denominator)
    return (float(raw) * float(scale * common) + float(offset * common)) / float(common)


def _string(request, tag, index, payload, image):
    start = 2 * (tag.address - request.address)
    data = payload[start : start + 2 * tag.registers]
    if tag.string_low_byte_first:
        data = b"".join(data[i : i + 2][::-1] for i in range(0, len(data), 2))
    data = data.partition(b"\0")[0]
    for codec in ("utf-8", "gb18030") if tag.encoding is Encoding.AUTO else (tag.encoding.value,):
        try:
            image.text[index] = data.decode(codec).rstrip()
        except UnicodeDecodeError:
            continue
        image.i64[index] = bool(image.text[index])
        image.quality[index] = Quality.GOOD
        return True
    image.text[index], image.i64[index] = "", 0
    image.quality[index] = Quality.BAD
    return False
