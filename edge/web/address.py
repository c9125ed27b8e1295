"""Where the page is found: the sockets it listens on, and what a person types."""

from __future__ import annotations

import asyncio
import socket

BACKLOG = 128  # connections that wait until somebody accepts


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
