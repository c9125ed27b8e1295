"""The poller against servers that answer, refuse, stall and die: true values, loss said once, no wait for the dead."""

import asyncio
import socket
import time

import pytest
from peers.modbus import ScriptedPlc, running
from peers.timing import within

from edge.errors import DeviceError
from edge.poll import block as block_module
from edge.poll import link as link_module
from protocols.modbus.tags import DataType, Limits, ModbusTag, Table
from protocols.reading import Quality

GOOD, BAD, COMM_LOST = Quality.GOOD, Quality.BAD, Quality.COMM_LOST
A_DAY_MS = 86_400_000  # no test meets a due time of such an interval
HOLDING, COILS = Table.HOLDING_REGISTERS, Table.COILS


async def test_reads_a_foreign_server(libmodbus_server, line):
    """Every table and type of a libmodbus server lands in the image, with quality, time and latency."""
    tags = [
        ModbusTag("word", HOLDING, 3, DataType.U16, scale=0.1),
        ModbusTag("double", HOLDING, 4, DataType.U32, registers=2),
        ModbusTag("bit", HOLDING, 3, DataType.BOOL, bit=8),
        ModbusTag("input", Table.INPUT_REGISTERS, 1, DataType.I16),
        ModbusTag("coil", COILS, 3, DataType.BOOL),
        ModbusTag("discrete", Table.DISCRETE_INPUTS, 5, DataType.BOOL),
    ]
    async with running(libmodbus_server) as port:
        one = line(port, tags)
        before = time.time_ns()
        await one.poller.read_once()
    got = {tag.name: i for i, tag in enumerate(one.device.tags)}
    assert one.image.f64[got["word"]] == 77.1
    assert one.image.i64[got["double"]] == 4 * 257 << 16 | 5 * 257
    assert [one.image.i64[got[n]] for n in ("bit", "input", "coil", "discrete")] == [1, -2, 1, 1]
    assert set(one.image.quality) == {GOOD}
    assert all(before <= t <= time.time_ns() for t in one.image.t_ns)
    assert all(frame.latency_ns > 0 for frame in one.heard.frames)
    assert sorted(i for frame in one.heard.frames for i in frame.tags) == list(range(len(tags)))
    assert one.heard.changes() == [(True, "connected")]


async def test_polls_on_time(plc, line, words):
    """Ten rounds at 50 ms are ten due times of a grid of 50 ms, none left out but for lateness that is known."""
    one = line(plc.port, words(3))
    async with one.running():
        await one.heard.until(lambda: len(one.heard.frames) == 11)
    stats, times = one.poller.stats, [frame.t_ns for frame in one.heard.frames]
    rounds = 9 + stats.skipped  # what a busy machine made late is counted
    assert abs(times[-1] - times[1] - rounds * 50e6) < 50e6 + stats.lateness.maximum_ns
    assert one.poller.stats.requests == len(plc.requests)
    assert one.poller.stats.lateness.total >= 11
    assert one.poller.stats.latency_mean_ms > 0


async def test_frame_time_is_the_reply(plc, line, words):
    """The stamp is the clock at the reply, not at the question; latency is in between."""
    plc.delay_s = 0.08
    one = line(plc.port, words(1))
    before = time.time_ns()
    await one.poller.read_once()
    assert one.image.t_ns[0] >= before + 70_000_000
    assert one.heard.frames[0].latency_ns >= 70_000_000  # timers of uvloop count milliseconds


async def test_budget_is_kept(plc, line, words):
    """Between the end of a reply and the next request there is the device's pause, at full speed too."""
    limits = Limits(max_gap=0, pause_ns=30_000_000, requests_per_s=1000.0)
    one = line(plc.port, words(5, step=10, interval_ms=1), limits=limits)
    async with one.running():
        await asyncio.sleep(0.3)
    assert 5 <= len(plc.requests) <= 10
    assert one.poller.stats.skipped > 100


