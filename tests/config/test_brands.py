"""Promise: an address means on the wire what the brand's manual says. The vendors' tables, through the templates."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import compile_site
from edge.config.check import render
from edge.errors import ConfigError
from edge.plan import ModbusDevice, SitePlan
from protocols.modbus.tags import DataType, ModbusTag, Table, WordOrder

COIL, DISCRETE, HOLDING, INPUT = Table.COILS, Table.DISCRETE_INPUTS, Table.HOLDING_REGISTERS, Table.INPUT_REGISTERS
CDAB, ABCD = WordOrder.CDAB, WordOrder.ABCD


def site(brand: str, base: str = "D1000", tags: str = "", device: str = "") -> SitePlan:
    return compile_site(
        "site: {id: s, enterprise: e, province: p, city: c}\n"
        f"devices:\n  - {{id: plc, template: {brand}, host: h{device}}}\n"
        f"machines:\n  - {{id: m, template: reference-block, device: plc, base: {base!r}, tags: {{{tags}}}}}\n",
        Path("/etc/x/site.yaml"),
        {},
    )


def tags_of(plan: SitePlan) -> dict[str, ModbusTag]:
    (plc,) = plan.devices
    assert isinstance(plc, ModbusDevice)
    return {tag.name.removeprefix("m."): tag for tag in plc.tags}


@pytest.mark.parametrize(
    ("brand", "base", "status", "total", "order"),
    [
        ("xinje-xc", "D1000", 1000, 1008, CDAB),
        ("xinje-xd", "D1000", 1000, 1008, CDAB),
        ("xinje-xd", "HD1000", 42088, 42096, CDAB),
        ("inovance-h3u", "D1000", 1000, 1008, CDAB),
        ("inovance-h5u", "D1000", 1000, 1008, CDAB),
        ("inovance-am600", "MW1000", 1000, 1008, CDAB),
        ("delta-dvp", "D1000", 5096, 5104, CDAB),
        ("delta-as", "D1000", 1000, 1008, CDAB),
        ("mitsubishi-fx3u", "D1000", 1000, 1008, CDAB),
        ("mitsubishi-fx5u", "D1000", 1000, 1008, CDAB),
        ("siemens-s7-modbus", "DBW0", 0, 8, ABCD),
        ("schneider-m221", "%MW1000", 1000, 1008, CDAB),
        ("schneider-m241", "MW1000", 1000, 1008, CDAB),
        ("weintek-hmi", "LW1000", 1000, 1008, CDAB),
        ("weintek-hmi", "RW1000", 10999, 11007, CDAB),
        ("generic-modbus", "41001", 1000, 1008, ABCD),
    ],
)
def test_the_same_block_on_each_plc(brand: str, base: str, status: int, total: int, order: WordOrder) -> None:
    """The reference block at D1000: where its status word and its counter lie, and the order of the counter."""
    tags = tags_of(site(brand, base))
    assert (tags["run"].table, tags["run"].address, tags["run"].bit) == (HOLDING, status, 1)
    assert (tags["total"].address, tags["total"].type, tags["total"].word_order) == (total, DataType.U32, order)


# name, table, address, bit, type
TABLES: dict[str, list[tuple[str, Table, int, int | None, str]]] = {
    "xinje-xc": [
        ("M8000", COIL, 0x6000, None, "bool"),
        ("X10", COIL, 0x4008, None, "bool"),  # octal
        ("Y7", COIL, 0x4807, None, "bool"),
        ("S1", COIL, 0x5001, None, "bool"),
        ("T1", COIL, 0x6401, None, "bool"),
        ("C1", COIL, 0x6C01, None, "bool"),
        ("D8000", HOLDING, 0x4000, None, "u16"),
        ("TD1", HOLDING, 0x3001, None, "u16"),
        ("CD1", HOLDING, 0x3801, None, "u16"),
        ("FD1", HOLDING, 0x4801, None, "u16"),
        ("ED1", HOLDING, 0x7001, None, "u16"),
    ],
    "xinje-xd": [
        ("M20479", COIL, 20479, None, "bool"),
        ("X10", COIL, 0x5008, None, "bool"),
        ("Y10", COIL, 0x6008, None, "bool"),
        ("S0", COIL, 0x7000, None, "bool"),
        ("SM1", COIL, 0x9001, None, "bool"),
        ("T0", COIL, 0xA000, None, "bool"),
        ("C0", COIL, 0xB000, None, "bool"),
        ("HM0", COIL, 0xC100, None, "bool"),
        ("SD1", HOLDING, 0x7001, None, "u16"),
        ("TD0", HOLDING, 0x8000, None, "u16"),
        ("CD0", HOLDING, 0x9000, None, "u16"),
        ("HD0", HOLDING, 0xA080, None, "u16"),  # kept without power
        ("HSD0", HOLDING, 0xB880, None, "u16"),
        ("HCD0", HOLDING, 0xC080, None, "u16"),
        ("FD0", HOLDING, 0xC4C0, None, "u16"),
        ("SFD0", HOLDING, 0xE4C0, None, "u16"),
    ],
    "inovance-h3u": [
        ("M8000", COIL, 0x1F40, None, "bool"),
        ("SM0", COIL, 0x2400, None, "bool"),
        ("S0", COIL, 0xE000, None, "bool"),
        ("X10", COIL, 0xF808, None, "bool"),
        ("Y10", COIL, 0xFC08, None, "bool"),
        ("SD0", HOLDING, 0x2400, None, "u16"),
        ("R0", HOLDING, 0x3000, None, "u16"),
        ("T1", HOLDING, 0xF001, None, "u16"),
        ("T1", COIL, 0xF001, None, "bool"),
        ("C199", HOLDING, 0xF4C7, None, "u16"),
        ("C201", HOLDING, 0xF702, None, "u32"),  # two registers each
        ("C201", COIL, 0xF4C9, None, "bool"),
    ],
    "inovance-h5u": [
        ("B0", COIL, 0x3000, None, "bool"),
        ("S0", COIL, 0xE000, None, "bool"),
        ("X10", COIL, 0xF808, None, "bool"),
        ("Y0", COIL, 0xFC00, None, "bool"),
        ("R32767", HOLDING, 0xAFFF, None, "u16"),
    ],
    "inovance-am600": [
        ("MD4", HOLDING, 8, None, "u32"),
        ("MB100", HOLDING, 50, None, "u8l"),
        ("MB101", HOLDING, 50, None, "u8h"),
        ("%MX101.0", HOLDING, 50, 8, "bool"),
        ("QX1.0", COIL, 8, None, "bool"),
        ("IX0.7", DISCRETE, 7, None, "bool"),
    ],
    "delta-dvp": [
        ("X10", DISCRETE, 0x0408, None, "bool"),
        ("Y10", COIL, 0x0508, None, "bool"),
        ("S1", COIL, 1, None, "bool"),
        ("M1535", COIL, 0x0DFF, None, "bool"),
        ("M1536", COIL, 0xB000, None, "bool"),
        ("D4095", HOLDING, 0x1FFF, None, "u16"),
        ("D4096", HOLDING, 0x9000, None, "u16"),
        ("T1", HOLDING, 0x0601, None, "u16"),
        ("C1", HOLDING, 0x0E01, None, "u16"),
        ("C1", COIL, 0x0E01, None, "bool"),
        ("C201", HOLDING, 0x0ECA, None, "u32"),
    ],
    "delta-as": [
        ("X1.3", DISCRETE, 0x6013, None, "bool"),
        ("X1", INPUT, 0x8001, None, "u16"),
        ("Y1.F", COIL, 0xA01F, None, "bool"),
        ("Y1", HOLDING, 0xA001, None, "u16"),
        ("SM0", COIL, 0x4000, None, "bool"),
        ("S0", COIL, 0x5000, None, "bool"),
        ("SR1", HOLDING, 0xC001, None, "u16"),
        ("T1", HOLDING, 0xE001, None, "u16"),
        ("C1", HOLDING, 0xF001, None, "u16"),
        ("HC1", HOLDING, 0xFC02, None, "u32"),
        ("E1", HOLDING, 0xFE01, None, "u16"),
    ],
    "mitsubishi-fx3u": [
        ("M8000", COIL, 0x1E00, None, "bool"),
        ("S0", COIL, 0x2000, None, "bool"),
        ("TS0", COIL, 0x3000, None, "bool"),
        ("CS0", COIL, 0x3200, None, "bool"),
        ("Y10", COIL, 0x3308, None, "bool"),
        ("X10", DISCRETE, 0x3408, None, "bool"),
        ("D8000", HOLDING, 0x1F40, None, "u16"),
        ("R0", HOLDING, 0x2140, None, "u16"),
        ("TN0", HOLDING, 0xA140, None, "u16"),
        ("CN0", HOLDING, 0xA340, None, "u16"),
        ("CN201", HOLDING, 0xA40A, None, "u32"),
    ],
    "mitsubishi-fx5u": [
        ("Y10", COIL, 8, None, "bool"),
        ("X10", DISCRETE, 8, None, "bool"),
        ("M0", COIL, 0x2000, None, "bool"),
        ("SM0", COIL, 0x5000, None, "bool"),
        ("SD0", HOLDING, 0x5000, None, "u16"),
    ],
    "siemens-s7-modbus": [
        ("DBD16", HOLDING, 8, None, "u32"),
        ("DBX1.0", HOLDING, 0, 0, "bool"),
        ("DBB0", HOLDING, 0, None, "u8h"),
        ("Q0.3", COIL, 3, None, "bool"),
        ("I1.0", DISCRETE, 8, None, "bool"),
    ],
    "weintek-hmi": [
        ("LB9998", COIL, 9998, None, "bool"),
        ("RW0", HOLDING, 9999, None, "u16"),
    ],
    "schneider-m221": [
        ("%M5", COIL, 5, None, "bool"),
        ("%MW5.2", HOLDING, 5, 2, "bool"),
    ],
    "generic-modbus": [
        ("400001", HOLDING, 0, None, "u16"),
        ("10001", DISCRETE, 0, None, "bool"),
        ("holding:0x10.2", HOLDING, 16, 2, "bool"),
    ],
}
BASES = {"siemens-s7-modbus": "DBW0", "weintek-hmi": "LW1000", "generic-modbus": "41001", "inovance-am600": "MW1000"}


@pytest.mark.parametrize("brand", TABLES)
def test_the_vendors_tables(brand: str) -> None:
    """Bases, octal and word.bit numbering, 32-bit counters, areas that go on elsewhere; the type follows the place."""
    lines = [f"p{n}: {{address: '{name}', type: {kind}}}" for n, (name, *_, kind) in enumerate(TABLES[brand])]
    lines += [
        f"q{n}: {{address: '{name}'}}"
        for n, (name, table, _, _, kind) in enumerate(TABLES[brand])
        if table is HOLDING and kind != "bool"
    ]
    tags = tags_of(
        site(brand, "MW1000" if brand.startswith("schneider") else BASES.get(brand, "D1000"), ", ".join(lines))
    )
    for n, (name, *meant) in enumerate(TABLES[brand]):
        for tag in (tags[f"p{n}"], tags.get(f"q{n}", tags[f"p{n}"])):
            assert [tag.table, tag.address, tag.bit, tag.type] == meant, name


def test_units() -> None:
    """The embedded servers of Schneider answer unit 255, nearly everybody else's 1."""
    for brand, base, unit in (("schneider-m241", "MW1000", 255), ("inovance-h5u", "D1000", 1)):
        (plc,) = site(brand, base).devices
        assert isinstance(plc, ModbusDevice)
        assert {request.unit for request in plc.requests} == {unit}


