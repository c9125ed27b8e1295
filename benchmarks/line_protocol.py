"""Points of ten float fields and three tags as line protocol: us per point.

    decimals        values of at most three decimals, which is what scaled PLC registers give
    reals           REALs of a PLC: 32-bit floats, which as doubles have up to 17 digits
    doubles         any double between -500 and 500

For each the kernel beside the quickest plain Python (bytes joined, one `repr` a value), and, as `_client`, beside the
`Point` objects of influxdb-client. Before anything is timed, every float is read back and compared.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable

from influxdb_client import Point

from benchmarks.result import Result, summarise
from benchmarks.rig.clocked import best_ns
from ext.lineprotocol import Schema, encode_prefix, encode_rows

CASES = ("decimals", "reals", "doubles")
RUNS = 7
POINTS = 2_000
_CLIENT_POINTS = 200
_TAGS = (("site", "plant-3"), ("line", "suit-2"), ("machine", "tape-01"))
_NAMES = tuple(f"field_{n}" for n in range(10))
_T0_NS = 1_700_000_000_000_000_000

Rows = list[tuple[float, ...]]


def run(case: str | None) -> Iterable[Result]:
    """Every case, or one."""
    for name in CASES if case is None else (case,):
        rows = _rows(name)
        _check(rows)
        ours, joined, client = [], [], []
        for _ in range(RUNS):
            ours.append(_us(_kernel, rows))
            joined.append(_us(_joined, rows))
            client.append(_us(_client, rows[:_CLIENT_POINTS]))
        yield summarise(f"line_protocol.{name}", "us/point", ours, joined)
        yield summarise(f"line_protocol.{name}_client", "us/point", ours, client)


def _us(work: Callable[[Rows], object], rows: Rows) -> float:
    return best_ns(lambda: rows, work) / len(rows) / 1e3


def _rows(case: str) -> Rows:
    rng = random.Random(1)
    as_real = struct.Struct("<f")
    draw: dict[str, Callable[[], float]] = {
        "decimals": lambda: round(rng.uniform(-500, 500), 3),
        "reals": lambda: float(as_real.unpack(as_real.pack(rng.uniform(-500, 500)))[0]),
        "doubles": lambda: rng.uniform(-500, 500),
    }
    return [tuple(draw[case]() for _ in _NAMES) for _ in range(POINTS)]


_SCHEMA = Schema((name, "float") for name in _NAMES)
_PREFIX = encode_prefix("ledger", _TAGS)
_KEYS = [f"{name}=".encode() for name in _NAMES]


def _kernel(rows: Rows) -> bytes:
    return encode_rows(_SCHEMA, [_PREFIX] * len(rows), rows, range(_T0_NS, _T0_NS + len(rows)))[0]


def _joined(rows: Rows) -> bytes:
    return b"\n".join(
        b"%s %s %d" % (_PREFIX, b",".join([k + repr(v).encode() for k, v in zip(_KEYS, row, strict=True)]), _T0_NS + n)
        for n, row in enumerate(rows)
    )


def _client(rows: Rows) -> str:
    lines = []
    for n, row in enumerate(rows):
        point = Point("ledger").time(_T0_NS + n)
        for tag, text in _TAGS:
            point.tag(tag, text)
        for name, value in zip(_NAMES, row, strict=True):
            point.field(name, value)
        lines.append(point.to_line_protocol())
    return "\n".join(lines)


def _check(rows: Rows) -> None:
    """Every float is the same double again."""
    text = _kernel(rows).decode()
    back = [
        tuple(float(field.partition("=")[2]) for field in line.split(" ")[1].split(",")) for line in text.split("\n")
    ]
    if back != rows:
        raise RuntimeError("line_protocol: a float does not read back as it was")
