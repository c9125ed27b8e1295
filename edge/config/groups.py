"""Tag groups of an OPC UA device: which tags are sent or read together, and how.

    groups:
      slow:     {tags: ["*.temp*", "*.pressure"], mode: poll, interval_s: 10}
      analogue: {tags: ["*.speed"], publishing_s: 1, sampling_s: 0.2, deadband: 0.5}
      default:  {publishing_s: 0.5, queue: 20}

A tag belongs to the first group, in the order of the file, one of whose patterns fits `machine.tag`; what none claims
is in `default`. Each group that is sent is a subscription of its own: PLCs allow few.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from edge.config.models import DeviceModel, GroupModel, PlcTemplate
from edge.config.problems import Problems
from edge.config.validate import Placed
from edge.errors import Text
from protocols.opcua.tags import Deadband, Mode, TagGroup, Trigger

DEFAULT = "default"
_NS_PER_S = 1_000_000_000
_SUBSCRIBED_ONLY = ("publishing_s", "sampling_s", "queue", "deadband", "deadband_percent")
_TRIGGERS = {
    "status": Trigger.STATUS,
    "status-value": Trigger.STATUS_VALUE,
    "status-value-timestamp": Trigger.STATUS_VALUE_TIMESTAMP,
}


@dataclass(frozen=True, slots=True)
class ChosenGroup:
    """One group, and what is in it."""

    group: TagGroup
    sampling_ns: int | None  # for all of its tags; None: by each tag's interval
    patterns: tuple[str, ...]


def groups_of(placed: Placed[DeviceModel], template: PlcTemplate, problems: Problems) -> tuple[ChosenGroup, ...]:
    """The groups of a device, the default first. What does not fit together is noted."""
    models = {DEFAULT: GroupModel()} | placed.value.groups
    for name, model in placed.value.groups.items():
        _check(placed, name, model, problems)
    return tuple(_chosen(name, model, placed.value, template) for name, model in models.items())


def group_of(groups: tuple[ChosenGroup, ...], tag: str) -> int:
    """Index of the group a tag (`machine.tag`) belongs to."""
    for index, chosen in enumerate(groups):
        if any(fnmatchcase(tag, pattern) for pattern in chosen.patterns):
            return index
    return 0


def check_patterns(
    placed: Placed[DeviceModel], groups: tuple[ChosenGroup, ...], tags: list[str], problems: Problems
) -> None:
    """A pattern that fits no tag is a mistake."""
    for chosen in groups:
        for at, pattern in enumerate(chosen.patterns):
            if not any(fnmatchcase(tag, pattern) for tag in tags):
                what = Text(f"没有点符合 {pattern}", f"no tag fits {pattern}")
                hint = Text(f"写成 设备.点，例如 {tags[0]}", f"write machine.tag, e.g. {tags[0]}") if tags else None
                placed.add(problems, ("groups", chosen.group.name, "tags", at), what, hint)


def _check(placed: Placed[DeviceModel], name: str, model: GroupModel, problems: Problems) -> None:
    def note(key: str, zh: str, en: str) -> None:
        placed.add(problems, ("groups", name, key), Text(zh, en))

    if name == DEFAULT and model.tags:
        note("tags", "default 组自动包含其余的点，不写 tags", "the default group has all other tags: no patterns")
    if name != DEFAULT and not model.tags:
        note("tags", "缺少 tags：哪些点属于此组", "tags is required: which tags are in this group")
    if model.mode == "poll":
        for key in _SUBSCRIBED_ONLY:
            if getattr(model, key) is not None:
                note(key, f"轮询的组没有 {key}，读取周期写 interval_s", f"a polled group has no {key}; see interval_s")
    elif model.interval_s is not None:
        note("interval_s", "interval_s 用于 mode: poll；订阅写 publishing_s", "interval_s goes with mode: poll")
    if model.deadband is not None and model.deadband_percent is not None:
        note("deadband_percent", "两种死区只能写一种", "one kind of deadband, not both")


def _chosen(name: str, model: GroupModel, device: DeviceModel, template: PlcTemplate) -> ChosenGroup:
    mode = Mode(model.mode)
    every_s = model.interval_s if mode is Mode.POLL else model.publishing_s
    deadband, value = Deadband.NONE, 0.0
    if model.deadband is not None:
        deadband, value = Deadband.ABSOLUTE, model.deadband
    elif model.deadband_percent is not None:
        deadband, value = Deadband.PERCENT, model.deadband_percent
    group = TagGroup(
        name=name,
        mode=mode,
        publishing_ns=_ns(every_s or device.publishing_s or template.publishing_s),
        queue_size=model.queue or 0,
        discard_oldest=model.discard == "oldest",
        trigger=_TRIGGERS[model.trigger],
        deadband=deadband,
        deadband_value=value,
    )
    return ChosenGroup(group, None if model.sampling_s is None else _ns(model.sampling_s), model.tags)


def _ns(seconds: float) -> int:
    return round(seconds * _NS_PER_S)
