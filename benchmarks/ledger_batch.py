"""The ledger kernel over a whole shift in one call (`MachineLedger.run`): ns per sample of a machine with 3 counters.

Reference: the plain-Python twin over the first part of the same shift. Both must book the same cells.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.result import Result, summarise
from benchmarks.rig.clocked import best_ns
from benchmarks.rig.shift import CALENDAR, COUNTERS, HOLD_NS, PRODUCTS, as_batch, samples
from benchmarks.rig.twins import LedgerTwin
from ext.ledger import MachineLedger

CASES: tuple[str, ...] = ()
RUNS = 5
TWIN_SAMPLES = 2_400


def kernel() -> MachineLedger:
    """A machine that has seen nothing yet."""
    made = MachineLedger(HOLD_NS, COUNTERS, PRODUCTS)
    made.set_calendar(*CALENDAR)
    return made


def twin() -> LedgerTwin:
    """The same machine in plain Python."""
    made = LedgerTwin(HOLD_NS, COUNTERS, PRODUCTS)
    made.set_calendar(*CALENDAR)
    return made


def run(case: str | None) -> Iterable[Result]:
    """One line."""
    rows = samples()
    shift, part = as_batch(rows), as_batch(rows[:TWIN_SAMPLES])
    _must_agree(part)
    values, references = [], []
    for _ in range(RUNS):
        values.append(best_ns(kernel, lambda k: k.run(shift)) / len(rows))
        references.append(best_ns(twin, lambda t: t.run(part), goes=1) / TWIN_SAMPLES)
    yield summarise("ledger_batch", "ns/sample", values, references)


def _must_agree(part: memoryview) -> None:
    compiled, plain = kernel(), twin()
    compiled.run(part)
    plain.run(part)
    if compiled.cells() != plain.cells() or compiled.stops() != plain.stops():
        raise RuntimeError("kernel and twin book different cells; there is nothing to compare")
