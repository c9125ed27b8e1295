"""Everything that runs for one site plan, and how it follows another.

    pollers ─► hub ─► machine lives ─► recorder ─► outbox ─► deliveries ─► databases
                          └► viewer ─► page, /metrics

Theory. What follows another plan is the whole agent at one instant: a last batch is gathered under the old plan and, in
the same step of the event loop, everything is wired by the new one. Before that step, what can fail or take time is
done: the store has all that was learned, rows and checkpoints that successors need are read. After it, only what is new
is started. Whatever the plans have in common is the very same object before and after: connections with their sockets,
ledgers with their open windows, deliveries with their cursors, the store, the page.

Rules. `follow` raises before it changed anything, or not at all. Connections that go are hung up before the step, so no
reading of theirs comes under the new plan.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.clock import SystemClock
from edge.delivery import Delivery
from edge.encode import Encoder
from edge.errors import StoreError, Text
from edge.hub import DeviceState, Hub
from edge.kpi.rollup import HOUR_NS
from edge.kpi.row import Row
from edge.kpi.windows import MINUTE
from edge.logs import facts
from edge.machines.life import MachineLife
from edge.machines.values import ProcessValues
from edge.outbox.batch import Batch
from edge.outbox.facts import ClassBound, OpenReport, StoreSettings
from edge.outbox.store import Outbox
from edge.outlook import Outlook
from edge.plan import InfluxSink, SitePlan
from edge.points import RecordClass
from edge.poll.factory import follow_sources, make_sources
from edge.poll.learned import Notebook
from edge.recorder import CHECKPOINT, JOURNAL, META_ALIVE, META_SINCE, Recorder
from edge.recording.recording import record
from edge.reload.diff import Change
from edge.sinks import Sink
from edge.sinks.factory import make_sink
from edge.snapshot import ReloadView
from edge.supervise import supervise
from edge.trust import pki_folder
from edge.view import Viewer
from edge.web.door import Door
from protocols.reading import TagImage

if TYPE_CHECKING:
    from edge.metrics import Metrics

log = logging.getLogger(__name__)

STATS_S = 1.0
RETRY_S = 5.0
TOLD_LATE_NS = HOUR_NS  # a minute is written when it is final, and once more where that changes
AT_ONCE_NS = 6 * HOUR_NS  # of stored minute rows, when a machine remembers


@dataclass(slots=True)
class _Feed:
    """One database and what keeps it fed."""

    settings: InfluxSink
    sink: Sink
    delivery: Delivery
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class _Heir:
    """A machine's next life under other rules, and the stored rows it is to remember."""

    life: MachineLife
    before: MachineLife
    rows: tuple[Row, ...]


