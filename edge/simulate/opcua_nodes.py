"""The nodes of a simulated OPC UA server, shaped as the plan reads them: variables, arrays, matrices, structures.

Theory. A plan says of each tag which node it lives in and where in the node's value (`index`, `field`). Read backwards
that is a shape: tags of one node with numbers are an array, with lists of numbers a matrix, with fields a structure or
an array of them. Of a structure exactly the fields that are read exist, under their names, and its type is described as
OPC UA 1.04 wants (DataTypeDefinition), so that any client can take it apart.

Rules.
* A browse path makes the objects on its way; a namespace may be named by its URI or by its index.
* Structures are written as bytes here: asyncua keeps one class a name for the whole process, servers may differ.
* A field inside a field, or an element sought by what it says, is refused: its use does not tell such a structure.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from asyncua import ua
from asyncua.common.node import Node
from asyncua.common.structures104 import new_struct, new_struct_field
from asyncua.server.server import Server
from asyncua.ua.ua_binary import Primitives

from edge.errors import SeamlineError, Text
from edge.plan import OpcuaDevice
from edge.simulate.binding import Bound, DeviceImage
from edge.simulate.values import Value
from protocols.opcua.address import BrowsePath, NodeAddress, parse
from protocols.opcua.place import parse_field
from protocols.opcua.tags import OpcuaTag

_OWN = 1  # the namespace of the server's application URI
_ANY = ua.NodeId(ua.Int32(0), ua.Int16(_OWN))  # the server gives the next free number: nodes that are found by path


@dataclass(frozen=True, slots=True)
class Part:
    """One tag, and where in its node's value it lives."""

    tag: int
    type: ua.VariantType
    index: tuple[int, ...] = ()
    field: str = ""


@dataclass(slots=True)
class Variable:
    """One node and what it showed last. `encoding`: of its structure, where it holds one or an array of them."""

    node: ua.NodeId
    parts: list[Part]
    slow: bool
    encoding: ua.NodeId | None = None
    shown: list[Value] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Elements in each dimension; () for a scalar."""
        return tuple(1 + max(numbers) for numbers in zip(*(part.index for part in self.parts), strict=True))

    def variant(self, values: list[Value]) -> ua.Variant:
        """The node's value; `values` in the order of the parts."""
        kind = self.parts[0].type if self.encoding is None else ua.VariantType.ExtensionObject
        elements: list[object] = [self._empty()] * math.prod(self.shape)
        for number in range(len(elements)):
            mine = [at for at, part in enumerate(self.parts) if self._flat(part.index) == number]
            if mine:
                elements[number] = self._element(mine, values)
        if not self.shape:
            return ua.Variant(elements[0], kind)
        made = ua.Variant(elements, kind, is_array=True)
        if len(self.shape) > 1:
            made.Dimensions = [ua.Int32(size) for size in self.shape]
        return made

    def _flat(self, index: tuple[int, ...]) -> int:
        at = 0
        for number, size in zip(index, self.shape, strict=True):
            at = at * size + number
        return at

    def _element(self, mine: list[int], values: list[Value]) -> object:
        if self.encoding is None:
            return values[mine[0]]
        return self._structure({self.parts[at].field: values[at] for at in mine})

    def _empty(self) -> object:
        return self._structure({}) if self.encoding is not None else _NOTHING[self.parts[0].type]

    def _structure(self, given: dict[str, Value]) -> ua.ExtensionObject:
        assert self.encoding is not None
        body = b""
        for name, kind in fields_of(self.parts):
            body += getattr(Primitives, kind.name).pack(given.get(name, _NOTHING[kind]))
        return ua.ExtensionObject(self.encoding, ua.ByteString(body))


_NOTHING: dict[ua.VariantType, Value] = {
    ua.VariantType.Boolean: False,
    ua.VariantType.String: "",
    ua.VariantType.UInt16: 0,
    ua.VariantType.Int32: 0,
    ua.VariantType.UInt32: 0,
    ua.VariantType.Float: 0.0,
}


def fields_of(parts: list[Part]) -> tuple[tuple[str, ua.VariantType], ...]:
    """The fields of a structure, in the order of their first use."""
    found: dict[str, ua.VariantType] = {}
    for part in parts:
        found.setdefault(part.field, part.type)
    return tuple(found.items())


