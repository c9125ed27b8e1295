"""What a site file may contain: typed, frozen, unknown keys forbidden. Meaning is checked by the compiler, not here.

Every field's description is what editors show (JSON Schema) and what `docs/configuration.md` explains; units are in the
names. Lists are tuples and nothing here is changed after validation. pydantic lives in this package only.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from edge.config.calendar_models import CalendarModel, ExceptionModel, StopModel
from edge.config.fields import (
    BucketName,
    Characters,
    Fingerprint,
    Id,
    Identified,
    Label,
    Line,
    Named,
    Number,
    Order,
    Seconds,
    Secret,
    Size,
    Strict,
    Type,
    Word,
    wrong,
)
from edge.config.signal_models import (
    Condition,
    CounterName,
    EpochModel,
    FlushModel,
    PiecesPerCount,
    Since,
    StateTimeModel,
)
from ext.buckets import Bucket
from protocols.modbus.tags import Framing, WordOrder


class SiteModel(Strict):
    """Where the gateway stands. These become the tags of every point."""

    id: Id = Field(description="short id of the site, e.g. plant-3; becomes a tag")
    enterprise: Word = Field(description="the company, e.g. 某某防护用品有限公司")
    province: Word = Field(description="province, e.g. 河南")
    city: Word = Field(description="city, e.g. 新乡")
    timezone: Word = Field("Asia/Shanghai", description="IANA time zone of the shifts")
    name: Named | None = Field(None, description="what people call the site; default: its id")


class LimitsModel(Strict):
    """What a Modbus device accepts; narrows or widens the template's."""

    max_registers: int | None = Field(None, ge=1, le=125, description="registers per request (Modbus allows 125)")
    max_bits: int | None = Field(None, ge=1, le=2000, description="coils per request (Modbus allows 2000)")
    max_gap: int | None = Field(None, ge=0, le=124, description="registers read for nothing to save a request")
    pause_ms: float | None = Field(None, ge=0, le=10_000, description="pause between a reply and the next request")
    connect_pause_ms: float | None = Field(
        None, ge=0, le=60_000, description="pause between connecting and the first request"
    )
    requests_per_s: float | None = Field(None, gt=0, le=1000)
    retries: int | None = Field(
        None, ge=0, le=5, description="a request that got no usable answer is asked again in the same round; default 0"
    )
    turnaround_ms: float | None = Field(
        None, gt=0, le=10_000, description="expected from request to reply; the planner weighs holes against it"
    )
    occupancy: float | None = Field(
        None, gt=0, le=1, description="share of the time that requests to it may take, e.g. 0.3; it rests after each"
    )
    forbidden: tuple[Word, ...] | None = Field(None, description="addresses never to be read, e.g. [D500, D600-D699]")


class SecurityModel(Strict):
    """How an OPC UA session is secured."""

    policy: Literal["auto", "None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"] | None = None
    mode: Literal["None", "Sign", "SignAndEncrypt"] | None = None
    user: Secret | None = Field(None, repr=False)
    password: Secret | None = Field(None, repr=False)
    user_certificate: Word | None = Field(
        None, description="X.509 user instead: file (PEM or DER), beside the site file"
    )
    user_key: Word | None = Field(None, description="its private key; default: in the file of the certificate")
    user_key_password: Secret | None = Field(None, repr=False)
    fingerprint: Fingerprint | None = Field(
        None, description="SHA-256 of the one certificate the server may have, in place of the trust list"
    )
    tolerate: tuple[Literal["dates", "host", "usage", "revocation"], ...] | None = Field(
        None, description="findings on the server's certificate that are accepted here"
    )


class TlsModel(Strict):
    """Modbus/TCP Security: PEM files, beside the site file unless a whole path is given."""

    ca: Word | None = Field(None, description="CA, or self-signed certificate, that vouches for the PLC")
    certificate: Word | None = Field(None, description="this gateway's certificate, where the PLC asks for one")
    key: Word | None = Field(None, description="its private key; default: in the file of the certificate")
    key_password: Secret | None = Field(None, repr=False)
    server_name: Word | None = Field(None, description="name in the PLC's certificate, where it is not the host")


class SerialModel(Strict):
    """A serial line; the defaults are those of the Modbus specification."""

    path: Word = Field(description="/dev/ttyUSB0, better /dev/serial/by-id/…")
    baud: int = Field(19_200, ge=300, le=4_000_000)
    parity: Literal["N", "E", "O"] = Field("E", description="none, even, odd")
    stop_bits: Literal[1, 2] = 1
    data_bits: Literal[7, 8] = 8
    silence_ms: float = Field(0.0, ge=0, le=1000, description="quiet line before a request; never below 3.5 characters")
    rs485: bool = Field(False, description="the port's driver switches the transmitter by RTS")


