"""The probe without a site file: host, unit and addresses become a site of one device, compiled like any other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.config import compile_site
from edge.plan import SitePlan

MACHINE = "hmi"
_NO_SIGNALS = ("run", "fault")


@dataclass(frozen=True, slots=True)
class QuickDevice:
    """What is said on the command line."""

    host: str | None
    port: int | None
    serial: str | None
    baud: int
    parity: str
    framing: str | None
    unit: int | None
    template: str


def quick_site(device: QuickDevice, addresses: Sequence[str], kind: str | None, scale: float | None) -> SitePlan:
    """A plan whose device has a tag `hmi.v1`, `hmi.v2`, … per address. Raises ConfigError."""
    wire: dict[str, object] = {"id": "plc", "template": device.template}
    if device.serial is not None:
        line = {"path": device.serial, "baud": device.baud, "parity": device.parity}
        wire["serial"] = line | ({"stop_bits": 2} if device.parity == "N" else {})
    else:
        wire["host"] = device.host or ""
    given = (("port", device.port), ("unit", device.unit), ("framing", device.framing))
    wire |= {key: value for key, value in given if value is not None}
    shape = {key: value for key, value in (("type", kind), ("scale", scale)) if value is not None}
    tags: dict[str, object] = dict.fromkeys(_NO_SIGNALS)
    tags["total"] = {"address": "holding:0", "type": "u16"}  # a machine must count by something; it is never read
    tags |= {f"v{number}": {"address": address, **shape} for number, address in enumerate(addresses, start=1)}
    site = {
        "site": {"id": "probe", "enterprise": "-", "province": "-", "city": "-"},
        "devices": [wire],
        "machines": [{"id": MACHINE, "template": "generic", "device": "plc", "tags": tags}],
    }
    return compile_site(json.dumps(site, ensure_ascii=False, indent=1), Path("probe.yaml"), {})
