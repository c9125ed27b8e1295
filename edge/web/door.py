"""The page's address from the start on, and the page behind it from the first visitor on.

Theory. A server for HTTP is the largest thing the agent could import, about 7 MiB, and on many gateways nobody ever
opens the page. A socket that listens needs none of it: the system keeps a visitor's connection in the socket's backlog
until somebody accepts. So the door binds and listens, waits until the first knock, and hands the sockets to the server
it loads then.

Rules.
* What a visitor needs is loaded in a thread: the loop goes on asking PLCs, and waits at most for the interpreter's
  switch interval (`edge.agent.SWITCH_S`) at a time. That goes for the table of figures and its arithmetic too.
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
from edge.web.address import listen, url_of

if TYPE_CHECKING:
    from edge.web.server import Page

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
