"""A proxy between an OPC UA client and an honest server that breaks the connection, or the answer, at a chosen service.

Theory. OPC UA over TCP is a stream of chunks: three letters (HEL, ACK, ERR, OPN, MSG, CLO), a length, and for MSG a
request id and the encoding id of the service (OPC 10000-6 §6.7.2, §7.1.2). Without security all of it is readable, so
the proxy knows which service a request asks for and which answer belongs to it.

    refuse   the client is sent away as it connects ("TCP")
    cut      the request never reaches the server; both connections are reset
    lost     the server answers; the connections are reset before the client hears it
    stall    from this request on nobody says anything any more, and no socket closes
    down     cut, and nobody listens for `for_s`
    fault    the client hears a ServiceFault with `code` in place of the answer
    mute     the server answers, and the client never hears it; everything else goes on
    garbage  the client hears the words of a web server in place of the answer
    forge    the client hears the answer as `forged` changed it

Rules. A rule says which request is struck, counted from 1 over all connections; nothing here is random.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from asyncua.ua.object_ids import ObjectIdNames

_FAULT = struct.Struct("<BBHqIIBiBBB")
_SERVICES = {
    number: name.split("Request_")[0]
    for number, name in ObjectIdNames.items()
    if name.endswith("Request_Encoding_DefaultBinary")
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What goes wrong, and with which requests."""

    service: str  # TCP, HEL, OPN, CreateSession, Publish, …
    do: str
    first: int = 1
    last: int = 0  # 0: only the first
    code: int = 0
    for_s: float = 0.0
    forged: Callable[[bytes], bytes] | None = None  # one chunk of the answer

    def strikes(self, number: int) -> bool:
        """Whether the so many-th request is struck."""
        return self.first <= number <= max(self.first, self.last)


class OpcuaProxy:
    """Listens on a free port and passes on to the server on `target`, but for `rules`."""

    def __init__(self, target: int, rules: Sequence[Rule] = ()) -> None:
        self.target = target
        self.rules = list(rules)
        self.port = 0
        self.requests: Counter[str] = Counter()
        self.struck_s: list[float] = []  # loop times at which a rule struck
        self.struck_once = asyncio.Event()
        self.lines: set[_Line] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.rules.clear()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(0)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Line(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def struck(self, service: str) -> Rule | None:
        """Count a request; the rule that strikes it."""
        self.requests[service] += 1
        for rule in self.rules:
            if rule.service == service and rule.strikes(self.requests[service]):
                self.struck_s.append(asyncio.get_running_loop().time())
                self.struck_once.set()
                return rule
        return None

    def cut(self) -> None:
        """Reset every connection."""
        for line in tuple(self.lines):
            line.reset()

    def down(self, for_s: float) -> None:
        """Reset every connection, and listen again only after `for_s`."""
        assert self._server is not None
        self._server.close()
        self.cut()

        async def come_back() -> None:
            await asyncio.sleep(for_s)
            await self._listen()

        self.spawn(come_back())


class _Line(asyncio.Protocol):
    """One client, and the proxy's own connection to the server for it."""

    def __init__(self, proxy: OpcuaProxy) -> None:
        self._proxy = proxy
        self._client: Any = None
        self._server: Any = None
        self._waiting = b""  # for the server's connection
        self._buffer = b""
        self._answers: dict[int, Rule] = {}  # by request id
        self.stalled = False

    # the client's side
    def connection_made(self, transport: Any) -> None:
        self._client = transport
        self._proxy.lines.add(self)
        rule = self._proxy.struck("TCP")
        if rule is not None:
            self.reset()
        else:
            self._proxy.spawn(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._server, _ = await loop.create_connection(lambda: _Back(self), "127.0.0.1", self._proxy.target)
        except OSError:
            self.reset()
            return
        if self._client is None:
            self._server.abort()
        elif self._waiting:
            self._server.write(self._waiting)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client = None
        self.reset()

    def reset(self) -> None:
        self._proxy.lines.discard(self)
        for transport in (self._client, self._server):
            if transport is not None:
                transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 8:
            size = int.from_bytes(self._buffer[4:8], "little")
            if len(self._buffer) < size:
                return
            chunk, self._buffer = self._buffer[:size], self._buffer[size:]
            self._asked(chunk)

    def _asked(self, chunk: bytes) -> None:
        kind = chunk[:3].decode()
        service, request = kind, 0
        if kind == "MSG":
            request = int.from_bytes(chunk[20:24], "little")
            service = _SERVICES.get(int.from_bytes(chunk[26:28], "little"), "")
        rule = self._proxy.struck(service)
        if self.stalled:
            return
        match rule.do if rule is not None else "":
            case "cut" | "refuse":
                self.reset()
                return
            case "down":
                assert rule is not None
                self._proxy.down(rule.for_s)
                return
            case "stall":
                self.stalled = True
                return
            case "lost" | "fault" | "mute" | "garbage" | "forge":
                assert rule is not None
                self._answers[request] = rule
        if self._server is None:
            self._waiting += chunk
        else:
            self._server.write(chunk)

    # the server's side
    def answered(self, chunk: bytes) -> None:
        """One chunk for the client."""
        if self.stalled or self._client is None:
            return
        kind, request = chunk[:3], int.from_bytes(chunk[20:24], "little") if chunk[:3] == b"MSG" else 0
        rule = self._answers.pop(request, None) if kind != b"ACK" else None
        if rule is None:
            self._client.write(chunk)
        elif rule.do == "lost":
            self.reset()
        elif rule.do == "mute":
            return
        elif rule.forged is not None:
            self._client.write(rule.forged(chunk))
        elif rule.do == "garbage":
            self._client.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        else:
            body = _FAULT.pack(1, 0, 397, 0, 0, rule.code, 0, -1, 0, 0, 0)
            self._client.write(b"MSGF" + (24 + len(body)).to_bytes(4, "little") + chunk[8:24] + body)


class _Back(asyncio.Protocol):
    """What comes from the server, chunk by chunk."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 8:
            size = int.from_bytes(self._buffer[4:8], "little")
            if len(self._buffer) < size:
                return
            chunk, self._buffer = self._buffer[:size], self._buffer[size:]
            self._line.answered(chunk)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._line.stalled:
            self._line.reset()
