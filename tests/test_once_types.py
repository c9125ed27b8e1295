"""Promise: every type, order and meaning that a site file can give a tag comes out as a foreign server meant it.

The registers are what pymodbus makes of the values where it knows the type, and what the letters of the order say
otherwise; pymodbus serves them; a site file names the tags; `seamline once` reads them.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest
from peers.foreign import serving
from pymodbus.client.mixin import ModbusClientMixin

from edge import once

DATATYPE = ModbusClientMixin.DATATYPE
SITE = """\
site: {id: s, enterprise: e, province: p, city: c}
devices:
  - {id: plc, template: generic-modbus, host: 127.0.0.1, port: PORT, limits: {pause_ms: 0, requests_per_s: 1000}}
machines:
  - id: m
    template: generic
    device: plc
    tags:
      run: null
      fault: null
      total: {address: holding:0, type: u16}
"""
NUMBERS = {
    "u16": (DATATYPE.UINT16, 54321),
    "i16": (DATATYPE.INT16, -12345),
    "u32": (DATATYPE.UINT32, 3_000_000_001),
    "i32": (DATATYPE.INT32, -2_000_000_001),
    "f32": (DATATYPE.FLOAT32, -118.625),
    "u64": (DATATYPE.UINT64, 2**63 - 1),
    "i64": (DATATYPE.INT64, -(2**53) - 1),
    "f64": (DATATYPE.FLOAT64, math.pi),
}
PACKED = {"f16": ">e", "u16": ">H", "i16": ">h", "f32": ">f", "u32": ">I", "u64": ">Q", "i64": ">q", "f64": ">d"}
VALUES_64 = {"u64": 0x0102030405060708, "i64": -(2**61) - 3, "f64": -0.1}


@dataclass(frozen=True, slots=True)
class Case:
    """Registers, what the site file says of them, and the value (None: BAD)."""

    name: str
    registers: bytes
    keys: str
    value: float | str | bool | None


def _swapped(registers: bytes) -> bytes:
    return b"".join(registers[i : i + 2][::-1] for i in range(0, len(registers), 2))


def _reversed(registers: bytes) -> bytes:
    return b"".join(registers[i : i + 2] for i in range(len(registers) - 2, -1, -2))


def _numbers() -> list[Case]:
    """All numbers in the four orders, by pymodbus; 64 bits in the other four, by the letters."""
    cases = []
    for kind, (pymodbus_type, value) in NUMBERS.items():
        for order in ("big", "little"):
            words = ModbusClientMixin.convert_to_registers(value, pymodbus_type, word_order=order)
            registers = struct.pack(f">{len(words)}H", *words)
            straight, swapped = ("ABCD", "BADC") if order == "big" else ("CDAB", "DCBA")
            cases.append(Case(f"{kind}_{straight}", registers, f"type: {kind}, word_order: {straight}", value))
            cases.append(Case(f"{kind}_{swapped}", _swapped(registers), f"type: {kind}, word_order: {swapped}", value))
    for order in ("ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA", "EFGHABCD", "CDABGHEF", "FEHGBADC", "DCBAHGFE"):
        for kind, value in VALUES_64.items():
            plain = struct.pack(PACKED[kind], value)
            registers = bytes(plain["ABCDEFGH".index(letter)] for letter in order)
            cases.append(Case(f"{kind}_{order}", registers, f"type: {kind}, word_order: {order}", value))
    return cases


def _rarer() -> list[Case]:
    """Halves, bits, bit fields, FLOAT16, BCD, sign and magnitude, texts."""
    gbk = "缝口".encode("gbk")
    return [
        Case("f16", struct.pack(">e", -2.5), "type: f16", -2.5),
        Case("f16_nan", struct.pack(">e", math.nan), "type: f16", None),
        Case("u8h", b"\xfe\x01", "type: u8h", 254),
        Case("i8h", b"\xfe\x01", "type: i8h", -2),
        Case("u8l", b"\x01\xfd", "type: u8l", 253),
        Case("i8l", b"\x01\xfd", "type: i8l", -3),
        Case("bit_on", b"\x00\x08", "bit: 3", True),
        Case("bit_off", b"\xff\xf7", "bit: 3", False),
        Case("bit_swapped", b"\x08\x00", "bit: 3, word_order: BADC", True),
        Case("bits", b"\x00\x50", "bit: 4, bits: 3", 5),
        Case("bits_negative", b"\x00\x70", "type: i16, bit: 4, bits: 3", -1),
        Case("bits_32", b"\x00\x03\x80\x00", "type: u32, bit: 15, bits: 3", 7),
        Case("bcd16", b"\x12\x34", "type: bcd16", 1234),
        Case("bcd16_no_digit", b"\x12\x3a", "type: bcd16", None),
        Case("bcd32", b"\x56\x78\x12\x34", "type: bcd32, word_order: CDAB", 12345678),
        Case("bcd64", bytes.fromhex("1234567890123456"), "type: bcd64", 1234567890123456),
        Case("sm16", b"\x80\x05", "type: sm16", -5),
        Case("sm32", b"\x80\x00\x00\x07", "type: sm32", -7),
        Case("text_nul", b"LOT7\0\0XX", "type: string, length: 4", "LOT7"),
        Case("text_low_first", b"OL7T\0\0", "type: string, length: 3, low_byte_first: true", "LOT7"),
        Case("text_nul_odd", b"AB\0C", "type: string, length: 2", "AB"),
        Case("text_blanks", b"AB  ", "type: string, length: 2", "AB"),
        Case("text_gbk", gbk, f"type: string, length: {len(gbk) // 2}, encoding: gbk", "缝口"),
        Case("text_auto", gbk, f"type: string, length: {len(gbk) // 2}", "缝口"),
        Case("text_no_ascii", gbk, f"type: string, length: {len(gbk) // 2}, encoding: ascii", None),
    ]


def _meanings() -> list[Case]:
    """Scale, offset, range maps, sentinels, bounds."""
    return [
        Case("scale", struct.pack(">h", -3), "type: i16, scale: 0.1", -0.3),
        Case("scale_add", struct.pack(">H", 500), "type: u16, scale: 0.1, add: -40", 10),
        Case("range", struct.pack(">H", 13824), "type: u16, range: {raw: [0, 27648], value: [0, 10]}", 5),
        Case("range_end", struct.pack(">H", 20000), "type: u16, range: {raw: [4000, 20000], value: [-50, 250]}", 250),
        Case("range_float", struct.pack(">f", 12), "type: f32, range: {raw: [4, 20], value: [0, 1]}", 0.5),
        Case("thermocouple", struct.pack(">h", 32767), "type: i16, scale: 0.1, sentinels: [32767, -1]", None),
        Case("minus_one", struct.pack(">H", 65535), "type: u16, sentinels: [-1]", None),
        Case("no_sentinel", struct.pack(">h", 32766), "type: i16, sentinels: [32767, -1]", 32766),
        Case("float_sentinel", struct.pack(">f", -9999.9), "type: f32, sentinels: [-9999.9]", None),
        Case("above", struct.pack(">H", 701), "type: u16, max: 700", None),
        Case("below", struct.pack(">h", -1), "type: i16, min: 0", None),
        Case("infinite", struct.pack(">f", math.inf), "type: f32", None),
        Case("too_large", b"\x80" + bytes(7), "type: u64", None),
        Case("named", struct.pack(">H", 3), "type: u16, words: {3: {zh: 检修, en: service}}", 3),
    ]


def test_every_type_against_pymodbus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each value is exact, down to the last bit of 64; what means no measurement is BAD and never a number."""
    cases, registers, tags = [*_numbers(), *_rarer(), *_meanings()], b"\0\1", ""
    for case in cases:
        tags += f"      {case.name}: {{address: holding:{len(registers) // 2}, {case.keys}}}\n"
        registers += case.registers
    config = tmp_path / "site.yaml"
    with serving("pymodbus", tmp_path, registers.hex()) as port:
        config.write_text(SITE.replace("PORT", str(port)) + tags, encoding="utf-8")
        assert once.run(config, device=None, as_json=True) == 0
    (device,) = json.loads(capsys.readouterr().out)["devices"]
    told = {tag["name"].removeprefix("m."): tag for tag in device["tags"]}
    good = {name: tag["value"] for name, tag in told.items() if tag["quality"] == "good"}
    assert good.pop("total") == 1
    assert good == {case.name: case.value for case in cases if case.value is not None}
    bad = {name for name, tag in told.items() if tag["quality"] == "bad"}
    assert bad == {case.name for case in cases if case.value is None}
    assert told["named"]["word"]["en"] == "service"
