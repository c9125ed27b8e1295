"""The configuration's version: a hash of everything that can move a figure, and of nothing else.

Two gateways with the same version count the same from the same readings. Names, hosts, secrets, the page and the databases are
left out; so is the order of devices and machines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import date, time
from enum import Enum
from typing import Any

from edge.plan import Calendar, Device, Machine, Name, Site

_NOT_FIGURES = {"index", "name", "label", "text"}


def config_version(
    site: Site, calendars: Sequence[Calendar], devices: Sequence[Device], machines: Sequence[Machine]
) -> str:
    """12 hex digits."""
    canonical = {
        "site": [site.id, site.timezone],
        "calendars": sorted((_plain(calendar) for calendar in calendars), key=json.dumps),
        "machines": sorted((_machine(machine, devices) for machine in machines), key=json.dumps),
    }
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _machine(machine: Machine, devices: Sequence[Device]) -> Any:
    """A machine with its tags in place of their indices."""
    plain = _plain(machine)
    for key, parts in (("signals", machine.signals), ("process_values", machine.process_values)):
        for item, part in zip(plain[key], parts, strict=True):
            device = devices[part.device]
            item["device"], item["tag"] = device.id, _plain(device.tags[part.tag])
    return plain


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        if isinstance(value, Name):
            return None
        kept = [f.name for f in fields(value) if f.name not in _NOT_FIGURES or f.name == "name"]
        plain = {name: _plain(getattr(value, name)) for name in kept}
        return {name: item for name, item in plain.items() if item is not None}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset):
        return sorted(_plain(item) for item in value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, date | time):
        return value.isoformat()
    return value
