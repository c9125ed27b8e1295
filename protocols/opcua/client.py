"""A session with one OPC UA server that can only look: connect, resolve, subscribe, read, receive. Owner of asyncua.

Theory. asyncua carries the transport, the secure channel and the services that happen once. The stream of values goes
another way: its iterator makes an object per value and drops the oldest silently when its queue is full, its handler
mode makes a task per value, and both take a publish apart. Here every answer to Publish is decoded as a whole
(`wire.py`) and handed on as one consistent batch; there is no queue that could overflow, because the next answer is
read only when the last one was taken, and the server holds what it has not been asked for.

    services.py       one request, one answer, how much fits into one
    session.py        channel and session: open, resume, renew, close
    reading.py        Read, what the server says of itself
    history.py        HistoryRead
    nodes.py          addresses → node ids of this session
    subscription.py   subscriptions, monitored items, Publish, Republish
    items.py          nodes → tags

Rules.
* Nothing here writes or calls: no such function exists in this class, and no other module holds the asyncua client.
* When to reconnect is not decided here. A broken connection may be `resume`d; anything else ends the client, and its
  owner makes the next one.
* A node the server does not monitor because it has no room is read instead; one it does not have is refused alone.
* No clock: deadlines are durations, times come from the server.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from asyncua.ua.attribute_ids import AttributeIds

from protocols.opcua.channel import Pki
from protocols.opcua.errors import OpcuaConnectionError, subscription_closed
from protocols.opcua.history import History
from protocols.opcua.items import Assembler, Batch, Problem, group, in_calls
from protocols.opcua.nodes import Nodes
from protocols.opcua.reading import About, Reads
from protocols.opcua.services import Call, CallLimits, Services, name_of
from protocols.opcua.session import Session
from protocols.opcua.structures import Registry
from protocols.opcua.subscription import Subscription, Subscriptions
from protocols.opcua.tags import Mode, OpcuaEndpoint, OpcuaTag
from protocols.opcua.wire import DataValues, Publish

# asyncua reports every lost connection several times over and, at INFO, prints whole publishes. What matters is
# raised here as an error with its cause; whoever wants the library's own words sets this logger.
_library_log = logging.getLogger("asyncua")
if _library_log.level == logging.NOTSET:
    _library_log.setLevel(logging.CRITICAL)

_NO_ROOM = frozenset((0x80DB0000, 0x80770000))  # Bad_TooManyMonitoredItems, Bad_TooManySubscriptions
_NODE_GONE = frozenset((0x80330000, 0x80340000))  # Bad_NodeIdInvalid, Bad_NodeIdUnknown
_NS_PER_S = 1e9


@dataclass(frozen=True, slots=True)
class Resumed:
    """How a connection was taken up again."""

    batches: tuple[Batch, ...]  # sent before and never received, oldest first
    anew: bool  # the server had forgotten the session: this is another one, to be subscribed anew


class OpcuaClient:
    """One session. `tags` in image order; batches speak of their indices."""

    def __init__(
        self,
        endpoint: OpcuaEndpoint,
        tags: Sequence[OpcuaTag],
        pki: Pki | None = None,
        limits: CallLimits | None = None,
        name: str = "Seamline",
    ) -> None:
        """`pki`: own certificates and trust list; needed unless the endpoint's security is "None". `limits`: what was
        learned of this server in earlier sessions; `name`: what the server lists the session as. Does no I/O.
        """
        self._endpoint = endpoint
        self._groups = endpoint.tag_groups
        self._items = group(tags, self._groups)
        self._tags = tags
        self._services = Services(endpoint.url, endpoint.deadline_ns / _NS_PER_S, limits or CallLimits(endpoint.limits))
        self.session = Session(endpoint, pki, self._services, name)
        self._reads = Reads(self._services)
        self._set_out()
        self._polled = {at for at, item in enumerate(self._items) if self._groups[item.group].mode is Mode.POLL}
        self.about = About()
        self.gaps = 0  # notifications the server numbered and no longer had; each was answered by reading everything
        self.recovered = 0  # notifications that were missed and sent again

    def _set_out(self) -> None:
        """Everything that belongs to one session of the server."""
        registry = Registry()
        self._assembler = Assembler(self._tags, self._items, registry)
        self._nodes = Nodes(self._services, self._reads, self._items, registry)
        self._subscriptions = Subscriptions(self._services, self._items, self._groups)
        self._no_room: set[int] = set()  # positions the server would not monitor for want of room: read instead

    @property
    def security(self) -> str:
        """Policy and mode in use, e.g. "Basic256Sha256/SignAndEncrypt"."""
        return self.session.security

    @property
    def publishing_s(self) -> float:
        """The slowest publishing interval, as the server revised it; 0 without a subscription."""
        return max((one.publishing_s for one in self._subscriptions.all), default=0.0)

    @property
    def subscribed(self) -> bool:
        """Whether anything is pushed; False: everything is read."""
        return bool(self._subscriptions.all)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Tags that are not to be had now: refused nodes, and values of another shape than the tag wants."""
        complaints, refused = self._assembler.complaints, self._nodes.refused
        if not refused and not complaints:
            return ()
        pairs = [(tag, code) for position, code in refused.items() for tag in self._items[position].tags]
        return (
            *(Problem(tag, name_of(code), refused=True) for tag, code in sorted(pairs)),
            *(Problem(tag, words, refused=False) for tag, words in sorted(complaints.items())),
        )

    @property
    def read_instead(self) -> int:
        """Nodes that are read because the server has no room to monitor them."""
        return len(self._no_room)

    @property
    def unfiltered(self) -> int:
        """Nodes that come with every change, because the server cannot apply the deadband or trigger asked for."""
        return self._subscriptions.unfiltered

    # ── session
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def connect(self) -> None:
        """Open channel and session and resolve the nodes. Errors: OpcuaError, each within the endpoint's deadline; then
        `close` it.
        """
        await self.session.open()
        await self._look_around()
        await self._nodes.resolve(range(len(self._items)))

    async def _look_around(self) -> None:
        self.about = await self._reads.about()
        self._nodes.namespaces = self.about.namespaces

    async def drop(self) -> None:
        """The connection is broken: let go of it, keep the session for `resume`."""
        await self._subscriptions.silence()
        await self.session.drop()

    async def resume(self) -> Resumed:
        """Take session and subscriptions up again over a new connection. Where the server has forgotten both, a session
        is made that has to `subscribe`. Errors: OpcuaError; after one of the network it may be tried again, otherwise
        make a new client.
        """
        try:
            kept = await self.session.resume() or not self.subscribed or await self._subscriptions.transfer()
            if not kept:
                await self._start_over()
                return Resumed((), anew=True)
            batches: list[Batch] = []
            for made in self._subscriptions.all:
                for answer in await self._subscriptions.missed(made):
                    self.recovered += 1
                    batches += self._batches(made, answer, replayed=True)
        except BaseException:
            await self._subscriptions.silence()
            raise
        self._subscriptions.listen()
        return Resumed(tuple(batches), anew=False)

    async def _start_over(self) -> None:
        """Nothing of the session before is believed: node ids, namespaces and types may all be others."""
        self._set_out()
        await self._look_around()
        await self._nodes.resolve(range(len(self._items)))

    async def close(self) -> bool:
        """End the session, delete its subscriptions, close the socket; False where the server could not be told and may
        still hold the session: `leave` later. Never raises for a server that is gone.
        """
        await self._subscriptions.silence()
        return await self.session.close()

    async def leave(self) -> None:
        """End a session that was left behind, over a new connection. Errors: OpcuaError."""
        await self.session.resume()
        await self.close()

    # ── reading
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def read(self) -> list[Batch]:
        """Every tag once, by the Read service, a batch for each call. Errors: as `read_group`."""
        return [batch async for batch in self._read(sorted(self._nodes.found))]

    async def read_group(self, number: int) -> AsyncIterator[Batch]:
        """The tags of a group that are read rather than pushed, a batch for each call: each is a sample of its own
        moment, and what is one fact is in one of them. Errors: OpcuaConnectionError, OpcuaProtocolError.
        """
        read = self._polled | self._no_room
        async for batch in self._read(
            sorted(at for at in read if self._items[at].group == number and at in self._nodes.found)
        ):
            batch.group, batch.stands = number, False
            yield batch

    def reads_group(self, number: int) -> bool:
        """Whether some tags of a group are read."""
        return any(self._items[at].group == number for at in self._polled | self._no_room)

    async def _read(self, positions: Sequence[int]) -> AsyncIterator[Batch]:
        limits = self._services.limits
        parts = deque(in_calls(positions, self._items, limits.of(Call.READ)))
        while parts:
            part = parts[0]
            try:
                data = await self._reads.call([self._nodes.found[at] for at in part], AttributeIds.Value)
            except OpcuaConnectionError as error:
                if not self._services.took_too_much(error, Call.READ, len(part)):
                    raise
                parts = deque(in_calls([at for part in parts for at in part], self._items, limits.of(Call.READ)))
                continue
            parts.popleft()
            data.handles = [at + 1 for at in part]
            self._note_gone(data)
            yield self._assembler.batches(data, 0, complete=False)[0]

    async def probe(self) -> int:
        """The smallest read there is; its duration is this server's latency. Returns when the server answered by its
        own clock, UTC ns; 0 = it does not say. Errors: OpcuaConnectionError.
        """
        return await self._reads.state()

    async def history(self) -> History:
        """The nodes whose history the server lets us read; none where it keeps none. Errors: OpcuaError."""
        positions = sorted(at for at in self._nodes.found if not self._items[at].structured)
        nodes = [self._nodes.found[at] for at in positions]
        has = await self._reads.with_history(nodes)
        return History(
            self._services, [pair for pair, one in zip(zip(positions, nodes, strict=True), has, strict=True) if one]
        )

    def of_tags(self, data: DataValues) -> DataValues:
        """What a `History` gave, with tags as `handles`."""
        data.handles = [position + 1 for position in data.handles]
        return self._assembler.spread(data)

    # ── subscription
    # ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def subscribe(self) -> None:
        """A subscription for each group that is pushed, with every resolved node. Errors: OpcuaError."""
        for number in sorted({item.group for item in self._items}):
            if self._groups[number].mode is Mode.SUBSCRIBE:
                await self._subscribe_group(number)
        self._subscriptions.listen()

    async def _subscribe_group(self, number: int) -> None:
        positions = [at for at in sorted(self._nodes.found) if self._items[at].group == number]
        limit = self.about.subscriptions or self._endpoint.limits.subscriptions
        if limit and len(self._subscriptions.all) >= limit:
            self._no_room.update(positions)
            return
        try:
            made = await self._subscriptions.create(number)
        except OpcuaConnectionError as error:
            if error.reason != "BadTooManySubscriptions" or not self.subscribed:
                raise
            self._no_room.update(positions)
            return
        await self._monitor(made, positions)

    async def _monitor(self, made: Subscription, positions: Sequence[int]) -> None:
        """Create monitored items; what the server refuses is refused alone, what it has no room for is read."""
        beyond = set(positions[self._room(made, len(positions)) :])
        split = {self._items[at].fact for at in beyond} - {0}  # one fact is pushed or read, never half of it
        beyond |= {at for at in positions if self._items[at].fact in split}
        self._no_room |= beyond
        positions = [at for at in positions if at not in beyond]
        codes = await self._subscriptions.monitor(made, [(at, self._nodes.found[at]) for at in positions])
        for position, code in zip(positions, codes, strict=True):
            if code in _NO_ROOM:
                self._no_room.add(position)
            elif code >> 30:
                self._nodes.refuse(position, code)
            else:
                made.items += 1

    def _room(self, made: Subscription, wanted: int) -> int:
        """How many of so many items the server has room for, by what it says and what is known of its make."""
        if self.about.items:
            wanted = min(wanted, self.about.items - made.items)
        if limit := self._endpoint.limits.items:
            wanted = min(wanted, limit - sum(one.items for one in self._subscriptions.all))
        return max(wanted, 0)

    async def retry_refused(self) -> None:
        """Ask again for what was refused: a program download may have brought it. Errors: OpcuaConnectionError."""
        positions = [at for at in self._nodes.refused if self._items[at].address is not None]
        if not positions:
            return
        await self._look_around()
        await self._nodes.resolve(positions)
        await self._monitor_each(at for at in positions if at in self._nodes.found and at not in self._polled)

    async def _monitor_each(self, positions: Iterable[int]) -> None:
        by_group: dict[int, list[int]] = {}
        for at in positions:
            by_group.setdefault(self._items[at].group, []).append(at)
        for number, members in by_group.items():
            made = self._subscriptions.of(number)
            if made is None:
                self._no_room.update(members)
            else:
                await self._monitor(made, members)

    async def changed(self) -> str:
        """What became of the server under this session: "restarted", "namespaces" where their indices moved, "moved"
        where a browse path leads to another node, "" where nothing did. Errors: OpcuaConnectionError.
        """
        before = self.about
        now = await self._reads.about()
        if before.start_ns and now.start_ns and now.start_ns != before.start_ns:
            return "restarted"
        if now.namespaces != before.namespaces[: len(now.namespaces)] or len(now.namespaces) < len(before.namespaces):
            return "namespaces"
        return "moved" if await self._nodes.moved() else ""

    async def next_publish(self) -> list[Batch]:
        """The next publish, one batch or more, oldest first. Waits as long as it takes; the watchdog is the caller's.

        Errors: OpcuaConnectionError when the session, the subscription or the connection is gone; OpcuaProtocolError.
        """
        while True:
            heard = await self._subscriptions.next()
            if heard is None:
                continue
            made, answer = heard
            if answer.status_change is not None:
                raise subscription_closed(self._endpoint.url, name_of(answer.status_change))
            if answer.empty:
                return self._batches(made, answer)
            batches = await self._make_good(made, made.missing_before(answer.sequence))
            made.sequence = answer.sequence
            return [*batches, *self._batches(made, answer)]

    async def _make_good(self, made: Subscription, missing: list[int]) -> list[Batch]:
        """Notifications that never came, asked for again; where the server lacks one of them, everything is read."""
        batches: list[Batch] = []
        lost = False
        for sequence in missing:
            answer = await self._subscriptions.republish(made, sequence)
            if answer is None:
                lost = True
                continue
            self.recovered += 1
            batches += self._batches(made, answer, replayed=True)
        if lost:
            self.gaps += 1
            batches += await self.read()
        return batches

    def _batches(self, made: Subscription, answer: Publish, *, replayed: bool = False) -> list[Batch]:
        batches = self._assembler.batches(answer.data, answer.publish_ns, complete=not answer.more)
        for batch in batches:
            batch.group, batch.replayed = made.group, replayed
        self._note_gone(answer.data)
        return batches

    def _note_gone(self, data: DataValues) -> None:
        """A node that is no longer there is looked for again with those that were refused."""
        if not _NODE_GONE.isdisjoint(data.statuses):
            for handle, code in zip(data.handles, data.statuses, strict=True):
                if code in _NODE_GONE and handle:
                    self._nodes.refuse(handle - 1, code)
