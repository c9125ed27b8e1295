"""50 PLCs read every second, 5 of them dead, 5 answering after 80 % of the deadline: how late the other 40 are asked.

Three of the dead take connections and never answer, two are hosts without power. All have 100 tags and a machine with
its ledger; the store is on disk. Lateness is seen by the PLCs, from when a request was due to its arrival: 99th
percentile (ms, no suffix), `_p50`, `_max`. `_connections` are the connections a minute that the PLCs took (those to
hosts without power cannot be seen there). The reference is the same site with all 50 well.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.result import Result, summarise
from benchmarks.rig.big_agent import read_once
from benchmarks.rig.big_site import Plant, write_site
from benchmarks.rig.lines import agent_with
from benchmarks.rig.modbus_devices import GONE, MUTE, ModbusDevices, Seen
from edge.simulate.site import free_ports

CASES: tuple[str, ...] = ()
RUNS = 3
PLANT = Plant(devices=50, tags=100, interval_s=1.0)
SLOW_MS = 800  # of a deadline of a second
BAD = {3: MUTE, 13: GONE, 23: MUTE, 33: GONE, 43: MUTE} | dict.fromkeys((7, 17, 27, 37, 47), SLOW_MS)  # by number
SETTLE_S = 10.0
WINDOW_S = 40.0


def run(case: str | None) -> Iterable[Result]:
    """Four lines."""
    bad, well = [], []
    for _ in range(RUNS):
        bad.append(_seen(BAD))
        well.append(_seen({}))
    for suffix, field in (("", "late_p99_ms"), ("_p50", "late_p50_ms"), ("_max", "late_max_ms")):
        values, references = ([getattr(seen, field) for seen in runs] for runs in (bad, well))
        yield summarise(f"modbus_lateness{suffix}", "ms", values, references)
    connections, references = ([seen.connections * 60 / WINDOW_S for seen in runs] for runs in (bad, well))
    yield summarise("modbus_lateness_connections", "1/min", connections, references)


def _seen(bad: dict[int, int | str]) -> Seen:
    """What the PLCs saw in the window; `bad`: kinds of those that are not well."""
    kinds = [bad.get(number, 0) for number in range(PLANT.devices)]
    with tempfile.TemporaryDirectory(prefix="seamline-bench-") as name:
        folder = Path(name)
        with ModbusDevices(folder, kinds, PLANT.registers, round(PLANT.interval_s * 1000)) as devices:
            site_file = write_site(folder, PLANT, devices.ports, next(free_ports()))
            with agent_with(site_file) as agent:
                read_once(agent, devices, PLANT.requests * sum(kind == 0 for kind in kinds))
                time.sleep(SETTLE_S)
                devices.seen()
                time.sleep(WINDOW_S)
                agent.alive()
                return devices.seen()
