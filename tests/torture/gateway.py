"""One gateway of the torture: simulated machines, the agent, a disk, a clock, a database behind a proxy."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from fixtures.influx import Influx
from fixtures.ports import free_port
from torture.disk import SmallDisk
from torture.processes import Process
from torture.proxy import FaultProxy
from torture.second import SecondDatabase

from edge.plan import InfluxSink, SitePlan
from edge.simulate.site import demo_site, for_agent, plan_of

SPEED = Fraction(20)
DEADLINE_S = 2.0  # of a write
COMMIT_S = 0.25
PATIENCE_S = 120.0
ENDS = 4  # clean ends, each with some seconds for the database
BASELINE_S = 2.0  # before production begins: the baseline is some commits old, a torn tail does not take it
STEPPED_CLOCK = Path(__file__).parent.parent / "agent" / "stepped_clock.c"
Json = dict[str, Any]


class TortureError(Exception):
    """The run itself could not go on; nothing is said about the product's books."""


@dataclass(slots=True)
class Diary:
    """What was done, with the time on the agent's clock (ns); `until_ns` 0 = a moment. `pieces`: made under each kind
    of fault, from when it struck until it was over.
    """

    entries: list[tuple[str, int, int, str]] = field(default_factory=list)  # kind, from, until, detail
    pieces: Counter[str] = field(default_factory=Counter)

    def note(self, kind: str, from_ns: int, until_ns: int = 0, detail: str = "", pieces: int = 0) -> None:
        self.entries.append((kind, from_ns, until_ns, detail))
        self.pieces[kind] += pieces

    def times(self, kind: str) -> int:
        return sum(entry[0] == kind for entry in self.entries)


