"""The decode kernel on one full Modbus reply (words, bits, counters, floats): ns per tag, reply bytes to tag image.

Reference: the plain-Python twin on the same reply. Both must leave the same image.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from time import perf_counter_ns

from benchmarks.result import Result, summarise
from benchmarks.rig.twins import decode_block
from protocols.modbus.decode import compile_request
from protocols.modbus.plan import plan_requests
from protocols.modbus.tags import DataType, Limits, ModbusTag, Table, WordOrder
from protocols.reading import TagImage

CASES: tuple[str, ...] = ()
RUNS = 7
GOES = 2_000
TWIN_GOES = 20
T_NS = 1_767_600_000_000_000_000


def tags() -> list[ModbusTag]:
    """120 registers as a mask line has them: a word of 16 bits, 39 words, 20 counters, 20 floats."""
    table = Table.HOLDING_REGISTERS
    bits = [ModbusTag(f"bit{i}", table, 0, DataType.BOOL, bit=i) for i in range(16)]
    words = [ModbusTag(f"word{i}", table, 1 + i, DataType.U16, scale=0.1) for i in range(39)]
    wide = [
        ModbusTag(f"counter{i}", table, 40 + 2 * i, DataType.U32, registers=2, word_order=WordOrder.CDAB)
        for i in range(20)
    ]
    floats = [
        ModbusTag(f"float{i}", table, 80 + 2 * i, DataType.F32, registers=2, minimum=-1e6, maximum=1e6)
        for i in range(20)
    ]
    return [*bits, *words, *wide, *floats]


def reply() -> bytes:
    """The data bytes of the reply: the same every time."""
    chance = random.Random(7)
    words = struct.pack(">80H", *(chance.randrange(1 << 16) for _ in range(80)))
    return words + struct.pack(">20f", *(chance.uniform(-500.0, 500.0) for _ in range(20)))


def run(case: str | None) -> Iterable[Result]:
    """One line."""
    plan = plan_requests(tags(), Limits(max_registers=125), unit=1)
    (request,) = plan.requests
    payload, count = reply(), len(plan.tags)
    decoder, image, plain = compile_request(request, plan.tags), TagImage(count), TagImage(count)
    values, references = [], []
    for _ in range(RUNS):
        began_ns = perf_counter_ns()
        for _ in range(GOES):
            decoder.decode(payload, T_NS, image)
        values.append((perf_counter_ns() - began_ns) / GOES / count)
        began_ns = perf_counter_ns()
        for _ in range(TWIN_GOES):
            decode_block(request, plan.tags, payload, T_NS, plain)
        references.append((perf_counter_ns() - began_ns) / TWIN_GOES / count)
    if any(getattr(image, name) != getattr(plain, name) for name in ("i64", "f64", "quality", "t_ns")):
        raise RuntimeError("kernel and twin leave different images; there is nothing to compare")
    yield summarise("decode", "ns/tag", values, references)
