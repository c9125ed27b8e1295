"""How many good pieces the plan expects by now. Pure.

The target follows elapsed *planned production time*: it stands still in a break, and runs on through a breakdown. It
expects the plan's OEE, not perfection. The pace that a delivery demands (takt) is another number and never shown as
this one.
"""

from __future__ import annotations

from collections.abc import Iterable


def target_count(planned: Iterable[tuple[int, int]], oee_target: float) -> int:
    """Good pieces expected so far: OEE target · Σ PPT / ideal cycle, whole pieces, rounded down.

    planned: (elapsed PPT in ns, ideal cycle in ns) per product. oee_target: in (0, 1]. Raises ValueError for another.
    """
    if not 0.0 < oee_target <= 1.0:
        raise ValueError(f"an OEE target lies in (0, 1], got {oee_target}")
    return int(oee_target * sum(ppt_ns / ideal_ns for ppt_ns, ideal_ns in planned))


def efficiency(good: int, target: int) -> float | None:
    """Good pieces made / expected. None while nothing is expected."""
    return good / target if target else None


def takt_ns(available_ns: int, demand: int) -> int | None:
    """Time per piece that meets the demand: available time / demand, ns, rounded down. None without demand."""
    return available_ns // demand if demand > 0 else None
