"""The conversation at the HMI: a counter that counts while somebody reads, several rounds, a living terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import termios
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from peers.foreign import holding, serving
from probe.conftest import tags_of
from probe.test_command import lay_out, site_file

from edge.clock import SystemClock
from edge.config import load
from edge.config.columns import cut
from edge.probe import screen
from edge.probe.judge import Motion, Verdict
from edge.probe.screen import Lines, Screen
from edge.probe.session import Session
from protocols.modbus.tags import WordOrder

COMMAND = "import sys; from edge.cli import main; sys.exit(main())"
TERMINAL_SITE = """\
site: {id: s, enterprise: e, province: p, city: c}
devices:
  - {id: plc, template: generic-modbus, host: 127.0.0.1, port: PORT, unit: 2, limits: {pause_ms: 0}}
machines:
  - id: m
    template: generic
    device: plc
    tags: {run: null, fault: null, total: {address: holding:50, type: u16}}
"""


@pytest.fixture
def pipe():
    """What is typed, and what is shown."""
    ends = [os.pipe(), os.pipe()]
    with os.fdopen(ends[0][0]) as typed, os.fdopen(ends[1][1], "w") as shown:
        yield typed, shown, ends[0][1], ends[1][0]
    os.close(ends[1][0])


async def talk(plan, names, streams, typed: bytes, motion=None) -> tuple[Session, str]:
    stream, out, feed, seen = streams
    (device, *_) = plan.devices
    session = Session(plan, device, [tags_of(device)[name] for name in names], SystemClock())
    for subject in session.subjects:
        subject.motion = motion or subject.motion
    os.write(feed, typed)
    os.close(feed)
    await session.connect()
    try:
        await Screen(session, stream, out, 10.0).ask(lambda _: True)
    finally:
        session.close()
    out.flush()
    return session, os.read(seen, 1 << 16).decode()


async def test_rounds_narrow_down(plant, tmp_path, pipe) -> None:
    """A small counter fits in two ways; the next value, read while it counts, leaves one."""
    path = site_file(tmp_path, plant, "inovance-h5u")
    plan = load(path, {})
    tag = replace(tags_of(plan.devices[0])["total"], word_order=WordOrder.ABCD)
    values = count(65_530, 2)
    honest = plant._pdu

    def counting(*asked):
        plant.put(tag, next(values))
        return honest(*asked)

    plant._pdu = counting
    session, said = await talk(plan, ["total"], pipe, b"65531\nx\n65544\n", Motion(1e5, 1 << 32))
    (subject,) = session.subjects
    assert subject.judgement.verdict is Verdict.ONE
    assert subject.judgement.fits[0].layout.tag.word_order is WordOrder.ABCD
    assert len(subject.rounds) == 2
    assert "2 fit" in said
    assert "no number" in said
    assert "65538" in said, "the table of the second question"


async def test_skip_again_and_end(plant, tmp_path, pipe) -> None:
    """Enter leaves a tag, r begins it anew after a slip, q ends; what was answered stays."""
    path = site_file(tmp_path, plant, "inovance-h5u")
    lay_out(plant, path, WordOrder.ABCD, total=1_234_567, good=5_000_001)
    session, said = await talk(load(path, {}), ["speed", "total", "good"], pipe, b"\n1234\nr\n1,234,567\nq\n")
    verdicts = [None if one.judgement is None else one.judgement.verdict for one in session.subjects]
    assert verdicts == [None, Verdict.ONE, None]
    assert "none fits" in said
    assert said.count("the HMI shows:") == 5


async def test_a_terminal_refreshes(plant, tmp_path, monkeypatch) -> None:
    """While nobody types, the table is drawn over itself with what the registers hold now; a pipe gets no escapes."""
    monkeypatch.setattr(screen, "REFRESH_S", 0.05)
    path = site_file(tmp_path, plant, "inovance-h5u")
    plan = load(path, {})
    (device,) = plan.devices
    lay_out(plant, path, None, total=70_001)
    master, slave = os.openpty()
    with os.fdopen(slave, "r+b", buffering=0) as line, os.fdopen(os.dup(slave), "w") as out:
        session = Session(plan, device, [tags_of(device)["total"]], SystemClock())
        await session.connect()
        asking = asyncio.create_task(Screen(session, line, out, 10.0).ask(lambda _: True))
        shown = ""
        while "70001" not in shown:
            shown += (await asyncio.to_thread(os.read, master, 4096)).decode(errors="replace")
        lay_out(plant, path, None, total=70_002)
        shown = ""
        async with asyncio.timeout(60):
            while not re.search("\x1b7.*70002.*\x1b8", shown, re.DOTALL):
                shown += (await asyncio.to_thread(os.read, master, 4096)).decode(errors="replace")
        os.write(master, b"70002\n")
        async with asyncio.timeout(60):
            await asking
        session.close()
    os.close(master)
    assert session.subjects[0].judgement.verdict is Verdict.ONE


def converse(language: str, asks: str, config: Path, typed: str) -> tuple[int, str]:
    """The command on a pseudo-terminal of 40 by 20 characters: answered once its table was refreshed."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (20, 40))
    command = [sys.executable, "-Ic", COMMAND, "--lang", language, "probe", "-c", str(config), "plc"]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        shown = b""  # decoded when it is whole: a read may end within a character
        with contextlib.suppress(OSError):  # the end of a pseudo-terminal
            while asks.encode() not in shown or b"\x1b8" not in shown:
                shown += os.read(master, 4096)
            os.write(master, f"{typed}\n".encode())
            while more := os.read(master, 4096):
                shown += more
    os.close(master)
    return process.returncode, shown.decode()


def test_in_a_real_terminal(tmp_path) -> None:
    """The command as people have it, in both languages: the table is drawn over itself, no row of it is so long that it
    would break, the answer is taken, and the status tells it.
    """
    config = tmp_path / "site.yaml"
    with serving("libmodbus", tmp_path) as port, ThreadPoolExecutor() as both:
        config.write_text(TERMINAL_SITE.replace("PORT", str(port)), encoding="utf-8")
        talks = [
            both.submit(converse, language, asks, config, str(holding(50, 2)))
            for language, asks in (("en", "the HMI shows: "), ("zh", "触摸屏显示："))
        ]
        for status, shown in [talk.result() for talk in talks]:
            tables = re.findall("\x1b7(.*?)\x1b8", shown, re.DOTALL)
            rows = [row.strip("\r\n") for table in tables for row in table.split("\x1b[2K")[1:]]
            assert rows
            assert all(cut(row, 39) == row for row in rows)
            assert status == 0, shown


async def test_lines_of_a_file(tmp_path) -> None:
    """A regular file can be typed in, too; its last line needs no line feed."""
    path = tmp_path / "typed"
    path.write_text("1\r\n\n3", encoding="utf-8")
    with path.open() as stream:
        lines = Lines(stream)
        assert [await lines.next(1) for _ in range(3)] == ["1", "", "3"]
        with pytest.raises(EOFError):
            await lines.next(1)
        lines.close()
