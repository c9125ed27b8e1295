"""A damaged store is set aside under a telling name and never prevents a start; a damaged record costs only itself."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from fixtures.records import batch, outbox_at, record

from edge.errors import StoreError
from edge.gaps.gap import GapCause
from edge.outbox import files, schema
from edge.outbox.reader import Reader
from edge.outbox.sound import META_SCHEMA
from edge.outbox.writer import save_meta

pytestmark = pytest.mark.usefixtures("no_blocking")


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A store with a hundred records, closed."""
    path = tmp_path / "store.db"
    outbox = outbox_at(path, "a")
    await outbox.open()
    for n in range(100):
        await outbox.commit(batch(n, record(n, pad=500)))
    await outbox.close()
    return path


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: overwrite(path, 0, b"\xff" * 100),  # the header
        lambda path: overwrite(path, 4096, bytes(4096)),  # a page of the schema or a root
        lambda path: overwrite(path, 8192, b"\xa5" * 20_000),  # several pages
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 100]),  # cut off
        lambda path: path.write_bytes(b"not a database at all, but long enough to look like one " * 10),
    ],
    ids=["header", "page", "pages", "truncated", "text"],
)
async def test_a_damaged_file_is_set_aside_and_the_agent_starts(path: Path, damage: object) -> None:
    await asyncio.to_thread(damage, path)  # type: ignore[arg-type]
    broken = await asyncio.to_thread(path.read_bytes)
    outbox = outbox_at(path, "a")
    report = await outbox.open()
    assert report.created
    assert report.set_aside is not None
    assert report.set_aside.name == "store.db.damaged-20231114T221320Z"
    assert str(report.set_aside) in report.detail
    assert await asyncio.to_thread(report.set_aside.read_bytes) == broken
    before = outbox.last_id
    await outbox.commit(batch(1, record(1)))
    assert outbox.last_id == before + 1
    assert [r.id for r in await outbox.read_after(before, 1000)] == [before + 1]
    beside = report.set_aside.with_name(report.set_aside.name + ".txt")
    assert str(report.set_aside) in await asyncio.to_thread(beside.read_text, "utf-8")
    await outbox.close()


@pytest.mark.parametrize("met_by", ["commit", "read"])
async def test_damage_met_in_use_is_set_aside_at_the_next_start_however_large_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, met_by: str
) -> None:
    monkeypatch.setattr(files, "CHECK_CLEAN_UP_TO_BYTES", 0)  # as a file of many gigabytes: not read at a clean start
    size = await asyncio.to_thread(lambda: path.stat().st_size)
    await asyncio.to_thread(overwrite, path, size - 12_288, b"\xa5" * 12_288)  # where the newest records are
    outbox = outbox_at(path, "a")
    assert (await outbox.open()).detail == ""
    with pytest.raises(StoreError, match=r"damaged|损坏"):
        await (outbox.commit(batch(1, record(1))) if met_by == "commit" else outbox.read("a", 1 << 20))
    await outbox.close()
    outbox = outbox_at(path, "a")
    assert (await outbox.open()).set_aside is not None
    await outbox.commit(batch(1, record(1)))
    await outbox.close()


async def test_two_damaged_files_of_one_second_do_not_overwrite_each_other(path: Path) -> None:
    names = set()
    for _ in range(2):
        await asyncio.to_thread(path.write_bytes, b"x" * 5000)
        outbox = outbox_at(path)
        names.add((await outbox.open()).set_aside)
        await outbox.close()
    assert len(names) == 2


async def test_a_record_whose_checksum_fails_is_quarantined_and_the_rest_flows(path: Path) -> None:
    def flip() -> None:
        connection = sqlite3.connect(path)
        connection.execute("UPDATE record SET lines = CAST(x'00' || substr(lines, 2) AS BLOB) WHERE id IN (3, 50)")
        connection.commit()
        connection.close()

    outbox = outbox_at(path, "a")
    await outbox.open()
    await asyncio.to_thread(flip)  # at a start it would be met at once, and the store saved into a new one
    got = []
    while records := await outbox.read("a", 5_000):
        got += [r.id for r in records]
        await outbox.advance("a", records[-1].id)
    assert got == [n for n in range(1, 103) if n not in (3, 50)], "and two records that tell of it"
    stats = await outbox.stats()
    assert stats.records == 100
    assert [(gap.cause, gap.records) for gap in stats.gaps] == [(GapCause.DAMAGED, 2)]
    await outbox.close()

    def kept() -> list[str]:
        with Reader(path) as reader:
            return [q.words for q in reader.quarantined()]

    assert len(await asyncio.to_thread(kept)) == 2


async def test_another_programs_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"

    def make() -> None:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE photo (x)")
        connection.close()

    await asyncio.to_thread(make)
    outbox = outbox_at(path)
    with pytest.raises(StoreError, match=r"photos\.db"):
        await outbox.open()
    await outbox.close()
    assert await asyncio.to_thread(path.exists)


async def test_a_file_of_a_later_release_is_left_alone(path: Path) -> None:
    def age() -> None:
        connection = sqlite3.connect(path)
        connection.execute(f"PRAGMA user_version={schema.SCHEMA_VERSION + 1}")
        save_meta(connection, [(META_SCHEMA, str(schema.SCHEMA_VERSION + 1))])
        connection.commit()
        connection.close()

    await asyncio.to_thread(age)
    outbox = outbox_at(path)
    with pytest.raises(StoreError, match=r"later|更新版本"):
        await outbox.open()
    await outbox.close()
    assert await asyncio.to_thread(path.exists)


async def test_sums_added_by_a_later_release_become_columns(path: Path) -> None:
    def drop() -> None:
        connection = sqlite3.connect(path)
        connection.execute("ALTER TABLE ledger DROP COLUMN glitches")
        connection.close()

    await asyncio.to_thread(drop)
    outbox = outbox_at(path)
    assert not (await outbox.open()).created
    assert await outbox.ledger_rows("m", "1m", 0, 1) == ()
    await outbox.close()
