"""The planner asks little, asks nothing forbidden, and forgets no tag."""

import time
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins import telegraf

from protocols.modbus.bus import ETHERNET, bus_of, payload_bytes
from protocols.modbus.plan import PlanError, plan_requests
from protocols.modbus.tags import DataType, Learned, Limits, ModbusTag, SerialEndpoint, Table

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
    serial = bus_of(SerialEndpoint("/dev/ttyS0", baud=1200))
    tags, limits = [word(0), word(61)], Limits(max_gap=60)
    assert len(plan_requests(tags, limits, 1, serial).requests) == 2
    assert len(plan_requests(tags, limits, 1).requests) == 1


SLOW = 5 * SECOND
LINE = bus_of(SerialEndpoint("/dev/ttyS0", baud=9600), turnaround_ns=20_000_000)


def rated(planned):
    return [(r.address, r.quantity, r.interval_ns) for r in planned.requests]


def test_slow_tag_rides_in_a_fast_request():
    """A 5 s block beside a 1 s block is one request a second on Ethernet: two more registers cost less than asking."""
    tags = [word(0, 32), word(32, 2, interval_ns=SLOW)]
    assert rated(plan_requests(tags, Limits(), 1)) == [(0, 34, SECOND)]


def test_slow_tag_asks_for_itself_on_a_slow_line():
    """At 9600 baud thirty registers a second for nothing cost more than a request of their own every five seconds."""
    tags = [word(0, 32), word(32, 30, interval_ns=SLOW)]
    assert rated(plan_requests(tags, Limits(), 1, LINE)) == [(0, 32, SECOND), (32, 30, SLOW)]


def test_slow_bit_of_a_fast_word_is_free():
    """A status word that is read anyway carries its slower bits on any line; slow tags far from it stay slow."""
    tags = [word(0), word(0, bit=3, interval_ns=SLOW), word(100, interval_ns=SLOW)]
    assert rated(plan_requests(tags, Limits(), 1, LINE)) == [(0, 1, SECOND), (100, 1, SLOW)]


def test_rates_interleaved_on_a_slow_line():
    """Slow tags on both sides of a fast one share a slow request across it: its address is known to exist."""
    tags = [word(0, interval_ns=SLOW), word(10), word(20, interval_ns=SLOW)]
    names = [word(n, interval_ns=10 * SLOW) for n in (*range(1, 10), *range(11, 20))]
    line = bus_of(SerialEndpoint("/dev/ttyS0", baud=19200), turnaround_ns=20_000_000)
    slow = [(a, q) for a, q, interval_ns in rated(plan_requests([*tags, *names], Limits(max_gap=0), 1, line))]
    assert (0, 21) in slow


def test_holes_named_by_other_rates_are_no_holes():
    """Addresses that another tag of the device names are known to exist, however seldom they are read."""
    day = 86_400 * SECOND
    tags = [word(0), word(20), *(word(n, interval_ns=day) for n in range(1, 20))]
    assert (0, 21, SECOND) in rated(plan_requests(tags, Limits(max_gap=0), 1))


@pytest.mark.parametrize(
    ("tag", "limits", "says"),
    [
        (word(0, 101, name="label"), Limits(), "label: is 101 wide, the device gives 100"),
        (word(4095, 2, name="total"), Limits(borders=((HOLDING, 4096),)), "crosses a border"),
        (word(10, name="x"), Limits(forbidden=((HOLDING, 10, 20),)), "must never be read"),
        (word(65535, 2, name="end"), Limits(), "65535"),
        (ModbusTag("total", HOLDING, 0, DataType.U32), Limits(), "a u32 takes 2 registers"),
        (ModbusTag("run", HOLDING, 0, DataType.BOOL), Limits(), "needs its bit"),
        (ModbusTag("mode", HOLDING, 0, DataType.U16, bit=12, bits=5), Limits(), "has no 5 bits from bit 12"),
        (ModbusTag("mode", HOLDING, 0, DataType.U64, bits=64, registers=4), Limits(), "has no 64 bits from bit 0"),
        (ModbusTag("mode", HOLDING, 0, DataType.F32, bits=4, registers=2), Limits(), "a f32 has no 4 bits"),
    ],
)
def test_unreadable_tag_is_named(tag, limits, says):
    """A tag that no legal request can read is a mistake found at start."""
    with pytest.raises(PlanError, match=says) as raised:
        plan_requests([tag], limits, 1)
    assert tag.name in raised.value.zh


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


