"""The strongest offer is taken, None never by itself, and the gateway's certificate is made once."""

from __future__ import annotations

import stat
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509

from protocols.opcua.certificate import Identity, ensure_identity
from protocols.opcua.errors import OpcuaSecurityError
from protocols.opcua.security import Offer, choose, weaker_than

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
    assert "security: None" in str(caught.value) or OLD[0] in offers


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


def test_the_certificate_is_made_once_and_kept(tmp_path: Path) -> None:
    """Mode 0600, the application URI inside, the same pair at the next start even under another host name."""
    folder = tmp_path / "pki"
    first = ensure_identity(folder, "gateway-7", NOW_NS)
    for path in (first.certificate, first.key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    made = first.certificate.read_bytes()
    names = x509.load_der_x509_certificate(made).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:gateway-7:seamline"]
    assert ensure_identity(folder, "renamed", NOW_NS + YEAR_NS) == first
    assert first.certificate.read_bytes() == made


def test_an_expired_certificate_is_said_and_not_replaced(tmp_path: Path) -> None:
    """A new certificate must be trusted on the server by a person: it is not slipped in."""
    ensure_identity(tmp_path, "gateway", NOW_NS)
    with pytest.raises(OpcuaSecurityError, match="expired"):
        ensure_identity(tmp_path, "gateway", NOW_NS + 11 * YEAR_NS)


def test_devices_that_start_together_share_one_pair(tmp_path: Path) -> None:
    """Key and certificate always belong together, however many ask at once."""
    found: list[Identity] = []
    threads = [Thread(target=lambda: found.append(ensure_identity(tmp_path, "gateway", NOW_NS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [found[0]] * 4
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "own-key.pem", "own.der"]
