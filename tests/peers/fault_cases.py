"""Cases of faults: what is injected, what must come of it, and one run of all of them at the same time.

A case is a folder tests/cases/modbus/NAME with a case.yaml. Its device has two blocks of ten registers, w0 … w9, which
the faults strike, and w100 … w109, the others, both read every interval; `device` changes that. All cases run at once
beside one device to which nothing happens, as on a gateway where forty things go wrong together.

What is measured, by what the poller itself recorded (when it asked, when it was answered): time in which the machine
that runs the tests let our process, or the server's, wait for a processor is nobody's loss.
    lost          values of the struck tags that were due and did not come, in polls
    others        the same of the other tags; a value that comes late by a deadline is late, not lost
    recovery      from the last fault to the next good value of the struck tags; where the fault lasts (`lasting`),
                  from the first fault to the last fact: then all is known
    wrong         values in a frame that the server does not hold: always none
    extra         requests beyond one per block and poll
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from peers.faults import KINDS, Fault, FaultProxy
from peers.foreign import holding, serving

from edge.clock import SystemClock
from edge.plan import ModbusDevice, Name
from edge.poll.factory import make_sources
from protocols.modbus.plan import plan_requests
from protocols.modbus.tags import (
    DataType,
    Endpoint,
    Framing,
    Limits,
    ModbusTag,
    Parity,
    SerialEndpoint,
    Table,
    TcpEndpoint,
)
from protocols.reading import DeviceFact, Frame, Past, Quality, TagImage

FOLDER = Path(__file__).parents[1] / "cases" / "modbus"
MS = 1_000_000
LIMIT_S = 12.0  # a case that is not over by then has failed
CALM_POLLS = 4  # after the last thing that happened
LOOK_S = 0.04
BUSY_S = 0.05  # a stall that counts
BUSY_RUNS = 6  # so often it is tried again for that reason
SLACK_S = 0.05  # of the machine that runs the tests, besides the stalls that are measured


@dataclass(frozen=True, slots=True)
class Setup:
    """The device of a case."""

    interval_ms: int = 400
    deadline_ms: int = 300
    struck: tuple[int, int] = (0, 10)  # first register and number of registers
    others: tuple[int, int] = (100, 10)
    width: int = 1  # registers of a tag
    framing: str = "mbap"
    serial: bool = False
    max_registers: int = 100
    server: str = "libmodbus"


@dataclass(frozen=True, slots=True)
class Expected:
    """What must come of it."""

    facts: tuple[str, ...]  # "up connected", "down timeout", …, all of them, in order
    lost: int = 0
    recover_polls: int = 0
    lasting: bool = False
    bad: tuple[str, ...] = ()  # tags that are not GOOD in the end
    extra_requests: int = 4  # the round after each connect is read at once, besides the grid
    per_poll: int = 2  # requests in the end
    connections: int = 1
    others_down: bool = False  # the connection is lost, so the other tags are too while it is
    values: dict[str, float] = field(default_factory=dict)  # in the end, where the fault changes them


@dataclass(frozen=True, slots=True)
class Case:
    """One folder."""

    name: str
    title: Name  # what is injected
    does: Name  # what the agent does
    device: Setup
    faults: tuple[Fault, ...]
    expect: Expected


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case."""

    facts: tuple[str, ...]
    bad: tuple[str, ...]
    values: dict[str, float]
    lost: int
    others_lost: int
    wrong: int
    recovered_s: float | None  # None: never
    extra_requests: int
    per_poll: float
    connections: int
    stall_s: float = 0.0  # how long the processes of the test were kept waiting at worst meanwhile


def names() -> list[str]:
    """All cases."""
    return sorted(path.parent.name for path in FOLDER.glob("*/case.yaml"))


def load(name: str) -> Case:
    """Read a case. Raises TypeError where a key is none, KeyError where one is missing."""
    read = yaml.safe_load((FOLDER / name / "case.yaml").read_text("utf-8"))
    faults = tuple(Fault(**_tuples(fault)) for fault in read["faults"])
    assert {fault.do for fault in faults} <= KINDS, name
    title, does = Name(**read["injected"]), Name(**read["agent"])
    device, expected = Setup(**_tuples(read.get("device", {}))), Expected(**_tuples(read["expect"]))
    assert read.keys() <= {"injected", "agent", "device", "faults", "expect"}, name
    return Case(name, title, does, device, faults, expected)


def _tuples(read: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in read.items()}


