"""Edits of the configuration while the agent runs: what is untouched stays, down to the socket; the books agree."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import yaml
from agent.process import Agent, Line
from fixtures.scenarios import Outcomes, Scenarios

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]

scenario = Scenarios()
MINUTE_NS = 60_000_000_000


class Editor:
    """The site file of a running agent, saved as editors do: a new file that takes the place of the old one."""

    def __init__(self, line: Line, agent: Agent) -> None:
        self.line, self.agent = line, agent
        self.site = yaml.safe_load(line.site)
        self._seen = 0

    async def save(self, word: str = "reloaded") -> dict[str, Any]:
        """Save and wait until the agent said what became of it."""
        scratch = self.line.config.with_suffix(".swp")
        scratch.write_text(yaml.safe_dump(self.site, allow_unicode=True, sort_keys=False), "utf-8")
        scratch.rename(self.line.config)
        return await self.heard(word)

    async def heard(self, word: str) -> dict[str, Any]:
        def said() -> list[dict[str, Any]]:
            return [line for line in self.agent.log if str(line["event"]).startswith("reload")]

        await self.agent.until(lambda: len(said()) > self._seen, "reload")
        lines, self._seen = said()[self._seen :], len(said())
        assert [line["event"] for line in lines] == [word], lines
        return lines[0]


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Line, Agent, Editor]]:
    line = Line(folder)
    await line.world.start()
    try:
        async with Agent(line) as agent:
            await agent.ready()
            line.world.go()
            yield line, agent, Editor(line, agent)
    finally:
        await line.world.close()


def sockets(line: Line, agent: Agent) -> dict[str, int]:
    """By device: the port of our end, as the PLC sees it."""
    assert agent._process
    ports = {device.endpoint.port: device.id for device in line.plan.devices}  # type: ignore[union-attr]
    return {
        ports[one.raddr.port]: one.laddr.port
        for one in psutil.Process(agent._process.pid).net_connections("tcp")
        if one.status == psutil.CONN_ESTABLISHED and one.raddr and one.raddr.port in ports
    }


def files(line: Line, agent: Agent) -> set[tuple[int, int]]:
    """Number and inode of every file the agent has open of the store."""
    assert agent._process
    folder = Path(f"/proc/{agent._process.pid}/fd")
    found = set()
    for descriptor in folder.iterdir():
        if str(descriptor.readlink()).startswith(str(line.store)):
            found.add((int(descriptor.name), descriptor.stat().st_ino))
    return found


async def stop_and_compare(line: Line, agent: Agent) -> None:
    line.world.stop()
    await agent.settled()
    status, _ = await agent.end()
    assert status == 0
    assert line.stored == line.made
    assert not [entry for entry in agent.log if "error" in entry or entry["event"].startswith("task")], "no traceback"


@scenario
async def what_is_untouched_stays(folder: Path) -> None:
    """Order, a rule, a label, a database: sockets, the store's files and a page somebody looks at are the same ones."""
    async with running(folder) as (line, agent, editor):
        await asyncio.sleep(2)
        before, opened = sockets(line, agent), await asyncio.to_thread(files, line, agent)
        assert set(before) == {"plc-1", "plc-2"}
        assert opened
        async with (
            aiohttp.ClientSession() as browser,
            browser.get(f"http://127.0.0.1:{line.page_port}/api/events") as page,
        ):
            editor.site["devices"].reverse()
            editor.site["machines"].reverse()
            editor.site["machines"][0]["name"] = {"zh": "二号", "en": "Two"}
            editor.site["agent"]["live_s"] = 2.0
            said = await editor.save()
            assert "agent.live_ns" in said["detail"]
            assert sockets(line, agent) == before

            counted = await agent.counted()
            editor.site["machines"][0]["ideal_cycle_s"] *= 1.01
            await editor.save()
            assert [entry["machine"] for entry in agent.said("machine changed")] == [line.plan.machines[1].id]
            now = await agent.counted()
            assert all(now[name] >= pieces for name, pieces in counted.items()), "counters stay"
            editor.site["sinks"] = [
                {"id": "away", "type": "influxdb1", "url": "http://127.0.0.1:9", "database": "x", "deadline_s": 1}
            ]
            await editor.save()
            snapshot = await agent.snapshot()
            assert snapshot
            assert [sink["id"] for sink in snapshot["sinks"]] == ["away"]
            editor.site["sinks"] = []
            editor.site["machines"][1]["line"] = "line-7"
            await editor.save()
            assert sockets(line, agent) == before
            assert await asyncio.to_thread(files, line, agent) == opened, "the store was not reopened"
            page.content._buffer.clear()
            assert await asyncio.wait_for(page.content.readline(), 60), "the page goes on"
        assert len(agent.said("device up")) == 2, "nobody was connected anew"
        await stop_and_compare(line, agent)
        line.check_time()
        flagged = {row.key.machine for row in line.rows if row.sums.flags & 1 << _config_changed()}
        assert flagged <= {line.plan.machines[1].id}, "only the machine whose rule changed is in doubt"


