"""One machine as a function of its facts: image, observer, kernel, open minutes. The same facts in the same order give
the same core, to the bit.

Rules. The core hears facts in order of time and knows nothing of lateness. Its whole state is one blob: `dump` and
`load` are how `edge.machines.in_order` goes back to where a late fact belongs, and how a restart goes on. Time between
samples is the difference of the facts' times, unless a fact says better: wherever it was heard, the core is the same.
What a fact says holds for the next sample, however many facts without one, or restarts, lie between: the first that is
heard after the clock was set may be that a device is down.
A blob of another configuration keeps what was counted and forgets what was read: signals may be others now. The time
that was not booked yet by then is decided under rules it was not lived under, and its minutes say CONFIG_CHANGED.
"""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from edge.calendar import NO_SHIFT, ShiftInstance, shift_of
from edge.calendar.feed import Stretch, runs_out, stretch
from edge.kpi.failures import CLEARING
from edge.kpi.row import Row
from edge.kpi.windows import MinuteBook, open_minute_ns, renumbering
from edge.machines.journal import FROM_TIMES, Correction, Fact, Stop, unsqueezed
from edge.machines.kernel import feed, new_kernel
from edge.machines.observer import NO_STATE, UNSEEN, Observer, Sample
from edge.machines.pace import Pace
from edge.machines.signals import used_signals
from edge.plan import Calendar, Machine, Signal
from ext.buckets import Bucket, Flag
from ext.ledger import MachineLedger
from protocols.reading import TagImage

_HEADER_END = b"\n"


@dataclass(frozen=True, slots=True)
class Ahead:
    """What would be booked up to `until_ns` if nothing more came."""

    until_ns: int
    stops: Sequence[Stop]  # that were not told yet, the one that lasts cut at `until_ns`
    rows: Sequence[Row]  # minutes that are not final, in order of time
    gone: Collection[int] = ()  # starts of stops that were told and are undone


