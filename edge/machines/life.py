"""One machine, from its first sample on: observer, ledger kernel, open windows, and what people see of it.

Theory. `observe` is the hot path: one sample from the image into the kernel. Everything else happens once a commit:
`harvest` drains what the kernel finished, turns it into rows, and takes the checkpoint that belongs to exactly those
rows. `view` is a peek: it books nothing.

Rules. The checkpoint is one blob: config version, kernel state, open minutes. It is committed with the rows it explains
or not at all. Hours and shifts are sums of minute rows and are made anew from the store at a start. Time for counters
is monotonic time since the last sample of this process; after a restart it is wall time, and where that went backwards,
long enough to believe any change (the credit is then a lower bound, and says so).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge.calendar import NO_SHIFT, ShiftInstance, shift_of
from edge.calendar.feed import Stretch, runs_out, stretch
from edge.kpi.rollup import HOUR, HOUR_NS, SHIFT, Rollup, hour_of, shift_spans
from edge.kpi.row import Row
from edge.kpi.target import target_count
from edge.kpi.windows import MINUTE_NS, MinuteBook, renumbering
from edge.logs import facts
from edge.machines.observer import NO_STATE, UNSEEN, Observer, Sample
from edge.machines.pace import Pace, Timeline
from edge.machines.report import figures_of, merged
from edge.plan import Calendar, Machine, Name, Signal
from edge.snapshot import Figures, MachineView
from ext.buckets import Bucket, Correction, Counter
from ext.ledger import MachineLedger
from protocols.reading import Quality, TagImage

log = logging.getLogger(__name__)

OEE_TARGET = 0.85  # what the plan expects of scheduled time where the site file says nothing
LONG_NS = 86_400_000_000_000
_HEADER_END = b"\n"


@dataclass(frozen=True, slots=True)
class Harvest:
    """What one machine learned since the last commit."""

    rows: Sequence[Row]  # minute rows: to the store and out
    sums: Sequence[Row]  # hours and shifts: out only, the store can make them again
    stops: Sequence[tuple[int, int, int, int]]  # start, end, bucket, fault code
    checkpoint: bytes | None  # None: nothing changed since the last


class MachineLife:
    """One machine."""

    def __init__(
        self, machine: Machine, calendar: Calendar, images: Sequence[TagImage], config_version: str, now_ns: int
    ) -> None:
        self.machine = machine
        self._calendar = calendar
        self._images = images
        self._config_version = config_version
        self._observer = Observer(machine, images)
        self._kernel = MachineLedger(
            machine.hold_ns,
            tuple((int(c.counter), c.modulus, c.max_rate_per_s / c.multiplier, c.multiplier) for c in machine.counters),
            tuple((p.ideal_cycle_ns, p.slow_ns, p.small_stop_ns, p.stop_ns) for p in machine.products),
        )
        self._product_ids = [product.id for product in machine.products]
        self._book = self._new_book()
        self._shift_span = shift_spans(())
        self._hours = Rollup(HOUR, hour_of)
        self._shifts = Rollup(SHIFT, lambda key: self._shift_span(key))
        self._stretch = self._cover(now_ns, now_ns)
        self._pace = Pace()
        self._timeline = Timeline()
        self._sample = Sample(NO_STATE, UNSEEN.state, 0, machine.product_default, 0, (0, 0, 0))
        self._sampled_ns = 0
        self._monotonic_ns: int | None = None
        self._checkpoint = b""
        self.since_ns = 0  # first sample ever, as far as the store knows; 0 = none yet
        self._unobserved_ns = 0  # minutes before it have a provisional row
        self._corrections = dict.fromkeys(Correction, 0)

    @property
    def trigger(self) -> Signal | None:
        """The signal whose arrival samples this machine."""
        return self._observer.trigger

    # ---- readings ----

    def observe(self, t_ns: int, monotonic_ns: int) -> None:
        """Sample the machine from the images, as they are at `t_ns`."""
        if runs_out(self._stretch, t_ns):
            self._stretch = self._cover(self._kernel.booked_ns or t_ns, t_ns)
        sample = self._observer.sample(t_ns)
        total, good, reject = sample.counters
        elapsed_ns = self._elapsed_ns(t_ns, monotonic_ns)
        self._kernel.push(
            t_ns, elapsed_ns, sample.bucket, sample.fault_code, sample.product, sample.mask, total, good, reject
        )
        self._sample, self._sampled_ns, self._monotonic_ns = sample, t_ns, monotonic_ns
        self._pace.mark(t_ns, self._kernel.made[0])
        self._timeline.begin(t_ns)
        self.since_ns = self.since_ns or t_ns

    def _elapsed_ns(self, t_ns: int, monotonic_ns: int) -> int:
        if not self._kernel.started:
            return 0
        if self._monotonic_ns is not None:
            return monotonic_ns - self._monotonic_ns
        wall_ns = t_ns - self._kernel.t_ns
        return wall_ns if wall_ns >= 0 else LONG_NS

    def _cover(self, from_ns: int, now_ns: int) -> Stretch:
        """Give the kernel and the shift sums the calendar around now."""
        days = stretch(self._calendar, from_ns, now_ns)
        self._kernel.set_calendar(days.start, days.end, days.kind, days.shift)
        self._shift_span = shift_spans(
            [shift_of(self._calendar, number) for number in sorted(set(days.shift)) if number != NO_SHIFT]
        )
        return days

    # ---- commits ----

    def harvest(self, now_ns: int, *, minute: bool, open_windows: bool = False) -> Harvest:
        """Drain.

        `minute`: a minute has passed, so also rows of minutes nobody can decide yet, and the sums; `open_windows`: the
        open ones too.
        """
        kernel, book = self._kernel, self._book
        book.add(kernel.cells())
        stops = kernel.stops()
        self._timeline.add(stops)
        self._note_corrections()
        rows = book.finished(kernel.booked_ns) if kernel.started else []
        self._hours.add(rows)
        self._shifts.add(rows)
        open_rows = self._provisional(now_ns) if kernel.started else []
        sums: list[Row] = []
        if minute and kernel.started:
            sums = [
                *self._hours.finished(kernel.booked_ns),
                *self._shifts.finished(kernel.booked_ns),
                *self._hours.provisional(open_rows),
                *self._shifts.provisional(open_rows),
            ]
            present_ns = now_ns - now_ns % MINUTE_NS
            rows += [row for row in open_rows if open_windows or self._unobserved_ns <= row.key.start_ns < present_ns]
            self._unobserved_ns = present_ns
        checkpoint = self._dump()
        changed = checkpoint != self._checkpoint
        self._checkpoint = checkpoint
        return Harvest(rows, sums, stops, checkpoint if changed else None)

    def _provisional(self, now_ns: int) -> list[Row]:
        """Minute rows that are not final, as they would be if nothing more came."""
        cells, _, _, _ = self._kernel.peek(max(now_ns, self._kernel.booked_ns))
        return self._book.provisional(cells)

    def _note_corrections(self) -> None:
        for t_ns, counter, correction, old, new, credited, lost_max, unattributed in self._kernel.corrections():
            kind = Correction(correction)
            self._corrections[kind] += 1
            log.log(
                logging.INFO if kind in (Correction.BASELINE, Correction.ROLLOVER) else logging.WARNING,
                "counter",
                extra=facts(
                    machine=self.machine.id,
                    counter=Counter(counter).name.lower(),
                    correction=kind.name.lower(),
                    t_ns=t_ns,
                    old=old,
                    new=new,
                    credited=credited,
                    lost_max=lost_max,
                    unattributed=unattributed,
                ),
            )

    # ---- checkpoints ----

    def _new_book(self) -> MinuteBook:
        return MinuteBook(
            self.machine.id,
            self._product_ids,
            lambda number: shift_of(self._calendar, number),
            tier=self.machine.tier,
            config_version=self._config_version,
        )

    def _dump(self) -> bytes:
        kernel, book = self._kernel.dump(), self._book.dump()
        header = {
            "config": self._config_version,
            "kernel": len(kernel),
            "since_ns": self.since_ns,
            "corrections": list(self._corrections.values()),
        }
        return json.dumps(header).encode() + _HEADER_END + kernel + book

    def restore(self, blob: bytes | None, now_ns: int) -> ShiftInstance | None:
        """Go on from a checkpoint. One that this build cannot read is said and left: counters begin at a new baseline.

        Returns the shift running now, whose stored rows `remember` wants.
        """
        if blob is not None:
            try:
                self._load(blob)
            except ValueError as error:
                log.error("checkpoint", extra=facts(machine=self.machine.id, detail=str(error)))  # noqa: TRY400
        self._stretch = self._cover(self._kernel.booked_ns or now_ns, now_ns)
        return self._shift_at(now_ns)

    def _load(self, blob: bytes) -> None:
        head, _, rest = blob.partition(_HEADER_END)
        header = json.loads(head)
        size = int(header["kernel"])
        book = rest[size:]
        self._kernel.load(rest[:size], renumbering(book, self._product_ids))
        self._book.load(book, self._kernel.cells())
        self.since_ns = int(header["since_ns"])
        self._corrections = dict(zip(Correction, header["corrections"], strict=True))
        self._unobserved_ns = self._kernel.t_ns - self._kernel.t_ns % MINUTE_NS

    def remember(self, rows: Sequence[Row]) -> None:
        """Stored minute rows of this hour and shift: the running sums start from them."""
        final = [row for row in rows if row.final]
        self._hours.add(final)
        self._shifts.add(final)

    def _shift_at(self, t_ns: int) -> ShiftInstance | None:
        for start_ns, end_ns, number in zip(self._stretch.start, self._stretch.end, self._stretch.shift, strict=True):
            if start_ns <= t_ns < end_ns:
                return shift_of(self._calendar, number) if number != NO_SHIFT else None
        return None

    # ---- views ----

    def view(self, now_ns: int) -> MachineView:
        """The machine as it is now."""
        machine, sample = self.machine, self._sample
        bucket, since_ns, fault_code = Bucket.UNKNOWN, now_ns, 0
        open_rows: list[Row] = []
        if self._kernel.started:
            cells, number, since_ns, fault_code = self._kernel.peek(max(now_ns, self._kernel.booked_ns))
            bucket = Bucket(number) if number != NO_STATE else Bucket.UNKNOWN
            open_rows = self._book.provisional(cells)
        seen = bucket is not Bucket.UNKNOWN
        shift, hour = self._shift_at(now_ns), now_ns - now_ns % HOUR_NS
        shift_rows = self._shifts.provisional(open_rows)
        product = machine.products[sample.product]
        made = self._kernel.made
        return MachineView(
            id=machine.id,
            name=machine.name,
            kind=machine.kind,
            line=machine.line,
            product=product.id,
            product_name=product.name,
            bucket=bucket,
            state=sample.state if seen else UNSEEN.state,
            state_since_ns=since_ns,
            fault_code=fault_code,
            fault_text=next((f.text for f in machine.faults if f.code == fault_code), None),
            rate_per_min=self._pace.per_min(now_ns, made[0]) if seen else None,
            ideal_rate_per_min=60e9 / product.ideal_cycle_ns,
            age_ms=max(0, now_ns - self._sampled_ns) // 1_000_000 if self._sampled_ns else None,
            baseline=self._kernel.started and bool(sample.mask or not machine.counters),
            counted=made[0],
            shift=self._shift_figures(shift_rows, shift, now_ns),
            shift_name=shift.name if shift else "",
            shift_target=self._target(shift_rows, shift),
            hour=figures_of(
                merged([r for r in self._hours.provisional(open_rows) if r.key.start_ns == hour]), hour, now_ns
            ),
            timeline=self._timeline.spans(now_ns, bucket, since_ns, fault_code) if self._kernel.started else (),
            process_values=tuple(self._process_values()),
            corrections=(
                self._corrections[Correction.ROLLOVER],
                self._corrections[Correction.RESET] + self._corrections[Correction.REBASE],
                self._corrections[Correction.GLITCH],
                self._corrections[Correction.AMBIGUOUS],
            ),
        )

    def _shift_figures(self, rows: Sequence[Row], shift: ShiftInstance | None, now_ns: int) -> Figures | None:
        if shift is None:
            return None
        return figures_of(merged([r for r in rows if r.key.start_ns == shift.start_ns]), shift.start_ns, now_ns)

    def _target(self, rows: Sequence[Row], shift: ShiftInstance | None) -> int | None:
        if shift is None:
            return None
        ideal_ns = {product.id: product.ideal_cycle_ns for product in self.machine.products}
        planned = [(r.sums.ppt_ns, ideal_ns.get(r.key.product, 0)) for r in rows if r.key.start_ns == shift.start_ns]
        return target_count([p for p in planned if p[1]], OEE_TARGET)

    def _process_values(self) -> Iterator[tuple[str, Name, float | None, str]]:
        for value in self.machine.process_values:
            image = self._images[value.device]
            good = image.quality[value.tag] <= Quality.UNCERTAIN
            yield value.name, value.label, image.f64[value.tag] if good else None, value.unit
