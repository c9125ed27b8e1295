"""Promises: what an OPC UA server remembers of a time in which nobody heard it is counted once, in its time, and
marked: in the machine's ledger, in the store's rows with their next revision, in process values, in the gap ledger.
The server is real, keeps history and counts on while the agent, whole but for its process, does not hear it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from agent.rig import points_of
from asyncua import ua
from fixtures.ports import free_port
from peers.asyncua_server import Plant, plant
from peers.opcua_restarts import restart

from edge.clock import SystemClock
from edge.config import compile_site
from edge.kpi.row import Row
from edge.outbox.reader import Reader
from edge.runtime import Runtime
from ext.buckets import Bucket
from protocols.opcua.client import OpcuaClient
from protocols.opcua.history import History

pytestmark = pytest.mark.asyncio(loop_scope="module")
S = 1_000_000_000
UINT32, BOOLEAN, DOUBLE = ua.VariantType.UInt32, ua.VariantType.Boolean, ua.VariantType.Double

SITE = """
site: {{id: s, enterprise: e, province: p, city: c, timezone: UTC}}
agent:
  page: {{port: 0}}
  store: {{path: {store}, commit_s: 0.1}}
  live_s: 0.5
devices:
  - id: press
    template: generic-opcua
    url: '{url}'
    security: {{policy: "None"}}
    publishing_s: 0.1
    sampling_s: 0.05
machines:
  - id: m1
    template: generic
    device: press
    base: M1
    hold_s: 0.5
    ideal_cycle_s: 0.02
    tags:
      run: {{node: '{ns}.run'}}
      fault: null
      total: {{node: '{ns}.total'}}
      temp: {{node: '{ns}.temp', type: f64, unit: °C, process: {{deadband: 0.1}}, label: {{zh: 温度, en: temperature}}}}
"""


class Lapse(SystemClock):
    """The clocks of this machine, both of which can be set ahead: as if much had happened in between."""

    ahead_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.ahead_ns

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + self.ahead_ns


@dataclass
class Line:
    """A server with its three variables, and the store of whoever reads it."""

    server: Plant
    store: Path
    total: Any
    temp: Any
    clock: Lapse
    may_read: asyncio.Event
    made: int = 100

    def runtime(self) -> Runtime:
        ns = f"ns={self.server.ns};s=M1"
        text = SITE.format(store=self.store, url=self.server.url, ns=ns)
        plan = compile_site(text, self.store.with_name("site.yaml"), {})
        (device,) = plan.devices
        patient = replace(device, endpoint=replace(device.endpoint, watchdog_ns=300 * S))  # type: ignore[call-arg]
        return Runtime(replace(plan, devices=(patient,)), self.clock, self.clock.now_ns())

    async def make(self, pieces: int) -> None:
        """Each with its own reading, a twentieth of a second apart; a degree warmer each time."""
        for _ in range(pieces):
            self.made += 1
            await self.total.write_value(self.made, UINT32)
            await self.temp.write_value(20.0 + self.made, DOUBLE)
            await asyncio.sleep(0.05)

    def stored(self, measurement: str) -> list[dict[str, Any]]:
        return [point for point in points_of(self.store) if point["measurement"] == measurement]

    def rows(self) -> list[Row]:
        with Reader(self.store) as reader:
            return list(reader.ledger_rows("m1", "1m", 0, 1 << 62))

    @property
    def counted(self) -> int:
        """Pieces of the shift, as last shown."""
        shown = self.stored("live")
        return int(shown[-1].get("shift_tc", 0)) if shown else -1

    def offs_filled(self) -> int:
        """Times in which the agent was off, and of which the gap ledger says that a history told them."""
        offs = {point["time"]: point for point in self.stored("gap") if point["scope"] == "agent"}
        return sum("filled=press" in point["detail"] for point in offs.values())

    def downs(self) -> int:
        return sum(not point["up"] for point in self.stored("device") if "up" in point)


async def until(holds: Callable[[], bool]) -> None:
    """As soon as the store says so."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - a file has no events
            await asyncio.sleep(0.1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Plant]:
    with pytest.MonkeyPatch.context() as patch:
        async with plant(patch, free_port()) as made:
            yield made


