"""`seamline store fsck` finds a flipped byte of every kind of place, or the byte did not matter; and saves the rest."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from fixtures.records import batch, outbox_at, record
from store.conftest import Seamline, aside

from edge.errors import StoreError
from edge.outbox import schema
from edge.outbox.check import check
from edge.outbox.reader import Reader

FLIPS = 80

PLACES = (
    "UPDATE record SET lines = CAST(substr(lines, 1, 20) || x'ff' || substr(lines, 22) AS BLOB) WHERE id = 5",
    "UPDATE record SET points = points + 1 WHERE id = 5",
    "UPDATE record SET t_ns = t_ns + 1 WHERE id = 5",
    "UPDATE record SET class = 99 WHERE id = 5",
    "UPDATE record SET class = 10 WHERE id = 5",
    "UPDATE record SET id = 100000 WHERE id = 5",
    "UPDATE record SET crc = crc + 1 WHERE id = 5",
    "UPDATE record SET codec = 0 WHERE id = 5",
    "DELETE FROM record WHERE id = 5",
    "UPDATE tally SET points = points - 1 WHERE class = 20",
    "DELETE FROM tally WHERE class = 30",
    "UPDATE sqlite_sequence SET seq = 3 WHERE name = 'record'",
    "UPDATE sink SET cursor = cursor + 1 WHERE id = 'a'",
    "UPDATE sink SET quarantined = 0 WHERE id = 'a'",
    "UPDATE checkpoint SET blob = CAST(blob || x'00' AS BLOB) WHERE key = 'journal:m1:3'",
    "UPDATE checkpoint SET key = 'journal:m9:4' WHERE key = 'journal:m1:3'",
    "UPDATE state_a SET blob = CAST(blob || x'00' AS BLOB) WHERE key = 'machine:m1'",
    "UPDATE state_b SET key = 'machine:m9' WHERE key = 'machine:m1'",
    "UPDATE change SET blob = CAST(blob || x'00' AS BLOB) WHERE number = 60",
    "UPDATE change SET number = 61 WHERE number = 60",
    "UPDATE change SET t_ns = t_ns + 1 WHERE number = 60",
    "UPDATE meta SET text = '0' WHERE key = 'since_ns:m1'",
    "UPDATE ledger SET tc = tc + 1 WHERE start_ns = (SELECT min(start_ns) FROM ledger)",
    "UPDATE ledger SET tier = 1 WHERE start_ns = (SELECT min(start_ns) FROM ledger)",
    "UPDATE gap SET end_ns = end_ns + 1 WHERE subject = 'plc-1'",
    "UPDATE gap SET pieces_max = 0 WHERE subject = 'plc-1'",
    "UPDATE quarantine SET line = CAST(line || 'x' AS BLOB)",
    "UPDATE quarantine SET words = ''",
    "ALTER TABLE ledger DROP COLUMN glitches",
)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: " ".join(place.split()[:4]))
def test_every_kind_of_place_is_watched(path: Path, seamline: Seamline, place: str) -> None:
    assert seamline("fsck", "--store", path)[0] == 0
    connection = sqlite3.connect(path)
    connection.execute(place)
    connection.commit()
    connection.close()
    status, said, _ = seamline("fsck", "--store", path)
    assert status == 1
    assert len(said.splitlines()) >= 2, said


TABLES = (
    "record", "tally", "sink", "checkpoint", "state_a", "state_b", "change", "meta", "ledger", "folded", "gap",
    "quarantine",
)  # fmt: skip


def contents(path: Path) -> list[list[tuple[object, ...]]]:
    """Everything a store gives back, through SQLite alone."""
    connection = sqlite3.connect(path)
    connection.text_factory = bytes
    try:
        return [connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES]
    finally:
        connection.close()


def test_a_flipped_byte_anywhere_is_found_or_changes_nothing(path: Path, tmp_path: Path) -> None:
    """Random bytes of the file, one at a time."""
    chance, whole, before = random.Random(11), path.read_bytes(), contents(path)
    flipped = tmp_path / "flipped.db"
    found = 0
    for _ in range(FLIPS):
        at = chance.randrange(100, len(whole))
        flipped.write_bytes(whole[:at] + bytes((whole[at] ^ (1 << chance.randrange(8)),)) + whole[at + 1 :])
        try:
            noticed = bool(list(check(flipped)))
        except StoreError:
            noticed = True
        found += noticed
        if not noticed:
            assert contents(flipped) == before, f"the byte at {at} changed what is read, and nothing says so"
    assert found > FLIPS // 2


def test_what_is_whole_is_saved_into_a_new_file_and_the_old_one_is_as_it_was(
    path: Path, tmp_path: Path, seamline: Seamline
) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE record SET points = points + 1 WHERE id = 5")
    connection.execute("UPDATE meta SET text = '0' WHERE key = 'since_ns:m1'")
    connection.commit()
    connection.close()
    broken = path.read_bytes()
    status, _, _ = seamline("fsck", "--store", path, "--repair-into", tmp_path / "saved.db")
    assert status == 1
    assert path.read_bytes() == broken
    assert seamline("fsck", "--store", tmp_path / "saved.db")[0] == 0
    with Reader(path) as old, Reader(tmp_path / "saved.db") as new:
        kept, damaged = old.stretch(0, 1 << 62, 1 << 40)
        assert (new.stretch(0, 1 << 62, 1 << 40)[0], damaged) == (kept, (5,))
        assert (new.positions(), new.checkpoints(), new.open_gaps()) == (
            old.positions(), old.checkpoints(), old.open_gaps(),
        )  # fmt: skip
    assert "since_ns:m1" not in dict(sqlite3.connect(tmp_path / "saved.db").execute("SELECT key, text FROM meta"))
    assert seamline("fsck", "--store", path, "--repair-into", tmp_path / "saved.db")[0] == 1, "it is never overwritten"


def test_records_around_a_torn_page_are_saved_from_both_sides(path: Path, tmp_path: Path, seamline: Seamline) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"\xa5" * 4096)
    assert seamline("fsck", "--store", path, "--repair-into", tmp_path / "saved.db")[0] == 1
    with Reader(tmp_path / "saved.db") as new:
        assert len(new.stretch(0, 1 << 62, 1 << 40)[0]) > 30
    assert seamline("fsck", "--store", tmp_path / "saved.db")[0] == 0


async def test_it_can_be_asked_beside_a_running_agent(path: Path, seamline: Seamline) -> None:
    outbox = outbox_at(path, "a")
    await outbox.open()
    await outbox.commit(batch(500, record(1)))
    assert (await aside(seamline, "fsck", "--store", path))[0] == 0
    status, _, said = await aside(seamline, "fsck", "--store", path, "--repair-into", path.with_name("n.db"))
    assert (status, "another seamline" in said) == (1, True)
    await outbox.commit(batch(501, record(2)))
    await outbox.close()


def test_a_file_of_an_earlier_release_is_brought_over_whole(path: Path, tmp_path: Path, seamline: Seamline) -> None:
    """Format 1 had no gaps and no checksums but those of records: nothing that is stored changes."""
    old = tmp_path / "old.db"
    shutil.copy(path, old)
    connection = sqlite3.connect(old)
    for table in ("sink", "quarantine", "checkpoint", "meta", "ledger", "folded"):
        connection.execute(f"ALTER TABLE {table} DROP COLUMN crc")
    with Reader(path) as reader:
        states = [(key, blob) for key, blob in reader.checkpoints().items() if key.startswith("machine:")]
    connection.executemany("INSERT INTO checkpoint (key, blob) VALUES (?, ?)", states)
    connection.commit()
    for table in ("gap", "state_a", "state_b", "change"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("PRAGMA user_version=1")
    connection.close()
    assert seamline("fsck", "--store", old)[0] == 1

    upgraded = schema.connect(old)
    schema.upgrade(upgraded, 1)
    upgraded.close()
    assert seamline("fsck", "--store", old)[0] == 0
    with Reader(path) as reader, Reader(old) as after:
        assert after.stretch(0, 1 << 62, 1 << 40) == reader.stretch(0, 1 << 62, 1 << 40)
        assert (after.positions(), after.checkpoints(), after.meta()) == (
            reader.positions(), reader.checkpoints(), reader.meta(),
        )  # fmt: skip


@pytest.mark.parametrize("kind", ["empty", "text", "folder", "another program's", "a later release's"])
@pytest.mark.parametrize(
    "command",
    ["stats", "gaps", "fsck", "export", "import", "quarantine list", "quarantine retry", "quarantine drop --all"],
)
def test_what_is_no_store_of_ours_is_named_and_left_as_it_is(
    tmp_path: Path, seamline: Seamline, command: str, kind: str
) -> None:
    path, lines = tmp_path / "x.db", tmp_path / "lines"
    lines.write_bytes(b"tag,name=a value=1 1")
    match kind:
        case "empty":
            path.touch()
        case "text":
            path.write_bytes(b"text, not a database, but long enough to be taken for one" * 20)
        case "folder":
            path.mkdir()
        case _:
            with closing(sqlite3.connect(path)) as other:
                other.execute("CREATE TABLE record (a)")
                if kind == "a later release's":
                    other.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
                    other.execute("PRAGMA user_version=99")
    before = path.read_bytes() if path.is_file() else b""
    status, out, said = seamline(*command.split(), "--store", path, *([lines] if command == "import" else []))
    if (command, kind) == ("import", "empty"):
        assert status == 0
        return
    assert status == 1
    assert "x.db" in out + said
    assert "no such table" not in out + said
    assert not list(tmp_path.glob("x.db.damaged*"))
    assert (path.read_bytes() if path.is_file() else b"") == before
