"""Promises: each tag group comes as the site file says; limits of a server are kept, learned, and worked around."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.server.internal_session import InternalSession
from fixtures.ports import free_port
from peers.asyncua_server import Plant, plant
from peers.opcua_rig import MS, Seen, rig

from protocols.opcua.services import Call
from protocols.opcua.tags import Deadband, Mode, OpcuaTag, ServerLimits, TagGroup, Trigger
from protocols.reading import Quality

DOUBLE = ua.VariantType.Double


pytestmark = pytest.mark.asyncio(loop_scope="module")  # one server for all: starting it takes seconds


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant_of_all() -> AsyncIterator[Plant]:
    with pytest.MonkeyPatch.context() as patch:
        async with plant(patch, free_port()) as made:
            yield made


@pytest.fixture
def server(plant_of_all: Plant) -> Plant:
    plant_of_all.services.clear()
    return plant_of_all


def tag(server: Plant, name: str, group: int, sampling_ms: int = 50) -> OpcuaTag:
    return OpcuaTag(name, f"ns={server.ns};s={name}", sampling_ns=sampling_ms * MS, group=group)


async def test_each_group_in_its_own_way(server: Plant) -> None:
    """One pushed, one read, one with a deadband: two subscriptions in one session, and each frame speaks of its own
    group alone."""
    groups = (
        TagGroup("default", publishing_ns=100 * MS),
        TagGroup("read", Mode.POLL, publishing_ns=200 * MS),
        TagGroup("wide", publishing_ns=100 * MS, deadband=Deadband.ABSOLUTE, deadband_value=5.0),
    )
    pushed = await server.add("Pushed", 1.0, DOUBLE)
    read = await server.add("Read", 1.0, DOUBLE)
    wide = await server.add("Wide", 1.0, DOUBLE)
    made = rig(server.url, [tag(server, "Pushed", 0), tag(server, "Read", 1), tag(server, "Wide", 2)], groups=groups)
    async with made.running():
        await made.seen.until(lambda: all(quality == Quality.GOOD for quality in made.image.quality))
        sent = Seen(made, 2)
        for value in (2.0, 4.0, 12.0, 13.0, 30.0):
            for node in (pushed, read, wide):
                await node.write_value(value, DOUBLE)
            await made.seen.until(lambda value=value: made.image.i64[0] == made.image.i64[1] == value)
        await made.seen.until(lambda: made.image.i64[2] == 30)
        assert sent.values == [12, 30]
        among = {frame.among for frame in made.seen.frames if frame.confirms}
        assert among == {frozenset({0}), frozenset({2})}
        assert not any(frame.confirms for frame in made.seen.frames if 1 in frame.tags)
        assert server.services["CreateSubscriptionRequest"] == 2
        assert server.services["CreateSessionRequest"] == 1


async def test_options_reach_the_server(server: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queue, discard policy, trigger and percent deadband stand in the request as the site file says."""
    asked: list[ua.MonitoredItemCreateRequest] = []
    create = InternalSession.create_monitored_items

    async def noting(self: InternalSession, params: ua.CreateMonitoredItemsParameters) -> Any:
        asked.extend(params.ItemsToCreate)
        return await create(self, params)

    monkeypatch.setattr(InternalSession, "create_monitored_items", noting)
    await server.add("Level", 1.0, DOUBLE)
    group = TagGroup(
        publishing_ns=100 * MS,
        queue_size=7,
        discard_oldest=False,
        trigger=Trigger.STATUS_VALUE_TIMESTAMP,
        deadband=Deadband.PERCENT,
        deadband_value=2.5,
    )
    made = rig(server.url, [tag(server, "Level", 0)], groups=(group,))
    async with made.running():
        await made.seen.until(lambda: bool(made.seen.facts))
    wanted = asked[1].RequestedParameters
    assert (wanted.QueueSize, wanted.DiscardOldest, wanted.SamplingInterval) == (7, False, 50.0)
    assert wanted.Filter.Trigger == ua.DataChangeTrigger.StatusValueTimestamp
    assert (wanted.Filter.DeadbandType, wanted.Filter.DeadbandValue) == (2, 2.5)


async def test_a_device_that_is_only_read_has_no_subscription(server: Plant) -> None:
    """mode: poll for everything: values and losses are seen without any subscription."""
    node = await server.add("Total", 1, ua.VariantType.UInt32)
    groups = (TagGroup("default", Mode.POLL, publishing_ns=100 * MS),)
    made = rig(server.url, [tag(server, "Total", 0)], groups=groups, deadline_ns=1000 * MS)
    async with made.running():
        await made.seen.until(lambda: made.quality() == Quality.GOOD)
        await node.write_value(5, ua.VariantType.UInt32)
        await made.seen.until(lambda: made.image.i64[0] == 5)
        assert "CreateSubscriptionRequest" not in server.services
        for client in server.server.bserver.clients:
            client.transport.abort()
        await made.seen.until(lambda: made.quality() == Quality.COMM_LOST)


