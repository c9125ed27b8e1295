"""A foreign OPC UA client sees plain tags and a PackML-shaped machine, pushed together, in time and with quality."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Client, ua

from edge.clock import SystemClock
from edge.plan import OpcuaDevice
from edge.simulate.journal import Journal
from edge.simulate.plant import Plant
from edge.simulate.site import demo_site, plan_of
from edge.simulate.world import World

PACKML, PLAIN = "opcua-packml", "opcua-plain"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """One server pair for the module: an address space takes seconds to build."""
    clock = SystemClock()
    plan = plan_of(demo_site(3, protocols=("opcua",)))
    powered_on_ns = clock.now_ns() - 60_000_000_000
    world = World(Plant(plan, 1, Fraction(60), powered_on_ns, None), Journal(None), clock)
    await world.start()
    world.go()
    yield world
    await world.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")


def device_of(world: World, name: str) -> OpcuaDevice:
    return next(d for d in world.plan.devices if isinstance(d, OpcuaDevice) and d.id == name)


def node_of(world: World, device: str, tag: str) -> str:
    return next(known.node for known in device_of(world, device).tags if known.name.endswith("." + tag))


@asynccontextmanager
async def client_of(world: World, device: str) -> AsyncIterator[Client]:
    async with Client(device_of(world, device).endpoint.url, timeout=60) as client:
        yield client


async def eventually(condition: Any, within_s: float = 60.0) -> None:
    for _ in range(round(within_s / 0.05)):
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(condition.__name__)


async def test_packml_nodes_have_the_names_types_and_times_of_the_plan(world: World) -> None:
    async with client_of(world, PACKML) as client:
        node = client.get_node(node_of(world, PACKML, "total"))
        assert node.nodeid.Identifier == "Mask1.Admin.ProdProcessedCount[0].AccCount"
        value = await node.read_data_value()
        assert value.Value.VariantType is ua.VariantType.Int32

        async def fresh() -> bool:
            stamp = (await node.read_data_value()).SourceTimestamp
            return bool(abs(stamp.timestamp() - world.now_ns() / 1e9) < 0.5)

        await eventually(fresh)
        assert await client.get_node(node_of(world, PACKML, "state")).read_value() in range(1, 18)
        assert await client.get_node(node_of(world, PACKML, "mode")).read_value() == 1
        assert isinstance(await client.get_node(node_of(world, PACKML, "starved")).read_value(), bool)


async def test_plain_tags_agree_with_the_truth(world: World) -> None:
    async with client_of(world, PLAIN) as client:
        node = client.get_node(node_of(world, PLAIN, "total"))
        assert node.nodeid.NamespaceIndex == 3
        machine = world.plant.machines["suit-2"]

        async def same() -> bool:
            machine.live(world.now_ns())
            return bool(machine.registers()["total"] == await node.read_value())

        await eventually(same)


class Recorder:
    """Keeps every publish: values that arrive in one go carry one source time."""

    def __init__(self) -> None:
        self.values: dict[str, dict[object, int]] = {"total": {}, "reject": {}, "good": {}}
        self.names: dict[Any, str] = {}

    def datachange_notification(self, node: Any, value: int, data: Any) -> None:
        name = self.names[node.nodeid]
        self.values[name][data.monitored_item.Value.SourceTimestamp] = value


async def test_values_of_one_moment_are_pushed_together(world: World) -> None:
    """Total = good + reject at every source time at which all three are known, at 60 pieces a second."""
    recorder = Recorder()
    async with client_of(world, PLAIN) as client:
        nodes = {
            name: client.get_node(next(t.node for t in device_of(world, PLAIN).tags if t.name == f"mask-3.{name}"))
            for name in recorder.values
        }
        recorder.names = {node.nodeid: name for name, node in nodes.items()}
        subscription = await client.create_subscription(50, recorder)
        await subscription.subscribe_data_change(list(nodes.values()))

        async def enough() -> bool:
            return len(recorder.values["total"]) > 20

        await eventually(enough)
        await subscription.delete()
    modulus = 32_768
    times = sorted({t for values in recorder.values.values() for t in values})
    latest: dict[str, int] = {}
    checked = 0
    for time in times:
        for name, values in recorder.values.items():
            if time in values:
                latest[name] = values[time]
        if len(latest) == 3 and time != times[0]:
            assert (latest["total"] - latest["good"] - latest["reject"]) % modulus == 0
            checked += 1
    assert checked > 5


async def test_nobody_can_write(world: World) -> None:
    async with client_of(world, PACKML) as client:
        node = client.get_node(node_of(world, PACKML, "total"))
        with pytest.raises(ua.UaStatusCodeError):
            await node.write_value(ua.Variant(1, ua.VariantType.Int32))


async def test_bad_quality_and_frozen_values(world: World) -> None:
    async with client_of(world, PLAIN) as client:
        total = next(t.node for t in device_of(world, PLAIN).tags if t.name == "mask-3.total")
        node = client.get_node(total)

        async def quality() -> bool:
            return bool((await node.read_data_value(raise_on_bad_status=False)).StatusCode.is_good())

        async def bad() -> bool:
            return not await quality()

        world.inject({"kind": "bad-quality", "target": PLAIN, "for_s": 2})
        await eventually(bad)
        await eventually(quality)
        world.inject({"kind": "freeze", "target": PLAIN, "for_s": 3})
        await asyncio.sleep(0.15)
        frozen = await node.read_value()
        await asyncio.sleep(0.3)
        assert await node.read_value() == frozen

        async def thawed() -> bool:
            return bool(await node.read_value() != frozen)

        await eventually(thawed)


async def test_a_killed_server_comes_back_without_the_old_subscriptions(world: World) -> None:
    url = device_of(world, PACKML).endpoint.url
    start_time = "i=2257"
    async with client_of(world, PACKML) as client:
        before = await client.get_node(start_time).read_value()
        subscription = await client.create_subscription(100, Recorder())
        assert subscription.subscription_id
        world.inject({"kind": "server-down", "target": PACKML, "for_s": 2})

        async def down() -> bool:
            return not world.up(PACKML)

        await eventually(down)
        with pytest.raises(OSError):
            await Client(url, timeout=1).connect()

    async def back() -> bool:
        return world.up(PACKML)

    await eventually(back)
    async with client_of(world, PACKML) as client:
        assert await client.get_node(start_time).read_value() > before
        node = client.get_node(node_of(world, PACKML, "total"))
        first = await node.read_value()

        async def counting() -> bool:
            return bool(await node.read_value() > first)

        await eventually(counting)
