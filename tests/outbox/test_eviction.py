"""A full store drops the least valuable first, says what went, and its files stay inside their bound."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from fixtures.records import NS, batch, outbox_at, record, row

from edge.gaps.gap import Gap
from edge.outbox import files
from edge.outbox.facts import ClassBound, Counts, StoredRecord
from edge.outbox.reader import Reader
from edge.outbox.store import Outbox
from edge.points import RecordClass

BOUND = 1 << 20
DAY_NS = 86_400 * NS


async def fill(outbox: Outbox, seconds: range, of: RecordClass, pad: int = 1200) -> None:
    for n in seconds:
        await outbox.commit(batch(n, record(n, of=of, pad=pad)))
        assert files.size_bytes(outbox.settings.path) <= outbox.settings.max_bytes


def stored(path: Path) -> dict[RecordClass, int]:
    with Reader(path) as reader:
        return {record_class: tally.records for record_class, tally in reader.tallies().items() if tally.records}


def gaps(path: Path) -> list[bytes]:
    with Reader(path) as reader:
        return [r.lines for r in reader.stretch(0, 1 << 62, 1 << 30)[0] if r.lines.startswith(b"gap")]


async def test_lowest_class_first_oldest_first_with_a_gap_that_says_what_went(tmp_path: Path) -> None:
    outbox = outbox_at(tmp_path / "s.db", "a", max_bytes=BOUND)
    await outbox.open()
    await fill(outbox, range(100), RecordClass.EVIDENCE)
    await fill(outbox, range(100, 200), RecordClass.LEDGER)
    await fill(outbox, range(200, 300), RecordClass.LIVE)
    await fill(outbox, range(300, 400), RecordClass.TAG)
    assert stored(outbox.settings.path)[RecordClass.TAG] == 100  # nothing had to go yet
    await fill(outbox, range(400, 700), RecordClass.LEDGER)
    left = stored(outbox.settings.path)
    assert RecordClass.TAG not in left
    assert 0 < left[RecordClass.LIVE] < 100
    assert (left[RecordClass.LEDGER], left[RecordClass.EVIDENCE]) == (400, 100)
    said = gaps(outbox.settings.path)
    assert b"gap,cause=evicted,object=tag " in said[0]
    tags_said = [int(g.split(b"records=")[1].split(b"i")[0]) for g in said if b"object=tag" in g]
    assert tags_said[-1] == 100, "one gap that grows"
    # What is left of a class is its newest part.
    records = await outbox.read("a", 1 << 30)
    live = [r.t_ns for r in records if r.record_class is RecordClass.LIVE]
    assert live == [batch(n).t_ns for n in range(300 - len(live), 300)]
    await outbox.close()


async def test_delivered_records_go_before_undelivered_ones_and_silently(tmp_path: Path) -> None:
    outbox = outbox_at(tmp_path / "s.db", "a", "b", max_bytes=BOUND)
    await outbox.open()
    await fill(outbox, range(400), RecordClass.LEDGER)
    for sink in ("a", "b"):
        await outbox.advance(sink, 400)
    await fill(outbox, range(400, 800), RecordClass.TAG)  # lower class, but nobody has them yet
    left = stored(outbox.settings.path)
    assert left[RecordClass.TAG] == 400
    assert left[RecordClass.LEDGER] < 400
    assert gaps(outbox.settings.path) == []
    await outbox.close()


async def test_what_one_slow_database_waits_for_is_kept_and_named_when_it_must_go(tmp_path: Path) -> None:
    outbox = outbox_at(tmp_path / "s.db", "fast", "slow", max_bytes=BOUND)
    await outbox.open()
    await fill(outbox, range(400), RecordClass.LIVE)
    await outbox.advance("fast", 400)
    await outbox.advance("slow", 200)
    await fill(outbox, range(400, 700), RecordClass.LIVE)
    assert (await outbox.read("slow", 1))[0].id == 201
    assert gaps(outbox.settings.path) == []
    await fill(outbox, range(700, 1000), RecordClass.LIVE)
    assert (await outbox.read("slow", 1))[0].id > 201
    assert gaps(outbox.settings.path)[0].startswith(b"gap,cause=evicted,object=live records=")
    await outbox.close()


async def test_evidence_is_last_of_all(tmp_path: Path) -> None:
    outbox = outbox_at(tmp_path / "s.db", "a", max_bytes=BOUND)
    await outbox.open()
    await fill(outbox, range(300), RecordClass.EVIDENCE)
    await outbox.advance("a", 300)
    await fill(outbox, range(300, 900), RecordClass.EVENT)
    assert stored(outbox.settings.path)[RecordClass.EVIDENCE] == 300
    await fill(outbox, range(900, 1400), RecordClass.EVIDENCE)
    assert stored(outbox.settings.path).get(RecordClass.EVENT, 0) <= 2  # the newest gaps
    await outbox.close()


async def test_age_forgets_only_what_everybody_has(tmp_path: Path) -> None:
    outbox = outbox_at(tmp_path / "s.db", "a", max_age_ns=100 * NS)
    await outbox.open()
    for n in range(20):
        await outbox.commit(batch(n, record(n)))
    await outbox.advance("a", 10)
    await outbox.commit(batch(1000, record(1000)))
    assert [r.id for r in await outbox.read("a", 1 << 20)] == list(range(11, 22))
    assert stored(outbox.settings.path) == {RecordClass.LIVE: 11}
    await outbox.close()


async def test_totals_outlive_their_rows(tmp_path: Path) -> None:
    outbox = outbox_at(tmp_path / "s.db", max_age_ns=DAY_NS)
    await outbox.open()
    start = batch(0).t_ns
    await outbox.commit(batch(0, rows=tuple(row("m1", start + n * 60 * NS, 10) for n in range(100))))
    for hour in range(30):
        await outbox.commit(batch(2 * 86_400 + hour * 3600))
    assert await outbox.ledger_rows("m1", "1m", 0, start + DAY_NS) == ()
    assert await outbox.total_counts() == {"m1": Counts(1200, 1000, 0)}
    await outbox.close()


async def test_old_ledger_rows_go_before_anything_a_database_waits_for(tmp_path: Path) -> None:
    outbox = outbox_at(tmp_path / "s.db", "a", max_bytes=BOUND)
    await outbox.open()
    start = batch(0).t_ns
    await outbox.commit(
        batch(0, rows=tuple(row(f"m{m}", start + n * 60 * NS, 1) for m in range(10) for n in range(100)))
    )
    for n in range(500):
        await outbox.commit(batch(3 * 86_400 + n, record(n, pad=1200)))
    assert stored(outbox.settings.path) == {RecordClass.LIVE: 500}
    assert await outbox.ledger_rows("m3", "1m", 0, start + DAY_NS) == ()
    assert (await outbox.total_counts())["m3"] == Counts(300, 100, 0)
    await outbox.close()


async def test_the_bound_can_be_lowered(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    outbox = outbox_at(path, "a", max_bytes=4 * BOUND)
    await outbox.open()
    await fill(outbox, range(2500), RecordClass.LIVE)
    await outbox.close()
    assert files.size_bytes(path) > 2 * BOUND
    outbox = outbox_at(path, "a", max_bytes=BOUND)
    await outbox.open()
    for n in range(20):
        await outbox.commit(batch(n, record(n)))
    await outbox.close()
    assert files.size_bytes(path) <= BOUND


async def test_a_class_with_a_bound_of_its_own_never_takes_the_room_of_the_others(tmp_path: Path) -> None:
    """Oldest first, with a gap for what a database waits for; the store as a whole is far from full."""
    tags = ClassBound(RecordClass.TAG, max_bytes=100_000)
    outbox = outbox_at(tmp_path / "s.db", "a", classes=(tags,))
    await outbox.open()
    await fill(outbox, range(50), RecordClass.LIVE)
    await fill(outbox, range(50, 450), RecordClass.TAG)
    kept = {each.record_class: each for each in (await outbox.stats()).classes}
    assert kept[RecordClass.LIVE].records == 50
    assert 90_000 < kept[RecordClass.TAG].size_bytes <= 100_000 + 2_000
    newest = kept[RecordClass.TAG].newest_ns
    assert newest == batch(449).t_ns
    gone = [gap for gap in (await outbox.stats()).gaps if gap.subject == "tag"]
    assert sum(gap.records or 0 for gap in gone) == 400 - kept[RecordClass.TAG].records
    await outbox.close()


async def test_a_class_with_an_age_of_its_own_is_forgotten_once_delivered(tmp_path: Path) -> None:
    bounds = (ClassBound(RecordClass.TAG, max_age_ns=100 * NS),)
    outbox = outbox_at(tmp_path / "s.db", "a", classes=bounds)
    await outbox.open()
    await fill(outbox, range(20), RecordClass.TAG, pad=0)
    await fill(outbox, range(20, 40), RecordClass.LIVE, pad=0)
    await outbox.advance("a", 10)
    await outbox.commit(batch(1000))
    assert stored(outbox.settings.path) == {RecordClass.TAG: 10, RecordClass.LIVE: 20}
    await outbox.close()


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_is_stored_and_delivered_the_bounds_hold_and_nothing_goes_untold(
    tmp_path: Path, seed: int
) -> None:
    """For random lives of a store: files inside the bound, each class inside its own, and what a database never got is,
    record for record, in the gap ledger.
    """
    chance, path = random.Random(seed), tmp_path / "s.db"
    bounds = {RecordClass.TAG: chance.randrange(20_000, 200_000), RecordClass.LIVE: chance.randrange(40_000, 400_000)}
    outbox = outbox_at(path, "a", max_bytes=BOUND, classes=tuple(ClassBound(c, size) for c, size in bounds.items()))
    await outbox.open()
    got: set[int] = set()
    for second in range(600):
        kind = chance.choice(tuple(RecordClass))
        await outbox.commit(batch(second, record(second, of=kind, pad=chance.randrange(6000))))
        assert files.size_bytes(path) <= BOUND
        if chance.random() < 0.05 and (taken := await outbox.read("a", 20_000)):
            got |= {each.id for each in taken}
            await outbox.advance("a", taken[-1].id)
    stats = await outbox.stats()
    assert all(each.size_bytes <= bounds.get(each.record_class, BOUND) for each in stats.classes)
    lost = set(range(1, stats.last_id + 1)) - got - {r.id for r in await asyncio.to_thread(everything, path)}
    assert lost
    assert sum(gap.records or 0 for gap in await asyncio.to_thread(all_gaps, path)) == len(lost)
    await outbox.close()


def everything(path: Path) -> tuple[StoredRecord, ...]:
    with Reader(path) as reader:
        return reader.stretch(0, 1 << 62, 1 << 40)[0]


def all_gaps(path: Path) -> tuple[Gap, ...]:
    with Reader(path) as reader:
        return reader.gaps(0, 1 << 62, 1 << 30)
