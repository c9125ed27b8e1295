"""Machines of the product's own templates, compiled by its own configuration: the site files of the simulated days."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from edge.config import compile_site
from edge.plan import Calendar, Machine, SitePlan

MACHINE = "m1"
KINDS = (  # every template of config/templates/machines that describes a machine
    "flat-mask-1+2",
    "flat-mask-1+1",
    "kn95",
    "mask-line",
    "packml",
    "machinery",
    "tape-sealer",
    "suit-station",
    "reference-block",
    "generic",
    "eo-steriliser",
)
FAST = ("flat-mask-1+2", "flat-mask-1+1", "kn95", "mask-line", "reference-block")  # three counters, a piece a second
_OPCUA = {"packml", "machinery"}
_BATCH = {"ideal_cycle_s": 90, "counters": {name: {"multiplier": 400} for name in ("total", "good", "reject")}}


@dataclass(frozen=True, slots=True)
class Line:
    """One machine of a template with what its site file says otherwise."""

    kind: str
    says: Mapping[str, Any] = field(default_factory=dict)  # keys of the machine in the site file
    calendar: Mapping[str, Any] | None = None
    timezone: str = "UTC"

    def text(self) -> str:
        """The site file (JSON is YAML)."""
        opcua = self.kind in _OPCUA
        device: dict[str, Any] = {"id": "d", "template": "inovance-h5u", "host": "127.0.0.1"}
        if opcua:
            security = {"policy": "None", "mode": "None"}
            device = {"id": "d", "template": "generic-opcua", "url": "opc.tcp://127.0.0.1:4840", "security": security}
        own = dict(_BATCH) if self.kind == "eo-steriliser" else {}
        machine = {"id": MACHINE, "template": self.kind, "device": "d", "base": "M" if opcua else "D1000"}
        site = {"id": "s", "enterprise": "e", "province": "p", "city": "c", "timezone": self.timezone}
        document: dict[str, Any] = {"site": site, "devices": [device], "machines": [{**machine, **own, **self.says}]}
        if self.calendar is not None:
            document["calendar"] = dict(self.calendar)
        return json.dumps(document, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Site:
    """A compiled line."""

    text: str
    plan: SitePlan
    machine: Machine
    calendar: Calendar


def site_of(line: Line) -> Site:
    """The plan an agent would follow."""
    return _compiled(line.text())


@lru_cache(maxsize=512)
def _compiled(text: str) -> Site:
    plan = compile_site(text, Path("site.yaml"), {})
    machine = plan.machines[0]
    return Site(text, plan, machine, next(c for c in plan.calendars if c.id == machine.calendar))
