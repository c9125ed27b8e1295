"""From what a server sends to what a tag is: nodes shared by tags, batches that are consistent samples. Pure.

Theory. One monitored item per node and sampling interval, however many tags read an element or a field of it: the
server samples once, and what belongs together stays together. A publish is one consistent sample of everything that
changed in one cycle. Where an item was sampled faster than published, it has several values in one publish; they
become several batches, oldest first, so that a state that lasted one sample is seen and never overwritten.

Rules.
* `complete` is a promise: the server has nothing more to say about this cycle, so tags not listed are unchanged. A
  publish with MoreNotifications never makes it, nor does any batch but the last of a publish.
* A value that cannot be what the tag wants (no such field, an array where a number was expected, null) is bad by our
  word, with the reason in `complaints`; its neighbours are untouched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from protocols.opcua.address import BrowsePath, NodeAddress, parse
from protocols.opcua.status import carries_value, overflowed
from protocols.opcua.structures import Registry, pick
from protocols.opcua.tags import OpcuaTag
from protocols.opcua.wire import DataValues, Extension, Value, WireError

Scalar = bool | int | float | str | None

QUEUE_MAX = 100  # values per item and publish; also where the server is to report every change (sampling_ns 0)
HEARTBEAT_HANDLE = 0  # ServerStatus.CurrentTime; the item at position p has handle p + 1
BAD_TYPE_MISMATCH = 0x80740000
BAD_NO_DATA = 0x809B0000
BAD_NODE_ID_INVALID = 0x80330000


@dataclass(frozen=True, slots=True)
class Item:
    """One node to monitor."""

    node: str  # as the site file writes it
    address: NodeAddress | BrowsePath | None  # None: the text is no address
    sampling_ns: int
    queue_size: int
    tags: tuple[int, ...]
    structured: bool  # some tag reads a field: the node's data type must be known


@dataclass(slots=True)
class Batch:
    """One consistent sample: five parallel lists, each tag at most once."""

    tags: list[int]
    values: list[Scalar]
    statuses: list[int]
    source_ns: list[int]  # UTC ns by the device's clock, 0 = none
    server_ns: list[int]
    publish_ns: int  # when the server sent it, by its clock; 0 = it did not say, or not a publish
    complete: bool  # tags that are subscribed and not listed are unchanged
    overflows: int = 0  # values the server dropped because a queue was full


@dataclass(frozen=True, slots=True)
class Problem:
    """A tag that cannot be had as the site file wants it."""

    tag: int
    words: str  # a StatusCode's name, or what the value is instead
    refused: bool  # True: the server does not give the node; False: its value cannot be used


def group(tags: Sequence[OpcuaTag], publishing_ns: int) -> tuple[Item, ...]:
    """The nodes behind `tags`, in order of first use."""
    indices: dict[tuple[str, int], list[int]] = {}
    for index, tag in enumerate(tags):
        indices.setdefault((tag.node, tag.sampling_ns), []).append(index)
    return tuple(
        Item(
            node=node,
            address=_address(node),
            sampling_ns=sampling_ns,
            queue_size=min(1 + -(-publishing_ns // max(sampling_ns, 1)), QUEUE_MAX),  # one spare for a late publish
            tags=tuple(members),
            structured=any(tags[index].field is not None for index in members),
        )
        for (node, sampling_ns), members in indices.items()
    )


def _address(node: str) -> NodeAddress | BrowsePath | None:
    try:
        return parse(node)
    except ValueError:
        return None


class Assembler:
    """Turns decoded DataValues into batches of tags."""

    __slots__ = ("_items", "_paths", "_plain", "_tags", "complaints", "registry")

    def __init__(self, tags: Sequence[OpcuaTag], items: Sequence[Item], registry: Registry) -> None:
        self._tags = tags
        self._items = items
        self._paths = [tuple(tag.field.split(".")) if tag.field else () for tag in tags]
        # By handle: the tag, where the node has one tag that is its whole value; -1 where it is not so simple.
        self._plain = [-1, *(self._only_tag(item) for item in items)]
        self.registry = registry
        self.complaints: dict[int, str] = {}  # tag → why its value cannot be used

    def _only_tag(self, item: Item) -> int:
        (tag,) = item.tags if len(item.tags) == 1 else (-1,)
        return tag if tag >= 0 and self._tags[tag].index is None and self._tags[tag].field is None else -1

    def batches(self, data: DataValues, publish_ns: int, *, complete: bool) -> list[Batch]:
        """At least one batch, empty for a mere heartbeat. `data.handles` are client handles."""
        if HEARTBEAT_HANDLE in data.handles and not publish_ns:  # node-opcua leaves PublishTime empty
            publish_ns = _time(data.values[data.handles.index(HEARTBEAT_HANDLE)])
        plain = self._plain
        last = len(plain)
        tags = [plain[handle] if handle < last else -1 for handle in data.handles]
        if -1 in tags or not _SCALARS.issuperset(map(type, data.values)):
            tags, data = self._spread(data)
        overflows = sum(map(overflowed, filter(None, data.statuses)))
        if len(set(tags)) == len(tags):
            columns = (data.values, data.statuses, data.source_ns, data.server_ns)
            return [Batch(tags, *columns, publish_ns, complete, overflows)]
        return _rounds(tags, data, publish_ns, overflows, complete=complete)

    def _spread(self, data: DataValues) -> tuple[list[int], DataValues]:
        """One entry per tag: elements and fields picked out, heartbeat and unknown handles left out."""
        tags: list[int] = []
        out = DataValues()
        columns = zip(data.handles, data.values, data.statuses, data.source_ns, data.server_ns, strict=True)
        for handle, value, status, source_ns, server_ns in columns:
            if not HEARTBEAT_HANDLE < handle <= len(self._items):
                continue
            for tag in self._items[handle - 1].tags:
                scalar, code = self._scalar(tag, value, status)
                tags.append(tag)
                out.values.append(scalar)
                out.statuses.append(code)
                out.source_ns.append(source_ns)
                out.server_ns.append(server_ns)
        return tags, out

    def _scalar(self, tag: int, value: Value, status: int) -> tuple[Scalar, int]:
        """What the tag wants out of its node's value, and the status to go with it."""
        if not carries_value(status):
            return None, status
        try:
            picked = pick(value, self._tags[tag].index, self._paths[tag], self.registry)
            scalar = _scalar(picked)
        except (LookupError, WireError) as error:
            self.complaints[tag] = str(error.args[0])
            return None, BAD_TYPE_MISMATCH
        self.complaints.pop(tag, None)
        return scalar, status


