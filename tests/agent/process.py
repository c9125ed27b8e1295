"""The real agent as a process, over simulated machines in the test's own loop: what it does when things go wrong.

Every scenario has a plant and a store of its own, so any number of them run side by side.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import aiohttp
from fixtures.ports import free_port

from edge.clock import SystemClock
from edge.kpi.row import Row
from edge.outbox.reader import Reader
from edge.plan import InfluxSink
from edge.recorder import META_SINCE
from edge.simulate.journal import Journal
from edge.simulate.plant import Plant
from edge.simulate.site import demo_site, for_agent, plan_of
from edge.simulate.world import World

SPEED = 20
PATIENCE_S = 60.0
MINUTE_NS = 60_000_000_000
_NUMBERS = itertools.count()  # of agents


class Line:
    """Two simulated mask machines behind Modbus TCP, and the site file an agent needs for them."""

    def __init__(self, folder: Path, *, store: Path | None = None, sinks: tuple[InfluxSink, ...] = ()) -> None:
        self.folder = folder
        self.store = store or folder / "store.db"
        self.page_port = free_port()
        self.config = folder / "site.yaml"
        text = demo_site(
            2,
            protocols=("modbus",),
            sinks=sinks,
            store=str(self.store),
            page=("127.0.0.1", self.page_port),
            language="en",
            ports=[free_port(), free_port()],
        )
        self.site = for_agent(text, SPEED)
        self.config.write_text(self.site, "utf-8")
        self._clock = SystemClock()
        self.plan = plan_of(text)
        self.world = World(Plant(self.plan, 1, Fraction(SPEED), self._clock.now_ns(), None), Journal(None), self._clock)

    @property
    def made(self) -> dict[str, int]:
        """The truth: pieces of every machine."""
        now_ns = self._clock.now_ns()
        self.world.plant.live(now_ns)
        plant = self.world.plant
        return {name: machine.truth(plant.t0_ns, now_ns + 1).total for name, machine in plant.machines.items()}

    @property
    def rows(self) -> list[Row]:
        """Every minute row in the store."""
        with Reader(self.store) as reader:
            return [row for m in self.plan.machines for row in reader.ledger_rows(m.id, "1m", 0, 1 << 62)]

    @property
    def stored(self) -> dict[str, int]:
        """Pieces in the store."""
        pieces = dict.fromkeys((m.id for m in self.plan.machines), 0)
        for row in self.rows:
            pieces[row.key.machine] += row.sums.tc + row.sums.unscheduled_tc
        return pieces

    def check_time(self) -> None:
        """Every minute from the first sample to the last is there once, whole, and closes to the nanosecond."""
        with Reader(self.store) as reader:
            meta = reader.meta()
        for machine in self.plan.machines:
            minutes: dict[int, int] = {}
            for row in self.rows:
                if row.key.machine == machine.id:
                    assert row.sums.all_ns == sum(row.sums.stop_ns)
                    assert min(row.sums.stop_ns) >= 0
                    minutes[row.key.start_ns] = minutes.get(row.key.start_ns, 0) + row.sums.all_ns
            since_ns = int(meta[META_SINCE + machine.id])
            first, last = min(minutes), max(minutes)
            assert first == since_ns - since_ns % MINUTE_NS
            assert sorted(minutes) == list(range(first, last + 1, MINUTE_NS)), "no minute is missing"
            whole = {start: ns for start, ns in minutes.items() if first < start < last}
            assert set(whole.values()) <= {MINUTE_NS}, "no minute is short or doubled"
            if first < last:
                assert minutes[first] == first + MINUTE_NS - since_ns
            assert minutes[last] <= MINUTE_NS


class Agent:
    """`seamline run` in a process of its own; systemd's socket and its page are listened to."""

    def __init__(self, line: Line, **environment: str) -> None:
        self.line = line
        self.words: list[dict[str, str]] = []  # what systemd was told
        self._environment = environment
        self._heard = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self._http: aiohttp.ClientSession | None = None
        number = next(_NUMBERS)
        self._name = f"seamline-agent-{os.getpid()}-{number}"
        self._log = line.folder / f"agent-{number}.log"

    async def __aenter__(self) -> Self:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(f"\0{self._name}")  # no file: the path of one may be too long
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        asyncio.get_running_loop().add_reader(self._socket, self._listen, self._socket)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-Im", "edge.cli", "--lang", "en", "run",
                "-c", str(self.line.config), "--log-format", "json",
                stdout=log, stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": f"@{self._name}", "WATCHDOG_USEC": "30000000", **self._environment},
            )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process
        assert self._socket
        assert self._http
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        await self._http.close()

    def _listen(self, heard: socket.socket) -> None:
        with suppress(BlockingIOError):
            while True:
                text = heard.recv(4096).decode()
                self.words.append(dict(pair.split("=", 1) for pair in text.split("\n")))
        self._heard.set()

    # ---- what it says ----

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its log, parsed; a line that is no JSON (a traceback, a message before the log began) under "text"."""
        found = []
        for line in self._log.read_text("utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"event": "", "text": line})
        return found

    def said(self, event: str) -> list[dict[str, Any]]:
        """Every log line of one event."""
        return [line for line in self.log if line["event"] == event]

    def told(self, word: str) -> int:
        """How often systemd heard READY, RELOADING, …"""
        return sum(word in words for words in self.words)

    async def snapshot(self) -> dict[str, Any] | None:
        """As the page shows it; None while nobody answers."""
        return await self._get("api/snapshot")

    async def health(self) -> dict[str, Any] | None:
        return await self._get("healthz")

    async def _get(self, path: str) -> dict[str, Any] | None:
        assert self._http
        try:
            async with self._http.get(f"http://127.0.0.1:{self.line.page_port}/{path}") as response:
                return await response.json()
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def counted(self) -> dict[str, int]:
        snapshot = await self.snapshot()
        return {m["id"]: m["counted"] for m in snapshot["machines"]} if snapshot else {}

    # ---- what is done to it ----

    def send(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Signal it; exit status and how long it took, in seconds."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        self.send(number)
        return await self.ended(), loop.time() - began_s

    async def ended(self) -> int:
        assert self._process
        async with asyncio.timeout(PATIENCE_S):
            return await self._process.wait()

    # ---- waiting ----

    async def until(self, done: Callable[[], Any], what: str, limit_s: float = PATIENCE_S) -> None:
        """Until `done` (a function or a coroutine function) is true; its log if it never is."""
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    answer = done()
                    if await answer if asyncio.iscoroutine(answer) else answer:
                        return
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"never {what}; its log ends: {self.log[-5:]}") from None

    async def ready(self) -> None:
        """Started, every counter has its baseline."""
        await self.until(lambda: self.told("READY"), "ready")
        await self.until(self._has_baseline, "a baseline")

    async def _has_baseline(self) -> bool:
        snapshot = await self.snapshot()
        return snapshot is not None and all(machine["baseline"] for machine in snapshot["machines"])

    async def settled(self) -> None:
        """Production stopped: the agent has counted every piece that was made."""
        made = self.line.made
        assert any(made.values()), "nothing was produced"

        async def agrees() -> bool:
            return await self.counted() == made

        await self.until(agrees, f"counted {made}, but {await self.counted()}")
