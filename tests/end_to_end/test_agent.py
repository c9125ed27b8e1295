"""The agent as a process while signals, disks, clocks, ports and PLCs misbehave: it ends, reloads or goes on, and the
books agree.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from agent.process import Agent, Line
from fixtures.scenarios import Outcomes, Scenarios

from edge.plan import InfluxSink

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]

scenario = Scenarios()
S = 1_000_000_000
STEPPED_CLOCK = Path(__file__).parent.parent / "agent" / "stepped_clock.c"


@asynccontextmanager
async def running(line: Line, **environment: str) -> AsyncIterator[Agent]:
    """The agent on its line, both up, counters at their baseline, production begun."""
    await line.world.start()
    try:
        async with Agent(line, **environment) as agent:
            await agent.ready()
            line.world.go()
            yield agent
    finally:
        await line.world.close()


async def stop_and_compare(line: Line, agent: Agent) -> None:
    """Production ends, the agent ends: made = counted = stored, all time is there once."""
    line.world.stop()
    await agent.settled()
    status, took_s = await agent.end()
    assert (status, took_s < 5) == (0, True)
    assert line.stored == line.made
    line.check_time()


@contextmanager
def deaf_database() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(16)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


# ---- the end ----


@scenario
async def sigterm_ends_within_five_seconds(folder: Path) -> None:
    """While a database and a PLC are silent: exit status 0, open windows committed, systemd told."""
    with deaf_database() as url:
        line = Line(folder, sinks=(InfluxSink("away", 1, url, database="x"),))
        async with running(line) as agent:
            await asyncio.sleep(4)
            line.world.stop()
            await agent.settled()
            line.world.inject({"kind": "no-reply", "target": "plc-2", "for_s": 60})
            await asyncio.sleep(1.5)
            status, took_s = await agent.end()
            assert status == 0
            assert took_s < 5
            assert agent.told("STOPPING") == 1
            assert agent.told("WATCHDOG") >= 3
            assert agent.log[-1]["event"] == "stopped"
            assert line.stored == line.made
            assert not all(row.final for row in line.rows), "the open minute as it stands"
            assert not [entry for entry in agent.log if "error" in entry], "no traceback"


@scenario
async def kill_9_loses_nothing(folder: Path) -> None:
    """Counters are picked up at the checkpoint; what was made meanwhile is recovered."""
    line = Line(folder)
    async with running(line) as agent:
        await asyncio.sleep(3)
        await agent.end(signal.SIGKILL)
        await asyncio.sleep(2)
        async with Agent(line) as again:
            await again.ready()
            await asyncio.sleep(2)
            await stop_and_compare(line, again)


# ---- reload ----


@scenario
async def sighup_reloads_and_keeps_counters_and_open_windows(folder: Path) -> None:
    """A good file is taken, a broken one refused with all its mistakes, one without a usable store undone."""
    line = Line(folder)
    async with running(line) as agent:
        await asyncio.sleep(2)
        line.config.write_text(line.site.replace("live_s: 1.0", "live_s: 2.0"), "utf-8")
        for _ in range(20):
            agent.send(signal.SIGHUP)
        await agent.until(lambda: agent.said("reloaded"), "reloaded")
        await agent.until(lambda: agent.told("READY") > agent.told("RELOADING") > 0, "told systemd")
        reloading = next(words for words in agent.words if "RELOADING" in words)
        assert int(reloading["MONOTONIC_USEC"]) > 0

        line.config.write_text(
            line.site.replace("live_s: 1.0", "live_s: fast").replace("template: flat-mask-1+1", "template: flat-mask-9")
            + "\nsurprise: 1\n",
            "utf-8",
        )
        agent.send(signal.SIGHUP)
        await agent.until(lambda: agent.said("reload refused"), "refused")
        (refusal,) = agent.said("reload refused")
        assert len(refusal["problems"]) == 3
        assert "old configuration goes on" in refusal["detail"]

        line.config.write_text(line.site.replace(str(line.store), str(line.config / "below-a-file.db")), "utf-8")
        agent.send(signal.SIGHUP)
        await agent.until(lambda: len(agent.said("reload refused")) == 2, "refused again")
        assert "below-a-file.db" in agent.said("reload refused")[1]["detail"]

        await agent.until(lambda: agent.told("READY") >= agent.told("RELOADING") + 1, "ready again")
        await asyncio.sleep(2)
        await stop_and_compare(line, agent)
        assert not [entry for entry in agent.log if "error" in entry], "no traceback"


# ---- page ----


@scenario
async def a_page_whose_port_is_taken_comes_later(folder: Path) -> None:
    """Readings go on, it is said once, and the page is there when the port is free."""
    line = Line(folder)
    await line.world.start()
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", line.page_port))
        squatter.listen()
        async with Agent(line) as agent:
            await agent.until(lambda: agent.told("READY"), "ready")
            await agent.until(lambda: len(agent.said("device up")) == 2, "both devices up")
            await agent.until(lambda: agent.said("page"), "the page's complaint")
            await asyncio.sleep(6)
            (complaint,) = agent.said("page")
            assert f"127.0.0.1:{line.page_port}" in complaint["detail"]
            squatter.close()
            await agent.ready()
            line.world.go()
            await asyncio.sleep(2)
            await stop_and_compare(line, agent)
    await line.world.close()


# ---- store ----


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A real file system that can be filled."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False, text=True)
    if mounted.returncode:
        pytest.fail(f"this test fills a small disk and must be allowed to mount one (run it as root): {mounted.stderr}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """To the last byte."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


