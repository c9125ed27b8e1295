"""What the poller learns of a device, against servers: longer requests again, fewer at a time, a slower pace; and what
is kept of it.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time

import pytest
from peers.modbus import ScriptedPlc
from peers.timing import within
from poll.test_link import PipelinedPlc

from edge.poll import block as block_module
from edge.poll import cap as cap_module
from edge.poll import depth as depth_module
from edge.poll import strain
from edge.poll import unit as unit_module
from edge.poll.learned import Notebook
from protocols.modbus.plan import plan_requests
from protocols.modbus.tags import DataType, Learned, Limits, ModbusTag, Table
from protocols.reading import Quality

FAST_NS = 60_000_000


def fast_tries(monkeypatch) -> None:
    """A try every 60 ms instead of every minute."""
    for module in (cap_module, unit_module):
        monkeypatch.setattr(module, "REFINE_NS", FAST_NS)


async def test_a_cap_is_refined_upwards(plc, line, words, monkeypatch) -> None:
    """The device takes 30, halving leaves 25: a few single tries later it is read in requests of 29 or 30, no tag was
    lost or BAD on the way, and no further try is made for an hour. A restart begins where this ended.
    """
    fast_tries(monkeypatch)
    plc.max_quantity = 30
    notebook = Notebook()
    one = line(plc.port, words(100, interval_ms=100), notebook=notebook)
    async with one.running():
        await one.heard.until(lambda: one.poller.stats.max_registers == 25)
        await one.heard.until(lambda: (one.poller.stats.max_registers or 0) >= 29)
        known = len(plc.requests)
        six_rounds = lambda: [quantity for _, _, quantity in plc.requests[known:][-24:]]  # noqa: E731
        await one.heard.until(lambda: len(six_rounds()) == 24 and max(six_rounds()) <= 30)  # without a try
        refused = sum(quantity > 30 for _, _, quantity in plc.requests)
        assert set(one.image.quality) == {Quality.GOOD}
        plc.requests.clear()
        await asyncio.sleep(0.5)
        assert max(quantity for _, _, quantity in plc.requests) <= 30, "settled: no try"
    assert refused <= 12, "two halvings of the whole, and the tries"
    assert one.heard.changes() == [(True, "connected")], "a try that is refused is no news"
    ((_, text),) = notebook.take()
    good, bad, since_ns = json.loads(text)["registers"]
    assert (good, bad) in ((29, 31), (30, 31), (29, 30))
    assert abs(since_ns - time.time_ns()) < 60e9
    plc.requests.clear()
    two = line(plc.port, words(100, interval_ms=100), notebook=notebook)
    await two.poller.read_once()
    assert max(quantity for _, _, quantity in plc.requests) == good
    assert len(plc.requests) == 4


async def test_a_better_gateway_is_found_out(plc, line, words, monkeypatch) -> None:
    """What was refused is accepted now: the next doubt finds out, and the plan's own requests come back."""
    fast_tries(monkeypatch)
    monkeypatch.setattr(cap_module, "DOUBT_NS", FAST_NS)
    plc.max_quantity = 30
    one = line(plc.port, words(100, interval_ms=50))
    async with one.running():
        await one.heard.until(lambda: (one.poller.stats.max_registers or 0) >= 29)
        plc.max_quantity = 2000
        await one.heard.until(lambda: one.poller.stats.max_registers is None)
        plc.requests.clear()
        await one.heard.until(lambda: plc.requests[-3:] == [(3, 0, 100)] * 3)


async def test_a_try_that_is_met_with_silence(plc, line, words, monkeypatch) -> None:
    """Some devices do not answer what is too long. It costs its deadline, is taken for refused, and the device stays
    up.
    """
    fast_tries(monkeypatch)
    plc.max_quantity = 30
    one = line(plc.port, words(100, interval_ms=50), deadline_ms=60)
    honest = plc._answer

    async def mute_when_long(frame):
        return None if plc.mute_long and int.from_bytes(frame[10:12], "big") > 30 else await honest(frame)

    plc.mute_long, plc._answer = False, mute_when_long
    async with one.running():
        await one.heard.until(lambda: one.poller.stats.max_registers == 25)
        plc.mute_long = True
        await one.heard.until(lambda: (one.poller.stats.max_registers or 0) >= 29)
    assert one.heard.changes() == [(True, "connected")]