async def test_what_the_server_has_no_room_for_is_read(server: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of monitored items (as an S7-1200's 1000): the first are pushed, the rest read, all of them flow; the
    fact says so."""
    room = 3
    service = server.server.iserver.subscription_service
    honest = service.create_monitored_items

    async def narrow(params: ua.CreateMonitoredItemsParameters, *rest: Any) -> Any:
        nonlocal room
        results = []
        for item in params.ItemsToCreate:
            if room == 0:
                results.append(ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(0x80DB0000)))
                continue
            room -= 1
            one = ua.CreateMonitoredItemsParameters(params.SubscriptionId, params.TimestampsToReturn, [item])
            results += await honest(one, *rest)
        return results

    monkeypatch.setattr(service, "create_monitored_items", narrow)
    names = [f"Room{i}" for i in range(5)]
    nodes = [await server.add(name, 0, ua.VariantType.UInt32) for name in names]
    made = rig(server.url, [tag(server, name, 0) for name in names])
    async with made.running():
        await made.seen.until(lambda: all(quality == Quality.GOOD for quality in made.image.quality))
        for node in nodes:
            await node.write_value(9, ua.VariantType.UInt32)
        await made.seen.until(lambda: list(made.image.i64) == [9] * 5)
        assert "3 nodes" in made.seen.facts[0].detail or "3 个" in made.seen.facts[0].detail
    assert made.seen.ups == [(True, "connected")]


async def test_a_profile_is_kept_without_asking_for_more(server: Plant) -> None:
    """What the make is known for is not tried out: two items are monitored, the others read."""
    names = [f"V{i}" for i in range(5)]
    for name in names:
        await server.add(name, 4, ua.VariantType.UInt32)
    made = rig(server.url, [tag(server, name, 0) for name in names], limits=ServerLimits(2, items=3))
    async with made.running():
        await made.seen.until(lambda: list(made.image.i64) == [4] * 5)
        (subscription,) = server.server.iserver.subscription_service.subscriptions.values()
        assert len(subscription.monitored_item_srv._monitored_items) == 3


@pytest.mark.parametrize("mode", [Mode.POLL, Mode.SUBSCRIBE])
async def test_one_fact_is_never_read_in_two_calls(server: Plant, mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three nested states among others, on a server that takes few nodes a call and refuses more than four as too many:
    they are in one frame always; where it has room to monitor but two of them, all three are read."""
    largest: list[int] = []
    honest = InternalSession.read

    async def narrow(self: InternalSession, params: ua.ReadParameters) -> Any:
        ours = [node for node in params.NodesToRead if node.NodeId.NamespaceIndex]
        largest.append(len(ours))
        if len(ours) > 4:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadTooManyOperations)
        return await honest(self, params)

    names = [f"Fact{mode.name}{i}" for i in range(7)]
    nodes = [await server.add(name, 0, ua.VariantType.UInt32) for name in names]
    facts = {1: 1, 4: 1, 6: 1}
    tags = [replace(tag(server, name, 0), fact=facts.get(i, 0)) for i, name in enumerate(names)]
    groups = (TagGroup("default", mode, publishing_ns=50 * MS),)
    limits = ServerLimits(7, items=0 if mode is Mode.POLL else 6)  # the server's clock is one of them
    made = rig(server.url, tags, groups=groups, limits=limits)
    monkeypatch.setattr(InternalSession, "read", narrow)
    async with made.running():
        await made.seen.until(lambda: all(quality == Quality.GOOD for quality in made.image.quality))
        for node in nodes:
            await node.write_value(9, ua.VariantType.UInt32)
        await made.seen.until(lambda: list(made.image.i64) == [9] * 7)
        assert len({made.image.t_ns[i] for i in facts}) == 1
    read = [set(frame.tags) & set(facts) for frame in made.seen.frames]
    assert {len(one) for one in read} == {0, 3}
    assert max(largest) <= (7 if mode is Mode.POLL else 4)


async def test_too_many_operations_are_halved_once_and_remembered(
    server: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that names no limit and refuses 20 nodes: halves until it takes them, and the next session knows."""
    largest: list[int] = []
    honest = InternalSession.create_monitored_items

    async def narrow(self: InternalSession, params: ua.CreateMonitoredItemsParameters) -> Any:
        largest.append(len(params.ItemsToCreate))
        if len(params.ItemsToCreate) > 6:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadTooManyOperations)
        return await honest(self, params)

    monkeypatch.setattr(InternalSession, "create_monitored_items", narrow)
    names = [f"Many{i}" for i in range(20)]
    for name in names:
        await server.add(name, 4, ua.VariantType.UInt32)
    made = rig(server.url, [tag(server, name, 0) for name in names])
    async with made.running():
        await made.seen.until(lambda: list(made.image.i64) == [4] * 20)
        assert largest == [1, 20, 10, 5, 5, 5, 5]
        assert made.poller._limits.learned == {Call.MONITOR: 5}
        largest.clear()
        (subscription,) = server.server.iserver.subscription_service.subscriptions.values()
        await subscription.enqueue_statuschange(ua.StatusCode(0x800A0000))
        await made.seen.until(lambda: made.poller.sessions == 2 and made.quality() == Quality.GOOD)
        await asyncio.sleep(0)
        assert largest == [1, 5, 5, 5, 5]
