"""One machine, from its first fact on: intake, ledger in the order of time, open windows, and what people see of it.

Theory. `observe` is the hot path: what is new in the images becomes a fact. Everything else happens once a commit:
`harvest` lets the ledger hear the facts (`edge.machines.in_order`), turns what it finished into rows, and takes the
checkpoint that belongs to exactly those rows. `view` is a peek: it books nothing.

Late facts. Whatever comes within the watermark is heard in the order of time and changes nothing. What comes later
opens the windows it touches again: rows with revision + 1, and a `Revision` that says which, why and when. `backfill`
is the same door for readings from the past: a server's history of a gap.

Rules. The checkpoint is committed with the rows it explains or not at all. Hours, shifts and days are sums of minute
rows and are made anew from the store at a start. Time for counters is the difference of the facts' times while the
clock is not set; where it was, monotonic time; after a restart wall time, and where that went backwards, long enough to
believe any change (the credit is then a lower bound, and says so). The calendar is made anew before it runs out,
whether or not anybody hears of the machine: a plant may be off for weeks. Facts more than 35 days apart are not of one
life: the machine begins anew, and says so.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edge.calendar import production_day
from edge.errors import Text
from edge.kpi.failures import FailureSums
from edge.kpi.means import of_machine
from edge.kpi.rollup import HOUR, HOUR_NS, SHIFT
from edge.kpi.row import Row
from edge.kpi.target import target_count
from edge.logs import facts
from edge.machines.books import Books, Present
from edge.machines.core import Ahead, Core
from edge.machines.corrections import tell
from edge.machines.events import Revision, StopEvent
from edge.machines.failing import Failing
from edge.machines.in_order import InOrder, Lateness
from edge.machines.intake import Intake
from edge.machines.journal import Fact, Stop
from edge.machines.kernel import APART_NS, DAY_NS
from edge.machines.observer import NO_STATE, UNSEEN, Observer
from edge.machines.pace import Timeline
from edge.machines.published import News
from edge.machines.report import figures_of, sums_of
from edge.machines.revisions import HISTORY, LATE, came_too_late, opened_again, tell_revision
from edge.machines.signals import used_signals
from edge.machines.stops import SHOWN_NS, StopTeller
from edge.machines.watermark import watermark_ns
from edge.plan import Calendar, Capability, Machine, Name, ProcessValue, Signal
from edge.recording.tape import Tape
from edge.snapshot import Figures, MachineView
from ext.buckets import Bucket, Correction
from protocols.reading import Quality, TagImage

log = logging.getLogger(__name__)

LONG_NS = DAY_NS  # with it a counter believes any change
SHOWN_VALUES = 40  # process values of a machine that a view has: more than a page can show; all are stored
SET_NS = 250_000_000  # wall and monotonic clock apart by more since the last fact: the clock was set
_NEVER_NS = 1 << 62
_HEADER_END = b"\n"


@dataclass(frozen=True, slots=True)
class Harvest:
    """What one machine learned since the last commit."""

    rows: Sequence[Row]  # minute rows: to the store and out
    sums: Sequence[Row]  # hours, shifts, days: out only, the store can make them again
    stops: Sequence[StopEvent]
    revisions: Sequence[Revision]
    checkpoint: bytes | None  # None: nothing changed since the last
    pages: Sequence[tuple[int, bytes]]  # slot and content: of the journal, to be kept beside the checkpoint


@dataclass(slots=True)
class _Left:
    """The last of a life that is over."""

    rows: list[Row] = field(default_factory=list)
    sums: list[Row] = field(default_factory=list)
    stops: list[StopEvent] = field(default_factory=list)


class MachineLife:
    """One machine."""

    def __init__(
        self, machine: Machine, calendar: Calendar, images: Sequence[TagImage], config_version: str, now_ns: int
    ) -> None:
        self.machine = machine
        self._calendar = calendar
        self._images = images
        self._config_version = config_version
        self._intake = Intake(machine, images)
        self._trigger = Observer(machine, images).trigger
        self._wait_ns = watermark_ns(machine)
        self._failing = Failing(machine) if Capability.FAULT in of_machine(machine) else None
        self._begin(Core(machine, calendar, config_version, now_ns), 0)
        self._sampled_ns = 0
        self._era_ns: int | None = None  # monotonic less wall clock, of this process's facts; None: no fact yet
        self._set_back = False  # the clock was, while the agent was away
        self._cause = LATE
        self._checkpoint = b""
        self._left = _Left()
        self.since_ns = 0  # first sample ever, as far as the store knows; 0 = none yet
        self._corrections = dict.fromkeys(Correction, 0)
        self.late = 0  # readings that opened windows again, since the process began
        self.too_late = 0  # readings nobody could use any more
        self._shown: tuple[ProcessValue, ...] | None = None  # made when somebody looks
        self.tape: Tape | None = None  # writes down every fact, where that is wanted

    def _begin(self, core: Core, page: int) -> None:
        """A ledger with everything around it."""
        self._core = core
        self._facts = InOrder(core, self._wait_ns, page)
        self._books = Books(core, self._wait_ns)
        self._teller = StopTeller()
        self._timeline = Timeline()
        self._horizon_ns = 0

    @property
    def trigger(self) -> Signal | None:
        """The signal whose arrival samples this machine."""
        return self._trigger

    @property
    def devices(self) -> tuple[int, ...]:
        """The devices that feed this machine, by index."""
        return self._intake.devices

    def signals_of(self, device: int) -> dict[int, list[int]]:
        """By tag of a device: the signals that are read from it and can move the ledger."""
        found: dict[int, list[int]] = {}
        for index in sorted(used_signals(self.machine)):
            signal = self.machine.signals[index]
            if signal.device == device:
                found.setdefault(signal.tag, []).append(index)
        return found

    # ---- another configuration ----

    def follow(self, machine: Machine, images: Sequence[TagImage]) -> None:
        """The same ledger under other labels, fed from other places; its version must be the same."""
        self.machine, self._images = machine, images
        self._shown = None
        self._intake.follow(machine, images)
        self._trigger = Observer(machine, images).trigger

    def succeed(self, before: MachineLife, rows: Sequence[Row], now_ns: int) -> None:
        """Take over from a life of the same machine under other rules, right after its harvest: what was counted, the
        counters' last values and the open windows stay, what was read goes. `rows`: as for `remember`.
        """
        since_ns = self.restore(before.checkpoint, now_ns)
        self.remember([row for row in rows if row.key.start_ns >= since_ns])
        if self._failing is not None and before._failing is not None:
            self._failing.adopt(before._failing)
        self._timeline, self.late, self.too_late = before._timeline, before.late, before.too_late
        self._sampled_ns = before._sampled_ns

    @property
    def goes_on(self) -> bool:
        """It was counting before, and its counters go on where they stood."""
        return bool(self._facts.newest_ns)

    def standing(self, now_ns: int) -> list[Row]:
        """Every row that is not final, as it stands."""
        return self._books.standing(now_ns) if self._core.kernel.started else []

    def close(self, now_ns: int) -> Harvest:
        """The last of this life: its windows up to the last sample are final. Its checkpoint is of before: under the
        same name it may go on.
        """
        before = self.harvest(now_ns, minute=True)
        if not self._core.kernel.started:
            return before
        left = self._end()
        return replace(
            before, rows=[*before.rows, *left.rows], sums=[*before.sums, *left.sums], stops=[*before.stops, *left.stops]
        )

    # ---- readings ----

    def observe(self, t_ns: int, monotonic_ns: int, device: int | None = None, *, samples: bool = True) -> None:
        """Take what is new in the image of a device (None: of all), as read at `t_ns`.

        `samples`: the ledger takes a sample then; otherwise the readings wait for the next one.
        """
        readings = self._intake.news(device)
        if not samples and not readings:
            return
        if self.tape is not None:
            self.tape.note(t_ns, readings, samples=samples)
        self._take(Fact(t_ns, samples, readings), monotonic_ns)
        if samples:
            self._sampled_ns = max(self._sampled_ns, t_ns)

    def backfill(self, readings: Iterable[tuple[int, int, int, int]]) -> Lateness:
        """Readings from the past, in any order: (UTC ns, index into Machine.signals, raw integer, Quality). Every time
        is a sample. They reach back to `reach_ns`; what is older is counted, told, and returned.

        A value is believed for the machine's hold: a history of changes must repeat what stands. The ledger hears them
        at the next commit or view, at some 20 us each: a few thousand a call.
        """
        by_time: dict[int, list[int]] = {}
        for t_ns, *reading in readings:
            by_time.setdefault(t_ns, []).extend(reading)
        refused = Lateness()
        self._cause = HISTORY
        for t_ns in sorted(by_time):
            fact = Fact(t_ns, True, tuple(by_time[t_ns]))
            if self.tape is not None:
                self.tape.note(t_ns, fact.readings, samples=True)
            if self._facts.newest_ns and t_ns >= self._facts.start_ns:
                self._facts.take(fact)
            else:
                refused.note(fact)
                self._facts.too_late.note(fact)
        return refused

    @property
    def reach_ns(self) -> int:
        """How far back facts are taken, UTC ns; 0 = nothing was heard yet, and there is no past to fill."""
        return self._facts.start_ns

    def _take(self, fact: Fact, monotonic_ns: int) -> None:
        newest_ns, era_ns = self._facts.newest_ns, monotonic_ns - fact.t_ns
        elapsed_ns: int | None = None  # known: the clock was set since the newest fact
        if self._era_ns is None:
            elapsed_ns = LONG_NS if self._set_back else None
        elif abs(era_ns - self._era_ns) > SET_NS:
            elapsed_ns = max(0, monotonic_ns - (newest_ns + self._era_ns))
        if self._era_ns is None or elapsed_ns is not None:
            self._era_ns, self._set_back = era_ns, False
        ahead_ns = fact.t_ns - newest_ns
        if newest_ns and (ahead_ns > APART_NS or (elapsed_ns is not None and ahead_ns < -APART_NS)):
            self._begin_anew(fact.t_ns)
        elif newest_ns and elapsed_ns is not None:
            fact.elapsed_ns = elapsed_ns
            self._reopen(self._facts.start_over(fact))
            return
        if not self._facts.newest_ns:
            self._timeline.begin(fact.t_ns)
        self._facts.take(fact)

    def _begin_anew(self, t_ns: int) -> None:
        """Nobody heard of the machine for weeks, or a clock without battery was set: minutes without end would be
        booked, or none for years. What was counted stays in the store; the counters get a new baseline.
        """
        self._catch_up()
        days = (t_ns - self._facts.newest_ns) // DAY_NS
        text = Text(
            f"距上次读数 {days} 天（或时钟被改）；计数从新的基线开始，其间的件数不计入",
            f"{days} days since the last reading (or the clock was set); counting starts from a new baseline, pieces "
            "made in between are not counted",
        )
        log.error("begins anew", extra=facts(machine=self.machine.id, detail=str(text)))
        if self._failing is not None and self._core.kernel.started:
            self._failing.pause(self._core, self._ahead(self._core.kernel.t_ns), t_ns)
        left, core, ended = self._left, self._core, self._end()
        left.rows += ended.rows
        left.sums += ended.sums
        left.stops += ended.stops
        anew = Core(self.machine, self._calendar, self._config_version, t_ns)
        anew.observer.product = core.observer.product
        self._begin(anew, self._facts.page + 1)

    def _end(self) -> _Left:
        """Nothing more will come: everything up to the last sample, final."""
        self._facts.finish()
        rows = list(self._books.final(self._facts.final_ns).written)
        stops = [*self._news_of_stops(self._teller.shown_ns, _NEVER_NS), *self._teller.close()]
        minutes, sums = self._books.close()
        return _Left([*rows, *minutes], list(sums), stops)

    def _catch_up(self) -> None:
        """Let the ledger hear what came since the last time."""
        self._reopen(self._facts.catch_up())

    def _reopen(self, from_ns: int | None) -> None:
        if from_ns is None:
            return
        self._books.reopen(from_ns)
        if self._failing is not None:
            self._failing.reopen(from_ns)

    # ---- commits ----

    def harvest(self, now_ns: int, *, minute: bool, open_windows: bool = False) -> Harvest:
        """Drain.

        `minute`: a minute has passed, so also rows of minutes nobody can decide yet, stops that last, and the sums;
        `open_windows`: the open ones too.
        """
        self._catch_up()
        began_ns = self._core.began_ns
        if began_ns and not 0 < self.since_ns <= began_ns:  # a sample that came after the first may be older
            self.since_ns = began_ns
        self._core.reach(now_ns)
        left, self._left = self._left, _Left()
        final_ns = self._facts.final_ns
        news = self._books.final(final_ns)
        if self._failing is not None:
            self._failing.note(news.confirmed)
        present_ns = self._books.look(now_ns).since_ns if self._teller.waits else 0
        settled_ns = _NEVER_NS if open_windows else self._facts.settled_ns
        stops = [*left.stops, *self._news_of_stops(present_ns, settled_ns)]
        rows, sums = [*left.rows, *news.written], left.sums
        if minute and self._core.kernel.started:
            unfinished, changed = self._books.unfinished(now_ns, final_ns, open_windows=open_windows)
            rows += unfinished
            sums += changed
            stops += self._lasting(now_ns)
        revisions = self._revisions(news, minute=minute)
        self._let_go(now_ns)
        checkpoint = self._dump()
        changed_since = checkpoint != self._checkpoint
        self._checkpoint = checkpoint
        pages = self._facts.unsaved()
        return Harvest(rows, sums, stops, revisions, checkpoint if changed_since else None, pages)

    def _let_go(self, now_ns: int) -> None:
        """What no fact can change any more."""
        self._facts.trim()
        horizon_ns = self._facts.open_ns
        if horizon_ns != self._horizon_ns:
            self._horizon_ns = horizon_ns
            self._books.forget(horizon_ns)
            self._teller.forget(horizon_ns)
            if self._failing is not None and self._core.kernel.started:
                self._failing.settle(self._core, horizon_ns, self._open_windows(now_ns))

    def _open_windows(self, now_ns: int) -> dict[str, int]:
        """Starts of the hour and the shift that are open."""
        shift = self._core.shift_at(now_ns)
        hour = {HOUR: now_ns - now_ns % HOUR_NS}
        return hour | ({SHIFT: shift.start_ns} if shift else {})

    def _news_of_stops(self, present_ns: int, settled_ns: int) -> list[StopEvent]:
        """`present_ns`: since when the machine is in its present stretch; `settled_ns`: what ended before is told."""
        told = self._facts.take_told()
        for entry in told.corrections:
            self._corrections[tell(log, self.machine.id, entry)] += 1
        stops = [stop for _, stop in told.stops]
        for listener in (self._timeline, self._failing):
            if listener is not None:
                listener.take_back(told.taken_back)
                listener.take(stops)
        booked_ns, final_ns = self._core.kernel.booked_ns, self._facts.final_ns
        return self._teller.news(told, present_ns, booked_ns=booked_ns, settled_ns=settled_ns, final_ns=final_ns)

    def _lasting(self, now_ns: int) -> list[StopEvent]:
        """The stop the machine is in, once it lasted a while."""
        present = self._books.look(now_ns)
        if not self._baseline or present.bucket in (NO_STATE, Bucket.RUN) or now_ns - present.since_ns < SHOWN_NS:
            return []
        bucket = Bucket(present.bucket)
        return [self._teller.show(StopEvent(present.since_ns, now_ns, bucket, present.fault_code, is_open=True))]

    @property
    def _baseline(self) -> bool:
        return self._core.kernel.started and bool(self._core.sample.mask or not self.machine.counters)

    def _revisions(self, news: News, *, minute: bool) -> list[Revision]:
        found: list[Revision] = []
        late, too_late = self._facts.late, self._facts.too_late
        if news.revised:
            found.append(opened_again(self._cause, late, news.revised))
            self.late += late.readings
            self._facts.late, self._cause = Lateness(), LATE
        if minute and too_late.readings:
            found.append(came_too_late(too_late))
            self.too_late += too_late.readings
            self._facts.too_late = Lateness()
        for revision in found:
            tell_revision(log, self.machine.id, revision)
        return found

    # ---- checkpoints ----

    @property
    def checkpoint(self) -> bytes | None:
        """As of the last harvest; None before the first."""
        return self._checkpoint or None

    def _dump(self) -> bytes:
        core = self._core.dump()
        header = {
            "since_ns": self.since_ns,
            "corrections": list(self._corrections.values()),
            "stops": self._teller.dump(),
            "core": len(core),
        }
        if self._failing is not None:
            header["failing"] = self._failing.dump(self._facts.start_ns)
        return json.dumps(header).encode() + _HEADER_END + core + self._facts.dump()

    def restore(self, blob: bytes | None, now_ns: int, pages: Iterable[bytes] = ()) -> int:
        """Go on from a checkpoint and the pages of the journal beside it. One that this build cannot read is said and
        left: counters begin at a new baseline.

        Returns since when (UTC ns) `remember` wants the stored minute rows: the hour, the shift and the day of the
        oldest minute that may still change.
        """
        if blob is not None:
            try:
                self._load(blob, pages, now_ns)
            except ValueError as error:
                if self._failing is not None:
                    self._failing = Failing(self.machine, now_ns)
                self._begin(Core(self.machine, self._calendar, self._config_version, now_ns), 0)
                text = Text(
                    f"断点无法读取（{error}）；计数从新的基线开始，代理停运期间的件数不计入",
                    f"the checkpoint cannot be read ({error}); counting starts from a new baseline, pieces made while "
                    "the agent was away are not counted",
                )
                log.error("checkpoint", extra=facts(machine=self.machine.id, detail=str(text)))  # noqa: TRY400
        self._core.reach(now_ns)
        self._horizon_ns = self._facts.open_ns
        first_ns = min(self._horizon_ns or self._facts.start_ns or now_ns, now_ns)
        since_ns = min(first_ns - first_ns % HOUR_NS, production_day(self._calendar, first_ns).start_ns)
        shift = self._core.shift_at(first_ns)
        return min(since_ns, shift.start_ns) if shift else since_ns

    def _load(self, blob: bytes, pages: Iterable[bytes], now_ns: int) -> None:
        """Raises ValueError."""
        head, _, rest = blob.partition(_HEADER_END)
        try:
            header = json.loads(head)
            size, since_ns = int(header["core"]), int(header["since_ns"])
            corrections = [int(number) for number in header["corrections"]]
            core = Core(self.machine, self._calendar, self._config_version, now_ns)
            same = core.load(rest[:size], now_ns)
            self._begin(core, 0)
            told = self._facts.load(rest[size:], pages)
            self._teller.load(header["stops"])
            self._load_failures(header.get("failing"), told)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a checkpoint, or a damaged one: {error!r}") from error
        if not same:
            self._facts.forget()
        self._set_back = now_ns < self._facts.newest_ns
        self.since_ns = since_ns
        self._corrections.update(zip(Correction, corrections, strict=False))  # kinds are appended by later builds

    def _load_failures(self, saved: Mapping[str, Any] | None, told: Iterable[Stop]) -> None:
        """Of a life that knew nothing of failures: from what is open on."""
        if self._failing is None:
            return
        if saved is not None:
            self._failing.load(saved, told)
        else:
            self._failing = Failing(self.machine, max(self._facts.open_ns, 1))

    def remember(self, rows: Iterable[Row]) -> None:
        """Stored minute rows since the time `restore` asked for, oldest first, in as many calls as wanted."""
        started = self._core.kernel.started
        horizon_ns, final_ns = (self._horizon_ns, self._facts.final_ns) if started else (_NEVER_NS, _NEVER_NS)
        self._books.remember(rows if started else [row for row in rows if row.final], horizon_ns, final_ns)

    # ---- views ----

    def view(self, now_ns: int, *, whole: bool = True) -> MachineView:
        """The machine as it is now; `whole`: with what people look at: ratios, target, its hour, its timeline and its
        process values (`SHOWN_VALUES` at most).
        """
        self._catch_up()
        core, books = self._core, self._books
        core.reach(now_ns)
        machine, sample, kernel = self.machine, core.sample, core.kernel
        present = books.look(now_ns) if kernel.started else Present(NO_STATE, now_ns, 0, ())
        bucket = Bucket(present.bucket) if present.bucket != NO_STATE else Bucket.UNKNOWN
        since_ns, fault_code = present.since_ns, present.fault_code
        seen = bucket is not Bucket.UNKNOWN
        shift, hour_ns = core.shift_at(now_ns), now_ns - now_ns % HOUR_NS
        shift_rows = books.window(SHIFT, present, shift.start_ns) if shift else []
        product = machine.products[core.observer.product]
        made = kernel.made
        broken = self._failures(now_ns) if whole else {}
        return MachineView(
            id=machine.id,
            name=machine.name,
            kind=machine.kind,
            line=machine.line,
            tier=machine.tier,
            product=product.id,
            product_name=product.name,
            bucket=bucket,
            state=sample.state if seen else UNSEEN.state,
            state_since_ns=since_ns,
            fault_code=fault_code,
            fault_text=next((f.text for f in machine.faults if f.code == fault_code), None),
            rate_per_min=core.pace.per_min(now_ns, made[0]) if seen else None,
            ideal_rate_per_min=60e9 / product.ideal_cycle_ns,
            age_ms=max(0, now_ns - self._sampled_ns) // 1_000_000 if self._sampled_ns else None,
            baseline=self._baseline,
            counted=made[0],
            shift=self._figures(shift_rows, shift.start_ns, now_ns, broken.get(SHIFT), whole=whole) if shift else None,
            shift_name=shift.name if shift else "",
            shift_target=self._target(shift_rows) if shift and whole else None,
            hour=(
                figures_of(books.window(HOUR, present, hour_ns), machine, hour_ns, now_ns, broken.get(HOUR))
                if whole
                else None
            ),
            timeline=self._timeline.spans(now_ns, bucket, since_ns, fault_code) if whole and kernel.started else (),
            process_values=tuple(self._process_values()) if whole else (),
            more_values=max(0, len(machine.process_values) - SHOWN_VALUES) if whole else 0,
            corrections=(
                self._corrections[Correction.ROLLOVER],
                self._corrections[Correction.RESET] + self._corrections[Correction.REBASE],
                self._corrections[Correction.GLITCH],
                self._corrections[Correction.AMBIGUOUS],
            ),
            late=self.late,
            too_late=self.too_late,
        )

    def _figures(
        self, rows: Sequence[Row], start_ns: int, end_ns: int, broken: FailureSums | None, *, whole: bool
    ) -> Figures:
        return figures_of(rows, self.machine, start_ns, end_ns, broken) if whole else sums_of(rows, start_ns, end_ns)

    def _failures(self, now_ns: int) -> dict[str, FailureSums]:
        """By window: the failures that began in it so far. Catch up first."""
        if self._failing is None or not self._core.kernel.started:
            return {}
        return self._failing.sums(self._core, self._ahead(now_ns), self._open_windows(now_ns))

    def _ahead(self, now_ns: int) -> Ahead:
        """What was not harvested yet, and what would follow if nothing more came."""
        ahead, told = self._core.ahead(now_ns), self._facts.told
        stops = [*(stop for _, stop in told.stops), *ahead.stops]
        return replace(ahead, stops=stops, gone={start_ns for start_ns, *_ in told.taken_back})

    def _target(self, rows: Sequence[Row]) -> int | None:
        ideal_ns = {product.id: product.ideal_cycle_ns for product in self.machine.products}
        planned = [(row.sums.ppt_ns, ideal_ns.get(row.key.product, 0)) for row in rows]
        return target_count([p for p in planned if p[1]], self.machine.oee_target)

    def _process_values(self) -> Iterator[tuple[str, Name, float | None, str]]:
        if self._shown is None:
            self._shown = tuple(self.machine.process_values[:SHOWN_VALUES])
        for value in self._shown:
            image = self._images[value.device]
            good = image.quality[value.tag] <= Quality.UNCERTAIN
            yield value.name, value.label, image.f64[value.tag] if good else None, value.unit
