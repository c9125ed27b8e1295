"""How many good pieces the plan expects by now. Pure.

The target follows elapsed *planned production time*: it stands still in a break, and runs on through a breakdown. It
expects the plan's OEE, not perfection. The pace that a delivery demands (takt) is another number and never shown as
this one.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from edge.kpi.figure import NS_PER_HOUR


def target_count(planned: Iterable[tuple[int, int]], oee_target: float) -> int:
    """Good pieces expected so far: OEE target · Σ PPT / ideal cycle, whole pieces, rounded down.

    planned: (elapsed PPT in ns, ideal cycle in ns) per product. oee_target: in (0, 1], taken as the decimal fraction it
    is written as, so that no piece is lost to binary rounding. Raises ValueError for another.
    """
    if not 0.0 < oee_target <= 1.0:
        raise ValueError(f"an OEE target lies in (0, 1], got {oee_target}")
    return int(Fraction(str(oee_target)) * ideal_count(planned))


def ideal_count(planned: Iterable[tuple[int, int]]) -> Fraction:
    """Pieces that fit: Σ time / ideal cycle, for (time in ns, ideal cycle in ns) per product."""
    return sum((Fraction(time_ns, ideal_ns) for time_ns, ideal_ns in planned), Fraction())


def efficiency(good: int, target: int) -> float | None:
    """Good pieces made / expected. None while nothing is expected."""
    return good / target if target else None


def demand_count(ppt_ns: int, demand_per_h: float) -> int:
    """Good pieces the delivery demands of planned time so far, rounded down: no allowance for any stop."""
    return int(Fraction(str(demand_per_h)) * ppt_ns / NS_PER_HOUR)


def takt_ns(available_ns: int, demand: int) -> int | None:
    """Time per piece that meets the demand: available time / demand, ns, rounded down. None without demand."""
    return available_ns // demand if demand > 0 else None
