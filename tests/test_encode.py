"""The encoder writes exactly the dictionary: every field, its kind, its place; nothing else, nothing missing."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from line_protocol_parser import parse_line

from edge.encode import MAX_TEXT, SCHEMAS, Encoder, one_line
from edge.gaps.gap import Gap, GapCause, GapScope
from edge.kpi.row import SUM_COLUMNS, Row, RowKey, Sums
from edge.machines.events import Revision, StopEvent
from edge.machines.values import Kept
from edge.outbox.facts import Eviction
from edge.plan import Machine, ModbusDevice, Name, Site, StateRule
from edge.points import BUCKET_FIELDS, GAP, LEDGER, MEASUREMENTS, Kind, Measurement, RecordClass
from ext.buckets import N_BUCKETS, Bucket
from protocols.modbus.tags import Limits, ModbusEndpoint
from protocols.reading import Quality

SITE = Site("plant-1", "恒祥 防护", "浙江", "绍兴", "Asia/Shanghai", Name("一厂", "Plant 1"))
SITE_TAGS = {"enterprise": "恒祥 防护", "province": "浙江", "city": "绍兴", "site": "plant-1"}
MACHINE = Machine(
    index=0, id="ts-01", kind="tape-sealer", line="line,1", name=Name("压条机", "Sealer"), tier=3, calendar="c",
    hold_ns=5, poll_ns=1, signals=(), states=(), state_default=StateRule((), Bucket.UNASSIGNED, "idle"), counters=(),
    products=(), product_signal=None, product_default=0, fault_code_signal=None, faults=(), process_values=(),
)  # fmt: skip
MACHINE_TAGS = SITE_TAGS | {"line": "line,1", "machine": "ts-01", "kind": "tape-sealer"}
DEVICE = ModbusDevice(0, "plc-1", "inovance-h5u", ModbusEndpoint("127.0.0.1"), Limits(), (), ())
T_NS = 1_700_000_000_000_000_000


@pytest.fixture
def encoder() -> Encoder:
    return Encoder(SITE)


def parsed(line: bytes) -> dict[str, Any]:
    point: dict[str, Any] = parse_line(line.decode())
    return point


def numbered_row() -> Row:
    """A different number in every place, so that a swap shows."""
    sums = Sums(**{name: 1000 + n for n, name in enumerate(SUM_COLUMNS)}, flags=3)
    sums.stop_ns = [2000 + n for n in range(N_BUCKETS)]
    return Row(RowKey("ts-01", "1m", T_NS, "suit", "day", "2026-01-05"), T_NS + 60, sums, 4, True, "abc", 3)


def value_line(encoder: Encoder, name: str, number: float, quality: Quality, *, remembered: bool = False) -> bytes:
    record = encoder.tags([Kept(0, name, "°C", T_NS, number, quality, remembered)], [MACHINE])
    assert record is not None
    assert (record.record_class, record.points) == (RecordClass.TAG, 1)
    return record.lines


CALLS: dict[str, Callable[[Encoder], bytes]] = {
    "ledger": lambda e: e.ledger(numbered_row(), MACHINE),
    "live": lambda e: e.live(
        MACHINE, T_NS, bucket=Bucket.RUN, state="execute", fault_code=1, rate_per_min=2.5, product="p", shift="day",
        shift_tc=3, shift_gc=4, shift_sc=5, shift_ppt_ns=6, shift_rt_ns=7, shift_nrt_ns=8, shift_fpt_ns=9,
        shift_unknown_ns=10, shift_coverage=0.5, shift_flags=12, age_ms=11, observed=True, tier=2, config_version="abc",
    ),
    "stop": lambda e: e.stop(MACHINE, StopEvent(T_NS, T_NS + 5, Bucket.BREAKDOWN, 17, is_open=True), "abc"),
    "revision": lambda e: e.revision(MACHINE, T_NS, Revision("late-reading", 1, 2, 3, 4, -5, "why"), "abc"),
    "tag": lambda e: value_line(e, "air temp", 420.5, Quality.GOOD, remembered=True),
    "device": lambda e: e.device(
        DEVICE, T_NS, up=True, reason="connected", latency_ms=1.25, requests=1, exceptions=2, timeouts=3, reconnects=4
    ),
    "gap": lambda e: e.gap(
        Gap(GapCause.PLC_OFF, GapScope.MACHINE, "m1", T_NS, T_NS + 7, True, 3, 1, 2, detail="why")
    ),
    "agent": lambda e: e.agent(
        T_NS, event="start", detail="d", version="1", config_version="abc", clock_step_ns=-5
    ),
}  # fmt: skip


def gap_of(subject: str = "plc-1", end_ns: int = T_NS, detail: str = "") -> Gap:
    return Gap(GapCause.PLC_OFF, GapScope.DEVICE, subject, T_NS, end_ns, detail=detail)


@pytest.mark.parametrize("measurement", MEASUREMENTS, ids=lambda m: m.name)
def test_every_measurement_has_its_method_and_writes_all_its_fields_and_tags(
    encoder: Encoder, measurement: Measurement
) -> None:
    line = CALLS[measurement.name](encoder)
    point = parsed(line)
    assert point["measurement"] == measurement.name
    assert set(point["tags"]) == set(measurement.tags)
    places = [line.index(f",{tag}=".encode()) for tag in measurement.tags]
    assert places == sorted(places), "tags are not in the order of the dictionary"
    assert set(point["fields"]) == {field.name for field in measurement.fields}
    assert point["time"] == T_NS
    python = {Kind.INTEGER: int, Kind.FLOAT: float, Kind.STRING: str, Kind.BOOLEAN: bool}
    for field in measurement.fields:
        assert type(point["fields"][field.name]) is python[field.kind], field.name


@pytest.mark.parametrize("measurement", MEASUREMENTS, ids=lambda m: m.name)
def test_the_dictionary_names_each_field_once(measurement: Measurement) -> None:
    """Two fields of one name overwrite one another in the database, silently."""
    names = [field.name for field in measurement.fields]
    assert len(names) == len(set(names))
    assert not set(names) & set(measurement.tags)
    assert SCHEMAS[measurement.name].names == tuple(names)


def test_values_stand_under_their_own_names(encoder: Encoder) -> None:
    row = numbered_row()
    fields = parsed(encoder.ledger(row, MACHINE))["fields"]
    assert {name: fields[name] for name in SUM_COLUMNS} == {name: getattr(row.sums, name) for name in SUM_COLUMNS}
    assert [fields[name] for name in BUCKET_FIELDS] == row.sums.stop_ns
    about = {name: fields[name] for name in ("flags", "tier", "revision", "final", "config_version")}
    assert about == {"flags": 3, "tier": 3, "revision": 4, "final": True, "config_version": "abc"}

    live = parsed(CALLS["live"](encoder))["fields"]
    numbers = ["shift_tc", "shift_gc", "shift_sc", "shift_ppt_ns", "shift_rt_ns", "shift_nrt_ns", "shift_fpt_ns",
               "shift_unknown_ns", "age_ms"]  # fmt: skip
    assert [live[name] for name in numbers] == list(range(3, 12))
    device = parsed(CALLS["device"](encoder))["fields"]
    assert [device[name] for name in ("requests", "exceptions", "timeouts", "reconnects")] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["live", "device", "agent"])
def test_arguments_are_the_fields_of_the_dictionary(name: str) -> None:
    """A field added to the dictionary must be asked for; an argument must be a field or a tag."""
    measurement = next(m for m in MEASUREMENTS if m.name == name)
    keywords = {
        p.name for p in inspect.signature(getattr(Encoder, name)).parameters.values() if p.kind is p.KEYWORD_ONLY
    }
    fields = {field.name for field in measurement.fields}
    renamed = {"is_open": "open", "subject": "object"}
    asked = {renamed.get(keyword, keyword) for keyword in keywords}
    assert asked <= fields | set(measurement.tags)
    assert fields == asked - set(measurement.tags)


def test_tags_are_the_sites_and_machines_and_empty_ones_are_left_out(encoder: Encoder) -> None:
    row = numbered_row()
    tags = parsed(encoder.ledger(row, MACHINE))["tags"]
    assert tags == MACHINE_TAGS | {"product": "suit", "shift": "day", "window": "1m"}
    outside = Row(RowKey("ts-01", "1m", T_NS, "", "", ""), 0, Sums(), 0, False, "abc", 3)
    assert parsed(encoder.ledger(outside, MACHINE))["tags"] == MACHINE_TAGS | {"window": "1m"}


def test_undefined_figures_are_absent(encoder: Encoder) -> None:
    fields = parsed(
        encoder.live(
            MACHINE, T_NS, bucket=Bucket.UNKNOWN, state="unknown", fault_code=0, rate_per_min=None, product="p",
            shift="", shift_tc=None, shift_gc=None, shift_sc=None, shift_ppt_ns=None, shift_rt_ns=None,
            shift_nrt_ns=None, shift_fpt_ns=None, shift_unknown_ns=None, shift_coverage=None, shift_flags=None,
            age_ms=None, observed=False, tier=1, config_version="c",
        )
    )["fields"]  # fmt: skip
    about = {"tier": 1, "config_version": "c"}
    assert fields == about | {
        "bucket": 12, "state": "unknown", "fault_code": 0, "product": "p", "shift": "", "observed": False,
    }  # fmt: skip


@pytest.mark.parametrize("quality", [quality for quality in Quality if quality is not Quality.GOOD])
def test_a_process_value_nobody_trusts_is_absent(encoder: Encoder, quality: Quality) -> None:
    fields = parsed(value_line(encoder, "t", 1.0, quality))["fields"]
    assert fields == {"quality": int(quality), "unit": "°C"}


def test_process_values_of_many_machines_are_one_record(encoder: Encoder) -> None:
    other = replace(MACHINE, id="ts-02")
    kept = [Kept(n % 2, f"t{n}", "°C", T_NS + n, n / 10, Quality.GOOD) for n in range(6)]
    record = encoder.tags(kept, [MACHINE, other])
    assert record is not None
    points = [parsed(line) for line in record.lines.split(b"\n")]
    assert [(p["tags"]["machine"], p["tags"]["name"], p["fields"]["value"], p["time"]) for p in points] == [
        (("ts-01", "ts-02")[n % 2], f"t{n}", n / 10, T_NS + n) for n in range(6)
    ]
    assert encoder.tags([], [MACHINE]) is None


@pytest.mark.parametrize("text", ["two\nlines", "x" * 10_000, "lone \ud800 surrogate", "tab\t", ""])
def test_texts_from_devices_become_one_bounded_line(encoder: Encoder, text: str) -> None:
    line = encoder.gap(gap_of(detail=text))
    assert b"\n" not in line
    assert parsed(line)["fields"]["detail"] == one_line(text)
    assert len(one_line(text)) <= MAX_TEXT


def test_an_eviction_becomes_a_gap_that_names_what_went_and_who_never_had_it(encoder: Encoder) -> None:
    eviction = Eviction(RecordClass.LIVE, T_NS, T_NS + 9, 3, 36, 999, ("central", "province"))
    record = encoder.gap_record(eviction.gap)
    assert (record.record_class, record.points) == (GAP.record_class, 1)
    point = parsed(record.lines)
    assert point["tags"] == SITE_TAGS | {"cause": "evicted", "object": "live"}
    assert point["time"] == T_NS
    assert (point["fields"]["duration_ns"], point["fields"]["records"], point["fields"]["open"]) == (9, 3, False)
    assert re.search("central.*province", point["fields"]["detail"])


def test_a_value_of_the_wrong_kind_is_refused(encoder: Encoder) -> None:
    with pytest.raises(TypeError, match="duration_ns"):
        encoder.gap(gap_of(end_ns=T_NS + 600.5))  # type: ignore[arg-type]


def test_series_are_kept_but_not_without_end(encoder: Encoder) -> None:
    for n in range(10_000):
        encoder.gap(gap_of(subject=f"plc-{n}"))
    assert len(encoder._prefixes) <= 8_192


def test_buckets_and_their_fields_correspond() -> None:
    names = [field.name for field in LEDGER.fields]
    first = names.index(BUCKET_FIELDS[0])
    assert tuple(names[first : first + N_BUCKETS]) == BUCKET_FIELDS
