"""Kernel and plain-Python twin say the same about every reply, and what they say is what the device meant."""

import math
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins.decode import decode_block

from ext.decode import Code, DecodeTable
from protocols.modbus.bus import payload_bytes
from protocols.modbus.decode import compile_request
from protocols.modbus.plan import Request, width
from protocols.modbus.tags import DataType, Encoding, ModbusTag, RangeMap, Table, WordOrder
from protocols.reading import Quality, TagImage

HOLDING, COILS = Table.HOLDING_REGISTERS, Table.COILS
T = 1_700_000_000_000_000_000


def compiled(request, tags, payload, t_ns, image):
    return compile_request(request, tags).decode(payload, t_ns, image)


both = pytest.mark.parametrize("decode", [compiled, decode_block])


def tag(kind, address=0, **options):
    return ModbusTag("t", HOLDING, address, kind, registers=options.pop("registers", width(kind) or 1), **options)


def read(decode, tags, payload, table=HOLDING, quantity=None, start=0):
    """Decode one reply and return the image and the number of bad tags."""
    image = TagImage(len(tags))
    quantity = len(payload) // 2 if quantity is None else quantity
    bad = decode(Request(table, 1, start, quantity, 10**9, 0, len(tags)), tags, payload, T, image)
    return image, bad


def one(decode, single, payload):
    image, _ = read(decode, [single], payload)
    assert list(image.t_ns) == [T]
    return image.i64[0], image.f64[0], Quality(image.quality[0])


ORDERS_32 = {
    WordOrder.ABCD: "12345678",
    WordOrder.CDAB: "56781234",
    WordOrder.BADC: "34127856",
    WordOrder.DCBA: "78563412",
}
ORDERS_64 = {
    WordOrder.ABCD: "0123456789abcdef",
    WordOrder.CDAB: "cdef89ab45670123",
    WordOrder.BADC: "23016745ab89efcd",
    WordOrder.DCBA: "efcdab8967452301",
    WordOrder.EFGHABCD: "89abcdef01234567",
    WordOrder.CDABGHEF: "45670123cdef89ab",
    WordOrder.FEHGBADC: "ab89efcd23016745",
    WordOrder.DCBAHGFE: "67452301efcdab89",
}
LIKE_32 = {  # what the orders of eight letters say of 32 bits
    WordOrder.EFGHABCD: WordOrder.ABCD,
    WordOrder.CDABGHEF: WordOrder.CDAB,
    WordOrder.FEHGBADC: WordOrder.BADC,
    WordOrder.DCBAHGFE: WordOrder.DCBA,
}


@both
@pytest.mark.parametrize("order", WordOrder)
def test_word_orders(decode, order):
    """The four orders of the bytes of a 32-bit value and the eight of a 64-bit value, written out."""
    four = LIKE_32.get(order, order)
    number, wide = bytes.fromhex(ORDERS_32[four]), bytes.fromhex(ORDERS_64[order])
    assert one(decode, tag(DataType.U32, word_order=order), number)[0] == 0x12345678
    assert one(decode, tag(DataType.BCD32, word_order=order), number)[0] == 12345678
    assert one(decode, tag(DataType.SM32, word_order=order), number)[0] == 0x12345678
    assert one(decode, tag(DataType.U64, word_order=order), wide)[0] == 0x0123456789ABCDEF
    assert one(decode, tag(DataType.U64, bit=52, bits=8, word_order=order), wide)[0] == 0x12
    half = number[:2] if four in (WordOrder.ABCD, WordOrder.BADC) else number[2:]
    assert one(decode, tag(DataType.U16, word_order=order), half)[0] == 0x1234
    assert one(decode, tag(DataType.U8H, word_order=order), half)[0] == 0x12
    assert one(decode, tag(DataType.U8L, word_order=order), half)[0] == 0x34


