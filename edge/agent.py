"""The agent: joins the parts, holds no rules.

    pollers ─► hub ─► machine lives ─► recorder ─► outbox ─► deliveries ─► databases
                          └► viewer ─► page, /metrics

A `Runtime` is all of that for one site plan. SIGHUP builds the next one from the file; only if that succeeds, and the
store takes data, does the old one hand over its machines' checkpoints and end; where the new one cannot open its store,
the old plan goes on. SIGTERM ends within five seconds: readings stop, open windows are committed, what the databases do
not take in two seconds stays in the store.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edge import __version__, logs
from edge.clock import STEP_LIMIT_NS, SystemClock
from edge.config.aside import load_aside
from edge.delivery import Delivery
from edge.encode import Encoder
from edge.errors import ConfigError, StoreError, Text
from edge.hub import Hub
from edge.kpi.rollup import HOUR_NS
from edge.kpi.windows import MINUTE
from edge.logs import facts
from edge.machines.life import MachineLife
from edge.machines.values import ProcessValues
from edge.notify import Notifier
from edge.outbox.facts import ClassBound, OpenReport, StoreSettings
from edge.outbox.store import Outbox
from edge.plan import SitePlan
from edge.points import RecordClass
from edge.poll.factory import make_sources
from edge.poll.learned import Notebook
from edge.recorder import CHECKPOINT, JOURNAL, META_ALIVE, Recorder
from edge.recording.recording import record
from edge.sinks.factory import make_sink
from edge.supervise import supervise
from edge.trust import pki_folder
from edge.view import Viewer
from edge.web.server import Page
from protocols.reading import TagImage

if TYPE_CHECKING:
    from edge.metrics import Metrics

log = logging.getLogger(__name__)

DRAIN_S = 2.0  # at a clean stop: how long the databases may still take data
STATS_S = 1.0
RETRY_S = 5.0
AT_ONCE_NS = 6 * HOUR_NS  # of stored minute rows, when a machine remembers


class Runtime:
    """Everything that runs for one plan."""

    def __init__(self, plan: SitePlan, clock: SystemClock, started_ns: int) -> None:
        calendars = {calendar.id: calendar for calendar in plan.calendars}
        self.plan = plan
        self._clock = clock
        images = [TagImage(len(device.tags)) for device in plan.devices]
        now_ns = clock.now_ns()
        self._lives = [MachineLife(m, calendars[m.calendar], images, plan.version_of(m), now_ns) for m in plan.machines]
        values = ProcessValues(plan.machines, images)
        self._hub = Hub(plan.devices, self._lives, values, clock)
        self._notebook = Notebook()
        pki = pki_folder(plan)
        self._sources = make_sources(plan.devices, images, self._hub, clock, pki=pki, notebook=self._notebook)
        pollers = self._sources.pollers
        self._outbox = Outbox(_store_settings(plan), clock, Encoder(plan.site).gap_record)
        self._sinks = [make_sink(sink) for sink in plan.sinks]
        self._deliveries = [
            Delivery(
                self._outbox,
                sink,
                clock,
                batch_bytes=settings.batch_bytes,
                backlog_bytes_per_s=settings.backlog_bytes_per_s,
                future_ns=settings.future_ns,
                routes=settings.routes,
            )
            for sink, settings in zip(self._sinks, plan.sinks, strict=True)
        ]
        self._recording = record(plan, self._lives, clock)
        self._recorder = Recorder(
            plan, self._lives, self._hub, values, pollers, self._outbox, clock, self._recording, self._notebook
        )
        self._viewer = Viewer(
            plan, self._lives, self._hub, self._sources, self._deliveries, clock, started_ns, self._recording
        )
        self._metrics: Metrics | None = None
        agent = plan.agent
        self._page = Page(self._viewer.snapshot, self._scrape, agent.page_host, agent.page_port, agent.language)
        self._reading: list[asyncio.Task[None]] = []
        self._serving: list[asyncio.Task[None]] = []

    async def start(self, event: str) -> None:
        """Open the store, remember, run. Raises StoreError where the store cannot be opened; nothing runs then."""
        try:
            report = await self._open()
            if report.detail:
                log.error("store", extra=facts(detail=report.detail))
                self._recorder.gaps.store_began_anew(report.since_ns, self._clock.now_ns(), report.detail)
            await self._remember()
        except StoreError:
            await self._outbox.close()
            raise
        self._recorder.event(event, report.detail)
        for connection in self._sources.connections:
            self._reading.append(_task(f"poll {connection.name}", connection.run))
        self._serving = [
            _task("recorder", self._recorder.run),
            _task("store figures", self._refresh_store),
            _task("page", self._serve_page),
            *(_task(f"delivery {s.id}", d.run) for s, d in zip(self.plan.sinks, self._deliveries, strict=True)),
        ]

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

    async def _remember(self) -> None:
        now_ns = self._clock.now_ns()
        checkpoints, meta = await self._outbox.load_checkpoints(), await self._outbox.load_meta()
        self._notebook.fill(meta)
        for life in self._lives:
            await remember(life, self._outbox, checkpoints, now_ns)
        if self._recording is not None:
            self._recording.begin(meta)
        self._recorder.gaps.load(await self._outbox.open_gaps(), now_ns)
        alive = meta.get(META_ALIVE)
        if alive is not None:
            self._recorder.gaps.agent_stopped(int(alive), now_ns)

    async def _refresh_store(self) -> None:
        said = ""
        while True:
            try:
                self._viewer.store, said = await self._outbox.stats(), ""
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
                await asyncio.Event().wait()
            finally:
                await self._page.stop()

    def _scrape(self) -> bytes:
        """The text for Prometheus. Its library (1.5 MiB, 12 ms) comes with the first scrape: many sites have none."""
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
    def refused(self) -> bool:
        """The store takes no data now; what was learned since is in memory only."""
        return self._recorder.refused

    async def stop(self, event: str, drain_s: float = 0.0) -> None:
        """Readings first, then what is open, then the databases for `drain_s`, then the store."""
        await _cancel(self._reading)
        self._recorder.event(event, "")
        stored = await self._recorder.flush()
        if stored and drain_s:
            await asyncio.gather(*(delivery.drained(drain_s) for delivery in self._deliveries))
        await _cancel(self._serving)
        for sink in self._sinks:
            await sink.close()
        await self._outbox.close()


async def remember(life: MachineLife, outbox: Outbox, checkpoints: Mapping[str, bytes], now_ns: int) -> None:
    """Let a machine go on from what the store has of it. Raises StoreError."""
    name = life.machine.id
    pages = [blob for key, blob in checkpoints.items() if key.rpartition(":")[0] == JOURNAL + name]
    since_ns = life.restore(checkpoints.get(CHECKPOINT + name), now_ns, pages)
    for from_ns in range(since_ns, now_ns + HOUR_NS, AT_ONCE_NS):  # a machine may have been off for weeks
        until_ns = min(from_ns + AT_ONCE_NS, now_ns + HOUR_NS)
        life.remember(await outbox.ledger_rows(name, MINUTE, from_ns, until_ns))


class Agent:
    """One process: a runtime, the clock, the signals."""

    def __init__(self, config: Path, plan: SitePlan) -> None:
        self._config = config
        self._clock = SystemClock()
        self._started_ns = self._clock.now_ns()
        self._runtime = Runtime(plan, self._clock, self._started_ns)
        self._notifier = Notifier()
        self._wanted = asyncio.Event()  # a signal came: several SIGHUPs are one wish, SIGTERM is never forgotten
        self._ending = False

    async def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._wish, number)
        await self._runtime.start("start")
        log.info("started", extra=facts(version=__version__, config_version=self._runtime.plan.config_version))
        self._notifier.ready(self._runtime.status())
        _tidy_memory()
        pulse = _task("pulse", self._pulse)
        try:
            while not await self._wished_to_end():
                self._notifier.reloading(self._clock.monotonic_ns())
                await self._reload()
                self._notifier.ready(self._runtime.status())
            self._notifier.stopping()
        finally:
            await _cancel([pulse])
        await self._runtime.stop("stop", DRAIN_S)
        log.info("stopped")

    def _wish(self, number: signal.Signals) -> None:
        self._ending = self._ending or number is not signal.SIGHUP
        self._wanted.set()

    async def _wished_to_end(self) -> bool:
        """The next wish: to end, or to reload."""
        await self._wanted.wait()
        self._wanted.clear()
        return self._ending

    async def _reload(self) -> None:
        try:
            plan = await asyncio.to_thread(load_aside, self._config, os.environ)
        except ConfigError as error:
            text = Text("配置有误，继续按原配置运行", "the site file has errors; the old configuration goes on")
            log.error("reload refused", extra=facts(detail=str(text), problems=[str(p) for p in error.problems]))  # noqa: TRY400
            return
        old = self._runtime
        if plan == old.plan:
            log.info("reload: nothing changed")
        elif old.refused:
            text = Text(
                "存储现在拒写，内存中还有未落盘的数据；继续按原配置运行，请在存储恢复后再次 reload",
                "the store takes no data now and memory holds what it has not got; the old configuration goes on, "
                "reload again once the store is well",
            )
            log.error("reload refused", extra=facts(detail=str(text)))
        else:
            await old.stop("reload")
            await self._begin(plan, old.plan)

    async def _begin(self, plan: SitePlan, old: SitePlan) -> None:
        """Run the new plan; the old one where the new one cannot open its store."""
        try:
            self._runtime = Runtime(plan, self._clock, self._started_ns)
            await self._runtime.start("reload")
        except StoreError as error:
            text = Text(f"继续按原配置运行：{error}", f"the old configuration goes on: {error}")
            log.error("reload refused", extra=facts(detail=str(text)))  # noqa: TRY400 - the text says it all
            self._runtime = Runtime(old, self._clock, self._started_ns)
            await self._runtime.start("reload refused")
        else:
            log.info("reloaded", extra=facts(config_version=plan.config_version))

    async def _pulse(self) -> None:
        """Once a second: is the wall clock where we think it is; tell systemd that the loop turns."""
        while True:
            await asyncio.sleep(1.0)
            step_ns = self._clock.step_ns()
            if abs(step_ns) > STEP_LIMIT_NS:
                self._clock.reanchor()
                self._runtime.clock_stepped(step_ns)
            self._notifier.alive(self._runtime.status())


def run(config: Path, plan: SitePlan, *, log_format: str | None = None) -> int:
    """`seamline run`: follow `plan`, compiled from `config`, which is read again at SIGHUP.

    Exit status 0 after a clean stop. Raises StoreError where the store cannot be opened.
    """
    logs.configure(log_format or plan.agent.log_format)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(Agent(config, plan).run())
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop where it exists: about half the CPU per request."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


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


def _task(name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    return asyncio.create_task(supervise(name, work), name=name)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    tasks.clear()


def _tidy_memory() -> None:
    """What was made while the plan was compiled is either garbage or kept for ever:

    collect the one, stop scanning the other.
    """
    gc.collect()
    gc.freeze()
