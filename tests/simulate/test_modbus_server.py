"""A foreign Modbus client sees a PLC: the values of the truth, faults when ordered, and nothing it could write to."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from fractions import Fraction

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from edge.clock import SystemClock
from edge.plan import ModbusDevice
from edge.simulate.journal import Journal
from edge.simulate.plant import Plant
from edge.simulate.site import demo_site, plan_of
from edge.simulate.world import World

TOTAL = 8  # offset of the counter in the reference block


class Time(SystemClock):
    """The machine's clock, and a way to be past a fault at once: no test hopes to be quicker than one that is short."""

    def skip(self, seconds: float) -> None:
        self._anchor_wall_ns += round(seconds * 1e9)


def skip(world: World, seconds: float) -> None:
    """So much later."""
    assert isinstance(world._clock, Time)
    world._clock.skip(seconds)


@asynccontextmanager
async def running(machines: int = 2, speed: int = 60) -> AsyncIterator[World]:
    clock = Time()
    plan = plan_of(demo_site(machines, protocols=("modbus",)))
    powered_on_ns = clock.now_ns() - 60_000_000_000  # long enough ago to be warm
    world = World(Plant(plan, 1, Fraction(speed), powered_on_ns, None), Journal(None), clock)
    await world.start()
    try:
        yield world
    finally:
        await world.close()


@asynccontextmanager
async def client_of(world: World, device: str = "plc-1", timeout: float = 30.0) -> AsyncIterator[AsyncModbusTcpClient]:
    endpoint = device_of(world, device).endpoint
    client = AsyncModbusTcpClient(endpoint.host, port=endpoint.port, timeout=timeout, retries=0, reconnect_delay=0)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


def device_of(world: World, name: str) -> ModbusDevice:
    return next(d for d in world.plan.devices if isinstance(d, ModbusDevice) and d.id == name)


def address_of(world: World, device: str, tag: str) -> int:
    return next(known.address for known in device_of(world, device).tags if known.name.endswith("." + tag))


async def raw(world: World, device: str, *frames: bytes, length: int = 11, within_s: float = 30.0) -> bytes:
    """Bytes back for bytes sent: `length` of them, or what came until silence."""
    endpoint = device_of(world, device).endpoint
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    writer.write(b"".join(frames))
    received = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while len(received) < length and (more := await reader.read(length)):
                received += more
    writer.close()
    return received


def read_frame(transaction: int, address: int, quantity: int = 1, unit: int = 1) -> bytes:
    return struct.pack(">HHHBBHH", transaction, 0, 6, unit, 3, address, quantity)


async def test_registers_agree_with_the_truth() -> None:
    """A 16-bit counter (Inovance) and a 32-bit one in CDAB order (Xinje), read between two looks at the truth."""
    async with running() as world:
        world.go()
        await asyncio.sleep(0.6)
        for device, machine, width in (("plc-1", "mask-1", 1), ("plc-2", "mask-2", 2)):
            async with client_of(world, device) as client:
                simulated = world.plant.machines[machine]
                simulated.live(world.now_ns())
                before = simulated.registers()["total"]
                reply = await client.read_holding_registers(address_of(world, device, "total"), count=width)
                value = client.convert_from_registers(
                    reply.registers,
                    client.DATATYPE.UINT16 if width == 1 else client.DATATYPE.UINT32,
                    word_order="little",
                )
                simulated.live(world.now_ns())
                assert before <= value <= simulated.registers()["total"]
                assert simulated.process.counts()[0] > 0


async def test_one_reply_is_one_consistent_sample() -> None:
    """Total = good + reject inside every reply, however fast the line runs."""
    async with running(speed=1000) as world:
        world.go()
        address = address_of(world, "plc-2", "total")
        async with client_of(world, "plc-2") as client:
            seen = set()
            for _ in range(200):
                reply = await client.read_holding_registers(address, count=6)
                words = iter(reply.registers)
                total, good, reject = (low | high << 16 for low, high in zip(words, words, strict=True))
                assert total == good + reject
                seen.add(total)
            assert len(seen) > 3


async def test_unmapped_addresses_units_and_writes_are_refused() -> None:
    async with running() as world, client_of(world) as client:
        base = address_of(world, "plc-1", "ready")
        assert (await client.read_holding_registers(base - 1)).exception_code == 2
        assert (await client.read_holding_registers(base, count=200 - 75)).exception_code == 2
        assert (await client.read_input_registers(base)).exception_code == 2
        assert (await client.read_holding_registers(base, device_id=9)).exception_code == 11
        assert (await client.write_register(base, 1)).exception_code == 1
        assert (await client.write_coil(0, True)).exception_code == 1
        assert world.writes_refused() == 2
        information = await client.read_device_information()
        assert information.information[1] == b"inovance-h5u"


