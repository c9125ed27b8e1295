"""`seamline probe` against PLCs laid out otherwise than the site file says: found, corrected, proven, written."""

from __future__ import annotations

import asyncio
import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from peers.foreign import holding, serving
from probe.conftest import Plant, tags_of

from edge.config import load
from edge.config.templates import config_folder
from edge.probe.layouts import order_that_shows
from protocols.modbus.tags import DataType, WordOrder

BASES = {
    "delta-as": "D1000",
    "delta-dvp": "D1000",
    "generic-modbus": "holding:1000",
    "inovance-am600": "MW1000",
    "inovance-h3u": "D1000",
    "inovance-h5u": "D1000",
    "mitsubishi-fx3u": "D1000",
    "mitsubishi-fx5u": "D1000",
    "schneider-m221": "%MW1000",
    "schneider-m241": "%MW1000",
    "siemens-s7-modbus": "DBW1000",
    "weintek-hmi": "LW1000",
    "xinje-xc": "D1000",
    "xinje-xd": "HD1000",
}
ORDERS = (WordOrder.ABCD, WordOrder.CDAB, WordOrder.BADC, WordOrder.DCBA)
SITE = """\
# {brand}: from the manual
site: {{id: s, enterprise: e, province: p, city: c}}
devices:
  - id: plc   # in the cabinet on the left
    template: {brand}
    host: 127.0.0.1
    port: {port}
    limits: {{pause_ms: 0, requests_per_s: 1000}}

machines:
  - id: m
    template: tape-sealer
    device: plc
    base: "{base}"  # given by the maker
"""
SHOWN = {"total": 1_234_567, "good": 1_230_001, "reject": 4_566, "speed": 12.5, "temperature": 398}


def site_file(folder: Path, plant: Plant, brand: str, text: str = SITE) -> Path:
    path = folder / "site.yaml"
    path.write_text(text.format(brand=brand, port=plant.port, base=BASES.get(brand, "")), encoding="utf-8")
    return path


def lay_out(plant: Plant, path: Path, order: WordOrder | None, by: int = 0, **values) -> None:
    """The memory as the plan has it, but for order and place."""
    (device, *_) = load(path, os.environ).devices
    tags = tags_of(device)
    for name, value in values.items():
        tag = tags[name]
        moved = replace(tag, address=tag.address + by, word_order=order or tag.word_order)
        if tag.type is DataType.BOOL and moved.word_order.swaps_bytes:
            moved = replace(moved, bit=(tag.bit or 0) ^ 8)
        plant.put(moved, value)


def asked(values) -> list[str]:
    return [part for name, value in values.items() for part in ("--tag", f"{name}={value}")]


def test_every_modbus_brand_is_here() -> None:
    brands = {path.stem for path in (config_folder() / "templates" / "plc").glob("*.yaml")}
    assert {brand for brand in brands if "opcua" not in brand} == set(BASES)


