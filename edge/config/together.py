"""Signals that are one fact, told to those who read them: never in two calls of one round. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edge.plan import Device, Machine, OpcuaDevice


def bound(devices: Sequence[Device], machines: Sequence[Machine]) -> tuple[Device, ...]:
    """The devices, OPC UA tags of `Machine.together` with a number in common; those of Modbus share a request."""
    facts: dict[tuple[int, int], int] = {}  # device and tag → which fact
    for number, machine in enumerate(machines, 1):
        places = [(machine.signals[index].device, machine.signals[index].tag) for index in machine.together]
        shared = {facts[place] for place in places if place in facts}
        facts |= dict.fromkeys(places, number)
        facts |= {place: number for place, fact in facts.items() if fact in shared}
    return tuple(_bound(device, facts) for device in devices)


def _bound(device: Device, facts: dict[tuple[int, int], int]) -> Device:
    if not isinstance(device, OpcuaDevice):
        return device
    tags = tuple(
        replace(tag, fact=facts[device.index, at]) if (device.index, at) in facts else tag
        for at, tag in enumerate(device.tags)
    )
    return device if tags == device.tags else replace(device, tags=tags)
