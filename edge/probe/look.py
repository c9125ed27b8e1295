"""The registers around some tags, read as gently as the agent reads: one connection, the device's budget, reads only.

Theory. Around every tag lies a stretch of addresses in which its layouts are. Stretches that meet are read together, by
the same `Block` that reads a device's requests: what the device refuses is cut out by halving and left alone from then
on, so an illegal address costs the layouts that need it and nothing else. A value is taken from one reply only; two
halves of two replies would be a number that never was.

Rules.
* The configured place of a tag is asked for as a whole first: some PLCs refuse half of a 32-bit counter. Where the
  whole is refused its registers are asked for one by one.
* Forbidden ranges are never read, in the other table neither, and no request crosses the end of a vendor's area.
* Between requests lie the pauses of the device's limits. A busy device (exceptions 5, 6) is given time, a missed
  deadline is repeated once, a lost connection is made anew once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from edge.clock import Clock
from edge.errors import DeviceError, Text
from edge.plan import ModbusDevice
from edge.poll.block import Block
from edge.poll.schedule import Backoff, Budget
from edge.probe.judge import Glance, Value
from edge.probe.layouts import Layout
from protocols.modbus.client import ModbusClient
from protocols.modbus.decode import BlockDecoder, compile_request
from protocols.modbus.errors import (
    ILLEGAL_DATA_ADDRESS,
    ILLEGAL_DATA_VALUE,
    ILLEGAL_FUNCTION,
    ModbusConnectionError,
    ModbusError,
    ModbusExceptionReply,
    ModbusTimeout,
)
from protocols.modbus.identification import Identity
from protocols.modbus.plan import SPEC_MAX_BITS, SPEC_MAX_REGISTERS, Request
from protocols.modbus.tags import DataType, ModbusTag, Table
from protocols.reading import Quality, TagImage

_REFUSALS = (ILLEGAL_FUNCTION, ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE)
_BUSY = (5, 6)
_PATIENCE = 4  # times a busy device is asked again
_SETTLING = 3  # passes until what was refused is out of the way
_WIDEST = 4  # registers of a number

Span = tuple[Table, int, int]  # table, first address, one behind the last


@dataclass(slots=True)
class Asked:
    """What the probe cost the device."""

    requests: int = 0
    addresses: int = 0


class Surroundings:
    """Everything the layouts of some tags of one device need. `look` reads it."""

    def __init__(self, device: ModbusDevice, tags: Sequence[tuple[ModbusTag, Sequence[Layout]]], clock: Clock) -> None:
        self.device = device
        self.asked = Asked()
        self._client = ModbusClient(device.endpoint)
        self._clock = clock
        limits = device.limits
        self._budget = Budget(limits.pause_ns, limits.requests_per_s, 1, limits.occupancy)
        self._tags = tags
        self._blocks = [_block(span, [tag for tag, _ in tags], device) for span in _spans(device, tags)]
        self._decoders: dict[tuple[Request, int], tuple[tuple[int, ...], BlockDecoder]] = {}

    async def connect(self) -> None:
        """Raises ModbusError."""
        await self._client.connect()
        await asyncio.sleep(self.device.endpoint.connect_pause_ns / 1e9)

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._client.connected

    async def identify(self) -> Identity:
        """Who the device says it is (43/14). Raises ModbusError where it does not tell."""
        return await self._client.identify(self.device.unit)

    @property
    def refused(self) -> tuple[Span, ...]:
        """Addresses the device does not have (or does not read), as ranges."""
        found: list[Span] = []
        for block in self._blocks:
            tags, table = block.tags, block.request.table
            for index in block.refused_tags:
                start, end = tags[index].address, tags[index].address + tags[index].registers
                if found and found[-1][0] is table and found[-1][2] >= start:
                    found[-1] = (table, found[-1][1], max(end, found[-1][2]))
                else:
                    found.append((table, start, end))
        return tuple(found)

    async def look(self) -> list[Glance]:
        """For each tag what its layouts give now. Raises ModbusError where the device is not to be read."""
        for _ in range(_SETTLING):
            known = [block.refused_tags for block in self._blocks]
            replies = [reply for block in self._blocks for reply in await self._read(block)]
            settled = [block.refused_tags for block in self._blocks] == known
            self._blocks = [_singly(block, self.device) for block in self._blocks]
            if settled:
                break
        at_s = self._clock.monotonic_ns() / 1e9
        return [self._glance(place, layouts, replies, at_s) for place, (_, layouts) in enumerate(self._tags)]

    async def read_tag(self, tag: ModbusTag) -> Value:
        """One tag by the decoder the agent will have; None where it is BAD."""
        request = Request(tag.table, self.device.unit, tag.address, tag.registers, tag.interval_ns, 0, 1)
        payload = await self._ask(request)
        image = TagImage(1)
        compile_request(request, (tag,)).decode(payload, 0, image)
        return _value(tag, image, 0)

    # ── reading
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self, block: _Stretch) -> list[tuple[Request, bytes]]:
        """Every reply of one pass over a block; what is refused is halved in the same pass."""
        replies: list[tuple[Request, bytes]] = []
        for read in block.reads:
            block.todo.append(read)
        while block.todo:
            read = block.todo.pop()
            now_ns = self._clock.monotonic_ns()
            try:
                replies.append((read.request, await self._ask(read.request)))
            except ModbusExceptionReply as reply:
                if reply.code not in _REFUSALS:
                    raise
                block.refused(read, reply.code, now_ns)
            else:
                block.answered(read, now_ns)
        return replies

    async def _ask(self, request: Request) -> bytes:
        pauses, repeated = Backoff(first_s=0.1, cap_s=2.0), False
        for _ in range(_PATIENCE):
            try:
                return await self._ask_once(request)
            except ModbusExceptionReply as reply:
                if reply.code not in _BUSY:
                    raise
                await asyncio.sleep(pauses.next_s())
            except (ModbusTimeout, ModbusConnectionError):
                if repeated:
                    raise
                repeated = True
                if not self._client.connected:
                    await asyncio.sleep(pauses.next_s())
                    await self.connect()
        return await self._ask_once(request)

    async def _ask_once(self, request: Request) -> bytes:
        clock, budget = self._clock, self._budget
        free_ns = budget.free_ns() or 0
        await asyncio.sleep(max(0, free_ns - clock.monotonic_ns()) / 1e9)
        start_ns = clock.monotonic_ns()
        budget.start(start_ns)
        self.asked.requests += 1
        self.asked.addresses += request.quantity
        try:
            return await self._client.read(request)
        finally:
            budget.end(start_ns, clock.monotonic_ns())

    # ── decoding
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _glance(
        self, place: int, layouts: Sequence[Layout], replies: Sequence[tuple[Request, bytes]], at_s: float
    ) -> Glance:
        values: list[Value] = [None] * len(layouts)
        raws = [b""] * len(layouts)
        for request, payload in replies:
            inside, decoder = self._decoder(request, place, layouts)
            if not inside:
                continue
            image = TagImage(len(inside))
            decoder.decode(payload, 0, image)
            for at, index in enumerate(inside):
                if not raws[index]:
                    tag = layouts[index].tag
                    values[index] = _value(tag, image, at)
                    raws[index] = _raw(tag, request, payload)
        return Glance(at_s, tuple(values), tuple(raws))

    def _decoder(self, request: Request, place: int, layouts: Sequence[Layout]) -> tuple[tuple[int, ...], BlockDecoder]:
        """The layouts of a tag that lie within a request, and a decoder of all of them at once."""
        known = self._decoders.get((request, place))
        if known is None:
            end = request.address + request.quantity
            inside = tuple(
                index
                for index, layout in enumerate(layouts)
                if layout.tag.table is request.table
                and request.address <= layout.tag.address
                and layout.tag.address + layout.tag.registers <= end
            )
            whole = replace(request, first=0, count=len(inside))
            known = inside, compile_request(whole, [layouts[index].tag for index in inside])
            self._decoders[request, place] = known
        return known


def _value(tag: ModbusTag, image: TagImage, at: int) -> Value:
    if image.quality[at] != Quality.GOOD:
        return None
    if tag.type is DataType.STRING:
        return image.text.get(at, "")
    if tag.type is DataType.BOOL or ((tag.scale, tag.offset) == (1.0, 0.0) and tag.range_map is None):
        whole = image.i64[at]
        return whole if image.f64[at] == whole or abs(whole) > 1 << 53 else image.f64[at]
    return image.f64[at]


def _raw(tag: ModbusTag, request: Request, payload: bytes) -> bytes:
    """The registers a layout is made of; of a bit table the bit, as a byte."""
    offset = tag.address - request.address
    if tag.table.is_bits:
        return bytes((payload[offset // 8] >> offset % 8 & 1,))
    return payload[2 * offset : 2 * (offset + tag.registers)]


class _Stretch(Block):
    """A stretch of addresses to be read in pieces no longer than the device takes."""

    def __init__(self, request: Request, tags: Sequence[ModbusTag]) -> None:
        super().__init__(request, tags)
        self.tags = tags


def _spans(device: ModbusDevice, tags: Sequence[tuple[ModbusTag, Sequence[Layout]]]) -> list[Span]:
    """Stretches that hold all layouts: joined where they meet, cut at borders and forbidden ranges and to length.

    Pieces of one stretch overlap by what a number may be wide, so that each lies in one piece as a whole.
    """
    limits = device.limits
    needed = {
        (layout.tag.table, layout.tag.address, layout.tag.address + layout.tag.registers)
        for _, layouts in tags
        for layout in layouts
    }
    spans: list[Span] = []
    for table in Table:
        barred = [(low, high + 1) for where, low, high in limits.forbidden if where.is_bits == table.is_bits]
        borders = [at for where, at in limits.borders if where is table]
        most = min(limits.max_bits, SPEC_MAX_BITS) if table.is_bits else min(limits.max_registers, SPEC_MAX_REGISTERS)
        for low, high in _joined((low, high) for where, low, high in needed if where is table):
            for start, end in _without(low, high, barred):
                for first, last in _cut(start, end, borders):
                    spans += [(table, a, b) for a, b in _pieces(first, last, most, 0 if table.is_bits else _WIDEST)]
    return spans


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined


def _without(low: int, high: int, barred: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    left, start = [], low
    for first, last in sorted(barred):
        if first < high and last > start:
            left.append((start, first))
            start = max(start, last)
    left.append((start, high))
    return [(a, b) for a, b in left if a < b]


def _cut(low: int, high: int, borders: Iterable[int]) -> list[tuple[int, int]]:
    ends = [low, *sorted({at for at in borders if low < at < high}), high]
    return list(pairwise(ends))


def _pieces(low: int, high: int, most: int, overlap: int) -> list[tuple[int, int]]:
    pieces = []
    while high - low > most:
        pieces.append((low, low + most))
        low += max(1, most - overlap)
    return [*pieces, (low, high)]


def _block(span: Span, tags: Sequence[ModbusTag], device: ModbusDevice) -> _Stretch:
    """A block whose atoms are single addresses, but for configured places, which are whole."""
    table, low, high = span
    own = {(tag.address, tag.registers) for tag in tags if tag.table is table and not table.is_bits}
    wide = {(at, count) for at, count in own if count > 1 and low <= at and at + count <= high}
    kind = DataType.BOOL if table.is_bits else DataType.U16
    places = sorted({(at, 1) for at in range(low, high)} | wide, key=lambda place: (place[0], place[1]))
    parts = tuple(ModbusTag(f"{at}", table, at, kind, registers=count) for at, count in places)
    request = Request(table, device.unit, low, high - low, 1_000_000_000, 0, len(parts))
    return _Stretch(request, parts)


def _singly(block: _Stretch, device: ModbusDevice) -> _Stretch:
    """The same stretch by single addresses, where a place of several was refused as a whole."""
    if all(block.tags[index].registers == 1 for index in block.refused_tags):
        return block
    asked = block.request
    return _block((asked.table, asked.address, asked.address + asked.quantity), (), device)


def device_error(device: ModbusDevice, error: ModbusError) -> DeviceError:
    """For people: which device, what, and what to look at besides."""
    hint = Text(
        "；采集代理若正在读这台设备，可能占用了它唯一的连接，请先停止代理",
        "; an agent that is reading this device may hold its only connection: stop it for the probe",
    )
    return DeviceError(f"{device.id}: {Text(error.zh, error.en)}{hint}")
