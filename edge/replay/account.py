"""One machine's samples into one machine's ledger, by the parts a live run uses: Observer, kernel, minute book, rollup.

Theory. Live, a machine is sampled when the block with its counters arrives; here every time at which the file has a
reading the ledger uses is a sample. A signal that was not read again holds its value with its quality and its age, and
the Observer believes it no longer than it would live. Time between samples is the difference of their times.

Rules. Nothing is booked beyond the last sample: what follows is nobody's knowledge. Samples more than 35 days apart
are not of one life, as live: the counters get a new baseline and the time between them is not booked. Of two values of
one signal at one time the last counts, and the minute says so (AMBIGUOUS). How uncertain the times of a counter are is
what its readings say (`late_max_ns`), not what the device in the site file would allow: a ledger whose uncertainty
changes goes on from its checkpoint under the new rule, as a live one does when the site file changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from edge.calendar import NO_SHIFT, shift_of
from edge.calendar.feed import Stretch, runs_out, stretch
from edge.kpi import catalogue
from edge.kpi.catalogue import Scope
from edge.kpi.evidence import Evidence
from edge.kpi.figures import doubts
from edge.kpi.rollup import SHIFT, Rollup, shift_spans
from edge.kpi.row import Row, RowKey, Sums
from edge.kpi.windows import MINUTE_NS, MinuteBook
from edge.machines.kernel import APART_NS, feed, new_kernel
from edge.machines.observer import NO_STATE, Observer
from edge.plan import Calendar, Machine, Signal
from edge.replay.document import (
    correction_document,
    figures_document,
    known_document,
    row_document,
    stop_document,
    total_document,
)
from edge.replay.evidence import Record
from edge.replay.readings import NOTHING, Reading
from edge.replay.spool import Document, Spool, to_json
from ext.buckets import Bucket, Flag
from ext.ledger import MachineLedger
from protocols.reading import TagImage

Revise = Callable[[Row], Row]  # gives a window its revision; called by start of window


class Account:
    """One machine's ledger. `sample` in time order, then `end`, then read; `close` lets go of its temporary files."""

    def __init__(self, machine: Machine, calendar: Calendar, config_version: str, revise: Revise) -> None:
        self.machine = machine
        self.windows = Spool()  # sums; their figures stand line by line in `_figures`
        self._figures = Spool()
        self.record = Record(machine)
        self.stops = Spool()
        self.corrections = Spool()
        self.shifts: list[Row] = []
        self.total = Sums()
        self.span: tuple[int, int] | None = None  # first and last sample
        self._calendar = calendar
        self._revise = revise
        self._revision = 0
        self._image = TagImage(len(machine.signals))
        own = tuple(Signal(signal.name, 0, index) for index, signal in enumerate(machine.signals))
        self._observer = Observer(replace(machine, signals=own), [self._image])
        self.config_version = config_version
        self._rollup = Rollup(SHIFT, self._span_of_shift)
        self._shift_span = shift_spans(())
        self._late_ns = [0] * len(machine.signals)
        self._begin()

    def _begin(self) -> None:
        """A ledger without a baseline."""
        self._kernel = self._new_kernel()
        self._book = MinuteBook(
            self.machine.id,
            [product.id for product in self.machine.products],
            lambda number: shift_of(self._calendar, number),
            tier=self.machine.tier,
            config_version=self.config_version,
        )
        self._stretch: Stretch | None = None
        self._last_ns = 0  # of the samples, also those in which nothing could be read
        self._drain_ns = 0

    # ---- samples ----

    def sample(self, t_ns: int, readings: Sequence[Reading]) -> None:
        """Everything that was read at `t_ns`; of one signal the last counts. No sample where all of it waits."""
        image, late_ns, sampled, contradicted = self._image, self._late_ns, False, False
        for slot, value, quality, late in readings:
            if slot == NOTHING:
                sampled = True
                continue
            if image.t_ns[slot] == t_ns and (image.i64[slot] != value or image.quality[slot] != quality):
                contradicted = True
            image.i64[slot], image.quality[slot], image.t_ns[slot] = value, quality, t_ns
            if late >= 0:
                sampled = True
            else:
                late = ~late
            if late != late_ns[slot]:
                late_ns[slot] = late
                self._respect_lateness()
        if contradicted:
            self._book.doubt(t_ns, t_ns + 1, Flag.AMBIGUOUS)
        if not sampled:
            return
        if self._kernel.started and t_ns - self._last_ns > APART_NS:
            self._settle(self._kernel.t_ns)
            self.record.stopped(self._kernel.t_ns, t_ns, Bucket.UNKNOWN, 0)
            self._begin()
        kernel = self._kernel
        elapsed_ns = t_ns - kernel.t_ns if kernel.started else 0
        if self._stretch is None or runs_out(self._stretch, t_ns):
            self._stretch = self._cover(t_ns)
        sample = feed(kernel, self._observer, t_ns, elapsed_ns)
        if not kernel.started:
            return
        self._last_ns = t_ns
        self.span = (self.span[0] if self.span else t_ns, t_ns)
        if sample is not None and sample.bucket == Bucket.BREAKDOWN:
            self.record.note(t_ns, sample.state)
        if t_ns >= self._drain_ns:
            self._drain_ns = t_ns - t_ns % MINUTE_NS + MINUTE_NS
            self._drain()

    def _new_kernel(self) -> MachineLedger:
        late_ns = self._late_ns
        counters = tuple(replace(rule, slack_ns=late_ns[rule.signal]) for rule in self.machine.counters)
        return new_kernel(replace(self.machine, counters=counters))

    def _respect_lateness(self) -> None:
        """From here on, under another uncertainty of times."""
        if not self._kernel.started:
            self._kernel, self._stretch = self._new_kernel(), None
            return
        self._drain()
        before, self._kernel = self._kernel, self._new_kernel()
        self._kernel.load(before.dump())
        self._stretch = None  # the next sample gives the calendar

    def _cover(self, now_ns: int) -> Stretch:
        days = stretch(self._calendar, self._kernel.booked_ns or now_ns, now_ns)
        self._kernel.set_calendar(days.start, days.end, days.kind, days.shift)
        self._shift_span = shift_spans(
            shift_of(self._calendar, number) for number in sorted(set(days.shift)) if number != NO_SHIFT
        )
        return days

    def _span_of_shift(self, key: RowKey) -> tuple[int, int] | None:
        return self._shift_span(key)

    # ---- rows ----

    def _drain(self) -> None:
        """What the kernel finished: rows of final minutes, ended stops, corrections."""
        self._book.add(self._kernel.cells())
        self._take(self._book.finished(self._kernel.booked_ns))
        self.shifts += self._rollup.finished(self._kernel.booked_ns)
        for stop in self._kernel.stops():
            self.stops.add(to_json(stop_document(*stop, is_open=False)))
            self.record.stopped(*stop)
        for correction in self._kernel.corrections():
            self.corrections.add(to_json(correction_document(correction)))

    def _settle(self, t_ns: int) -> None:
        """Book up to `t_ns` what is not decided yet, as it is if nothing more came."""
        bucket, since_ns, fault_code = self._kernel.finish(t_ns)
        self._drain()
        self._take(self._book.provisional(()))
        if bucket not in (NO_STATE, Bucket.RUN) and since_ns < t_ns:
            self.stops.add(to_json(stop_document(since_ns, t_ns, bucket, fault_code, is_open=True)))
            self.record.stopped(since_ns, t_ns, bucket, fault_code)

    def _take(self, minutes: Iterable[Row]) -> None:
        rows = [self._revise(row) for row in minutes]
        for row in rows:
            self.windows.add(to_json(row_document(row)))
            figures = catalogue.figures(self.record.of_window(row), Scope.WINDOW)
            self._figures.add(to_json(figures_document(figures)))
            self.record.take(row)
            self.total.add(row.sums)
            self._revision += row.revision
        self._rollup.add(rows)

    def end(self) -> None:
        """No more samples."""
        if self._kernel.started:
            self._settle(self._last_ns)
        self.shifts += self._rollup.provisional(())
        self.shifts.sort(key=lambda row: (row.key.start_ns, row.key.shift, row.key.product))
        self.total.flags = int(doubts(self.total))
        self.record.close(self.span)

    # ---- results ----

    def unread(self, signals: Iterable[int]) -> list[int]:
        """Those of these signals, by index, that the readings never gave."""
        return [signal for signal in sorted(signals) if not self._image.t_ns[signal]]

    @property
    def revision(self) -> int:
        """The sum of its windows'."""
        return self._revision

    @property
    def window_lines(self) -> Iterator[str]:
        """Windows with their figures, and the failures that began in them."""
        record = self.record
        for number, (window, found) in enumerate(zip(self.windows, self._figures, strict=True)):
            yield f'{window[:-1]}, "fe": {to_json(record.fe_of(number))}, "figures": {found}}}'

    @property
    def shift_documents(self) -> Iterator[Document]:
        """Shifts with all their figures."""
        for row in self.shifts:
            yield row_document(row) | known_document(self.record.of_shift(row), Scope.SHIFT)

    @property
    def known(self) -> Evidence:
        """Everything known of the machine."""
        return self.record.of_total(self.total)

    @property
    def totals(self) -> Document:
        """The sum of all windows, with every figure there is."""
        sums = total_document(self.total, self.span, self._revision, self.machine.tier, self.config_version)
        return sums | known_document(self.known, Scope.TOTAL) | self.record.proved()

    def close(self) -> None:
        """Let go of the temporary files."""
        for spool in (self.windows, self._figures, self.stops, self.corrections):
            spool.close()
