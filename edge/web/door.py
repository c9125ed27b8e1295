"""The page's address from the start on, and the page behind it from the first visitor on.

Theory. A server for HTTP is the largest thing the agent could import, about 7 MiB, and on many gateways nobody ever
opens the page. A socket that listens needs none of it: the system keeps a visitor's connection in the socket's backlog
until somebody accepts. So the door binds and listens, waits until the first knock, and hands the sockets to the server
it loads then.

Rules.
* What a visitor needs is loaded in a thread: the loop goes on asking PLCs, and waits at most for the interpreter's
  switch interval (5 ms) at a time. That goes for the table of figures and its arithmetic too.
* An address that is taken, or not ours, is told at the start, not to the first visitor.
* Once loaded it stays: who came once comes again.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from edge.snapshot import Snapshot

if TYPE_CHECKING:
    from edge.web.server import Page

BACKLOG = 128  # connections that wait while the page is loaded
_NEEDED = ("edge.web.server", "edge.kpi.catalogue", "edge.kpi.evidence")  # to serve the first visitor


class Door:
    """Where the page is found. `start`, `serve` until cancelled, `stop`; then again, if wanted."""

    def __init__(
        self, snapshot: Callable[[], Snapshot], metrics: Callable[[], bytes], host: str, port: int, language: str
    ) -> None:
        """As of `edge.web.server.Page`."""
        self._snapshot = snapshot
        self._metrics = metrics
        self._host = host
        self._port = port
        self._language = language
        self._sockets: list[socket.socket] = []
        self._page: Page | None = None

    @property
    def url(self) -> str:
        """Where a person on this gateway finds the page."""
        return url_of(self._host, self._port)

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken or not ours."""
        self._sockets = await listen(self._host, self._port)
        self._port = self._sockets[0].getsockname()[1]

    async def serve(self) -> None:
        """Wait for the first visitor, load the page, serve it for ever."""
        await self._first_visitor()
        await asyncio.to_thread(_load)
        from edge.web.server import Page

        self._page = Page(self._snapshot, self._metrics, self._host, self._port, self._language)
        await self._page.start(self._sockets)
        await asyncio.Event().wait()

    async def _first_visitor(self) -> None:
        loop, knocked = asyncio.get_running_loop(), asyncio.Event()
        for listening in self._sockets:
            loop.add_reader(listening, knocked.set)
        try:
            await knocked.wait()
        finally:
            for listening in self._sockets:
                loop.remove_reader(listening)

    async def stop(self) -> None:
        """Close every stream and the port."""
        page, self._page = self._page, None
        if page is not None:
            await page.stop()
        for listening in self._sockets:
            listening.close()
        self._sockets = []


def _load() -> None:
    for name in _NEEDED:
        import_module(name)


def url_of(host: str, port: int) -> str:
    """Where a page that listens there is found from the same machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


async def listen(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of `host`; port 0 takes a free one. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            sockets.append(listening := socket.socket(family, kind, protocol))
            listening.setblocking(False)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
    except OSError:
        for listening in sockets:
            listening.close()
        raise
    return sockets
