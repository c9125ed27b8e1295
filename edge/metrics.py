"""Prometheus metrics of the whole agent, made from one snapshot when somebody scrapes.

Theory. Tables below say for each metric its name, its help and how to read it from a view; a `Collector` walks them
over one snapshot. No counter object lives per machine, so the agent pays nothing between scrapes and a machine that
leaves the configuration leaves the metrics. Names and units follow the Prometheus conventions (base units, `_total`
for counters). The number of series is bounded by the site file (about 24 per machine, 9 per device, 6 per database);
labels are ids from that file, never values from a PLC.

Rules. Undefined is absent: no sample, never 0 and never NaN. Ratios are not published: the shift's numerators and
denominators are, so OEE of any group of machines is `sum(…shift_fully_productive_seconds) /
sum(…shift_planned_seconds)`, which cannot average a percentage.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from edge import __version__, supervise
from edge.clock import Clock
from edge.snapshot import (
    ConnectionView,
    DeviceView,
    Figures,
    MachineView,
    RecordingView,
    ReloadView,
    SinkView,
    Snapshot,
    StoreView,
)
from ext.buckets import Bucket

CACHE_NS = 1_000_000_000  # two scrapers, or one that is too eager, cost one rendering a second

View = TypeVar("View")


@dataclass(frozen=True, slots=True)
class _Gauge(Generic[View]):
    """One gauge: `read` gives its value in the unit of the name, None where it is undefined."""

    name: str
    meaning: str
    read: Callable[[View], float | None]


@dataclass(frozen=True, slots=True)
class _Counter(Generic[View]):
    """One counter; its name ends in `_total`."""

    name: str
    meaning: str
    read: Callable[[View], float | None]


def _of_shift(read: Callable[[Figures], float]) -> Callable[[MachineView], float | None]:
    """A figure of the running shift; absent outside shifts."""
    return lambda machine: None if machine.shift is None else read(machine.shift)


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


_MACHINE: tuple[_Gauge[MachineView] | _Counter[MachineView], ...] = (
    _Gauge(
        "seamline_machine_bucket",
        "What the machine is doing, as the number of its time bucket: "
        + ", ".join(f"{bucket.value} {bucket.name.lower()}" for bucket in Bucket)
        + ".",
        lambda m: m.bucket,
    ),
    _Gauge(
        "seamline_machine_observed",
        "1 while somebody sees the machine, 0 while nobody does: its state is unknown then, not stopped.",
        lambda m: m.bucket is not Bucket.UNKNOWN and m.age_ms is not None,
    ),
    _Gauge(
        "seamline_machine_state_since_seconds",
        "When the present state began, unix time.",
        lambda m: m.state_since_ns / 1e9,
    ),
    _Gauge("seamline_machine_fault_code", "First-out fault code, 0 = none.", lambda m: m.fault_code),
    _Gauge(
        "seamline_machine_reading_age_seconds",
        "Age of the last reading; absent while there was none.",
        lambda m: _seconds(m.age_ms),
    ),
    _Counter("seamline_machine_pieces_total", "Pieces counted since this store began.", lambda m: m.counted),
    _Gauge(
        "seamline_machine_rate_pieces_per_second",
        "Output rate over the last minute observed; absent while unknown.",
        lambda m: None if m.rate_per_min is None else m.rate_per_min / 60,
    ),
    _Gauge(
        "seamline_machine_ideal_rate_pieces_per_second",
        "Output rate at the ideal cycle of the present product.",
        lambda m: m.ideal_rate_per_min / 60,
    ),
    _Gauge(
        "seamline_machine_shift_planned_seconds",
        "Planned production time, shift to date: denominator of OEE and availability.",
        _of_shift(lambda f: f.ppt_ns / 1e9),
    ),
    _Gauge(
        "seamline_machine_shift_run_seconds",
        "Run time inside planned production time, shift to date.",
        _of_shift(lambda f: f.rt_ns / 1e9),
    ),
    _Gauge(
        "seamline_machine_shift_net_run_seconds",
        "Ideal cycle x total count, shift to date: numerator of performance.",
        _of_shift(lambda f: f.nrt_ns / 1e9),
    ),
    _Gauge(
        "seamline_machine_shift_fully_productive_seconds",
        "Ideal cycle x good count, shift to date: numerator of OEE.",
        _of_shift(lambda f: f.fpt_ns / 1e9),
    ),
    _Gauge(
        "seamline_machine_shift_unknown_seconds",
        "Planned production time nobody observed, shift to date: coverage = 1 - unknown / planned.",
        _of_shift(lambda f: f.unknown_ns / 1e9),
    ),
    _Gauge("seamline_machine_shift_pieces", "Total count, shift to date.", _of_shift(lambda f: f.total)),
    _Gauge("seamline_machine_shift_good_pieces", "Good count, shift to date.", _of_shift(lambda f: f.good)),
    _Gauge("seamline_machine_shift_reject_pieces", "Reject count, shift to date.", _of_shift(lambda f: f.reject)),
    _Gauge(
        "seamline_machine_shift_target_pieces",
        "Good pieces the plan expects by now.",
        lambda m: m.shift_target,
    ),
    _Counter("seamline_machine_counter_rollovers_total", "Counter rollovers met.", lambda m: m.corrections[0]),
    _Counter("seamline_machine_counter_resets_total", "Counter resets met.", lambda m: m.corrections[1]),
    _Counter("seamline_machine_counter_glitches_total", "Counter samples dropped.", lambda m: m.corrections[2]),
    _Counter(
        "seamline_machine_counter_ambiguous_total",
        "Counter steps with two explanations; the smaller credit was taken.",
        lambda m: m.corrections[3],
    ),
    _Counter(
        "seamline_machine_late_readings_total",
        "Readings that came after the watermark and opened closed windows again.",
        lambda m: m.late,
    ),
    _Counter(
        "seamline_machine_too_late_readings_total",
        "Readings older than what the agent can open again; not counted.",
        lambda m: m.too_late,
    ),
)
_DEVICE: tuple[_Gauge[DeviceView] | _Counter[DeviceView], ...] = (
    _Gauge("seamline_device_up", "1 while the PLC or server answers.", lambda d: d.up),
    _Gauge("seamline_device_since_seconds", "When it came up or went down, unix time.", lambda d: d.since_ns / 1e9),
    _Gauge("seamline_device_latency_seconds", "Mean time from request to reply.", lambda d: _seconds(d.latency_ms)),
    _Gauge(
        "seamline_device_lateness_p50_seconds",
        "How late half of the requests left at most, against the plan.",
        lambda d: _seconds(d.lateness_p50_ms),
    ),
    _Gauge(
        "seamline_device_lateness_p99_seconds",
        "How late the slowest hundredth of the requests left, against the plan.",
        lambda d: _seconds(d.lateness_p99_ms),
    ),
    _Counter("seamline_device_requests_total", "Requests sent.", lambda d: d.requests),
    _Counter("seamline_device_retries_total", "Requests asked again in the same round.", lambda d: d.retries),
    _Counter("seamline_device_exceptions_total", "Requests the device refused.", lambda d: d.exceptions),
    _Counter("seamline_device_timeouts_total", "Requests without a reply in time.", lambda d: d.timeouts),
    _Counter("seamline_device_reconnects_total", "Connections made.", lambda d: d.reconnects),
    _Counter(
        "seamline_device_busy_seconds_total",
        "Time in which its answers were waited for: the rate is its occupancy.",
        lambda d: d.busy_s,
    ),
    _Gauge(
        "seamline_device_requests_limit_per_second",
        "Requests per second it may be asked at most.",
        lambda d: None if d.budget is None else d.budget.requests_per_s,
    ),
    _Gauge(
        "seamline_device_occupancy_limit",
        "Share of the time its requests may take, over all it takes at a time.",
        lambda d: None if d.budget is None else d.budget.occupancy * d.budget.depth,
    ),
    _Gauge(
        "seamline_device_refused_tags",
        "Tags the device refuses to have read; the site file and the PLC program differ there.",
        lambda d: len(d.refused),
    ),
    _Gauge(
        "seamline_device_learned_max_registers",
        "Registers per request it turned out to take; absent where it takes what is configured.",
        lambda d: d.max_registers,
    ),
    _Gauge(
        "seamline_device_certificate_ends_seconds",
        "When the OPC UA server's certificate ends, unix time; absent without security.",
        lambda d: None if d.certificate_ends_ns is None else d.certificate_ends_ns / 1e9,
    ),
    _Gauge(
        "seamline_device_own_certificate_ends_seconds",
        "When the certificate this gateway shows to the server ends, unix time; absent without security.",
        lambda d: None if d.own_certificate_ends_ns is None else d.own_certificate_ends_ns / 1e9,
    ),
    _Gauge(
        "seamline_device_learned_depth",
        "Requests at a time it turned out to take; absent where it takes what is configured.",
        lambda d: d.depth,
    ),
)
_CONNECTION: tuple[_Gauge[ConnectionView] | _Counter[ConnectionView], ...] = (
    _Gauge("seamline_connection_up", "1 while somebody on this connection answers.", lambda c: c.up),
    _Counter("seamline_connection_made_total", "Connections made.", lambda c: c.made),
    _Counter(
        "seamline_connection_busy_seconds_total",
        "Time in which a request was under way: the rate is the load of the bus.",
        lambda c: c.busy_s,
    ),
)
_STORE: tuple[_Gauge[StoreView] | _Counter[StoreView], ...] = (
    _Gauge("seamline_store_up", "1 while the store takes what it is given.", lambda s: not s.error),
    _Gauge("seamline_store_size_bytes", "Size of the store on disk.", lambda s: s.size_bytes),
    _Gauge("seamline_store_records", "Records kept.", lambda s: s.records),
    _Gauge(
        "seamline_store_loss_window_seconds",
        "At most this much is lost when the power fails.",
        lambda s: s.loss_window_ms / 1000,
    ),
    _Gauge(
        "seamline_store_commit_p99_seconds",
        "Duration of the slowest hundredth of the commits.",
        lambda s: _seconds(s.commit_p99_ms),
    ),
    _Gauge(
        "seamline_store_last_commit_age_seconds",
        "Time since the last commit; absent before the first.",
        lambda s: _seconds(s.last_commit_age_ms),
    ),
    _Gauge("seamline_store_max_bytes", "What the store may grow to.", lambda s: s.max_bytes),
    _Gauge("seamline_store_points", "Points kept.", lambda s: s.points),
    _Gauge(
        "seamline_store_fill_bytes_per_second",
        "Rate at which the store fills once no database takes anything; absent until measured.",
        lambda s: s.bytes_per_s,
    ),
    _Gauge(
        "seamline_store_autonomy_seconds",
        "How long everything fits if no database takes anything from now on; absent until measured.",
        lambda s: s.autonomy_s,
    ),
    _Gauge(
        "seamline_store_written_bytes_per_kept_byte",
        "Bytes handed to the disk for each byte kept, over the last day: the wear of the card.",
        lambda s: s.written_per_kept,
    ),
    _Gauge(
        "seamline_store_written_bytes_per_day",
        "Bytes handed to the disk in a day at the present rate; absent until measured.",
        lambda s: s.written_per_day,
    ),
    _Gauge("seamline_store_gaps_open", "Gaps in the data that last now.", lambda s: s.gaps_open),
    _Gauge(
        "seamline_store_salvaged_rows",
        "Rows carried over from a damaged store at this start; 0 = it was not damaged.",
        lambda s: s.salvaged_rows,
    ),
    _Gauge(
        "seamline_store_missing_records",
        "Records still to be sent that a damaged store did not give back at this start.",
        lambda s: s.missing_records,
    ),
)
_STORE_CLASS: tuple[_Gauge[tuple[str, int, int, int]] | _Counter[tuple[str, int, int, int]], ...] = (
    _Gauge("seamline_store_class_records", "Records kept, by class.", lambda c: c[1]),
    _Gauge("seamline_store_class_points", "Points kept, by class.", lambda c: c[2]),
    _Gauge("seamline_store_class_bytes", "Bytes of records kept, by class.", lambda c: c[3]),
)
_RECORDING: tuple[_Gauge[RecordingView] | _Counter[RecordingView], ...] = (
    _Gauge("seamline_recording_up", "1 while readings are being recorded.", lambda r: not r.error),
    _Gauge("seamline_recording_size_bytes", "Size of the recorded readings on disk.", lambda r: r.size_bytes),
    _Counter("seamline_recording_dropped_readings_total", "Readings that were not recorded.", lambda r: r.dropped),
)
_SINK: tuple[_Gauge[SinkView] | _Counter[SinkView], ...] = (
    _Gauge("seamline_sink_waiting", "1 while the database does not take data.", lambda s: s.state == "waiting"),
    _Gauge("seamline_sink_backlog_records", "Records not delivered yet.", lambda s: s.backlog_records),
    _Gauge(
        "seamline_sink_oldest_unsent_age_seconds",
        "Age of the oldest record not delivered yet; absent when all are.",
        lambda s: s.oldest_unsent_age_s,
    ),
    _Counter("seamline_sink_delivered_points_total", "Points the database said yes to.", lambda s: s.delivered_points),
    _Counter(
        "seamline_sink_quarantined_points_total",
        "Points the database refused for good; kept aside with its words.",
        lambda s: s.quarantined_points,
    ),
    _Gauge(
        "seamline_sink_clock_ahead_seconds",
        "The database server's clock minus the gateway's, to about a second; absent before its first answer.",
        lambda s: s.clock_ahead_s,
    ),
)


class Metrics:
    """The agent's own registry, rendered on request and kept for a second."""

    def __init__(self, snapshot: Callable[[], Snapshot], clock: Clock) -> None:
        self._snapshot = snapshot
        self._clock = clock
        self._registry: CollectorRegistry | None = None
        self._text = b""
        self._rendered_ns: int | None = None

    def render(self) -> bytes:
        """Prometheus text format 0.0.4. About 10 us per series, once a second at most."""
        now_ns = self._clock.monotonic_ns()
        if self._rendered_ns is None or now_ns - self._rendered_ns >= CACHE_NS:
            self._text = generate_latest(self._open())
            self._rendered_ns = now_ns
        return self._text

    def _open(self) -> CollectorRegistry:
        """Made at the first scrape: the process collector looks into /proc when it is built."""
        if self._registry is None:
            registry = CollectorRegistry(auto_describe=False)
            ProcessCollector(registry=registry)
            registry.register(SnapshotCollector(self._snapshot))
            self._registry = registry
        return self._registry


