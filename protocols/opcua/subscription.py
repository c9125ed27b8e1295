"""The stream of values: subscriptions, their monitored items, the answers to Publish, and what was missed of them.

Theory. One Publish request for each subscription and one more are kept with the server, so that it can always speak at
once. It numbers the notifications of each subscription without holes (OPC 10000-4 §7.40) and keeps those that were not
acknowledged: what a break of the connection swallowed, or a gap in the numbering shows, is asked for again (Republish,
§5.14.6), and only where the server no longer has it is it lost.

ServerStatus.CurrentTime is part of the first subscription, sampled about once a second. As it always changes, a publish
arrives every second at least; each proves that the subscription is alive and what is not listed is unchanged
(§5.14.1.1).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from protocols.opcua.errors import OpcuaConnectionError, OpcuaError
from protocols.opcua.items import HEARTBEAT_HANDLE, Item
from protocols.opcua.services import Call, Services, Translated, node_id
from protocols.opcua.tags import Deadband, TagGroup, Trigger
from protocols.opcua.wire import FIXED, Publish, Reader, publish, republished

HEARTBEAT_NS = 1_000_000_000
_LIFETIME_S = 60.0  # a subscription whose client vanished is deleted by the server after this
_SPARE = 1  # Publish requests beyond one for each subscription
_NS_PER_MS = 1e6
_SUBCODE = 0xFFFF0000
_NO_FILTER = (
    frozenset(  # Bad_MonitoredItemFilterInvalid, …FilterUnsupported, Bad_FilterNotAllowed, Bad_DeadbandFilterInvalid
        (0x80430000, 0x80440000, 0x80450000, 0x808E0000)
    )
)
_SEQUENCES = 0xFFFFFFFF
_NEWER = _SEQUENCES // 2


class Subscription:
    """One subscription of this session: the values of one tag group."""

    def __init__(self, group: int, id_: int, publishing_s: float) -> None:
        self.group = group
        self.id = id_
        self.publishing_s = publishing_s  # as the server revised it
        self.items = 0  # monitored, the heartbeat among them
        self.sequence = 0  # of the last notification taken; numbers run 1 … 2^32-1 and over

    def missing_before(self, sequence: int) -> list[int]:
        """Numbers between the last one taken and this one; empty for the next, and for one that was taken before."""
        ahead = (sequence - self.sequence - 1) % _SEQUENCES
        return [] if ahead > _NEWER else [self.after(step) for step in range(1, min(ahead, _GAP_SHOWN) + 1)]

    def is_old(self, sequence: int) -> bool:
        """Whether this one was taken already."""
        return bool(self.sequence) and (sequence - self.sequence - 1) % _SEQUENCES > _NEWER

    def after(self, steps: int) -> int:
        """The number that many after the last one taken."""
        return (self.sequence + steps - 1) % _SEQUENCES + 1


_GAP_SHOWN = 1000  # of a larger gap only the first are asked for again; the server keeps fewer


class Subscriptions:
    """All subscriptions of one session."""

    def __init__(self, services: Services, items: Sequence[Item], groups: Sequence[TagGroup]) -> None:
        self._services = services
        self._items = items
        self._groups = groups
        self.by_id: dict[int, Subscription] = {}
        self._waiting: deque[asyncio.Task[bytes]] = deque()
        self._acknowledge: list[tuple[int, int]] = []
        self.unfiltered = 0  # items whose filter the server could not apply: every change of theirs comes

    @property
    def all(self) -> list[Subscription]:
        """In the order they were made."""
        return list(self.by_id.values())

    def of(self, group: int) -> Subscription | None:
        """The subscription of a group, where it has one."""
        return next((one for one in self.by_id.values() if one.group == group), None)

    # ── making them
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, group: int) -> Subscription:
        """A subscription for one group; the first one carries the heartbeat. Errors: OpcuaConnectionError."""
        publishing_ms = self._groups[group].publishing_ns / _NS_PER_MS
        keep_alive = max(1, round(HEARTBEAT_NS / self._groups[group].publishing_ns))
        request = ua.CreateSubscriptionRequest()
        request.Parameters = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=publishing_ms,
            RequestedLifetimeCount=max(3 * keep_alive, round(_LIFETIME_S * 1000 / publishing_ms)),
            RequestedMaxKeepAliveCount=keep_alive,
            MaxNotificationsPerPublish=0,  # a publish is a consistent sample: not to be cut
            PublishingEnabled=True,
        )
        reader = await self._services.ask(request)
        made = Subscription(group, reader.u32(), float(reader.fixed(FIXED[11])) / 1000)
        first = not self.by_id
        self.by_id[made.id] = made
        if first:  # servers without ServerStatus.CurrentTime exist; the keep-alive then serves as the heartbeat
            made.items += sum(not code >> 30 for code in await self._create_items(made, [_heartbeat()]))
        return made

    async def monitor(self, made: Subscription, nodes: Sequence[tuple[int, ua.NodeId]]) -> list[int]:
        """Monitor nodes, given with the position of their item; a StatusCode for each. A filter that the server cannot
        apply, as a deadband in percent of a range the node does not have, is left out: every change comes then.
        Errors: OpcuaConnectionError.
        """
        group = self._groups[made.group]

        async def call(part: Sequence[tuple[int, ua.NodeId]]) -> list[int]:
            return await self._create_items(made, [_monitored(node, at, self._items[at], group) for at, node in part])

        codes = await self._services.in_parts(nodes, Call.MONITOR, call)
        if not _filter_of(group):
            return codes
        plain = [at for at, code in enumerate(codes) if code & _SUBCODE in _NO_FILTER]

        async def call_plain(part: Sequence[tuple[int, ua.NodeId]]) -> list[int]:
            return await self._create_items(made, [_item(node, at, self._items[at], group) for at, node in part])

        again = await self._services.in_parts([nodes[at] for at in plain], Call.MONITOR, call_plain)
        for at, code in zip(plain, again, strict=True):
            codes[at] = code
        self.unfiltered += len(plain)
        return codes

    async def _create_items(self, made: Subscription, items: list[ua.MonitoredItemCreateRequest]) -> list[int]:
        parameters = ua.CreateMonitoredItemsParameters(
            SubscriptionId=made.id, TimestampsToReturn=ua.TimestampsToReturn.Both, ItemsToCreate=items
        )
        async with Translated(self._services.url):
            results = await self._services.live().uaclient.session.create_monitored_items(parameters)
        return [result.StatusCode.value for result in results]

    # ── listening
    # ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def listen(self) -> None:
        """Give the server Publish requests to answer."""
        wanted = len(self.by_id) + _SPARE if self.by_id else 0
        while len(self._waiting) < wanted:
            self._send()

    async def next(self) -> tuple[Subscription, Publish] | None:
        """One answer to Publish; None for one of no subscription of ours or taken before, or for a request the server
        had too many of. Errors: OpcuaError.
        """
        url = self._services.url
        try:
            async with Translated(url):
                data = await self._waiting[0]
                self._waiting.popleft()
        except OpcuaConnectionError as error:
            if error.reason != "BadTooManyPublishRequests" or len(self._waiting) < 2:
                raise
            self._waiting.popleft()
            return None  # the server keeps fewer requests than we offered; another one remains
        answer = self._services.decoded(lambda: _publish_of(data))
        made = self.by_id.get(answer.subscription)
        old = made is not None and not answer.empty and made.is_old(answer.sequence)
        if made is not None and not answer.empty:
            self._acknowledge.append((made.id, answer.sequence))
        self._send()
        return None if made is None or old else (made, answer)

    def _send(self) -> None:
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = [
            ua.SubscriptionAcknowledgement(SubscriptionId=id_, SequenceNumber=sequence)
            for id_, sequence in self._acknowledge
        ]
        self._acknowledge = []
        self._waiting.append(asyncio.ensure_future(self._services.exchange(request, 0.0)))

    async def silence(self) -> None:
        """Forget the requests that wait: the connection is gone, or about to be."""
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)
        self._waiting.clear()
        self._acknowledge.clear()

    # ── what was missed
    # ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def republish(self, made: Subscription, sequence: int) -> Publish | None:
        """A notification that never came; None where the server no longer has it. Errors: OpcuaConnectionError."""
        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId = made.id
        request.Parameters.RetransmitSequenceNumber = sequence
        try:
            reader = await self._services.ask(request)
        except OpcuaError as error:
            if error.reason in ("BadMessageNotAvailable", "BadServiceUnsupported", "BadNotImplemented"):
                return None
            raise
        answer = self._services.decoded(lambda: republished(made.id, reader.data, reader.at))
        if answer.sequence != sequence or answer.empty:
            return None  # asyncua's server answers with an empty message
        self._acknowledge.append((made.id, sequence))
        return answer

    async def missed(self, made: Subscription) -> list[Publish]:
        """Everything the server sent after the last notification taken and nobody received."""
        found: list[Publish] = []
        while (answer := await self.republish(made, made.after(1))) is not None:
            made.sequence = answer.sequence
            found.append(answer)
        return found

    async def transfer(self) -> bool:
        """Take the subscriptions over into this new session; False where the server has them no longer."""
        request = ua.TransferSubscriptionsRequest()
        request.Parameters.SubscriptionIds = list(self.by_id)
        request.Parameters.SendInitialValues = True  # the current values, beside what its queues hold
        try:
            reader = await self._services.ask(request)
        except OpcuaError:
            return False
        return self._services.decoded(lambda: all(not code >> 31 for code in _transfer_results(reader)))


def _transfer_results(reader: Reader) -> list[int]:
    codes = []
    for _ in range(reader.length()):
        codes.append(reader.u32())
        reader.take(4 * reader.length())  # AvailableSequenceNumbers
    return codes


def _publish_of(data: bytes) -> Publish:
    reader = Reader(data)
    reader.node_id()
    reader.response_header()  # a fault was already raised by the transport
    return publish(data, reader.at)


def _heartbeat() -> ua.MonitoredItemCreateRequest:
    node = node_id(ObjectIds.Server_ServerStatus_CurrentTime)
    return _request(node, HEARTBEAT_HANDLE, HEARTBEAT_NS, 1, discard_oldest=True)


def _item(node: ua.NodeId, at: int, item: Item, group: TagGroup) -> ua.MonitoredItemCreateRequest:
    return _request(node, at + 1, item.sampling_ns, item.queue_size, discard_oldest=group.discard_oldest)


def _filter_of(group: TagGroup) -> bool:
    """Whether a group wants more than a filter's defaults."""
    return group.trigger is not Trigger.STATUS_VALUE or group.deadband is not Deadband.NONE


def _monitored(node: ua.NodeId, at: int, item: Item, group: TagGroup) -> ua.MonitoredItemCreateRequest:
    made = _item(node, at, item, group)
    if _filter_of(group):
        made.RequestedParameters.Filter = ua.DataChangeFilter(
            Trigger=ua.DataChangeTrigger(group.trigger),
            DeadbandType=group.deadband,
            DeadbandValue=group.deadband_value,
        )
    return made


def _request(
    node: ua.NodeId, handle: int, sampling_ns: int, queue_size: int, *, discard_oldest: bool
) -> ua.MonitoredItemCreateRequest:
    parameters: Any = ua.MonitoringParameters(
        ClientHandle=handle,
        SamplingInterval=sampling_ns / _NS_PER_MS,
        QueueSize=queue_size,
        DiscardOldest=discard_oldest,
    )
    return ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=AttributeIds.Value),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=parameters,
    )
