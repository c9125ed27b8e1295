"""The hands that torture a gateway: one kills, one does everything else. Both draw from the seed of their round, so a
seed gives the same faults, in the same order, with the same pauses; what they meet depends on the machine it runs on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import yaml
from torture.damage import flip, tear
from torture.gateway import Gateway
from torture.proxy import FaultProxy

LONG_S = 6.5  # away for longer than the agent calls a gap
HOUR_S = 3600
UP_SHARE = 0.2  # of the kills hit an agent that surely is up; the others may hit one that is starting
UP_S = 12.0
Fault = Callable[["Hands"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Theme:
    """What a round is about: besides kills of the agent, of which every round has its share."""

    key: str
    faults: tuple[str, ...]
    victims: tuple[int, int, int] = (1, 0, 0)  # shares of agent, machines' servers, database among kills
    is_exact: bool = True  # the truth can be had back to the piece
    calm: float = 1.0  # how much longer the pauses between kills are
    files: str = ""  # "tear" or "flip": done to the store while the agent is dead


THEMES = (
    Theme("kill", (), (6, 1, 1)),
    Theme("plc", ("plc",), (3, 2, 0)),
    Theme("database", tuple(FaultProxy.FAULTS), (3, 0, 1)),
    Theme("disk", ("disk",)),
    Theme("clock", ("clock",)),
    Theme("edit", ("edit",), calm=2.5),  # an edit takes a compilation, and that takes seconds on a busy machine
    Theme("torn", (), files="tear"),
    Theme("flipped", (), is_exact=False, files="flip"),
    Theme("all", ("plc", "disk", "clock", "edit", *FaultProxy.FAULTS), (5, 1, 1), files="tear"),
)
BY_KEY = {theme.key: theme for theme in THEMES}


class Hands:
    """`torture` until `kills` processes were killed."""

    def __init__(self, gateway: Gateway, theme: Theme, seed: int, kills: int, pause_s: float) -> None:
        """`pause_s`: longest time between two kills."""
        self.gateway, self.theme, self.kills, self.pause_s = gateway, theme, kills, pause_s
        self.random = Random(f"{seed}/{theme.key}/kills")
        self._others = Random(f"{seed}/{theme.key}/faults")
        self.excused: dict[str, int] = {}  # pieces by machine that a fresh store may lack

    async def torture(self) -> None:
        """Both hands; at the end everything is whole again."""
        other = asyncio.create_task(self._do_others()) if self.theme.faults else None
        try:
            victims = ("agent", "machines", "database")
            for number in range(self.kills):
                if self.random.random() < UP_SHARE:
                    await self._be_up()
                await asyncio.sleep(self.random.uniform(0.2, self.pause_s * self.theme.calm))
                # The first kill of a round is the agent's: a round without one would prove nothing.
                victim = self.random.choices(victims, weights=self.theme.victims)[0] if number else "agent"
                await {"agent": self._kill_agent, "machines": self._kill_machines, "database": self._kill_database}[
                    victim
                ]()
        finally:
            if other is not None:
                other.cancel()
                await asyncio.gather(other, return_exceptions=True)
        if other is not None and not other.cancelled() and (error := other.exception()):
            raise error
        await self._mend()

    async def _be_up(self) -> None:
        """Wait until the agent answers; not for ever, for its disk may be full, or its site file broken."""
        with suppress(TimeoutError):
            async with asyncio.timeout(UP_S):
                while await self.gateway.snapshot() is None:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.1)

    async def _mend(self) -> None:
        gateway = self.gateway
        gateway.proxy.mode = "pass"
        assert gateway.agent
        gateway.site_file.write_text(gateway.site, "utf-8")
        await gateway.disk.free(gateway.agent.pid)
        await gateway.until(gateway.has_baseline, "a baseline")

    # ---- kills ----

    async def _kill_agent(self) -> None:
        gateway, random = self.gateway, self.random
        assert gateway.agent
        away_s = LONG_S if random.random() < 0.15 else random.uniform(0.0, 1.5)
        damages, torn = self.theme.files and random.random() < 0.6, ""
        from_ns = gateway.now_ns
        await gateway.agent.kill()
        if damages and self.theme.files == "tear":
            torn = await asyncio.to_thread(tear, gateway.store, random)
            if torn:
                gateway.diary.note("torn", from_ns, detail=torn)
        elif damages:
            await self._flip()
        await asyncio.sleep(away_s)
        gateway.diary.note("kill agent", from_ns, gateway.now_ns, torn)
        await gateway.agent.start()
        if damages and self.theme.files == "flip":
            await self._excuse()

    async def _flip(self) -> None:
        gateway = self.gateway
        self._delivered = await gateway.stored()
        done = await asyncio.to_thread(flip, gateway.store, self.random)
        gateway.diary.note("flipped", gateway.now_ns, detail=done)

    async def _excuse(self) -> None:
        """A store that begins anew counts from a new baseline: what was made since the last delivery may be missing."""
        gateway = self.gateway
        await gateway.until(gateway.has_baseline, "a baseline after damage")
        aside = len(list(gateway.disk.folder.glob("*.damaged-*"))) // 2
        made = await gateway.made()
        gateway.diary.note("baseline", gateway.now_ns, detail=f"{aside} set aside")
        for machine, pieces in made.items():
            self.excused[machine] = self.excused.get(machine, 0) + pieces - self._delivered.get(machine, 0)

    async def _kill_machines(self) -> None:
        gateway = self.gateway
        assert gateway.plant
        from_ns = gateway.now_ns
        await gateway.plant.kill()
        await asyncio.sleep(self.random.uniform(0.0, 4.0))
        await gateway.plant.start()
        gateway.diary.note("kill machines", from_ns, gateway.now_ns)

    async def _kill_database(self) -> None:
        gateway = self.gateway
        from_ns = gateway.now_ns
        await asyncio.to_thread(gateway.influx.kill)
        await asyncio.sleep(self.random.uniform(0.0, 3.0))
        await asyncio.to_thread(gateway.influx.start)
        gateway.diary.note("kill database", from_ns, gateway.now_ns)

    # ---- other faults ----

    async def _do_others(self) -> None:
        while True:
            await asyncio.sleep(self._others.uniform(0.2, self.pause_s))
            kind = self._others.choice(self.theme.faults)
            from_ns = self.gateway.now_ns
            if kind in FaultProxy.FAULTS:
                detail = await self._ail_database(kind)
            else:
                others = {"plc": self._ail_plc, "disk": self._fill_disk, "clock": self._set_clock, "edit": self._edit}
                detail = await others[kind]()
            self.gateway.diary.note(kind, from_ns, self.gateway.now_ns, detail)

    async def _ail_database(self, mode: str) -> str:
        self.gateway.proxy.mode = mode
        await asyncio.sleep(self._others.uniform(1.0, 6.0))
        self.gateway.proxy.mode = "pass"
        return ""

    async def _ail_plc(self) -> str:
        random, gateway = self._others, self.gateway
        assert gateway.plan
        device = random.choice(gateway.plan.devices)
        kinds = ["server-down", "delay", "bad-quality" if device.protocol == "opcua" else "no-reply"]
        kinds += ["exception", "truncate", "late", "wrong-transaction"] if device.protocol == "modbus" else []
        order = {"kind": random.choice(kinds), "target": device.id, "for_s": round(random.uniform(1.0, 8.0), 1)}
        if order["kind"] in ("delay", "late"):
            order["delay_ms"] = 400
        if order["kind"] == "exception":
            order["code"] = 6
        await gateway.order("/inject", order)
        await asyncio.sleep(2.0)
        return f"{order['kind']} {device.id}"

    async def _fill_disk(self) -> str:
        gateway = self.gateway
        assert gateway.agent
        await gateway.disk.fill(gateway.agent.pid)
        await asyncio.sleep(self._others.uniform(1.0, 6.0))
        await gateway.disk.free(gateway.agent.pid)
        return "tmpfs" if gateway.disk.is_real else "limit on file size"

    async def _edit(self) -> str:
        """Somebody edits the site file; the agent follows by itself, or on SIGHUP, or is killed over it."""
        random, gateway = self._others, self.gateway
        site = yaml.safe_load(gateway.site_file.read_text("utf-8"))
        what = random.choice(("broken", "order", "rule", "interval", "machine"))
        if what == "order":
            site["machines"].reverse()
            site["devices"].reverse()
        elif what == "rule":
            machine = random.choice(site["machines"])
            machine["oee_target"] = round(random.uniform(0.5, 0.9), 2)
            machine["ideal_cycle_s"] *= random.uniform(0.98, 1.02)
        elif what == "interval":
            site["agent"]["live_s"] = random.choice((0.5, 1.0, 2.0))
        gone = site["machines"].pop() if what == "machine" else None
        await self._save(site, "\nsurprise: 1\n" if what == "broken" else "")
        if what in ("broken", "machine"):
            await asyncio.sleep(random.uniform(1.0, 3.0))
            if gone is not None:
                site["machines"].append(gone)
            await self._save(site)
        return what

    async def _save(self, site: Any, more: str = "") -> None:
        """As editors do: a new file that takes the place of the old one."""
        gateway = self.gateway
        assert gateway.agent
        scratch = gateway.site_file.with_suffix(".swp")
        text = yaml.safe_dump(site, allow_unicode=True, sort_keys=False) + more
        await asyncio.to_thread(scratch.write_text, text, "utf-8")
        scratch.rename(gateway.site_file)
        if self._others.random() < 0.5:
            gateway.agent.hang_up()

    async def _set_clock(self) -> str:
        step_s = self._others.choice((-HOUR_S, HOUR_S)) if self.gateway.clock_offset_s == 0 else 0
        before_s = self.gateway.clock_offset_s
        self.gateway.set_clock(step_s)
        await asyncio.sleep(self._others.uniform(1.0, 5.0))
        return f"{step_s - before_s:+d} s"
