"""Walking a server's address space: every node below a start, once, parents before children, in bounded memory.

Theory. An address space is a graph, not a tree: references lead back, and a node has several parents. Each node is
visited once, by the first path that reaches it, depth first, so that what is printed reads as a tree. Asking node by
node would take a round trip each; so the nodes that come next on the stack are asked for ahead, many to a call and
several calls at a time, and what they answer waits until their turn.

A server hands out the references of a node in parts (OPC 10000-4 §5.9.2): a continuation point stands for the rest and
is used at once by BrowseNext. Servers keep few of them; where one has none left, the node is asked again alone, when
nothing else is under way.

Rules.
* Only Browse and BrowseNext. A node that refuses is counted and told; the walk goes on.
* Nodes per call are the server's limit, or what it turned out to take (`services.CallLimits`), and never more than
  BATCH: a small PLC answers a large call late.
* Memory: one key per node seen, the stack of siblings still to come, and about AHEAD answers that wait. Variables
  rarely have children and are asked for ahead freely; objects by how many children those before them had.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds

from protocols.opcua.services import Call, Services, name_of, node_id
from protocols.opcua.wire import NodeKey, Reader

BATCH = 250  # nodes per call
FLIGHT = 4  # calls at a time
AHEAD = 20_000  # children that wait for their parent's turn
_PER_NODE = 1000  # references asked for at a time
_SCAN = 4 * BATCH * FLIGHT  # of the stack, for nodes to ask for ahead
_NO_CONTINUATION = frozenset(("BadNoContinuationPoints", "BadContinuationPointInvalid"))
_HAS_PROPERTY = 46
_MASK = (
    ua.BrowseResultMask.ReferenceTypeId
    | ua.BrowseResultMask.NodeClass
    | ua.BrowseResultMask.BrowseName
    | ua.BrowseResultMask.DisplayName
)

OBJECT, VARIABLE, METHOD = 1, 2, 4  # NodeClass, OPC 10000-3 §8.30
_WITH_CHILDREN = OBJECT | VARIABLE
OBJECTS: NodeKey = (0, ObjectIds.ObjectsFolder)


@dataclass(frozen=True, slots=True)
class Found:
    """One node. `path`: browse names from the start, joined with /; `kind`: its NodeClass."""

    key: NodeKey
    name: str
    label: str  # display name
    kind: int
    path: str
    depth: int


@dataclass(slots=True)
class _Answer:
    """What is known of one node's references so far."""

    status: int
    more: bytes
    references: list[tuple[NodeKey, str, str, int, bool]]  # key, name, label, class, is a property