buses = st.sampled_from([ETHERNET, LINE, bus_of(SerialEndpoint("/dev/ttyS0", baud=1200))])


def readable(tag, limits):
    try:
        plan_requests([tag], limits, 1)
    except PlanError:
        return False
    return True


def ticks(table, quantity, limits, bus):
    """What one request costs, exactly."""
    return bus.request_ticks + limits.pause_ns * bus.bits_per_s + payload_bytes(table, quantity) * bus.byte_ticks


def busy(reads, limits, bus):
    """Share of time that requests (table, quantity, interval) keep the connection busy, in ticks per second."""
    return sum((Fraction(ticks(table, q, limits, bus), interval_ns) for table, q, interval_ns in reads), Fraction(0))


def busy_of(planned, limits, bus):
    return busy([(r.table, r.quantity, r.interval_ns) for r in planned.requests], limits, bus)


def is_legal(table, start, end, limits, named):
    """May one request read `start` … `end - 1`? `named`: every address that a tag of the device names."""
    if end - start > (min(limits.max_bits, 2000) if table.is_bits else min(limits.max_registers, 125)):
        return False
    if any(start < border < end for t, border in limits.borders if t is table):
        return False
    if any(start <= high and low < end for t, low, high in limits.forbidden if t is table):
        return False
    hole = 0
    for address in range(start, end):
        hole = 0 if address in named else hole + 1
        if hole > limits.max_gap * (16 if table.is_bits else 1):
            return False
    return True


def named_by(tags):
    return {(t.table, n) for t in tags for n in range(t.address, t.address + t.registers)}


@given(site_tags, site_limits, buses)
def test_every_plan_is_complete_and_legal(tags, limits, bus):
    """Every tag exactly once, whole, and as often as it asks; no request illegal; neighbours in the image."""
    tags = [tag for tag in tags if readable(tag, limits)]
    named = named_by(tags)
    planned = plan_requests(tags, limits, unit=7, bus=bus)
    assert sorted(map(id, planned.tags)) == sorted(map(id, tags))
    assert not planned.left_out
    place = 0
    for request in planned.requests:
        assert request.first == place
        place += request.count
        covered = planned.tags[request.first : place]
        start, end = request.address, request.address + request.quantity
        assert start == min(t.address for t in covered)
        assert end == max(t.address + t.registers for t in covered)
        assert {t.table for t in covered} == {request.table}
        assert request.interval_ns == min(t.interval_ns for t in covered)
        assert request.unit == 7
        assert is_legal(request.table, start, end, limits, {n for t, n in named if t is request.table})
    assert place == len(tags)


@given(site_tags, site_limits, buses)
def test_never_worse_than_one_request_per_tag(tags, limits, bus):
    """Neither in requests nor in time on the bus."""
    tags = [tag for tag in tags if readable(tag, limits)]
    planned = plan_requests(tags, limits, 1, bus)
    assert len(planned.requests) <= len(tags)
    alone = busy([(t.table, t.registers, t.interval_ns) for t in tags], limits, bus)
    assert busy_of(planned, limits, bus) <= alone


@given(site_tags, site_limits, buses)
def test_never_worse_than_rates_apart(tags, limits, bus):
    """Reading a tag more often than it asks is done only where that is cheaper."""
    tags = [tag for tag in tags if readable(tag, limits)]
    apart = [[t for t in tags if t.interval_ns == interval_ns] for interval_ns in {t.interval_ns for t in tags}]
    separate = sum(busy_of(plan_requests(group, limits, 1, bus), limits, bus) for group in apart)
    assert busy_of(plan_requests(tags, limits, 1, bus), limits, bus) <= separate


def partitions(items):
    """All ways to group items."""
    if not items:
        yield []
        return
    first, *rest = items
    for groups in partitions(rest):
        yield [[first], *groups]
        for n, group in enumerate(groups):
            yield [*groups[:n], [first, *group], *groups[n + 1 :]]


def best_by_hand(tags, limits, bus, named):
    """The cheapest of all legal groupings of tags of one table, whatever their order."""
    table = tags[0].table
    costs = []
    for groups in partitions(tags):
        hulls = [(min(t.address for t in g), max(t.address + t.registers for t in g)) for g in groups]
        if all(is_legal(table, start, end, limits, named) for start, end in hulls):
            reads = [
                (table, end - start, min(t.interval_ns for t in group))
                for group, (start, end) in zip(groups, hulls, strict=True)
            ]
            costs.append(busy(reads, limits, bus))
    return min(costs)


