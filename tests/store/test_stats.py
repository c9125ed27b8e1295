"""`seamline store stats` and `quarantine`: what a person needs to know and do, beside an agent and alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fixtures.records import NS, batch, outbox_at, record
from store.conftest import Seamline, aside

from edge.cli import main
from edge.outbox.flow import HOURS_KEPT, NO_FLOW, Flow, Hour, autonomy_s
from edge.outbox.reader import Reader
from edge.points import RecordClass

HOUR_NS = 3600 * NS


async def test_an_hour_of_commits_gives_rate_autonomy_and_wear(tmp_path: Path, seamline: Seamline) -> None:
    """The rate is what the records weigh over the time they came in; the autonomy what is left at this rate."""
    path = tmp_path / "s.db"
    outbox = outbox_at(path, "a", max_bytes=8 << 20)
    await outbox.open()
    for second in range(0, 1200, 10):
        await outbox.commit(batch(second, record(second, pad=1000)))
    stats = await outbox.stats()
    kept = sum(each.size_bytes for each in stats.classes)
    assert stats.flow.bytes_per_s == pytest.approx(kept / 1190, rel=0.15)
    assert stats.autonomy_s is not None
    room = (8 << 20) - stats.size_bytes
    assert stats.autonomy_s == pytest.approx(room / (kept / 1190), rel=0.4)
    assert stats.flow.written_per_kept is not None
    assert stats.flow.written_per_kept > 1
    before = stats.autonomy_s
    await outbox.advance("a", stats.last_id)
    delivered = (await outbox.stats()).autonomy_s
    assert delivered is not None
    assert delivered > before, "what every database has makes room"
    told = json.loads((await aside(seamline, "stats", "--store", path, "--json"))[1])
    assert told["autonomy_s"] == pytest.approx(before, rel=0.1)
    assert told["databases"]["a"]["backlog_records"] == 120
    await outbox.close()


@pytest.mark.parametrize(("language", "word"), [("zh", "数据库全部中断时还可保存"), ("en", "wear of the card")])
def test_it_reads_well(path: Path, capsys: pytest.CaptureFixture[str], language: str, word: str) -> None:
    assert main(["--lang", language, "store", "stats", "--store", str(path)]) == 0
    said = capsys.readouterr().out
    assert word in said
    assert str(path) in said


def test_hours_come_back_and_old_ones_go() -> None:
    flow = Flow()
    for hour in range(3 * HOURS_KEPT):
        flow.add(hour * HOUR_NS, points=1, kept_bytes=10, written_bytes=20)
    assert flow.total == Hour(0, HOURS_KEPT, HOURS_KEPT, 10 * HOURS_KEPT, 20 * HOURS_KEPT)
    assert Flow.load(flow.dump()).total == flow.total
    assert Flow.load("nonsense").total == Flow.load(None).total == NO_FLOW


def test_a_pause_and_a_clock_that_was_set_are_no_time() -> None:
    flow = Flow()
    for t_ns in (0, NS, HOUR_NS, HOUR_NS + NS, 5 * NS):
        flow.add(t_ns, points=1, kept_bytes=10, written_bytes=20)
    assert flow.total.active_ns == 2 * NS
    assert flow.total.bytes_per_s is None, "not measured yet"
    assert autonomy_s(flow.total, bound_bytes=100, used_bytes=0, delivered_bytes=0, free_bytes=100) is None


@pytest.mark.parametrize(
    ("used", "delivered", "free", "seconds"), [(0, 0, 10**9, 1000), (500, 0, 10**9, 500), (500, 100, 10**9, 600),
                                               (0, 0, 200, 200), (2000, 0, 10**9, 0)],
)  # fmt: skip
def test_autonomy_is_the_room_that_is_left_on_the_disk_or_below_the_bound(
    used: int, delivered: int, free: int, seconds: int
) -> None:
    flow = Hour(active_ns=100 * NS, kept_bytes=100)
    found = autonomy_s(flow, bound_bytes=1000, used_bytes=used, delivered_bytes=delivered, free_bytes=free)
    assert found == seconds


# ---- quarantine ----


def ids(said: str) -> list[str]:
    return [row.split()[0] for row in said.splitlines()[1:]]


async def test_quarantined_points_are_listed_sent_again_and_let_go_beside_a_running_agent(
    path: Path, seamline: Seamline
) -> None:
    outbox = outbox_at(path, "a", "b")
    await outbox.open()
    status, said, _ = await aside(seamline, "quarantine", "list", "--store", path)
    assert (status, len(ids(said))) == (0, 2)
    assert "field type conflict" in said
    with Reader(path) as reader:
        lines = {entry.words: entry.line for entry in reader.quarantined()}
        last = reader.last_id()
    assert (await aside(seamline, "quarantine", "retry", "--store", path, "--id", ids(said)[0]))[0] == 0
    await outbox.commit(batch(100, record(7)))  # the running agent goes on behind it
    with Reader(path) as reader:
        again, own = reader.stretch(last, 1 << 62, 1 << 20)[0]
        assert len(reader.quarantined()) == 1
    assert again.lines in lines.values()
    assert again.record_class is RecordClass.LEDGER
    assert own.record_class is RecordClass.LIVE
    await outbox.advance("a", last)
    assert [r.id for r in await outbox.read("a", 1 << 20)] == [again.id, own.id], "sent to its database again"
    assert (await aside(seamline, "quarantine", "drop", "--store", path, "--all"))[0] == 0
    assert "empty" in (await aside(seamline, "quarantine", "list", "--store", path))[1]
    await outbox.close()
    assert (await aside(seamline, "fsck", "--store", path))[0] == 0


def test_only_those_of_one_database_or_one_id(path: Path, seamline: Seamline) -> None:
    assert "empty" in seamline("quarantine", "list", "--store", path, "--sink", "b")[1]
    status, _, said = seamline("quarantine", "drop", "--store", path, "--id", "no-such-id")
    assert (status, "no-such-id" in said) == (1, True)
    assert seamline("quarantine", "drop", "--store", path)[0] == 1, "all of them only when told so"
    one, other = ids(seamline("quarantine", "list", "--store", path)[1])
    assert "1 points dropped" in seamline("quarantine", "drop", "--store", path, "--id", one)[1]
    assert ids(seamline("quarantine", "list", "--store", path)[1]) == [other]
