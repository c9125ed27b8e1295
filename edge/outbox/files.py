"""The store's files: lock, opening with a check, setting a damaged file aside.

A damaged file never prevents a start: what is whole in it goes on (`edge.outbox.salvage`).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from edge.errors import StoreError, Text
from edge.outbox import report, schema
from edge.outbox.facts import OpenReport
from edge.outbox.opening import CHECKING, Opening, Tell, tell_nobody
from edge.outbox.salvage import salvage_pages
from edge.outbox.saved import Saved
from edge.outbox.sound import DamagedError, UnbegunError, look

# A file that was closed cleanly (no log beside it) is checked in full up to this size only; a larger one is trusted to
# its checksums, because reading all of it would delay the start on a slow card.
CHECK_CLEAN_UP_TO_BYTES = 256 << 20

# Only what says that bytes cannot be read back. Other I/O errors also come from a full disk, which heals.
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# What is written down of the tables makes no sense: an unknown name, a text that is none (no error of SQLite's: 0).
_NO_SENSE = frozenset({0, sqlite3.SQLITE_ERROR})
_UNREADABLE = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS})


def result_code(error: sqlite3.Error) -> int:
    """SQLite's extended result code; 0 where the error did not come from SQLite itself."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code or 0


def is_damage(error: sqlite3.Error) -> bool:
    """The file itself is broken, as opposed to a full disk, a missing right or a lock."""
    code = result_code(error)
    return code & 0xFF in _DAMAGE or code in _UNREADABLE


def wal_of(path: Path) -> Path:
    """The write-ahead log."""
    return path.with_name(path.name + "-wal")


def size_bytes(path: Path) -> int:
    """All files of the store together."""
    names = (path, wal_of(path), path.with_name(path.name + "-shm"))
    return sum(file.stat().st_size for file in names if file.exists())


def free_bytes(path: Path) -> int:
    """Left on the disk for an unprivileged writer."""
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize


def request_check(path: Path) -> None:
    """Let the next `open_store` read all of the file, whatever its size: damage was met while it was in use."""
    with suppress(OSError):  # a disk that refuses even this has more to say at the next commit
        _check_wanted(path).touch()


