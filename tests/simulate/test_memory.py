"""Registers say what the plan says: checked with another project's decoder and the specification's own frames."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client.mixin import ModbusClientMixin as Pymodbus

from edge.simulate import wire
from edge.simulate.memory import Memory, encode
from protocols.modbus.decode import compile_request
from protocols.modbus.plan import Request, width
from protocols.modbus.tags import DataType, ModbusTag, Table, WordOrder
from protocols.reading import TagImage

HOLDING = Table.HOLDING_REGISTERS
_TYPES = {
    DataType.U16: Pymodbus.DATATYPE.UINT16,
    DataType.I16: Pymodbus.DATATYPE.INT16,
    DataType.U32: Pymodbus.DATATYPE.UINT32,
    DataType.I32: Pymodbus.DATATYPE.INT32,
    DataType.U64: Pymodbus.DATATYPE.UINT64,
    DataType.I64: Pymodbus.DATATYPE.INT64,
}
_WIDTH = {DataType.U16: 1, DataType.I16: 1, DataType.U32: 2, DataType.I32: 2, DataType.U64: 4, DataType.I64: 4}


def tag(kind: DataType, order: WordOrder = WordOrder.ABCD, **more: object) -> ModbusTag:
    width = _WIDTH.get(kind, {DataType.F32: 2, DataType.F64: 4, DataType.BCD32: 2}.get(kind, 1))
    return ModbusTag("t", HOLDING, 0, kind, word_order=order, **{"registers": width, **more})  # type: ignore[arg-type]


def words(data: bytes) -> list[int]:
    return list(struct.unpack(f">{len(data) // 2}H", data))


@given(kind=st.sampled_from(list(_TYPES)), raw=st.integers(-(1 << 63), (1 << 64) - 1), low_first=st.booleans())
def test_integers_agree_with_pymodbus(kind: DataType, raw: int, low_first: bool) -> None:
    bits = 16 * _WIDTH[kind]
    low, high = (0, (1 << bits) - 1) if kind.startswith("u") else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    value = max(low, min(high, raw))
    encoded = encode(tag(kind, WordOrder.CDAB if low_first else WordOrder.ABCD), raw)
    order = "little" if low_first else "big"
    assert Pymodbus.convert_from_registers(words(encoded), _TYPES[kind], word_order=order) == value


TYPED = st.sampled_from([kind for kind in DataType if kind not in (DataType.STRING, DataType.BOOL)])


@given(kind=TYPED, order=st.sampled_from(WordOrder), raw=st.integers(0, 99))
def test_what_is_written_is_read(kind: DataType, order: WordOrder, raw: int) -> None:
    """Every type in every order, by the agent's own kernel: two ways to write the same rule down."""
    one = tag(kind, order, registers=width(kind))
    image = TagImage(1)
    data = encode(one, raw)
    request = Request(HOLDING, 1, 0, one.registers, 10**9, 0, 1)
    assert compile_request(request, [one]).decode(data, 1, image) == 0
    assert image.i64[0] == raw


@given(order=st.sampled_from(WordOrder), bit=st.integers(0, 25), raw=st.integers(-32, 31))
def test_bit_fields_are_read_as_written(order: WordOrder, bit: int, raw: int) -> None:
    one = tag(DataType.I32, order, bit=bit, bits=6)
    image = TagImage(1)
    compile_request(Request(HOLDING, 1, 0, 2, 10**9, 0, 1), [one]).decode(encode(one, raw), 1, image)
    assert image.i64[0] == raw


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (WordOrder.ABCD, "0a0b0c0d"),
        (WordOrder.CDAB, "0c0d0a0b"),
        (WordOrder.BADC, "0b0a0d0c"),
        (WordOrder.DCBA, "0d0c0b0a"),
    ],
)
def test_byte_orders_by_their_names(order: WordOrder, expected: str) -> None:
    assert encode(tag(DataType.U32, order), 0x0A0B0C0D).hex() == expected


