"""Promises: a site file becomes the plan it describes; every sample and every template with every brand loads."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from edge.config import compile_site, load
from edge.config.templates import config_folder
from edge.errors import ConfigError
from edge.plan import Machine, ModbusDevice, OpcuaDevice, SitePlan
from ext.buckets import Bucket, Counter
from protocols.modbus.tags import DataType, ModbusTag, Table, WordOrder

MACHINES = sorted(file.stem for file in (config_folder() / "templates" / "machines").glob("*.yaml"))
BRANDS = sorted(file.stem for file in (config_folder() / "templates" / "plc").glob("*.yaml"))
SITE = "site: {id: s, enterprise: e, province: p, city: c}\n"
NAMED_BY_NODE = {
    "packml",
    "packml-30050",
    "packml-tmc",
    "machinery",
    "machinery-jobs",
}  # kinds that exist over OPC UA only
BASES = {
    "siemens-s7-modbus": "DBW100",
    "inovance-am600": "MW1000",
    "schneider-m221": "%MW1000",
    "schneider-m241": "%MW1000",
    "weintek-hmi": "LW1000",
    "generic-modbus": "holding:1000",
}


def plan_of(
    machines: str, devices: str = "  - {id: plc-1, template: inovance-h5u, host: h}\n", rest: str = ""
) -> SitePlan:
    return compile_site(f"{SITE}devices:\n{devices}machines:\n{machines}{rest}", Path("/etc/x/site.yaml"), {})


def tag_of(plan: SitePlan, machine: Machine, name: str) -> ModbusTag:
    signal = next(s for s in machine.signals if s.name == name)
    device = plan.devices[signal.device]
    assert isinstance(device, ModbusDevice)
    return device.tags[signal.tag]


def test_a_machine_is_named_in_five_lines() -> None:
    plan = plan_of("  - id: tape-01\n    template: tape-sealer\n    device: plc-1\n    base: D1000\n")
    (machine,) = plan.machines
    assert (machine.kind, machine.line, machine.tier, machine.name.zh) == (
        "tape-sealer",
        "main",
        3,
        "热风缝口密封机（压条机）",
    )
    total = tag_of(plan, machine, "total")
    assert (total.address, total.type, total.word_order) == (1008, DataType.U32, WordOrder.CDAB)
    run = tag_of(plan, machine, "run")
    assert (run.table, run.address, run.bit) == (Table.HOLDING_REGISTERS, 1000, 1)
    assert machine.counters[0].modulus == 1 << 32
    assert machine.counters[0].max_rate_per_s == pytest.approx(1.2 / 360)
    assert {fault.code for fault in machine.faults} >= {101, 108, 801, 901}
    temperature = next(value for value in machine.process_values if value.name == "temperature")
    assert (temperature.unit, temperature.deadband) == ("°C", 2)


@pytest.mark.parametrize("brand", BRANDS)
@pytest.mark.parametrize("kind", MACHINES)
def test_every_machine_kind_with_every_brand(kind: str, brand: str) -> None:
    """It compiles and its requests cover each tag once; a kind the protocol cannot carry is told, tag by tag."""
    text = f"  - {{id: m, template: {kind}, device: d, base: {BASES.get(brand, 'D1000')!r}}}\n"
    opcua = brand.endswith("opcua")
    device = f"  - {{id: d, template: {brand}, {'url: opc.tcp://h:4840' if opcua else 'host: h'}}}\n"
    if kind in NAMED_BY_NODE and not opcua:
        with pytest.raises(ConfigError) as caught:
            plan_of(text, device)
        assert all("address" in p.what.en for p in caught.value.problems)
        return
    plan = plan_of(text, device)
    (compiled,) = plan.devices
    (machine,) = plan.machines
    assert machine.states
    assert any(rule.bucket is Bucket.RUN for rule in machine.states)
    assert machine.counters[0].counter in (Counter.TOTAL, Counter.GOOD)
    assert len(compiled.tags) == len({tag.name for tag in compiled.tags})
    for product in machine.products:
        assert product.ideal_cycle_ns < product.slow_ns <= product.small_stop_ns <= product.stop_ns
    for signal in machine.signals:
        assert compiled.tags[signal.tag].name == f"m.{signal.name}"
    for value in machine.process_values:
        assert compiled.tags[value.tag].name == f"m.{value.name}"
    if isinstance(compiled, ModbusDevice):
        covered = [i for r in compiled.requests for i in range(r.first, r.first + r.count)]
        assert covered == list(range(len(compiled.tags)))
        assert all(r.quantity <= compiled.limits.max_registers for r in compiled.requests)


@pytest.mark.parametrize("sample", sorted(config_folder().glob("*.yaml")), ids=lambda file: file.name)
def test_every_sample_loads(sample: Path) -> None:
    plan = load(sample, {})
    assert plan.machines
    assert plan.sinks
    assert all(machine.products for machine in plan.machines)


def test_the_block_of_a_delta_continues_in_the_second_area() -> None:
    """D4090 + 8 is D4098: on the wire 0x9002, and no request joins both halves."""
    device = "  - {id: plc-1, template: delta-dvp, host: h}\n"
    plan = plan_of("  - {id: m, template: tape-sealer, device: plc-1, base: D4090}\n", device)
    (dvp,) = plan.devices
    assert isinstance(dvp, ModbusDevice)
    assert tag_of(plan, plan.machines[0], "run").address == 0x1000 + 4090
    assert tag_of(plan, plan.machines[0], "total").address == 0x9000 + 2
    assert {(Table.HOLDING_REGISTERS, 0x2000), (Table.HOLDING_REGISTERS, 0x9000)} <= set(dvp.limits.borders)
    assert {(Table.COILS, 0x0E00), (Table.COILS, 0xB000)} <= set(dvp.limits.borders)


def test_a_siemens_block_counts_bytes_and_keeps_big_endian_words() -> None:
    device = "  - {id: plc-1, template: siemens-s7-modbus, host: h}\n"
    plan = plan_of("  - {id: m, template: tape-sealer, device: plc-1, base: DBW0}\n", device)
    total, run = (tag_of(plan, plan.machines[0], name) for name in ("total", "run"))
    assert (total.address, total.word_order) == (8, WordOrder.ABCD)
    assert (run.address, run.bit) == (0, 1)


def test_an_s7_node_is_quoted_part_by_part_and_a_full_node_id_is_kept() -> None:
    device = '  - {id: ua, template: siemens-s7-opcua, url: "opc.tcp://h"}\n'
    machine = '  - {id: m, template: packml, device: ua, base: Filler, tags: {mode: {node: "ns=4;i=7"}}}\n'
    (server,) = plan_of(machine, device).devices
    assert isinstance(server, OpcuaDevice)
    nodes = {tag.name: tag.node for tag in server.tags}
    assert nodes["m.total"] == 'ns=3;s="Filler"."Admin"."ProdProcessedCount"[0]."AccCount"'
    assert nodes["m.mode"] == "ns=4;i=7"
    assert server.endpoint.url == "opc.tcp://h:4840"


def test_a_browse_path_carries_namespaces() -> None:
    device = (
        '  - {id: ua, template: generic-opcua, url: "opc.tcp://h:1", '
        'nodes: {pattern: "/0:Objects/{base}/{tag}", separator: /, prefix: "2:"}}\n'
    )
    (server,) = plan_of("  - {id: m, template: packml, device: ua, base: Line/Filler}\n", device).devices
    assert server.tags[0].node == "/0:Objects/2:Line/2:Filler/2:Status/2:StateCurrent"  # type: ignore[union-attr]


def test_a_part_of_the_standards_namespace_keeps_it_in_a_browse_path_only() -> None:
    """CurrentState and Number are OPC UA's own, BaseStateMachine is PackML's."""
    device = (
        '  - {id: ua, template: generic-opcua, url: "opc.tcp://h:1", '
        'nodes: {pattern: "/0:Objects/{base}/{tag}", separator: /, prefix: "2:"}}\n'
        '  - {id: s7, template: siemens-s7-opcua, url: "opc.tcp://h:2"}\n'
    )
    machines = (
        "  - {id: a, template: packml-30050, device: ua, base: Filler}\n"
        "  - {id: b, template: packml-30050, device: s7, base: Filler}\n"
    )
    by_path, by_id = (
        {tag.name: tag.node for tag in device.tags}  # type: ignore[union-attr]
        for device in plan_of(machines, device).devices
    )
    assert by_path["a.base_state"] == "/0:Objects/2:Filler/2:BaseStateMachine/0:CurrentState/0:Number"
    assert by_id["b.base_state"] == 'ns=3;s="Filler"."BaseStateMachine"."CurrentState"."Number"'
    assert by_path["a.server_start"] == by_id["b.server_start"] == "i=2257"


def test_a_total_of_good_pieces_is_the_good_counter() -> None:
    machines = (
        "  - {id: a, template: packml, device: ua, base: F}\n"
        "  - {id: b, template: packml, device: ua, base: F, total_includes_rejects: false}\n"
    )
    plan = plan_of(machines, '  - {id: ua, template: generic-opcua, url: "opc.tcp://h:1"}\n')
    assert [[c.counter for c in machine.counters] for machine in plan.machines] == [
        [Counter.TOTAL, Counter.REJECT],
        [Counter.GOOD, Counter.REJECT],
    ]


def test_overrides_reach_every_part_of_a_machine() -> None:
    plan = plan_of(
        """\
  - id: m
    template: flat-mask-1+2
    device: plc-1
    base: D1000
    products: [small, {id: flat-mask, ideal_cycle_s: 0.6}]
    counters: {total: {width: 16, modulus: 10000, max_rate_per_s: 4, multiplier: 2}, good: null}
    tags:
      run: {address: X17}
      good: null
      us_power_1: {process: {deadband: 50}}
      dust: {address: D3010, type: i16, scale: 0.1, process: {deadband: 0.5}, device: plc-2}
    faults: {203: {zh: 换料, en: roll, bucket: planned-stop}, 209: null}
