"""`seamline store gaps` lists what the gap ledger holds, in both languages, beside a running agent."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from fixtures.records import NS, T0_NS, batch, outbox_at

from edge.cli import main
from edge.gaps.gap import Gap, GapCause, GapScope
from edge.gaps.words import CAUSES, SCOPES

GAPS = (
    Gap(GapCause.PLC_OFF, GapScope.DEVICE, "plc-1", T0_NS, T0_NS + 65 * NS, detail="no answer"),
    Gap(GapCause.PLC_OFF, GapScope.MACHINE, "m1", T0_NS, T0_NS + 60 * NS, pieces_min=40, pieces_max=40),
    Gap(GapCause.AGENT_STOPPED, GapScope.MACHINE, "m2", T0_NS + NS, T0_NS + 2 * NS, is_open=True, pieces_min=0,
        pieces_max=900, settled=False),
)  # fmt: skip


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    outbox = outbox_at(path)
    await outbox.open()
    await outbox.commit(batch(1, gaps=GAPS))
    await outbox.close()
    return path


def test_every_cause_and_scope_has_its_word() -> None:
    assert set(CAUSES) == set(GapCause)
    assert set(SCOPES) == set(GapScope)


@pytest.mark.parametrize(
    ("language", "words"),
    [("zh", ["设备无应答", "仍在持续", "40 件，已补记", "0 至 900 件"]),
     ("en", ["PLC off", "lasts", "40 pieces, recovered", "0 to 900 pieces"])],
)  # fmt: skip
async def test_the_table_says_what_broke_and_what_was_not_seen(
    path: Path, capsys: pytest.CaptureFixture[str], language: str, words: list[str]
) -> None:
    assert await asyncio.to_thread(main, ["--lang", language, "store", "gaps", "--store", str(path)]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in words), said
    assert len(said.splitlines()) == 4


async def test_it_can_be_narrowed_and_read_by_programs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def asked(*more: str) -> list[dict[str, object]]:
        assert await asyncio.to_thread(main, ["store", "gaps", "--store", str(path), "--json", *more]) == 0
        found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
        return found

    assert {gap["object"] for gap in await asked()} == {"m1", "m2", "plc-1"}
    assert [gap["object"] for gap in await asked("--machine", "m1")] == ["m1"]
    assert [(gap["object"], gap["open"]) for gap in await asked("--open")] == [("m2", True)]
    assert await asked("--until", "2001-01-01") == []
    assert len(await asked("--limit", "1")) == 1


async def test_no_store_is_said_and_nothing_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "no.db"
    assert await asyncio.to_thread(main, ["store", "gaps", "--store", str(missing)]) == 1
    assert str(missing) in capsys.readouterr().err
    assert not await asyncio.to_thread(missing.exists)
