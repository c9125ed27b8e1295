"""Several units on one connection: who waits for whom, what a dead one costs, what is remembered."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from peers.modbus import HEADER, ScriptedPlc

from edge.clock import SystemClock
from edge.plan import ModbusDevice
from edge.poll import block as block_module
from edge.poll.factory import make_sources
from edge.poll.learned import Notebook
from protocols.modbus.plan import plan_requests
from protocols.modbus.tags import Limits, TcpEndpoint
from protocols.reading import Quality, TagImage

MS = 1_000_000


class Gateway(ScriptedPlc):
    """A server with several units; those in `dead` never answer, and all wait for one another as on a line."""

    def __init__(self) -> None:
        super().__init__()
        self.dead: set[int] = set()
        self.asked_units: list[tuple[float, int]] = []

    async def _answer(self, frame):
        unit = HEADER.unpack(frame[:7])[3]
        self.asked_units.append((time.monotonic(), unit))
        honest = await super()._answer(frame)
        return None if unit in self.dead else honest


class Site:
    """Devices on one connection with the recorder of the tests."""

    def __init__(self, port, heard, tags, units, deadline_ms=100, depth=1) -> None:
        limits = Limits(pause_ns=0, requests_per_s=1000.0)
        endpoint = TcpEndpoint("127.0.0.1", port, deadline_ns=deadline_ms * MS)
        self.heard = heard
        self.devices = []
        for index, unit in enumerate(units):
            planned = plan_requests(tags, limits, unit)
            device = ModbusDevice(index, f"u{unit}", "test", endpoint, limits, planned.tags, planned.requests)
            self.devices.append(device.__class__(**{**_fields(device), "unit": unit, "depth": depth}))
        self.images = [TagImage(len(tags)) for _ in units]
        self.sources = make_sources(self.devices, self.images, heard, SystemClock())

    @asynccontextmanager
    async def running(self):
        """All connections while the test looks on."""
        tasks = [asyncio.create_task(one.run()) for one in self.sources.connections]
        try:
            yield self
        finally:
            for task in tasks:
                if task.done():
                    task.result()
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _fields(device):
    return {name: getattr(device, name) for name in device.__slots__}


@pytest.fixture
async def gateway():
    """Several units behind one address."""
    async with Gateway() as server:
        yield server


@pytest.fixture
def site(line, words):
    """Maker of sites on one port."""
    recorder = line(1, words(1)).heard
    return lambda port, units, **more: Site(port, recorder, words(3), units, **more)


async def test_equal_endpoints_share_one_connection(gateway, site):
    """Three units, one connection, all read; each has its own state and counters."""
    made = site(gateway.port, [1, 2, 3])
    assert len(made.sources.connections) == 1
    async with made.running():
        await made.heard.until(lambda: {frame.device for frame in made.heard.frames} == {0, 1, 2})
        await asyncio.sleep(0.2)
    assert gateway.connections == 1
    assert {unit for _, unit in gateway.asked_units} == {1, 2, 3}
    assert sorted((fact.device, fact.up) for fact in made.heard.facts) == [(0, True), (1, True), (2, True)]
    assert all(poller.stats.requests >= 3 for poller in made.sources.pollers)


async def test_a_dead_unit_costs_the_others_little(gateway, site):
    """Two of four units are dead: they are said to be down, probed rarely, and the others keep their pace."""
    gateway.dead = {2, 3}
    made = site(gateway.port, [1, 2, 3, 4])
    async with made.running():
        await made.heard.until(lambda: {f.device for f in made.heard.facts if not f.up} == {1, 2})
        began, before = time.monotonic(), [poller.stats.requests for poller in made.sources.pollers]
        await asyncio.sleep(2.0)
        seconds = time.monotonic() - began
        asked = [p.stats.requests - b for p, b in zip(made.sources.pollers, before, strict=True)]
        assert gateway.connections == 1
        assert asked[1] + asked[2] <= 1 + seconds * 0.1 / 0.1, "probes take a tenth of the time at most"
        assert min(asked[0], asked[3]) >= 0.6 * seconds / 0.05
        assert set(made.images[1].quality) == {Quality.COMM_LOST}
        assert set(made.images[0].quality) == {Quality.GOOD}


async def test_a_unit_that_returns_is_found_again(gateway, site):
    """Back behind the gateway: found by a probe, told, and read as before; nobody reconnected."""
    made = site(gateway.port, [1, 2], deadline_ms=50)
    async with made.running():
        await made.heard.until(lambda: {frame.device for frame in made.heard.frames} == {0, 1})
        gateway.dead = {2}
        await made.heard.until(lambda: any(not fact.up for fact in made.heard.facts))
        gateway.dead = set()
        made.heard.frames.clear()
        await made.heard.until(lambda: sum(frame.device == 1 for frame in made.heard.frames) >= 3)
    assert [(f.device, f.up) for f in made.heard.facts][2:] == [(1, False), (1, True)]
    assert gateway.connections == 1


async def test_a_silent_gateway_is_called_again(gateway, site):
    """Nobody answers any more: the connection is made anew, and all units are down."""
    made = site(gateway.port, [1, 2], deadline_ms=50)
    async with made.running():
        await made.heard.until(lambda: {frame.device for frame in made.heard.frames} == {0, 1})
        gateway.mute = True
        await made.heard.until(lambda: {f.device for f in made.heard.facts if not f.up} == {0, 1})
        gateway.mute = False
        await made.heard.until(lambda: sum(fact.up for fact in made.heard.facts) == 4)
    assert gateway.connections >= 2


class PipelinedPlc(ScriptedPlc):
    """Answers each request 20 ms after it came, several at a time."""

    async def _serve(self, reader, writer) -> None:
        self.connections += 1
        loop, waiting = asyncio.get_running_loop(), set()
        try:
            while True:
                head = await reader.readexactly(HEADER.size)
                frame = head + await reader.readexactly(HEADER.unpack(head)[2] - 1)
                reply = await self._answer(frame)
                waiting.add(loop.call_later(0.02, writer.write, reply))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for handle in waiting:
                handle.cancel()
            writer.close()


async def test_depth_polls_faster(line, words):
    """A PLC that takes 20 ms and four requests at a time is polled faster than one at a time: four times on a quiet
    machine, and on a busy one still faster than any order of single requests could.
    """
    rates = []
    for depth in (1, 4):
        async with PipelinedPlc() as plc:
            limits = Limits(max_gap=0, pause_ns=0, requests_per_s=1000.0)
            one = line(plc.port, words(8, step=20, interval_ms=1), limits=limits, depth=depth)
            async with one.running():
                await one.heard.until(lambda one=one: len(one.heard.frames) >= 4)
                before = len(one.heard.frames)
                await asyncio.sleep(0.6)
                rates.append(len(one.heard.frames) - before)
    assert 1.5 <= rates[1] / rates[0] <= 5


async def test_one_bad_register_among_500(plc, line, words):
    """499 good values in the first cycle, the bad one known by name, and no request for it afterwards."""
    plc.illegal = {250}
    one = line(plc.port, words(500, interval_ms=500))
    planned = len(one.device.requests)
    async with one.running():
        await one.heard.until(lambda: (True, "exception-2") in one.heard.changes())
        await one.heard.until(lambda: list(one.image.quality).count(Quality.GOOD) == 499)
        assert "w250" in one.heard.facts[-1].detail
        begun = sum(1 for r in plc.requests if r[1] == 0)
        assert begun <= 2, "all in the first cycle; the next may have begun meanwhile"
        plc.requests.clear()
        await asyncio.sleep(1.6)
    bad = [r for r in plc.requests if r[1] <= 250 < r[1] + r[2]]
    assert bad == []
    cycles = sum(1 for r in plc.requests if r[1] == 0)
    assert cycles >= 2
    assert len(plc.requests) <= (planned + 1) * (cycles + 1)
    assert one.image.quality[250] == Quality.BAD


async def test_what_was_learned_is_remembered(plc, line, words):
    """A restart asks for nothing that was refused; an edited map begins anew; names are kept."""
    plc.illegal, plc.max_quantity = {33}, 50
    first = Notebook()
    one = line(plc.port, words(90), notebook=first)
    for _ in range(3):
        await one.poller.read_once()
    stored = first.take()
    assert len(stored) == 1
    assert "w33" in stored[0][1]
    again = Notebook()
    again.fill(dict(stored))
    plc.requests.clear()
    two = line(plc.port, words(90), notebook=again)
    await two.poller.read_once()
    assert all(not a <= 33 < a + q and q <= 50 for _, a, q in plc.requests)
    assert list(two.image.quality).count(Quality.GOOD) == 89
    assert two.image.quality[33] == Quality.BAD
    assert again.take() == []
    edited = line(plc.port, words(91), notebook=again)
    plc.requests.clear()
    await edited.poller.read_once()
    assert any(a <= 33 < a + q for _, a, q in plc.requests)


async def test_a_cap_is_learned_and_planned_with(plc, line, words):
    """Exception 3 to long reads: after the first round no request is refused, and the figure is there to be seen."""
    plc.max_quantity = 30
    one = line(plc.port, words(100))
    await one.poller.read_once()
    assert set(one.image.quality) == {Quality.GOOD}
    await one.poller.read_once()
    plc.requests.clear()
    await one.poller.read_once()
    assert all(quantity <= 30 for _, _, quantity in plc.requests)
    assert len(plc.requests) <= 4
    assert one.poller.stats.max_registers == 25


async def test_notes_of_another_hand_are_no_notes(plc, line, words):
    """A text somebody edited is forgotten, not believed and no error."""
    for text in ("{", "[]", '{"version": 1}', '{"version": 9}', "null"):
        notebook = Notebook()
        notebook.fill({"learned:plc0": text})
        one = line(plc.port, words(2), notebook=notebook)
        await one.poller.read_once()
        assert set(one.image.quality) == {Quality.GOOD}


async def test_a_unit_that_refused_everything_is_still_found_again(gateway, site, monkeypatch):
    """Its program was gone, then the unit itself: when both are back it is read again."""
    monkeypatch.setattr(block_module, "PROBE_BLOCK_NS", 500 * MS)
    made = site(gateway.port, [1, 2], deadline_ms=50)
    gateway.illegal = {0, 1, 2}
    async with made.running():
        await made.heard.until(lambda: sum(f.reason == "exception-2" for f in made.heard.facts) == 2)
        gateway.mute = True
        for unit in made.sources.connections[0].link.units:
            for block in unit.blocks:
                block._probe_all_ns = 0
        await made.heard.until(lambda: {f.device for f in made.heard.facts if not f.up} == {0, 1})
        gateway.mute, gateway.illegal = False, set()
        await made.heard.until(lambda: {frame.device for frame in made.heard.frames} == {0, 1})
