"""What is committed together, how often, and what a disk that refuses costs: time, never truth."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from agent.rig import Rig, points_of
from fixtures.records import NS
from machines.bench import MINUTE, RECIPE, T0, TOTAL, machine

from edge import committer, points, recorder
from edge.errors import StoreError
from edge.outbox.batch import Batch
from ext.buckets import Bucket

HOUR = 60 * MINUTE


async def commit_each_second(rig: Rig, seconds: int, pieces: int = 1) -> None:
    for _ in range(seconds):
        rig.read(pieces)
        await rig.recorder.commit()


async def test_every_point_is_in_the_dictionary_with_its_types(rig: Rig) -> None:
    """Whatever happens to a line: each measurement has exactly the declared tags, and no field beside the declared."""
    rig.fact(up=True, reason="connected")
    rig.read()
    rig.measure(450)
    rig.recorder.event("start", "")
    rig.recorder.gaps.agent_stopped(T0 - HOUR, T0)
    await commit_each_second(rig, 130)
    rig.registers[0] = 0
    await commit_each_second(rig, 70, pieces=0)
    rig.read_late(60, {0: 1})
    await commit_each_second(rig, 1)
    rig.fact(up=False, reason="timeout")
    rig.recorder.event("clock-step", "+3600 s", clock_step_ns=HOUR)
    await rig.recorder.flush()
    declared = {m.name: m for m in points.MEASUREMENTS}
    seen = points_of(rig.store)
    assert {point["measurement"] for point in seen} == set(declared)
    kinds = {"i": int, "f": float, "s": str, "b": bool}
    for point in seen:
        measurement = declared[point["measurement"]]
        fields = {f.name: kinds[f.kind.value[0].lower()] for f in measurement.fields}
        extra = set(point) - set(fields) - set(measurement.tags) - {"measurement", "time"}
        assert not extra, point
        assert set(measurement.tags) - set(point) <= {"product", "shift", "shift_date"}, (
            "only what has no value is absent"
        )
        assert all(type(point[name]) is kind for name, kind in fields.items() if name in point), point


async def test_the_checkpoint_is_in_the_same_transaction_as_the_rows_it_explains(rig: Rig) -> None:
    rig.read()
    await commit_each_second(rig, 44)
    for _ in range(4):
        rig.read(1)
    batch = await rig.recorder.gather()
    assert [key for key, _ in batch.checkpoints] == ["machine:m1"]
    assert [(row.sums.tc, row.final) for row in batch.rows] == [(39, True)], "final once the watermark has passed it"
    assert dict(batch.meta)[recorder.META_ALIVE] == str(rig.clock.now_ns())


async def test_live_views_stand_on_multiples_of_their_interval(rig: Rig) -> None:
    rig.clock.advance(NS // 3)
    rig.read()
    await commit_each_second(rig, 5)
    times = [point["time"] for point in rig.stored("live")]
    assert times == sorted(set(times))
    assert all(t % NS == 0 for t in times)
    assert len(times) == 5


async def test_a_clock_set_back_stops_neither_live_views_nor_minutes(rig: Rig) -> None:
    rig.read()
    await commit_each_second(rig, 3)
    rig.clock.step(-HOUR)
    before = len(rig.stored("live"))
    await commit_each_second(rig, 65)
    assert len(rig.stored("live")) == before + 65
    assert len({point["time"] for point in rig.stored("device") if "requests" in point}) >= 3, "minute sums go on"


async def test_an_open_stop_is_published_from_ten_seconds_on_and_closed_once(rig: Rig) -> None:
    rig.read()
    await commit_each_second(rig, 5)
    rig.registers[0], rig.registers[2] = 0, 7
    rig.read()
    began = rig.clock.now_ns()
    await commit_each_second(rig, 5, pieces=0)
    assert rig.stored("stop") == []
    await commit_each_second(rig, 60, pieces=0)
    shown = rig.stored("stop")
    assert {(point["time"], point["open"]) for point in shown} == {(began, True)}, "one point, written over"
    assert {point["bucket"] for point in shown} == {Bucket.EXTERNAL_STARVED}
    rig.registers[0] = 1
    await commit_each_second(rig, 10)  # told once the watermark has passed its end
    last = rig.stored("stop")[-1]
    assert (last["time"], last["open"], last["duration_ns"]) == (began, False, 65 * NS)


async def test_device_sums_are_of_the_minute_and_add_up(rig: Rig) -> None:
    rig.read()
    stats = rig.pollers[0].stats
    for minute in range(1, 4):
        for _ in range(60):
            stats.requests += minute
            stats.replied(3_000_000)
            rig.clock.advance(NS)
        await rig.recorder.commit()
    sums = [p for p in rig.stored("device") if p["device"] == "plc-1" and "requests" in p]
    assert [p["requests"] for p in sums] == [60, 120, 180]
    assert sum(p["requests"] for p in sums) == stats.requests
    assert sums[-1]["latency_ms"] == 3.0
    assert all("latency_ms" not in p for p in rig.stored("device") if p["device"] == "plc-2"), "nothing answered"


async def test_a_device_that_comes_and_goes_leaves_facts_and_one_gap(rig: Rig) -> None:
    """Told while it lasts, closed when it ends, under one time: the same point."""
    rig.fact(up=True, reason="connected")
    rig.clock.advance(5 * NS)
    down = rig.clock.now_ns()
    rig.fact(up=False, reason="timeout")
    await rig.recorder.commit()
    rig.clock.advance(20 * NS)
    rig.fact(up=False, reason="refused")
    rig.clock.advance(NS)
    rig.fact(up=True, reason="connected")
    await rig.recorder.commit()
    gaps = rig.stored("gap")
    assert {(gap["time"], gap["cause"], gap["object"]) for gap in gaps} == {(down, "plc-off", "plc-1")}
    assert [(gap["open"], gap["duration_ns"]) for gap in gaps] == [(True, 0), (False, 21 * NS)]
    facts = [(p["up"], p["reason"]) for p in rig.stored("device") if p["device"] == "plc-1" and "requests" not in p]
    assert facts == [(True, "connected"), (False, "timeout"), (False, "refused"), (True, "connected")]


async def test_a_clean_stop_writes_open_windows_and_the_next_start_writes_them_again(rig: Rig) -> None:
    rig.read()
    await commit_each_second(rig, 7)
    assert rig.stored_pieces() == 0
    await rig.recorder.flush()
    assert rig.stored_pieces() == 7
    ledger = [point for point in rig.stored("ledger") if point["window"] == "1m"]
    assert [point["final"] for point in ledger] == [False]


# ---- readings that come late ----


@pytest.mark.parametrize("killed", [False, True])
async def test_a_late_reading_is_in_the_store_as_a_revision_with_its_record(rig: Rig, killed: bool) -> None:
    """Rows and points under the same keys with revision 1, a record that says why, and the sum is the counter's. After
    a kill -9 the journal comes back from the store and does the same.
    """
    rig.read()
    await commit_each_second(rig, 200)
    before = {row.key: row for row in rig.stored_rows()}
    if killed:
        await rig.restart()
    rig.read_late(90, {RECIPE: 2, TOTAL: 210})  # for half a second it made another product
    await commit_each_second(rig, 60)
    await rig.recorder.flush()
    rows = rig.stored_rows()
    revised = [row for row in rows if row.revision]
    assert [(row.key.product, row.revision, row.final) for row in revised] == [("large", 1, True), ("small", 1, True)]
    assert revised[0].key not in before
    assert revised[1].sums != before[revised[1].key].sums
    assert rig.stored_pieces() == rig.registers[TOTAL] - 100
    assert sum(row.sums.all_ns for row in rows) == rig.clock.now_ns() - T0 - NS
    points = [point for point in rig.stored("ledger") if point["revision"]]
    assert {point["window"] for point in points} == {"1m", "1h", "shift", "1d"}
    assert {point["time"] for point in points if point["window"] == "1m"} == {revised[0].key.start_ns}
    (told,) = rig.stored("revision")
    assert (told["cause"], told["windows"], told["from_ns"]) == ("late-reading", 2, revised[0].key.start_ns)
    assert told["detail"]


async def test_everything_that_carries_figures_says_what_they_rest_on(rig: Rig) -> None:
    """Tier, coverage, flags, configuration."""
    rig.read()
    await commit_each_second(rig, 80)
    rig.registers[0] = 0
    await commit_each_second(rig, 20, pieces=0)
    rig.registers[0] = 1
    await commit_each_second(rig, 20)
    await rig.recorder.flush()
    rests = {"tier", "config_version"}
    assert all({*rests, "coverage", "flags", "revision", "final"} <= point.keys() for point in rig.stored("ledger"))
    assert all({*rests, "shift_coverage", "shift_flags"} <= point.keys() for point in rig.stored("live")[2:])
    assert rig.stored("stop")
    assert all({*rests, "revision", "void"} <= point.keys() for point in rig.stored("stop"))
    assert {point["window"] for point in rig.stored("ledger")} == {"1m", "1h", "shift", "1d"}
    assert {point["coverage"] for point in rig.stored("ledger")} == {1.0}


# ---- a disk that refuses ----


async def test_what_the_disk_refused_is_kept_and_written_once(rig: Rig) -> None:
    """Nothing lost, nothing twice, each checkpoint with its rows."""
    rig.read()
    await commit_each_second(rig, 50)
    rig.outbox.full = True
    await commit_each_second(rig, 150)
    assert rig.recorder.refused
    rig.outbox.full = False
    assert await rig.recorder.commit()
    assert not rig.recorder.refused
    await rig.recorder.flush()
    assert rig.stored_pieces() == 200 == rig.lives[0].view(rig.clock.now_ns()).counted
    live = sorted({point["time"] for point in rig.stored("live")})
    assert [b - a for a, b in pairwise(live)] == [NS] * (len(live) - 1), "no view is missing"
    assert len(live) >= 200


async def test_a_refusing_disk_is_said_once_a_minute_and_asked_every_ten_seconds(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk is often the disk the log is on."""
    caplog.set_level(logging.INFO)
    rig.outbox.full = True
    pauses = []
    for _ in range(125):
        rig.read()
        await rig.recorder.commit()
        pauses.append(rig.recorder._committer.pause_ns // NS)
    assert pauses[:5] == [2, 4, 8, 10, 10]
    assert [r.message for r in caplog.records].count("store refused") == 3
    rig.outbox.full = False
    await rig.recorder.commit()
    assert caplog.records[-1].message == "store takes data again"
    assert rig.recorder._committer.pause_ns == NS


async def test_memory_is_bounded_and_what_it_could_not_keep_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raw values and live views go, oldest first; rows, stops and checkpoints never; a gap says so afterwards."""
    monkeypatch.setattr(committer, "UNCOMMITTED_LIMIT_BYTES", 20_000)
    rig.read()
    rig.outbox.full = True
    await commit_each_second(rig, 120)
    rig.outbox.full = False
    await rig.recorder.commit()
    await rig.recorder.flush()
    assert rig.stored_pieces() == 120
    assert len(rig.stored("live")) < 100
    (gap,) = [gap for gap in rig.stored("gap") if gap["cause"] == "evicted"]
    assert (gap["object"], gap["open"]) == ("live", False)
    assert gap["records"] >= 1
    assert gap["duration_ns"] >= 110 * NS


async def test_a_machine_back_after_weeks_leaves_the_others_to_the_next_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded batches; every machine gets its turn, none loses a piece."""
    monkeypatch.setattr(recorder, "ROWS_LIMIT", 100)
    many = Rig(tmp_path / "many.db", *(replace(machine(), index=n, id=f"m{n}") for n in range(4)))
    await many.outbox.open()
    many.read()
    await many.recorder.commit()
    many.clock.advance(3 * HOUR)
    for pieces in (40, 0, 0, 0, 0, 0, 0, 0, 0):  # until the watermark has passed
        many.read(pieces)
    turns: list[set[str]] = []
    while rows := (await many.recorder.gather()).rows:
        turns.append({row.key.machine for row in rows})
        many.clock.advance(NS)
    assert turns[:4] == [{"m0"}, {"m1"}, {"m2"}, {"m3"}]
    await many.outbox.close()


async def test_nothing_is_committed_after_the_last_commit(rig: Rig) -> None:
    """Databases may drain for seconds more: the store must not claim to have lived longer than its windows say."""
    await commit_each_second(rig, 3)
    await rig.recorder.flush()
    before = dict(await rig.outbox.load_meta())
    rig.clock.advance(5 * NS)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5):
            await rig.recorder.run()
    assert dict(await rig.outbox.load_meta())[recorder.META_ALIVE] == before[recorder.META_ALIVE]


