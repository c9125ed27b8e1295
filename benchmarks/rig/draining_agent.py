"""The store and the delivery of an agent, and nothing else: drains a backlog while it commits a live point a second.

    draining_agent.py STORE URL SECONDS

Prints "ready" once the backlog is open, then one JSON line a second: resident memory (KiB) and records to go. The live
point carries the time of its commit, so that the receiver knows how old it is. Ends after SECONDS, or when all is gone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from benchmarks.rig.site_points import encoder
from edge.clock import SystemClock
from edge.delivery import Delivery
from edge.outbox.batch import Batch, Record
from edge.outbox.facts import StoreSettings
from edge.outbox.store import Outbox
from edge.plan import InfluxSink
from edge.points import RecordClass
from edge.sinks.factory import make_sink

COMMIT_S = 0.5


async def main(path: Path, url: str, seconds: float) -> None:
    """Until the backlog is gone, or the time is over."""
    clock = SystemClock()
    outbox = Outbox(StoreSettings(path, 16 << 30, sinks=("s",)), clock, encoder().gap_record)
    await outbox.open()
    sink = make_sink(InfluxSink("s", 1, url, database="bench"))
    delivery = Delivery(outbox, sink, clock)
    running = asyncio.create_task(delivery.run())
    print("ready", flush=True)
    end_s, told_s = time.monotonic() + seconds, 0.0
    while time.monotonic() < end_s:
        await asyncio.sleep(COMMIT_S)
        now_ns = clock.now_ns()
        await outbox.commit(Batch(now_ns, (Record.of(RecordClass.LIVE, [b"live,machine=m1 age_ms=0i %d" % now_ns]),)))
        if time.monotonic() - told_s >= 1:
            told_s = time.monotonic()
            (backlog,) = (await outbox.stats()).backlogs
            print(json.dumps([_rss_kib(), backlog.records]), flush=True)
            if backlog.records < 4:
                break
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await sink.close()
    await outbox.close()


def _rss_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
