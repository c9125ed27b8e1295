"""`seamline store gaps`: the gap ledger, newest first."""

from __future__ import annotations

import json

from edge.errors import Text
from edge.gaps.detail import worded
from edge.gaps.gap import Gap, GapScope
from edge.gaps.words import CAUSES, SCOPES, hides
from edge.outbox.reader import Reader
from edge.store.table import duration, moment, table
from edge.store.where import Where


def gaps(
    store: Where, *, from_ns: int, until_ns: int, limit: int, machine: str | None, only_open: bool, as_json: bool
) -> str:
    """As a table, or as JSON with every number. Raises StoreError."""
    with Reader(store.path) as reader:
        found = [
            gap
            for gap in reader.gaps(from_ns, until_ns, _ALL)
            if (gap.is_open or not only_open)
            and (machine is None or (gap.scope is GapScope.MACHINE and gap.subject == machine))
        ][:limit]
    if as_json:
        return json.dumps([_as_json(gap) for gap in found], ensure_ascii=False, indent=2)
    if not found:
        return str(Text("没有缺口", "no gaps"))
    head = [
        str(word)
        for word in (
            Text("开始", "from"), Text("结束", "to"), Text("时长", "length"), Text("原因", "cause"),
            Text("对象", "object"), Text("可能掩盖", "may hide"), Text("说明", "detail"),
        )
    ]  # fmt: skip
    return table(head, [_cells(gap) for gap in found])


_ALL = 1 << 31


def _cells(gap: Gap) -> list[str]:
    lasting = str(Text("仍在持续", "lasts"))
    return [
        moment(gap.start_ns),
        lasting if gap.is_open else moment(gap.end_ns),
        duration(gap.duration_ns),
        str(CAUSES[gap.cause]),
        f"{SCOPES[gap.scope]} {gap.subject}",
        hides(gap) or "–",
        str(worded(gap.detail)) or "–",
    ]


def _as_json(gap: Gap) -> dict[str, object]:
    return {
        "cause": gap.cause,
        "scope": gap.scope,
        "object": gap.subject,
        "start_ns": gap.start_ns,
        "end_ns": gap.end_ns,
        "duration_ns": gap.duration_ns,
        "open": gap.is_open,
        "void": gap.void,
        "records": gap.records,
        "pieces_min": gap.pieces_min,
        "pieces_max": gap.pieces_max,
        "settled": gap.settled,
        "detail": gap.detail,
        "words": str(worded(gap.detail)),
    }
