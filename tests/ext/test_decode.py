"""Kernel and plain-Python twin say the same about every reply, and what they say is what the device meant."""

import math
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins.decode import decode_block

from ext.decode import DecodeTable
from protocols.modbus.decode import compile_request
from protocols.modbus.plan import Request, payload_bytes, width
from protocols.modbus.tags import DataType, ModbusTag, Table, WordOrder
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
}


@both
@pytest.mark.parametrize("order", WordOrder)
def test_word_orders(decode, order):
    """The four orders of the bytes of a 32-bit value, written out; 64-bit values follow the same pattern."""
    number, wide = bytes.fromhex(ORDERS_32[order]), bytes.fromhex(ORDERS_64[order])
    assert one(decode, tag(DataType.U32, word_order=order), number)[0] == 0x12345678
    assert one(decode, tag(DataType.BCD32, word_order=order), number)[0] == 12345678
    assert one(decode, tag(DataType.U64, word_order=order), wide)[0] == 0x0123456789ABCDEF
    half = number[:2] if order in (WordOrder.ABCD, WordOrder.BADC) else number[2:]
    assert one(decode, tag(DataType.U16, word_order=order), half)[0] == 0x1234


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
        ({"kind": DataType.U16, "maximum": 70.0, "scale": 0.1}, "02bd", 701),
        ({"kind": DataType.I16, "minimum": 0.0}, "ffff", -1),
    ],
)
def test_bad_values(decode, options, payload, raw):
    """What cannot be meant is BAD, and i64 still shows the nearest to what the device said."""
    got, value, quality = one(decode, tag(**options), bytes.fromhex(payload))
    assert (got, quality) == (raw, Quality.BAD)
    assert not (options["kind"] is DataType.BCD16 and not math.isnan(value))


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
    assert (image.text, bad, list(image.i64)) == ({1: expected}, 0, [1, 0, 2])
    assert list(image.quality) == [Quality.GOOD] * 3
    assert list(image.t_ns) == [T] * 3


@both
def test_bytes_that_are_no_text(decode):
    """Neither UTF-8 nor GB 18030: BAD and empty, never a guess."""
    image, bad = read(decode, [tag(DataType.STRING, registers=2)], b"\xff\xff\xff\xff")
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
    columns = {name: [0] for name in ("codes", "orders", "offsets", "bits", "sentinel_counts")}
    floats = {name: [1.0] for name in ("numerators", "addends", "denominators", "minima", "maxima")}
    DecodeTable(0, **columns, **floats, sentinels=[])
    for wrong in ({"bits": [8]}, {"codes": [12]}, {"denominators": [0.0]}, {"orders": []}, {"sentinel_counts": [1]}):
        with pytest.raises(ValueError):
            DecodeTable(0, **{**columns, **floats, **wrong}, sentinels=[])


def test_tag_outside_its_request():
    """A plan that does not hold its tags is refused when it is compiled, not when it is read."""
    with pytest.raises(ValueError, match="does not hold"):
        compile_request(Request(HOLDING, 1, 0, 1, 10**9, 0, 1), [tag(DataType.U32)])
    with pytest.raises(ValueError, match="not part of"):
        compile_request(Request(HOLDING, 1, 5, 1, 10**9, 0, 1), [tag(DataType.U16, 4)])


kinds = st.sampled_from([k for k in DataType if k is not DataType.STRING])
some_tags = st.builds(
    lambda kind, address, bit, order, scale, offset, limits, sentinels: replace(
        tag(kind, address, word_order=order, scale=scale, offset=offset, sentinels=sentinels),
        bit=bit if kind is DataType.BOOL else None,
        minimum=limits[0],
        maximum=limits[1],
    ),
    kinds,
    st.integers(0, 30),
    st.integers(0, 15),
    st.sampled_from(WordOrder),
    st.sampled_from([1.0, 0.1, 0.001, 2.5, -1.0]),
    st.sampled_from([0.0, -40.5, 273.15]),
    st.sampled_from([(None, None), (0.0, 1000.0), (-50.0, None)]),
    st.lists(st.sampled_from([-1, 0, 32767, 65535, 0xFFFFFFFF, -9999]), max_size=3, unique=True).map(tuple),
)
numbers = st.one_of(
    st.binary(min_size=68, max_size=68),
    st.lists(
        st.sampled_from([0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x7FC0, 0x7F80, 0xFF80, 0x1234]), min_size=34, max_size=34
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
