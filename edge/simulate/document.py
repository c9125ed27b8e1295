"""The truth as JSON, and the tag tables as text: what people and programs read from a simulation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge.errors import Text
from edge.plan import Device, ModbusDevice, SitePlan
from edge.simulate.binding import DeviceImage
from edge.simulate.plant import Plant, SimulatedMachine, Truth
from ext.buckets import Bucket
from protocols.modbus.tags import ModbusTag, Table
from protocols.opcua.tags import OpcuaTag

Json = dict[str, object]  # a JSON document; made here and sent, never read back
_TABLES = {
    Table.COILS: "coil",
    Table.DISCRETE_INPUTS: "discrete",
    Table.HOLDING_REGISTERS: "holding",
    Table.INPUT_REGISTERS: "input",
}


def truth_document(
    plant: Plant, agent: SitePlan, now_ns: int, from_ns: int | None = None, to_ns: int | None = None
) -> Json:
    """What every machine did in [from, to), by default from power-on to now. Raises `ForgottenError`, ValueError.

    `agent` is the site as an agent sees it: the ideal cycles quoted are those its figures are made with.
    """
    begin = plant.t0_ns if from_ns is None else max(from_ns, plant.t0_ns)
    end = now_ns + 1 if to_ns is None else min(to_ns, now_ns + 1)  # a piece complete at this very instant counts
    if end < begin:
        raise ValueError(f"the interval [{begin}, {end}) ends before it begins")
    plant.live(now_ns)
    cycles = {machine.id: machine.products[machine.product_default].ideal_cycle_ns for machine in agent.machines}
    return {
        "t0_ns": plant.t0_ns,
        "now_ns": now_ns,
        "from_ns": begin,
        "to_ns": end,
        "go_ns": plant.go_ns,
        "stop_ns": plant.stop_ns,
        "speed": float(plant.scale.speed),
        "seed": plant.seed,
        "machines": {
            name: _machine(plant.plan, machine, machine.truth(begin, end), cycles[name])
            for name, machine in plant.machines.items()
        },
    }


def _machine(plan: SitePlan, machine: SimulatedMachine, truth: Truth, ideal_cycle_ns: int) -> Json:
    device = plan.devices[machine.plan.signals[machine.plan.counters[0].signal].device]
    state, code, bucket = machine.state()
    counters = machine.process.counters
    return {
        "kind": machine.plan.kind,
        "protocol": device.protocol,
        "device": device.id,
        "made": {"total": truth.total, "good": truth.good, "reject": truth.reject},
        "bucket_ns": {Bucket(number).name.lower(): ns for number, ns in enumerate(truth.bucket_ns)},
        "all_ns": truth.all_ns,
        "state": state,
        "bucket": bucket.name.lower(),
        "fault_code": code,
        "ideal_cycle_ns": ideal_cycle_ns,
        "pieces_per_count": machine.per_cycle,
        "counters": machine.registers(),
        "resets": counters.resets,
        "wraps": counters.wraps(machine.process.counts()),
        "events": [
            {"start_ns": start_ns, "condition": event.condition.name.lower(), "fault_code": event.code}
            for start_ns, event in machine.events()
        ],
    }


def tables(plan: SitePlan, images: dict[str, DeviceImage]) -> Iterator[str]:
    """Every device with its address and its tags, for a terminal."""
    for device in plan.devices:
        yield f"\n{device.id}  {device.brand}  {_address(device)}"
        image = images[device.id]
        unknown = 0
        tags: Sequence[ModbusTag | OpcuaTag] = device.tags
        for index, tag in enumerate(tags):
            bound = image.bound[index]
            known = bound is not None and (bound.reading is not None or bound.counter is not None)
            unknown += not known
            note = "" if known else "  = 0"
            where = _where(tag) if isinstance(tag, ModbusTag) else tag.node
            yield f"  {tag.name:<28} {where}{note}"
        if unknown:
            yield "  " + str(
                Text(
                    f"“= 0”的 {unknown} 个点仿真不产生，恒为 0",
                    f"{unknown} tags marked “= 0” are not simulated, they read 0",
                )
            )


def _address(device: Device) -> str:
    if isinstance(device, ModbusDevice):
        return f"modbus://{device.endpoint.peer}  unit {device.unit}"
    return device.endpoint.url


def _where(tag: ModbusTag) -> str:
    bit = f".{tag.bit}" if tag.bit is not None else ""
    order = f" {tag.word_order}" if tag.registers > 1 and not tag.table.is_bits else ""
    scale = f" x{tag.scale:g}" if tag.scale != 1 else ""
    return f"{_TABLES[tag.table]:<8} {tag.address:>5}{bit:<4} (0x{tag.address:04X}) {tag.type}{order}{scale}"
