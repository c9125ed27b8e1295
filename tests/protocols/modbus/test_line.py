"""Serial lines, on pseudo-terminals with real port settings: what a bus does to its master, and what comes of it."""

import asyncio
import contextlib
import fcntl
import os
import termios

import pytest
from peers.serial_line import SerialLine
from peers.timing import within
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType as SimType
from pymodbus.simulator import SimData, SimDevice

from protocols.errors import Fault
from protocols.modbus.ascii import lrc
from protocols.modbus.client import ModbusClient
from protocols.modbus.errors import ModbusConnectionError, ModbusExceptionReply, ModbusProtocolError, ModbusTimeout
from protocols.modbus.plan import Request
from protocols.modbus.rtu import crc16
from protocols.modbus.tags import Framing, Parity, SerialEndpoint, Table
from protocols.modbus.turns import Pace

MS = 1_000_000


def ask(address=0, quantity=2, unit=1, table=Table.HOLDING_REGISTERS):
    return Request(table, unit, address, quantity, 10**9, 0, 1)


def framed(data):
    return data + crc16(data)


def registers(request):
    """An honest answer: register n holds n."""
    unit, function = request[:2]
    first, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
    words = b"".join(n.to_bytes(2, "big") for n in range(first, first + count))
    return framed(bytes((unit, function, len(words))) + words)


