"""A start that takes long asks systemd for more time and says what it is at; a quick one does not."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.records import T0_NS, batch, outbox_at, record

from edge import patience
from edge.errors import StoreError
from edge.notify import Notifier
from edge.outbox import files
from edge.outbox.opening import CHECKING, SAVING, Opening
from edge.patience import patiently


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield heard


async def test_more_time_is_asked_for_as_long_as_it_lasts(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(patience, "SAID_EVERY_S", 0.01)
    said: list[str] = []
    enough = asyncio.Event()

    async def work() -> None:
        await enough.wait()

    def what() -> str:
        if len(said) >= 6:
            enough.set()
        said.append(str(Opening(SAVING, len(said), 10)))
        return said[-1]

    await patiently(work(), what, Notifier())
    heard = systemd.recv(4096).decode().split("\n")
    assert heard[0] == "EXTEND_TIMEOUT_USEC=60000000"
    assert heard[1] == f"STATUS={said[0]}"
    assert "%" in said[1]
    assert {record.message for record in caplog.records if record.levelno == logging.WARNING} == {"starting"}


async def test_a_quick_start_says_nothing(systemd: socket.socket) -> None:
    await patiently(asyncio.sleep(0), lambda: "", Notifier())
    with pytest.raises(BlockingIOError):
        systemd.recv(4096)


async def test_what_fails_fails() -> None:
    async def work() -> None:
        raise StoreError("no")

    with pytest.raises(StoreError, match="no"):
        await patiently(work(), lambda: "", Notifier())


async def test_opening_a_damaged_store_tells_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    outbox = outbox_at(path)
    await outbox.open()
    await outbox.commit(batch(1, *(record(n, pad=4_000) for n in range(600))))
    await outbox.close()

    def damaged() -> list[Opening]:
        with path.open("r+b") as file:
            file.write(bytes(100))
        told: list[Opening] = []
        connection, report = files.open_store(path, T0_NS, tell=told.append)
        connection.close()
        assert report.saved is not None
        return told

    told = await asyncio.to_thread(damaged)
    assert told[0] == Opening(CHECKING)
    parts = [opening.done for opening in told[1:] if opening.total]
    assert len(parts) >= 3
    assert parts == sorted(parts)
    assert all(opening.what == SAVING and opening.done <= opening.total for opening in told[1:])
