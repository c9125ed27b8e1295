"""Read-only views for people and scrapers: the page, /metrics, the demo's verdict. Never on the way of a value."""

from __future__ import annotations

from dataclasses import dataclass

from edge.gaps.gap import Gap
from edge.plan import Name
from ext.buckets import Bucket, Flag


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over one period of one machine, and the ratios as numerator/denominator are divided.

    None = undefined, or more than its signals tell; not zero.
    """

    start_ns: int
    end_ns: int
    all_ns: int
    ppt_ns: int
    rt_ns: int
    nrt_ns: int
    fpt_ns: int
    unknown_ns: int
    stop_ns: tuple[int, ...]  # by Bucket value, RUN included
    total: int
    good: int
    reject: int
    flags: Flag
    oee: float | None
    availability: float | None
    performance: float | None
    quality: float | None
    coverage: float | None
    fe: int | None = None  # failures that began in it, as known by now
    mtbf_s: float | None = None  # operating time between them
    mttr_s: float | None = None  # from failure to the first good piece, over those restored by now
    bounds: tuple[tuple[str, float, float], ...] = ()  # figure, lowest, highest, where the truth may be elsewhere
    why: tuple[tuple[str, Name], ...] = ()  # figure, why it is None


@dataclass(frozen=True, slots=True)
class StateSpan:
    """A stretch of one bucket on the timeline."""

    start_ns: int
    end_ns: int
    bucket: Bucket
    fault_code: int


@dataclass(frozen=True, slots=True)
class MachineView:
    """One machine as it is now."""

    id: str
    name: Name
    kind: str
    line: str
    product: str
    product_name: Name
    bucket: Bucket
    state: str
    state_since_ns: int
    fault_code: int
    fault_text: Name | None
    rate_per_min: float | None  # pieces per minute over the last minute observed
    ideal_rate_per_min: float
    age_ms: int | None  # since the last reading; None = never read
    baseline: bool  # the counters have their first sample: from here on every piece is counted
    counted: int  # pieces counted since this store began
    shift: Figures | None  # shift to date; None outside shifts
    shift_name: str
    shift_target: int | None  # good pieces the plan expects by now
    hour: Figures | None
    timeline: tuple[StateSpan, ...]  # the last hour
    process_values: tuple[tuple[str, Name, float | None, str], ...]  # name, label, value, unit
    corrections: tuple[int, int, int, int]  # rollovers, resets, glitches, ambiguous
    late: int = 0  # readings that opened closed windows again, since the process began
    too_late: int = 0  # readings that were older than any window that could be opened again
    tier: int = 0  # what its signals allow to be said: 0 … 4
    more_values: int = 0  # process values that `process_values` leaves out: the first of a big machine are shown


@dataclass(frozen=True, slots=True)
class BudgetView:
    """What a device may be asked at most."""

    requests_per_s: float
    occupancy: float  # share of the time of each of its lanes that requests may take; 1 = all of it
    depth: int  # requests at a time: so many lanes


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One PLC or server."""

    id: str
    brand: str
    protocol: str
    address: str
    up: bool
    since_ns: int
    latency_ms: float | None
    requests: int
    exceptions: int
    timeouts: int
    reconnects: int
    lateness_p99_ms: float | None
    detail: str
    lateness_p50_ms: float | None = None
    busy_s: float = 0.0  # time in which answers were waited for, over all requests
    refused: tuple[str, ...] = ()  # names of tags it refuses
    max_registers: int | None = None  # per request, where it turned out to take fewer than configured
    certificate_ends_ns: int | None = None  # of the server's certificate in use; None without security
    own_certificate_ends_ns: int | None = None  # of ours towards it
    depth: int | None = None  # requests at a time, where it turned out to take fewer than configured
    retries: int = 0  # requests asked again in their round
    budget: BudgetView | None = None  # of a Modbus device


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """One Modbus connection or line, whoever is on it."""

    peer: str
    devices: tuple[str, ...]  # ids
    up: bool
    made: int  # connections made since the agent began
    busy_s: float  # time in which a request was under way
    heard: tuple[tuple[str, int], ...]  # frames by what they were: answered, late, strangers, …


@dataclass(frozen=True, slots=True)
class StoreView:
    """The durable store."""

    path: str
    size_bytes: int
    records: int
    loss_window_ms: int
    commit_p99_ms: float | None
    last_commit_age_ms: int | None
    error: str
    max_bytes: int = 0
    points: int = 0
    bytes_per_s: float | None = None  # at which it fills; None = not measured yet
    autonomy_s: float | None = None  # how long it keeps everything if no database takes anything; None = not measured
    written_per_kept: float | None = None  # bytes handed to the disk for each byte kept
    written_per_day: float | None = None  # bytes handed to the disk in a day
    classes: tuple[tuple[str, int, int, int], ...] = ()  # name, records, points, bytes
    gaps_open: int = 0
    salvaged_rows: int = 0  # carried over from a damaged file when this process began
    missing_records: int = 0  # that were still to be sent and could not be carried over


@dataclass(frozen=True, slots=True)
class SinkView:
    """One database."""

    id: str
    url: str
    state: str  # "delivering" | "waiting" | "idle"
    backlog_records: int
    oldest_unsent_age_s: float | None
    delivered_points: int
    quarantined_points: int
    error: str
    clock_ahead_s: float | None = None  # the server's clock minus ours, to about a second; None before its first answer


@dataclass(frozen=True, slots=True)
class RecordingView:
    """The recorded readings of one machine."""

    machine: str
    size_bytes: int
    dropped: int  # readings that were not written, since the agent began
    error: str  # why nothing is written now; "" = it is


NO_WORDS = Name("", "")


@dataclass(frozen=True, slots=True)
class ReloadView:
    """What became of the edits of the configuration since the agent began."""

    taken: int = 0  # edits that were followed
    refused: int = 0
    refused_ns: int = 0  # UTC: since when the file is not the configuration in force; 0 = it is
    detail: Name = NO_WORDS  # why


NO_RELOAD = ReloadView()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole agent at one moment."""

    now_ns: int
    started_ns: int
    site: str
    site_name: Name
    enterprise: str
    timezone: str
    config_version: str
    machines: tuple[MachineView, ...]
    devices: tuple[DeviceView, ...]
    store: StoreView
    sinks: tuple[SinkView, ...]
    recordings: tuple[RecordingView, ...] = ()
    connections: tuple[ConnectionView, ...] = ()
    reload: ReloadView = NO_RELOAD
    refused_values: int = 0  # readings of process values that found no room before the next commits
    gaps: tuple[Gap, ...] = ()  # the newest of the gap ledger, newest first
