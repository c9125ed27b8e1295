"""How fast a machine makes pieces now, and what it did in the last hour. Views only: figures come from the ledger."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from edge.snapshot import StateSpan
from ext.buckets import Bucket

PACE_NS = 60_000_000_000
STEP_NS = 1_000_000_000
TIMELINE_NS = 3_600_000_000_000


class Pace:
    """Output rate over the last minute observed, from at most one mark a second."""

    def __init__(self) -> None:
        self._marks: deque[tuple[int, int]] = deque(maxlen=PACE_NS // STEP_NS + 1)

    def mark(self, t_ns: int, made: int) -> None:
        """`made` pieces in all at `t_ns`."""
        while self._marks and t_ns < self._marks[-1][0]:
            self._marks.pop()  # the clock was set back, or time is lived again
        if self._marks and t_ns - self._marks[-1][0] < STEP_NS:
            return
        self._marks.append((t_ns, made))

    def per_min(self, t_ns: int, made: int) -> float | None:
        """Pieces per minute up to now; None before two seconds were seen."""
        while self._marks and t_ns - self._marks[0][0] > PACE_NS:
            self._marks.popleft()
        if not self._marks or t_ns - self._marks[0][0] < 2 * STEP_NS:
            return None
        since_ns, before = self._marks[0]
        return (made - before) * 60e9 / (t_ns - since_ns)


class Timeline:
    """The stretches of the last hour, oldest first. What lies between two stops was run time."""

    def __init__(self) -> None:
        self._stops: deque[StateSpan] = deque()
        self._from_ns = 0

    def begin(self, t_ns: int) -> None:
        """The machine was first seen at `t_ns`; nothing is said of earlier time."""
        self._from_ns = self._from_ns or t_ns

    def take(self, stops: Iterable[tuple[int, int, int, int]]) -> None:
        """Ended stops (start, end, bucket, fault code)."""
        for start_ns, end_ns, bucket, fault_code in stops:
            span = StateSpan(start_ns, end_ns, Bucket(bucket), fault_code)
            if self._stops and start_ns < self._stops[-1].start_ns:
                self._stops = deque(sorted((*self._stops, span), key=lambda one: one.start_ns))
            else:
                self._stops.append(span)

    def take_back(self, stops: Iterable[tuple[int, int, int, int]]) -> None:
        """Stops that later facts undid or changed."""
        starts = {start_ns for start_ns, *_ in stops}
        if starts:
            self._stops = deque(span for span in self._stops if span.start_ns not in starts)

    def spans(self, now_ns: int, bucket: Bucket, since_ns: int, fault_code: int) -> tuple[StateSpan, ...]:
        """The last hour up to `now_ns`, ending in the present stretch."""
        horizon_ns = max(now_ns - TIMELINE_NS, self._from_ns)
        while self._stops and self._stops[0].end_ns <= horizon_ns:
            self._stops.popleft()
        spans: list[StateSpan] = []
        at_ns = horizon_ns
        for stop in self._stops:
            if stop.start_ns > at_ns:
                spans.append(StateSpan(at_ns, stop.start_ns, Bucket.RUN, 0))
            spans.append(StateSpan(max(stop.start_ns, horizon_ns), stop.end_ns, stop.bucket, stop.fault_code))
            at_ns = stop.end_ns
        present_ns = max(since_ns, at_ns)
        if present_ns > at_ns:
            spans.append(StateSpan(at_ns, present_ns, Bucket.RUN, 0))
        if now_ns > present_ns:
            spans.append(StateSpan(present_ns, now_ns, bucket, fault_code))
        return tuple(spans)
