"""The six big losses of planned production time, and what is none of the six. Pure.

Theory. The six (Nakajima) are losses of the machine. Planned time is also lost to the world around it, to stops nobody
explained and to time nobody saw; counting those as breakdowns would accuse the wrong people. So they stand beside the
six, and the account closes: six + others + fully productive time = PPT, to the nanosecond.

Minor stops are a class of their own here, wherever they were booked: short stops the machine reported (INTERNAL_MINOR,
in availability) and pauses in running time (`small_ns`, in performance). Speed that is neither a slow cycle nor a pause
is `speed_rest_ns`: negative where pieces came faster than the ideal cycle, or were counted without run time of their
own. It is shown, not hidden.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from edge.kpi.elements import inside_pbt
from edge.kpi.row import Row, Sums
from ext.buckets import Bucket

_STARTING = (Bucket.SETUP, Bucket.STARTUP)


@dataclass(frozen=True, slots=True)
class SixLosses:
    """Where planned production time went, ns. All but `ppt_ns` and `fpt_ns` are losses; together they are PPT."""

    ppt_ns: int
    breakdown_ns: int  # 1
    setup_ns: int  # 2: setup and start-up
    minor_stops_ns: int  # 3
    reduced_speed_ns: int  # 4: slow cycles
    defects_ns: int  # 5: ideal time of rejects
    startup_rejects_ns: int  # 6: ideal time of rejects while starting up
    external_ns: int  # starved or blocked
    no_order_ns: int
    people_ns: int  # maintenance, manual mode, planned stops the machine reported
    unassigned_ns: int
    unknown_ns: int  # nobody observed it: lost only in the account
    speed_rest_ns: int
    fpt_ns: int

    @property
    def six_ns(self) -> int:
        """The six together."""
        return (
            self.breakdown_ns
            + self.setup_ns
            + self.minor_stops_ns
            + self.reduced_speed_ns
            + self.defects_ns
            + self.startup_rejects_ns
        )

    def __add__(self, other: SixLosses) -> SixLosses:
        """Both accounts together."""
        return SixLosses(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def six_losses(sums: Sums, startup_rejects_ns: int = 0) -> SixLosses:
    """The account of one window. startup_rejects_ns: part of the quality loss, from `startup_rejects`.

    Raises ValueError where the sums do not close.
    """
    inside = inside_pbt(sums)
    return SixLosses(
        ppt_ns=sums.ppt_ns,
        breakdown_ns=inside[Bucket.BREAKDOWN],
        setup_ns=sum(inside[bucket] for bucket in _STARTING),
        minor_stops_ns=inside[Bucket.INTERNAL_MINOR] + sums.small_ns,
        reduced_speed_ns=sums.slow_ns,
        defects_ns=sums.nrt_ns - sums.fpt_ns - startup_rejects_ns,
        startup_rejects_ns=startup_rejects_ns,
        external_ns=inside[Bucket.EXTERNAL_STARVED] + inside[Bucket.EXTERNAL_BLOCKED],
        no_order_ns=inside[Bucket.NO_ORDER],
        people_ns=sum(
            inside[bucket] for bucket in (Bucket.MAINTENANCE, Bucket.MANUAL, Bucket.PLANNED_STOP, Bucket.NOT_SCHEDULED)
        ),
        unassigned_ns=inside[Bucket.UNASSIGNED],
        unknown_ns=inside[Bucket.UNKNOWN],
        speed_rest_ns=sums.rt_ns - sums.nrt_ns - sums.slow_ns - sums.small_ns,
        fpt_ns=sums.fpt_ns,
    )


def startup_rejects(rows: Iterable[Row], window_ns: int) -> int:
    """Ideal time of the rejects of start-up, ns: those in minutes with setup or start-up, and up to `window_ns` after.

    rows: minute rows of one machine, in order of time; as sharp as the rows are long.
    """
    until_ns = rejects_ns = 0
    for row in rows:
        if any(row.sums.stop_ns[bucket] for bucket in _STARTING):
            until_ns = row.end_ns + window_ns
        if row.key.start_ns < until_ns:
            rejects_ns += row.sums.nrt_ns - row.sums.fpt_ns
    return rejects_ns
