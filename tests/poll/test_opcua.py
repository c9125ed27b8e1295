"""The poller against real servers: asyncua's in this loop, and node-opcua in a process to be killed and frozen."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.server.internal_subscription import InternalSubscription
from fixtures.ports import free_port
from peers.asyncua_server import Plant, plant
from peers.node_opcua import NodePeer
from peers.opcua_rig import MS, PEER, Rig, Seen, rig

from edge.errors import DeviceError
from protocols.opcua.tags import Deadband, OpcuaTag, TagGroup
from protocols.reading import Quality

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant_of_all() -> AsyncIterator[Plant]:
    with pytest.MonkeyPatch.context() as patch:
        async with plant(patch, free_port()) as made:
            yield made


@pytest_asyncio.fixture(loop_scope="module")
async def server(plant_of_all: Plant) -> Plant:
    return await plant_of_all.cleared()


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_type_arrives_with_its_time(server: Plant) -> None:
    """Numbers exact, scaled and unscaled; text, truth and enumerations; the source time untouched."""
    total = await server.add("Total", 2**40 + 1, ua.VariantType.Int64)
    await server.add("Speed", 6.1, ua.VariantType.Double)
    await server.add("Run", True, ua.VariantType.Boolean)
    await server.add("Recipe", "口罩", ua.VariantType.String)
    await server.add("State", 6, ua.VariantType.Int32)
    await server.add("Meter", 41.7, ua.VariantType.Float)
    names = ["Total", "Speed", "Run", "Recipe", "State"]
    tags = [OpcuaTag(name, f"ns={server.ns};s={name}", sampling_ns=100 * MS) for name in names]
    tags.append(OpcuaTag("Meter", f"/0:Objects/{server.ns}:Machine/{server.ns}:Meter", scale=0.1, offset=2.0))
    async with rig(server.url, tags).running() as made:
        await made.seen.until(lambda: all(quality == Quality.GOOD for quality in made.image.quality))
        image = made.image
        assert list(image.i64) == [2**40 + 1, 6, 1, 1, 6, 42], "a text counts as 1"
        assert image.f64[1] == 6.1
        assert image.f64[5] == pytest.approx(6.17)
        assert image.text == {3: "口罩"}
        source = (await total.read_data_value()).SourceTimestamp
        assert image.source_ns[0] // 1000 == round(source.timestamp() * 1e6)
        assert 0 <= image.t_ns[0] - image.source_ns[0] < 10_000_000_000
    assert made.seen.ups == [(True, "connected")]


async def test_what_changes_together_arrives_together(server: Plant) -> None:
    """One publish, one frame: a pair written in one go is never seen half old and half new."""
    first = await server.add("A", 0, ua.VariantType.UInt32)
    second = await server.add("B", 0, ua.VariantType.UInt32)
    async with rig(server.url, [f"ns={server.ns};s=A", f"ns={server.ns};s=B"]).running() as made:
        await made.seen.until(lambda: made.quality(1) == Quality.GOOD)
        seen: list[tuple[int, int]] = []
        made.seen.on_frame = lambda _: seen.append((made.image.i64[0], made.image.i64[1]))  # type: ignore[method-assign]
        for value in range(1, 40):
            for node in (first, second):
                await node.write_value(value, ua.VariantType.UInt32)
            await asyncio.sleep(0.03)
        await asyncio.sleep(0.3)
    assert {a - b for a, b in seen} == {0}
    assert [a for a, _ in seen] == sorted(a for a, _ in seen)
    assert seen[-1] == (39, 39)


async def test_a_heartbeat_confirms_what_did_not_change(server: Plant) -> None:
    """Without any change the times of good values move on, those of bad ones do not, and the clock's skew is known."""
    await server.add("Still", 5, ua.VariantType.UInt32)
    async with rig(server.url, [f"ns={server.ns};s=Still", f"ns={server.ns};s=Nothing"]).running() as made:
        await made.seen.until(lambda: len(made.seen.frames) > 0)
        first_ns, source_ns = made.image.t_ns[0], made.image.source_ns[0]
        await made.seen.until(lambda: made.image.t_ns[0] > first_ns)
        quiet = made.seen.frames[-1]
        assert (list(quiet.tags), quiet.confirms, quiet.device) == ([], True, 3)
        assert made.image.source_ns[0] == source_ns
        assert made.image.t_ns[1] == 0
        assert made.poller.skew_ns is not None
        assert abs(made.poller.skew_ns) < 500 * MS
        assert made.poller.stats.latency_mean_ms is not None


