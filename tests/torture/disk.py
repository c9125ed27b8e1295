"""A disk that can be filled: a small file system where the run may mount one, otherwise a limit on the size of files.

The limit is not the same fault (writes fail with "file too large"), but it fails at the same calls; the report says
which it was.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
from pathlib import Path

import psutil

BYTES = 24 << 20


class SmallDisk:
    """A folder whose disk can be full."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={BYTES}", "tmpfs", str(folder)]
        self.is_real = os.geteuid() == 0 and not subprocess.run(command, capture_output=True, check=False).returncode
        self.full = False

    async def fill(self, pid: int | None) -> None:
        """To the last byte."""
        self.full = True
        if self.is_real:
            await asyncio.to_thread(self._fill)
        elif pid is not None:
            self._limit(pid, 4096)

    async def free(self, pid: int | None) -> None:
        """Room again."""
        self.full = False
        if self.is_real:
            self._ballast.unlink(missing_ok=True)
        elif pid is not None:
            self._limit(pid, resource.RLIM_INFINITY)

    def _limit(self, pid: int, size_bytes: int) -> None:
        try:
            process = psutil.Process(pid)
            process.rlimit(psutil.RLIMIT_FSIZE, (size_bytes, process.rlimit(psutil.RLIMIT_FSIZE)[1]))
        except psutil.NoSuchProcess:
            return

    @property
    def _ballast(self) -> Path:
        return self.folder / "somebody-elses-log"

    def _fill(self) -> None:
        with self._ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                return

    def close(self) -> None:
        """Unmount."""
        if self.is_real:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