""",
        "  - {id: plc-1, template: inovance-h5u, host: h}\n  - {id: plc-2, template: xinje-xd, host: i}\n",
        "products: [{id: small, ideal_cycle_s: 0.5, code: 3, stop_s: 90}]\n",
    )
    (machine,) = plan.machines
    assert [(p.id, p.ideal_cycle_ns, p.stop_ns) for p in machine.products] == [
        ("small", 500_000_000, 90_000_000_000),
        ("flat-mask", 600_000_000, 60_000_000_000),
    ]
    total = machine.counters[0]
    assert [c.counter for c in machine.counters] == [Counter.TOTAL, Counter.REJECT]
    assert (total.modulus, total.max_rate_per_s, total.multiplier) == (10_000, 4, 2)
    assert tag_of(plan, machine, "total").type is DataType.U16
    run = tag_of(plan, machine, "run")
    assert (run.table, run.address, run.bit, run.type) == (Table.COILS, 0xF800 + 0o17, None, DataType.BOOL)
    values = {value.name: value for value in machine.process_values}
    assert (values["us_power_1"].deadband, values["us_power_1"].interval_ns) == (50, 60_000_000_000)
    assert plan.devices[values["dust"].device].id == "plc-2"
    faults = {fault.code: fault for fault in machine.faults}
    assert faults[203].bucket is Bucket.PLANNED_STOP
    assert 209 not in faults
    assert 801 in faults


def test_a_machine_with_nothing_but_a_counter_runs_while_it_counts() -> None:
    tags = "{run: null, fault: null, total: {address: D200, type: u16}}"
    (machine,) = plan_of(f"  - {{id: m, template: generic, device: plc-1, tags: {tags}}}\n").machines
    assert (machine.tier, machine.states, machine.state_default.bucket) == (0, (), Bucket.RUN)
    assert machine.counters[0].modulus == 65_536


def test_a_remapped_area_replaces_the_templates() -> None:
    device = (
        "  - {id: plc-1, template: mitsubishi-fx5u, host: h, "
        "areas: [{prefix: D, range: 0-999, table: holding, base: 4000}]}\n"
    )
    plan = plan_of("  - {id: m, template: generic, device: plc-1, base: D100}\n", device)
    assert tag_of(plan, plan.machines[0], "total").address == 4108


def test_own_templates_stand_beside_and_above_the_shipped_ones(tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "machines"
    folder.mkdir(parents=True)
    own = "extends: tape-sealer\nlabel: {zh: 改装压条机, en: rebuilt sealer}\ntags: {pedal: null, run: {bit: 9}}\n"
    (folder / "rebuilt.yaml").write_text(own)
    site = f"{SITE}templates: mine\ndevices: [{{id: d, template: xinje-xd, host: h}}]\nmachines:\n"
    plan = compile_site(site + "  - {id: m, template: rebuilt, device: d, base: HD0}\n", tmp_path / "site.yaml", {})
    (machine,) = plan.machines
    assert machine.name.en == "rebuilt sealer"
    assert "pedal" not in {signal.name for signal in machine.signals}
    assert tag_of(plan, machine, "run").bit == 9
    (folder / "rebuilt.yaml").write_text(own.replace("bit: 9", "bit: 19"))
    with pytest.raises(ConfigError) as caught:
        compile_site(site + "  - {id: m, template: rebuilt, device: d, base: HD0}\n", tmp_path / "site.yaml", {})
    (problem,) = caught.value.problems
    assert (Path(problem.file).name, problem.line, problem.path) == ("rebuilt.yaml", 3, "tags.run.bit")


def test_times_are_text_whether_quoted_or_not() -> None:
    """YAML 1.1 would read 14:00 as 840 and 06:00 as text."""
    quoted = 'calendar: {shifts: [{name: late, start: "14:00", end: "06:00"}]}\n'
    machine = "  - {id: m, template: generic, device: plc-1, base: D0}\n"
    bare = quoted.replace('"', "")
    assert plan_of(machine, rest=bare).calendars == plan_of(machine, rest=quoted).calendars


def test_merge_keys_and_aliases_work() -> None:
    machines = """\
  - &one {id: a, template: generic, device: plc-1, base: D0, line: l1}
  - {<<: *one, id: b, base: D100}
