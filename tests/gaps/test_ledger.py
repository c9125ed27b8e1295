"""Every stretch nobody saw is a gap with its cause and bounds, in the store and as a point, whoever kills it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from agent.rig import Rig
from fixtures.records import NS
from machines.bench import RUN, T0, TOTAL, machine

from edge.gaps.gap import Gap, GapCause, GapScope
from edge.gaps.ledger import KNOWN, GapLedger
from edge.machines.events import StopEvent
from edge.outbox.reader import Reader
from ext.buckets import Bucket
from protocols.reading import DeviceFact, Past, Quality, Remembered

HOUR_NS = 3600 * NS


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path / "store.db")
    await rig.outbox.open()
    yield rig
    await rig.outbox.close()


async def each_second(rig: Rig, seconds: int, pieces: int = 1) -> None:
    for _ in range(seconds):
        rig.read(pieces)
        await rig.recorder.commit()


async def silence(rig: Rig, seconds: int) -> None:
    for _ in range(seconds):
        rig.clock.advance(NS)
        await rig.recorder.commit()


def gaps(rig: Rig, scope: GapScope) -> list[Gap]:
    with Reader(rig.store) as reader:
        return [gap for gap in reversed(reader.gaps(0, 1 << 62, 1000)) if gap.scope is scope]


async def test_the_gaps_of_a_machine_are_its_unobserved_time_and_bound_the_pieces(rig: Rig) -> None:
    """A PLC that is off for ten minutes while its counter goes on: one gap, its cause, the pieces to the piece."""
    rig.read()
    await each_second(rig, 30)
    rig.fact(up=False, reason="timeout")
    await silence(rig, 600)
    (lasting,) = gaps(rig, GapScope.MACHINE)
    assert (lasting.cause, lasting.is_open, lasting.pieces_min) == (GapCause.PLC_OFF, True, 0)
    assert lasting.pieces_max is not None
    assert lasting.pieces_max > 200, "while it lasts, what the physical rate allows"
    rig.fact(up=True, reason="connected")
    await each_second(rig, 1, pieces=200)
    await each_second(rig, 200)
    (gap,) = gaps(rig, GapScope.MACHINE)
    assert (gap.is_open, gap.void, gap.settled) == (False, False, True)
    assert (gap.pieces_min, gap.pieces_max) == (200, 200)
    unobserved = sum(row.sums.stop_ns[Bucket.UNKNOWN] for row in rig.stored_rows())
    assert gap.duration_ns == unobserved
    (device,) = gaps(rig, GapScope.DEVICE)
    assert (device.cause, device.subject, device.duration_ns) == (GapCause.PLC_OFF, "plc-1", 600 * NS)
    points = [p for p in rig.stored("gap") if p["object"] == "m1"]
    assert len({p["time"] for p in points}) == 1, "one point, told again"
    assert (points[-1]["open"], points[-1]["pieces_min"], points[-1]["pieces_max"]) == (False, 200, 200)


@pytest.mark.parametrize("killed_after", [0, 1, 7, 30])
async def test_an_open_gap_survives_kill_9_and_the_stop_of_the_agent_is_one_too(rig: Rig, killed_after: int) -> None:
    """Killed while a device is down, away for an hour: the device's gap goes on from where it began, and the agent's is
    from its last commit to its start.
    """
    rig.read()
    await each_second(rig, 10)
    rig.fact(up=False, reason="unreachable")
    down_ns = rig.clock.now_ns()
    await rig.recorder.commit()
    await silence(rig, killed_after)
    alive_ns = rig.clock.now_ns()
    rig.clock.advance(HOUR_NS)
    await rig.restart()
    await silence(rig, 5)
    rig.fact(up=False, reason="timeout")
    await silence(rig, 5)
    rig.fact(up=True, reason="connected")
    await each_second(rig, 1, pieces=50)
    await each_second(rig, 200)
    (device,) = gaps(rig, GapScope.DEVICE)
    assert (device.cause, device.start_ns, device.is_open) == (GapCause.LINK_DOWN, down_ns, False)
    assert device.duration_ns == HOUR_NS + (killed_after + 10) * NS
    (agent,) = gaps(rig, GapScope.AGENT)
    assert (agent.cause, agent.start_ns, agent.end_ns) == (GapCause.AGENT_STOPPED, alive_ns, alive_ns + HOUR_NS)
    (seen,) = gaps(rig, GapScope.MACHINE)
    assert seen.cause is GapCause.LINK_DOWN if killed_after == 30 else seen.cause in GapCause
    assert (seen.pieces_min, seen.pieces_max) == (50, 50)


async def test_a_killed_agent_leaves_a_gap_of_the_machine_under_its_cause(rig: Rig) -> None:
    rig.read()
    await each_second(rig, 20)
    rig.clock.advance(HOUR_NS)
    await rig.restart()
    await each_second(rig, 1, pieces=40)
    await each_second(rig, 200)
    (gap,) = gaps(rig, GapScope.MACHINE)
    assert (gap.cause, gap.pieces_min, gap.pieces_max) == (GapCause.AGENT_STOPPED, 40, 40)
    assert gap.duration_ns == sum(row.sums.stop_ns[Bucket.UNKNOWN] for row in rig.stored_rows())


async def test_killed_between_the_end_of_a_gap_and_its_bounds_the_next_start_settles_it(rig: Rig) -> None:
    rig.read()
    await each_second(rig, 20)
    await silence(rig, 120)
    await each_second(rig, 1, pieces=9)
    await each_second(rig, 20)
    assert [gap.settled for gap in gaps(rig, GapScope.MACHINE)] == [False]
    await rig.restart()
    await each_second(rig, 200)
    (gap,) = gaps(rig, GapScope.MACHINE)
    assert (gap.cause, gap.settled, gap.pieces_min, gap.pieces_max) == (GapCause.UNOBSERVED, True, 9, 9)


async def test_a_reading_that_comes_late_undoes_the_gap_it_was_in(rig: Rig) -> None:
    """The gap is void, in the store and in the database, and says so under the same name."""
    rig.read()
    await each_second(rig, 30)
    await silence(rig, 60)
    (lasting,) = gaps(rig, GapScope.MACHINE)
    assert lasting.is_open
    for second in range(61, 0, -1):
        rig.read_late(second, {})
    await each_second(rig, 200)
    known = gaps(rig, GapScope.MACHINE)
    assert [gap.void for gap in known if gap.key == lasting.key] == [True]
    assert all(gap.void for gap in known)
    last = [p for p in rig.stored("gap") if p["object"] == "m1"][-1]
    assert (last["void"], last["duration_ns"], last["open"]) == (True, 0, False)


# ---- the ledger alone ----


def alone(*ids: str) -> GapLedger:
    machines = [replace(machine(), index=n, id=name) for n, name in enumerate(ids or ("m1",))]
    return GapLedger("s1", machines, ["plc-1", "plc-2"])


@pytest.mark.parametrize(("step_ns", "first", "last"), [(HOUR_NS, T0, T0 + HOUR_NS), (-HOUR_NS, T0 - HOUR_NS, T0)])
def test_a_clock_that_was_set_is_a_gap_of_what_was_skipped_or_lived_twice(step_ns: int, first: int, last: int) -> None:
    ledger = alone()
    ledger.clock_stepped(T0 + step_ns, step_ns)
    (gap,) = ledger.take(T0, minute=False)
    assert (gap.cause, gap.start_ns, gap.end_ns) == (GapCause.CLOCK_STEPPED, first, last)


def test_an_agent_that_wakes_before_it_fell_asleep_had_its_clock_set() -> None:
    ledger = alone()
    ledger.agent_stopped(T0 + HOUR_NS, T0)
    (gap,) = ledger.take(T0, minute=False)
    assert (gap.cause, gap.duration_ns) == (GapCause.CLOCK_STEPPED, HOUR_NS)


def test_an_open_gap_grows_once_a_minute_and_is_silent_in_between() -> None:
    ledger = alone()
    ledger.device(DeviceFact(0, T0, False, "timeout", "no answer"))
    assert [gap.end_ns for gap in ledger.take(T0, minute=False)] == [T0]
    assert ledger.take(T0 + NS, minute=False) == ()
    assert [gap.end_ns for gap in ledger.take(T0 + 60 * NS, minute=True)] == [T0 + 60 * NS]


@pytest.mark.parametrize(
    ("reason", "cause"),
    [("timeout", GapCause.PLC_OFF), ("refused", GapCause.PLC_OFF), ("closed", GapCause.PLC_OFF),
     ("unreachable", GapCause.LINK_DOWN), ("silent", GapCause.LINK_DOWN), ("port-lost", GapCause.LINK_DOWN)],
)  # fmt: skip
def test_the_cause_says_whether_there_was_a_way_to_the_device(reason: str, cause: GapCause) -> None:
    ledger = alone()
    ledger.device(DeviceFact(0, T0, False, reason, ""))
    assert [gap.cause for gap in ledger.take(T0, minute=False)] == [cause]


def test_devices_that_left_the_site_file_leave_no_gap_open() -> None:
    ledger = alone()
    gone = Gap(GapCause.PLC_OFF, GapScope.DEVICE, "plc-9", T0, T0 + NS, is_open=True)
    ledger.load([gone], T0 + HOUR_NS)
    assert ledger.take(T0, minute=True) == (replace(gone, is_open=False, end_ns=T0 + HOUR_NS),)


def test_memory_is_bounded_however_often_a_link_flaps() -> None:
    ledger = alone()
    for n in range(3 * KNOWN):
        ledger.device(DeviceFact(0, T0 + n * NS, bool(n % 2), "timeout", ""))
        ledger.take(T0, minute=False)
    assert len(ledger._known) <= KNOWN


def test_the_cause_of_a_machines_gap_stays_once_it_was_told() -> None:
    """It is part of the point's name: another one would be a second gap."""
    ledger = alone()
    ledger.machine("m1", StopEvent(T0, T0 + 10 * NS, Bucket.UNKNOWN, 0, is_open=True))
    ledger.device(DeviceFact(0, T0 + 11 * NS, False, "timeout", ""))
    ledger.machine("m1", StopEvent(T0, T0 + 500 * NS, Bucket.UNKNOWN, 0))
    told = [gap for gap in ledger.take(T0, minute=False) if gap.scope is GapScope.MACHINE]
    assert [(gap.cause, gap.is_open) for gap in told] == [(GapCause.UNOBSERVED, False)]


