"""A machine whose newest state is damaged goes on from the one before: what was made since is counted once, by its
PLC's counter, and the gap ledger says so.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from agent.rig import Rig, StubbornOutbox
from fixtures.records import NS, gap_record
from machines.bench import T0

from edge.gaps.gap import Gap, GapCause, GapScope
from edge.outbox.facts import OpenReport, StoreSettings
from edge.outbox.reader import Reader


async def commit_each_second(rig: Rig, seconds: int) -> None:
    for _ in range(seconds):
        rig.read(1)
        await rig.recorder.commit()


def spoil_newest(store: Path) -> None:
    """One byte of the newest whole state, in the file itself."""
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        rows = [
            connection.execute(f"SELECT number, blob FROM {table} WHERE key = 'machine:m1'").fetchone()
            for table in ("state_a", "state_b")
        ]
    assert rows[0][0] != rows[1][0], "two generations"
    data = bytearray(store.read_bytes())
    data[data.index(max(rows)[1][-30:]) + 3] ^= 0x04
    store.write_bytes(data)


def gaps_of(store: Path) -> tuple[Gap, ...]:
    with Reader(store) as reader:
        return reader.gaps(0, 1 << 62, 100)


async def reopen(rig: Rig) -> OpenReport:
    """As the runtime does at a start."""
    rig.outbox = StubbornOutbox(StoreSettings(rig.store, 1 << 26), rig.clock, gap_record)
    report = await rig.outbox.open()
    await rig.restart()
    rig.recorder.gaps.store_damaged(report.since_ns, rig.clock.now_ns(), (), report.detail)
    return report


async def test_what_was_made_since_is_counted_once_and_the_gap_is_told(rig: Rig) -> None:
    await commit_each_second(rig, 200)
    made = 199  # the first reading is the baseline
    before = rig.stored_rows()
    await rig.outbox.close()
    await asyncio.to_thread(spoil_newest, rig.store)
    rig.clock.advance(20 * NS)
    report = await reopen(rig)
    assert report.saved is not None
    assert report.saved.outdated == ("machine:m1",)
    assert T0 + 120 * NS < report.since_ns < T0 + 200 * NS, "some commits ago, and no longer"
    await commit_each_second(rig, 200)
    await rig.recorder.flush()

    rows = rig.stored_rows()
    assert rig.stored_pieces() == made + 200
    assert rig.lives[0].view(rig.clock.now_ns()).counted == made + 200
    assert len({row.key for row in rows}) == len(rows)
    known = {row.key: row for row in before if row.final}
    again = [row for row in rows if row.key in known and row.sums != known[row.key].sums]
    assert all(row.revision == known[row.key].revision + 1 for row in again), "a closed minute never changes silently"
    assert sum(row.sums.recovered for row in rows) > 0, "by the counter"
    last = {point["time"]: point for point in rig.stored("ledger") if point["window"] == "1m"}
    assert sum(point["tc"] for point in last.values()) == made + 200, "in the databases as well: the same points again"
    told = [gap for gap in gaps_of(rig.store) if gap.cause is GapCause.DAMAGED]
    assert {(gap.scope, gap.subject) for gap in told} == {(GapScope.AGENT, "s1"), (GapScope.MACHINE, "m1")}
    assert min(gap.start_ns for gap in told) == report.since_ns
    unseen_ns = sum(point["unobserved_ns"] for point in last.values())
    assert unseen_ns == sum(gap.duration_ns for gap in told if gap.scope is GapScope.MACHINE)
    assert all(row.sums.all_ns == sum(row.sums.stop_ns) for row in rows)
