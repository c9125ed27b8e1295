"""Several requests in flight: each gets its own answer or its own deadline, whatever comes in between."""

import asyncio
import struct
import time

import pytest
from peers.modbus import HEADER, ScriptedPlc, running
from peers.timing import within

from protocols.errors import Fault
from protocols.modbus.client import ModbusClient
from protocols.modbus.errors import ModbusConnectionError, ModbusTimeout
from protocols.modbus.plan import Request
from protocols.modbus.tags import Table, TcpEndpoint

MS = 1_000_000


def ask(address=0, quantity=1, unit=1):
    return Request(Table.HOLDING_REGISTERS, unit, address, quantity, 10**9, 0, 1)


class SlowPlc(asyncio.Protocol):
    """Takes as many requests at once as it is sent and answers each `delay_s` later: register n holds n."""

    delay_s = 0.02

    def __init__(self):
        self.at_once = self.most_at_once = 0

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        for place in range(0, len(data), 12):
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            asyncio.get_running_loop().call_later(self.delay_s, self.answer, data[place : place + 12])

    def answer(self, request):
        self.at_once -= 1
        self.transport.write(request[:4] + b"\0\5" + request[6:8] + b"\2" + request[8:10])


async def poll(depth, requests):
    """Seconds for so many requests, and how many the device had at once."""
    loop, plc = asyncio.get_running_loop(), SlowPlc()
    server = await loop.create_server(lambda: plc, "127.0.0.1", 0)
    client = ModbusClient(TcpEndpoint("127.0.0.1", server.sockets[0].getsockname()[1], depth=depth))
    await client.connect()
    began_s = loop.time()
    replies = await asyncio.gather(*(client.read(ask(n)) for n in range(requests)))
    took_s = loop.time() - began_s
    assert replies == [n.to_bytes(2, "big") for n in range(requests)]
    client.close()
    server.close()
    return took_s, plc.most_at_once


async def test_depth_four_is_four_times_faster():
    """A device that needs 20 ms per answer gives four times as many, and is never asked more than it stands."""
    ratios = []
    for _ in range(4):  # where the machine is busy, once in four times it is not
        one_s, most = await poll(1, 8)
        assert most == 1
        assert one_s > 8 * 0.02
        four_s, most = await poll(4, 8)
        assert most == 4
        ratios.append(one_s / four_s)
        if ratios[-1] > 2.5:
            return
    pytest.fail(f"so many times faster: {ratios}")


async def connected(plc, depth=4, deadline_ms=10_000):
    client = ModbusClient(TcpEndpoint("127.0.0.1", plc.port, depth=depth, deadline_ns=deadline_ms * MS))
    await client.connect()
    return client


async def test_answers_in_any_order(plc):
    """Answers that come in reverse, in one piece, find their questions."""
    held = []

    def hold(_, honest):
        held.append(honest)
        return b"".join(reversed(held)) if len(held) == 4 else None

    plc.script = [hold] * 4
    client = await connected(plc)
    replies = await asyncio.gather(*(client.read(ask(n)) for n in range(4)))
    assert replies == [n.to_bytes(2, "big") for n in range(4)]
    assert client.counters.dropped_frames == 0
    client.close()


async def test_send_without_a_task(plc):
    """`send` puts requests on the wire at once; the answers are awaited later, in any order."""
    client = await connected(plc)
    futures = [client.send(ask(n)) for n in range(6)]
    assert client.in_flight == 4
    assert [await future for future in reversed(futures)] == [n.to_bytes(2, "big") for n in reversed(range(6))]
    assert client.in_flight == 0
    assert client.counters.sent == client.counters.answered == 6
    client.close()


async def test_one_late_answer_among_others(plc):
    """One request of four misses its deadline; the others are answered, and the late answer is nobody else's."""
    late = []
    plc.script = [lambda _, honest: late.append(honest)] + [lambda _, honest: honest] * 3
    client = await connected(plc, deadline_ms=300)
    first, *others = await asyncio.gather(*(client.read(ask(n)) for n in range(4)), return_exceptions=True)
    assert isinstance(first, ModbusTimeout)
    assert others == [n.to_bytes(2, "big") for n in (1, 2, 3)]
    plc.script = [lambda _, honest: late[0] + honest]
    assert await client.read(ask(9)) == b"\0\x09"
    assert (client.counters.late, client.counters.dropped_frames) == (1, 1)
    client.close()


async def test_duplicates_and_strangers(plc):
    """An answer that comes twice, and one to a question that was never asked."""
    stranger = HEADER.pack(0x7777, 0, 5, 1) + b"\x03\x02\xff\xff"
    plc.script = [lambda _, honest: honest + honest, lambda _, honest: stranger + honest]
    client = await connected(plc)
    assert await client.read(ask(1)) == b"\0\1"
    assert await client.read(ask(2)) == b"\0\2"
    assert (client.counters.duplicates, client.counters.strangers) == (1, 1)
    client.close()


