"""The compiled plan: everything decided at start, frozen. The hot path only follows it; `seamline check` prints it.

Flow: YAML ─ edge.config ─► SitePlan ─► poll, machines, ledger, outbox, sinks, web. Nothing below here reads YAML.
Pure data: no loop, socket, database or clock is imported here. What a big site has very many of (tags, signals, process
values) may be packed (`edge.packed`): sequences of what their types say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import Enum
from typing import Self

from ext.buckets import Bucket, Counter, Schedule
from protocols.modbus.address import AddressMap
from protocols.modbus.plan import Request
from protocols.modbus.tags import Endpoint, Limits, ModbusTag
from protocols.opcua.tags import OpcuaEndpoint, OpcuaTag


@dataclass(frozen=True, slots=True)
class Name:
    """What people call a thing, in both languages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Site:
    """Where the gateway stands. These become the tags of every point."""

    id: str
    enterprise: str
    province: str
    city: str
    timezone: str  # IANA name
    name: Name


LATER = {"later": True}  # metadata of a field that earlier builds did not have: at its default the version stays theirs
EVERY_DAY = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Break:
    """A planned stop inside a shift, local time."""

    start: time
    end: time
    weekdays: frozenset[int] = field(default=EVERY_DAY, metadata=LATER)  # of the shift's date, 0 = Monday


@dataclass(frozen=True, slots=True)
class Shift:
    """One shift of the week. `end <= start` means it ends on the next day; its anchor date is the date it starts on."""

    name: str
    start: time
    end: time
    weekdays: frozenset[int]  # 0 = Monday
    breaks: tuple[Break, ...] = ()
    cycle: frozenset[int] = field(default=frozenset(), metadata=LATER)  # days of the rotation, 0 = first; empty = all
    report_days: int = field(default=0, metadata=LATER)  # the date on reports: days after the anchor date, 0 or 1


@dataclass(frozen=True, slots=True)
class Rotation:
    """A cycle of days that repeats, whatever the week does. Dates before the anchor count backwards."""

    days: int
    anchor: date  # a first day of the cycle


@dataclass(frozen=True, slots=True)
class CalendarVersion:
    """The shifts in force from a date on. A shift belongs to the version of its anchor date."""

    since: date
    shifts: tuple[Shift, ...]
    rotation: Rotation | None = None
    day_start: time = time(0)


@dataclass(frozen=True, slots=True)
class DayException:
    """Dates that do not follow the pattern: other shifts start on them, or none, or those of another day."""

    first: date
    last: date  # included
    shifts: tuple[Shift, ...] | None = None  # these instead; empty = none; None = as on `like`
    like: int | date | None = None  # a weekday (0 = Monday), or a date whose weekday and day of the cycle are taken
    reason: Name = Name("", "")


@dataclass(frozen=True, slots=True)
class PlannedStop:
    """A stop that was announced, from one local time to another: maintenance, a power cut."""

    start: datetime  # naive local time, as all of a calendar
    end: datetime
    schedule: Schedule  # BREAK: planned down time inside the shift; NOT_SCHEDULED: no shift at all
    reason: Name = Name("", "")


@dataclass(frozen=True, slots=True)
class Calendar:
    """When a machine is meant to produce. Uncovered time is NOT_SCHEDULED, explicitly.

    The first exception that holds a date rules it, before holidays, before the version in force.
    """

    id: str
    timezone: str
    shifts: tuple[Shift, ...]  # until the first version; empty = scheduled around the clock, one shift "day" a date
    holidays: frozenset[date] = frozenset()  # no shift starts on these dates
    rotation: Rotation | None = field(default=None, metadata=LATER)
    day_start: time = field(default=time(0), metadata=LATER)  # local time at which a production day begins
    versions: tuple[CalendarVersion, ...] = field(default=(), metadata=LATER)  # by date
    exceptions: tuple[DayException, ...] = field(default=(), metadata=LATER)
    stops: tuple[PlannedStop, ...] = field(default=(), metadata=LATER)


