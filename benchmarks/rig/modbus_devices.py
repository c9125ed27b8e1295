"""`modbus_devices.c`, compiled for this run: many Modbus TCP devices on libmodbus, in one cheap process."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

MUTE, GONE = "mute", "gone"  # kinds of devices that are dead; all others answer after so many milliseconds


@dataclass(frozen=True, slots=True)
class Seen:
    """What the devices saw since somebody asked. Lateness: of requests to devices that answer at once, ms."""

    requests: int
    connections: int
    late_p50_ms: float
    late_p99_ms: float
    late_max_ms: float


class ModbusDevices:
    """The process, from compiling to its end. Use as a context manager; `ports` has one port per kind."""

    def __init__(self, folder: Path, kinds: Sequence[int | str], registers: int, interval_ms: int = 1000) -> None:
        """`folder` takes the program; `interval_ms` is what lateness is counted against."""
        self._program = compiled("modbus_devices.c", folder)
        self._arguments = [str(registers), str(interval_ms), *map(str, kinds)]
        self.ports: tuple[int, ...] = ()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [self._program, *self._arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ports = tuple(map(int, self._line().split()))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._process.communicate()

    @property
    def pid(self) -> int:
        """Of the process, to keep it away from whom it serves."""
        return self._process.pid

    def seen(self) -> Seen:
        """What happened since the last call."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        requests, connections, *late_us = self._line().split()
        p50_ms, p99_ms, max_ms = (float(us) / 1e3 for us in late_us)
        return Seen(int(requests), int(connections), p50_ms, p99_ms, max_ms)

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the devices have ended; see their words above")
        return line


def compiled(source: str, folder: Path) -> Path:
    """A C program of this folder on libmodbus, in `folder`. Raises RuntimeError naming what is missing."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("no C compiler: apt-get install gcc libc6-dev libmodbus-dev")
    path = Path(__file__).with_name(source)
    program = folder / path.stem
    command = [compiler, "-O2", "-Wall", "-o", str(program), str(path), "-I/usr/include/modbus", "-lmodbus"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        raise RuntimeError(f"{source} does not build: apt-get install gcc libc6-dev libmodbus-dev\n{built.stderr}")
    return program