async def test_the_last_windows_end_where_the_stores_life_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each machine is harvested in a turn of its own; at the end all of them are booked up to one moment."""
    many = Rig(tmp_path / "many.db", *(replace(machine(), index=n, id=f"m{n}") for n in range(4)))
    await many.outbox.open()
    for _ in range(30):
        many.clock.advance(NS)
        many.read(1)

    async def others_run() -> None:
        many.clock.advance(5_000_000)

    monkeypatch.setattr(recorder, "_let_others_run", others_run)
    await many.recorder.flush()
    meta = dict(await many.outbox.load_meta())
    for life in many.lives:
        name = life.machine.id
        rows = await many.outbox.ledger_rows(name, "1m", 0, 1 << 62)
        lived_ns = int(meta[recorder.META_ALIVE]) - int(meta[recorder.META_SINCE + name])
        assert sum(row.sums.all_ns for row in rows) == lived_ns
    await many.outbox.close()


async def test_much_that_waits_is_committed_before_its_time_and_a_refusing_disk_is_not_hurried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit is bounded in size as well as in time: here the interval alone would take an hour."""
    monkeypatch.setattr("edge.machines.values.PLENTY", 3)
    rig = Rig(tmp_path / "s.db")
    await rig.outbox.open()
    rig.plan = replace(rig.plan, agent=replace(rig.plan.agent, commit_ns=3_600 * NS))
    rig.recorder.follow(rig.plan, rig.lives, rig.values, rig.pollers, None, ())  # type: ignore[arg-type]
    running = asyncio.create_task(rig.recorder.run())
    await asyncio.sleep(0)
    for degrees in range(20, 50, 10):
        rig.clock.advance(NS)
        rig.measure(degrees)
        await asyncio.sleep(0)
    async with asyncio.timeout(60):
        while len(rig.stored("tag")) < 3:  # noqa: ASYNC110 - the store is asked
            await asyncio.sleep(0.01)
    assert not rig.values.plenty.is_set()
    tries = 0

    async def refuse(batch: Batch) -> None:
        nonlocal tries
        tries += 1
        raise StoreError("disk full")

    monkeypatch.setattr(rig.outbox, "commit", refuse)
    for degrees in range(120, 160, 10):
        rig.clock.advance(NS)
        rig.measure(degrees)
    async with asyncio.timeout(60):
        while not rig.recorder.refused:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    for degrees in range(220, 260, 10):
        rig.clock.advance(NS)
        rig.measure(degrees)
    await asyncio.sleep(0.3)
    assert tries == 1
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await rig.outbox.close()
