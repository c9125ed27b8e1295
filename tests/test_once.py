"""Promise: `seamline once` shows what the device said: numbers scaled, texts, names of values beside the values."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from peers.modbus import ScriptedPlc

from edge import once

SITE = """\
site: {{id: s, enterprise: e, province: p, city: c}}
devices:
  - {{id: plc, template: generic-modbus, host: 127.0.0.1, port: {port}, word_order: CDAB}}
machines:
  - id: m
    template: generic
    device: plc
    tags:
      run: null
      fault: null
      total: {{address: 4x11, type: u32}}
      mode: {{address: holding:2, words: {{2: {{zh: 手动, en: manual}}, 3: {{zh: 检修, en: service}}}}}}
      step: {{address: holding:23.1, bits: 3, words: {{4: welding}}}}
      level: {{address: holding:100, range: {{raw: [0, 200], value: [0, 10]}}}}
      lot: {{address: holding:16706, type: string, length: 1, encoding: ascii}}
"""


async def test_values_and_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Register n holds n: 0x4142 is "AB", 23 is 0b10111."""
    monkeypatch.setenv("SEAMLINE_LANG", "en")
    config = tmp_path / "site.yaml"
    async with ScriptedPlc() as plc:
        config.write_text(SITE.format(port=plc.port))
        assert await asyncio.to_thread(once.run, config, device=None, as_json=True) == 0
        (device,) = json.loads(capsys.readouterr().out)["devices"]
        assert await asyncio.to_thread(once.run, config, device=None, as_json=False) == 0
    tags = {tag["name"].removeprefix("m."): tag for tag in device["tags"]}
    assert {name: tag["value"] for name, tag in tags.items()} == {
        "total": 11 << 16 | 10,
        "mode": 2,
        "step": 3,
        "level": 5,
        "lot": "AB",
    }
    assert tags["mode"]["word"] == {"zh": "手动", "en": "manual"}
    assert "word" not in tags["step"]
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.startswith("  m.")}
    assert "2 manual" in lines["m.mode"]
    assert "3  good" in lines["m.step"]


@pytest.mark.parametrize(
    ("language", "words"), [("en", ("m.mode", "the device refuses")), ("zh", ("m.mode", "设备拒绝"))]
)
async def test_what_was_not_read_is_no_zero(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    language: str,
    words: tuple[str, str],
) -> None:
    """A refused tag has no value, its device says why, and the exit status tells a script."""
    monkeypatch.setenv("SEAMLINE_LANG", language)
    config = tmp_path / "site.yaml"
    async with ScriptedPlc() as plc:
        plc.illegal = {2}
        config.write_text(SITE.format(port=plc.port))
        assert await asyncio.to_thread(once.run, config, device=None, as_json=True) == 1
        (device,) = json.loads(capsys.readouterr().out)["devices"]
        assert await asyncio.to_thread(once.run, config, device=None, as_json=False) == 1
    values = {tag["name"]: (tag["value"], tag["quality"]) for tag in device["tags"]}
    assert values["m.mode"] == (None, "bad")
    assert values["m.step"] == (3, "good")
    (note,) = device["notes"]
    assert all(word in note for word in words)
    assert f"  ! {note}" in capsys.readouterr().out


async def test_a_device_that_fails_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exception 4 to everything: the device answers, nothing was read, and people are told with which words."""
    monkeypatch.setenv("SEAMLINE_LANG", "en")
    config = tmp_path / "site.yaml"
    async with ScriptedPlc() as plc:
        plc.exception = 4
        config.write_text(SITE.format(port=plc.port))
        assert await asyncio.to_thread(once.run, config, device=None, as_json=False) == 1
    shown = capsys.readouterr().out
    assert "exception 4 (SERVER DEVICE FAILURE)" in shown
    assert shown.count("not read") == 5
