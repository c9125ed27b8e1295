"""One poller per device, whatever it speaks. The heavy OPC UA side is imported only where a device needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from edge.clock import Clock
from edge.plan import Device, ModbusDevice
from edge.poll.stats import PollStats
from protocols.reading import Receiver, TagImage


class Poller(Protocol):
    """Keeps one device's image fresh. Built without I/O; owns its connection and every retry."""

    @property
    def stats(self) -> PollStats:
        """Counters, live."""

    async def run(self) -> None:
        """Read until cancelled; a dead device is a fact and a pause, never an exception."""

    async def read_once(self) -> None:
        """Read every tag once and close. Raises edge.errors.DeviceError where the device cannot be reached."""


def make_poller(
    device: Device, image: TagImage, receiver: Receiver, clock: Clock, *, pki: Path | None = None
) -> Poller:
    """The poller of `device`; `image` has one place per tag of it. `pki`: folder of this gateway's own certificate."""
    if isinstance(device, ModbusDevice):
        from edge.poll.modbus import ModbusPoller

        return ModbusPoller(device, image, receiver, clock)
    from edge.poll.opcua import OpcuaPoller

    return OpcuaPoller(device, image, receiver, clock, pki=pki)
