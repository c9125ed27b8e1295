"""What else a machine says: restarts, its own state times, which readings are one fact, when a state is stale.

Rules.
* What is said of a tag the site switched off is left out, as its state rules are.
* `epoch`: a value that decreases, or changes at all, proves that counters began anew. A bad reading proves nothing.
* `state_times`: accumulators of the PLC by bucket. Where the site file has its own list (`[]` is none), tags that
  the template reads for nothing else are not read.
* `together`: state signals that are one fact read through several nodes, as the nested state machines of OPC 30050.
  Read at different times they give a state that never was; so they must come from one request or one server.
* `hold_while`: conditions under which the state read is stale, as while a state change is in process.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from edge.config.counters import modulus_of
from edge.config.models import MachineModel, MachineTemplate
from edge.config.problems import KeyPath, Problems, suggest
from edge.config.rules import NamedCondition, conditions_of
from edge.config.signal_models import EpochModel, StateTimeModel
from edge.config.tags import MergedTag
from edge.config.validate import Placed
from edge.errors import Text
from edge.plan import EpochWhen
from ext.buckets import Bucket

UNIT_NS = {"ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000}
MOST_STATE_TIMES = 24  # ext.ledger

Origin = Placed[MachineModel] | Placed[MachineTemplate]
Model = TypeVar("Model", EpochModel, StateTimeModel)


@dataclass(frozen=True, slots=True)
class NamedStateTime:
    """An accumulator whose tag is still a name."""

    tag: str
    bucket: Bucket
    unit_ns: int
    modulus: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything of this kind that one machine has, by name."""

    epochs: tuple[tuple[str, EpochWhen], ...]
    state_times: tuple[NamedStateTime, ...]
    together: tuple[str, ...]
    hold_while: tuple[NamedCondition, ...]

    @property
    def names(self) -> set[str]:
        """Tags it is read from."""
        held = {condition.signal for condition in self.hold_while}
        times = {time.tag for time in self.state_times}
        return {tag for tag, _ in self.epochs} | times | set(self.together) | held

    @property
    def state_names(self) -> set[str]:
        """Tags without which the state cannot be told."""
        return set(self.together) | {condition.signal for condition in self.hold_while}


def choose_evidence(
    machine: Placed[MachineModel],
    template: Placed[MachineTemplate],
    tags: Mapping[str, MergedTag],
    problems: Problems,
) -> Evidence:
    """The machine's own word where it has one, else the template's."""
    known = set(template.value.tags) | set(machine.value.tags)

    def origin(key: str) -> Origin:
        return template if getattr(machine.value, key) is None else machine

    def there(key: str, name: str, path: KeyPath) -> bool:
        return _there(name, tags, known, origin(key), path, problems)

    hold = origin("hold_while")
    when = hold.value.hold_while or {}
    conditions = conditions_of(when, known, hold, ("hold_while",), problems)
    together = _listed(origin("together").value.together or (), lambda n, i: there("together", n, ("together", i)))
    return Evidence(
        epochs=tuple(
            (model.tag, EpochWhen(model.when)) for model in _modelled(origin("epoch").value.epoch or (), "epoch", there)
        ),
        state_times=_state_times(origin("state_times"), tags, there, problems),
        together=together if len(together) > 1 else (),
        hold_while=conditions if all(condition.signal in tags for condition in conditions) else (),
    )


def drop_unused_times(
    machine: Placed[MachineModel], template: Placed[MachineTemplate], tags: dict[str, MergedTag], evidence: Evidence
) -> None:
    """Leave out the template's accumulators where the machine has its own word on them."""
    if machine.value.state_times is None:
        return
    for model in template.value.state_times:
        tag = tags.get(model.tag)
        if tag is not None and not tag.overridden and tag.spec.process is None and model.tag not in evidence.names:
            del tags[model.tag]


def _there(
    name: str, tags: Collection[str], known: Collection[str], origin: Origin, path: KeyPath, problems: Problems
) -> bool:
    """False for a tag that is switched off, and for one nobody knows (told)."""
    if name not in known:
        what = Text(f"没有信号 {name}", f"there is no signal {name}")
        problems.add(origin.document.place((*origin.path, *path)), what, suggest(name, known))
    return name in tags


def _listed(names: Iterable[str], there: Callable[[str, int], bool]) -> tuple[str, ...]:
    return tuple(name for index, name in enumerate(names) if there(name, index))


def _modelled(models: Iterable[Model], key: str, there: Callable[[str, str, KeyPath], bool]) -> list[Model]:
    return [model for index, model in enumerate(models) if there(key, model.tag, (key, index, "tag"))]


def _state_times(
    origin: Origin,
    tags: Mapping[str, MergedTag],
    there: Callable[[str, str, KeyPath], bool],
    problems: Problems,
) -> tuple[NamedStateTime, ...]:
    times: list[NamedStateTime] = []
    for model in _modelled(origin.value.state_times or (), "state_times", there):
        tag = tags[model.tag]
        capacity = modulus_of(tag)
        if capacity is None:
            zh = f"累计时间应为整数或 f64 类型，而不是 {tag.spec.type}"
            en = f"an accumulated time has an integer type or f64, not {tag.spec.type}"
            tag.add(problems, "type", Text(zh, en))
            continue
        times.append(NamedStateTime(model.tag, model.bucket, UNIT_NS[model.unit], model.modulus or capacity))
    if len(times) > MOST_STATE_TIMES:
        zh = f"累计时间 {len(times)} 个，最多 {MOST_STATE_TIMES} 个"
        en = f"{len(times)} accumulated times, {MOST_STATE_TIMES} at most"
        problems.add(origin.document.place((*origin.path, "state_times")), Text(zh, en))
    return tuple(times)