class SnapshotCollector(Collector):
    """Turns one snapshot into metric families."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not take a snapshot of an agent that is still being put together."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """One consistent set of figures."""
        snapshot = self._snapshot()
        yield _build(snapshot)
        yield CounterMetricFamily(
            "seamline_agent_task_restarts_total",
            "Tasks that failed by a bug and were started again; 0 on a healthy gateway.",
            value=supervise.restarts,
        )
        yield from _reloads(snapshot.reload)
        yield CounterMetricFamily(
            "seamline_process_values_refused_total",
            "Readings of process values that were worth keeping and found no room before the next commits.",
            value=snapshot.refused_values,
        )
        machines = [((machine.line, machine.id), machine) for machine in snapshot.machines]
        yield from _families(_MACHINE, ("line", "machine"), machines)
        yield _device_info(snapshot.devices)
        yield from _families(_DEVICE, ("device",), [((device.id,), device) for device in snapshot.devices])
        yield from _families(_CONNECTION, ("connection",), [((one.peer,), one) for one in snapshot.connections])
        yield from _wire(snapshot.connections)
        yield _refused(snapshot.devices)
        yield from _families(_STORE, (), [((), snapshot.store)])
        yield from _families(_STORE_CLASS, ("class",), [((kept[0],), kept) for kept in snapshot.store.classes])
        yield from _families(_SINK, ("sink",), [((sink.id,), sink) for sink in snapshot.sinks])
        recordings = [((recording.machine,), recording) for recording in snapshot.recordings]
        yield from _families(_RECORDING, ("machine",), recordings)


def _families(
    specs: Sequence[_Gauge[View] | _Counter[View]],
    labels: tuple[str, ...],
    views: Sequence[tuple[tuple[str, ...], View]],
) -> Iterator[Metric]:
    for spec in specs:
        kind = CounterMetricFamily if isinstance(spec, _Counter) else GaugeMetricFamily
        family = kind(spec.name, spec.meaning, labels=labels)
        for values, view in views:
            value = spec.read(view)
            if value is not None:
                family.add_metric(values, float(value))
        yield family


def _build(snapshot: Snapshot) -> Metric:
    return InfoMetricFamily(
        "seamline_build",
        "What is running: agent, Python, site, hash of everything in the configuration that can move a figure.",
        value={
            "version": __version__,
            "python": platform.python_version(),
            "site": snapshot.site,
            "config_version": snapshot.config_version,
        },
    )


def _reloads(view: ReloadView) -> Iterator[Metric]:
    edits = CounterMetricFamily("seamline_config_reloads_total", "Edits of the configuration.", labels=("outcome",))
    edits.add_metric(("taken",), view.taken)
    edits.add_metric(("refused",), view.refused)
    yield edits
    yield GaugeMetricFamily(
        "seamline_config_in_force",
        "0: the last edit was refused, the configuration before goes on.",
        value=not view.refused_ns,
    )


def _wire(connections: Sequence[ConnectionView]) -> Iterator[Metric]:
    """What was heard on each connection besides the answers; bytes of noise are no frames and have their own."""
    frames = CounterMetricFamily(
        "seamline_connection_frames_total",
        "Frames by what they were: answered, or why they were not taken for an answer.",
        labels=("connection", "kind"),
    )
    noise = CounterMetricFamily(
        "seamline_connection_noise_bytes_total", "Bytes that belonged to no frame.", labels=("connection",)
    )
    for connection in connections:
        for kind, count in connection.heard:
            if kind == "noise_bytes":
                noise.add_metric((connection.peer,), count)
            elif kind != "sent":
                frames.add_metric((connection.peer, kind), count)
    yield frames
    yield noise


def _refused(devices: Sequence[DeviceView]) -> Metric:
    """By name, so that somebody can look them up; names come from the site file, the first twenty of a device."""
    family = GaugeMetricFamily(
        "seamline_device_tag_refused", "1 for each tag the device refuses to have read.", labels=("device", "tag")
    )
    for device in devices:
        for tag in device.refused[:20]:
            family.add_metric((device.id, tag), 1)
    return family


def _device_info(devices: Sequence[DeviceView]) -> Metric:
    family = InfoMetricFamily("seamline_device", "Which device this is.", labels=("device",))
    for device in devices:
        family.add_metric((device.id,), {"brand": device.brand, "protocol": device.protocol, "address": device.address})
    return family