@pytest_asyncio.fixture(loop_scope="module")
async def line(server: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """Readings are in time for half a second; the poller asks for history only while `may_read` is set."""
    monkeypatch.setattr("edge.machines.watermark.WATERMARK_MIN_NS", S // 2)
    monkeypatch.setattr("edge.poll.backoff.FIRST_PAUSE_S", 0.05)
    await server.cleared()
    total = await server.add("M1.total", 100, UINT32)
    temp = await server.add("M1.temp", 20.0, DOUBLE)
    run = await server.add("M1.run", True, BOOLEAN)
    for node in (total, temp, run):
        await server.server.iserver.enable_history_data_change(node)
    may_read = asyncio.Event()
    may_read.set()
    history = OpcuaClient.history

    async def when_allowed(client: OpcuaClient) -> History:
        await may_read.wait()
        return await history(client)

    monkeypatch.setattr(OpcuaClient, "history", when_allowed)
    return Line(server, tmp_path / "store.db", total, temp, Lapse(), may_read)


async def test_an_outage_is_filled_and_final_rows_are_written_again(line: Line) -> None:
    """History comes when the minute of the outage is final already: its rows get the next revision, the unobserved time
    goes, no piece is counted twice; process values come with their times and a mark; the gap says by whom it was
    filled."""
    runtime = line.runtime()
    await runtime.start("start")
    try:
        await until(lambda: line.counted == 0)
        await line.make(5)
        await until(lambda: line.counted == 5)
        line.may_read.clear()
        await line.server.server.bserver.stop()
        await until(lambda: line.downs() >= 1)
        lost_ns = line.clock.now_ns()
        await line.make(30)
        back_ns = line.clock.now_ns()
        await restart(line.server)
        await until(lambda: line.counted == 35)
        line.clock.ahead_ns += 61 * S  # the minute passes
        await line.make(20)
        await until(lambda: any(row.final and row.key.start_ns <= lost_ns for row in line.rows()))
        before = {row.key.start_ns: row for row in line.rows() if row.final}
        assert sum(row.sums.recovered for row in before.values()) >= 30, "counted across a time nobody observed"
        line.may_read.set()
        await until(lambda: any(point["cause"] == "history" for point in line.stored("revision")))
    finally:
        line.may_read.set()
        await runtime.stop("stop")
    after = {row.key.start_ns: row for row in line.rows()}
    revised = [start_ns for start_ns, row in before.items() if after[start_ns].revision == row.revision + 1]
    assert revised
    assert sum(row.sums.tc for row in after.values()) == line.made - 100, "each piece once"
    gained = [before[at].sums.stop_ns[Bucket.UNKNOWN] - after[at].sums.stop_ns[Bucket.UNKNOWN] for at in revised]
    assert sum(gained) > S // 2, "what was unobserved is known now"
    assert sum(after[at].sums.recovered for at in revised) < sum(before[at].sums.recovered for at in revised)
    told = [point for point in line.stored("tag") if point["name"] == "temp" and point.get("history")]
    assert {point["value"] for point in told} >= {20.0 + made for made in range(107, 134)}
    assert all(lost_ns - 2 * S < point["time"] < back_ns + 2 * S for point in told)
    assert [point["time"] for point in told] == sorted(point["time"] for point in told)
    (gap,) = {point["time"]: point for point in line.stored("gap") if point["object"] == "press"}.values()
    assert gap["detail"].endswith(" filled=press"), "by whom it was filled"
    assert gap["duration_ns"] > 0, "nobody heard it all the same"


async def test_the_time_the_gateway_was_off_is_filled(line: Line) -> None:
    """Stopped, the server counts on, started again: what was made meanwhile is counted in its time and nothing of it is
    a recovered lump; once only, also when it is started a third time."""
    first = line.runtime()
    await first.start("start")
    await until(lambda: line.counted == 0)
    await line.make(5)
    await until(lambda: line.counted == 5)
    await first.stop("stop")
    off_ns = line.clock.now_ns()
    await line.make(40)
    on_ns = line.clock.now_ns()
    second = line.runtime()
    await second.start("start")
    await line.make(20)
    await until(lambda: line.counted == line.made - 100 and line.offs_filled() == 1)
    await second.stop("stop")
    third = line.runtime()
    await third.start("start")
    await line.make(3)
    await until(lambda: line.counted == line.made - 100)
    await third.stop("stop")
    sums = [row.sums for row in line.rows()]
    assert sum(one.tc for one in sums) == line.made - 100
    assert sum(one.recovered for one in sums) < 40, "made while nobody listened, and counted in their time"
    told = [point for point in line.stored("tag") if point["name"] == "temp" and point.get("history")]
    inside = {point["value"] for point in told if off_ns <= point["time"] <= on_ns}
    assert len(inside) >= 35
    assert {gap["cause"] for gap in line.stored("gap") if gap["scope"] == "agent"} == {"agent-stopped"}
