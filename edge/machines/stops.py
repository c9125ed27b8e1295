"""Stops as they are told: while they last, when they end, again when a late fact changed them, void when it undid them.

Rules. A stop is known by its start, and so is its point: telling it again overwrites it. A stop that ended is told once
the watermark has passed the fact that ended it, so facts that are in time undo no stop. It is closed when the minutes
it lies in are final; `revision` grows each time a closed one is told again with another content. One that later facts
undid is told once more as void, with no duration: sums of durations stay right, and a list can leave it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edge.machines.events import StopEvent
from edge.machines.in_order import Told
from edge.machines.journal import Stop
from ext.buckets import Bucket

SHOWN_NS = 10_000_000_000  # an open stop is told once it lasted this long


class StopTeller:
    """Remembers what was told of the stops of one machine, as far as it may still change."""

    def __init__(self) -> None:
        self._shown: dict[int, StopEvent] = {}  # by start: told as open, at most one
        self._doubted: dict[int, StopEvent] = {}  # told as ended, and not when time was lived again
        self._revisions: dict[int, int] = {}  # of those that were told again
        self._waiting: dict[int, tuple[int, StopEvent]] = {}  # ended, with the time of the fact that ended it
        self._final_ns = 0

    def news(self, told: Told, present_ns: int, *, booked_ns: int, settled_ns: int, final_ns: int) -> list[StopEvent]:
        """What is to be told. `present_ns`: since when the machine is in its present stretch; before `booked_ns`
        nothing is undecided; stops that ended by a fact before `settled_ns` are told, those that ended by `final_ns`
        are closed.
        """
        for taken_back in told.taken_back:
            stop = _event(taken_back)
            if self._waiting.pop(stop.start_ns, None) is None:
                self._doubted[stop.start_ns] = stop
        self._waiting |= {stop[0]: (t_ns, _event(stop)) for t_ns, stop in told.stops}
        ready = [self._waiting.pop(start)[1] for start, (t_ns, _) in list(self._waiting.items()) if t_ns < settled_ns]
        ended = [event for stop in ready if (event := self._ended(stop)) is not None]
        there = {present_ns, *self._waiting}
        gone = [start for start in self._shown if start not in there]
        gone += [start for start in self._doubted if start not in there and start < booked_ns]
        void = [self._void(start) for start in sorted(set(gone))]
        self._final_ns = final_ns
        return ended + void

    def _ended(self, stop: StopEvent) -> StopEvent | None:
        self._shown.pop(stop.start_ns, None)
        before = self._doubted.pop(stop.start_ns, None)
        if before == stop:
            return None
        return self._numbered(stop, before)

    def _void(self, start_ns: int) -> StopEvent:
        shown, doubted = self._shown.pop(start_ns, None), self._doubted.pop(start_ns, None)
        stop = doubted or shown
        assert stop is not None  # it is in one of the two
        return self._numbered(replace(stop, end_ns=start_ns, is_open=False, void=True), doubted)

    def show(self, stop: StopEvent) -> StopEvent:
        """Tell a stop that lasts."""
        before = self._doubted.pop(stop.start_ns, None)
        self._shown = {stop.start_ns: stop}
        return self._numbered(stop, before)

    @property
    def waits(self) -> bool:
        """Something was told that the present may contradict."""
        return bool(self._shown or self._doubted or self._waiting)

    @property
    def shown_ns(self) -> int:
        """Start of the stop that was told as lasting; 0 = none."""
        return next(iter(self._shown), 0)

    def close(self) -> list[StopEvent]:
        """The end of this life: a stop that lasts ended when it was last told."""
        return [self._numbered(replace(stop, is_open=False), None) for stop in self._shown.values()]

    def _numbered(self, stop: StopEvent, before: StopEvent | None) -> StopEvent:
        """`before`: as it had ended."""
        if before is not None and before.end_ns <= self._final_ns:
            self._revisions[stop.start_ns] = self._revisions.get(stop.start_ns, 0) + 1
        return replace(stop, revision=self._revisions.get(stop.start_ns, 0))

    def forget(self, before_ns: int) -> None:
        """Stops that began before are told no more."""
        for start_ns in [start for start in self._revisions if start < before_ns]:
            del self._revisions[start_ns]

    # ---- what outlives the process ----

    def dump(self) -> list[list[list[int]]]:
        """For a checkpoint, as JSON takes it."""
        return [
            *(
                [[s.start_ns, s.end_ns, s.bucket, s.fault_code] for s in stops.values()]
                for stops in (self._shown, self._doubted)
            ),
            [[start_ns, revision] for start_ns, revision in self._revisions.items()],
            [[t_ns, s.start_ns, s.end_ns, s.bucket, s.fault_code] for t_ns, s in self._waiting.values()],
            [[self._final_ns]],
        ]

    def load(self, saved: Sequence[Sequence[Sequence[int]]]) -> None:
        """Go on from a dump. Raises ValueError or TypeError for what is none."""
        shown, doubted, revisions, waiting, ((final_ns,),) = saved
        self._waiting = {stop[0]: (t_ns, _event((stop[0], stop[1], stop[2], stop[3]))) for t_ns, *stop in waiting}
        self._final_ns = final_ns
        self._shown = {start: StopEvent(start, end, Bucket(b), code, is_open=True) for start, end, b, code in shown}
        self._doubted = {start: StopEvent(start, end, Bucket(b), code) for start, end, b, code in doubted}
        self._revisions = {start: revision for start, revision in revisions}  # noqa: C416 - lists, as JSON has them


def _event(stop: Stop) -> StopEvent:
    start_ns, end_ns, bucket, fault_code = stop
    return StopEvent(start_ns, end_ns, Bucket(bucket), fault_code)
