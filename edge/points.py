"""The one dictionary of everything written to a database: measurements, tags, fields, types, units, meanings.

Contracts. Field types are fixed for ever (InfluxDB refuses a second type for a field). Tags are bounded: ids from the
site file, never values from a PLC. Time stamps are deterministic (window start, event start), so writing a point again
overwrites it and at-least-once delivery looks exactly-once. Durations are integer nanoseconds, pieces are integers;
figures are never stored as ratios, because a dashboard that divides sums can never average a percentage. Everything
that carries figures carries what they rest on: tier, coverage, flags, configuration. A field that is undefined is
absent, never 0 and never NaN.

`docs/points.md` is generated from this table, and a test checks every dashboard query against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from ext.buckets import Bucket


class Kind(StrEnum):
    """InfluxDB field types."""

    INTEGER = "integer"
    FLOAT = "float"
    STRING = "string"
    BOOLEAN = "boolean"


class RecordClass(IntEnum):
    """What is evicted first when the store is full: lowest first. Stored; never renumber."""

    TAG = 10
    LIVE = 20
    LEDGER = 30
    EVENT = 40  # stops, gaps, device and agent facts
    EVIDENCE = 50


@dataclass(frozen=True, slots=True)
class FieldDef:
    """One field."""

    name: str
    kind: Kind
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement: its tags in line-protocol order, its fields, what its time stamp is."""

    name: str
    record_class: RecordClass
    tags: tuple[str, ...]
    fields: tuple[FieldDef, ...]
    time: str


SITE_TAGS = ("enterprise", "province", "city", "site")
MACHINE_TAGS = (*SITE_TAGS, "line", "machine", "kind")

_I, _F, _S, _B = Kind.INTEGER, Kind.FLOAT, Kind.STRING, Kind.BOOLEAN

_SUMS = (
    FieldDef("all_ns", _I, "ns", "calendar time of the window booked so far; equals the sum of all bucket fields"),
    FieldDef("ppt_ns", _I, "ns", "planned production time: scheduled time, less breaks in which nothing was produced"),
    FieldDef("rt_ns", _I, "ns", "run time inside planned production time (APT of ISO 22400)"),
    FieldDef("nrt_ns", _I, "ns", "net run time: ideal cycle x total count, product by product"),
    FieldDef("fpt_ns", _I, "ns", "fully productive time: ideal cycle x good count, product by product"),
    FieldDef(
        "unknown_ns", _I, "ns", "planned production time that nobody observed; coverage = 1 - unknown_ns / ppt_ns"
    ),
)
_COUNTS = (
    FieldDef("tc", _I, "pieces", "total count inside planned production time"),
    FieldDef("gc", _I, "pieces", "good count inside planned production time"),
    FieldDef("sc", _I, "pieces", "scrap (reject) count inside planned production time"),
)
_UNSCHEDULED = (
    FieldDef("unscheduled_tc", _I, "pieces", "total count outside the schedule: output and capacity, not OEE"),
    FieldDef("unscheduled_gc", _I, "pieces", "good count outside the schedule"),
    FieldDef("unscheduled_sc", _I, "pieces", "scrap count outside the schedule"),
    FieldDef("unscheduled_run_ns", _I, "ns", "run time outside the schedule"),
    FieldDef("unscheduled_fpt_ns", _I, "ns", "ideal cycle x good count outside the schedule (for TEEP)"),
)
_EVIDENCE = (
    FieldDef("slow_ns", _I, "ns", "run time lost to slow cycles"),
    FieldDef("small_ns", _I, "ns", "run time lost to small stops"),
    FieldDef("conflict_ns", _I, "ns", "run time proved by counts although the state said stopped"),
    FieldDef("recovered", _I, "pieces", "of tc: counted across a time nobody observed"),
    FieldDef("estimated", _I, "pieces", "of recovered: spread over several windows pro rata"),
    FieldDef("resets", _I, "1", "counter resets met"),
    FieldDef("rollovers", _I, "1", "counter rollovers met"),
    FieldDef("glitches", _I, "1", "counter samples dropped as glitches"),
    FieldDef("lost_max", _I, "pieces", "upper bound of pieces a reset may have hidden"),
    FieldDef("repaired_ns", _I, "ns", "time nobody observed, told afterwards by the PLC's own accumulators"),
    FieldDef(
        "coverage",
        _F,
        "1",
        "part of planned production time that was observed; absent where nothing was planned. It qualifies this "
        "window: of several windows it is 1 - sum(unknown_ns) / sum(ppt_ns), never a mean",
    ),
    FieldDef("flags", _I, "bit set", "doubts and corrections, see the table of flags"),
    FieldDef("tier", _I, "0-4", "signal tier of the machine: what its signals allow to be inferred"),
    FieldDef("revision", _I, "1", "how often the closed window was opened again by later facts; see `revision`"),
    FieldDef("final", _B, "", "false while the window is open, or facts that are on their way may still change it"),
    FieldDef("config_version", _S, "", "hash of everything that can move this machine's ledger"),
)
# The bucket UNKNOWN has a field name of its own: `unknown_ns` is only the part of it inside planned production time.
BUCKET_FIELDS = tuple("unobserved_ns" if bucket is Bucket.UNKNOWN else f"{bucket.name.lower()}_ns" for bucket in Bucket)

