"""The gateway's HTTP server: the page, its data, `/metrics` and `/healthz`. The only module that uses `aiohttp.web`.

Rules.
* Read-only: GET and HEAD, no cookies, no forms; nothing here can change the agent or the plant.
* Nothing is fetched from elsewhere: fonts, scripts and styles come with the agent, and the content security policy
  forbids the rest, so the page works with every link down and tells nobody that it was opened.
* Bound to loopback it answers only to loopback's names. Otherwise any web site could point its own host name at
  127.0.0.1 and read the page with the visitor's browser (DNS rebinding). Beyond loopback it answers to addresses,
  which cannot be rebound, and to the names it was given.
* A listener that leaves or stalls disturbs nobody: see `edge.web.feed`; one that does not take an event for
  `STALL_LIMIT_S` is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import ipaddress
import json
import logging
import socket
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from edge.snapshot import Snapshot
from edge.web.address import listen, url_of
from edge.web.aiohttp_server import web
from edge.web.document import encode_snapshot
from edge.web.feed import Feed
from edge.web.health import certificates, judge

log = logging.getLogger(__name__)

STATIC = Path(__file__).with_name("static")
STALL_LIMIT_S = 20.0
_METRICS = "edge.metrics"
MAX_LISTENERS = 64  # each costs a socket and at most one event of buffer
SHUTDOWN_S = 2.0
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
CONTENT_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page, compressed once."""

    content_type: str
    etag: str
    body: bytes
    gzipped: bytes


class Page:
    """Serves one agent's page. `snapshot` and `metrics` are called on the loop, only when somebody asks."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        metrics: Callable[[], bytes],
        host: str,
        port: int,
        language: str,
        names: Collection[str] = (),
    ) -> None:
        """`port` 0 takes a free one; `language` ("zh", "en") is a new visitor's; `names` are further host names."""
        self._snapshot = snapshot
        self._metrics = metrics
        self._host = host
        self._port = port
        self._language = language
        self._names = frozenset(name.lower() for name in names)
        self._loopback = host in LOOPBACK_NAMES
        self._feed = Feed(lambda: b"event: snapshot\ndata: " + encode_snapshot(snapshot()) + b"\n\n")
        self._assets: dict[str, Asset] = {}
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port it listens on; the real one once started."""
        return self._port

    @property
    def url(self) -> str:
        """Where a person on this gateway finds the page."""
        return url_of(self._host, self._port)

    @property
    def listeners(self) -> int:
        """How many pages are open."""
        return self._feed.listeners

    async def start(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Serve on sockets that listen; without any, listen. Raises OSError when the address is taken or not ours."""
        app = web.Application(middlewares=[self._check_host])
        app.on_response_prepare.append(_add_headers)
        app.add_routes(
            [
                web.get("/", self._get_asset),
                web.get("/static/{name}", self._get_asset),
                web.get("/api/snapshot", self._get_snapshot),
                web.get("/api/events", self._get_events, allow_head=False),
                web.get("/metrics", self._get_metrics),
                web.get("/healthz", self._get_health),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        for listening in sockets or await listen(self._host, self._port):
            await web.SockSite(self._runner, listening).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close every stream and the port."""
        self._feed.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _check_host(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._answers_to(request.headers.get("Host", "")):
            raise web.HTTPMisdirectedRequest(
                text=f"This gateway's page does not answer to that host name. Open {self.url} on the gateway itself, "
                "or the gateway's IP address if the page listens beyond loopback.\n"
            )
        return await handler(request)

    def _answers_to(self, host_header: str) -> bool:
        host = _host_of(host_header)
        if host in LOOPBACK_NAMES or host in self._names:
            return True
        return not self._loopback and _is_address(host)

    async def _get_asset(self, request: web.Request) -> web.StreamResponse:
        if not self._assets:  # nobody has opened the page so far, and many gateways never see a browser
            self._assets = await asyncio.to_thread(load_assets, self._language)
        asset = self._assets.get(request.match_info.get("name", "index.html"))
        if asset is None:
            raise web.HTTPNotFound
        headers = {"ETag": asset.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if request.headers.get("If-None-Match") == asset.etag:
            return web.Response(status=304, headers=headers)
        body = asset.body
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"], body = "gzip", asset.gzipped
        return web.Response(body=body, content_type=asset.content_type, charset="utf-8", headers=headers)

    async def _get_snapshot(self, _request: web.Request) -> web.Response:
        return _json(encode_snapshot(self._snapshot()))

    async def _get_metrics(self, _request: web.Request) -> web.Response:
        if _METRICS not in sys.modules:  # with the first scrape: many sites have none
            await asyncio.to_thread(import_module, _METRICS)
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store"}
        return web.Response(body=self._metrics(), headers=headers)

    async def _get_health(self, _request: web.Request) -> web.Response:
        snapshot = self._snapshot()
        reasons, notices = judge(snapshot), certificates(snapshot)
        document = {
            "healthy": not reasons,
            "reasons": [{"code": r.code, "detail": r.detail} for r in reasons],
            "notices": [{"code": n.code, "detail": n.detail} for n in notices],
        }
        return _json(json.dumps(document, ensure_ascii=False).encode(), status=503 if reasons else 200)

    async def _get_events(self, request: web.Request) -> web.StreamResponse:
        if self._feed.listeners >= MAX_LISTENERS:
            raise web.HTTPServiceUnavailable(
                text=f"{MAX_LISTENERS} pages are open already\n", headers={"Retry-After": "10"}
            )
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        try:
            await response.prepare(request)
            await response.write(b"retry: 2000\n\n")
            async with contextlib.aclosing(self._feed.events()) as events:
                async for event in events:
                    async with asyncio.timeout(STALL_LIMIT_S):
                        await response.write(event)
        except ConnectionResetError:
            log.debug("a page was closed")
        except TimeoutError:
            log.info("a page took no event for %s s and was cut", STALL_LIMIT_S)
            if request.transport is not None:
                request.transport.abort()
        return response


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)
    response.headers["Server"] = "seamline"  # versions of libraries are nobody's business


def _json(body: bytes, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8", headers=headers)


def _host_of(header: str) -> str:
    """The name in a Host header, without port and brackets (RFC 9110 §7.2)."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def load_assets(language: str) -> dict[str, Asset]:
    """Every file of the page, by name. Blocking; done once."""
    return {file.name: _load_asset(file, language) for file in STATIC.iterdir()}


def _load_asset(file: Path, language: str) -> Asset:
    body = file.read_bytes()
    if file.name == "index.html":
        body = body.replace(b'<html lang="zh">', f'<html lang="{language}">'.encode())
    etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    return Asset(CONTENT_TYPES[file.suffix], etag, body, gzip.compress(body, 9, mtime=0))
