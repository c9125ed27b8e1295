"""`seamline once`:

read every tag of every device once and print it. Stores nothing, sends nothing, and asks a PLC only to be read.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge import logs
from edge.arguments import EXIT_USAGE
from edge.clock import SystemClock
from edge.config import load
from edge.config.columns import columns
from edge.errors import Text
from edge.plan import Device, ModbusDevice, SitePlan
from edge.poll.factory import make_sources
from edge.trust import pki_folder
from protocols.modbus.tags import DataType, ModbusTag, Word
from protocols.opcua.place import within
from protocols.opcua.tags import OpcuaTag
from protocols.reading import DeviceFact, Frame, Past, Quality, TagImage

_WELL = ("connected", "recovered")  # reasons of facts that a table of values tells by itself
_QUALITIES = {
    Quality.GOOD: Text("正常", "good"),
    Quality.UNCERTAIN: Text("存疑", "uncertain"),
    Quality.BAD: Text("无效", "bad"),
    Quality.STALE: Text("过期", "stale"),
    Quality.COMM_LOST: Text("通信中断", "comm lost"),
    Quality.NOT_CONFIGURED: Text("未读到", "not read"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One device, read once: its image and what it refused, or why not."""

    device: Device
    image: TagImage
    error: str
    notes: Sequence[str]

    @property
    def whole(self) -> bool:
        """Every tag was read, whatever its value was worth."""
        return not self.error and all(self.image.t_ns)


class _Notes:
    """What the devices say besides their values; those are in the image afterwards, errors are raised."""

    def __init__(self) -> None:
        self.by_device: dict[int, list[str]] = {}

    def on_frame(self, frame: Frame) -> None:
        """The values are in the image."""

    def on_fact(self, fact: DeviceFact) -> None:
        """Refused addresses, a device that is busy, another master on the line."""
        if fact.up and fact.reason not in _WELL:
            self.by_device.setdefault(fact.device, []).append(fact.detail)

    def on_past(self, past: Past) -> None:
        """A reading of now has no past."""


def run(config: Path, *, device: str | None, as_json: bool) -> int:
    """Exit status 0 where every tag was read, 1 where one was not, 2 where there is no such device."""
    logs.configure("text", level=logging.ERROR)
    plan = load(config, os.environ)
    chosen = [d for d in plan.devices if device is None or d.id == device]
    if not chosen:
        known = ", ".join(d.id for d in plan.devices)
        print(
            Text(f"没有名为 {device!r} 的设备；已配置：{known}", f"no device {device!r}; the site file has: {known}"),
            file=sys.stderr,
        )
        return EXIT_USAGE
    answers = asyncio.run(_read(chosen, pki_folder(plan)))
    print(_as_json(answers) if as_json else _as_table(plan, answers))
    return 0 if all(answer.whole for answer in answers) else 1


async def _read(devices: Sequence[Device], pki: Path) -> list[Answer]:
    """All connections at once; devices that share one, after one another."""
    images = [TagImage(len(device.tags)) for device in devices]
    notes = _Notes()
    connections = make_sources(devices, images, notes, SystemClock(), pki=pki).connections
    errors = [""] * len(devices)
    for connection, answers in zip(
        connections, await asyncio.gather(*(connection.read_once() for connection in connections)), strict=True
    ):
        for place, error in zip(connection.devices, answers, strict=True):
            errors[place] = "" if error is None else str(error)
    return [
        Answer(device, image, error, notes.by_device.get(device.index, ()))
        for device, image, error in zip(devices, images, errors, strict=True)
    ]


def _tags(device: Device) -> Sequence[ModbusTag | OpcuaTag]:
    return device.tags


def _value(image: TagImage, index: int, tag: ModbusTag | OpcuaTag) -> str | int | float | bool | None:
    """None where there is no number to show: never read, lost, or not finite."""
    if image.quality[index] >= Quality.STALE or not image.t_ns[index]:
        return None
    if index in image.text:
        return image.text[index]
    if isinstance(tag, ModbusTag) and tag.type is DataType.BOOL:
        return bool(image.i64[index])
    if isinstance(tag, ModbusTag) and tag.is_plain_integer:  # 64 bits are more than a float holds
        return image.i64[index]
    number = image.f64[index]
    if not math.isfinite(number):
        return None
    return image.i64[index] if number == image.i64[index] else number


def _word(image: TagImage, index: int, tag: ModbusTag | OpcuaTag) -> Word | None:
    """What the tag's value is called, where it has a name."""
    if not isinstance(tag, ModbusTag) or image.quality[index] >= Quality.STALE:
        return None
    return next((word for word in tag.words if word.value == image.i64[index]), None)


def _named(image: TagImage, index: int, tag: ModbusTag | OpcuaTag) -> dict[str, dict[str, str]]:
    """The name of a value, for a JSON document, where it has one."""
    word = _word(image, index, tag)
    return {} if word is None else {"word": {"zh": word.zh, "en": word.en}}


def _address(device: Device, tag: ModbusTag | OpcuaTag) -> str:
    """As the device's vendor writes it."""
    if isinstance(tag, OpcuaTag):
        return tag.node + within(tag.element, tag.field)
    assert isinstance(device, ModbusDevice)
    return device.addresses.render(tag.table, tag.address, tag.bit if tag.bits is None else None)


# ---- for people ----


def _as_table(plan: SitePlan, answers: Sequence[Answer]) -> str:
    name = plan.site.name
    return "\n\n".join([f"{plan.site.id}  {Text(name.zh, name.en)}", *map(_device_table, answers)])


def _device_table(answer: Answer) -> str:
    device = answer.device
    if answer.error:
        return f"{_heading(device)}\n  ✗ {answer.error}"
    tags = _tags(device)
    shown = [
        _shown(_value(answer.image, index, tag), _word(answer.image, index, tag)) for index, tag in enumerate(tags)
    ]
    wide = max(map(len, shown), default=0)
    rows = [
        (tag.name, value.rjust(wide), str(_QUALITIES[Quality(answer.image.quality[index])]), _address(device, tag))
        for index, (tag, value) in enumerate(zip(tags, shown, strict=True))
    ]
    notes = [f"  ! {note}" for note in answer.notes]
    return "\n".join([_heading(device), *(columns(rows, indent=2) if rows else ()), *notes])


def _heading(device: Device) -> str:
    return f"{device.id}  {device.brand}  {_where(device)}"


def _where(device: Device) -> str:
    if isinstance(device, ModbusDevice):
        return f"{device.endpoint.peer}  " + str(Text(f"站号 {device.unit}", f"unit {device.unit}"))
    return device.endpoint.url


def _shown(value: str | float | bool | None, word: Word | None) -> str:
    if value is None:
        return "–"
    if word is not None:
        return f"{_shown(value, None)} {Text(word.zh, word.en)}"
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _quality(image: TagImage, index: int) -> str:
    return Quality(image.quality[index]).name.lower().replace("_", "-")


# ---- for programs ----


def _as_json(answers: Sequence[Answer]) -> str:
    document = {
        "devices": [
            {
                "id": a.device.id,
                "brand": a.device.brand,
                "protocol": a.device.protocol,
                "error": a.error or None,
                "notes": list(a.notes),
                "tags": [
                    {
                        "name": tag.name,
                        "address": _address(a.device, tag),
                        "value": _value(a.image, index, tag),
                        **_named(a.image, index, tag),
                        "quality": _quality(a.image, index),
                        "time_ns": a.image.t_ns[index] or None,
                    }
                    for index, tag in enumerate(_tags(a.device))
                ],
            }
            for a in answers
        ]
    }
    return json.dumps(document, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None)
