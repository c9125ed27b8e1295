"""How large the next piece of a backlog is, and how long the server rests behind it.

Theory. What is new and the backlog share one server: its CPU, its log, its disk. A piece of the backlog delays what is
new by as long as the server works on it, so that time is bounded, not the bytes: the same 100 kB are 5 ms for one
server and half a second for another. As a scavenger on a network does it (RFC 6817, LEDBAT), the quickest answer of
late is taken for the bare way to the server; what an answer takes beyond that is work, for this piece or for others.
Below the target the pieces grow by addition, above it they shrink by a factor.

Rules. Where a rate is set it is kept, and the server rests at least as long as it worked: half of its time is free for
others. Pieces are never smaller than `MIN_BYTES`: where that takes longer than the target, the rest grows with it.
Pure: times come in as durations.
"""

from __future__ import annotations

from collections import deque

TARGET_NS = 25_000_000  # work for one piece: what the newest value may have to wait for
MIN_BYTES = 16_384
FIRST_BYTES = 65_536
_STEP_BYTES = 8_192
_SHRINK = 0.7
_PIECES_PER_S = 16  # at least, where a rate is set
_REST_LIMIT_NS = 1_000_000_000
_REMEMBERED = 64  # answers among which the quickest is looked for: another way to the server is noticed in time
_NS_PER_S = 1_000_000_000


class Pace:
    """Of one backlog. `bytes_per_s`: the most that goes; 0 = no rate, and no rest."""

    def __init__(self, bytes_per_s: int) -> None:
        self.bytes_per_s = bytes_per_s
        self._piece_bytes = FIRST_BYTES
        self._answers_ns: deque[int] = deque(maxlen=_REMEMBERED)

    @property
    def piece_bytes(self) -> int:
        """The most of the next piece."""
        share = self.bytes_per_s // _PIECES_PER_S
        return max(MIN_BYTES, min(share, self._piece_bytes)) if share else self._piece_bytes

    def heard(self, answer_ns: int) -> None:
        """What is new was answered after so long: it goes the same way."""
        self._answers_ns.append(answer_ns)

    def answered(self, size_bytes: int, answer_ns: int, since_ns: int) -> int:
        """A piece was answered after `answer_ns`; `since_ns` ago it was begun, waiting included. Returns for how long
        the server rests now, in ns.
        """
        self.heard(answer_ns)
        work_ns = answer_ns - min(self._answers_ns)
        if work_ns > TARGET_NS:
            self._piece_bytes = max(MIN_BYTES, int(min(self._piece_bytes, size_bytes) * _SHRINK))
        elif 2 * size_bytes > self._piece_bytes:  # a small one says nothing about larger ones
            self._piece_bytes += _STEP_BYTES
        if not self.bytes_per_s:
            return 0
        return max(size_bytes * _NS_PER_S // self.bytes_per_s - since_ns, min(work_ns, _REST_LIMIT_NS))
