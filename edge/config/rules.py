"""State rules by name, and the tier of a machine: what can honestly be said of it with the signals it has."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from edge.config.models import DefaultStateModel, MachineModel, MachineTemplate
from edge.config.problems import KeyPath, Place, Problems, suggest
from edge.config.validate import Placed
from edge.errors import Text
from ext.buckets import Bucket

# Tier by tier, what must be there: one signal of every group. T4 is a machine that also accounts for its own time or jobs.
_TIERS: tuple[tuple[frozenset[str], ...], ...] = (
    (frozenset({"run", "state", "phase"}),),
    (frozenset({"good", "reject"}), frozenset({"fault", "fault_code"})),
    (
        frozenset({"starved"}),
        frozenset({"blocked"}),
        frozenset({"mode"}),
        frozenset({"product_id"}),
    ),
    (frozenset({"acc_time", "state_time", "job_id"}),),
)
COUNTING = DefaultStateModel(bucket=Bucket.RUN, state="counting")


@dataclass(frozen=True, slots=True)
class NamedCondition:
    """A condition on a signal still known by name."""

    signal: str
    values: frozenset[int]
    negate: bool


@dataclass(frozen=True, slots=True)
class NamedRule:
    """A state rule whose signals are still names."""

    when: tuple[NamedCondition, ...]
    bucket: Bucket
    state: str


def tier_of(signals: Collection[str]) -> int:
    """0 … 4: counts only; + run; + quality and faults; + causes, mode, recipe; + the machine's own time or job accounts."""
    tier = 0
    for groups in _TIERS:
        if not all(group & set(signals) for group in groups):
            break
        tier += 1
    return tier


def choose_rules(
    machine: Placed[MachineModel], template: Placed[MachineTemplate], tags: Collection[str], problems: Problems
) -> tuple[list[NamedRule], DefaultStateModel]:
    """The rules in order. A rule on a signal the site switched off can never hold and is left out.

    Without any rule there is nothing but the counter: the machine is RUN while it counts, and the thresholds of its product
    turn a pause into a small stop and then into a stop.
    """
    own = machine.value.states
    models, source, top = (
        (own, machine.document, machine.path)
        if own is not None
        else (
            template.value.states,
            template.document,
            (),
        )
    )
    known = set(template.value.tags) | set(machine.value.tags)
    rules: list[NamedRule] = []
    for index, model in enumerate(models):
        conditions: list[NamedCondition] = []
        for signal, wanted in model.when.items():
            path: KeyPath = (*top, "states", index, "when", signal)

            def add(what: Text, hint: Text | None = None, place: Place = source.place(path)) -> None:
                problems.add(place, what, hint)

            if signal not in known:
                add(Text(f"没有信号 {signal}", f"there is no signal {signal}"), suggest(signal, tags))
                continue
            condition = _condition(signal, wanted, add)
            if condition is not None:
                conditions.append(condition)
        if len(conditions) == len(model.when) and all(c.signal in tags for c in conditions):
            rules.append(NamedRule(tuple(conditions), model.bucket, model.state))
    default = machine.value.state_default or template.value.state_default
    if not rules and machine.value.state_default is None:
        default = COUNTING
    return rules, default


def _condition(signal: str, wanted: Any, add: Callable[[Text], None]) -> NamedCondition | None:
    negate = isinstance(wanted, dict) and set(wanted) == {"not"}
    values = wanted["not"] if negate else wanted
    values = values if isinstance(values, list) else [values]
    if not values or not all(isinstance(value, int) for value in values):  # bool is an int: true is 1
        add(
            Text(
                "应为 true、false、整数、整数列表，或 {not: …}",
                "true, false, a whole number, a list of them, or {not: ...} is expected",
            )
        )
        return None
    return NamedCondition(signal, frozenset(int(value) for value in values), negate)