@both
@pytest.mark.parametrize(
    ("kind", "payload", "raw", "value"),
    [
        (DataType.U16, "ffff", 65535, 65535.0),
        (DataType.I16, "ffff", -1, -1.0),
        (DataType.I32, "fffffffe", -2, -2.0),
        (DataType.I64, "8000000000000000", -(2**63), -(2.0**63)),
        (DataType.F32, "41480000", 12, 12.5),  # ties to even
        (DataType.F64, "c0091eb851eb851f", -3, -3.14),
        (DataType.BCD16, "9999", 9999, 9999.0),
        (DataType.BCD64, "1234567890123456", 1234567890123456, 1234567890123456.0),
        (DataType.U8H, "ff01", 255, 255.0),
        (DataType.U8L, "01ff", 255, 255.0),
        (DataType.I8H, "ff01", -1, -1.0),
        (DataType.I8L, "0180", -128, -128.0),
        (DataType.SM16, "8005", -5, -5.0),
        (DataType.SM16, "8000", 0, 0.0),  # minus nothing
        (DataType.SM32, "ffffffff", 1 - 2**31, 1.0 - 2**31),
        (DataType.F16, "3e00", 2, 1.5),  # ties to even
        (DataType.F16, "fbff", -65504, -65504.0),  # the largest
        (DataType.F16, "0001", 0, 2.0**-24),  # the smallest
        (DataType.F16, "03ff", 0, 1023 * 2.0**-24),  # the largest below the normal ones
        (DataType.F16, "0400", 0, 2.0**-14),
    ],
)
def test_types(decode, kind, payload, raw, value):
    """Each type at a corner, GOOD."""
    assert one(decode, tag(kind), bytes.fromhex(payload)) == (raw, value, Quality.GOOD)


@both
@pytest.mark.parametrize("bit", range(16))
def test_bit_of_register(decode, bit):
    """Bit 0 is the least significant bit of the register, whose high byte travels first (spec V1.1b3 §4.2)."""
    for value in (1 << bit, 0xFFFF ^ 1 << bit):
        expected = int(value == 1 << bit)
        assert one(decode, tag(DataType.BOOL, bit=bit), value.to_bytes(2, "big"))[0] == expected
        swapped = tag(DataType.BOOL, bit=bit, word_order=WordOrder.DCBA)
        assert one(decode, swapped, value.to_bytes(2, "little"))[0] == expected


@both
@pytest.mark.parametrize(
    ("kind", "bit", "bits", "payload", "raw"),
    [
        (DataType.U16, 4, 8, "abcd", 0xBC),
        (DataType.U16, 0, 16, "abcd", 0xABCD),
        (DataType.U16, 15, 1, "8000", 1),
        (DataType.I16, 4, 4, "00f0", -1),
        (DataType.I16, 4, 4, "0070", 7),
        (DataType.I16, 0, 1, "0001", -1),
        (DataType.U32, 12, 8, "12345678", 0x45),  # across the border of two registers
        (DataType.I32, 28, 4, "90000000", -7),
        (DataType.U64, 1, 63, "ffffffffffffffff", 2**63 - 1),
        (DataType.I64, 0, 63, "7fffffffffffffff", -1),
    ],
)
def test_bit_fields(decode, kind, bit, bits, payload, raw):
    """n bits from bit k of a value, signed where the type is."""
    assert one(decode, tag(kind, bit=bit, bits=bits), bytes.fromhex(payload)) == (raw, float(raw), Quality.GOOD)


@both
@pytest.mark.parametrize(
    ("points", "raw", "value"),
    [
        (RangeMap(0, 27648, 0, 10), 27648, 10.0),
        (RangeMap(0, 27648, 0, 10), 13824, 5.0),
        (RangeMap(4000, 20000, -50, 250), 4000, -50.0),
        (RangeMap(4000, 20000, -50, 250), 20000, 250.0),
        (
            RangeMap(4000, 20000, -50, 250),
            20160,
            253.0,
        ),  # the line goes on beyond its points
        (RangeMap(0, 30000, 0.1, 0.4), 10000, 0.2),
        (RangeMap(100, 0, 0, 100), 25, 75.0),  # upside down
    ],
)
def test_range_map(decode, points, raw, value):
    """Both ends come out exactly as they were written, and the points between rounded once."""
    assert one(decode, tag(DataType.U16, range_map=points), raw.to_bytes(2, "big"))[1:] == (value, Quality.GOOD)


def test_range_map_without_a_range_is_refused():
    """Two values for one raw value are no line."""
    with pytest.raises(ValueError, match="not 5 twice"):
        one(compiled, tag(DataType.U16, range_map=RangeMap(5, 5, 0, 1)), bytes(2))