class NodesModel(Strict):
    """How a tag's name becomes an OPC UA node id."""

    pattern: Word = Field(
        description="with {base} and {tag}, e.g. ns=2;s={base}.{tag}, or a browse path from /0:Objects"
    )
    separator: str = Field(".", description="between the parts of a tag name")
    quote: str = Field("", max_length=1, description="around each part, e.g. a double quote for Siemens S7")
    prefix: str = Field("", description="before each part, e.g. 2: in a browse path")


class GroupModel(Strict):
    """OPC UA: tags that are sent, or read, together."""

    tags: tuple[Word, ...] = Field((), description="which, as machine.tag with * and ?, e.g. ['*.temp*']; first match")
    mode: Literal["subscribe", "poll"] = Field(
        "subscribe", description="sent where they change, or read at an interval"
    )
    interval_s: float | None = Field(None, ge=0.05, le=3600, description="poll: read this often; default publishing_s")
    publishing_s: float | None = Field(None, gt=0, le=60, description="subscribe: how often the server sends")
    sampling_s: float | None = Field(None, ge=0, le=60, description="subscribe: sampling interval; 0 = every change")
    queue: int | None = Field(None, ge=1, le=10_000, description="values the server holds; default for a break of 5 s")
    discard: Literal["oldest", "newest"] = Field("oldest", description="which value goes where the queue is full")
    trigger: Literal["status", "status-value", "status-value-timestamp"] = Field(
        "status-value", description="what is reported as a change"
    )
    deadband: float | None = Field(None, gt=0, description="smaller changes are not sent, in the node's own unit")
    deadband_percent: float | None = Field(None, gt=0, le=100, description="the same, in percent of its EURange")


class ServerModel(Strict):
    """What an OPC UA server takes, where it does not say so itself."""

    nodes_per_call: int = Field(0, ge=0, le=10_000, description="nodes per service call; 0 = unknown")
    items: int = Field(0, ge=0, description="monitored items of one session; what is more is read instead; 0 = unknown")
    subscriptions: int = Field(0, ge=0, description="subscriptions of one session; 0 = unknown")


class AreaModel(Strict):
    """One line of a PLC's address table."""

    prefix: Annotated[str, Field(pattern=r"^[A-Za-z%][A-Za-z0-9%_]*$", max_length=8)]
    range: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]+-[0-9A-Fa-f]+$")] = Field(
        description="first and last number as the vendor writes them, e.g. 0-7999, 0-377 (octal)"
    )
    table: Literal["coil", "discrete", "holding", "input"]
    base: int = Field(ge=0, le=65535, description="protocol address of the first number")
    radix: Literal[8, 10, 16] = 10
    registers: int = Field(1, ge=1, le=16, description="addresses per number: 2 for 32-bit counters, 16 for word.bit")
    bytewise: bool = Field(False, description="numbers count bytes, as in Siemens data blocks")
    low_byte_first: bool = Field(False, description="bytewise: the even byte is the low half of its register (CODESYS)")
    halves: bool = Field(False, description="bytewise: the elements are single bytes")


class DeviceModel(Identified):
    """One PLC or OPC UA server."""

    template: Word = Field(description="PLC brand, e.g. inovance-h5u, siemens-s7-opcua")
    host: Word | None = Field(None, description="Modbus TCP: host name or IP address")
    port: int | None = Field(None, ge=1, le=65535, description="Modbus TCP: default from the template, usually 502")
    transport: Literal["tcp", "udp"] | None = Field(None, description="Modbus: default tcp")
    framing: Framing | None = Field(None, description="Modbus: mbap; rtu or ascii behind a transparent serial server")
    tls: TlsModel | None = Field(None, description="Modbus/TCP Security; port 802 unless given")
    serial: SerialModel | None = Field(None, description="Modbus on a serial line, instead of host")
    depth: int | None = Field(None, ge=1, le=16, description="Modbus: requests the device takes at a time; default 1")
    unit: int | None = Field(None, ge=0, le=255, description="Modbus unit id; default from the template")
    url: Word | None = Field(None, description="OPC UA: opc.tcp://host:4840")
    deadline_s: float | None = Field(None, gt=0, le=60, description="longest wait for each answer")
    limits: LimitsModel = LimitsModel()
    areas: tuple[AreaModel, ...] = Field((), description="Modbus: areas this PLC was re-mapped to; replace by prefix")
    word_order: Order | None = Field(None, description="Modbus: order of 32-bit values, A = most significant byte")
    security: SecurityModel = SecurityModel()
    nodes: NodesModel | None = Field(None, description="OPC UA: how tag names become node ids")
    publishing_s: float | None = Field(None, gt=0, le=60, description="OPC UA publishing interval")
    sampling_s: float | None = Field(None, gt=0, le=60, description="OPC UA sampling interval of fast tags")
    groups: dict[Id, GroupModel] = Field({}, description="OPC UA: tag groups; `default` is the one of all other tags")
    server: ServerModel | None = Field(None, description="OPC UA: what the server takes; default from the template")


