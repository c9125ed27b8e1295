"""A backlog of ten million points, drained by the store and the delivery of an agent while live points go on.

    outbox_drain.rss         MiB, the most the draining process had
    outbox_drain.rate        points/s out of the backlog; the reference is reading and unpacking the same records alone
    outbox_drain.live_p50    ms from the commit of a live point to its arrival, while the backlog drains
    outbox_drain.live_p99    the same, 99 of 100

The receiver is a stub in this process that answers 204 at once: a database would be the bottleneck, and what is asked
here is what the agent needs. The backlog is written by the store itself, a second of a site of 50 machines a record.
SEAMLINE_BACKLOG changes its size, for a look in passing.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from benchmarks.result import Result, summarise
from benchmarks.rig.site_points import T0_NS, as_batch, encoder, second
from edge.outbox.facts import StoreSettings
from edge.outbox.reader import Reader
from edge.outbox.writer import Writer

CASES: tuple[str, ...] = ("rss", "rate", "live_p50", "live_p99")
POINTS = int(os.environ.get("SEAMLINE_BACKLOG", "10000000"))
SECONDS_MADE = 40  # different ones; the backlog repeats them under their own commit times
LIMIT_S = 900.0
_AT_ONCE_BYTES = 1_000_000


@dataclass(slots=True)
class Received:
    """What arrived at the stub."""

    points: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    live_ms: list[float] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        """One request."""
        now_ns, now_s = time.time_ns(), time.monotonic()
        self.points += body.count(b"\n") + 1
        self.first_s = self.first_s or now_s
        self.last_s = now_s
        if body.startswith(b"live,"):
            stamps = [int(line.rpartition(b" ")[2]) for line in body.split(b"\n")]
            self.live_ms += [(now_ns - stamp) / 1e6 for stamp in stamps]


def run(case: str | None) -> Iterable[Result]:
    """One backlog, drained once."""
    with tempfile.TemporaryDirectory(prefix="seamline-bench-") as folder:
        path = Path(folder) / "s.db"
        _fill(path)
        read_rate = _read_alone(path)
        received = Received()
        rss_mib = asyncio.run(_drain(path, received))
    rate = received.points / (received.last_s - received.first_s)
    live = sorted(received.live_ms)
    found = {
        "rss": summarise("outbox_drain.rss", "MiB", [rss_mib]),
        "rate": summarise("outbox_drain.rate", "points/s", [rate], [read_rate]),
        "live_p50": summarise("outbox_drain.live_p50", "ms", [statistics.median(live)]),
        "live_p99": summarise("outbox_drain.live_p99", "ms", [live[len(live) * 99 // 100]]),
    }
    for name in CASES if case is None else (case,):
        yield found[name]


def _fill(path: Path) -> None:
    encode = encoder()
    made = [second(encode, number) for number in range(SECONDS_MADE)]
    writer = Writer(StoreSettings(path, 16 << 30), encode.gap_record)
    writer.open(T0_NS)
    for number in range(POINTS // made[0].points):
        writer.commit(as_batch(number, made[number % SECONDS_MADE]), {})
    writer.close()


def _read_alone(path: Path) -> float:
    """Points per second when nothing but reading is done."""
    points, after, began = 0, 0, time.perf_counter()
    with Reader(path) as reader:
        while records := reader.stretch(after, 1 << 62, _AT_ONCE_BYTES)[0]:
            points += sum(record.points for record in records)
            after = records[-1].id
    return points / (time.perf_counter() - began)


async def _drain(path: Path, received: Received) -> float:
    """Let the child drain. Returns the most memory it had, MiB."""

    async def write(request: web.Request) -> web.Response:
        body = await request.read()
        received.take(zlib.decompress(body, 31) if body[:2] == b"\x1f\x8b" else body)
        return web.Response(status=204)

    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/write", write)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.rig.draining_agent", str(path), f"http://127.0.0.1:{port}", str(LIMIT_S),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    most_kib = 0
    try:
        async for line in child.stdout:
            if line.startswith(b"["):
                most_kib = max(most_kib, json.loads(line)[0])
        await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
        await runner.cleanup()
    return most_kib / 1024
