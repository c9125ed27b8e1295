"""Machine states: what comes back is the last that was committed, to the byte; one damaged page or byte, wherever it
is, costs some commits at most and is known; little is written for each commit.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fixtures.memory import memory_folder
from fixtures.records import NS, T0_NS, batch, outbox_at, record

from edge.errors import StoreError
from edge.outbox import files, schema
from edge.outbox.facts import OpenReport
from edge.outbox.reader import Reader
from edge.outbox.states import EVERY, KEPT

KEYS = tuple(f"machine:m{n}" for n in range(4))
COMMITS = 3 * EVERY
Blobs = dict[str, bytes]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory: what a flush costs is not tested here."""
    with memory_folder(tmp_path) as folder:
        yield folder


def state(key: str, number: int) -> bytes:
    """As a machine has it: kilobytes, a few of which move with each commit and more of them now and then."""
    still = random.Random(f"{key} {number // 40}").randbytes(600)
    return b'{"t_ns": %d}\n' % (T0_NS + number * NS) + bytes(2000) + still + number.to_bytes(8, "big") * 20


async def filled(path: Path) -> Blobs:
    """m0 changes with each commit, m1 with every third, m2 only early, m3 is there once. Ends as a kill leaves it."""
    outbox = outbox_at(path.parent / "live" / "store.db", "a")
    await outbox.open()
    last: Blobs = {}
    for number in range(COMMITS):
        changed = {KEYS[0]}
        changed |= {KEYS[1]} if number % 3 == 0 else set()
        changed |= {KEYS[2]} if number < EVERY else set()
        changed |= {KEYS[3]} if number == 0 else set()
        news = {key: state(key, number) for key in sorted(changed)}
        last |= news
        await outbox.commit(batch(number, record(number), checkpoints=tuple(news.items())))
    await asyncio.to_thread(take_copy, path.parent / "live" / "store.db", path)
    await outbox.close()
    return last


def take_copy(store: Path, to: Path) -> Path:
    for name in ("", "-wal"):
        shutil.copy(f"{store}{name}", f"{to}{name}")
    return to


def opened(path: Path) -> OpenReport:
    connection, report = files.open_store(path, T0_NS + 900 * NS)
    connection.close()
    return report


def states_of(path: Path) -> Blobs:
    with Reader(path) as reader:
        return reader.checkpoints()


