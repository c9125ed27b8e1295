"""Programs under measurement: spawn, look at from outside, end.

Theory. Everything is read from the system, nothing is asked of the program: RSS and PSS from /proc/PID/smaps_rollup
(proc(5); PSS counts a shared page as a share), CPU time from the process's own CPU clock (clock_getcpuclockid(3)),
which counts all threads, ended ones included, in nanoseconds; the tick counters of /proc/PID/stat are too coarse for a
program that needs a few milliseconds a second.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

READY = b"ready\n"  # what a bare reference prints once it stands
_END_S = 10.0
_KIB_PER_MIB = 1024.0


class Program:
    """One process, from spawn to end, with its error output kept for a message. Use as a context manager."""

    def __init__(self, command: Sequence[str], *, given: bytes = b"", env: dict[str, str] | None = None) -> None:
        """`given` is what it reads on standard input."""
        self._command = list(command)
        self._given = given
        self._env = env
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed at the exit
        self._child: subprocess.Popen[bytes] | None = None
        self.spawned_s = 0.0  # time.monotonic of the spawn

    def __enter__(self) -> Self:
        self.spawned_s = time.monotonic()
        self._child = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words, env=self._env
        )
        assert self._child.stdin
        with contextlib.suppress(BrokenPipeError):  # it died already; whoever waits for it tells why
            self._child.stdin.write(self._given)
            self._child.stdin.close()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        child = self._running
        child.terminate()
        try:
            child.wait(_END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout:
            child.stdout.close()
        self._words.close()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._child, "enter the context first"
        return self._child

    def start_s(self) -> float:
        """Wait until a bare reference says it is ready; seconds since its spawn."""
        child = self._running
        assert child.stdout
        if child.stdout.readline() != READY:
            raise RuntimeError(f"{self._command} did not get ready:\n{self.last_words()}")
        return time.monotonic() - self.spawned_s

    def alive(self) -> None:
        """Raises RuntimeError, with its last words, where it has ended."""
        if self._running.poll() is not None:
            raise RuntimeError(f"{self._command} ended with {self._running.returncode}:\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of its error output."""
        self._words.seek(0)
        return self._words.read().decode("utf-8", "replace")[-2000:]

    def said(self, words: bytes) -> int:
        """How often it has said these words, of one line, on its error output."""
        return Path(f"/proc/self/fd/{self._words.fileno()}").read_bytes().count(words)

    def cpu_s(self) -> float:
        """CPU time of all its threads since its start."""
        self.alive()
        return time.clock_gettime((~self._running.pid << 3) | 2)  # the macro of clock_getcpuclockid(3)

    def rss_mib(self) -> float:
        """Resident memory: what `top` and a cgroup's owner see."""
        return self._smaps("Rss")

    def pss_mib(self) -> float:
        """Resident memory, pages shared with other processes counted as a share."""
        return self._smaps("Pss")

    def _smaps(self, key: str) -> float:
        self.alive()
        rollup = Path(f"/proc/{self._running.pid}/smaps_rollup").read_text("ascii")
        return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith(f"{key}:")) / _KIB_PER_MIB


def cpu_percent(programs: Sequence[Program], window_s: float) -> list[float]:
    """CPU of each over the same `window_s` seconds, in percent of one core."""
    before = [program.cpu_s() for program in programs]
    began_s = time.monotonic()
    time.sleep(window_s)
    after = [program.cpu_s() for program in programs]
    elapsed_s = time.monotonic() - began_s
    return [(b - a) / elapsed_s * 100 for a, b in zip(before, after, strict=True)]