@scenario
async def a_full_disk_costs_nothing_once_there_is_room(folder: Path) -> None:
    """It counts on, says so on /healthz and in the log, recovers by itself: nothing lost, nothing twice."""
    with small_disk(folder / "disk", 8 << 20) as disk:
        line = Line(folder, store=disk / "store.db")
        async with running(line) as agent:
            ballast = disk / "somebody-elses-log"
            await asyncio.to_thread(fill, ballast)

            async def unhealthy() -> bool:
                health = await agent.health()
                return health is not None and not health["healthy"]

            await agent.until(unhealthy, "unhealthy")
            assert (await agent.health())["reasons"][0]["code"] == "store-error"
            before = await agent.counted()
            await asyncio.sleep(5)
            after = await agent.counted()
            assert sum(after.values()) > sum(before.values()), "it counts on"
            (complaint,) = agent.said("store refused")
            assert "disk is full" in complaint["detail"]
            line.config.write_text(line.site.replace("live_s: 1.0", "live_s: 2.0"), "utf-8")
            agent.send(signal.SIGHUP)
            await agent.until(lambda: agent.said("reload refused"), "refused: memory holds what the disk has not")
            ballast.unlink()
            await agent.until(lambda: agent.said("store takes data again"), "recovered")

            async def healthy() -> bool:
                return not await unhealthy()

            await agent.until(healthy, "healthy again")
            await stop_and_compare(line, agent)


@scenario
async def a_damaged_store_is_set_aside(folder: Path) -> None:
    """The start goes on with a new one; the old bytes are kept for an expert."""
    line = Line(folder)
    line.store.write_bytes(b"SQLite format 3\x00" + random.Random(1).randbytes(20_000))
    async with running(line) as agent:
        (complaint,) = agent.said("store")
        assert "damaged" in complaint["detail"]
        assert any(".damaged-" in name for name in await asyncio.to_thread(os.listdir, folder))
        await asyncio.sleep(4)
        await stop_and_compare(line, agent)


@scenario
async def two_agents_on_one_store_are_refused(folder: Path) -> None:
    """The second says who is in the way and ends; the first does not notice."""
    line = Line(folder)
    async with running(line) as agent:
        async with Agent(line) as second:
            assert await second.ended() == 1
            (words,) = [entry["text"] for entry in second.log if "text" in entry]
            assert "another seamline process holds this store" in words
        await asyncio.sleep(3)
        await stop_and_compare(line, agent)


@scenario
async def a_store_that_cannot_be_written_is_a_clear_error(folder: Path) -> None:
    """Exit status 1, one sentence, no traceback."""
    line = Line(folder, store=folder / "site.yaml" / "store.db")
    async with Agent(line) as agent:
        assert await agent.ended() == 1
        (words,) = [entry["text"] for entry in agent.log if "text" in entry]
        assert words.startswith("cannot open the store")
        assert agent.told("READY") == 0


# ---- clocks and PLCs ----


async def stepped_clock(folder: Path) -> str:
    """Our own small library: libfaketime 0.9.10 breaks time.sleep of Python 3.11 and later."""
    library = folder / "stepped_clock.so"
    compiler = await asyncio.create_subprocess_exec("cc", "-shared", "-fPIC", "-O1", "-o", library, STEPPED_CLOCK)
    assert await compiler.wait() == 0
    return str(library)


@scenario
async def a_clock_that_is_set_doubles_no_time(folder: Path) -> None:
    """An hour forward, later an hour back: two events; every minute once; every piece counted."""
    line = Line(folder)
    offset = folder / "offset"
    offset.write_bytes(bytes(8))
    async with running(line, LD_PRELOAD=await stepped_clock(folder), CLOCK_OFFSET=str(offset)) as agent:
        await asyncio.sleep(3)
        for steps, offset_s in enumerate((3600, 0), start=1):
            with offset.open("r+b") as file:
                file.write(offset_s.to_bytes(8, "little"))
            await agent.until(lambda n=steps: len(agent.said("clock stepped")) == n, "noticed")
            await asyncio.sleep(4)
        assert [round(entry["step_s"]) for entry in agent.said("clock stepped")] == [3600, -3600]
        await stop_and_compare(line, agent)
        unknown_ns = [row.sums.unknown_ns for row in line.rows]
        assert 2 * 3500 * S < sum(unknown_ns) < 2 * 3600 * S, "nobody saw that hour"


