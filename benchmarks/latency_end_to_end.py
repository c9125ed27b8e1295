"""From a change in a PLC until a query of the database shows it: ms, p50 and p99 over the changes of a run.

    default             commit interval as a site has it where nothing is said
    default_backlog     the same while a backlog drains at the default rate
    low                 the low-latency setting, `store: {commit_s: 0.05}`
    low_backlog         the same while a backlog drains

The real agent polls one Modbus TCP register every 100 ms and writes to a real InfluxDB 1.x, all on loopback; the
register changes every 150 ms, and a watcher asks the database every 10 ms. Each change counts from the moment the
register holds the new value until an answer holds it (or a later one), so waiting for the poll is part of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import struct
import tempfile
import time
import urllib.parse
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from benchmarks.result import Result, summarise
from benchmarks.rig.databases import DATABASE, free_port, influx1
from benchmarks.rig.lines import agent_with
from benchmarks.rig.process import Program
from edge.clock import SystemClock
from edge.encode import Encoder
from edge.outbox.batch import Batch, Record
from edge.outbox.facts import StoreSettings
from edge.outbox.store import Outbox
from edge.plan import Name, Site
from edge.points import RecordClass
from ext.lineprotocol import Schema, encode_prefix, encode_rows

CASES = ("default", "default_backlog", "low", "low_backlog")
CHANGES = int(os.environ.get("SEAMLINE_CHANGES", "1000"))
CHANGE_S = 0.15
LOOK_S = 0.01
LOW_COMMIT_S = 0.05
BACKLOG_BYTES_PER_S = 2_000_000  # the default of a sink
_REGISTER = 1200
_SETTLE_S = 3.0
_PATIENCE_S = 20.0
_SITE = Site("bench", "e", "p", "c", "Asia/Shanghai", Name("b", "b"))


def run(case: str | None) -> Iterable[Result]:
    """Every case, or one."""
    for name in CASES if case is None else (case,):
        with tempfile.TemporaryDirectory(prefix="seamline-bench-") as folder, influx1(Path(folder) / "influx") as url:
            latencies_ms = asyncio.run(_measure(name, url, Path(folder)))
        for figure, part in (("p50", 50), ("p99", 99)):
            value = statistics.quantiles(latencies_ms, n=100)[part - 1]
            result = summarise(f"latency_end_to_end.{name}_{figure}", "ms", [value])
            yield Result(result.name, value, "ms", None, None, min(latencies_ms), max(latencies_ms), len(latencies_ms))


@dataclass(slots=True)
class Plc:
    """A Modbus TCP server whose registers are 0, but for the one that changes."""

    value: int = 0
    changed_s: list[float] = field(default_factory=list)  # by value, from 1
    _lines: list[asyncio.StreamWriter] = field(default_factory=list)

    def change(self) -> None:
        self.value += 1
        self.changed_s.append(time.monotonic())

    def hang_up(self) -> None:
        for line in self._lines:
            line.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.append(writer)
        while head := await reader.read(7):
            number, _, size, unit = struct.unpack(">HHHB", head)
            function, address, count = struct.unpack(">BHH", await reader.readexactly(size - 1))
            if function in (1, 2):
                data = bytes((count + 7) // 8)
            else:
                registers = [self.value if address + n == _REGISTER else 0 for n in range(count)]
                data = struct.pack(f">{count}H", *registers)
            body = struct.pack(">BBB", unit, function, len(data)) + data
            writer.write(struct.pack(">HHH", number, 0, len(body)) + body)


@asynccontextmanager
async def _plc() -> AsyncIterator[tuple[Plc, int]]:
    plc = Plc()
    server = await asyncio.start_server(plc.serve, "127.0.0.1", 0)
    try:
        yield plc, server.sockets[0].getsockname()[1]
    finally:
        plc.hang_up()
        server.close()
        await asyncio.sleep(0)


async def _measure(case: str, url: str, folder: Path) -> list[float]:
    store = folder / "seamline.db"
    if case.endswith("_backlog"):
        await _fill(store, int((CHANGES * CHANGE_S + 2 * _SETTLE_S) * BACKLOG_BYTES_PER_S))
    async with _plc() as (plc, port):
        site_file = _site_file(folder, store, url, port, LOW_COMMIT_S if case.startswith("low") else None)
        with agent_with(site_file) as agent:
            async with aiohttp.ClientSession() as session:
                watcher = Watcher(session, url)
                plc.change()
                await watcher.until(1, agent)
                await asyncio.sleep(_SETTLE_S)
                looking = asyncio.create_task(watcher.until(CHANGES + 1, agent))
                for _ in range(CHANGES):
                    await asyncio.sleep(CHANGE_S)
                    plc.change()
                async with asyncio.timeout(_PATIENCE_S):
                    await looking
    seen, at = watcher.seen, plc.changed_s
    return [(seen[value - 1] - at[value - 1]) * 1e3 for value in range(2, CHANGES + 2)]


class Watcher:
    """Asks the database, and notes when it showed each value."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url}/query"
        self.seen: list[float] = []  # by value, from 1

    async def until(self, value: int, agent: Program) -> None:
        """Until the database shows `value`."""
        while len(self.seen) < value:
            agent.alive()
            await asyncio.sleep(LOOK_S)
            newest = await self._newest()
            self.seen += [time.monotonic()] * (newest - len(self.seen))

    async def _newest(self) -> int:
        query = 'SELECT last("value") FROM "tag" WHERE "name" = \'probe\' AND time > now() - 1m'
        address = f"{self._url}?{urllib.parse.urlencode({'q': query, 'db': DATABASE})}"
        async with self._session.get(address) as reply:
            answer: Any = json.loads(await reply.read())
        series = answer["results"][0].get("series")
        return int(series[0]["values"][0][1]) if series else 0


