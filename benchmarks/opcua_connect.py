"""From nothing to values: one secured server, and twenty that come back together after a power cut.

    secured    Basic256Sha256, SignAndEncrypt: CPU of one connection (ms), from the first byte to an activated session
    twenty     twenty secured servers (Aes256_Sha256_RsaPss, SignAndEncrypt: the strongest, which auto takes): until all
               flow (s), CPU of this process for all of them (ms), and how long its event loop stood still at most (ms).
               `new`: from nothing, every session made; `back`: away for 2 s and back in one moment, sessions taken up

The twenty are doors to one node-opcua server, whose single thread does its half of twenty handshakes: wall time is
mostly its. asyncua computes RSA on the event loop, a signature and a decryption for each connection; what that holds
up is in the stop that is told. Two connect at a time. Reference of `secured`: asyncua's own `connect()` with the same
policy, in the same process and run.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.result import Result, summarise
from benchmarks.rig.opcua_plant import NODE, serving

CASES = ("secured", "twenty")
RUNS, SERVERS = 5, 20
POLICY = "Basic256Sha256"
_GOOD, _COMM_LOST = 0, 4  # protocols.reading.Quality


def run(case: str | None) -> Iterable[Result]:
    """Every case, or one."""
    for name in CASES if case is None else (case,):
        yield from (_secured() if name == "secured" else _twenty())


def _secured() -> Iterable[Result]:
    with serving(10, 1000, secure=True) as url, tempfile.TemporaryDirectory() as folder:
        pairs = asyncio.run(_connections(url, Path(folder)))
    cpu, bare = [one[0] for one in pairs], [one[1] for one in pairs]
    yield summarise("opcua_connect.secured_cpu", "ms", cpu, bare)
    yield summarise("opcua_connect.secured", "ms", [one[2] for one in pairs], [one[3] for one in pairs])


async def _connections(url: str, folder: Path) -> list[tuple[float, float, float, float]]:
    """CPU and wall time of ours and of asyncua's, ms, run by run."""
    pki = await _trusted(url, folder)
    identity = (await asyncio.to_thread(pki.identities))[0]
    found = []
    for _ in range(RUNS):
        cpu, wall = await _timed(lambda: _ours(url, pki))
        bare_cpu, bare_wall = await _timed(lambda: _bare(url, identity))
        found.append((cpu, bare_cpu, wall, bare_wall))
    return found


async def _timed(connect: Any) -> tuple[float, float]:
    cpu_s, wall_s = time.process_time(), time.monotonic()
    close = await connect()
    spent = 1000 * (time.process_time() - cpu_s), 1000 * (time.monotonic() - wall_s)
    await close()
    return spent


async def _ours(url: str, pki: Any) -> Any:
    from protocols.opcua.client import OpcuaClient
    from protocols.opcua.tags import OpcuaEndpoint, OpcuaTag

    endpoint = OpcuaEndpoint(
        url, POLICY, user="reader", password="secret", deadline_ns=20 * 10**9, tolerate=frozenset(("host",))
    )
    client = OpcuaClient(endpoint, [OpcuaTag("v", NODE.format(0))], pki)
    await client.connect()
    return client.close


async def _bare(url: str, identity: Any) -> Any:
    from asyncua import ua
    from asyncua.client.client import Client
    from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

    client = Client(url, timeout=20)
    client.application_uri = identity.application_uri
    client.set_user("reader")
    client.set_password("secret")
    await client.set_security(
        SecurityPolicyBasic256Sha256,
        identity.certificate,
        identity.key,
        mode=ua.MessageSecurityMode.SignAndEncrypt,
    )
    await client.connect()
    return client.disconnect


def _twenty() -> Iterable[Result]:
    with serving(SERVERS, 100, secure=True) as url, tempfile.TemporaryDirectory() as folder:
        runs = [asyncio.run(_come_back(url, Path(folder))) for _ in range(3)]
    for at, name in enumerate(("new", "back")):
        found = [both[at] for both in runs]
        yield summarise(f"opcua_connect.twenty_{name}", "s", [one.took_s for one in found])
        yield summarise(f"opcua_connect.twenty_{name}_cpu", "ms", [1000 * one.cpu_s for one in found])
        yield summarise(f"opcua_connect.twenty_{name}_stop", "ms", [1000 * one.stop_s for one in found])


@dataclass(frozen=True, slots=True)
class _Spent:
    """Until all twenty flowed."""

    took_s: float
    cpu_s: float
    stop_s: float  # the loop's longest