class Gateway:
    """Started, tortured by `hands`, settled; then its database is asked."""

    def __init__(
        self, folder: Path, name: str, seed: int, machines: int, influx: Influx, *, has_second: bool = False
    ) -> None:
        folder.mkdir(parents=True)
        self.second = SecondDatabase(folder / "victoria") if has_second else None
        self.folder, self.name, self.influx = folder, name, influx
        self.diary = Diary()
        self.disk = SmallDisk(folder / "disk")
        self.store = self.disk.folder / "store.db"
        self.proxy = FaultProxy(influx.http)
        self._control, self._page = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._clock_file = folder / "clock-offset"
        self._clock_file.write_bytes(bytes(8))
        self.clock_offset_s = 0
        self._machines, self._seed = machines, seed
        self._session: aiohttp.ClientSession | None = None
        self.database = name
        self.site_file = folder / "agent.yaml"
        self.site = ""  # what is in it while nobody edits
        self.plan: SitePlan | None = None
        self.plant: Process | None = None
        self.agent: Process | None = None
        self.course: list[tuple[int, dict[str, int]]] = []  # agent's time, pieces by machine

    @property
    def now_ns(self) -> int:
        """On the agent's clock."""
        return time.time_ns() + self.clock_offset_s * 1_000_000_000

    async def start(self) -> None:
        """Machines idle, agent at its baseline, then production."""
        await self.proxy.start()
        if self.second is not None:
            await self.second.start()
        library = await self._stepped_clock()
        machines_file, text = self._write_site()
        self.plan = plan_of(text)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        await self.influx.query(f'CREATE DATABASE "{self.database}"')
        self.plant = Process(
            [
                "simulate", "-c", str(machines_file), "--speed", str(SPEED), "--seed", str(self._seed), "--quiet",
                "--http", self._control.removeprefix("http://"), "--journal", str(self.folder / "journal.jsonl"),
                "--wait-go", "--handover", "0",
            ],
            self.folder / "machines.log",
        )  # fmt: skip
        self.agent = Process(
            ["run", "-c", str(self.site_file), "--log-format", "json"],
            self.folder / "agent.log",
            {"LD_PRELOAD": library, "CLOCK_OFFSET": str(self._clock_file)},
        )
        await self.plant.start()
        await self.until(self._plant_answers, "the machines' servers")
        await self.agent.start()
        await self.until(self.has_baseline, "a baseline")
        await asyncio.sleep(BASELINE_S)
        await self.order("/go")

    def _write_site(self) -> tuple[Path, str]:
        sink = InfluxSink("influx", 1, f"http://127.0.0.1:{self.proxy.port}", database=self.database)
        page = self._page.rpartition(":")[2]
        site = demo_site(
            self._machines, sinks=(sink,), store=str(self.store), page=("127.0.0.1", int(page)), language="en",
            site_id=self.name,
        )  # fmt: skip
        machines_file = self.folder / "machines.yaml"
        machines_file.write_text(site, "utf-8")
        document = yaml.safe_load(for_agent(site, SPEED))
        document["agent"]["store"] |= {"commit_s": COMMIT_S, "max_bytes": "12 MB"}
        document["sinks"][0]["deadline_s"] = DEADLINE_S
        if self.second is not None:
            document["sinks"].append(self.second.settings(DEADLINE_S))
        text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
        self.site_file.write_text(text, "utf-8")
        self.site = text
        return machines_file, text

    async def _stepped_clock(self) -> str:
        library = self.folder / "stepped_clock.so"
        command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(STEPPED_CLOCK)]
        await asyncio.to_thread(subprocess.run, command, check=True)
        return str(library)

    def set_clock(self, offset_s: int) -> None:
        """The agent's wall clock is ahead of the true one by this much."""
        with self._clock_file.open("r+b") as file:
            file.write(offset_s.to_bytes(8, "little", signed=True))
        self.clock_offset_s = offset_s

    # ---- questions ----

    async def truth(self) -> Json:
        """Of every machine, since it was switched on."""
        found: Json = {}

        async def told() -> bool:
            answer = await self._get(f"{self._control}/truth")
            found.update(answer or {})
            return answer is not None

        await self.until(told, "the truth")
        machines: Json = found["machines"]
        return machines

    async def made(self) -> dict[str, int]:
        """Pieces by machine."""
        return {name: entry["made"]["total"] for name, entry in (await self.truth()).items()}

    async def pieces(self) -> int:
        """Of all machines."""
        return sum((await self.made()).values())

    async def watch(self) -> None:
        """Write down what was made when, until cancelled: what an interval of time may have cost."""
        while True:
            answer = await self._get(f"{self._control}/truth")
            if answer is not None:
                made = {name: entry["made"]["total"] for name, entry in answer["machines"].items()}
                self.course.append((self.now_ns, made))
            await asyncio.sleep(0.5)

    async def snapshot(self) -> Json | None:
        """As the page shows it."""
        return await self._get(f"{self._page}/api/snapshot")

    async def has_baseline(self) -> bool:
        snapshot = await self.snapshot()
        return (
            snapshot is not None
            and len(snapshot["machines"]) == self._machines
            and all(machine["baseline"] for machine in snapshot["machines"])
        )

    async def _plant_answers(self) -> bool:
        return await self._get(f"{self._control}/healthz") is not None

    async def _get(self, url: str) -> Json | None:
        assert self._session
        try:
            async with self._session.get(url) as response:
                return await response.json() if response.status in (200, 503) else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None

    # ---- orders ----

    async def order(self, path: str, document: Json | None = None) -> None:
        """To the machines, until they have heard it."""

        async def heard() -> bool:
            assert self._session
            try:
                async with self._session.post(f"{self._control}{path}", json=document) as response:
                    return response.status < 300
            except (aiohttp.ClientError, TimeoutError):
                return False

        await self.until(heard, path)

    async def until(self, done: Callable[[], Awaitable[bool]], what: str, limit_s: float = PATIENCE_S) -> None:
        """Wait for something outside. Raises TortureError with the last words of the agent."""
        try:
            async with asyncio.timeout(limit_s):
                while not await done():  # noqa: ASYNC110 - another process: nothing to await but time
                    await asyncio.sleep(0.1)
        except TimeoutError:
            words = self.agent.log.read_text("utf-8", "replace")[-2000:] if self.agent else ""
            raise TortureError(
                f"{self.name}: {what}: not within {limit_s:.0f} s. The agent's log ends:\n{words}"
            ) from None

    async def settle(self) -> None:
        """Production ends, everything is counted, stored and delivered, the agent ends."""
        assert self.agent
        await self.order("/stop")
        await self.until(self._is_current, "the last readings")
        await self.until(self._is_delivered, "delivery of everything")
        if self.second is not None:
            await self.until(self._has_closed, "the last minutes, closed, in the second database")
        for _ in range(ENDS):
            status = await self.agent.end()
            if status:
                raise TortureError(f"{self.name}: the agent ended with status {status}")
            if not self._undelivered():
                return
            # An end waits for the database for some seconds only; what is left is delivered after the next start.
            await self.agent.start()
            await self.until(self._is_delivered, "delivery of what an end had left")
        raise TortureError(f"{self.name}: {self._undelivered()} records are not delivered after {ENDS} clean ends")

    def _undelivered(self) -> int:
        with closing(sqlite3.connect(self.store)) as store:
            low = "SELECT min(CASE WHEN replay_from < replay_to THEN replay_from ELSE cursor END) FROM sink"
            return int(store.execute(f"SELECT count(*) FROM record WHERE id > ({low})").fetchone()[0])

    async def _is_current(self) -> bool:
        """Every device answers, and nothing was counted for a while: at least three polls."""
        first = await self.snapshot()
        if first is None or not all(device["up"] for device in first["devices"]):
            return False
        await asyncio.sleep(3.0)
        again = await self.snapshot()
        return again is not None and _counted(again) == _counted(first)

    async def _has_closed(self) -> bool:
        """The second database gets a minute when it is closed."""
        assert self.second
        await asyncio.sleep(1.0)
        there = await self.second.pieces()
        return {name: counts[0] for name, counts in there.items()} == await self.made()

    async def _is_delivered(self) -> bool:
        snapshot = await self.snapshot()
        return snapshot is not None and all(sink["backlog_records"] <= 2 for sink in snapshot["sinks"])

    async def close(self) -> None:
        """Nothing stays behind."""
        for process in (self.agent, self.plant):
            if process is not None:
                await process.kill()
        await self.proxy.close()
        if self.second is not None:
            await self.second.close()
        if self._session is not None:
            await self._session.close()
        self.disk.close()


def _counted(snapshot: Json) -> dict[str, int]:
    return {machine["id"]: machine["counted"] for machine in snapshot["machines"]}
