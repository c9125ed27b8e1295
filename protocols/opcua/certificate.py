"""The gateway's own application instance certificate (OPC 10000-6 §6.2.2), made once and kept.

Theory. An OPC UA client proves itself with a certificate whose subject alternative name holds its application URI;
servers compare both and ask a person to trust the certificate once. It must therefore outlive restarts and upgrades:
it is made at the first start and never replaced silently. RSA 2048 with SHA-256 is what every policy in
`security.POLICIES` and every PLC in the field takes. The private key is readable by this user only (mode 0600,
written before it has its name).

Blocking: making a key takes up to a second of CPU. Call it in a thread.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocols.errors import Fault
from protocols.opcua.errors import OpcuaSecurityError

CERTIFICATE_NAME = "own.der"
KEY_NAME = "own-key.pem"
_YEARS = 10


@dataclass(frozen=True, slots=True)
class Identity:
    """Where the certificate and its key lie, and the application URI inside."""

    certificate: Path
    key: Path
    application_uri: str


def ensure_identity(folder: Path, host: str, now_ns: int) -> Identity:
    """The identity in `folder`, made where there is none. `now_ns`: UTC. Errors: OpcuaSecurityError, OSError."""
    identity = Identity(folder / CERTIFICATE_NAME, folder / KEY_NAME, f"urn:{host}:seamline")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several devices start at once and share one pair
        if not (identity.certificate.exists() and identity.key.exists()):
            _make(identity, host, now_ns)
    return _checked(identity, now_ns)


def _make(identity: Identity, host: str, now_ns: int) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    made = _certificate(key, identity.application_uri, host, datetime.fromtimestamp(now_ns // 1_000_000_000, UTC))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(identity.key, pem)
    _write(identity.certificate, made.public_bytes(serialization.Encoding.DER))


def _checked(identity: Identity, now_ns: int) -> Identity:
    """The identity as it was made; the URI is the one inside, so a renamed host changes nothing."""
    certificate = x509.load_der_x509_certificate(identity.certificate.read_bytes())
    if certificate.not_valid_after_utc.timestamp() < now_ns / 1e9:
        where, until = identity.certificate.parent, certificate.not_valid_after_utc.date()
        raise OpcuaSecurityError(
            "own-certificate-expired",
            f"本网关的 OPC UA 证书已于 {until} 过期。移走 {where} 中的文件后重启会生成新证书，然后在服务器上信任它",
            f"this gateway's OPC UA certificate expired on {until}. Move the files in {where} away and restart to make "
            "a new one, then trust it on the server",
            Fault.CONFIG,
        )
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)[:1] or [identity.application_uri]
    return Identity(identity.certificate, identity.key, uri)


def _certificate(key: rsa.RSAPrivateKey, uri: str, host: str, now: datetime) -> x509.Certificate:
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "Seamline"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Seamline")]
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
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), x509.DNSName(host)])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # the server's clock may be behind
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(names, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing, readable by the owner only."""
    fresh = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
