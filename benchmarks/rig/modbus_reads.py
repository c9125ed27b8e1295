"""Reads of 125 holding registers, one after the other, by one of several clients; prints CPU nanoseconds a read.

    python modbus_reads.py CLIENT PORT READS

    bare        an asyncio protocol, the request packed once, the answer cut by its length; nothing is checked
    deadline    the same, and `asyncio.timeout` around each read: what every I/O needs at least
    rounds      the same at the times of `agent`: eight reads, then a pause
    pymodbus    its async client as people use it; its own timeout is the deadline
    client      `protocols.modbus.client`: deadline, transaction and unit checked, late and foreign frames recognised
    agent       `edge.poll` on top of it: due times, budget, decoding of 125 tags into the image, a frame upward; eight
                reads are due together, as on a PLC of 1,000 tags

All on uvloop. Each reads a tenth before it is measured.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop

HOST = "127.0.0.1"
REGISTERS = 125
DEADLINE_S = 1.0
TOGETHER, ROUND_S = 8, 0.002  # reads that are due together, and how often
_REQUEST = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 0, REGISTERS)

Read = Callable[[int], Awaitable[None]]  # so many reads


class Bare(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.buffer = b""
        self.answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if len(self.buffer) >= 6 and len(self.buffer) >= 6 + int.from_bytes(self.buffer[4:6], "big"):
            answer, self.answer, frame, self.buffer = self.answer, None, self.buffer, b""
            if answer is not None and not answer.done():
                answer.set_result(frame)

    async def read(self) -> tuple[int, ...]:
        assert self.transport
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(_REQUEST)
        frame = await self.answer
        values: tuple[int, ...] = struct.unpack_from(f">{REGISTERS}H", frame, 9)
        return values


async def bare(port: int) -> Read:
    _, protocol = await asyncio.get_running_loop().create_connection(Bare, HOST, port)

    async def reads(count: int) -> None:
        for _ in range(count):
            await protocol.read()

    return reads


async def deadline(port: int) -> Read:
    _, protocol = await asyncio.get_running_loop().create_connection(Bare, HOST, port)

    async def reads(count: int) -> None:
        for _ in range(count):
            async with asyncio.timeout(DEADLINE_S):
                await protocol.read()

    return reads


async def rounds(port: int) -> Read:
    _, protocol = await asyncio.get_running_loop().create_connection(Bare, HOST, port)
    loop = asyncio.get_running_loop()

    async def reads(count: int) -> None:
        due_s = loop.time()
        for _ in range(count // TOGETHER):
            for _ in range(TOGETHER):
                async with asyncio.timeout(DEADLINE_S):
                    await protocol.read()
            due_s = max(due_s + ROUND_S, loop.time())
            await asyncio.sleep(due_s - loop.time())

    return reads


async def pymodbus(port: int) -> Read:
    from pymodbus.client import AsyncModbusTcpClient

    there = AsyncModbusTcpClient(HOST, port=port, timeout=DEADLINE_S, retries=0)
    await there.connect()

    async def reads(count: int) -> None:
        for _ in range(count):
            answer = await there.read_holding_registers(0, count=REGISTERS, device_id=1)
            if answer.isError():
                raise RuntimeError(answer)

    return reads


async def client(port: int) -> Read:
    from protocols.modbus.client import ModbusClient
    from protocols.modbus.plan import Request
    from protocols.modbus.tags import Table, TcpEndpoint

    there = ModbusClient(TcpEndpoint(HOST, port, deadline_ns=round(DEADLINE_S * 1e9)))
    await there.connect()
    request = Request(Table.HOLDING_REGISTERS, 1, 0, REGISTERS, 10**9, 0, REGISTERS)

    async def reads(count: int) -> None:
        for _ in range(count):
            await there.read(request)

    return reads


async def agent(port: int) -> Read:
    from edge.clock import SystemClock
    from edge.plan import ModbusDevice
    from edge.poll.modbus import ModbusPoller
    from protocols.modbus.plan import plan_requests
    from protocols.modbus.tags import DataType, Limits, ModbusTag, Table, TcpEndpoint
    from protocols.reading import DeviceFact, Frame, TagImage

    class Counting:
        def __init__(self) -> None:
            self.frames = 0
            self.wanted = 0
            self.reached = asyncio.Event()

        def on_frame(self, frame: Frame) -> None:
            self.frames += 1
            if self.frames == self.wanted:
                self.reached.set()

        def on_fact(self, fact: DeviceFact) -> None:
            """Nothing."""

    interval_ns = round(ROUND_S * 1e9)
    tags = [
        ModbusTag(f"t{n}", Table.HOLDING_REGISTERS, n, DataType.U16, interval_ns=interval_ns)
        for n in range(TOGETHER * REGISTERS)
    ]
    limits = Limits(max_registers=REGISTERS, pause_ns=0, requests_per_s=0)
    planned = plan_requests(tags, limits, 1)
    endpoint = TcpEndpoint(HOST, port, deadline_ns=round(DEADLINE_S * 1e9))
    device = ModbusDevice(0, "plc", "generic-modbus", endpoint, limits, planned.tags, planned.requests)
    receiver = Counting()
    poller = ModbusPoller(device, TagImage(len(tags)), receiver, SystemClock())
    kept: list[asyncio.Task[None]] = []

    async def reads(count: int) -> None:
        receiver.wanted = receiver.frames + count
        receiver.reached.clear()
        if not kept:
            kept.append(asyncio.create_task(poller.run()))
        await receiver.reached.wait()

    return reads


CLIENTS = {"bare": bare, "deadline": deadline, "rounds": rounds, "pymodbus": pymodbus, "client": client, "agent": agent}


async def main(name: str, port: int, count: int) -> None:
    reads = await CLIENTS[name](port)
    await reads(count // 10)
    began_ns = time.process_time_ns()
    await reads(count)
    print(f"{(time.process_time_ns() - began_ns) / count:.1f}", flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
