"""The page's server over real sockets: what it serves, what it refuses, and that nobody can disturb anybody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import aiohttp
import pytest
from blockbuster import BlockBuster
from fixtures.plant import snapshot

from edge.clock import ManualClock
from edge.metrics import Metrics
from edge.snapshot import Snapshot
from edge.web import server
from edge.web.server import Page


class Agent:
    """What a page looks at; the tests change it."""

    def __init__(self) -> None:
        self.view = snapshot()
        self.looked = 0

    def __call__(self) -> Snapshot:
        self.looked += 1
        return self.view


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
async def page(agent: Agent) -> AsyncIterator[Page]:
    served = Page(agent, lambda: b"seamline_up 1\n", "127.0.0.1", 0, "zh")
    await served.start()
    try:
        yield served
    finally:
        await served.stop()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_the_real_port_is_known_once_started(page: Page, client: aiohttp.ClientSession) -> None:
    assert page.port > 0
    assert page.url == f"http://127.0.0.1:{page.port}/"
    async with client.get(page.url) as response:
        assert response.status == 200
        assert response.content_type == "text/html"


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("", "text/html"),
        ("static/page.css", "text/css"),
        ("static/main.js", "text/javascript"),
        ("static/icon.svg", "image/svg+xml"),
        ("api/snapshot", "application/json"),
        ("metrics", "text/plain"),
        ("healthz", "application/json"),
        ("nowhere", "text/plain"),
        ("static/..%2fserver.py", "text/plain"),
    ],
)
async def test_every_answer_carries_the_security_headers(
    page: Page, client: aiohttp.ClientSession, path: str, content_type: str
) -> None:
    """No inline script or style, nothing from elsewhere, no cookie, no library versions; errors included."""
    async with client.get(page.url + path) as response:
        assert response.content_type == content_type
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Server"] == "seamline"
        assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_the_page_can_only_be_read(page: Page, client: aiohttp.ClientSession, method: str) -> None:
    for path in ("", "api/snapshot", "api/events", "metrics", "healthz"):
        async with client.request(method, page.url + path) as response:
            assert response.status == 405


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "10.0.0.7", "[::2]:1"]
)
async def test_foreign_host_names_are_refused_on_loopback(page: Page, client: aiohttp.ClientSession, host: str) -> None:
    """DNS rebinding: the browser of a visitor must not be able to read the page under another site's name."""
    async with client.get(page.url + "api/snapshot", headers={"Host": host}) as response:
        assert response.status == 421
        assert "xiantao" not in await response.text()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1", "[::1]:8080"])
async def test_loopback_answers_to_its_names_on_any_forwarded_port(
    page: Page, client: aiohttp.ClientSession, host: str
) -> None:
    async with client.get(page.url, headers={"Host": host}) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("host", "status"), [("10.0.0.7:8080", 200), ("gateway-7:8080", 200), ("[fe80::1]", 200), ("evil.example", 421)]
)
async def test_beyond_loopback_addresses_and_given_names_are_answered(
    agent: Agent, client: aiohttp.ClientSession, host: str, status: int
) -> None:
    page = Page(agent, lambda: b"", "0.0.0.0", 0, "en", names=("Gateway-7",))
    await page.start()
    try:
        async with client.get(page.url, headers={"Host": host}) as response:
            assert response.status == status
    finally:
        await page.stop()


async def test_a_taken_port_is_an_oserror(page: Page, agent: Agent) -> None:
    second = Page(agent, lambda: b"", "127.0.0.1", page.port, "zh")
    with pytest.raises(OSError, match=r"(?i)address already in use"):
        await second.start()
    await second.stop()


async def test_the_default_language_is_in_the_document(agent: Agent, client: aiohttp.ClientSession) -> None:
    page = Page(agent, lambda: b"", "127.0.0.1", 0, "en")
    await page.start()
    try:
        async with client.get(page.url) as response:
            assert '<html lang="en">' in await response.text()
    finally:
        await page.stop()


async def test_files_are_compressed_and_revalidated(page: Page, client: aiohttp.ClientSession) -> None:
    async with client.get(page.url + "static/page.css") as response:
        assert response.headers["Content-Encoding"] == "gzip"
        etag, text = response.headers["ETag"], await response.text()
    async with client.get(page.url + "static/page.css", headers={"Accept-Encoding": "identity"}) as response:
        assert "Content-Encoding" not in response.headers
        assert await response.text() == text
    async with client.get(page.url + "static/page.css", headers={"If-None-Match": etag}) as response:
        assert (response.status, await response.read()) == (304, b"")