def _time(current_time: Value) -> int:
    """The heartbeat's value: the server's clock at its last sample, UTC ns; 0 where it is none."""
    return current_time if type(current_time) is int else 0


_SCALARS = frozenset((bool, int, float, str))


def _scalar(value: Value) -> Scalar:
    """A value a tag can hold. LookupError says what it is instead."""
    if type(value) in _SCALARS:
        return value  # type: ignore[no-any-return]
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        raise LookupError(f"the value is an array of {len(value)}; the tag needs an index")  # noqa: TRY004 - about data
    if isinstance(value, Extension | dict):
        raise LookupError("the value is a structure; the tag needs a field")  # noqa: TRY004 - about data
    raise LookupError("the value is null" if value is None else "the value is a node id")


def _rounds(tags: list[int], data: DataValues, publish_ns: int, overflows: int, *, complete: bool) -> list[Batch]:
    """Batches of one publish in which tags repeat: the first value of each tag, then the second, …"""
    seen: dict[int, int] = {}
    made: list[Batch] = []
    for position, tag in enumerate(tags):
        turn = seen[tag] = seen.get(tag, -1) + 1
        if turn == len(made):
            made.append(Batch([], [], [], [], [], publish_ns, complete=False))
        batch = made[turn]
        batch.tags.append(tag)
        batch.values.append(data.values[position])
        batch.statuses.append(data.statuses[position])
        batch.source_ns.append(data.source_ns[position])
        batch.server_ns.append(data.server_ns[position])
    made[-1].complete = complete
    made[-1].overflows = overflows
    return made
