"""A store with something of everything."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.ledger import LedgerPlant
from fixtures.memory import memory_folder
from fixtures.records import NS, T0_NS, batch, outbox_at, row

from edge.cli import main
from edge.gaps.gap import Gap, GapCause, GapScope
from edge.outbox.batch import Record
from edge.points import MEASUREMENTS
from ext.buckets import N_BUCKETS

CLASS_OF = {m.name: m.record_class for m in MEASUREMENTS}
Seamline = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory: what a flush costs is not tested here."""
    with memory_folder(tmp_path) as folder:
        yield folder


async def make(path: Path) -> None:
    """Sixty commits of real points of every kind, two databases, a quarantine, gaps, ledger rows, checkpoints."""
    outbox = outbox_at(path, "a", "b")
    await outbox.open()
    plant = LedgerPlant(T0_NS)
    plant.fill()
    lines = plant.lines
    for second in range(60):
        by_class: dict[object, list[bytes]] = {}
        for each in lines[second::60]:
            by_class.setdefault(CLASS_OF[each.split(b",")[0].decode()], []).append(each)
        closed = row("m1", T0_NS + second * 60 * NS, second)
        closed = replace(closed, sums=replace(closed.sums, stop_ns=[60 * NS] + [0] * (N_BUCKETS - 1)))
        gap = Gap(GapCause.PLC_OFF, GapScope.DEVICE, "plc-1", T0_NS + second * NS, T0_NS + second * NS + 7)
        records = [Record.of(record_class, kept) for record_class, kept in by_class.items()]  # type: ignore[arg-type]
        await outbox.commit(
            batch(second, *records, rows=(closed,), checkpoints=((f"machine:m{second % 3}", b"\x00\x01" * second),),
                  meta=((f"since_ns:m{second % 3}", str(second)),), gaps=(gap,),
                  pages=((f"journal:m{second % 3}:{second // 8}", b"page %d" % second),))
        )  # fmt: skip
    await outbox.advance("a", 40)
    await outbox.quarantine("a", [(lines[0], "field type conflict"), (lines[1], "partial write")])
    await outbox.close()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "store.db"
    asyncio.run(make(path))
    return path


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """One's own copy of it."""
    return Path(shutil.copy(made, tmp_path / "store.db"))


@pytest.fixture
def seamline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Seamline:
    """Run the command; its exit status and what it said."""
    monkeypatch.setenv("SEAMLINE_LANG", "en")

    def run(*arguments: object) -> tuple[int, str, str]:
        status = main(["store", *map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def lines_of(text: bytes) -> list[bytes]:
    """Without comments."""
    return [each for each in text.split(b"\n") if each and not each.startswith(b"#")]


async def aside(seamline: Seamline, *arguments: object) -> tuple[int, str, str]:
    """Beside a running loop."""
    return await asyncio.to_thread(seamline, *arguments)
