"""The page's address is there from the start, the page from the first visitor on; no PLC waits while it is loaded."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest
from fixtures.plant import snapshot

from edge.web.door import Door

VISIT = """
import asyncio, sys, threading, urllib.request

class Spy:
    "Notes what the event loop's own thread has to import."
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            imported.append(name)

imported = []
from edge.web.door import Door

def metrics():
    from edge.metrics import Metrics
    return Metrics.__name__.encode()

async def main():
    door = Door(lambda: None, metrics, "127.0.0.1", 0, "zh")
    await door.start()
    serving = asyncio.create_task(door.serve())
    await asyncio.sleep(0)
    print("aiohttp" in sys.modules)
    sys.meta_path.insert(0, Spy())
    for path in ("", "metrics"):
        with await asyncio.to_thread(urllib.request.urlopen, door.url + path) as answer:
            print(answer.status)
    heavy = ("aiohttp.web", "prometheus_client", "edge.kpi.catalogue", "edge.kpi.evidence")
    waited_for = [name for name in imported if name.startswith(("aiohttp", "edge", "prometheus"))]
    print([name for name in heavy if name not in sys.modules], waited_for)
    serving.cancel()
    await asyncio.wait([serving])
    await door.stop()

asyncio.run(main())
"""


def _door(port: int = 0) -> Door:
    return Door(snapshot, lambda: b"seamline_up 1\n", "127.0.0.1", port, "zh")


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    opened = _door()
    await opened.start()
    serving = asyncio.create_task(opened.serve())
    try:
        yield opened
    finally:
        serving.cancel()
        await asyncio.wait([serving])
        await opened.stop()


def test_nothing_is_loaded_before_the_first_visitor_and_then_not_by_the_loop() -> None:
    told = subprocess.run([sys.executable, "-Ic", VISIT], check=True, capture_output=True, text=True).stdout
    assert told.split("\n") == ["False", "200", "200", "[] []", ""]


async def test_visitors_that_come_together_are_all_answered(door: Door) -> None:
    async def visit() -> int:
        async with aiohttp.ClientSession() as session, session.get(f"{door.url}api/snapshot") as response:
            await response.read()
            return response.status

    assert await asyncio.gather(*(visit() for _ in range(8))) == [200] * 8


async def test_a_taken_port_is_told_at_the_start(door: Door) -> None:
    second = _door(int(door.url.rpartition(":")[2].strip("/")))
    with pytest.raises(OSError, match=r"(?i)address already in use"):
        await second.start()
    await second.stop()


@pytest.mark.parametrize("visited", [False, True])
async def test_a_door_that_is_shut_gives_its_port_back(visited: bool) -> None:
    door = _door()
    await door.start()
    port = int(door.url.rpartition(":")[2].strip("/"))
    serving = asyncio.create_task(door.serve())
    await asyncio.sleep(0)
    if visited:
        async with aiohttp.ClientSession() as session, session.get(door.url) as response:
            assert response.status == 200
    serving.cancel()
    await asyncio.wait([serving])
    await door.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
