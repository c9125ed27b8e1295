"""Structures are read by the description their server gives, and by nothing else."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given
from hypothesis import strategies as st

from protocols.opcua.place import pick
from protocols.opcua.structures import (
    ENUM_DEFINITION,
    STRUCTURE_DEFINITION,
    Definition,
    Field,
    Form,
    Registry,
    definition,
    learn,
)
from protocols.opcua.wire import Extension, NodeKey, Value, WireError

INT32, STRING, DOUBLE = (0, 6), (0, 12), (0, 11)


def described(*fields: tuple[str, int, int, bool], form: ua.StructureType = ua.StructureType.Structure) -> Extension:
    """A StructureDefinition as asyncua writes it: fields are name, data type in namespace 0, value rank, optional."""
    made = ua.StructureDefinition(DefaultEncodingId=ua.NodeId(5001, 2), StructureType=form)
    for name, number, rank, optional in fields:
        field = ua.StructureField(Name=name, DataType=ua.NodeId(number, 0), ValueRank=rank, IsOptional=optional)
        made.Fields.append(field)
    return Extension(STRUCTURE_DEFINITION, struct_to_binary(made))


def test_a_definition_of_another_implementation() -> None:
    """Field names, types, arrays and options come through."""
    found = definition(described(("Count", 6, -1, False), ("Names", 12, 1, True)).body)
    assert found == Definition(
        (2, 5001), Form.PLAIN, (Field("Count", INT32, False, False), Field("Names", STRING, True, True))
    )


def test_optional_fields_and_unions() -> None:
    """A field that was not sent is not there, and does not shift the others."""
    registry = Registry()
    fields = (Field("A", INT32, False, True), Field("B", INT32, False, False), Field("C", INT32, False, True))
    registry.add((2, 1), Definition((2, 11), Form.OPTIONAL_FIELDS, fields))
    registry.add((2, 2), Definition((2, 12), Form.UNION, fields))
    assert registry.read(Extension((2, 11), struct.pack("<Iii", 0b10, 5, 6))) == {"B": 5, "C": 6}
    assert registry.read(Extension((2, 12), struct.pack("<Ii", 3, 9))) == {"C": 9}
    assert registry.read(Extension((2, 12), struct.pack("<I", 0))) == {}


class Source:
    """A server's types, counted."""

    def __init__(self, definitions: dict[NodeKey, Value], parents: dict[NodeKey, NodeKey]) -> None:
        self._definitions, self._parents = definitions, parents
        self.asked: list[NodeKey] = []

    async def definitions(self, types: Sequence[NodeKey]) -> list[Value]:
        self.asked += types
        return [self._definitions.get(key) for key in types]

    async def supertypes(self, types: Sequence[NodeKey]) -> list[NodeKey | None]:
        return [self._parents.get(key) for key in types]


async def test_types_inside_types_are_learnt_once() -> None:
    """Nested structures, enumerations and simple subtypes are found; a type is asked for once, cycles end."""
    inner = ua.StructureDefinition(DefaultEncodingId=ua.NodeId(5002, 2))
    inner.Fields = [
        ua.StructureField(Name=name, DataType=ua.NodeId(at, 2)) for name, at in (("Mode", 42), ("Loop", 41))
    ]
    outer = ua.StructureDefinition(DefaultEncodingId=ua.NodeId(5001, 2))
    outer.Fields = [
        ua.StructureField(Name="Cycle", DataType=ua.NodeId(290, 0)),
        ua.StructureField(Name="Inner", DataType=ua.NodeId(41, 2)),
        ua.StructureField(Name="Odd", DataType=ua.NodeId(43, 2)),
    ]
    source = Source(
        {
            (2, 40): Extension(STRUCTURE_DEFINITION, struct_to_binary(outer)),
            (2, 41): Extension(STRUCTURE_DEFINITION, struct_to_binary(inner)),
            (2, 42): Extension(ENUM_DEFINITION, b""),
        },
        {(0, 290): DOUBLE, (2, 43): (2, 44), (2, 44): (0, 22)},
    )
    registry = Registry()
    await learn(registry, {(2, 40)}, source)
    assert not registry.missing((2, 40))
    assert registry.base == {(0, 290): DOUBLE, (2, 42): (0, 29)}
    assert registry.missing((2, 43))  # a structure nobody describes is not guessed
    assert sorted(source.asked, key=str) == sorted({(2, 40), (2, 41), (2, 42), (2, 43), (0, 290)}, key=str)


def test_what_is_not_described_is_refused() -> None:
    """No description, no value."""
    with pytest.raises(WireError, match="not described"):
        pick(Extension((7, 7), b"1234"), None, ("Count",), Registry())


@given(st.binary(max_size=60))
def test_random_bodies_raise_wire_errors_only(body: bytes) -> None:
    """Descriptions and values from the network may be anything."""
    registry = Registry()
    fields = (Field("A", STRING, True, True), Field("B", (2, 1), False, False), Field("C", (0, 24), False, False))
    registry.add((2, 1), Definition((2, 11), Form.OPTIONAL_FIELDS, fields))
    for decode in (lambda: registry.read(Extension((2, 11), body)), lambda: definition(body)):
        with contextlib.suppress(WireError):
            decode()
