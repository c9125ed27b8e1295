"""Promises: what a server remembers of an outage is heard late, in its time; where it remembers nothing, nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from asyncua import ua
from fixtures.ports import free_port
from peers.asyncua_server import Plant, plant
from peers.opcua_restarts import restart
from peers.opcua_rig import MS, Rig, rig

from edge.clock import SystemClock
from edge.machines.past import repeated
from edge.plan import OpcuaDevice
from edge.poll.heard import Heard, Last
from edge.poll.past import Gap, readings_of
from protocols.opcua.tags import OpcuaEndpoint, OpcuaTag
from protocols.opcua.wire import DataValues
from protocols.reading import Past, Quality, Remembered

pytestmark = pytest.mark.asyncio(loop_scope="module")
S = 1_000_000_000
T0 = 1_800_000_000 * S
UINT32 = ua.VariantType.UInt32


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Plant]:
    with pytest.MonkeyPatch.context() as patch:
        async with plant(patch, free_port()) as made:
            yield made


async def test_an_outage_is_filled_from_history(server: Plant) -> None:
    """The server goes on counting while nobody hears it: each step comes as a reading of the past, by its source time;
    the image holds what is now; a node without history gives nothing."""
    kept = await server.add("Kept", 0, UINT32)
    await server.add("Forgotten", 0, UINT32)
    await server.server.iserver.enable_history_data_change(kept)
    nodes = [f"ns={server.ns};s=Kept", f"ns={server.ns};s=Forgotten"]
    made = rig(server.url, [OpcuaTag(f"t{i}", node, sampling_ns=50 * MS) for i, node in enumerate(nodes)])
    async with made.running():
        await made.seen.until(lambda: made.quality() == Quality.GOOD and made.quality(1) == Quality.GOOD)
        await server.server.bserver.stop()
        await made.seen.until(lambda: made.quality() == Quality.COMM_LOST)
        for value in range(1, 9):
            await kept.write_value(value, UINT32)
            await asyncio.sleep(0.02)
        await restart(server)
        await made.seen.until(lambda: bool(made.seen.pasts))
        (past,) = made.seen.pasts
        steps = [one.i64 for one in past.readings]
        assert [value for value in steps if value] == list(range(1, 9))
        assert {one.tag for one in past.readings} == {0}
        assert {one.quality for one in past.readings} == {Quality.GOOD}
        assert all(past.from_ns <= one.t_ns <= past.to_ns for one in past.readings)
        assert made.image.i64[0] == 8
        assert made.poller.from_history == len(past.readings)
    assert "HistoryUpdateRequest" not in server.services


async def test_without_history_nothing_is_made_up(server: Plant) -> None:
    """The session begins anew, and no reading of the past is told."""
    await server.add("Plain", 3, UINT32)
    made = rig(server.url, [f"ns={server.ns};s=Plain"])
    async with made.running():
        await made.seen.until(lambda: made.quality() == Quality.GOOD)
        await restart(server)
        await made.seen.until(lambda: made.poller.sessions == 2 and made.quality() == Quality.GOOD)
        await asyncio.sleep(0.5)
    assert not made.seen.pasts


async def test_pages_are_followed_to_their_end(server: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """More values than a page holds, and no more than are wanted."""
    from protocols.opcua.client import OpcuaClient

    kept = await server.add("Paged", 0, UINT32)
    await server.server.iserver.enable_history_data_change(kept, count=500)
    began = datetime.now(UTC)
    for value in range(1, 121):
        at = began + timedelta(milliseconds=value)
        await kept.write_value(ua.DataValue(ua.Variant(value, UINT32), SourceTimestamp=at))
    client = OpcuaClient(OpcuaEndpoint(server.url, security="None"), [OpcuaTag("paged", f"ns={server.ns};s=Paged")])
    await client.connect()
    storage = server.server.iserver.history_manager.storage
    monkeypatch.setattr(storage, "max_history_data_response_size", 50)
    from_ns = int(began.timestamp() * 1e9)
    history = await client.history()
    whole = await history.read(from_ns + MS // 2, from_ns + 10 * S, 1000)
    assert (whole.data.values, whole.whole) == (list(range(1, 121)), True)
    assert client.of_tags(whole.data).handles == [0] * 120
    part = await history.read(from_ns + MS // 2, from_ns + 10 * S, 70)
    assert (part.data.values, part.whole) == (list(range(1, 71)), False)
    assert await client.close()


@dataclass
class Archive:
    """How the server answers HistoryRead: what a node refuses, and how many values it hands out without a word."""

    refused: dict[str, int] = field(default_factory=dict)  # name of the node → StatusCode
    bounds: bool = True  # bounding values are understood
    points: int = 1 << 30  # values of an answer for which a continuation point is to be had
    asked: list[ua.ReadRawModifiedDetails] = field(default_factory=list)


@pytest.fixture
def archive(server: Plant, monkeypatch: pytest.MonkeyPatch) -> Archive:
    made = Archive()
    manager = server.server.iserver.history_manager
    read = manager._read_history

    async def answer(details: ua.ReadRawModifiedDetails, wanted: ua.HistoryReadValueId) -> ua.HistoryReadResult:
        made.asked.append(details)
        code = made.refused.get(wanted.NodeId.Identifier, 0)
        if not code and details.ReturnBounds and not made.bounds:
            code = 0x80D80000
        result = await read(details, wanted)
        if not code and len(result.HistoryData.DataValues) > made.points:
            code = 0x804B0000
        return ua.HistoryReadResult(StatusCode=ua.StatusCode(code)) if code else result

    monkeypatch.setattr(manager, "_read_history", answer)
    return made


async def remembering(server: Plant, name: str, values: int) -> str:
    """A node with so many values in its history, a millisecond apart, up to now; its address."""
    node = await server.add(name, 0, UINT32)
    await server.server.iserver.enable_history_data_change(node)
    began = datetime.now(UTC) - timedelta(milliseconds=values)
    kept = server.server.iserver.history_manager.storage._datachanges[node.nodeid]
    for value in range(1, values + 1):
        at = began + timedelta(milliseconds=value)
        kept.append(ua.DataValue(ua.Variant(value, UINT32), SourceTimestamp=at))
    return f"ns={server.ns};s={name}"


def off_for(made: Rig, seconds: int, skew_s: int = 0) -> None:
    """As if the gateway had heard the server so long ago, and not since."""
    made.heard.note(made.device.id, made.device.endpoint.url, SystemClock().now_ns() - seconds * S, skew_s * S)


def filled(made: Rig, tag: int = 0) -> list[int]:
    return [one.i64 for past in made.seen.pasts for one in past.readings if one.tag == tag and one.i64]


@pytest.mark.parametrize("unlucky", ["bounds", "points", "parts"])
async def test_however_much_a_server_keeps_it_comes_in_parts(
    server: Plant, archive: Archive, unlucky: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that knows no bounding values, one that has continuation points for little, and more history than fits
    into one part: every value comes, once and in order, in parts of bounded size."""
    monkeypatch.setattr("edge.poll.opcua_history._PAUSE_S", 0.0)
    monkeypatch.setattr(Gap, "LEAST_NS", S // 10)
    monkeypatch.setattr(Gap, "PART_VALUES", 700 if unlucky == "parts" else 5000)
    archive.bounds = unlucky != "bounds"
    archive.points = 400 if unlucky == "points" else archive.points
    made = rig(server.url, [await remembering(server, f"Much-{unlucky}", 3000)])
    off_for(made, 60)
    async with made.running():
        await made.seen.until(lambda: len(filled(made)) >= 3000, 20)
    assert filled(made) == list(range(1, 3001))
    assert max(len(past.readings) for past in made.seen.pasts) <= 2 * Gap.PART_VALUES
    assert len(made.seen.pasts) > 1


async def test_a_node_that_has_no_history_after_all_costs_the_others_nothing(server: Plant, archive: Archive) -> None:
    """It says it has one and answers BadHistoryOperationUnsupported: asked once and left out."""
    names = [await remembering(server, name, 20) for name in ("Claims", "Keeps")]
    archive.refused["Claims"] = 0x80720000
    made = rig(server.url, names)
    off_for(made, 60)
    async with made.running():
        await made.seen.until(lambda: bool(filled(made, 1)))
        assert made.quality() == Quality.GOOD
    assert filled(made, 1) == list(range(1, 21))
    assert not filled(made, 0)


async def test_a_clock_that_was_set_leaves_the_gap_as_it_is(server: Plant) -> None:
    """An hour between the clocks that was not there before: no time of the history can be believed."""
    made = rig(server.url, [await remembering(server, "Set", 20)])
    off_for(made, 60, skew_s=3600)
    async with made.running():
        await made.seen.until(lambda: made.quality() == Quality.GOOD)
        await asyncio.sleep(0.5)
        assert not made.seen.pasts
        assert made.poller.sessions == 1


async def test_what_was_heard_is_remembered_by_address() -> None:
    """Across a restart, of the same server only; an edited store is no reason to fail."""
    heard = Heard()
    heard.note("press", "opc.tcp://a:4840", 5, None)
    heard.note("lathe", "opc.tcp://b:4840/x y", 7, -3)
    texts = dict(heard.take())
    assert heard.take() == []
    again = Heard()
    again.fill({**texts, "learned:press": "x"})
    assert again.recall("press", "opc.tcp://a:4840") == Last(5, None)
    assert again.recall("lathe", "opc.tcp://b:4840/x y") == Last(7, -3)
    assert again.recall("press", "opc.tcp://b:4840") is None
    assert again.recall("other", "opc.tcp://b:4840") is None
    again.fill({"heard:press": "often 3 opc.tcp://a:4840"})
    assert again.recall("press", "opc.tcp://a:4840") is None


def history(*entries: tuple[int, object, int]) -> DataValues:
    """Source time, value and status of one tag."""
    data = DataValues()
    for t_ns, value, status in entries:
        data.extend(DataValues([0], [value], [status], [t_ns], [0]))
    return data


async def test_history_becomes_readings_in_our_time(server: Plant) -> None:
    """The clocks' difference is taken off; what stood before is told apart, what is bad stays bad and what is beyond
    the gap is left out; a number keeps its scale."""
    tag = OpcuaTag("t", "i=1", scale=0.5)
    device = OpcuaDevice(2, "d", "generic", OpcuaEndpoint("opc.tcp://h"), (tag,))
    skew_ns = 3600 * S
    data = history(
        (T0 + skew_ns - S, 1, 0),
        (T0 + skew_ns + S, 5, 0),
        (T0 + skew_ns + 6 * S, 0, 0x80310000),
        (T0 + skew_ns + 8 * S, float("nan"), 0),
        (T0 + skew_ns + 9 * S, 7, 0x40000000),
        (T0 + skew_ns + 13 * S, 8, 0),
    )
    readings, standing = readings_of(device, data, (T0, T0 + 12 * S), skew_ns)
    assert [((one.t_ns - T0) / S, one.i64, one.f64, one.quality) for one in readings] == [
        (1, 5, 2.5, Quality.GOOD),
        (6, 0, 0.0, Quality.COMM_LOST),
        (8, 0, 0.0, Quality.BAD),
        (9, 7, 3.5, Quality.UNCERTAIN),
    ]
    assert standing == {0: Remembered(T0, 0, 1, Quality.GOOD, 0.5)}


async def test_a_gap_is_asked_for_in_parts_and_not_without_end(server: Plant) -> None:
    """An hour at a time, oldest on top of the stack; of a gap of days, the last twelve hours; a clock that was set in
    between is noticed, one that drifted is not."""
    parts = Gap(T0, T0 + 100 * 3600 * S).parts()
    assert len(parts) == 12
    assert parts[-1][0] == T0 + 88 * 3600 * S
    assert parts[0][1] == T0 + 100 * 3600 * S
    assert Gap(T0, T0 + S).parts() == [(T0, T0 + S)]
    assert Gap(T0, T0 + 3600 * S, 5 * S).set_by_ns(7 * S) == 0
    assert Gap(T0, T0 + 10 * S, 5 * S).set_by_ns(8 * S) == 3 * S
    assert Gap(T0, T0 + 10 * S).set_by_ns(8 * S) == 0


async def test_what_stands_is_repeated_and_what_is_bad_ends(server: Plant) -> None:
    """A value stands until the next entry, on a grid that the signals of a machine share; a bad one ends it; the last
    one stands only where the device still says so; nothing stands across a start of the device."""

    def one(second: float, value: int, tag: int = 0, quality: Quality = Quality.GOOD) -> Remembered:
        return Remembered(T0 + round(second * S), tag, value, quality)

    def told(past: Past) -> list[tuple[float, int, int, int]]:
        return [((t - T0) / S, *rest) for t, *rest in repeated(past, {0: [4]}, 4 * S)]

    entries = (one(1, 5), one(6, 0, 0, Quality.BAD), one(9, 7), one(9, 3, 1))
    past = Past(2, T0, T0 + 13 * S, entries, (one(0, 4),), frozenset((0,)))
    held = [(0, 4, 4, 0), (1, 4, 5, 0), (2, 4, 5, 0), (4, 4, 5, 0), (6, 4, 0, 2)]
    assert told(past) == [*held, (9, 4, 7, 0), (10, 4, 7, 0), (12, 4, 7, 0)]
    assert told(replace(past, steady=frozenset())) == [*held, (9, 4, 7, 0)]
    assert told(replace(past, began_ns=T0 + 3 * S)) == [
        *((0, 4, 4, 0), (1, 4, 5, 0), (6, 4, 0, 2)),
        *((9, 4, 7, 0), (10, 4, 7, 0), (12, 4, 7, 0)),
    ]
