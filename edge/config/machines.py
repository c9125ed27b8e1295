"""Machines on their way into the plan: template and overrides become signals, rules, counters and products.

Two steps, because a tag's index in its device's image is known only once the device's requests are planned:
`draft_machine` settles everything by name and hands the tags to the devices, `MachineDraft.finish` turns names into
indices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from edge.config.counters import ChosenCounter, choose_counters, rate_of
from edge.config.devices import Draft
from edge.config.evidence import Evidence, choose_evidence, drop_unused_times
from edge.config.models import DefaultStateModel, MachineModel, MachineTemplate
from edge.config.problems import Problems, suggest
from edge.config.products import SiteProducts, choose_products, name_of, plan_product
from edge.config.rules import NamedCondition, NamedRule, choose_rules
from edge.config.tags import MergedTag, merge_tags
from edge.config.tiers import ORDER, capabilities_of, tier_of
from edge.config.validate import Placed
from edge.errors import Text
from edge.packed import packed
from edge.plan import (
    Condition,
    CounterRule,
    EpochRule,
    FaultText,
    Machine,
    Name,
    ProcessValue,
    Product,
    Signal,
    StateRule,
    StateTime,
)

NS_PER_S = 1_000_000_000
HOLD_POLLS, HOLD_MIN_S = 3, 5.0


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a tag ended up: device index and index in its image."""

    device: int
    tag: int
    deadline_ns: int  # how late a reply of the device may be and still be taken
    request: int = 0  # of its device; of a server that pushes: the tag group
    filtered: bool = False  # some changes of the value are kept from us (deadband, trigger)


