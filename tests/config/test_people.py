"""Promises: people read the plan in both languages; editors get a schema that knows the samples; samples stay mine."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from edge.config import load
from edge.config.check import render
from edge.config.document import read
from edge.config.init import write_samples
from edge.config.problems import Problems
from edge.config.schema import json_schema
from edge.config.templates import config_folder
from edge.errors import ConfigError

NOW_NS = 1_790_000_000_000_000_000  # 2026-09-21 22:13 in Shanghai
SAMPLE = config_folder() / "site.yaml"


def test_the_plan_is_printed_in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAMLINE_LANG", "en")
    said = render(load(SAMPLE, {}), NOW_NS)
    for expected in (
        "D1000…D1022  1000–1022  0x03E8  23 registers  46 bytes  1 s",
        "occupancy",
        "tape-01.total",
        "holding:1008",
        "ns=2;s=Filler.Status.StateCurrent",
        "tier T3",
        "10000",  # modulus of a counter that rolls over after 9999
        "run ≠ 0",
        "09-21 22:13 – 09-22 08:00  9.78 h  scheduled  夜班 (2026-09-21)",
        "InfluxDB 1  http://127.0.0.1:8086",
        "a power cut loses at most 500 ms",
    ):
        assert expected in said, expected


def test_the_plan_is_printed_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAMLINE_LANG", "zh")
    said = render(load(SAMPLE, {}), NOW_NS)
    for expected in ("请求（功能码", "总线", "等级 T3", "状态规则", "今后 24 小时", "断电最多丢 500 ms"):
        assert expected in said, expected


TOLD = """\
site: {id: s, enterprise: e, province: p, city: c}
devices: [{id: d, template: generic-opcua, url: "opc.tcp://h:4840"}]
machines:
  - {id: m, template: packml-30050, device: d, base: F, flush: {pieces: 40, within_s: 60}, products: [a]}
  - {id: n, template: machinery, device: d, base: G, tags: {order: {node: Job}}}
products:
  - {id: a, per_min: 100, code: 1}
  - {id: a, since: 2026-10-01, per_min: 120, pieces_per_count: {total: 2}}
"""


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "en",
            (
                "for T2 it lacks: good and rejected pieces",
                "assumed, for want of a signal: every piece is good",
                "proof of a restart: acc_time decreases, server_start changes",
                "the PLC's own state times: run ← execute_s + completing_s; breakdown ←",
                "one fact, so of one sample: base_state, machine_state, execute_state",
                "the state before goes on while state_changing ≠ 0",
                "still counted for the old product after a change: 40 pieces within 60 s",
                "since 2026-10-01 00:00",
                "x2/–/–",
                "state = 0, mode (last said) = 3",
                "order registered or not",
            ),
        ),
        (
            "zh",
            (
                "升到 T2 还缺：合格与不良",
                "无信号，故假定：每件都合格",
                "证明 PLC 重启：acc_time 变小",
                "PLC 自己的状态时间：run ←",
                "须同一次采样：base_state",
                "state_changing ≠ 0 时保持原状态",
                "换产品后仍记在原产品的：40 件、60 s内",
                "自 2026-10-01 00:00 起",
                "mode（最后一次） = 3",
            ),
        ),
    ],
)
def test_what_a_machine_can_tell_is_printed(
    language: str, expected: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAMLINE_LANG", language)
    (tmp_path / "site.yaml").write_text(TOLD)
    said = render(load(tmp_path / "site.yaml", {}), NOW_NS)
    for words in expected:
        assert words in said, words


def test_an_overloaded_connection_is_pointed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAMLINE_LANG", "en")
    site = tmp_path / "site.yaml"
    site.write_text(
        "site: {id: s, enterprise: e, province: p, city: c}\n"
        "devices: [{id: d, template: xinje-xc, host: h, limits: {pause_ms: 900}}]\n"
        "machines: [{id: m, template: tape-sealer, device: d, base: D0}]\n"
    )
    assert "does not fit" in render(load(site, {}), NOW_NS)


@pytest.mark.parametrize("sample", sorted(config_folder().glob("*.yaml")), ids=lambda file: file.name)
def test_the_schema_accepts_the_samples(sample: Path) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    document = read(sample.read_text(), sample.name, Problems())
    assert document is not None
    jsonschema.validate(document.data, schema, cls=jsonschema.Draft202012Validator)


def test_the_schema_refuses_an_unknown_key() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    document = read(SAMPLE.read_text().replace("base: D1000", "bass: D1000"), "x", Problems())
    assert document is not None
    assert any("bass" in error.message for error in validator.iter_errors(document.data))


def test_samples_are_written_load_and_are_never_overwritten(tmp_path: Path) -> None:
    written = write_samples(tmp_path / "new")
    assert [file.name for file in written[:3]] == ["site.yaml", "site.en.yaml", "seamline.service"]
    assert {file.name for file in written[3:]} >= {"line.json"}
    for file in written[:2]:
        assert load(file, {}).machines
    written[0].write_text("mine")
    with pytest.raises(ConfigError, match=r"site\.yaml"):
        write_samples(tmp_path / "new")
    assert written[0].read_text() == "mine"
