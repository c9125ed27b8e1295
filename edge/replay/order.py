"""Readings in the order of the file become samples in the order of time.

Theory. Readings of one machine with the same time are one sample. A sample is closed once the machine's newest reading
is more than the watermark ahead of it; until then readings may come in any order. A reading that comes after that is
late. It is kept, not dropped: late readings are merged into a further pass over the file. Late readings that come with
no more than a watermark of new ones between them are one arrival (a logger that sends what it held back).

Rules. Among readings of one signal with the same time the last one in the file wins. Memory holds one watermark of
readings, and late ones up to `CHUNK`; beyond that they lie sorted in a temporary file.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from tempfile import TemporaryFile
from typing import IO

from edge.replay.readings import Reading

CHUNK = 250_000
MOST_ARRIVALS = 9  # told apart; what comes after the last of them belongs to it

Sampled = Callable[[int, list[Reading]], None]  # time, readings of that time in the order of the file
OnLate = Callable[[int, Reading, int], None]  # time, reading, time of the newest reading when it came
Late = tuple[int, Reading, int]  # time, reading, number of its arrival

_LATE = struct.Struct("<qiqbqb")
_BLOCK_BYTES = _LATE.size * 4096


class Order:
    """One machine's readings, put in order within `watermark_ns`."""

    def __init__(self, watermark_ns: int, sampled: Sampled, late: OnLate) -> None:
        self._watermark_ns = watermark_ns
        self._sampled = sampled
        self._late = late
        self._newest_ns = 0
        self._open: dict[int, list[Reading]] = {}
        self._times: list[int] = []  # of the open samples, a heap

    def add(self, t_ns: int, reading: Reading) -> None:
        """The next reading in the file."""
        readings = self._open.get(t_ns)
        if readings is not None:
            readings.append(reading)
            return
        if t_ns < self._newest_ns - self._watermark_ns:
            self._late(t_ns, reading, self._newest_ns)
            return
        self._open[t_ns] = [reading]
        heapq.heappush(self._times, t_ns)
        if t_ns > self._newest_ns:
            self._newest_ns = t_ns
            self._close(t_ns - self._watermark_ns)

    def end(self) -> None:
        """No more readings: close what is open."""
        self._close(self._newest_ns + 1)

    def _close(self, before_ns: int) -> None:
        times = self._times
        while times and times[0] < before_ns:
            t_ns = heapq.heappop(times)
            self._sampled(t_ns, self._open.pop(t_ns))


class LateReadings:
    """One machine's late readings, in arrivals. `merged` gives them back by time, those of one time in the order of
    the file.
    """

    def __init__(self, watermark_ns: int) -> None:
        self._watermark_ns = watermark_ns
        self._chunk: list[Late] = []
        self._files: list[IO[bytes]] = []
        self.count = 0
        self.signals: set[int] = set()
        self.known_ns: list[int] = []  # by arrival: the newest reading when its last one came

    def add(self, t_ns: int, reading: Reading, newest_ns: int) -> None:
        """Keep one."""
        known_ns = self.known_ns
        if not known_ns or (newest_ns > known_ns[-1] + self._watermark_ns and len(known_ns) < MOST_ARRIVALS):
            known_ns.append(newest_ns)
        known_ns[-1] = newest_ns
        self._chunk.append((t_ns, reading, len(known_ns)))
        self.count += 1
        self.signals.add(reading[0])
        if len(self._chunk) == CHUNK:
            self._spill()

    def merged(self, arrivals: int) -> Iterator[Late]:
        """Those of the first `arrivals`, sorted."""
        by_time = itemgetter(0)
        self._chunk.sort(key=by_time)
        merged = heapq.merge(*map(_read_back, self._files), self._chunk, key=by_time)  # stable across chunks
        return (late for late in merged if late[2] <= arrivals)

    def close(self) -> None:
        """Let go of the temporary files."""
        for file in self._files:
            file.close()

    def _spill(self) -> None:
        self._chunk.sort(key=itemgetter(0))
        file = TemporaryFile()  # noqa: SIM115 - closed by `close`
        file.writelines(_LATE.pack(t_ns, *reading, arrival) for t_ns, reading, arrival in self._chunk)
        self._files.append(file)
        self._chunk.clear()


def _read_back(file: IO[bytes]) -> Iterator[Late]:
    file.seek(0)
    while block := file.read(_BLOCK_BYTES):
        for t_ns, slot, value, quality, late_ns, arrival in _LATE.iter_unpack(block):
            yield t_ns, (slot, value, quality, late_ns), arrival


def with_late(late: Iterable[Late], sampled: Sampled) -> Sampled:
    """A receiver of samples in time order that puts the late readings among them before it hands them to `sampled`.

    The newest reading is never late, so none is left over at the end.
    """
    pending = iter(late)
    following = next(pending, None)

    def receive(t_ns: int, readings: list[Reading]) -> None:
        nonlocal following
        while following is not None and following[0] <= t_ns:
            at_ns, here = following[0], list(readings) if following[0] == t_ns else []
            while following is not None and following[0] == at_ns:
                here.append(following[1])
                following = next(pending, None)
            if at_ns == t_ns:
                sampled(t_ns, here)
                return
            sampled(at_ns, here)
        sampled(t_ns, readings)

    return receive
