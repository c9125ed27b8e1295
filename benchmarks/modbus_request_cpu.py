"""CPU of one supervised read of 125 holding registers, us, from a C server on libmodbus: one connection, one at a time.

    client      our Modbus client: deadline, transaction and unit checked, late and foreign frames recognised
    agent       the whole poll: due times, budget, decode of 125 tags into the image, a frame upward
    libmodbus   libmodbus's own C client: the limit
    pymodbus    its async client on uvloop
    bare        asyncio on uvloop without deadlines

The reference of all is asyncio on uvloop with `asyncio.timeout` around each read and nothing else, for `agent` at the
agent's times: eight reads, then a pause, because a processor that slept makes every system call dearer. Every client is
a process of its own; the rounds are interleaved, and each ratio is of one round.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.result import Result, summarise
from benchmarks.rig.modbus_devices import ModbusDevices, compiled

CASES = ("client", "agent", "libmodbus", "pymodbus", "bare")
ROUNDS = 7
READS = 4_000
_READS = Path(__file__).with_name("rig") / "modbus_reads.py"


def run(case: str | None) -> Iterable[Result]:
    """Every case, or one; they share their rounds."""
    cases = CASES if case is None else (case,)
    us: dict[str, list[float]] = {name: [] for name in (*cases, *map(_reference, cases))}
    with tempfile.TemporaryDirectory(prefix="seamline-bench-") as name:
        folder = Path(name)
        in_c = compiled("modbus_client.c", folder)
        with ModbusDevices(folder, [0], registers=1000) as devices:
            for _ in range(ROUNDS):
                for client, found in us.items():
                    command = [str(in_c)] if client == "libmodbus" else [sys.executable, "-I", str(_READS), client]
                    found.append(_us(command, devices.ports[0]))
    for client in cases:
        yield summarise(f"modbus_request_cpu.{client}", "us", us[client], us[_reference(client)])


def _reference(case: str) -> str:
    return "rounds" if case == "agent" else "deadline"


def _us(command: list[str], port: int) -> float:
    done = subprocess.run([*command, str(port), str(READS)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout) / 1000
