"""Once a commit interval, or when much waits: everything the agent learned, as one transaction.

Theory. `gather` takes each machine in one step of the event loop, so what it takes of it is one instant: finished
ledger rows, stops, and the checkpoint that explains them. Between two machines the loop turns: a hundred of them in one
step would be a tenth of a second in which no PLC is asked. Nothing here is on the way of a reading: while the disk is
stuck (`edge.committer`), machines are sampled and counted as ever.

Rules. Live views are written at multiples of the live interval, open stops and window sums once a minute: the same
point again, so it overwrites. At a clean stop the open windows are written as they stand (final = false) and written
again when they close. A machine that comes back after weeks brings a row for every minute; a batch that has enough
rows leaves the other machines to the next one, each with its own checkpoint.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from edge import __version__
from edge.clock import Clock
from edge.committer import Committer
from edge.encode import Encoder
from edge.errors import StoreError
from edge.gaps.ledger import GapLedger
from edge.hub import Hub
from edge.kpi.row import Row, Sums
from edge.machines.life import Harvest, MachineLife
from edge.machines.values import ProcessValues
from edge.outbox.batch import Batch, Record, merge
from edge.outbox.store import Outbox
from edge.plan import Machine, SitePlan
from edge.points import RecordClass
from edge.poll.factory import Poller
from edge.poll.learned import Notebook
from edge.recording.recording import Recording
from ext.buckets import Bucket

MINUTE_NS = 60_000_000_000
ROWS_LIMIT = 10_000  # a week of minutes: about 20 MB while it is written
VALUES_LIMIT, VALUES_AT_ONCE = 10_000, 500  # process values of one batch, and of one step of the loop
AFTER_MINUTE_NS = 10_000_000_000  # what is written once a minute: most minutes are final by then, and written once
CHECKPOINT = "machine:"  # + machine id
JOURNAL = "journal:"  # + machine id : slot; facts that may still have to be heard again
META_SINCE = "since_ns:"  # + machine id: its first sample in this store
META_ALIVE = "alive_ns"  # when the last batch was gathered: what lies between it and the next start is a gap


@dataclass(slots=True)
class _Lines:
    """Points of one batch, by class."""

    by_class: dict[RecordClass, list[bytes]] = field(default_factory=dict)

    def add(self, record_class: RecordClass, line: bytes) -> None:
        if line:
            self.by_class.setdefault(record_class, []).append(line)

    def records(self) -> tuple[Record, ...]:
        """Highest class first: it is the last to be evicted."""
        return tuple(Record.of(c, self.by_class[c]) for c in sorted(self.by_class, reverse=True))


@dataclass(slots=True)
class _Harvested:
    """Of one batch: what the machines told."""

    lines: _Lines = field(default_factory=_Lines)
    rows: list[Row] = field(default_factory=list)
    checkpoints: list[tuple[str, bytes]] = field(default_factory=list)
    pages: list[tuple[str, bytes]] = field(default_factory=list)


_Stats = tuple[int, int, int, int, int, int]
_NO_STATS: _Stats = (0, 0, 0, 0, 0, 0)


class Recorder:
    """Gathers and commits. `run` is the task; `flush` writes what is open and ends."""

    def __init__(
        self,
        plan: SitePlan,
        lives: Sequence[MachineLife],
        hub: Hub,
        values: ProcessValues,
        pollers: Sequence[Poller],
        outbox: Outbox,
        clock: Clock,
        recording: Recording | None = None,
        notebook: Notebook | None = None,
    ) -> None:
        self._hub = hub
        self._clock = clock
        self._outbox = outbox
        self._notebook = notebook or Notebook()  # what was learned of devices
        self._committer = Committer(outbox, clock, plan.agent.commit_ns, self._tell_shed)
        self._assign(plan, lives, values, pollers, recording)
        self._renamed: list[tuple[MachineLife, Machine, Encoder]] = []  # what it was called before
        self._events: deque[bytes] = deque(maxlen=10_000)
        self._closed = False
        self._turn = asyncio.Lock()  # a batch is gathered when the one before is written
        self._live_due_ns = 0
        self._minute_due_ns = 0
        self._settle_due_ns = 0
        self._last_stats: dict[Poller, _Stats] = {}
        self.gaps = GapLedger(plan.site.id, plan.machines, [device.id for device in plan.devices])

    def _assign(
        self,
        plan: SitePlan,
        lives: Sequence[MachineLife],
        values: ProcessValues,
        pollers: Sequence[Poller],
        recording: Recording | None,
    ) -> None:
        self._plan = plan
        self._lives = lives
        self._values = values
        self._pollers = pollers
        self._recording = recording
        self._encoder = Encoder(plan.site)
        self._queue = deque(lives)  # whose turn it is

    def follow(
        self,
        plan: SitePlan,
        lives: Sequence[MachineLife],
        values: ProcessValues,
        pollers: Sequence[Poller],
        recording: Recording | None,
        renamed: Sequence[tuple[MachineLife, Machine]],
    ) -> None:
        """Another plan, from the next batch on; inside `hand_over` only. `renamed`: lives whose series have other names
        now, each with the machine it was; their open windows are taken along.
        """
        self._renamed = [(life, before, self._encoder) for life, before in renamed]
        self._assign(plan, lives, values, pollers, recording)
        self._last_stats = {poller: s for poller, s in self._last_stats.items() if poller in pollers}
        self._committer.follow(plan.agent.commit_ns)
        self.gaps.follow(plan.machines, [device.id for device in plan.devices], self._clock.now_ns())

    async def hand_over(
        self,
        ending: Collection[MachineLife],
        leaving: Collection[MachineLife],
        swap: Callable[[Batch], None],
        meta: Mapping[str, str],
    ) -> bool:
        """One last batch under the plan that was, `swap` in the same step of the event loop as its end, then the batch
        into the store. `ending`: lives that end; `leaving`: lives that somebody takes over from; `meta`: of the store,
        for a recording that begins. False where the disk refused: the batch is kept as ever.
        """
        async with self._turn:
            batch = await self.gather()
            batch = merge((batch, self._last_of(ending, leaving)))  # from here to `swap` nobody else runs
            recording = self._recording
            taken = recording.take() if recording is not None else []
            swap(batch)
            positions = await recording.write(taken) if recording is not None else ()
            if self._recording is not None and self._recording is not recording:
                self._recording.begin({**meta, **dict(positions)})
            return await self._committer.commit(replace(batch, meta=(*batch.meta, *positions)))

    def _last_of(self, ending: Collection[MachineLife], leaving: Collection[MachineLife]) -> Batch:
        """What only the plan that was can tell: of lives that go, facts of its devices, process values."""
        now_ns, harvested = self._clock.now_ns(), _Harvested()
        self._add_facts(harvested.lines)
        for life in ending:
            self._add_harvest(harvested, life, life.close(now_ns), now_ns)
        for life in leaving:
            self._add_harvest(harvested, life, life.harvest(now_ns, minute=False), now_ns)
        gaps = self.gaps.take(now_ns, minute=False)
        for gap in gaps:
            harvested.lines.add(RecordClass.EVENT, self._encoder.gap(gap))
        values = iter(lambda: self._encoder.tags(self._values.take(VALUES_AT_ONCE), self._plan.machines), None)
        records = (*harvested.lines.records(), *values)
        return Batch(
            now_ns, records, tuple(harvested.rows), tuple(harvested.checkpoints), (), gaps, tuple(harvested.pages)
        )

    def event(self, event: str, detail: str, clock_step_ns: int | None = None) -> None:
        """Something happened to the agent itself."""
        now_ns = self._clock.now_ns()
        self._events.append(
            self._encoder.agent(
                now_ns,
                event=event,
                detail=detail,
                version=__version__,
                config_version=self._plan.config_version,
                clock_step_ns=clock_step_ns,
            )
        )

    def again(self, life: MachineLife, rows: Sequence[Row]) -> Batch | None:
        """Rows that are stored, as points once more: a database that has them overwrites them with themselves."""
        lines = [self._encoder.ledger(row, life.machine) for row in rows]
        if not lines:
            return None
        return Batch(self._clock.now_ns(), (Record.of(RecordClass.LEDGER, lines),))

    def _tell_shed(self, record_class: RecordClass, records: int, start_ns: int, end_ns: int) -> None:
        self.gaps.shed(record_class.name.lower(), records, start_ns, end_ns)

    @property
    def refused(self) -> bool:
        """The disk takes no data now."""
        return self._committer.refused

    async def run(self) -> None:
        """Commit every interval until the last commit was made. Only a bug ends it."""
        while not self._closed:
            await self._pause()
            if not self._closed:
                await self.commit()
        await asyncio.Event().wait()

    async def _pause(self) -> None:
        """The interval, or less where much waits: a batch is bounded in bytes as well as in time. While the disk
        refuses, all of the pause.
        """
        pause_s = self._committer.pause_ns / 1e9
        if self._committer.refused:
            await asyncio.sleep(pause_s)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._values.plenty.wait()

    async def commit(self) -> bool:
        """Gather and make durable. False where the disk refused: the batch is kept and tried again with the next."""
        return await self._commit(closing=False)

    async def flush(self) -> bool:
        """The last commit: open windows as they stand. None follows, or the store would claim to have been alive for
        longer than its windows say.
        """
        self._closed = True
        return await self._commit(closing=True)

    async def _commit(self, *, closing: bool) -> bool:
        """Recorded readings go to their files first: what the store explains must be there to be replayed."""
        async with self._turn:
            batch = await self.gather(closing=closing)
            if self._recording is not None:
                positions = await self._recording.write(self._recording.take())
                batch = replace(batch, meta=(*batch.meta, *positions))
            stored = await self._committer.commit(batch)
            if stored:
                await self._settle_gaps()
            return stored

    async def _settle_gaps(self) -> None:
        """Once a minute, as rows become final: what they say goes with the next batch."""
        now_ns = self._clock.now_ns()
        if not _is_due(now_ns, self._settle_due_ns, MINUTE_NS):
            return
        self._settle_due_ns = now_ns + MINUTE_NS
        with suppress(StoreError):  # the page and the log say so already; the gaps wait
            await self.gaps.settle(self._outbox.hidden)

    async def gather(self, *, closing: bool = False) -> Batch:
        """One instant of each machine, and what else is to be told."""
        now_ns, harvested = self._clock.now_ns(), _Harvested()
        lines = harvested.lines
        minute = _is_due(now_ns, self._minute_due_ns, MINUTE_NS)
        live = _is_due(now_ns, self._live_due_ns, self._plan.agent.live_ns) or closing
        self._add_facts(lines)
        for _ in self._lives:
            if len(harvested.rows) > ROWS_LIMIT:
                break
            life = self._queue[0]
            self._queue.rotate(-1)
            await _let_others_run()
            moment_ns = now_ns if closing else self._clock.now_ns()  # windows end where the store's life does
            harvest = life.harvest(moment_ns, open_windows=closing, minute=minute or closing)
            self._add_harvest(harvested, life, harvest, moment_ns)
        self._add_renamed(lines, now_ns)
        if live:
            await self._add_live(lines, now_ns)
        if minute:
            self._add_device_sums(lines, now_ns)
            self._minute_due_ns = now_ns - (now_ns - AFTER_MINUTE_NS) % MINUTE_NS + MINUTE_NS
        gaps = self.gaps.take(self._clock.now_ns(), minute=minute)
        for gap in gaps:
            lines.add(RecordClass.EVENT, self._encoder.gap(gap))
        meta = [(META_ALIVE, str(now_ns)), *self._notebook.take()]
        if minute or closing:
            meta += [(META_SINCE + life.machine.id, str(life.since_ns)) for life in self._lives if life.since_ns]
        records = (*lines.records(), *[record async for record in self._kept_values()])
        return Batch(
            now_ns,
            records,
            tuple(harvested.rows),
            tuple(harvested.checkpoints),
            tuple(meta),
            gaps,
            tuple(harvested.pages),
        )

    def _add_harvest(self, harvested: _Harvested, life: MachineLife, harvest: Harvest, now_ns: int) -> None:
        harvested.rows += harvest.rows
        for row in (*harvest.rows, *harvest.sums):
            harvested.lines.add(RecordClass.LEDGER, self._encoder.ledger(row, life.machine))
        self._add_events(harvested.lines, life, harvest, now_ns)
        if harvest.checkpoint is not None:
            harvested.checkpoints.append((CHECKPOINT + life.machine.id, harvest.checkpoint))
        harvested.pages += [(f"{JOURNAL}{life.machine.id}:{slot}", page) for slot, page in harvest.pages]

    def _add_renamed(self, lines: _Lines, now_ns: int) -> None:
        """Windows that are open stand under the new names with all they hold, and under the old ones with nothing."""
        for life, before, encoder in self._renamed:
            for row in life.standing(now_ns):
                lines.add(RecordClass.LEDGER, encoder.ledger(replace(row, sums=Sums()), before))
                lines.add(RecordClass.LEDGER, self._encoder.ledger(row, life.machine))
        self._renamed.clear()

    def _add_events(self, lines: _Lines, life: MachineLife, harvest: Harvest, now_ns: int) -> None:
        machine, config_version = life.machine, self._plan.version_of(life.machine)
        for stop in harvest.stops:
            self.gaps.machine(machine.id, stop)
            lines.add(RecordClass.EVENT, self._encoder.stop(machine, stop, config_version))
        for revision in harvest.revisions:
            lines.add(RecordClass.EVENT, self._encoder.revision(machine, now_ns, revision, config_version))

    async def _kept_values(self) -> AsyncIterator[Record]:
        """Process values to be stored, some thousands at most: a site that begins has all of its values to tell."""
        for _ in range(0, VALUES_LIMIT, VALUES_AT_ONCE):
            record = self._encoder.tags(self._values.take(VALUES_AT_ONCE), self._plan.machines)
            if record is None:
                return
            yield record
            await _let_others_run()

    async def _add_live(self, lines: _Lines, now_ns: int) -> None:
        interval_ns = self._plan.agent.live_ns
        t_ns = now_ns - now_ns % interval_ns
        self._live_due_ns = t_ns + interval_ns
        for life in self._lives:
            await _let_others_run()
            view = life.view(self._clock.now_ns(), whole=False)
            shift = view.shift
            lines.add(
                RecordClass.LIVE,
                self._encoder.live(
                    life.machine,
                    t_ns,
                    bucket=view.bucket,
                    state=view.state,
                    fault_code=view.fault_code,
                    rate_per_min=view.rate_per_min,
                    product=view.product,
                    shift=view.shift_name,
                    shift_tc=shift.total if shift else None,
                    shift_gc=shift.good if shift else None,
                    shift_sc=shift.reject if shift else None,
                    shift_ppt_ns=shift.ppt_ns if shift else None,
                    shift_rt_ns=shift.rt_ns if shift else None,
                    shift_nrt_ns=shift.nrt_ns if shift else None,
                    shift_fpt_ns=shift.fpt_ns if shift else None,
                    shift_unknown_ns=shift.unknown_ns if shift else None,
                    shift_coverage=shift.coverage if shift else None,
                    shift_flags=int(shift.flags) if shift else None,
                    age_ms=view.age_ms,
                    observed=view.bucket is not Bucket.UNKNOWN,
                    tier=life.machine.tier,
                    config_version=self._plan.version_of(life.machine),
                ),
            )

    def _add_facts(self, lines: _Lines) -> None:
        lines.by_class.setdefault(RecordClass.EVENT, []).extend(self._events)
        if not lines.by_class[RecordClass.EVENT]:
            del lines.by_class[RecordClass.EVENT]
        self._events.clear()
        while self._hub.news:
            fact = self._hub.news.popleft()
            device = self._plan.devices[fact.device]
            lines.add(RecordClass.EVENT, self._encoder.device(device, fact.t_ns, up=fact.up, reason=fact.reason))
            self.gaps.device(fact)
        while self._hub.filled:
            self.gaps.filled(self._hub.filled.popleft())

    def _add_device_sums(self, lines: _Lines, now_ns: int) -> None:
        """What each device was asked and answered since the last minute."""
        for index, (device, poller) in enumerate(zip(self._plan.devices, self._pollers, strict=True)):
            s, before = poller.stats, self._last_stats.get(poller, _NO_STATS)
            now = (s.requests, s.exceptions, s.timeouts, s.reconnects, s.replies, s.latency_sum_ns)
            self._last_stats[poller] = now
            requests, exceptions, timeouts, reconnects, replies, latency_ns = (
                a - b for a, b in zip(now, before, strict=True)
            )
            state = self._hub.states[index]
            line = self._encoder.device(
                device,
                now_ns,
                up=state.up,
                reason=state.reason,
                latency_ms=latency_ns / replies / 1e6 if replies else None,
                requests=requests,
                exceptions=exceptions,
                timeouts=timeouts,
                reconnects=reconnects,
            )
            lines.add(RecordClass.EVENT, line)


async def _let_others_run() -> None:
    """One turn of the loop: whatever is due now goes first."""
    await asyncio.sleep(0)


def _is_due(now_ns: int, due_ns: int, interval_ns: int) -> bool:
    """Its time has come, or the clock was set back so far that it would not come for long."""
    return not due_ns - interval_ns <= now_ns < due_ns
