"""One machine, from its first sample on: observer, ledger kernel, open windows, and what people see of it.

Theory. `observe` is the hot path: one sample from the image into the kernel. Everything else happens once a commit:
`harvest` drains what the kernel finished, turns it into rows, and takes the checkpoint that belongs to exactly those
rows. `view` is a peek: it books nothing.

Rules. The checkpoint is one blob: config version, product, kernel state, open minutes. It is committed with the rows it
explains or not at all. Hours and shifts are sums of minute rows and are made anew from the store at a start. Time for
counters is monotonic time since the last sample of this process; after a restart it is wall time, and where that went
backwards, long enough to believe any change (the credit is then a lower bound, and says so). The calendar is made anew
before it runs out, whether or not anybody hears of the machine: a plant may be off for weeks. Samples more than 35 days
apart are not of one life: the machine begins anew, and says so.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge.calendar import NO_SHIFT, ShiftInstance, shift_of
from edge.calendar.feed import Stretch, runs_out, stretch
from edge.errors import Text
from edge.kpi.rollup import HOUR_NS
from edge.kpi.row import Row
from edge.kpi.target import target_count
from edge.kpi.windows import MINUTE_NS, MinuteBook
from edge.logs import facts
from edge.machines.books import Books, Present
from edge.machines.corrections import tell
from edge.machines.kernel import APART_NS, DAY_NS, new_kernel
from edge.machines.observer import NO_STATE, UNSEEN, Observer, Sample
from edge.machines.pace import Pace, Timeline
from edge.machines.report import figures_of, merged
from edge.plan import Calendar, Machine, Name, Signal
from edge.recording.tape import Tape
from edge.snapshot import MachineView
from ext.buckets import Bucket, Correction
from ext.ledger import MachineLedger
from protocols.reading import Quality, TagImage

log = logging.getLogger(__name__)

LONG_NS = DAY_NS  # with it a counter believes any change
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
        self._product_ids = [product.id for product in machine.products]
        self._kernel, self._books = self._new_books()
        self._stretch = self._cover(now_ns, now_ns)
        self._pace = Pace()
        self._timeline = Timeline()
        self._sample = Sample(NO_STATE, UNSEEN.state, 0, machine.product_default, 0, (0, 0, 0))
        self._sampled_ns = 0
        self._monotonic_ns: int | None = None
        self._checkpoint = b""
        self._left: list[Row] = []  # last rows of a life that is over
        self.since_ns = 0  # first sample ever, as far as the store knows; 0 = none yet
        self._corrections = dict.fromkeys(Correction, 0)
        self.tape: Tape | None = None  # writes down every sample, where that is wanted

    @property
    def trigger(self) -> Signal | None:
        """The signal whose arrival samples this machine."""
        return self._observer.trigger

    # ---- readings ----

    def observe(self, t_ns: int, monotonic_ns: int) -> None:
        """Sample the machine from the images, as they are at `t_ns`."""
        if self._kernel.started and abs(t_ns - self._kernel.t_ns) > APART_NS:
            self._begin_anew(t_ns)
        self._reach(t_ns)
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
        if self.tape is not None:
            self.tape.sample(t_ns, self._images)

    def _elapsed_ns(self, t_ns: int, monotonic_ns: int) -> int:
        if not self._kernel.started:
            return 0
        if self._monotonic_ns is not None:
            return monotonic_ns - self._monotonic_ns
        wall_ns = t_ns - self._kernel.t_ns
        return wall_ns if wall_ns >= 0 else LONG_NS

    def _begin_anew(self, t_ns: int) -> None:
        """Nobody heard of the machine for weeks, or a clock without battery was set: minutes without end would be
        booked, or none for years. What was counted stays in the store; the counters get a new baseline.
        """
        days = (t_ns - self._kernel.t_ns) // DAY_NS
        text = Text(
            f"距上次读数 {days} 天（或时钟被改）；计数从新的基线开始，其间的件数不计入",
            f"{days} days since the last reading (or the clock was set); counting starts from a new baseline, pieces "
            "made in between are not counted",
        )
        log.error("begins anew", extra=facts(machine=self.machine.id, detail=str(text)))
        self._left += [*self._books.finished(), *self._books.look(self._kernel.t_ns).rows]
        self._kernel, self._books = self._new_books()
        self._stretch = self._cover(t_ns, t_ns)
        self._pace, self._timeline = Pace(), Timeline()

    def _reach(self, now_ns: int) -> None:
        """Let the calendar reach beyond `now_ns`."""
        if runs_out(self._stretch, now_ns):
            self._stretch = self._cover(self._kernel.booked_ns or now_ns, now_ns)

    def _cover(self, from_ns: int, now_ns: int) -> Stretch:
        """Give the kernel and the shift sums the calendar around now, and around what is booked: a clock set back by
        days leaves it ahead.
        """
        days = stretch(self._calendar, min(from_ns, now_ns), max(now_ns, self._kernel.t_ns))
        self._kernel.set_calendar(days.start, days.end, days.kind, days.shift)
        self._books.know_shifts(
            shift_of(self._calendar, number) for number in sorted(set(days.shift)) if number != NO_SHIFT
        )
        return days

    # ---- commits ----

    def harvest(self, now_ns: int, *, minute: bool, open_windows: bool = False) -> Harvest:
        """Drain.

        `minute`: a minute has passed, so also rows of minutes nobody can decide yet, and the sums; `open_windows`: the
        open ones too.
        """
        self._reach(now_ns)
        rows = [*self._left, *self._books.finished()]
        self._left.clear()
        stops = self._kernel.stops()
        self._timeline.add(stops)
        self._note_corrections()
        sums: list[Row] = []
        if minute and self._kernel.started:
            unfinished, sums = self._books.unfinished(now_ns, open_windows=open_windows)
            rows += unfinished
        checkpoint = self._dump()
        changed = checkpoint != self._checkpoint
        self._checkpoint = checkpoint
        return Harvest(rows, sums, stops, checkpoint if changed else None)

    def _note_corrections(self) -> None:
        for entry in self._kernel.corrections():
            self._corrections[tell(log, self.machine.id, entry)] += 1

    # ---- checkpoints ----

    def _new_books(self) -> tuple[MachineLedger, Books]:
        machine = self.machine
        kernel = new_kernel(machine)
        book = MinuteBook(
            machine.id,
            self._product_ids,
            lambda number: shift_of(self._calendar, number),
            tier=machine.tier,
            config_version=self._config_version,
        )
        return kernel, Books(kernel, book, machine.hold_ns)

    def _dump(self) -> bytes:
        kernel, book = self._kernel.dump(), self._books.dump()
        header = {
            "config": self._config_version,
            "kernel": len(kernel),
            "since_ns": self.since_ns,
            "product": self._product_ids[self._observer.product],
            "corrections": list(self._corrections.values()),
        }
        return json.dumps(header).encode() + _HEADER_END + kernel + book

    def restore(self, blob: bytes | None, now_ns: int) -> int:
        """Go on from a checkpoint. One that this build cannot read is said and left: counters begin at a new baseline.

        Returns since when (UTC ns) `remember` wants the stored minute rows: the present hour, the present shift, and
        where the configuration changed, whatever is not booked yet.
        """
        config_version = self._config_version
        if blob is not None:
            try:
                config_version = self._load(blob)
            except ValueError as error:
                self._kernel, self._books = self._new_books()
                text = Text(
                    f"断点无法读取（{error}）；计数从新的基线开始，代理停运期间的件数不计入",
                    f"the checkpoint cannot be read ({error}); counting starts from a new baseline, pieces made while "
                    "the agent was away are not counted",
                )
                log.error("checkpoint", extra=facts(machine=self.machine.id, detail=str(text)))  # noqa: TRY400
        self._stretch = self._cover(self._kernel.booked_ns or now_ns, now_ns)
        since_ns = now_ns - now_ns % HOUR_NS
        if shift := self._shift_at(now_ns):
            since_ns = min(since_ns, shift.start_ns)
        if config_version != self._config_version and self._kernel.started:
            since_ns = min(since_ns, self._kernel.booked_ns - self._kernel.booked_ns % MINUTE_NS)
        return since_ns

    def _load(self, blob: bytes) -> str:
        """The configuration it was taken under. Raises ValueError."""
        head, _, rest = blob.partition(_HEADER_END)
        try:
            header = json.loads(head)
            size, since_ns = int(header["kernel"]), int(header["since_ns"])
            config_version, product = str(header["config"]), str(header["product"])
            corrections = [int(number) for number in header["corrections"]]
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a checkpoint, or a damaged one: {error!r}") from error
        self._books.load(rest[:size], rest[size:], self._product_ids)
        self.since_ns = since_ns
        if product in self._product_ids:
            self._observer.product = self._product_ids.index(product)
        self._corrections.update(zip(Correction, corrections, strict=False))  # kinds are appended by later builds
        return config_version

    def remember(self, rows: Sequence[Row]) -> None:
        """Stored minute rows since the time `restore` asked for: the running sums start from them."""
        self._books.remember(rows, self._config_version)

    def _shift_at(self, t_ns: int) -> ShiftInstance | None:
        for start_ns, end_ns, number in zip(self._stretch.start, self._stretch.end, self._stretch.shift, strict=True):
            if start_ns <= t_ns < end_ns:
                return shift_of(self._calendar, number) if number != NO_SHIFT else None
        return None

    # ---- views ----

    def view(self, now_ns: int) -> MachineView:
        """The machine as it is now."""
        self._reach(now_ns)
        machine, sample, books = self.machine, self._sample, self._books
        present = books.look(now_ns) if self._kernel.started else Present(NO_STATE, now_ns, 0, ())
        bucket = Bucket(present.bucket) if present.bucket != NO_STATE else Bucket.UNKNOWN
        since_ns, fault_code = present.since_ns, present.fault_code
        seen = bucket is not Bucket.UNKNOWN
        shift, hour_ns = self._shift_at(now_ns), now_ns - now_ns % HOUR_NS
        shift_rows = books.shift(present, shift.start_ns) if shift else []
        product = machine.products[self._observer.product]
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
            shift=figures_of(merged(shift_rows), shift.start_ns, now_ns) if shift else None,
            shift_name=shift.name if shift else "",
            shift_target=self._target(shift_rows) if shift else None,
            hour=figures_of(merged(books.hour(present, hour_ns)), hour_ns, now_ns),
            timeline=self._timeline.spans(now_ns, bucket, since_ns, fault_code) if self._kernel.started else (),
            process_values=tuple(self._process_values()),
            corrections=(
                self._corrections[Correction.ROLLOVER],
                self._corrections[Correction.RESET] + self._corrections[Correction.REBASE],
                self._corrections[Correction.GLITCH],
                self._corrections[Correction.AMBIGUOUS],
            ),
        )

    def _target(self, rows: Sequence[Row]) -> int | None:
        ideal_ns = {product.id: product.ideal_cycle_ns for product in self.machine.products}
        planned = [(row.sums.ppt_ns, ideal_ns.get(row.key.product, 0)) for row in rows]
        return target_count([p for p in planned if p[1]], self.machine.oee_target)

    def _process_values(self) -> Iterator[tuple[str, Name, float | None, str]]:
        for value in self.machine.process_values:
            image = self._images[value.device]
            good = image.quality[value.tag] <= Quality.UNCERTAIN
            yield value.name, value.label, image.f64[value.tag] if good else None, value.unit
