"""The security of an OPC UA device in a site file: every way to say it, and what does not go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import compile_site
from edge.errors import ConfigError
from edge.plan import OpcuaDevice
from protocols.opcua.tags import OpcuaEndpoint

SITE = """\
site: {{id: s, enterprise: e, province: p, city: c}}
devices:
  - {{id: ua, template: generic-opcua, url: "opc.tcp://h:4840", security: {security}}}
machines:
  - {{id: m, template: generic, device: ua, base: M}}
"""
PIN = "ab:" * 31 + "ab"


def endpoint(security: str, folder: Path) -> OpcuaEndpoint:
    (device,) = compile_site(SITE.format(security=security), folder / "site.yaml", {}).devices
    assert isinstance(device, OpcuaDevice)
    return device.endpoint


def test_what_can_be_said(tmp_path: Path) -> None:
    """Defaults are the strongest; files lie beside the site file; a fingerprint is taken as it is pasted."""
    plain = endpoint("{}", tmp_path)
    assert (plain.security, plain.mode, plain.user, plain.fingerprint, plain.tolerate) == (
        *("auto", "SignAndEncrypt", None, ""),
        frozenset(),
    )
    none = endpoint('{policy: "None"}', tmp_path)
    assert (none.security, none.mode) == ("None", "None")
    (tmp_path / "op.der").write_bytes(b"")
    (tmp_path / "op.pem").write_bytes(b"")
    full = endpoint(
        f'{{user_certificate: op.der, user_key: op.pem, fingerprint: "{PIN}", tolerate: [host, dates]}}', tmp_path
    )
    assert (full.user_certificate, full.user_key) == (str(tmp_path / "op.der"), str(tmp_path / "op.pem"))
    assert full.fingerprint == "AB" * 32
    assert full.tolerate == {"host", "dates"}
    secret = endpoint("{user: u, password: hidden}", tmp_path)
    assert "hidden" not in repr(secret)


@pytest.mark.parametrize(
    ("security", "said"),
    [
        ('{mode: "None"}', "policy: "),
        ('{policy: "None", mode: Sign}', "both None, or neither"),
        ('{policy: Basic256Sha256, mode: "None"}', "both None, or neither"),
        ("{policy: Basic256}", "one of these"),
        ("{user_certificate: nowhere.der}", "there is no file"),
        ("{user: u, user_certificate: x}", "one user"),
        ("{user_key: x}", "without its user_certificate"),
        ("{fingerprint: ABCD}", "64 hexadecimal digits"),
        ("{tolerate: [trust]}", "one of these"),
        ("{tolerate: [revoked]}", "one of these"),
        ('{policy: "None", tolerate: [host]}', "no server certificate"),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, security: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told with its line; nothing lowers security by accident, and trust itself cannot be tolerated away."""
    monkeypatch.setenv("SEAMLINE_LANG", "en")
    with pytest.raises(ConfigError) as caught:
        endpoint(security, tmp_path)
    assert said in str(caught.value)
    assert "site.yaml:3" in str(caught.value)
