"""`many_ledgers.py kernel|twin COUNT`: print the resident bytes that each of COUNT ledgers adds to a process."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from benchmarks.ledger_batch import kernel, twin
from benchmarks.rig.shift import as_batch, samples
from benchmarks.rig.twins import LedgerTwin
from ext.ledger import MachineLedger

_SECONDS = 600


def _resident_bytes() -> int:
    for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no Rss in smaps_rollup")


def main(kind: str, count: int) -> None:
    """Feed them all alike and print."""
    rows = samples(_SECONDS)
    minutes = [as_batch(rows[i : i + 60]) for i in range(0, _SECONDS, 60)]
    make = {"kernel": kernel, "twin": twin}[kind]
    kept: list[MachineLedger | LedgerTwin] = [_lived(make(), minutes)]  # what only the first one needs is not counted
    gc.collect()
    before = _resident_bytes()
    kept += [_lived(make(), minutes) for _ in range(count)]
    gc.collect()
    print((_resident_bytes() - before) / count)


def _lived(ledger: MachineLedger | LedgerTwin, minutes: list[memoryview]) -> MachineLedger | LedgerTwin:
    for minute in minutes:
        ledger.run(minute)
        ledger.cells(), ledger.stops(), ledger.corrections()
    return ledger


main(sys.argv[1], int(sys.argv[2]))
