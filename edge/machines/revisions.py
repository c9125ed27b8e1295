"""Closed windows that were opened again, and readings that came too late for that: a record and a line in the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from edge.errors import Text
from edge.kpi.row import Row
from edge.logs import facts
from edge.machines.events import Revision
from edge.machines.in_order import Lateness

LATE, HISTORY, TOO_LATE = "late-reading", "history", "too-late"


def opened_again(cause: str, late: Lateness, revised: Sequence[tuple[Row, int]]) -> Revision:
    """`revised`: minute rows written again, each with the pieces it has more than before."""
    pieces, windows = sum(more for _, more in revised), len(revised)
    start_ns, end_ns = min(row.key.start_ns for row, _ in revised), max(row.end_ns for row, _ in revised)
    text = Text(
        f"{late.readings} 个迟到的读数使 {windows} 个已结算的分钟重算，产量变化 {pieces:+d} 件",
        f"{late.readings} late readings opened {windows} closed minutes again; output changed by {pieces:+d} pieces",
    )
    return Revision(cause, late.readings, start_ns, end_ns, windows, pieces, str(text))


def came_too_late(late: Lateness) -> Revision:
    """Readings older than every window that could be opened again."""
    text = Text(
        f"{late.readings} 个读数来得太晚，已超出可重算的范围，未计入；请检查设备时钟与网络",
        f"{late.readings} readings came too late for the windows they belong to and are not counted; check the clock "
        "of the device and the network",
    )
    return Revision(TOO_LATE, late.readings, late.oldest_ns, late.newest_ns, 0, 0, str(text))


def tell_revision(log: logging.Logger, machine: str, revision: Revision) -> None:
    """Into the log."""
    log.log(
        logging.WARNING if revision.cause == TOO_LATE else logging.INFO,
        revision.cause,
        extra=facts(
            machine=machine,
            readings=revision.readings,
            windows=revision.windows,
            pieces=revision.pieces,
            detail=revision.detail,
        ),
    )
