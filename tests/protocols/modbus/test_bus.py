"""What the planner thinks a request costs is what the specifications put on the wire."""

import pytest

from protocols.modbus.bus import ETHERNET, bus_of, ethernet
from protocols.modbus.tags import Framing, Parity, SerialEndpoint, Table, TcpEndpoint, TlsFiles, UdpEndpoint

HOLDING, COILS = Table.HOLDING_REGISTERS, Table.COILS


def test_tcp():
    """125 registers: 12 + 259 bytes and two frames' overhead at 100 Mbit/s, and the PLC's turnaround."""
    assert ETHERNET.read_ns(HOLDING, 125) == 10_000_000 + (12 + 259 + 2 * 78) * 80
    assert ETHERNET.read_ns(COILS, 9) == 10_000_000 + (12 + 9 + 2 + 2 * 78) * 80
    assert bus_of(TcpEndpoint("plc")) == ETHERNET


def test_other_networks():
    """RTU frames are shorter, datagrams carry less around them, TLS carries more."""
    rtu, udp = TcpEndpoint("plc", framing=Framing.RTU), UdpEndpoint("plc")
    tls = TcpEndpoint("plc", tls=TlsFiles())
    times = [bus_of(endpoint).read_ns(HOLDING, 10) for endpoint in (udp, rtu, TcpEndpoint("plc"), tls)]
    assert times == sorted(times)
    assert len(set(times)) == 4


@pytest.mark.parametrize(
    ("baud", "registers", "ms"),
    [(9600, 30, 112), (19200, 30, 66), (115200, 30, 30), (9600, 125, 329), (19200, 125, 175), (115200, 125, 49)],
)
def test_serial_line(baud, registers, ms):
    """8E1, 20 ms turnaround: 11 bits a character, 8 of them asked and 5 + 2 n answered, two silences of 3.5."""
    line = bus_of(SerialEndpoint("/dev/ttyUSB0", baud=baud), turnaround_ns=20_000_000)
    assert line.read_ns(HOLDING, registers) / 1e6 == pytest.approx(ms, abs=7)


def test_line_in_detail():
    """9600 8N1 ASCII: 10 bits a character, 17 + 11 characters and four a register; no silence."""
    endpoint = SerialEndpoint("/dev/ttyUSB0", 9600, Parity.NONE, framing=Framing.ASCII)
    assert bus_of(endpoint, 0).read_ns(HOLDING, 2) == (17 + 11 + 8) * 10 * 10**9 // 9600


def test_silence_of_a_device():
    """A line whose devices need more quiet than 3.5 characters costs that for every request."""
    plain, quiet = SerialEndpoint("/dev/ttyUSB0"), SerialEndpoint("/dev/ttyUSB0", silence_ns=50_000_000)
    silence_ns = 7 * 11 * 10**9 // (2 * 19200)
    assert bus_of(quiet).read_ns(COILS, 1) - bus_of(plain).read_ns(COILS, 1) == 50_000_000 - silence_ns


@pytest.mark.parametrize("bus", [ETHERNET, ethernet(Framing.ASCII), bus_of(SerialEndpoint("/dev/ttyUSB0"))])
def test_ticks_are_the_same_time(bus):
    """What the planner adds up is what is printed, without rounding."""
    for quantity in (1, 60, 125):
        ticks = bus.request_ticks + 2 * quantity * bus.byte_ticks
        assert ticks // bus.bits_per_s == bus.read_ns(HOLDING, quantity)
