"""A machine's life as a list of samples, to be lived by `MachineLife` and written down as a file of readings."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from machines.bench import ALWAYS, SIGNALS, Bench, machine

from edge.machines.kernel import APART_NS
from edge.plan import AgentSettings, Machine, Name, Site, SitePlan
from edge.recording.lines import HEADER
from protocols.reading import Quality

S = 1_000_000_000
START_NS = 1_780_000_040 * S
WORDS = {Quality.GOOD: "good", Quality.UNCERTAIN: "uncertain", Quality.BAD: "bad"}

Row = tuple[int, str]  # time, the line


@dataclass(frozen=True)
class Moment:
    """One sample: when, how well it was read, and what the registers showed."""

    t_ns: int
    quality: Quality
    registers: dict[str, int]


def life_of(seed: int, samples: int = 120) -> list[Moment]:
    """A machine that runs, stops, wraps, is cleared, changes its product, and is not heard of now and then."""
    dice = random.Random(seed)
    registers = {
        "run": 1,
        "fault": 0,
        "fault_code": 0,
        "recipe": 1,
        "total": dice.choice([0, 100, 65_500]),
        "reject": 3,
    }
    t_ns = START_NS + dice.randrange(60) * S
    moments = []
    for _ in range(samples):
        t_ns += dice.choice([S, S, S, 2 * S, dice.randrange(1, 4 * S), 30 * S if dice.random() < 0.1 else S])
        if dice.random() < 0.005:
            t_ns += dice.choice([3 * 3_600 * S, APART_NS + S])
        chance = dice.random()
        if chance < 0.5 and registers["run"]:
            registers["total"] = (registers["total"] + dice.choice([1, 1, 2])) % 65_536
        elif chance < 0.55:
            registers["reject"] = (registers["reject"] + 1) % 65_536
        elif chance < 0.62:
            registers |= {"run": 1 - registers["run"]}
        elif chance < 0.66:
            registers |= {"fault": 1 - registers["fault"], "fault_code": dice.choice([0, 7, 8])}
        elif chance < 0.68:
            registers["recipe"] = dice.choice([1, 2, 9])
        elif chance < 0.70:
            registers["total"] = dice.choice([0, 3, 40_000])
        quality = dice.choices(list(WORDS), [30, 2, 2])[0]
        moments.append(Moment(t_ns, quality, dict(registers)))
    return moments


def rows_of(moments: Iterable[Moment], machine_id: str = "m1") -> list[Row]:
    return [
        (moment.t_ns, f"{moment.t_ns},{machine_id},{name},{moment.registers[name]},{WORDS[moment.quality]}")
        for moment in moments
        for name in SIGNALS
    ]


def write_file(path: Path, rows: Iterable[Row]) -> Path:
    path.write_text("\n".join([",".join(HEADER), *(line for _, line in rows)]) + "\n")
    return path


def lived(moments: Iterable[Moment]) -> Bench:
    """The same moments through a live machine, committed every few samples and once more at the end."""
    first, *_ = moments = list(moments)
    bench = Bench(now_ns=first.t_ns)
    for number, moment in enumerate(moments):
        bench.wait(moment.t_ns - bench.now_ns)
        bench.sample(moment.quality, **moment.registers)
        if number % 7 == 0:
            bench.commit(minute=number % 21 == 0)
    bench.commit(closing=True)
    return bench


def plan_of(*machines: Machine) -> SitePlan:
    settings = AgentSettings("", 1 << 30, S, S, S, "127.0.0.1", 0, "text", "en")
    site = Site("s1", "e", "p", "c", "UTC", Name("厂", "site"))
    return SitePlan("site.yaml", "c1", site, (ALWAYS,), (), machines or (machine(),), (), settings)