@pytest.fixture(autouse=True)
def asked_of_ports(monkeypatch):
    """The settings asked of ports. Pseudo-terminals have neither parity nor 7 bits: the kernel ignores that, Debian's C
    library makes it an error; here it is ignored, and kept.
    """
    asked, real = [], termios.tcsetattr

    def tcsetattr(port, when, settings):
        asked.append(settings)
        possible = settings[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        real(port, when, [*settings[:2], possible, *settings[3:]])

    monkeypatch.setattr(termios, "tcsetattr", tcsetattr)
    return asked


@pytest.fixture
async def line():
    """A line whose device answers honestly."""
    async with SerialLine() as line:
        line.answer = registers
        yield line


@pytest.fixture
async def client(line):
    """A client on that line, RTU."""
    client = ModbusClient(SerialEndpoint(line.client, deadline_ns=200 * MS))
    await client.connect()
    yield client
    client.close()


@pytest.mark.parametrize(
    ("framing", "settings"),
    [
        (Framing.RTU, {"baud": 115_200}),
        (Framing.RTU, {"baud": 9600, "parity": Parity.NONE, "stop_bits": 2}),
        (Framing.ASCII, {"baud": 9600, "data_bits": 7}),
    ],
)
async def test_a_foreign_slave(framing, settings):
    """pymodbus's serial server and we agree, over two ports; 7E1 is what ASCII was made for."""
    async with SerialLine() as line:
        line.answer = None
        device = SimDevice(id=3, simdata=[SimData(0, count=50, values=7, datatype=SimType.REGISTERS)])
        server = ModbusSerialServer(device, framer=FramerType(framing.value), port=line.device)
        await server.serve_forever(background=True)
        client = ModbusClient(SerialEndpoint(line.client, framing=framing, **settings))
        await client.connect()
        assert await client.read(ask(10, 4, unit=3)) == b"\0\7" * 4
        with pytest.raises(ModbusExceptionReply) as raised:
            await client.read(ask(49, 2, unit=3))
        assert raised.value.code == 2
        assert client.counters.dropped_frames == 0
        client.close()
        await server.shutdown()


async def test_settings_of_the_port(asked_of_ports):
    """Speed, 7 data bits and even parity reach the port; and no other program may open it meanwhile."""
    async with SerialLine() as line:
        client = ModbusClient(SerialEndpoint(line.client, 9600, data_bits=7, framing=Framing.ASCII))
        await client.connect()
        _, _, control, local, in_speed, out_speed, _ = asked_of_ports[-1]
        assert control & termios.CSIZE == termios.CS7
        assert control & termios.PARENB
        assert not control & (termios.PARODD | termios.CSTOPB | termios.CRTSCTS)
        assert in_speed == out_speed == termios.B9600
        assert not local & (termios.ECHO | termios.ICANON)
        with pytest.raises(ModbusConnectionError) as raised:
            await ModbusClient(SerialEndpoint(line.client)).connect()
        assert (raised.value.reason, raised.value.fault) == ("port-busy", Fault.CONFIG)
        client.close()


async def test_ports_that_cannot_be_used(tmp_path):
    """A port that is not there, one that is no port, and one that knows no RS-485, are told apart."""
    (tmp_path / "file").write_text("")
    async with SerialLine() as line:
        for endpoint, reason in (
            (SerialEndpoint("/dev/no-such-port"), "port-missing"),
            (SerialEndpoint(str(tmp_path / "file")), "port-settings"),
            (SerialEndpoint(line.client, rs485=True), "port-settings"),
        ):
            client = ModbusClient(endpoint)
            with pytest.raises(ModbusConnectionError) as raised:
                await client.connect()
            assert (raised.value.reason, raised.value.fault) == (reason, Fault.CONFIG)
            assert not client.connected
        free = ModbusClient(SerialEndpoint(line.client))
        await free.connect()  # what could not be set up was closed again
        free.close()


async def test_adapter_pulled_out(line, client):
    """A port that vanishes fails the waiting request at once, and says so."""
    line.answer = lambda _: None
    waiting = asyncio.create_task(client.read(ask()))
    await asyncio.sleep(0.05)
    line.pull_out()
    with pytest.raises(ModbusConnectionError) as raised:
        await waiting
    assert raised.value.reason == "port-lost"
    assert not client.connected


async def test_port_that_sends_nothing(line, client):
    """Requests that do not leave the port are not heaped up to be sent all at once later."""
    line.stop_listening()
    port = os.open(line.client, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    for _ in range(20):  # the kernel moves bytes on for a while
        with contextlib.suppress(BlockingIOError):
            while os.write(port, b"\0" * 256):
                pass
        await asyncio.sleep(0.002)
    os.close(port)
    with pytest.raises(ModbusTimeout):
        await client.read(ask(unit=1))
    with pytest.raises(ModbusConnectionError) as raised:
        await client.read(ask(unit=2))
    assert raised.value.reason == "stuck"


async def test_echo(line, client):
    """Two-wire adapters that hear themselves work as any other."""
    line.echo = True
    for address in range(3):
        assert await client.read(ask(address, 1)) == address.to_bytes(2, "big")
    assert client.counters.echoes == 3
    assert client.counters.dropped_frames == 0


async def test_bytes_one_by_one(line, client):
    """A slow adapter that hands over single bytes, with gaps longer than 1.5 characters, costs nothing."""
    whole = registers(bytes.fromhex("010300000002"))

    def drip(_):
        for place in range(len(whole)):
            asyncio.get_running_loop().call_later(0.004 * place, line.say, whole[place : place + 1])

    line.answer = drip
    assert await client.read(ask()) == whole[3:-2]
    assert client.counters.dropped_frames == 0


async def test_damaged_answer(line):
    """A wrong CRC is told as what it is, the line's fault, once the line is silent and not at the deadline; the next
    request is fine.
    """
    client = ModbusClient(SerialEndpoint(line.client, deadline_ns=60_000 * MS))
    await client.connect()
    line.garble = lambda data: data[:-1] + bytes((data[-1] ^ 1,))
    async with asyncio.timeout(20):
        with pytest.raises(ModbusProtocolError) as raised:
            await client.read(ask())
    assert (raised.value.reason, raised.value.fault) == ("damaged", Fault.NETWORK)
    assert client.counters.checksums == 1
    line.garble = bytes
    assert await client.read(ask(5, 1)) == b"\0\5"
    client.close()


async def test_noise_around_the_answer(line, client):
    """Noise before and after a frame costs nothing but its place in the statistics."""
    line.garble = lambda data: b"\xff\x00\x01\x03\xfe" + data + b"\xff\xff"
    for address in range(3):
        assert await client.read(ask(address, 1)) == address.to_bytes(2, "big")
    assert client.counters.noise_bytes >= 15


async def test_late_answer_of_the_same_shape(line, client):
    """Without transaction ids a late answer looks like the next: so it is waited for before the unit is asked again."""
    line.delay_s = 0.3
    with pytest.raises(ModbusTimeout):
        await client.read(ask(100, 2))
    line.delay_s = 0.0
    assert await client.read(ask(200, 2)) == b"\0\xc8\0\xc9"
    assert (client.counters.late, len(line.sent_at)) == (1, 2)


async def test_a_silent_unit_does_not_delay_others(line, client):
    """Unit 9 is dead. It is asked again only a deadline later; unit 1 is asked at once."""
    line.answer = lambda request: registers(request) if request[0] == 1 else None
    with pytest.raises(ModbusTimeout):
        await client.read(ask(unit=9))
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    again = asyncio.create_task(client.read(ask(unit=9)))
    await asyncio.sleep(0)
    async with within(0.1):
        for address in range(3):
            assert await client.read(ask(address, 1)) == address.to_bytes(2, "big")
    assert not again.done()
    with pytest.raises(ModbusTimeout):
        await again
    assert loop.time() - began_s > 0.35
    # A late answer of another unit is not taken for ours.
    line.answer = lambda request: registers(b"\x09" + request[1:]) + registers(request)
    assert await client.read(ask(7, 1)) == b"\0\7"
    assert client.counters.late == 1


async def test_another_master(line, client):
    """A second master is noticed. Where it asks our unit in between, the next answer may be its own: it is not used."""
    theirs = framed(bytes.fromhex("0103 0100 0002"))
    line.say(theirs)
    for _ in range(4):  # more than the silence that ends a frame, however late this process wakes
        await asyncio.sleep(0.02)
    assert await client.read(ask(3, 2)) == b"\0\3\0\4"
    assert client.counters.foreign_requests == 1
    line.answer = lambda request: theirs + registers(request)
    with pytest.raises(ModbusProtocolError) as raised:
        await client.read(ask(4, 2))
    assert (raised.value.reason, raised.value.fault) == ("collision", Fault.CONFIG)
    line.answer = lambda request: framed(bytes.fromhex("0503 0100 0002")) + registers(request)
    assert await client.read(ask(5, 1)) == b"\0\5"  # it asks another unit: no harm
    assert client.counters.foreign_requests == 3


async def test_wrong_unit(line, client):
    """Another unit's answer is not ours; the error says who answered."""
    line.answer = lambda request: registers(b"\x07" + request[1:])
    with pytest.raises(ModbusTimeout, match="unit 7 answered") as raised:
        await client.read(ask())
    assert raised.value.fault is Fault.CONFIG
    assert client.counters.wrong_unit == 1


async def test_requests_take_turns_with_silence_between(line):
    """Concurrent readers get their own answers; between an answer and the next request the line rests."""
    client = ModbusClient(SerialEndpoint(line.client, silence_ns=20 * MS))
    await client.connect()
    replies = await asyncio.gather(*(client.read(ask(n, 1)) for n in range(4)))
    assert replies == [n.to_bytes(2, "big") for n in range(4)]
    gaps = [b - a for a, b in zip(line.sent_at, line.sent_at[1:], strict=False)]
    assert min(gaps) > 0.018
    assert client.in_flight == 0
    client.close()


async def test_the_time_on_the_wire_is_not_the_devices(line):
    """At 1200 baud 250 bytes take 2.3 s: the deadline is for the device, the wire's time comes on top."""
    client = ModbusClient(SerialEndpoint(line.client, baud=1200, deadline_ns=100 * MS))
    await client.connect()
    line.delay_s = 0.4
    assert len(await client.read(ask(0, 40))) == 80
    client.close()


@pytest.mark.parametrize(
    ("settings", "quiet_ms"),
    [({"baud": 9600}, 4.01), ({"baud": 19_200}, 2.005), ({"baud": 115_200}, 1.75), ({"silence_ns": 9 * MS}, 9)],
)
def test_silence_between_frames(settings, quiet_ms):
    """3.5 characters of 11 bits, fixed above 19,200 baud, or more where a device needs more."""
    assert Pace.of(SerialEndpoint("x", **settings)).quiet_s * 1000 == pytest.approx(quiet_ms, abs=0.01)


async def test_ascii_damage_and_silence(line):
    """ASCII: a wrong LRC is damage, too."""
    client = ModbusClient(SerialEndpoint(line.client, framing=Framing.ASCII, deadline_ns=200 * MS))
    await client.connect()

    def characters(request):
        reply = registers(bytes.fromhex(request[1:-2].decode()))[:-2]
        return b":" + (reply + bytes((lrc(reply),))).hex().upper().encode() + b"\r\n"

    line.answer = characters
    assert await client.read(ask(1, 1)) == b"\0\1"
    line.garble = lambda data: data.replace(b"0002", b"0003")
    with pytest.raises(ModbusProtocolError) as raised:
        await client.read(ask(2, 1))
    assert raised.value.reason == "damaged"
    client.close()


async def test_rs485_mode_is_asked_of_the_driver(line, monkeypatch):
    """Where the port can switch its transmitter, the driver is told to (ioctl TIOCSRS485)."""
    asked = []
    real = fcntl.ioctl

    def ioctl(fd, request, *rest):
        if request in (0x542E, 0x542F):  # TIOCGRS485, TIOCSRS485
            asked.append(request)
            return 0
        return real(fd, request, *rest)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    client = ModbusClient(SerialEndpoint(line.client, rs485=True))
    await client.connect()
    assert asked == [0x542E, 0x542F]
    assert await client.read(ask()) == b"\0\0\0\1"
    client.close()