def test_a_map_that_was_edited_in_the_plc() -> None:
    """An FX5U whose assignment puts D0 elsewhere: the site says where, and the rest of the brand's table stays."""
    device = ", areas: [{prefix: D, range: 0-2999, table: holding, base: 0x4000}]"
    tags = tags_of(site("mitsubishi-fx5u", tags="probe: {address: SD0}", device=device))
    assert (tags["total"].address, tags["probe"].address) == (0x4000 + 1008, 0x5000)


@pytest.mark.parametrize("given", ["SD8", "SM100"])
def test_what_modbus_does_not_reach_is_refused_with_the_reason(given: str) -> None:
    """Function codes of the vendor's own are never sent: the mistake says so, and what to do instead."""
    with pytest.raises(ConfigError) as caught:
        site("inovance-am600", "MW1000", f"probe: {{address: {given}}}")
    (problem,) = caught.value.problems
    assert "function codes" in problem.what.en
    assert "copy it" in problem.what.en
    assert "功能码" in problem.what.zh


def test_a_block_across_the_border_of_a_delta_is_two_requests() -> None:
    """D4095 and D4096 are no neighbours on the wire."""
    (plc,) = site("delta-dvp", "D4080").devices
    assert isinstance(plc, ModbusDevice)
    assert [(r.address, r.quantity) for r in plc.requests] == [(0x1000 + 4080, 16), (0x9000, 7)]


