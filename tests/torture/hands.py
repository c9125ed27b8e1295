"""The hands that torture a gateway: one kills, one does everything else. Both draw from the seed of their round, so a
seed gives the same faults, in the same order, with the same pauses; what they meet depends on the machine it runs on.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import yaml
from torture.damage import flip, tear
from torture.gateway import Gateway
from torture.proxy import FaultProxy
from torture.second import SecondDatabase

LONG_S = 6.5  # away for longer than the agent calls a gap
HOUR_S = 3600
UP_SHARE = 0.75  # of the kills hit an agent that was up for a while; the others any instant of a start
UP_S = 20.0
START_S = 3.0
MET_S = 60.0  # a fault of the database waits so long for a write
DAMAGE = {"tear": "torn", "flip": "flipped"}
VICTIMS = ("agent", "machines", "database")


@dataclass(frozen=True, slots=True)
class Theme:
    """What a round is about: besides kills of the agent, of which every round has its share."""

    key: str
    faults: tuple[str, ...]
    victims: tuple[int, int, int] = (1, 0, 0)  # shares of agent, machines' servers, database among kills
    is_exact: bool = True  # the truth can be had back to the piece
    calm: float = 1.0  # how much longer the pauses between kills are
    has_second: bool = False  # VictoriaMetrics beside InfluxDB
    files: str = ""  # "tear" or "flip": done to the store while the agent is dead


THEMES = (
    Theme("kill", (), (6, 1, 1)),
    Theme("plc", ("plc",), (3, 2, 0)),
    Theme("database", tuple(FaultProxy.FAULTS), (3, 0, 1)),
    Theme("two", (*FaultProxy.FAULTS, *["second"] * len(SecondDatabase.FAULTS)), (3, 0, 1), has_second=True),
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

    def __init__(self, gateway: Gateway, theme: Theme, seed: int, kills: int, pause_s: float, meets: int) -> None:
        """`pause_s`: longest time an agent is up between two kills; `meets`: how often each fault of the database must
        be met by a write before the round may end.
        """
        self.gateway, self.theme, self.kills, self.pause_s = gateway, theme, kills, pause_s
        self._meets = meets
        self.random = Random(f"{seed}/{theme.key}/kills")
        self._others = Random(f"{seed}/{theme.key}/faults")
        self._bag: list[str] = []  # faults whose turn is still to come

    async def torture(self) -> None:
        """Both hands; at the end everything is whole again."""
        tasks = [asyncio.create_task(self._do_others())] if self.theme.faults else []
        if not self.theme.is_exact:
            tasks.append(asyncio.create_task(self.gateway.watch()))
        try:
            for number in range(self.kills):
                await self._kill_one(first=number == 0)
            await self._until_met(tasks)
            if not self.theme.is_exact:
                await asyncio.sleep(1.0)  # the watch sees the end of the last fault
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end
        await self._mend()

    async def _kill_one(self, *, first: bool) -> None:
        """At a random instant of a life: three of four while it is up, the others while it starts."""
        is_up = self.random.random() < UP_SHARE
        share = self.random.random()
        if is_up:
            await self._be_up()
        await asyncio.sleep(share * (self.pause_s * self.theme.calm if is_up else START_S))
        # The first kill of a round is the agent's: a round without one would prove nothing.
        victim = "agent" if first else self.random.choices(VICTIMS, weights=self.theme.victims)[0]
        kills = {"agent": self._kill_agent, "machines": self._kill_machines, "database": self._kill_database}
        await kills[victim]()

    async def _until_met(self, tasks: list[asyncio.Task[None]]) -> None:
        """Go on without kills until every fault of the database was met often enough."""
        faults = [kind for kind in self.theme.faults if kind in FaultProxy.FAULTS]
        while any(self.gateway.diary.times(kind) < self._meets for kind in faults):
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.2)

    async def _be_up(self) -> None:
        """Wait until the agent answers; not for ever, for its disk may be full, or its site file broken."""
        with suppress(TimeoutError):
            async with asyncio.timeout(UP_S):
                while await self.gateway.snapshot() is None:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.1)

    async def _mend(self) -> None:
        gateway = self.gateway
        gateway.proxy.mode = "pass"
        if gateway.second is not None:
            gateway.second.proxy.mode = "pass"
        assert gateway.agent
        gateway.site_file.write_text(gateway.site, "utf-8")
        await gateway.disk.free(gateway.agent.pid)
        await gateway.until(gateway.has_baseline, "a baseline")

    # ---- kills ----

    async def _kill_agent(self) -> None:
        gateway, random = self.gateway, self.random
        assert gateway.agent
        away_s = LONG_S if random.random() < 0.15 else random.uniform(0.0, 1.5)
        damages, done = self.theme.files and random.random() < 0.6, ""
        was_up, made, from_ns = await gateway.snapshot() is not None, await gateway.pieces(), gateway.now_ns
        await gateway.agent.kill()
        if damages:
            hurt = {"tear": tear, "flip": flip}[self.theme.files]
            done = await asyncio.to_thread(hurt, gateway.store, random)
        await asyncio.sleep(away_s)
        pieces = await gateway.pieces() - made
        gateway.diary.note("kill agent", from_ns, gateway.now_ns, done, pieces)
        if not was_up:
            gateway.diary.note("starting", from_ns)
        if done:
            gateway.diary.note(DAMAGE[self.theme.files], from_ns, detail=done, pieces=pieces)
        await gateway.agent.start()

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
        made, from_ns = await gateway.pieces(), gateway.now_ns
        await asyncio.to_thread(gateway.influx.kill)
        await asyncio.sleep(self.random.uniform(0.0, 3.0))
        await asyncio.to_thread(gateway.influx.start)
        gateway.diary.note("kill database", from_ns, gateway.now_ns, pieces=await gateway.pieces() - made)

    # ---- other faults ----

    async def _do_others(self) -> None:
        others = {"plc": self._ail_plc, "disk": self._fill_disk, "clock": self._set_clock, "edit": self._edit}
        others["second"] = self._ail_second
        while True:
            await asyncio.sleep(self._others.uniform(0.2, self.pause_s / 2))
            kind = self._next_fault()
            made, from_ns = await self.gateway.pieces(), self.gateway.now_ns
            detail = await others[kind]() if kind in others else await self._ail_database(kind)
            if detail is not None:
                pieces = await self.gateway.pieces() - made
                self.gateway.diary.note(kind, from_ns, self.gateway.now_ns, detail, pieces)

    def _next_fault(self) -> str:
        """Each in its turn, in an order that is drawn anew."""
        if not self._bag:
            self._bag = list(self.theme.faults)
            self._others.shuffle(self._bag)
        return self._bag.pop()

    async def _ail_database(self, mode: str) -> str | None:
        """Until a write has met it, and a while longer; None where none came."""
        return await self._ail(self.gateway.proxy, mode)

    async def _ail_second(self) -> str | None:
        assert self.gateway.second
        return await self._ail(self.gateway.second.proxy, self._others.choice(self.gateway.second.FAULTS))

    async def _ail(self, proxy: FaultProxy, mode: str) -> str | None:
        """None where no write came; else what it met."""
        longer_s = self._others.uniform(0.0, 2.0)
        before = proxy.met[mode]
        proxy.mode = mode
        try:
            async with asyncio.timeout(MET_S):
                while proxy.met[mode] == before:
                    await proxy.written.wait()
        except TimeoutError:
            return None
        else:
            await asyncio.sleep(longer_s)
            return mode
        finally:
            proxy.mode = "pass"

    async def _ail_plc(self) -> str:
        random, gateway = self._others, self.gateway
        assert gateway.plan
        device = random.choice(gateway.plan.devices)
        kinds = ["server-down", "bad-quality" if device.protocol == "opcua" else "no-reply"]
        kinds += ["delay", "exception", "truncate", "late", "wrong-transaction"] if device.protocol == "modbus" else []
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
