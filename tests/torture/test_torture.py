"""Nothing lost, nothing twice: one short round of the torture. `make torture` is the long one.

Kills of agent and PLC servers, torn tails, a full disk, clock steps and a database that misbehaves; afterwards a real
InfluxDB holds what the machines made, to the piece.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from torture import page
from torture.damage import flip, tear, wal_of
from torture.hands import BY_KEY
from torture.rounds import Round, play

RESULT = Path(__file__).with_name("result.json")


@pytest.mark.timeout(600)
async def test_the_books_are_right_after_everything_at_once(tmp_path: Path) -> None:
    seed = 715_517  # the suite does the same every time; `make torture` goes on from here
    print(f"again: PYTHONPATH=tests python -m torture --dry --only all --kills 3 --machines 3 --seed {seed}")
    outcome = await play(Round(BY_KEY["all"], seed, kills=3, machines=3, pause_s=1.5), tmp_path / "round")
    assert not outcome.wrong, outcome
    assert outcome.true == outcome.stored > 0
    assert outcome.injected["kill agent"] >= 1


def committed(store: Path, numbers: range) -> sqlite3.Connection:
    """One transaction each; the log keeps them."""
    connection = sqlite3.connect(store, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("CREATE TABLE IF NOT EXISTS t (n)")
    for number in numbers:
        connection.execute("INSERT INTO t VALUES (?)", (number,))
    return connection


def copied(store: Path, folder: Path) -> Path:
    """As a kill leaves it: the file and its log, not folded."""
    folder.mkdir()
    for file in store.parent.glob("s.db*"):
        shutil.copy(file, folder / file.name)
    return folder / "s.db"


@pytest.mark.parametrize("seed", range(8))
def test_a_torn_tail_is_one(tmp_path: Path, seed: int) -> None:
    """The fault is what it says: SQLite finds every promised transaction but, where the tail was cut, the last."""
    connection = committed(tmp_path / "s.db", range(20))
    store = copied(tmp_path / "s.db", tmp_path / "killed")
    connection.close()
    done = tear(store, random.Random(seed))
    assert done
    with closing(sqlite3.connect(store)) as again:
        assert again.execute("SELECT count(*) FROM t").fetchone()[0] == (19 if "cut" in done else 20)
        assert again.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_flipped_bytes_are_flipped(tmp_path: Path) -> None:
    """Same length, at most eight bytes other than before."""
    connection = committed(tmp_path / "s.db", range(20))
    store = copied(tmp_path / "s.db", tmp_path / "killed")
    connection.close()
    before = [file.read_bytes() for file in (store, wal_of(store))]
    flip(store, random.Random(1))
    after = [file.read_bytes() for file in (store, wal_of(store))]
    assert [len(content) for content in after] == [len(content) for content in before]
    assert 0 < sum(a != b for x, y in zip(before, after, strict=True) for a, b in zip(x, y, strict=True)) <= 8


@pytest.mark.parametrize("language", page.PAGES)
def test_the_pages_are_what_the_long_run_found(language: str) -> None:
    document = json.loads(RESULT.read_text("utf-8"))
    assert (page.DOCS / page.PAGES[language]).read_text("utf-8") == page.render(document, language)
    assert page.total(document["rounds"], "kill agent", "kill machines", "kill database") >= 200
    assert not [text for entry in document["rounds"] for text in entry["wrong"]]
