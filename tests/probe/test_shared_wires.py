"""Probing a unit that shares its wire: a serial line on a pseudo-terminal, and a gateway, each with two units."""

from __future__ import annotations

from pathlib import Path

from peers.foreign import holding, serving
from peers.serial_line import SerialLine

from protocols.modbus.rtu import crc16

SITE = """\
site: {id: s, enterprise: e, province: p, city: c}
devices:
  - {id: one, template: generic-modbus, WIRE, unit: 1, limits: {pause_ms: 0, requests_per_s: 1000}}
  - {id: two, template: generic-modbus, WIRE, unit: 2, limits: {pause_ms: 0, requests_per_s: 1000}}
machines:
  - {id: a, template: generic, device: one, tags: {run: null, fault: null, total: {address: holding:50, type: u32}}}
  - {id: b, template: generic, device: two, tags: {run: null, fault: null, total: {address: holding:50, type: u32}}}
"""


def write_site(folder: Path, wire: str) -> Path:
    path = folder / "site.yaml"
    path.write_text(SITE.replace("WIRE", wire), encoding="utf-8")
    return path


async def test_two_units_of_a_serial_line(tmp_path, probe_json) -> None:
    """Unit 2 counts low word first and one register on: found, corrected for this device alone, unit 1 not asked."""

    def answer(request: bytes) -> bytes:
        unit, function = request[:2]
        first, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        total = 1_234_567
        memory = {51: total & 0xFFFF, 52: total >> 16}
        asked.append((unit, function))
        words = b"".join(memory.get(n, 0).to_bytes(2, "big") for n in range(first, first + count))
        reply = bytes((unit, function, len(words))) + words
        return reply + crc16(reply)

    asked: list[tuple[int, int]] = []
    async with SerialLine() as line:
        line.answer = answer
        path = write_site(tmp_path, f"serial: {{path: {line.client}, baud: 115200, parity: N}}")
        status, said = await probe_json("-c", str(path), "two", "--tag", "total=1234567", "--write")
    assert status == 0, said
    (tag,) = said["tags"]
    assert (tag["fits"][0]["protocol_address"], tag["fits"][0]["word_order"]) == ("holding:51", "CDAB")
    assert {unit for unit, _ in asked} == {2}
    assert {function for _, function in asked} <= {1, 2, 3, 4, 43}
    first, second = path.read_text(encoding="utf-8").split("{id: b,")
    assert "CDAB" in second or "word_order: CDAB" in first.split("id: two")[1]
    assert "CDAB" not in first.split("id: two")[0]
    assert "holding:51" in second


async def test_two_units_of_a_gateway(tmp_path, probe_json) -> None:
    """Each unit behind one address has its own memory: what unit 2 shows is found in unit 2, and not in unit 1."""
    shown = holding(51, 2) << 16 | holding(52, 2)
    with serving("libmodbus", tmp_path) as port:
        path = write_site(tmp_path, f"host: 127.0.0.1, port: {port}")
        status, said = await probe_json("-c", str(path), "two", "--tag", f"total={shown}")
        assert (status, said["tags"][0]["fits"][0]["protocol_address"]) == (0, "holding:51")
        status, said = await probe_json("-c", str(path), "one", "--tag", f"total={shown}")
        assert (status, said["tags"][0]["fits"]) == (1, [])
