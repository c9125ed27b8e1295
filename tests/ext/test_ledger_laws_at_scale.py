"""The laws of the ledger over whole lives of machines, in millions of samples where they are asked for.

`make laws` runs 3 million samples (SEAMLINE_LAWS=N for another number) and prints how many each law saw; a plain run of
the suite takes a few lives.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from cases.ledger.lives import BEGIN, Life, life
from twins.ledger import LedgerTwin

from edge.kpi.row import Sums
from edge.kpi.windows import cell_to_sums
from ext.buckets import Bucket
from ext.ledger import MachineLedger

SAMPLES = int(os.environ.get("SEAMLINE_LAWS", "12000"))
LENGTH = 3000  # samples of a life
TWIN_SHARE = 10  # the plain twin takes a thousand times as long: it sees every tenth life

pytestmark = pytest.mark.timeout(0 if "SEAMLINE_LAWS" in os.environ else 60)


def lives(*, resets: bool, share: int = 1) -> Iterator[Life]:
    """Lives of SAMPLES samples together, or of a share of them."""
    for seed in range(0, max(SAMPLES // LENGTH, 1), share):
        yield life(2 * seed + resets, LENGTH, resets=resets)


def told(one: Life, build: Any = MachineLedger, t3_ns: int = 0) -> Any:
    """The whole life as a batch."""
    ledger = one.ledger(build, t3_ns)
    ledger.run(one.rows)
    return ledger


def cells_of(ledger: Any) -> list[tuple[int, ...]]:
    return [*ledger.cells(), *ledger.peek(ledger.t_ns)[0]]


def sums_of(cells: Sequence[tuple[int, ...]]) -> Sums:
    total = Sums()
    for cell in cells:
        total.add(cell_to_sums(cell))
    return total


def windows(cells: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], list[int]]:
    """Cells of one minute, shift and product added up."""
    found: dict[tuple[int, ...], list[int]] = {}
    for cell in cells:
        have = found.setdefault(cell[:3], [0] * (len(cell) - 3))
        have[:] = [*(a + b for a, b in zip(have[:-1], cell[3:-1], strict=True)), have[-1] | cell[-1]]
    return found


def digest(ledger: Any, *rows: list[tuple[int, ...]]) -> str:
    """The ledger's hash: windows, stops and corrections, those of earlier drains first, and where it stands."""
    cells, stops, corrections = rows or ([], [], [])
    numbers = hashlib.sha256()
    for window in sorted((*key, *n) for key, n in windows([*cells, *cells_of(ledger)]).items()):
        numbers.update(array("q", window))
    for row in [*stops, *ledger.stops(), *corrections, *ledger.corrections()]:
        numbers.update(array("q", row))
    numbers.update(array("q", [*ledger.made, ledger.booked_ns, ledger.t_ns]))
    return numbers.hexdigest()


def over(law: Callable[[Life], int], found: Iterator[Life], capsys: pytest.CaptureFixture[str]) -> None:
    """The law holds for every life; how many samples that were."""
    samples = sum(law(one) for one in found)
    assert samples
    with capsys.disabled():
        if "SEAMLINE_LAWS" in os.environ:
            print(f"\n    {samples:>9,} samples: {law.__doc__}", end="", flush=True)


def closes(one: Life) -> int:
    """every nanosecond in one bucket, every piece in one window, the waterfall closes"""
    ledger = told(one)
    cells = cells_of(ledger)
    s = sums_of(cells)
    assert s.all_ns == sum(s.stop_ns) == ledger.t_ns - one.samples[0]
    assert (s.tc + s.unscheduled_tc, s.gc + s.unscheduled_gc, s.sc + s.unscheduled_sc) == ledger.made
    assert s.rt_ns + s.unscheduled_run_ns == s.stop_ns[Bucket.RUN]
    off = s.stop_ns[Bucket.PLANNED_STOP] + s.stop_ns[Bucket.NOT_SCHEDULED]
    assert s.ppt_ns == s.all_ns - off - s.unscheduled_run_ns
    losses = (s.all_ns - s.ppt_ns, s.ppt_ns - s.rt_ns, s.rt_ns - s.nrt_ns, s.nrt_ns - s.fpt_ns)
    assert sum(losses) + s.fpt_ns == s.all_ns
    empty = [key for key, n in windows(cells).items() if not any(n[: len(Bucket)]) and any(n[len(Bucket) :])]
    assert not empty, "windows with pieces or facts and no time"
    return len(one)


def truth(one: Life) -> int:
    """the windows' sum is what the machine made, or within the bound that is stated where it cleared its register"""
    ledger = told(one)
    s = sums_of(cells_of(ledger))
    counted = s.tc + s.unscheduled_tc
    if one.resets:
        assert counted <= one.true_pieces <= counted + s.lost_max
    else:
        assert counted == one.true_pieces
        assert s.lost_max == 0
    return len(one)


def streams(one: Life) -> int:
    """sample by sample is the same as the batch, to the bit"""
    batch, stream = told(one), one.ledger(MachineLedger)
    for number in range(len(one)):
        stream.push(*one.row(number))
    assert stream.dump() == batch.dump()
    assert digest(stream) == digest(batch)
    return len(one)


def restarts(one: Life) -> int:
    """killed after every sample and continued from the checkpoint, the ledger has the same hash"""
    expected = digest(told(one))
    ledger, cells, stops, corrections = one.ledger(MachineLedger), [], [], []
    for number in range(len(one)):
        ledger.push(*one.row(number))
        cells += ledger.cells()
        stops += ledger.stops()
        corrections += ledger.corrections()
        blob = ledger.dump()
        if number % 50 == 0:
            ledger = one.ledger(MachineLedger)
        ledger.load(blob)
    assert digest(ledger, cells, stops, corrections) == expected
    return len(one)


def copies(one: Life) -> int:
    """every sample twice is the same ledger"""
    expected, twice = digest(told(one)), one.ledger(MachineLedger)
    for number in range(len(one)):
        row = one.row(number)
        twice.push(*row)
        row[1] = 0
        twice.push(*row)
    assert digest(twice) == expected
    return len(one)


def thresholds(one: Life) -> int:
    """moving t3 moves neither planned time nor productive time, so not OEE"""
    seen = [sums_of(cells_of(told(one, t3_ns=t3))) for t3 in (1, 45_000_000_000, 600_000_000_000)]
    assert len({(s.ppt_ns, s.fpt_ns, s.nrt_ns, s.tc, s.gc, s.all_ns, s.unknown_ns) for s in seen}) == 1
    return len(one)


def twins(one: Life) -> int:
    """the plain-Python twin says the same, to the bit"""
    assert digest(told(one)) == digest(told(one, LedgerTwin))
    return len(one)


@pytest.mark.parametrize("resets", [False, True], ids=["recoverable", "cleared"])
@pytest.mark.parametrize(
    "law", [closes, truth, streams, restarts, copies, thresholds, twins], ids=lambda law: law.__name__
)
def test_law(law: Callable[[Life], int], resets: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Each law over lives whose counts are recoverable, and over lives whose registers are cleared."""
    over(law, lives(resets=resets, share=TWIN_SHARE if law is twins else 1), capsys)


def test_a_life_is_told_by_its_seed() -> None:
    """A life that breaks a law can be made again."""
    assert life(7, 500).samples == life(7, 500).samples != life(8, 500).samples
    assert life(7, 500).samples[0] == BEGIN