class ForgetfulPlc(PipelinedPlc):
    """Holds two requests at a time and forgets the others."""

    def __init__(self) -> None:
        super().__init__()
        self.held = 0

    async def _answer(self, frame):
        reply = await super()._answer(frame)
        if self.held >= 2:
            return b""
        self.held += 1
        asyncio.get_running_loop().call_later(0.02, self._let_go)
        return reply

    def _let_go(self) -> None:
        self.held -= 1


async def test_depth_is_learned(line, words) -> None:
    """Configured to take eight at a time, it takes two: found after a few lost answers, told in figures, remembered."""
    notebook, limits = Notebook(), Limits(max_gap=0, pause_ns=0, requests_per_s=1000.0)
    async with ForgetfulPlc() as plc:
        tags = words(8, step=20, interval_ms=200)
        one = line(plc.port, tags, limits=limits, depth=8, deadline_ms=100, notebook=notebook)
        async with one.running():
            await one.heard.until(lambda: one.poller.stats.depth == 2)
            await asyncio.sleep(0.5)  # what was under way when it was found
            timeouts = one.poller.stats.timeouts
            await asyncio.sleep(0.6)
            assert one.poller.stats.timeouts == timeouts, "nothing is lost any more"
    ((_, text),) = notebook.take()
    assert json.loads(text)["depth"] == 2
    again = Notebook()
    again.fill({"learned:plc0": text})
    two = line(one.device.endpoint.port, tags, limits=limits, depth=8, deadline_ms=100, notebook=again)
    two.poller.unit.connect()
    assert (two.poller.unit.budget.depth, two.poller.stats.depth) == (2, 2)


def test_depth_rises_again() -> None:
    """An hour after, one doubling is risked; a loss takes it back."""
    one = depth_module.Depth(8)
    assert [one.lost(1, 0) for _ in range(depth_module.LOST)][-1]
    assert (one.allowed, one.learned, one.since_ns) == (4, 4, 1)
    assert not one.answered(2, depth_module.DOUBT_NS - 1)
    assert one.answered(2, depth_module.DOUBT_NS)
    assert (one.allowed, one.learned) == (8, None)
    one.recall(2, 5, 0)
    assert (one.allowed, one.since_ns) == (2, 5)


async def test_a_slow_device_is_asked_more_slowly(plc, line, words) -> None:
    """Two of three answers miss the deadline: it stays up, is asked at a fraction of its pace, people are told; and
    when it is quick again it has its pace back within three answers.
    """
    one = line(plc.port, words(2, interval_ms=20), deadline_ms=100)
    async with one.running():
        await one.heard.until(lambda: one.heard.frames)
        turn = iter(range(10**6))
        lazy = lambda _, honest: honest if next(turn) % 2 else None  # noqa: E731
        plc.script = [lazy] * 1000
        await one.heard.until(lambda: (True, "slow") in one.heard.changes())
        plc.requests.clear()
        began = time.monotonic()
        await asyncio.sleep(0.6)
        assert len(plc.requests) <= 0.35 * (time.monotonic() - began) / 0.02
        plc.script = []
        await one.heard.until(lambda: one.heard.changes()[-1] == (True, "recovered"))
        before = len(plc.requests)
        async with within(8 * 0.02 + 0.1):  # the grid, and a machine that is busy besides
            while len(plc.requests) < before + 8:
                plc.asked.clear()
                await plc.asked.wait()
    assert all(up for up, _ in one.heard.changes())


