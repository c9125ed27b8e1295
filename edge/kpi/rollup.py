"""Hours, shifts and days: nothing but sums of minute rows, from the store or from memory. Pure.

Rules. Sums are integers, so their order does not matter and an auditor gets the same ones. A window is cut by product
and shift, as its minutes are; a day by product alone, because a night shift lies in two days and would meet itself.
Flags that a window's own sums decide (low coverage, suspect ideal cycle) are judged anew for every sum; flags of events
are united. Minutes of different configurations may meet in one window: it carries the newest version and
CONFIG_CHANGED.

`Rollup` keeps running sums, so that a live view does not add up a whole shift every second. Fill it at start from the
store:
    hours = Rollup(HOUR, hour_of); hours.add(stored minute rows of the open hour)
    per commit   hours.add(final minute rows)
                 rows = hours.finished(booked_ns) + hours.provisional(provisional minute rows)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from edge.calendar import ShiftInstance, production_day
from edge.kpi.figures import doubts
from edge.kpi.row import Row, RowKey, Sums
from edge.kpi.windows import MINUTE_NS, open_minute_ns
from edge.plan import Calendar
from ext.buckets import Flag

HOUR_NS = 60 * MINUTE_NS
HOUR, SHIFT, DAY = "1h", "shift", "1d"

SpanOf = Callable[[RowKey], tuple[int, int] | None]  # key of a minute → (start, end) of its window; None: it has none
_Windows = dict[RowKey, Row]


def hour_of(key: RowKey) -> tuple[int, int]:
    """The UTC hour of a minute."""
    start_ns = key.start_ns - key.start_ns % HOUR_NS
    return start_ns, start_ns + HOUR_NS


def shift_spans(shifts: Iterable[ShiftInstance]) -> SpanOf:
    """Start and end of a minute's shift, for the given shifts. A minute of no shift, or of another, has none."""
    spans = {(shift.name, shift.date.isoformat()): (shift.start_ns, shift.end_ns) for shift in shifts}
    return lambda key: spans.get((key.shift, key.shift_date))


def days_of(calendar: Calendar) -> SpanOf:
    """The production day of a minute, by the calendar: 23 to 25 hours where the clock changes."""
    day = production_day(calendar, 0)

    def span(key: RowKey) -> tuple[int, int]:
        nonlocal day
        if not day.start_ns <= key.start_ns < day.end_ns:
            day = production_day(calendar, key.start_ns)
        return day.start_ns, day.end_ns

    return span


def sum_rows(rows: Iterable[Row], window: str, span_of: SpanOf, *, booked_ns: int) -> list[Row]:
    """Rows of `window` ("1h" with `hour_of`, "shift" with `shift_spans`) from minute rows, each given once.

    Final are those that ended before `booked_ns`.
    """
    windows = Rollup(window, span_of)
    windows.add(rows)
    return windows.finished(booked_ns) + windows.provisional(())


class Rollup:
    """Running sums of one kind of window of any number of machines."""

    def __init__(self, window: str, span_of: SpanOf) -> None:
        self._window = window
        self._span_of = span_of
        self._open: _Windows = {}

    def add(self, rows: Iterable[Row]) -> None:
        """Take in final minute rows, each once."""
        self._gather(self._open, rows)

    def finished(self, booked_ns: int) -> list[Row]:
        """Final rows of the windows that ended before `booked_ns`, handed out once and forgotten."""
        until_ns = open_minute_ns(booked_ns)
        done = [key for key, row in self._open.items() if row.end_ns <= until_ns]
        return [_judged(self._open.pop(key), final=True) for key in done]

    def provisional(self, rows: Iterable[Row]) -> list[Row]:
        """The open windows with provisional minute rows on top. Changes nothing."""
        seen = {key: _copy(row) for key, row in self._open.items()}
        self._gather(seen, rows)
        return [_judged(row, final=False) for row in seen.values()]

    def _key(self, minute: RowKey, start_ns: int) -> RowKey:
        if self._window == DAY:
            return RowKey(minute.machine, DAY, start_ns, minute.product, "", "")
        return replace(minute, window=self._window, start_ns=start_ns)

    def _gather(self, windows: _Windows, rows: Iterable[Row]) -> None:
        for row in rows:
            span = self._span_of(row.key)
            if span is None:
                continue
            key = self._key(row.key, span[0])
            before = windows.get(key)
            windows[key] = _joined(before, row) if before else replace(_copy(row), key=key, end_ns=span[1])


class Reopenable(Rollup):
    """Running sums of minutes that may be opened again for a while.

    `_base` is the sum of what cannot change any more, the open windows are `_base` and everything final since.
    """

    def __init__(self, window: str, span_of: SpanOf) -> None:
        super().__init__(window, span_of)
        self._base: _Windows = {}

    def settle(self, rows: Iterable[Row], before_ns: int) -> None:
        """These final rows, added before, change no more; windows that ended by `before_ns` are forgotten."""
        self._gather(self._base, rows)
        for windows in (self._base, self._open):
            for key in [key for key, row in windows.items() if row.end_ns <= before_ns]:
                del windows[key]

    def reopen(self, rows: Iterable[Row]) -> None:
        """Of what was added and not settled, only these rows stand."""
        self._open = {key: _copy(row) for key, row in self._base.items()}
        self._gather(self._open, rows)

    def rows(self, minutes: Iterable[Row], final_ns: int) -> list[Row]:
        """All windows with provisional minutes on top; final those that ended by `final_ns`."""
        return [replace(row, final=row.end_ns <= final_ns) for row in self.provisional(minutes)]


def _copy(row: Row) -> Row:
    return replace(row, sums=Sums().add(row.sums))


def _joined(window: Row, minute: Row) -> Row:
    """`window` with one more minute, its sums added in place."""
    window.sums.add(minute.sums)
    if window.config_version != minute.config_version:
        window.sums.flags |= Flag.CONFIG_CHANGED
    return replace(
        window,
        revision=window.revision + minute.revision,
        config_version=minute.config_version,
        tier=min(window.tier, minute.tier),
    )


def _judged(window: Row, *, final: bool) -> Row:
    window.sums.flags = int(doubts(window.sums))
    return replace(window, final=final)
