"""What the real agent costs while it does its job: 12 simulated machines, read every second, counted and stored.

    modbus          12 PLCs behind Modbus TCP
    opcua           9 of them, and 3 machines behind two OPC UA servers

For each: resident memory after settling (MiB), its proportional part (`_pss`), CPU over 20 s (`_cpu`, percent of one
core), and the time from spawn until every device is up and every counter has its first sample (`_start`, s). Store on
disk, page on and nobody looking at it, no database configured. The references live in the same run: for memory and
start a Python process that imports the same libraries and does nothing; for CPU a process that sends the same requests
to the same machines at the same time and throws the answers away.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.result import Result, summarise
from benchmarks.rig.lines import agent_on, baseline_s, requests_of, simulated
from benchmarks.rig.process import Program, cpu_percent

CASES = ("modbus", "opcua")
RUNS = 3
MACHINES = 12
SETTLE_S = 3.0
WINDOW_S = 20.0
_PROTOCOLS = {"modbus": ("modbus",), "opcua": ("modbus", "opcua")}
_RIG = Path(__file__).with_name("rig")


@dataclass(frozen=True, slots=True)
class Cost:
    """One process, measured once."""

    rss_mib: float
    pss_mib: float
    cpu_percent: float
    start_s: float


def run(case: str | None) -> Iterable[Result]:
    """Every case, or one."""
    for name in CASES if case is None else (case,):
        yield from _summaries(name, [_once(name) for _ in range(RUNS)])


def _once(case: str) -> tuple[Cost, Cost]:
    """The agent, and the bare processes beside it."""
    with tempfile.TemporaryDirectory(prefix="seamline-bench-") as name, Program(_bare_imports(case)) as imports:
        bare_start_s = imports.start_s()
        with simulated(MACHINES, _PROTOCOLS[case], Path(name)) as lines, agent_on(lines) as agent:
            start_s = baseline_s(agent, lines)
            with Program(_python("bare_poller.py"), given=requests_of(lines.plan)) as poller:
                poller.start_s()
                time.sleep(SETTLE_S)
                cpu, bare_cpu = cpu_percent((agent, poller), WINDOW_S)
            return (
                Cost(agent.rss_mib(), agent.pss_mib(), cpu, start_s),
                Cost(imports.rss_mib(), imports.pss_mib(), bare_cpu, bare_start_s),
            )


def _summaries(case: str, runs: list[tuple[Cost, Cost]]) -> Iterator[Result]:
    figures = (
        ("", "MiB", "rss_mib"),
        ("_pss", "MiB", "pss_mib"),
        ("_cpu", "% of a core", "cpu_percent"),
        ("_start", "s", "start_s"),
    )
    for suffix, unit, field in figures:
        values = [getattr(agent, field) for agent, _ in runs]
        references = [getattr(bare, field) for _, bare in runs]
        yield summarise(f"agent_idle.{case}{suffix}", unit, values, references)


def _bare_imports(case: str) -> list[str]:
    return [*_python("bare_imports.py"), *(["opcua"] if case == "opcua" else [])]


def _python(script: str) -> list[str]:
    return [sys.executable, "-I", str(_RIG / script)]
