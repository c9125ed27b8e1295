"""Certificates for tests, each wrong in one way: an authority that signs, revokes, and lies where it is told to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
URI = "urn:seamline:test-server"
DAY = timedelta(days=1)


@cache
def key_of(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """One key per name, for the whole run: making them costs time, and certificates of one name share it."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def name_of(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


@dataclass(slots=True)
class Made:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    serials: list[int] = field(default_factory=list)  # an authority's revoked ones

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def sha256(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex().upper()

    @property
    def sha1(self) -> str:
        return self.certificate.fingerprint(hashes.SHA1()).hex().upper()

    @property
    def pem_key(self) -> bytes:
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())

    def write(self, folder: Path, stem: str) -> tuple[Path, Path]:
        """Certificate as DER, key as PEM."""
        folder.mkdir(parents=True, exist_ok=True)
        certificate, key = folder / f"{stem}.der", folder / f"{stem}.pem"
        certificate.write_bytes(self.der)
        key.write_bytes(self.pem_key)
        return certificate, key

    def crl(self, *revoked: Made, now: datetime = NOW, key: rsa.RSAPrivateKey | None = None) -> bytes:
        """This authority's list, DER, good for a week from `now`."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(now - DAY).next_update(now + 7 * DAY)
        for one in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(one.certificate.serial_number)
                .revocation_date(now - DAY)
                .build()
            )
        return builder.sign(key or self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def make(
    common_name: str = "Press 1",
    issuer: Made | None = None,
    *,
    uri: str = URI,
    hosts: Sequence[str] = ("127.0.0.1", "localhost"),
    begins: datetime | None = None,
    ends: datetime | None = None,
    now: datetime = NOW,
    authority: bool = False,
    usages: Sequence[str] = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    extended: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    bits: int = 2048,
    issuer_name: x509.Name | None = None,
) -> Made:
    """An application's certificate, or an authority's; self-signed without `issuer`, valid for a year around `now`."""
    key = key_of(common_name, bits)
    names: dict[str, Any] = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
    )
    names |= dict.fromkeys(("key_cert_sign", "crl_sign"), authority or issuer is None)
    names |= dict.fromkeys(("encipher_only", "decipher_only"), False) | dict.fromkeys(usages, True)
    alternative: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)] if uri else []
    for host in hosts:
        try:
            alternative.append(x509.IPAddress(ip_address(host)))
        except ValueError:
            alternative.append(x509.DNSName(host))
    builder = (
        x509.CertificateBuilder()
        .subject_name(name_of(common_name))
        .issuer_name(issuer_name or (issuer.certificate.subject if issuer else name_of(common_name)))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins or now - 30 * DAY)
        .not_valid_after(ends or now + 365 * DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**names), critical=True)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(extended)), critical=False)
    if alternative:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
    return Made(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)
