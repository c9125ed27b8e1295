"""`seamline check --learned` tells what the store knows of devices; `--forget` makes the agent learn anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli import main
from edge.clock import SystemClock
from edge.config import load
from edge.encode import Encoder
from edge.learned import learned
from edge.outbox.batch import Batch
from edge.outbox.facts import StoreSettings
from edge.outbox.store import Outbox
from edge.poll.cap import Cap
from edge.poll.learned import Notebook, Notes
from edge.poll.unit import Unit
from protocols.reading import TagImage

SITE = """\
site: {id: s, enterprise: e, province: p, city: c}
devices:
  - {id: plc-1, template: xinje-xd, host: 127.0.0.1, depth: 4}
  - {id: plc-2, template: siemens-s7-modbus, host: 127.0.0.2}
  - {id: srv, template: generic-opcua, url: "opc.tcp://127.0.0.3:4840"}
machines:
  - {id: tape-01, template: tape-sealer, device: plc-1, base: HD1000}
  - {id: kn95-01, template: kn95, device: plc-2, base: DBW0}
"""
SINCE_NS = 1_790_000_000_000_000_000  # 2026-09-21 22:13 in Shanghai
NOTES = Notes(
    refused=(("tape-01.total", SINCE_NS), ("tape-01.air_flow", SINCE_NS)),
    splits=((3, 42120),),
    registers=Cap(30, 31, SINCE_NS),
    depth=2,
    depth_since_ns=SINCE_NS,
)


@pytest.fixture
async def site(tmp_path: Path) -> Path:
    """A site whose store has notes of plc-1."""
    path = tmp_path / "site.yaml"
    path.write_text(SITE, encoding="utf-8")
    plan = load(path, {})
    notebook = Notebook()
    notebook.write(plan.devices[0], NOTES)
    async with _open(plan) as store:
        await store.commit(Batch(1, meta=tuple(notebook.take())))
    return path


class _open:  # noqa: N801 - reads as a function
    def __init__(self, plan) -> None:
        settings = StoreSettings(Path(plan.agent.store_path), plan.agent.store_max_bytes)
        self.store = Outbox(settings, SystemClock(), Encoder(plan.site).gap_record)

    async def __aenter__(self) -> Outbox:
        await self.store.open()
        return self.store

    async def __aexit__(self, *_: object) -> None:
        await self.store.close()


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "en",
            (
                "tape-01.total     HD1008  holding:42096  since 2026-09-21 22:13",
                "30 registers per request, 31 refused, since 2026-09-21 22:13; a longer one is tried every hour",
                "takes 2 requests at a time (4 configured), since",
                "not read across the hole before: HD1032",
                "device plc-2  siemens-s7-modbus  127.0.0.2:502\n  nothing learned",
                "--forget DEVICE",
            ),
        ),
        ("zh", ("设备拒绝的变量", "每次请求 30 个寄存器", "同时只受理 2 个请求", "没有学到什么", "--forget 设备")),
    ],
)
def test_what_is_told(site, language, expected, capsys, monkeypatch) -> None:
    """Names, the vendor's addresses, since when, and what makes it forgotten; in both languages."""
    monkeypatch.setenv("SEAMLINE_LANG", language)
    assert main(["check", "-c", str(site), "--learned"]) == 0
    said = capsys.readouterr().out
    for part in expected:
        assert part in said, said
    assert "srv" not in said


def test_forgotten(site, capsys, monkeypatch) -> None:
    """Gone from the store, of that device alone; a device nobody has is told."""
    monkeypatch.setenv("SEAMLINE_LANG", "en")
    assert main(["check", "-c", str(site), "--forget", "plc-9"]) == 1
    assert "plc-1, plc-2" in capsys.readouterr().err
    assert main(["check", "-c", str(site), "--forget", "plc-2"]) == 0
    assert learned(load(site, {}))[0].notes == NOTES
    assert main(["check", "-c", str(site), "--forget", "all"]) == 0
    assert "forgotten: plc-1, plc-2" in capsys.readouterr().out
    assert [(one.notes, one.stored) for one in learned(load(site, {}))] == [(Notes(), False)] * 2


async def test_not_while_the_agent_runs(site, capsys, monkeypatch) -> None:
    """It would write it again: refused, with the reason; listing goes on."""
    monkeypatch.setenv("SEAMLINE_LANG", "en")
    import asyncio

    async with _open(load(site, {})):
        assert await asyncio.to_thread(main, ["check", "-c", str(site), "--forget", "plc-1"]) == 1
        assert "stop it" in capsys.readouterr().err
        assert await asyncio.to_thread(main, ["check", "-c", str(site), "--learned"]) == 0
        assert "tape-01.total" in capsys.readouterr().out


def test_an_edited_map_begins_anew(site, capsys, monkeypatch) -> None:
    """And is said to: the notes are about another map. So it is without a store."""
    monkeypatch.setenv("SEAMLINE_LANG", "en")
    site.write_text(SITE.replace("HD1000", "HD2000"), encoding="utf-8")
    assert main(["check", "-c", str(site), "--learned"]) == 0
    assert "before an edit" in capsys.readouterr().out
    Path(load(site, {}).agent.store_path).unlink()
    assert main(["check", "-c", str(site), "--learned"]) == 0
    assert "nothing learned" in capsys.readouterr().out


def test_the_poller_takes_it_up(site) -> None:
    """What is told is what the next run goes by: length, depth and the refused tags."""
    (device, *_) = load(site, {}).devices
    notebook = Notebook()
    notebook.write(device, NOTES)
    unit = Unit(device, TagImage(len(device.tags)), None, SystemClock(), notebook)
    unit.connect()
    assert {device.tags[index].name for index in unit.refused} == {name for name, _ in NOTES.refused}
    assert (unit.stats.max_registers, unit.stats.depth, unit.budget.depth) == (30, 2, 2)
    assert max(block.request.quantity for block in unit.blocks if block.reads) <= 30