@both
def test_coils_of_the_specification(decode):
    """Example of spec V1.1b3 §6.1: coils 20-38 read as CD 6B 05 are on where the specification says so."""
    on = {20, 22, 23, 26, 27, 28, 29, 31, 33, 34, 36, 38}
    tags = [ModbusTag(str(n), COILS, n - 1, DataType.BOOL) for n in range(20, 39)]
    image, bad = read(decode, tags, bytes.fromhex("CD6B05"), COILS, quantity=19, start=19)
    assert {n for n, value in zip(range(20, 39), image.i64, strict=True) if value} == on
    assert bad == 0


@both
def test_registers_of_the_specification(decode):
    """Example of spec V1.1b3 §6.3: registers 108-110 read as 02 2B 00 00 00 64 are 555, 0, 100."""
    tags = [tag(DataType.U16, address) for address in (107, 108, 109)]
    image, _ = read(decode, tags, bytes.fromhex("022B00000064"), start=107)
    assert list(image.i64) == [555, 0, 100]


@both
@pytest.mark.parametrize(
    ("options", "payload", "raw"),
    [
        ({"kind": DataType.F32}, "7fc00000", 0),  # NaN
        ({"kind": DataType.F32}, "ff800000", -(2**63)),  # -infinity
        ({"kind": DataType.F64}, "43f0000000000000", 2**63 - 1),  # 2^64: no counter, wrong word order
        ({"kind": DataType.U64}, "8000000000000000", 2**63 - 1),  # 2^63
        ({"kind": DataType.BCD16}, "12a4", 0),
        ({"kind": DataType.I16, "sentinels": (32767,)}, "7fff", 32767),  # thermocouple open
        ({"kind": DataType.I16, "sentinels": (65535,)}, "ffff", -1),
        ({"kind": DataType.U16, "sentinels": (1, -1)}, "ffff", 65535),
        ({"kind": DataType.F32, "sentinels": (-9999,)}, "c61c3c00", -9999),
        ({"kind": DataType.F32, "sentinels": (-999.9,)}, "c479f99a", -1000),  # -999.9 is no float: the nearest is meant
        ({"kind": DataType.F16, "sentinels": (10**6, 0.1)}, "2e66", 0),
        ({"kind": DataType.F16}, "7e00", 0),  # NaN
        ({"kind": DataType.F16}, "fc00", -(2**63)),  # -infinity
        ({"kind": DataType.BCD64}, "123456789012345a", 0),
        ({"kind": DataType.U8L, "sentinels": (-1,)}, "00ff", 255),
        ({"kind": DataType.SM16, "sentinels": (-32767,)}, "ffff", -32767),
        (
            {"kind": DataType.I16, "bit": 0, "bits": 4, "sentinels": (15,)},
            "000f",
            -1,
        ),  # the field's own
        ({"kind": DataType.U16, "maximum": 70.0, "scale": 0.1}, "02bd", 701),
        ({"kind": DataType.I16, "minimum": 0.0}, "ffff", -1),
    ],
)
def test_bad_values(decode, options, payload, raw):
    """What cannot be meant is BAD, and i64 still shows the nearest to what the device said."""
    got, value, quality = one(decode, tag(**options), bytes.fromhex(payload))
    assert (got, quality) == (raw, Quality.BAD)
    assert not (options["kind"] in (DataType.BCD16, DataType.BCD64) and not math.isnan(value))


@both
def test_u64_above_int64_keeps_its_magnitude(decode):
    """A u64 from 2^63 on is BAD, f64 shows its size."""
    assert one(decode, tag(DataType.U64), b"\xff" * 8)[1] == 2.0**64


@both
@given(
    st.integers(-32768, 32767), st.sampled_from([0.1, 0.01, 0.05, 0.3, 2.5, 1.0]), st.sampled_from([0.0, -40.5, 0.1])
)
def test_scaling_rounds_once(decode, raw, scale, offset):
    """A scaled value is the double nearest to the decimal an engineer would write down."""
    value = one(decode, tag(DataType.I16, scale=scale, offset=offset), raw.to_bytes(2, "big", signed=True))[1]
    assert value == float(str(round(raw * scale + offset, 6)))


def test_scale_that_is_no_short_decimal():
    """A factor with 17 digits is applied as a plain double product."""
    factor = 0.12345678901234567
    assert one(compiled, tag(DataType.U16, scale=factor, offset=1e-17), b"\x03\xe8")[1] == 1000 * factor + 1e-17