@dataclass(frozen=True, slots=True)
class MachineDraft:
    """A machine settled by name."""

    placed: Placed[MachineModel]
    template: MachineTemplate
    calendar: str
    tags: dict[str, MergedTag]
    rules: list[NamedRule]
    default: DefaultStateModel
    counters: list[tuple[ChosenCounter, float]]  # with the maximum rate
    products: tuple[Product, ...]
    product_signal: str | None
    fault_code: str | None
    evidence: Evidence
    poll_ns: int
    hold_ns: int

    def check(self, slots: Mapping[str, Slot], problems: Problems) -> None:
        """Signals that are one fact must be read at once."""
        places = [slots.get(f"{self.placed.value.id}.{name}") for name in self.evidence.together]
        if len({(slot.device, slot.request) for slot in places if slot is not None}) > 1:
            names = ", ".join(self.evidence.together)
            what = Text(
                f"{names} 须在同一请求中读取，否则会拼出从未有过的状态",
                f"{names} must be read in one request, or they give a state that never was",
            )
            hint = Text(
                "把它们放在相邻地址、相同 interval_s；OPC UA：放在同一组 groups",
                "put them side by side, with the same interval_s; OPC UA: in one of its groups",
            )
            self.placed.add(problems, ("together",), what, hint)
        for name in sorted(self._used()):
            slot = slots.get(f"{self.placed.value.id}.{name}")
            if slot is not None and slot.filtered:
                what = Text(
                    f"{name} 用于计数或状态，不能放进有死区或 trigger: status 的组：会漏掉变化",
                    f"{name} is counted or tells the state: a group with a deadband or trigger: status hides changes",
                )
                self.placed.add(problems, ("tags", name), what)

    def finish(self, index: int, slots: Mapping[str, Slot]) -> Machine:
        """The machine of the plan. `slots` are the places of all tags by `machine.tag`."""
        model = self.placed.value
        used = self._used()
        names = [name for name, tag in self.tags.items() if tag.spec.process is None or name in used]
        at = {name: position for position, name in enumerate(names)}
        place = {name: slots[f"{model.id}.{name}"] for name in self.tags}
        states, counters = tuple(self._rule(rule, at) for rule in self.rules), self._counters(at, place)
        state_times = tuple(
            StateTime(at[time.tag], time.bucket, time.unit_ns, time.modulus) for time in self.evidence.state_times
        )
        flush = model.flush or self.template.flush
        capabilities = capabilities_of(
            self.tags,
            states,
            counters,
            fault_code=self.fault_code is not None,
            faults=self._faults(),
            product=self.product_signal is not None or model.product is not None,
            order=any(condition.signal == ORDER for rule in self.rules for condition in rule.when),
            state_times=state_times,
        )
        return Machine(
            index=index,
            id=model.id,
            kind=model.template,
            line=model.line,
            name=name_of(model.name or self.template.label, model.id),
            tier=tier_of(capabilities),
            calendar=self.calendar,
            hold_ns=self.hold_ns,
            poll_ns=self.poll_ns,
            signals=packed([Signal(name, place[name].device, place[name].tag) for name in names]),
            states=states,
            state_default=StateRule((), self.default.bucket, self.default.state),
            counters=counters,
            products=self.products,
            product_signal=None if self.product_signal is None else at[self.product_signal],
            product_default=0,
            fault_code_signal=None if self.fault_code is None else at[self.fault_code],
            faults=self._faults(),
            process_values=packed(
                [self._process_value(name, tag, place[name]) for name, tag in self.tags.items() if tag.spec.process]
            ),
            capacity_note=model.counts or self.template.counts,
            oee_target=model.oee_target,
            demand_per_h=model.demand_per_h,
            rated_per_min=model.rated_per_min,
            step=model.step,
            capabilities=capabilities,
            together=tuple(at[name] for name in self.evidence.together),
            hold_while=tuple(self._condition(condition, at) for condition in self.evidence.hold_while),
            epochs=tuple(EpochRule(at[tag], when) for tag, when in self.evidence.epochs),
            state_times=state_times,
            flush_pieces=flush.pieces if flush is not None else 0,
            flush_ns=round(flush.within_s * NS_PER_S) if flush is not None else 0,
        )

    def _used(self) -> set[str]:
        named = {condition.signal for rule in self.rules for condition in rule.when}
        named.update(counter.tag for counter, _ in self.counters)
        named |= self.evidence.names
        return named | {name for name in (self.product_signal, self.fault_code) if name is not None}

    @staticmethod
    def _condition(condition: NamedCondition, at: Mapping[str, int]) -> Condition:
        return Condition(at[condition.signal], condition.values, condition.negate, condition.last)

    def _rule(self, rule: NamedRule, at: Mapping[str, int]) -> StateRule:
        return StateRule(tuple(self._condition(c, at) for c in rule.when), rule.bucket, rule.state)

    def _counters(self, at: Mapping[str, int], place: Mapping[str, Slot]) -> tuple[CounterRule, ...]:
        return tuple(
            CounterRule(c.counter, at[c.tag], c.modulus, rate, c.multiplier, place[c.tag].deadline_ns)
            for c, rate in self.counters
        )

    def _faults(self) -> tuple[FaultText, ...]:
        merged = dict(self.template.faults) | dict(self.placed.value.faults)
        return tuple(
            FaultText(code, Name(fault.zh, fault.en), fault.bucket)
            for code, fault in sorted(merged.items())
            if fault is not None
        )

    @staticmethod
    def _process_value(name: str, tag: MergedTag, slot: Slot) -> ProcessValue:
        process = tag.spec.process
        assert process is not None
        label = name_of(process.label or tag.spec.label, name)
        interval_ns = round(process.interval_s * NS_PER_S)
        return ProcessValue(name, slot.device, slot.tag, tag.spec.unit or "", process.deadband, interval_ns, label)


