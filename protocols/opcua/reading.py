"""Reading: attributes of many nodes within the server's limits, and what the server says of itself.

Theory. A Read of many nodes is cut to what the server takes in one call; each part is a sample of its own moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from protocols.opcua.errors import nonsense
from protocols.opcua.services import Call, Services, node_id
from protocols.opcua.wire import DataValues, Value, read_results

HISTORY_READ = 0x04  # bit of AccessLevel and UserAccessLevel (OPC 10000-3 §8.57)
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

    async def state(self) -> int:
        """The smallest read there is; its duration is this server's latency. Returns when the server answered by its
        own clock, UTC ns; 0 = it does not say. Errors: OpcuaConnectionError.
        """
        await self.call([node_id(ObjectIds.Server_ServerStatus_State)], AttributeIds.Value)
        return self._services.answered_ns

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

    async def with_history(self, nodes: Sequence[ua.NodeId]) -> list[bool]:
        """Of each node whether the server lets us read its history."""
        levels: list[Value] = (await self.read(nodes, AttributeIds.UserAccessLevel)).values
        return [isinstance(level, int) and bool(level & HISTORY_READ) for level in levels]
