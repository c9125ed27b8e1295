"""Whom the gateway believes: each thing that can be wrong with a server's certificate is found, named and not forgiven
unless the site file says so; and nothing but a person's act makes a server trusted.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st
from peers.authority import DAY, NOW, URI, Made, key_of, make, name_of

from protocols.opcua.distrust import TOLERABLE, OpcuaTrustError
from protocols.opcua.errors import OpcuaSecurityError
from protocols.opcua.fingerprint import matches, normal, pairs
from protocols.opcua.pki_files import ISSUERS, ISSUERS_CRL, REJECTED, TRUSTED, TRUSTED_CRL, file_name, files
from protocols.opcua.trust import MOST_REJECTED, Demand, TrustList
from protocols.opcua.x509 import CertificateError, split

NOW_NS = round(NOW.timestamp()) * 1_000_000_000
DEMAND = Demand("opc.tcp://127.0.0.1:4840", "127.0.0.1", URI)
ROOT = make("Plant CA", authority=True)
ISSUED = make("Press 2", ROOT)


def put(folder: Path, where: str, *contents: bytes) -> TrustList:
    (folder / where).mkdir(parents=True, exist_ok=True)
    for content in contents:
        (folder / where / f"{len(list((folder / where).iterdir()))}.der").write_bytes(content)
    return TrustList(folder)


def reasons(trust: TrustList, made: Made, demand: Demand = DEMAND, *, sent: tuple[Made, ...] = ()) -> list[str]:
    """What is found wrong, in order; [] = accepted."""
    try:
        trust.judge(b"".join(one.der for one in (made, *sent)), demand, NOW_NS)
    except OpcuaTrustError as error:
        return [one.reason for one in error.findings]
    return []


# ── trust
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_server_is_refused_and_put_aside(tmp_path: Path) -> None:
    """The error carries the whole fingerprint and the command that accepts it; the certificate waits in `rejected`."""
    server, trust = make(), TrustList(tmp_path)
    with pytest.raises(OpcuaTrustError) as caught:
        trust.judge(server.der, DEMAND, NOW_NS)
    assert f"seamline trust accept {server.sha256}" in str(caught.value)
    assert f"seamline trust accept {server.sha256}" in caught.value.zh
    assert pairs(server.sha256) in str(caught.value)
    assert [path.read_bytes() for path in files(tmp_path / REJECTED)] == [server.der]
    assert files(tmp_path / REJECTED)[0].name == f"Press 1 [{server.sha1}].der"


def test_what_a_person_puts_into_the_folder_counts_at_once(tmp_path: Path) -> None:
    """Accepted and rejected between two sessions of one running agent."""
    server, trust = make(), TrustList(tmp_path)
    assert reasons(trust, server) == ["certificate-untrusted"]
    put(tmp_path, TRUSTED, server.der)
    assert reasons(trust, server) == []
    (tmp_path / TRUSTED / "0.der").unlink()
    assert reasons(trust, server) == ["certificate-untrusted"]


def test_a_damaged_file_spoils_nothing(tmp_path: Path) -> None:
    """Neither in the list of trusted ones nor among the revocation lists."""
    server = make()
    trust = put(tmp_path, TRUSTED, b"\x30\x82\xff\xffgarbage", b"", server.der)
    put(tmp_path, TRUSTED_CRL, b"no list")
    assert reasons(trust, server) == []


def test_an_authority_vouches_for_what_it_signed(tmp_path: Path) -> None:
    """With its revocation list; directly, and through an authority between that the server sends along."""
    trust = put(tmp_path, TRUSTED, ROOT.der)
    put(tmp_path, TRUSTED_CRL, ROOT.crl())
    assert reasons(trust, ISSUED) == []
    middle = make("Line CA", ROOT, authority=True)
    below = make("Press 3", middle)
    put(tmp_path, ISSUERS_CRL, middle.crl())
    assert reasons(trust, below, sent=(middle,)) == []
    assert reasons(trust, below) == ["certificate-untrusted", "certificate-chain"], "its issuer is nowhere"
    put(tmp_path, ISSUERS, middle.der)
    assert reasons(trust, below) == []


def test_an_issuer_alone_is_not_trust(tmp_path: Path) -> None:
    """`issuers` completes chains; a self-signed server there stays a stranger."""
    trust = put(tmp_path, ISSUERS, ROOT.der, make().der)
    put(tmp_path, ISSUERS_CRL, ROOT.crl())
    assert reasons(trust, ISSUED) == ["certificate-untrusted"]
    assert "certificate-untrusted" in reasons(trust, make())


def test_a_trusted_server_makes_nobody_else_trusted(tmp_path: Path) -> None:
    """Its self-signed certificate may sign certificates by its key usage, and is no authority."""
    server = make("Press 1")
    trust = put(tmp_path, TRUSTED, server.der)
    smuggled = make("Evil", server)
    assert reasons(trust, smuggled) == ["certificate-untrusted", "issuer-usage"]


def test_a_forged_signature_is_told(tmp_path: Path) -> None:
    """The name of a trusted authority without its key; and a self-signed certificate that somebody changed."""
    trust = put(tmp_path, TRUSTED, ROOT.der)
    put(tmp_path, TRUSTED_CRL, ROOT.crl())
    forged = make("Press 2", make("Other CA", authority=True), issuer_name=name_of("Plant CA"))
    assert "certificate-signature" in reasons(trust, forged)
    posing = make("Plant CA", make("Other CA", authority=True), issuer_name=name_of("Plant CA"))
    assert "certificate-signature" in reasons(trust, posing)


# ── revocation
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_revoked_server_is_refused(tmp_path: Path) -> None:
    """By its authority's list, wherever it lies; also where a person trusts exactly this certificate."""
    trust = put(tmp_path, TRUSTED, ROOT.der)
    put(tmp_path, ISSUERS_CRL, ROOT.crl(ISSUED))
    assert reasons(trust, ISSUED) == ["certificate-revoked"]
    put(tmp_path, TRUSTED, ISSUED.der)
    assert reasons(trust, ISSUED) == ["certificate-revoked"]
    assert reasons(trust, ISSUED, replace(DEMAND, tolerate=frozenset(TOLERABLE))) == ["certificate-revoked"]


