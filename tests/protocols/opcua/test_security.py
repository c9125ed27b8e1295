"""The strongest offer is taken, None never by itself, and the gateway's certificate is made once."""

from __future__ import annotations

import stat
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from peers.authority import DAY, NOW, make

from protocols.opcua.certificate import RENEW_BEFORE_NS, Identity, ensure_identities, identities
from protocols.opcua.errors import OpcuaSecurityError
from protocols.opcua.pki_files import OWN_CERTS, OWN_PRIVATE
from protocols.opcua.security import Offer, choose, reachable, weaker_than

NONE = Offer("None", "None")
OLD = [Offer(policy, mode) for policy in ("Basic128Rsa15", "Basic256") for mode in ("Sign", "SignAndEncrypt")]
ALL = [
    Offer(policy, mode)
    for policy in ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")
    for mode in ("Sign", "SignAndEncrypt")
]
NOW_NS = 1_780_000_000_000_000_000
YEAR_NS = 365 * 86400 * 1_000_000_000


def test_auto_takes_the_strongest() -> None:
    """Whatever the order of the list, and never a withdrawn policy."""
    for offers in ([NONE, *OLD, *ALL], [*reversed(ALL), NONE]):
        assert choose(offers, "auto", "SignAndEncrypt") == Offer("Aes256_Sha256_RsaPss", "SignAndEncrypt")
    assert choose(ALL[:4], "auto", "Sign") == Offer("Basic256Sha256", "Sign")
    assert choose(ALL[2:4], "auto", "SignAndEncrypt").policy == "Aes128_Sha256_RsaOaep"


@pytest.mark.parametrize("offers", [[NONE], [NONE, *OLD], []])
def test_auto_never_takes_none_or_a_withdrawn_policy(offers: list[Offer]) -> None:
    """Without a policy both sides trust there is no connection, and the reason names what was offered."""
    with pytest.raises(OpcuaSecurityError) as caught:
        choose(offers, "auto", "SignAndEncrypt")
    assert all(offer.policy in str(caught.value) for offer in offers)
    assert 'policy: "None"' in str(caught.value) or OLD[0] in offers


def test_a_named_policy_is_taken_or_nothing() -> None:
    """A site file that names a policy and a mode gets exactly these."""
    assert choose(ALL, "Basic256Sha256", "Sign") == Offer("Basic256Sha256", "Sign")
    with pytest.raises(OpcuaSecurityError, match="Basic256Sha256/SignAndEncrypt"):
        choose([NONE, Offer("Basic256Sha256", "Sign")], "Basic256Sha256", "SignAndEncrypt")


def test_a_downgrade_on_the_way_is_seen() -> None:
    """The list inside the session is stronger than the one outside: somebody cut it."""
    chosen = Offer("Aes128_Sha256_RsaOaep", "SignAndEncrypt")
    assert weaker_than(chosen, ALL, "auto", "SignAndEncrypt")
    assert not weaker_than(chosen, [chosen, NONE], "auto", "SignAndEncrypt")
    assert not weaker_than(chosen, ALL, "Aes128_Sha256_RsaOaep", "SignAndEncrypt")


def test_a_server_without_anything_fit_says_what_to_write() -> None:
    """The error names the line of the site file that was asked for, and the one that would do."""
    with pytest.raises(OpcuaSecurityError) as caught:
        choose(
            [NONE, Offer("Aes128_Sha256_RsaOaep", "Sign"), Offer("Basic256Sha256", "Sign")], "auto", "SignAndEncrypt"
        )
    assert "security: {policy: auto, mode: SignAndEncrypt}" in str(caught.value)
    assert "write security: {policy: Basic256Sha256, mode: Sign}" in str(caught.value)
    with pytest.raises(OpcuaSecurityError, match="withdrawn"):
        choose([NONE, *OLD], "auto", "SignAndEncrypt")


@pytest.mark.parametrize(
    ("site", "offered", "opened"),
    [
        ("opc.tcp://192.168.1.20", "opc.tcp://plc-internal:4840", "opc.tcp://192.168.1.20:4840"),
        ("opc.tcp://192.168.1.20:14840", "opc.tcp://plc:4840/ua/server", "opc.tcp://192.168.1.20:14840/ua/server"),
        ("opc.tcp://plc:4840/own", "opc.tcp://plc:4840/other", "opc.tcp://plc:4840/own"),
        ("opc.tcp://[fe80::1]", "", "opc.tcp://[fe80::1]:4840"),
        ("opc.tcp://plc", "https://evil/path", "opc.tcp://plc:4840"),
    ],
)
def test_the_host_is_always_the_site_files(site: str, offered: str, opened: str) -> None:
    """Servers list names only they can resolve, and addresses from before a port was forwarded."""
    assert reachable(site, offered) == opened