few_limits = st.builds(Limits, max_registers=st.integers(4, 12), max_bits=st.integers(4, 40), max_gap=st.integers(0, 6))
few_words = st.lists(st.builds(word, st.integers(0, 24), st.sampled_from([1, 1, 2, 4])), min_size=1, max_size=6)
few_coils = st.lists(st.builds(word, st.integers(0, 60), table=st.just(COILS)), min_size=1, max_size=6)


@given(few_words | few_coils, few_limits, buses)
def test_no_grouping_is_cheaper(tags, limits, bus):
    """On small maps, against every way there is to group the tags of one rate."""
    named = {n for _, n in named_by(tags)}
    assert busy_of(plan_requests(tags, limits, 1, bus), limits, bus) == best_by_hand(tags, limits, bus, named)


gaps = st.lists(st.tuples(st.integers(0, 130), st.sampled_from([1, 1, 2, 4])), min_size=1, max_size=40)


def laid_out(steps, table=HOLDING):
    """Fields one after another, with these holes before them."""
    fields, end = [], 0
    for hole, length in steps:
        length = 1 if table.is_bits else length
        fields.append((end + hole, length))
        end += hole + length
    return fields


def compared(fields, requests, limits, bus, table=HOLDING):
    """Our share of the bus and theirs."""
    tags = [word(address, length, table=table) for address, length in fields]
    ours = busy_of(plan_requests(tags, limits, 1, bus), limits, bus)
    return ours, busy([(table, length, SECOND) for _, length in requests], limits, bus)


@given(gaps, st.integers(0, 125), st.integers(4, 125), buses)
def test_never_worse_than_telegraf_max_insert(steps, fill, longest, bus):
    """On the same map, with the same longest request and the same holes allowed."""
    fields = laid_out(steps)
    requests = telegraf.max_insert(fields, longest, fill)
    ours, theirs = compared(fields, requests, Limits(max_registers=longest, max_gap=fill), bus)
    assert ours <= theirs


@given(gaps, st.integers(0, 125), st.integers(4, 2000), buses)
def test_never_worse_than_telegraf_max_insert_on_coils(steps, fill, longest, bus):
    """The same for bits, of which Modbus gives 2000 at once."""
    fields = laid_out(steps, COILS)
    requests = telegraf.max_insert(fields, longest, fill)
    ours, theirs = compared(fields, requests, Limits(max_bits=longest, max_gap=fill), bus, COILS)
    assert ours <= theirs


@given(gaps, st.integers(4, 125), buses)
def test_never_worse_than_telegraf_otherwise(steps, longest, bus):
    """`none`, `shrink`, `rearrange` where no hole may be read; `aggressive` where all may."""
    fields = laid_out(steps)
    plain, free = Limits(max_registers=longest, max_gap=0), Limits(max_registers=longest, max_gap=125)
    ours, theirs = compared(fields, telegraf.consecutive(fields, longest), plain, bus)
    assert ours <= theirs
    ours, theirs = compared(fields, telegraf.aggressive(fields, longest), free, bus)
    assert ours <= theirs


@pytest.mark.parametrize("bus", [ETHERNET, LINE])
def test_better_than_the_best_max_insert(bus):
    """One map, every `optimization_max_register_fill` from 0 to 125: nobody has to find the best value by trying."""
    fields = laid_out([(hole * 7 % 31, 1 + hole % 2) for hole in range(60)])
    limits = Limits(max_registers=100, max_gap=125)
    for fill in range(126):
        ours, theirs = compared(fields, telegraf.max_insert(fields, 100, fill), limits, bus)
        assert ours <= theirs


refusals = st.lists(
    st.builds(
        lambda table, low, more: (table, low, low + more),
        st.sampled_from([HOLDING, COILS]),
        st.integers(0, 300),
        st.integers(0, 8),
    ),
    max_size=4,
)
lessons = st.builds(Learned, st.none() | st.integers(1, 125), st.none() | st.integers(1, 2000), refusals.map(tuple))