def test_everything_a_tag_can_be() -> None:
    """The fields of a tag, and what becomes of them."""
    tags = tags_of(
        site(
            "inovance-h5u",
            tags="mode: {address: D2000.4, bits: 3, words: {1: 自动, 2: {zh: 手动, en: manual}}},"
            " alarm: {address: D2001, type: i32, bit: 20, bits: 12},"
            " level: {address: D2003, range: {raw: [0, 27648], value: [0, 10]}, sentinels: [-1, 32767]},"
            " lot: {address: D2004, type: string, length: 8, encoding: GBK, low_byte_first: false},"
            " energy: {address: D2012, type: f64, word_order: ghefcdab},"
            " meter: {address: D2016, type: u64, word_order: EFGHABCD}",
        )
    )
    mode, alarm, level, lot = tags["mode"], tags["alarm"], tags["level"], tags["lot"]
    assert (mode.type, mode.bit, mode.bits, mode.registers) == (DataType.U16, 4, 3, 1)
    assert [(word.value, word.zh, word.en) for word in mode.words] == [(1, "自动", "自动"), (2, "手动", "manual")]
    assert (alarm.type, alarm.bit, alarm.bits, alarm.registers) == (DataType.I32, 20, 12, 2)
    assert level.range_map is not None
    assert (level.range_map.raw_high, level.range_map.high, level.sentinels) == (27648, 10, (-1, 32767))
    assert (lot.encoding, lot.string_low_byte_first, lot.registers) == ("gbk", False, 8)
    assert (tags["energy"].word_order, tags["meter"].word_order) == ("CDAB", "EFGHABCD")


