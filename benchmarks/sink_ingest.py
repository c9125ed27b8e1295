"""From the store into a real database, end to end: points a second until the last is acknowledged and the cursor moved.

    influx1         InfluxDB 1.x
    victoria        VictoriaMetrics, its lines rewritten on the way

The points lie in the store as the agent writes them (records of a commit, compressed, checksummed) and go through the
same delivery. The reference, in the same run against the same server, is a loop that only POSTs: bodies of the same
points and size that were made before, one after the other over a kept connection, nothing read, checked or remembered.
`_cpu` is the CPU time of our side per point, beside that of the loop.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path

import aiohttp

from benchmarks.result import Result, summarise
from benchmarks.rig.databases import DATABASE, influx1, victoria
from edge.clock import SystemClock
from edge.delivery import Delivery
from edge.encode import Encoder
from edge.outbox.batch import Batch, Record
from edge.outbox.facts import StoreSettings
from edge.outbox.store import Outbox
from edge.plan import InfluxSink, Name, Site, VictoriaRules
from edge.points import RecordClass
from edge.sinks.factory import make_sink
from ext.lineprotocol import Schema, encode_prefix, encode_rows

CASES = ("influx1", "victoria")
RUNS = 5
POINTS = 90_000
BATCH_BYTES = 1_000_000
_PER_COMMIT = 600
_DEADLINE_S = 120.0
_SITE = Site("bench", "e", "p", "c", "Asia/Shanghai", Name("b", "b"))
_SERVERS = {"influx1": influx1, "victoria": victoria}

Spent = tuple[float, float]  # seconds by the clock, and of our CPU


def run(case: str | None) -> Iterable[Result]:
    """Every case, or one."""
    for name in CASES if case is None else (case,):
        ours: list[Spent] = []
        loops: list[Spent] = []
        with tempfile.TemporaryDirectory(prefix="seamline-bench-") as folder:
            home = Path(folder)
            with _SERVERS[name](home / "server") as url:
                for turn in range(RUNS + 1):  # the first is not counted: the server makes its files
                    for work, spent in ((_ours, ours), (_loop, loops))[:: 1 if turn % 2 else -1]:
                        result = asyncio.run(work(name, url, home / f"store-{turn}", 2 * turn + (work is _ours)))
                        if turn:
                            spent.append(result)
        rates = [[POINTS / wall_s for wall_s, _ in spent] for spent in (ours, loops)]
        yield summarise(f"sink_ingest.{name}", "points/s", *rates)
        yield summarise(
            f"sink_ingest.{name}_cpu", "us/point", *([s / POINTS * 1e6 for _, s in x] for x in (ours, loops))
        )


def _lines(turn: int) -> list[bytes]:
    """Ten floats a point, of twelve machines, in pieces of one commit. Every turn has points of its own."""
    rng = random.Random(turn)
    schema = Schema((f"field_{n}", "float") for n in range(10))
    prefixes = [encode_prefix("bench", [("site", "p3"), ("turn", str(turn)), ("machine", f"m{n}")]) for n in range(12)]
    now_ns = time.time_ns() // 1_000_000_000 * 1_000_000_000
    made = []
    for start in range(0, POINTS, _PER_COMMIT):
        numbers = range(start, start + _PER_COMMIT)
        rows = [tuple(round(rng.uniform(-500, 500), 3) for _ in range(10)) for _ in numbers]
        times = [now_ns - (POINTS - n) // 12 * 1_000_000_000 for n in numbers]
        made.append(encode_rows(schema, [prefixes[n % 12] for n in numbers], rows, times)[0])
    return made


async def _timed(work: Callable[[], Awaitable[None]]) -> Spent:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    await work()
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


async def _loop(case: str, url: str, store: Path, turn: int) -> Spent:
    """The same points in bodies of the same size, and nothing else."""
    lines = b"\n".join(_lines(turn)).split(b"\n")
    per_body = BATCH_BYTES * len(lines) // sum(len(line) + 1 for line in lines)
    bodies = [b"\n".join(lines[n : n + per_body]) for n in range(0, len(lines), per_body)]
    async with aiohttp.ClientSession() as session:

        async def post() -> None:
            for body in bodies:
                params = {"db": DATABASE, "precision": "ns"}
                async with session.post(f"{url}/write", params=params, data=body) as reply:
                    if reply.status != 204:
                        raise RuntimeError(f"{case}: {reply.status} {await reply.text()}")

        return await _timed(post)


async def _ours(case: str, url: str, store: Path, turn: int) -> Spent:
    """The store, the delivery, the sink."""
    clock = SystemClock()
    rules = VictoriaRules() if case == "victoria" else None
    sink = make_sink(InfluxSink("bench", 1, url, DATABASE if rules is None else "", victoria=rules))
    outbox = Outbox(StoreSettings(store, 1 << 30, sinks=(sink.id,)), clock, Encoder(_SITE).gap_record)
    await outbox.open()
    for lines in _lines(turn):
        await outbox.commit(Batch(clock.now_ns(), (Record(RecordClass.LIVE, lines, _PER_COMMIT),)))
    delivery = Delivery(outbox, sink, clock, batch_bytes=BATCH_BYTES)

    async def deliver() -> None:
        task = asyncio.create_task(delivery.run())
        if not await delivery.drained(_DEADLINE_S):
            raise RuntimeError(f"{case}: not delivered: {delivery.view(await outbox.stats()).error}")
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    spent = await _timed(deliver)
    await sink.close()
    await outbox.close()
    return spent
