"""What a certificate says: read once into plain facts. Pure; blocking only by a few hundred microseconds of parsing.

Theory. A server sends its application instance certificate (OPC 10000-6 §6.2.2), DER, and may append the certificates
of its issuers, one behind the other (OPC 10000-4 §7.3). People know a certificate by its fingerprint: newer tools show
SHA-256, most tools of the field the SHA-1 "thumbprint" of OPC UA. Both are shown and both are taken.

Certificates of old PLCs break rules that OpenSSL enforces; what cannot be read is an error for people, never a crash.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

MOST_BYTES = 64 * 1024  # of a chain: ten certificates of PLCs are a tenth of it
_NS_PER_S = 1_000_000_000
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class CertificateError(ValueError):
    """Bytes that are no certificate."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What people and checks need of one certificate. Instants are UTC."""

    sha256: str  # fingerprints: upper-case hexadecimal without separators
    sha1: str
    subject: str  # RFC 4514, e.g. CN=S7-1500,O=Siemens
    common_name: str
    issuer: str
    self_signed: bool  # by its names
    authority: bool  # may sign other certificates
    uris: tuple[str, ...]  # application URI first
    hosts: tuple[str, ...]  # DNS names and IP addresses
    begins_ns: int
    ends_ns: int
    key_bits: int  # 0 = not RSA
    signature: str  # hash of the signature, e.g. sha256

    @property
    def application_uri(self) -> str:
        """The first URI inside, "" where there is none."""
        return self.uris[0] if self.uris else ""


def leaf_of(chain: bytes) -> bytes:
    """The first certificate of a chain, DER. Errors: CertificateError."""
    return split(chain)[0]


def split(chain: bytes) -> list[bytes]:
    """The certificates of a chain as they stand one behind the other. Errors: CertificateError."""
    parts: list[bytes] = []
    at = 0
    if len(chain) > MOST_BYTES:
        raise CertificateError(f"{len(chain)} bytes")
    while at < len(chain):
        size = _size(chain, at)
        parts.append(chain[at : at + size])
        at += size
    if not parts:
        raise CertificateError("no certificate")
    return parts


def _size(data: bytes, at: int) -> int:
    """Length of the DER sequence at `at` with its header (X.690 §8.1.3)."""
    head = data[at : at + 2]
    if len(head) < 2 or head[0] != 0x30:
        raise CertificateError("not DER")
    if head[1] < 0x80:
        return 2 + head[1]
    digits = head[1] & 0x7F
    size = 2 + digits + int.from_bytes(data[at + 2 : at + 2 + digits], "big")
    if not 1 <= digits <= 3 or at + size > len(data):
        raise CertificateError("cut short")
    return size


def load(der: bytes) -> x509.Certificate:
    """One certificate. Errors: CertificateError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)  # odd serial numbers of old PLCs
            return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise CertificateError(str(error)) from error


def load_file(content: bytes) -> list[x509.Certificate]:
    """The certificates of a file, DER or PEM. Errors: CertificateError."""
    found = _PEM.findall(content)
    if not found:
        return [load(der) for der in split(content)]
    try:
        return [x509.load_pem_x509_certificate(one) for one in found]
    except ValueError as error:
        raise CertificateError(str(error)) from error


def load_crl(content: bytes) -> x509.CertificateRevocationList:
    """A revocation list, DER or PEM. Errors: CertificateError."""
    try:
        pem = content.lstrip().startswith(b"-----BEGIN")
        return x509.load_pem_x509_crl(content) if pem else x509.load_der_x509_crl(content)
    except ValueError as error:
        raise CertificateError(str(error)) from error


def facts(certificate: x509.Certificate) -> Facts:
    """What it says. Errors: CertificateError."""
    try:
        names = extension(certificate, x509.SubjectAlternativeName)
        constraints = extension(certificate, x509.BasicConstraints)
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        key = certificate.public_key()
        algorithm = certificate.signature_hash_algorithm
        return Facts(
            sha256=certificate.fingerprint(hashes.SHA256()).hex().upper(),
            sha1=certificate.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303 - a name people know, no proof
            subject=certificate.subject.rfc4514_string(),
            common_name=str(common[0].value) if common else "",
            issuer=certificate.issuer.rfc4514_string(),
            self_signed=certificate.subject == certificate.issuer,
            authority=constraints is not None and constraints.ca,
            uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)) if names else (),
            hosts=_hosts(names),
            begins_ns=_ns(certificate.not_valid_before_utc),
            ends_ns=_ns(certificate.not_valid_after_utc),
            key_bits=key.key_size if isinstance(key, rsa.RSAPublicKey) else 0,
            signature=algorithm.name if algorithm else "",
        )
    except (ValueError, TypeError, x509.UnsupportedGeneralNameType) as error:
        raise CertificateError(str(error)) from error


def extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    """One extension's value, None where it is absent. Errors: CertificateError where it cannot be read."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise CertificateError(str(error)) from error


def _hosts(names: x509.SubjectAlternativeName | None) -> tuple[str, ...]:
    if names is None:
        return ()
    return (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))


def _ns(instant: datetime) -> int:
    return round(instant.timestamp()) * _NS_PER_S


def normal_host(host: str) -> str:
    """A host name to compare by: lower case without the last dot; addresses in their one form."""
    plain = host.strip("[]").rstrip(".").lower()
    try:
        return str(ip_address(plain))
    except ValueError:
        return plain
