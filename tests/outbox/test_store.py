"""The outbox: what was committed is there, whole and in order; what was delivered is not sent again; SQLite never runs
on the event loop."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from fixtures.records import NS, T0_NS, batch, line, outbox_at, record, row

from edge.errors import StoreError
from edge.outbox import schema
from edge.outbox.facts import Backlog, Counts, Position, StoreSettings
from edge.outbox.reader import Reader
from edge.points import RecordClass

pytestmark = pytest.mark.usefixtures("no_blocking")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def test_everything_committed_comes_back(path: Path) -> None:
    outbox = outbox_at(path, "a")
    report = await outbox.open()
    assert report.created
    await outbox.commit(
        batch(
            1,
            record(1, 2),
            record(3, of=RecordClass.LEDGER),
            rows=(row("m1", 0, 7),),
            checkpoints=(("m1", b"\x00\xff"),),
            meta=(("schema", "1"),),
        )
    )
    await outbox.close()

    outbox = outbox_at(path, "a")
    report = await outbox.open()
    assert not report.created
    assert outbox.last_id == 2
    first, second = await outbox.read("a", 10_000)
    assert (first.lines, first.points, first.record_class, first.t_ns) == (
        line(1) + b"\n" + line(2), 2, RecordClass.LIVE, T0_NS + NS,
    )  # fmt: skip
    assert second.record_class is RecordClass.LEDGER
    assert await outbox.ledger_rows("m1", "1m", 0, 1) == (row("m1", 0, 7),)
    assert await outbox.ledger_rows("m1", "1m", 1, 2) == ()
    assert await outbox.load_checkpoints() == {"m1": b"\x00\xff"}
    assert (await outbox.load_meta())["schema"] == "1"
    await outbox.close()


async def test_rows_and_checkpoints_are_replaced_and_totals_follow(path: Path) -> None:
    outbox = outbox_at(path)
    await outbox.open()
    await outbox.commit(batch(1, rows=(row("m1", 0, 7), row("m2", 0, 1)), checkpoints=(("k", b"1"),)))
    await outbox.commit(batch(2, rows=(row("m1", 0, 9, revision=1), row("m1", 60 * NS, 1)), checkpoints=(("k", b"2"),)))
    assert await outbox.total_counts() == {"m1": Counts(14, 10, 0), "m2": Counts(3, 1, 0)}
    assert await outbox.load_checkpoints() == {"k": b"2"}
    await outbox.close()


async def test_each_database_has_its_own_cursor_and_it_survives(path: Path) -> None:
    outbox = outbox_at(path, "a", "b")
    await outbox.open()
    for n in range(5):
        await outbox.commit(batch(n, record(n)))
    got = await outbox.read("a", 1)
    assert [r.id for r in got] == [1]  # at least one, however large
    await outbox.advance("a", 3)
    assert [r.id for r in await outbox.read("a", 10_000)] == [4, 5]
    assert [r.id for r in await outbox.read("b", 10_000)] == [1, 2, 3, 4, 5]
    await outbox.close()
    outbox = outbox_at(path, "a", "b", "new")
    await outbox.open()
    assert (outbox.position("a"), outbox.position("b")) == (Position(3), Position(0))
    assert [r.id for r in await outbox.read("new", 10_000)] == [1, 2, 3, 4, 5]  # a database added later gets it all
    await outbox.close()


async def test_new_records_pass_a_backlog_and_the_backlog_follows(path: Path) -> None:
    outbox = outbox_at(path, "a")
    await outbox.open()
    for n in range(4):
        await outbox.commit(batch(n, record(n)))
    outbox.leap("a")
    await outbox.commit(batch(9, record(9)))
    order = []
    while records := await outbox.read("a", 1):
        order.append(records[0].id)
        await outbox.advance("a", records[-1].id)
    assert order == [5, 1, 2, 3, 4, 5], "what passed the backlog is told again: the newest version is the last one told"
    await outbox.close()


async def test_a_commit_wakes_who_waits(path: Path) -> None:
    outbox = outbox_at(path, "a")
    await outbox.open()
    waiter = asyncio.create_task(outbox.something_new("a"))
    await asyncio.sleep(0)
    await outbox.commit(batch(0, checkpoints=(("k", b""),)))  # nothing to deliver: nobody wakes
    await asyncio.sleep(0.01)
    assert not waiter.done()
    await outbox.commit(batch(1, record(1)))
    await asyncio.wait_for(waiter, 30)
    await outbox.close()


async def test_statistics(path: Path) -> None:
    outbox = outbox_at(path, "a")
    await outbox.open()
    for n in range(3):
        await outbox.commit(batch(n, record(n, n + 10)))
    await outbox.advance("a", 1)
    await outbox.quarantine("a", [(b"bad 1", "words"), (b"bad 2", "words")])
    await outbox.quarantine("a", [(b"bad 2", "words again")])
    stats = await outbox.stats()
    assert (stats.records, stats.points, stats.last_id, stats.error) == (4, 7, 4, ""), (
        "and one that tells what was refused"
    )
    assert stats.size_bytes > 0
    assert stats.commit_p99_ms is not None
    assert stats.backlogs == (Backlog("a", 3, T0_NS + NS, 2),)
    await outbox.close()


async def test_a_long_read_for_a_database_holds_up_no_figure(path: Path) -> None:
    """People look by a connection and a thread of their own."""
    outbox = outbox_at(path, "a")
    await outbox.open()
    await outbox.commit(batch(1, record(1), rows=(row("m1", 0, 3),)))
    end = threading.Event()
    reading = asyncio.create_task(outbox._in_reader(end.wait, 30))
    try:
        async with asyncio.timeout(20):
            assert (await outbox.stats()).records == 1
            assert len(await outbox.ledger_rows("m1", "1m", 0, 1)) == 1
            assert (await outbox.total_counts())["m1"].total == 5
            assert await outbox.open_gaps() == ()
        assert not reading.done()
    finally:
        end.set()
        await reading
    await outbox.close()


async def test_offline_tools_read_beside_a_running_agent_and_after_it(path: Path) -> None:
    outbox = outbox_at(path, "a")
    await outbox.open()
    await outbox.commit(batch(1, record(1), rows=(row("m1", 0, 3),)))
    await outbox.quarantine("a", [(b"bad", "said no")])

    def look() -> tuple[int, int, list[str]]:
        with Reader(path) as reader:
            return reader.last_id(), reader.total_counts()["m1"].total, [q.words for q in reader.quarantined()]

    assert await asyncio.to_thread(look) == (2, 5, ["said no"])
    await outbox.commit(batch(2, record(2)))
    await outbox.close()
    assert await asyncio.to_thread(look) == (3, 5, ["said no"])


async def test_two_agents_cannot_share_a_store(path: Path) -> None:
    outbox, second = outbox_at(path), outbox_at(path)
    await outbox.open()
    with pytest.raises(StoreError, match=r"another seamline|另一个 seamline"):
        await second.open()
    await second.close()
    await outbox.commit(batch(1, record(1)))
    await outbox.close()
    third = outbox_at(path)
    await third.open()
    await third.close()


async def test_a_failed_commit_writes_nothing_and_the_same_batch_goes_in_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program holds the write lock for longer than we wait for it."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0.1)
    outbox = outbox_at(path, "a")
    await outbox.open()
    await outbox.commit(batch(1, record(1), checkpoints=(("k", b"1"),)))
    blocker = await asyncio.to_thread(sqlite3.connect, path, isolation_level=None, check_same_thread=False)
    await asyncio.to_thread(blocker.execute, "BEGIN IMMEDIATE")
    wanted = batch(2, record(2), checkpoints=(("k", b"2"),))
    with pytest.raises(StoreError):
        await outbox.commit(wanted)
    assert (await outbox.stats()).error
    assert await outbox.load_checkpoints() == {"k": b"1"}
    await asyncio.to_thread(blocker.close)
    await outbox.commit(wanted)
    assert await outbox.load_checkpoints() == {"k": b"2"}
    assert (await outbox.stats()).error == ""
    assert len(await outbox.read("a", 10_000)) == 2
    await outbox.close()


def test_a_bound_too_small_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match=r"store\.max_bytes"):
        StoreSettings(path, 1000)
