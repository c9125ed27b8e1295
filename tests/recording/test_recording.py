"""What a running agent recorded is what it stored: replayed, every whole minute is the same to the piece and the
nanosecond. And a recording that cannot be written costs nothing but itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from agent.rig import Rig
from fixtures.records import NS
from machines.bench import RUN, SIGNALS, T0, TOTAL, machine, write

from edge.kpi.windows import MINUTE
from edge.plan import RecordingPlan, Signal
from edge.recorder import Recorder
from edge.recording import segments
from edge.recording.lines import files_of, folder_of
from edge.recording.recording import RETRY_NS, Recording, record
from edge.replay import command
from protocols.reading import Frame, Quality

MAX_BYTES = 4_000_000


class RecordedRig(Rig):
    """The agent's middle with recording on. The fault code is read from a device of its own, between the samples."""

    def __init__(self, store: Path, now_ns: int = T0, *, record_it: bool = True) -> None:
        apart = replace(machine(), signals=(*machine().signals[:2], Signal("fault_code", 1, 0), *machine().signals[3:]))
        super().__init__(store, replace(apart, process_values=()))
        self.clock.advance(now_ns - T0)
        self.plan = replace(self.plan, recordings=(RecordingPlan("m1", MAX_BYTES),) if record_it else ())
        self.recording: Recording | None = record(self.plan, self.lives, self.clock)
        self.recorder = Recorder(
            self.plan, self.lives, self.hub, self.values, self.pollers, self.outbox, self.clock, self.recording
        )  # type: ignore[arg-type]

    async def start(self) -> None:
        """As the agent does."""
        await self.outbox.open()
        now_ns = self.clock.now_ns()
        checkpoints, meta = await self.outbox.load_checkpoints(), await self.outbox.load_meta()
        for life in self.lives:
            name = life.machine.id
            pages = [page for key, page in checkpoints.items() if key.startswith(f"journal:{name}:")]
            since_ns = life.restore(checkpoints.get(f"machine:{name}"), now_ns, pages)
            life.remember(await self.outbox.ledger_rows(name, MINUTE, since_ns, now_ns + 3600 * NS))
        if self.recording is not None:
            self.recording.begin(meta)

    def answer(self, quality: Quality = Quality.GOOD) -> None:
        """Device 0 answers with its registers."""
        now_ns = self.clock.now_ns()
        write(self.images[0], now_ns, self.registers, quality)
        self.hub.on_frame(Frame(0, now_ns, range(len(SIGNALS)), 0))


