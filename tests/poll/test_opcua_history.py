"""Promises: what a server remembers of an outage is heard late, in its time; where it remembers nothing, nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from asyncua import ua
from fixtures.ports import free_port
from peers.asyncua_server import Plant, plant
from peers.opcua_restarts import restart
from peers.opcua_rig import MS, rig

from edge.plan import OpcuaDevice
from edge.poll.past import STEP_NS, Gap, past_of
from protocols.opcua.tags import OpcuaEndpoint, OpcuaTag
from protocols.opcua.wire import DataValues
from protocols.reading import Quality

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


async def test_pages_are_followed_to_their_end(server: Plant) -> None:
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
    from_ns = int(began.timestamp() * 1e9)
    (whole,) = await client.history(from_ns + MS // 2, from_ns + 10 * S, 1000)
    assert whole.values == list(range(1, 121))
    assert whole.handles == [0] * 120
    (part,) = await client.history(from_ns + MS // 2, from_ns + 10 * S, 50)
    assert part.values == list(range(1, 51))
    assert await client.close()


def history(*entries: tuple[int, object, int]) -> DataValues:
    """Source time, value and status of one tag."""
    data = DataValues()
    for t_ns, value, status in entries:
        data.extend(DataValues([0], [value], [status], [t_ns], [0]))
    return data


async def test_what_stands_is_repeated_and_what_is_bad_ends(server: Plant) -> None:
    """A value stands until the next entry, on a grid; a bad status ends it; the clocks' difference is taken off;
    nothing lies outside the gap."""
    device = OpcuaDevice(2, "d", "generic", OpcuaEndpoint("opc.tcp://h"), (OpcuaTag("t", "i=1"),))
    skew_ns = 3600 * S
    found = [
        history(
            (T0 + skew_ns - S, 1, 0),
            (T0 + skew_ns + S, 5, 0),
            (T0 + skew_ns + 6 * S, 0, 0x80310000),
            (T0 + skew_ns + 8 * S, float("nan"), 0),
            (T0 + skew_ns + 9 * S, 7, 0x40000000),
        )
    ]
    past = past_of(device, found, Gap(T0, T0 + 12 * S), skew_ns)
    assert (past.device, past.from_ns, past.to_ns) == (2, T0, T0 + 12 * S)
    assert [((one.t_ns - T0) / S, one.i64) for one in past.readings] == [
        *((1, 5), (2, 5), (4, 5)),
        *((9, 7), (10, 7)),
    ]
    assert past.readings[-1].quality is Quality.UNCERTAIN
    assert STEP_NS == 2 * S
    long = Gap(T0, T0 + 100 * 3600 * S)
    assert long.bounded()[1] - long.bounded()[0] == Gap.SPAN_NS
