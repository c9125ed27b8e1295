"""From tags to requests: which blocks to read so that every tag is covered exactly once. Pure and printable.

Theory. A request costs far more than a register (`bus.py` says how much), so blocks are joined across holes while that
is cheaper than asking twice. What is minimised is the time the connection is busy per second, the pause after each
reply included: Σ time(request) / interval(request).

The tags of one table are sorted by address. Where a request could not go on (a hole too wide, a border, a forbidden
range) the row falls into islands, which are planned apart. Within an island only the longest request limits, and time
is a line in the length of a request. So the cheapest cut of n tags into runs of neighbours is a shortest path whose
best predecessor is the minimum of a sliding window: O(n) per rate (`_cut`). No other grouping is cheaper: of two
requests the one that begins later may take over every tag that begins no earlier than it, and neither grows.

Rates. Tags of several intervals in one island are planned both ways: each interval by itself, and all in one row where
a request is read at the interval of its fastest tag. The cheaper way is taken, the first at equal cost. So a slow tag
rides in a fast request where that is cheaper than asking for it by itself; it is never read more seldom than it asks.

Rules.
* No request is longer than `max_registers` / `max_bits` (nor than 125 / 2000, spec V1.1b3 §6.1-6.4), crosses a border,
  or touches a forbidden range, not even in a hole.
* A hole is a run of addresses that no tag of the device names; none is wider than `max_gap`: registers nobody asked for
  may not exist, and one of them would refuse the whole block.
* A value is never split over two requests: two halves of one counter read at different moments make a third number.
* Tags that lie within one another (bits of a status word) share a request.
* The image order is the order of the plan: the tags of one request are neighbours, sorted by address.
* What was learned of a device narrows its requests and leaves out tags it refuses. It never moves a tag in the image,
  and a tag that is wider than a learned length is still asked for, alone.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import lcm
from typing import NamedTuple

from protocols.modbus.bus import ETHERNET, Bus
from protocols.modbus.tags import DataType, Learned, Limits, ModbusTag, Table

SPEC_MAX_REGISTERS = 125
SPEC_MAX_BITS = 2000
GAP_BITS_PER_REGISTER = 16
ADDRESSES = 65_536
NOTHING = Learned()
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
_INTEGERS = (DataType.U16, DataType.I16, DataType.U32, DataType.I32, DataType.U64, DataType.I64)


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
    """The tags in image order and the requests that cover each of them exactly once, but for those left out."""

    tags: tuple[ModbusTag, ...]
    requests: tuple[Request, ...]
    left_out: tuple[int, ...] = ()  # image indices of tags at addresses the device refuses


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
    return bus.read_ns(request.table, request.quantity)


def plan_requests(
    tags: Sequence[ModbusTag], limits: Limits, unit: int, bus: Bus = ETHERNET, learned: Learned = NOTHING
) -> Planned:
    """The cheapest legal requests that read all `tags`. Raises PlanError where a tag cannot be read at all.

    The order of the result does not depend on `learned`; planned again in that order, the tags stay where they are.
    """
    rows: list[_Row] = []
    for table in Table:
        rules = _Rules.of(table, limits)
        spans = sorted(_span(number, tag, rules) for number, tag in enumerate(tags) if tag.table is table)
        cost = _Cost.of(table, limits, bus)
        for island in _islands(spans, rules):
            rows.extend(_Row(table, way) for way in _cheapest_way(island, rules.max_quantity, cost))
    rows.sort(key=lambda row: (min(span.interval_ns for span in row.spans), row.table, row.spans[0].start))

    ordered: list[ModbusTag] = []
    requests: list[Request] = []
    left_out: list[int] = []
    for row in rows:
        rules = _Rules.of(row.table, limits, learned)
        cost = _Cost.of(row.table, limits, bus)
        numbered = list(enumerate(row.spans, len(ordered)))
        ordered.extend(span.tag for span in row.spans)
        left_out.extend(at for at, span in numbered if rules.refuses(span))
        for piece in _pieces(numbered, rules):
            items = _items(piece)
            runs = _cut(items, rules.max_quantity, cost, _per_round(item.interval_ns for item in items)).runs
            requests.extend(_request(row.table, unit, run) for run in runs)
    return Planned(tuple(ordered), tuple(requests), tuple(left_out))


class _Span(NamedTuple):
    """Addresses `start` … `end - 1` of one tag. Spans sort as the image does."""

    start: int
    end: int
    bit: int
    number: int  # of the tag in what was given: keeps the order of equals
    interval_ns: int
    tag: ModbusTag


class _Row(NamedTuple):
    """Tags that may share requests, in image order."""

    table: Table
    spans: Sequence[_Span]


class _Item(NamedTuple):
    """Tags within one another: whoever reads the widest reads all. Starts and ends of items both ascend."""

    start: int
    end: int
    interval_ns: int  # of the fastest
    first: int  # image index
    tags: int  # how many


class _Cut(NamedTuple):
    """A way to read items, and what it costs: comparable where the rates are the same."""

    cost: int
    runs: list[list[_Item]]


@dataclass(frozen=True, slots=True)
class _Cost:
    """Time of a request, pause included, as a line in its length; in ticks (see `Bus`)."""

    request: int
    unit: int  # addresses that share one unit of data: 1 register, or 8 bits of a byte
    per_unit: int

    @classmethod
    def of(cls, table: Table, limits: Limits, bus: Bus) -> _Cost:
        pause = limits.pause_ns * bus.bits_per_s
        unit, unit_bytes = (8, 1) if table.is_bits else (1, 2)
        return cls(bus.request_ticks + pause, unit, unit_bytes * bus.byte_ticks)


class _Ranges:
    """Inclusive ranges of addresses, merged and sorted."""

    __slots__ = ("_highs", "_lows")

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self._lows: list[int] = []
        self._highs: list[int] = []
        for low, high in sorted(ranges):
            if self._highs and low <= self._highs[-1] + 1:
                self._highs[-1] = max(self._highs[-1], high)
            else:
                self._lows.append(low)
                self._highs.append(high)

    def touch(self, start: int, end: int) -> bool:
        """True where one of `start` … `end - 1` lies in a range."""
        at = bisect_left(self._highs, start)
        return at < len(self._lows) and self._lows[at] < end


@dataclass(frozen=True, slots=True)
class _Rules:
    """The limits of one table."""

    is_bits: bool
    max_quantity: int
    max_gap: int
    borders: tuple[int, ...]  # ascending
    forbidden: _Ranges
    bad: _Ranges

    @classmethod
    def of(cls, table: Table, limits: Limits, learned: Learned = NOTHING) -> _Rules:
        if table.is_bits:
            longest, known = min(limits.max_bits, SPEC_MAX_BITS), learned.max_bits
        else:
            longest, known = min(limits.max_registers, SPEC_MAX_REGISTERS), learned.max_registers
        return cls(
            table.is_bits,
            longest if known is None else max(1, min(longest, known)),
            limits.max_gap * (GAP_BITS_PER_REGISTER if table.is_bits else 1),
            tuple(sorted(address for t, address in limits.borders if t is table)),
            _Ranges((low, high) for t, low, high in limits.forbidden if t is table),
            _Ranges((low, high) for t, low, high in learned.bad if t is table),
        )

    def joins(self, end: int, start: int) -> bool:
        """True where a request may go on over the hole from `end` to `start` (none where they overlap)."""
        if start < end:
            return True
        if start - end > self.max_gap or self.forbidden.touch(end, start):
            return False
        return bisect_left(self.borders, end) == bisect_right(self.borders, start)

    def crosses_border(self, start: int, end: int) -> bool:
        return bisect_right(self.borders, start) < bisect_left(self.borders, end)

    def refuses(self, span: _Span) -> bool:
        """True where the device is known to refuse the tag."""
        return self.bad.touch(span.start, span.end)


def _span(number: int, tag: ModbusTag, rules: _Rules) -> _Span:
    """Where a tag lies, checked: nothing that passes here is unreadable by itself."""
    start, end, known = tag.address, tag.address + tag.registers, width(tag.type)
    if tag.registers < 1 or start < 0 or end > ADDRESSES:
        raise PlanError(tag, "超出 Modbus 地址范围 0…65535", "lies outside the Modbus addresses 0 … 65535")
    if tag.type is DataType.BOOL and tag.bit is None and not rules.is_bits:
        raise PlanError(tag, "寄存器中的 bool 须写明位，例如 D100.0", "a bool in a register needs its bit, e.g. D100.0")
    if known is not None and tag.registers != known:
        raise PlanError(tag, f"{tag.type} 占 {known} 个寄存器", f"a {tag.type} takes {known} registers")
    if tag.bits is not None and not _has_field(tag, tag.bits):
        zh = f"{tag.type} 没有从位 {tag.bit or 0} 起的 {tag.bits} 位"
        raise PlanError(tag, zh, f"a {tag.type} has no {tag.bits} bits from bit {tag.bit or 0} on")
    if tag.registers > rules.max_quantity:
        raise PlanError(
            tag,
            f"长 {tag.registers}，而设备一次最多读 {rules.max_quantity}；数值不能分两次读",
            f"is {tag.registers} wide, the device gives {rules.max_quantity} at most, and a value is never split",
        )
    if rules.crosses_border(start, end):
        raise PlanError(tag, "跨越了设备不允许跨越的地址边界", "crosses a border that no request may cross")
    if rules.forbidden.touch(start, end):
        raise PlanError(tag, "位于禁止读取的地址范围内", "lies in a range that must never be read")
    return _Span(start, end, tag.bit or 0, number, tag.interval_ns, tag)


def _has_field(tag: ModbusTag, bits: int) -> bool:
    """True where the tag's type holds so many bits from its bit on."""
    return tag.type in _INTEGERS and 0 < bits <= min(63, 16 * tag.registers - (tag.bit or 0))


