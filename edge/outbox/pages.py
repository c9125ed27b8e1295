"""Rows read straight from the pages of a SQLite file and its write-ahead log, past whatever holds them together.

Theory. A query goes from the root of a tree to its leaves, so one broken page takes along all that hangs on it; a
broken header takes everything. The leaves lie in the file none the less, each with its own rows ("Database File
Format", sqlite.org/fileformat2.html, sections 1.6 and 2.1), and every row of ours carries a checksum, so what a leaf
gives can be believed or not row by row, wherever its tree has gone.

Which pages live. Files of ours have pointer maps (section 1.8), which say of each page whether it is part of a tree: a
page that was given back keeps its old rows, and these must not rise again.

The log. Frames are chained by checksums, and SQLite ends at the first that does not fit (section 4.2): one flipped bit
takes every later transaction with it. A frame is checked here against the checksum its predecessor stored, so a broken
one costs itself alone. Pages of committed frames cover those of the file; what they covered is still there to be asked
(`older`).

The size of a page. The header of the file says it, and may be what is damaged; so does the log's, under a checksum.
Where there is no log, the leaves tell: cells fill a page from its end, so they begin beyond the end of a smaller one.

Rules. Nothing here raises for what stands in a file: pages and cells that make no sense give no rows. Reading is page
by page; in memory are the list of frames and one row at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from edge.outbox.opening import SAVING, Opening, Tell, tell_nobody
from edge.outbox.schema import PAGE_BYTES, PAGE_BYTES_EARLIER

MOST_BYTES = 64 << 20  # of one row: a commit is smaller by far

_TABLE_LEAF, _INDEX_LEAF, _INDEX_INTERIOR = 0x0D, 0x0A, 0x02
_MAP_ENTRY = 5
_SIZE_AT = 16  # of a page, in the header
_TOLD_EVERY = 256  # pages
_LOOKED_AT = 512  # pages, for their size
_FREE, _OVERFLOW = 2, (3, 4)
_WAL_HEADER, _FRAME_HEADER = 32, 24
_LITTLE, _BIG = 0x377F0682, 0x377F0683
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}

Value = int | str | bytes | None


@dataclass(frozen=True, slots=True)
class Cell:
    """One row as it lies in a page."""

    in_table: bool  # a table with row ids; otherwise one without, or an index
    rowid: int  # 0 where it has none
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """One page in the log."""

    page: int
    at: int  # offset of its content
    commits: bool
    whole: bool  # its checksum follows from what its predecessor stored


def page_bytes_of(path: Path, log_path: Path) -> int:
    """The size of the pages of a store, whatever of it is damaged. Raises OSError."""
    if (told := _told_by_log(log_path)) is not None:
        return told
    with path.open("rb") as file:
        header = file.read(_SIZE_AT + 2)
        counted = [0, 0]  # leaves of the smaller size, of the larger one
        for number in range(1, _LOOKED_AT):
            file.seek(number * PAGE_BYTES_EARLIER)
            page = file.read(PAGE_BYTES_EARLIER)
            if len(page) < PAGE_BYTES:
                break
            cells = int.from_bytes(page[3:5], "big") if page[0] in (_TABLE_LEAF, _INDEX_LEAF) else 0
            if 0 < cells <= PAGE_BYTES // 4:
                places = struct.unpack_from(f">{cells}H", page, 8)
                counted[max(places) >= PAGE_BYTES] += 1
    if counted[0] != counted[1]:
        return PAGE_BYTES if counted[0] > counted[1] else PAGE_BYTES_EARLIER
    said = int.from_bytes(header[_SIZE_AT:], "big")
    return said if said in (PAGE_BYTES, PAGE_BYTES_EARLIER) else PAGE_BYTES


def _told_by_log(log_path: Path) -> int | None:
    """None where there is no log, or its header is damaged."""
    if not log_path.exists():
        return None
    with log_path.open("rb") as file:
        head = file.read(_WAL_HEADER)
    if len(head) < _WAL_HEADER or not _is_wal_header(head):
        return None
    told = int.from_bytes(head[8:12], "big")
    return told if told in (PAGE_BYTES, PAGE_BYTES_EARLIER) else None


def _is_wal_header(head: bytes) -> bool:
    words = struct.unpack(">8I", head)
    return words[0] in (_LITTLE, _BIG) and _sum(_order(words[0]), head[:24], (0, 0)) == words[6:8]


def _order(magic: int) -> str:
    return "<" if magic != _BIG else ">"


class Log:
    """The frames of a write-ahead log, oldest first, of the generation that it holds now."""

    def __init__(self, path: Path, page_bytes: int) -> None:
        self.frames: tuple[Frame, ...] = ()
        self.is_headless = False
        if path.exists() and path.stat().st_size >= _WAL_HEADER + _FRAME_HEADER + page_bytes:
            with path.open("rb") as file:
                self._read(file, page_bytes)

    def _read(self, file: BinaryIO, page_bytes: int) -> None:
        head = file.read(_WAL_HEADER)
        words = struct.unpack(">8I", head)
        order = _order(words[0])
        self.is_headless = not _is_wal_header(head)
        before, salt = words[6:8], words[4:6]
        frames: list[Frame] = []
        at = _WAL_HEADER
        size_of_frame = _FRAME_HEADER + page_bytes
        while len(frame := file.read(size_of_frame)) == size_of_frame:
            head, page = frame[:_FRAME_HEADER], frame[_FRAME_HEADER:]
            number, size, *rest = struct.unpack(">6I", head)
            told = (rest[2], rest[3])
            whole = _sum(order, page, _sum(order, head[:8], before)) == told
            if not frames and self.is_headless:
                salt = (rest[0], rest[1])
            if (rest[0], rest[1]) != salt and not whole:
                break  # left over from the generation before
            frames.append(Frame(number, at + _FRAME_HEADER, size != 0, whole))
            before = told
            at += size_of_frame
        self.frames = tuple(frames)

    @property
    def sound(self) -> int:
        """How many frames SQLite believes: up to the last commit before the first that is broken."""
        if self.is_headless:
            return 0
        broken = next((n for n, frame in enumerate(self.frames) if not frame.whole), len(self.frames))
        return next((n + 1 for n in range(broken - 1, -1, -1) if self.frames[n].commits), 0)

    @property
    def lost(self) -> bool:
        """A transaction that had been promised stands behind a broken frame. A tail that a power cut tore has no commit
        there, nor anything whole but its own beginning.
        """
        broken = self.is_headless
        for frame in self.frames:
            if broken and frame.whole and frame.commits:
                return True
            broken = broken or not frame.whole
        return False

    @property
    def committed(self) -> tuple[Frame, ...]:
        """Whole frames up to the last commit, those behind a broken one too."""
        last = max((n for n, frame in enumerate(self.frames) if frame.commits and frame.whole), default=-1)
        return tuple(frame for frame in self.frames[: last + 1] if frame.whole)


def _sum(order: str, data: bytes, start: tuple[int, ...]) -> tuple[int, int]:
    """The log's checksum (section 4.2)."""
    one, two = start
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for first, second in zip(words, words, strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


class Pages:
    """A file that nobody writes to, as it would be with its log folded in."""

    def __init__(self, path: Path, log_path: Path, tell: Tell = tell_nobody) -> None:
        """`tell`: how far `rows` is. Raises OSError."""
        self._tell = tell
        self._bytes = size_of_page = page_bytes_of(path, log_path)
        self._mapped = size_of_page // _MAP_ENTRY  # pages that one page of the pointer map speaks of
        self._map: tuple[int, bytes] = (0, b"")  # the page of it that was read last
        self._most_in_index = (size_of_page - 12) * 64 // 255 - 23
        self._least = (size_of_page - 12) * 32 // 255 - 23
        self._file = path.open("rb")
        self._log = log_path.open("rb") if log_path.exists() else None
        committed = Log(log_path, size_of_page).committed
        self._frames = committed if self._log is not None else ()
        self._newest = {frame.page: frame.at for frame in self._frames}
        size = path.stat().st_size // size_of_page
        self._in_file = size
        self.count = max(size, max(self._newest, default=0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._log is not None:
            self._log.close()

    def rows(self, first: int | None = None) -> Iterator[Cell]:
        """Of every page that lives, or of the `first` so many."""
        for number in range(1, min(self.count, first or self.count) + 1):
            if number % _TOLD_EVERY == 0:
                self._tell(Opening(SAVING, number, self.count))
            if self._lives(number):
                yield from self._cells(number, self._page(number))

    def older(self) -> Iterator[Cell]:
        """Of what was covered by a newer page, newest first. Their overflow pages may be of another time: then the
        row's checksum says so.
        """
        covered = [frame for frame in reversed(self._frames) if self._newest[frame.page] != frame.at]
        for frame in covered:
            yield from self._cells(frame.page, self._frame(frame.at))
        for number in sorted(self._newest):
            if number <= self._in_file:
                yield from self._cells(number, self._read(self._file, (number - 1) * self._bytes))

    # ---- pages ----

    def _page(self, number: int) -> bytes:
        """Empty where there is none."""
        if (at := self._newest.get(number)) is not None:
            return self._frame(at)
        return self._read(self._file, (number - 1) * self._bytes) if 1 <= number <= self._in_file else b""

    def _frame(self, at: int) -> bytes:
        return self._read(self._log, at) if self._log is not None else b""

    def _read(self, file: BinaryIO, at: int) -> bytes:
        file.seek(at)
        page = file.read(self._bytes)
        return page if len(page) == self._bytes else b""

    def _lives(self, number: int) -> bool:
        """Not given back, no overflow page, no pointer map. What the map says nothing sensible of is looked at."""
        if number == 1:
            return True
        map_page = 2 + (number - 2) // (self._mapped + 1) * (self._mapped + 1)
        if number == map_page:
            return False
        if self._map[0] != map_page:
            self._map = map_page, self._page(map_page)
        entry = (number - map_page - 1) * _MAP_ENTRY
        kind = self._map[1][entry : entry + 1]
        return not kind or (kind[0] != _FREE and kind[0] not in _OVERFLOW)

    # ---- cells ----

    def _cells(self, number: int, page: bytes) -> Iterator[Cell]:
        start = 100 if number == 1 else 0
        if not page or page[start] not in (_TABLE_LEAF, _INDEX_LEAF, _INDEX_INTERIOR):
            return
        kind = page[start]
        count = int.from_bytes(page[start + 3 : start + 5], "big")
        first = start + (12 if kind == _INDEX_INTERIOR else 8)
        for at in range(first, min(first + 2 * count, len(page) - 1), 2):
            cell = self._cell(page, int.from_bytes(page[at : at + 2], "big"), kind)
            if cell is not None:
                yield cell

    def _cell(self, page: bytes, at: int, kind: int) -> Cell | None:
        """None for what makes no sense."""
        try:
            if kind == _INDEX_INTERIOR:
                at += 4
            size, at = _varint(page, at)
            rowid = 0
            if kind == _TABLE_LEAF:
                rowid, at = _varint(page, at)
            payload = self._payload(page, at, size, most=len(page) - 35 if kind == _TABLE_LEAF else self._most_in_index)
            return Cell(kind == _TABLE_LEAF, rowid, _values(payload))
        except (IndexError, ValueError, struct.error):
            return None

    def _payload(self, page: bytes, at: int, size: int, most: int) -> bytes:
        """All of a row, its overflow pages included (section 1.5). Raises ValueError."""
        if size > min(MOST_BYTES, self.count * self._bytes):
            raise ValueError("longer than the file")
        if size <= most:
            if at + size > len(page):
                raise ValueError("beyond its page")
            return page[at : at + size]
        local = self._least + (size - self._least) % (self._bytes - 4)
        local = local if local <= most else self._least
        parts, have = [page[at : at + local]], local
        following = int.from_bytes(page[at + local : at + local + 4], "big")
        while have < size:
            content = self._page(following)
            if not content:
                raise ValueError("its overflow is lost")
            parts.append(content[4 : 4 + size - have])
            have += len(parts[-1])
            following = int.from_bytes(content[:4], "big")
        return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Value, and where the next thing begins. Raises IndexError."""
    value = 0
    for n in range(8):
        byte = data[at + n]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + n + 1
    return value << 8 | data[at + 8], at + 9


def _values(payload: bytes) -> tuple[Value, ...]:
    """The columns of a row (section 2.1). Raises IndexError, ValueError."""
    head, at = _varint(payload, 0)
    if not at <= head <= len(payload):
        raise ValueError("no header")
    values: list[Value] = []
    place = head
    while at < head:
        kind, at = _varint(payload, at)
        size = _INTEGERS.get(kind, (kind - 12) // 2 if kind >= 12 else 0)
        content = payload[place : place + size]
        if len(content) != size:
            raise ValueError("shorter than it says")
        values.append(_value(kind, content))
        place += size
    return tuple(values)


def _value(kind: int, content: bytes) -> Value:
    if kind == 0:
        return None
    if kind in _INTEGERS:
        return int.from_bytes(content, "big", signed=True)
    if kind in (8, 9):
        return kind - 8
    if kind < 12:
        raise ValueError("no kind of ours")
    return content if kind % 2 == 0 else content.decode("utf-8", "surrogateescape")
