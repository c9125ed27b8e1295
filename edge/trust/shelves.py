"""What lies in the folder of certificates, and moving it from shelf to shelf as a person decides.

Rules. A certificate is named by a fingerprint, whole or at least 16 digits of it; where that fits two, nothing is
moved. Files keep their names. Nothing is deleted: what is rejected can be accepted again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from edge.errors import SeamlineError, Text
from protocols.opcua import fingerprint
from protocols.opcua.certificate import identities
from protocols.opcua.pki_files import (
    ISSUERS,
    ISSUERS_CRL,
    REJECTED,
    TRUSTED,
    TRUSTED_CRL,
    file_name,
    files,
    make_folder,
    write_whole,
)
from protocols.opcua.x509 import CertificateError, Facts, facts, load_crl, load_file

_NS_PER_S = 1_000_000_000
_DER = Encoding.DER


class Shelf(StrEnum):
    """Where a certificate lies."""

    OWN = "own"
    TRUSTED = "trusted"
    ISSUERS = "issuers"
    REJECTED = "rejected"


_FOLDERS = {Shelf.TRUSTED: TRUSTED, Shelf.ISSUERS: ISSUERS, Shelf.REJECTED: REJECTED}


class TrustError(SeamlineError):
    """A command about trust that cannot be carried out."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate; `facts` is None for a file that cannot be read."""

    shelf: Shelf
    path: Path
    facts: Facts | None


@dataclass(frozen=True, slots=True)
class Revocations:
    """One list of revoked certificates; `issuer` "" for a file that cannot be read."""

    path: Path
    issuer: str
    entries: int
    until_ns: int | None  # next update, UTC


def entries(pki: Path) -> list[Entry]:
    """Every certificate, own ones first. Errors: TrustError."""
    try:
        own = [Entry(Shelf.OWN, one.certificate, one.facts) for one in identities(pki)]
        return own + [
            entry for shelf, folder in _FOLDERS.items() for path in files(pki / folder) for entry in _entry(shelf, path)
        ]
    except OSError as error:
        raise _unusable(error) from error


def _entry(shelf: Shelf, path: Path) -> Iterator[Entry]:
    try:
        for one in load_file(path.read_bytes()):
            yield Entry(shelf, path, facts(one))
    except CertificateError:
        yield Entry(shelf, path, None)


def revocations(pki: Path) -> list[Revocations]:
    """Every revocation list. Errors: TrustError."""
    try:
        return [_revocation(path) for folder in (TRUSTED_CRL, ISSUERS_CRL) for path in files(pki / folder)]
    except OSError as error:
        raise _unusable(error) from error


def _revocation(path: Path) -> Revocations:
    try:
        crl = load_crl(path.read_bytes())
    except CertificateError:
        return Revocations(path, "", 0, None)
    until = crl.next_update_utc
    until_ns = None if until is None else round(until.timestamp()) * _NS_PER_S
    return Revocations(path, crl.issuer.rfc4514_string(), len(crl), until_ns)


def find(pki: Path, given: str) -> list[Entry]:
    """The entries of one certificate, on whatever shelves; `own` means ours. Errors: TrustError."""
    known = entries(pki)
    if given == "own":
        return [entry for entry in known if entry.shelf is Shelf.OWN]
    try:
        digits = fingerprint.normal(given)
    except ValueError:
        raise TrustError(
            Text(
                f"{given!r} 不是指纹：至少 {fingerprint.SHORTEST} 个十六进制数字；seamline trust list 会列出",
                f"{given!r} is no fingerprint: at least {fingerprint.SHORTEST} hexadecimal digits; seamline trust list "
                "shows them",
            )
        ) from None
    found = [one for one in known if one.facts and fingerprint.matches(digits, one.facts.sha256, one.facts.sha1)]
    if not found:
        raise TrustError(
            Text(
                f"没有指纹为 {given} 的证书（目录 {pki}）。服务器的证书在第一次连接被拒后才会出现在这里",
                f"no certificate with the fingerprint {given} in {pki}. A server's certificate appears here after the "
                "first connection was refused",
            )
        )
    if len({one.facts.sha256 for one in found if one.facts}) > 1:
        raise TrustError(
            Text(f"{given} 对应多个证书，请给出完整指纹", f"{given} fits several certificates: give it whole")
        )
    return found


def accept(pki: Path, given: str) -> Entry:
    """Trust a certificate that was refused. Errors: TrustError."""
    found = find(pki, given)
    trusted = next((one for one in found if one.shelf is Shelf.TRUSTED), None)
    return trusted or _move(pki, _first(found, Shelf.REJECTED, Shelf.ISSUERS), Shelf.TRUSTED)


def reject(pki: Path, given: str) -> Entry:
    """Trust it no longer. Errors: TrustError."""
    found = find(pki, given)
    kept = [one for one in found if one.shelf in (Shelf.TRUSTED, Shelf.ISSUERS)]
    moved = [_move(pki, one, Shelf.REJECTED) for one in kept]
    return moved[0] if moved else _first(found, Shelf.REJECTED)


def _first(found: Sequence[Entry], *shelves: Shelf) -> Entry:
    entry = next((one for shelf in shelves for one in found if one.shelf is shelf), None)
    if entry is None:
        raise TrustError(Text("这是本网关自己的证书", "this is the gateway's own certificate"))
    return entry


def _move(pki: Path, entry: Entry, shelf: Shelf) -> Entry:
    try:
        make_folder(pki / _FOLDERS[shelf])
        moved = shutil.move(entry.path, pki / _FOLDERS[shelf] / entry.path.name)
    except OSError as error:
        raise _unusable(error) from error
    return Entry(shelf, Path(moved), entry.facts)


def add_file(pki: Path, file: Path, *, issuer: bool) -> list[Path]:
    """Put certificates or a revocation list of a file on their shelf. Returns what was written. Errors: TrustError.

    `issuer`: an authority that completes chains without being trusted by itself.
    """
    try:
        content = file.read_bytes()
        try:
            found = [(one, facts(one)) for one in load_file(content)]
        except CertificateError:
            return [_add_crl(pki, content, file, issuer=issuer)]
        folder = pki / (ISSUERS if issuer else TRUSTED)
        make_folder(folder)
        written = []
        for certificate, said in found:
            written.append(folder / file_name(said.common_name, said.sha1))
            write_whole(written[-1], certificate.public_bytes(_DER))
    except OSError as error:
        raise _unusable(error) from error
    return written


def _add_crl(pki: Path, content: bytes, file: Path, *, issuer: bool) -> Path:
    try:
        crl = load_crl(content)
    except CertificateError as error:
        raise TrustError(
            Text(
                f"{file} 既不是证书也不是吊销列表（DER 或 PEM）：{error}",
                f"{file} is neither a certificate nor a revocation list (DER or PEM): {error}",
            )
        ) from error
    folder = pki / (ISSUERS_CRL if issuer else TRUSTED_CRL)
    make_folder(folder)
    name = file_name(crl.issuer.rfc4514_string(), "CRL")
    path = (folder / name).with_suffix(".crl")
    write_whole(path, crl.public_bytes(_DER))
    return path


def _unusable(error: OSError) -> TrustError:
    return TrustError(
        Text(
            f"证书目录不可用：{error.filename}（{error.strerror}）；请用运行代理的用户或 sudo 执行",
            f"the folder of certificates cannot be used: {error.filename} ({error.strerror}); run this as the agent's "
            "user, or with sudo",
        )
    )
