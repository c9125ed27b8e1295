"""`seamline check` tells of every Modbus connection how it is made and what it costs, whatever the transport."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import compile_site
from edge.config.check import render
from edge.config.init import write_samples

SITE = """\
site: {id: s, enterprise: e, province: p, city: c}
devices:
  - {id: a, template: inovance-h5u, host: 10.0.0.1, depth: 4}
  - {id: b, template: inovance-h5u, host: 10.0.0.2, tls: {}, limits: {requests_per_s: 5, occupancy: 0.3}}
  - {id: c, template: inovance-h5u, host: 10.0.0.3, transport: udp}
  - {id: d, template: inovance-h5u, host: 10.0.0.4, framing: rtu}
  - {id: e, template: inovance-h5u, host: 10.0.0.5, framing: ascii}
  - {id: f, template: delta-dvp, serial: {path: /dev/ttyS0, baud: 9600}, unit: 1}
  - {id: g, template: delta-dvp, serial: {path: /dev/ttyS0, baud: 9600}, unit: 2}
  - {id: h, template: delta-dvp, serial: {path: /dev/ttyS1, data_bits: 7}, framing: ascii}
machines:
"""
ROWS = {
    "10.0.0.1:502": ("TCP", "MBAP", "a", "4", "/s ≤ 200/s"),
    "10.0.0.2:802": ("TLS", "MBAP", "b", "1", "/s ≤ 5/s", "% ≤ 30%"),
    "udp:10.0.0.3:502": ("UDP", "MBAP", "c"),
    "10.0.0.4:502": ("TCP", "RTU", "d"),
    "10.0.0.5:502": ("TCP", "ASCII", "e"),
    "/dev/ttyS0": ("RTU", "f+g", "/s ≤ 40/s"),
    "/dev/ttyS1": ("ASCII", "h"),
}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_transport_has_its_row(language, monkeypatch) -> None:
    """Transport, framing, address, devices, depth, budget, bus time, load."""
    monkeypatch.setenv("SEAMLINE_LANG", language)
    machines = [
        f"  - {{id: m{d}, template: generic, device: {d}, tags: {{run: null, fault: null, total: {{address: D8}}}}}}"
        for d in "abcdefgh"
    ]
    said = render(compile_site(SITE + "\n".join(machines), Path("site.yaml"), {}), 0)
    lines = said.split({"en": "Modbus connections", "zh": "Modbus 连接"}[language])[1].split("\n\n")[0].splitlines()[1:]
    assert len(lines) == len(ROWS)
    for (peer, parts), line in zip(ROWS.items(), lines, strict=True):
        assert peer in line
        for part in parts:
            assert part in line, line
        assert {"en": "a round", "zh": "每轮"}[language] in line
        assert line.rstrip().endswith("%")
    assert {"en": "serial", "zh": "串行"}[language] in lines[-1]


@pytest.mark.parametrize(
    ("limits", "fits"),
    [
        ("depth: 1", False),  # 40 requests every 0.5 s, 10 ms each and 10 ms after it, one at a time
        ("depth: 4", True),  # the brand's 50/s are meant for each of four
        ("depth: 4, limits: {requests_per_s: 50}", False),  # the site's are not
        ("depth: 4, limits: {occupancy: 0.15}", False),
    ],
)
def test_what_does_not_fit_is_said(limits, fits, monkeypatch) -> None:
    """Of the device and of its connection, by requests per second, occupancy and depth."""
    monkeypatch.setenv("SEAMLINE_LANG", "en")
    tags = ", ".join(f"t{i}: {{address: D{200 * i}, interval_s: 0.5}}" for i in range(1, 40))
    total = "run: null, fault: null, total: {address: D8, interval_s: 0.5}"
    text = SITE.split("devices:")[0] + (
        f"devices:\n  - {{id: a, template: inovance-h5u, host: h, {limits}}}\n"
        f"machines:\n  - {{id: m, template: generic, device: a, tags: {{{total}, {tags}}}}}\n"
    )
    said = render(compile_site(text, Path("site.yaml"), {}), 0)
    assert ("does not fit" in said.split("Modbus connections")[0]) is not fits
    if "requests_per_s" in limits or fits:
        assert ("does not fit" in said.split("Modbus connections")[1]) is not fits


@pytest.mark.parametrize(("language", "sample"), [("en", "site.en.yaml"), ("zh", "site.yaml")])
def test_the_samples_have_the_section(language, sample, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SEAMLINE_LANG", language)
    write_samples(tmp_path)
    path = next(tmp_path.rglob(sample))
    said = render(compile_site(path.read_text("utf-8"), path, {}), 0)
    assert {"en": "Modbus connections (transport, framing", "zh": "Modbus 连接（方式、帧"}[language] in said
    assert said.count("MBAP") == 2