LEDGER = Measurement(
    "ledger",
    RecordClass.LEDGER,
    (*MACHINE_TAGS, "product", "shift", "window"),
    (
        *_SUMS,
        *(
            FieldDef(name, _I, "ns", f"time in bucket {bucket.name}")
            for name, bucket in zip(BUCKET_FIELDS, Bucket, strict=True)
        ),
        *_COUNTS,
        *_UNSCHEDULED,
        *_EVIDENCE,
    ),
    "start of the window (`1m`, `1h`, `shift`, `1d`); windows are cut at shift and product changes, days (production "
    "days of the machine's calendar) at product changes only",
)
LIVE = Measurement(
    "live",
    RecordClass.LIVE,
    (*MACHINE_TAGS,),
    (
        FieldDef("bucket", _I, "bucket", "what the machine is doing: number of the time bucket"),
        FieldDef("state", _S, "", "the same in a word, as the machine template names it"),
        FieldDef("fault_code", _I, "", "first-out fault code, 0 = none"),
        FieldDef("rate_per_min", _F, "pieces/min", "output of the last minute; absent when unknown"),
        FieldDef("product", _S, "", "id of the product being made"),
        FieldDef("shift", _S, "", "name of the shift, empty outside shifts"),
        FieldDef("shift_tc", _I, "pieces", "total count, shift to date"),
        FieldDef("shift_gc", _I, "pieces", "good count, shift to date"),
        FieldDef("shift_sc", _I, "pieces", "scrap count, shift to date"),
        FieldDef("shift_ppt_ns", _I, "ns", "planned production time, shift to date"),
        FieldDef("shift_rt_ns", _I, "ns", "run time, shift to date"),
        FieldDef("shift_nrt_ns", _I, "ns", "net run time, shift to date"),
        FieldDef("shift_fpt_ns", _I, "ns", "fully productive time, shift to date"),
        FieldDef("shift_unknown_ns", _I, "ns", "unobserved planned production time, shift to date"),
        FieldDef(
            "shift_coverage",
            _F,
            "1",
            "observed part of planned production time, shift to date; absent where nothing was planned yet",
        ),
        FieldDef("shift_flags", _I, "bit set", "doubts and corrections, shift to date, see the table of flags"),
        FieldDef("age_ms", _I, "ms", "age of the last reading"),
        FieldDef(
            "observed",
            _B,
            "",
            "false: nobody sees the machine now (comm lost, stale); its state is unknown, not stopped",
        ),
        FieldDef("tier", _I, "0-4", "signal tier of the machine: what its signals allow to be inferred"),
        FieldDef("config_version", _S, "", "hash of everything that can move this machine's ledger"),
    ),
    "time of the view, cut to the live interval",
)
STOP = Measurement(
    "stop",
    RecordClass.EVENT,
    (*MACHINE_TAGS,),
    (
        FieldDef("bucket", _I, "bucket", "stop class: number of the time bucket"),
        FieldDef("reason", _S, "", "stop class in a word"),
        FieldDef("fault_code", _I, "", "first-out fault code when the stop began, 0 = none"),
        FieldDef("duration_ns", _I, "ns", "length so far"),
        FieldDef("open", _B, "", "true while it lasts"),
        FieldDef("void", _B, "", "true: later facts showed that there was no such stop; its duration is 0"),
        FieldDef("revision", _I, "1", "how often it was told again with another content after it was closed"),
        FieldDef("tier", _I, "0-4", "signal tier of the machine: what its signals allow to be inferred"),
        FieldDef("config_version", _S, "", "hash of everything that can move this machine's ledger"),
    ),
    "start of the stop; coverage and flags are those of the ledger windows it lies in, and time nobody observed is a "
    "stop of class unknown",
)
REVISION = Measurement(
    "revision",
    RecordClass.EVENT,
    (*MACHINE_TAGS, "cause"),
    (
        FieldDef("readings", _I, "1", "readings that were late"),
        FieldDef("from_ns", _I, "ns", "UTC start of the first minute that changed; for too-late: the oldest reading"),
        FieldDef("until_ns", _I, "ns", "UTC end of the last minute that changed; for too-late: the newest reading"),
        FieldDef("windows", _I, "1", "minute windows written again; hours, shifts and days follow from them"),
        FieldDef("pieces", _I, "pieces", "output in these windows, more than before (negative: less)"),
        FieldDef("detail", _S, "", "for people"),
        FieldDef("config_version", _S, "", "hash of everything that can move this machine's ledger"),
    ),
    "when the closed windows were opened again. Cause: late-reading (later than the watermark), history (read back "
    "from a server), too-late (older than the agent can open again: not counted)",
)
TAG = Measurement(
    "tag",
    RecordClass.TAG,
    (*MACHINE_TAGS, "name"),
    (
        FieldDef("value", _F, "see unit", "process value in engineering units; absent when the quality is not good"),
        FieldDef("quality", _I, "quality", "0 good, 1 uncertain, 2 bad, 3 stale, 4 comm lost, 5 not configured"),
        FieldDef("unit", _S, "", "engineering unit"),
        FieldDef("history", _B, "", "true: read back from the device's own history; absent for what was heard"),
    ),
    "time of the reading, by the gateway's clock",
)
DEVICE = Measurement(
    "device",
    RecordClass.EVENT,
    (*SITE_TAGS, "device", "brand", "protocol"),
    (
        FieldDef("up", _B, "", "the device answers"),
        FieldDef("reason", _S, "", "short cause of the last change"),
        FieldDef("latency_ms", _F, "ms", "mean time from request to reply in the interval; absent when there was none"),
        FieldDef("requests", _I, "1", "requests in the interval"),
        FieldDef("exceptions", _I, "1", "exception replies in the interval"),
        FieldDef("timeouts", _I, "1", "deadlines missed in the interval"),
        FieldDef("reconnects", _I, "1", "connections made in the interval"),
    ),
    "time of the change, or end of the interval",
)
GAP = Measurement(
    "gap",
    RecordClass.EVENT,
    (*SITE_TAGS, "cause", "object"),
    (
        FieldDef("duration_ns", _I, "ns", "how long no trustworthy data were had"),
        FieldDef("scope", _S, "", "what the object is: machine, device, agent, class, database; sum over one of them"),
        FieldDef("records", _I, "1", "records that are not where they should be; for cause quarantined, points"),
        FieldDef(
            "pieces_min",
            _I,
            "pieces",
            "of a machine: made meanwhile and counted afterwards; absent where nobody can tell",
        ),
        FieldDef(
            "pieces_max",
            _I,
            "pieces",
            "of a machine: the same, and what a counter reset may have hidden; until the minutes of the gap are final, "
            "what the physical rate allows",
        ),
        FieldDef("detail", _S, "", "code of what happened and its values: store-full points=120 databases=backup"),
        FieldDef("open", _B, "", "true while it lasts"),
        FieldDef("void", _B, "", "true: later facts showed that there was no such gap; its duration is 0"),
    ),
    "start of the gap. Cause: plc-off, link-down, agent-stopped, clock-stepped, unobserved (the device answers, but "
    "not with what tells the state), evicted, quarantined, damaged. A device's gap says what broke, a machine's gap is "
    "the time its ledger books as unobserved",
)
AGENT = Measurement(
    "agent",
    RecordClass.EVENT,
    (*SITE_TAGS,),
    (
        FieldDef("event", _S, "", "start, stop, reload, clock-step"),
        FieldDef("detail", _S, "", "for people"),
        FieldDef("version", _S, "", "version of the agent"),
        FieldDef("config_version", _S, "", "hash of everything that can move a figure"),
        FieldDef("clock_step_ns", _I, "ns", "for clock-step: how far the wall clock moved"),
    ),
    "time of the event",
)

MEASUREMENTS = (LEDGER, LIVE, STOP, REVISION, TAG, DEVICE, GAP, AGENT)
