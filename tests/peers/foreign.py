"""Modbus TCP servers that nobody here wrote, as processes of their own: libmodbus (C), modbus-serial (Node), pymodbus.

All serve the same memory: addresses 0 … 199 of every table, for the units 1, 2 and 3. With s = unit - 1:

    holding register n    n * 257 + s        coil n              on where n + s is divisible by 3
    input register n      65535 - n - s      discrete input n    on where n + s is odd

Anything beyond is refused with exception 2. Each prints its port when it listens and ends when its standard input ends.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from peers.modbus import build_libmodbus_server

from protocols.modbus.tags import Table

HERE = Path(__file__).parent
NODE = HERE / "modbus_node"
ADDRESSES = 200
UNITS = (1, 2, 3)
KINDS = ("libmodbus", "modbus-serial", "pymodbus")
LARGE, LARGE_ADDRESSES = "libmodbus-large", 600  # libmodbus with more addresses


def holding(address: int, unit: int = 1) -> int:
    """What a holding register of every foreign server holds."""
    return address * 257 + unit - 1 & 0xFFFF


def value(table: Table, address: int, unit: int = 1) -> int:
    """What a place of every foreign server holds."""
    shift = unit - 1
    match table:
        case Table.HOLDING_REGISTERS:
            return holding(address, unit)
        case Table.INPUT_REGISTERS:
            return 65535 - address - shift
        case Table.COILS:
            return int((address + shift) % 3 == 0)
        case _:
            return (address + shift) % 2


def payload(table: Table, address: int, quantity: int, unit: int = 1) -> bytes:
    """The data bytes of the reply to a read, by the words of the specification (§6.1 to §6.4)."""
    values = [value(table, n, unit) for n in range(address, address + quantity)]
    if table.is_bits:
        return sum(bit << i for i, bit in enumerate(values)).to_bytes((quantity + 7) // 8, "little")
    return b"".join(word.to_bytes(2, "big") for word in values)


@contextmanager
def serving(kind: str, folder: Path, *arguments: str) -> Iterator[int]:
    """A foreign server while it runs; yields its port. `folder` takes what has to be built."""
    command = [*_command(kind, folder), *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        yield int(process.stdout.readline())
        process.stdin.close()
        process.wait(10)


def _command(kind: str, folder: Path) -> Sequence[str | Path]:
    if kind == "libmodbus":
        return (build_libmodbus_server(folder),)
    if kind == LARGE:
        return build_libmodbus_server(folder), str(LARGE_ADDRESSES)
    if kind == "pymodbus":
        return sys.executable, HERE / "pymodbus_server.py"
    node = shutil.which("node")
    if node is None or not (NODE / "node_modules" / "modbus-serial").is_dir():
        pytest.fail("the foreign Modbus peer is missing: install the packages nodejs and npm, then run `make peers`")
    return node, NODE / "server.js"
