"""One suite against servers nobody here wrote: every table, several units, limits, refusals, identification."""

import asyncio

import pytest
from peers.foreign import ADDRESSES, KINDS, UNITS, payload, serving

from protocols.modbus.client import ModbusClient
from protocols.modbus.errors import ModbusExceptionReply
from protocols.modbus.plan import Request
from protocols.modbus.tags import Table, TcpEndpoint


@pytest.fixture(scope="module", params=KINDS)
def foreign(request, tmp_path_factory):
    """(kind, port) of a running server."""
    with serving(request.param, tmp_path_factory.mktemp("foreign")) as port:
        yield request.param, port


@pytest.fixture
async def client(foreign):
    """Connected to the foreign server. Four requests in flight, but one with pymodbus: of those that reach it together
    it keeps the last only and never answers the others.
    """
    depth = 1 if foreign[0] == "pymodbus" else 4
    client = ModbusClient(TcpEndpoint("127.0.0.1", foreign[1], depth=depth, deadline_ns=2 * 10**9))
    await client.connect()
    yield client
    client.close()


def ask(table, address, quantity, unit=1):
    return Request(table, unit, address, quantity, 10**9, 0, 1)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("table", Table)
async def test_every_table_of_every_unit(client, table, unit):
    """One value, some, and as many as one request may ask for: what the server holds, to the bit."""
    longest = ADDRESSES if table.is_bits else 125
    for address, quantity in ((0, 1), (3, 10), (ADDRESSES - 1, 1), (0, longest), (ADDRESSES - 17, 17)):
        assert await client.read(ask(table, address, quantity, unit)) == payload(table, address, quantity, unit)


@pytest.mark.parametrize("table", Table)
async def test_beyond_the_end_is_refused(client, table):
    """Exception 2, for a block of which only the last place is missing, too; the connection stays."""
    end = ADDRESSES + 8 if table.is_bits else ADDRESSES  # pymodbus keeps bits in words of 16
    for address, quantity in ((end, 1), (end - 1, 2), (end - 10, 11), (60_000, 5)):
        with pytest.raises(ModbusExceptionReply) as raised:
            await client.read(ask(table, address, quantity))
        assert raised.value.code == 2
    assert await client.read(ask(table, 0, 8)) == payload(table, 0, 8)


async def test_several_in_flight(client):
    """Forty questions to three units at once: each gets its own answer, whatever the order they come in."""
    asked = [ask(table, 3 * i, 5, UNITS[i % 3]) for i in range(10) for table in Table]
    answers = await asyncio.gather(*(client.read(one) for one in asked))
    assert answers == [payload(one.table, one.address, one.quantity, one.unit) for one in asked]
    assert client.dropped_frames == 0


async def test_identification(client, foreign):
    """43/14: who the server says it is; libmodbus does not tell, and says so."""
    if foreign[0] == "libmodbus":
        with pytest.raises(ModbusExceptionReply) as raised:
            await client.identify(1)
        assert raised.value.code == 1
    else:
        identity = await client.identify(1)
        assert (identity.vendor, identity.product) == ("Seamline tests", foreign[0])
    assert await client.read(ask(Table.COILS, 0, 3)) == payload(Table.COILS, 0, 3)


async def test_a_unit_that_is_not_there(client, foreign):
    """A gateway says so (exception 11), pymodbus fails at it (4), and a PLC without units answers for any."""
    if foreign[0] == "libmodbus":
        assert await client.read(ask(Table.HOLDING_REGISTERS, 5, 2, unit=9)) == payload(Table.HOLDING_REGISTERS, 5, 2)
        return
    with pytest.raises(ModbusExceptionReply) as raised:
        await client.read(ask(Table.HOLDING_REGISTERS, 5, 2, unit=9))
    assert raised.value.code == {"modbus-serial": 11, "pymodbus": 4}[foreign[0]]
