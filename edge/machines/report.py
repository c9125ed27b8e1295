"""Sums as the figures people see: those of the one table (`edge.kpi.catalogue`), with bounds and reasons. Pure.

The table takes most of a megabyte, and a quarter of a millisecond a machine. So it comes with the first person who
looks; what is recorded every few seconds are sums, of which whoever reads them makes the same figures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edge.kpi import figures
from edge.kpi.failures import FailureSums
from edge.kpi.row import Row, Sums
from edge.plan import Capability, Machine, Name
from edge.snapshot import Figures

SHOWN = ("oee", "availability", "performance", "quality", "coverage", "mtbf", "mttr")


def merged(rows: Iterable[Row]) -> Sums:
    """The sum of rows, whatever products they are about."""
    total = Sums()
    for row in rows:
        total.add(row.sums)
    return total


def sums_of(rows: Iterable[Row], start_ns: int, end_ns: int) -> Figures:
    """Sums and what they rest on, without the ratios and the reasons of their absence."""
    sums = merged(rows)
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
        oee=None,
        availability=None,
        performance=None,
        quality=None,
        coverage=figures.coverage(sums),
    )


def figures_of(
    rows: Iterable[Row], machine: Machine, start_ns: int, end_ns: int, failures: FailureSums | None = None
) -> Figures:
    """Every ratio is one division of the rows' sums; output outside the schedule counts as output, not as OEE.

    failures: those that began meanwhile; None: nobody can tell.
    """
    from edge.kpi.catalogue import BY_KEY
    from edge.kpi.evidence import of_rows

    rows = list(rows)
    known = of_rows(rows, machine, failures)
    found = {key: BY_KEY[key].of(known) for key in SHOWN}
    return replace(
        sums_of(rows, start_ns, end_ns),
        oee=found["oee"].value,
        availability=found["availability"].value,
        performance=found["performance"].value,
        quality=found["quality"].value,
        coverage=found["coverage"].value,
        fe=failures.fe if failures is not None and Capability.FAULT in known.means else None,
        mtbf_s=found["mtbf"].value,
        mttr_s=found["mttr"].value,
        bounds=tuple(
            (key, figure.low, figure.high)
            for key, figure in found.items()
            if figure.low is not None and figure.high is not None and figure.low != figure.high
        ),
        why=tuple(
            (key, Name(figure.why_null.zh, figure.why_null.en))
            for key, figure in found.items()
            if figure.why_null is not None
        ),
    )