class ProcessModel(Strict):
    """Keep this tag as a process value."""

    deadband: float = Field(0.0, ge=0, description="smaller changes are not stored, in the tag's unit")
    interval_s: Seconds = Field(60.0, description="stored at least this often")
    label: Named | None = None


def _two_points(model: RangeModel) -> RangeModel:
    if model.raw[0] == model.raw[1]:
        raise wrong("raw 的两个值须不同", "raw takes two different values")
    return model


class RangeModel(Strict):
    """Two points of a line: raw values, and what they mean."""

    raw: tuple[Number, Number] = Field(description="e.g. [0, 27648]")
    value: tuple[Number, Number] = Field(description="in the tag's unit, e.g. [0, 10]")


_Index = Annotated[int, Field(ge=0)]


class TagModel(Strict):
    """One tag of a machine. In a site file: any field overrides the template's."""

    offset: int | None = Field(None, ge=0, le=65535, description="words after the machine's base address")
    bit: int | None = Field(None, ge=0, le=63, description="bit of that word; the lowest of a bit field")
    bits: int | None = Field(None, ge=1, le=63, description="a field of so many bits of an integer, from `bit` on")
    address: Word | None = Field(None, description="absolute address instead of base + offset, e.g. D1008, M100, 40001")
    node: Line | None = Field(None, description="OPC UA: name under the base (parts with /), or a full node id")
    index: _Index | Annotated[tuple[_Index, ...], Field(min_length=2, max_length=4)] | None = Field(
        None, description="OPC UA: element of an array; of a matrix [row, column]"
    )
    field: Line | None = Field(None, description="OPC UA: field of a structure, e.g. AccCount, Data[ID=Good].Value")
    codes: dict[str, int] | None = Field(None, description="OPC UA: the number a text stands for, e.g. {MASK-17: 1}")
    device: Id | None = Field(None, description="read from another device than the machine's")
    type: Type | None = None
    length: int | None = Field(None, ge=1, le=120, description="string tags: registers")
    encoding: Characters | None = Field(None, description="string tags: auto, ascii, gbk, gb18030, utf-8")
    low_byte_first: bool | None = Field(None, description="string tags: the low byte of each register comes first")
    word_order: Order | None = None
    scale: Number | None = None
    add: Number | None = Field(None, description="added after scaling: value = raw x scale + add")
    min: Number | None = Field(None, description="below it (in engineering units) the value is bad")
    max: Number | None = Field(None, description="above it (in engineering units) the value is bad")
    range: Annotated[RangeModel, AfterValidator(_two_points)] | None = Field(
        None, description="in place of scale and add: {raw: [0, 27648], value: [0, 10]}"
    )
    sentinels: tuple[int | Number, ...] | None = Field(None, description="raw values that mean no measurement")
    words: dict[int, Named] | None = Field(None, description="what values are called; the value stays a number")
    interval_s: Annotated[float, Field(ge=0.05, le=3600)] | None = Field(None, description="read this often")
    unit: str | None = None
    process: ProcessModel | None = Field(None, description="store as a process value")
    label: Named | None = None


class CounterModel(Strict):
    """How one counter of the PLC behaves."""

    tag: Id | None = Field(None, description="the tag it is read from; default: the counter's own name")
    width: Literal[16, 32] | None = Field(None, description="bits: sets the tag's type and the modulus")
    modulus: int | None = Field(None, ge=2, le=2**63 - 1, description="it runs 0 ... modulus-1, e.g. 10000")
    max_rate_per_s: float | None = Field(None, gt=0, le=1e6, description="pieces per second physically possible")
    multiplier: int | None = Field(None, ge=1, le=1_000_000, description="pieces per count")


