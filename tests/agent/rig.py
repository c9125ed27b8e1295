"""The agent's middle on a bench: hub, lives, recorder and a real store, with a clock moved by hand and no wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import line_protocol_parser
from fixtures.records import NS, gap_record
from machines.bench import ALWAYS, NAME, REJECT, T0, TOTAL, machine, new_images, write

from edge.clock import ManualClock
from edge.errors import StoreError
from edge.hub import Hub
from edge.kpi.row import Row
from edge.machines.life import MachineLife
from edge.machines.values import ProcessValues
from edge.outbox.batch import Batch
from edge.outbox.facts import StoreSettings
from edge.outbox.reader import Reader
from edge.outbox.store import Outbox
from edge.plan import AgentSettings, Machine, ModbusDevice, Site, SitePlan
from edge.poll.stats import PollStats
from edge.recorder import META_ALIVE, Recorder
from edge.runtime import remember
from protocols.modbus.tags import Limits, ModbusEndpoint
from protocols.reading import DeviceFact, Frame


class StubbornOutbox(Outbox):
    """A store whose disk is full while `full` is set."""

    full = False

    async def commit(self, batch: Batch) -> None:
        if self.full:
            raise StoreError("disk full")
        await super().commit(batch)


class Idle:
    """A poller that only counts."""

    def __init__(self) -> None:
        self.stats = PollStats()


def device(index: int, name: str) -> ModbusDevice:
    return ModbusDevice(index, name, "inovance-h5u", ModbusEndpoint("127.0.0.1", 502), Limits(), (), ())


def plan_for(store: Path, machines: tuple[Machine, ...]) -> SitePlan:
    return SitePlan(
        source="site.yaml",
        config_version="c1",
        site=Site("s1", "e1", "p1", "c1", "UTC", NAME),
        calendars=(ALWAYS,),
        devices=(device(0, "plc-1"), device(1, "plc-2")),
        machines=machines,
        sinks=(),
        agent=AgentSettings(str(store), 1 << 26, 0, NS, NS, "127.0.0.1", 0, "text", "en"),
    )


class Rig:
    """Open it, let time pass, read and commit; what is in the store afterwards is the proof."""

    def __init__(self, store: Path, *machines: Machine) -> None:
        self.store = store
        self.plan = plan_for(store, machines or (machine(),))
        self.clock = ManualClock(T0)
        self.images = new_images()
        self.lives = [MachineLife(m, ALWAYS, self.images, "c1", T0) for m in self.plan.machines]
        self.values = ProcessValues(self.plan.machines, self.images)
        self.hub = Hub(self.plan.devices, self.lives, self.values, self.clock)
        self.pollers = [Idle(), Idle()]
        self.outbox = StubbornOutbox(StoreSettings(store, 1 << 26), self.clock, gap_record)
        self.recorder = Recorder(self.plan, self.lives, self.hub, self.values, self.pollers, self.outbox, self.clock)  # type: ignore[arg-type]
        self.registers = {0: 1, 1: 0, 2: 0, 3: 1, TOTAL: 100, REJECT: 3}

    def read(self, pieces: int = 0, **registers: int) -> None:
        """A second passes; device 0 answers with `pieces` more."""
        self.clock.advance(NS)
        self.registers[TOTAL] += pieces
        now_ns = self.clock.now_ns()
        write(self.images[0], now_ns, self.registers)
        self.hub.on_frame(Frame(0, now_ns, range(6), 0))

    def read_late(self, seconds: int, registers: dict[int, int]) -> None:
        """What device 0 said so many seconds ago arrives now."""
        t_ns = self.clock.now_ns() - seconds * NS + NS // 2
        write(self.images[0], t_ns, self.registers | registers)
        self.hub.on_frame(Frame(0, t_ns, range(6), 0))

    async def restart(self) -> None:
        """kill -9, and the same store again."""
        self.images = new_images()
        now_ns = self.clock.now_ns()
        self.lives = [MachineLife(m, ALWAYS, self.images, "c1", now_ns) for m in self.plan.machines]
        checkpoints = await self.outbox.load_checkpoints()
        for life in self.lives:
            await remember(life, self.outbox, checkpoints, now_ns)
        self.hub = Hub(self.plan.devices, self.lives, self.values, self.clock)
        self.recorder = Recorder(self.plan, self.lives, self.hub, self.values, self.pollers, self.outbox, self.clock)  # type: ignore[arg-type]
        self.recorder.gaps.load(await self.outbox.open_gaps(), now_ns)
        self.recorder.gaps.agent_stopped(int((await self.outbox.load_meta())[META_ALIVE]), now_ns)

    def measure(self, degrees: int) -> None:
        """Device 1 answers."""
        now_ns = self.clock.now_ns()
        write(self.images[1], now_ns, {0: degrees})
        self.hub.on_frame(Frame(1, now_ns, range(1), 0))

    def fact(self, *, up: bool, reason: str, device: int = 0) -> None:
        self.hub.on_fact(DeviceFact(device, self.clock.now_ns(), up, reason, f"detail of {reason}"))

    def stored(self, measurement: str) -> list[dict[str, Any]]:
        """Every point of a measurement in the store, in order: time, tags and fields in one."""
        return [point for point in points_of(self.store) if point["measurement"] == measurement]

    def stored_rows(self) -> list[Row]:
        with Reader(self.store) as reader:
            return list(reader.ledger_rows("m1", "1m", 0, 1 << 62))

    def stored_pieces(self) -> int:
        return sum(row.sums.tc for row in self.stored_rows())


def points_of(store: Path) -> list[dict[str, Any]]:
    """Parsed by somebody else's parser."""
    found = []
    with Reader(store) as reader:
        records, damaged = reader.stretch(0, 1 << 62, 1 << 40)
        assert not damaged
    for record in records:
        for line in record.lines.decode().split("\n"):
            point = line_protocol_parser.parse_line(line)
            found.append(
                {"measurement": point["measurement"], "time": point["time"], **point["tags"], **point["fields"]}
            )
    return found
