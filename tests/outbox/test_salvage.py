"""What is whole in a damaged store goes on in a new one: nothing that was not stored, nothing twice, and what is
missing lies in the time the report names. Bytes are flipped anywhere in a store as a kill leaves it, log and all.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest
from fixtures.records import NS, T0_NS, batch, outbox_at, record, row
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import StoreError
from edge.kpi.row import Row
from edge.outbox import files, schema
from edge.outbox.facts import OpenReport
from edge.outbox.pages import Log, Pages
from edge.outbox.reader import Reader

COMMITS = 60
ALL_TIME = (0, 1 << 62)


@dataclass(frozen=True, slots=True)
class Content:
    records: dict[int, tuple[bytes, int]]  # lines and commit time
    rows: dict[tuple[str, int], Row]
    checkpoints: dict[str, bytes]
    cursor: int


def content(path: Path) -> Content:
    with Reader(path) as reader:
        records, _ = reader.stretch(0, 1 << 62, 1 << 40)
        rows = [each for machine in ("m0", "m1", "m2") for each in reader.ledger_rows(machine, "1m", *ALL_TIME)]
        position = reader.positions().get("a")
        return Content(
            {each.id: (each.lines, each.t_ns) for each in records},
            {(each.key.machine, each.key.start_ns): each for each in rows},
            {key: blob for key, blob in reader.checkpoints().items() if blob},
            position.cursor if position else 0,
        )


def checkpoint(machine: int, second: int) -> bytes:
    return random.Random(machine * 1000 + second).randbytes(700 + 2500 * machine)  # the largest has an overflow page


async def killed(folder: Path) -> Path:
    """A store as `kill -9` leaves it: the last commits are in the log alone."""
    path = folder / "live" / "store.db"
    outbox = outbox_at(path, "a")
    await outbox.open()
    for second in range(COMMITS):
        machine = second % 3
        await outbox.commit(
            batch(
                second, record(second, pad=60 + second * 13 % 6_000),
                rows=(row(f"m{machine}", T0_NS + second * 60 * NS, second),),
                checkpoints=tuple((f"machine:m{n}", checkpoint(n, second)) for n in range(3)),
                meta=(("alive_ns", str(T0_NS + second * NS)),),
            )
        )  # fmt: skip
        if second == COMMITS // 2:
            await outbox.advance("a", 20)
    kill = folder / "killed"
    kill.mkdir()
    for name in ("store.db", "store.db-wal"):
        shutil.copy(path.with_name(name), kill / name)
    await outbox.close()
    return kill / "store.db"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(killed(tmp_path_factory.mktemp("salvage")))


@pytest.fixture(scope="module")
def before(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Content:
    return content(copy_of(store, tmp_path_factory.mktemp("before")))


def copy_of(store: Path, folder: Path) -> Path:
    for name in ("store.db", "store.db-wal"):
        shutil.copy(store.with_name(name), folder / name)
    return folder / "store.db"


async def opened(path: Path) -> OpenReport:
    outbox = outbox_at(path, "a")
    report = await outbox.open()
    await outbox.commit(batch(COMMITS + 1))
    await outbox.close()
    return report


def flip(path: Path, places: list[tuple[float, int]]) -> None:
    sizes = [(file, file.stat().st_size) for file in (path, files.wal_of(path))]
    for part, mask in places:
        at = int(part * sum(size for _, size in sizes))
        for file, size in sizes:
            if at < size:
                with file.open("r+b") as opened_file:
                    opened_file.seek(at)
                    byte = opened_file.read(1)[0]
                    opened_file.seek(at)
                    opened_file.write(bytes([byte ^ mask]))
                break
            at -= size


def judge(now: Content, before: Content, report: OpenReport) -> None:
    """Subset, same values; what is missing is said.

    The last commit alone may be gone unsaid: damaged, its frames are those of a commit the power was cut in, which
    SQLite takes back. The agent then stopped one commit earlier, and says that of itself.
    """
    assert all(before.records[number] == found for number, found in now.records.items() if number in before.records)
    last = max(before.records)
    gone = [number for number in before.records if number not in now.records and now.cursor < number < last]
    if gone:
        assert report.saved is not None
        assert report.saved.missing >= len(gone)
        times = [before.records[number][1] for number in gone]
        assert report.saved.lost_from_ns <= min(times)
        assert max(times) <= report.saved.lost_until_ns
    assert all(before.rows[key] == found for key, found in now.rows.items())
    known = {f"machine:m{n}": {checkpoint(n, second) for second in range(COMMITS)} for n in range(3)}
    assert all(blob in known[key] for key, blob in now.checkpoints.items()), "one that was never stored"
    assert now.cursor in (0, before.cursor, 20)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=8))
def test_flipped_anywhere(
    store: Path, before: Content, places: list[tuple[float, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It starts, and what it goes on with was stored: a checkpoint may be a few commits old, a row never another."""
    path = copy_of(store, tmp_path_factory.mktemp("flipped"))
    flip(path, places)
    report = asyncio.run(opened(path))
    judge(content(path), before, report)
    shutil.rmtree(path.parent)