class StateModel(Strict):
    """If all conditions hold, time goes to this bucket."""

    when: Condition = Field(description="signal: value, [values], {not: values}, or {last: values}: what it said last")
    bucket: BucketName
    state: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=40)]
    without: tuple[Id, ...] = Field((), description="only for a machine that has none of these signals")


class DefaultStateModel(Strict):
    """When no rule fits."""

    bucket: BucketName = Bucket.UNASSIGNED
    state: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=40)] = "stopped"


Code = Annotated[int, Field(ge=0, le=2**31 - 1)]


class FaultModel(Strict):
    """One fault code, for people."""

    zh: Word
    en: Word
    bucket: BucketName | None = Field(None, description="books the stop here instead of where the state rule says")


class ProductModel(Identified):
    """A product: how long one piece takes at best, and where slow, small stop and stop begin."""

    name: Named | None = None
    since: Since | None = Field(None, description="local date from which on what this entry says holds")
    ideal_cycle_s: float | None = Field(
        None, gt=0, le=1e6, description="best time of one piece; 60 / pieces per minute"
    )
    per_min: float | None = Field(None, gt=0, le=1e6, description="instead of ideal_cycle_s: pieces per minute at best")
    pieces_per_count: PiecesPerCount | None = Field(
        None, description="cavities, masks per pulse: one number, or {total: 4, reject: 1}"
    )
    code: int | None = Field(None, description="value of the PLC's recipe register that selects it")
    slow_s: float | None = Field(None, gt=0, description="t1; default 1.05 x ideal cycle")
    small_stop_s: float | None = Field(None, gt=0, description="t2; default max(1.7 x ideal cycle, 2 x poll)")
    stop_s: float | None = Field(None, gt=0, description="t3; default 6 x ideal cycle, within 60 s ... 300 s and >= t2")


def _named(value: Any) -> Any:
    """A plain text in a list of references is short for `{id: text}`."""
    return {"id": value} if isinstance(value, str) else value


ProductRef = Annotated[ProductModel, BeforeValidator(_named, json_schema_input_type=str | ProductModel)]


class RecordingModel(Strict):
    """Keep the readings the ledger uses in files beside the store, to be replayed."""

    max_bytes: Size = Field(ge=1_000_000, description="of all its files, e.g. 100 MB; the oldest go first")


class MachineModel(Identified):
    """One machine. Usually five lines; everything the template says can be overridden."""

    template: Word = Field(description="machine kind, e.g. tape-sealer, flat-mask-1+2, kn95, packml")
    device: Id = Field(description="id of the device it is read from")
    base: Word | None = Field(None, description="first word of its block, e.g. D1000; OPC UA: node prefix, e.g. Tape1")
    line: Word = Field("main", description="production line; becomes a tag")
    name: Named | None = None
    calendar: Id | None = Field(None, description="default: the only calendar")
    exceptions: tuple[ExceptionModel, ...] = Field((), description="dates with other shifts, for this machine alone")
    stops: tuple[StopModel, ...] = Field((), description="announced stops of this machine alone")
    product: ProductRef | None = Field(None, description="the product it makes, if always the same one")
    products: tuple[ProductRef, ...] | None = Field(None, description="products it can make; the first is the default")
    ideal_cycle_s: float | None = Field(None, gt=0, le=1e6, description="of this machine, for all its products")
    hold_s: float | None = Field(
        None, gt=0, le=3600, description="a state is believed this long; default max(3 x poll, 5 s)"
    )
    total_includes_rejects: bool | None = Field(
        None, description="true: the total counts rejected pieces too; false: good pieces alone"
    )
    epoch: tuple[EpochModel, ...] | None = Field(None, description="signals that prove a restart of PLC or counters")
    state_times: tuple[StateTimeModel, ...] | None = Field(
        None, description="the PLC's own hours counters: they repair gaps in the connection"
    )
    together: tuple[Id, ...] | None = Field(
        None, description="signals that are one fact: unless read in one sample, the state before holds"
    )
    hold_while: Condition | None = Field(None, description="while this holds, the state read is stale and not believed")
    flush: FlushModel | None = Field(None, description="pieces of the old product counted after a change")
    counters: dict[CounterName, CounterModel | None] = Field({})
    tags: dict[Id, TagModel | None] = Field({}, description="overrides and additions; null switches a tag off")
    states: tuple[StateModel, ...] | None = Field(None, description="replaces the template's rules; first match wins")
    state_default: DefaultStateModel | None = None
    fault_code: Id | None = Field(None, description="signal that carries the fault code")
    product_signal: Id | None = Field(None, description="signal that carries the recipe number")
    faults: dict[Code, FaultModel | None] = Field({}, description="by code; added to the template's or replacing them")
    counts: Word | None = Field(None, description="counting point: made, sterilised, released ...")
    recording: RecordingModel | None = Field(None, description="keep the readings, to be replayed")
    oee_target: float = Field(0.85, gt=0, le=1, description="what the plan expects of scheduled time; gives the target")
    demand_per_h: float | None = Field(
        None, gt=0, le=1e9, description="good pieces the delivery needs per hour of planned time; gives takt and pace"
    )
    rated_per_min: float | None = Field(
        None, gt=0, le=1e6, description="pieces a minute the maker rates it for; gives the equipment load ratio"
    )
    step: int | None = Field(
        None, ge=1, le=1000, description="place in the flow of its line, 1 = first; machines of one step are parallel"
    )


