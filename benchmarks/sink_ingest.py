"""From the store into a real database, end to end: points a second until the last is acknowledged and the cursor moved.

    influx1         InfluxDB 1.x
    victoria        VictoriaMetrics, its lines rewritten on the way

The points lie in the store as the agent writes them (records of a commit, compressed, checksummed) and go through the
same delivery. The reference, in the same run against the same server, is a loop that only POSTs: points as many and as
long, in bodies of the same size that were made before, one after the other over a kept connection, nothing read,
checked or remembered. Both stand ready over all rounds, as an agent does; rounds are short and alternate, so that
whatever else the machine and the server do (compactions) meets both, and the ratio is the median of those of the
rounds. `_cpu` is the CPU time of our side per point, beside that of the loop.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from benchmarks.result import Result, summarise
from benchmarks.rig.databases import DATABASE, influx1, victoria
from edge.agent import SWITCH_S
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
ROUNDS = 9
POINTS = 180_000  # a round: a backlog, beside which the start of the first request is little
BATCH_BYTES = 1_000_000
_PER_COMMIT = 600
_DEADLINE_S = 120.0
_SITE = Site("bench", "e", "p", "c", "Asia/Shanghai", Name("b", "b"))
_SERVERS = {"influx1": influx1, "victoria": victoria}

Spent = tuple[float, float]  # seconds by the clock, and of our CPU
Round = Callable[[list[bytes]], Awaitable[Spent]]


def run(case: str | None) -> Iterable[Result]:
    """Every case, or one."""
    sys.setswitchinterval(SWITCH_S)  # as in the agent
    for name in CASES if case is None else (case,):
        with tempfile.TemporaryDirectory(prefix="seamline-bench-") as folder:
            home = Path(folder)
            with _SERVERS[name](home / "server") as url:
                ours, loops = asyncio.run(_rounds(name, url, home / "store"))
        rates = [[POINTS / wall_s for wall_s, _ in spent] for spent in (ours, loops)]
        yield summarise(f"sink_ingest.{name}", "points/s", *rates)
        yield summarise(
            f"sink_ingest.{name}_cpu", "us/point", *([s / POINTS * 1e6 for _, s in x] for x in (ours, loops))
        )


async def _rounds(case: str, url: str, store: Path) -> tuple[list[Spent], list[Spent]]:
    """Of ours and of the loop. The first of each is not counted: the server makes its files."""
    ours: list[Spent] = []
    loops: list[Spent] = []
    async with _delivery(case, url, store) as deliver, _loop(case, url) as post:
        for turn in range(ROUNDS + 1):
            for work, spent in ((deliver, ours), (post, loops))[:: 1 if turn % 2 else -1]:
                result = await work(_commits(2 * turn + (work is deliver)))
                if turn:
                    spent.append(result)
    return ours, loops


def _commits(turn: int) -> list[bytes]:
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


def _bodies(commits: Sequence[bytes]) -> list[bytes]:
    """As many whole commits in each as a request of ours has."""
    per_body = BATCH_BYTES // (max(map(len, commits)) + 1)
    return [b"\n".join(commits[n : n + per_body]) for n in range(0, len(commits), per_body)]


async def _timed(work: Callable[[], Awaitable[None]]) -> Spent:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    await work()
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


@asynccontextmanager
async def _loop(case: str, url: str) -> AsyncIterator[Round]:
    """POSTs, and nothing else."""
    async with aiohttp.ClientSession() as session:

        async def post(commits: list[bytes]) -> Spent:
            bodies = _bodies(commits)

            async def send() -> None:
                for body in bodies:
                    params = {"db": DATABASE, "precision": "ns"}
                    async with session.post(f"{url}/write", params=params, data=body) as reply:
                        if reply.status != 204:
                            raise RuntimeError(f"{case}: {reply.status} {await reply.text()}")

            return await _timed(send)

        yield post


@asynccontextmanager
async def _delivery(case: str, url: str, store: Path) -> AsyncIterator[Round]:
    """The store, the delivery, the sink."""
    clock = SystemClock()
    rules = VictoriaRules() if case == "victoria" else None
    sink = make_sink(InfluxSink("bench", 1, url, DATABASE if rules is None else "", victoria=rules))
    outbox = Outbox(StoreSettings(store, 4 << 30, sinks=(sink.id,)), clock, Encoder(_SITE).gap_record)
    await outbox.open()
    delivery = Delivery(outbox, sink, clock, batch_bytes=BATCH_BYTES)

    async def deliver(commits: list[bytes]) -> Spent:
        for lines in commits:
            await outbox.commit(Batch(clock.now_ns(), (Record(RecordClass.LIVE, lines, _PER_COMMIT),)))

        async def send() -> None:
            task = asyncio.create_task(delivery.run())
            if not await delivery.drained(_DEADLINE_S):
                raise RuntimeError(f"{case}: not delivered: {delivery.view(await outbox.stats()).error}")
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        return await _timed(send)

    try:
        yield deliver
    finally:
        await sink.close()
        await outbox.close()
