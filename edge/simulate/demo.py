"""`seamline demo`: simulated machines, the agent and its page, each the real command in its own process; at the end,
the books.

Order of events. The machines come up idle; the agent starts and takes the first sample of every counter (its baseline);
only then are the machines told to produce, so that every piece made is one the agent could have seen. At the end they
are told to stop, the agent reads once more, writes what is open and ends; then four counts of the same pieces are
compared (`edge.simulate.verdict`). Whatever dies on the way is started again, as systemd would: killing the agent, the
machines' server or the database in between changes nothing in the books.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from edge.config import load
from edge.errors import SeamlineError, Text, language
from edge.plan import SitePlan
from edge.simulate.children import Child
from edge.simulate.demo_options import PAGE_PORT, Options, add_arguments, options_of
from edge.simulate.readback import ReadBack
from edge.simulate.site import demo_site, for_agent, free_ports
from edge.simulate.table import as_table
from edge.simulate.verdict import Booked, Line, Made, as_json, read_store, verdict

__all__ = ["Demo", "add_arguments", "run"]

ASK_S = 0.2
READY_S = 180.0  # a small gateway that has other things to do starts two OPC UA servers in a minute
SETTLE_S = 4.0  # after production stopped: at least three polls, so that a counter held for a second look is decided
SETTLE_LIMIT_S = 120.0
DRAIN_S = 120.0
Json = dict[str, Any]


def run(arguments: argparse.Namespace) -> int:
    """Exit status 0 where every figure agrees, 1 where one does not."""
    options = options_of(arguments)
    folder = (options.keep or Path(tempfile.mkdtemp(prefix="seamline-demo-"))).absolute()  # files name it, too
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SeamlineError(
            Text(f"无法建立目录 {folder}：{error.strerror}", f"cannot make the folder {folder}: {error.strerror}")
        ) from error
    if any(folder.iterdir()):
        raise SeamlineError(
            Text(f"{folder} 不是空目录：请换一个，或先清空", f"{folder} is not empty: name another folder, or clear it")
        )
    try:
        return asyncio.run(Demo(options, folder).run())
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


class Demo:
    """One run."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._folder = folder
        ports = free_ports()
        self._page_port = options.page_port or _page_port(ports, wanted=options.page_port is None)
        self._control = f"http://127.0.0.1:{next(ports)}"
        self._page = f"http://127.0.0.1:{self._page_port}"
        machines_file, agent_file = folder / "machines.yaml", folder / "agent.yaml"
        sinks = (options.influx,) if options.influx else ()
        site = demo_site(
            options.machines,
            sinks=sinks,
            store=str(folder / "seamline.db"),
            page=("127.0.0.1", self._page_port),
            language=language(),
            site_id=f"demo-{os.getpid()}",
        )
        machines_file.write_text(site, "utf-8")
        agent_file.write_text(for_agent(site, options.speed), "utf-8")
        for file in (machines_file, agent_file):
            file.chmod(0o600)  # a database password may stand in it
        self._plan = load(agent_file, os.environ)
        self._machines = Child(
            "machines",
            [
                "simulate", "-c", str(machines_file), "--speed", str(options.speed), "--seed", str(options.seed),
                "--http", self._control.removeprefix("http://"), "--journal", str(folder / "journal.jsonl"),
                "--wait-go",
            ],
            folder / "machines.log",
        )  # fmt: skip
        self._agent = Child("agent", ["run", "-c", str(agent_file), "--log-format", "text"], folder / "agent.log")
        self._stop = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self._readback: ReadBack | None = None

    async def run(self) -> int:
        """Everything, in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        timeout = aiohttp.ClientTimeout(total=5.0)
        async with aiohttp.ClientSession(timeout=timeout) as self._session:
            if self._options.influx is not None:
                self._readback = ReadBack(self._options.influx, self._session)
                await self._readback.prepare()
            try:
                return await self._show()
            finally:
                await self._agent.end()
                await self._machines.end()

    async def _show(self) -> int:
        self._say(Text("启动模拟机台 …", "starting simulated machines …"))
        await self._machines.start()
        await self._until(self._machines_answer, READY_S, self._machines)
        await self._agent.start()
        await self._until(self._agent_has_baseline, READY_S, self._agent)
        self._describe()
        await self._post("/go")
        await self._watch()
        await self._post("/stop")
        self._say(Text("停止生产，等待最后的读数 …", "production stopped; waiting for the last readings …"))
        await asyncio.sleep(SETTLE_S)
        await self._until(self._agent_is_current, SETTLE_LIMIT_S, self._agent)
        if self._options.influx is not None:
            await self._until(self._is_delivered, DRAIN_S, self._agent)
        last = await self._get(f"{self._page}/api/snapshot")
        truth = await self._get(f"{self._control}/truth")
        await self._agent.end()
        for name, document in (("snapshot.json", last), ("truth.json", truth)):
            (self._folder / name).write_text(json.dumps(document, ensure_ascii=False), "utf-8")
        lines, booked = await self._compare(last or {"machines": []}, truth or {"machines": {}})
        ok = all(line.agrees for line in lines)
        if self._options.as_json:
            print(as_json(lines))
            self._say_raw(as_table(lines, booked))
        else:
            print(as_table(lines, booked))
        return 0 if ok else 1

    # ---- what runs where ----

    def _describe(self) -> None:
        self._say(Text("现场页面", "live page"), f"{self._page}/")
        self._say(Text("真值", "truth"), f"{self._control}/truth")
        self._say(Text("目录", "folder"), str(self._folder))
        for device in self._plan.devices:
            endpoint = device.endpoint
            where = getattr(endpoint, "url", None) or f"modbus-tcp 127.0.0.1:{getattr(endpoint, 'port', '')}"
            on_it = ", ".join(
                f"{m.id} ({m.name.zh if language() == 'zh' else m.name.en})"
                for m in self._plan.machines
                if m.signals[0].device == device.index
            )
            self._say_raw(f"  {device.id:<22} {device.brand:<18} {where:<42} {on_it}")

    async def _watch(self) -> None:
        """Progress until the time is over or somebody says stop."""
        loop = asyncio.get_running_loop()
        end_s = None if self._options.for_s is None else loop.time() + self._options.for_s
        began_s = loop.time()
        beat_s = 1.0 if sys.stderr.isatty() else 10.0
        while not self._stop.is_set() and (end_s is None or loop.time() < end_s):
            rest_s = beat_s if end_s is None else min(beat_s, max(0.05, end_s - loop.time()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest_s):
                    await self._stop.wait()
            await self._progress(loop.time() - began_s)
        if sys.stderr.isatty():
            print(file=sys.stderr)

    async def _progress(self, elapsed_s: float) -> None:
        snapshot, truth = await self._get(f"{self._page}/api/snapshot"), await self._get(f"{self._control}/truth")
        minutes, seconds = divmod(int(elapsed_s), 60)
        made = sum(m["made"]["total"] for m in truth["machines"].values()) if truth else None
        counted = sum(m["counted"] for m in snapshot["machines"]) if snapshot else None
        up = sum(d["up"] for d in snapshot["devices"]) if snapshot else 0
        restarts = self._agent.restarts + self._machines.restarts
        devices = f"{up}/{len(self._plan.devices)}"
        figures = Text(
            f"设备在线 {devices}  已生产 {_shown(made)}  已计数 {_shown(counted)}  重启 {restarts}",
            f"devices up {devices}  made {_shown(made)}  counted {_shown(counted)}  restarts {restarts}",
        )
        text = f"{minutes:02}:{seconds:02}  {figures}"
        print(
            f"\r{text}\033[K" if sys.stderr.isatty() else text,
            end="" if sys.stderr.isatty() else "\n",
            file=sys.stderr,
            flush=True,
        )

    # ---- waiting for things ----

    async def _machines_answer(self) -> bool:
        return await self._get(f"{self._control}/healthz") is not None

    async def _agent_has_baseline(self) -> bool:
        snapshot = await self._get(f"{self._page}/api/snapshot")
        return snapshot is not None and all(machine["baseline"] for machine in snapshot["machines"])

    async def _agent_is_current(self) -> bool:
        """Every device answers and every machine was read after production stopped."""
        snapshot = await self._get(f"{self._page}/api/snapshot")
        if snapshot is None or not all(device["up"] for device in snapshot["devices"]):
            return False
        first = {m["id"]: m["counted"] for m in snapshot["machines"]}
        await asyncio.sleep(SETTLE_S)
        again = await self._get(f"{self._page}/api/snapshot")
        return again is not None and {m["id"]: m["counted"] for m in again["machines"]} == first

    async def _is_delivered(self) -> bool:
        snapshot = await self._get(f"{self._page}/api/snapshot")
        return snapshot is not None and all(sink["backlog_records"] <= 2 for sink in snapshot["sinks"])

    async def _until(self, done: Callable[[], Awaitable[bool]], limit_s: float, child: Child) -> None:
        """Wait for a condition; say what the process said last if it never comes."""
        try:
            async with asyncio.timeout(limit_s):
                while not await done():  # noqa: ASYNC110 - another process: nothing to await but time
                    await asyncio.sleep(ASK_S)
        except TimeoutError:
            text = Text(
                f"{child.name} 在 {limit_s:.0f} s 内没有就绪，日志末尾：",
                f"{child.name} was not ready within {limit_s:.0f} s; its last words:",
            )
            raise SeamlineError(f"{text}\n{child.last_words()}") from None

    # ---- HTTP ----

    async def _get(self, url: str) -> Json | None:
        """None where nobody answers: it is being started again."""
        assert self._session is not None
        try:
            async with self._session.get(url) as response:
                return await response.json() if response.status in (200, 503) else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None

    async def _post(self, path: str) -> None:
        async def posted() -> bool:
            assert self._session is not None
            try:
                async with self._session.post(f"{self._control}{path}") as response:
                    return response.status < 300
            except (aiohttp.ClientError, TimeoutError):
                return False

        await self._until(posted, READY_S, self._machines)

    # ---- the books ----

    async def _compare(self, last: Json, truth: Json) -> tuple[list[Line], Mapping[str, Booked]]:
        made = {
            machine: Made(entry["made"]["total"], entry["made"]["good"], entry["ideal_cycle_ns"])
            for machine, entry in truth["machines"].items()
        }
        booked = await asyncio.to_thread(read_store, self._folder / "seamline.db", [m.id for m in self._plan.machines])
        lives = await asyncio.to_thread(_lives, self._folder / "seamline.db", self._plan)
        delivered = await self._readback.pieces(self._plan.site.id) if self._readback else None
        counted = {machine["id"]: machine["counted"] for machine in last["machines"]}
        return verdict(self._plan, made, counted, booked, delivered, lives), booked

    def _say(self, text: Text, more: str = "") -> None:
        self._say_raw(f"{text}  {more}".rstrip())

    def _say_raw(self, text: str) -> None:
        print(text, file=sys.stderr if self._options.as_json else sys.stdout, flush=True)


def _lives(store: Path, plan: SitePlan) -> dict[str, tuple[int, int]]:
    """First sample and last commit of every machine that was read."""
    from edge.outbox.reader import Reader
    from edge.recorder import META_ALIVE, META_SINCE

    with Reader(store) as reader:
        meta = reader.meta()
    until_ns = int(meta[META_ALIVE])
    return {m.id: (int(meta[f"{META_SINCE}{m.id}"]), until_ns) for m in plan.machines if f"{META_SINCE}{m.id}" in meta}


def _page_port(ports: Iterator[int], *, wanted: bool) -> int:
    """The usual port where it is wanted and nobody has it, else a free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PAGE_PORT))
        except OSError:
            wanted = False
    return PAGE_PORT if wanted else next(ports)


def _shown(number: int | None) -> str:
    return "…" if number is None else str(number)
