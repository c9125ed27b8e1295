"""Prometheus metrics: well-formed, named by the conventions, bounded, and absent where nothing is known."""

from __future__ import annotations

import re
from dataclasses import replace

from fixtures.plant import snapshot
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from edge.clock import ManualClock
from edge.metrics import CACHE_NS, Metrics
from edge.snapshot import Snapshot
from ext.buckets import Bucket


class Agent:
    def __init__(self, view: Snapshot) -> None:
        self.view = view
        self.looked = 0

    def __call__(self) -> Snapshot:
        self.looked += 1
        return self.view


def families(view: Snapshot) -> dict[str, Metric]:
    text = Metrics(Agent(view), ManualClock()).render().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(scraped: dict[str, Metric], name: str, **labels: str) -> float | None:
    samples = [s for f in scraped.values() for s in f.samples if s.name == name and s.labels.items() >= labels.items()]
    assert len(samples) <= 1, samples
    return samples[0].value if samples else None


def test_a_scrape_says_what_the_snapshot_says() -> None:
    view = snapshot()
    scraped = families(view)
    for machine in view.machines:
        labels = {"machine": machine.id, "line": machine.line}
        assert value(scraped, "seamline_machine_pieces_total", **labels) == machine.counted
        assert value(scraped, "seamline_machine_bucket", **labels) == machine.bucket
    for device in view.devices:
        assert value(scraped, "seamline_device_up", device=device.id) == device.up
        assert value(scraped, "seamline_device_requests_total", device=device.id) == device.requests
    assert value(scraped, "seamline_device_latency_seconds", device="plc-mask-1") == 4.2 / 1000
    assert value(scraped, "seamline_device_info", device="kn95-ua", protocol="opcua", brand="siemens-s7") == 1
    assert value(scraped, "seamline_sink_backlog_records", sink="province") == 4812
    assert value(scraped, "seamline_sink_waiting", sink="province") == 1
    assert value(scraped, "seamline_store_up") == 1
    assert value(scraped, "seamline_agent_task_restarts_total") is not None
    assert value(scraped, "seamline_config_in_force") == 1
    assert value(scraped, "seamline_config_reloads_total", outcome="refused") == 0
    assert value(scraped, "seamline_process_values_refused_total") == 0
    assert value(scraped, "seamline_build_info", site="xiantao-01", config_version="3f9c1a7be204") == 1


def test_oee_of_a_line_is_a_sum_divided_by_a_sum() -> None:
    """What a recording rule would do gives the ledger's figure, not the mean of percentages."""
    view = snapshot()
    scraped = families(view)

    def total(name: str) -> float:
        return sum(s.value for s in scraped[name].samples if s.labels["line"] == "mask-a")

    shifts = [machine.shift for machine in view.machines if machine.line == "mask-a" and machine.shift]
    expected = sum(shift.fpt_ns for shift in shifts) / sum(shift.ppt_ns for shift in shifts)
    prefix = "seamline_machine_shift_"
    assert abs(total(f"{prefix}fully_productive_seconds") / total(f"{prefix}planned_seconds") - expected) < 1e-12


def test_unknown_is_absent_and_zero_is_zero() -> None:
    scraped = families(snapshot())
    assert value(scraped, "seamline_machine_rate_pieces_per_second", machine="M03") is None
    assert value(scraped, "seamline_machine_rate_pieces_per_second", machine="T02") == 0
    assert value(scraped, "seamline_machine_reading_age_seconds", machine="E01") is None
    assert value(scraped, "seamline_machine_shift_pieces", machine="T04") is None
    assert value(scraped, "seamline_device_latency_seconds", device="plc-mask-3") is None
    assert value(scraped, "seamline_machine_observed", machine="M03") == 0
    assert value(scraped, "seamline_machine_observed", machine="E01") == 0
    assert value(scraped, "seamline_machine_observed", machine="M02") == 1


def test_names_follow_the_conventions() -> None:
    """Lower case, one prefix, base units, `_total` on counters only, a help text on each."""
    for name, family in families(snapshot()).items():
        assert re.fullmatch(r"(seamline|process)(_[a-z0-9]+)+", name), name
        assert family.documentation, name
        assert family.type in ("gauge", "counter"), name
        assert not re.search(r"_(ms|ns|milliseconds|minutes|percent|ratio)(_|$)", name), name
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), name


def test_the_numbers_of_the_buckets_are_in_the_help() -> None:
    help_text = families(snapshot())["seamline_machine_bucket"].documentation
    for bucket in Bucket:
        assert f"{bucket.value} {bucket.name.lower()}" in help_text


def test_series_are_bounded_by_the_site_file() -> None:
    """Another machine costs a fixed number of series, whatever its values are."""

    def series(view: Snapshot) -> int:
        return sum(len(f.samples) for name, f in families(view).items() if name.startswith("seamline_machine"))

    assert series(snapshot(machines=24)) == 2 * series(snapshot(machines=12)) <= 24 * 22


def test_process_figures_are_there() -> None:
    scraped = families(snapshot())
    resident = value(scraped, "process_resident_memory_bytes")
    assert resident is not None
    assert resident > 1_000_000
    assert value(scraped, "process_cpu_seconds_total") is not None


def test_a_rendering_is_kept_for_a_second() -> None:
    clock, agent = ManualClock(), Agent(snapshot())
    metrics = Metrics(agent, clock)
    assert agent.looked == 0  # building it takes no snapshot of an agent that is not ready
    first = metrics.render()
    agent.view = replace(agent.view, site="moved")
    clock.advance(CACHE_NS - 1)
    assert metrics.render() is first
    clock.advance(1)
    assert b"moved" in metrics.render()
    assert agent.looked == 2


def test_odd_names_are_escaped() -> None:
    """A label value may hold anything a site file may hold."""
    view = snapshot()
    odd = replace(view.machines[0], id='M"1\\\n', line="线 1")
    scraped = families(replace(view, machines=(odd,)))
    assert value(scraped, "seamline_machine_pieces_total", machine='M"1\\\n', line="线 1") == odd.counted
