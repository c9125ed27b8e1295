"""Counters of a machine: which tag, how wide, how fast it can possibly run.

Rules.
* The modulus is the range of the tag's type unless given: 16-bit counters wrap in hours at line speed, so nothing may
  be guessed from the values. Signed types roll over at their positive half (PackML counts go 2 147 483 647 → 0).
* The maximum rate is 1.2 x the fastest product's ideal rate unless given. It must not be below the ideal rate: true
  pieces would be taken for glitches.
* Where the total counts good pieces alone (`total_includes_rejects: false`), it is the good counter; with rejects
  beside it the total follows from both.
* The longest gap over which a count stays unambiguous is modulus x multiplier / rate; a counter must be read at least
  twice in that time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge.config.models import CounterModel, MachineModel, MachineTemplate
from edge.config.problems import KeyPath, Problems, suggest
from edge.config.signal_models import CounterName
from edge.config.tags import MergedTag
from edge.config.validate import Placed
from edge.errors import Text
from ext.buckets import Counter
from protocols.modbus.tags import DataType

RATE_MARGIN = 1.2  # physically possible above nameplate
INT64_MAX = 2**63 - 1  # raw values are signed 64-bit; a 64-bit counter never wraps in practice
NS_PER_S = 1_000_000_000
COUNTERS: dict[CounterName, Counter] = {"total": Counter.TOTAL, "good": Counter.GOOD, "reject": Counter.REJECT}

MODULUS = {
    DataType.U16: 1 << 16,
    DataType.I16: 1 << 15,
    DataType.U32: 1 << 32,
    DataType.I32: 1 << 31,
    DataType.U64: INT64_MAX,
    DataType.I64: INT64_MAX,
    DataType.U8H: 1 << 8,
    DataType.U8L: 1 << 8,
    DataType.BCD16: 10**4,
    DataType.BCD32: 10**8,
    DataType.BCD64: 10**16,
    DataType.F64: 1 << 53,  # whole numbers are exact up to here; OPC UA servers count and accumulate in Double
}
_BY_WIDTH = {16: DataType.U16, 32: DataType.U32}


@dataclass(frozen=True, slots=True)
class ChosenCounter:
    """A counter and the tag it is read from; its modulus settled."""

    name: CounterName  # in the site file
    counter: Counter
    tag: str
    modulus: int
    multiplier: int
    max_rate_per_s: float | None
    path: KeyPath  # in the machine


def choose_counters(
    machine: Placed[MachineModel], template: Placed[MachineTemplate], tags: dict[str, MergedTag], problems: Problems
) -> list[ChosenCounter]:
    """The machine's counters. Where a width is given, the tag's type in `tags` follows it."""
    chosen: list[ChosenCounter] = []
    broken = False
    includes = machine.value.total_includes_rejects
    includes = template.value.total_includes_rejects if includes is None else includes
    for name, counter in COUNTERS.items():
        model = _merged(machine.value.counters, template.value.counters, name)
        if model is None:
            continue
        if not includes:
            counter = Counter.GOOD if name == "total" else counter
        own = name in machine.value.counters
        path: KeyPath = ("counters", name) if own else ("tags", model.tag or name)
        tag = tags.get(model.tag or name)
        if tag is None:
            if own or (model.tag or name) not in template.value.tags:
                what = Text(f"没有点 {model.tag or name}", f"there is no tag {model.tag or name}")
                machine.add(problems, path, what, suggest(model.tag or name, tags))
                broken = True
            continue  # switched off in the site file: the counter goes with its tag
        if model.width is not None:
            tag = replace(tag, spec=tag.spec.model_copy(update={"type": _BY_WIDTH[model.width]}))
            tags[tag.name] = tag
        modulus = _modulus(model, tag, machine, path, problems)
        broken |= modulus is None
        if modulus is not None:
            rate = model.max_rate_per_s
            chosen.append(ChosenCounter(name, counter, tag.name, modulus, model.multiplier or 1, rate, path))
    if len({c.counter for c in chosen}) < len(chosen):
        what = Text(
            "total 不含不良即为合格数，与 good 重复：请写 good: null",
            "a total without rejects is the good count, and there is a good counter: switch one off (good: null)",
        )
        machine.add(problems, ("counters",), what)
        chosen = [c for c in chosen if c.path[-1] != "good"]
    if not any(c.counter in (Counter.TOTAL, Counter.GOOD) for c in chosen) and not broken:
        what = Text("至少要有一个产量计数：total 或 good", "at least one output counter is required: total or good")
        machine.add(problems, ("counters",), what)
    return chosen


def rate_of(
    chosen: ChosenCounter, ideal_rate_per_s: float, poll_ns: int, machine: Placed[MachineModel], problems: Problems
) -> float:
    """Pieces per second physically possible, checked against the ideal rate, the modulus and the poll interval."""
    if chosen.max_rate_per_s is not None and chosen.max_rate_per_s < ideal_rate_per_s and chosen.path[0] == "counters":
        what = Text(
            f"最大速率 {chosen.max_rate_per_s:g} 件/秒低于理想节拍的 {ideal_rate_per_s:.3g} 件/秒，真产量会被当成干扰",
            f"a maximum of {chosen.max_rate_per_s:g} pieces/s is below the ideal {ideal_rate_per_s:.3g} pieces/s: "
            "true pieces would be taken for glitches",
        )
        machine.add(problems, (*chosen.path, "max_rate_per_s"), what)
    rate = chosen.max_rate_per_s or RATE_MARGIN * ideal_rate_per_s
    gap_s = gap_max_s(chosen.modulus, chosen.multiplier, rate)
    if gap_s <= 2 * poll_ns / NS_PER_S:
        poll_s = poll_ns / NS_PER_S
        what = Text(
            f"计数器 {gap_s:.3g} 秒就可能绕回一圈，而读取间隔是 {poll_s:g} 秒，无法计准",
            f"this counter can wrap within {gap_s:.3g} s but is read every {poll_s:g} s: it cannot be counted",
        )
        machine.add(
            problems,
            chosen.path,
            what,
            Text("缩短 interval_s 或用更宽的计数器", "read more often, or use a wider counter"),
        )
    return rate


def gap_max_s(modulus: int, multiplier: int, max_rate_per_s: float) -> float:
    """Longest gap between two samples over which the count stays unambiguous: M·k/r."""
    return modulus * multiplier / max_rate_per_s


def _merged(
    own: Mapping[CounterName, CounterModel | None],
    template: Mapping[CounterName, CounterModel | None],
    name: CounterName,
) -> CounterModel | None:
    base = template.get(name)
    if name not in own:
        return base
    over = own[name]
    if over is None or base is None:
        return over
    return base.model_copy(update={field: getattr(over, field) for field in over.model_fields_set})


def modulus_of(tag: MergedTag) -> int | None:
    """What the tag's type holds, and so where it rolls over; None for a type that is no integer."""
    if tag.spec.bits is not None:
        return 1 << tag.spec.bits
    return MODULUS.get(tag.spec.type or DataType.U16)


def _modulus(
    model: CounterModel, tag: MergedTag, machine: Placed[MachineModel], path: KeyPath, problems: Problems
) -> int | None:
    capacity = modulus_of(tag)
    if capacity is None:
        data_type = tag.spec.type
        zh, en = f"计数器应为整数类型，而不是 {data_type}", f"a counter has an integer type, not {data_type}"
        tag.add(problems, "type", Text(zh, en), Text("u16、u32、bcd16 …", "u16, u32, bcd16 ..."))
        return None
    if model.modulus is not None and model.modulus > capacity:
        data_type = tag.spec.type or DataType.U16
        zh = f"模数超出类型 {data_type} 的范围 {capacity}"
        en = f"the modulus is beyond the range {capacity} of type {data_type}"
        machine.add(problems, (*path, "modulus"), Text(zh, en))
        return None
    return model.modulus or capacity
