"""The real `seamline` commands as processes that are killed and come back, as systemd would have it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
RESTART_S = 0.5  # after it ended by itself


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One command. What ends it, other than `kill` and `end`, is counted, and it is started again."""

    def __init__(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        self.own_ends: list[int] = []  # exit statuses of ends nobody asked for
        self._command = [sys.executable, "-Im", "edge.cli", "--lang", "en", *arguments]
        self._environment = {**os.environ, "MALLOC_ARENA_MAX": "1", **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the present process."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Spawn, and keep it alive from then on."""
        await self._spawn()
        self._watch = asyncio.create_task(self._keep())

    async def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment,
                start_new_session=True, preexec_fn=_die_with_parent,
            )  # fmt: skip

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            self.own_ends.append(await self._process.wait())
            await asyncio.sleep(RESTART_S)
            await self._spawn()

    async def kill(self) -> None:
        """kill -9; it stays dead until `start`."""
        await self._unwatch()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # what compiles its site file too
            await self._process.wait()

    async def end(self) -> int:
        """SIGTERM; its exit status."""
        await self._unwatch()
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        async with asyncio.timeout(30):
            return await self._process.wait()

    def hang_up(self) -> None:
        """SIGHUP, where it runs."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGHUP)

    async def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
