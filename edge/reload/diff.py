"""What differs between two plans, and what a running agent makes of it. Pure.

Theory. A plan is data, so the difference is data as well: it is worked out once, printed by `seamline check --diff`
and followed by the agent, which therefore does what was printed. Things are known by their ids; their places in the
plan may change and mean nothing.

Rules.
* A connection stays where all that is on it is as before: the same devices with the same tags, limits and endpoint.
  Of a shared wire one changed device is a new connection for all, because one task owns the wire.
* A machine's ledger stays as it is where its version is the same (`edge.config.version`): signals, rules, counters,
  products, calendar. Where only labels changed it goes on under the new ones. Where the rules changed, a successor
  takes over what was counted.
* `line`, `kind` and the site are part of the names of its series: a machine whose series change takes the windows that
  are open along, and leaves none behind in the old ones.
* A database with the same id keeps its cursor, whatever else of it changed.
* Only another path of the store makes everything begin anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from edge.plan import Device, Machine, ModbusDevice, SitePlan

T = TypeVar("T")
_SERIES_OF_SITE = ("id", "enterprise", "province", "city")
_SERIES_OF_MACHINE = ("line", "kind")


@dataclass(frozen=True, slots=True)
class Changed:
    """One thing that is there before and after, and which of its fields differ."""

    id: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """Things of one kind, by id."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[Changed, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def differ(self) -> bool:
        """Something is to be done."""
        return bool(self.added or self.removed or self.changed)

    @property
    def changed_ids(self) -> frozenset[str]:
        """Of what changed."""
        return frozenset(one.id for one in self.changed)


@dataclass(frozen=True, slots=True)
class Change:
    """From one plan to the next."""

    site: tuple[str, ...]  # fields that differ
    agent: tuple[str, ...]
    devices: Parts
    connections: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]  # that stay: places of their devices before, now
    rejoined: tuple[str, ...]  # unchanged devices whose wire is made anew
    machines: Parts  # changed: also those of which only labels did
    succeeded: frozenset[str]  # machines whose rules changed
    renamed: frozenset[str]  # machines whose series have other names now
    sinks: Parts
    calendars: Parts
    recordings: bool

    @property
    def is_empty(self) -> bool:
        """Nothing differs."""
        parts = (self.devices, self.machines, self.sinks, self.calendars)
        return not (self.site or self.agent or self.recordings or any(part.differ for part in parts))

    @property
    def begins_anew(self) -> bool:
        """Another store: nothing of the running agent can stay."""
        return "store_path" in self.agent


def diff(old: SitePlan, new: SitePlan) -> Change:
    """What following `new` instead of `old` means."""
    devices = _parts(old.devices, new.devices, _device_of)
    connections, rejoined = _connections(old, new, devices)
    site = _differing(_fields(old.site), _fields(new.site))
    machines = _parts(
        old.machines, new.machines, lambda machine, plan: _machine_of(machine, plan), old_plan=old, new_plan=new
    )
    there = {machine.id: machine for machine in old.machines}
    stayed = [machine for machine in new.machines if machine.id in there]
    succeeded = frozenset(m.id for m in stayed if old.version_of(there[m.id]) != new.version_of(m))
    moved = bool(set(site) & set(_SERIES_OF_SITE))
    renamed = frozenset(
        m.id for m in stayed if moved or any(getattr(there[m.id], f) != getattr(m, f) for f in _SERIES_OF_MACHINE)
    )
    return Change(
        site=site,
        agent=_differing(_fields(old.agent), _fields(new.agent)),
        devices=devices,
        connections=connections,
        rejoined=rejoined,
        machines=machines,
        succeeded=succeeded,
        renamed=renamed,
        sinks=_parts(old.sinks, new.sinks, lambda sink, _: _fields(sink)),
        calendars=_parts(old.calendars, new.calendars, lambda calendar, _: _fields(calendar)),
        recordings=old.recordings != new.recordings,
    )


def wires(devices: Sequence[Device]) -> list[tuple[int, ...]]:
    """Places of the devices of each connection: Modbus devices with equal endpoints share one."""
    shared: dict[object, list[int]] = {}
    for place, device in enumerate(devices):
        wire: object = device.endpoint if isinstance(device, ModbusDevice) else place
        shared.setdefault(wire, []).append(place)
    return [tuple(places) for places in shared.values()]


def _connections(
    old: SitePlan, new: SitePlan, devices: Parts
) -> tuple[tuple[tuple[tuple[int, ...], tuple[int, ...]], ...], tuple[str, ...]]:
    before = {tuple(old.devices[place].id for place in wire): wire for wire in wires(old.devices)}
    kept, rejoined = [], []
    for wire in wires(new.devices):
        known = before.get(tuple(new.devices[place].id for place in wire))
        pairs = zip(known, wire, strict=True) if known is not None else ()
        if known is not None and all(_placeless(old.devices[a]) == _placeless(new.devices[b]) for a, b in pairs):
            kept.append((known, wire))
        else:
            rejoined += [new.devices[place].id for place in wire if new.devices[place].id in devices.kept]
    return tuple(kept), tuple(rejoined)


def _placeless(device: Device) -> Device:
    return replace(device, index=0)


def _fields(value: Any) -> Mapping[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _device_of(device: Device, _: SitePlan | None) -> Mapping[str, Any]:
    return {name: value for name, value in _fields(device).items() if name != "index"}


def _machine_of(machine: Machine, plan: SitePlan | None) -> Mapping[str, Any]:
    """With tags in place of their places."""
    assert plan is not None
    said = dict(_fields(machine))
    del said["index"], said["version"]
    said["signals"] = [(s.name, plan.devices[s.device].id, plan.devices[s.device].tags[s.tag]) for s in machine.signals]
    said["process_values"] = [
        (replace(v, device=0, tag=0), plan.devices[v.device].id, plan.devices[v.device].tags[v.tag])
        for v in machine.process_values
    ]
    return said


def _parts(
    old: Sequence[T],
    new: Sequence[T],
    said: Callable[[T, SitePlan | None], Mapping[str, Any]],
    *,
    old_plan: SitePlan | None = None,
    new_plan: SitePlan | None = None,
) -> Parts:
    before = {_id(item): item for item in old}
    after = {_id(item): item for item in new}
    both = [name for name in after if name in before]
    differing = {name: _differing(said(before[name], old_plan), said(after[name], new_plan)) for name in both}
    return Parts(
        tuple(name for name in after if name not in before),
        tuple(name for name in before if name not in after),
        tuple(Changed(name, which) for name, which in differing.items() if which),
        tuple(name for name, which in differing.items() if not which),
    )


def _id(item: Any) -> str:
    return str(item.id)


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    if old.keys() != new.keys():  # a device that speaks another protocol now
        return ("protocol",)
    return tuple(name for name in new if old[name] != new[name])
