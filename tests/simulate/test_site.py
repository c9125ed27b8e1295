"""Demo sites are real site files, and an agent's copy differs only in what speed changes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from edge.plan import InfluxSink, ModbusDevice, OpcuaDevice
from edge.simulate.plant import Plant, Shifts, clears_at_handover
from edge.simulate.site import demo_devices, demo_site, for_agent, moved_here, plan_of


@pytest.mark.parametrize("machines", [1, 5, 12, 25])
def test_a_demo_site_compiles(machines: int) -> None:
    plan = plan_of(demo_site(machines))
    assert len(plan.machines) == machines
    assert len(plan.devices) == demo_devices(machines)
    ports = [d.endpoint.port for d in plan.devices if isinstance(d, ModbusDevice)]
    assert len(set(ports)) == len(ports)


def test_twelve_machines_show_everything() -> None:
    """Every kind, both protocols, many brands, narrow counters, odd moduli, and counters cleared at shift change."""
    plan = plan_of(demo_site(12))
    assert {machine.kind for machine in plan.machines} == {
        "tape-sealer", "flat-mask-1+1", "flat-mask-1+2", "kn95", "suit-station", "eo-steriliser", "packml",
    }  # fmt: skip
    assert {device.protocol for device in plan.devices} == {"modbus", "opcua"}
    assert len({device.brand for device in plan.devices}) >= 8
    moduli = {rule.modulus for machine in plan.machines for rule in machine.counters}
    assert {10_000, 1 << 15, 1 << 16, 1 << 31, 1 << 32} <= moduli
    cleared = [m.id for m in plan.machines if clears_at_handover(m, 20e9 / m.products[0].ideal_cycle_ns)]
    assert len(cleared) >= 3


def test_modbus_only() -> None:
    plan = plan_of(demo_site(12, protocols=("modbus",)))
    assert {device.protocol for device in plan.devices} == {"modbus"}
    assert len(plan.devices) == 12


def test_given_ports_sink_store_and_page_are_used() -> None:
    sink = InfluxSink("main", 1, "http://127.0.0.1:8086", database="seamline")
    ports = [20_000 + number for number in range(demo_devices(4))]
    text = demo_site(4, ports=ports, sinks=[sink], store="/tmp/x.db", page=("127.0.0.1", 0), language="en")
    plan = plan_of(text)
    assert [d.endpoint.port for d in plan.devices if isinstance(d, ModbusDevice)] == [20_000, 20_001, 20_003]
    assert plan.sinks == ()  # the simulator leaves the secrets of sinks alone
    for part in ("http://127.0.0.1:8086", "database: seamline", "/tmp/x.db", "language: en"):
        assert part in text


@pytest.mark.parametrize("speed", [Fraction(20), Fraction(7, 3), 0.5])
def test_speed_changes_cycles_and_rates_and_nothing_else(speed: Fraction | float) -> None:
    text = demo_site(12)
    plan, agent = plan_of(text), plan_of(for_agent(text, speed))
    assert agent.devices == plan.devices
    assert agent.calendars == plan.calendars
    assert agent.agent == plan.agent
    for machine, hastened in zip(plan.machines, agent.machines, strict=True):
        assert (machine.signals, machine.states, machine.hold_ns) == (
            hastened.signals,
            hastened.states,
            hastened.hold_ns,
        )
        for product, faster in zip(machine.products, hastened.products, strict=True):
            assert abs(faster.ideal_cycle_ns - product.ideal_cycle_ns / speed) <= 1
            assert (faster.id, faster.name, faster.code) == (product.id, product.name, product.code)
        for rule, faster_rule in zip(machine.counters, hastened.counters, strict=True):
            assert faster_rule.max_rate_per_s == pytest.approx(float(rule.max_rate_per_s * speed))
            assert (faster_rule.modulus, faster_rule.multiplier) == (rule.modulus, rule.multiplier)


OWN = """
site: {id: s, enterprise: e, province: p, city: c}
calendar: {shifts: [{name: day, start: 06:00, end: 14:00}]}
devices:
  - {id: a, template: inovance-h5u, host: 192.168.1.10}
  - {id: b, template: siemens-s7-opcua, url: "opc.tcp://192.168.1.11:4840"}
  - {id: c, template: inovance-h5u, host: 127.0.0.1, port: 15020}