async def test_loss_is_said_once_and_values_stay(plc, line, words):
    """Dead device: one fact, every tag COMM_LOST, values and times untouched; back two seconds after its restart."""
    one = line(plc.port, words(3, start=5))
    async with one.running():
        await one.heard.until(lambda: len(one.heard.frames) >= 3)
        await plc.stop()
        async with within(0.5):
            await one.heard.until(lambda: len(one.heard.facts) == 2)
        values, times = list(one.image.i64), list(one.image.t_ns)
        assert set(one.image.quality) == {COMM_LOST}
        await asyncio.sleep(1.2)
        assert (values, times) == (list(one.image.i64), list(one.image.t_ns)) == ([5, 6, 7], times)
        await plc.start()
        async with within(2.1):
            await one.heard.until(lambda: len(one.heard.facts) == 3)
        await one.heard.until(lambda: one.image.t_ns[0] > times[0])
        assert set(one.image.quality) == {GOOD}
    assert one.heard.changes() == [(True, "connected"), (False, "closed"), (True, "connected")]
    assert list(one.heard.facts[1].tags) == [0, 1, 2]
    assert "plc0" in one.heard.facts[1].detail
    assert one.poller.stats.reconnects == 2


async def test_loss_is_seen_between_polls(plc, line, words):
    """A slow interval does not hide a loss until the next due time."""
    one = line(plc.port, words(1, interval_ms=A_DAY_MS))
    async with one.running():
        await one.heard.until(lambda: one.heard.frames)
        await plc.stop()
        async with within(0.5):
            await one.heard.until(lambda: len(one.heard.facts) == 2)
    assert one.heard.changes()[-1] == (False, "closed")


async def test_never_reached(line, words):
    """A device that was never there is down from the first attempt on, once."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        one = line(unused.getsockname()[1], words(2))
        async with one.running():
            await asyncio.sleep(0.7)
            assert one.heard.changes() == [(False, "refused")]
            assert one.poller.stats.failed_connects >= 2
            with pytest.raises(DeviceError, match="plc0"):
                await one.poller.read_once()
    assert list(one.image.quality) == [COMM_LOST] * 2
    assert list(one.image.t_ns) == [0, 0]


async def test_one_timeout_is_forgiven_two_are_not(plc, line, words):
    """One missed deadline leaves the device up; a mute device is down after two."""
    one = line(plc.port, words(1), deadline_ms=100)
    plc.script = [lambda _, honest: honest, lambda *_: None]
    async with one.running():
        await one.heard.until(lambda: len(one.heard.frames) >= 3)
        assert one.poller.stats.timeouts == 1
        assert one.heard.changes() == [(True, "connected")]
        plc.mute = True
        await one.heard.until(lambda: len(one.heard.facts) == 2)
    assert one.heard.changes()[-1] == (False, "timeout")
    assert one.poller.stats.timeouts == 3


async def test_bad_registers_cost_only_themselves(plc, line, words):
    """In the very first round good tags are read, bad ones are BAD and told; the next round asks around them."""
    plc.illegal = {7, 22}
    one = line(plc.port, words(40))
    await one.poller.read_once()
    qualities = {tag.address: one.image.quality[i] for i, tag in enumerate(one.device.tags)}
    assert {a for a, q in qualities.items() if q == BAD} == {7, 22}
    assert {a for a, q in qualities.items() if q == GOOD} == set(range(40)) - {7, 22}
    assert one.image.t_ns[7] == one.image.t_ns[22] == 0
    fact = one.heard.facts[-1]
    assert (fact.up, fact.reason, list(fact.tags)) == (True, "exception-2", [7, 22])
    assert "w7, w22" in fact.detail
    plc.requests.clear()
    await one.poller.read_once()
    assert plc.requests == [(3, 0, 7), (3, 8, 14), (3, 23, 17)]
    assert len(one.heard.facts) == 2  # said once


async def test_hole_that_does_not_exist(plc, line, words):
    """An illegal register in a hole costs a split, no tag."""
    plc.illegal = {12}
    one = line(plc.port, [*words(3, start=8), *words(3, start=14)])
    assert len(one.device.requests) == 1
    await one.poller.read_once()
    assert set(one.image.quality) == {GOOD}
    plc.requests.clear()
    await one.poller.read_once()
    assert plc.requests == [(3, 8, 3), (3, 14, 3)]
    assert one.heard.changes() == [(True, "connected")]


async def test_block_too_long_for_the_device(plc, line, words):
    """Exception 3 to 40 registers: the device is read in parts it accepts."""
    plc.max_quantity = 16
    one = line(plc.port, words(40))
    await one.poller.read_once()
    assert set(one.image.quality) == {GOOD}
    await one.poller.read_once()  # finds that the two inner tens do not go together either
    plc.requests.clear()
    await one.poller.read_once()
    assert [quantity for _, _, quantity in plc.requests] == [10, 10, 10, 10]


async def test_refused_register_comes_back(plc, line, words, monkeypatch):
    """After a change of the PLC program a refused tag is found again, and that is told."""
    monkeypatch.setattr(block_module, "PROBE_NS", 100_000_000)
    plc.illegal = {1}
    one = line(plc.port, words(4))
    async with one.running():
        await one.heard.until(lambda: (True, "exception-2") in one.heard.changes())
        assert one.image.quality[1] == BAD
        plc.illegal = set()
        await one.heard.until(lambda: (True, "recovered") in one.heard.changes())
        assert one.image.quality[1] == GOOD
        plc.requests.clear()
        await one.heard.until(lambda: (3, 0, 4) in plc.requests)


async def test_table_the_device_does_not_have(plc, line, words):
    """Exception 1 is not halved: one request, all tags BAD."""
    plc.exception = 1
    one = line(plc.port, words(30))
    await one.poller.read_once()
    assert set(one.image.quality) == {BAD}
    assert len(plc.requests) == 1
    assert one.heard.changes() == [(True, "connected"), (True, "exception-1")]


async def test_busy_device_is_not_restamped(plc, line, words):
    """Exception 6: the device is up, nothing was read, values keep their times; told when it begins and ends."""
    one = line(plc.port, words(2))
    async with one.running():
        await one.heard.until(lambda: one.heard.frames)
        plc.exception = 6
        await one.heard.until(lambda: (True, "exception-6") in one.heard.changes())
        times = list(one.image.t_ns)
        await asyncio.sleep(0.2)
        assert list(one.image.t_ns) == times
        assert list(one.image.quality) == [GOOD, GOOD]
        plc.exception = 0
        await one.heard.until(lambda: (True, "recovered") in one.heard.changes())
    assert one.heard.changes() == [(True, "connected"), (True, "exception-6"), (True, "recovered")]
    assert one.poller.stats.exceptions >= 2  # asked more slowly while it is busy


async def test_unit_behind_a_gateway_is_gone(plc, line, words):
    """Exception 11 comes from the gateway: the device is down, and is not called up by the gateway's voice."""
    plc.exception = 11
    one = line(plc.port, words(2))
    async with one.running():
        await asyncio.sleep(0.8)
    assert one.heard.changes() == [(False, "exception-11")]
    assert len(plc.requests) >= 2