class SinkTlsModel(Strict):
    """Trust and identity towards a database. Always verified; there is no switch to leave it out."""

    ca_file: Word | None = Field(None, description="PEM; only these authorities are trusted, not the system's")
    certificate_file: Word | None = Field(None, description="PEM; our certificate, where the server asks for one")
    key_file: Word | None = Field(None, description="PEM; default: the key is in certificate_file")
    key_password: Secret | None = Field(None, repr=False)


class ProxyModel(Strict):
    """An HTTP proxy on the way to a database. The environment's proxies are never used."""

    url: Word = Field(description="http(s)://host:3128, without user name and password")
    user: Secret | None = Field(None, repr=False)
    password: Secret | None = Field(None, repr=False)


class RouteModel(Strict):
    """Points of some classes or measurements go elsewhere on the same server, or not at all."""

    classes: tuple[Literal["tag", "live", "ledger", "event"], ...] = ()
    measurements: tuple[Word, ...] = ()
    database: Word | None = Field(None, description="influxdb1, influxdb3; victoriametrics: the label db")
    retention_policy: Word | None = Field(None, description="influxdb1")
    bucket: Word | None = Field(None, description="influxdb2")
    skip: bool = Field(False, description="this database does not get them")


class SinkModel(Identified):
    """One database that takes line protocol."""

    type: Literal["influxdb1", "influxdb2", "influxdb3", "victoriametrics"]
    url: Word = Field(description="http(s)://host:8086, without user name and password")
    database: Word | None = Field(None, description="influxdb1, influxdb3; victoriametrics: becomes the label db")
    retention_policy: Word | None = Field(None, description="influxdb1; default: the database's own")
    user: Secret | None = Field(None, repr=False, description="influxdb1, victoriametrics")
    password: Secret | None = Field(None, repr=False, description="influxdb1, victoriametrics")
    org: Word | None = Field(None, description="influxdb2")
    bucket: Word | None = Field(None, description="influxdb2")
    token: Secret | None = Field(
        None, repr=False, description="influxdb2, influxdb3; influxdb1, victoriametrics: bearer token"
    )
    api: Literal["v2", "v3"] | None = Field(None, description="influxdb3: route of the writes; default v3")
    dedup_ms: int | None = Field(
        None, ge=10, le=10_000, description="victoriametrics: its -dedup.minScrapeInterval; default 100"
    )
    check_flags: bool | None = Field(
        None, description="victoriametrics: look at its flags before the first points; default true"
    )
    tls: SinkTlsModel = SinkTlsModel()
    proxy: ProxyModel | None = None
    gzip_level: int | None = Field(
        None, ge=0, le=9, description="0 = none; default 1, and none where the server is on this machine"
    )
    deadline_s: float = Field(10.0, gt=0, le=300, description="of one request")
    connect_s: float = Field(5.0, gt=0, le=300, description="to reach the server")
    batch_bytes: Size = Field(1_000_000, ge=1_000, le=50_000_000, description="of one request, before compression")
    backlog_bytes_per_s: Size = Field(
        2_000_000, ge=0, le=1_000_000_000, description="after an outage, before compression; 0 = no limit"
    )
    future_limit_s: float = Field(
        7_200.0, ge=60, le=172_800, description="points further ahead of the server's clock are not sent"
    )
    routes: tuple[RouteModel, ...] = Field((), description="the first that names a measurement decides")