def _islands(spans: Sequence[_Span], rules: _Rules) -> list[list[_Span]]:
    """Spans between which no request can go on, apart."""
    islands: list[list[_Span]] = []
    reach = -ADDRESSES
    for span in spans:
        if islands and rules.joins(reach, span.start):
            islands[-1].append(span)
        else:
            islands.append([span])
        reach = max(reach, span.end) if len(islands[-1]) > 1 else span.end
    return islands


def _cheapest_way(island: list[_Span], longest: int, cost: _Cost) -> list[list[_Span]]:
    """The rows an island is read in: one for each interval, or one for all where that costs less."""
    intervals = sorted({span.interval_ns for span in island})
    if len(intervals) == 1:
        return [island]
    apart = [[span for span in island if span.interval_ns == interval_ns] for interval_ns in intervals]
    per_round = _per_round(intervals)
    cost_apart = sum(_cut(_items(enumerate(row)), longest, cost, per_round).cost for row in apart)
    together = _cut(_items(enumerate(island)), longest, cost, per_round).cost
    return [island] if together < cost_apart else apart


def _per_round(intervals: Iterable[int]) -> dict[int, int]:
    """How often each interval comes in the time after which all have come whole times."""
    intervals = set(intervals)
    round_ns = lcm(*intervals)
    return {interval_ns: round_ns // interval_ns for interval_ns in intervals}


def _pieces(numbered: Iterable[tuple[int, _Span]], rules: _Rules) -> list[list[tuple[int, _Span]]]:
    """A row without the tags that the device refuses, parted where they lay and at holes it refuses."""
    pieces: list[list[tuple[int, _Span]]] = []
    begins, reach = True, 0
    for at, span in numbered:
        if rules.refuses(span):
            begins = True
            continue
        if begins or rules.bad.touch(reach, span.start):
            pieces.append([])
            reach = 0
        pieces[-1].append((at, span))
        begins, reach = False, max(reach, span.end)
    return pieces


def _items(numbered: Iterable[tuple[int, _Span]]) -> list[_Item]:
    """Neighbours that lie within one another, as one item. Spans ascend by start, then by end."""
    items: list[_Item] = []
    for at, (start, end, _, _, interval_ns, _) in numbered:
        if items and (end <= items[-1].end or start == items[-1].start):
            last = items[-1]
            fastest_ns = min(last.interval_ns, interval_ns)
            items[-1] = _Item(last.start, max(last.end, end), fastest_ns, last.first, last.tags + 1)
        else:
            items.append(_Item(start, end, interval_ns, at, 1))
    return items


_COUNT_BITS = 20  # below the cost of a plan stands how many requests it has: fewer is better at equal cost


def _cut(items: Sequence[_Item], longest: int, cost: _Cost, per_round: dict[int, int]) -> _Cut:
    """The cheapest runs of neighbours, none longer than `longest` unless it is one item.

    `best[i]` is the cost of the first i items. A run from item i to item j read at rate f costs
    f · (request + per_unit · units(start_i, end_j)), and units is a difference: whole units from start to end, and one
    more where the end lies further into its unit than the start. So for each rate, and each place of a start within its
    unit, the best i is the least `best[i] - f · per_unit · unit_of(start_i)` of a window that only moves on: a monotone
    queue. A rate takes part only where no item is faster; a slower one would be charged too little.
    """
    rates = sorted({(item.interval_ns, per_round[item.interval_ns] << _COUNT_BITS) for item in items})
    queues: list[dict[int, deque[tuple[int, int]]]] = [{} for _ in rates]
    best, came_from = [0] * (len(items) + 1), [0] * (len(items) + 1)
    oldest = 0
    for j, item in enumerate(items):
        while oldest < j and item.end - items[oldest].start > longest:
            oldest += 1
        start_unit, start_rest = divmod(item.start, cost.unit)
        end_unit, end_rest = divmod(item.end, cost.unit)
        least, begin = -1, 0
        for (interval_ns, rate), by_rest in zip(rates, queues, strict=True):
            if item.interval_ns < interval_ns:
                by_rest.clear()
                continue
            step, queue = cost.per_unit * rate, by_rest.setdefault(start_rest, deque())
            value = best[j] - step * start_unit
            while queue and queue[-1][0] >= value:
                queue.pop()
            queue.append((value, j))
            for rest, queue in by_rest.items():
                while queue and queue[0][1] < oldest:
                    queue.popleft()
                if queue:
                    whole = queue[0][0] + cost.request * rate + step * (end_unit + (end_rest > rest)) + 1
                    if least < 0 or whole < least:
                        least, begin = whole, queue[0][1]
        best[j + 1], came_from[j + 1] = least, begin
    cuts = [len(items)]
    while cuts[-1]:
        cuts.append(came_from[cuts[-1]])
    return _Cut(best[-1], [list(items[begin:end]) for end, begin in pairwise(cuts)][::-1])


def _request(table: Table, unit: int, run: Sequence[_Item]) -> Request:
    start, interval_ns = run[0].start, min(item.interval_ns for item in run)
    count = run[-1].first + run[-1].tags - run[0].first
    return Request(table, unit, start, run[-1].end - start, interval_ns, run[0].first, count)
