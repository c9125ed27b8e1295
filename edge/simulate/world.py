"""The simulated plant with its servers on the network: the only part that knows the clock and the sockets.

Rules. Whatever is done to the plant (go, stop, inject) is in the journal before it acts, with its time; on start the
journal is replayed, so the machines stand where they would, had their servers never been away. Outages that should
still last, last.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from edge.clock import Clock
from edge.errors import SeamlineError, Text
from edge.plan import Device, ModbusDevice, OpcuaDevice, SitePlan
from edge.simulate.binding import DeviceImage
from edge.simulate.faults import Faults
from edge.simulate.inject import (
    MODBUS_ONLY,
    OF_MACHINE,
    OPCUA_ONLY,
    Fault,
    Injection,
    injection_from_json,
    injection_of,
)
from edge.simulate.journal import Entry, Journal
from edge.simulate.memory import Memory
from edge.simulate.modbus_server import ModbusServer, Unit
from edge.simulate.plant import Plant
from protocols.modbus.tags import Framing, TcpEndpoint

_log = logging.getLogger(__name__)
_RETRY_S = 0.2  # the port of a server that comes back may still be in somebody's hands


class Server(Protocol):
    """One listening port."""

    @property
    def up(self) -> bool:
        """True while it answers."""

    async def start(self) -> None:
        """Listen. Raises `OSError`."""

    async def kill(self) -> None:
        """Reset every connection and refuse new ones."""

    async def close(self) -> None:
        """Stop for good."""


@dataclass(frozen=True, slots=True)
class _Post:
    """A device at its place: what serves it and what ails it."""

    device: Device
    faults: Faults
    server: Server


class World:
    """Plant, servers and journal together."""

    def __init__(self, plant: Plant, journal: Journal, clock: Clock) -> None:
        self.plant = plant
        self._journal = journal
        self._clock = clock
        self._outages: set[asyncio.Task[None]] = set()
        self.images = {device.id: DeviceImage(device, plant, clock.now_ns) for device in plant.plan.devices}
        self._posts = {post.device.id: post for post in _posts(plant.plan, self.images, clock)}
        self._servers = list({id(post.server): post.server for post in self._posts.values()}.values())

    @property
    def plan(self) -> SitePlan:
        """The site at speed 1."""
        return self.plant.plan

    def now_ns(self) -> int:
        """UTC."""
        return self._clock.now_ns()

    def replay(self, entries: list[Entry]) -> None:
        """Do again what an earlier run was told."""
        for entry in entries:
            injection = injection_from_json(entry.detail) if entry.event == "inject" else None
            self.plant.apply(entry, injection)
            if injection and injection.kind not in OF_MACHINE:
                self._posts[injection.target].faults.add(injection)

    async def start(self) -> None:
        """Open every port that should be open. Raises `OSError`."""
        for server in self._servers:
            if not any(Fault.SERVER_DOWN in post.faults.holding() for post in self._on(server)):
                await server.start()
        for post in self._posts.values():
            if outage := post.faults.pending(Fault.SERVER_DOWN):
                self._expect(post, outage)

    async def close(self) -> None:
        """Close every port."""
        for task in self._outages:
            task.cancel()
        await asyncio.gather(*self._outages, return_exceptions=True)
        for server in self._servers:
            await server.close()
        self._journal.close()

    def go(self) -> int:
        """Order production; returns the time it began."""
        return self._command("go")

    def stop(self) -> int:
        """No more pieces; returns the time."""
        return self._command("stop")

    def inject(self, order: Mapping[str, object]) -> Injection:
        """Carry out an order for a fault. Raises `InjectionError`."""
        injection = injection_of(order, self.now_ns(), self._objection)
        entry = Entry("inject", self.now_ns(), injection.to_json())
        self._journal.record(entry)
        self.plant.apply(entry, injection)
        if injection.kind not in OF_MACHINE:
            post = self._posts[injection.target]
            post.faults.add(injection)
            if injection.kind is Fault.SERVER_DOWN:
                self._expect(post, injection)
        return injection

    def up(self, device: str) -> bool:
        """True while the device's server listens."""
        return self._posts[device].server.up

    def writes_refused(self) -> int:
        """Modbus requests for anything but reading, over all units."""
        return sum(
            unit.refused_functions
            for server in self._servers
            if isinstance(server, ModbusServer)
            for unit in server.units.values()
        )

    def _command(self, event: str) -> int:
        entry = Entry(event, self.now_ns(), {})
        self._journal.record(entry)
        self.plant.apply(entry)
        return entry.at_ns

    def _objection(self, kind: Fault, target: str) -> str | None:
        if kind in OF_MACHINE:
            return None if target in self.plant.machines else _unknown(target, self.plant.machines)
        post = self._posts.get(target)
        if post is None:
            return _unknown(target, self._posts)
        if isinstance(post.device, OpcuaDevice) and kind in MODBUS_ONLY:
            return f"{kind}: {target} speaks OPC UA"
        if isinstance(post.device, ModbusDevice) and kind in OPCUA_ONLY:
            return f"{kind}: {target} speaks Modbus"
        return None

    def _on(self, server: Server) -> list[_Post]:
        return [post for post in self._posts.values() if post.server is server]

    def _expect(self, post: _Post, outage: Injection) -> None:
        task = asyncio.create_task(self._outage(post, outage), name=f"outage of {post.device.id}")
        self._outages.add(task)
        task.add_done_callback(self._outages.discard)

    async def _outage(self, post: _Post, outage: Injection) -> None:
        await self._until(outage.at_ns)
        await post.server.kill()
        await self._until(outage.at_ns + outage.for_ns)
        while not post.server.up:
            try:
                await post.server.start()
            except OSError as error:
                _log.warning("%s: cannot listen again yet: %s", post.device.id, error)
                await asyncio.sleep(_RETRY_S)

    async def _until(self, at_ns: int) -> None:
        await asyncio.sleep(max(0, at_ns - self.now_ns()) / 1e9)


