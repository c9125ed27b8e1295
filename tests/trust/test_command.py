"""`seamline trust`: a person looks, decides, and the decision stands; in both languages, as JSON, without a restart."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from peers.authority import DAY, NOW, URI, Made, make

from edge.cli import main
from edge.trust import expiry
from edge.trust.hosts import own_hosts
from protocols.opcua.certificate import Identity, ensure_identities, identities
from protocols.opcua.channel import Way
from protocols.opcua.distrust import OpcuaTrustError
from protocols.opcua.fingerprint import pairs
from protocols.opcua.pki_files import ISSUERS, REJECTED, TRUSTED, TRUSTED_CRL, files
from protocols.opcua.security import Offer
from protocols.opcua.trust import Demand, TrustList
from protocols.opcua.x509 import facts

NOW_NS = round(NOW.timestamp()) * 1_000_000_000
DAY_NS = 86_400_000_000_000
DEMAND = Demand("opc.tcp://127.0.0.1:4840", "127.0.0.1", URI)
SERVER = make("压机 1")


def judged(folder: Path, made: Made = SERVER) -> bool:
    try:
        TrustList(folder).judge(made.der, DEMAND, NOW_NS)
    except OpcuaTrustError:
        return False
    return True


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main(["trust", *arguments]) == status
    printed = capsys.readouterr()
    return printed.err if status else printed.out


@pytest.mark.parametrize("form", [SERVER.sha256, pairs(SERVER.sha256).lower(), SERVER.sha1, SERVER.sha256[:16]])
def test_accepted_and_rejected_again(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    """By either fingerprint, however it was copied; the next judgement of a running agent follows."""
    pki = str(tmp_path)
    assert not judged(tmp_path)
    text = said(capsys, "accept", form, "--pki", pki, "--lang", "en")
    assert pairs(SERVER.sha256) in text
    assert "no restart" in text
    assert judged(tmp_path)
    assert files(tmp_path / REJECTED) == []
    assert "已信任" in said(capsys, "accept", form, "--pki", pki, "--lang", "zh"), "twice is no mistake"
    assert "不再信任" in said(capsys, "reject", form, "--pki", pki, "--lang", "zh")
    assert not judged(tmp_path)
    assert len(files(tmp_path / REJECTED)) == 1


def test_what_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both fingerprints, subject, URI, hosts, validity; own, trusted, rejected, lists; what cannot be read; JSON."""
    own = ensure_identities(tmp_path, ("gateway-7",), NOW_NS)[0]
    judged(tmp_path)
    ca = make("Plant CA", authority=True)
    (tmp_path / "ca.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "ca.crl").write_bytes(ca.crl(SERVER))
    said(capsys, "accept", "--issuer", str(tmp_path / "ca.pem"), "--pki", str(tmp_path))
    said(capsys, "accept", str(tmp_path / "ca.crl"), "--pki", str(tmp_path))
    (tmp_path / TRUSTED).mkdir(parents=True)
    (tmp_path / TRUSTED / "broken.der").write_bytes(b"?")
    for lang, words in {"zh": ("主机", "有效期", "不是可读的证书"), "en": ("hosts", "valid", "no readable")}.items():
        text = said(capsys, "list", "--pki", str(tmp_path), "--lang", lang)
        for part in (
            *words,
            pairs(SERVER.sha256),
            pairs(SERVER.sha1),
            "CN=压机 1",
            URI,
            "127.0.0.1",
            own.facts.subject,
        ):
            assert part in text
    document = json.loads(said(capsys, "list", "--pki", str(tmp_path), "--json"))
    assert [one["shelf"] for one in document["certificates"]] == ["own", "trusted", "issuers", "rejected"]
    mine = next(one for one in document["certificates"] if one["shelf"] == "rejected")
    assert (mine["sha256"], mine["sha1"], mine["uris"]) == (SERVER.sha256, SERVER.sha1, [URI])
    assert document["revocation_lists"][0]["entries"] == 1
    assert len(files(tmp_path / ISSUERS)) == len(files(tmp_path / TRUSTED_CRL)) == 1


def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it is, and where to look; nothing is moved."""
    judged(tmp_path)
    judged(tmp_path, make("压机 1"))
    pki = ("--pki", str(tmp_path), "--lang", "en")
    assert "no fingerprint" in said(capsys, "accept", "abc", *pki, status=1)
    assert "first connection was refused" in said(capsys, "accept", "AB" * 32, *pki, status=1)
    (tmp_path / "x").write_text("x")
    assert "no file" in said(capsys, "accept", str(tmp_path / "nowhere.der"), *pki, status=1)
    assert "neither" in said(capsys, "accept", str(tmp_path / "x"), *pki, status=1)
    assert "no certificate yet" in said(capsys, "show", "own", *pki, status=1)
    assert len(files(tmp_path / REJECTED)) == 2
    own = ensure_identities(tmp_path, ("gateway-7",), NOW_NS)[0]
    assert "own certificate" in said(capsys, "reject", own.facts.sha256, *pki, status=1)
    assert "urn:gateway-7:seamline" in said(capsys, "show", "own", *pki)
    assert stat.S_IMODE(own.key.stat().st_mode) == 0o600


def test_the_folder_of_a_site_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the store, where the agent looks."""
    site = tmp_path / "site.yaml"
    site.write_text(
        "site: {id: s, enterprise: e, province: p, city: c}\n"
        "devices:\n  - {id: ua, template: generic-opcua, url: 'opc.tcp://127.0.0.1:1'}\n"
        "machines:\n  - {id: m, template: generic, device: ua, base: M}\n"
        "agent: {store: {path: data/store.db}}\n"
    )
    judged(tmp_path / "data" / "pki")
    said(capsys, "accept", SERVER.sha256, "-c", str(site))
    assert judged(tmp_path / "data" / "pki")


def test_this_gateway_has_a_name() -> None:
    """For its certificate: the host name first, no loopback, no link-local address."""
    hosts = own_hosts()
    assert hosts[0]
    assert not [host for host in hosts[1:] if host.startswith(("127.", "169.254.", "fe80:")) or host == "::1"]


def way(server_ends_ns: int, own: Identity, newest: Identity | None = None) -> Way:
    server = make(ends=NOW + 400 * DAY)
    said = facts(server.certificate)
    return Way(
        Offer("Basic256Sha256", "Sign"), own, (newest or own).facts, DEMAND, replace(said, ends_ns=server_ends_ns)
    )


def test_ends_are_told_thirty_days_before(tmp_path: Path) -> None:
    """The server's and ours; the day before nothing is said; a new one of ours that is not trusted yet is named."""
    own = ensure_identities(tmp_path, ("gateway-7",), NOW_NS)[0]
    assert expiry.note(way(NOW_NS + 31 * DAY_NS, own), NOW_NS) == expiry.Text("", "")
    near = expiry.note(way(NOW_NS + 29 * DAY_NS, own), NOW_NS)
    assert "ends in 29 days" in near.en
    assert "还有 29 天到期" in near.zh
    assert "expired on" in expiry.note(way(NOW_NS - DAY_NS, own), NOW_NS).en
    late_ns = own.facts.ends_ns - 20 * DAY_NS
    new, old = ensure_identities(tmp_path, ("gateway-7",), late_ns)
    waiting = expiry.note(way(late_ns + 40 * DAY_NS, old, new), late_ns)
    assert pairs(new.facts.sha256) in waiting.en
    assert identities(tmp_path) == [new, old]
    assert "gateway's certificate ends in 20 days" in expiry.note(way(late_ns + 40 * DAY_NS, old), late_ns).en
