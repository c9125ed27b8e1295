"""Faults one by one at the client: what a read ends in, which counter tells it, and that the next read is right.

The proxy is tested here, too: its rules are pure, and without a fault it changes nothing.
"""

import asyncio

import pytest
from peers.fault_cases import load, names
from peers.faults import ANSWERS, KINDS, Fault, FaultProxy, Heard, refusal, swapped, translated
from peers.foreign import payload, serving
from peers.wire import Asked, crc

from protocols.modbus.client import ModbusClient
from protocols.modbus.errors import ModbusError
from protocols.modbus.plan import Request
from protocols.modbus.tags import Framing, Table, TcpEndpoint

HOLDING = Table.HOLDING_REGISTERS
DEADLINE_NS = 150_000_000
PDU = bytes.fromhex("03 04 00 01 00 02")
ASKED = Asked(0x1234, 1, bytes.fromhex("03 0000 0002"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving("libmodbus", tmp_path_factory.mktemp("foreign")) as port:
        yield port


async def read(client, address=3, quantity=4):
    return await client.read(Request(HOLDING, 1, address, quantity, 10**9, 0, 1))


FAULTS = (
    *((Fault("exception", code=code), f"exception-{code}", "answered") for code in (1, 2, 3, 4, 5, 6, 8, 10, 11)),
    (Fault("silence"), "timeout", None),
    (Fault("late", for_s=0.2), "timeout", "late"),
    (Fault("unit", by=1), "timeout", "wrong_unit"),
    (Fault("transaction", by=77), "timeout", "strangers"),
    (Fault("held"), "timeout", "late"),
    (Fault("protocol"), "garbage", "noise_bytes"),
    (Fault("garbage"), "garbage", "noise_bytes"),
    (Fault("count", by=2), "garbage", None),
    (Fault("short"), "garbage", None),
    (Fault("function"), "garbage", None),
    (Fault("truncate", size=9), "timeout", None),
    (Fault("checksum"), "damaged", "checksums"),
    (Fault("foreign"), "collision", "foreign_requests"),
    (Fault("reset"), "closed", None),
    (Fault("reset-mid", size=9), "closed", None),
    (Fault("hang-up"), "closed", None),
    (Fault("half-open", connection=1), "timeout", None),
    (Fault("split", size=4, for_s=0.04), "", "answered"),
    (Fault("duplicate"), "", "answered"),
    (Fault("echo"), "", "echoes"),
    (Fault("noise", size=20), "", "noise_bytes"),
)
LINE_ONLY, STREAM_ONLY = ("checksum", "foreign", "echo", "noise"), ("transaction", "protocol", "garbage")
EACH = [(Framing.MBAP, *row) for row in FAULTS if row[0].do not in LINE_ONLY]
EACH += [(Framing.RTU, *row) for row in FAULTS if row[0].do not in STREAM_ONLY]


@pytest.mark.parametrize(
    ("framing", "fault", "reason", "counter"),
    EACH,
    ids=lambda value: value.do + str(value.code or "") if isinstance(value, Fault) else None,
)
async def test_one_fault(server, framing, fault, reason, counter):
    """The read ends as it must, in data or in its reason; then, connected anew where need be, the next is right."""
    if framing is Framing.RTU:  # what does not fit is no answer on a line, where anybody may speak
        other = {"count": "timeout", "short": "timeout", "function": "timeout", "truncate": "damaged"}
        reason = other.get(fault.do, reason)
        counter = "strangers" if fault.do == "held" else counter
    once = Fault(**{name: getattr(fault, name) for name in Fault.__slots__} | {"last": 1})
    async with FaultProxy(server, [once], rtu=framing is Framing.RTU) as proxy:
        client = ModbusClient(TcpEndpoint("127.0.0.1", proxy.port, framing, deadline_ns=DEADLINE_NS))
        await client.connect()
        if reason:
            with pytest.raises(ModbusError) as raised:
                await read(client)
            assert raised.value.reason == reason
        else:
            assert await read(client) == payload(HOLDING, 3, 4)
        if fault.do in ("truncate", "half-open") or not client.connected:
            await client.connect()
        assert await read(client, 50, 9) == payload(HOLDING, 50, 9)
        assert await read(client, 9, 4) == payload(HOLDING, 9, 4)
        if counter:
            async with asyncio.timeout(30):
                while getattr(client.counters, counter) == 0:  # noqa: ASYNC110 - a counter is all there is to look at
                    await asyncio.sleep(0.005)
        client.close()


@pytest.mark.parametrize("rtu", [False, True])
async def test_without_faults_it_is_not_there(server, rtu):
    """What the server says passes unchanged, and every request is kept."""
    async with FaultProxy(server, (), rtu=rtu) as proxy:
        framing = Framing.RTU if rtu else Framing.MBAP
        client = ModbusClient(TcpEndpoint("127.0.0.1", proxy.port, framing))
        await client.connect()
        for table in Table:
            answer = await client.read(Request(table, 2, 11, 30, 10**9, 0, 1))
            assert answer == payload(table, 11, 30, 2)
        assert [asked.function for _, asked in proxy.requests] == [int(table) for table in Table]
        assert all(asked.permitted and asked.unit == 2 for _, asked in proxy.requests)
        client.close()


def test_every_kind_of_fault_has_a_case():
    """Nothing the proxy can do is left out of the suite of the poller."""
    assert {fault.do for name in names() for fault in load(name).faults} == KINDS


@pytest.mark.parametrize("rtu", [False, True])
def test_rules_are_what_they_say(rtu):
    """Frames, by hand."""
    heard = Heard(ASKED, b"asked", PDU, rtu)
    honest = b"\x01" + PDU + crc(b"\x01" + PDU) if rtu else bytes.fromhex("1234 0000 0007 01") + PDU

    def said(**fault):
        return b"".join(step.data for step in ANSWERS[fault["do"]](Fault(**fault), heard))

    assert heard.frame() == honest
    assert said(do="late", for_s=1.0) == said(do="split", size=5, for_s=0.1) == honest
    assert said(do="duplicate") == honest * 2
    assert said(do="echo") == b"asked" + honest
    assert said(do="truncate", size=5) == honest[:5]
    assert said(do="exception", code=6) == heard.frame(b"\x83\x06")
    assert said(do="silence") == b""
    assert crc(said(do="checksum")) != b"\0\0"
    assert said(do="short") == heard.frame(bytes.fromhex("03 02 00 01"))
    assert said(do="count", by=2) == heard.frame(bytes.fromhex("03 06 00 01 00 02"))
    assert said(do="function") == heard.frame(bytes.fromhex("04 04 00 01 00 02"))


def test_devices_that_change():
    """Gaps and limits refuse, a shifted map is asked elsewhere, another word order is another order."""
    gap, limit = Fault("gap", code=2, touching=(2, 5)), Fault("limit", code=3, size=32)
    assert [gap.concerns(1, Asked(0, 1, bytes((3, 0, a, 0, n)))) for a, n in ((0, 2), (0, 3), (5, 1), (6, 9))] == [
        False,
        True,
        True,
        False,
    ]
    assert [refusal([limit], Asked(0, 1, bytes((3, 0, 0, 0, n)))) for n in (32, 33)] == [0, 3]
    assert refusal([gap, limit], ASKED) == 2
    assert translated([Fault("shift", by=10)], ASKED).address == 10
    assert swapped(bytes.fromhex("03 08 0001 0002 0003 0004")) == bytes.fromhex("03 08 0002 0001 0004 0003")
    assert swapped(bytes.fromhex("03 06 0001 0002 0003")) == bytes.fromhex("03 06 0002 0001 0003")


def test_which_requests_are_struck():
    """From the first to the last, each so many-th."""
    assert [n for n in range(1, 12) if Fault("silence", first=3, last=9, every=3).strikes(n)] == [3, 6, 9]
