"""A proxy before a real InfluxDB that does what networks and servers do at their worst.

Every mode either lets the request through to the real server or does not, and says one thing or another to the client,
or nothing. Whatever it says, what the real server holds is the truth that is read back at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

LATE_S = 3.0  # beyond the deadline of the torture's site file

_Answer = Callable[["_Request"], Awaitable[bytes | None]]  # None: say nothing and hang up


@dataclass(frozen=True, slots=True)
class _Request:
    line: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def is_write(self) -> bool:
        return b"/write" in self.line

    def header(self, name: bytes) -> bytes:
        return next((value for key, value in self.headers if key.lower() == name), b"")

    def lines(self) -> list[bytes]:
        body = gzip.decompress(self.body) if self.header(b"content-encoding") == b"gzip" else self.body
        return body.split(b"\n")

    def with_body(self, body: bytes) -> _Request:
        gone = (b"content-length", b"content-encoding")
        kept = tuple(pair for pair in self.headers if pair[0].lower() not in gone)
        return _Request(self.line, (*kept, (b"Content-Length", b"%d" % len(body))), body)

    def raw(self) -> bytes:
        kept = [pair for pair in self.headers if pair[0].lower() != b"connection"]
        head = b"".join(b"%s: %s\r\n" % pair for pair in kept)
        return self.line + b"\r\n" + head + b"Connection: close\r\n\r\n" + self.body


class FaultProxy:
    """Listens on loopback; `mode` may be changed at any time and counts for the next request."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._server: asyncio.Server | None = None
        self._modes: dict[str, _Answer] = {
            "pass": self._forward,
            "204-then-cut": self._cut,
            "400": self._partial,
            "404": self._refuse(b"404 Not Found", b'{"error":"database not found: \\"away\\""}'),
            "500": self._refuse(b"500 Internal Server Error", b'{"error":"timeout"}'),
            "503": self._refuse(b"503 Service Unavailable", b'{"error":"busy"}', b"Retry-After: 1\r\n"),
            "slow": self._slow,
            "half-open": self._half_open,
        }
        self.mode = "pass"
        self.met: Counter[str] = Counter()  # write requests by the mode they met
        self.written = asyncio.Event()  # set, and made anew, at each write request

    FAULTS = ("204-then-cut", "400", "404", "500", "503", "slow", "half-open")

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 22)

    async def close(self) -> None:
        """Stop listening."""
        assert self._server
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader)
            if request is None:
                return
            mode = self.mode if request.is_write else "pass"
            if request.is_write:
                self.met[mode] += 1
                self.written.set()
                self.written = asyncio.Event()
            answer = await self._modes[mode](request)
            if answer is not None:
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # either side is gone: this client learns it as a reset
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _forward(self, request: _Request) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        try:
            writer.write(request.raw())
            await writer.drain()
            async with asyncio.timeout(30):
                answer = await reader.read()
        finally:
            writer.close()
        if not answer:
            raise ConnectionResetError
        return answer

    async def _cut(self, request: _Request) -> None:
        await self._forward(request)  # stored; the client never hears of it

    async def _partial(self, request: _Request) -> bytes:
        """As InfluxDB 1.x answers a type conflict: the good lines are stored, the others named."""
        lines = request.lines()
        good = [line for line in lines if not line.startswith(b"live,")]
        if len(good) == len(lines):
            self.met["400"] -= 1  # nothing in it to refuse
            return await self._forward(request)
        if good:
            await self._forward(request.with_body(b"\n".join(good)))
        words = b'{"error":"partial write: field type conflict: input field \\"age_ms\\" dropped=%d"}' % (
            len(lines) - len(good)
        )
        return _reply(b"400 Bad Request", words)

    def _refuse(self, status: bytes, body: bytes, more: bytes = b"") -> _Answer:
        async def answer(_: _Request) -> bytes:
            return _reply(status, body, more)

        return answer

    async def _slow(self, request: _Request) -> bytes:
        answer = await self._forward(request)
        await asyncio.sleep(LATE_S)
        return answer

    async def _half_open(self, _: _Request) -> None:
        await asyncio.sleep(LATE_S * 2)


async def _read(reader: asyncio.StreamReader) -> _Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *rest = head[:-4].split(b"\r\n")
    pairs = (header.partition(b":") for header in rest)
    headers = tuple((name.strip(), value.strip()) for name, _, value in pairs)
    length = next((int(value) for name, value in headers if name.lower() == b"content-length"), 0)
    return _Request(line, headers, await reader.readexactly(length))


def _reply(status: bytes, body: bytes, more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n"
    return head % (status, more, len(body)) + body
