"""Another master on a serial line is told to everybody: log, page, metrics."""

from __future__ import annotations

import asyncio
import logging

from peers.fault_cases import Bench, Pulse, load
from peers.faults import FaultProxy
from peers.foreign import serving

from edge.clock import SystemClock
from edge.hub import Hub
from edge.logs import _KEY
from edge.machines.values import ProcessValues
from edge.metrics import Metrics
from edge.plan import AgentSettings, ModbusDevice, Name, Site, SitePlan
from edge.poll.factory import make_sources
from edge.view import Viewer
from edge.web.document import encode_snapshot
from protocols.modbus.plan import plan_requests
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
                async with asyncio.timeout(10):
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
