"""The whole agent on a site of many tags, seen from outside: what it costs, and how late it asks.

The real command with its site file, machines with ledgers on every PLC, store on disk, page on; the PLCs are
`modbus_devices.c`. The reference for CPU asks the same requests of the same PLCs at the same interval and throws the
answers away (`bare_poller.py`); for memory it imports what the agent stands on (`bare_imports.py`); for requests it is
the fewest that could be sent. Lateness has no reference: it is seen by the PLCs.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.result import Result, summarise
from benchmarks.rig.big_site import Plant, write_site
from benchmarks.rig.lines import agent_with, requests_of
from benchmarks.rig.modbus_devices import ModbusDevices
from benchmarks.rig.process import Program, cpu_percent
from edge.config.aside import load_aside
from edge.simulate.site import free_ports

START_LIMIT_S = 120.0
_ASK_S = 0.1
_RIG = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Cost:
    """One run."""

    cpu_percent: float
    bare_cpu_percent: float
    rss_mib: float
    bare_rss_mib: float
    start_s: float  # from spawn until every tag was read once
    late_p50_ms: float
    late_p99_ms: float
    requests: float  # a cycle
    fewest_requests: int


def costs_of(plant: Plant, runs: int, settle_s: float, window_s: float) -> list[Cost]:
    """So many runs of `window_s` seconds, each `settle_s` after its start and with an empty store, and half as long for
    the bare poller. The PLCs go on, and the site file, which takes ten seconds to compile, is compiled once for whoever
    asks beside the agent.
    """
    with tempfile.TemporaryDirectory(prefix="seamline-bench-") as name:
        folder = Path(name)
        interval_ms = round(plant.interval_s * 1000)
        with ModbusDevices(folder, [0] * plant.devices, plant.registers, interval_ms) as devices:
            site_file = write_site(folder, plant, devices.ports, next(free_ports()))
            requests = requests_of(load_aside(site_file, os.environ))
            costs = []
            for _ in range(runs):
                devices.seen()
                costs.append(_cost(plant, site_file, requests, devices, settle_s, window_s))
                for file in folder.glob("seamline.db*"):
                    file.unlink()
    return costs


def _cost(
    plant: Plant, site_file: Path, requests: bytes, devices: ModbusDevices, settle_s: float, window_s: float
) -> Cost:
    with agent_with(site_file) as agent:
        start_s = read_once(agent, devices, plant.devices * plant.requests)
        time.sleep(settle_s)
        devices.seen()
        (cpu,) = cpu_percent((agent,), window_s)
        seen, rss_mib = devices.seen(), agent.rss_mib()
    with Program(_python("bare_poller.py"), given=requests) as poller:
        poller.start_s()
        time.sleep(min(settle_s, 2.0))
        (bare_cpu,) = cpu_percent((poller,), window_s / 2)
    with Program(_python("bare_imports.py")) as imports:
        imports.start_s()
        bare_rss_mib = imports.rss_mib()
    return Cost(
        cpu_percent=cpu,
        bare_cpu_percent=bare_cpu,
        rss_mib=rss_mib,
        bare_rss_mib=bare_rss_mib,
        start_s=start_s,
        late_p50_ms=seen.late_p50_ms,
        late_p99_ms=seen.late_p99_ms,
        requests=seen.requests / window_s * plant.interval_s,
        fewest_requests=plant.devices * plant.requests,
    )


def summaries(name: str, runs: Sequence[Cost]) -> Iterator[Result]:
    """One line per figure."""
    yield summarise(f"{name}_cpu", "% of a core", [r.cpu_percent for r in runs], [r.bare_cpu_percent for r in runs])
    yield summarise(name, "MiB", [r.rss_mib for r in runs], [r.bare_rss_mib for r in runs])
    yield summarise(f"{name}_late_p50", "ms", [r.late_p50_ms for r in runs])
    yield summarise(f"{name}_late_p99", "ms", [r.late_p99_ms for r in runs])
    yield summarise(
        f"{name}_requests", "requests/cycle", [r.requests for r in runs], [float(r.fewest_requests) for r in runs]
    )
    yield summarise(f"{name}_start", "s", [r.start_s for r in runs])


def read_once(agent: Program, devices: ModbusDevices, requests: int) -> float:
    """Wait until so many requests were answered; seconds since the spawn."""
    answered, end_s = 0, time.monotonic() + START_LIMIT_S
    while answered < requests:
        agent.alive()
        if time.monotonic() > end_s:
            raise RuntimeError(f"{answered} of {requests} requests in {START_LIMIT_S:.0f} s:\n{agent.last_words()}")
        time.sleep(_ASK_S)
        answered += devices.seen().requests
    return time.monotonic() - agent.spawned_s


def _python(script: str) -> list[str]:
    return [sys.executable, "-I", str(_RIG / script)]
