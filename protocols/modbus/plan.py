"""From tags to requests: which blocks to read so that every tag is covered exactly once. Pure and printable.

Theory. A request costs far more than a register: on Ethernet a PLC answers once per scan (some 10 ms), and a register
on the wire costs 160 ns; on a 9600 baud line a request costs some 20 ms and a register 2.3 ms. So blocks are joined
across holes while that is cheaper than asking twice. Tags of one table and one interval are sorted by address; a block
is a run of neighbours in that order, and dynamic programming finds the cheapest legal way to cut the row into runs (at
equal cost the one with fewer requests).

Rules, all from `Limits`.
* No request is longer than `max_registers` / `max_bits` (nor than 125 / 2000, spec V1.1b3 §6.1-6.4), crosses a border,
  or touches a forbidden range, not even in a hole.
* No hole is wider than `max_gap`: registers nobody asked for may not exist, and one of them would refuse the whole
  block.
* A value is never split over two requests: two halves of one counter read at different moments make a third number.
* Tags that share registers (bits of a status word) share a request.
* The image order is the order of the plan: the tags of one request are neighbours, sorted by address.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from protocols.modbus.tags import DataType, Limits, ModbusTag, Table

SPEC_MAX_REGISTERS = 125
SPEC_MAX_BITS = 2000
GAP_BITS_PER_REGISTER = 16
_REGISTERS = {
    DataType.U32: 2,
    DataType.I32: 2,
    DataType.F32: 2,
    DataType.BCD32: 2,
    DataType.SM32: 2,
    DataType.U64: 4,
    DataType.I64: 4,
    DataType.F64: 4,
    DataType.BCD64: 4,
}
REQUEST_BYTES = 12  # MBAP header 7, function code 1, address 2, quantity 2
REPLY_BYTES = 9  # MBAP header 7, function code 1, byte count 1


@dataclass(frozen=True, slots=True)
class Request:
    """One read request and the tags it refreshes: image indices `first` … `first + count - 1`."""

    table: Table
    unit: int
    address: int
    quantity: int  # registers, or bits
    interval_ns: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Planned:
    """The tags in image order and the requests that cover each of them exactly once."""

    tags: tuple[ModbusTag, ...]
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Bus:
    """What time costs between gateway and PLC."""

    bits_per_s: int
    bits_per_byte: int  # on the wire: 8 on Ethernet, 11 with start, parity and stop bits
    frame_bytes: int  # overhead of one frame around the Modbus bytes
    turnaround_ns: int  # from the last byte of a request to the first of its reply


# Ethernet preamble 8, header 14, FCS 4, gap 12, IPv4 20, TCP 20; a PLC answers about once per scan.
ETHERNET = Bus(bits_per_s=100_000_000, bits_per_byte=8, frame_bytes=78, turnaround_ns=10_000_000)


class PlanError(ValueError):
    """A tag no legal request can read: a mistake in the site file or template. Names the tag, in both languages."""

    def __init__(self, tag: ModbusTag, zh: str, en: str) -> None:
        self.tag = tag
        self.zh = f"{tag.name}：{zh}"
        self.en = f"{tag.name}: {en}"
        super().__init__(self.en)


def width(kind: DataType) -> int | None:
    """Registers (bits in a bit table) that a value of this type takes; None for strings, whose tag says so."""
    return None if kind is DataType.STRING else _REGISTERS.get(kind, 1)


def bus_time_ns(request: Request, bus: Bus = ETHERNET) -> int:
    """Expected time from the first byte of the request to the last byte of its reply, ns."""
    return _bus_time_ns(request.table, request.quantity, bus)


def payload_bytes(table: Table, quantity: int) -> int:
    """Data bytes of a reply: two per register, or one per eight bits begun (spec V1.1b3 §6.1, §6.3)."""
    return (quantity + 7) // 8 if table.is_bits else 2 * quantity


def plan_requests(tags: Sequence[ModbusTag], limits: Limits, unit: int, bus: Bus = ETHERNET) -> Planned:
    """The cheapest legal requests that read all `tags`. Raises PlanError where a tag cannot be read at all."""
    ordered: list[ModbusTag] = []
    requests: list[Request] = []
    in_order = sorted(tags, key=lambda t: (t.interval_ns, t.table, t.address, t.registers, t.bit or 0))
    for (interval_ns, table), row in groupby(in_order, key=lambda t: (t.interval_ns, t.table)):
        rules = _Rules.of(table, limits)
        for run in _cut([_Span.of(tag, rules) for tag in row], rules, bus):
            start, end = run[0].start, max(span.end for span in run)
            requests.append(Request(table, unit, start, end - start, interval_ns, len(ordered), len(run)))
            ordered.extend(span.tag for span in run)
    return Planned(tuple(ordered), tuple(requests))


def _bus_time_ns(table: Table, quantity: int, bus: Bus) -> int:
    wire_bytes = 2 * bus.frame_bytes + REQUEST_BYTES + REPLY_BYTES + payload_bytes(table, quantity)
    return bus.turnaround_ns + wire_bytes * bus.bits_per_byte * 1_000_000_000 // bus.bits_per_s


@dataclass(frozen=True, slots=True)
class _Rules:
    """The limits of one table."""

    table: Table
    max_quantity: int
    max_gap: int
    borders: tuple[int, ...]
    forbidden: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, table: Table, limits: Limits) -> _Rules:
        return cls(
            table,
            min(limits.max_bits, SPEC_MAX_BITS) if table.is_bits else min(limits.max_registers, SPEC_MAX_REGISTERS),
            limits.max_gap * (GAP_BITS_PER_REGISTER if table.is_bits else 1),
            tuple(address for t, address in limits.borders if t is table),
            tuple((low, high) for t, low, high in limits.forbidden if t is table),
        )

    def crosses_border(self, start: int, end: int) -> bool:
        return any(start < border < end for border in self.borders)

    def touches_forbidden(self, start: int, end: int) -> bool:
        return any(start <= high and low < end for low, high in self.forbidden)


@dataclass(frozen=True, slots=True)
class _Span:
    """Addresses `start` … `end - 1` of one tag."""

    tag: ModbusTag
    start: int
    end: int

    @classmethod
    def of(cls, tag: ModbusTag, rules: _Rules) -> _Span:
        start, end = tag.address, tag.address + tag.registers
        if tag.registers < 1 or start < 0 or end > 65_536:
            raise PlanError(tag, "超出 Modbus 地址范围 0…65535", "lies outside the Modbus addresses 0 … 65535")
        if tag.type is DataType.BOOL and tag.bit is None and not tag.table.is_bits:
            raise PlanError(
                tag, "寄存器中的 bool 须写明位，例如 D100.0", "a bool in a register needs its bit, e.g. D100.0"
            )
        if tag.registers != (width(tag.type) or tag.registers):
            known = width(tag.type)
            raise PlanError(tag, f"{tag.type} 占 {known} 个寄存器", f"a {tag.type} takes {known} registers")
        if tag.registers > rules.max_quantity:
            raise PlanError(
                tag,
                f"长 {tag.registers}，而设备一次最多读 {rules.max_quantity}；数值不能分两次读",
                f"is {tag.registers} wide, the device gives {rules.max_quantity} at most, and a value is never split",
            )
        if rules.crosses_border(start, end):
            raise PlanError(tag, "跨越了设备不允许跨越的地址边界", "crosses a border that no request may cross")
        if rules.touches_forbidden(start, end):
            raise PlanError(tag, "位于禁止读取的地址范围内", "lies in a range that must never be read")
        return cls(tag, start, end)


def _cut(row: list[_Span], rules: _Rules, bus: Bus) -> list[list[_Span]]:
    """The cheapest legal runs. `best[i]` covers the first `i` spans: cost, requests, where its last run begins."""
    best: list[tuple[int, int, int]] = [(0, 0, 0)]
    never = (1 << 62, 0, 0)
    best.extend([never] * len(row))
    for begin in range(len(row)):
        cost, requests, _ = best[begin]
        for stop, quantity in _legal_runs(row, begin, rules):
            candidate = (cost + _bus_time_ns(rules.table, quantity, bus), requests + 1, begin)
            best[stop] = min(best[stop], candidate)
    cuts = [len(row)]
    while cuts[-1]:
        cuts.append(best[cuts[-1]][2])
    return [row[begin:stop] for stop, begin in pairwise(cuts)][::-1]


def _legal_runs(row: list[_Span], begin: int, rules: _Rules) -> Iterator[tuple[int, int]]:
    """Every (stop, quantity) such that one request may read the spans begin … stop-1; the first is the span alone."""
    start, end = row[begin].start, row[begin].end
    for i in range(begin, len(row)):
        hole = row[i].start - end
        end = max(end, row[i].end)
        too_far = hole > rules.max_gap or end - start > rules.max_quantity
        if too_far or rules.crosses_border(start, end) or rules.touches_forbidden(start, end):
            return
        yield i + 1, end - start
