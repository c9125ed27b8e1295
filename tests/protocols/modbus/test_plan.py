"""The planner asks little, asks nothing forbidden, and forgets no tag."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.modbus.plan import ETHERNET, Bus, PlanError, bus_time_ns, plan_requests
from protocols.modbus.tags import DataType, Limits, ModbusTag, Table

HOLDING, COILS = Table.HOLDING_REGISTERS, Table.COILS
SECOND = 1_000_000_000


def word(address, registers=1, *, name=None, table=HOLDING, bit=None, interval_ns=SECOND):
    kind = DataType.BOOL if bit is not None or table.is_bits else DataType.STRING
    name = name or f"{table.name}-{address}-{registers}-{bit}-{interval_ns}"
    return ModbusTag(name, table, address, kind, bit=bit, registers=registers, interval_ns=interval_ns)


def blocks(planned):
    return [(r.address, r.quantity, r.count) for r in planned.requests]


def test_reference_block_is_one_request():
    """The common block of a machine is read at one blow, bits of its status word included."""
    tags = [*(word(1000, bit=b) for b in range(16)), word(1001), word(1008, 2), word(1010, 2), word(1020, 2)]
    assert blocks(plan_requests(tags, Limits(), unit=1)) == [(1000, 22, 20)]


def test_hole_limit():
    """A hole as wide as the limit is read across, one wider is not."""
    assert blocks(plan_requests([word(0), word(9)], Limits(max_gap=8), 1)) == [(0, 10, 2)]
    assert blocks(plan_requests([word(0), word(10)], Limits(max_gap=8), 1)) == [(0, 1, 1), (10, 1, 1)]
    assert blocks(plan_requests([word(0, table=COILS), word(129, table=COILS)], Limits(max_gap=8), 1)) == [(0, 130, 2)]


def test_border_is_not_crossed():
    """Delta DVP: D4095 and D4096 never share a request."""
    limits = Limits(borders=((HOLDING, 0x2000),))
    assert blocks(plan_requests([word(0x1FFF), word(0x2000)], limits, 1)) == [(0x1FFF, 1, 1), (0x2000, 1, 1)]


def test_long_tag_bridges_a_hole():
    """A hole that a longer tag covers anyway is no hole."""
    assert blocks(plan_requests([word(0, 50), word(2), word(40)], Limits(max_gap=0), 1)) == [(0, 50, 3)]


def test_balanced_against_a_slow_bus():
    """At 1200 baud reading 60 registers for nothing costs more than a second request; on Ethernet it does not."""
    serial = Bus(bits_per_s=1200, bits_per_byte=11, frame_bytes=0, turnaround_ns=20_000_000)
    tags, limits = [word(0), word(61)], Limits(max_gap=60)
    assert len(plan_requests(tags, limits, 1, serial).requests) == 2
    assert len(plan_requests(tags, limits, 1).requests) == 1


def test_rates_are_apart():
    """Every interval has its own requests, fastest first; a shared register is read in both."""
    planned = plan_requests([word(1, interval_ns=5 * SECOND), word(0), word(2), word(1, bit=3)], Limits(), 1)
    assert [(r.address, r.quantity, r.interval_ns) for r in planned.requests] == [(0, 3, SECOND), (1, 1, 5 * SECOND)]


@pytest.mark.parametrize(
    ("tag", "limits", "says"),
    [
        (word(0, 101, name="label"), Limits(), "label: is 101 wide, the device gives 100"),
        (word(4095, 2, name="total"), Limits(borders=((HOLDING, 4096),)), "crosses a border"),
        (word(10, name="x"), Limits(forbidden=((HOLDING, 10, 20),)), "must never be read"),
        (word(65535, 2, name="end"), Limits(), "65535"),
        (ModbusTag("total", HOLDING, 0, DataType.U32), Limits(), "a u32 takes 2 registers"),
        (ModbusTag("run", HOLDING, 0, DataType.BOOL), Limits(), "needs its bit"),
    ],
)
def test_unreadable_tag_is_named(tag, limits, says):
    """A tag that no legal request can read is a mistake found at start."""
    with pytest.raises(PlanError, match=says) as raised:
        plan_requests([tag], limits, 1)
    assert tag.name in raised.value.zh


def test_bus_time_of_a_full_block():
    """125 registers on Ethernet: 12 + 259 bytes and two frames' overhead at 100 Mbit/s, and the PLC's turnaround."""
    request = plan_requests([word(0, 125)], Limits(max_registers=125), 1).requests[0]
    assert bus_time_ns(request) == ETHERNET.turnaround_ns + (12 + 259 + 2 * 78) * 80


widths = st.sampled_from([1, 1, 1, 2, 4, 10])
registers = st.builds(word, st.integers(0, 300), widths, interval_ns=st.sampled_from([SECOND, 5 * SECOND]))
bits_of_words = st.builds(word, st.integers(0, 300), bit=st.integers(0, 15))
coils = st.builds(word, st.integers(0, 3000), table=st.just(COILS))
site_tags = st.lists(st.one_of(registers, bits_of_words, coils), max_size=60)
site_limits = st.builds(
    Limits,
    max_registers=st.integers(10, 200),
    max_bits=st.integers(10, 3000),
    max_gap=st.integers(0, 40),
    borders=st.just(((HOLDING, 128), (COILS, 1536))),
    forbidden=st.just(((HOLDING, 200, 203),)),
)


def readable(tag, limits):
    try:
        plan_requests([tag], limits, 1)
    except PlanError:
        return False
    return True


@given(site_tags, site_limits)
def test_every_plan_is_complete_and_legal(tags, limits):
    """Every tag exactly once and whole; no request illegal; never more requests than tags; neighbours in the image."""
    tags = [tag for tag in tags if readable(tag, limits)]
    planned = plan_requests(tags, limits, unit=7)
    assert sorted(map(id, planned.tags)) == sorted(map(id, tags))
    assert len(planned.requests) <= len(tags)
    place = 0
    for request in planned.requests:
        assert request.first == place
        place += request.count
        covered = planned.tags[request.first : place]
        start, end = request.address, request.address + request.quantity
        assert start == min(t.address for t in covered)
        assert end == max(t.address + t.registers for t in covered)
        assert all((t.table, t.interval_ns) == (request.table, request.interval_ns) for t in covered)
        assert request.unit == 7
        assert request.quantity <= (
            min(limits.max_bits, 2000) if request.table.is_bits else min(limits.max_registers, 125)
        )
        assert not any(start < border < end for table, border in limits.borders if table is request.table)
        assert not any(start <= hi and lo < end for table, lo, hi in limits.forbidden if table is request.table)
        reached = start
        for tag in covered:
            assert tag.address - reached <= limits.max_gap * (16 if request.table.is_bits else 1)
            reached = max(reached, tag.address + tag.registers)
    assert place == len(tags)


@given(site_tags)
def test_shared_registers_are_read_once(tags):
    """Where limits allow it, tags of one register and rate sit in one request."""
    planned = plan_requests(tags, Limits(max_registers=125, max_gap=0), unit=1)
    seen = {}
    for number, request in enumerate(planned.requests):
        for tag in planned.tags[request.first : request.first + request.count]:
            if tag.registers == 1:
                key = (tag.table, tag.address, tag.interval_ns)
                assert seen.setdefault(key, number) == number
