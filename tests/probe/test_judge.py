"""The true layout is always among those that fit, and alone once the bytes around it are distinctive."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.clock import ManualClock
from edge.plan import ModbusDevice
from edge.probe.judge import Glance, Motion, Round, Verdict, arranged, judge, together
from edge.probe.layouts import Layout, layouts, other_radices
from edge.probe.look import Surroundings
from edge.probe.shown import parse_shown
from edge.simulate.memory import in_order
from protocols.modbus.address import AddressMap, Area
from protocols.modbus.plan import Request, width
from protocols.modbus.tags import DataType, Limits, ModbusTag, Table, TcpEndpoint, WordOrder

HOLDING, INPUT, COILS = Table.HOLDING_REGISTERS, Table.INPUT_REGISTERS, Table.COILS
NOWHERE = AddressMap()
KINDS = [kind for kind in DataType if kind not in (DataType.BOOL, DataType.STRING)]
INTEGERS = [kind for kind in KINDS if kind[0] in "ui"]
BASE = 100


def device(tags) -> ModbusDevice:
    return ModbusDevice(0, "plc", "test", TcpEndpoint("127.0.0.1"), Limits(), tuple(tags), ())


def glance(tag, ways, memory: dict[Table, bytes], at_s=0.0) -> Glance:
    """What layouts make of a memory that begins at BASE - 4."""
    replies = [(Request(t, 1, BASE - 4, len(b) // 2, 1, 0, 1), b) for t, b in memory.items()]
    return Surroundings(device([tag]), [(tag, ways)], ManualClock())._glance(0, ways, replies, at_s)


def tagged(kind: DataType, **more) -> ModbusTag:
    return ModbusTag("m.t", HOLDING, BASE, kind, registers=width(kind) or 1, **more)


@settings(max_examples=50)
@given(
    kind=st.sampled_from(KINDS),
    order=st.sampled_from([WordOrder.ABCD, WordOrder.CDAB]),
    pick=st.integers(0, 10**6),
    seed=st.integers(0, 2**32),
)
def test_the_truth_is_among_them(kind, order, pick, seed) -> None:
    """Any layout, any memory: what it gives is typed, and it is among the fits. With bytes that are all different the
    only others are numbers of another kind or width (BCD, float) that happen to be the same.
    """
    configured = tagged(kind, word_order=order)
    ways = layouts(configured, NOWHERE)
    plain = [way for way in ways if way.decade == 1.0]
    truth = plain[pick % len(plain)]
    shuffled = list(range(1, 256))
    random.Random(seed).shuffle(shuffled)
    seen = glance(configured, ways, {HOLDING: bytes(shuffled[:32]), INPUT: bytes(shuffled[32:64])})
    value = seen.values[ways.index(truth)]
    if value is None:  # no BCD digits, not a number
        return
    found = judge(ways, [Round(parse_shown(str(value), truth.tag.type), seen)], Motion())
    assert truth.frame in [fit.layout.frame for fit in found.fits]
    if truth.tag.type in INTEGERS:
        alike = [fit for fit in found.fits if {fit.layout.tag.type, *fit.also} & set(INTEGERS)]
        assert [fit.layout.frame for fit in alike] == [truth.frame]


@settings(max_examples=60)
@given(raw=st.binary(min_size=8, max_size=8), order=st.sampled_from(list(WordOrder)), size=st.sampled_from([2, 4, 8]))
def test_bytes_by_weight(raw, order, size) -> None:
    """What arranges bytes by weight undoes what lays them out."""
    if size == 8 or order in (WordOrder.ABCD, WordOrder.CDAB, WordOrder.BADC, WordOrder.DCBA):
        assert bytes(arranged(in_order(raw[:size], order), order)) == raw[:size] or size == 2


@pytest.mark.parametrize("order", [WordOrder.ABCD, WordOrder.BADC, WordOrder.DCBA])
@pytest.mark.parametrize("by", [-1, 0, 1])
def test_order_and_offset(order, by) -> None:
    """Configured CDAB; each other order, one off or not: one answer, named exactly."""
    configured = tagged(DataType.U32, word_order=WordOrder.CDAB)
    ways = layouts(configured, NOWHERE)
    memory = bytearray(bytes(range(17, 49)))
    memory[8 + 2 * by : 12 + 2 * by] = in_order((0x01020304).to_bytes(4, "big"), order)
    seen = glance(configured, ways, {HOLDING: bytes(memory)})
    found = judge(ways, [Round(parse_shown(str(0x01020304), DataType.U32), seen)], Motion())
    assert found.verdict is Verdict.ONE
    assert (found.fits[0].layout.tag.address, found.fits[0].layout.tag.word_order) == (BASE + by, order)


def memory_with(value: int, order: WordOrder = WordOrder.CDAB) -> dict[Table, bytes]:
    memory = bytearray(bytes(range(17, 49)))
    memory[8:12] = in_order(value.to_bytes(4, "big"), order)
    return {HOLDING: bytes(memory)}


def test_a_counter_that_counts_on() -> None:
    """The number was read before the registers were: it fits within what the machine may have made, and the other way
    round (the counter is behind the display) it does not.
    """
    configured = tagged(DataType.U32, word_order=WordOrder.CDAB)
    ways = layouts(configured, NOWHERE)
    motion = Motion(2.0, 1 << 32)
    for shown, ago_s, fits in ((100_000, 10, True), (99_980, 10, True), (99_960, 10, False), (100_010, 10, False)):
        seen = glance(configured, ways, memory_with(100_000))
        found = judge(ways, [Round(parse_shown(str(shown), DataType.U32), seen, ago_s=ago_s)], motion)
        assert (found.verdict is Verdict.ONE) == fits, shown


def test_between_two_looks() -> None:
    """What was typed lies between what was seen before and after; a wrong order leaps, and does not pass for that."""
    configured = tagged(DataType.U32, word_order=WordOrder.CDAB)
    ways = layouts(configured, NOWHERE)
    before = glance(configured, ways, memory_with(70_000), 0.0)
    after = glance(configured, ways, memory_with(70_012), 10.0)
    middle = Round(parse_shown("70005", DataType.U32), after, before)
    assert judge(ways, [middle], Motion(2.0, 1 << 32)).fits[0].layout.cost == 0
    assert judge(ways, [middle], Motion(2.0, 1 << 32)).verdict is Verdict.ONE
    wrong = tagged(DataType.U32, word_order=WordOrder.ABCD)
    found = judge(layouts(wrong, NOWHERE), [_moved(wrong, middle, 70_000, 70_012)], Motion(2.0, 1 << 32))
    assert [fit.layout.tag.word_order for fit in found.fits] == [WordOrder.CDAB]


def _moved(tag, one: Round, first: int, last: int) -> Round:
    ways = layouts(tag, NOWHERE)
    return Round(one.shown, glance(tag, ways, memory_with(last), 10.0), glance(tag, ways, memory_with(first), 0.0))


def test_a_counter_that_wraps_meanwhile() -> None:
    """65535 was shown, 3 is read: three pieces, not a loss of all."""
    configured = tagged(DataType.U16)
    ways = layouts(configured, NOWHERE)
    memory = bytearray(bytes(range(17, 49)))
    memory[8:10] = b"\x00\x03"
    seen = glance(configured, ways, {HOLDING: bytes(memory)})
    found = judge(ways, [Round(parse_shown("65535", DataType.U16), seen, ago_s=10)], Motion(1.0, 1 << 16))
    assert found.fits[0].layout.cost == 0


def test_small_numbers_need_company() -> None:
    """Three counters below 65536, high word first: alone they fit in two ways, together in one."""
    tags = [replace(tagged(DataType.U32, word_order=WordOrder.CDAB), address=BASE + 2 * i) for i in range(3)]
    words = [0] * 4 + [0, 1234, 0, 1200, 0, 34, 77, 0] + [0] * 4
    memory = {HOLDING: b"".join(word.to_bytes(2, "big") for word in words)}
    ways = [layouts(tag, NOWHERE) for tag in tags]
    alone = [
        judge(w, [Round(parse_shown(str(v), DataType.U32), glance(t, w, memory))], Motion())
        for t, w, v in zip(tags, ways, (1234, 1200, 34), strict=True)
    ]
    assert [one.verdict for one in alone] == [Verdict.SEVERAL, Verdict.SEVERAL, Verdict.ONE]
    settled = together(tags, alone)
    assert [one.verdict for one in settled] == [Verdict.ONE] * 3
    assert {one.fits[0].layout.tag.word_order for one in settled} == {WordOrder.ABCD}
    assert [one.together for one in settled] == [True, True, False]


def test_sixteen_bits_in_place_are_as_likely_as_thirty_two_beside_it() -> None:
    """54321 in the configured register, zero before it, something else behind it: a counter of sixteen bits, or one of
    thirty-two that begins earlier and has its high word first. Only a larger value can tell; none is written.
    """
    configured = tagged(DataType.U32, word_order=WordOrder.CDAB)
    ways = layouts(configured, NOWHERE)
    words = [7, 7, 7, 0, 54321, 777, 7, 7]  # from BASE - 4 on
    memory = b"".join(word.to_bytes(2, "big") for word in words)
    found = judge(
        ways, [Round(parse_shown("54321", DataType.U32), glance(configured, ways, {HOLDING: memory}))], Motion()
    )
    assert found.verdict is Verdict.SEVERAL
    places = {(fit.layout.tag.address, fit.layout.tag.registers) for fit in found.fits}
    assert places == {(BASE, 1), (BASE - 1, 2)}


def test_as_configured_is_not_doubted_for_zeros() -> None:
    """A small number where it is configured is that; what zero registers could make of it is said, and no more."""
    configured = tagged(DataType.U16)
    ways = layouts(configured, NOWHERE)
    words = [0] * 4 + [398] + [0] * 11
    seen = glance(configured, ways, {HOLDING: b"".join(word.to_bytes(2, "big") for word in words)})
    found = judge(ways, [Round(parse_shown("398", DataType.U16), seen)], Motion())
    assert (found.verdict, found.fits[0].layout.cost) == (Verdict.ONE, 0)
    assert {fit.layout.tag.type for fit in found.open} >= {DataType.U32}


def test_a_forgotten_decimal_point() -> None:
    """Nothing fits as scaled: other powers of ten are tried, and named."""
    configured = tagged(DataType.I16)
    ways = layouts(configured, NOWHERE)
    memory = bytearray(bytes(range(17, 49)))
    memory[8:10] = (365).to_bytes(2, "big")
    found = judge(
        ways, [Round(parse_shown("36.5", DataType.I16), glance(configured, ways, {HOLDING: bytes(memory)}))], Motion()
    )
    assert (found.verdict, found.fits[0].layout.tag.scale) == (Verdict.ONE, 0.1)


@pytest.mark.parametrize(
    ("name", "others"), [("X17", {0x407 + 10, 0x400 + 23}), ("X5", set()), ("Y10", {0x500 + 10, 0x500 + 16})]
)
def test_octal_numbers(name, others) -> None:
    """X17 is the sixteenth input; whoever counted in tens looked at the eighteenth."""
    addresses = AddressMap(
        (Area("X", COILS, 0, 0o377, 0x400, radix=8), Area("Y", COILS, 0, 0o377, 0x500, radix=8)),
    )
    place = addresses.resolve(name)
    tag = ModbusTag("m.x", COILS, place.address, DataType.BOOL)
    assert set(other_radices(tag, addresses)) == others
    assert all(isinstance(way, Layout) for way in layouts(tag, addresses))