@scenario
async def a_plc_that_was_away_is_caught_up(folder: Path) -> None:
    """Twenty seconds down: unknown time, then recovered pieces; the other machine is not touched."""
    line = Line(folder)
    async with running(line) as agent:
        await asyncio.sleep(3)
        line.world.inject({"kind": "server-down", "target": "plc-1", "for_s": 20})
        await agent.until(lambda: agent.said("device down"), "down")
        await asyncio.sleep(10)
        snapshot = await agent.snapshot()
        away, there = snapshot["machines"]
        assert (away["bucket"], away["rate_per_min"]) == ("unknown", None)
        assert there["bucket"] != "unknown"
        await agent.until(lambda: len(agent.said("device up")) >= 3, "back")
        await asyncio.sleep(3)
        await stop_and_compare(line, agent)
        rows = [row for row in line.rows if row.key.machine == line.plan.machines[0].id]
        assert 10 * S < sum(row.sums.unknown_ns for row in rows) < 25 * S
        assert sum(row.sums.recovered for row in rows) > 0
        others = [row for row in line.rows if row.key.machine == line.plan.machines[1].id]
        assert sum(row.sums.unknown_ns for row in others) == 0


# ---- recording ----


@scenario
async def what_was_recorded_replays_to_what_was_stored(folder: Path) -> None:
    """Through a kill and a reload that switches a second machine on: every piece, and no row that differs."""
    line = Line(folder)
    first, second = (machine.id for machine in line.plan.machines)
    bound = "  recording: {max_bytes: 1 MB}\n"
    one = line.site.replace(f"- id: {first}\n", f"- id: {first}\n{bound}")
    line.config.write_text(one, "utf-8")
    async with running(line) as agent:
        await asyncio.sleep(4)
        await agent.end(signal.SIGKILL)
        async with Agent(line) as again:
            await again.ready()
            line.config.write_text(one.replace(f"- id: {second}\n", f"- id: {second}\n{bound}"), "utf-8")
            again.send(signal.SIGHUP)
            await again.until(lambda: again.said("reloaded"), "reloaded")
            await asyncio.sleep(4)
            await stop_and_compare(line, again)
            assert not again.said("recording"), "no complaint"
    recorded = str(folder / "store.recording")
    status, text, _ = await seamline("replay", "-c", str(line.config), "--readings", recorded, "--json")
    machines = json.loads(text)["machines"]
    pieces = {name: machines[name]["totals"]["tc"] + machines[name]["totals"]["unscheduled_tc"] for name in machines}
    assert (status, pieces[first]) == (0, line.stored[first])
    assert 0 < pieces[second] < line.stored[second], "since it was switched on"
    status, text, _ = await seamline(
        "replay", "-c", str(line.config), "--readings", f"{recorded}/{first}", "--against", str(line.store)
    )
    assert status == 0, text


# ---- once ----


async def seamline(*arguments: str) -> tuple[int, str, str]:
    """Any command: exit status, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-Im", "edge.cli", "--lang", "en", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert "Traceback" not in err.decode()
    return process.returncode or 0, out.decode(), err.decode()


@scenario
async def once_prints_every_tag_as_it_is(folder: Path) -> None:
    """Table and JSON agree with the registers; a device that is down, or none at all, is said."""
    line = Line(folder)
    await line.world.start()
    try:
        registers = {m.id: line.world.plant.machines[m.id].registers() for m in line.plan.machines}
        status, table, _ = await seamline("once", "-c", str(line.config))
        assert status == 0
        status, text, _ = await seamline("once", "-c", str(line.config), "--json")
        assert status == 0
        document = json.loads(text, parse_constant=pytest.fail)
        for device, planned, machine in zip(document["devices"], line.plan.devices, line.plan.machines, strict=True):
            assert (device["id"], device["error"]) == (planned.id, None)
            assert [tag["name"] for tag in device["tags"]] == [tag.name for tag in planned.tags]
            values = {tag["name"].rpartition(".")[2]: tag["value"] for tag in device["tags"]}
            assert registers[machine.id].items() <= values.items()
            assert all(
                tag["quality"] == "good" and tag["time_ns"] for tag in device["tags"] if tag["value"] is not None
            )
            assert all(f"  {tag['name']} " in table and tag["address"] in table for tag in device["tags"])
        assert {"D1000.1", "D1001"} <= {tag["address"] for tag in document["devices"][0]["tags"]}, "as the vendor says"

        status, text, _ = await seamline("once", "-c", str(line.config), "--device", "plc-2", "--json")
        assert [device["id"] for device in json.loads(text)["devices"]] == ["plc-2"]
        status, _, error = await seamline("once", "-c", str(line.config), "--device", "plc-9")
        assert status == 2
        assert "plc-9" in error
        assert "plc-1, plc-2" in error

        line.world.inject({"kind": "server-down", "target": "plc-2", "for_s": 60})
        await asyncio.sleep(0.5)
        status, table, _ = await seamline("once", "-c", str(line.config))
        assert status == 1
        assert table.count("✗") == 1
        assert "refused" in table
    finally:
        await line.world.close()


@pytest.mark.parametrize("name", scenario)
async def test_agent(name: str, outcomes: Outcomes) -> None:
    await outcomes[name]
