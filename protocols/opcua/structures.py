"""What the bytes of a structure mean, by the definition its server gives (OPC 10000-3 §8.48, OPC 10000-6 §5.2.6). Pure.

Theory. A server describes each structured data type in its DataTypeDefinition attribute: field names, their data
types, whether they are arrays or optional. The bytes carry no names, so a value can only be read with that
description at hand. Definitions belong to one session of one server and are never shared: ids repeat across servers
with other meanings. Subtypes of enumerations and of the built-in types are encoded as their base; `Registry.base`
says which that is.

Rules.
* An unknown type is an error for the tags that need it and for nobody else.
* Field names and array sizes come from the network: nothing is evaluated, nothing is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from protocols.opcua.wire import FIXED, Extension, NodeKey, Reader, Value, WireError

STRUCTURE_DEFINITION: NodeKey = (0, 122)  # StructureDefinition_Encoding_DefaultBinary
ENUM_DEFINITION: NodeKey = (0, 123)  # EnumDefinition_Encoding_DefaultBinary
_DEPTH_MAX = 16


class Form(IntEnum):
    """StructureType."""

    PLAIN = 0
    OPTIONAL_FIELDS = 1
    UNION = 2
    SUBTYPED_VALUES = 3
    UNION_SUBTYPED = 4


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a structure."""

    name: str
    data_type: NodeKey
    array: bool
    optional: bool


@dataclass(frozen=True, slots=True)
class Definition:
    """One structured data type."""

    encoding_id: NodeKey
    form: Form
    fields: tuple[Field, ...]


def definition(body: bytes) -> Definition:
    """Read a StructureDefinition. Errors: WireError."""
    reader = Reader(body)
    encoding_id = reader.node_id()
    reader.node_id()  # BaseDataType
    form = reader.u32()
    if form not in Form.__members__.values():
        raise WireError(f"structure of unknown form {form}")
    return Definition(encoding_id, Form(form), tuple(_field(reader) for _ in range(reader.length())))


def _field(reader: Reader) -> Field:
    name = reader.string() or ""
    reader.localized_text()
    data_type = reader.node_id()
    rank = reader.fixed(FIXED[6])
    for _ in range(reader.length()):
        reader.u32()  # ArrayDimensions
    reader.u32()  # MaxStringLength
    return Field(name, data_type, rank >= 1, bool(reader.u8()))


# Built-in data types by node id in namespace 0 (OPC 10000-6 §5.1.2): the id is the built-in type number. Enumeration
# (29) is an Int32; Number, Integer, UInteger (26-28) and Structure fields of unknown subtype arrive as Variant and
# ExtensionObject.
_ENUMERATION: NodeKey = (0, 29)
_STRUCTURE: NodeKey = (0, 22)
_DECIMAL_STRING: NodeKey = (0, 12878)  # a number written as text (OPC 10000-3 §8.11)
_CHAIN_MAX = 8  # the longest chain of subtypes in namespace 0 has five steps

_READERS: Mapping[int, Callable[[Reader], Value]] = {
    12: Reader.string,
    13: Reader.time,
    14: Reader.guid,
    15: Reader.byte_string,
    16: Reader.string,
    17: Reader.node_id,
    18: Reader.node_id,
    20: Reader.qualified_name,
    21: Reader.localized_text,
    22: Reader.extension,
    23: Reader.data_value,
    24: Reader.variant,
    25: Reader.diagnostic,
    26: Reader.variant,
    27: Reader.variant,
    28: Reader.variant,
}

EU_INFORMATION = Definition(  # OPC 10000-8 §5.6.3; part of PackMLCountDataType
    encoding_id=(0, 889),
    form=Form.PLAIN,
    fields=(
        Field("NamespaceUri", (0, 12), array=False, optional=False),
        Field("UnitId", (0, 6), array=False, optional=False),
        Field("DisplayName", (0, 21), array=False, optional=False),
        Field("Description", (0, 21), array=False, optional=False),
    ),
)


RELATIVE_PATH_ELEMENT = Definition(  # OPC 10000-4 §7.31; part of ISA95StateDataType
    encoding_id=(0, 539),
    form=Form.PLAIN,
    fields=(
        Field("ReferenceTypeId", (0, 17), array=False, optional=False),
        Field("IsInverse", (0, 1), array=False, optional=False),
        Field("IncludeSubtypes", (0, 1), array=False, optional=False),
        Field("TargetName", (0, 20), array=False, optional=False),
    ),
)
RELATIVE_PATH = Definition((0, 542), Form.PLAIN, (Field("Elements", (0, 537), array=True, optional=False),))
_STANDARD: Mapping[NodeKey, Definition] = {  # namespace 0, which not every server describes
    (0, 887): EU_INFORMATION,
    (0, 537): RELATIVE_PATH_ELEMENT,
    (0, 540): RELATIVE_PATH,
}