@dataclass(frozen=True, slots=True)
class ModbusDevice:
    """One PLC that speaks Modbus: its tags in image order and the requests that cover them exactly once.

    Devices with equal endpoints are units on one connection.
    """

    index: int
    id: str
    brand: str  # PLC template, e.g. "inovance-h5u"
    endpoint: Endpoint
    limits: Limits
    tags: Sequence[ModbusTag]  # image order: tags of one request are adjacent
    requests: tuple[Request, ...]
    protocol: str = "modbus"
    addresses: AddressMap = field(default_factory=AddressMap)  # the vendor's names of addresses, for people
    unit: int = 1
    depth: int = 1  # requests it takes at a time


@dataclass(frozen=True, slots=True)
class OpcuaDevice:
    """One OPC UA server: its nodes in image order."""

    index: int
    id: str
    brand: str
    endpoint: OpcuaEndpoint
    tags: tuple[OpcuaTag, ...]
    protocol: str = "opcua"


Device = ModbusDevice | OpcuaDevice


@dataclass(frozen=True, slots=True)
class Signal:
    """A machine signal (`run`, `fault_code`, `total`, …) and the tag it is read from."""

    name: str
    device: int
    tag: int  # index in the device image


@dataclass(frozen=True, slots=True)
class Condition:
    """True where the signal's integer value is (or, negated, is not) one of `values`."""

    signal: int  # index into MachinePlan.signals
    values: frozenset[int]
    negate: bool = False
    last: bool = field(default=False, metadata=LATER)  # of the last good value, whatever its quality and age are now


@dataclass(frozen=True, slots=True)
class StateRule:
    """First rule whose conditions all hold gives the bucket. Signals of bad quality make their conditions false."""

    when: tuple[Condition, ...]
    bucket: Bucket
    state: str  # the word people see: "execute", "fault", "starved", …


class EpochWhen(Enum):
    """What a value does when the PLC, its server or its counters began anew."""

    DECREASES = "decreases"  # an uptime, a time since reset, a count of cycles that nobody resets
    CHANGES = "changes"  # a start time


@dataclass(frozen=True, slots=True)
class EpochRule:
    """A signal that proves a restart: what counts less afterwards was reset, never rolled over."""

    signal: int
    when: EpochWhen


@dataclass(frozen=True, slots=True)
class StateTime:
    """An accumulator of the PLC: how long it has been in the states of one bucket, ever."""

    signal: int
    bucket: Bucket
    unit_ns: int  # of one count
    modulus: int  # it runs 0 … modulus-1


@dataclass(frozen=True, slots=True)
class CounterRule:
    """How one counter of the PLC behaves."""

    counter: Counter
    signal: int
    modulus: int  # the counter runs 0 … modulus-1
    max_rate_per_s: float  # pieces per second that are physically possible, multiplier included
    multiplier: int = 1  # pieces per count
    slack_ns: int = 0  # how uncertain the time of a reading is: how late a reply may be


@dataclass(frozen=True, slots=True)
class Product:
    """A recipe: how long one piece takes at best, and where slow, small stop and stop begin (ns between pieces).

    One of its versions: a product whose data change on a date is several of these with one id, which the kernel
    accounts for apart and rows add up.
    """

    id: str
    name: Name
    ideal_cycle_ns: int
    slow_ns: int  # t1
    small_stop_ns: int  # t2
    stop_ns: int  # t3
    code: int | None = None  # value of the PLC's recipe register that selects it
    from_ns: int = field(default=0, metadata=LATER)  # UTC; holds from then until the next version; 0 = from ever
    pieces_per_count: tuple[int, int, int] = field(default=(0, 0, 0), metadata=LATER)  # total, good, reject; 0 = theirs


@dataclass(frozen=True, slots=True)
class ProcessValue:
    """An analogue tag worth keeping: temperature, pressure, tension, power."""

    name: str
    device: int
    tag: int
    unit: str
    deadband: float
    interval_ns: int
    label: Name


@dataclass(frozen=True, slots=True)
class FaultText:
    """A fault code of this machine kind, for people."""

    code: int
    text: Name
    bucket: Bucket | None = None  # overrides the bucket of the state rule, e.g. starved