class KeepModel(Strict):
    """How much of one class of records is kept, below the bounds of the store as a whole."""

    max_bytes: Size | None = Field(None, ge=1_000_000, description="beyond it the oldest go, with a gap record")
    max_age_days: float | None = Field(None, gt=0, le=3650, description="delivered records older than this go")


class KeepClassesModel(Strict):
    """Classes of records, lowest first: the order in which a full store gives them up."""

    tag: KeepModel = KeepModel()
    live: KeepModel = KeepModel()
    ledger: KeepModel = KeepModel()
    event: KeepModel = KeepModel()
    evidence: KeepModel = KeepModel()


class StoreModel(Strict):
    """The durable store on this gateway."""

    path: Word = Field("data/seamline.db", description="relative to the site file's folder")
    max_bytes: Size = Field(
        2 * 1024**3, ge=10_000_000, description="e.g. 2 GiB; the oldest, least important goes first"
    )
    max_age_days: float = Field(90.0, gt=0, le=3650)
    commit_s: float = Field(0.5, ge=0.01, le=1.0, description="loss window on a power cut; 0.05 for low latency")
    keep: KeepClassesModel = KeepClassesModel()


class PageModel(Strict):
    """The gateway page."""

    host: Word = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)


class AgentModel(Strict):
    """The agent itself."""

    store: StoreModel = StoreModel()
    page: PageModel = PageModel()
    live_s: float = Field(2.0, ge=0.5, le=60, description="interval of live points")
    log_format: Literal["text", "json"] = "text"
    language: Literal["zh", "en"] = "zh"


class SiteFile(Strict):
    """A whole site file."""

    site: SiteModel
    templates: Word | None = Field(None, description="folder with own templates: machines/*.yaml, plc/*.yaml")
    calendar: CalendarModel | None = Field(None, description="the site's only calendar")
    calendars: tuple[CalendarModel, ...] = ()
    devices: tuple[DeviceModel, ...]
    machines: tuple[MachineModel, ...]
    products: tuple[ProductModel, ...] = ()
    sinks: tuple[SinkModel, ...] = ()
    agent: AgentModel = AgentModel()


class MachineTemplate(Strict):
    """A machine kind as data."""

    extends: Id | None = None
    label: Label
    tags: dict[Id, TagModel | None]
    counters: dict[CounterName, CounterModel | None]
    states: tuple[StateModel, ...] = ()
    state_default: DefaultStateModel = DefaultStateModel()
    total_includes_rejects: bool = True
    epoch: tuple[EpochModel, ...] = ()
    state_times: tuple[StateTimeModel, ...] = ()
    together: tuple[Id, ...] = ()
    hold_while: Condition | None = None
    flush: FlushModel | None = None
    fault_code: Id | None = None
    product_signal: Id | None = None
    products: tuple[ProductModel, ...]
    faults: dict[Code, FaultModel | None] = Field({})
    counts: Word = "made"


class LimitsTemplate(Strict):
    """What a PLC model accepts."""

    max_registers: int = Field(100, ge=1, le=125)
    max_bits: int = Field(1968, ge=1, le=2000)
    max_gap: int = Field(8, ge=0, le=124)
    pause_ms: float = Field(10.0, ge=0, le=10_000)
    requests_per_s: float = Field(50.0, gt=0, le=1000)
    turnaround_ms: float = Field(10.0, gt=0, le=10_000)


class RefusedModel(Strict):
    """An area that Modbus does not reach, and why."""

    prefix: Annotated[str, Field(pattern=r"^[A-Za-z]+$", max_length=8)]
    zh: Word
    en: Word


class PlcTemplate(Strict):
    """A PLC brand as data."""

    extends: Id | None = None
    label: Label
    protocol: Literal["modbus", "opcua"]
    port: int | None = Field(None, ge=1, le=65535)
    unit: int = Field(1, ge=0, le=255)
    deadline_s: float = Field(1.0, gt=0, le=60)
    connect_pause_ms: float = Field(0.0, ge=0, le=60_000)
    word_order: Order = WordOrder.ABCD
    string_low_byte_first: bool = False
    areas: tuple[AreaModel, ...] = ()
    refused: tuple[RefusedModel, ...] = ()
    limits: LimitsTemplate = LimitsTemplate()
    nodes: NodesModel | None = None
    security: SecurityModel = SecurityModel()
    sampling_s: float = Field(0.5, gt=0, le=60)
    publishing_s: float = Field(0.5, gt=0, le=60)
    watchdog_s: float = Field(5.0, gt=0, le=300)
    server: ServerModel = ServerModel()
    notes: tuple[Label, ...] = ()
