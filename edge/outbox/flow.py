"""What flows into the store, hour by hour: how long it will last without its databases, and what it costs the card.

Theory. Three numbers of every commit are added up by the hour of its time: bytes kept (records as they lie on the
disk), bytes handed to the disk by the writer's thread (`wchar` of /proc/thread-self/io: the write-ahead log, and the
pages folded from it into the file; a file system's own journal comes on top), and the time since the commit before.
Bytes kept per second of that time, over the last day, is the rate at which the store fills once nobody takes anything;
bytes handed over per byte kept is the wear.

Rules. Measured, never assumed: before half a minute there is no figure. A pause of the agent is no time. The hours
are saved once a minute with a commit that happens anyway; a kill costs a minute of them, and no data.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

META_FLOW = "flow"
HOUR_NS = 3_600_000_000_000
HOURS_KEPT = 24
SAVE_NS = 60_000_000_000
MEASURED_NS = 30_000_000_000  # before, there is no rate
PAUSE_NS = 15_000_000_000  # commits further apart are not of one run
RECORD_BYTES = 64  # of a row beside its lines: id, class, time, checksum, its share of the index and of the pages
_NS_PER_S = 1_000_000_000
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour, or a sum of them."""

    active_ns: int = 0
    commits: int = 0
    points: int = 0
    kept_bytes: int = 0
    written_bytes: int = 0  # 0 where the system does not tell

    def __add__(self, other: Hour) -> Hour:
        """Sums."""
        return Hour(
            self.active_ns + other.active_ns,
            self.commits + other.commits,
            self.points + other.points,
            self.kept_bytes + other.kept_bytes,
            self.written_bytes + other.written_bytes,
        )

    @property
    def bytes_per_s(self) -> float | None:
        """At which the store fills; None before half a minute."""
        return self.kept_bytes / (self.active_ns / _NS_PER_S) if self.active_ns >= MEASURED_NS else None

    @property
    def written_per_kept(self) -> float | None:
        """Bytes handed to the disk for each byte kept."""
        return self.written_bytes / self.kept_bytes if self.kept_bytes and self.written_bytes else None

    @property
    def written_per_day(self) -> float | None:
        """Bytes handed to the disk in a day at this rate; None before half a minute."""
        if self.active_ns < MEASURED_NS or not self.written_bytes:
            return None
        return self.written_bytes / (self.active_ns / _NS_PER_S) * _DAY_S


NO_FLOW = Hour()


class Flow:
    """Of one store. Lives in the writer's thread."""

    def __init__(self, hours: Mapping[int, Hour] | None = None) -> None:
        self._hours = dict(hours or {})
        self._last_ns: int | None = None
        self._saved_ns: int | None = None

    @classmethod
    def load(cls, text: str | None) -> Self:
        """From what `dump` gave; what cannot be read is forgotten: these are figures, not data."""
        with suppress(ValueError, TypeError, AttributeError):
            return cls({int(start): Hour(*map(int, hour)) for start, hour in json.loads(text or "{}").items()})
        return cls()

    def dump(self) -> str:
        """Every hour kept."""
        return json.dumps(
            {
                start: [h.active_ns, h.commits, h.points, h.kept_bytes, h.written_bytes]
                for start, h in self._hours.items()
            },
            separators=(",", ":"),
        )

    def add(self, t_ns: int, *, points: int, kept_bytes: int, written_bytes: int) -> None:
        """A commit at `t_ns`."""
        since_ns = t_ns - self._last_ns if self._last_ns is not None else 0
        self._last_ns = t_ns
        active_ns = since_ns if 0 <= since_ns <= PAUSE_NS else 0
        start = t_ns // HOUR_NS
        self._hours[start] = self._hours.get(start, Hour()) + Hour(active_ns, 1, points, kept_bytes, written_bytes)
        for old in sorted(self._hours)[:-HOURS_KEPT]:
            del self._hours[old]

    def due(self, t_ns: int) -> bool:
        """It is time to save; asked once a commit."""
        if self._saved_ns is None or not 0 <= t_ns - self._saved_ns < SAVE_NS:
            self._saved_ns = t_ns
            return True
        return False

    @property
    def total(self) -> Hour:
        """The last day."""
        return total(tuple(self._hours.values()))  # a copy at once: other threads look too


def total(hours: Iterable[Hour]) -> Hour:
    """Their sum."""
    found = Hour()
    for hour in hours:
        found = found + hour
    return found


class ThreadWrites:
    """Bytes the calling thread has handed to files so far, as the kernel counts them (proc(5), /proc/pid/io)."""

    def __init__(self) -> None:
        self._file: int | None = None

    def read(self) -> int:
        """Call it from one thread only. 0 where the system does not tell."""
        try:
            if self._file is None:
                self._file = os.open("/proc/thread-self/io", os.O_RDONLY | os.O_CLOEXEC)
            text = os.pread(self._file, 512, 0)
        except OSError:
            return 0
        return int(text.partition(b"wchar:")[2].split(None, 1)[0] or 0)

    def close(self) -> None:
        """Let go."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def autonomy_s(flow: Hour, *, bound_bytes: int, used_bytes: int, delivered_bytes: int, free_bytes: int) -> float | None:
    """How long the store can keep everything if no database takes anything from now on; None before it is measured.

    `used_bytes` of the file hold something, `delivered_bytes` of them every database has: they make room first.
    `free_bytes` are left on the disk.
    """
    rate = flow.bytes_per_s
    if not rate:
        return None
    room = min(bound_bytes - used_bytes, free_bytes) + delivered_bytes
    return max(0, room) / rate