def place_of(path: Path, table: str, key: str) -> int:
    """Where the last bytes of a row's blob lie in the file, its log folded in."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        blob = connection.execute(f"SELECT blob FROM {table} WHERE key = ?", (key,)).fetchone()[0]
    return path.read_bytes().index(blob[-40:])


async def test_what_was_committed_last_comes_back_to_the_byte(folder: Path) -> None:
    outbox = outbox_at(folder / "store.db")
    await outbox.open()
    random_numbers, last = random.Random(7), Blobs()
    for number in range(KEPT + 3 * EVERY):
        news = {key: state(key, number) for key in KEYS if random_numbers.random() < 0.4}
        last |= news
        await outbox.commit(batch(number, checkpoints=tuple(news.items())))
        if number % 23 == 0:
            assert await outbox.load_checkpoints() == last
        if number % 90 == 0:
            await outbox.close()
            outbox = outbox_at(folder / "store.db")
            await outbox.open()
    assert await outbox.load_checkpoints() == last
    await outbox.close()
    with closing(sqlite3.connect(folder / "store.db")) as connection:
        rows = connection.execute("SELECT count(*) FROM change").fetchone()[0]
        wholes = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("state_a", "state_b")]
    assert rows <= KEPT + 2 * EVERY, "what changed is not kept for ever"
    assert wholes == [len(KEYS), len(KEYS)], "two generations of each"


async def test_a_failed_commit_leaves_the_states_as_they_were(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0.05)
    outbox = outbox_at(folder / "store.db")
    await outbox.open()
    for number in range(5):
        await outbox.commit(batch(number, checkpoints=((KEYS[0], state(KEYS[0], number)),)))
    blocker = await asyncio.to_thread(sqlite3.connect, folder / "store.db", check_same_thread=False)
    await asyncio.to_thread(blocker.execute, "BEGIN IMMEDIATE")
    with pytest.raises(StoreError):
        await outbox.commit(batch(5, checkpoints=((KEYS[0], state(KEYS[0], 5)), (KEYS[1], b"new"))))
    assert await outbox.load_checkpoints() == {KEYS[0]: state(KEYS[0], 4)}
    await asyncio.to_thread(blocker.close)
    await outbox.commit(batch(6, checkpoints=((KEYS[0], state(KEYS[0], 6)),)))
    assert await outbox.load_checkpoints() == {KEYS[0]: state(KEYS[0], 6)}
    await outbox.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Blobs]]:
    with memory_folder(tmp_path_factory.mktemp("states")) as folder:
        path = folder / "store.db"
        yield path, asyncio.run(filled(path))


@pytest.mark.parametrize("damage", ["lost page", "flipped byte"])
@pytest.mark.parametrize("log", ["folded in", "as a kill leaves it"])
def test_no_single_page_or_byte_costs_a_machine_its_state(
    made: tuple[Path, Blobs], folder: Path, damage: str, log: str
) -> None:
    """Each page of the file in turn (a third of them where a log is beside it): every machine goes on, and the report
    names those that are not where they were.
    """
    path, last = made
    whole = take_copy(path, folder / "whole.db")
    if log == "folded in":
        with closing(sqlite3.connect(whole)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = whole.read_bytes()
    numbers = random.Random(3)
    outdated = 0
    pages = range(0, len(content), schema.PAGE_BYTES)
    for at in pages if log == "folded in" else pages[::3]:
        hurt = bytearray(content)
        if damage == "lost page":
            hurt[at : at + schema.PAGE_BYTES] = bytes(schema.PAGE_BYTES)
        else:
            hurt[at + numbers.randrange(schema.PAGE_BYTES)] ^= 1 << numbers.randrange(8)
        one = folder / "one.db"
        for old in folder.glob("one.db*"):
            old.unlink()
        if log != "folded in":
            shutil.copy(f"{whole}-wal", f"{one}-wal")
        one.write_bytes(hurt)
        report = opened(one)
        found = states_of(one)
        assert sorted(found) == sorted(last), f"page {at // schema.PAGE_BYTES}"
        for key in KEYS:
            if found[key] == last[key]:
                continue
            outdated += 1
            assert found[key] in {state(key, number) for number in range(COMMITS - KEPT, COMMITS)}, "not so long ago"
            assert report.saved is not None
            assert key in report.saved.outdated
            behind = next(number for number in range(COMMITS) if state(key, number) == found[key])
            assert report.since_ns <= T0_NS + behind * NS, "the time that may be missing begins with it"
    if damage == "lost page" and log == "folded in":
        assert outdated, "no damage hit a state: nothing was tested"


def test_the_generation_before_is_gone_on_with_and_named(made: tuple[Path, Blobs], folder: Path) -> None:
    path = take_copy(made[0], folder / "store.db")
    with closing(sqlite3.connect(path)) as connection:
        numbers = {
            table: connection.execute(f"SELECT number FROM {table} WHERE key = ?", (KEYS[0],)).fetchone()[0]
            for table in ("state_a", "state_b")
        }
    newest, older = sorted(numbers, key=lambda table: -numbers[table])
    place = place_of(path, newest, KEYS[0])
    assert place // schema.PAGE_BYTES != place_of(path, older, KEYS[0]) // schema.PAGE_BYTES, "in other pages"
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)
    report = opened(path)
    assert report.saved is not None
    assert "m0" in report.detail
    assert KEYS[0] in report.saved.outdated
    blob = states_of(path)[KEYS[0]]
    assert blob in {state(KEYS[0], number) for number in range(numbers[older] - 1, COMMITS - 1)}
    assert opened(path).detail == "", "the new file is whole"


def test_states_of_a_large_file_that_was_closed_cleanly_are_looked_at(
    made: tuple[Path, Blobs], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not all of a file of gigabytes is read at a clean start; what every count goes on from is."""
    monkeypatch.setattr(files, "CHECK_CLEAN_UP_TO_BYTES", 0)
    path = take_copy(made[0], folder / "store.db")
    place = place_of(path, "state_b", KEYS[3])
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)
    assert opened(path).saved is not None
    assert states_of(path) == made[1], "of a machine that stands still both generations are the same"


def test_a_flipped_byte_in_the_definitions_of_the_tables_never_prevents_a_start(
    made: tuple[Path, Blobs], folder: Path
) -> None:
    """They are text in a page without a checksum."""
    whole = take_copy(made[0], folder / "whole.db")
    with closing(sqlite3.connect(whole)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        texts = [row[0].encode() for row in connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")]
    content = whole.read_bytes()
    one, numbers = folder / "one.db", random.Random(11)
    for text in texts:
        start = content.index(text[:40])
        for at in range(start + numbers.randrange(23), start + min(len(text), 1500), 61):
            hurt = bytearray(content)
            hurt[at] ^= numbers.choice((0x80, 0x20, 0x01))
            for old in folder.glob("one.db*"):
                old.unlink()
            one.write_bytes(hurt)
            asyncio.run(committed(one))
            assert sorted(states_of(one)) == sorted(made[1])


async def committed(path: Path) -> None:
    outbox = outbox_at(path, "a")
    await outbox.open()
    await outbox.commit(batch(COMMITS + 1, record(1), checkpoints=((KEYS[0], state(KEYS[0], 1)),)))
    await outbox.quarantine("a", [(b"bad", "words")])
    await outbox.close()


def test_little_is_written_for_a_commit(folder: Path) -> None:
    """Twelve machines, of which half change: less than a third of the states themselves reaches the disk."""

    async def run() -> tuple[int, int]:
        outbox = outbox_at(folder / "store.db")
        await outbox.open()
        given = 0
        for number in range(4 * EVERY):
            news = tuple((f"machine:m{n}", state(f"m{n}", number)) for n in range(12) if (n + number) % 2)
            given += sum(len(blob) for _, blob in news)
            await outbox.commit(batch(number, checkpoints=news))
        written = (await outbox.stats()).flow.written_bytes
        await outbox.close()
        return written, given

    written, given = asyncio.run(run())
    assert 0 < written < given