class StoreLock:
    """One agent per store: two writers would count into one another. The kernel lets go of it when the process dies."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._file: int | None = None

    def acquire(self) -> None:
        """Raises StoreError where another process holds the store."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise StoreError(
                Text(
                    f"{self._path}：另一个 seamline 进程正在使用该存储；请先停止它，或为本进程指定另一个 store.path",
                    f"{self._path}: another seamline process holds this store; stop it, or give this one another "
                    "store.path",
                )
            ) from None
        self._file = file

    def release(self) -> None:
        """Let go."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def open_store(
    path: Path, now_ns: int, *, may_renew: bool = True, tell: Tell = tell_nobody
) -> tuple[sqlite3.Connection, OpenReport]:
    """Open, check and if need be create the store. `now_ns` (UTC) names a file that is set aside; unless `may_renew` a
    damaged one is left as it is. `tell`: what it is at, from this thread.

    Raises StoreError where it cannot be opened for a reason that is not damage: rights, disk full, a newer version.
    """
    try:
        if path.is_dir():
            raise StoreError(Text(f"{path} 是目录，不是存储文件", f"{path} is a directory, not a store's file"))
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() and _salvaged(path).exists():  # killed between two names
            _salvaged(path).rename(path)
        if not path.exists() or path.stat().st_size == 0:
            return _fresh(path), OpenReport(created=True)
        tell(Opening(CHECKING))
        try:
            return _existing(path), OpenReport(created=False)
        except UnbegunError:
            for name in (path, wal_of(path), path.with_name(path.name + "-shm")):
                name.unlink(missing_ok=True)
            return _fresh(path), OpenReport(created=True)
        except DamagedError as damage:
            if may_renew:
                return _renew(path, now_ns, damage, tell)
            raise StoreError(
                Text(
                    f"{path} 不是完好的存储（{damage}），未改动；若是存储，请先启动一次代理，或用 seamline store fsck "
                    "--repair-into 新文件",
                    f"{path} is no store that is whole ({damage}) and was left as it is; if it is one, start the agent "
                    "once, or use seamline store fsck --repair-into NEW",
                )
            ) from damage
    except (sqlite3.Error, OSError) as error:
        raise StoreError(
            Text(
                f"无法打开存储 {path}：{error}；请检查目录权限和磁盘剩余空间",
                f"cannot open the store {path}: {error}; check the rights of the directory and the free disk space",
            )
        ) from error


def _renew(path: Path, now_ns: int, damage: DamagedError, tell: Tell) -> tuple[sqlite3.Connection, OpenReport]:
    """A new store with all that can be saved of a damaged one, which is set aside with a report beside it."""
    last_ns = max(file.stat().st_mtime_ns for file in (path, wal_of(path)) if file.exists())
    try:
        saved: Saved | None = _salvage(path, tell)
    except (sqlite3.Error, OSError) as error:  # no room for both, most likely: an expert, or fsck, has the old file
        saved, words = None, str(error)
    aside = set_aside(path, now_ns)
    if saved is not None:
        _salvaged(path).rename(path)
        detail = report.words(path, aside, damage, saved)
    else:
        detail = report.nothing(path, aside, damage, words)
    with suppress(OSError):
        aside.with_name(aside.name + ".txt").write_text(f"{detail.zh}\n\n{detail.en}\n", "utf-8")
    connection = _existing(path) if saved is not None else _fresh(path)
    since = (saved.lost_from_ns, saved.outdated_from_ns) if saved is not None else ()
    since_ns = min(filter(None, since), default=last_ns)
    return connection, OpenReport(created=True, set_aside=aside, detail=str(detail), since_ns=since_ns, saved=saved)


def _salvage(path: Path, tell: Tell) -> Saved:
    """Into a file of its own, durable and complete when it has its name."""
    scratch = path.with_name(path.name + ".salvaging")
    for name in (scratch, wal_of(scratch), scratch.with_name(scratch.name + "-shm"), _salvaged(path)):
        name.unlink(missing_ok=True)
    try:
        saved = salvage_pages(path, wal_of(path), scratch, tell)
        for name in (scratch, scratch.parent):
            file = os.open(name, os.O_RDONLY)
            os.fsync(file)
            os.close(file)
        scratch.rename(_salvaged(path))
    except BaseException:
        for name in (scratch, wal_of(scratch), scratch.with_name(scratch.name + "-shm")):
            name.unlink(missing_ok=True)
        raise
    return saved


def _salvaged(path: Path) -> Path:
    return path.with_name(path.name + ".salvaged")


def set_aside(path: Path, now_ns: int) -> Path:
    """Rename the file and its log, keeping them for an expert; the shared-memory index is worthless and goes."""
    stamp = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    serial = 1
    while aside.exists():
        serial += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{serial}")
    path.rename(aside)
    if wal_of(path).exists():
        wal_of(path).rename(wal_of(aside))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    _check_wanted(path).unlink(missing_ok=True)
    return aside


def _fresh(path: Path) -> sqlite3.Connection:
    connection = schema.connect(path)
    try:
        schema.create(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _check_wanted(path: Path) -> Path:
    return path.with_name(path.name + ".check")


def _existing(path: Path) -> sqlite3.Connection:
    """An open, checked connection. Raises DamagedError, or StoreError for a file that is not ours to touch."""
    clean = not _check_wanted(path).exists() and (not wal_of(path).exists() or wal_of(path).stat().st_size == 0)
    connection: sqlite3.Connection | None = None
    try:
        look(path, wal_of(path), closely=not clean or path.stat().st_size <= CHECK_CLEAN_UP_TO_BYTES)
        connection = schema.connect(path)
        _check_wanted(path).unlink(missing_ok=True)
        schema.upgrade(connection, schema.pragma(connection, "user_version"))
    except (sqlite3.Error, UnicodeError, DamagedError, UnbegunError, StoreError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, UnicodeError):  # SQLite's words about a definition that is no text
            raise DamagedError(str(error)) from error
        if isinstance(error, sqlite3.Error) and (is_damage(error) or result_code(error) in _NO_SENSE):
            raise DamagedError(str(error)) from error
        raise
    return connection
