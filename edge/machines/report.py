"""Sums as the figures people see. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from edge.kpi import figures
from edge.kpi.row import Row, Sums
from edge.snapshot import Figures


def merged(rows: Iterable[Row]) -> Sums:
    """The sum of rows, whatever products they are about."""
    total = Sums()
    for row in rows:
        total.add(row.sums)
    return total


def figures_of(sums: Sums, start_ns: int, end_ns: int) -> Figures:
    """Every ratio is one division of these sums; output outside the schedule counts as output, not as OEE."""
    return Figures(
        start_ns=start_ns,
        end_ns=end_ns,
        all_ns=sums.all_ns,
        ppt_ns=sums.ppt_ns,
        rt_ns=sums.rt_ns,
        nrt_ns=sums.nrt_ns,
        fpt_ns=sums.fpt_ns,
        unknown_ns=sums.unknown_ns,
        stop_ns=tuple(sums.stop_ns),
        total=sums.tc + sums.unscheduled_tc,
        good=sums.gc + sums.unscheduled_gc,
        reject=sums.sc + sums.unscheduled_sc,
        flags=figures.doubts(sums),
        oee=figures.oee(sums),
        availability=figures.availability(sums),
        performance=figures.performance(sums),
        quality=figures.quality(sums),
        coverage=figures.coverage(sums),
    )