async def test_one_bad_register_among_500_and_a_restart(plc, line, words) -> None:
    """In the first cycle 499 good values and the bad one by name; every later cycle asks as often as a plan that never
    knew of it, and not for it; so does the first cycle after a restart.
    """
    plc.illegal = {250}
    notebook, limits = Notebook(), Limits(max_registers=125, pause_ns=0, requests_per_s=1000.0)
    tags = words(500, interval_ms=500)
    one = line(plc.port, tags, limits=limits, notebook=notebook)
    planned = len(one.device.requests)
    assert planned == 4
    await one.poller.read_once()
    assert list(one.image.quality).count(Quality.GOOD) == 499
    assert [fact.reason for fact in one.heard.facts] == ["connected", "exception-2"]
    assert "w250" in one.heard.facts[-1].detail
    assert [one.device.tags[index].name for index in one.heard.facts[-1].tags] == ["w250"]
    around = Learned(bad=((Table.HOLDING_REGISTERS, 250, 250),))
    fewest = len(plan_requests(one.device.tags, limits, 1, learned=around).requests)
    assert fewest == planned, "a plan around it needs no request more"
    for _ in range(3):
        plc.requests.clear()
        await one.poller.read_once()
        assert len(plc.requests) == planned
        assert not any(address <= 250 < address + quantity for _, address, quantity in plc.requests)
    kept = dict(notebook.take())
    after_restart = Notebook()
    after_restart.fill(kept)
    two = line(plc.port, tags, limits=limits, notebook=after_restart)
    for _ in range(3):
        plc.requests.clear()
        await two.poller.read_once()
        assert len(plc.requests) == planned
        assert not any(address <= 250 < address + quantity for _, address, quantity in plc.requests)
        assert list(two.image.quality).count(Quality.GOOD) == 499
    assert two.poller.stats.refused == (250,)
    assert [fact.reason for fact in two.heard.facts] == ["connected", "exception-2"], "told again, to another reader"
    assert "w250" in two.heard.facts[-1].detail
    ((name, since_ns),) = json.loads(kept["learned:plc0"])["refused"]
    assert (name, abs(since_ns - time.time_ns()) < 60e9) == ("w250", True)


async def test_since_stays_while_it_is_refused(plc, line, words, monkeypatch) -> None:
    """Found again after each probe: it is refused since the first time."""
    monkeypatch.setattr(block_module, "PROBE_NS", 100_000_000)
    plc.illegal, notebook = {1}, Notebook()
    one = line(plc.port, words(4), notebook=notebook)
    async with one.running():
        await one.heard.until(lambda: one.poller.stats.refused == (1,))
        (_, since_ns), *_ = json.loads(notebook.take()[0][1])["refused"]
        plc.illegal = {1, 3}
        await one.heard.until(lambda: one.poller.stats.refused == (1, 3))
        await asyncio.sleep(0.2)
    refused = dict(json.loads(notebook.take()[-1][1])["refused"])
    assert refused["w1"] == since_ns < refused["w3"]


class Failing(ScriptedPlc):
    """Answers every request that touches `fatal` with exception `code`, or not at all where that is 0."""

    def __init__(self) -> None:
        super().__init__()
        self.fatal: set[int] = set()
        self.code = 0

    async def _answer(self, frame: bytes) -> bytes | None:
        function, address, quantity = struct.unpack(">BHH", frame[7:12])
        if self.fatal.isdisjoint(range(address, address + quantity)):
            return await super()._answer(frame)
        self.requests.append((function, address, quantity))
        return self._frame(frame, bytes([function | 0x80, self.code])) if self.code else None


@pytest.fixture
async def failing():
    """A device that fails at some registers without a word of which."""
    async with Failing() as server:
        yield server


def soon(monkeypatch) -> None:
    """What failed twice running is a suspect, and a device is left alone for 50 ms at most."""
    monkeypatch.setattr(block_module, "PATIENCE", 2)
    monkeypatch.setattr(strain, "CAP_S", 0.05)