def test_every_byte_of_the_headers(store: Path, before: Content, tmp_path: Path) -> None:
    """The hundred bytes of the file that decide what it is, and the 32 of its log: none of them prevents a start."""
    for at in [*range(0, 100, 7), *range(store.stat().st_size, store.stat().st_size + 32, 5)]:
        path = copy_of(store, tmp_path)
        target, place = (path, at) if at < 100 else (files.wal_of(path), at - store.stat().st_size)
        data = bytearray(target.read_bytes())
        data[place] ^= 0x41
        target.write_bytes(data)
        report = asyncio.run(opened(path))
        judge(content(path), before, report)
        for file in tmp_path.iterdir():
            file.unlink()


def test_everything_comes_over_where_only_roots_are_lost(store: Path, before: Content, tmp_path: Path) -> None:
    """The tables' definitions and every page above the leaves may be gone: leaves are found by themselves."""
    path = copy_of(store, tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = bytearray(path.read_bytes())
    data[: schema.PAGE_BYTES] = bytes(schema.PAGE_BYTES)
    for at in range(schema.PAGE_BYTES, len(data), schema.PAGE_BYTES):
        if data[at] == 0x05:  # an interior page of a table
            data[at : at + schema.PAGE_BYTES] = bytes(schema.PAGE_BYTES)
    path.write_bytes(data)
    report = asyncio.run(opened(path))
    now = content(path)
    assert report.saved is not None
    assert (report.saved.missing, now.records, now.rows) == (0, before.records, before.rows)
    assert now.checkpoints == before.checkpoints
    assert now.cursor == before.cursor


def test_a_transaction_behind_a_broken_frame_is_not_given_up(store: Path, before: Content, tmp_path: Path) -> None:
    """SQLite ends at the first frame that does not fit, and says nothing."""
    path = copy_of(store, tmp_path)
    log = Log(files.wal_of(path), schema.PAGE_BYTES)
    assert log.sound == len(log.frames) > 10
    assert not log.lost
    flip_at = log.frames[5].at + 2000
    data = bytearray(files.wal_of(path).read_bytes())
    data[flip_at] ^= 1
    files.wal_of(path).write_bytes(data)
    assert Log(files.wal_of(path), schema.PAGE_BYTES).lost
    report = asyncio.run(opened(path))
    now = content(path)
    judge(now, before, report)
    assert max(now.records) == max(before.records)
    assert now.checkpoints == before.checkpoints


async def test_a_kill_between_two_names_loses_nothing(store: Path, before: Content, tmp_path: Path) -> None:
    path = copy_of(store, tmp_path)
    await asyncio.to_thread(flip, path, [(0.2, 7), (0.00001, 255)])
    assert (await opened(path)).saved is not None
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    path.rename(path.with_name("store.db.salvaged"))
    assert (await opened(path)).set_aside is None
    assert len(content(path).records) > len(before.records) - 5


async def test_no_room_for_both_is_said_and_the_agent_starts(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy_of(store, tmp_path)
    await asyncio.to_thread(flip, path, [(0.00001, 255)])

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(files, "salvage_pages", full)
    report = await opened(path)
    assert report.saved is None
    assert "disk is full" in report.detail
    assert not [name for name in await asyncio.to_thread(os.listdir, tmp_path) if "salvag" in name]


def test_free_pages_stay_forgotten(tmp_path: Path) -> None:
    """A page that was given back keeps its rows: they must not rise again."""

    async def make() -> Path:
        path = tmp_path / "store.db"
        outbox = outbox_at(path)
        await outbox.open()
        for n in range(60):
            await outbox.commit(batch(n, record(n, pad=3000)))
        await outbox.close()
        return path

    path = asyncio.run(make())
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA secure_delete=OFF")
    connection.execute("DELETE FROM record WHERE id <= 50")
    connection.commit()
    connection.close()
    with Pages(path, files.wal_of(path)) as pages:
        ids = [cell.rowid for cell in pages.rows() if len(cell.values) == 7]
    assert sorted(ids) == list(range(51, 61))


def test_a_foreign_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA page_size=4096")
        connection.execute("CREATE TABLE recipes (n)")
    connection.close()
    kept = path.read_bytes()
    with pytest.raises(StoreError, match=r"another program|其他程序"):
        asyncio.run(opened(path))
    assert path.read_bytes() == kept


async def test_a_store_killed_before_its_log_was_ever_folded_is_whole(tmp_path: Path) -> None:
    """Its file has hardly a header then; everything is in the log."""
    live = tmp_path / "live" / "store.db"
    outbox = outbox_at(live, "a")
    await outbox.open()
    await outbox.commit(batch(1, record(1)))
    for name in ("store.db", "store.db-wal"):
        await asyncio.to_thread(shutil.copy, live.with_name(name), tmp_path / name)
    await outbox.close()
    assert (await opened(tmp_path / "store.db")).detail == ""
    assert len(content(tmp_path / "store.db").records) == 1


def test_a_store_killed_while_it_was_laid_out_is_begun_again(tmp_path: Path) -> None:
    """No table was ever committed: there is nothing to set aside, and nothing to tell."""
    path = tmp_path / "store.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA page_size=4096")
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    assert path.stat().st_size > 0
    report = asyncio.run(opened(path))
    assert (report.created, report.set_aside, report.detail) == (True, None, "")
