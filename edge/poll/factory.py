"""One poller per device and one task per connection, whatever they speak.

Modbus devices with equal endpoints are units on one connection: one task asks them all. An OPC UA server has its
session to itself, and that side, which is heavy, is imported only where a device needs it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge.clock import Clock
from edge.errors import DeviceError
from edge.plan import Device, ModbusDevice, OpcuaDevice
from edge.poll.backoff import Gate
from edge.poll.learned import Notebook
from edge.poll.stats import PollStats
from protocols.reading import Receiver, TagImage

if TYPE_CHECKING:
    from edge.poll.link import Link
    from edge.poll.unit import Unit
    from protocols.modbus.tags import Endpoint


class Poller(Protocol):
    """What keeps one device's image fresh."""

    @property
    def stats(self) -> PollStats:
        """Counters, live."""


@dataclass(frozen=True, slots=True)
class Running:
    """One connection and what to do with it. Built without I/O; owns every retry."""

    name: str  # of its devices
    devices: tuple[int, ...]  # places in what was given
    run: Callable[[], Awaitable[None]]  # until cancelled; a dead device is a fact and a pause, never an exception
    read_once: Callable[[], Awaitable[Sequence[DeviceError | None]]]  # for each device why it was not read, or None
    link: Link | None = None  # of Modbus devices


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that reads."""

    pollers: tuple[Poller, ...]  # one per device, in their order
    connections: tuple[Running, ...]
    seats: tuple[int, ...]  # index under which each device's poller speaks
    gate: Gate  # shared by the sessions of this gateway


def follow_sources(
    old: Sources,
    kept: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
    devices: Sequence[Device],
    images: Sequence[TagImage],
    receiver: Receiver,
    clock: Clock,
    *,
    pki: Path | None = None,
    notebook: Notebook | None = None,
) -> Sources:
    """Sources of another plan in which some connections stay: `kept` has the places of their devices before and now.

    What is new gets seats nobody had, so that what is still on its way from the old ones cannot be taken for it.
    """
    pollers: dict[int, Poller] = {}
    seats: dict[int, int] = {}
    connections: list[Running] = []
    running = {connection.devices: connection for connection in old.connections}
    for before, now in kept:
        connections.append(replace(running[before], devices=now))
        for place_before, place in zip(before, now, strict=True):
            pollers[place], seats[place] = old.pollers[place_before], old.seats[place_before]
    fresh = [place for place in range(len(devices)) if place not in seats]
    first = max(old.seats, default=-1) + 1
    seated = [replace(devices[place], index=first + number) for number, place in enumerate(fresh)]
    made = make_sources(
        seated, [images[place] for place in fresh], receiver, clock, pki=pki, notebook=notebook, gate=old.gate
    )
    for place, poller, seat in zip(fresh, made.pollers, made.seats, strict=True):
        pollers[place], seats[place] = poller, seat
    connections += [replace(one, devices=tuple(fresh[place] for place in one.devices)) for one in made.connections]
    places = range(len(devices))
    return Sources(
        tuple(pollers[place] for place in places),
        tuple(sorted(connections, key=lambda connection: connection.devices)),
        tuple(seats[place] for place in places),
        old.gate,
    )


def make_sources(
    devices: Sequence[Device],
    images: Sequence[TagImage],
    receiver: Receiver,
    clock: Clock,
    *,
    pki: Path | None = None,
    notebook: Notebook | None = None,
    gate: Gate | None = None,
) -> Sources:
    """Pollers and connections of `devices`; an image has one place per tag. A device's index is its poller's seat.

    `pki`: folder of certificates, own and trusted; `notebook`: what was learned of the devices, and will be.
    """
    pollers: dict[int, Poller] = {}
    connections: list[Running] = []
    units: dict[Endpoint, list[tuple[int, Unit]]] = {}
    notebook = notebook or Notebook()
    gate = gate or Gate()
    for place, (device, image) in enumerate(zip(devices, images, strict=True)):
        if isinstance(device, ModbusDevice):
            from edge.poll.unit import Unit

            unit = Unit(device, image, receiver, clock, notebook)
            units.setdefault(device.endpoint, []).append((place, unit))
            pollers[place] = unit
        else:
            poller, connection = _session(place, device, image, receiver, clock, pki, gate, notebook)
            pollers[place] = poller
            connections.append(connection)
    for endpoint, members in units.items():
        from edge.poll.link import Link

        link = Link(endpoint, [unit for _, unit in members], clock)
        connections.append(Running(link.name, tuple(place for place, _ in members), link.run, link.read_once, link))
    return Sources(
        tuple(pollers[place] for place in range(len(devices))),
        tuple(sorted(connections, key=lambda connection: connection.devices)),
        tuple(device.index for device in devices),
        gate,
    )


def _session(
    place: int,
    device: OpcuaDevice,
    image: TagImage,
    receiver: Receiver,
    clock: Clock,
    pki: Path | None,
    gate: Gate,
    notebook: Notebook,
) -> tuple[Poller, Running]:
    from edge.poll.opcua import OpcuaPoller
    from edge.trust.hosts import own_hosts
    from protocols.opcua.channel import Pki

    keys = None if pki is None else Pki(pki, own_hosts, clock.now_ns)
    poller = OpcuaPoller(device, image, receiver, clock, pki=keys, gate=gate, heard=notebook.heard)

    async def read_once() -> Sequence[DeviceError | None]:
        try:
            await poller.read_once()
        except DeviceError as error:
            return [error]
        return [None]

    return poller, Running(device.id, (place,), poller.run, read_once)
