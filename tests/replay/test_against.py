"""`--against`: what a live run stored is what its readings come to; what was changed since is named."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.records import batch, outbox_at
from replay.recording import Moment, life_of, lived, plan_of, rows_of, write_file

from edge.kpi.row import Row, Sums
from edge.replay import command


@pytest.fixture
def moments() -> list[Moment]:
    return life_of(8, 400)


@pytest.fixture
def compare(
    tmp_path: Path, moments: list[Moment], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Stores rows, replays the moments, returns the exit status and what was printed."""
    monkeypatch.setenv("SEAMLINE_LANG", "en")
    monkeypatch.setattr(command, "load", lambda *_: plan_of())
    readings = write_file(tmp_path / "readings.csv", rows_of(moments))

    async def store(rows: tuple[Row, ...]) -> None:
        outbox = outbox_at(tmp_path / "store.db")
        await outbox.open()
        await outbox.commit(batch(1, rows=rows))
        await outbox.close()

    def run(rows: list[Row], *, as_json: bool = True) -> tuple[int, str]:
        asyncio.run(store(tuple(rows)))
        status = command.run(tmp_path / "site.yaml", readings, against=tmp_path / "store.db", as_json=as_json)
        return status, capsys.readouterr().out

    return run


def test_what_a_live_run_stored_is_the_same(compare: Any, moments: list[Moment]) -> None:
    rows = list(lived(moments).rows.values())
    status, out = compare(rows)
    machine = json.loads(out)["machines"]["m1"]
    assert (status, machine["differences"], machine["same"]) == (0, [], machine["compared"])
    assert machine["compared"] >= 5, "the first and the last minute are not whole"
    assert machine["stored_config_versions"] == ["c1"]


def test_what_differs_is_named_with_both_numbers(compare: Any, moments: list[Moment]) -> None:
    rows = sorted(lived(moments).rows.values(), key=lambda row: row.key.start_ns)
    middle = len(rows) // 2
    edited = replace(rows[middle], sums=Sums().add(rows[middle].sums))
    edited.sums.tc += 5
    edited.sums.stop_ns[0] += 1
    void = replace(rows[1], key=replace(rows[1].key, product="old"), sums=Sums())
    extra = replace(rows[1], key=replace(rows[1].key, product="extra"))
    stored = [*rows[:middle], edited, *rows[middle + 2 :], void, extra]
    status, out = compare(stored)
    differences = json.loads(out)["machines"]["m1"]["differences"]
    assert status == 1
    assert [difference["kind"] for difference in differences] == ["only-stored", "changed", "only-replayed"]
    tc = rows[middle].sums.tc
    assert differences[1]["fields"]["tc"] == {"replayed": tc, "stored": tc + 5}
    assert set(differences[1]["fields"]) == {"tc", "stop_ns.run"}


def test_for_people(compare: Any, moments: list[Moment]) -> None:
    rows = sorted(lived(moments).rows.values(), key=lambda row: row.key.start_ns)
    edited = replace(rows[2], sums=Sums().add(rows[2].sums), config_version="c0")
    edited.sums.tc += 5
    status, out = compare([*rows[:2], edited, *rows[3:]], as_json=False)
    first, *_, last_but_one, last = out.splitlines()
    assert status == 1
    assert first.startswith("m1  2026-")
    assert first.endswith(f"replayed ≠ stored: tc {rows[2].sums.tc} ≠ {rows[2].sums.tc + 5}")
    assert last_but_one.endswith(", 1 different")
    assert last == "  stored under configuration c0, replayed under c1"