def test_a_revoked_authority_takes_its_servers_along(tmp_path: Path) -> None:
    """The authority between was revoked by the root."""
    middle = make("Line CA", ROOT, authority=True)
    trust = put(tmp_path, TRUSTED, ROOT.der)
    put(tmp_path, TRUSTED_CRL, ROOT.crl(middle), middle.crl())
    assert reasons(trust, make("Press 3", middle), sent=(middle,)) == ["issuer-revoked"]


@pytest.mark.parametrize(
    "crl",
    [None, ROOT.crl(now=NOW - 30 * DAY), ROOT.crl(key=key_of("Other CA"))],
    ids=["none", "out of date", "signed by somebody else"],
)
def test_without_a_good_list_revocation_is_unknown(tmp_path: Path, crl: bytes | None) -> None:
    """Refused, unless the site file tolerates it; a list by a stranger counts for nothing."""
    trust = put(tmp_path, TRUSTED, ROOT.der)
    if crl is not None:
        put(tmp_path, TRUSTED_CRL, crl)
    assert reasons(trust, ISSUED) == ["revocation-unknown"]
    assert reasons(trust, ISSUED, replace(DEMAND, tolerate=frozenset(("revocation",)))) == []


# ── what it says
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

_WRONG: list[tuple[str, str, dict[str, Any]]] = [
    ("certificate-expired", "dates", {"ends": NOW - timedelta(seconds=1)}),
    ("certificate-not-yet-valid", "dates", {"begins": NOW + timedelta(seconds=1)}),
    ("certificate-host", "host", {"hosts": ("192.168.1.20", "press-1")}),
    ("certificate-host", "host", {"hosts": ()}),
    ("certificate-uri", "", {"uri": "urn:another:server"}),
    ("certificate-uri", "", {"uri": ""}),
    ("certificate-usage", "usage", {"extended": (ExtendedKeyUsageOID.CLIENT_AUTH,)}),
    ("certificate-usage", "usage", {"usages": ("digital_signature",)}),
    ("certificate-weak", "", {"bits": 1024}),
]


@pytest.mark.parametrize(("reason", "tolerate", "what"), _WRONG)
def test_each_fault_is_found_and_forgiven_only_by_its_line(
    tmp_path: Path, reason: str, tolerate: str, what: dict[str, Any]
) -> None:
    """The text names the line where there is one; every other line helps nothing."""
    server = make(f"Press {what}"[:60], **what)
    trust = put(tmp_path, TRUSTED, server.der)
    with pytest.raises(OpcuaTrustError) as caught:
        trust.judge(server.der, DEMAND, NOW_NS)
    assert [one.reason for one in caught.value.findings] == [reason] == [caught.value.reason]
    assert (f"tolerate: [{tolerate}]" in str(caught.value)) == bool(tolerate) == ("tolerate:" in caught.value.zh)
    others = replace(DEMAND, tolerate=frozenset(TOLERABLE) - {tolerate})
    assert reasons(trust, server, others) == [reason]
    if tolerate:
        assert reasons(trust, server, replace(DEMAND, tolerate=frozenset((tolerate,)))) == []