async def test_metrics_and_snapshot_are_what_the_agent_gives(page: Page, client: aiohttp.ClientSession) -> None:
    async with client.get(page.url + "metrics") as response:
        assert await response.read() == b"seamline_up 1\n"
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    async with client.get(page.url + "api/snapshot") as response:
        assert [machine["id"] for machine in (await response.json())["machines"]] == [m.id for m in snapshot().machines]


async def test_health_is_a_status_and_reasons(page: Page, agent: Agent, client: aiohttp.ClientSession) -> None:
    async with client.get(page.url + "healthz") as response:
        assert (response.status, await response.json()) == (200, {"healthy": True, "reasons": [], "notices": []})
    agent.view = replace(agent.view, store=replace(agent.view.store, error="disk full"))
    async with client.get(page.url + "healthz") as response:
        assert response.status == 503
        assert (await response.json())["reasons"] == [{"code": "store-error", "detail": "disk full"}]


async def until(condition: Callable[[], bool], deadline_s: float = 60.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110  the page has no event for "somebody joined": nothing but a test wants it
            await asyncio.sleep(0.01)


async def read_events(response: aiohttp.ClientResponse, count: int) -> list[dict[str, object]]:
    events = []
    async for line in response.content:
        if line.startswith(b"data: "):
            events.append(json.loads(line[6:]))
        if len(events) == count:
            break
    return events


async def test_events_arrive_once_a_second_and_cost_nothing_when_nobody_listens(
    page: Page, agent: Agent, client: aiohttp.ClientSession
) -> None:
    loop = asyncio.get_running_loop()
    async with client.get(page.url + "api/events") as response:
        assert response.content_type == "text/event-stream"
        start_s = loop.time()
        events = await read_events(response, 3)
        assert 1.5 < loop.time() - start_s < 4
        assert events[0]["site"] == "xiantao-01"
    await until(lambda: not page.listeners)
    looked = agent.looked
    await asyncio.sleep(1.5)
    assert agent.looked == looked


async def test_a_client_that_never_reads_disturbs_nobody_and_is_cut(
    page: Page, agent: Agent, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kernel buffers fill, its write blocks, the others get every event; then its connection goes."""
    monkeypatch.setattr(server, "STALL_LIMIT_S", 2.0)
    page._feed._period_s = 0.02
    agent.view = snapshot(machines=600)  # about a megabyte per event: buffers fill at once
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(stalled, ("127.0.0.1", page.port))
        await loop.sock_sendall(stalled, b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: page.listeners == 1)
        agent.view = snapshot()
        async with client.get(page.url + "api/events", read_bufsize=2**22) as response:
            await read_events(response, 5)
            assert page.listeners == 2
            async with asyncio.timeout(60):
                while page.listeners > 1:
                    await read_events(response, 1)
            await read_events(response, 2)
        # Its connection and what was buffered for it are let go although it never read a byte.
        assert page._runner is not None
        assert page._runner.server is not None
        connections = page._runner.server
        await until(lambda: len(connections.connections) == 0)


async def test_too_many_open_pages_are_told_so(
    page: Page, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_LISTENERS", 1)
    async with client.get(page.url + "api/events") as first:
        await read_events(first, 1)
        async with client.get(page.url + "api/events") as second:
            assert second.status == 503
            assert second.headers["Retry-After"] == "10"


async def test_stopping_ends_open_streams_quickly(agent: Agent, client: aiohttp.ClientSession) -> None:
    page = Page(agent, lambda: b"", "127.0.0.1", 0, "zh")
    await page.start()
    async with client.get(page.url + "api/events") as response:
        await read_events(response, 1)
        async with asyncio.timeout(3):
            await page.stop()
            with contextlib.suppress(aiohttp.ClientPayloadError):
                assert await response.content.read() is not None


async def test_nothing_here_blocks_the_loop(
    agent: Agent, client: aiohttp.ClientSession, no_blocking: BlockBuster
) -> None:
    """Polling shares the loop with the page: starting, serving, scraping and stopping may not stop it."""
    for name in ("io.BufferedReader.read", "os.listdir"):  # /proc is memory, not a disk
        no_blocking.functions[name].can_block_in("prometheus_client/process_collector.py", {"collect", "_boot_time"})
    metrics = Metrics(agent, ManualClock())
    page = Page(agent, metrics.render, "127.0.0.1", 0, "zh")
    await page.start()
    try:
        for path in ("", "static/page.css", "api/snapshot", "metrics", "healthz"):
            async with client.get(page.url + path) as response:
                assert response.status == 200
        async with client.get(page.url + "api/events") as response:
            await read_events(response, 1)
    finally:
        await page.stop()