@both
@pytest.mark.parametrize(
    ("raw", "low_first", "expected"),
    [
        (b"KN95\0\0\0\0", False, "KN95"),
        (b"NK59\0\0\0\0", True, "KN95"),
        (b"LOT 7   ", False, "LOT 7"),
        ("口罩".encode("gb18030") + b"\0\0\0\0", False, "口罩"),
        ("压条".encode() + b"\0\0", False, "压条"),
    ],
)
def test_strings(decode, raw, low_first, expected):
    """Product names come out as people typed them, padding gone, low byte first where the PLC stores them so."""
    name = tag(DataType.STRING, 1, registers=4, string_low_byte_first=low_first)
    image, bad = read(decode, [tag(DataType.U16, 0), name, tag(DataType.U16, 5)], b"\0\1" + raw + b"\0\2")
    assert (image.text, bad, list(image.i64)) == ({1: expected}, 0, [1, 1, 2])  # a text counts as 1
    assert list(image.quality) == [Quality.GOOD] * 3
    assert list(image.t_ns) == [T] * 3


@both
@pytest.mark.parametrize(
    ("encoding", "raw", "expected"),
    [
        (Encoding.ASCII, b"LOT7", "LOT7"),
        (Encoding.GBK, "压条".encode("gbk"), "压条"),
        (Encoding.GB18030, "㐀".encode("gb18030"), "㐀"),  # four bytes: no GBK
        (Encoding.UTF_8, "é".encode() + b"\0\0", "é"),
        (Encoding.GBK, "é".encode() + b"\0\0", "茅"),  # the same bytes: whoever knows the encoding says so
        (Encoding.AUTO, b"AB\0CD"[:4], "AB"),  # what comes after the first NUL is left over from an older text
    ],
)
def test_encodings(decode, encoding, raw, expected):
    """A text in the encoding that was declared."""
    image, bad = read(decode, [tag(DataType.STRING, registers=2, encoding=encoding)], raw)
    assert (image.text, bad) == ({0: expected}, 0)


@both
@pytest.mark.parametrize(
    ("encoding", "raw"),
    [
        (Encoding.AUTO, b"\xff\xff\xff\xff"),
        (Encoding.ASCII, "压条".encode("gbk")),
        (Encoding.GBK, "㐀".encode("gb18030")),
        (Encoding.UTF_8, "压条".encode("gbk")),
    ],
)
def test_bytes_that_are_no_text(decode, encoding, raw):
    """Bytes that the encoding does not know: BAD and empty, never a guess."""
    image, bad = read(decode, [tag(DataType.STRING, registers=2, encoding=encoding)], raw)
    assert (image.text, bad, image.quality[0]) == ({0: ""}, 1, Quality.BAD)


@both
@pytest.mark.parametrize("kind", DataType)
def test_short_reply_is_refused(decode, kind):
    """A reply shorter than its tags changes nothing; the release kernel must not read past it."""
    last = tag(kind, 3, registers=width(kind) or 2, bit=0 if kind is DataType.BOOL else None)
    payload = bytes(2 * (3 + last.registers))
    read(decode, [last], payload)
    image = TagImage(1)
    with pytest.raises(ValueError):
        decode(Request(HOLDING, 1, 0, 3 + last.registers, 10**9, 0, 1), [last], payload[:-1], T, image)
    assert image.t_ns[0] == 0
    assert image.quality[0] == Quality.NOT_CONFIGURED


def test_wrong_image_is_refused():
    """An image of another device, or arrays of another type, are refused before anything is written."""
    request = Request(HOLDING, 1, 0, 2, 10**9, 1, 1)
    decoder = compile_request(request, [tag(DataType.U16, 0), tag(DataType.U16, 1)])
    with pytest.raises(ValueError, match="shorter than 2"):
        decoder.decode(bytes(4), T, TagImage(1))
    image = TagImage(2)
    image.f64 = image.i64
    with pytest.raises(ValueError, match="type codes"):
        decoder.decode(bytes(4), T, image)


