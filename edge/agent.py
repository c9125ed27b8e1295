"""The agent: one process, joined from its parts; holds no rules.

`edge.runtime` is everything that runs for one plan. Here is what a process has beside it: signals, a clock that may be
set, systemd, and edits of the configuration. SIGHUP, or an edit of a file the configuration rests on, compiles it
again; only a whole plan is followed, and only its differences are acted upon (`edge.reload`). SIGTERM ends within five
seconds: readings stop, open windows are committed, what the databases do not take in two seconds stays in the store.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from edge import __version__, logs
from edge.clock import STEP_LIMIT_NS, SystemClock
from edge.config.aside import load_aside
from edge.errors import ConfigError, Problem, StoreError, Text
from edge.logs import facts
from edge.notify import Notifier
from edge.patience import patiently
from edge.plan import Name, SitePlan
from edge.reload.diff import diff
from edge.reload.listing import summary
from edge.reload.watch import Watch
from edge.runtime import Runtime, cancel, task
from edge.snapshot import NO_WORDS, ReloadView

log = logging.getLogger(__name__)

# The loop shares the interpreter with the threads of the store. Python's own 5 ms are a long wait for a PLC, and for a
# database that is still reading a request (`benchmarks/sink_ingest.py`: VictoriaMetrics gets a tenth more).
SWITCH_S = 0.0005
DRAIN_S = 2.0  # at a clean stop: how long the databases may still take data
MENDED_EVERY_NS = 60_000_000_000  # a dying disk is not filled with damaged copies


class Agent:
    """One process: a runtime, the clock, the signals, the edits of its configuration."""

    def __init__(self, config: Path, plan: SitePlan) -> None:
        self._config = config
        self._clock = SystemClock()
        self._started_ns = self._clock.now_ns()
        self._runtime = Runtime(plan, self._clock, self._started_ns)
        self._watch = Watch(plan.files or (config,))
        self._notifier = Notifier()
        self._wanted = asyncio.Event()  # somebody wishes something: several reloads are one, an end is never forgotten
        self._ending = False
        self._again = False  # an edit waits for the store
        self._mended_ns = -MENDED_EVERY_NS  # when a store was opened anew because it was damaged in use

    async def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._wish, number)
        await self._start("start")
        log.info("started", extra=facts(version=__version__, config_version=self._runtime.plan.config_version))
        self._notifier.ready(self._runtime.status())
        _tidy_memory()
        beside = [task("pulse", self._pulse), task("watch", lambda: self._watch.run(self._wanted.set))]
        try:
            while not await self._wished_to_end():
                self._notifier.reloading(self._clock.monotonic_ns())
                if self._runtime.is_store_damaged:
                    await self._open_anew()
                else:
                    await self._reload()
                self._notifier.ready(self._runtime.status())
            self._notifier.stopping()
        finally:
            await cancel(beside)
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
        """Compile what the file says now, and follow it; the plan that runs goes on where that cannot be done."""
        self._again = False
        await asyncio.to_thread(self._watch.look)
        try:
            plan = await asyncio.to_thread(load_aside, self._config, os.environ)
        except ConfigError as error:
            await asyncio.to_thread(self._watch.follow, {*self._runtime.plan.files, *error.files, str(self._config)})
            text = Text("配置有误，继续按原配置运行", "the site file has errors; the old configuration goes on")
            self._refuse(text, error.problems)
            return
        await asyncio.to_thread(self._watch.follow, plan.files)
        old = self._runtime.plan
        change = await asyncio.to_thread(diff, old, plan)
        if change.is_empty:
            log.info("reload: nothing changed")
            self._tell(replace(self._runtime.reload, refused_ns=0, detail=NO_WORDS))
            return
        try:
            if change.begins_anew:
                await self._begin_anew(plan)
            else:
                await self._runtime.follow(plan, change)
        except StoreError as error:
            self._again = self._runtime.refused
            text = error.args[0] if error.args and isinstance(error.args[0], Text) else Text(str(error), str(error))
            self._refuse(Text(f"继续按原配置运行：{text.zh}", f"the old configuration goes on: {text.en}"))
            return
        if plan.agent.log_format != old.agent.log_format:
            logs.configure(plan.agent.log_format)
        before = self._runtime.reload
        self._tell(replace(before, taken=before.taken + 1, refused_ns=0, detail=NO_WORDS))
        log.info("reloaded", extra=facts(config_version=plan.config_version, detail=summary(change)))

    async def _begin_anew(self, plan: SitePlan) -> None:
        """Another store. Raises StoreError where it takes no data or cannot be opened: the old plan goes on then."""
        old = self._runtime
        if old.refused:
            text = Text(
                "存储现在拒写，内存中还有未落盘的数据", "the store takes no data now, memory holds what it lacks"
            )
            raise StoreError(text)
        await old.stop("reload")
        self._runtime = Runtime(plan, self._clock, self._started_ns)
        self._runtime.tell_reload(old.reload)
        try:
            await self._start("reload")
        except StoreError:
            self._runtime = Runtime(old.plan, self._clock, self._started_ns)
            self._runtime.tell_reload(old.reload)
            await self._start("reload refused")
            raise

    def _refuse(self, why: Text, problems: Sequence[Problem] = ()) -> None:
        """Say it everywhere; the file is not what runs until it is mended."""
        before, now_ns = self._runtime.reload, self._clock.now_ns()
        first = problems[0].what if problems else None
        detail = Name(f"{why.zh}：{first.zh}", f"{why.en}: {first.en}") if first else Name(why.zh, why.en)
        self._tell(replace(before, refused=before.refused + 1, refused_ns=before.refused_ns or now_ns, detail=detail))
        log.error("reload refused", extra=facts(detail=str(why), problems=[str(p) for p in problems]))

    async def _start(self, why: str) -> None:
        """Start the present runtime, however long its store takes to open. Raises StoreError."""
        await patiently(self._runtime.start(why), lambda: self._runtime.opening, self._notifier)

    async def _open_anew(self) -> None:
        """The same plan on what is whole of a store that was damaged while it was in use. What was learned since the
        last commit is told once more by the PLCs' counters. Raises StoreError where nothing can be opened.
        """
        old, self._mended_ns = self._runtime, self._clock.monotonic_ns()
        log.error("store damaged", extra=facts(detail=old.plan.agent.store_path))
        await old.stop("store damaged")
        self._runtime = Runtime(old.plan, self._clock, self._started_ns)
        self._runtime.tell_reload(old.reload)
        await self._start("start")

    def _tell(self, view: ReloadView) -> None:
        self._runtime.tell_reload(view)

    async def _pulse(self) -> None:
        """Once a second: is the wall clock where we think it is; tell systemd that the loop turns."""
        while True:
            await asyncio.sleep(1.0)
            step_ns = self._clock.step_ns()
            if abs(step_ns) > STEP_LIMIT_NS:
                self._clock.reanchor()
                self._runtime.clock_stepped(step_ns)
            if self._again and not self._runtime.refused:
                self._wanted.set()
            mended_ns = self._clock.monotonic_ns() - self._mended_ns
            if self._runtime.is_store_damaged and mended_ns >= MENDED_EVERY_NS:
                self._wanted.set()
            self._notifier.alive(self._runtime.status())


def run(config: Path, plan: SitePlan, *, log_format: str | None = None) -> int:
    """`seamline run`: follow `plan`, compiled from `config`, which is read again at SIGHUP.

    Exit status 0 after a clean stop. Raises StoreError where the store cannot be opened.
    """
    logs.configure(log_format or plan.agent.log_format)
    sys.setswitchinterval(SWITCH_S)
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


def _tidy_memory() -> None:
    """What was made while the plan was compiled is either garbage or kept for ever:

    collect the one, stop scanning the other.
    """
    gc.collect()
    gc.freeze()
