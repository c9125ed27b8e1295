"""100,000 tags, each read every second: 100 PLCs of 1,000 tags, a machine with its ledger on every PLC, store on disk.

    contiguous      registers side by side
    holed           ten in use, six not; after each hundred in use a hole that is not worth reading

For each: resident memory (MiB, no suffix), CPU over 20 s (`_cpu`), how late requests arrive at the PLCs after they were
due (`_late_p50`, `_late_p99`), requests a cycle beside the fewest possible, and the time from spawn until every tag was
read. Two of a hundred measurements move beyond their deadband each second, and each is stored once a minute at least.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.result import Result
from benchmarks.rig.big_agent import costs_of, summaries
from benchmarks.rig.big_site import MAPS, Plant

CASES = MAPS
RUNS = 3
DEVICES = 100
TAGS = 1000
SETTLE_S = 12.0  # the first reading of every value is stored, ten thousand a commit
WINDOW_S = 20.0


def run(case: str | None) -> Iterable[Result]:
    """Every case, or one."""
    for name in CASES if case is None else (case,):
        plant = Plant(DEVICES, TAGS, interval_s=1.0, map=name)
        yield from summaries(f"modbus_100k.{name}", costs_of(plant, RUNS, SETTLE_S, WINDOW_S))