class Runtime:
    """One running plan. `start`, then `follow` as often as the plan changes, then `stop`."""

    def __init__(self, plan: SitePlan, clock: SystemClock, started_ns: int) -> None:
        self.plan = plan
        self._clock = clock
        self._images = [TagImage(len(device.tags)) for device in plan.devices]
        self._lives = [self._life(plan, number, self._images) for number in range(len(plan.machines))]
        values = ProcessValues(plan.machines, self._images)
        self._hub = Hub(plan.devices, self._lives, values, clock)
        self._notebook = Notebook()
        self._pki = pki_folder(plan)
        self._sources = make_sources(
            plan.devices, self._images, self._hub, clock, pki=self._pki, notebook=self._notebook
        )
        self._outbox = Outbox(_store_settings(plan), clock, Encoder(plan.site).gap_record)
        self._feeds = [self._feed(settings) for settings in plan.sinks]
        self._recording = record(plan, self._lives, clock)
        self._recorder = Recorder(
            plan,
            self._lives,
            self._hub,
            values,
            self._sources.pollers,
            self._outbox,
            clock,
            self._recording,
            self._notebook,
        )
        self._viewer = Viewer(
            plan, self._lives, self._hub, self._sources, self._deliveries, clock, started_ns, self._recording
        )
        self._metrics: Metrics | None = None
        self._page = self._make_page(plan)
        self._reading: dict[int, asyncio.Task[None]] = {}  # by the first seat of the connection
        self._serving: list[asyncio.Task[None]] = []
        self._page_task: asyncio.Task[None] | None = None

    def _life(self, plan: SitePlan, number: int, images: Sequence[TagImage]) -> MachineLife:
        machine = plan.machines[number]
        calendar = next(calendar for calendar in plan.calendars if calendar.id == machine.calendar)
        return MachineLife(machine, calendar, images, plan.version_of(machine), self._clock.now_ns())

    def _feed(self, settings: InfluxSink) -> _Feed:
        sink = make_sink(settings)
        delivery = Delivery(
            self._outbox,
            sink,
            self._clock,
            batch_bytes=settings.batch_bytes,
            backlog_bytes_per_s=settings.backlog_bytes_per_s,
            future_ns=settings.future_ns,
            routes=settings.routes,
        )
        return _Feed(settings, sink, delivery)

    def _make_page(self, plan: SitePlan) -> Door:
        agent = plan.agent
        return Door(self._viewer.snapshot, self._scrape, agent.page_host, agent.page_port, agent.language)

    @property
    def _deliveries(self) -> list[Delivery]:
        return [feed.delivery for feed in self._feeds]

    # ---- the beginning ----

    async def start(self, event: str) -> None:
        """Open the store, remember, run. Raises StoreError where the store cannot be opened; nothing runs then."""
        try:
            report = await self._open()
            if report.detail:
                log.error("store", extra=facts(detail=report.detail))
            await self._remember(report)
            if report.saved is not None and report.saved.missing:
                await self._tell_again(report.saved.lost_from_ns)
        except StoreError:
            await self._outbox.close()
            raise
        self._recorder.event(event, report.detail)
        self._serving = [task("recorder", self._recorder.run), task("store figures", self._refresh_store)]
        self._run_all()

    def _run_all(self) -> None:
        """Everything that does not run yet."""
        for connection in self._sources.connections:
            seat = self._sources.seats[connection.devices[0]]
            if seat not in self._reading:
                self._reading[seat] = task(f"poll {connection.name}", connection.run)
        for feed in self._feeds:
            if feed.task is None:
                feed.task = task(f"delivery {feed.settings.id}", feed.delivery.run)
        if self._page_task is None:
            self._page_task = task("page", self._serve_page)

    async def _open(self) -> OpenReport:
        try:
            return await self._outbox.open()
        except OSError as error:  # the folder or the lock beside the file
            path = self.plan.agent.store_path
            raise StoreError(
                Text(
                    f"无法打开存储 {path}：{error.strerror}（{error.filename}）；请检查目录及其权限",
                    f"cannot open the store {path}: {error.strerror} ({error.filename}); check the folder and its "
                    "rights",
                )
            ) from error

    async def _tell_again(self, from_ns: int) -> None:
        """Minutes whose records may be lost, from their ledger rows, before anything new is written of them."""
        now_ns = self._clock.now_ns()
        for life in self._lives:
            for span in _spans(max(from_ns - TOLD_LATE_NS, 0) if from_ns else now_ns - AT_ONCE_NS, now_ns):
                rows = await self._outbox.ledger_rows(life.machine.id, MINUTE, *span)
                if batch := self._recorder.again(life, rows):
                    await self._outbox.commit(batch)

    async def _remember(self, report: OpenReport) -> None:
        now_ns = self._clock.now_ns()
        checkpoints, meta = await self._outbox.load_checkpoints(), await self._outbox.load_meta()
        self._notebook.fill(meta)
        for life in self._lives:
            await remember(life, self._outbox, checkpoints, now_ns)
        if report.detail:
            began_anew = [life.machine.id for life in self._lives if not life.goes_on]
            self._recorder.gaps.store_damaged(
                await self._damaged_since(report, began_anew, meta),
                now_ns,
                began_anew,
                report.code(began_anew),
            )
        if self._recording is not None:
            self._recording.begin(meta)
        self._recorder.gaps.load(await self._outbox.open_gaps(), now_ns)
        alive = meta.get(META_ALIVE)
        if alive is not None:
            self._recorder.gaps.agent_stopped(int(alive), now_ns)

    async def _damaged_since(self, report: OpenReport, began_anew: Sequence[str], meta: Mapping[str, str]) -> int:
        """Since when something may be missing: a record, or what a machine without checkpoint made: from its last
        minute on; where none was saved, from its first sample.
        """
        since_ns = report.since_ns
        for machine in began_anew:
            last_ns = await self._outbox.last_row_ns(machine) or int(meta.get(META_SINCE + machine, since_ns))
            since_ns = min(since_ns, last_ns)
        return since_ns

    # ---- another plan ----

    async def follow(self, plan: SitePlan, change: Change) -> None:
        """Run `plan` from now on; `change` is how it differs. Raises StoreError where the store takes no data: nothing
        has changed then.
        """
        if not await self._recorder.commit():
            raise StoreError(
                Text(
                    "存储现在拒写，内存中还有未落盘的数据；存储恢复后自动重试",
                    "the store takes no data now and memory holds what it has not got; tried again once it does",
                )
            )
        images = self._images_of(plan, change)
        lives = await self._new_lives(plan, change, images)
        heirs = await self._heirs(plan, change, images)
        await self._hang_up(change)
        old = {life.machine.id: life for life in self._lives}
        closing = [old[name] for name in change.machines.removed]
        await self._recorder.hand_over(
            closing,
            [heir.before for heir in heirs.values()],
            lambda batch: self._swap(plan, change, images, lives, heirs, batch),
            await self._outbox.load_meta(),
        )
        await self._follow_sinks(plan)
        if {"page_host", "page_port", "language"} & set(change.agent):
            await self._turn_page(plan)
        self._run_all()
        self._recorder.event("reload", "")

    def _images_of(self, plan: SitePlan, change: Change) -> list[TagImage]:
        images = [TagImage(len(device.tags)) for device in plan.devices]
        for before, now in change.connections:
            for place_before, place in zip(before, now, strict=True):
                images[place] = self._images[place_before]
        return images

    async def _new_lives(self, plan: SitePlan, change: Change, images: Sequence[TagImage]) -> dict[str, MachineLife]:
        """Machines that were not there; the store may remember them from an earlier time."""
        added = [n for n, machine in enumerate(plan.machines) if machine.id in change.machines.added]
        lives = {plan.machines[number].id: self._life(plan, number, images) for number in added}
        if lives:
            checkpoints, now_ns = await self._outbox.load_checkpoints(), self._clock.now_ns()
            for life in lives.values():
                await remember(life, self._outbox, checkpoints, now_ns)
        return lives

    async def _heirs(self, plan: SitePlan, change: Change, images: Sequence[TagImage]) -> dict[str, _Heir]:
        """Machines whose rules changed, with the rows their successors need."""
        old, heirs, now_ns = {life.machine.id: life for life in self._lives}, {}, self._clock.now_ns()
        for number, machine in enumerate(plan.machines):
            if machine.id in change.succeeded:
                life, before = self._life(plan, number, images), old[machine.id]
                since_ns = self._life(plan, number, images).restore(before.checkpoint, now_ns)
                heirs[machine.id] = _Heir(life, before, await stored_rows(self._outbox, machine.id, since_ns, now_ns))
        return heirs

    async def _hang_up(self, change: Change) -> None:
        """Connections that go: nothing of theirs comes any more."""
        staying = {before for before, _ in change.connections}
        going = [one for one in self._sources.connections if one.devices not in staying]
        tasks = [self._reading.pop(self._sources.seats[connection.devices[0]]) for connection in going]
        await cancel(tasks)

    def _swap(
        self,
        plan: SitePlan,
        change: Change,
        images: list[TagImage],
        added: Mapping[str, MachineLife],
        heirs: Mapping[str, _Heir],
        batch: Batch,
    ) -> None:
        """The step: synchronous, so nobody reads or commits in between. `batch` is the last under the old plan."""
        old = {life.machine.id: life for life in self._lives}
        sources = follow_sources(
            self._sources,
            change.connections,
            plan.devices,
            images,
            self._hub,
            self._clock,
            pki=self._pki,
            notebook=self._notebook,
        )
        lives = []
        for machine in plan.machines:
            heir = heirs.get(machine.id)
            if heir is not None:
                self._take_over(heir, batch)
            elif machine.id in old:
                old[machine.id].follow(machine, images)
            lives.append(heir.life if heir is not None else added.get(machine.id) or old[machine.id])
        recording = self._recording
        if change.recordings or heirs or change.machines.added or change.machines.removed:
            for life in lives:
                life.tape = None
            recording = record(plan, lives, self._clock)
        states = [DeviceState() for _ in plan.devices]
        for were, are in change.connections:
            for place_before, place in zip(were, are, strict=True):
                states[place] = self._hub.states[place_before]
        before = {machine.id: machine for machine in self.plan.machines}
        renamed = [(life, before[life.machine.id]) for life in lives if life.machine.id in change.renamed]
        values = ProcessValues(plan.machines, images)
        self._hub.follow(plan.devices, lives, values, sources.seats, states)
        self._recorder.follow(plan, lives, values, sources.pollers, recording, renamed)
        self._viewer.follow(plan, lives, sources, self._deliveries, recording)
        self.plan, self._images, self._lives, self._sources = plan, images, lives, sources
        self._recording = recording

    def _take_over(self, heir: _Heir, batch: Batch) -> None:
        machine = heir.life.machine.id
        rows = {row.key: row for row in heir.rows}
        rows |= {row.key: row for row in batch.rows if row.key.machine == machine}
        heir.life.succeed(heir.before, sorted(rows.values(), key=lambda row: row.key.start_ns), self._clock.now_ns())
        text = Text(
            "规则已变：计数与未结束的窗口保留，已读的状态作废；过渡的分钟带 CONFIG_CHANGED 标记",
            "its rules changed: counters and open windows stay, what was read of its state goes; the minutes between "
            "carry CONFIG_CHANGED",
        )
        log.warning("machine changed", extra=facts(machine=machine, detail=str(text)))

    async def _follow_sinks(self, plan: SitePlan) -> None:
        """A database whose settings are as before is not touched; the others begin anew at their cursor."""
        staying = {feed.settings.id: feed for feed in self._feeds if feed.settings in plan.sinks}
        going = [feed for feed in self._feeds if feed.settings not in plan.sinks]
        await cancel([feed.task for feed in going if feed.task is not None])
        for feed in going:
            await feed.sink.close()
        try:
            await self._outbox.follow(_store_settings(plan), Encoder(plan.site).gap_record)
        except StoreError as error:  # the disk filled up in this very moment: cursors go with the next commit
            log.error("store", extra=facts(detail=str(error)))  # noqa: TRY400 - the text says it all
        self._feeds = [staying.get(settings.id) or self._feed(settings) for settings in plan.sinks]
        self._viewer.follow(plan, self._lives, self._sources, self._deliveries, self._recording)

    async def _turn_page(self, plan: SitePlan) -> None:
        if self._page_task is not None:
            await cancel([self._page_task])
        self._page, self._page_task = self._make_page(plan), None

    def tell_reload(self, view: ReloadView) -> None:
        """What became of edits, for the page and metrics."""
        self._viewer.reload = view

    @property
    def reload(self) -> ReloadView:
        """As last told."""
        return self._viewer.reload

    # ---- what runs beside ----

    async def _refresh_store(self) -> None:
        said, outlook = "", Outlook(self._clock)
        while True:
            try:
                self._viewer.store, said = await self._outbox.stats(), ""
                outlook.look(self._viewer.store)
            except StoreError as error:
                if str(error) != said:
                    said = str(error)
                    log.error("store figures", extra=facts(detail=said))  # noqa: TRY400 - the text says it all
            await asyncio.sleep(STATS_S)

    async def _serve_page(self) -> None:
        said = False
        while True:
            try:
                await self._page.start()
            except OSError as error:
                await self._page.stop()
                if said:
                    await asyncio.sleep(RETRY_S)
                    continue
                said = True
                where = f"{self.plan.agent.page_host}:{self.plan.agent.page_port}"
                text = Text(
                    f"页面无法监听 {where}（{error.strerror}）：端口被占用，或地址不属于本机；"
                    "请改 agent.page 或释放端口，代理会自动重试；采集不受影响",
                    f"the page cannot listen on {where} ({error.strerror}): the port is taken or the address is not "
                    "this machine's; change agent.page, or free the port: it is tried again; readings go on",
                )
                log.error("page", extra=facts(detail=str(text)))  # noqa: TRY400 - the text says it all
                await asyncio.sleep(RETRY_S)
                continue
            said = False
            log.info("page", extra=facts(url=self._page.url))
            try:
                await self._page.serve()
            finally:
                await self._page.stop()

    def _scrape(self) -> bytes:
        """The text for Prometheus, whose library the page has loaded by then: 1.5 MiB, and many sites have none."""
        if self._metrics is None:
            from edge.metrics import Metrics

            self._metrics = Metrics(self._viewer.snapshot, self._clock)
        return self._metrics.render()

    def clock_stepped(self, step_ns: int) -> None:
        """The wall clock moved under us."""
        self._recorder.gaps.clock_stepped(self._clock.now_ns(), step_ns)
        self._recorder.event("clock-step", f"{step_ns / 1e9:+.3f} s", clock_step_ns=step_ns)
        log.warning("clock stepped", extra=facts(step_s=round(step_ns / 1e9, 3)))

    def status(self) -> str:
        """One line for systemd."""
        up = sum(state.up for state in self._hub.states)
        return f"{up}/{len(self._hub.states)} devices up, {len(self._lives)} machines"

    @property
    def is_store_damaged(self) -> bool:
        """The disk gave back something else than was stored: this runtime cannot go on with its store."""
        return self._outbox.is_damaged

    @property
    def opening(self) -> str:
        """What the start is at, in words."""
        return str(self._outbox.opening or "")

    @property
    def refused(self) -> bool:
        """The store takes no data now; what was learned since is in memory only."""
        return self._recorder.refused

    async def stop(self, event: str, drain_s: float = 0.0) -> None:
        """Readings first, then what is open, then the databases for `drain_s`, then the store."""
        await cancel(list(self._reading.values()))
        self._recorder.event(event, "")
        stored = await self._recorder.flush()
        if stored and drain_s:
            await asyncio.gather(*(delivery.drained(drain_s) for delivery in self._deliveries))
        page = [self._page_task] if self._page_task is not None else []
        await cancel([*self._serving, *page, *(feed.task for feed in self._feeds if feed.task is not None)])
        for feed in self._feeds:
            await feed.sink.close()
        await self._outbox.close()