class Core:
    """One machine's ledger. `now_ns`: where the calendar begins to matter."""

    def __init__(self, machine: Machine, calendar: Calendar, config_version: str, now_ns: int) -> None:
        self.machine = machine
        self.calendar = calendar
        self.config_version = config_version
        self.kernel: MachineLedger = new_kernel(machine)
        self.book = MinuteBook(
            machine.id,
            [product.id for product in machine.products],
            lambda number: shift_of(calendar, number),
            tier=machine.tier,
            config_version=config_version,
        )
        self.image = TagImage(len(machine.signals))
        self._used = sorted(used_signals(machine))  # of the others nothing is ever heard
        own = tuple(Signal(signal.name, 0, index) for index, signal in enumerate(machine.signals))
        self.observer = Observer(replace(machine, signals=own), [self.image])
        self.sample = Sample(NO_STATE, UNSEEN.state, 0, machine.product_default, 0, (0, 0, 0))
        self.t_ns = 0  # of the last sample
        self._base_ns = 0  # the same on the clock of the facts to come: where it was set, not when the sample was read
        self._heard_ns = 0  # of the last fact
        self.began_ns = 0  # of the first sample; 0 = none yet, or nobody knows any more
        self.clearing: list[list[int]] = []  # first and last sample of stretches in states that only people end
        self.product = machine.product_default  # as the kernel has it
        self.pace = Pace()  # for views; no part of the state
        self.days: Stretch = self._cover(now_ns, now_ns)

    # ---- facts ----

    def hear(self, fact: Fact) -> None:
        """The next fact, in order of time."""
        image, t_ns, readings = self.image, fact.t_ns, fact.readings
        for at in range(0, len(readings), 3):
            signal = readings[at]
            image.i64[signal], image.quality[signal], image.t_ns[signal] = readings[at + 1], readings[at + 2], t_ns
        if fact.contradicts:
            self.book.doubt(t_ns, t_ns + 1, Flag.AMBIGUOUS)
        if fact.elapsed_ns != FROM_TIMES:
            self._base_ns = t_ns - fact.elapsed_ns - (self._heard_ns - self._base_ns)
        self._heard_ns = t_ns
        if not fact.samples:
            return
        self.reach(t_ns)
        sample = feed(self.kernel, self.observer, t_ns, t_ns - self._base_ns if self.t_ns else 0)
        if sample is None:
            return
        self._note_clearing(sample, t_ns)
        self.began_ns = self.began_ns or t_ns
        self.sample, self.t_ns, self.product = sample, t_ns, sample.product
        self._base_ns = t_ns
        self.book.add(self.kernel.cells())
        self.pace.mark(t_ns, self.kernel.made[0])

    def _note_clearing(self, sample: Sample, t_ns: int) -> None:
        """Failures count however short they are, where people had to end them."""
        if sample.bucket != Bucket.BREAKDOWN or sample.state not in CLEARING:
            return
        if self.clearing and self.clearing[-1][1] == self.t_ns:
            self.clearing[-1][1] = t_ns
        else:
            self.clearing.append([t_ns, t_ns])

    def forget_clearing(self, before_ns: int) -> None:
        """Stretches that ended before are asked for no more."""
        self.clearing = [stretch for stretch in self.clearing if stretch[1] >= before_ns]

    def ahead(self, now_ns: int) -> Ahead:
        """What would be booked if nothing more came: up to now, and no further than what was heard is believed."""
        kernel = self.kernel
        until_ns = max(kernel.t_ns, min(now_ns, kernel.t_ns + self.machine.hold_ns))
        scout = new_kernel(self.machine)
        scout.load(kernel.dump())
        scout.set_calendar(self.days.start, self.days.end, self.days.kind, self.days.shift)
        bucket, since_ns, fault_code = scout.finish(until_ns)
        stops: list[Stop] = scout.stops()
        if bucket not in (NO_STATE, Bucket.RUN) and since_ns < until_ns:
            stops.append((since_ns, until_ns, bucket, fault_code))
        return Ahead(until_ns, stops, self.book.provisional(kernel.peek(until_ns)[0]))

    def finish(self) -> None:
        """Nothing more will come: what is undecided is as it stands at the last sample."""
        if self.kernel.started:
            self.kernel.finish(self.kernel.t_ns)
            self.book.add(self.kernel.cells())

    def told(self) -> tuple[list[Stop], list[Correction]]:
        """Stops that ended and what the counters' decoders decided, since the last call."""
        return self.kernel.stops(), self.kernel.corrections()

    # ---- the calendar ----

    def reach(self, now_ns: int) -> None:
        """Let the calendar reach beyond `now_ns`, and back to what is not booked yet."""
        booked_ns = self.kernel.booked_ns
        if runs_out(self.days, now_ns) or 0 < booked_ns < self.days.start_ns:
            self.days = self._cover(booked_ns or now_ns, now_ns)

    def _cover(self, from_ns: int, now_ns: int) -> Stretch:
        """The calendar around now, and around what is booked: a clock set back by days leaves it ahead."""
        days = stretch(self.calendar, min(from_ns, now_ns), max(now_ns, self.kernel.t_ns))
        self.kernel.set_calendar(days.start, days.end, days.kind, days.shift)
        return days

    def shift_at(self, t_ns: int) -> ShiftInstance | None:
        """The shift of a moment the calendar reaches to."""
        days = self.days
        for start_ns, end_ns, number in zip(days.start, days.end, days.shift, strict=True):
            if start_ns <= t_ns < end_ns:
                return shift_of(self.calendar, number) if number != NO_SHIFT else None
        return None

    # ---- the whole state ----

    def dump(self) -> bytes:
        """Everything remembered. What `told` has not given yet is not part of it. Not compressed: the store writes what
        changed of it.
        """
        kernel = self.kernel
        if kernel.started:
            self.book.name(kernel.peek(kernel.booked_ns)[0])  # the kernel's open cell, however old it is
        ledger, book, image = kernel.dump(), self.book.dump(), self.image
        sample = self.sample
        header = {
            "config": self.config_version,
            "kernel": len(ledger),
            "book": len(book),
            "t_ns": self.t_ns,
            "base_ns": self._base_ns,
            "heard_ns": self._heard_ns,
            "began_ns": self.began_ns,
            "clearing": self.clearing,
            "product": self.machine.products[self.product].id,
            "memory": self.observer.memory,
            "sample": [
                sample.bucket, sample.state, sample.fault_code, sample.product, sample.mask, list(sample.counters)
            ],
        }  # fmt: skip
        columns = (image.i64, image.t_ns, image.quality)
        read = b"".join(array(column.typecode, [column[i] for i in self._used]) for column in columns)
        return json.dumps(header).encode() + _HEADER_END + ledger + book + read

    def load(self, blob: bytes, now_ns: int) -> bool:
        """Go on from a dump; False where it was of another configuration. Raises ValueError for what is no dump: use
        this core no more then.
        """
        try:
            head, _, rest = unsqueezed(blob).partition(_HEADER_END)
            header = json.loads(head)
            size, book_size = int(header["kernel"]), int(header["book"])
            same, t_ns, product = header["config"] == self.config_version, int(header["t_ns"]), str(header["product"])
            base_ns, heard_ns = int(header.get("base_ns", t_ns)), int(header.get("heard_ns", t_ns))
            began_ns, clearing = int(header.get("began_ns", 0)), header.get("clearing", [])
            memory = tuple(int(number) for number in header["memory"])
            bucket, state, fault_code, index, mask, (total, good, reject) = header["sample"]
        except (zlib.error, KeyError, TypeError) as error:
            raise ValueError(f"not a checkpoint, or a damaged one: {error!r}") from error
        ledger, book, read = rest[:size], rest[size : size + book_size], rest[size + book_size :]
        self._load_ledger(ledger, book, same=same)
        self.t_ns, self._base_ns, self._heard_ns = t_ns, base_ns, heard_ns
        self.began_ns, self.clearing = began_ns, [[int(first_ns), int(last_ns)] for first_ns, last_ns in clearing]
        ids = [one.id for one in self.machine.products]
        self.product = ids.index(product) if product in ids else 0
        if same:
            self._load_image(read)
            self.observer.memory = memory
            self.sample = Sample(bucket, state, fault_code, index, mask, (total, good, reject))
            return True
        if product in ids:
            self.observer.product = self.product
        if self.kernel.started:
            self.book.doubt(self.kernel.booked_ns, now_ns + 1, Flag.CONFIG_CHANGED)
        return False

    def _load_ledger(self, ledger: bytes, book: bytes, *, same: bool) -> None:
        """What the kernel had not handed out yet is of a past that is begun again, and goes."""
        kernel = self.kernel
        for drain in (kernel.cells, kernel.stops, kernel.corrections):
            drain()
        kernel.load(ledger, () if same else renumbering(book, [one.id for one in self.machine.products]))
        self.book.load(book, kernel.cells())

    def _load_image(self, read: bytes) -> None:
        """Of the signals that are used; earlier builds kept all of them."""
        image, size = self.image, len(read) // 17
        places = self._used if size == len(self._used) else range(image.size)
        if len(read) != 17 * len(places):
            raise ValueError(f"readings of {size} signals, {len(self._used)} of this machine are used")
        whole = array("q", read[: 16 * size])
        for at, place in enumerate(places):
            image.i64[place], image.t_ns[place] = whole[at], whole[size + at]
            image.quality[place] = read[16 * size + at]

    @property
    def open_minute_ns(self) -> int:
        """Start of the oldest minute that what is heard from here on may change; 0 = nothing was heard."""
        return open_minute_ns(self.kernel.booked_ns) if self.kernel.started else 0

    @property
    def oldest_minute_ns(self) -> int:
        """Start of the oldest minute of which no final row was given yet."""
        oldest_ns = self.book.oldest_ns
        return self.open_minute_ns if oldest_ns is None else min(oldest_ns, self.open_minute_ns)