class Nodes:
    """Makes the nodes of a device exist, whichever way the plan names them."""

    def __init__(self, server: Server, device: OpcuaDevice, uri: str) -> None:
        """`uri`: begin of the names of namespaces the plan knows by their index only."""
        self._server = server
        self._device = device
        self._uri = uri
        self._folders: dict[object, Node] = {}
        self._structures: dict[object, tuple[ua.NodeId, ua.NodeId]] = {}  # data type and encoding

    async def build(self, image: DeviceImage) -> list[Variable]:
        """All of them. Raises `SeamlineError`."""
        await self._register_namespaces()
        by_node: dict[str, list[int]] = {}
        for index, tag in enumerate(self._device.tags):
            by_node.setdefault(tag.node, []).append(index)
        made = [await self._variable(name, tags, image) for name, tags in by_node.items()]
        return [variable for variable in made if variable is not None]

    async def _register_namespaces(self) -> None:
        addresses = [parse(tag.node) for tag in self._device.tags]
        named = [space for one in addresses for space in _namespaces(one)]
        for uri in dict.fromkeys(space for space in named if isinstance(space, str)):
            await self._server.register_namespace(uri)
        highest = max([1, *(space for space in named if isinstance(space, int))])
        while len(await self._server.get_namespace_array()) <= highest:
            number = len(await self._server.get_namespace_array())
            await self._server.register_namespace(f"{self._uri}:{number}")

    async def _variable(self, name: str, tags: list[int], image: DeviceImage) -> Variable | None:
        address, bound = parse(name), image.bound[tags[0]]
        if isinstance(address, NodeAddress) and address.uri is None and address.index == 0:
            return None  # a node of the standard: every server has it
        parts = [self._part(tag, image) for tag in tags]
        variable = Variable(ua.NodeId(), parts, bool(bound and bound.slow))
        of: ua.NodeId | None = None
        if parts[0].field:
            of, variable.encoding = await self._structure(_last(address), fields_of(parts))
        value = variable.variant([image.value(tag) for tag in tags])
        if isinstance(address, BrowsePath):
            node = await self._by_path(address, value, of)
        else:
            node = await self._by_id(name, address, bound, value, of)
        variable.node = node.nodeid
        return variable

    def _part(self, tag: int, image: DeviceImage) -> Part:
        said = self._device.tags[tag]
        path = parse_field(said.field)
        if len(path) > 1 or any(not isinstance(step, str) for step in path):
            where = f"{self._device.id}: {said.name}"
            zh = f"仿真服务器只提供一层的结构体字段（{where}，field: {said.field}），请改用不带作业列表的模板"
            en = (
                f"structures of the simulated server have one level of fields ({where}, field: {said.field}): take a "
                "template without job lists"
            )
            raise SeamlineError(str(Text(zh, en)))
        field = str(path[0]) if path else ""
        return Part(tag, _variant_type(image.bound[tag], image.value(tag)), _index(said), field)

    async def _structure(
        self, name: str, fields: tuple[tuple[str, ua.VariantType], ...]
    ) -> tuple[ua.NodeId, ua.NodeId]:
        if (name, fields) not in self._structures:
            described = [new_struct_field(field, kind) for field, kind in fields]
            data_type, encodings = await new_struct(self._server, _OWN, f"{name}DataType", described)
            self._structures[name, fields] = data_type.nodeid, encodings[0].nodeid
        return self._structures[name, fields]

    async def _by_id(
        self, name: str, address: NodeAddress, bound: Bound | None, value: ua.Variant, of: ua.NodeId | None
    ) -> Node:
        if uri := re.match(r"nsu=([^;]+);(.*)", name):
            name = f"ns={await self._server.get_namespace_index(uri[1])};{uri[2]}"
        node_id = ua.NodeId.from_string(name)
        folder = await self._folder(bound.machine if bound else self._device.id, node_id.NamespaceIndex)
        label = bound.name if bound else str(address.identifier)
        return await folder.add_variable(node_id, f"{node_id.NamespaceIndex}:{label}", value, datatype=of)

    async def _by_path(self, path: BrowsePath, value: ua.Variant, of: ua.NodeId | None) -> Node:
        *folders, last = [step for step in path.steps if step != (0, "Objects")]
        parent, walked = self._server.nodes.objects, []
        for step in folders:
            walked.append(step)
            known = tuple(walked)
            if known not in self._folders:
                self._folders[known] = await parent.add_object(_ANY, await self._name(step))
            parent = self._folders[known]
        return await parent.add_variable(_ANY, await self._name(last), value, datatype=of)

    async def _name(self, step: tuple[int | str, str]) -> ua.QualifiedName:
        space, name = step
        return ua.QualifiedName(
            name, await self._server.get_namespace_index(space) if isinstance(space, str) else space
        )

    async def _folder(self, name: str, namespace: int) -> Node:
        if name not in self._folders:
            self._folders[name] = await self._server.nodes.objects.add_folder(namespace, f"{namespace}:{name}")
        return self._folders[name]


def _namespaces(address: NodeAddress | BrowsePath) -> list[int | str]:
    if isinstance(address, BrowsePath):
        return [space for space, _ in address.steps]
    return [address.index if address.uri is None else address.uri]


def _last(address: NodeAddress | BrowsePath) -> str:
    """The name of what lies there, for its type."""
    if isinstance(address, BrowsePath):
        return address.steps[-1][1]
    return str(address.identifier).rpartition(".")[2]


def _index(tag: OpcuaTag) -> tuple[int, ...]:
    if tag.element is None:
        return ()
    return (tag.element,) if isinstance(tag.element, int) else tag.element


def _variant_type(bound: Bound | None, sample: Value) -> ua.VariantType:
    """Counters as wide as they are, the rest by what they are."""
    if isinstance(sample, bool):
        return ua.VariantType.Boolean
    if isinstance(sample, str):
        return ua.VariantType.String
    if bound and bound.modulus:
        if bound.modulus <= 1 << 16:
            return ua.VariantType.UInt16
        return ua.VariantType.Int32 if bound.modulus == 1 << 31 else ua.VariantType.UInt32
    return ua.VariantType.Int32 if isinstance(sample, int) else ua.VariantType.Float
