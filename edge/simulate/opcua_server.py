"""A real OPC UA server (asyncua) for one simulated device: its nodes, written ten times a second where they changed.

Theory. A subscription reports what is written, so values are written on a beat: signals and counters at 10 Hz, analogue
values once a second. All values of a beat are computed from one instant and written without giving way to the event
loop, so no publish can show a counter of one moment beside the state of another. Every value carries the source time of
that instant.

Rules.
* Building the address space takes seconds of processor time; it is done once. `kill` ends the subscriptions, resets the
  connections and closes the port; `start` opens it again, with a new server start time, as a restarted PLC would.
* Security None only: the simulated site says so. Clients cannot write: nodes are read-only for them.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.common.node import Node
from asyncua.server.server import Server
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from edge.errors import SeamlineError, Text
from edge.plan import OpcuaDevice
from edge.simulate.binding import Bound, DeviceImage
from edge.simulate.faults import Faults
from edge.simulate.inject import Fault
from edge.simulate.values import Value
from protocols.opcua.tags import OpcuaTag

_log = logging.getLogger(__name__)
BEAT_S = 0.1
_SLOW_BEATS = 10
_SERVER_STATUS = ua.NodeId(ua.Int32(ObjectIds.Server_ServerStatus))
_START_TIME = ua.NodeId(ua.Int32(ObjectIds.Server_ServerStatus_StartTime))
_GOOD = ua.StatusCode(ua.UInt32(StatusCodes.Good))
_BAD = ua.StatusCode(ua.UInt32(StatusCodes.BadSensorFailure))
_URI = "urn:seamline:simulated:{}"


@dataclass(slots=True)
class _Variable:
    """One node, the tags it carries (more than one for an array), and what it showed last."""

    node: ua.NodeId
    tags: list[tuple[int, int | None]]  # tag index, element
    type: ua.VariantType
    slow: bool
    shown: object = None


class SimulatedOpcuaServer:
    """Serves one device of the plan."""

    def __init__(self, device: OpcuaDevice, image: DeviceImage, faults: Faults, now_ns: Callable[[], int]) -> None:
        self.device = device
        self.faults = faults
        self._image = image
        self._now_ns = now_ns
        self._server: Server | None = None
        self._variables: list[_Variable] = []
        self._beat: asyncio.Task[None] | None = None
        self._status = _GOOD
        self.up = False

    async def start(self) -> None:
        """Listen; the first time, build the address space. Raises `OSError`."""
        if self._server is None:
            self._server = await self._build()
            await self._write(everything=True)
            await self._server.start()
        else:
            assert self._server.bserver
            await self._server.bserver.start()
            await self._tell_start_time()
        self.up = True
        if self._beat is None:
            self._beat = asyncio.create_task(self._beat_on(), name=f"simulated {self.device.id}")
            self._beat.add_done_callback(_report)

    async def kill(self) -> None:
        """Drop everybody and refuse connections. What clients had subscribed to is forgotten."""
        if self._server is None or not self.up:
            return
        self.up = False
        for transport in list(self._server.iserver.asyncio_transports):
            transport.abort()  # first of all: who loses power says no goodbye
        service = self._server.iserver.subscription_service
        await service.delete_subscriptions(list(service.subscriptions))
        if self._server.bserver:
            await self._server.bserver.stop()

    async def close(self) -> None:
        """Stop for good."""
        if self._beat:
            self._beat.cancel()
            await asyncio.gather(self._beat, return_exceptions=True)
        if self._server:
            await self.kill()
            await self._server.iserver.stop()

    async def _build(self) -> Server:
        server = Server()
        await server.init()
        address = urlsplit(self.device.endpoint.url)
        server.set_endpoint(self.device.endpoint.url)
        server.socket_address = (address.hostname or "127.0.0.1", address.port or 4840)
        server.set_server_name(f"Seamline simulated {self.device.brand}")
        await server.set_application_uri(_URI.format(self.device.id))
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        server.set_identity_tokens([ua.AnonymousIdentityToken])
        self._image.refresh()
        await _Nodes(server, self.device).build(self._variables, self._image)
        return server

    async def _tell_start_time(self) -> None:
        assert self._server
        node = self._server.get_node(_SERVER_STATUS)
        status = await node.read_value()
        status.StartTime = self._time()
        await node.write_value(status)
        await self._server.get_node(_START_TIME).write_value(status.StartTime)

    async def _beat_on(self) -> None:
        beat = 0
        while True:
            await asyncio.sleep(BEAT_S)
            beat += 1
            if self.up:
                await self._write(everything=beat % _SLOW_BEATS == 0)

    async def _write(self, *, everything: bool) -> None:
        assert self._server
        holding = self.faults.holding()
        if Fault.FREEZE in holding:
            return
        bad = Fault.BAD_QUALITY in holding
        status = _BAD if bad else _GOOD
        turned = status != self._status
        self._status = status
        self._image.refresh()
        time = self._time()
        for variable in self._variables:
            if variable.slow and not (everything or turned):
                continue
            value = self._value(variable)
            if value != variable.shown or turned:
                variable.shown = value
                shown = None if bad else ua.Variant(value, variable.type)
                await self._server.write_attribute_value(variable.node, ua.DataValue(shown, status, time))

    def _value(self, variable: _Variable) -> object:
        if variable.tags[0][1] is None:
            return self._raw(variable.tags[0][0], variable.type)
        elements: list[Value] = [0] * (1 + max(element or 0 for _, element in variable.tags))
        for tag, element in variable.tags:
            elements[element or 0] = self._raw(tag, variable.type)
        return elements

    def _raw(self, index: int, kind: ua.VariantType) -> Value:
        tag = self.device.tags[index]
        value = self._image.value(index)
        if isinstance(value, str) or kind is ua.VariantType.Boolean:
            return value if isinstance(value, str) else bool(value)
        number = (value - tag.offset) / tag.scale if (tag.scale, tag.offset) != (1.0, 0.0) else value
        return float(number) if kind is ua.VariantType.Float else round(number)

    def _time(self) -> ua.DateTime:
        return ua.DateTime.fromtimestamp(self._now_ns() / 1e9, UTC)


def _report(beat: asyncio.Task[None]) -> None:
    """A beat that ends by itself would leave old values standing as if they were new: say so."""
    if not beat.cancelled() and (error := beat.exception()):
        _log.critical("%s no longer updates its values", beat.get_name(), exc_info=error)


class _Nodes:
    """Makes the nodes of a device exist, whichever way the plan names them."""

    def __init__(self, server: Server, device: OpcuaDevice) -> None:
        self._server = server
        self._device = device
        self._folders: dict[str, Node] = {}

    async def build(self, variables: list[_Variable], image: DeviceImage) -> None:
        await self._register_namespaces()
        by_node: dict[str, list[int]] = {}
        for index, tag in enumerate(self._device.tags):
            if tag.field is not None or isinstance(tag.element, tuple):
                where = f"{self._device.id}: {tag.name}"
                zh = f"仿真服务器不提供结构体和矩阵（{where}），请改用 packml 模板，或去掉 field、index"
                en = f"the simulated server has no structures ({where}): take the template packml, or drop field, index"
                raise SeamlineError(str(Text(zh, en)))
            by_node.setdefault(tag.node, []).append(index)
        for name, tags in by_node.items():
            bound = image.bound[tags[0]]
            sample = image.value(tags[0])
            kind = _variant_type(bound, sample)
            indexes = [(tag, _element(self._device.tags[tag])) for tag in tags]
            initial: object = sample if indexes[0][1] is None else [sample]
            node = await self._variable(name, bound, initial, kind)
            if node is not None:
                variables.append(_Variable(node.nodeid, indexes, kind, bool(bound and bound.slow)))

    async def _register_namespaces(self) -> None:
        highest = max(
            [1, *(int(found) for tag in self._device.tags for found in re.findall(r"(?:ns=|/)(\d+)[;:]", tag.node))]
        )
        for tag in self._device.tags:
            if uri := re.match(r"nsu=([^;]+);", tag.node):
                await self._server.register_namespace(uri[1])
        while len(await self._server.get_namespace_array()) <= highest:
            number = len(await self._server.get_namespace_array())
            await self._server.register_namespace(_URI.format(f"{self._device.id}:{number}"))

    async def _variable(self, name: str, bound: Bound | None, value: object, kind: ua.VariantType) -> Node | None:
        if name.startswith("/"):
            return await self._by_path(name, value, kind)
        if uri := re.match(r"nsu=([^;]+);(.*)", name):
            name = f"ns={await self._server.get_namespace_index(uri[1])};{uri[2]}"
        node_id = ua.NodeId.from_string(name)
        if node_id.NamespaceIndex == 0:
            return None  # a node of the standard: every server has it
        folder = await self._folder(bound.machine if bound else self._device.id, node_id.NamespaceIndex)
        label = bound.name if bound else str(node_id.Identifier)
        return await folder.add_variable(node_id, f"{node_id.NamespaceIndex}:{label}", value, kind)

    async def _by_path(self, path: str, value: object, kind: ua.VariantType) -> Node:
        *folders, last = [part for part in path.split("/") if part and part != "0:Objects"]
        parent, walked = self._server.nodes.objects, ""
        for part in folders:
            walked += "/" + part
            if walked not in self._folders:
                self._folders[walked] = await parent.add_object(_namespace(part), part)
            parent = self._folders[walked]
        return await parent.add_variable(_namespace(last), last, value, kind)

    async def _folder(self, name: str, namespace: int) -> Node:
        if name not in self._folders:
            self._folders[name] = await self._server.nodes.objects.add_folder(namespace, f"{namespace}:{name}")
        return self._folders[name]


def _element(tag: OpcuaTag) -> int | None:
    return tag.element if isinstance(tag.element, int) else None


def _namespace(part: str) -> int:
    index, colon, _ = part.partition(":")
    return int(index) if colon and index.isdigit() else 0


def _variant_type(bound: Bound | None, sample: Value) -> ua.VariantType:
    """Counters as wide as they are, the rest by what they are."""
    if isinstance(sample, bool):
        return ua.VariantType.Boolean
    if isinstance(sample, str):
        return ua.VariantType.String
    if bound and bound.modulus:
        if bound.modulus <= 1 << 16:
            return ua.VariantType.UInt16
        return ua.VariantType.Int32 if bound.modulus == 1 << 31 else ua.VariantType.UInt32
    return ua.VariantType.Int32 if isinstance(sample, int) else ua.VariantType.Float