def test_table_refuses_ragged_columns():
    """One entry per tag and column."""
    columns = {name: [0] for name in ("codes", "orders", "offsets", "bits", "widths", "sentinel_counts")}
    floats = {name: [1.0] for name in ("numerators", "addends", "denominators", "minima", "maxima")}
    DecodeTable(0, **columns, **floats, sentinels=[])
    fields = {**columns, "codes": [Code.UFIELD16], "bits": [9], "widths": [7]}
    DecodeTable(0, **fields, **floats, sentinels=[])
    for wrong in (
        {"bits": [8]},
        {"codes": [24]},
        {"orders": [8]},
        {"denominators": [0.0]},
        {"orders": []},
        {"sentinel_counts": [1]},
        {"widths": [1]},
        {**fields, "widths": [8]},
        {**fields, "widths": [0]},
        {**fields, "codes": [Code.UFIELD64], "bits": [0], "widths": [64]},
    ):
        with pytest.raises(ValueError):
            DecodeTable(0, **{**columns, **floats, **wrong}, sentinels=[])


def test_tag_outside_its_request():
    """A plan that does not hold its tags is refused when it is compiled, not when it is read."""
    with pytest.raises(ValueError, match="does not hold"):
        compile_request(Request(HOLDING, 1, 0, 1, 10**9, 0, 1), [tag(DataType.U32)])
    with pytest.raises(ValueError, match="not part of"):
        compile_request(Request(HOLDING, 1, 5, 1, 10**9, 0, 1), [tag(DataType.U16, 4)])


def some_tag(kind, address, bit, bits, order, scale, offset, limits, sentinels, range_map):
    plain = tag(kind, address, word_order=order, scale=scale, offset=offset, sentinels=sentinels)
    plain = replace(plain, minimum=limits[0], maximum=limits[1], range_map=range_map)
    if kind is DataType.BOOL:
        return replace(plain, bit=bit)
    if bits is None or kind not in (DataType.U16, DataType.I16, DataType.U32, DataType.I32, DataType.U64, DataType.I64):
        return plain
    return replace(plain, bit=bit, bits=min(bits, 16 * plain.registers - bit))


kinds = st.sampled_from([k for k in DataType if k is not DataType.STRING])
some_tags = st.builds(
    some_tag,
    kinds,
    st.integers(0, 30),
    st.integers(0, 15),
    st.none() | st.integers(1, 63),
    st.sampled_from(WordOrder),
    st.sampled_from([1.0, 0.1, 0.001, 2.5, -1.0]),
    st.sampled_from([0.0, -40.5, 273.15]),
    st.sampled_from([(None, None), (0.0, 1000.0), (-50.0, None)]),
    st.lists(st.sampled_from([-1, 0, 255, 32767, 65535, 0xFFFFFFFF, -9999, 0.1]), max_size=3, unique=True).map(tuple),
    st.none() | st.just(RangeMap(4000, 20000, -50.5, 250)),
)
numbers = st.one_of(
    st.binary(min_size=68, max_size=68),
    st.lists(
        st.sampled_from([0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x7FC0, 0x7F80, 0xFF80, 0x1234, 0x7C00, 0x2E66]),
        min_size=34,
        max_size=34,
    ).map(lambda words: struct.pack(">34H", *words)),
)


@given(st.lists(some_tags, min_size=1, max_size=20), numbers)
def test_kernel_and_twin_agree(tags, payload):
    """On any tags and any bytes both write the same integers, floats, qualities and times."""
    (kernel, kernel_bad), (twin, twin_bad) = read(compiled, tags, payload), read(decode_block, tags, payload)
    assert kernel.i64 == twin.i64
    assert kernel.quality == twin.quality
    assert kernel.t_ns == twin.t_ns
    assert kernel_bad == twin_bad
    for a, b in zip(kernel.f64, twin.f64, strict=True):
        assert a == b or (math.isnan(a) and math.isnan(b))


@given(st.sets(st.integers(0, 100), min_size=1), st.binary(min_size=13, max_size=13))
def test_kernel_and_twin_agree_on_bits(addresses, payload):
    """Coils and discrete inputs at any place."""
    tags = [ModbusTag(str(a), COILS, a, DataType.BOOL) for a in sorted(addresses)]
    assert payload_bytes(COILS, 101) == len(payload)
    kernel, _ = read(compiled, tags, payload, COILS, 101)
    twin, _ = read(decode_block, tags, payload, COILS, 101)
    assert (kernel.i64, kernel.quality) == (twin.i64, twin.quality)
