"""Modbus over TLS: the context, and what its failures mean.

Source: MODBUS/TCP Security Protocol Specification V2.1 (port 802, TLS 1.2 or later, certificates of both sides; a role
in the client's certificate may decide what it may read, and a forbidden read is answered with exception 1).

Rules.
* The server's certificate is always verified: chain, dates, name. There is no switch for that.
* What fails is told by its cause: each has its own remedy, and mostly its own person.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from protocols.errors import Phrase
from protocols.modbus.errors import ModbusConnectionError, connection_error
from protocols.modbus.tags import TcpEndpoint, TlsFiles

# X509_V_ERR_… of OpenSSL (x509_vfy.h) by what they mean for people.
_BY_VERIFY_CODE = {
    9: "tls-not-yet-valid",
    10: "tls-expired",
    62: "tls-name",  # host name
    64: "tls-name",  # IP address
    **dict.fromkeys((2, 18, 19, 20, 21), "tls-unknown-ca"),
}
# Alerts the server sends, by the names OpenSSL gives them.
_BY_ALERT = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "tls-client-certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "tls-refused",
    "SSLV3_ALERT_BAD_CERTIFICATE": "tls-refused",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "tls-refused",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "tls-refused",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "tls-refused",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "tls-refused",
    "TLSV1_ALERT_ACCESS_DENIED": "tls-refused",
    "TLSV1_ALERT_DECRYPT_ERROR": "tls-refused",
    "TLSV1_ALERT_PROTOCOL_VERSION": "tls-version",
    "UNSUPPORTED_PROTOCOL": "tls-version",
    "WRONG_VERSION_NUMBER": "tls-plain",
    "RECORD_LAYER_FAILURE": "tls-plain",
}
_NO_COMMON_GROUND = "SSLV3_ALERT_HANDSHAKE_FAILURE"  # TLS 1.2 says no more where it misses our certificate


def make_context(endpoint: TcpEndpoint) -> ssl.SSLContext:
    """Who is trusted and who we are. Reads files. Raises ModbusConnectionError where they cannot be used."""
    files = endpoint.tls or TlsFiles()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate of one device may be all that is trusted
    try:
        if files.ca is None:
            context.load_default_certs()
        else:
            _readable(files.ca)
            context.load_verify_locations(cafile=files.ca)
        if files.certificate is not None:
            _readable(files.certificate)
            _readable(files.key or files.certificate)
            # A password is always given: OpenSSL would ask for one on the terminal.
            context.load_cert_chain(files.certificate, files.key, files.key_password or "")
    except OSError as error:
        raise connection_error(endpoint.peer, "tls-files", _file_trouble(files, error)) from error
    return context


def tls_error(endpoint: TcpEndpoint, error: ssl.SSLError) -> ModbusConnectionError:
    """What a failed handshake, or an alert after it, means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = _BY_VERIFY_CODE.get(error.verify_code, "tls")
        return connection_error(endpoint.peer, reason, error.verify_message)
    alert = error.reason or ""
    ours = endpoint.tls is not None and endpoint.tls.certificate is not None
    if alert == _NO_COMMON_GROUND and not ours:
        return connection_error(endpoint.peer, "tls-client-certificate")
    if isinstance(error, ssl.SSLEOFError):
        return connection_error(endpoint.peer, "tls-closed")
    return connection_error(endpoint.peer, _BY_ALERT.get(alert, "tls"), alert or str(error))


def _readable(path: str) -> None:
    """OpenSSL does not name the file it could not open."""
    with Path(path).open("rb"):
        pass


def _file_trouble(files: TlsFiles, error: OSError) -> str | Phrase:
    if not isinstance(error, ssl.SSLError):
        return f"{error.filename}: {error.strerror}"
    if error.reason == "KEY_VALUES_MISMATCH":
        return Phrase("证书与私钥不成对", "certificate and key are no pair")
    key = files.key or files.certificate
    if key is not None and b"ENCRYPTED" in Path(key).read_bytes():  # OpenSSL's own words differ from release to release
        return Phrase(
            f"{key}：私钥已加密，key_password 打不开", f"{key}: the key is locked, and the password does not open it"
        )
    return Phrase(f"不是 PEM 格式的证书或私钥（{error.reason}）", f"no certificate or key in PEM form ({error.reason})")
