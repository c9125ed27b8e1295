"""`seamline store stats`: how much is stored, who has not got it, how long it lasts, what it costs the card."""

from __future__ import annotations

import json
from dataclasses import dataclass

from edge.errors import Text
from edge.gaps.gap import Gap
from edge.outbox import files
from edge.outbox.facts import Backlog, ClassStats, Position, delivered_bytes
from edge.outbox.flow import META_FLOW, Flow, Hour, autonomy_s
from edge.outbox.reader import Reader
from edge.outbox.writer import META_BOUND, META_LOSS_WINDOW, file_bytes
from edge.store.table import duration, moment, size, table
from edge.store.where import Where

_NS_PER_S = 1_000_000_000
_NO_LIMIT_NS = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Stats:
    """Everything that is shown."""

    path: str
    size_bytes: int
    max_bytes: int | None  # None: an older agent wrote the file, and no site file was named
    classes: tuple[ClassStats, ...]
    backlogs: tuple[Backlog, ...]
    flow: Hour
    autonomy_s: float | None
    loss_window_ns: int | None
    open_gaps: tuple[Gap, ...]


def gather(store: Where) -> Stats:
    """Read-only, beside an agent or alone. Raises StoreError."""
    with Reader(store.path) as reader:
        meta, positions = reader.meta(), reader.positions()
        if store.sinks is not None:
            positions = {sink: positions.get(sink, Position()) for sink in store.sinks}
        classes, backlogs = reader.classes(), reader.backlogs(positions)
        flow = Flow.load(meta.get(META_FLOW)).total
        bound = store.max_bytes or (int(meta[META_BOUND]) if META_BOUND in meta else None)
        window = meta.get(META_LOSS_WINDOW)
        return Stats(
            path=str(store.path),
            size_bytes=files.size_bytes(store.path),
            max_bytes=bound,
            classes=classes,
            backlogs=backlogs,
            flow=flow,
            autonomy_s=autonomy_s(
                flow,
                bound_bytes=file_bytes(bound),
                used_bytes=reader.used_bytes(),
                delivered_bytes=delivered_bytes(classes, backlogs),
                free_bytes=files.free_bytes(store.path),
            )
            if bound and positions
            else None,
            loss_window_ns=int(window) if window else None,
            open_gaps=tuple(gap for gap in reader.gaps(0, _NO_LIMIT_NS, 1 << 31) if gap.is_open),
        )


def listing(stats: Stats) -> str:
    """For people."""
    unknown = Text("尚未测得（需运行一分钟）", "not measured yet (takes a minute of running)")
    flow = stats.flow
    of = f" / {size(stats.max_bytes)}" if stats.max_bytes else ""
    lines = [
        f"{Text('存储', 'store')}: {stats.path}  {size(stats.size_bytes)}{of}",
        f"{Text('断电最多丢失', 'a power cut loses at most')}: "
        + (duration(stats.loss_window_ns) if stats.loss_window_ns else "–"),
        f"{Text('增长速度', 'fills at')}: " + (f"{size(flow.bytes_per_s)}/s" if flow.bytes_per_s else str(unknown)),
        f"{Text('数据库全部中断时还可保存', 'keeps everything, with every database away, for another')}: "
        + _autonomy(stats, str(unknown)),
        f"{Text('闪存磨损', 'wear of the card')}: " + _wear(flow, str(unknown)),
        f"{Text('仍在持续的缺口', 'gaps that last')}: {len(stats.open_gaps)}",
        "",
        _classes(stats.classes),
    ]
    if stats.backlogs:
        lines += ["", _backlogs(stats.backlogs)]
    return "\n".join(lines)


def _autonomy(stats: Stats, unknown: str) -> str:
    if not stats.backlogs:
        return str(Text("– 未配置数据库", "– no database is configured"))
    return unknown if stats.autonomy_s is None else duration(round(stats.autonomy_s) * _NS_PER_S)


def _wear(flow: Hour, unknown: str) -> str:
    if flow.written_per_kept is None or flow.written_per_day is None:
        return unknown
    ratio, day = f"{flow.written_per_kept:.1f}", size(flow.written_per_day)
    return str(Text(f"每存 1 字节写盘 {ratio} 字节，每天约 {day}", f"{ratio} bytes written per byte kept, {day} a day"))


def _classes(classes: tuple[ClassStats, ...]) -> str:
    words = (
        Text("类别", "class"), Text("记录", "records"), Text("数据点", "points"), Text("占用", "size"),
        Text("最早", "oldest"), Text("最新", "newest"),
    )  # fmt: skip
    rows = [
        [
            c.record_class.name.lower(), str(c.records), str(c.points), size(c.size_bytes), moment(c.oldest_ns),
            moment(c.newest_ns),
        ]
        for c in classes
    ]  # fmt: skip
    return table([str(word) for word in words], rows)


def _backlogs(backlogs: tuple[Backlog, ...]) -> str:
    words = (
        Text("数据库", "database"),
        Text("未送记录", "unsent"),
        Text("最早未送", "oldest unsent"),
        Text("隔离", "quarantined"),
    )
    rows = [[b.sink, str(b.records), moment(b.oldest_ns), str(b.quarantined)] for b in backlogs]
    return table([str(word) for word in words], rows)


def as_json(stats: Stats) -> str:
    """For programs; null is not known."""
    flow = stats.flow
    return json.dumps(
        {
            "path": stats.path,
            "size_bytes": stats.size_bytes,
            "max_bytes": stats.max_bytes,
            "loss_window_ns": stats.loss_window_ns,
            "fill_bytes_per_s": flow.bytes_per_s,
            "autonomy_s": stats.autonomy_s,
            "written_per_kept": flow.written_per_kept,
            "written_bytes_per_day": flow.written_per_day,
            "open_gaps": len(stats.open_gaps),
            "classes": {
                c.record_class.name.lower(): {
                    "records": c.records,
                    "points": c.points,
                    "size_bytes": c.size_bytes,
                    "oldest_ns": c.oldest_ns,
                    "newest_ns": c.newest_ns,
                }
                for c in stats.classes
            },
            "databases": {
                b.sink: {"backlog_records": b.records, "oldest_unsent_ns": b.oldest_ns, "quarantined": b.quarantined}
                for b in stats.backlogs
            },
        },
        ensure_ascii=False,
        indent=2,
    )
