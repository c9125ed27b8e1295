"""From the addresses of a site file to node ids of this session: namespaces by URI, browse paths, data types.

Theory. A namespace index and a numeric id belong to one run of one server: after a restart or a program download they
may name something else, without any error. So nothing found is carried from session to session, and addresses that
are no plain id (namespace by URI, browse path) are looked up again now and then, to see whether they moved.

Rules. What cannot be found is refused alone. A node found elsewhere than before counts as moved, never as the old one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from protocols.opcua.address import BrowsePath, NodeAddress
from protocols.opcua.items import BAD_NODE_ID_INVALID, Item
from protocols.opcua.reading import Reads
from protocols.opcua.services import Call, Services, node_id
from protocols.opcua.structures import Registry, learn
from protocols.opcua.wire import NodeKey, Value

_WHOLE_PATH = 0xFFFFFFFF  # RemainingPathIndex of a target reached by the whole path


class Nodes:
    """Where the items of one session are. `found` and `refused` are by position in `items`."""

    def __init__(self, services: Services, reads: Reads, items: Sequence[Item], registry: Registry) -> None:
        self._services = services
        self._reads = reads
        self._items = items
        self._registry = registry
        self.namespaces: list[str] = []
        self.found: dict[int, ua.NodeId] = {}
        self.refused: dict[int, int] = {}  # StatusCode

    async def resolve(self, positions: Sequence[int]) -> None:
        """Find the node ids of items. Errors: OpcuaConnectionError."""
        paths: list[int] = []
        for position in positions:
            address = self._items[position].address
            if address is None:
                self.refused[position] = BAD_NODE_ID_INVALID
            elif isinstance(address, BrowsePath):
                paths.append(position)
            else:
                self._settle(position, self._node_of(address), StatusCodes.BadNodeIdUnknown)
        for position, (node, code) in zip(paths, await self._walk(paths), strict=True):
            self._settle(position, node, code)
        await self._learn_types([at for at in positions if at in self.found and self._items[at].structured])

    def refuse(self, position: int, code: int) -> None:
        """The server would not give this node after all."""
        self.found.pop(position, None)
        self.refused[position] = code

    async def moved(self) -> list[int]:
        """Positions whose browse path leads elsewhere than it did. Errors: OpcuaConnectionError."""
        paths = [at for at in self.found if isinstance(self._items[at].address, BrowsePath)]
        now = zip(paths, await self._walk(paths), strict=True)
        return [position for position, (node, _) in now if node != self.found[position]]

    def _settle(self, position: int, node: ua.NodeId | None, code: int) -> None:
        if node is None:
            self.refuse(position, code)
        else:
            self.found[position] = node
            self.refused.pop(position, None)

    def _node_of(self, address: NodeAddress) -> ua.NodeId | None:
        """The id in this session; None where the server does not have the namespace."""
        index = address.index if address.uri is None else self._index_of(address.uri)
        return None if index is None else node_id(address.identifier, index)

    def _index_of(self, namespace: int | str) -> int | None:
        if isinstance(namespace, int):
            return namespace
        return self.namespaces.index(namespace) if namespace in self.namespaces else None

    async def _walk(self, positions: Sequence[int]) -> list[tuple[ua.NodeId | None, int]]:
        """Browse paths → node ids, or None and the StatusCode that says why."""
        asked = {at: path for at in positions if (path := self._path_of(self._items[at].address)) is not None}

        async def call(part: Sequence[ua.BrowsePath]) -> list[ua.BrowsePathResult]:
            return await self._services.live().uaclient.session.translate_browsepaths_to_nodeids(list(part))

        results = await self._services.in_parts(list(asked.values()), Call.TRANSLATE, call)
        by_position = dict(zip(asked, map(_target, results), strict=True))
        return [by_position.get(at, (None, StatusCodes.BadNoMatch)) for at in positions]

    def _path_of(self, address: NodeAddress | BrowsePath | None) -> ua.BrowsePath | None:
        """None where the server does not have a namespace of it."""
        steps = address.steps if isinstance(address, BrowsePath) else ()
        path = ua.BrowsePath(StartingNode=node_id(ObjectIds.RootFolder))
        for namespace, name in steps:
            index = self._index_of(namespace)
            if index is None:
                return None
            path.RelativePath.Elements.append(
                ua.RelativePathElement(
                    ReferenceTypeId=node_id(ObjectIds.HierarchicalReferences),
                    IsInverse=cast("ua.Boolean", False),  # asyncua's default is True
                    IncludeSubtypes=cast("ua.Boolean", True),
                    TargetName=ua.QualifiedName(name, index),
                )
            )
        return path

    # ── data types
    # ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _learn_types(self, positions: Sequence[int]) -> None:
        """Know the data types behind nodes of which a tag reads a field."""
        if positions:
            nodes = [self.found[position] for position in positions]
            types = (await self._reads.read(nodes, AttributeIds.DataType)).values
            await learn(self._registry, {key for key in types if isinstance(key, tuple)}, self)

    async def definitions(self, types: Sequence[NodeKey]) -> list[Value]:
        """DataTypeDefinition of each type, None where it has none (OPC 10000-3 §5.8.3)."""
        nodes = [node_id(*reversed(key)) for key in types]
        return (await self._reads.read(nodes, AttributeIds.DataTypeDefinition)).values

    async def supertypes(self, types: Sequence[NodeKey]) -> list[NodeKey | None]:
        """The type each type is derived from."""
        return await self._services.in_parts(types, Call.BROWSE, self._browse_supertypes)

    async def _browse_supertypes(self, types: Iterable[NodeKey]) -> list[NodeKey | None]:
        parameters = ua.BrowseParameters()
        parameters.NodesToBrowse = [
            ua.BrowseDescription(
                NodeId=node_id(*reversed(key)),
                BrowseDirection=ua.BrowseDirection.Inverse,
                ReferenceTypeId=node_id(ObjectIds.HasSubtype),
            )
            for key in types
        ]
        results = await self._services.live().uaclient.session.browse(parameters)
        found = [result.References[0].NodeId if result.References else None for result in results]
        return [None if node is None else (node.NamespaceIndex, node.Identifier) for node in found]


def _target(result: ua.BrowsePathResult) -> tuple[ua.NodeId | None, int]:
    if not result.StatusCode.is_good():
        return None, result.StatusCode.value
    for target in result.Targets or []:
        if target.RemainingPathIndex == _WHOLE_PATH:
            return node_id(target.TargetId.Identifier, target.TargetId.NamespaceIndex), StatusCodes.Good
    return None, StatusCodes.BadNoMatch
