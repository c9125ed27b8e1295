"""The machine's part of `seamline check`: what it can tell and why, counters, products by date, rules, evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from zoneinfo import ZoneInfo

from edge.config.columns import columns
from edge.config.counters import gap_max_s
from edge.config.tiers import missing
from edge.config.words import NS_PER_S, bucket_name, called, lasting, say
from edge.errors import Text
from edge.plan import Capability, Condition, CounterRule, EpochWhen, Machine, Product, SitePlan, StateRule, StateTime

_COUNTERS = (Text("总数", "total"), Text("合格", "good"), Text("不良", "reject"))
_EPOCHS = {EpochWhen.DECREASES: Text("变小", "decreases"), EpochWhen.CHANGES: Text("改变", "changes")}


def machine_lines(machine: Machine, plan: SitePlan) -> list[str]:
    """One machine of the plan, as lines."""
    zone = ZoneInfo(plan.site.timezone)
    return [
        say("机台", "machine") + f" {machine.id}  {machine.kind}  {called(machine.name)}",
        *_about(machine, plan),
        *_abilities(machine),
        say("  信号：", "  signals: ") + ", ".join(signal.name for signal in machine.signals),
        say(
            "  计数（模数、最大速率、不致算错的最长间断）：",
            "  counters (modulus, maximum rate, longest gap that stays unambiguous):",
        ),
        *columns(_counter_row(machine, rule) for rule in machine.counters),
        *_evidence(machine),
        say("  产品（理想节拍、慢、短停、停机）：", "  products (ideal cycle, slow, small stop, stop):"),
        *columns(_product_row(product, machine, zone) for product in machine.products),
        *_flush(machine),
        say("  状态规则（第一条成立者为准）：", "  state rules (the first that holds):"),
        *columns(_rule_row(rule, machine) for rule in (*machine.states, machine.state_default)),
        *_process_values(machine),
    ]


def _about(machine: Machine, plan: SitePlan) -> list[str]:
    devices = {signal.device for signal in machine.signals} | {value.device for value in machine.process_values}
    names = ", ".join(plan.devices[index].id for index in sorted(devices))
    line, calendar, note = machine.line, machine.calendar, machine.capacity_note
    hold, poll = lasting(machine.hold_ns), lasting(machine.poll_ns)
    return [
        say(
            f"  取自 {names}，产线 {line}，等级 T{machine.tier}，日历 {calendar}，计数点 {note}",
            f"  read from {names}, line {line}, tier T{machine.tier}, calendar {calendar}, counting point {note}",
        ),
        say(
            f"  读数 {hold} 后不再采信，之后的时间记为未知（最慢读取 {poll}）",
            f"  a reading is believed for {hold}, then the time is unknown (slowest read {poll})",
        ),
    ]


def _abilities(machine: Machine) -> Iterator[str]:
    """What can be told, what the next tier would need, what is assumed for want of a signal."""
    told = say("、", ", ").join(called(one.label) for one in Capability if one in machine.capabilities)
    yield say("  能判断：", "  can tell: ") + told
    if groups := missing(machine.capabilities):
        needed = say("；", "; ").join(say(" 或 ", " or ").join(called(one.label) for one in group) for group in groups)
        yield say(f"  升到 T{machine.tier + 1} 还缺：", f"  for T{machine.tier + 1} it lacks: ") + needed
    assumed = [
        text
        for capability, text in (
            (Capability.QUALITY, Text("每件都合格", "every piece is good")),
            (Capability.STATE, Text("计数即运行", "it runs while it counts")),
            (Capability.ORDER, Text("计划时间内都有订单，除非状态表明空闲", "an order in planned time, unless idle")),
        )
        if capability not in machine.capabilities
    ]
    if assumed:
        yield say("  无信号，故假定：", "  assumed, for want of a signal: ") + say("；", "; ").join(map(str, assumed))


def _evidence(machine: Machine) -> Iterator[str]:
    name = [signal.name for signal in machine.signals]
    if machine.epochs:
        proofs = (f"{name[rule.signal]} {_EPOCHS[rule.when]}" for rule in machine.epochs)
        yield say("  证明 PLC 重启：", "  proof of a restart: ") + ", ".join(proofs)
    if machine.state_times:
        yield say("  PLC 自己的状态时间：", "  the PLC's own state times: ") + _times(machine.state_times, name)
    if machine.together:
        names = ", ".join(name[signal] for signal in machine.together)
        yield say(f"  须同一次采样：{names}", f"  one fact, so of one sample: {names}")
    if machine.hold_while:
        when = ", ".join(_condition(condition, machine) for condition in machine.hold_while)
        yield say(f"  {when} 时保持原状态", f"  the state before goes on while {when}")


def _times(times: Iterable[StateTime], name: list[str]) -> str:
    ordered = sorted(times, key=lambda time: time.bucket)
    groups = groupby(ordered, key=lambda time: time.bucket)
    return "; ".join(f"{bucket_name(bucket)} ← {' + '.join(name[t.signal] for t in group)}" for bucket, group in groups)


def _counter_row(machine: Machine, rule: CounterRule) -> list[str]:
    gap_ns = gap_max_s(rule.modulus, rule.multiplier, rule.max_rate_per_s) * NS_PER_S
    times = f" x{rule.multiplier}" if rule.multiplier != 1 else ""
    return [
        str(_COUNTERS[rule.counter]),
        machine.signals[rule.signal].name + times,
        f"{rule.modulus}",
        f"{rule.max_rate_per_s * 60:.4g} " + say("件/分", "pieces/min"),
        lasting(gap_ns),
    ]


def _product_row(product: Product, machine: Machine, zone: ZoneInfo) -> list[str]:
    default = say("默认", "default") if machine.products[machine.product_default] is product else ""
    code = "" if product.code is None else f"#{product.code}"
    times = (product.ideal_cycle_ns, product.slow_ns, product.small_stop_ns, product.stop_ns)
    since = ""
    if product.from_ns:
        at = f"{datetime.fromtimestamp(product.from_ns // NS_PER_S, zone):%Y-%m-%d %H:%M}"
        since = say(f"自 {at} 起", f"since {at}")
    pieces = "/".join(f"x{number}" if number else "–" for number in product.pieces_per_count)
    pieces = pieces if any(product.pieces_per_count) else ""
    return [product.id, called(product.name), code, *map(lasting, times), pieces, since, default]


def _flush(machine: Machine) -> Iterator[str]:
    if machine.flush_pieces or machine.flush_ns:
        pieces, within = machine.flush_pieces, lasting(machine.flush_ns)
        zh = f"{pieces} 件" * bool(pieces) + "、" * bool(pieces and machine.flush_ns) + within * bool(machine.flush_ns)
        en = f"{pieces} pieces" * bool(pieces) + " within " * bool(pieces and machine.flush_ns)
        yield say(
            f"  换产品后仍记在原产品的：{zh}内",
            f"  still counted for the old product after a change: {en}{within * bool(machine.flush_ns)}",
        )


def _rule_row(rule: StateRule, machine: Machine) -> list[str]:
    said = [_condition(condition, machine) for condition in rule.when]
    return [", ".join(said) or say("其余", "otherwise"), "→ " + rule.state, bucket_name(rule.bucket)]


def _condition(condition: Condition, machine: Machine) -> str:
    values = "/".join(map(str, sorted(condition.values)))
    last = say("（最后一次）", " (last said)") if condition.last else ""
    return f"{machine.signals[condition.signal].name}{last} {'≠' if condition.negate else '='} {values}"


def _process_values(machine: Machine) -> Iterator[str]:
    if machine.process_values:
        units = (f"{value.name} ({value.unit})" if value.unit else value.name for value in machine.process_values)
        yield say("  过程值：", "  process values: ") + ", ".join(units)
