"""The windows of one machine that may still change, and the rows they become.

Theory. Minutes that are final (`edge.machines.in_order` says which) become rows once, and again only where time was
lived again and they are not what they were (`edge.machines.published`). Hours, shifts and days are sums of them. What
nobody can decide yet (a gap that the next count explains, the last seconds, a machine nobody sees) is looked at by a
peek: provisional rows, which are written once a minute and replaced by the final ones.

While a machine is silent, a peek would walk all the time since its last sample, and after a night that is hundreds of
minutes. But once the state is no longer believed, a minute that ended stays as it is until the next fact. So such
minutes are folded: written once, added to running sums, and a scout (a copy of the kernel that was told that nothing
more comes) stands where they end. A machine that is off for a week costs no more than one that is off for a minute.

Rules. Of provisional rows each minute is written once, each hour, shift and day as often as it changed. Nothing here
knows a clock or a reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from edge.calendar import NO_SHIFT, shift_of
from edge.calendar.feed import Stretch
from edge.kpi.rollup import DAY, HOUR, SHIFT, Reopenable, Rollup, SpanOf, days_of, hour_of, shift_spans
from edge.kpi.row import Row, RowKey, Sums
from edge.kpi.windows import MINUTE_NS
from edge.machines.core import Core
from edge.machines.kernel import new_kernel
from edge.machines.published import News, Published
from ext.ledger import MachineLedger

_EVER_NS = 1 << 62
_WINDOWS = (HOUR, SHIFT, DAY)


@dataclass(frozen=True, slots=True)
class Present:
    """What a peek says of now. `bucket` as the kernel's: -1 = nothing is booked yet."""

    bucket: int
    since_ns: int
    fault_code: int
    rows: Sequence[Row]  # provisional minute rows that are not folded


@dataclass(slots=True)
class _Folded:
    """Minutes of the present silence that were added up."""

    heard: tuple[int, tuple[int, int, int]]  # the silence began with this sample: its time, pieces counted by then
    until_ns: int = 0  # minutes before are in `sums`
    scout: MachineLedger | None = None  # stands there
    days: Stretch | None = None  # the calendar it was given
    sums: dict[str, list[Row]] = field(default_factory=dict)  # of windows that are not over


