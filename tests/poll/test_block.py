"""What a device refuses is left out, comes back when it is taken back, and costs nobody else."""

from edge.poll.block import PROBE_BLOCK_NS, PROBE_NS, Block
from protocols.modbus.plan import plan_requests
from protocols.modbus.tags import DataType, Limits, ModbusTag, Table

HOLDING = Table.HOLDING_REGISTERS


def block(*addresses):
    tags = [ModbusTag(f"t{i}", HOLDING, a, DataType.U16) for i, a in enumerate(addresses)]
    planned = plan_requests(tags, Limits(), 1)
    assert len(planned.requests) == 1
    return Block(planned.requests[0], planned.tags)


def spans(one):
    return [(r.request.address, r.request.quantity, r.request.first, r.request.count) for r in one.reads]


def test_untouched_block_is_the_planned_request():
    """Nothing learned: one read, the plan's."""
    one = block(10, 11, 15)
    assert spans(one) == [(10, 6, 0, 3)]
    assert one.reads[0].request == one.request


def test_refused_atom_is_cut_out():
    """The reads around it are as long as they can be."""
    one = block(0, 1, 2, 3, 4)
    one.refuse(2, 3, now_ns=0)
    assert spans(one) == [(0, 2, 0, 2), (3, 2, 3, 2)]
    assert one.refused_tags == (2,)


def test_split_keeps_both_sides_and_is_forgotten():
    """A hole the device does not have: two reads, for five minutes."""
    one = block(0, 1, 5, 6)
    one.split(2, now_ns=0)
    assert spans(one) == [(0, 2, 0, 2), (5, 2, 2, 2)]
    assert one.maybe_probe(PROBE_NS - 1) is None
    assert len(one.reads) == 2
    one.maybe_probe(PROBE_NS)
    assert spans(one) == [(0, 7, 0, 4)]


def test_probes_one_at_a_time():
    """After five minutes one refused atom per round; an accepted one makes the others due at once."""
    one = block(0, 1, 2, 3)
    one.refuse(0, 1, now_ns=0)
    one.refuse(2, 3, now_ns=0)
    assert one.maybe_probe(PROBE_NS - 1) is None
    probe = one.maybe_probe(PROBE_NS)
    assert (probe.begin, probe.end) == (0, 1)
    one.refuse_again(probe, PROBE_NS)
    probe = one.maybe_probe(PROBE_NS)
    assert (probe.begin, probe.end) == (2, 3)
    one.accept(2, 3)
    assert one.maybe_probe(PROBE_NS + 1).begin == 0
    one.accept(0, 1)
    assert spans(one) == [(0, 4, 0, 4)]
    assert one.refused_tags == ()


def test_block_refused_altogether_is_probed_as_a_whole_and_sooner():
    """A PLC without its program refuses everything; when it is loaded, one probe brings all back."""
    one = block(0, 1, 2)
    one.refuse(0, 3, now_ns=0)
    assert one.reads == ()
    probe = one.maybe_probe(PROBE_BLOCK_NS)
    assert (probe.begin, probe.end) == (0, 3)
    one.refuse_again(probe, PROBE_BLOCK_NS)
    assert one.maybe_probe(PROBE_BLOCK_NS + 1) is None
    one.accept(0, 3)
    assert spans(one) == [(0, 3, 0, 3)]


def test_block_whose_program_came_back_without_one_register():
    """The whole stays refused, but single probes still find what is back."""
    one = block(0, 1, 2)
    one.refuse(0, 3, now_ns=0)
    one.refuse_again(one.maybe_probe(PROBE_NS), PROBE_NS)
    probe = one.maybe_probe(PROBE_NS)
    assert probe.end - probe.begin == 1


def test_tags_of_one_register_are_one_atom():
    """Bits of one register stand and fall together."""
    tags = [ModbusTag(f"b{i}", HOLDING, 7, DataType.BOOL, bit=i) for i in range(3)]
    planned = plan_requests([*tags, ModbusTag("w", HOLDING, 8, DataType.U16)], Limits(), 1)
    one = Block(planned.requests[0], planned.tags)
    one.refuse(0, 1, now_ns=0)
    assert one.refused_tags == (0, 1, 2)
    assert spans(one) == [(8, 1, 3, 1)]
