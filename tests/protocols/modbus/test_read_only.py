"""This client cannot write: whatever is asked, by whatever door, only reads and identification reach a transport."""

import ast
import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.wire import requests

import protocols.modbus
from protocols.modbus.client import ModbusClient
from protocols.modbus.connection import Connection
from protocols.modbus.errors import ModbusError
from protocols.modbus.framing import WireCounters
from protocols.modbus.opening import make_connection
from protocols.modbus.pdu import Query
from protocols.modbus.plan import Request
from protocols.modbus.tags import Framing, SerialEndpoint, TcpEndpoint, UdpEndpoint

DOORS = ("write", "writelines", "sendto", "send", "sendall")
PACKAGE = Path(protocols.modbus.__file__).parent
TABLES = st.integers(1, 4) | st.integers(-1, 256)
UNITS = st.integers(0, 255) | st.integers(-1, 256)
ADDRESSES = st.integers(-1, 0x10001)
QUANTITIES = st.integers(1, 125) | st.integers(-1, 2001)
REQUESTS = st.builds(Request, TABLES, UNITS, ADDRESSES, QUANTITIES, st.just(10**9), st.just(0), st.just(1))
ENDPOINTS = [
    TcpEndpoint("plc", depth=4),
    UdpEndpoint("plc", depth=4),
    TcpEndpoint("gateway", framing=Framing.RTU),
    SerialEndpoint("/dev/line", baud=115_200),
    SerialEndpoint("/dev/line", framing=Framing.ASCII, baud=115_200),
]


class Ear(asyncio.DatagramTransport, asyncio.Transport):
    """A transport that keeps what it is given, write by write."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def write(self, data):
        self.heard.append(bytes(data))

    def sendto(self, data, addr=None):
        self.heard.append(bytes(data))

    def get_write_buffer_size(self):
        return 0

    def close(self):
        pass

    abort = close


def plain(frame, endpoint):
    """Unit and PDU of a frame, cut by hand."""
    if endpoint.framing is Framing.MBAP:
        assert frame[2:4] == b"\0\0"
        assert int.from_bytes(frame[4:6], "big") == len(frame) - 6
        return frame[6:]
    if endpoint.framing is Framing.RTU:
        return frame[:-2]
    assert frame[:1] + frame[-2:] == b":\r\n"
    return bytes.fromhex(frame[1:-2].decode())[:-1]


@settings(max_examples=60)
@given(
    st.sampled_from(ENDPOINTS),
    st.lists(
        st.one_of(
            REQUESTS,
            UNITS,
            st.binary(max_size=9),
        ),
        max_size=5,
    ),
)
def test_whatever_is_asked(endpoint, calls):
    """Reads with any numbers, identification of any unit, queries of any bytes: only permitted requests leave."""

    async def ask():
        client, ear = ModbusClient(endpoint), Ear()
        connection = make_connection(endpoint, WireCounters(), client._where)
        Connection.connection_made(connection, ear)
        client._connection = connection
        tasks = []
        for call in calls:
            if isinstance(call, Request):
                tasks.append(asyncio.ensure_future(client.read(call)))
            elif isinstance(call, int):
                tasks.append(asyncio.ensure_future(client.identify(call)))
            else:
                try:
                    tasks.append(connection.ask(1, Query(call)))
                except ValueError:
                    continue
            await asyncio.sleep(0 if endpoint.framing is Framing.MBAP else 0.002)
        client.close()
        for failure in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(failure, ModbusError | ValueError)
        return ear.heard

    for frame in asyncio.run(ask()):
        unit, pdu = (adu := plain(frame, endpoint))[0], adu[1:]
        assert 0 <= unit <= 255
        assert (len(pdu) == 5 and pdu[0] in (1, 2, 3, 4)) or (len(pdu) == 4 and pdu[:2] == b"\x2b\x0e")
        assert all(request.permitted for request in requests(frame))


def test_one_door():
    """Bytes reach a transport in one place per kind of transport, and what is put there was wrapped from a query."""
    doors = []
    for path in sorted(PACKAGE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr in (
                "write",
                "sendto",
                "writelines",
                "send",
                "sendall",
            ):
                doors.append((path.name, called.attr, ast.unparse(node)))
    assert doors == [
        ("client.py", "send", "self.send(request)"),
        ("connection.py", "write", "transport.write(frame)"),
        ("connection.py", "sendto", "transport.sendto(frame)"),
    ]


def test_pymodbus_is_not_loaded_for_tcp():
    """The path of every Modbus TCP device costs neither its memory nor its code."""
    code = (
        "import sys, protocols.modbus.client, edge.poll.modbus;"
        "print([m for m in ('pymodbus', 'serial', 'asyncua', 'cryptography') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-Ic", code], capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "[]", ran.stderr


@pytest.mark.parametrize("word", ["write", "Write"])
def test_no_word_of_writing(word):
    """No function, class or constant of this package is about writing registers or coils."""
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                assert word not in node.name, f"{path.name}: {node.name}"