class Capability(Enum):
    """What the signals of a machine can tell. A figure that rests on one the machine lacks is null, and says which.

    The tier is a summary of these (`edge.config.tiers` has the table). Values are codes for programs.
    """

    def __new__(cls, code: str, _zh: str, _en: str) -> Self:
        """The code alone is the value."""
        member = object.__new__(cls)
        member._value_ = code
        return member

    def __init__(self, _code: str, zh: str, en: str) -> None:
        self.label = Name(zh, en)

    COUNT = ("count", "产量", "output")  # a total or good counter
    STATE = ("state", "运行状态", "running or not")  # by a signal, not only by counts
    QUALITY = ("quality", "合格与不良", "good and rejected pieces")
    FAULT = ("fault", "故障停机", "breakdowns")  # a breakdown can be told from another stop
    FAULT_CODE = ("fault-code", "故障码", "which fault")
    EXTERNAL = ("external", "待料与堵料", "stops caused by neighbours")  # starved and blocked
    SETUP = ("setup", "换型调整", "setup")
    MAINTENANCE = ("maintenance", "维修模式", "maintenance")
    IDLE = ("idle", "无订单待机", "waiting for orders")  # can be told from a stop
    PRODUCT = ("product", "产品", "product")  # the recipe is read, or the machine always makes the same
    SPEED = ("speed", "设定与实际速度", "set and actual speed")
    ACCUMULATORS = ("accumulators", "状态累计时间", "the machine's own state times")
    ORDER = ("order", "订单登记", "order registered or not")


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine: where its signals come from and what they mean."""

    index: int
    id: str
    kind: str  # machine template, e.g. "tape-sealer"
    line: str
    name: Name
    tier: int  # 0..4, from the signals it has
    calendar: str
    hold_ns: int  # a state is believed this long after its last reading, then the time is UNKNOWN
    poll_ns: int  # slowest interval among the state and counter signals
    signals: Sequence[Signal]
    states: tuple[StateRule, ...]
    state_default: StateRule  # when no rule fits
    counters: tuple[CounterRule, ...]
    products: tuple[Product, ...]
    product_signal: int | None
    product_default: int  # index into products
    fault_code_signal: int | None
    faults: tuple[FaultText, ...]
    process_values: Sequence[ProcessValue]
    capacity_note: str = ""  # counting point: made, sterilised, released …
    oee_target: float = 0.85  # what the plan expects of scheduled time: gives the target count
    demand_per_h: float | None = field(default=None, metadata=LATER)  # good pieces needed per hour of planned time
    rated_per_min: float | None = field(default=None, metadata=LATER)  # pieces, by its maker
    step: int | None = field(default=None, metadata=LATER)  # place in the flow of its line; of one step: parallel
    capabilities: frozenset[Capability] = frozenset()  # what the tier rests on; follows from signals, rules, counters
    together: tuple[int, ...] = field(default=(), metadata=LATER)  # signals that are one fact: read at one time or not
    hold_while: tuple[Condition, ...] = field(default=(), metadata=LATER)  # while all hold, the state read is stale
    epochs: tuple[EpochRule, ...] = field(default=(), metadata=LATER)
    state_times: tuple[StateTime, ...] = field(default=(), metadata=LATER)
    flush_pieces: int = field(default=0, metadata=LATER)  # after a change, this many are still of the old product
    flush_ns: int = field(default=0, metadata=LATER)  # and none later than this; 0 = no such limit
    version: str = ""  # 12 hex digits of the hash of everything that can move this machine's ledger


@dataclass(frozen=True, slots=True)
class Reach:
    """How a database is reached: whom to trust, who we are, through what. Files are PEM; one that is renewed on the
    disk is another way, by its digest. Secrets are kept out of repr.
    """

    ca_file: str = ""  # the only authorities trusted; "" = those of the system
    certificate_file: str = ""  # ours, where the server asks for one (mutual TLS)
    key_file: str = ""  # "" = the key is in the certificate's file
    key_password: str = field(default="", repr=False)
    pem_digest: str = field(default="", repr=False)  # SHA-256 of what these files hold, hex; "" without files
    proxy: str = ""  # http(s)://host:port; "" = none, whatever the environment says
    proxy_user: str = field(default="", repr=False)
    proxy_password: str = field(default="", repr=False)
    connect_ns: int = 5_000_000_000
    gzip_level: int | None = None  # 0 = none; None = 1, and none where the server is on this machine


@dataclass(frozen=True, slots=True)
class Target:
    """Where points go on a server: a database (1.x, 3.x) or bucket (2.x), and a retention policy (1.x)."""

    database: str
    retention_policy: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """Points of these measurements go to `target`; None = this database does not get them."""

    measurements: frozenset[str]
    target: Target | None


@dataclass(frozen=True, slots=True)
class VictoriaRules:
    """What makes a VictoriaMetrics idempotent: it must run with -dedup.minScrapeInterval of exactly this."""

    dedup_ns: int = 100_000_000
    check: bool = True  # ask the server for its flags before the first points


@dataclass(frozen=True, slots=True)
class InfluxSink:
    """One database that takes line protocol. Secrets are resolved values and are kept out of repr."""

    id: str
    version: int  # of the InfluxDB: 1, 2 or 3
    url: str
    database: str = ""  # version 1 and 3
    retention_policy: str = ""
    user: str = ""
    password: str = ""
    org: str = ""  # version 2
    bucket: str = ""
    token: str = ""
    deadline_ns: int = 10_000_000_000
    batch_bytes: int = 1_000_000
    v2_route: bool = False  # version 3: /api/v2/write instead of /api/v3/write_lp
    victoria: VictoriaRules | None = None  # the server is a VictoriaMetrics, which speaks the protocol of version 1
    reach: Reach = Reach()
    routes: tuple[Route, ...] = ()
    backlog_bytes_per_s: int = 0  # of line protocol before compression; 0 = as fast as it goes
    future_ns: int = 7_200_000_000_000  # points further ahead of the server's clock than this are not sent

    @property
    def kind(self) -> str:
        """As the site file names it."""
        return "victoriametrics" if self.victoria else f"influxdb{self.version}"

    @property
    def target(self) -> Target:
        """Where points go that no route names."""
        return Target(self.bucket or self.database, self.retention_policy)

    def __repr__(self) -> str:
        """Everything but the secrets."""
        target = self.database or self.bucket
        return f"InfluxSink(id={self.id!r}, version={self.version}, url={self.url!r}, target={target!r})"


@dataclass(frozen=True, slots=True)
class KeepPlan:
    """How much of one class of records is kept; 0 = as long as the store as a whole keeps it."""

    record_class: str  # tag, live, ledger, event, evidence
    max_bytes: int = 0
    max_age_ns: int = 0


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The agent itself."""

    store_path: str
    store_max_bytes: int
    store_max_age_ns: int
    commit_ns: int  # group commit interval = loss window on power cut, at most 1 s
    live_ns: int  # interval of `live` points
    page_host: str
    page_port: int
    log_format: str  # "json" | "text"
    language: str  # "zh" | "en": default language of the page
    store_keep: tuple[KeepPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordingPlan:
    """Keep a machine's readings in files beside the store, so that they can be replayed."""

    machine: str
    max_bytes: int  # of its files together; the oldest go first


@dataclass(frozen=True, slots=True)
class SitePlan:
    """Everything the agent follows."""

    source: str  # path of the site file
    config_version: str  # 12 hex digits of the hash of everything that can move a figure
    site: Site
    calendars: tuple[Calendar, ...]
    devices: tuple[Device, ...]
    machines: tuple[Machine, ...]
    sinks: tuple[InfluxSink, ...]
    agent: AgentSettings
    recordings: tuple[RecordingPlan, ...] = ()
    files: tuple[str, ...] = field(default=(), compare=False)  # what it rests on: an edit of one may change it

    def version_of(self, machine: Machine) -> str:
        """Under which version this machine's ledger is kept: its own, so that an edit elsewhere leaves it alone."""
        return machine.version or self.config_version