async def test_a_bad_status_keeps_the_old_value_and_time(server: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad and lost set the quality only; uncertain replaces the value; good again heals."""
    monkeypatch.setattr("protocols.opcua.subscription.HEARTBEAT_NS", 100 * MS)
    node = await server.add("Weld", 180.0, ua.VariantType.Double)

    async def write(value: float, status: int) -> None:
        await node.write_value(ua.DataValue(ua.Variant(value, ua.VariantType.Double), ua.StatusCode(status)))

    async with rig(server.url, [f"ns={server.ns};s=Weld"]).running() as made:
        await made.seen.until(lambda: made.quality() == Quality.GOOD)
        for status, quality in (
            (0x808C0000, Quality.BAD),
            (0x80310000, Quality.COMM_LOST),
            (0x40900000, Quality.STALE),
        ):
            then_ns = made.image.t_ns[0]
            await write(0.0, status)
            await made.seen.until(lambda quality=quality: made.quality() == quality)
            stopped_ns = made.image.t_ns[0]
            beats = [frame.confirms for frame in made.seen.frames].count(True)
            await made.seen.until(
                lambda beats=beats: [frame.confirms for frame in made.seen.frames].count(True) > beats + 1
            )
            assert (made.image.f64[0], made.image.t_ns[0]) == (180.0, stopped_ns)
            assert stopped_ns >= then_ns
        await write(175.0, 0x40000000)
        await made.seen.until(lambda: made.quality() == Quality.UNCERTAIN)
        assert made.image.f64[0] == 175.0
        await write(181.0, 0)
        await made.seen.until(lambda: made.quality() == Quality.GOOD)
        assert made.image.f64[0] == 181.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
async def test_what_is_no_number_is_bad(server: Plant, value: float) -> None:
    """Not a number, infinite or beyond int64: nothing to count with, and nothing else is harmed."""
    node = await server.add("Raw", 1.0, ua.VariantType.Double)
    await server.add("Fine", 2.0, ua.VariantType.Double)
    async with rig(server.url, [f"ns={server.ns};s=Raw", f"ns={server.ns};s=Fine"]).running() as made:
        await made.seen.until(lambda: made.quality() == Quality.GOOD)
        await node.write_value(value, ua.VariantType.Double)
        await made.seen.until(lambda: made.quality() == Quality.BAD)
        assert (made.image.f64[0], made.image.i64[0]) == (1.0, 1)
        assert made.quality(1) == Quality.GOOD


async def test_values_between_two_publishes_are_all_seen(server: Plant) -> None:
    """A state of one sample is not swallowed by the next: oldest first, only the last frame confirms the rest."""
    node = await server.add("State", 0, ua.VariantType.UInt64)
    made = rig(server.url, [f"ns={server.ns};s=State"], publishing_ns=500 * MS)
    async with made.running():
        await made.seen.until(lambda: made.quality() == Quality.GOOD)
        seen: list[tuple[int, bool]] = []
        note = lambda frame: seen.append((made.image.i64[0], frame.confirms))  # noqa: E731
        made.seen.on_frame = note  # type: ignore[method-assign]
        for value in (2, 3, 4):
            await node.write_value(value, ua.VariantType.UInt64)
        while len(seen) < 3:  # noqa: ASYNC110 - the receiver is replaced above
            await asyncio.sleep(0.05)
        assert seen[:3] == [(2, False), (3, False), (4, True)]
        await node.write_value(2**64 - 1, ua.VariantType.UInt64)
        while made.quality() != Quality.BAD:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        assert made.image.i64[0] == 4, "beyond int64: the old value stays"


async def test_part_of_a_cycle_confirms_nothing(server: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the server says that more of this cycle follows, no frame promises that the rest is unchanged."""
    whole = InternalSubscription._pop_publish_result

    def part(self: InternalSubscription) -> ua.PublishResult:
        result = whole(self)
        result.MoreNotifications = True
        return result

    monkeypatch.setattr(InternalSubscription, "_pop_publish_result", part)
    await server.add("Still", 5, ua.VariantType.UInt32)
    async with rig(server.url, [f"ns={server.ns};s=Still"]).running() as made:
        await made.seen.until(lambda: made.quality() == Quality.GOOD)
        read_ns = made.image.t_ns[0]
        await made.seen.until(lambda: len(made.seen.frames) > 3)
    assert not any(frame.confirms for frame in made.seen.frames)
    assert made.image.t_ns[0] == read_ns


async def test_a_publish_that_never_came_is_made_good(server: Plant) -> None:
    """A gap in the numbering is seen, counted, and answered by reading everything; the session goes on."""
    await server.add("Total", 5, ua.VariantType.UInt32)
    async with rig(server.url, [f"ns={server.ns};s=Total"]).running() as made:
        await made.seen.until(lambda: made.quality() == Quality.GOOD)
        assert made.poller.gaps == 0
        (subscription,) = server.server.iserver.subscription_service.subscriptions.values()
        subscription._notification_seq += 2
        reads = server.services["ReadRequest"]
        await made.seen.until(lambda: made.poller.gaps == 1)
        assert server.services["ReadRequest"] == reads + 1
        await asyncio.sleep(1.2)
    assert made.poller.gaps == 1
    assert made.seen.ups == [(True, "connected")]


async def test_a_subscription_the_server_ended_is_made_again(server: Plant) -> None:
    """Bad_Timeout from the server ends the session with its reason; the next one brings everything back."""
    await server.add("Total", 5, ua.VariantType.UInt32)
    async with rig(server.url, [f"ns={server.ns};s=Total"]).running() as made:
        await made.seen.until(lambda: made.quality() == Quality.GOOD)
        (subscription,) = server.server.iserver.subscription_service.subscriptions.values()
        await subscription.enqueue_statuschange(ua.StatusCode(0x800A0000))
        await made.seen.until(lambda: made.quality() == Quality.COMM_LOST)
        await made.seen.until(lambda: made.quality() == Quality.GOOD)
    assert made.seen.ups == [(True, "connected"), (False, "subscription-closed"), (True, "connected")]


async def test_an_unknown_node_is_bad_alone_and_comes_back(server: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its neighbours flow; once the program has it, the retry finds it; the facts say both, once."""
    monkeypatch.setattr("edge.poll.opcua.UPKEEP_NS", 300 * MS)
    await server.add("Known", 5, ua.VariantType.UInt32)
    nodes = [f"ns={server.ns};s=Known", f"ns={server.ns};s=Late", "nsu=urn:nobody;s=x", "no address"]
    async with rig(server.url, nodes).running() as made:
        await made.seen.until(lambda: made.quality() == Quality.GOOD)
        assert [made.quality(tag) for tag in (1, 2, 3)] == [Quality.BAD] * 3
        (fact,) = made.seen.facts
        assert (fact.up, fact.reason, list(fact.tags)) == (True, "nodes-refused", [1, 2, 3])
        assert "BadNodeIdUnknown" in fact.detail
        await server.add("Late", 9, ua.VariantType.UInt32)
        await made.seen.until(lambda: made.quality(1) == Quality.GOOD)
        assert made.image.i64[1] == 9
        assert [list(fact.tags) for fact in made.seen.facts] == [[1, 2, 3], [2, 3]]


async def test_nothing_is_written_or_called(server: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every service that reaches the server only looks, over the whole life of a session with retries and a renewal."""
    monkeypatch.setattr("edge.poll.opcua.UPKEEP_NS", 200 * MS)
    monkeypatch.setattr("edge.poll.opcua._renew_after_ns", lambda _: 200 * MS)
    await server.add("Total", 5, ua.VariantType.UInt32)
    nodes = [f"ns={server.ns};s=Total", f"/0:Objects/{server.ns}:Machine/{server.ns}:Total", f"ns={server.ns};s=No"]
    made = rig(server.url, nodes)
    async with made.running():
        await made.seen.until(lambda: len(made.seen.frames) > 2)
    await made.poller.read_once()
    assert set(server.services) == {
        "CreateSessionRequest",
        "ActivateSessionRequest",
        "ReadRequest",
        "TranslateBrowsePathsToNodeIdsRequest",
        "CreateSubscriptionRequest",
        "CreateMonitoredItemsRequest",
        "PublishRequest",
        "CloseSessionRequest",
    }
    assert server.services["CreateSessionRequest"] == 2


async def test_reading_once(server: Plant) -> None:
    """Every tag by one read, then the session is closed; an unreachable server is an error for people."""
    await server.add("Total", 77, ua.VariantType.UInt32)
    made = rig(server.url, [f"ns={server.ns};s=Total", f"ns={server.ns};s=No"])
    await made.poller.read_once()
    assert (made.image.i64[0], made.quality(), made.quality(1)) == (77, Quality.GOOD, Quality.BAD)
    assert [frame.confirms for frame in made.seen.frames] == [False]
    with pytest.raises(DeviceError, match="press"):
        await rig(f"opc.tcp://127.0.0.1:{free_port()}", ["i=1"]).poller.read_once()


# ── a foreign server, and what it can do to us ──────────────────────────────────────────────────────────────


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def foreign(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NodePeer]:
    """One server for the tests that leave it as it was; starting it takes seconds of processor time."""
    async with NodePeer(tmp_path_factory.mktemp("peer"), items=1000, types=True) as peer:
        yield peer


async def test_a_thousand_items_at_ten_hertz_lose_nothing(foreign: NodePeer) -> None:
    """Every change of every item arrives: the values seen are without gaps, by a server of another make, in its limits
    of nodes per call, which are far below a thousand."""
    nodes = [OpcuaTag(f"t{i}", f"{PEER}V{i}", sampling_ns=0) for i in range(1000)]
    async with rig(foreign.url, nodes).running() as made:
        await made.seen.until(lambda: all(quality == Quality.GOOD for quality in made.image.quality))
        seen: list[list[int]] = [[] for _ in nodes]

        def note(frame: Any) -> None:
            for tag in frame.tags:
                seen[tag].append(made.image.i64[tag])

        made.seen.on_frame = note  # type: ignore[method-assign]
        await asyncio.sleep(3)
        traffic = await foreign.statistics()
    for values in seen:
        assert values == list(range(values[0], values[-1] + 1))
        assert len(values) > 20
    assert (made.poller.overflows, made.poller.gaps) == (0, 0)
    assert made.poller.skew_ns is not None
    assert abs(made.poller.skew_ns) < 2000 * MS
    assert set(traffic["requests"]).isdisjoint({"WriteRequest", "CallRequest"})


async def test_a_deadband_the_server_cannot_apply_costs_no_value(foreign: NodePeer) -> None:
    """Percent of a range the node does not have: refused by the server, so every change comes, and the fact says so."""
    percent = TagGroup("default", publishing_ns=100 * MS, deadband=Deadband.PERCENT, deadband_value=10.0)
    made = rig(foreign.url, [OpcuaTag("t", PEER + "V1", sampling_ns=0)], groups=(percent,))
    async with made.running():
        seen = Seen(made)
        await made.seen.until(lambda: len(seen.values) > 5)
    assert seen.lost == 0
    assert made.seen.facts[0].reason == "connected"
    assert any(words in made.seen.facts[0].detail for words in ("deadband", "死区"))


class Pauses:
    """Every pause the poller takes, s."""

    def __init__(self, made: Rig) -> None:
        self.taken: list[float] = []
        planned = made.poller._backoff.next_s

        def noted(reason: str = "") -> float:
            self.taken.append(planned(reason))
            return self.taken[-1]

        made.poller._backoff.next_s = noted  # type: ignore[method-assign]


async def test_killed_and_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One loss, one new session, COMM_LOST in between with the old value and time, then current values again: once it
    listens, after no more than the pause that was in force. Its namespace has another index then; `nsu=` follows it.
    """
    monkeypatch.setattr("edge.poll.backoff.PAUSE_CAP_S", 1.0)  # however long the server takes to start
    peer = NodePeer(tmp_path)
    peer.port = free_port()
    async with peer:
        async with rig(peer.url, [PEER + "Total", PEER + "Recipe"]).running() as made:
            pauses = Pauses(made)
            await made.seen.until(lambda: made.image.i64[0] >= 5)
            await peer.kill()
            await made.seen.until(lambda: made.quality() == Quality.COMM_LOST)
            assert made.quality(1) == Quality.COMM_LOST
            assert made.image.i64[0] >= 5
            assert made.image.t_ns[0] <= made.seen.facts[1].t_ns
            assert list(made.seen.facts[1].tags) == [0, 1]
            peer._options["shift"] = 3
            await peer.start()
            before = len(pauses.taken)
            await made.seen.until(lambda: made.quality() == Quality.GOOD and made.quality(1) == Quality.GOOD)
            assert len(pauses.taken) - before <= 1  # an attempt that was on its way as the server came up
            assert made.image.text[1] == "平面口罩"
            await asyncio.sleep(1)
            traffic = await peer.statistics()
            assert (traffic["sessions"], traffic["made"]) == (1, 1)
        ups = made.seen.ups
        assert (ups[0], ups[1][0], ups[-1]) == ((True, "connected"), False, (True, "connected"))
        assert len(set(ups[1:-1])) == len(ups[1:-1])  # each reason told once
        assert made.poller.stats.reconnects == 2


async def test_a_frozen_server_is_noticed(foreign: NodePeer) -> None:
    """The socket stays open and says nothing: within the watchdog the tags are COMM_LOST, and life goes on after."""
    async with rig(foreign.url, [PEER + "Total"], watchdog_ns=2000 * MS).running() as made:
        await made.seen.until(lambda: made.quality() == Quality.GOOD)
        foreign.freeze()
        loop = asyncio.get_running_loop()
        frozen = loop.time()
        await made.seen.until(lambda: made.quality() == Quality.COMM_LOST)
        assert 1.0 < loop.time() - frozen < 3.2
        assert made.seen.ups[-1] == (False, "watchdog")
        foreign.thaw()
        await made.seen.until(lambda: made.quality() == Quality.GOOD)
        assert made.poller.stats.timeouts == 1


async def test_structures_of_a_foreign_server(foreign: NodePeer) -> None:
    """A PackML-shaped count: fields behind nested and simple types, in arrays too, and an element of a plain array."""
    tags = [
        OpcuaTag("good", PEER + "Good", field="AccCount"),
        OpcuaTag("unit", PEER + "Good", field="Unit.UnitId"),
        OpcuaTag("mode", PEER + "Good", field="Mode"),
        OpcuaTag("cycle", PEER + "Good", field="Cycle"),
        OpcuaTag("name", PEER + "Good", field="Name"),
        OpcuaTag("second", PEER + "Processed", element=1, field="AccCount"),
        OpcuaTag("element", PEER + "Counts", element=2),
        OpcuaTag("wrong", PEER + "Good", field="Akk"),
    ]
    async with rig(foreign.url, tags).running() as made:
        await made.seen.until(lambda: made.quality(6) == Quality.GOOD and len(made.seen.facts) > 1)
        assert list(made.image.i64[:3]) == [123456, 4408652, 1]
        assert made.image.f64[3] == 480.5
        assert made.image.text == {4: "good"}
        assert list(made.image.i64[5:7]) == [2002, 9]
        assert made.quality(7) == Quality.BAD
        assert "AccCount" in made.seen.facts[-1].detail


# ── the process ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_modbus_only_agent_never_loads_asyncua() -> None:
    """Importing the factory costs no OPC UA stack, nor do the pure parts a checker of site files needs."""
    script = (
        "import sys, edge.poll.factory, protocols.opcua.tags, protocols.opcua.address, protocols.opcua.security;"
        "sys.exit('asyncua' in sys.modules or 'cryptography' in sys.modules)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
    assert await process.wait() == 0
