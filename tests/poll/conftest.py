"""Peers and receivers of the poller tests."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from peers.modbus import ScriptedPlc, build_libmodbus_server

from edge.clock import SystemClock
from edge.plan import ModbusDevice
from edge.poll.modbus import ModbusPoller
from protocols.modbus.plan import plan_requests
from protocols.modbus.tags import DataType, Limits, ModbusTag, Table, TcpEndpoint
from protocols.reading import TagImage

MS = 1_000_000


class Recorder:
    """A receiver that keeps everything and lets tests wait for it."""

    def __init__(self) -> None:
        self.frames, self.facts = [], []
        self._news = asyncio.Event()

    def on_frame(self, frame):
        """Keep."""
        self.frames.append(frame)
        self._news.set()

    def on_fact(self, fact):
        """Keep."""
        self.facts.append(fact)
        self._news.set()

    async def until(self, condition, within_s=60.0):
        """Wait until `condition()` holds; it is looked at after every frame and fact."""
        async with asyncio.timeout(within_s):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def changes(self):
        """(up, reason) of every fact."""
        return [(fact.up, fact.reason) for fact in self.facts]


def words(count, start=0, step=1, interval_ms=50):
    """`count` u16 tags."""
    return [
        ModbusTag(
            f"w{start + step * i}",
            Table.HOLDING_REGISTERS,
            start + step * i,
            DataType.U16,
            interval_ns=interval_ms * MS,
        )
        for i in range(count)
    ]


class Line:
    """One device with its image, receiver and poller."""

    def __init__(self, port, tags, index=0, deadline_ms=3000, limits=None, depth=1, notebook=None) -> None:
        limits = limits or Limits(pause_ns=0, requests_per_s=1000.0)
        planned = plan_requests(tags, limits, unit=1)
        endpoint = TcpEndpoint("127.0.0.1", port, deadline_ns=deadline_ms * MS)
        self.device = ModbusDevice(
            index, f"plc{index}", "test", endpoint, limits, planned.tags, planned.requests, depth=depth
        )
        self.image = TagImage(len(planned.tags))
        self.heard = Recorder()
        self.poller = ModbusPoller(self.device, self.image, self.heard, SystemClock(), notebook=notebook)

    @asynccontextmanager
    async def running(self):
        """The poller's task while the test looks on."""
        task = asyncio.create_task(self.poller.run())
        try:
            yield self
        finally:
            if task.done():
                task.result()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(scope="session")
def libmodbus_server(tmp_path_factory):
    """The C server on libmodbus, built once."""
    return build_libmodbus_server(tmp_path_factory.mktemp("peers"))


@pytest.fixture
async def plc():
    """A server that misbehaves on command."""
    async with ScriptedPlc() as server:
        yield server


@pytest.fixture
def line():
    """Maker of lines: line(port, tags, …)."""
    return Line


@pytest.fixture(name="words")
def make_words():
    """Maker of tags: words(count, start, step, interval_ms)."""
    return words
