"""The configuration's version: a hash of everything that can move a figure, and of nothing else.

Two gateways with the same version count the same from the same readings. Names, hosts, secrets, the page and the
databases are left out; so is the order of devices and machines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import date, time
from enum import Enum
from functools import lru_cache
from typing import Any

from edge.packed import Packed
from edge.plan import Calendar, Device, Machine, Name, ProcessValue, Signal, Site

_FOLLOWS = ("index", "capabilities", "words", "version")  # fields that follow from others, or are for people
_AS_THEY_ARE = (str, int, float, bool, type(None))


def config_version(
    site: Site, calendars: Sequence[Calendar], devices: Sequence[Device], machines: Sequence[Machine]
) -> str:
    """12 hex digits."""
    canonical = {
        "site": [site.id, site.timezone],
        "calendars": sorted(json.dumps(_plain(calendar, devices)) for calendar in calendars),
        "machines": sorted(json.dumps(_plain(machine, devices)) for machine in machines),
    }
    return hashlib.sha256(json.dumps(canonical).encode()).hexdigest()[:12]


def machine_version(machine: Machine, calendars: Sequence[Calendar], devices: Sequence[Device]) -> str:
    """The same of one machine's ledger: its signals, rules, counters, products and calendar; 12 hex digits.

    What only labels its points, or is divided by afterwards, is left out: an edit of it does not touch the ledger.
    """
    calendar = next(one for one in calendars if one.id == machine.calendar)
    ledger = replace(machine, line="", kind="", process_values=(), capacity_note="", oee_target=0.0, demand_per_h=None,
                     rated_per_min=None, step=None)  # fmt: skip
    canonical = [_plain(ledger, devices), _plain(calendar, devices)]
    return hashlib.sha256(json.dumps(canonical).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class _Shape:
    """Of a dataclass: the fields that count, and those that earlier builds did not have, with their defaults."""

    kept: tuple[str, ...]
    later: tuple[tuple[str, Any], ...]


@lru_cache
def _shape(kind: type) -> _Shape:
    """A big site asks a hundred thousand times."""
    known = fields(kind)
    return _Shape(
        tuple(f.name for f in known if f.name not in _FOLLOWS and "later" not in f.metadata),
        tuple((f.name, f.default) for f in known if "later" in f.metadata),
    )


def _plain(value: Any, devices: Sequence[Device]) -> Any:
    """What json can write: fields in their order, names for people left out, tags in place of their indices."""
    kind: Any = type(value)
    return value if kind in _AS_THEY_ARE else _way(kind)(value, devices)


_Way = Callable[[Any, Sequence[Device]], Any]


@lru_cache
def _way(kind: type) -> _Way:
    """How values of a type are made plain."""
    if kind is Name:
        return lambda value, devices: None
    if kind in (Signal, ProcessValue):
        return _reading
    if is_dataclass(kind):
        return _record
    if issubclass(kind, Enum):
        return lambda value, devices: value.value
    if issubclass(kind, frozenset):
        return lambda value, devices: sorted(_each(value, devices))
    if issubclass(kind, tuple | Packed):
        return _each
    if issubclass(kind, date | time):
        return lambda value, devices: value.isoformat()
    return lambda value, devices: value


def _each(values: Iterable[Any], devices: Sequence[Device]) -> list[Any]:
    return [value if type(value) in _AS_THEY_ARE else _plain(value, devices) for value in values]


def _reading(value: Signal | ProcessValue, devices: Sequence[Device]) -> Any:
    """The tag in place of its index."""
    kind: Any = type(value)
    device = devices[value.device]
    own = [getattr(value, name) for name in _shape(kind).kept if name not in ("device", "tag", "label")]
    return [own, device.id, _plain(device.tags[value.tag], devices)]


def _record(value: Any, devices: Sequence[Device]) -> list[Any]:
    """A later field stands with its name, and only where it says anything: a site file that does not use it keeps its
    version.
    """
    kind: Any = type(value)
    shape = _shape(kind)
    plain = _each([getattr(value, name) for name in shape.kept], devices)
    for name, default in shape.later:
        said = getattr(value, name)
        if said != default:
            plain.append([name, _plain(said, devices)])
    return plain