async def test_an_id_is_not_used_while_its_answer_may_come(plc):
    """After 65,536 requests the id of one that was never answered is passed over."""
    plc.script = [lambda *_: None]
    client = await connected(plc, deadline_ms=50)
    with pytest.raises(ModbusTimeout):
        await client.read(ask(1))
    client._connection._next = 1  # as after 65,536 more
    ids = []
    plc.script = [lambda request, honest: ids.append(struct.unpack(">H", request[:2])[0]) or honest]
    assert await client.read(ask(2)) == b"\0\2"
    assert ids == [2]
    client._connection._next = 0xFFFF
    for n in range(3):
        assert await client.read(ask(n)) == n.to_bytes(2, "big")
    client.close()


async def test_a_caller_that_gives_up(plc):
    """Its request stays in flight, for the device works at it; its answer is nobody else's."""
    plc.delay_s = 0.05
    client = await connected(plc, depth=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await client.read(ask(1))
    assert client.in_flight == 1
    assert await client.read(ask(2)) == b"\0\2"
    given_up = client.send(ask(3))
    waiting = client.send(ask(4))
    waiting.cancel()
    assert await client.read(ask(5)) == b"\0\5"
    assert await given_up == b"\0\3"
    assert [address for _, address, _ in plc.requests] == [1, 2, 3, 5]
    client.close()


async def test_each_request_has_its_own_deadline(plc):
    """One timer for all, and each request still fails when its own time is over."""
    plc.mute = True
    client = await connected(plc, deadline_ms=200)
    loop, failed_s = asyncio.get_running_loop(), []

    async def one(after_s):
        await asyncio.sleep(after_s)
        began_s = loop.time()
        async with within(0.2):
            with pytest.raises(ModbusTimeout):
                await client.read(ask())
        failed_s.append(loop.time() - began_s)

    await asyncio.gather(*(one(0.05 * n) for n in range(4)))
    assert all(took_s > 0.19 for took_s in failed_s)
    client.close()


async def test_one_timer_for_thousand_requests(plc):
    """While answers come in time, deadlines cost next to nothing."""
    client = await connected(plc, depth=8, deadline_ms=5000)
    connection, timers = client._connection, 0
    real = connection._loop.call_at

    class Counting:
        def __getattr__(self, name):
            return getattr(asyncio.get_running_loop(), name)

        def call_at(self, *arguments):
            nonlocal timers
            timers += 1
            return real(*arguments)

    connection._loop = Counting()
    for _ in range(10):
        await asyncio.gather(*(client.read(ask(n)) for n in range(100)))
    assert timers <= 3
    client.close()


async def test_a_stalled_agent_blames_nobody(libmodbus_server):
    """An answer that came in time counts, also where this process was held up and looks at its clock too late."""
    async with running(libmodbus_server) as port:
        client = ModbusClient(TcpEndpoint("127.0.0.1", port, deadline_ns=100 * MS))
        await client.connect()
        for _ in range(3):
            future = client.send(ask(1))
            await asyncio.sleep(0)
            time.sleep(0.15)  # noqa: ASYNC251 - the stall
            assert await future == b"\1\1"
        client.close()


async def test_wrong_unit_is_told(plc):
    """A device that answers in another unit's name is not believed, and the error says what to change."""
    plc.script = [lambda _, honest: honest[:6] + b"\x07" + honest[7:]]
    client = await connected(plc, deadline_ms=50)
    with pytest.raises(ModbusTimeout, match="unit 7 answered") as raised:
        await client.read(ask())
    assert raised.value.fault is Fault.CONFIG
    assert "站号 7" in raised.value.zh
    client.close()


async def test_a_lost_connection_fails_all(plc):
    """What is in flight and what still waits fail at once."""
    plc.mute = True
    client = await connected(plc, depth=2, deadline_ms=5000)
    futures = [client.send(ask(n)) for n in range(5)]
    await plc.asked.wait()
    async with within(0.2):
        await plc.stop()
        failures = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(failure) for failure in failures] == [ModbusConnectionError] * 5
    await plc.start()


async def test_units_share_a_connection():
    """Requests to several units travel on one connection; each unit is answered by its own name."""
    async with ScriptedPlc() as plc:
        client = await connected(plc)
        await asyncio.gather(*(client.read(ask(5, unit=unit)) for unit in range(1, 9)))
        assert plc.connections == 1
        assert client.counters.wrong_unit == 0
        client.close()