"""
    a, b = plan_of(machines).machines
    assert (a.line, b.line, b.id) == ("l1", "l1", "b")


def test_tags_of_one_machine_lie_together_in_the_image() -> None:
    plan = plan_of(
        "  - {id: a, template: tape-sealer, device: plc-1, base: D100}\n"
        "  - {id: b, template: kn95, device: plc-1, base: D300}\n"
    )
    (device,) = plan.devices
    assert isinstance(device, ModbusDevice)
    owners = [tag.name.split(".")[0] for tag in device.tags]
    assert len([key for key, _ in groupby(owners)]) <= 2 * len(device.requests)
    assert len(device.requests) == 4


def test_addresses_are_text_whether_quoted_or_not() -> None:
    """40001 is how people count; what YAML makes of 0x0017 is no address. A forbidden address and a base neither."""
    tags = "{total: {address: 40011, type: u16}, run: {address: 0x0017}, fault: null, x: {address: 400012}}"
    device = "  - {id: plc-1, template: generic-modbus, host: h, limits: {forbidden: [40100, 40102]}}\n"
    plan = plan_of(f"  - {{id: m, template: generic, device: plc-1, tags: {tags}}}\n", device)
    found = {name: tag_of(plan, plan.machines[0], name) for name in ("total", "run")}
    assert (found["total"].table, found["total"].address) == (Table.HOLDING_REGISTERS, 10)
    assert (found["run"].table, found["run"].address) == (Table.COILS, 16)
    (plc,) = plan.devices
    assert isinstance(plc, ModbusDevice)
    assert [low for _, low, _ in plc.limits.forbidden] == [99, 101]
    block = plan_of("  - {id: m, template: tape-sealer, device: plc-1, base: 41001}\n", device)
    assert tag_of(block, block.machines[0], "total").address == 1008


@pytest.mark.parametrize("sentinels", [[-1, 65535, -32768, 32767], [65535]])
@pytest.mark.parametrize("data_type", ["u16", "i16"])
def test_a_sentinel_may_be_written_either_way(data_type: str, sentinels: list[int]) -> None:
    """As the PLC's manual has it, or as the register does."""
    tags = f"{{x: {{address: D5, type: {data_type}, sentinels: {sentinels}}}}}"
    plan = plan_of(f"  - {{id: m, template: tape-sealer, device: plc-1, base: D1000, tags: {tags}}}\n")
    (plc,) = plan.devices
    assert isinstance(plc, ModbusDevice)
    assert next(tag.sentinels for tag in plc.tags if tag.name == "m.x") == tuple(sentinels)