products:
  - {id: small, ideal_cycle_s: 0.5, stop_s: 120}
  - {id: large, ideal_cycle_s: 0.8}
machines:
  - {id: m1, template: flat-mask-1+2, device: a, base: D1000, products: [small, large]}
  - {id: m2, template: tape-sealer, device: b, base: Tape1}
  - {id: m3, template: kn95, device: c, base: D1000, product: {id: own, ideal_cycle_s: 2}}
sinks:
  - {id: i, type: influxdb1, url: "http://db:8086", database: d, password: "${SECRET_NOBODY_SET}"}
"""


def test_a_site_of_somebody_is_moved_to_this_machine_and_hastened(tmp_path: Path) -> None:
    """Addresses become local ones, security goes, secrets stay unread, shift times stay what they were."""
    moved = moved_here(OWN, tmp_path)
    agent = for_agent(moved, 10)
    assert "${SECRET_NOBODY_SET}" in agent
    plan = plan_of(agent)
    a, b, c = plan.devices
    assert isinstance(a, ModbusDevice)
    assert isinstance(c, ModbusDevice)
    assert isinstance(b, OpcuaDevice)
    assert (a.endpoint.host, c.endpoint.host, c.endpoint.port) == ("127.0.0.1", "127.0.0.1", 15_020)
    assert a.endpoint.port >= 1024
    assert b.endpoint.url.startswith("opc.tcp://127.0.0.1:")
    assert b.endpoint.security == "None"
    assert plan.calendars[0].shifts[0].end.hour == 14
    assert [p.ideal_cycle_ns for p in plan.machines[0].products] == [50_000_000, 80_000_000]
    assert plan.machines[0].products[0].stop_ns == 12_000_000_000
    assert plan.machines[1].products[0].ideal_cycle_ns == 36_000_000_000
    assert plan.machines[2].products[0].ideal_cycle_ns == 200_000_000


def test_narrow_counters_roll_over_within_the_first_minute_and_clears_come_after_twenty_seconds() -> None:
    """What a demo of one minute at twenty times real speed must contain, on warm machines."""
    second = 1_000_000_000
    plant = Plant(plan_of(demo_site(12)), 1, Fraction(20), 0, Shifts())
    for machine in plant.machines.values():
        machine.order(600 * second, "go")
    plant.live(660 * second)
    wrapped = {
        name for name, machine in plant.machines.items() if machine.process.counters.wraps(machine.process.counts())
    }
    assert {"mask-1", "kn95-8", "mask-11"} <= wrapped
    cleared = {name for name, machine in plant.machines.items() if machine.process.counters.resets}
    assert cleared == {name for name, machine in plant.machines.items() if machine.clears}
    for name in cleared:
        (clear,) = plant.machines[name].process.counters.clears
        assert plant.machines[name].scale.real_ns(clear) == 620 * second


def test_a_steriliser_counts_batches_and_makes_pieces() -> None:
    """The register moves by one where the truth moves by a batch of 20."""
    day = 86_400 * 1_000_000_000
    plant = Plant(plan_of(demo_site(12)), 1, Fraction(1), 0, None)
    steriliser = plant.machines["eo-9"]
    initial = steriliser.registers()["total"]
    steriliser.order(0, "go")
    steriliser.live(10 * day)
    truth = steriliser.truth(0, 10 * day + 1)
    assert 0 < truth.total // 20 <= 10 * 86_400 // 180, "ten days of loads of three minutes, less stops"
    assert truth.total % 20 == 0
    assert steriliser.registers()["total"] - initial == truth.total // 20