@pytest.mark.parametrize("case", range(len(BASES)))
async def test_brands_laid_out_wrongly(case, plant, tmp_path, probe_json) -> None:
    """Each brand with another word order than its template's, and one register off or not: the word order of the
    device and the base of the machine are corrected, the file reads what was shown, and all else in it stays.
    """
    brand = sorted(BASES)[case]
    path = site_file(tmp_path, plant, brand)
    before = path.read_text("utf-8")
    own = load(path, {}).devices[0].tags[-1].word_order
    order, by = [o for o in ORDERS if o is not own][case % 3], (0, 1, -1)[case // 3 % 3]
    lay_out(plant, path, order, by, **SHOWN, run=1)
    status, said = await probe_json("-c", str(path), "plc", *asked(SHOWN), "--write")
    assert status == 0, said
    assert {tag["tag"]: tag["verdict"] for tag in said["tags"]} == {f"m.{name}": "one" for name in SHOWN}
    assert [edit["path"] for edit in said["correction"]] == [
        ["devices", "plc", "word_order"],
        *([["machines", "m", "base"]] if by else []),
    ]
    after = path.read_text("utf-8")
    assert [line for line in before.splitlines() if line in after.splitlines()] == [
        line for line in before.splitlines() if not (by and line.strip().startswith("base"))
    ]
    assert load(path, {}).devices[0].tags[-1].word_order is order


async def test_what_people_see(plant, tmp_path, seamline, monkeypatch) -> None:
    """Both languages: the answer with its registers in hexadecimal, the lines to write, the proof; nothing written
    unless asked for.
    """
    path = site_file(tmp_path, plant, "xinje-xd")
    lay_out(plant, path, WordOrder.ABCD, **SHOWN, run=1)
    before = path.read_bytes()
    status, said = await seamline("probe", "-c", str(path), "plc", *asked(SHOWN), "--tag", "run=on")
    assert status == 0
    for expected in (
        "one answer: HD1008 u32 ABCD; configured HD1008 u32 CDAB",
        "0012 D687",
        "as configured: HD1014 u16",
        "as configured: HD1000.1 bool",
        "device plc:\n    word_order: ABCD",
        "✓  m.total        1234567",
        "add --write",
    ):
        assert expected in said, said
    monkeypatch.setenv("SEAMLINE_LANG", "zh")
    _, said = await seamline("probe", "-c", str(path), "plc", *asked(SHOWN), "--write-to", str(tmp_path / "new.yaml"))
    for expected in ("唯一答案：HD1008 u32 ABCD", "改正", "已写入", "站号 1"):
        assert expected in said, said
    assert path.read_bytes() == before
    assert "    word_order: ABCD\n" in (tmp_path / "new.yaml").read_text("utf-8")


async def test_one_tag_gets_an_override(plant, tmp_path, probe_json) -> None:
    """A single tag lies elsewhere, in another width: its own override, and no other tag moves."""
    text = SITE + "    tags:\n      # the maker's note\n      seam_length: {{ interval_s: 5 }}   # slow\n"
    path = site_file(tmp_path, plant, "inovance-h5u", text)
    lay_out(plant, path, None, total=1_234_567, speed=12.5)
    (device,) = load(path, {}).devices
    tag = tags_of(device)["seam_length"]
    plant.put(replace(tag, address=tag.address + 1, type=DataType.U16, registers=1), 1534.5)
    for n in (-1, 0, 2, 3, 4):  # neighbours that are something else
        plant.words[tag.address + n] = 0x1101 * (n + 3)
    shown = {"total": 1_234_567, "speed": 12.5, "seam_length": 1534.5}
    status, said = await probe_json("-c", str(path), "plc", *asked(shown), "--write")
    assert status == 0, said
    assert "seam_length: { interval_s: 5, address: D1039, type: u16 }   # slow" in path.read_text("utf-8")
    after = tags_of(load(path, {}).devices[0])
    assert after["total"] == tags_of(device)["total"]
    assert after["seam_length"].interval_ns == 5_000_000_000


OCTAL = """\
site: {{id: s, enterprise: e, province: p, city: c}}
devices:
  - {{id: plc, template: {brand}, host: 127.0.0.1, port: {port}, limits: {{pause_ms: 0, requests_per_s: 1000}}}}
machines:
  - id: m
    template: generic
    device: plc
    tags:
      run: {{ address: X17 }}
      fault: null
      total: {{ address: {word}, type: u32 }}
"""


@pytest.mark.parametrize(
    "brand", ["inovance-h5u", "inovance-h3u", "delta-dvp", "xinje-xd", "xinje-xc", "mitsubishi-fx3u"]
)
async def test_octal_or_decimal(brand, plant, tmp_path, probe_json) -> None:
    """X17 of the manual is the eighteenth bit here (somebody counted in tens): found by switching it once."""
    path = tmp_path / "site.yaml"
    path.write_text(OCTAL.format(brand=brand, port=plant.port, word="D100"), encoding="utf-8")
    (device,) = load(path, {}).devices
    tag = tags_of(device)["run"]
    true = tag.address - 0o17 + 17
    plant.bits[true] = 1
    status, said = await probe_json("-c", str(path), "plc", "--tag", "run=on", "--write")
    assert status == 0, said
    (found,) = said["tags"]
    assert found["fits"][0]["address"] == "X21"
    assert "run: { address: X21 }" in path.read_text("utf-8")


async def test_illegal_neighbours_cost_nothing(plant, tmp_path, probe_json) -> None:
    """Registers around the tag do not exist: it is found, and they are named."""
    path = site_file(tmp_path, plant, "inovance-h5u")
    lay_out(plant, path, WordOrder.ABCD, total=1_234_567)
    plant.refused = {1006, 1007, 1010, 1011, 1012, 1013}
    status, said = await probe_json("-c", str(path), "plc", "--tag", "total=1234567")
    assert status == 0, said
    assert said["tags"][0]["fits"][0]["word_order"] == "ABCD"
    assert "holding:1007-1007" in said["refused"]
    assert said["requests"] < 40


async def test_half_of_a_wide_counter_is_refused(plant, tmp_path, probe_json) -> None:
    """A PLC that gives its 32-bit counters as a whole only."""
    path = site_file(tmp_path, plant, "inovance-h5u")
    lay_out(plant, path, WordOrder.ABCD, total=1_234_567)
    honest = plant._pdu

    def whole_only(function, address, quantity):
        span = range(address, address + quantity)
        if any((n in span) != (n + 1 in span) for n in range(1000, 1020, 2)):
            return bytes((function | 0x80, 2))
        return honest(function, address, quantity)

    plant._pdu = whole_only
    status, said = await probe_json("-c", str(path), "plc", "--tag", "total=1234567")
    assert status == 0, said
    assert said["tags"][0]["fits"][0]["word_order"] == "ABCD"


@pytest.mark.parametrize(
    ("refuse", "value", "advice"), [(True, 5, "nothing-read"), (False, 777_777, "all-zero"), (False, 5, "not-here")]
)
async def test_nothing_fits(plant, tmp_path, probe_json, refuse, value, advice) -> None:
    """None: what to check depends on what is there."""
    path = site_file(tmp_path, plant, "inovance-h5u")
    plant.refused = set(range(2000)) if refuse else set()
    if advice == "not-here":
        plant.words = {n: 0x2222 + n for n in range(990, 1100)}
    status, said = await probe_json("-c", str(path), "plc", "--tag", f"total={value}")
    assert status == 1
    assert (said["tags"][0]["verdict"], said["tags"][0]["advice"]["code"]) == ("none", advice)
    assert said["tags"][0]["advice"]["zh"]


async def test_a_wider_window(plant, tmp_path, probe_json) -> None:
    """Forty registers off: found on request."""
    path = site_file(tmp_path, plant, "inovance-h5u")
    lay_out(plant, path, None, 40, total=1_234_567)
    assert (await probe_json("-c", str(path), "plc", "--tag", "total=1234567"))[0] == 1
    status, said = await probe_json("-c", str(path), "plc", "--tag", "total=1234567", "--window", "50")
    assert status == 0
    assert said["tags"][0]["fits"][0]["address"] == "D1048"
    assert said["correction"] == [{"path": ["machines", "m", "tags", "total", "address"], "value": "D1048"}]


async def test_an_answer_outside_its_range_is_not_written(plant, tmp_path, probe_json) -> None:
    """The corrected tag would be BAD for the agent: told, and the file stays."""
    path = site_file(tmp_path, plant, "inovance-h5u")
    lay_out(plant, path, None, total=1_234_567, speed=12.5)
    before = path.read_bytes()
    status, said = await probe_json("-c", str(path), "plc", "--tag", "speed=125", "--write")
    assert status == 1
    assert said["tags"][0]["fits"][0]["scale"] == 1.0
    assert [proof["holds"] for proof in said["proof"]] == [False]
    assert path.read_bytes() == before


async def test_texts_and_forbidden_ranges(plant, tmp_path, probe_json) -> None:
    """A text whose bytes are swapped; and not one read of what must not be read."""
    text = OCTAL.replace("run: {{ address: X17 }}", "run: null\n      lot: {{ address: D20, type: string, length: 4 }}")
    text = text.replace("pause_ms: 0,", "pause_ms: 0, forbidden: [D24-D30],")
    path = tmp_path / "site.yaml"
    path.write_text(text.format(brand="xinje-xd", port=plant.port, word="D100"), encoding="utf-8")
    for at, pair in enumerate(("OL", "-T", "17")):
        plant.words[20 + at] = int.from_bytes(pair.encode(), "big")
    status, said = await probe_json("-c", str(path), "plc", "--tag", "lot=LOT-71", "--write")
    assert status == 0, said
    assert "low_byte_first: true" in path.read_text("utf-8")
    assert plant.requests
    assert not any(address < 31 and address + quantity > 24 for _, address, quantity in plant.requests)


async def test_mistakes_of_usage(plant, tmp_path, seamline) -> None:
    """Told in one sentence, with what would be right; nothing is asked of the PLC."""
    path = str(site_file(tmp_path, plant, "inovance-h5u"))
    for arguments, told in (
        (("-c", path, "nobody", "--tag", "total=1"), "plc"),
        (("-c", path, "plc", "--tag", "nothing=1"), "m.total"),
        (("-c", path, "plc", "--tag", "totl=1"), "did you mean total?"),
        (("-c", path, "plc", "--tag", "total=abc"), "no number"),
        (("-c", path), "DEVICE"),
        (("plc", "--tag", "total=1"), "--host"),
        (("--host", "127.0.0.1", "--at", "D1=5", "--write"), "no --write"),
        (("-c", path, "plc"), "no value"),
    ):
        status, said = await seamline("probe", *arguments)
        assert status == 2, arguments
        assert told in said, said
    assert plant.connections == 0


async def test_quick_against_libmodbus(tmp_path, probe_json, seamline) -> None:
    """Without a site file, against a server nobody here wrote: one off, another table, a bit."""
    with serving("libmodbus", tmp_path) as port:
        where = ("--host", "127.0.0.1", "--port", str(port), "--unit", "2")  # whose registers have two different bytes
        status, said = await probe_json(*where, "--at", f"holding:50={holding(51, 2)}", "--at", "4x21=5141")
        assert status == 0, said
        assert [tag["fits"][0]["protocol_address"] for tag in said["tags"]] == ["holding:51", "holding:20"]
        pair = holding(60, 2) << 16 | holding(61, 2)
        status, said = await probe_json(*where, "--at", f"holding:60={pair}", "--type", "u32")
        assert (status, said["tags"][0]["fits"][0]["word_order"]) == (0, "ABCD")
        status, said = await probe_json(*where, "--at", f"holding:70={65535 - 71}")
        assert said["tags"][0]["fits"][0]["protocol_address"] == "input:70"
        status, text = await seamline("probe", *where, "--at", f"holding:199={holding(199, 2)}")
        assert status == 0
        assert "holding:200" in text  # refused, and named
        status, text = await seamline("probe", *where, "--at", f"holding:50={holding(51, 2)}")
        assert "write by hand" in text
        assert "address: holding:51" in text


async def test_reads_only_and_within_the_budget(plant, tmp_path, probe_json) -> None:
    """Function codes 1 to 4, and the pauses of the device's limits between them."""
    text = SITE.replace("pause_ms: 0, requests_per_s: 1000", "pause_ms: 40, requests_per_s: 20")
    path = site_file(tmp_path, plant, "xinje-xd", text)
    lay_out(plant, path, WordOrder.ABCD, **SHOWN)
    began = asyncio.get_running_loop().time()
    _, said = await probe_json("-c", str(path), "plc", "--tag", "total=1234567")
    assert {function for function, _, _ in plant.requests} <= {1, 2, 3, 4}
    assert asyncio.get_running_loop().time() - began >= 0.05 * (said["requests"] - 1)
    assert plant.connections == 1


async def test_sixty_four_bits_and_floats(plant, tmp_path, probe_json) -> None:
    """A double in the fifth of eight orders, a float high word first."""
    text = OCTAL.replace("run: {{ address: X17 }}", "run: null").replace(
        "type: u32 }}",
        "type: u32 }}\n      energy: {{ address: D40, type: f64 }}\n      flow: {{ address: D50, type: f32 }}",
    )
    path = tmp_path / "site.yaml"
    path.write_text(text.format(brand="inovance-h5u", port=plant.port, word="D100"), encoding="utf-8")
    tags = tags_of(load(path, {}).devices[0])
    plant.put(replace(tags["energy"], word_order=WordOrder.EFGHABCD), 98765.4375)
    plant.put(replace(tags["flow"], word_order=WordOrder.ABCD), 12.34)
    flow = struct.unpack(">f", struct.pack(">f", 12.34))[0]
    shown = {"energy": "98765.44", "flow": f"{flow:.2f}"}
    status, said = await probe_json("-c", str(path), "plc", *asked(shown), "--write")
    assert status == 0, said
    after = tags_of(load(path, {}).devices[0])
    assert [order_that_shows(after[name]) for name in shown] == [WordOrder.EFGHABCD, WordOrder.ABCD]
