"""Walking any graph, with any limits of a server: every node that can be reached, once, after its parent."""

from __future__ import annotations

import asyncio
from typing import Any

from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from protocols.opcua.browse import AHEAD, BATCH, FLIGHT, OBJECT, OBJECTS, VARIABLE, Found, Walk, _Answer
from protocols.opcua.described import node_text
from protocols.opcua.services import Call, CallLimits, Services
from protocols.opcua.wire import NodeKey

NO_POINTS, GONE = 0x804B0000, 0x80340000  # BadNoContinuationPoints, BadNodeIdUnknown
LEAF = 10_000  # from here on variables
START = Found(OBJECTS, "Objects", "Objects", OBJECT, "", 0)


class Graph(Walk):
    """A server made of a dictionary, which hands out few references at a time and keeps few continuation points."""

    def __init__(self, edges: dict[int, list[int]], *, part: int, points: int, batch: int) -> None:
        limits = CallLimits()
        limits.say(Call.BROWSE, batch)
        super().__init__(Services("opc.tcp://none", 1.0, limits))
        self._edges, self._part, self._points = edges, part, points
        self._kept: dict[bytes, list[int]] = {}
        self._under_way = 0
        self.most_under_way = self.largest = self.calls = self.most_waiting = 0

    async def _ask(self, request: Any, count: int) -> list[_Answer]:
        self._under_way += 1
        self.calls += 1
        self.most_waiting = max(self.most_waiting, self._waiting)
        self.most_under_way = max(self.most_under_way, self._under_way)
        self.largest = max(self.largest, count)
        await asyncio.sleep(0)
        self._under_way -= 1
        if isinstance(request, ua.BrowseNextRequest):
            return [self._some(self._kept.pop(one)) for one in request.Parameters.ContinuationPoints]
        return [self._of(one.NodeId.Identifier) for one in request.Parameters.NodesToBrowse]

    def _of(self, node: Any) -> _Answer:
        if node == OBJECTS[1]:
            return self._some([0])
        return self._some(self._edges[node]) if node in self._edges else _Answer(GONE, b"", [])

    def _some(self, targets: list[int]) -> _Answer:
        now, rest = targets[: self._part], targets[self._part :]
        if rest and len(self._kept) >= self._points:
            return _Answer(NO_POINTS, b"", [])
        more = b""
        if rest:
            more = b"%d-%d" % (id(rest), len(self._kept))
            self._kept[more] = rest
        return _Answer(0, more, [((2, one), f"n{one}", "", OBJECT if one < LEAF else VARIABLE, False) for one in now])


def reachable(edges: dict[int, list[int]]) -> set[int]:
    seen, stack = {0}, [0]
    while stack:
        for target in edges.get(stack.pop(), []):
            if target not in seen:
                seen.add(target)
                stack.append(target)
    return seen


async def walked(graph: Graph) -> list[Found]:
    return [found async for found in graph.nodes(START)]


@given(
    edges=st.dictionaries(st.integers(0, 30), st.lists(st.integers(0, 30), max_size=12), max_size=30),
    part=st.integers(1, 5),
    points=st.integers(1, 4),
    batch=st.integers(1, 8),
)
def test_every_reachable_node_once(edges: dict[int, list[int]], part: int, points: int, batch: int) -> None:
    """Loops, several parents, nodes that refuse, one reference at a time, a single continuation point."""
    graph = Graph(edges, part=part, points=points, batch=batch)
    found = asyncio.run(walked(graph))
    numbers = [one.key[1] for one in found[1:]]
    assert sorted(map(str, numbers)) == sorted(map(str, reachable(edges)))
    paths = {one.path for one in found}
    assert all(one.path.rpartition("/")[0] in paths for one in found), "after its parent"
    assert {path for path, _ in graph.refused} == {one.path for one in found[1:] if one.key[1] not in edges}
    assert graph.largest <= batch
    assert graph.most_under_way <= FLIGHT


def test_many_siblings_take_few_calls_at_a_time() -> None:
    """Ten thousand leaves under one folder: batches, several under way, never more than the limit."""
    edges: dict[int, list[int]] = {0: list(range(1, 10_001))}
    edges |= {leaf: [] for leaf in range(1, 10_001)}
    graph = Graph(edges, part=1000, points=2, batch=100_000)
    found = asyncio.run(walked(graph))
    assert len(found) == 10_002
    assert graph.largest == BATCH
    assert graph.most_under_way == FLIGHT
    assert [one.key[1] for one in found[2:]] == list(range(1, 10_001)), "in the server's order"


def test_a_hundred_thousand_in_folders_take_few_calls_and_little_room() -> None:
    """Two hundred folders of five hundred: answers that wait stay bounded, and the calls stay full."""
    folders = range(201, 401)
    edges: dict[int, list[int]] = {0: list(folders)}
    edges |= {folder: list(range(LEAF + 500 * folder, LEAF + 500 * folder + 500)) for folder in folders}
    edges |= {leaf: [] for folder in folders for leaf in edges[folder]}
    graph = Graph(edges, part=1000, points=2, batch=100_000)
    found = asyncio.run(walked(graph))
    assert len(found) == 100_202
    assert graph.calls < 2 * 100_000 / BATCH
    assert graph.most_waiting < 1.5 * AHEAD


def test_node_ids_are_written_so_that_they_last() -> None:
    """By the namespace's URI, its awkward letters escaped; by index only where there is no URI."""
    from uuid import UUID

    spaces = ["http://opcfoundation.org/UA/", "urn:own", "http://maker/a;b%c", ""]
    cases: dict[NodeKey, str] = {
        (0, 2258): "i=2258",
        (1, "A.B"): "nsu=urn:own;s=A.B",
        (2, 7): "nsu=http://maker/a%3Bb%25c;i=7",
        (3, "x"): "ns=3;s=x",
        (9, "x"): "ns=9;s=x",
        (1, UUID(int=5)): "nsu=urn:own;g=00000000-0000-0000-0000-000000000005",
        (1, b"\x01\x02"): "nsu=urn:own;b=AQI=",
    }
    for key, text in cases.items():
        assert node_text(key, spaces) == text
