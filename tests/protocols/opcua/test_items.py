"""Nodes shared by tags, elements and fields picked out, and publishes that stay consistent samples."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from protocols.opcua.items import BAD_TYPE_MISMATCH, Assembler, Batch, group, in_calls
from protocols.opcua.structures import Definition, Field, Form, Registry
from protocols.opcua.tags import OpcuaTag, TagGroup
from protocols.opcua.wire import DataValues, Extension

MS = 1_000_000
GROUPS = (TagGroup(),)


def values(*entries: tuple[int, object], status: int = 0) -> DataValues:
    """DataValues with handle and value given; times count upward."""
    data = DataValues()
    for position, (handle, value) in enumerate(entries):
        data.handles.append(handle)
        data.values.append(value)
        data.statuses.append(status)
        data.source_ns.append(position)
        data.server_ns.append(position)
    return data


def assemble(tags: list[OpcuaTag], data: DataValues, *, complete: bool = True) -> tuple[list[Batch], Assembler]:
    registry = Registry()
    found = Definition(
        (2, 50), Form.PLAIN, (Field("Count", (0, 6), False, False), Field("AccCount", (0, 6), False, False))
    )
    registry.add((2, 40), found)
    assembler = Assembler(tags, group(tags, GROUPS), registry)
    return assembler.batches(data, 77, complete=complete), assembler


def test_one_monitored_item_per_node_and_interval() -> None:
    """Three elements of one array cost the server one item; another sampling interval is another item."""
    tags = [OpcuaTag(f"c{i}", "ns=2;s=Counts", element=i) for i in range(3)]
    tags.append(OpcuaTag("fast", "ns=2;s=Counts", element=0, sampling_ns=100 * MS))
    items = group(tags, GROUPS)
    assert [item.tags for item in items] == [(0, 1, 2), (3,)]
    tags.append(OpcuaTag("all", "ns=2;s=Counts", element=0, sampling_ns=0))
    assert [item.queue_size for item in group(tags, GROUPS)] == [11, 51, 100]


def test_elements_and_fields_are_picked() -> None:
    """An element of an array, a field of a structure, a field of a structure in an array."""
    body = struct.pack("<ii", 3, 1234)
    tags = [
        OpcuaTag("element", "i=1", element=1),
        OpcuaTag("field", "i=2", field="AccCount"),
        OpcuaTag("both", "i=3", element=0, field="Count"),
    ]
    data = values((1, [7, 8]), (2, Extension((2, 50), body)), (3, [Extension((2, 50), body)]))
    (batch,), assembler = assemble(tags, data)
    assert (batch.tags, batch.values, batch.statuses) == ([0, 1, 2], [8, 1234, 3], [0, 0, 0])
    assert not assembler.complaints


def test_what_cannot_be_picked_is_bad_alone_and_says_why() -> None:
    """A wrong index, a wrong field, an array without index, null: each bad with its reason; the neighbour is good."""
    tags = [
        OpcuaTag("beyond", "i=1", element=5),
        OpcuaTag("missing", "i=2", field="Akk"),
        OpcuaTag("array", "i=3"),
        OpcuaTag("null", "i=4"),
        OpcuaTag("fine", "i=5"),
        OpcuaTag("unknown", "i=6", field="Count"),
    ]
    known, unknown = Extension((2, 50), struct.pack("<ii", 3, 4)), Extension((9, 9), b"")
    data = values((1, [1]), (2, known), (3, [1, 2]), (4, None), (5, 6.5), (6, unknown))
    (batch,), assembler = assemble(tags, data)
    assert batch.statuses == [BAD_TYPE_MISMATCH] * 4 + [0, BAD_TYPE_MISMATCH]
    assert batch.values[4] == 6.5
    assert sorted(assembler.complaints) == [0, 1, 2, 3, 5]
    assert "Count, AccCount" in assembler.complaints[1]
    assembler.batches(values((1, [1, 2, 3, 4, 5, 6])), 0, complete=True)
    assert 0 not in assembler.complaints  # good again: no longer a complaint


def test_a_bad_status_passes_as_it_is() -> None:
    """Where the server says bad, its reason is kept and nothing is picked from a value that is not there."""
    (batch,), assembler = assemble([OpcuaTag("a", "i=1", element=3)], values((1, None), status=0x80310000))
    assert (batch.statuses, batch.values, assembler.complaints) == ([0x80310000], [None], {})


def test_the_heartbeat_and_unknown_handles_are_no_tags() -> None:
    """CurrentTime carries no tag, and a handle we never gave is not mistaken for one."""
    (batch,), _ = assemble([OpcuaTag("a", "i=1")], values((0, 5), (1, 6), (9, 7)))
    assert (batch.tags, batch.values, batch.complete) == ([0], [6], True)
    (beat,), _ = assemble([OpcuaTag("a", "i=1")], values((0, 5)))
    assert (beat.tags, beat.publish_ns) == ([], 77)
    assembler = assemble([OpcuaTag("a", "i=1")], values())[1]
    assert assembler.batches(values((0, 5)), 0, complete=True)[0].publish_ns == 5  # the server sent no PublishTime
    (empty,), _ = assemble([OpcuaTag("a", "i=1")], values())
    assert (empty.tags, empty.complete, empty.publish_ns) == ([], True, 77)


def test_overflows_are_counted() -> None:
    """The server's word that its queue lost values is not lost as well."""
    (batch,), _ = assemble([OpcuaTag("a", "i=1")], values((1, 6), status=0x0480))
    assert batch.overflows == 1


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 99)), max_size=30), st.booleans())
def test_no_value_is_lost_or_reordered(entries: list[tuple[int, int]], complete: bool) -> None:
    """However often tags repeat in a publish: each batch has a tag once, each tag's values keep their order, and only
    the last batch may promise completeness."""
    tags = [OpcuaTag(f"t{i}", f"i={i}") for i in range(4)]
    batches, _ = assemble(tags, values(*entries), complete=complete)
    for batch in batches:
        assert len(set(batch.tags)) == len(batch.tags)
    for tag in range(4):
        got = [value for batch in batches for at, value in zip(batch.tags, batch.values, strict=True) if at == tag]
        assert got == [value for handle, value in entries if handle == tag + 1]
    assert [batch.complete for batch in batches] == [False] * (len(batches) - 1) + [complete]


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 12))
def test_what_is_one_fact_is_asked_for_in_one_call(facts: list[int], most: int) -> None:
    """Every position once, no call too large, no fact in two calls unless it alone is more than a call takes."""
    tags = [OpcuaTag(f"t{i}", f"i={i}", fact=fact) for i, fact in enumerate(facts)]
    items = group(tags, GROUPS)
    calls = list(in_calls(range(len(items)), items, most))
    assert sorted(at for call in calls for at in call) == list(range(len(items)))
    assert all(0 < len(call) <= most for call in calls)
    for fact in {1, 2, 3} & set(facts):
        if facts.count(fact) <= most:
            assert sum(any(items[at].fact == fact for at in call) for call in calls) == 1
