"""`seamline once`:

read every tag of every device once and print it. Stores nothing, sends nothing, and asks a PLC only to be read.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge import logs
from edge.clock import SystemClock
from edge.config import load
from edge.errors import DeviceError, SeamlineError, Text
from edge.plan import Device, ModbusDevice, SitePlan
from edge.poll.factory import make_poller
from protocols.modbus.tags import DataType, ModbusTag
from protocols.opcua.tags import OpcuaTag
from protocols.reading import DeviceFact, Frame, Quality, TagImage


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


def run(config: Path, *, device: str | None, as_json: bool) -> int:
    """Exit status 0 where every device answered, 1 where one did not."""
    logs.configure("text", level=40)
    plan = load(config, os.environ)
    chosen = [d for d in plan.devices if device is None or d.id == device]
    if not chosen:
        known = ", ".join(d.id for d in plan.devices)
        raise SeamlineError(
            Text(f"没有名为 {device!r} 的设备；已配置：{known}", f"no device {device!r}; the site file has: {known}")
        )
    answers = asyncio.run(_read(chosen))
    print(_as_json(answers) if as_json else _as_table(plan, answers))
    return 1 if any(a.error for a in answers) else 0


async def _read(devices: Sequence[Device]) -> list[Answer]:
    return list(await asyncio.gather(*map(_read_one, devices)))


async def _read_one(device: Device) -> Answer:
    image = TagImage(len(device.tags))
    try:
        await make_poller(device, image, _Silence(), SystemClock()).read_once()
    except DeviceError as error:
        return Answer(device, image, str(error))
    return Answer(device, image, "")


def _tags(device: Device) -> Sequence[ModbusTag | OpcuaTag]:
    return device.tags


def _value(image: TagImage, index: int, tag: ModbusTag | OpcuaTag) -> str | int | float | bool | None:
    if image.quality[index] >= Quality.STALE:
        return None
    if index in image.text:
        return image.text[index]
    if isinstance(tag, ModbusTag) and tag.type is DataType.BOOL:
        return bool(image.i64[index])
    whole = image.f64[index] == image.i64[index]
    return image.i64[index] if whole else image.f64[index]


def _address(tag: ModbusTag | OpcuaTag) -> str:
    if isinstance(tag, OpcuaTag):
        return tag.node
    bit = f".{tag.bit}" if tag.bit is not None else ""
    return f"{tag.table.name.lower()} {tag.address}{bit}"


def _as_table(plan: SitePlan, answers: Sequence[Answer]) -> str:
    lines = [f"{plan.site.id} · {plan.site.name.zh} / {plan.site.name.en}"]
    for answer in answers:
        device = answer.device
        where = (
            f"{device.endpoint.host}:{device.endpoint.port}"
            if isinstance(device, ModbusDevice)
            else device.endpoint.url
        )
        lines += ["", f"{device.id}  [{device.brand}, {device.protocol}, {where}]"]
        if answer.error:
            lines.append(f"  ✗ {answer.error}")
            continue
        width = max((len(tag.name) for tag in _tags(device)), default=0)
        for index, tag in enumerate(_tags(device)):
            quality = Quality(answer.image.quality[index])
            value = _value(answer.image, index, tag)
            shown = "–" if value is None else str(value)
            lines.append(f"  {tag.name:<{width}}  {shown:>16}  {quality.name.lower():<14} {_address(tag)}")
    return "\n".join(lines)


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
                        "address": _address(tag),
                        "value": _value(a.image, index, tag),
                        "quality": Quality(a.image.quality[index]).name.lower(),
                        "time_ns": a.image.t_ns[index] or None,
                    }
                    for index, tag in enumerate(_tags(a.device))
                ],
            }
            for a in answers
        ]
    }
    return json.dumps(document, ensure_ascii=False, indent=None if not sys.stdout.isatty() else 2)