class Watcher:
    """Receiver of one device: facts and frames with loop times, and values compared with the truth."""

    def __init__(self, tags: Sequence[ModbusTag], image: TagImage, truth: dict[str, int] | None) -> None:
        self.facts: list[tuple[float, DeviceFact]] = []
        self.read_s: dict[str, list[float]] = {tag.name: [] for tag in tags}
        self.asked_s: dict[str, list[float]] = {tag.name: [] for tag in tags}  # when each of these was asked for
        self.wrong = 0
        self._tags, self._image, self._truth = tags, image, truth
        self._now = asyncio.get_running_loop().time

    def on_frame(self, frame: Frame) -> None:
        for index in frame.tags:
            name = self._tags[index].name
            if self._image.t_ns[index] != frame.t_ns:
                self.wrong += 1
            if self._image.quality[index] != Quality.GOOD:
                continue
            now_s = self._now()
            self.read_s[name].append(now_s)
            self.asked_s[name].append(now_s - frame.latency_ns / 1e9)
            if self._truth is not None and self._image.i64[index] != self._truth[name]:
                self.wrong += 1

    def on_fact(self, fact: DeviceFact) -> None:
        self.facts.append((self._now(), fact))

    def on_past(self, past: Past) -> None:
        """Modbus devices remember nothing."""

    @property
    def said(self) -> tuple[str, ...]:
        return tuple(f"{'up' if fact.up else 'down'} {fact.reason}" for _, fact in self.facts)


def _tags(setup: Setup, span: tuple[int, int]) -> list[ModbusTag]:
    kind = {1: DataType.U16, 2: DataType.U32}[setup.width]
    return [
        ModbusTag(
            f"w{address}",
            Table.HOLDING_REGISTERS,
            address,
            kind,
            registers=setup.width,
            interval_ns=setup.interval_ms * MS,
        )
        for address in range(span[0], span[0] + span[1], setup.width)
    ]


def _truth(tag: ModbusTag) -> int:
    return int.from_bytes(b"".join(holding(tag.address + i).to_bytes(2, "big") for i in range(tag.registers)), "big")


async def _until(over: Callable[[], bool]) -> None:
    """Look, now and then: most of what a case waits for is that nothing happens any more."""
    while not over():  # noqa: ASYNC110
        await asyncio.sleep(LOOK_S)