@pytest.mark.parametrize(
    ("tag", "says"),
    [
        ("{address: D1, bits: 4, type: f32}", "cut out of an integer"),
        ("{address: D1.14, bits: 3}", "not 3 from bit 14"),
        ("{address: M1, bits: 3}", "cut out of an integer"),
        ("{address: D1, bit: 16}", "bits 0 … 15"),
        ("{address: D1, scale: 2, range: {raw: [0, 1], value: [0, 1]}}", "give one of them"),
        ("{address: D1, range: {raw: [5, 5], value: [0, 1]}}", "two different values"),
        ("{address: D1, type: string, length: 2, encoding: big5}", "gb18030"),
    ],
)
def test_what_a_tag_cannot_be(tag: str, says: str) -> None:
    """Contradictions are mistakes of the site file."""
    with pytest.raises(ConfigError) as caught:
        site("inovance-h5u", tags=f"probe: {tag}")
    assert any(
        says in f"{problem.what.en} {problem.hint.en if problem.hint else ''}" for problem in caught.value.problems
    )


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", ("u16[4…6]  ", "1=auto", "0…27648 → 0…10", "string 16 gbk, low byte first", "u64 EFGHABCD", "X17…X17")),
        ("zh", ("1=自动", "string 16 gbk，低字节在前", "寄存器", "D1000…D1022")),
    ],
)
def test_check_prints_it_in_the_brands_words(
    language: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests and tags under the vendor's addresses, with everything that decides what a value is."""
    monkeypatch.setenv("SEAMLINE_LANG", language)
    said = render(
        site(
            "inovance-h5u",
            tags="step: {address: D2000.4, bits: 3, words: {1: {zh: 自动, en: auto}}},"
            " level: {address: D2003, range: {raw: [0, 27648], value: [0, 10]}},"
            " lot: {address: D2004, type: string, length: 8, encoding: GBK},"
            " meter: {address: D2016, type: u64, word_order: EFGHABCD},"
            " door: {address: X17}",
        ),
        0,
    )
    for words in expected:
        assert words in said, words


def test_check_says_how_often_a_tag_is_really_read() -> None:
    """A slow tag beside fast ones rides along: its line says the interval it is read at."""
    said = render(site("inovance-h5u", tags="slow: {address: D1023, interval_s: 60}"), 0)
    (line,) = [line for line in said.splitlines() if line.startswith("    m.slow ")]
    assert line.split()[-2:] == ["1", "s"]