async def test_requests_in_one_segment_are_answered_each_in_order() -> None:
    async with running() as world:
        base = address_of(world, "plc-1", "ready")
        answer = await raw(world, "plc-1", *(read_frame(n, base + n) for n in range(5)), length=55)
        assert [struct.unpack_from(">H", answer, 11 * n)[0] for n in range(5)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("code", "asked"), [(0, 4), (6, 6)])
async def test_exception_replies(code: int, asked: int) -> None:
    async with running() as world, client_of(world) as client:
        order = {"kind": "exception", "target": "plc-1", "for_s": 30, "code": code}
        world.inject(order)
        base = address_of(world, "plc-1", "ready")
        assert (await client.read_holding_registers(base)).exception_code == asked
        skip(world, 30)
        assert not (await client.read_holding_registers(base)).isError()


async def test_slow_and_mute_devices() -> None:
    async with running() as world, client_of(world) as client, client_of(world, timeout=0.25) as hasty:
        base = address_of(world, "plc-1", "ready")
        world.inject({"kind": "delay", "target": "plc-1", "for_s": 30, "delay_ms": 120})
        started = asyncio.get_running_loop().time()
        assert not (await client.read_holding_registers(base)).isError()
        assert asyncio.get_running_loop().time() - started >= 0.12
        skip(world, 30)
        world.inject({"kind": "no-reply", "target": "plc-1", "for_s": 30})
        with pytest.raises(ModbusIOException):
            await hasty.read_holding_registers(base)
        skip(world, 30)
        assert not (await client.read_holding_registers(base)).isError()


async def test_late_replies_overtake_nothing_and_come_after_all() -> None:
    """The late reply to the first request arrives after the reply to the second, with its own transaction id."""
    async with running() as world:
        base = address_of(world, "plc-1", "ready")
        endpoint = device_of(world, "plc-1").endpoint
        world.inject({"kind": "late", "target": "plc-1", "for_s": 30, "delay_ms": 1500})
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        writer.write(read_frame(1, base))
        for _ in range(20):  # turns of the loop, in which the server takes it
            await asyncio.sleep(0.002)
        skip(world, 30)
        writer.write(read_frame(2, base))
        transactions = [struct.unpack(">H", (await reader.readexactly(11))[:2])[0] for _ in range(2)]
        writer.close()
        assert transactions == [2, 1]


async def test_wrong_transaction_ids_and_truncated_frames() -> None:
    async with running() as world:
        base = address_of(world, "plc-1", "ready")
        world.inject({"kind": "wrong-transaction", "target": "plc-1", "for_s": 30})
        assert (await raw(world, "plc-1", read_frame(7, base)))[:2] == struct.pack(">H", 7 + 0x1234)
        skip(world, 30)
        world.inject({"kind": "truncate", "target": "plc-1", "for_s": 30})
        answer = await raw(world, "plc-1", read_frame(8, base), within_s=1.0)
        assert len(answer) == 9


async def test_frozen_values_while_the_machine_runs_on() -> None:
    async with running() as world, client_of(world) as client:
        world.go()
        address = address_of(world, "plc-1", "total")
        await asyncio.sleep(0.3)
        world.inject({"kind": "freeze", "target": "plc-1", "for_s": 10})
        assert not (await client.read_holding_registers(address)).isError()
        frozen = (await client.read_holding_registers(address)).registers
        made = world.plant.machines["mask-1"].process.counts()[0]
        await asyncio.sleep(0.3)
        assert (await client.read_holding_registers(address)).registers == frozen
        skip(world, 10)
        assert (await client.read_holding_registers(address)).registers > frozen
        assert world.plant.machines["mask-1"].process.counts()[0] > made


async def test_a_killed_server_resets_refuses_and_comes_back_with_the_counts_made_meanwhile() -> None:
    async with running() as world:
        world.go()
        endpoint = device_of(world, "plc-1").endpoint
        address = address_of(world, "plc-1", "total")
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        writer.write(read_frame(1, address))
        (before,) = struct.unpack(">H", (await reader.readexactly(11))[9:])
        world.inject({"kind": "server-down", "target": "plc-1", "for_s": 2})
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(endpoint.host, endpoint.port)
        assert not world.up("plc-1")
        assert world.up("plc-2")
        while not world.up("plc-1"):  # noqa: ASYNC110 - the world has no event for it
            await asyncio.sleep(0.05)
        (after,) = struct.unpack(">H", (await raw(world, "plc-1", read_frame(2, address)))[9:])
        assert after > before + 10


async def test_nonsense_on_the_wire_costs_its_sender_the_connection_and_nobody_else() -> None:
    async with running() as world, client_of(world) as client:
        endpoint = device_of(world, "plc-1").endpoint
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()
        assert not (await client.read_holding_registers(address_of(world, "plc-1", "ready"))).isError()
