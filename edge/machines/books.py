"""The windows of one machine that are not final yet, and the rows they become.

Theory. The kernel hands out cells; a minute is final once the kernel has booked past it, and hours and shifts are sums
of final minutes. What nobody can decide yet (a gap that the next count explains, a machine nobody sees) is looked at
by a peek: provisional rows, which are written once a minute and replaced by the final ones.

While a machine is silent, a peek walks all the time since its last sample, and after a night that is hundreds of
minutes. But once the state is no longer believed, a minute that ended stays as it is until the next sample. So such
minutes are folded: written once, added to running sums, and not looked at again. A machine that is off for a week
costs no more than one that is off for a minute.

Rules. Final rows leave once. Of provisional rows each minute is written once, each hour and shift as often as it
changed. Nothing here knows a clock or a reading; what is saved is saved together with the kernel's checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from edge.calendar import ShiftInstance
from edge.kpi.rollup import HOUR, SHIFT, Rollup, hour_of, shift_spans
from edge.kpi.row import Row, RowKey, Sums
from edge.kpi.windows import MINUTE_NS, MinuteBook, renumbering
from ext.ledger import MachineLedger


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

    sample: tuple[int, tuple[int, int, int]]  # the silence began with this sample: its time, pieces counted by then
    until_ns: int = 0  # minutes before are in `hours` and `shifts`
    hours: list[Row] = field(default_factory=list)  # of windows that are not over
    shifts: list[Row] = field(default_factory=list)


class Books:
    """One machine's open windows. `kernel` and `book` are shared with nobody else."""

    def __init__(self, kernel: MachineLedger, book: MinuteBook, hold_ns: int) -> None:
        self._kernel = kernel
        self._book = book
        self._hold_ns = hold_ns
        self._shift_span = shift_spans(())
        self._hours = Rollup(HOUR, hour_of)
        self._shifts = Rollup(SHIFT, self._span_of_shift)
        self._folded = _Folded((0, (0, 0, 0)))
        self._written_ns = 0  # minutes before have a row, and hours and shifts that ended before it theirs
        self._orphans: dict[RowKey, Row] = {}

    def know_shifts(self, shifts: Iterable[ShiftInstance]) -> None:
        """Start and end of every shift that rows may lie in."""
        self._shift_span = shift_spans(shifts)

    # ---- rows ----

    def finished(self) -> list[Row]:
        """Minute rows that became final, once."""
        self._book.add(self._kernel.cells())
        rows = self._book.finished(self._kernel.booked_ns)
        if self._orphans:
            rows += self._voided(rows)
        self._hours.add(rows)
        self._shifts.add(rows)
        return rows

    def look(self, now_ns: int) -> Present:
        """The machine at `now_ns` if nothing more came. Decides nothing."""
        kernel = self._kernel
        self._book.add(kernel.cells())
        sample = (kernel.t_ns, kernel.made)
        if self._folded.sample != sample:
            self._folded = _Folded(sample)
        from_ns = self._folded.until_ns
        cells, bucket, since_ns, fault_code = kernel.peek(max(now_ns, kernel.booked_ns), from_ns)
        rows = [row for row in self._book.provisional(cells) if row.key.start_ns >= from_ns]
        return Present(bucket, since_ns, fault_code, rows)

    def unfinished(self, now_ns: int, *, open_windows: bool) -> tuple[list[Row], list[Row]]:
        """Minute rows that ended without being final and were not written yet, and the sums that changed by them.

        `open_windows`: the minute of `now_ns` too. Call it once a minute, after `finished`.
        """
        rows = self.look(now_ns).rows
        over_ns = now_ns - now_ns % MINUTE_NS
        minutes = [row for row in rows if open_windows or self._written_ns <= row.key.start_ns < over_ns]
        sums = [
            *self._hours.finished(self._kernel.booked_ns),
            *self._shifts.finished(self._kernel.booked_ns),
            *self._changed(self._hours, self._folded.hours, rows),
            *self._changed(self._shifts, self._folded.shifts, rows),
        ]
        self._fold(rows, over_ns)
        self._written_ns = over_ns
        return minutes, sums

    def hour(self, present: Present, start_ns: int) -> list[Row]:
        """Rows of the hour that began at `start_ns`, by product and shift."""
        return self._window(self._hours, [*self._folded.hours, *present.rows], start_ns)

    def shift(self, present: Present, start_ns: int) -> list[Row]:
        """Rows of the shift that began at `start_ns`, by product."""
        return self._window(self._shifts, [*self._folded.shifts, *present.rows], start_ns)

    def _window(self, rollup: Rollup, rows: Sequence[Row], start_ns: int) -> list[Row]:
        return [row for row in rollup.provisional(rows) if row.key.start_ns == start_ns]

    def _changed(self, rollup: Rollup, folded: Sequence[Row], rows: Sequence[Row]) -> list[Row]:
        return [row for row in rollup.provisional([*folded, *rows]) if row.end_ns > self._written_ns]

    def _fold(self, rows: Sequence[Row], over_ns: int) -> None:
        """Past the time a state is believed, a minute that ended changes only by a sample."""
        folded = self._folded
        if over_ns <= max(self._kernel.t_ns + self._hold_ns, folded.until_ns):
            return
        ended = [row for row in rows if row.key.start_ns < over_ns]
        self._folded = _Folded(
            folded.sample,
            over_ns,
            _summed(Rollup(HOUR, hour_of), folded.hours, ended, over_ns),
            _summed(Rollup(SHIFT, self._span_of_shift), folded.shifts, ended, over_ns),
        )

    def _span_of_shift(self, key: RowKey) -> tuple[int, int] | None:
        return self._shift_span(key)

    # ---- what outlives the process ----

    def dump(self) -> bytes:
        """Finished cells of minutes that are not final. The kernel's open cell is named first, however old it is."""
        if self._kernel.started:
            self._book.provisional(self._kernel.peek(self._kernel.booked_ns)[0])
        return self._book.dump()

    def load(self, kernel_dump: bytes, book_dump: bytes, product_ids: Sequence[str]) -> None:
        """Go on from both dumps. Raises ValueError for one of another version; use neither then."""
        self._kernel.load(kernel_dump, renumbering(book_dump, product_ids))
        self._book.load(book_dump, self._kernel.cells())
        self._written_ns = self._kernel.t_ns - self._kernel.t_ns % MINUTE_NS

    def remember(self, rows: Sequence[Row], config_version: str) -> None:
        """Stored minute rows of the present hour and shift: running sums start from the final ones.

        Provisional ones of an earlier configuration may have been written under names (product, shift) that this one
        does not use for their minute any more: they are made void when their minute is final, or their time would
        count twice.
        """
        final = [row for row in rows if row.final]
        self._hours.add(final)
        self._shifts.add(final)
        self._orphans = {row.key: row for row in rows if not row.final and row.config_version != config_version}

    def _voided(self, rows: Sequence[Row]) -> list[Row]:
        """The same rows without anything in them, for those whose minute became final under another name."""
        for row in rows:
            self._orphans.pop(row.key, None)
        before_ns = self._kernel.booked_ns - self._kernel.booked_ns % MINUTE_NS
        over = [row for key, row in self._orphans.items() if key.start_ns < before_ns]
        for row in over:
            del self._orphans[row.key]
        return [replace(row, sums=Sums(), final=True) for row in over]


def _summed(rollup: Rollup, windows: Sequence[Row], minutes: Sequence[Row], over_ns: int) -> list[Row]:
    """Windows with these minutes added, those that are over left out."""
    rollup.add([*windows, *minutes])
    return [row for row in rollup.provisional(()) if row.end_ns > over_ns]