async def test_garbage_means_down(plc, line, words):
    """A server that is no Modbus server is down, said once, with the reason."""
    plc.script = [lambda *_: b"SSH-2.0-OpenSSH_9.2p1\r\n"] * 50
    one = line(plc.port, words(2))
    async with one.running():
        await asyncio.sleep(0.8)
    assert one.heard.changes() == [(False, "garbage")]


async def test_wrong_answers_are_no_readings(plc, line, words):
    """Replies of the wrong size, for ever: never up, never a value."""
    plc.script = [lambda _, honest: honest[:5] + b"\x05" + honest[6:7] + b"\x03\x02\0\1"] * 50
    one = line(plc.port, words(2))
    async with one.running():
        await asyncio.sleep(0.4)
    assert one.heard.changes() == [(False, "garbage")]
    assert list(one.image.t_ns) == [0, 0]


async def test_late_answers_are_not_taken_for_new_ones(plc, line, words):
    """A reply after its deadline changes nothing: neither value nor time."""
    held = []
    plc.script = [lambda _, honest: held.append(honest), lambda _, honest: held[0] + honest]
    plc.value = lambda n: len(plc.requests)
    one = line(plc.port, words(1), deadline_ms=100)
    async with one.running():
        await one.heard.until(lambda: one.heard.frames)
        assert one.image.i64[0] == 2
    assert one.poller.link.wire.late == 1


