"""The client reads what is there, from foreign servers too, and says truthfully and at once what went wrong."""

import asyncio
import socket
import struct

import pytest
from peers.modbus import RecordingProxy, ScriptedPlc, running
from peers.timing import within
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType as SimType
from pymodbus.simulator import SimData, SimDevice

from protocols.errors import Fault
from protocols.modbus.client import ModbusClient
from protocols.modbus.errors import (
    ModbusConnectionError,
    ModbusExceptionReply,
    ModbusProtocolError,
    ModbusTimeout,
)
from protocols.modbus.plan import Request
from protocols.modbus.tags import ModbusEndpoint, Table

HOLDING, INPUT, COILS, DISCRETE = Table.HOLDING_REGISTERS, Table.INPUT_REGISTERS, Table.COILS, Table.DISCRETE_INPUTS
DEADLINE_NS = 300_000_000


def ask(table=HOLDING, address=0, quantity=3, unit=1):
    return Request(table, unit, address, quantity, 10**9, 0, 1)


def endpoint(port, deadline_ns=DEADLINE_NS):
    return ModbusEndpoint("127.0.0.1", port, deadline_ns=deadline_ns)


@pytest.fixture
async def client(plc):
    """A client connected to the scripted server."""
    client = ModbusClient(endpoint(plc.port))
    await client.connect()
    yield client
    client.close()


def words(*values):
    return struct.pack(f">{len(values)}H", *values)


async def test_all_tables_of_a_foreign_server(libmodbus_server):
    """libmodbus and we agree on all four tables, and on its refusal of an address it does not have."""
    async with running(libmodbus_server) as port:
        client = ModbusClient(endpoint(port))
        await client.connect()
        assert await client.read(ask(HOLDING, 2, 3)) == words(514, 771, 1028)
        assert await client.read(ask(INPUT, 0, 2)) == words(65535, 65534)
        assert await client.read(ask(COILS, 0, 10)) == bytes([0b01001001, 0b10])
        assert await client.read(ask(DISCRETE, 0, 8)) == bytes([0b10101010])
        assert len(await client.read(ask(HOLDING, 0, 125))) == 250
        with pytest.raises(ModbusExceptionReply) as raised:
            await client.read(ask(HOLDING, 199, 2))
        assert (raised.value.code, raised.value.name, raised.value.fault) == (2, "ILLEGAL DATA ADDRESS", Fault.CONFIG)
        assert await client.read(ask(HOLDING, 199, 1)) == words(199 * 257 & 0xFFFF)
        client.close()


async def test_pymodbus_server():
    """And with the server most simulators are made of."""
    device = SimDevice(id=1, simdata=[SimData(0, count=50, values=7, datatype=SimType.REGISTERS)])
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    client = ModbusClient(endpoint(server.transport.sockets[0].getsockname()[1]))
    await client.connect()
    assert await client.read(ask(HOLDING, 10, 4)) == words(7, 7, 7, 7)
    client.close()
    await server.shutdown()


async def test_wire_carries_reads_only(libmodbus_server):
    """Packet-level proof: through a recording proxy only function codes 1 to 4 are ever seen."""
    async with running(libmodbus_server) as port, RecordingProxy(port) as proxy:
        client = ModbusClient(endpoint(proxy.port))
        await client.connect()
        for table in Table:
            await client.read(ask(table, 5, 2))
        assert proxy.function_codes() == [1, 2, 3, 4]
        # 0x0103 in the specification's request of §6.3: address and quantity, big-endian, behind the unit id
        assert bytes(proxy.sent[24:36]) == bytes.fromhex("0003 0000 0006 01 03 0005 0002")
        client.close()


async def test_timeout_then_late_frame(plc, client):
    """A late answer is counted and dropped; the next request gets its own answer, on the same connection."""
    plc.delay_s = 0.4
    with pytest.raises(ModbusTimeout, match=r"0\.3 s"):
        await client.read(ask(address=100))
    plc.delay_s = 0.0
    assert await client.read(ask(address=200)) == words(200, 201, 202)
    assert client.dropped_frames == 1
    assert plc.connections == 1
    assert len(plc.requests) == 2  # no retry


async def test_late_frame_in_two_halves(plc, client):
    """Half a late frame before the next request and half after it do not put the stream out of step."""
    halves = []

    def keep(_, honest):
        halves.extend([honest[:5], honest[5:]])
        return halves[0]

    plc.script = [keep, lambda _, honest: halves[1] + honest]
    with pytest.raises(ModbusTimeout):
        await client.read(ask(address=1))
    assert await client.read(ask(address=9, quantity=1)) == words(9)


async def test_two_late_full_frames_at_once(plc, client):
    """Two late replies of 125 registers in one piece do not cost the right one."""
    late = []

    def hold(_, honest):
        late.append(honest)

    plc.script = [hold, hold, lambda _, honest: b"".join(late) + honest]
    for _ in range(2):
        with pytest.raises(ModbusTimeout):
            await client.read(ask(quantity=125))
    assert await client.read(ask(address=4, quantity=1)) == words(4)
    assert client.dropped_frames == 2


async def test_wrong_unit_is_dropped(plc, client):
    """An answer of another unit is not ours, even with our transaction id."""
    plc.script = [lambda _, honest: honest[:6] + b"\x07" + honest[7:] + honest]
    assert await client.read(ask()) == words(0, 1, 2)
    assert client.dropped_frames == 1


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 8, 10, 11, 77])
async def test_exception_replies(plc, client, code):
    """Every code of the specification has its name; an unknown one is one, too. The connection stays."""
    plc.exception = code
    with pytest.raises(ModbusExceptionReply) as raised:
        await client.read(ask(address=5))
    assert raised.value.code == code
    assert raised.value.reason == f"exception-{code}"
    assert "holding:5…7" in str(raised.value)
    assert client.connected


