"""10,000 tags, each read ten times a second: 10 PLCs of 1,000 tags. Maps and figures as in `modbus_100k`."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.result import Result
from benchmarks.rig.big_agent import costs_of, summaries
from benchmarks.rig.big_site import MAPS, Plant

CASES = MAPS
RUNS = 3
DEVICES = 10
TAGS = 1000
SETTLE_S = 5.0
WINDOW_S = 20.0


def run(case: str | None) -> Iterable[Result]:
    """Every case, or one."""
    for name in CASES if case is None else (case,):
        plant = Plant(DEVICES, TAGS, interval_s=0.1, map=name)
        yield from summaries(f"modbus_10k_100ms.{name}", costs_of(plant, RUNS, SETTLE_S, WINDOW_S))