def _posts(plan: SitePlan, images: Mapping[str, DeviceImage], clock: Clock) -> Iterator[_Post]:
    """Every device with its server; Modbus units behind one address share a server, as behind a gateway."""
    units: dict[tuple[str, int], dict[int, Unit]] = {}
    servers: dict[tuple[str, int], ModbusServer] = {}
    for device in plan.devices:
        faults = Faults(clock.now_ns)
        image = images[device.id]
        if isinstance(device, OpcuaDevice):
            from edge.simulate.opcua_server import SimulatedOpcuaServer  # asyncua is heavy

            yield _Post(device, faults, SimulatedOpcuaServer(device, image, faults, clock.now_ns))
            continue
        address = _listens(device)
        shared = units.setdefault(address, {})
        server = servers.setdefault(address, ModbusServer(*address, shared))
        memory = Memory(device.tags, device.requests, image.value)
        shared[device.unit] = Unit(memory, image, faults, ("Seamline", device.brand, "simulated"))
        yield _Post(device, faults, server)


def _listens(device: ModbusDevice) -> tuple[str, int]:
    """Host and port of its simulated server, which speaks Modbus TCP."""
    endpoint = device.endpoint
    if isinstance(endpoint, TcpEndpoint) and endpoint.framing is Framing.MBAP and endpoint.tls is None:
        return endpoint.host, endpoint.port
    text = Text(
        f"{device.id}：仿真只提供 Modbus TCP，不提供 {endpoint.peer} 这样的连接；仿真时请为它写 host 和 port",
        f"{device.id}: the simulation serves Modbus TCP only, no connection like {endpoint.peer}; give the device "
        "host and port to simulate it",
    )
    raise SeamlineError(text)


def _unknown(target: str, known: Mapping[str, object]) -> str:
    return f"{target!r}: ? ({', '.join(known)})"
