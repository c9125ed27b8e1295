"""A store on a disk nobody can write to is read whole, its log included, and nothing is left beside it."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.memory import memory_folder
from fixtures.records import batch, outbox_at, record

from edge.outbox.check import check
from edge.outbox.reader import Reader

COMMITS = 12


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with memory_folder(tmp_path) as folder:
        (folder / "tmp").mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
        yield folder


async def made(folder: Path, *, killed: bool) -> Path:
    """On the card of a gateway that was killed, or stopped."""
    card = folder / "card"
    card.mkdir()
    outbox = outbox_at(folder / "store.db", "a")
    await outbox.open()
    for number in range(COMMITS):
        await outbox.commit(batch(number, record(number)))
    if killed:
        for name in ("store.db", "store.db-wal"):
            shutil.copy(folder / name, card / name)
    await outbox.close()
    if not killed:
        shutil.copy(folder / "store.db", card / "store.db")
        (card / "store.db-wal").touch()
    return card / "store.db"


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped"])
def test_all_of_it_is_read_and_nothing_is_left_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, killed: bool
) -> None:
    store = asyncio.run(made(folder, killed=killed))
    before = sorted(store.parent.iterdir())
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere but on a read-only file system
    with Reader(store) as reader:
        assert reader.last_id() == COMMITS
        assert len(reader.stretch(0, 1 << 62, 1 << 30)[0]) == COMMITS
        assert sorted(store.parent.iterdir()) == before
    assert list(check(store)) == []
    assert sorted(store.parent.iterdir()) == before
    assert not list((folder / "tmp").iterdir())
