"""Packed sequences are the sequences they were made of, to the type and the bit, in a tenth of the memory."""

from __future__ import annotations

import gc
import pickle
import struct
import tracemalloc
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.packed import WORTH, Packed, column, packed
from edge.plan import Name, ProcessValue, Signal
from protocols.modbus.tags import DataType, ModbusTag, Table


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Inner:
    text: str
    number: float


@dataclass(frozen=True, slots=True)
class Record:
    whole: int
    any: object
    text: str
    inner: Inner


def exact(value: Any) -> Any:
    """Tells apart what == does not."""
    if isinstance(value, float):
        return "float", struct.pack("d", value)
    if isinstance(value, tuple):
        return tuple(map(exact, value))
    if isinstance(value, Record | Inner):
        return tuple(exact(getattr(value, name)) for name in value.__slots__)
    return type(value), value


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from(Colour),
    st.tuples(st.sampled_from([0, 0.0, -0.0, 1, True, 1.0])),
)
records = st.builds(
    Record,
    st.one_of(st.integers(-5, 300), st.integers(-(2**70), 2**70)),
    st.one_of(anything, st.sampled_from([1, 1.0, True, 0.0, -0.0])),
    st.one_of(st.text(max_size=8), st.sampled_from(["cell-1.t1", "cell-1.t2", "机台"])),
    st.builds(Inner, st.sampled_from(["a", "b"]), st.floats(allow_nan=False)),
)


@given(st.lists(records, min_size=1, max_size=60))
def test_what_comes_out_is_what_went_in(items: list[Record]) -> None:
    of = Packed(items)
    assert list(map(exact, of)) == list(map(exact, items))
    assert [exact(of[n]) for n in range(-len(items), len(items))] == [exact(item) for item in items * 2]
    assert of[1:-1] == tuple(items[1:-1])
    assert of == items
    assert of == tuple(items)
    assert tuple(items) == of
    assert hash(of) == hash(tuple(items))
    assert repr(of) == repr(tuple(items))
    assert list(map(exact, pickle.loads(pickle.dumps(of)))) == list(map(exact, items))
    assert list(column(of, "text")) == [item.text for item in items] == column(items, "text")


@given(st.lists(records, min_size=2, max_size=10), st.data())
def test_another_record_is_another_sequence(items: list[Record], data: st.DataObject) -> None:
    changed = list(items)
    at = data.draw(st.integers(0, len(items) - 1))
    changed[at] = data.draw(records)
    assert (Packed(changed) == Packed(items)) == (changed == items)
    assert Packed(items) != Packed(items)[:-1]
    assert Packed(items) != "no records"


def test_few_records_are_left_as_they_are() -> None:
    signals = [Signal(f"s{n}", 0, n) for n in range(WORTH)]
    assert isinstance(packed(signals), Packed)
    assert packed(signals[1:]) == tuple(signals[1:])
    assert isinstance(packed(signals[1:]), tuple)


def test_what_cannot_be_packed_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        Packed([])
    with pytest.raises(TypeError, match="one dataclass"):
        Packed([Name("a", "b"), Inner("a", 1.0)])
    with pytest.raises(TypeError, match="one dataclass"):
        Packed([1, 2])
    with pytest.raises(IndexError):
        Packed([Name("a", "b")])[1]
    with pytest.raises(IndexError):
        column(Packed([Name("a", "b")]), "zh")[1]


def test_a_thousand_tags_of_a_big_site_take_little() -> None:
    """Name, address and rules of a tag, and the process value made of it: 48 bytes together."""
    tags = [
        ModbusTag(f"cell-001.t{n:04}", Table.HOLDING_REGISTERS, n, DataType.U16, scale=float("0.1"))
        for n in range(1000)
    ]
    names = [tag.name.partition(".")[2] for tag in tags]
    values = [ProcessValue(name, 1, n, "°C", 5.0, 60 * 10**9, Name(name, name)) for n, name in enumerate(names)]
    tracemalloc.start()
    try:
        kept = Packed(tags), Packed(values)
        gc.collect()
        took, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept == (tags, values)
    assert took < 48 * len(tags)
