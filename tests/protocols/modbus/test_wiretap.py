"""The tap of the whole run hears what is written, and cries where it is not a read."""

import pytest
from fixtures.wiretap import TAP, Tap
from peers.foreign import serving
from peers.wire import NotARequestError, crc, requests

from protocols.modbus.ascii import AsciiFramer
from protocols.modbus.client import ModbusClient
from protocols.modbus.framing import WireCounters
from protocols.modbus.mbap import MbapFramer
from protocols.modbus.pdu import identify, read
from protocols.modbus.plan import Request
from protocols.modbus.rtu import RtuFramer
from protocols.modbus.tags import Table, TcpEndpoint


@pytest.mark.parametrize("framer", [MbapFramer, RtuFramer, AsciiFramer])
@pytest.mark.parametrize("query", [read(Table.COILS, 7, 9), read(Table.HOLDING_REGISTERS, 0, 2), identify(1)])
def test_reads_are_understood_in_every_framing(framer, query):
    """Its own parser finds the unit and the PDU, in front of another request too. `01 03 00 00 00 02 c4 0b` is a read
    on a line, though the header of a Modbus TCP frame would fit.
    """
    frame = framer(WireCounters()).wrap(5, 1, query)
    heard = requests(frame + frame)
    assert [(asked.unit, asked.pdu, asked.permitted) for asked in heard] == [(1, query.pdu, True)] * 2


@pytest.mark.parametrize(
    "frame",
    [
        bytes.fromhex("0001 0000 0006 01 06 0001 0003"),  # write single register (specification §6.6)
        bytes.fromhex("0001 0000 0006 01 05 00ac ff00"),  # write single coil (§6.5)
        bytes.fromhex("0001 0000 0008 01 2b 0d 00 0000 00"),  # CANopen general reference (§6.20)
        bytes.fromhex("0001 0000 0007 01 03 0000 0001 00"),  # a read, and a byte more
        b"\x01\x06\x00\x01\x00\x03" + crc(b"\x01\x06\x00\x01\x00\x03"),
        b":010600010003F5\r\n",
        b"hello",
        bytes.fromhex("0001 0000 0006 01 03 0000 0001 00"),  # a byte behind a request
    ],
)
def test_what_is_no_read_is_kept(frame):
    """Writes in every framing, other encapsulated services, and bytes that are no request."""
    tap = Tap()
    tap.hear(frame)
    assert tap.forbidden == [frame.hex(" ")]


def test_crc_of_the_specification():
    """Appendix B, and a frame that is everywhere: 01 03 00 00 00 01 has CRC 84 0A."""
    assert crc(bytes.fromhex("01 03 00 00 00 01")) == bytes.fromhex("84 0a")
    with pytest.raises(NotARequestError):
        requests(bytes.fromhex("01 03 00 00 00 01 84 0b"))


async def test_the_tap_is_on_the_line(tmp_path):
    """What a client asks is heard by the tap of this run."""
    with serving("libmodbus", tmp_path) as port:
        client = ModbusClient(TcpEndpoint("127.0.0.1", port))
        await client.connect()
        before = TAP.functions[2], TAP.written_bytes
        await client.read(Request(Table.DISCRETE_INPUTS, 1, 0, 5, 10**9, 0, 1))
        assert (TAP.functions[2], TAP.written_bytes) == (before[0] + 1, before[1] + 12)
        client.close()