async def lived(rig: RecordedRig, seconds: int, dice: random.Random, *, silent: bool = False) -> None:
    """A machine that runs, stops, faults, wraps, is cleared and is badly read; two devices that answer in turn."""
    registers = rig.registers
    for _ in range(seconds):
        rig.clock.advance(NS - dice.randrange(NS // 5))
        if dice.random() < 0.3:
            rig.measure(dice.choice([0, 7, 8]))
            rig.clock.advance(dice.randrange(NS // 5))
        if registers[RUN] and dice.random() < 0.5:
            registers[TOTAL] = (registers[TOTAL] + dice.choice([1, 2])) % 65_536
        chance = dice.random()
        if chance < 0.02:
            registers[RUN] ^= 1
        elif chance < 0.03:
            registers[1] ^= 1
        elif chance < 0.04:
            registers[3] = dice.choice([1, 2, 9])
        elif chance < 0.044:
            registers[TOTAL] = dice.choice([0, 65_530])
        elif chance < 0.05:
            for tag in range(rig.images[1].size):  # as a poller does when its device is gone
                rig.images[1].quality[tag] = Quality.COMM_LOST
        if not silent and dice.random() > 0.03:
            rig.answer(dice.choices([Quality.GOOD, Quality.UNCERTAIN, Quality.BAD], [30, 1, 1])[0])
        if dice.random() < 0.3:
            await rig.recorder.commit()


def compared(store: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """`seamline replay --against --json`, of machine m1."""
    capsys.readouterr()
    status = command.run(Path("site.yaml"), folder_of(store), against=store, as_json=True)
    found = json.loads(capsys.readouterr().out)["machines"]["m1"]
    assert status == bool(found["differences"])
    return found


def replayed_shifts(store: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """`seamline replay --json`, of machine m1: a row for each product."""
    capsys.readouterr()
    assert command.run(Path("site.yaml"), folder_of(store), as_json=True) == 0
    return json.loads(capsys.readouterr().out)["machines"]["m1"]["shifts"]


def failures_of(shifts: list[dict[str, Any]]) -> tuple[int, float, float]:
    """FE, MTBF and MTTR of all products: sums first, one division last."""
    fe = sum(row["fe"] for row in shifts)
    assert fe > 1
    assert len({row["start_ns"] for row in shifts}) == 1
    mtbf, mttr = (
        [row["figures"][key] for row in shifts if row["figures"][key]["value"] is not None] for key in ("mtbf", "mttr")
    )
    mtbf_s, mttr_s = (
        float(Fraction(sum(f["numerator"] for f in each), sum(f["denominator"] for f in each) * NS))
        for each in (mtbf, mttr)
    )
    return fe, mtbf_s, mttr_s


@pytest.mark.parametrize("seed", range(2))
async def test_a_recording_replays_to_what_was_stored(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through clean stops, kills between two commits, silences, packed segments; so do the failures of the shift."""
    monkeypatch.setattr(segments, "SEGMENT_LIMIT_BYTES", 60_000)
    dice, store = random.Random(seed), tmp_path / "s.db"
    rig = RecordedRig(store)
    monkeypatch.setattr(command, "load", lambda *_: rig.plan)
    await rig.start()
    for _ in range(6):
        await lived(rig, dice.randrange(60, 400), dice)
        await lived(rig, dice.choice([2, 30, 90]), dice, silent=True)
        await lived(rig, dice.randrange(20), dice)
        if dice.random() < 0.3:
            await rig.recorder.flush()
        assert rig.recording is not None
        for _ in range(dice.randrange(8)):
            rig.read(1)
        await rig.recording.write(rig.recording.take())  # killed between the file and the commit
        registers, now_ns = rig.registers, rig.clock.now_ns()
        await rig.outbox.close()
        rig = RecordedRig(store, now_ns + dice.choice([NS, 4 * NS, 100 * NS]))
        rig.registers = registers
        await rig.start()
    await lived(rig, 200, dice)
    seen = rig.lives[0].view(rig.clock.now_ns()).shift
    await rig.recorder.flush()
    await rig.outbox.close()
    found = await asyncio.to_thread(compared, store, capsys)
    assert found["differences"] == []
    assert found["compared"] > 20
    assert seen is not None
    assert failures_of(await asyncio.to_thread(replayed_shifts, store, capsys)) == (seen.fe, seen.mtbf_s, seen.mttr_s)
    assert any(path.name.endswith(".gz") for path in files_of(folder_of(store)))


async def test_off_means_no_file_and_no_work(tmp_path: Path) -> None:
    rig = RecordedRig(tmp_path / "s.db", record_it=False)
    await rig.start()
    assert rig.recording is None
    assert rig.lives[0].tape is None
    await lived(rig, 30, random.Random(1))
    await rig.outbox.close()
    assert not folder_of(rig.store).exists()


async def test_where_the_files_cannot_be_written_the_agent_goes_on_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Dropped readings are counted; a minute after there is room it records again."""
    caplog.set_level(logging.INFO)
    rig = RecordedRig(tmp_path / "s.db")
    blocked = folder_of(rig.store)
    blocked.write_text("a file where the folder should be")
    await rig.start()
    assert rig.recording is not None
    for _ in range(40):
        rig.read(1)
        await rig.recorder.commit()
    (view,) = rig.recording.views()
    assert view.error
    assert view.dropped > 150
    assert rig.lives[0].view(rig.clock.now_ns()).counted == 39
    assert [entry.message for entry in caplog.records].count("recording") == 1
    blocked.unlink()
    for _ in range(RETRY_NS // NS):
        rig.read(1)
        await rig.recorder.commit()
    (view,) = rig.recording.views()
    assert view.error == ""
    assert view.size_bytes == sum(path.stat().st_size for path in files_of(blocked)) > 0
    assert [entry.message for entry in caplog.records].count("recording goes on") == 1
    await rig.outbox.close()


async def test_a_full_disk_stops_the_recording_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it lost is a hole in the replay; what lies before and well behind it is the same."""
    rig = RecordedRig(tmp_path / "s.db")
    monkeypatch.setattr(command, "load", lambda *_: rig.plan)
    await rig.start()
    assert rig.recording is not None
    real = os.write

    def short(file: int, data: bytes) -> int:
        return real(file, data[:17]) if full else real(file, data)

    full = False
    monkeypatch.setattr(segments.os, "write", short)
    for second in range(600):
        full = 200 <= second < 300
        rig.read(second % 2)
        await rig.recorder.commit()
    await rig.recorder.flush()
    (view,) = rig.recording.views()
    assert 0 < view.dropped < 6 * 170
    await rig.outbox.close()
    found = await asyncio.to_thread(compared, rig.store, capsys)
    differing = [(difference["start_ns"] - T0) // (60 * NS) for difference in found["differences"]]
    assert differing
    assert all(2 <= minute <= 6 for minute in differing)


async def test_a_backlog_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that does not answer: memory stays, what does not fit is counted."""
    monkeypatch.setattr("edge.recording.tape.LINES_LIMIT", 100)
    rig = RecordedRig(tmp_path / "s.db")
    await rig.start()
    assert rig.recording is not None
    for _ in range(200):
        rig.read(1)
    (lines,) = rig.recording.take()
    assert 100 <= len(lines) <= 106
    assert rig.recording.views()[0].dropped >= 900
    await rig.outbox.close()
