"""One simulated day: what is set up before the machine lives, the life, and the readings of it.

The same seed gives the same day, whatever else runs: every random choice of a day comes from `Random(f"{seed}/{kind}/
{number}")` and the machine's life from its own streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from truth.faces import Faces
from truth.life import DAY_NS, Breakdown, Life, lived
from truth.plant import Line, Site, site_of
from truth.readings import Injection, Readings

from edge.plan import Machine
from edge.simulate.parameters import Parameters
from ext.buckets import Counter, Schedule

T0_NS = 1_773_014_400 * 1_000_000_000  # 2026-03-09 00:00 UTC, a Monday
MARGIN_NS = 300_000_000_000  # no fault in the first and last five minutes: the books can be opened and closed

Slice = tuple[int, int, Schedule]  # what the plant means to do in [start, end)


@dataclass(frozen=True, slots=True)
class Setup:
    """What is decided before the machine lives."""

    line: Line
    agent: Line | None = None  # the site file the agent has, where it is a wrong one
    hours: float = 24.0
    start_ns: int = T0_NS
    products: Sequence[tuple[float, int]] = ((0.0, 0),)  # from this part of the day on, this product
    breakdowns: Sequence[Breakdown] = ()
    parameters: Parameters | None = None
    first: tuple[int, int, int] | None = None  # registers at the start; None: anywhere
    schedule: Sequence[Slice] = ()  # empty: always

    @property
    def end_ns(self) -> int:
        """When the day ends."""
        return self.start_ns + round(self.hours * 3_600_000_000_000)


@dataclass(frozen=True, slots=True)
class Day:
    """A day with its truth and its readings; faults change the readings, never the life."""

    setup: Setup
    site: Site  # as the agent has it
    life: Life
    readings: Readings
    injections: list[Injection] = field(default_factory=list)

    @property
    def machine(self) -> Machine:
        """As the agent has it."""
        return self.site.machine

    @property
    def share(self) -> float:
        """How much of a day it is."""
        return (self.life.end_ns - self.life.start_ns) / DAY_NS

    def struck(self, start_ns: int, end_ns: int | None = None) -> None:
        """Note a fault."""
        self.injections.append(Injection(start_ns, start_ns if end_ns is None else end_ns))


def live_through(setup: Setup, seed: int, dice: Random) -> Day:
    """The day without its faults."""
    real = site_of(setup.line)
    length = setup.end_ns - setup.start_ns
    starts = [setup.start_ns + round(part * length) for part, _ in setup.products]
    spans = [
        (start, end, product)
        for start, end, (_, product) in zip(starts, [*starts[1:], setup.end_ns], setup.products, strict=True)
    ]
    life = lived(real.machine, seed, spans, setup.breakdowns, setup.parameters)
    first = setup.first or _anywhere(real.machine, dice)
    readings = Readings(real.machine, life, Faces(real.machine), first, dice)
    site = site_of(setup.agent) if setup.agent else real
    return Day(setup, site, life, readings)


def _anywhere(machine: Machine, dice: Random) -> tuple[int, int, int]:
    """Where the registers stand: somewhere in their life, and at least a shift's worth from zero and the end."""
    modulus = max((rule.modulus for rule in machine.counters), default=1 << 16)
    if modulus <= 1 << 16:
        total = dice.randrange(modulus)
    else:
        total = dice.choice((dice.randrange(2_000, 60_000), dice.randrange(100_000, 5_000_000)))
    reject = total // 40
    return total, total - reject, reject


def moments(
    day: Day,
    dice: Random,
    per_day: float,
    *,
    length_ns: int = 0,
    apart_ns: int = 120_000_000_000,
    running: bool | None = None,
) -> list[int]:
    """When faults of `length_ns` begin: at random, `per_day` of them scaled to the length of the day, at least one, not
    closer to each other than `apart_ns`; while the machine runs, or stands, where that is asked for. Fewer where the
    day has no room.
    """
    found: list[int] = []
    first, last = day.life.start_ns + MARGIN_NS, day.life.end_ns - MARGIN_NS - length_ns
    for _ in range(max(1, round(per_day * day.share))):
        for _attempt in range(200):
            at = dice.randrange(first, last) if last > first else first
            runs = day.life.at(at).cycle_ns > 0
            if running is not None and runs is not running:
                continue
            if all(abs(at - other) >= length_ns + apart_ns for other in found):
                found.append(at)
                break
    return sorted(found)


def counters_of(width: int, modulus: int | None = None) -> dict[str, dict[str, int]]:
    """The three counters of a site file, so wide."""
    own = {"width": width} if modulus is None else {"width": width, "modulus": modulus}
    return {counter.name.lower(): dict(own) for counter in Counter}