# ── our own
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

HOSTS = ("gateway-7", "192.168.1.5", "fd00::5")


def one(folder: Path, now_ns: int = NOW_NS, hosts: tuple[str, ...] = HOSTS) -> Identity:
    return ensure_identities(folder, hosts, now_ns)[0]


def test_the_certificate_is_made_once_and_kept(tmp_path: Path) -> None:
    """The key for the owner alone; the same pair at the next start even under another host name."""
    folder = tmp_path / "pki"
    first = one(folder)
    assert stat.S_IMODE(first.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(first.key.parent.stat().st_mode) == 0o700
    assert first.application_uri == "urn:gateway-7:seamline"
    made = first.certificate.read_bytes()
    assert one(folder, NOW_NS + YEAR_NS, ("renamed",)) == first
    assert first.certificate.read_bytes() == made


def test_the_certificate_is_what_servers_ask_for(tmp_path: Path) -> None:
    """OPC 10000-6 §6.2.2: URI first, then hosts; uses of the key; no authority; RSA 2048 with SHA-256."""
    made = x509.load_der_x509_certificate(one(tmp_path).certificate.read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert isinstance(next(iter(names)), x509.UniformResourceIdentifier)
    assert names.get_values_for_type(x509.DNSName) == ["gateway-7"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["192.168.1.5", "fd00::5"]
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.content_commitment
    assert usage.key_encipherment
    assert usage.data_encipherment
    extended = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert made.signature_hash_algorithm is not None
    assert made.signature_hash_algorithm.name == "sha256"
    made.verify_directly_issued_by(made)


def test_it_is_renewed_in_time_and_the_old_one_stays(tmp_path: Path) -> None:
    """A quarter before the end a new pair stands beside the old one, which serves until it ends; the URI stays."""
    old = one(tmp_path)
    due_ns = old.facts.ends_ns - RENEW_BEFORE_NS
    assert ensure_identities(tmp_path, HOSTS, due_ns) == [old]
    new, kept = ensure_identities(tmp_path, ("renamed",), due_ns + 1)
    assert kept == old
    assert new.facts.ends_ns > old.facts.ends_ns
    assert (new.application_uri, new.key.read_bytes() == old.key.read_bytes()) == (old.application_uri, False)
    assert ensure_identities(tmp_path, HOSTS, due_ns + 2) == [new, old], "made once"
    assert ensure_identities(tmp_path, HOSTS, old.facts.ends_ns + 1) == [new]


def test_a_certificate_of_the_plants_authority_is_used_and_never_replaced(tmp_path: Path) -> None:
    """Put there by a person; the gateway's own stands behind it, and takes over only when nothing else is valid."""
    own = one(tmp_path)
    plant = make("Gateway 7", make("Plant CA", authority=True), uri=own.application_uri, ends=NOW + DAY)
    (tmp_path / OWN_CERTS / "plant.der").write_bytes(plant.der)
    (tmp_path / OWN_PRIVATE / "plant.pem").write_bytes(plant.pem_key)
    at_ns = round(NOW.timestamp()) * 1_000_000_000
    assert [pair.certificate.stem for pair in ensure_identities(tmp_path, HOSTS, at_ns)] == [
        "plant",
        own.certificate.stem,
    ]


def test_a_certificate_with_another_key_is_no_pair(tmp_path: Path) -> None:
    """A power cut between the two files, or a wrong copy: a new pair is made, nothing is sent with the wrong key."""
    first = one(tmp_path)
    before = first.certificate.read_bytes()
    first.key.write_bytes(make("Somebody").pem_key)
    second = one(tmp_path)
    assert second.certificate.read_bytes() != before
    assert [pair.facts.sha256 for pair in identities(tmp_path)] == [second.facts.sha256]
    second.key.unlink()
    assert one(tmp_path, NOW_NS + YEAR_NS).key.exists()


def test_no_certificate_by_a_clock_that_cannot_be(tmp_path: Path) -> None:
    """A gateway whose battery died wakes in 1970; a certificate of then has ended when the clock is right."""
    with pytest.raises(OpcuaSecurityError, match="1970-01-01"):
        one(tmp_path, 0)
    assert identities(tmp_path) == []


def test_devices_that_start_together_share_one_pair(tmp_path: Path) -> None:
    """Key and certificate always belong together, however many ask at once."""
    found: list[Identity] = []
    threads = [Thread(target=lambda: found.append(one(tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [found[0]] * 4
    assert len(list((tmp_path / OWN_PRIVATE).iterdir())) == 1
