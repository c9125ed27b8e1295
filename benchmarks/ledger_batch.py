"""The ledger kernel over a whole shift in one call (`MachineLedger.run`): ns per sample of a machine with 3 counters.

    ledger_batch         beside a C loop written by hand for the very same work (rig/by_hand.c)
    ledger_batch.oee     beside `from_log` of the package `oee`, ns per item of its log. It gets segments that are
                         already cut (a run or a stop each), and no readings: counting and cutting are not in its time
    ledger_batch.twin    beside the plain-Python twin, over the first part of the shift

Kernel, C loop and twin must book the same cells and stops, or there is nothing to compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from benchmarks.result import Result, summarise
from benchmarks.rig.by_hand import ByHand
from benchmarks.rig.clocked import best_ns
from benchmarks.rig.event_log import OeeLog
from benchmarks.rig.shift import CALENDAR, COUNTERS, HOLD_NS, PRODUCTS, as_batch, samples
from benchmarks.rig.twins import LedgerTwin
from ext.ledger import CELL_FIELDS, MachineLedger

CASES: tuple[str, ...] = ("by_hand", "oee", "twin")
RUNS = 7
TWIN_SAMPLES = 2_400
_FIRST_BUCKET = CELL_FIELDS.index("run")


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
    """One line a case; `by_hand` is the one without a name."""
    rows = samples()
    shift = as_batch(rows)
    for name in CASES if case is None else (case,):
        reference_ns = _REFERENCES[name](rows)
        values, references = [], []
        for _ in range(RUNS):
            values.append(best_ns(kernel, lambda k: k.run(shift)) / len(rows))
            references.append(reference_ns())
        yield summarise(
            "ledger_batch" if name == "by_hand" else f"ledger_batch.{name}", "ns/sample", values, references
        )


# ---- references: what takes so many ns per sample --------------------------------------------------------------------

Rows = Sequence[tuple[int, ...]]


def _by_hand(rows: Rows) -> Callable[[], float]:
    shift = as_batch(rows)
    loop = ByHand(shift)
    compiled = kernel()
    compiled.run(shift)
    loop.run()
    if _as_by_hand(compiled) != loop.cells() or compiled.stops() != loop.stops():
        raise RuntimeError("the kernel and the C loop book different cells; there is nothing to compare")
    return lambda: best_ns(lambda: loop, ByHand.run) / len(rows)


def _as_by_hand(compiled: MachineLedger) -> list[dict[str, int]]:
    cells = [*compiled.cells(), *compiled.peek(compiled.booked_ns)[0]]
    named = [dict(zip(CELL_FIELDS, cell, strict=True)) for cell in cells]
    buckets = CELL_FIELDS[_FIRST_BUCKET : CELL_FIELDS.index("ppt_ns")]
    return [
        {name: ns for name, ns in cell.items() if name in ByHand.FIELDS}
        | {f"bucket_{i}": cell[name] for i, name in enumerate(buckets)}
        for cell in named
    ]


def _oee(rows: Rows) -> Callable[[], float]:
    log = OeeLog(rows)
    return lambda: best_ns(lambda: log, OeeLog.run, goes=2) / log.items


def _twin(rows: Rows) -> Callable[[], float]:
    part = as_batch(rows[:TWIN_SAMPLES])
    compiled, plain = kernel(), twin()
    compiled.run(part)
    plain.run(part)
    if compiled.cells() != plain.cells() or compiled.stops() != plain.stops():
        raise RuntimeError("kernel and twin book different cells; there is nothing to compare")
    return lambda: best_ns(twin, lambda t: t.run(part), goes=1) / TWIN_SAMPLES


_REFERENCES: dict[str, Callable[[Rows], Callable[[], float]]] = {"by_hand": _by_hand, "oee": _oee, "twin": _twin}
