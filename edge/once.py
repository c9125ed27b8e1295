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
from edge.errors import Text
from edge.plan import Device, ModbusDevice, SitePlan
from edge.poll.factory import make_sources
from edge.trust import pki_folder
from protocols.modbus.tags import DataType, ModbusTag, Word
from protocols.opcua.place import within
from protocols.opcua.tags import OpcuaTag
from protocols.reading import DeviceFact, Frame, Past, Quality, TagImage


@dataclass(frozen=True, slots=True)
class Answer:
    """One device, read once: its image, or why not."""

    device: Device
    image: TagImage
    error: str


class _Silence:
    """A receiver that needs nothing: the image is read afterwards."""

    def on_frame(self, frame: Frame) -> None:
        """The values are in the image."""

    def on_fact(self, fact: DeviceFact) -> None:
        """Errors are raised by `read_once`."""

    def on_past(self, past: Past) -> None:
        """A reading of now has no past."""


def run(config: Path, *, device: str | None, as_json: bool) -> int:
    """Exit status 0 where every device answered, 1 where one did not, 2 where there is no such device."""
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
    return 1 if any(a.error for a in answers) else 0


async def _read(devices: Sequence[Device], pki: Path) -> list[Answer]:
    """All connections at once; devices that share one, after one another."""
    images = [TagImage(len(device.tags)) for device in devices]
    connections = make_sources(devices, images, _Silence(), SystemClock(), pki=pki).connections
    errors = [""] * len(devices)
    for connection, answers in zip(
        connections, await asyncio.gather(*(connection.read_once() for connection in connections)), strict=True
    ):
        for place, error in zip(connection.devices, answers, strict=True):
            errors[place] = "" if error is None else str(error)
    return [Answer(device, image, error) for device, image, error in zip(devices, images, errors, strict=True)]


def _tags(device: Device) -> Sequence[ModbusTag | OpcuaTag]:
    return device.tags


def _value(image: TagImage, index: int, tag: ModbusTag | OpcuaTag) -> str | int | float | bool | None:
    """None where there is no number to show: never read, lost, or not finite."""
    if image.quality[index] >= Quality.STALE:
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
    names, values = max((len(tag.name) for tag in tags), default=0), max(map(len, shown), default=0)
    lines = [
        f"  {tag.name:<{names}}  {value:>{values}}  {_quality(answer.image, index):<10}  {_address(device, tag)}"
        for index, (tag, value) in enumerate(zip(tags, shown, strict=True))
    ]
    return "\n".join([_heading(device), *lines])


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
