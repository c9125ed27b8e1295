"""State rules by name: which of the template's rules a machine with these signals can follow.

Rules.
* A rule on a signal the site switched off can never hold and is left out; so is what only it could tell.
* A rule `without` some signals is for machines that have none of them: a state number stands in for a run bit.
* `{last: 3}` asks what the signal said last, whatever became of it since: a machine that is off sends no mode any more.
* `true` means "not 0", so that it fits a bit, a recipe number and an order's text alike; `false` means 0 or empty.
* Where no rule that is left leads to RUN, nothing says that the machine runs: counts decide whenever no rule holds,
  and the thresholds of its product turn a pause into a small stop and then into a stop.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge.config.models import DefaultStateModel, MachineModel, MachineTemplate
from edge.config.problems import KeyPath, Place, Problems, suggest
from edge.config.validate import Placed
from edge.errors import Text
from ext.buckets import Bucket

COUNTING = DefaultStateModel(bucket=Bucket.RUN, state="counting")


@dataclass(frozen=True, slots=True)
class NamedCondition:
    """A condition on a signal still known by name."""

    signal: str
    values: frozenset[int]
    negate: bool
    last: bool = False


@dataclass(frozen=True, slots=True)
class NamedRule:
    """A state rule whose signals are still names."""

    when: tuple[NamedCondition, ...]
    bucket: Bucket
    state: str


def choose_rules(
    machine: Placed[MachineModel], template: Placed[MachineTemplate], tags: Collection[str], problems: Problems
) -> tuple[list[NamedRule], DefaultStateModel]:
    """The rules in order, and what holds where none does."""
    own = machine.value.states
    origin, models = (template, template.value.states) if own is None else (machine, own)
    known = set(template.value.tags) | set(machine.value.tags)
    rules: list[NamedRule] = []
    for index, model in enumerate(models):
        when = conditions_of(model.when, known, origin, ("states", index, "when"), problems)
        _known(model.without, known, origin, ("states", index, "without"), problems)
        fits = all(condition.signal in tags for condition in when) and not set(model.without) & set(tags)
        if fits and len(when) == len(model.when):
            rules.append(NamedRule(when, model.bucket, model.state))
    default = machine.value.state_default or template.value.state_default
    if machine.value.state_default is None and not any(rule.bucket is Bucket.RUN for rule in rules):
        default = COUNTING
    return rules, default


def conditions_of(
    when: Mapping[str, Any],
    known: Collection[str],
    origin: Placed[MachineModel] | Placed[MachineTemplate],
    path: KeyPath,
    problems: Problems,
) -> tuple[NamedCondition, ...]:
    """The conditions written at `path`; what is wrong goes to `problems` and is left out."""
    place = origin.document.place
    read = (
        _condition(name, wanted, known, place((*origin.path, *path, name)), problems) for name, wanted in when.items()
    )
    return tuple(condition for condition in read if condition is not None)


def _known(
    names: Iterable[str],
    known: Collection[str],
    origin: Placed[MachineModel] | Placed[MachineTemplate],
    path: KeyPath,
    problems: Problems,
) -> None:
    for index, name in enumerate(names):
        if name not in known:
            what = Text(f"没有信号 {name}", f"there is no signal {name}")
            problems.add(origin.document.place((*origin.path, *path, index)), what, suggest(name, known))


def _condition(
    signal: str, wanted: Any, known: Collection[str], place: Place, problems: Problems
) -> NamedCondition | None:
    if signal not in known:
        what = Text(f"没有信号 {signal}", f"there is no signal {signal}")
        problems.add(place, what, suggest(signal, known))
        return None
    word = next(iter(wanted)) if isinstance(wanted, dict) and len(wanted) == 1 else ""
    negate, last = word == "not", word == "last"
    values = wanted[word] if negate or last else wanted
    if values is True:
        return NamedCondition(signal, frozenset({0}), not negate, last)
    values = values if isinstance(values, list) else [values]
    if not values or not all(isinstance(value, int) for value in values):  # a bool is an int: false is 0
        zh = "应为 true、false、整数、整数列表，或 {not: …}、{last: …}"
        en = "true, false, a whole number, a list of them, or {not: ...}, {last: ...} is expected"
        problems.add(place, Text(zh, en))
        return None
    return NamedCondition(signal, frozenset(int(value) for value in values), negate, last)
