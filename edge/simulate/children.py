"""The demo's own processes, each the real `seamline` command:

started, kept alive as systemd would, ended. Logs go to files.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

RESTART_S = 0.3
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """In the child before exec (prctl(2)): if the demo itself is killed, nothing of it stays behind."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """One `seamline` process. Restarted whenever it ends before `end`."""

    def __init__(self, name: str, arguments: Sequence[str], log_file: Path) -> None:
        self.name = name
        self.log_file = log_file
        self.restarts = 0
        self._command = [sys.executable, "-Im", "edge.cli", *arguments]
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._ending = False

    @property
    def pid(self) -> int | None:
        """Of the present process."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Spawn and watch."""
        await self._spawn()
        self._watch = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def _spawn(self) -> None:
        with self.log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "MALLOC_ARENA_MAX": "1"},
                start_new_session=True,  # Ctrl-C is for the demo, which ends its children in order
                preexec_fn=_die_with_parent,
            )

    async def _keep(self) -> None:
        while self._process is not None:
            await self._process.wait()
            if self._ending:
                return
            self.restarts += 1
            await asyncio.sleep(RESTART_S)
            if not self._ending:
                await self._spawn()

    async def end(self, deadline_s: float = 10.0) -> bool:
        """SIGTERM, then SIGKILL. True where it ended by itself."""
        self._ending = True
        process = self._process
        if process is None or process.returncode is not None:
            return True
        process.terminate()
        try:
            async with asyncio.timeout(deadline_s):
                await process.wait()
            return True
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            return False
        finally:
            if self._watch is not None:
                self._watch.cancel()

    def last_words(self, lines: int = 12) -> str:
        """The end of its log, for an error message."""
        if not self.log_file.exists():
            return ""
        return "\n".join(self.log_file.read_text("utf-8", "replace").splitlines()[-lines:])
