"""The snapshot as JSON: the one shape that `/api/snapshot` and `/api/events` send. docs/page.md describes it for other
programs.

Rules.
* Instants end in `_ms`: whole milliseconds of UTC since the epoch. As nanoseconds they would pass 2^53, the largest
  integer every JSON reader keeps exactly, and a clock on a screen needs no more.
* Durations end in `_ns` and stay exact: 2^53 ns are 104 days, and no period on the page is that long.
* `null` is "undefined" or "unknown" and never 0; the page writes it as a dash and says why.
* A time bucket is sent as its word in lower case ("run", "breakdown", …), flags as a list of such words: numbers are
  for storage.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

from edge.errors import Text
from edge.gaps.detail import worded
from edge.gaps.gap import Gap
from edge.plan import Name
from edge.snapshot import (
    BudgetView,
    DeviceView,
    Figures,
    MachineView,
    ReloadView,
    SinkView,
    Snapshot,
    StateSpan,
    StoreView,
)
from ext.buckets import Bucket, Flag

Json = Mapping[str, object]

_WORD = tuple(bucket.name.lower() for bucket in Bucket)
_CORRECTIONS = ("rollovers", "resets", "glitches", "ambiguous")
_NS_PER_MS = 1_000_000


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """UTF-8 JSON, compact, one line (an SSE event may not hold a bare newline)."""
    return json.dumps(_snapshot(snapshot), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _snapshot(view: Snapshot) -> Json:
    return {
        "now_ms": view.now_ns // _NS_PER_MS,
        "started_ms": view.started_ns // _NS_PER_MS,
        "site": view.site,
        "site_name": _name(view.site_name),
        "enterprise": view.enterprise,
        "timezone": view.timezone,
        "config_version": view.config_version,
        "machines": [_machine(machine) for machine in view.machines],
        "devices": [_device(device) for device in view.devices],
        "store": _store(view.store),
        "sinks": [_sink(sink) for sink in view.sinks],
        "reload": _reload(view.reload),
        "gaps": [_gap(gap) for gap in view.gaps if not gap.void],
    }


def _reload(view: ReloadView) -> Json:
    return {
        "taken": view.taken,
        "refused": view.refused,
        "refused_ms": view.refused_ns // _NS_PER_MS or None,
        "detail": _name(view.detail),
    }


def _machine(view: MachineView) -> Json:
    return {
        "id": view.id,
        "name": _name(view.name),
        "kind": view.kind,
        "line": view.line,
        "product": view.product,
        "product_name": _name(view.product_name),
        "bucket": _WORD[view.bucket],
        "state": view.state,
        "state_since_ms": view.state_since_ns // _NS_PER_MS,
        "fault_code": view.fault_code,
        "fault_text": _name(view.fault_text) if view.fault_text else None,
        "rate_per_min": view.rate_per_min,
        "ideal_rate_per_min": view.ideal_rate_per_min,
        "age_ms": view.age_ms,
        "baseline": view.baseline,
        "counted": view.counted,
        "shift": _figures(view.shift) if view.shift else None,
        "shift_name": view.shift_name,
        "shift_target": view.shift_target,
        "hour": _figures(view.hour) if view.hour else None,
        "timeline": [_span(span) for span in view.timeline],
        "process_values": [
            {"name": name, "label": _name(label), "value": value, "unit": unit}
            for name, label, value, unit in view.process_values
        ],
        "more_values": view.more_values,
        "corrections": dict(zip(_CORRECTIONS, view.corrections, strict=True)),
        "tier": view.tier,
    }


def _figures(view: Figures) -> Json:
    return {
        "start_ms": view.start_ns // _NS_PER_MS,
        "end_ms": view.end_ns // _NS_PER_MS,
        "all_ns": view.all_ns,
        "ppt_ns": view.ppt_ns,
        "rt_ns": view.rt_ns,
        "nrt_ns": view.nrt_ns,
        "fpt_ns": view.fpt_ns,
        "unknown_ns": view.unknown_ns,
        "bucket_ns": dict(zip(_WORD, view.stop_ns, strict=True)),
        "total": view.total,
        "good": view.good,
        "reject": view.reject,
        "flags": _flag_words(view.flags),
        "oee": view.oee,
        "availability": view.availability,
        "performance": view.performance,
        "quality": view.quality,
        "coverage": view.coverage,
        "fe": view.fe,
        "mtbf_s": view.mtbf_s,
        "mttr_s": view.mttr_s,
        "bounds": {figure: [low, high] for figure, low, high in view.bounds},
        "why": {figure: _name(reason) for figure, reason in view.why},
    }


@lru_cache(maxsize=256)
def _flag_words(flags: Flag) -> list[str]:
    """Few combinations ever occur, and asking an IntFlag for its members costs more than the rest of a machine."""
    return [flag.name.lower() for flag in Flag if flag in flags and flag.name]


def _span(span: StateSpan) -> list[object]:
    """A row, not an object: an hour of short stops has hundreds of them. start_ms, end_ms, bucket, fault_code."""
    return [span.start_ns // _NS_PER_MS, span.end_ns // _NS_PER_MS, _WORD[span.bucket], span.fault_code]


def _device(view: DeviceView) -> Json:
    return {
        "id": view.id,
        "brand": view.brand,
        "protocol": view.protocol,
        "address": view.address,
        "up": view.up,
        "since_ms": view.since_ns // _NS_PER_MS,
        "latency_ms": view.latency_ms,
        "requests": view.requests,
        "busy_s": view.busy_s,
        "budget": None if view.budget is None else _budget(view.budget),
        "exceptions": view.exceptions,
        "timeouts": view.timeouts,
        "reconnects": view.reconnects,
        "lateness_p99_ms": view.lateness_p99_ms,
        "detail": view.detail,
    }


def _budget(view: BudgetView) -> Json:
    return {"requests_per_s": view.requests_per_s, "occupancy": view.occupancy, "depth": view.depth}


def _store(view: StoreView) -> Json:
    return {
        "path": view.path,
        "size_bytes": view.size_bytes,
        "records": view.records,
        "loss_window_ms": view.loss_window_ms,
        "commit_p99_ms": view.commit_p99_ms,
        "last_commit_age_ms": view.last_commit_age_ms,
        "max_bytes": view.max_bytes,
        "autonomy_s": view.autonomy_s,
        "written_per_day": view.written_per_day,
        "error": view.error,
    }


def _sink(view: SinkView) -> Json:
    return {
        "id": view.id,
        "url": view.url,
        "state": view.state,
        "backlog_records": view.backlog_records,
        "oldest_unsent_age_s": view.oldest_unsent_age_s,
        "delivered_points": view.delivered_points,
        "quarantined_points": view.quarantined_points,
        "error": view.error,
    }


def _gap(gap: Gap) -> Json:
    return {
        "cause": gap.cause,
        "scope": gap.scope,
        "object": gap.subject,
        "start_ms": gap.start_ns // _NS_PER_MS,
        "end_ms": None if gap.is_open else gap.end_ns // _NS_PER_MS,
        "records": gap.records,
        "pieces_min": gap.pieces_min,
        "pieces_max": gap.pieces_max,
        "detail": _both(worded(gap.detail)),
    }


def _both(text: Text) -> Json:
    return {"zh": text.zh, "en": text.en}


def _name(name: Name) -> Json:
    return {"zh": name.zh, "en": name.en}