async def remember(life: MachineLife, outbox: Outbox, checkpoints: Mapping[str, bytes], now_ns: int) -> None:
    """Let a machine go on from what the store has of it. Raises StoreError."""
    name = life.machine.id
    pages = [blob for key, blob in checkpoints.items() if key.rpartition(":")[0] == JOURNAL + name]
    since_ns = life.restore(checkpoints.get(CHECKPOINT + name), now_ns, pages)
    for from_ns, until_ns in _spans(since_ns, now_ns):  # a machine may have been off for weeks
        life.remember(await outbox.ledger_rows(name, MINUTE, from_ns, until_ns))


async def stored_rows(outbox: Outbox, machine: str, since_ns: int, now_ns: int) -> tuple[Row, ...]:
    """Minute rows of a machine. Raises StoreError."""
    parts = [await outbox.ledger_rows(machine, MINUTE, *span) for span in _spans(since_ns, now_ns)]
    return tuple(row for part in parts for row in part)


def _spans(since_ns: int, now_ns: int) -> list[tuple[int, int]]:
    until_ns = now_ns + HOUR_NS
    return [(from_ns, min(from_ns + AT_ONCE_NS, until_ns)) for from_ns in range(since_ns, until_ns, AT_ONCE_NS)]


def _store_settings(plan: SitePlan) -> StoreSettings:
    agent = plan.agent
    return StoreSettings(
        path=Path(agent.store_path),
        max_bytes=agent.store_max_bytes,
        max_age_ns=agent.store_max_age_ns,
        sinks=tuple(sink.id for sink in plan.sinks),
        loss_window_ns=agent.commit_ns,
        classes=tuple(
            ClassBound(RecordClass[k.record_class.upper()], k.max_bytes, k.max_age_ns) for k in agent.store_keep
        ),
    )


def task(name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """A supervised task."""
    return asyncio.create_task(supervise(name, work), name=name)


async def cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel and wait until they are over."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
