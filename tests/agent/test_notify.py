"""systemd hears every word on a real socket; without systemd, or with a deaf one, nothing happens."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.notify import Notifier


@pytest.fixture(params=["file", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    name = str(tmp_path / "notify") if request.param == "file" else f"\0seamline-test-{os.getpid()}-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(name)
        heard.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name.replace("\0", "@"))
        yield heard


def test_every_word_arrives(systemd: socket.socket) -> None:
    notifier = Notifier()
    notifier.ready("12/12 devices up")
    notifier.alive("11/12 devices up")
    notifier.reloading(1_234_567_890)
    notifier.stopping()
    words = [systemd.recv(4096).decode().split("\n") for _ in range(4)]
    assert words == [
        ["READY=1", "STATUS=12/12 devices up"],
        ["WATCHDOG=1", "STATUS=11/12 devices up"],
        ["RELOADING=1", "MONOTONIC_USEC=1234567"],
        ["STOPPING=1"],
    ]


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().ready("")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    Notifier().ready("")


def test_a_deaf_init_does_not_stop_the_agent(systemd: socket.socket) -> None:
    notifier = Notifier()
    for _ in range(2000):
        notifier.alive("")
