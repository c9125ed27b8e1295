"""A simulated site in a process of its own, and the real agent on it."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.rig.process import Program
from edge.plan import ModbusDevice, OpcuaDevice, SitePlan
from edge.simulate.site import demo_site, free_ports, plan_of

_ASK_S = 0.02
_READY_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Lines:
    """Machines that run, and the site file an agent needs to watch them."""

    site_file: Path
    page: str  # the agent's page, once it runs
    plan: SitePlan


@contextmanager
def simulated(machines: int, protocols: Sequence[str], folder: Path) -> Iterator[Lines]:
    """Serve `machines` machines at real speed. The agent's settings are a site's defaults: no sink, nobody watching."""
    ports = free_ports()
    page_port, control_port = next(ports), next(ports)
    text = demo_site(machines, protocols=protocols, store=str(folder / "seamline.db"), page=("127.0.0.1", page_port))
    site = yaml.safe_load(text)
    del site["agent"]["live_s"]  # the demo is livelier than a site
    text = yaml.safe_dump(site, allow_unicode=True, sort_keys=False)
    site_file = folder / "site.yaml"
    site_file.write_text(text, "utf-8")
    control = f"127.0.0.1:{control_port}"
    arguments = ["simulate", "-c", str(site_file), "--http", control, "--quiet", "--handover", "0"]
    with Program([sys.executable, "-Im", "edge.cli", *arguments]) as simulator:
        _until(lambda: _get(f"http://{control}/healthz") is not None, simulator)
        yield Lines(site_file, f"http://127.0.0.1:{page_port}", plan_of(text))


def agent_on(lines: Lines) -> Program:
    """The agent on these machines."""
    return agent_with(lines.site_file)


def agent_with(site_file: Path) -> Program:
    """The installed command in the environment of its systemd unit, to be entered."""
    command = Path(sys.executable).with_name("seamline")
    return Program([str(command), "run", "-c", str(site_file)], env={**os.environ, **_unit_environment()})


def _unit_environment() -> dict[str, str]:
    unit = Path(__file__).parents[2] / "config" / "seamline.service"
    prefix = "Environment="
    settings = [line.removeprefix(prefix) for line in unit.read_text("utf-8").splitlines() if line.startswith(prefix)]
    return dict(setting.split("=", 1) for line in settings for setting in shlex.split(line))


def baseline_s(agent: Program, lines: Lines) -> float:
    """Wait until the log has told of the first sample of every counter: from here on no piece is missed. Nobody looks
    at the page for that: it would bring in what only visitors need.

    Returns seconds since the spawn.
    """
    counters = sum(len(machine.counters) for machine in lines.plan.machines)
    _until(lambda: agent.said(b"correction=baseline") >= counters, agent)
    return time.monotonic() - agent.spawned_s


def requests_of(plan: SitePlan) -> bytes:
    """What a bare poller must ask to cause the same traffic: JSON for `bare_poller.py`."""
    modbus = [
        {"host": d.endpoint.host, "port": d.endpoint.port, "requests": [asdict(r) for r in d.requests]}
        for d in plan.devices
        if isinstance(d, ModbusDevice)
    ]
    opcua = [
        {
            "url": d.endpoint.url,
            "publishing_ms": d.endpoint.publishing_ns / 1e6,
            "nodes": sorted({(tag.node, tag.sampling_ns / 1e6) for tag in d.tags}),
        }
        for d in plan.devices
        if isinstance(d, OpcuaDevice)
    ]
    return json.dumps({"modbus": modbus, "opcua": opcua}).encode()


def _until(done: Callable[[], bool], program: Program) -> None:
    end_s = time.monotonic() + _READY_LIMIT_S
    while not done():
        program.alive()
        if time.monotonic() > end_s:
            raise RuntimeError(f"not ready within {_READY_LIMIT_S:.0f} s:\n{program.last_words()}")
        time.sleep(_ASK_S)


def _get(url: str) -> Any:
    """The JSON there; None while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return json.load(response)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None
