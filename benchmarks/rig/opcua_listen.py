"""A client as a process of its own: ours, or asyncua's bare one, on COUNT nodes for SECONDS; tells what it cost.

    opcua_listen.py ours|iterator URL COUNT PERIOD_MS SECONDS

Ours is the poller with its image and a receiver that only looks: value, quality, source time, server time and the
clock's arrival are kept of every notification. The server's values count its beats, so that every item tells what it
lost: the steps between its first and its last value, less the notifications that came. `iterator` is asyncua's fastest
mode (no handler, a queue large enough to drop nothing), its events taken and thrown away. Prints one JSON object:
notifications, CPU seconds, RSS, values that never came, latency from the source time stamp to the image.
"""

from __future__ import annotations

import asyncio
import gc
import json
import operator
import sys
import time
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

NODE = "nsu=urn:seamline:peer;s=V{}"
_SETTLE_S = 2.0


class Tally:
    """What arrived."""

    def __init__(self) -> None:
        self.values = 0
        self.lost = 0
        self.received: Counter[int] = Counter()  # notifications, by tag
        self.latency_ns = array("q")
        self.counting = False


async def ours(url: str, count: int, period_ms: int, tally: Tally) -> Callable[[], Awaitable[int]]:
    """The poller; returns what stops it and tells how many notifications it heard."""
    from edge.clock import SystemClock
    from edge.plan import OpcuaDevice
    from edge.poll.opcua import OpcuaPoller
    from protocols.opcua.tags import OpcuaEndpoint, OpcuaTag
    from protocols.reading import DeviceFact, Frame, Past, TagImage

    tags = tuple(OpcuaTag(f"t{i}", NODE.format(i), sampling_ns=0) for i in range(count))
    endpoint = OpcuaEndpoint(
        url, security="None", publishing_ns=min(period_ms, 500) * 1_000_000, deadline_ns=30 * 10**9
    )
    image = TagImage(count)
    began: list[int] = []  # values as the counting began

    class Looker:
        complete = asyncio.Event()

        def on_frame(self, frame: Frame) -> None:
            if not self.complete.is_set() and not any(image.quality):
                self.complete.set()
            if began:
                tally.received.update(frame.tags)
            elif tally.counting:
                began.extend(image.i64)  # as this frame left them: its own are not counted
            if tally.counting and frame.tags:
                tally.values += len(frame.tags)
                tally.latency_ns.append(time.time_ns() - image.source_ns[frame.tags[0]])

        def on_fact(self, fact: DeviceFact) -> None:
            print(fact.reason, file=sys.stderr)

        def on_past(self, past: Past) -> None:
            """None is kept."""

    looker = Looker()
    poller = OpcuaPoller(OpcuaDevice(0, "bench", "generic", endpoint, tags), image, looker, SystemClock())
    task = asyncio.create_task(poller.run())
    async with asyncio.timeout(120):
        await looker.complete.wait()

    async def stop() -> int:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        steps = map(operator.sub, image.i64, began)
        tally.lost = sum(max(0, step - tally.received[tag]) for tag, step in enumerate(steps))
        tally.lost += poller.overflows
        return tally.values

    return stop


async def iterator(url: str, count: int, period_ms: int, tally: Tally) -> Callable[[], Awaitable[int]]:
    """asyncua without a handler, every event taken from its queue."""
    from asyncua.client.client import Client

    client = Client(url, timeout=30)
    await client.connect()
    index = await client.get_namespace_index("urn:seamline:peer")
    nodes = [client.get_node(f"ns={index};s=V{i}") for i in range(count)]
    subscription = await client.create_subscription(min(period_ms, 500), None, queue_maxsize=10 * count)
    for at in range(0, count, 1000):
        await subscription.subscribe_data_change(nodes[at : at + 1000], queuesize=10, sampling_interval=0)

    async def take() -> None:
        async for _ in subscription:
            if tally.counting:
                tally.values += 1

    task = asyncio.create_task(take())
    await asyncio.sleep(_SETTLE_S)

    async def stop() -> int:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return tally.values

    return stop


def resident_mib() -> float:
    """RSS of this process."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096 / 2**20


async def main(which: str, url: str, count: int, period_ms: int, seconds: float) -> None:
    """Settle, measure, tell."""
    tally = Tally()
    stop = await (ours if which == "ours" else iterator)(url, count, period_ms, tally)
    await asyncio.sleep(_SETTLE_S)
    gc.collect()
    tally.counting = True
    before_s, began_s = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    cpu_s, lasted_s = time.process_time() - before_s, time.monotonic() - began_s
    tally.counting = False
    rss_mib = resident_mib()
    await stop()
    latency = sorted(tally.latency_ns)
    told = {
        "values": tally.values,
        "cpu_s": cpu_s,
        "seconds": lasted_s,
        "rss_mib": rss_mib,
        "lost": tally.lost,
        "p50_ms": latency[len(latency) // 2] / 1e6 if latency else None,
        "p99_ms": latency[len(latency) * 99 // 100] / 1e6 if latency else None,
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])))