class Books:
    """One machine's open windows."""

    def __init__(self, core: Core, wait_ns: int) -> None:
        """`wait_ns`: the watermark; a minute that is not final that long after its end is shown as it stands."""
        self._core = core
        self._wait_ns = wait_ns
        self._published = Published()
        self._days: Stretch | None = None
        self._shift_span: SpanOf = shift_spans(())
        self._spans: dict[str, SpanOf] = {HOUR: hour_of, SHIFT: self._span_of_shift, DAY: days_of(core.calendar)}
        self._rollups = {window: Reopenable(window, span) for window, span in self._spans.items()}
        self._told: dict[RowKey, Row] = {}  # sums as they were written last
        self._folded = _Folded((0, (0, 0, 0)))
        self._written_ns = core.open_minute_ns  # minutes before have a row

    # ---- final rows ----

    def final(self, until_ns: int) -> News:
        """Minutes before `until_ns` are final: what that comes to."""
        news = self._published.final(self._core.book.finished(until_ns + 1), until_ns)
        for rollup in self._rollups.values():
            rollup.add(news.confirmed)
        if news.confirmed:
            self._folded = _Folded(self._folded.heard)  # they may have been folded
        return news

    def reopen(self, from_ns: int) -> None:
        """Time was lived again: minutes from here on are not final any more."""
        self._published.reopen(from_ns)
        settled = list(self._published.settled())
        for rollup in self._rollups.values():
            rollup.reopen(settled)
        self._folded = _Folded((0, (0, 0, 0)))
        self._written_ns = min(self._written_ns, from_ns)

    def forget(self, before_ns: int) -> None:
        """Nothing before can be opened again."""
        rows = self._published.forget(before_ns)
        for rollup in self._rollups.values():
            rollup.settle(rows, before_ns)

    # ---- the present ----

    def look(self, now_ns: int) -> Present:
        """The machine at `now_ns` if nothing more came. Decides nothing."""
        core = self._core
        kernel, heard = core.kernel, (core.kernel.t_ns, core.kernel.made)
        if self._folded.heard != heard:
            self._wake(heard)
        folded = self._folded
        if folded.scout is None:
            cells, bucket, since_ns, fault_code = kernel.peek(max(now_ns, kernel.booked_ns))
            rows = core.book.provisional(cells)
        else:
            if folded.days is not core.days:
                self._guide(folded.scout)
            cells, bucket, since_ns, fault_code = folded.scout.peek(max(now_ns, folded.until_ns), folded.until_ns)
            rows = [row for row in core.book.provisional(cells) if row.key.start_ns >= folded.until_ns]
        return Present(bucket, since_ns, fault_code, rows)

    def _wake(self, heard: tuple[int, tuple[int, int, int]]) -> None:
        """Something was heard. Minutes since what was heard before may have been written as they stood without it."""
        before_ns = self._folded.heard[0]
        if before_ns:
            self._written_ns = min(self._written_ns, before_ns - before_ns % MINUTE_NS)
        self._folded = _Folded(heard)

    def unfinished(self, now_ns: int, final_ns: int, *, open_windows: bool) -> tuple[list[Row], list[Row]]:
        """Minute rows that ended without being final and were not written yet, and the sums that changed since they
        were written.

        `open_windows`: whatever is not final. Call it once a minute, after `final`.
        """
        rows = self.look(now_ns).rows
        over_ns = now_ns - self._wait_ns
        over_ns -= over_ns % MINUTE_NS
        from_ns = self._folded.until_ns if open_windows else self._written_ns
        until_ns = _EVER_NS if open_windows else over_ns
        due = [row for row in rows if from_ns <= row.key.start_ns < until_ns]
        minutes = self._published.provisional(due, from_ns, until_ns)
        sums = self._changed(rows, final_ns, over_ns)
        self._fold(rows, over_ns)
        self._written_ns = max(self._written_ns, over_ns)
        return minutes, sums

    def close(self) -> tuple[list[Row], list[Row]]:
        """The end of this life: minute rows and sums up to its last sample, final. After a silence everything has been
        written as it stands.
        """
        if self._folded.scout is not None:
            return [], []
        t_ns = self._core.kernel.t_ns
        written = self.final(t_ns - t_ns % MINUTE_NS + MINUTE_NS).written
        return written, self._changed((), _EVER_NS, t_ns)

    def standing(self, now_ns: int) -> list[Row]:
        """Every row that is not final, of minutes and sums, as it stands: what would be written again."""
        minutes = [row for row in self.look(now_ns).rows if not row.final]
        return [*minutes, *(row for row in self._told.values() if not row.final)]

    def window(self, window: str, present: Present, start_ns: int) -> list[Row]:
        """Rows of the window (HOUR, SHIFT, DAY) that began at `start_ns`."""
        rows = [*self._folded.sums.get(window, ()), *present.rows]
        return [row for row in self._rollups[window].provisional(rows) if row.key.start_ns == start_ns]

    def _changed(self, rows: Sequence[Row], final_ns: int, over_ns: int) -> list[Row]:
        """Sums that are not as they were written last. A window that was over when it was written stays as it was until
        it is final; one that is gone while it lasts is made void.
        """
        now: dict[RowKey, Row] = {}
        for window in _WINDOWS:
            minutes = [*self._folded.sums.get(window, ()), *rows]
            windows = self._rollups[window].rows(minutes, final_ns)
            now |= {row.key: row for row in windows if row.final or row.end_ns > self._written_ns}
        gone = [
            row for key, row in self._told.items() if key not in now and row.end_ns > over_ns and row.sums != Sums()
        ]
        now |= {row.key: replace(row, sums=Sums(), final=False) for row in gone}
        changed = [row for key, row in now.items() if self._told.get(key) != row]
        self._told = now
        return changed

    # ---- silence ----

    def _fold(self, rows: Sequence[Row], over_ns: int) -> None:
        """Past the time a state is believed, a minute that ended changes only by a fact."""
        folded, core = self._folded, self._core
        if not core.kernel.started or over_ns <= max(core.kernel.t_ns + core.machine.hold_ns, folded.until_ns):
            return
        ended = [row for row in rows if row.key.start_ns < over_ns]
        folded.sums = {
            window: _summed(Rollup(window, self._spans[window]), folded.sums.get(window, ()), ended, over_ns)
            for window in _WINDOWS
        }
        scout = folded.scout
        if scout is None:
            scout = folded.scout = new_kernel(core.machine)
            scout.load(core.kernel.dump())
        self._guide(scout)
        scout.finish(over_ns)
        for drain in (scout.cells, scout.stops, scout.corrections):
            drain()
        folded.until_ns = over_ns

    def _guide(self, scout: MachineLedger) -> None:
        days = self._folded.days = self._core.days
        scout.set_calendar(days.start, days.end, days.kind, days.shift)

    def _span_of_shift(self, key: RowKey) -> tuple[int, int] | None:
        core = self._core
        if self._days is not core.days:
            self._days = core.days
            numbers = sorted(set(core.days.shift) - {NO_SHIFT})
            self._shift_span = shift_spans(shift_of(core.calendar, number) for number in numbers)
        return self._shift_span(key)

    # ---- a restart ----

    def remember(self, rows: Iterable[Row], open_ns: int, final_ns: int) -> None:
        """Stored minute rows, oldest first. Those before `open_ns` cannot change; from `final_ns` on none is final as
        the ledger stands.
        """
        rows = list(rows)
        old = [row for row in rows if row.final and row.key.start_ns < open_ns]
        new = [row for row in rows if not row.final or row.key.start_ns >= open_ns]
        self._published.remember(new, final_ns)
        firm = [row for row in new if row.final and row.key.start_ns < final_ns]
        for rollup in self._rollups.values():
            rollup.add(old)
            rollup.settle(old, open_ns)
            rollup.add(firm)


def _summed(rollup: Rollup, windows: Sequence[Row], minutes: Sequence[Row], over_ns: int) -> list[Row]:
    """Windows with these minutes added, those that are over left out."""
    rollup.add([*windows, *minutes])
    return [row for row in rollup.provisional(()) if row.end_ns > over_ns]