async def _trusted(url: str, folder: Path) -> Any:
    """Own certificates, and trust in the server."""
    from asyncua.client.client import Client

    from protocols.opcua.channel import Pki
    from protocols.opcua.pki_files import TRUSTED

    pki = Pki(folder, lambda: (socket.gethostname(), "127.0.0.1"), time.time_ns)
    await asyncio.to_thread(pki.identities)
    listed = await Client(url, timeout=20).connect_and_get_server_endpoints()
    (folder / TRUSTED).mkdir(parents=True, exist_ok=True)
    (folder / TRUSTED / "server.der").write_bytes(listed[0].ServerCertificate)
    return pki


async def _longest_stop() -> float:
    """How long at most the loop kept a task waiting that wanted to run every 2 ms; s, told when it is cancelled."""
    loop, worst_s = asyncio.get_running_loop(), 0.0
    before_s = loop.time()
    try:
        while True:
            await asyncio.sleep(0.002)
            now_s = loop.time()
            worst_s, before_s = max(worst_s, now_s - before_s - 0.002), now_s
    except asyncio.CancelledError:
        return worst_s


async def _spent(all_flow: Awaitable[None]) -> _Spent:
    stop, cpu_s, began_s = asyncio.ensure_future(_longest_stop()), time.process_time(), time.monotonic()
    await asyncio.sleep(0)
    await all_flow
    took_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
    stop.cancel()
    return _Spent(took_s, cpu_s, await stop)


async def _come_back(url: str, folder: Path) -> tuple[_Spent, _Spent]:
    """Twenty pollers, each behind a door of its own to one foreign server; every door is shut for 2 s at once."""
    from edge.clock import SystemClock
    from edge.plan import OpcuaDevice
    from edge.poll.backoff import Gate
    from edge.poll.opcua import OpcuaPoller
    from protocols.opcua.tags import OpcuaEndpoint, OpcuaTag
    from protocols.reading import TagImage

    pki = await _trusted(url, folder)
    gate, looker, tasks = Gate(), _Looker(), []
    doors = [_Door(int(url.rsplit(":", 1)[1])) for _ in range(SERVERS)]
    for number, door in enumerate(doors):
        await door.open()
        tag = OpcuaTag("v", NODE.format(number), sampling_ns=0)
        endpoint = OpcuaEndpoint(
            f"opc.tcp://127.0.0.1:{door.port}",
            user="reader",
            password="secret",
            publishing_ns=10**8,
            deadline_ns=20 * 10**9,
            tolerate=frozenset(("host",)),
        )
        looker.images.append(TagImage(1))
        device = OpcuaDevice(number, f"s{number}", "generic", endpoint, (tag,))
        poller = OpcuaPoller(device, looker.images[-1], looker, SystemClock(), pki=pki, gate=gate)
        tasks.append(asyncio.create_task(poller.run()))
    new = await _spent(looker.all_are(_GOOD))
    for door in doors:
        door.shut()
    await looker.all_are(_COMM_LOST)
    await asyncio.sleep(2)
    for door in doors:
        await door.open()
    back = await _spent(looker.all_are(_GOOD))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for door in doors:
        door.shut()
    return new, back


class _Looker:
    """A receiver that looks at the images when something was heard."""

    def __init__(self) -> None:
        self.images: list[Any] = []
        self._heard = asyncio.Event()

    def on_frame(self, _: object) -> None:
        self._heard.set()

    def on_fact(self, _: object) -> None:
        self._heard.set()

    def on_past(self, _: object) -> None:
        """None is kept."""

    async def all_are(self, quality: int) -> None:
        async with asyncio.timeout(120):
            while any(image.quality[0] != quality for image in self.images):
                self._heard.clear()
                await self._heard.wait()


class _Door:
    """Passes bytes to the server while it is open."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.ends: set[_End] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _End(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        if self._server is not None:
            self._server.close()
        for end in tuple(self.ends):
            end.cut()


class _End(asyncio.Protocol):
    """One end of a passage; the client's end makes the other one."""

    def __init__(self, door: _Door, other: _End | None = None) -> None:
        self._door = door
        self._other = other
        self._transport: Any = None
        self._waiting = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._door.ends.add(self)
        if self._other is None:
            self._other = _End(self._door, self)
            loop = asyncio.get_running_loop()
            self._opening = loop.create_task(
                loop.create_connection(lambda: self._other, "127.0.0.1", self._door.target)
            )  # type: ignore[arg-type, return-value]
        transport.write(self._waiting)

    def data_received(self, data: bytes) -> None:
        assert self._other is not None
        self._other.send(data)

    def send(self, data: bytes) -> None:
        if self._transport is None:
            self._waiting += data
        else:
            self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.ends.discard(self)
        if self._other is not None:
            self._other.cut()

    def cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()
