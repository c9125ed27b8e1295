"""The ledger kernel as the agent feeds it, one sample at a time (`MachineLedger.push`): ns per sample.

Reference: the plain-Python twin, fed the same way with the first part of the same shift.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.ledger_batch import TWIN_SAMPLES, kernel, twin
from benchmarks.result import Result, summarise
from benchmarks.rig.clocked import best_ns
from benchmarks.rig.shift import samples
from benchmarks.rig.twins import LedgerTwin
from ext.ledger import MachineLedger

CASES: tuple[str, ...] = ()
RUNS = 5


def run(case: str | None) -> Iterable[Result]:
    """One line."""
    rows = samples()
    values, references = [], []
    for _ in range(RUNS):
        values.append(best_ns(kernel, lambda k: _feed(k, rows)) / len(rows))
        references.append(best_ns(twin, lambda t: _feed(t, rows[:TWIN_SAMPLES]), goes=1) / TWIN_SAMPLES)
    yield summarise("ledger_stream", "ns/sample", values, references)


def _feed(ledger: MachineLedger | LedgerTwin, rows: list[tuple[int, ...]]) -> None:
    push = ledger.push
    for row in rows:
        push(*row)
