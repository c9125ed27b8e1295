"""From what a server sends to what a tag is: nodes shared by tags, batches that are consistent samples. Pure.

Theory. One monitored item per node and sampling interval, however many tags read an element or a field of it: the
server samples once, and what belongs together stays together. A publish is one consistent sample of everything that
changed in one cycle. Where an item was sampled faster than published, it has several values in one publish; they
become several batches, oldest first, so that a state that lasted one sample is seen and never overwritten. Values whose
source times lie within half a sampling interval were sampled together and stay together.

Rules.
* `complete` is a promise: the server has nothing more to say about this cycle, so tags not listed are unchanged. A
  publish with MoreNotifications never makes it, nor does any batch but the last of a publish.
* A value that cannot be what the tag wants (no such field, an array where a number was expected, null) is bad by our
  word, with the reason in `complaints`; its neighbours are untouched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from protocols.opcua.address import BrowsePath, NodeAddress, parse
from protocols.opcua.place import Absent, parse_field, pick
from protocols.opcua.status import carries_value, overflowed
from protocols.opcua.structures import Registry
from protocols.opcua.tags import OpcuaTag, TagGroup
from protocols.opcua.wire import DataValues, Extension, Value, WireError

Scalar = bool | int | float | str | None

QUEUE_MAX = 100  # values an item may hold; also where the server is to report every change (sampling_ns 0)
BREAK_NS = 5_000_000_000  # a break of the connection this long loses nothing that a queue could hold
HEARTBEAT_HANDLE = 0  # ServerStatus.CurrentTime; the item at position p has handle p + 1
_TOGETHER_MIN_NS = 5_000_000  # source times of one sample may differ by this much, however fast the sampling
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
    group: int = 0  # index of its tag group
    fact: int = 0  # items of one number are read in one call, or all are pushed; 0 = alone


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
    group: int = 0  # of its tags; `complete` speaks of no other
    heartbeat: bool = False  # the server's clock was heard, and it moves
    replayed: bool = False  # it was sent before and comes late: after a break, or a gap in the numbering
    stands: bool = True  # what it says stands until a publish says otherwise; False: nobody tells of a change


@dataclass(frozen=True, slots=True)
class Problem:
    """A tag that cannot be had as the site file wants it."""

    tag: int
    words: str  # a StatusCode's name, or what the value is instead
    refused: bool  # True: the server does not give the node; False: its value cannot be used


def group(tags: Sequence[OpcuaTag], groups: Sequence[TagGroup]) -> tuple[Item, ...]:
    """The nodes behind `tags`, in order of first use: one item a node, group and sampling interval."""
    indices: dict[tuple[str, int, int], list[int]] = {}
    for index, tag in enumerate(tags):
        indices.setdefault((tag.node, tag.sampling_ns, tag.group), []).append(index)
    return tuple(
        Item(
            node=node,
            address=_address(node),
            sampling_ns=sampling_ns,
            queue_size=_queue_size(groups[number], sampling_ns),
            tags=tuple(members),
            structured=any(tags[index].field is not None for index in members),
            group=number,
            fact=max(tags[index].fact for index in members),
        )
        for (node, sampling_ns, number), members in indices.items()
    )


def _queue_size(group: TagGroup, sampling_ns: int) -> int:
    """As the site file says, or what a break of `BREAK_NS` needs and one spare for a late publish."""
    if group.queue_size:
        return group.queue_size
    held_ns = max(group.publishing_ns, BREAK_NS)
    return min(1 + -(-held_ns // max(sampling_ns, 1)), QUEUE_MAX)


def _address(node: str) -> NodeAddress | BrowsePath | None:
    try:
        return parse(node)
    except ValueError:
        return None


def in_calls(positions: Sequence[int], items: Sequence[Item], most: int) -> Iterator[Sequence[int]]:
    """Positions in parts of at most `most`, such that what is one fact is in one part, unless it alone is more."""
    facts: dict[int, list[int]] = {}  # those that are no part of one are facts of their own
    for at in positions:
        facts.setdefault(items[at].fact or -1 - at, []).append(at)
    if len(facts) == len(positions):
        yield from (positions[at : at + most] for at in range(0, len(positions), most))
        return
    part: list[int] = []
    for fact in facts.values():
        if part and len(part) + len(fact) > most:
            yield part
            part = []
        part = part + fact
        while len(part) > most:
            yield part[:most]
            part = part[most:]
    if part:
        yield part


class Assembler:
    """Turns decoded DataValues into batches of tags."""

    __slots__ = ("_items", "_paths", "_plain", "_server_time", "_tags", "_together_ns", "complaints", "registry")

    def __init__(self, tags: Sequence[OpcuaTag], items: Sequence[Item], registry: Registry) -> None:
        self._tags = tags
        self._items = items
        self._paths = [parse_field(tag.field) for tag in tags]
        # By handle: the tag, where the node has one tag that is its whole value; -1 where it is not so simple.
        self._plain = [-1, *(self._only_tag(item) for item in items)]
        self._together_ns = max(min((item.sampling_ns for item in items), default=0) // 2, _TOGETHER_MIN_NS)
        self._server_time: Value = None  # the heartbeat's last value
        self.registry = registry
        self.complaints: dict[int, str] = {}  # tag → why its value cannot be used

    def _only_tag(self, item: Item) -> int:
        (tag,) = item.tags if len(item.tags) == 1 else (-1,)
        return tag if tag >= 0 and self._tags[tag].element is None and self._tags[tag].field is None else -1

    def batches(self, data: DataValues, publish_ns: int, *, complete: bool) -> list[Batch]:
        """At least one batch, empty for a mere heartbeat. `data.handles` are client handles."""
        beat = False
        if HEARTBEAT_HANDLE in data.handles:
            time = data.values[data.handles.index(HEARTBEAT_HANDLE)]
            beat, self._server_time = time != self._server_time, time
            publish_ns = publish_ns or _time(time)  # node-opcua leaves PublishTime empty
        plain = self._plain
        last = len(plain)
        tags = [plain[handle] if handle < last else -1 for handle in data.handles]
        if -1 in tags or not _SCALARS.issuperset(map(type, data.values)):
            tags, data = self._spread(data)
        overflows = sum(map(overflowed, filter(None, data.statuses)))
        if len(set(tags)) == len(tags):
            columns = (data.values, data.statuses, data.source_ns, data.server_ns)
            return [Batch(tags, *columns, publish_ns, complete, overflows, heartbeat=beat)]
        made = _rounds(tags, data, publish_ns, self._together_ns)
        made[-1].complete, made[-1].overflows, made[-1].heartbeat = complete, overflows, beat
        return made

    def spread(self, data: DataValues) -> DataValues:
        """DataValues of nodes as DataValues of tags: `handles` become tags."""
        tags, out = self._spread(data)
        out.handles = tags
        return out

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
            picked = pick(value, self._tags[tag].element, self._paths[tag], self.registry)
            scalar = _scalar(picked)
        except Absent as error:
            self.complaints.pop(tag, None)
            if error.inside:
                self.complaints[tag] = str(error)
            return ("", status) if self._tags[tag].text else (None, BAD_NO_DATA)
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


def _rounds(tags: list[int], data: DataValues, publish_ns: int, together_ns: int) -> list[Batch]:
    """Batches of one publish in which tags repeat, by source time; where the device gives none, or times that run
    backwards: the first value of each tag, then the second, …
    """
    times = data.source_ns
    by_time = sorted(range(len(tags)), key=times.__getitem__)
    timed = bool(by_time) and times[by_time[0]] > 0 and _keeps_order(tags, by_time)
    made: list[Batch] = []
    turns: dict[int, int] = {}  # the batch of each tag's last value
    began_ns, newest = 0, -1
    for position in by_time if timed else range(len(tags)):
        tag = tags[position]
        turn = turns.get(tag, -1) + 1
        if timed:
            if turn > newest or times[position] - began_ns > together_ns:
                newest, began_ns = newest + 1, times[position]
            turn = newest
        turns[tag] = turn
        if turn == len(made):
            made.append(Batch([], [], [], [], [], publish_ns, complete=False))
        batch = made[turn]
        batch.tags.append(tag)
        batch.values.append(data.values[position])
        batch.statuses.append(data.statuses[position])
        batch.source_ns.append(data.source_ns[position])
        batch.server_ns.append(data.server_ns[position])
    return made


def _keeps_order(tags: list[int], order: list[int]) -> bool:
    """Whether each tag's values come in the order in which the server sent them."""
    last: dict[int, int] = {}
    for position in order:
        if last.get(tags[position], -1) > position:
            return False
        last[tags[position]] = position
    return True