def _site_file(folder: Path, store: Path, url: str, plc_port: int, commit_s: float | None) -> Path:
    process = {"deadband": 0, "interval_s": 60}
    probe = {"address": f"D{_REGISTER}", "type": "u16", "interval_s": 0.1, "process": process}
    site = {
        "site": {"id": "bench", "enterprise": "e", "province": "p", "city": "c"},
        "devices": [{"id": "plc-1", "template": "inovance-h5u", "host": "127.0.0.1", "port": plc_port}],
        "machines": [
            {
                "id": "tape-01",
                "line": "l1",
                "template": "tape-sealer",
                "device": "plc-1",
                "base": "D1000",
                "tags": {"probe": probe},
            }
        ],
        "sinks": [{"id": "main", "type": "influxdb1", "url": url, "database": DATABASE}],
        "agent": {
            "store": {"path": str(store), **({"commit_s": commit_s} if commit_s else {})},
            "page": {"port": free_port()},
        },
    }
    file = folder / "site.yaml"
    file.write_text(yaml.safe_dump(site, allow_unicode=True), "utf-8")
    return file


async def _fill(store: Path, size_bytes: int) -> None:
    """A backlog of an hour ago, of that many bytes of line protocol."""
    clock = SystemClock()
    outbox = Outbox(StoreSettings(store, 8 << 30, sinks=("main",)), clock, Encoder(_SITE).gap_record)
    await outbox.open()
    rng = random.Random(1)
    schema = Schema((f"field_{n}", "float") for n in range(10))
    prefix = encode_prefix("old", [("site", "p3"), ("line", "l1"), ("machine", "m1")])
    t_ns = clock.now_ns() - 3_600_000_000_000
    while size_bytes > 0:
        rows = [tuple(round(rng.uniform(-500, 500), 3) for _ in range(10)) for _ in range(600)]
        t_ns += 1_000_000_000
        lines, points = encode_rows(schema, [prefix] * 600, rows, range(t_ns, t_ns + 600))
        await outbox.commit(Batch(clock.now_ns() - 3_600_000_000_000, (Record(RecordClass.LIVE, lines, points),)))
        size_bytes -= len(lines)
    await outbox.close()
