"""Reference of CPU: the same requests at the same intervals, and nothing made of the answers.

Modbus over asyncio streams, bytes thrown away; OPC UA by asyncua's own subscription into a handler that does nothing.
uvloop, as the agent. Run by path; reads what to ask from standard input (`lines.requests_of`), says "ready".
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
from typing import Any

import uvloop


async def ask(lock: asyncio.Lock, stream: tuple[asyncio.StreamReader, asyncio.StreamWriter], what: Any) -> None:
    reader, writer = stream
    request = struct.pack(">HHHBBHH", 1, 0, 6, what["unit"], what["table"], what["address"], what["quantity"])
    interval_s = what["interval_ns"] / 1e9
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    while True:
        async with lock:
            writer.write(request)
            header = await reader.readexactly(6)
            await reader.readexactly(int.from_bytes(header[4:6], "big"))
        due_s += interval_s
        await asyncio.sleep(due_s - loop.time())


async def poll(device: Any, tasks: list[asyncio.Task[None]]) -> None:
    stream = await asyncio.open_connection(device["host"], device["port"])
    lock = asyncio.Lock()
    tasks += [asyncio.create_task(ask(lock, stream, what)) for what in device["requests"]]


class Deaf:
    def datachange_notification(self, node: object, value: object, data: object) -> None:
        """Nothing."""


async def subscribe(server: Any, kept: list[object]) -> None:
    from asyncua.client.client import Client

    client = Client(server["url"])
    await client.connect()
    subscription = await client.create_subscription(server["publishing_ms"], Deaf())
    for sampling_ms in sorted({ms for _, ms in server["nodes"]}):
        nodes = [client.get_node(node) for node, ms in server["nodes"] if ms == sampling_ms]
        await subscription.subscribe_data_change(nodes, sampling_interval=sampling_ms)
    kept += [client, subscription]


async def main() -> None:
    what = json.load(sys.stdin)
    tasks: list[asyncio.Task[None]] = []
    kept: list[object] = []
    for device in what["modbus"]:
        await poll(device, tasks)
    for server in what["opcua"]:
        await subscribe(server, kept)
    print("ready", flush=True)
    await asyncio.gather(*tasks)


uvloop.run(main())