async def test_the_dead_delay_nobody(plc, line, words):
    """Beside three mute and three absent devices a healthy one keeps its times."""
    async with ScriptedPlc() as mute:
        mute.mute = True
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            dead = [line(mute.port, words(5), index=i, deadline_ms=200) for i in (1, 2, 3)]
            dead += [line(unused.getsockname()[1], words(5), index=i) for i in (4, 5, 6)]
            healthy = line(plc.port, words(5, interval_ms=20))
            tasks = [asyncio.create_task(one.poller.run()) for one in dead]
            async with healthy.running():
                await asyncio.sleep(1.2)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    # One mute device costs 200 ms per request: whoever waited for it would be late by ten of his own intervals.
    assert healthy.poller.stats.lateness_p50_ms <= 20
    assert healthy.poller.stats.requests >= 40
    assert all(
        one.heard.changes()[:1] == [(False, reason)]
        for one, reason in zip(dead, ["timeout"] * 3 + ["refused"] * 3, strict=True)
    )


async def test_device_without_tags_is_left_alone(plc, line):
    """Nothing to read: no connection is made."""
    one = line(plc.port, [])
    async with one.running():
        await asyncio.sleep(0.1)
    assert plc.connections == 0


def _silent(*_):
    """No answer."""


def _busy(request, _):
    """Exception 6 to whatever was asked."""
    return ScriptedPlc._frame(request, bytes([request[7] | 0x80, 6]))


def _nonsense(request, honest):
    """An answer of another function code."""
    return honest[:7] + bytes([4]) + honest[8:]


@pytest.mark.parametrize("trouble", [_silent, _busy])
async def test_retries_save_the_round(plc, line, words, trouble):
    """An answer that is lost, or "busy", is asked for again in the same round where the site wants that: at an interval
    of a minute the value is there all the same, after two requests more, and nobody is down.
    """
    limits = Limits(pause_ns=0, requests_per_s=1000.0, retries=2)
    one = line(plc.port, words(3, start=5, interval_ms=A_DAY_MS), deadline_ms=100, limits=limits)
    plc.script = [trouble, trouble]
    async with one.running():
        await one.heard.until(lambda: one.heard.frames)
    assert list(one.image.i64) == [5, 6, 7]
    assert len(plc.requests) == 3
    assert one.poller.stats.retries == 2
    assert all(fact.up for fact in one.heard.facts)


@pytest.mark.parametrize("trouble", [_silent, _nonsense])
async def test_a_first_miss_is_made_sure_of(plc, line, words, monkeypatch, trouble):
    """Asked once a day: an answer that is lost is asked for again at once, so the value is there and nothing is said;
    a device that is dead is down after its two deadlines, and not a day later.
    """
    monkeypatch.setattr(link_module, "MAKE_SURE_NS", 50_000_000)
    plc.script = [trouble]
    one = line(plc.port, words(3, start=5, interval_ms=A_DAY_MS), deadline_ms=100)
    async with one.running():
        await one.heard.until(lambda: one.heard.frames)
        plc.requests.clear()
        await asyncio.sleep(0.2)
    assert list(one.image.i64) == [5, 6, 7]
    assert one.heard.changes() == [(True, "connected")]
    assert not plc.requests, "one answer, and the next is due tomorrow"
    plc.mute = True
    two = line(plc.port, words(3, interval_ms=A_DAY_MS), deadline_ms=100)
    async with two.running():
        await two.heard.until(lambda: two.heard.facts)
        assert len(plc.requests) == 2
    assert two.heard.changes() == [(False, "timeout")]


async def test_retries_are_bounded(plc, line, words):
    """Without retries nothing is asked twice; with two, a device that fell silent is down after two missed deadlines
    more than without, and a connection made for it is not asked for ever.
    """
    limits = Limits(pause_ns=0, requests_per_s=1000.0, retries=2)
    one = line(plc.port, words(1), deadline_ms=250, limits=limits)
    async with one.running():
        await one.heard.until(lambda: one.heard.frames)
        plc.mute = True
        plc.requests.clear()
        await one.heard.until(lambda: len(one.heard.facts) == 2)
        assert len(plc.requests) == 4
    assert one.heard.changes() == [(True, "connected"), (False, "timeout")]
    plc.mute, plc.script = False, [_silent]
    two = line(plc.port, words(1, interval_ms=A_DAY_MS), deadline_ms=60)
    plc.requests.clear()
    async with two.running():
        await asyncio.sleep(0.2)
    assert len(plc.requests) == 1
    assert two.poller.stats.retries == 0