def draft_machine(
    placed: Placed[MachineModel],
    template: Placed[MachineTemplate],
    devices: Mapping[str, Draft | None],
    site_products: SiteProducts,
    calendar: str,
    zone: ZoneInfo,
    problems: Problems,
) -> MachineDraft:
    """Settle one machine by name and give its tags to the devices. What is wrong goes to `problems`."""
    model = placed.value
    tags = merge_tags(placed, template, problems)
    counters = choose_counters(placed, template, tags, problems)
    rules, default = choose_rules(placed, template, tags, problems)
    product_signal = _signal("product_signal", placed, template, tags, problems) if model.product is None else None
    fault_code = _signal("fault_code", placed, template, tags, problems)
    evidence = choose_evidence(placed, template, tags, problems)
    drop_unused_times(placed, template, tags, evidence)
    _give_tags(placed, tags, devices, problems)
    used = {c.signal for rule in rules for c in rule.when} | {counter.tag for counter in counters}
    used |= evidence.state_names | {name for name in (product_signal, fault_code) if name is not None}
    poll_ns = max((_interval_ns(placed, tags[name], devices) for name in used), default=NS_PER_S)
    chosen = choose_products(placed, template, site_products, problems)
    products = tuple(plan_product(product, counters, poll_ns, zone, placed, problems) for product in chosen)
    ideal_rate = NS_PER_S / min((product.ideal_cycle_ns for product in products), default=NS_PER_S)
    return MachineDraft(
        placed=placed,
        template=template.value,
        calendar=calendar,
        tags=tags,
        rules=rules,
        default=default,
        counters=[(counter, rate_of(counter, ideal_rate, poll_ns, placed, problems)) for counter in counters],
        products=products,
        product_signal=product_signal,
        fault_code=fault_code,
        evidence=evidence,
        poll_ns=poll_ns,
        hold_ns=_hold_ns(placed, poll_ns, problems),
    )


def _signal(
    key: str,
    placed: Placed[MachineModel],
    template: Placed[MachineTemplate],
    tags: Mapping[str, MergedTag],
    problems: Problems,
) -> str | None:
    """The signal named by `key`, in the site file or the template; None where it is switched off."""
    own: str | None = getattr(placed.value, key)
    name: str | None = own or getattr(template.value, key)
    if name is None or name in tags:
        return name
    if name not in template.value.tags:
        source = placed if own else template
        problems.add(
            source.document.place((*source.path, key)),
            Text(f"没有信号 {name}", f"there is no signal {name}"),
            suggest(name, tags),
        )
    return None


def _give_tags(
    placed: Placed[MachineModel], tags: Mapping[str, MergedTag], devices: Mapping[str, Draft | None], problems: Problems
) -> None:
    """Hand every tag to its device."""
    model = placed.value
    base_missing = False
    for name, tag in tags.items():
        device = tag.spec.device or model.device
        if device not in devices:
            if tag.spec.device is not None:
                what = Text(f"没有设备 {device}", f"there is no device {device}")
                tag.add(problems, "device", what, suggest(device, devices))
            continue
        draft = devices[device]
        if draft is None:
            continue  # broken, and told so
        if draft.needs_base(tag) and model.base is None:
            base_missing = True
            continue
        draft.add(f"{model.id}.{name}", tag, model.base, problems)
    if base_missing:
        what = Text(
            "缺少 base：数据块的首地址，例如 D1000", "base is required: the first word of its block, e.g. D1000"
        )
        placed.add(
            problems, ("base",), what, Text("OPC UA：节点前缀，例如 Tape1", "OPC UA: the node prefix, e.g. Tape1")
        )


def _interval_ns(placed: Placed[MachineModel], tag: MergedTag, devices: Mapping[str, Draft | None]) -> int:
    draft = devices.get(tag.spec.device or placed.value.device)
    name = f"{placed.value.id}.{tag.name}"
    return draft.interval_ns(name) if draft is not None and name in draft.tags else tag.interval_ns


def _hold_ns(placed: Placed[MachineModel], poll_ns: int, problems: Problems) -> int:
    hold_s = placed.value.hold_s
    if hold_s is None:
        return max(HOLD_POLLS * poll_ns, round(HOLD_MIN_S * NS_PER_S))
    if hold_s * NS_PER_S < poll_ns:
        poll_s = poll_ns / NS_PER_S
        zh = f"不得短于读取间隔 {poll_s:g} 秒，否则每次读取之间都成未知"
        en = f"must not be shorter than the read interval of {poll_s:g} s, or time between reads becomes unknown"
        placed.add(problems, ("hold_s",), Text(zh, en))
    return round(hold_s * NS_PER_S)
