"""Reading: attributes of many nodes within the server's limits, what the server says of itself, and its history.

Theory. A Read of many nodes is cut to what the server takes in one call; each part is a sample of its own moment. What
a server kept while nobody listened is asked for as raw data (HistoryRead, OPC 10000-11 §6.5.3), node by node in pages:
a page ends with a continuation point, which is used or given back, because a server keeps few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from protocols.opcua.errors import nonsense
from protocols.opcua.services import Call, Services, node_id
from protocols.opcua.wire import DataValues, HistoryPage, Value, history_results, read_results

HISTORY_READ = 0x04  # bit of AccessLevel and UserAccessLevel (OPC 10000-3 §8.57)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LIMITS = {
    Call.READ: ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    Call.MONITOR: ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    Call.TRANSLATE: ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
    Call.BROWSE: ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    Call.HISTORY: ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData,
}
_CAPACITIES = (
    ObjectIds.Server_ServerCapabilities_MaxSubscriptionsPerSession,
    ObjectIds.Server_ServerCapabilities_MaxMonitoredItemsPerSubscription,
)


@dataclass(slots=True)
class About:
    """What a server says of itself."""

    namespaces: list[str] = field(default_factory=list)
    start_ns: int = 0  # when it was started, by its clock; 0 = it does not say
    subscriptions: int = 0  # per session; 0 = no limit said
    items: int = 0  # per subscription; 0 = no limit said


class Reads:
    """Everything that is read in one session."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def about(self) -> About:
        """Namespaces, start and limits, in one call; the limits are noted where they belong."""
        own = (ObjectIds.Server_NamespaceArray, ObjectIds.Server_ServerStatus_StartTime)
        nodes = [node_id(one) for one in (*own, *_LIMITS.values(), *_CAPACITIES)]
        data = await self.read(nodes, AttributeIds.Value)
        namespaces, start, *numbers = data.values
        said = [one if isinstance(one, int) and one >= 0 else None for one in numbers]
        for call, limit in zip(_LIMITS, said, strict=False):
            self._services.limits.say(call, limit)
        subscriptions, items = said[len(_LIMITS) :]
        return About(
            [one or "" for one in namespaces] if isinstance(namespaces, list) else [],
            start if type(start) is int else 0,
            subscriptions or 0,
            items or 0,
        )

    async def state(self) -> None:
        """The smallest read there is; its duration is this server's latency. Errors: OpcuaConnectionError."""
        await self.call([node_id(ObjectIds.Server_ServerStatus_State)], AttributeIds.Value)

    async def read(self, nodes: Sequence[ua.NodeId], attribute: AttributeIds) -> DataValues:
        """One attribute of many nodes. Errors: OpcuaConnectionError, OpcuaProtocolError."""
        whole = DataValues()

        async def call(part: Sequence[ua.NodeId]) -> list[DataValues]:
            return [await self.call(part, attribute)]

        for data in await self._services.in_parts(nodes, Call.READ, call):
            whole.extend(data)
        return whole

    async def call(self, nodes: Sequence[ua.NodeId], attribute: AttributeIds) -> DataValues:
        """One Read."""
        request = ua.ReadRequest()
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.NodesToRead = [ua.ReadValueId(NodeId=node, AttributeId=attribute) for node in nodes]
        reader = await self._services.ask(request)
        data = self._services.decoded(lambda: read_results(reader.data, reader.at))
        if len(data.values) != len(nodes):
            raise nonsense(self._services.url, f"{len(data.values)} values for {len(nodes)} nodes")
        return data

    # ── history
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def with_history(self, nodes: Sequence[ua.NodeId]) -> list[bool]:
        """Of each node whether the server lets us read its history."""
        levels: list[Value] = (await self.read(nodes, AttributeIds.UserAccessLevel)).values
        return [isinstance(level, int) and bool(level & HISTORY_READ) for level in levels]

    async def history(self, node: ua.NodeId, from_ns: int, to_ns: int, values_max: int) -> DataValues:
        """Raw values of one node between two times of the server's clock, oldest first, at most `values_max`."""
        whole = DataValues()
        page = HistoryPage(0, b"", DataValues())
        while True:
            room = values_max - len(whole.values)
            page = await self._history_call(node, from_ns, to_ns, room, page.more)
            whole.extend(page.data)
            if not page.more:
                return whole
            if len(whole.values) >= values_max or not page.data.values:
                await self._history_call(node, from_ns, to_ns, 1, page.more, release=True)
                return whole

    async def _history_call(
        self, node: ua.NodeId, from_ns: int, to_ns: int, values_max: int, more: bytes, *, release: bool = False
    ) -> HistoryPage:
        request = ua.HistoryReadRequest()
        request.Parameters.HistoryReadDetails = ua.ReadRawModifiedDetails(
            IsReadModified=False,
            StartTime=_utc(from_ns),
            EndTime=_utc(to_ns),
            NumValuesPerNode=values_max,
            ReturnBounds=False,
        )
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.ReleaseContinuationPoints = release
        wanted = ua.HistoryReadValueId(NodeId=node, ContinuationPoint=more or None)
        request.Parameters.NodesToRead = [wanted]
        reader = await self._services.ask(request)
        pages = self._services.decoded(lambda: history_results(reader.data, reader.at))
        return pages[0] if pages else HistoryPage(0, b"", DataValues())


def _utc(t_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=t_ns // 1000)
