"""From a change in a PLC until a query of the database shows it: ms, p50 and p99 over the changes of a run.

    default             commit interval as a site has it where nothing is said
    default_backlog     the same while a backlog drains at the default rate
    low                 the low-latency setting, `store: {commit_s: 0.05}`
    low_backlog         the same while a backlog drains

The real agent polls a Modbus TCP device every 100 ms and writes to a real InfluxDB 1.x, all on loopback. Five registers
change, each at moments of its own, 100 to 200 ms apart and seeded; a watcher asks the database for all of them every
10 ms. Each of the 1,000 changes is timed by itself: from the moment its register holds the new value until an answer
holds it (or a later one), so waiting for the poll, and for the watcher's turn, is part of it.
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
REGISTERS = 5
CHANGE_S = (0.1, 0.2)
LOOK_S = 0.01
LOW_COMMIT_S = 0.05
BACKLOG_BYTES_PER_S = 2_000_000  # the default of a sink
_FIRST = 1200
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
    """A Modbus TCP server whose registers are 0, but for those that change."""

    changed_s: list[list[float]] = field(default_factory=lambda: [[] for _ in range(REGISTERS)])  # by value, from 1
    _lines: list[asyncio.StreamWriter] = field(default_factory=list)

    def change(self, register: int) -> None:
        self.changed_s[register].append(time.monotonic())

    def value(self, address: int) -> int:
        register = address - _FIRST
        return len(self.changed_s[register]) if 0 <= register < REGISTERS else 0

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
                registers = [self.value(address + n) for n in range(count)]
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
    store, each = folder / "seamline.db", CHANGES // REGISTERS
    if case.endswith("_backlog"):
        await _fill(store, int((each * sum(CHANGE_S) / 2 + 3 * _SETTLE_S) * BACKLOG_BYTES_PER_S))
    async with _plc() as (plc, port):
        site_file = _site_file(folder, store, url, port, LOW_COMMIT_S if case.startswith("low") else None)
        with agent_with(site_file) as agent:
            async with aiohttp.ClientSession() as session:
                watcher = Watcher(session, url)
                for register in range(REGISTERS):
                    plc.change(register)
                await watcher.until(1, agent)
                await asyncio.sleep(_SETTLE_S)
                looking = asyncio.create_task(watcher.until(each + 1, agent))
                await asyncio.gather(*(_changes(plc, register, each) for register in range(REGISTERS)))
                async with asyncio.timeout(_PATIENCE_S):
                    await looking
                if case.endswith("_backlog") and not await watcher.is_behind():
                    raise RuntimeError(f"{case}: the backlog ended before the changes did")
    timed = zip(watcher.seen, plc.changed_s, strict=True)
    return [(seen - at) * 1e3 for register in timed for seen, at in list(zip(*register, strict=True))[1:]]


async def _changes(plc: Plc, register: int, times: int) -> None:
    rng = random.Random(register)
    for _ in range(times):
        await asyncio.sleep(rng.uniform(*CHANGE_S))
        plc.change(register)


class Watcher:
    """Asks the database, and notes when it showed each value of each register."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url}/query"
        self.seen: list[list[float]] = [[] for _ in range(REGISTERS)]  # by value, from 1

    async def until(self, value: int, agent: Program) -> None:
        """Until the database shows `value` of every register."""
        while min(map(len, self.seen)) < value:
            agent.alive()
            await asyncio.sleep(LOOK_S)
            newest, now_s = await self._newest(), time.monotonic()
            for register, seen in enumerate(self.seen):
                seen += [now_s] * (newest.get(f"probe-{register}", 0) - len(seen))

    async def is_behind(self) -> bool:
        """The newest point of the backlog has not come."""
        return not await self._ask('SELECT "last" FROM "old" LIMIT 1')

    async def _newest(self) -> dict[str, int]:
        query = 'SELECT last("value") FROM "tag" WHERE "name" =~ /^probe-/ AND time > now() - 1m GROUP BY "name"'
        return {one["tags"]["name"]: int(one["values"][0][1]) for one in await self._ask(query)}

    async def _ask(self, query: str) -> list[Any]:
        address = f"{self._url}?{urllib.parse.urlencode({'q': query, 'db': DATABASE})}"
        async with self._session.get(address) as reply:
            answer: Any = json.loads(await reply.read())
        return list(answer["results"][0].get("series", ()))


def _site_file(folder: Path, store: Path, url: str, plc_port: int, commit_s: float | None) -> Path:
    process = {"deadband": 0, "interval_s": 60}
    probes = {
        f"probe-{n}": {"address": f"D{_FIRST + n}", "type": "u16", "interval_s": 0.1, "process": process}
        for n in range(REGISTERS)
    }
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
                "tags": probes,
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
    """A backlog of an hour ago, of that many bytes of line protocol; its very last point has the field `last`."""
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
    mark = Record(RecordClass.LIVE, prefix + b" last=1i %d" % (t_ns + 600), 1)
    await outbox.commit(Batch(clock.now_ns() - 3_600_000_000_000, (mark,)))
    await outbox.close()
