"""A session with one OPC UA server that can only look: connect, resolve, subscribe, receive. Sole owner of asyncua.

Theory. asyncua carries the transport, the secure channel and the services that happen once. The stream of values goes
another way: its iterator makes an object per value and drops the oldest silently when its queue is full, its handler
mode makes a task per value, and both take a publish apart. Here every answer to Publish is decoded as a whole
(`wire.py`) and handed on as one consistent batch; there is no queue that could overflow, because the next answer is
read only when the last one was taken, and the server holds what it has not been asked for. Two Publish requests are
kept with the server, so that it can always speak at once.

ServerStatus.CurrentTime is part of the subscription, sampled about once a second. As it always changes, a publish
arrives every second at least; each proves that the subscription is alive and what is not listed is unchanged (OPC
10000-4 §5.14.1.1).

Rules.
* Nothing here writes or calls: no such function exists in this class, and no other module holds the asyncua client.
* Reconnecting is not done here. A client is used for one session and thrown away; its owner makes the next one.
* No clock: deadlines are durations, times come from the server.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.client.client import Client
from asyncua.crypto import security_policies
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from protocols.opcua.address import BrowsePath, NodeAddress
from protocols.opcua.certificate import Identity
from protocols.opcua.errors import (
    OpcuaConnectionError,
    OpcuaError,
    downgraded,
    lost,
    nonsense,
    own_certificate_missing,
    refused,
    subscription_closed,
)
from protocols.opcua.items import BAD_NODE_ID_INVALID, HEARTBEAT_HANDLE, Assembler, Batch, Problem, group
from protocols.opcua.security import URI_PREFIX, Offer, choose, weaker_than
from protocols.opcua.structures import Registry, learn
from protocols.opcua.tags import OpcuaEndpoint, OpcuaTag
from protocols.opcua.wire import FIXED, DataValues, NodeKey, Publish, Reader, Value, WireError, publish, read_results

# asyncua reports every lost connection several times over and, at INFO, prints whole publishes. What matters is
# raised here as an error with its cause; whoever wants the library's own words sets this logger.
_library_log = logging.getLogger("asyncua")
if _library_log.level == logging.NOTSET:
    _library_log.setLevel(logging.CRITICAL)

DEFAULT_PORT = 4840
SESSION_TIMEOUT_MS = (
    60_000  # PLCs allow few sessions: one left behind by a power cut must not block the next for an hour
)
HEARTBEAT_NS = 1_000_000_000
_LIFETIME_S = 60.0  # a subscription whose client vanished is deleted by the server after this
_GOODBYE_S = 1.0
_PUBLISH_DEPTH = 2
_CALL_MAX = 500  # nodes per service call where the server names no limit
_NS_PER_S = 1e9
_NS_PER_MS = 1e6

_LIMITS = (
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
)
_POLICIES: dict[str, Any] = {
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
}

_T = TypeVar("_T")
_R = TypeVar("_R")


class OpcuaClient:
    """One session. `tags` in image order; batches speak of their indices."""

    def __init__(self, endpoint: OpcuaEndpoint, tags: Sequence[OpcuaTag], identity: Identity | None = None) -> None:
        """`identity`: this gateway's certificate; needed unless the endpoint's security is "None". Does no I/O."""
        self._endpoint = endpoint
        self._identity = identity
        self._deadline_s = endpoint.deadline_ns / _NS_PER_S
        self._items = group(tags, endpoint.publishing_ns)
        self._registry = Registry()
        self._assembler = Assembler(tags, self._items, self._registry)
        self._client: Client | None = None
        self._namespaces: list[str] = []
        self._read_max = self._monitor_max = self._translate_max = self._browse_max = _CALL_MAX
        self._nodes: dict[int, ua.NodeId] = {}  # by position in `_items`, resolved in this session
        self._refused: dict[int, int] = {}  # position in `_items` → StatusCode
        self._subscription = 0
        self._sequence = 0  # of the last notification taken
        self._waiting: deque[asyncio.Task[bytes]] = deque()
        self._acknowledge: list[int] = []
        self.security = ""  # policy and mode in use, e.g. "Basic256Sha256/SignAndEncrypt"
        self.publishing_s = endpoint.publishing_ns / _NS_PER_S  # as the server revised it
        self.gaps = 0  # notifications the server numbered and never delivered; each was answered by reading everything

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Tags that are not to be had now: refused nodes, and values of another shape than the tag wants."""
        complaints = self._assembler.complaints
        if not self._refused and not complaints:
            return ()
        refused_ = [(tag, code) for position, code in self._refused.items() for tag in self._items[position].tags]
        return (
            *(Problem(tag, _name(code), refused=True) for tag, code in sorted(refused_)),
            *(Problem(tag, words, refused=False) for tag, words in sorted(complaints.items())),
        )

    # ── session
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def connect(self) -> None:
        """Open channel and session and resolve the nodes. Errors: OpcuaError, each within the endpoint's deadline."""
        try:
            await self._open()
            await self._look_around()
            await self._resolve(range(len(self._items)))
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> None:
        offer = await self._offer()
        client = self._client = self._new_client()
        if offer.policy != "None":
            await self._secure(client, offer)
        async with _Translated(self._endpoint.url), asyncio.timeout(self._deadline_s):
            await client.connect_socket()
            await client.send_hello()
            await client.open_secure_channel()
            session = await client.create_session()
            self._refuse_downgrade(offer, session.ServerEndpoints)
            await client.activate_session(username=self._endpoint.user, password=self._endpoint.password)
        self.security = f"{offer.policy}/{offer.mode}"

    def _new_client(self) -> Client:
        client = Client(_with_port(self._endpoint.url), timeout=self._deadline_s)
        client.name = client.description = "Seamline"
        client.product_uri = "urn:seamline"
        client.application_uri = self._identity.application_uri if self._identity else "urn:seamline"
        client.session_timeout = SESSION_TIMEOUT_MS
        return client

    async def _offer(self) -> Offer:
        """What to connect with. The list is asked for only where there is something to choose."""
        if self._endpoint.security == "None":
            return Offer("None", "None")
        async with _Translated(self._endpoint.url), asyncio.timeout(self._deadline_s):
            listed = await self._new_client().connect_and_get_server_endpoints()
        return choose([_offer(one) for one in listed], self._endpoint.security, self._endpoint.mode)

    async def _secure(self, client: Client, offer: Offer) -> None:
        if self._identity is None:
            raise own_certificate_missing(self._endpoint.url)
        await client.set_security(
            _POLICIES[offer.policy],
            self._identity.certificate,
            self._identity.key,
            server_certificate=offer.certificate,
            mode=ua.MessageSecurityMode[offer.mode],
        )

    def _refuse_downgrade(self, chosen: Offer, inside: Sequence[ua.EndpointDescription]) -> None:
        if weaker_than(chosen, [_offer(one) for one in inside], self._endpoint.security, self._endpoint.mode):
            raise downgraded(self._endpoint.url, chosen.policy)

    async def _look_around(self) -> None:
        """Namespaces and operation limits of this server, in one call."""
        nodes = [_node(ObjectIds.Server_NamespaceArray), *map(_node, _LIMITS)]
        values = (await self._read_call(nodes, AttributeIds.Value)).values
        self._namespaces = [one or "" for one in values[0]] if isinstance(values[0], list) else []
        limits = [one if isinstance(one, int) and one > 0 else _CALL_MAX for one in values[1:]]
        self._read_max, self._monitor_max, self._translate_max, self._browse_max = limits

    async def close(self) -> None:
        """End the session, delete its subscription, close the socket. Never raises for a server that is gone."""
        client, self._client = self._client, None
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)
        self._waiting.clear()
        if client is None:
            return
        transport = client.uaclient.protocol.transport if client.uaclient.protocol else None
        if transport is not None and not await self._say_goodbye(client):
            transport.abort()  # close() would wait for a frozen peer to take what is still unsent
        client.disconnect_socket()
        await asyncio.sleep(0)  # lets the transport report its end while its loop still runs

    async def _say_goodbye(self, client: Client) -> bool:
        """Close session and channel; False where the server no longer answers: it will notice by its own timeouts."""
        try:
            async with _Translated(self._endpoint.url), asyncio.timeout(min(self._deadline_s, _GOODBYE_S)):
                await client.uaclient.close_session(True)
                await client.close_secure_channel()
        except OpcuaError:
            return False
        return True

    async def renew(self) -> None:
        """Renew the channel's keys; due before `channel_lifetime_s` has passed. Errors: OpcuaConnectionError."""
        client = self._live()
        async with _Translated(self._endpoint.url), asyncio.timeout(self._deadline_s):
            await client.open_secure_channel(renew=True)
            client.uaclient.revolve_security_token()

    @property
    def channel_lifetime_s(self) -> float:
        """How long the channel's keys last, as the server revised it (OPC 10000-4 §5.6.2)."""
        return self._live().secure_channel_timeout / 1000

    # ── nodes
    # ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _resolve(self, positions: Sequence[int]) -> None:
        """Find the node ids of items; what cannot be found is refused alone."""
        paths: list[int] = []
        for position in positions:
            address = self._items[position].address
            if isinstance(address, BrowsePath):
                paths.append(position)
            elif address is None:
                self._refused[position] = BAD_NODE_ID_INVALID
            else:
                self._settle(position, self._node_id(address), StatusCodes.BadNodeIdUnknown)
        await self._walk(paths)
        await self._learn_types([at for at in positions if at in self._nodes and self._items[at].structured])

    def _settle(self, position: int, node: ua.NodeId | None, code: int) -> None:
        if node is None:
            self._refused[position] = code
        else:
            self._nodes[position] = node
            self._refused.pop(position, None)

    def _node_id(self, address: NodeAddress) -> ua.NodeId | None:
        """The id in this session; None where the server does not have the namespace."""
        if address.uri is None:
            return _node(address.identifier, address.index)
        try:
            return _node(address.identifier, self._namespaces.index(address.uri))
        except ValueError:
            return None

    async def _walk(self, positions: Sequence[int]) -> None:
        """Browse paths → node ids."""

        async def call(part: Sequence[int]) -> list[ua.BrowsePathResult]:
            paths = [_browse_path(self._items[at].address) for at in part]
            return await self._live().uaclient.session.translate_browsepaths_to_nodeids(paths)

        for position, result in zip(positions, await self._in_parts(positions, self._translate_max, call), strict=True):
            found = [one.TargetId for one in result.Targets or [] if one.RemainingPathIndex == 0xFFFFFFFF]
            code = result.StatusCode.value if not result.StatusCode.is_good() else StatusCodes.BadNoMatch
            self._settle(
                position,
                _node(found[0].Identifier, found[0].NamespaceIndex) if found and result.StatusCode.is_good() else None,
                code,
            )

    async def _learn_types(self, positions: Sequence[int]) -> None:
        """Know the data types behind nodes of which a tag reads a field."""
        if positions:
            nodes = [self._nodes[position] for position in positions]
            types = (await self._read(nodes, AttributeIds.DataType)).values
            await learn(self._registry, {key for key in types if isinstance(key, tuple)}, self)

    async def definitions(self, types: Sequence[NodeKey]) -> list[Value]:
        """DataTypeDefinition of each type, None where it has none (OPC 10000-3 §5.8.3)."""
        return (await self._read([_node(*reversed(key)) for key in types], AttributeIds.DataTypeDefinition)).values

    async def supertypes(self, types: Sequence[NodeKey]) -> list[NodeKey | None]:
        """The type each type is derived from."""
        return await self._in_parts(types, self._browse_max, self._browse_supertypes)

    async def _browse_supertypes(self, types: Sequence[NodeKey]) -> list[NodeKey | None]:
        parameters = ua.BrowseParameters()
        parameters.NodesToBrowse = [
            ua.BrowseDescription(
                NodeId=_node(*reversed(key)),
                BrowseDirection=ua.BrowseDirection.Inverse,
                ReferenceTypeId=_node(ObjectIds.HasSubtype),
            )
            for key in types
        ]
        results = await self._live().uaclient.session.browse(parameters)
        found = [result.References[0].NodeId if result.References else None for result in results]
        return [None if node is None else (node.NamespaceIndex, node.Identifier) for node in found]

    # ── reading
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def read(self) -> Batch:
        """Every tag once, by the Read service. Errors: OpcuaConnectionError, OpcuaProtocolError."""
        positions = sorted(self._nodes)
        data = await self._read([self._nodes[position] for position in positions], AttributeIds.Value)
        data.handles = [position + 1 for position in positions]
        (batch,) = self._assembler.batches(data, 0, complete=False)
        return batch

    async def probe(self) -> None:
        """The smallest read there is; its duration is this server's latency. Errors: OpcuaConnectionError."""
        await self._read_call([_node(ObjectIds.Server_ServerStatus_State)], AttributeIds.Value)

    async def _read(self, nodes: Sequence[ua.NodeId], attribute: AttributeIds) -> DataValues:
        """One attribute of many nodes, within the server's limit per call."""
        whole = DataValues()

        async def call(part: Sequence[ua.NodeId]) -> list[DataValues]:
            return [await self._read_call(part, attribute)]

        for data in await self._in_parts(nodes, self._read_max, call):
            whole.values += data.values
            whole.statuses += data.statuses
            whole.source_ns += data.source_ns
            whole.server_ns += data.server_ns
        return whole

    async def _read_call(self, nodes: Sequence[ua.NodeId], attribute: AttributeIds) -> DataValues:
        request = ua.ReadRequest()
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.NodesToRead = [ua.ReadValueId(NodeId=node, AttributeId=attribute) for node in nodes]
        reader = await self._ask(request)
        data = _decoded(self._endpoint.url, lambda: read_results(reader.data, reader.at))
        if len(data.values) != len(nodes):
            raise nonsense(self._endpoint.url, f"{len(data.values)} values for {len(nodes)} nodes")
        return data

    # ── subscription
    # ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def subscribe(self) -> None:
        """Create the subscription with the heartbeat and every resolved node. Errors: OpcuaError."""
        publishing_ms = self._endpoint.publishing_ns / _NS_PER_MS
        keep_alive = max(1, round(HEARTBEAT_NS / self._endpoint.publishing_ns))
        request = ua.CreateSubscriptionRequest()
        request.Parameters = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=publishing_ms,
            RequestedLifetimeCount=max(3 * keep_alive, round(_LIFETIME_S * 1000 / publishing_ms)),
            RequestedMaxKeepAliveCount=keep_alive,
            MaxNotificationsPerPublish=0,  # a publish is a consistent sample: not to be cut
            PublishingEnabled=True,
        )
        reader = await self._ask(request)
        self._subscription = reader.u32()
        self.publishing_s = float(reader.fixed(FIXED[11])) / 1000
        self._sequence = 0
        await self._monitor_heartbeat()
        await self._monitor(sorted(self._nodes))
        for _ in range(_PUBLISH_DEPTH):
            self._send_publish()

    async def _monitor_heartbeat(self) -> None:
        """Servers without ServerStatus.CurrentTime exist; the keep-alive then serves as the heartbeat."""
        await self._create_items(
            [_monitored(_node(ObjectIds.Server_ServerStatus_CurrentTime), HEARTBEAT_HANDLE, HEARTBEAT_NS, 1)]
        )

    async def _monitor(self, positions: Sequence[int]) -> None:
        """Create monitored items; what the server refuses is refused alone."""

        async def call(part: Sequence[int]) -> list[int]:
            return await self._create_items(
                [
                    _monitored(self._nodes[at], at + 1, self._items[at].sampling_ns, self._items[at].queue_size)
                    for at in part
                ]
            )

        codes = await self._in_parts(positions, self._monitor_max, call)
        for position, code in zip(positions, codes, strict=True):
            if code >> 30:
                del self._nodes[position]
                self._refused[position] = code

    async def _create_items(self, items: list[ua.MonitoredItemCreateRequest]) -> list[int]:
        """StatusCodes of CreateMonitoredItems, one per item."""
        parameters = ua.CreateMonitoredItemsParameters(
            SubscriptionId=self._subscription,
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            ItemsToCreate=items,
        )
        results = await self._live().uaclient.session.create_monitored_items(parameters)
        return [result.StatusCode.value for result in results]

    async def retry_refused(self) -> None:
        """Ask again for what was refused: a program download may have brought it. Errors: OpcuaConnectionError."""
        positions = [at for at in self._refused if self._items[at].address is not None]
        if not positions:
            return
        await self._look_around()
        await self._resolve(positions)
        await self._monitor([at for at in positions if at in self._nodes])

    async def next_publish(self) -> list[Batch]:
        """The next publish, one batch or more, oldest first. Waits as long as it takes; the watchdog is the caller's.

        Errors: OpcuaConnectionError when the session, the subscription or the connection is gone; OpcuaProtocolError.
        """
        while True:
            answer = await self._next_answer()
            if answer is None:
                continue
            if answer.status_change is not None:
                raise subscription_closed(self._endpoint.url, _name(answer.status_change))
            complete = not answer.more
            batches = self._assembler.batches(answer.data, answer.publish_ns, complete=complete)
            if not answer.empty and self._missed(answer.sequence):
                self.gaps += 1
                batches.append(await self.read())
            return batches

    async def _next_answer(self) -> Publish | None:
        """One answer to Publish; None for one of another subscription or a request the server had too many of."""
        url = self._endpoint.url
        try:
            async with _Translated(url):
                data = await self._waiting.popleft()
        except OpcuaConnectionError as error:
            if error.reason != "BadTooManyPublishRequests" or not self._waiting:
                raise
            return None  # the server keeps fewer requests than we offered; the other one remains
        answer = _decoded(url, lambda: _publish_of(data))
        if answer.subscription == self._subscription and not answer.empty:
            self._acknowledge.append(answer.sequence)
        self._send_publish()
        return answer if answer.subscription == self._subscription else None

    def _missed(self, sequence: int) -> bool:
        """Whether notifications before this one never came; numbers run 1 … 2^32-1 and over (OPC 10000-4 §7.40)."""
        expected = self._sequence % 0xFFFFFFFF + 1
        self._sequence = sequence
        return sequence != expected

    def _send_publish(self) -> None:
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = [
            ua.SubscriptionAcknowledgement(SubscriptionId=self._subscription, SequenceNumber=sequence)
            for sequence in self._acknowledge
        ]
        self._acknowledge = []
        self._waiting.append(asyncio.ensure_future(self._exchange(request, 0.0)))

    # ── services
    # ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _live(self) -> Client:
        if self._client is None:
            raise lost(self._endpoint.url, "closed")
        return self._client

    async def _exchange(self, request: Any, timeout_s: float | None) -> bytes:
        """Send, wait, return the answer's bytes. `timeout_s` 0: wait for ever."""
        transport = self._live().uaclient.protocol
        if transport is None:
            raise ConnectionError("the connection is closed")
        return bytes(await transport.send_request(request, timeout_s))

    async def _ask(self, request: Any) -> Reader:
        """One service call; the reader stands behind the ResponseHeader. Errors: OpcuaConnectionError."""
        async with _Translated(self._endpoint.url):
            reader = Reader(await self._exchange(request, None))
        reader.node_id()
        result = reader.response_header()
        if result >> 31:
            raise refused(self._endpoint.url, _name(result))
        return reader

    async def _in_parts(
        self, things: Sequence[_T], limit: int, call: Callable[[Sequence[_T]], Awaitable[list[_R]]]
    ) -> list[_R]:
        """`call` on parts of at most `limit`; smaller ones where the server finds that too many after all."""
        results: list[_R] = []
        at = 0
        while at < len(things):
            part = things[at : at + limit]
            try:
                async with _Translated(self._endpoint.url):
                    results += await call(part)
            except OpcuaConnectionError as error:
                if error.reason not in _TOO_MUCH or len(part) == 1:
                    raise
                limit = len(part) // 2
                continue
            at += len(part)
        return results