@pytest.mark.parametrize(("code", "reason"), [(0, "unanswered"), (4, "exception-4")])
@pytest.mark.parametrize("count", [40, 400])
async def test_a_register_the_device_fails_at(failing, line, words, monkeypatch, code, reason, count) -> None:
    """It is met with silence, or with a failure, whatever else is asked along, alone in its block or beside others:
    found by halving, named, and read around; nobody is down for it any more, nor asked more slowly.
    """
    soon(monkeypatch)
    failing.fatal, failing.code = {17}, code
    notebook = Notebook()
    one = line(failing.port, words(count, interval_ms=100), deadline_ms=200, notebook=notebook)
    async with one.running():
        await one.heard.until(lambda: one.poller.stats.refused == (17,), within_s=20)
        (fact,) = [fact for fact in one.heard.facts if fact.tags == (17,)]
        await one.heard.until(lambda: set(one.image.quality) == {Quality.GOOD, Quality.BAD}, within_s=20)
        connections = failing.connections
        failing.requests.clear()
        frames = len(one.heard.frames)
        await one.heard.until(lambda: len(one.heard.frames) >= frames + 4 * len(one.device.requests))
    assert (fact.up, fact.reason) == (True, reason)
    assert "w17" in fact.detail
    assert list(one.image.quality).count(Quality.GOOD) == count - 1
    assert failing.connections == connections
    assert not any(address <= 17 < address + quantity for _, address, quantity in failing.requests)
    assert [name for name, _ in json.loads(notebook.take()[-1][1])["refused"]] == ["w17"]


@pytest.mark.parametrize("code", [0, 4])
async def test_a_device_that_fails_at_everything(failing, line, words, monkeypatch, code) -> None:
    """For many rounds: no register is blamed for it, and it is not asked for each of them; it is read as before when it
    is well again.
    """
    soon(monkeypatch)
    one = line(failing.port, words(200, interval_ms=50), deadline_ms=50)
    async with one.running():
        await one.heard.until(lambda: set(one.image.quality) == {Quality.GOOD})
        failing.fatal, failing.code = set(range(200)), code
        failing.requests.clear()
        await asyncio.sleep(1)
        asked = len(failing.requests)
        failing.fatal = set()
        frames = len(one.heard.frames)
        await one.heard.until(lambda: len(one.heard.frames) >= frames + 6, within_s=20)
        await one.heard.until(lambda: set(one.image.quality) == {Quality.GOOD})
    assert asked <= 60
    assert not any(fact.tags and len(fact.tags) < 50 for fact in one.heard.facts)
    assert one.poller.stats.refused == ()
    assert one.poller.stats.max_registers is None


def test_a_device_that_dies_while_a_suspect_is_looked_into() -> None:
    """The control was answered, then nothing more: after as many parts as one register costs the control is asked
    again, and when that gets nothing either, what was blamed meanwhile is not.
    """
    tags = [ModbusTag(f"w{n}", Table.HOLDING_REGISTERS, n, DataType.U16) for n in range(100)]
    planned = plan_requests(tags, Limits(), 1)
    one = block_module.Block(planned.requests[0], planned.tags)
    for _ in range(block_module.PATIENCE):
        one.begin(0)
        one.failed(one.todo.pop(), 0)
    one.begin(0)
    control = one.todo.pop()
    assert (control.end - control.begin, one.isolates(control)) == (1, False)
    asked = 0
    while one.isolates(part := one.todo.pop()):
        one.blame(part, block_module.MUTE, 0)
        asked += 1
    assert asked <= 10
    assert one.refused_tags
    one.failed(part, 0)
    assert (one.refused_tags, one.todo) == ((), [])
    one.begin(1)
    assert [(read.begin, read.end) for read in one.todo] == [(0, 100)], "and for five minutes nothing is looked into"


async def test_silence_beyond_a_length_is_a_cap(failing, line, words, monkeypatch) -> None:
    """A device that does not answer what is too long for it: found out in the same way, and no tag is blamed."""
    soon(monkeypatch)

    async def answer(self, frame):
        _, _, quantity = struct.unpack(">BHH", frame[7:12])
        return None if quantity > 30 else await ScriptedPlc._answer(self, frame)

    monkeypatch.setattr(Failing, "_answer", answer)
    one = line(failing.port, words(100, interval_ms=100), deadline_ms=100)
    async with one.running():
        await one.heard.until(lambda: set(one.image.quality) == {Quality.GOOD}, within_s=20)
        await one.heard.until(lambda: one.poller.stats.max_registers == 25, within_s=20)
    assert one.poller.stats.refused == ()
