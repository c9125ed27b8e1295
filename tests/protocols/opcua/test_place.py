"""A tag is what its `index` and `field` say, or it says why not."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.opcua.place import Absent, Path, parse_field, pick, within, written
from protocols.opcua.structures import Definition, Field, Form, Registry
from protocols.opcua.wire import Extension, Reader

JOBS = [
    {"ID": "A", "State": [{"Number": 5}], "Data": []},
    {"ID": "B", "State": [{"Number": 4}], "Data": [{"ID": "Good", "Value": 7}]},
    {"ID": "C", "State": [{"Number": 3}], "Data": [{"ID": "Good", "Value": 9}, {"ID": "Scrap", "Value": 1}]},
    {"ID": "D", "State": []},
]


def at(field: str, value: object = JOBS) -> object:
    return pick(value, None, parse_field(field), Registry())


def test_fields_elements_and_what_is_sought() -> None:
    """The running job goes before an interrupted one, wherever it stands in the list."""
    assert at("[2].ID") == "C"
    assert at("[1].Data[0].Value") == 7
    assert at("[State[0].Number=3|4].ID") == "C"
    assert at("[State[0].Number=4|3].Data[ID=Good].Value") == 7
    assert at("[State[0].Number=3].Data[ID=Scrap].Value") == 1
    assert at("A.B", {"A": {"B": 4}}) == 4


def test_what_is_not_there_is_told_apart_from_what_is_wrong() -> None:
    """No such job is how things are; no such key in a job, and no such field, are worth a word."""
    with pytest.raises(Absent) as none:
        at("[State[0].Number=9].ID")
    assert not none.value.inside
    with pytest.raises(Absent, match="there are: Good, Scrap") as key:
        at("[State[0].Number=3].Data[ID=Gut].Value")
    assert key.value.inside
    for field, words in (("[0].Nope", "there are: ID, State, Data"), ("[9].ID", "4 elements"), ("ID[0]", "no field")):
        with pytest.raises(LookupError, match=words) as wrong:
            at(field)
        assert not isinstance(wrong.value, Absent)


def test_a_matrix_knows_its_dimensions() -> None:
    """PackML: StateCumulativeTime[mode][state]; as many columns as the server has, not as a template thinks."""
    wire = struct.pack("<BI6iI2i", 6 | 0x80 | 0x40, 6, 0, 1, 2, 10, 11, 12, 2, 2, 3)
    value = Reader(wire).variant()
    assert pick(value, (1, 2), (), Registry()) == 12
    assert pick(value, 4, (), Registry()) == 11
    for wrong in ((2, 0), (0, 3), (1, 1, 1)):
        with pytest.raises(LookupError, match="2 x 3"):
            pick(value, wrong, (), Registry())


def test_a_decimal_string_is_a_number() -> None:
    """Quantities of jobs are numbers written as text (OPC 10000-3 §8.11)."""
    registry = Registry()
    registry.add((2, 1), Definition((2, 9), Form.PLAIN, (Field("Quantity", (0, 12878), array=False, optional=False),)))
    for text, number in (("1200", 1200.0), ("0.5", 0.5), ("many", "many")):
        body = struct.pack("<i", len(text)) + text.encode()
        assert pick(Extension((2, 9), body), None, ("Quantity",), registry) == number


@pytest.mark.parametrize(
    "text", [".", "A.", "[", "[]", "[x]", "[1", "A]", "A..B", "[a=]", "[=3]", "A B[", "[0]x", "[a=b|]"]
)
def test_a_field_that_cannot_be_read_says_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_field(text)


names = st.text("abcXYZ019_ ", min_size=1, max_size=4)
paths = st.recursive(
    st.lists(names, min_size=1, max_size=3).map(".".join),
    lambda inner: st.tuples(names, inner, names).map(lambda parts: "{}[{}={}].z".format(*parts)),
    max_leaves=4,
)


@given(paths)
def test_a_path_reads_as_it_is_written(text: str) -> None:
    path: Path = parse_field(text)
    assert written(path) == text


def test_people_see_where_it_is() -> None:
    shown = [within(*one) for one in ((None, None), (1, None), ((1, 6), None), (0, "AccCount"), (None, "[0].A"))]
    assert shown == ["", "[1]", "[1, 6]", "[0].AccCount", "[0].A"]
