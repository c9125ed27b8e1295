"""A process that commits numbered batches as fast as it can until it is killed. Run by test_torture.

Batch n holds record n, the ledger total n, checkpoint n and a gap that lasts until n. After each commit it prints n, so
the test knows what was promised to be on the disk. Evictions and cursor moves happen on the way.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from fixtures.records import batch, outbox_at, record, row

from edge.gaps.gap import Gap, GapCause, GapScope
from edge.points import RecordClass


async def main(path: Path) -> None:
    outbox = outbox_at(path, "a", max_bytes=1 << 20)
    await outbox.open()
    checkpoints = await outbox.load_checkpoints()
    n = int(checkpoints.get("n", b"0"))
    print(f"open {n}", flush=True)
    while True:
        n += 1
        await outbox.commit(
            batch(
                n,
                record(n, of=RecordClass.LIVE, pad=300 + n * 7919 % 3000),
                rows=(row("m1", 0, n),),
                checkpoints=(("n", b"%d" % n),),
                gaps=(Gap(GapCause.PLC_OFF, GapScope.DEVICE, "plc-1", 0, n, is_open=True),),
            )
        )
        print(n, flush=True)
        if n % 10 == 0 and (records := await outbox.read("a", 50_000)):
            await outbox.advance("a", records[-1].id)


asyncio.run(main(Path(sys.argv[1])))
