"""The agent beside other gateways: 20 PLCs of 100 registers, read every second, as whole processes without a database.

    thingsboard     thingsboard-gateway (PyPI), a range of 100 registers for each PLC
    node_red        node-red with node-red-contrib-modbus (npm), a reading node for each PLC

For each: resident memory (MiB, no suffix), CPU (`_cpu`, percent of a core), requests a second as the PLCs saw them
(`_requests`). Value: the agent, with machines, ledgers and its store on disk; reference: the other one, which has none
of these here. Where one does not install, the line says why in place of the reference.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.result import Result, summarise
from benchmarks.rig.big_agent import read_once
from benchmarks.rig.big_site import Plant, write_site
from benchmarks.rig.lines import agent_with
from benchmarks.rig.modbus_devices import ModbusDevices
from benchmarks.rig.peers import NotInstalledError, node_red, thingsboard
from benchmarks.rig.process import Program, cpu_percent
from edge.simulate.site import free_ports

CASES = ("thingsboard", "node_red")
RUNS = 3
PLANT = Plant(devices=20, tags=100 - 13)  # 100 registers: the first words of a machine, then measurements
SETTLE_S = 5.0
WINDOW_S = 20.0
_SINK = Path(__file__).with_name("rig") / "mqtt_sink.py"


@dataclass(frozen=True, slots=True)
class Cost:
    """One process, measured once."""

    rss_mib: float
    cpu_percent: float
    requests_per_s: float


def run(case: str | None) -> Iterable[Result]:
    """Every case, or one."""
    for name in CASES if case is None else (case,):
        ours, theirs, why = [], [], ""
        for _ in range(RUNS):
            try:
                theirs.append(_peer(name))
            except NotInstalledError as error:
                why = f" ({name} did not install: {error})"
            ours.append(_agent())
            if why:
                break
        for suffix, unit, field in (
            ("", "MiB", "rss_mib"),
            ("_cpu", "% of a core", "cpu_percent"),
            ("_requests", "requests/s", "requests_per_s"),
        ):
            references = None if why else [getattr(cost, field) for cost in theirs]
            values = [getattr(cost, field) for cost in ours]
            yield summarise(f"modbus_peers.{name}{suffix}", f"{unit}{why}", values, references)


def _agent() -> Cost:
    with _plcs() as (folder, devices):
        site_file = write_site(folder, PLANT, devices.ports, next(free_ports()))
        with agent_with(site_file) as agent:
            return _cost(agent, devices)


def _peer(name: str) -> Cost:
    with _plcs() as (folder, devices), _broker() as broker_port:
        home = folder / "peer"
        home.mkdir()
        if name == "thingsboard":
            program = thingsboard(home, devices.ports, PLANT.registers, broker_port)
        else:
            program = node_red(home, devices.ports, PLANT.registers)
        with program:
            return _cost(program, devices)


def _cost(program: Program, devices: ModbusDevices) -> Cost:
    read_once(program, devices, PLANT.devices)
    time.sleep(SETTLE_S)
    devices.seen()
    (cpu,) = cpu_percent((program,), WINDOW_S)
    return Cost(program.rss_mib(), cpu, devices.seen().requests / WINDOW_S)


@contextmanager
def _plcs() -> Iterator[tuple[Path, ModbusDevices]]:
    with tempfile.TemporaryDirectory(prefix="seamline-bench-") as name:
        folder = Path(name)
        with ModbusDevices(folder, [0] * PLANT.devices, PLANT.registers) as devices:
            yield folder, devices


@contextmanager
def _broker() -> Iterator[int]:
    command = [sys.executable, "-I", str(_SINK)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as broker:
        assert broker.stdin
        assert broker.stdout
        yield int(broker.stdout.readline())
        broker.stdin.close()
