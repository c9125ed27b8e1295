"""Another master on a serial line is told to everybody: log, page, metrics."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from peers.fault_cases import Bench, Pulse, load
from peers.faults import FaultProxy
from peers.foreign import serving
from peers.serial_line import SerialLine

from edge.clock import SystemClock
from edge.hub import Hub
from edge.logs import _KEY
from edge.machines.values import ProcessValues
from edge.metrics import Metrics
from edge.plan import AgentSettings, ModbusDevice, Name, Site, SitePlan
from edge.poll import link as link_module
from edge.poll.factory import make_sources
from edge.view import Viewer
from edge.web.document import encode_snapshot
from protocols.modbus.plan import plan_requests
from protocols.modbus.rtu import crc16
from protocols.modbus.tags import DataType, Limits, ModbusTag, Parity, SerialEndpoint, Table
from protocols.reading import TagImage


async def test_seen_in_log_page_and_metrics(tmp_path, caplog, monkeypatch) -> None:
    """The request of a stranger is a warning in the log that says what to do, the detail of the device on the page, and
    a count in the metrics.
    """
    monkeypatch.setenv("SEAMLINE_LANG", "en")
    case = load("another-master")
    with serving("libmodbus", tmp_path) as port:
        bench = Bench(case, port, 0, Pulse())
        async with FaultProxy(port, case.faults, serial=True) as proxy:
            bench.proxy = proxy
            planned = plan_requests(bench.tags, bench._limits, unit=1)
            endpoint = bench._endpoint()
            device = ModbusDevice(0, "line", "test", endpoint, bench._limits, planned.tags, planned.requests)
            image, clock = TagImage(len(planned.tags)), SystemClock()
            hub = Hub([device], [], ProcessValues([], [image]), clock)
            sources = make_sources([device], [image], hub, clock)
            agent = AgentSettings("", 1 << 30, 0, 10**9, 10**9, "127.0.0.1", 0, "text", "en")
            plan = SitePlan("", "v", Site("s", "e", "p", "c", "UTC", Name("s", "s")), (), (device,), (), (), agent)
            viewer = Viewer(plan, [], hub, sources, [], clock, 0)
            caplog.set_level(logging.INFO)
            task = asyncio.ensure_future(sources.connections[0].run())
            try:
                async with asyncio.timeout(60):
                    while hub.states[0].reason != "foreign-master" and not task.done():  # noqa: ASYNC110 - no event
                        await asyncio.sleep(0.02)
            finally:
                if task.done():
                    task.result()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            view = viewer.snapshot()
    told = [record for record in caplog.records if getattr(record, _KEY, {}).get("reason") == "foreign-master"]
    assert [record.levelno for record in told] == [logging.WARNING]
    assert "another master" in view.devices[0].detail
    assert "another master" in str(encode_snapshot(view), "utf-8")
    metrics = Metrics(viewer.snapshot, clock).render().decode()
    (line,) = [
        one for one in metrics.splitlines() if "connection_frames_total{" in one and 'kind="foreign_requests"' in one
    ]
    assert float(line.split()[-1]) >= 1


def _framed(data: bytes) -> bytes:
    return data + crc16(data)


async def test_comes_and_goes(line, monkeypatch) -> None:
    """A laptop at the cabinet asks another unit for a while, is gone, and comes again: told when it comes, told when it
    has not been heard for long enough, told again; no reading is lost to any of it.
    """
    monkeypatch.setattr(link_module, "FOREIGN_GONE_NS", 200_000_000)
    ours, theirs = _framed(b"\1\3\2\0\7"), _framed(b"\5\3\0\0\0\1") + _framed(b"\5\3\2\0\1")
    tag = ModbusTag("w0", Table.HOLDING_REGISTERS, 0, DataType.U16, interval_ns=40_000_000)
    limits = Limits(pause_ns=0, requests_per_s=1000.0)
    async with SerialLine() as wire:
        wire.answer = lambda _: ours
        one = line(0, [tag], limits=limits)
        endpoint = SerialEndpoint(wire.client, 115_200, Parity.NONE, deadline_ns=1_000_000_000)
        device = replace(one.device, endpoint=endpoint)
        (connection,) = make_sources([device], [one.image], one.heard, SystemClock()).connections
        task = asyncio.create_task(connection.run())
        try:
            for _ in range(2):
                told = len(one.heard.facts)
                wire.answer = lambda _: theirs + ours
                await one.heard.until(lambda n=told: one.heard.changes()[n:][-1:] == [(True, "foreign-master")])
                wire.answer = lambda _: ours
                await one.heard.until(lambda: one.heard.changes()[-1] == (True, "foreign-master-gone"))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        wire.pull_out()
    spell = [(True, "foreign-master"), (True, "foreign-master-gone")]
    assert one.heard.changes() == [(True, "connected"), *spell, *spell]
    stats = connection.link.units[0].stats
    assert (stats.timeouts, stats.exceptions, one.image.i64[0]) == (0, 0, 7)
