"""The shift of the benchmarks as an event log, the way the PyPI package `oee` wants it: what a reader of the PLC would
have to have done already. A run is what lies between two stops; a stop is a downtime event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from benchmarks.rig.shift import MODULUS, NS, PRODUCTS
from ext.buckets import Bucket
from ext.ledger import SAMPLE_FIELDS

_BUCKET, _TOTAL, _GOOD = (SAMPLE_FIELDS.index(name) for name in ("bucket", "total", "good"))
_ITEMS = 100_000  # enough that one call lasts; the shift's segments are repeated up to here


class OeeLog:
    """Runs and downtime events, ready for `oee.from_log`."""

    def __init__(self, rows: Sequence[tuple[int, ...]]) -> None:
        """`rows` as `ext.ledger.SAMPLE_FIELDS`, one a second."""
        shift = list(_segments(rows))
        segments = shift * (_ITEMS // len(shift) + 1)
        self._runs = [segment for segment in segments if "count" in segment]
        self._stops = [segment for segment in segments if "duration" in segment]
        self._planned_s = float(len(rows) * (len(segments) // len(shift)))
        self.items = len(segments)

    def run(self) -> None:
        """One result from the whole log."""
        from oee import from_log

        from_log(self._planned_s, runs=self._runs, downtime_events=self._stops)


def _segments(rows: Sequence[tuple[int, ...]]) -> Iterator[dict[str, object]]:
    for bucket, group in groupby(rows, key=lambda row: row[_BUCKET]):
        part = list(group)
        if bucket != Bucket.RUN:
            yield {"duration": float(len(part)), "reason": Bucket(bucket).name.lower()}
            continue
        count = (part[-1][_TOTAL] - part[0][_TOTAL]) % MODULUS
        good = min((part[-1][_GOOD] - part[0][_GOOD]) % MODULUS, count)
        yield {"count": count, "good": good, "ideal_cycle_time": PRODUCTS[0][0] / NS}