def test_scales_digits_floats_and_texts() -> None:
    assert words(encode(tag(DataType.I16, scale=0.1, offset=-40.0), 12.5)) == [525]
    assert encode(tag(DataType.BCD16), 1234).hex() == "1234"
    assert encode(tag(DataType.BCD32, WordOrder.CDAB), 12345678).hex() == "56781234"
    assert encode(tag(DataType.F32, WordOrder.CDAB), 1.5).hex() == "00003fc0"
    assert encode(tag(DataType.STRING, registers=3), "ABC") == b"ABC\0\0\0"
    assert encode(tag(DataType.STRING, registers=2, string_low_byte_first=True), "ABC") == b"BA\0C"
    assert words(encode(tag(DataType.U16), 99_999)) == [0xFFFF]
    assert words(encode(tag(DataType.U16), -3)) == [0]


def test_bits_share_a_register_and_gaps_of_the_plan_exist() -> None:
    values = {0: 1, 1: 0, 2: 1, 3: 7}
    tags = [ModbusTag(str(bit), HOLDING, 100, DataType.BOOL, bit=bit) for bit in (0, 1, 15)]
    tags.append(ModbusTag("n", HOLDING, 104, DataType.U16))
    memory = Memory(tags, [Request(HOLDING, 1, 100, 5, 10**9, 0, 4)], values.__getitem__)
    assert memory.areas() == [(HOLDING, 100, 104)]
    assert words(memory.read(HOLDING, 100, 5) or b"") == [0x8001, 0, 0, 0, 7]
    assert words(memory.read(HOLDING, 103, 2) or b"") == [0, 7]
    for address, quantity in ((99, 1), (100, 6), (105, 1), (200, 1)):
        assert memory.read(HOLDING, address, quantity) is None
    assert memory.read(Table.INPUT_REGISTERS, 100, 1) is None


def test_half_of_a_wide_value_can_be_read_as_a_plc_allows() -> None:
    memory = Memory([ModbusTag("w", HOLDING, 10, DataType.U32, registers=2)], [], lambda _: 0x00010002)
    assert words(memory.read(HOLDING, 11, 1) or b"") == [2]


def test_coils_are_packed_low_bit_first() -> None:
    """As in the specification's example of read coils (§6.1): 1100 1101 is CD hex."""
    pattern = [1, 0, 1, 1, 0, 0, 1, 1, 1, 1]
    tags = [ModbusTag(str(n), Table.COILS, 19 + n, DataType.BOOL) for n in range(10)]
    memory = Memory(tags, [], pattern.__getitem__)
    assert (memory.read(Table.COILS, 19, 10) or b"").hex() == "cd03"


def test_frames_of_the_specification() -> None:
    """Read holding registers 107 to 109 (§6.3) in an MBAP frame, one byte at a time."""
    frame = bytes.fromhex("1501 0000 0006 ff 03 006b 0003")
    buffer, asks = bytearray(), []
    for byte in frame:
        buffer.append(byte)
        asks += wire.split(buffer)
    (ask,) = asks
    assert wire.span(ask) == (HOLDING, 0x6B, 3)
    answer = wire.reply(ask, bytes.fromhex("022b00000064"))
    assert answer.hex(" ") == "15 01 00 00 00 09 ff 03 06 02 2b 00 00 00 64"
    assert wire.refusal(ask, 2).hex(" ") == "15 01 00 00 00 03 ff 83 02"
    with pytest.raises(wire.FramingError):
        wire.split(bytearray.fromhex("1501 0001 0006 ff 03 006b 0003"))


@pytest.mark.parametrize("function", [5, 6, 15, 16, 22, 23, 8, 17])
def test_only_reading_exists(function: int) -> None:
    assert wire.span(wire.Ask(1, 1, function, b"\0\0\0\1")) is wire.ExceptionCode.ILLEGAL_FUNCTION
