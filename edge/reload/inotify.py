"""Linux inotify(7) for folders, awaited on the event loop. The only module that speaks to it, by ctypes and no library.

Rules. Folders are watched, never files: an editor writes a new file and renames it, a config map swaps a symbolic link,
and a watch on the file would go on looking at the one that is gone.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Self

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _ONLYDIR = 0x400, 0x800, 0x0100_0000
_MASK = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
_Q_OVERFLOW = 0x4000
_HEAD = struct.Struct("iIII")  # watch, mask, cookie, length of the name
_BUFFER_BYTES = 16_384


class Inotify:
    """Folders and what happens in them. Opened by `with`; OSError where the system has no watches left."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self._file = -1
        self._watches: dict[int, Path] = {}

    def __enter__(self) -> Self:
        self._file = self._checked(self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
        self._watches.clear()

    def watch(self, folders: Iterable[Path]) -> None:
        """Exactly these folders from now on; one that is not there is left out. Raises OSError."""
        wanted = set(folders)
        for number in [number for number, folder in self._watches.items() if folder not in wanted]:
            self._library.inotify_rm_watch(self._file, number)  # fails where the folder is gone, which is as well
            del self._watches[number]
        for folder in wanted - set(self._watches.values()):
            try:
                number = self._checked(self._library.inotify_add_watch(self._file, os.fsencode(folder), _MASK))
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue
            self._watches[number] = folder

    async def next(self) -> set[Path]:
        """Wait until something happens, and say to which paths; an overflow says all watched folders."""
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._file, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._file)
        return set(self._read())

    def _read(self) -> Iterable[Path]:
        try:
            content = os.read(self._file, _BUFFER_BYTES)
        except BlockingIOError:
            return
        at = 0
        while at < len(content):
            number, mask, _, length = _HEAD.unpack_from(content, at)
            name = content[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0")
            at += _HEAD.size + length
            if mask & _Q_OVERFLOW:
                yield from self._watches.values()
            elif number in self._watches:
                yield self._watches[number] / os.fsdecode(name) if name else self._watches[number]

    def _checked(self, answer: int) -> int:
        if answer < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return answer