@pytest.mark.parametrize(
    "reply",
    [
        lambda _, honest: honest[:7] + b"\x04" + honest[8:],  # another function code
        lambda _, honest: honest[:5] + b"\x05" + honest[6:7] + b"\x03\x02\x00\x01",  # one register instead of three
        lambda _, honest: honest[:8] + b"\x08" + honest[9:],  # byte count that lies
        lambda _, honest: honest[:5] + b"\x02" + honest[6:7] + b"\x83",  # exception without a code
    ],
)
async def test_wrong_replies(plc, client, reply):
    """An answer that does not fit its question is the device's fault, and no data."""
    plc.script = [reply]
    with pytest.raises(ModbusProtocolError) as raised:
        await client.read(ask())
    assert raised.value.fault is Fault.DEVICE
    assert await client.read(ask()) == words(0, 1, 2)


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x01\x00\x00\xff\xff\x01\x03"])
async def test_garbage_ends_the_connection(plc, client, garbage):
    """A stream out of step is not guessed at: the request fails at once, the connection is closed."""
    plc.script = [lambda *_: garbage]
    async with within(DEADLINE_NS / 2e9):
        with pytest.raises(ModbusProtocolError):
            await client.read(ask())
    assert not client.connected
    with pytest.raises(ModbusConnectionError):
        await client.read(ask())
    await client.connect()
    assert await client.read(ask()) == words(0, 1, 2)


async def test_server_dies_mid_request(plc, client):
    """The waiting request fails when the connection is lost, not when its deadline passes."""
    plc.mute = True
    waiting = asyncio.create_task(client.read(ask()))
    watching = asyncio.create_task(client.watch())
    await plc.asked.wait()
    async with within(DEADLINE_NS / 2e9):
        await plc.stop()
        with pytest.raises(ModbusConnectionError) as raised:
            await waiting
        with pytest.raises(ModbusConnectionError):
            await watching
    assert raised.value.reason == "closed"
    assert not client.connected
    await plc.start()
    plc.mute = False
    await client.connect()
    assert await client.read(ask()) == words(0, 1, 2)


async def test_close_fails_the_waiting_request(plc, client):
    """Closing from outside does not leave a reader behind."""
    plc.mute = True
    waiting = asyncio.create_task(client.read(ask()))
    await asyncio.sleep(0.01)
    client.close()
    with pytest.raises(ModbusConnectionError):
        await waiting


async def test_half_open_link(plc, client):
    """A device that is gone without a word costs one deadline per request, never more."""
    plc.mute = True
    for _ in range(2):
        async with within(DEADLINE_NS / 1e9):
            with pytest.raises(ModbusTimeout):
                await client.read(ask())
    assert len(plc.requests) == 2


async def test_connect_errors():
    """Refused, dead and misspelt hosts are told apart."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = ModbusClient(endpoint(unused.getsockname()[1]))
        with pytest.raises(ModbusConnectionError) as raised:
            await client.connect()
    assert (raised.value.reason, raised.value.fault) == ("refused", Fault.DEVICE)
    with pytest.raises(ModbusConnectionError) as raised:
        await ModbusClient(ModbusEndpoint("plc.invalid", deadline_ns=2 * 10**9)).connect()
    assert raised.value.reason in ("name", "timeout")


async def test_connect_deadline():
    """A host that swallows the SYN costs one deadline."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        held = [socket.socket() for _ in range(4)]
        for one in held:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        async with within(DEADLINE_NS / 1e9):
            with pytest.raises(ModbusConnectionError) as raised:
                await ModbusClient(endpoint(port)).connect()
        assert raised.value.reason == "timeout"
        for one in held:
            one.close()


async def test_one_request_at_a_time(plc, client):
    """Concurrent readers take turns; each gets its own answer."""
    plc.delay_s = 0.01
    replies = await asyncio.gather(*(client.read(ask(address=a, quantity=1)) for a in range(5)))
    assert replies == [words(a) for a in range(5)]


def test_on_uvloop():
    """The agent runs on uvloop where it exists: reading, losing and finding the connection again work there, too."""
    uvloop = pytest.importorskip("uvloop", reason="uvloop exists on Linux and macOS only")

    async def read_lose_read():
        async with ScriptedPlc() as plc:
            client = ModbusClient(endpoint(plc.port))
            await client.connect()
            assert await client.read(ask()) == words(0, 1, 2)
            plc.mute = True
            waiting = asyncio.create_task(client.read(ask()))
            plc.asked.clear()
            await plc.asked.wait()
            await plc.stop()
            with pytest.raises(ModbusConnectionError):
                await waiting
            with pytest.raises(ModbusConnectionError) as raised:
                await client.connect()
            assert raised.value.reason == "refused"
            await plc.start()
            plc.mute = False
            await client.connect()
            assert await client.read(ask()) == words(0, 1, 2)
            client.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(read_lose_read())


async def test_constructor_does_no_io():
    """Building a client touches nothing; reading before connecting is an error that says so."""
    client = ModbusClient(endpoint(1))
    client.close()
    with pytest.raises(ModbusConnectionError):
        await client.read(ask())
    with pytest.raises(ModbusConnectionError):
        await client.watch()


async def test_server_that_hangs_up_on_connect():
    """A full PLC accepts and closes: told as a lost connection, not as a success."""
    server = await asyncio.start_server(lambda _, writer: writer.transport.abort(), "127.0.0.1", 0)
    client = ModbusClient(endpoint(server.sockets[0].getsockname()[1]))

    async def connect_and_watch():
        await client.connect()
        await client.watch()

    with pytest.raises(ModbusConnectionError) as raised:
        await connect_and_watch()
    assert raised.value.reason == "closed"
    server.close()