@dataclass(slots=True)
class Registry:
    """The types of one session."""

    by_type: dict[NodeKey, Definition] = field(default_factory=lambda: dict(_STANDARD))
    by_encoding: dict[NodeKey, Definition] = field(
        default_factory=lambda: {found.encoding_id: found for found in _STANDARD.values()}
    )
    base: dict[NodeKey, NodeKey] = field(default_factory=dict)  # simple subtypes and enumerations → built-in type

    def add(self, data_type: NodeKey, found: Definition) -> None:
        """Make a definition known."""
        self.by_type[data_type] = found
        self.by_encoding[found.encoding_id] = found

    def missing(self, data_type: NodeKey) -> bool:
        """Whether values of this type cannot be read yet."""
        return data_type not in self.by_type and not _built_in(self.base.get(data_type, data_type))

    def read(self, value: Extension, depth: int = 0) -> dict[str, Value]:
        """The fields of a structure by name. Errors: WireError."""
        found = self.by_encoding.get(value.type_id)
        if found is None:
            raise WireError(f"structure with encoding {value.type_id} is not described by the server")
        return self._fields(Reader(value.body), found, depth)

    def _fields(self, reader: Reader, found: Definition, depth: int) -> dict[str, Value]:
        if depth > _DEPTH_MAX:
            raise WireError("structures nested too deep")
        if found.form in (Form.UNION, Form.UNION_SUBTYPED):
            chosen = reader.u32()
            if chosen > len(found.fields):
                raise WireError(f"union with field {chosen} of {len(found.fields)}")
            return {one.name: self._field(reader, one, depth) for one in found.fields[chosen - 1 : chosen] if chosen}
        present, optionals, fields = -1, 0, {}
        if found.form is Form.OPTIONAL_FIELDS:
            present = reader.u32()
        for one in found.fields:
            if one.optional and found.form is Form.OPTIONAL_FIELDS:
                here, optionals = present >> optionals & 1, optionals + 1
                if not here:
                    continue
            fields[one.name] = self._field(reader, one, depth)
        return fields

    def _field(self, reader: Reader, one: Field, depth: int) -> Value:
        if one.array:
            return [self._one(reader, one.data_type, depth) for _ in range(reader.length())]
        return self._one(reader, one.data_type, depth)

    def _one(self, reader: Reader, data_type: NodeKey, depth: int) -> Value:
        nested = self.by_type.get(data_type)
        if nested is not None:
            return self._fields(reader, nested, depth + 1)
        if data_type == _DECIMAL_STRING:
            return _decimal(reader.string())
        namespace, number = self.base.get(data_type, data_type)
        if (namespace, number) == _ENUMERATION:
            number = 6
        if namespace == 0 and isinstance(number, int):
            if (packed := FIXED.get(number)) is not None:
                return reader.fixed(packed)
            if (read := _READERS.get(number)) is not None:
                return read(reader)
        raise WireError(f"field of data type {data_type} is not described by the server")


def _decimal(text: str | None) -> Value:
    """The number a DecimalString writes; what is none stays text."""
    try:
        return float(text or "")
    except ValueError:
        return text


def _built_in(data_type: NodeKey) -> bool:
    namespace, number = data_type
    if data_type == _DECIMAL_STRING:
        return True
    return (
        namespace == 0
        and isinstance(number, int)
        and (number in FIXED or number in _READERS or data_type == _ENUMERATION)
    )


class TypeSource(Protocol):
    """What a server tells about its data types."""

    async def definitions(self, types: Sequence[NodeKey]) -> list[Value]:
        """DataTypeDefinition of each type, None where it has none."""

    async def supertypes(self, types: Sequence[NodeKey]) -> list[NodeKey | None]:
        """The type each type is derived from."""


async def learn(registry: Registry, types: set[NodeKey], source: TypeSource) -> None:
    """Make `types` and those of their fields known, as far as the server describes them. Errors: WireError."""
    asked: set[NodeKey] = set()
    while types := {key for key in types - asked if registry.missing(key)}:
        asked |= types
        types = await _describe(registry, sorted(types, key=str), source)


async def _describe(registry: Registry, types: Sequence[NodeKey], source: TypeSource) -> set[NodeKey]:
    """One step; returns the types that the fields found need."""
    needed: set[NodeKey] = set()
    simple: list[NodeKey] = []
    for key, answer in zip(types, await source.definitions(types), strict=True):
        if isinstance(answer, Extension) and answer.type_id == STRUCTURE_DEFINITION:
            found = definition(answer.body)
            registry.add(key, found)
            needed.update(one.data_type for one in found.fields)
        elif isinstance(answer, Extension) and answer.type_id == ENUM_DEFINITION:
            registry.base[key] = _ENUMERATION
        else:
            simple.append(key)
    await _find_bases(registry, simple, source)
    return needed


async def _find_bases(registry: Registry, types: Sequence[NodeKey], source: TypeSource) -> None:
    """Types without a description are subtypes of built-in ones (UtcTime, Duration, old enumerations): look upward."""
    above = {key: key for key in types}
    pending = list(types)
    for _ in range(_CHAIN_MAX):
        parents = await source.supertypes([above[key] for key in pending])
        above.update({key: parent for key, parent in zip(pending, parents, strict=True) if parent is not None})
        pending = [key for key, parent in zip(pending, parents, strict=True) if parent and registry.missing(parent)]
        if not pending:
            break
    # A structure without a description stays unknown: its bytes stand in line, not in an ExtensionObject.
    registry.base.update({key: top for key, top in above.items() if top != _STRUCTURE and not registry.missing(top)})
