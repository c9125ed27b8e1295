"""Promise: machines of the OPC UA companion models can be simulated: PackML by OPC 30050 (three nested state machines,
counts as structures, times as matrices) and Machinery by OPC 40001-1, found by browse path and namespace URI. What the
agent's own poller reads there is what the machine made and was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
import pytest_asyncio
import yaml
from peers.recorder import Recorder

from edge.clock import SystemClock
from edge.errors import SeamlineError
from edge.machines.observer import Observer
from edge.plan import OpcuaDevice
from edge.poll.opcua import OpcuaPoller
from edge.simulate.conditions import FACES
from edge.simulate.journal import Journal
from edge.simulate.plant import Plant
from edge.simulate.site import moved_here, plan_of
from edge.simulate.world import World
from protocols.reading import Quality, TagImage

SITE = """
site: {{id: s, enterprise: e, province: p, city: c}}
devices:
  - {{id: pack, template: generic-opcua, url: 'opc.tcp://192.0.2.1:4840', publishing_s: 0.2, sampling_s: 0.1,
      nodes: {{pattern: "/0:Objects/{{base}}/{{tag}}", separator: /, prefix: "nsu=http://opcfoundation.org/UA/PackML/;"}}}}
  - {{id: item, template: generic-opcua, url: 'opc.tcp://192.0.2.2:4840', publishing_s: 0.2, sampling_s: 0.1,
      nodes: {{pattern: "/0:Objects/{{base}}/{{tag}}", separator: /,
        prefix: "nsu=http://opcfoundation.org/UA/Machinery/;"}}}}
machines:
  - {{id: filler, template: packml-30050, device: pack, base: "nsu=urn:maker;Filler"}}
  - {{id: press, template: {press}, device: item, base: "nsu=urn:maker;Press"}}
"""
pytestmark = pytest.mark.asyncio(loop_scope="module")


def site(press: str = "machinery", machines: Sequence[str] = ("filler", "press")) -> str:
    """Moved to this machine, with these machines and their devices."""
    document = yaml.safe_load(SITE.format(press=press))
    document["machines"] = [one for one in document["machines"] if one["id"] in machines]
    used = {one["device"] for one in document["machines"]}
    document["devices"] = [one for one in document["devices"] if one["id"] in used]
    return moved_here(yaml.safe_dump(document), Path.cwd())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """Both servers; their machines live sixty times as fast and have run for an hour of theirs."""
    clock = SystemClock()
    world = World(Plant(plan_of(site()), 1, Fraction(60), clock.now_ns() - 60_000_000_000, None), Journal(None), clock)
    await world.start()
    world.go()
    yield world
    await world.close()


async def polled(world: World, device: OpcuaDevice) -> tuple[TagImage, Recorder, asyncio.Task[None]]:
    image, seen = TagImage(len(device.tags)), Recorder()
    poller = OpcuaPoller(device, image, seen, SystemClock(), jitter=Random(1))
    task = asyncio.create_task(poller.run())
    await seen.until(lambda: all(quality == Quality.GOOD for quality in image.quality), 120)
    return image, seen, task


@pytest.mark.parametrize("name", ["pack", "item"])
async def test_every_tag_is_served_and_true(world: World, name: str) -> None:
    """Every tag of the template is good; the total becomes what the machine's counter holds, and the state signals are
    of the bucket the machine is in.
    """
    device = next(one for one in world.plan.devices if isinstance(one, OpcuaDevice) and one.id == name)
    image, seen, task = await polled(world, device)
    try:
        machine = next(one for one in world.plan.machines if one.signals[0].device == device.index)
        simulated = world.plant.machines[machine.id]
        observer = Observer(machine, {device.index: image})
        total = machine.signals[machine.counters[0].signal].tag

        def agrees() -> bool:
            simulated.live(world.now_ns())
            sample = observer.sample(world.now_ns())
            return (
                image.i64[total] == simulated.registers()["total"]
                and sample.bucket == FACES[simulated.process.history.current()[0]].bucket
            )

        before = image.i64[total]
        await seen.until(lambda: image.i64[total] > before and agrees(), 120)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_structure_that_use_does_not_tell_is_refused() -> None:
    """Job lists are structures in structures: the error says which tag, and what to do."""
    clock = SystemClock()
    plan = plan_of(site("machinery-jobs", ("press",)))
    world = World(Plant(plan, 1, Fraction(1), clock.now_ns(), None), Journal(None), clock)
    try:
        with pytest.raises(SeamlineError, match=r"job lists|作业列表"):
            await world.start()
    finally:
        await world.close()
