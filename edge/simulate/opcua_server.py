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
from collections.abc import Callable
from datetime import UTC
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.server.server import Server
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from edge.plan import OpcuaDevice
from edge.simulate.binding import DeviceImage
from edge.simulate.faults import Faults
from edge.simulate.inject import Fault
from edge.simulate.opcua_nodes import Nodes, Variable
from edge.simulate.values import Value

_log = logging.getLogger(__name__)
BEAT_S = 0.1
_SLOW_BEATS = 10
_SERVER_STATUS = ua.NodeId(ua.Int32(ObjectIds.Server_ServerStatus))
_START_TIME = ua.NodeId(ua.Int32(ObjectIds.Server_ServerStatus_StartTime))
_GOOD = ua.StatusCode(ua.UInt32(StatusCodes.Good))
_BAD = ua.StatusCode(ua.UInt32(StatusCodes.BadSensorFailure))
_URI = "urn:seamline:simulated:{}"


class SimulatedOpcuaServer:
    """Serves one device of the plan."""

    def __init__(self, device: OpcuaDevice, image: DeviceImage, faults: Faults, now_ns: Callable[[], int]) -> None:
        self.device = device
        self.faults = faults
        self._image = image
        self._now_ns = now_ns
        self._server: Server | None = None
        self._variables: list[Variable] = []
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
        self._variables = await Nodes(server, self.device, _URI.format(self.device.id)).build(self._image)
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
            values = self._values(variable)
            if values != variable.shown or turned:
                variable.shown = values
                shown = None if bad else variable.variant(values)
                await self._server.write_attribute_value(variable.node, ua.DataValue(shown, status, time))

    def _values(self, variable: Variable) -> list[Value]:
        return [self._raw(part.tag, part.type) for part in variable.parts]

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