@given(site_tags, site_limits, buses, lessons)
def test_what_was_learned_narrows_and_moves_nothing(tags, limits, bus, learned):
    """Tags keep their places in the image; refused ones are left out; no request touches what is refused or is longer
    than what was learned, a single value excepted.
    """
    tags = [tag for tag in tags if readable(tag, limits)]
    before = plan_requests(tags, limits, 1, bus)
    after = plan_requests(before.tags, limits, 1, bus, learned)
    assert after.tags == before.tags
    refused = {
        index
        for index, t in enumerate(after.tags)
        if any(t.table is table and t.address <= hi and lo < t.address + t.registers for table, lo, hi in learned.bad)
    }
    assert set(after.left_out) == refused
    covered = [index for r in after.requests for index in range(r.first, r.first + r.count)]
    assert sorted(covered) == [index for index in range(len(tags)) if index not in refused]
    for r in after.requests:
        assert not any(r.table is t and r.address <= hi and lo < r.address + r.quantity for t, lo, hi in learned.bad)
        longest = learned.max_bits if r.table.is_bits else learned.max_registers
        widest = max(after.tags[index].registers for index in range(r.first, r.first + r.count))
        assert r.quantity <= max(longest or 2000, widest)


@given(site_tags, site_limits, buses)
def test_planned_twice_is_planned_once(tags, limits, bus):
    """A plan made of a plan's own tags is the same plan."""
    tags = [tag for tag in tags if readable(tag, limits)]
    planned = plan_requests(tags, limits, 1, bus)
    assert plan_requests(planned.tags, limits, 1, bus) == planned


def test_learned_lengths_and_holes():
    """A refused hole and a shorter longest request cut a block where they must and nowhere else."""
    tags = [word(n) for n in (0, 1, 4, 5, 6, 7)]
    limits = Limits()
    assert blocks(plan_requests(tags, limits, 1)) == [(0, 8, 6)]
    assert blocks(plan_requests(tags, limits, 1, learned=Learned(bad=((HOLDING, 2, 3),)))) == [(0, 2, 2), (4, 4, 4)]
    assert [r.quantity for r in plan_requests(tags, limits, 1, learned=Learned(max_registers=3)).requests] == [2, 3, 1]
    wide = [word(0, 10, name="text"), word(10)]
    assert blocks(plan_requests(wide, limits, 1, learned=Learned(max_registers=4))) == [(0, 10, 1), (10, 1, 1)]


def test_bits_travel_in_bytes():
    """Five bits and one are two bytes; one bit and ten are three."""
    tags = [word(n, table=COILS) for n in (22, 26, 35)]
    assert blocks(plan_requests(tags, Limits(max_bits=10), 1)) == [(22, 5, 2), (35, 1, 1)]


def test_ranges_within_one_another():
    """A forbidden range inside another hides none of it."""
    limits = Limits(forbidden=((HOLDING, 2, 9), (HOLDING, 3, 4)))
    assert blocks(plan_requests([word(1), word(10)], limits, 1)) == [(1, 1, 1), (10, 1, 1)]
    with pytest.raises(PlanError):
        plan_requests([word(9)], limits, 1)


def test_refused_tag_between_good_ones():
    """A text whose last register is refused leaves the words under it readable, each where it was in the image."""
    tags = [word(0), word(0, 4, name="text"), word(1)]
    planned = plan_requests(tags, Limits(), 1, learned=Learned(bad=((HOLDING, 3, 3),)))
    assert planned.tags == tuple(tags)
    assert planned.left_out == (1,)
    assert [(r.address, r.quantity, r.first, r.count) for r in planned.requests] == [(0, 1, 0, 1), (1, 1, 2, 1)]


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


@pytest.mark.parametrize("table", [HOLDING, COILS])
def test_ten_thousand_tags_are_planned_at_once(table):
    """A device of 10,000 tags at three rates is planned in well under a second."""
    tags = [
        word(n * 3 if table is COILS else n * 3 // 2, table=table, name=str(n), interval_ns=(1, 5, 60)[n % 3] * SECOND)
        for n in range(10_000)
    ]
    tags = [replace(tag, type=DataType.U16) for tag in tags] if table is HOLDING else tags
    took = []
    for _ in range(3):  # a collection of garbage may fall into any of them
        began = time.process_time()
        planned = plan_requests(tags, Limits(), 1)
        took.append(time.process_time() - began)
    assert min(took) < 1.0
    assert sum(r.count for r in planned.requests) == 10_000
