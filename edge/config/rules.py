"""State rules by name, and the tier of a machine: what can honestly be said of it with the signals it has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from edge.config.models import DefaultStateModel, MachineModel, MachineTemplate
from edge.config.problems import Place, Problems, suggest
from edge.config.validate import Placed
from edge.errors import Text
from ext.buckets import Bucket

# Tier by tier: one signal of every group must be there. Tier 4 also accounts for its own time or jobs.
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
    """0 … 4: counts only; + run; + quality, faults; + causes, mode, recipe; + the machine's own time or jobs."""
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

    Without any rule there is nothing but the counter: the machine is RUN while it counts, and the thresholds of its
    product turn a pause into a small stop and then into a stop.
    """
    own = machine.value.states
    origin, models = (template, template.value.states) if own is None else (machine, own)
    known = set(template.value.tags) | set(machine.value.tags)
    rules: list[NamedRule] = []
    for index, model in enumerate(models):
        when = [
            _condition(
                signal, wanted, known, origin.document.place((*origin.path, "states", index, "when", signal)), problems
            )
            for signal, wanted in model.when.items()
        ]
        conditions = tuple(condition for condition in when if condition is not None and condition.signal in tags)
        if len(conditions) == len(when):
            rules.append(NamedRule(conditions, model.bucket, model.state))
    default = machine.value.state_default or template.value.state_default
    if not rules and machine.value.state_default is None:
        default = COUNTING
    return rules, default


def _condition(
    signal: str, wanted: Any, known: Collection[str], place: Place, problems: Problems
) -> NamedCondition | None:
    if signal not in known:
        what = Text(f"没有信号 {signal}", f"there is no signal {signal}")
        problems.add(place, what, suggest(signal, known))
        return None
    negate = isinstance(wanted, dict) and set(wanted) == {"not"}
    values = wanted["not"] if negate else wanted
    values = values if isinstance(values, list) else [values]
    if not values or not all(isinstance(value, int) for value in values):  # a bool is an int: true is 1
        zh = "应为 true、false、整数、整数列表，或 {not: …}"
        en = "true, false, a whole number, a list of them, or {not: ...} is expected"
        problems.add(place, Text(zh, en))
        return None
    return NamedCondition(signal, frozenset(int(value) for value in values), negate)