_TOO_MUCH = frozenset(
    ("BadTooManyOperations", "BadResponseTooLarge", "BadRequestTooLarge", "BadEncodingLimitsExceeded")
)


class _Translated:
    """Whatever a lost or refused exchange raises, as an OpcuaError that says where and whose fault."""

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> None:
        """Nothing to prepare."""

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Translate; cancellation and our own errors pass."""
        if isinstance(error, TimeoutError):
            raise lost(self._url, "timeout") from error
        if isinstance(error, ConnectionRefusedError):
            raise lost(self._url, "refused") from error
        if isinstance(error, OSError):
            raise lost(self._url, "closed") from error
        if isinstance(error, UaStatusCodeError):
            raise refused(self._url, _name(error.code)) from error
        if isinstance(error, (UaError, AssertionError, ValueError, struct.error)):  # how asyncua meets odd answers
            raise lost(self._url, "protocol") from error


def _decoded(url: str, decode: Callable[[], _T]) -> _T:
    try:
        return decode()
    except WireError as error:
        raise nonsense(url, str(error)) from error


def _name(code: int) -> str:
    """Symbolic name of a StatusCode."""
    return ua.StatusCode(cast("ua.UInt32", code)).name


def _publish_of(data: bytes) -> Publish:
    reader = Reader(data)
    reader.node_id()
    reader.response_header()  # a fault was already raised by the transport
    return publish(data, reader.at)


def _with_port(url: str) -> str:
    parts = urlsplit(url)
    return url if parts.port else parts._replace(netloc=f"{parts.netloc}:{DEFAULT_PORT}").geturl()


def _offer(listed: ua.EndpointDescription) -> Offer:
    policy = (listed.SecurityPolicyUri or "").removeprefix(URI_PREFIX)
    mode = listed.SecurityMode.name.removesuffix("_")
    return Offer(policy, mode, listed.ServerCertificate or b"")


def _browse_path(address: NodeAddress | BrowsePath | None) -> ua.BrowsePath:
    steps = address.steps if isinstance(address, BrowsePath) else ()
    path = ua.BrowsePath(StartingNode=_node(ObjectIds.RootFolder))
    path.RelativePath.Elements = [
        ua.RelativePathElement(
            ReferenceTypeId=_node(ObjectIds.HierarchicalReferences),
            IsInverse=cast("ua.Boolean", False),  # asyncua's default is True
            IncludeSubtypes=cast("ua.Boolean", True),
            TargetName=ua.QualifiedName(name, namespace),
        )
        for namespace, name in steps
    ]
    return path


def _monitored(node: ua.NodeId, handle: int, sampling_ns: int, queue_size: int) -> ua.MonitoredItemCreateRequest:
    return ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=AttributeIds.Value),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=ua.MonitoringParameters(
            ClientHandle=handle,
            SamplingInterval=sampling_ns / _NS_PER_MS,
            QueueSize=queue_size,
            DiscardOldest=True,
        ),
    )


def _node(identifier: Any, namespace: Any = 0) -> ua.NodeId:
    """A node id; asyncua's own types for both are plain int, str, bytes and UUID at run time."""
    return ua.NodeId(identifier, namespace)