class Walk:
    """One walk; not to be used twice."""

    SKIP: frozenset[NodeKey] = frozenset(((0, ObjectIds.Server),))  # thousands of diagnostics nobody counts by

    def __init__(
        self,
        services: Services,
        *,
        enters: Callable[[Found], bool] = lambda _: True,
        properties: bool = False,
        skip: frozenset[NodeKey] = SKIP,
    ) -> None:
        """`enters`: whether children of a node can be of interest; `skip`: nodes not visited, nor what is below."""
        self._services = services
        self._enters = enters
        self._properties = properties
        self._seen: set[NodeKey] = set(skip)
        self._asked: dict[NodeKey, asyncio.Task[dict[NodeKey, list[Found]]]] = {}
        self._waiting = 0  # children that wait for their parent's turn
        self._parents, self._born = 1, _PER_NODE  # objects browsed and their children; at first they may have many
        self._slots = asyncio.Semaphore(FLIGHT)
        self._alone = asyncio.Lock()
        self.refused: list[tuple[str, str]] = []  # path and status of nodes that would not be browsed

    async def nodes(self, start: Found) -> AsyncGenerator[Found, None]:
        """The start and everything below it. Errors: OpcuaError."""
        self._seen.add(start.key)
        stack = [start]
        try:
            while stack:
                node = stack.pop()
                yield node
                if self._leads_on(node):
                    children = await self._children(node, stack)
                    stack += [child for child in reversed(children) if self._is_new(child)]
        finally:
            tasks = set(self._asked.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _leads_on(self, node: Found) -> bool:
        return bool(node.kind & _WITH_CHILDREN) and self._enters(node)

    def _is_new(self, node: Found) -> bool:
        if node.key in self._seen:
            return False
        self._seen.add(node.key)
        return True

    async def _children(self, node: Found, stack: Sequence[Found]) -> list[Found]:
        if node.key not in self._asked:
            self._ask_ahead(node, stack)
        answers = await self._asked.pop(node.key)
        children = answers.pop(node.key)
        self._waiting -= len(children)
        return children

    def _ask_ahead(self, node: Found, stack: Sequence[Found]) -> None:
        """Ask for this node and those whose turn comes next, in several calls."""
        wanted, objects = [node], 0
        for one in islice(reversed(stack), _SCAN):
            if len(wanted) >= self._size * FLIGHT:
                break
            if one.key in self._asked or not self._leads_on(one):
                continue
            objects += one.kind == OBJECT
            if one.kind != OBJECT or objects <= self._objects_ahead:
                wanted.append(one)
        size = self._size
        for at in range(0, len(wanted), size):
            part = wanted[at : at + size]
            task = asyncio.ensure_future(self._browse(part))
            self._asked.update((one.key, task) for one in part)

    @property
    def _size(self) -> int:
        return min(BATCH, self._services.limits.of(Call.BROWSE))

    @property
    def _objects_ahead(self) -> int:
        """How many folders to ask for ahead: as many as their children have room, going by those met so far."""
        return max(0, round((AHEAD - self._waiting) * self._parents / self._born))

    # ── calls
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _browse(self, nodes: Sequence[Found]) -> dict[NodeKey, list[Found]]:
        """Children of each node."""
        async with self._slots:
            answers = await self._services.in_parts(nodes, Call.BROWSE, self._first)
            await self._rest(answers)
        for at, answer in enumerate(answers):
            if name_of(answer.status) in _NO_CONTINUATION:
                answers[at] = await self._once_more(nodes[at])
        children = {node.key: self._taken(node, answer) for node, answer in zip(nodes, answers, strict=True)}
        self._waiting += sum(map(len, children.values()))
        objects = [node.key for node in nodes if node.kind == OBJECT]
        self._parents += len(objects)
        self._born += sum(len(children[key]) for key in objects)
        return children

    async def _once_more(self, node: Found) -> _Answer:
        """Alone, with every continuation point for itself."""
        async with self._alone:
            for _ in range(FLIGHT):
                await self._slots.acquire()
            try:
                answers = await self._first([node])
                await self._rest(answers)
            finally:
                for _ in range(FLIGHT):
                    self._slots.release()
        return answers[0]

    async def _first(self, nodes: Sequence[Found]) -> list[_Answer]:
        request = ua.BrowseRequest()
        request.Parameters.RequestedMaxReferencesPerNode = ua.UInt32(_PER_NODE)
        request.Parameters.NodesToBrowse = [_description(one.key) for one in nodes]
        return await self._ask(request, len(nodes))

    async def _rest(self, answers: Sequence[_Answer]) -> None:
        """Use up the continuation points, a part of every node at a time."""
        while open_ := [one for one in answers if one.more]:
            request = ua.BrowseNextRequest()
            request.Parameters.ReleaseContinuationPoints = cast("ua.Boolean", False)
            part = open_[: self._size]
            request.Parameters.ContinuationPoints = [one.more for one in part]
            for answer, rest in zip(part, await self._ask(request, len(part)), strict=True):
                answer.more = rest.more
                answer.references += rest.references
                if rest.status >> 31:
                    answer.status, answer.more = rest.status, b""

    async def _ask(self, request: Any, count: int) -> list[_Answer]:
        reader = await self._services.ask(request)
        return self._services.decoded(lambda: _answers(reader, count))

    def _taken(self, node: Found, answer: _Answer) -> list[Found]:
        if answer.status >> 31:
            self.refused.append((node.path or node.name, name_of(answer.status)))
        return [
            Found(
                key, name, label, kind, f"{node.path}/{_escaped(name)}" if node.path else _escaped(name), node.depth + 1
            )
            for key, name, label, kind, is_property in answer.references
            if (self._properties or not is_property) and key not in self._seen
        ]


def _escaped(name: str) -> str:
    """A slash inside a name is written &/, as in a browse path (OPC 10000-4 §A.2)."""
    return name.replace("&", "&&").replace("/", "&/") if "/" in name or "&" in name else name


def _description(key: NodeKey) -> ua.BrowseDescription:
    return ua.BrowseDescription(
        NodeId=node_id(key[1], key[0]),
        BrowseDirection=ua.BrowseDirection.Forward,
        ReferenceTypeId=node_id(ObjectIds.HierarchicalReferences),
        IncludeSubtypes=cast("ua.Boolean", True),
        NodeClassMask=ua.UInt32(0),
        ResultMask=ua.UInt32(_MASK),
    )


def _answers(reader: Reader, count: int) -> list[_Answer]:
    """BrowseResponse and BrowseNextResponse (OPC 10000-4 §5.9.2.2, §7.6, §7.29). Raises WireError."""
    answers = [_answer(reader) for _ in range(reader.length())]
    answers += [_Answer(0x80000000, b"", []) for _ in range(count - len(answers))]
    return answers[:count]


def _answer(reader: Reader) -> _Answer:
    status, more = reader.u32(), reader.byte_string() or b""
    return _Answer(status, more, [_reference(reader) for _ in range(reader.length())])


def _reference(reader: Reader) -> tuple[NodeKey, str, str, int, bool]:
    type_, _forward, key = reader.node_id(), reader.u8(), reader.node_id()
    name = reader.qualified_name() or ""
    label = reader.localized_text() or ""
    kind = reader.u32()
    reader.node_id()  # TypeDefinition, not asked for: null
    return key, name, label, kind, type_ == (0, _HAS_PROPERTY)
