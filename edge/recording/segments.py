"""One machine's recording on the disk: segments in a folder, whose sizes never add up to more than their bound.

    00000041-20260601T083000Z.csv.gz   full, packed to about a tenth
    00000042-20260601T111500Z.csv      the one being written; every segment begins with the header

Theory. Lines are appended in one write a commit and left to the system to put on the card: a kill of the agent loses
nothing of them, a power cut the last half minute, and the card is not worn by it. A segment that is full is packed and
the next begins; before anything is written, oldest segments go until it fits the bound.

Rules. A number never comes twice, so order by name is order of arrival even where the clock was set back. A write that
fails is taken back; where that fails too, `open` cuts the torn line. `open` also cuts what was written behind the
position that was committed with the ledger: the ledger goes on from there, and so must its recording. Synchronous; used
by one thread at a time; errors are OSError and leave files that can be read.
"""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import zlib
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from edge.recording.lines import HEADER_LINE, PACKED, files_of, is_segment

PARTS = 16  # a segment is this part of the bound …
SEGMENT_LIMIT_BYTES = 1 << 20  # … and at most this: it is packed in some ten milliseconds
RESERVE_BYTES = 64 << 20  # left to the store and everybody else on this disk,
RESERVE_PART = 20  # or this part of it where it is small
NS_PER_S = 1_000_000_000
_PART = ".part"
_HEADER = HEADER_LINE.encode()


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a recording: number of the segment, bytes of it before it was packed."""

    number: int
    size: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """What `str` gave; None for anything else."""
        number, _, size = text.partition("+")
        return cls(int(number), int(size)) if number.isdigit() and size.isdigit() else None

    def __str__(self) -> str:
        """As it is kept in the store."""
        return f"{self.number}+{self.size}"


@dataclass(slots=True)
class _Segment:
    path: Path
    size: int
    closed: bool  # nothing is appended to it any more


class Segments:
    """The files of one machine. `open` once, then `append`."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = min(max_bytes // PARTS, SEGMENT_LIMIT_BYTES)
        self._segments: deque[_Segment] = deque()
        self._number = 0
        self.size_bytes = 0

    @property
    def position(self) -> Position:
        """Where the next line will stand."""
        if not self._segments or self._segments[-1].closed:
            return Position(self._number + 1, 0)
        return Position(_number_of(self._segments[-1].path), self._segments[-1].size)

    def open(self, position: Position | None) -> None:
        """Take up what is there, less what was written behind `position`; None: all of it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for left_over in self._folder.glob("*" + _PART):
            left_over.unlink()
        kept = [path for path in files_of(self._folder) if is_segment(path)]
        for packed_meanwhile in {path for path in self._folder.glob("*.csv") if is_segment(path)} - {*kept}:
            packed_meanwhile.unlink()
        self._number = max((_number_of(path) for path in kept), default=position.number if position else 0)
        self._segments.clear()
        for path in kept:
            if path == kept[-1] or (position is not None and _number_of(path) >= position.number):
                segment = _cut(path, position)
            else:
                segment = _Segment(path, path.stat().st_size, closed=True)
            if segment is not None:
                self._segments.append(segment)
        self.size_bytes = sum(segment.size for segment in self._segments)
        self._make_room(0)

    def append(self, lines: bytes) -> None:
        """Write whole lines."""
        self._check_disk()
        if self._segments and not self._segments[-1].closed:
            segment = self._segments[-1]
            if segment.size + len(lines) <= self._segment_bytes:
                self._make_room(len(lines))
                self._write(segment, lines)
                return
            self._close(segment)
        whole = _HEADER + lines
        if len(whole) > self._max_bytes:
            raise OSError(errno.EFBIG, f"{len(whole)} bytes at once do not fit the bound")
        self._make_room(len(whole))
        self._segments.append(self._next(lines))
        self._write(self._segments[-1], whole)

    def _next(self, lines: bytes) -> _Segment:
        self._number += 1
        when = datetime.fromtimestamp(int(lines[: lines.index(b",")]) // NS_PER_S, UTC)
        return _Segment(self._folder / f"{self._number:08d}-{when:%Y%m%dT%H%M%SZ}.csv", 0, closed=False)

    def _write(self, segment: _Segment, lines: bytes) -> None:
        file = os.open(segment.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            written = os.write(file, lines)
            if written < len(lines):  # the disk is full: what is half written is no line
                os.ftruncate(file, segment.size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)
        segment.size += len(lines)
        self.size_bytes += len(lines)

    def _close(self, segment: _Segment) -> None:
        """The full segment at a tenth of its size, under its final name only when it is whole and on the disk."""
        segment.closed = True
        if 2 * segment.size > self._max_bytes:
            return
        self._make_room(segment.size)  # both are there for a moment
        packed = segment.path.with_name(segment.path.name + ".gz")
        part = packed.with_name(packed.name + _PART)
        try:
            with segment.path.open("rb") as source, part.open("wb") as raw:
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as target:
                    shutil.copyfileobj(source, target)
                os.fsync(raw.fileno())
            part.replace(packed)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        segment.path.unlink()
        size = packed.stat().st_size
        self.size_bytes += size - segment.size
        segment.path, segment.size = packed, size

    def _make_room(self, size: int) -> None:
        """Drop oldest segments until `size` more bytes fit."""
        while self._segments and self.size_bytes + size > self._max_bytes:
            oldest = self._segments[0]
            oldest.path.unlink(missing_ok=True)
            self._segments.popleft()
            self.size_bytes -= oldest.size

    def _check_disk(self) -> None:
        disk = os.statvfs(self._folder)
        reserve = min(RESERVE_BYTES, disk.f_blocks * disk.f_frsize // RESERVE_PART)
        if disk.f_bavail * disk.f_frsize < reserve:
            raise OSError(errno.ENOSPC, f"less than {reserve >> 20} MiB free")


def _number_of(path: Path) -> int:
    return int(path.name.partition("-")[0])


def _cut(path: Path, position: Position | None) -> _Segment | None:
    """The segment without its torn line and what comes behind `position`; None where nothing is left of it."""
    is_packed = path.name.endswith(PACKED)
    try:
        text = gzip.decompress(path.read_bytes()) if is_packed else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error):  # a power cut took a part of it
        text = b""
    if not (text.startswith(_HEADER) or _HEADER.startswith(text.rstrip(b"\0"))):
        return _Segment(path, path.stat().st_size, closed=True)  # written by another build
    end = len(text.rstrip(b"\0"))
    if position is not None and _number_of(path) >= position.number:
        end = min(end, position.size) if _number_of(path) == position.number else 0
    end = text.rfind(b"\n", 0, end) + 1
    if end <= len(_HEADER):
        path.unlink()
        return None
    if end < len(text) and is_packed:
        plain = path.with_name(path.name.removesuffix(".gz"))
        plain.write_bytes(text[:end])
        path.unlink()
        return _Segment(plain, end, closed=False)
    if end < len(text):
        os.truncate(path, end)
    return _Segment(path, path.stat().st_size, closed=is_packed)