class Pulse:
    """When the machine that runs the tests let this process wait: each nap of 5 ms that took too long."""

    NAP_S = 0.005

    def __init__(self) -> None:
        self.stalls: list[tuple[float, float]] = []  # from, until

    async def beat(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            before_s = now()
            await asyncio.sleep(self.NAP_S)
            after_s = now()
            if after_s - before_s > 2 * self.NAP_S:
                self.stalls.append((before_s + self.NAP_S, after_s))

    @property
    def stall_s(self) -> float:
        """The longest."""
        return max((until_s - from_s for from_s, until_s in self.stalls), default=0.0)

    def stalled_s(self, from_s: float, until_s: float) -> float:
        """How much of this time was spent waiting."""
        return sum(max(0.0, min(until_s, end_s) - max(from_s, start_s)) for start_s, end_s in self.stalls)


def _reading(device: ModbusDevice, image: TagImage, receiver: Watcher) -> Awaitable[None]:
    """The life of the device's connection."""
    return make_sources([device], [image], receiver, SystemClock()).connections[0].run()


class Bench:
    """One case on its way: proxy, device, poller, watcher."""

    def __init__(self, case: Case, server_port: int, index: int, pulse: Pulse) -> None:
        self.case, self._index, self._pulse = case, index, pulse
        setup = case.device
        self.proxy = FaultProxy(server_port, case.faults, rtu=setup.framing == "rtu", serial=setup.serial)
        self._limits = Limits(max_registers=setup.max_registers, pause_ns=0, requests_per_s=1000.0)
        self.tags = [*_tags(setup, setup.struck), *_tags(setup, setup.others)]

    async def run(self, over: Callable[[], bool] | None = None) -> Outcome:
        """Until `over`, or until the case is."""
        async with self.proxy:
            planned = plan_requests(self.tags, self._limits, unit=1)
            image = TagImage(len(planned.tags))
            truth = None if self.case.expect.values else {tag.name: _truth(tag) for tag in planned.tags}
            watcher = Watcher(planned.tags, image, truth)
            device = ModbusDevice(
                self._index, self.case.name, "test", self._endpoint(), self._limits, planned.tags, planned.requests
            )
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            task = asyncio.ensure_future(_reading(device, image, watcher))
            try:
                await _until(lambda: task.done() or (over() if over else self._over(watcher, began_s)))
            finally:
                ended_s = loop.time()
                if task.done():
                    task.result()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            return self._judge(watcher, image, planned.tags, began_s, ended_s)

    def _endpoint(self) -> Endpoint:
        deadline_ns = self.case.device.deadline_ms * MS
        if self.proxy.path:
            return SerialEndpoint(self.proxy.path, 115_200, Parity.NONE, deadline_ns=deadline_ns)
        framing = Framing(self.case.device.framing)
        return TcpEndpoint("127.0.0.1", self.proxy.port, framing=framing, deadline_ns=deadline_ns)

    def _over(self, watcher: Watcher, began_s: float) -> bool:
        """Everything expected was said, the struck tags are back, and nothing has happened since for a while."""
        now_s, expect = asyncio.get_running_loop().time(), self.case.expect
        if now_s - began_s > LIMIT_S:
            return True
        if len(watcher.facts) < len(expect.facts) or (self.case.faults and not self.proxy.struck_s):
            return False
        last_s = max(watcher.facts[-1][0], *self.proxy.struck_s[:1])
        if not expect.lasting:
            if self._back_s(watcher) is None:
                return False
            last_s = max(last_s, self.proxy.struck_s[-1] if self.proxy.struck_s else began_s)
            pending = any(f.strikes(n + 1) for f, n in zip(self.proxy.faults, self.proxy.seen, strict=True))
            if pending or any(n < f.first for f, n in zip(self.proxy.faults, self.proxy.seen, strict=True)):
                return False
        return now_s - last_s > CALM_POLLS * self.case.device.interval_ms / 1000

    def _struck(self, watcher: Watcher) -> list[str]:
        first, count = self.case.device.struck
        return [f"w{n}" for n in range(first, first + count, self.case.device.width)]

    def _back_s(self, watcher: Watcher) -> float | None:
        """When all struck tags were read again after the last fault."""
        last_s = self.proxy.struck_s[-1] if self.proxy.struck_s else 0.0
        after = [next((t for t in watcher.read_s[name] if t > last_s), None) for name in self._struck(watcher)]
        known = [t for t in after if t is not None]
        return max(known) if len(known) == len(after) else None

    def _judge(
        self, watcher: Watcher, image: TagImage, tags: Sequence[ModbusTag], began_s: float, ended_s: float
    ) -> Outcome:
        setup, expect = self.case.device, self.case.expect
        interval_s = setup.interval_ms / 1000
        struck = set(self._struck(watcher)) - set(expect.bad)
        others = {tag.name for tag in tags} - struck - set(expect.bad)
        requests = [t for t, _ in self.proxy.requests]
        blocks = len(plan_requests(self.tags, self._limits, unit=1).requests)
        calm_s = CALM_POLLS * interval_s
        recovered_s: float | None
        if expect.lasting:
            recovered_s = watcher.facts[-1][0] - self.proxy.struck_s[0]
        else:
            back_s = self._back_s(watcher)
            recovered_s = None if back_s is None else back_s - (self.proxy.struck_s or [began_s])[-1]
        return Outcome(
            facts=watcher.said,
            bad=tuple(tag.name for i, tag in enumerate(tags) if image.quality[i] != Quality.GOOD),
            values={tag.name: image.f64[i] for i, tag in enumerate(tags) if tag.name in expect.values},
            lost=max((self._lost(watcher.read_s[name], watcher.asked_s[name], began_s) for name in struck), default=0),
            others_lost=max((self._missed(watcher.read_s[name], began_s, ended_s) for name in others), default=0),
            wrong=watcher.wrong,
            recovered_s=recovered_s,
            extra_requests=len(requests) - blocks * math.ceil((ended_s - began_s) / interval_s),
            per_poll=sum(ended_s - calm_s <= t < ended_s for t in requests) / CALM_POLLS,
            connections=self.proxy.connections,
        )

    def _lost(self, read_s: Sequence[float], asked_s: Sequence[float], began_s: float) -> int:
        """Polls without a value, to the nearest: from each answer to the next question that was answered.

        The first value may take a deadline; an answer on its way is late, not lost.
        """
        interval_s, deadline_s = self.case.device.interval_ms / 1000, self.case.device.deadline_ms / 1000
        if not read_s:
            return 0
        first_s = read_s[0] - began_s - deadline_s - self._pulse.stalled_s(began_s, read_s[0])
        gaps = [
            later - earlier - self._pulse.stalled_s(earlier, later)
            for earlier, later in zip(read_s, asked_s[1:], strict=False)
        ]
        return max(0, math.floor(first_s / interval_s)) + sum(max(0, round(gap / interval_s) - 1) for gap in gaps)

    @property
    def _slack_s(self) -> float:
        return SLACK_S + 3 * max(self._pulse.stall_s, self.proxy.server_s)  # a request is carried by three processes

    def _missed(self, read_s: Sequence[float], began_s: float, ended_s: float) -> int:
        """Polls without a value, of tags that may be late: of each gap what is beyond an interval and a deadline."""
        interval_s, deadline_s = self.case.device.interval_ms / 1000, self.case.device.deadline_ms / 1000
        times = [began_s, *read_s, ended_s]
        gaps = [later - earlier - deadline_s - self._slack_s for earlier, later in pairwise(times)]
        return sum(max(0, math.ceil(gap / interval_s) - 1) for gap in gaps)


NEIGHBOUR = Case(
    "neighbour",
    Name("无", "nothing"),
    Name("照常读取", "reads on"),
    Setup(interval_ms=100),
    (),
    Expected(("up connected",)),
)


def complaints(case: Case, outcome: Outcome) -> list[str]:
    """What is not as it must be."""
    expect, interval_s = case.expect, case.device.interval_ms / 1000
    others = expect.lost if expect.others_down else 0
    within_s = (expect.recover_polls + 0.5) * interval_s + 3 * outcome.stall_s
    recovered_s = math.inf if outcome.recovered_s is None else outcome.recovered_s
    checks = (
        (outcome.facts == expect.facts, f"said {outcome.facts}, not {expect.facts}"),
        (outcome.bad == expect.bad, f"not good in the end: {outcome.bad}, not {expect.bad}"),
        (outcome.values == expect.values, f"values {outcome.values}, not {expect.values}"),
        (outcome.wrong == 0, f"{outcome.wrong} wrong values"),
        (outcome.lost <= expect.lost, f"lost {outcome.lost} polls, not {expect.lost} at most"),
        (outcome.others_lost <= others, f"other tags lost {outcome.others_lost} polls, not {others} at most"),
        (recovered_s <= within_s, f"back after {recovered_s:.2f} s, not within {within_s:.2f}"),
        (
            outcome.extra_requests <= expect.extra_requests,
            f"{outcome.extra_requests} requests too many, not {expect.extra_requests} at most",
        ),
        (outcome.per_poll <= expect.per_poll + 0.5, f"{outcome.per_poll} requests a poll, not {expect.per_poll}"),
        (outcome.connections <= expect.connections, f"{outcome.connections} connections, not {expect.connections}"),
    )
    return [text for holds, text in checks if not holds]


@dataclass(frozen=True, slots=True)
class Run:
    """All cases at once."""

    outcomes: dict[str, Outcome]
    neighbour: Outcome
    seconds: float
    stall_s: float  # the longest that this process, or a server that is honest and does nothing else, had to wait


async def run(cases: Sequence[Case], ports: dict[str, int]) -> Run:
    """Run the cases together, each against its own proxy, and a device to which nothing happens beside them."""
    loop = asyncio.get_running_loop()
    began_s, done, pulse = loop.time(), asyncio.Event(), Pulse()
    beating = asyncio.create_task(pulse.beat())
    beside = Bench(NEIGHBOUR, ports["libmodbus"], 0, pulse)
    neighbour = asyncio.create_task(beside.run(done.is_set))
    benches = [Bench(case, ports[case.device.server], i + 1, pulse) for i, case in enumerate(cases)]
    outcomes = await asyncio.gather(*(bench.run() for bench in benches))
    done.set()
    outcome = await neighbour
    stall_s = max(pulse.stall_s, *(bench.proxy.server_s for bench in (beside, *benches)))
    by_name = {case.name: replace(one, stall_s=stall_s) for case, one in zip(cases, outcomes, strict=True)}
    run = Run(by_name, outcome, loop.time() - began_s, stall_s)
    beating.cancel()
    return run


@contextlib.contextmanager
def servers(kinds: Sequence[str], folder: Path) -> Iterator[dict[str, int]]:
    """The foreign servers the cases ask for, by kind: their ports."""
    with contextlib.ExitStack() as stack:
        yield {kind: stack.enter_context(serving(kind, folder)) for kind in kinds}


def run_all(cases: Sequence[Case], folder: Path) -> Run:
    """`run` with servers of its own. `folder` takes what has to be built.

    Where the machine was so busy that deadlines were missed for that reason, what failed is run again.
    """
    kinds = sorted({"libmodbus", *(case.device.server for case in cases)})
    with servers(kinds, folder) as ports:
        whole = asyncio.run(run(cases, ports))
        last = whole
        for _ in range(BUSY_RUNS):
            again = [case for case in cases if complaints(case, whole.outcomes[case.name])]
            disturbed = last.neighbour.lost or last.neighbour.others_lost
            if not (again or disturbed) or last.stall_s < BUSY_S:
                break
            last = asyncio.run(run(again or cases[:1], ports))
            whole = replace(last, outcomes=whole.outcomes | last.outcomes, seconds=whole.seconds + last.seconds)
        return whole
