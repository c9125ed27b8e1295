"""A machine's tags: the template's, overridden and added to by the site file; each field knows where it was written."""

from __future__ import annotations

from dataclasses import dataclass

from edge.config.models import MachineModel, MachineTemplate, TagModel
from edge.config.problems import KeyPath, Place, Problems, nearest, suggest
from edge.config.validate import Placed
from edge.errors import Text

NS_PER_S = 1_000_000_000
DEFAULT_INTERVAL_S = 1.0
_WHERE = frozenset({"address", "offset", "node"})  # fields that say where a tag lies


@dataclass(frozen=True, slots=True)
class MergedTag:
    """One tag as the plan will have it, and its two origins."""

    name: str
    spec: TagModel
    machine: Placed[MachineModel]
    template: Placed[MachineTemplate]
    overridden: frozenset[str]  # fields the site file gives
    hint: Text | None = None  # for a tag that is new: the name that may have been meant

    @property
    def interval_ns(self) -> int:
        """How often it is due."""
        return round((self.spec.interval_s or DEFAULT_INTERVAL_S) * NS_PER_S)

    def add(self, problems: Problems, key: str, what: Text, hint: Text | None = None) -> None:
        """Note a problem where `key` was written: in the site file if it says so, else in the template."""
        problems.add(self._place(key), what, hint)

    def _place(self, key: str) -> Place:
        path: KeyPath = ("tags", self.name, key)
        if key == "base":
            return self.machine.document.place((*self.machine.path, "base"))
        if key in self.overridden or self.name not in self.template.value.tags:
            return self.machine.document.place(self.machine.path + path)
        if self.overridden & (_WHERE | {"type"}):  # the template was right until the site changed something beside it
            return self.machine.document.place((*self.machine.path, "tags", self.name))
        return self.template.document.place(path)


def merge_tags(
    machine: Placed[MachineModel], template: Placed[MachineTemplate], problems: Problems
) -> dict[str, MergedTag]:
    """Every tag the machine has, in the template's order, additions last. Switched-off tags are left out.

    `null` in a template is a signal that it knows what to do with and most machines lack: it is there once the site
    file says where it lies.
    """
    merged: dict[str, MergedTag] = {}
    own = machine.value.tags
    for name, known in template.value.tags.items():
        over = own.get(name)
        spec = known or (TagModel() if over is not None else None)
        if spec is None or (name in own and over is None):
            continue
        fields = frozenset(over.model_fields_set) if over is not None else frozenset[str]()
        merged[name] = MergedTag(name, _over(spec, over), machine, template, fields)
    for name, spec in own.items():
        if name in template.value.tags:
            continue
        if spec is None:
            what = Text("模板没有这个点，无可关闭", "the template has no such tag to switch off")
            machine.add(problems, ("tags", name), what, suggest(name, template.value.tags))
            continue
        similar = nearest(name, template.value.tags)
        hint = Text(f"是否想写 {similar}？", f"did you mean {similar}?") if similar else None
        merged[name] = MergedTag(name, spec, machine, template, frozenset(spec.model_fields_set), hint)
    return merged


def _over(spec: TagModel, over: TagModel | None) -> TagModel:
    """The template's tag with the fields the site gives. A new address also replaces the old bit and offset; a range
    replaces a scale, and the other way round.
    """
    if over is None:
        return spec
    update = {name: getattr(over, name) for name in over.model_fields_set}
    if "address" in update:
        update = {"offset": None, "bit": None} | update
    elif "offset" in update:
        update = {"address": None} | update
    if "range" in update:
        update = {"scale": None, "add": None} | update
    elif update.keys() & {"scale", "add"}:
        update = {"range": None} | update
    if spec.process is not None and over.process is not None:
        changed = {name: getattr(over.process, name) for name in over.process.model_fields_set}
        update["process"] = spec.process.model_copy(update=changed)
    return spec.model_copy(update=update)
