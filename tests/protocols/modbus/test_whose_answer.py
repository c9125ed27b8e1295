"""No answer ever goes to another question: devices that answer late, twice, never or out of order, in any mixture.

In simulated time, so that every order of events is tried and none depends on the machine.
"""

import asyncio

from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocols.modbus.client import ModbusClient
from protocols.modbus.errors import ModbusConnectionError, ModbusError, ModbusTimeout
from protocols.modbus.framing import WireCounters
from protocols.modbus.opening import explain_end, make_connection
from protocols.modbus.plan import Request
from protocols.modbus.rtu import crc16
from protocols.modbus.tags import Framing, SerialEndpoint, Table, TcpEndpoint, TlsFiles

DEADLINE_S = 1.0


class SimulatedTime(asyncio.SelectorEventLoop):
    """Where nothing is to be done, the next timer is due."""

    now_s = 1000.0

    def time(self):
        return self.now_s

    def _run_once(self):
        if not self._ready and self._scheduled:
            self.now_s = max(self.now_s, self._scheduled[0]._when)
        super()._run_once()


class Device(asyncio.Transport):
    """Answers each request after the delays of the scenario (several: several times); register n holds n."""

    def __init__(self, endpoint, scenario):
        super().__init__()
        self.endpoint, self.delays = endpoint, list(scenario)
        self.asked = []

    def write(self, data):
        loop = asyncio.get_running_loop()
        self.asked.append(loop.time())
        for delay_s in self.delays.pop(0) if self.delays else (0.001,):
            loop.call_later(delay_s, self.reply, data)

    def reply(self, data):
        if self.endpoint.framing is Framing.MBAP:
            answer = data[:4] + b"\0\5" + data[6:8] + b"\2" + data[8:10]
        else:
            answer = data[:2] + b"\2" + data[2:4]
            answer += crc16(answer)
        if self.connection.error is None:
            self.connection.data_received(answer)

    def get_write_buffer_size(self):
        return 0

    def close(self):
        pass


def run(endpoint, scenario, requests):
    """What became of each request, and the device."""

    async def ask():
        client, device = ModbusClient(endpoint), Device(endpoint, scenario)
        client._connection = device.connection = make_connection(endpoint, client.counters, client._where)
        device.connection.connection_made(device)

        async def one(unit, address, at_s):
            await asyncio.sleep(at_s)
            return await client.read(Request(Table.HOLDING_REGISTERS, unit, address, 1, 10**9, 0, 1))

        outcome = await asyncio.gather(*(one(*request) for request in requests), return_exceptions=True)
        await asyncio.sleep(10)
        in_flight = client.in_flight
        client.close()
        return outcome, device, client.counters, in_flight

    with asyncio.Runner(loop_factory=SimulatedTime) as runner:
        return runner.run(ask())


def verify(endpoint, scenario, requests):
    """Each request ends in its own answer or in a missed deadline; everything else is counted."""
    outcome, device, counters, in_flight = run(endpoint, scenario, requests)
    for (_, address, _), ended in zip(requests, outcome, strict=True):
        assert isinstance(ended, ModbusTimeout) or ended == address.to_bytes(2, "big")
    assert in_flight == 0
    assert counters.sent == len(requests) == len(device.asked)
    replies = sum(len(delays) for delays in scenario[: len(requests)]) + max(0, len(requests) - len(scenario))
    assert counters.answered + counters.dropped_frames == replies
    assert counters.answered == sum(not isinstance(ended, ModbusError) for ended in outcome)


def scenarios(longest_s):
    delay = st.sampled_from((0.001, 0.2, 0.7, 0.999, 1.2, longest_s))
    return st.lists(st.lists(delay, max_size=2), max_size=10)


def requests(units):
    at_s = st.sampled_from((0.0, 0.0, 0.1, 0.5, 1.1, 2.5))
    one = st.tuples(st.integers(1, units), st.integers(0, 0xFFFF), at_s)
    return st.lists(one, min_size=1, max_size=10, unique_by=lambda request: request[1])


@settings(max_examples=120)
@given(st.integers(1, 8), scenarios(7.0), requests(3))
@example(2, [[1.2, 0.2], [], [0.001]], [(1, 1, 0.0), (1, 2, 0.0), (1, 3, 1.1)])
def test_with_transaction_ids(depth, scenario, asked):
    """However late."""
    verify(TcpEndpoint("plc", depth=depth, deadline_ns=10**9), scenario, asked)


@settings(max_examples=120)
@given(scenarios(1.9).map(lambda s: [delays[:1] for delays in s]), requests(3))
@example([[1.9]], [(1, 1, 0.0), (1, 2, 0.0)])
def test_without_transaction_ids(scenario, asked):
    """Up to two deadlines late: that is how long a unit is left alone that has missed one."""
    verify(TcpEndpoint("gateway", framing=Framing.RTU, deadline_ns=10**9), scenario, asked)
    verify(SerialEndpoint("/dev/line", baud=115_200, deadline_ns=10**9), scenario, asked)


def test_ends_of_connections():
    """What a connection was lost with, told by what it was."""
    tcp, line, tls = TcpEndpoint("plc"), SerialEndpoint("/dev/line"), TcpEndpoint("plc", tls=TlsFiles())
    gone = TimeoutError(110, "Connection timed out")
    reset = ConnectionResetError(104, "reset")
    assert explain_end(tcp, gone, answered=True).reason == "silent"
    assert explain_end(tcp, reset, answered=True).reason == "closed"
    assert explain_end(tcp, None, answered=False).reason == "closed"
    assert explain_end(line, OSError("unplugged"), answered=True).reason == "port-lost"
    assert explain_end(tls, reset, answered=False).reason == "tls-closed"
    assert explain_end(tls, reset, answered=True).reason == "closed"
    assert isinstance(explain_end(tcp, gone, answered=True), ModbusConnectionError)
    assert WireCounters().by_reason()["late"] == 0