async def test_a_device_that_remembers_fills_its_gap(rig: Rig) -> None:
    """Its history comes after a minute of silence that was told as a gap: the machine's gap is void, the device's and
    the agent's keep cause and duration, all say by whom it was filled; every piece is counted once, in its minute."""
    rig.read()
    await each_second(rig, 30)
    rig.fact(up=False, reason="timeout")
    lost_ns = rig.clock.now_ns()
    await silence(rig, 90)
    assert any(gap.is_open for gap in gaps(rig, GapScope.MACHINE))
    rig.fact(up=True, reason="connected")
    back_ns = rig.clock.now_ns()
    total = rig.registers[TOTAL]
    await each_second(rig, 1, pieces=46)
    await each_second(rig, 40)
    made = [
        Remembered(lost_ns + n * 2 * NS, tag, value, Quality.GOOD)
        for n in range(1, 46)
        for tag, value in ((RUN, 1), (TOTAL, total + n))
    ]
    before = {row.key.start_ns: row for row in rig.stored_rows()}
    rig.hub.on_past(Past(0, lost_ns, back_ns, tuple(made), steady=frozenset((RUN, TOTAL))))
    await each_second(rig, 100)
    await rig.recorder.flush()
    after = {row.key.start_ns: row for row in rig.stored_rows()}
    assert sum(row.sums.tc for row in after.values()) == rig.registers[TOTAL] - 100
    revised = [start_ns for start_ns, row in before.items() if after[start_ns].revision > row.revision]
    assert len(revised) >= 2
    assert sum(row.sums.stop_ns[Bucket.UNKNOWN] for row in after.values()) == 0
    assert all(gap.void and gap.detail == "history filled=plc-1" for gap in gaps(rig, GapScope.MACHINE))
    (device,) = gaps(rig, GapScope.DEVICE)
    assert (device.cause, device.detail, device.duration_ns) == (GapCause.PLC_OFF, "timeout filled=plc-1", 90 * NS)
    assert {point["cause"] for point in rig.stored("revision")} == {"history"}
