"""Every transport in a line of the site file, wires shared where they are one, mistakes told in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.config import compile_site
from edge.config.check import render
from edge.errors import ConfigError
from edge.plan import ModbusDevice, SitePlan
from protocols.modbus.tags import Framing, Parity, SerialEndpoint, TcpEndpoint, UdpEndpoint

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"


def site(folder: Path, *devices: str) -> SitePlan:
    """The example of the docs with these devices behind its own."""
    match = re.search(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert match is not None
    line = "  - {id: plc-1, template: inovance-h5u, host: 192.168.1.10}\n"
    assert line in match[1]
    more = "".join(f"  - {{id: d{n}, template: generic-modbus, {said}}}\n" for n, said in enumerate(devices))
    return compile_site(match[1].replace(line, line + more), folder / "site.yaml", {})


def endpoints(plan: SitePlan) -> list[object]:
    return [device.endpoint for device in plan.devices if isinstance(device, ModbusDevice)][1:]


def test_every_transport(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    plan = site(
        tmp_path,
        "host: a, framing: rtu, port: 4001",
        "host: b, transport: udp",
        "host: c, tls: {ca: ca.pem, server_name: plc}",
        "serial: {path: /dev/ttyUSB0, baud: 9600, parity: N, stop_bits: 2}",
        "serial: {path: /dev/ttyUSB1, data_bits: 7}, framing: ascii",
        "host: d, depth: 4",
    )
    rtu, udp, tls, line, old, deep = endpoints(plan)
    assert isinstance(rtu, TcpEndpoint)
    assert (rtu.framing, rtu.port) == (Framing.RTU, 4001)
    assert isinstance(udp, UdpEndpoint)
    assert isinstance(tls, TcpEndpoint)
    assert tls.tls is not None
    assert (tls.port, tls.tls.ca, tls.tls.server_name) == (802, str(tmp_path / "ca.pem"), "plc")
    assert isinstance(line, SerialEndpoint)
    assert (line.baud, line.parity, line.stop_bits, line.framing) == (9600, Parity.NONE, 2, Framing.RTU)
    assert isinstance(old, SerialEndpoint)
    assert (old.framing, old.data_bits) == (Framing.ASCII, 7)
    assert isinstance(deep, TcpEndpoint)
    assert [d.depth for d in plan.devices if isinstance(d, ModbusDevice)][-1] == 4
    text = render(plan, 0)
    for shown in ("RTU over TCP", "UDP", "TLS", "9600 8N2", "/dev/ttyUSB0"):
        assert shown in text


def test_units_behind_one_address_share_it_with_the_longest_deadline(tmp_path: Path) -> None:
    plan = site(tmp_path, "host: gw, unit: 1, deadline_s: 0.5", "host: gw, unit: 2, deadline_s: 2", "host: other")
    one, two, other = endpoints(plan)
    assert one == two != other
    assert isinstance(one, TcpEndpoint)
    assert one.deadline_ns == 2_000_000_000
    assert "d0+d1" in render(plan, 0)


@pytest.mark.parametrize(
    ("devices", "zh", "en"),
    [
        (["unit: 3"], "serial（串口）", "serial is required"),
        (["host: a, serial: {path: /dev/x}"], "串口设备没有 host", "has no host"),
        (["serial: {path: /dev/x}, depth: 2"], "一次只能有一个请求", "one request at a time"),
        (["serial: {path: /dev/x}, framing: mbap"], "rtu 或 ascii", "rtu or ascii"),
        (["serial: {path: /dev/x, data_bits: 7}"], "8 个数据位", "8 data bits"),
        (["serial: {path: /dev/x}", "serial: {path: /dev/x, baud: 9600}"], "必须一致", "have the same"),
        (["host: a, transport: udp, framing: rtu"], "UDP 只用 mbap", "mbap frames only"),
        (["host: a, transport: udp, tls: {}"], "TLS 只能用于 TCP", "TLS goes with TCP"),
        (["host: a, framing: rtu, depth: 2"], "没有事务号", "no transaction id"),
        (["host: a, tls: {ca: gone.pem}"], "没有文件", "there is no file"),
        (["host: a, tls: {key: k.pem}"], "成对", "both or neither"),
        (["host: a, tls: {key_password: x}"], "只用于 certificate", "key of a certificate"),
    ],
)
def test_mistakes_are_told_in_both_languages(tmp_path: Path, devices: list[str], zh: str, en: str) -> None:
    with pytest.raises(ConfigError) as caught:
        site(tmp_path, *devices)
    said = [problem.what for problem in caught.value.problems]
    assert any(zh in text.zh and en in text.en for text in said), [(t.zh, t.en) for t in said]


def test_pauses_and_retries_of_a_site(tmp_path: Path) -> None:
    """The pause after connecting and the retries are the site's to say, and `check` shows them."""
    plan = site(tmp_path, "host: a, limits: {connect_pause_ms: 250, retries: 2}", "host: b")
    one, other = (device for device in plan.devices[1:] if isinstance(device, ModbusDevice))
    assert (one.endpoint.connect_pause_ns, one.limits.retries) == (250_000_000, 2)
    assert (other.endpoint.connect_pause_ns, other.limits.retries) == (0, 0)
    shown = render(plan, 0)
    assert "250" in shown


def test_nobody_is_broadcast_to(tmp_path: Path) -> None:
    """Unit 0 is broadcast on a serial line: no unit answers to it. Over TCP gateways and PLCs do."""
    with pytest.raises(ConfigError) as raised:
        site(tmp_path, "unit: 0, serial: {path: /dev/ttyUSB0}")
    assert [problem.path for problem in raised.value.problems] == ["devices[1].unit"]
    site(tmp_path, "unit: 0, host: a")


@pytest.mark.parametrize(
    ("keys", "at"),
    [
        ("type: u16, min: 5, max: 1", "min"),
        ("type: string, length: 2, scale: 2", "scale"),
        ("bit: 3, sentinels: [1]", "sentinels"),
    ],
)
def test_what_a_tag_cannot_mean(tmp_path: Path, keys: str, at: str) -> None:
    """Bounds that leave nothing, and keys that would do nothing, are mistakes."""
    text = (
        "site: {id: s, enterprise: e, province: p, city: c}\n"
        "devices: [{id: d, template: generic-modbus, host: h}]\n"
        "machines: [{id: m, template: generic, device: d, tags: {run: null, fault: null, "
        "total: {address: holding:1, type: u16}, x: {address: holding:2, " + keys + "}}}]\n"
    )
    with pytest.raises(ConfigError) as raised:
        compile_site(text, tmp_path / "site.yaml", {})
    assert [problem.path for problem in raised.value.problems] == [f"machines[0].tags.x.{at}"]
