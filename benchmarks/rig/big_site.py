"""Sites of many tags, as an integrator writes them: one machine template of the plant, one entry per PLC.

A PLC has one machine. Its first words are those of the template `generic` (run, fault, total); all other tags are
measurements of 16 bits that are kept as process values: a point when one moves by more than its deadband, and one a
minute at least.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FIRST_MEASURED = 16  # see modbus_devices.c
MAX_REGISTERS, MAX_GAP = 125, 16
SIGNALS = 3  # run, fault, total
CONTIGUOUS, HOLED = "contiguous", "holed"
MAPS = (CONTIGUOUS, HOLED)
_RUN, _HOLE = 10, 6  # holed: ten registers in use, six not; after each hundred in use a hole no request goes over
_WIDE_EVERY, _WIDE = 10, 50


@dataclass(frozen=True, slots=True)
class Plant:
    """What a site file describes."""

    devices: int
    tags: int  # of each device
    interval_s: float = 1.0
    map: str = CONTIGUOUS

    @property
    def offsets(self) -> list[int]:
        """Of the measurements, words behind the base."""
        places = (n if self.map == CONTIGUOUS else _holed(n) for n in range(self.tags - SIGNALS))
        return [FIRST_MEASURED + place for place in places]

    @property
    def registers(self) -> int:
        """A device must have this many."""
        return self.offsets[-1] + 1

    @property
    def requests(self) -> int:
        """Fewest requests within the limits below that read all tags of a device."""
        count, begin, end = 0, -MAX_REGISTERS, 0
        for offset in (0, 8, *self.offsets):
            if offset - end > MAX_GAP or offset - begin >= MAX_REGISTERS:
                count, begin = count + 1, offset
            end = offset + 1
        return count


def write_site(folder: Path, plant: Plant, ports: Sequence[int], page_port: int) -> Path:
    """The site file, with its templates beside it. Returns where it is."""
    machines = folder / "templates" / "machines"
    machines.mkdir(parents=True)
    (machines / "cell.yaml").write_text(_dump(_template(plant)), "utf-8")
    site = {
        "site": {**dict.fromkeys(("id", "enterprise", "province", "city"), "bench"), "timezone": "Asia/Shanghai"},
        "templates": "templates",
        "calendar": {"shifts": [{"name": "day", "start": "08:00", "end": "20:00", "days": "daily"}]},
        "devices": list(_devices(ports)),
        "machines": [
            {"id": f"cell-{n:03}", "template": "cell", "device": f"plc-{n:03}", "base": "holding:0"}
            for n in range(len(ports))
        ],
        "agent": {"store": {"path": "seamline.db"}, "page": {"host": "127.0.0.1", "port": page_port}},
    }  # fmt: skip
    file = folder / "site.yaml"
    file.write_text(_dump(site), "utf-8")
    return file


def _devices(ports: Sequence[int]) -> Iterator[dict[str, Any]]:
    limits = {
        "max_registers": MAX_REGISTERS,
        "max_gap": MAX_GAP,
        "pause_ms": 0,
        "requests_per_s": 1000,
        "turnaround_ms": 2,
    }
    for number, port in enumerate(ports):
        address = {"host": "127.0.0.1", "port": port, "unit": 1}
        yield {"id": f"plc-{number:03}", "template": "generic-modbus", **address, "limits": limits}


def _template(plant: Plant) -> dict[str, Any]:
    process = {"deadband": 5.0, "interval_s": 60}
    common = {"type": "u16", "scale": 0.1, "unit": "°C", "interval_s": plant.interval_s, "process": process}
    measured = {f"t{n:04}": {"offset": offset, **common} for n, offset in enumerate(plant.offsets)}
    signals = {name: {"interval_s": plant.interval_s} for name in ("run", "fault", "total")}
    return {
        "extends": "generic",
        "label": {"zh": "工位", "en": "cell"},
        "tags": {**signals, **measured},
    }


def _holed(number: int) -> int:
    runs = number // _RUN
    return number + runs * _HOLE + runs // _WIDE_EVERY * _WIDE


def _dump(data: dict[str, Any]) -> str:
    return yaml.dump(data, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False)
