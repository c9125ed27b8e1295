"""A PLC whose memory is laid out by another plan than the one the probe is given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import pytest
from peers.modbus import ScriptedPlc

from edge.cli import main
from edge.plan import ModbusDevice
from edge.simulate.memory import encode
from protocols.modbus.tags import DataType, ModbusTag, Table


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAMLINE_LANG", "en")


class Plant(ScriptedPlc):
    """Registers and bits by table; what is not put there is zero."""

    def __init__(self) -> None:
        super().__init__()
        self.words: dict[int, int] = {}  # holding registers
        self.inputs: dict[int, int] = {}
        self.bits: dict[int, int] = {}
        self.refused: set[int] = set()  # registers

    def put(self, tag: ModbusTag, value: float | str) -> None:
        """Lay a value out as this tag says."""
        if tag.table.is_bits:
            self.bits[tag.address] = int(value)
            return
        memory = self.words if tag.table is Table.HOLDING_REGISTERS else self.inputs
        if tag.type is DataType.BOOL:
            memory[tag.address] = memory.get(tag.address, 0) | int(value) << (tag.bit or 0)
            return
        raw = encode(tag, value)
        for at in range(0, len(raw), 2):
            memory[tag.address + at // 2] = int.from_bytes(raw[at : at + 2], "big")

    def _pdu(self, function: int, address: int, quantity: int) -> bytes:
        memory = {1: self.bits, 2: self.bits, 3: self.words, 4: self.inputs}[function]
        self.value = lambda n: memory.get(n, 0)
        self.illegal = self.refused if function in (3, 4) else set()
        return super()._pdu(function, address, quantity)


@pytest.fixture
async def plant():
    """One, listening."""
    async with Plant() as server:
        yield server


@pytest.fixture
def seamline(capsys: pytest.CaptureFixture[str]):
    """Run the command; exit status and what it printed."""

    async def run(*arguments: str) -> tuple[int, str]:
        status = await asyncio.to_thread(main, list(arguments))
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return run


@pytest.fixture
def probe_json(capsys: pytest.CaptureFixture[str]):
    """Run `seamline probe … --json`; exit status and the document."""

    async def run(*arguments: str) -> tuple[int, dict]:
        status = await asyncio.to_thread(main, ["probe", *arguments, "--json"])
        return status, json.loads(capsys.readouterr().out)

    return run


def tags_of(device: ModbusDevice) -> Mapping[str, ModbusTag]:
    """By name without the machine."""
    return {tag.name.partition(".")[2]: tag for tag in device.tags}
