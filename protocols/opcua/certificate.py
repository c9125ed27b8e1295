"""The gateway's own application instance certificates (OPC 10000-6 §6.2.2): made at the first start, renewed in time.

Theory. An OPC UA client proves itself with a certificate whose subject alternative name holds its application URI;
servers compare both, and a person trusts the certificate there once. So it must outlive restarts and upgrades, and a
new one is a job for a person at every server. Hence there may be several: RENEW_BEFORE before the newest ends, a
new pair is made beside it. A session tries the newest first and falls back to the older one where the server does not
take the new one yet (`protocols.opcua.channel`), which also puts the new one before the eyes of whoever looks after
that server. Between then and the end of the old one there is a quarter to trust it.

RSA 2048 with SHA-256 is what every policy in `security.POLICIES` and every PLC in the field takes.

Rules.
* Pairs are files of one stem: `own/certs/STEM.der`, `own/private/STEM.pem`. The key is written first; a certificate
  without its key, or with another one, is no pair.
* Only pairs this gateway signed itself are renewed. A certificate of the plant's authority, put there by a person, is
  used as long as it is valid and never replaced by one nobody ordered.
* The application URI never changes: it is the one of the newest pair, whatever the host is called now.
* A clock before EARLIEST is wrong: no certificate is made by it, servers would refuse it once it is right.

Blocking: making a key takes up to a second of CPU. Call it in a thread.
"""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocols.errors import Fault
from protocols.opcua.errors import OpcuaSecurityError
from protocols.opcua.pki_files import OWN_CERTS, OWN_PRIVATE, files, make_folder, write_whole
from protocols.opcua.x509 import CertificateError, Facts, facts, load_file

RENEW_BEFORE_NS = 90 * 86_400 * 1_000_000_000
EARLIEST_NS = 1_735_689_600_000_000_000  # 2025-01-01: no gateway with this program lived before
_YEARS = 10
_PRIVATE_FOLDER, _PRIVATE = 0o700, 0o600
_COMMON_NAME_MOST = 64  # X.520 upper bound


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate of ours, where it and its key lie, and what it says."""

    certificate: Path
    key: Path
    facts: Facts
    parsed: x509.Certificate = field(repr=False, compare=False)
    private: rsa.RSAPrivateKey = field(repr=False, compare=False)

    @property
    def application_uri(self) -> str:
        """As it stands in the certificate; a session must say the same."""
        return self.facts.application_uri


def identities(folder: Path) -> list[Identity]:
    """Every pair in `folder`, newest first, expired ones too. Errors: OSError."""
    found = [one for path in files(folder / OWN_CERTS) if (one := _pair(folder, path)) is not None]
    return sorted(found, key=lambda one: (one.facts.begins_ns, one.facts.ends_ns), reverse=True)


def ensure_identities(folder: Path, hosts: Sequence[str], now_ns: int) -> list[Identity]:
    """The pairs valid now, newest first, at least one: made where there is none, or none that lasts.

    `hosts`: names and addresses of this gateway, the host name first. `now_ns`: UTC.
    Errors: OpcuaSecurityError, OSError.
    """
    make_folder(folder)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several devices start at once and share one pair
        known = identities(folder)
        valid = [one for one in known if one.facts.begins_ns <= now_ns <= one.facts.ends_ns]
        if not valid or (valid[0].facts.self_signed and valid[0].facts.ends_ns - now_ns < RENEW_BEFORE_NS):
            uri = known[0].application_uri if known else f"urn:{hosts[0]}:seamline"
            valid.insert(0, _made(folder, uri, hosts, now_ns))
    return valid


def _pair(folder: Path, path: Path) -> Identity | None:
    key = folder / OWN_PRIVATE / f"{path.stem}.pem"
    try:
        certificate, private = _loaded(path.read_bytes(), key.read_bytes())
    except (CertificateError, FileNotFoundError, ValueError, TypeError):
        return None
    return Identity(path, key, facts(certificate), certificate, private) if private is not None else None


@lru_cache(maxsize=8)
def _loaded(certificate: bytes, key: bytes) -> tuple[x509.Certificate, rsa.RSAPrivateKey | None]:
    """What the two files hold; no key where it is another certificate's. Loading a key proves its primes, which takes
    50 ms of CPU: as much as the rest of a connection, so it is done once for each content.
    """
    parsed = load_file(certificate)[0]
    private = serialization.load_pem_private_key(key, password=None)
    fits = isinstance(private, rsa.RSAPrivateKey) and private.public_key() == parsed.public_key()
    return parsed, private if fits and isinstance(private, rsa.RSAPrivateKey) else None


def _made(folder: Path, uri: str, hosts: Sequence[str], now_ns: int) -> Identity:
    if now_ns < EARLIEST_NS:
        raise _clock_wrong(now_ns)
    now = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    made = _certificate(key, uri, hosts, now)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    stem = f"seamline {now:%Y%m%d-%H%M%S}"
    make_folder(folder / OWN_CERTS)
    make_folder(folder / OWN_PRIVATE, _PRIVATE_FOLDER)
    identity = Identity(
        folder / OWN_CERTS / f"{stem}.der",
        folder / OWN_PRIVATE / f"{stem}.pem",
        facts(made),
        made,
        key,
    )
    write_whole(identity.key, pem, _PRIVATE)
    write_whole(identity.certificate, made.public_bytes(serialization.Encoding.DER))
    return identity


def _clock_wrong(now_ns: int) -> OpcuaSecurityError:
    said = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).date()
    return OpcuaSecurityError(
        "clock-wrong",
        f"本网关的时钟为 {said}，明显不对：证书会带上错误的有效期。请校时（NTP 或手动），代理会自动重试",
        f"this gateway's clock says {said}, which cannot be: a certificate made now would have wrong dates. Set the "
        "clock (NTP or by hand); it is tried again",
        Fault.CONFIG,
    )


def _certificate(key: rsa.RSAPrivateKey, uri: str, hosts: Sequence[str], now: datetime) -> x509.Certificate:
    public = key.public_key()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"Seamline@{hosts[0]}"[:_COMMON_NAME_MOST]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Seamline"),
            x509.NameAttribute(NameOID.DOMAIN_COMPONENT, hosts[0]),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), *map(_host, hosts)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # the server's clock may be behind
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(names, critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
