"""Has somebody edited the configuration? Waits for it, and says so once it is quiet again.

Theory. A configuration rests on files: the site file, templates, secrets, certificates. Each may be reached over
symbolic links, any of which may be swapped (a Kubernetes config map swaps one link for all of its files), so for every
file all folders on its way are watched. What happened there only wakes us: whether something changed is decided by the
files' digests, so a file that was touched, or saved as it was, is no news.

Rules. An edit is news once nothing happened for `QUIET_S`, so that an editor's three steps and an `rsync` of ten files
are one; a file somebody writes to without end is news after `PATIENCE_S`. Nothing is read while nothing happens. Where
the system gives no watches, that is said once and SIGHUP remains.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from edge.errors import Text
from edge.logs import facts
from edge.reload.inotify import Inotify

log = logging.getLogger(__name__)

QUIET_S = 0.5
PATIENCE_S = 5.0
_LINKS_MAX = 40  # as Linux follows them
_BYTES_MAX = 16 << 20  # of one file; a longer one is no part of a configuration

Signature = tuple[tuple[str, str], ...]  # path and digest of every file, "" = cannot be read


class Watch:
    """Watches what `files` names: the files, or folders of files, of the configuration in force."""

    def __init__(self, files: Iterable[str | Path]) -> None:
        self._files: tuple[Path, ...] = ()
        self._seen: Signature = ()
        self._inotify: Inotify | None = None
        self.follow(files)

    def follow(self, files: Iterable[str | Path]) -> None:
        """These files from now on, as they are now. Blocks for as long as it takes to read them."""
        self._files = tuple(Path(os.path.abspath(file)) for file in files)  # noqa: PTH100 - links stay links
        self._seen = signature(self._files)
        if self._inotify is not None:
            self._inotify.watch(folders_of(self._files))

    def look(self) -> None:
        """What the files hold now is about to be read: no news any more. Blocks as `follow` does."""
        self._seen = signature(self._files)

    async def run(self, changed: Callable[[], None]) -> None:
        """Call `changed` after every edit. Until cancelled."""
        try:
            with Inotify() as self._inotify:
                self._inotify.watch(folders_of(self._files))
                await self._attend(self._inotify.next, self._inotify, changed)
        except OSError as error:
            text = Text(
                f"无法监视配置文件（{error.strerror}）；修改后请 systemctl reload seamline",
                f"the configuration's files cannot be watched ({error.strerror}); after an edit, "
                "systemctl reload seamline",
            )
            log.warning("watch", extra=facts(detail=str(text)))
            await asyncio.Event().wait()
        finally:
            self._inotify = None

    async def _attend(
        self, news: Callable[[], Awaitable[set[Path]]], inotify: Inotify, changed: Callable[[], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._concerns(await news()):
                continue
            limit_s = loop.time() + PATIENCE_S
            try:
                while loop.time() < limit_s:
                    async with asyncio.timeout(QUIET_S):
                        while not self._concerns(await news()):
                            pass
            except TimeoutError:
                pass
            inotify.watch(folders_of(self._files))  # links may lead elsewhere now
            now = await asyncio.to_thread(signature, self._files)
            if now != self._seen:
                self._seen = now
                changed()

    def _concerns(self, paths: set[Path]) -> bool:
        """The store lies beside the site file as often as not: its files are none of ours."""
        ours = {step for file in self._files for step in steps_to(file)}
        return any(path in ours or not ours.isdisjoint(path.parents) for path in paths)


def steps_to(file: Path) -> list[Path]:
    """Every path whose change leads `file` elsewhere: links on the way, the file itself."""
    steps: list[Path] = []
    waiting, links = [file], 0
    while waiting and links < _LINKS_MAX:
        path = waiting.pop()
        for part in (*reversed(path.parents), path):
            if part.is_symlink():
                links += 1
                steps.append(part)
                target = part.parent / part.readlink()
                rest = path.relative_to(part)
                waiting.append(Path(os.path.normpath(target / rest)))
                break
        else:
            steps.append(path)
    return steps


def folders_of(files: Iterable[Path]) -> set[Path]:
    """The folders to watch: of every step on the way to every file; a folder that is named, and those in it."""
    steps = {step for file in files for step in steps_to(file)}
    named = {step for step in steps if step.is_dir()}
    return (
        {step.parent for step in steps}
        | named
        | {below for step in named for below in step.iterdir() if below.is_dir()}
    )


def signature(files: Iterable[Path]) -> Signature:
    """What the files hold; of a folder, every file in it and one folder below. Secrets leave no trace but a digest."""
    found: list[tuple[str, str]] = []
    for file in files:
        below = sorted((*file.glob("*.yaml"), *file.glob("*/*.yaml"))) if file.is_dir() else [file]
        found += [(str(path), _digest(path)) for path in below]
    return tuple(found)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.sha256(stream.read(_BYTES_MAX)).hexdigest()
    except OSError:
        return ""