def test_an_expired_authority_is_told(tmp_path: Path) -> None:
    """Its servers end with it."""
    old = make("Old CA", authority=True, begins=NOW - 100 * DAY, ends=NOW - DAY)
    trust = put(tmp_path, TRUSTED, old.der)
    put(tmp_path, TRUSTED_CRL, old.crl())
    assert reasons(trust, make("Press 4", old)) == ["issuer-expired"]


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    """A person fixes a server once, not once per attempt."""
    server = make("Press 5", hosts=("press-5",), ends=NOW - DAY, uri="urn:x")
    found = reasons(TrustList(tmp_path), server)
    assert found == ["certificate-untrusted", "certificate-expired", "certificate-uri", "certificate-host"]


def test_hosts_are_compared_as_hosts(tmp_path: Path) -> None:
    """Case, a last dot and the many ways to write an IPv6 address make no difference; a part of a name does."""
    server = make("Press 6", hosts=("PLC-7.plant.local", "fe80::1"))
    trust = put(tmp_path, TRUSTED, server.der)
    for host in ("plc-7.plant.local", "PLC-7.PLANT.LOCAL.", "fe80:0:0:0:0:0:0:1"):
        assert reasons(trust, server, replace(DEMAND, host=host)) == []
    for host in ("plc-7", "plant.local", "x.plc-7.plant.local"):
        assert reasons(trust, server, replace(DEMAND, host=host)) == ["certificate-host"]


def test_a_pin_stands_in_for_the_list(tmp_path: Path) -> None:
    """The one certificate of the site file needs nobody else's word; any other is refused though it were trusted."""
    server, other = make("Press 7"), make("Press 8")
    trust = put(tmp_path, TRUSTED, other.der)
    pinned = replace(DEMAND, pin=server.sha256)
    assert reasons(trust, server, pinned) == []
    assert reasons(trust, other, pinned) == ["certificate-pin"]


# ── strangers
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_strangers_fill_no_disk(tmp_path: Path) -> None:
    """The oldest of the rejected go; the same one again takes no second place."""
    trust = TrustList(tmp_path)
    key_of("Stranger")
    for _ in range(MOST_REJECTED + 3):
        last = make("Stranger")
        assert reasons(trust, last) == ["certificate-untrusted"]
        assert reasons(trust, last) == ["certificate-untrusted"]
    assert len(files(tmp_path / REJECTED)) == MOST_REJECTED
    assert last.der in [path.read_bytes() for path in files(tmp_path / REJECTED)]


@pytest.mark.parametrize(
    "chain", [b"", b"\x00", b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x03\x02\x01\x05", b"x" * 70_000]
)
def test_garbage_is_an_error_for_people(tmp_path: Path, chain: bytes) -> None:
    """Whatever a stranger sends in place of a certificate."""
    with pytest.raises(OpcuaSecurityError) as caught:
        TrustList(tmp_path).judge(chain, DEMAND, NOW_NS)
    assert caught.value.reason == "certificate-unreadable"


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_of_chains(data: bytes) -> None:
    """Parts add up to the whole, or it is refused."""
    with suppress(CertificateError):
        assert b"".join(split(data)) == data


@given(st.text(max_size=90))
def test_no_name_leaves_the_folder(name: str) -> None:
    """A stranger chooses the common name."""
    made = file_name(name, "AB" * 20)
    assert "/" not in made
    assert "\x00" not in made
    assert not made.startswith(".")
    assert len(made.encode()) <= 255


def test_fingerprints_as_people_write_them() -> None:
    """With colons, spaces, small letters, a prefix; too short a beginning is none."""
    sha256, sha1 = "AB" * 32, "CD" * 20
    for text in (
        pairs(sha256),
        sha256.lower(),
        f"SHA256:{sha256}",
        f"sha-256 {pairs(sha256)}",
        "cd cd " * 10,
        sha1[:16],
    ):
        assert matches(normal(text), sha256, sha1), text
    for text in ("", "abab", "xyz" * 10, "AB" * 40):
        with pytest.raises(ValueError):
            normal(text)