def _config_changed() -> int:
    from ext.buckets import Flag

    return Flag.CONFIG_CHANGED.bit_length() - 1


@scenario
async def a_machine_that_goes_is_closed_and_comes_back_whole(folder: Path) -> None:
    """Its last window is final; the other one's socket stays; back again, its PLC's counters say what was made."""
    async with running(folder) as (line, agent, editor):
        await asyncio.sleep(3)
        before = sockets(line, agent)
        machine, device = editor.site["machines"].pop(0), editor.site["devices"].pop(0)
        await editor.save()
        assert sockets(line, agent) == {"plc-2": before["plc-2"]}
        await agent.until(lambda: [r for r in line.rows if r.key.machine == machine["id"]], "rows of what went")
        assert all(row.final for row in line.rows if row.key.machine == machine["id"])
        await asyncio.sleep(3)
        editor.site["machines"].append(machine)
        editor.site["devices"].append(device)
        await editor.save()
        await agent.until(lambda: set(sockets(line, agent)) == {"plc-1", "plc-2"}, "both connected")
        assert sockets(line, agent)["plc-2"] == before["plc-2"]
        await asyncio.sleep(2)
        await stop_and_compare(line, agent)
        line.check_time()


@scenario
async def mistakes_are_told_and_change_nothing(folder: Path) -> None:
    """Refused with the reason, in the log and on the page, and taken back once the file is mended."""
    async with running(folder) as (line, agent, editor):
        before = sockets(line, agent)
        editor.site["machines"][0]["template"] = "flat-mask-9"
        said = await editor.save("reload refused")
        assert any("flat-mask-1" in problem for problem in said["problems"])
        snapshot = await agent.snapshot()
        assert snapshot
        assert snapshot["reload"]["refused"] == 1
        assert snapshot["reload"]["refused_ms"]
        assert "flat-mask-9" in snapshot["reload"]["detail"]["en"]
        editor.site = yaml.safe_load(line.site)
        await editor.save("reload: nothing changed")
        snapshot = await agent.snapshot()
        assert snapshot
        assert snapshot["reload"]["refused_ms"] is None
        assert sockets(line, agent) == before
        await asyncio.sleep(2)
        await stop_and_compare(line, agent)


@scenario
async def edits_may_come_at_any_time(folder: Path) -> None:
    """In a row, while a PLC is away, together with SIGHUP; and the end comes in time, whatever is being reloaded."""
    async with running(folder) as (line, agent, editor):
        line.world.inject({"kind": "server-down", "target": "plc-1", "for_s": 6})
        await agent.until(lambda: agent.said("device down"), "down")
        for number in range(12):
            editor.site["agent"]["live_s"] = 1.0 + number / 10
            editor.site["machines"][0]["ideal_cycle_s"] *= 1.01
            editor.site["machines"].reverse()
            line.config.write_text(yaml.safe_dump(editor.site, allow_unicode=True), "utf-8")
            agent.send(signal.SIGHUP)
            await asyncio.sleep(0.25)
        await agent.until(lambda: len(agent.said("device up")) >= 3, "back")
        await agent.until(lambda: agent.said("machine changed"), "rules followed")
        assert not agent.said("reload refused")
        await asyncio.sleep(2)
        line.world.stop()
        await agent.settled()
        editor.site["agent"]["live_s"] = 5.0
        line.config.write_text(yaml.safe_dump(editor.site, allow_unicode=True), "utf-8")
        agent.send(signal.SIGHUP)
        await asyncio.sleep(0.1)
        status, took_s = await agent.end()
        assert (status, took_s < 10) == (0, True)
        assert line.stored == line.made
        line.check_time()
        assert not [entry for entry in agent.log if "error" in entry or entry["event"].startswith("task")]


@pytest.mark.parametrize("name", scenario)
async def test_reload(name: str, outcomes: Outcomes) -> None:
    await outcomes[name]
