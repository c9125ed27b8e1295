"""Is this the server it should be? The trust list as files, and the checks of OPC 10000-4 §6.1.3 (table 100).

Theory. A certificate is trusted where it lies in `trusted/certs`, or where its chain of issuers reaches one that does.
A person who put exactly this certificate there has looked at its fingerprint: that needs no issuer. Trust through an
authority does: every signature up to it must verify, each issuer must be allowed to issue (a server's self-signed
certificate in the list makes nobody else trusted), and for each issuer a valid revocation list must be there. Beyond
trust, the certificate must be in its time, made for the host of the site file, name the application URI the server
uses, and allow the uses OPC UA makes of its key.

Rules.
* Folders are read again for each new session: what a person changes there counts at once, without a restart.
* All findings are told together, worst first. `tolerate` takes away what the standard lets an administrator suppress;
  trust, signature, revocation and URI are never negotiable.
* A file that cannot be read is no reason to refuse a server another file vouches for; `seamline trust list` shows it.
* Strangers fill `rejected`: at most MOST_REJECTED files, the oldest go.

Blocking: reads files. Call in a thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from protocols.opcua import distrust
from protocols.opcua.distrust import Finding, OpcuaTrustError
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
from protocols.opcua.x509 import (
    CertificateError,
    Facts,
    extension,
    facts,
    leaf_of,
    load,
    load_crl,
    load_file,
    normal_host,
    split,
)

MOST_REJECTED = 32
_DEEPEST = 8  # issuers above a certificate
_KEY_BITS_LEAST = 2048  # OPC 10000-7: all three policies, 2048 to 4096
_WEAK_HASHES = frozenset(("md5", "sha1"))
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Demand:
    """What a server's certificate must fit, from the site file and the server's own description."""

    url: str
    host: str  # of the site file
    application_uri: str  # as the server describes itself
    pin: str = ""  # SHA-256, upper-case digits: this one certificate, which needs no trust list then
    tolerate: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Certificate:
    """A parsed certificate with its facts."""

    parsed: x509.Certificate
    facts: Facts


@dataclass(slots=True)
class Shelf:
    """What lies in the folders now."""

    trusted: dict[str, Certificate] = field(default_factory=dict)  # by SHA-256
    issuers: dict[str, Certificate] = field(default_factory=dict)
    crls: list[x509.CertificateRevocationList] = field(default_factory=list)


class TrustList:
    """The folders under `folder`. Does no I/O before it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def judge(self, chain: bytes, demand: Demand, now_ns: int) -> Facts:
        """The server's certificate, acceptable. Errors: OpcuaTrustError (it is put aside then), OpcuaSecurityError.

        `chain`: DER as the server sent it, its own certificate first. `now_ns`: UTC.
        """
        try:
            sent = [Certificate(parsed := load(der), facts(parsed)) for der in split(chain)]
        except CertificateError as error:
            raise distrust.unreadable(demand.url, str(error)) from error
        shelf = self.shelf()
        found = [one for one in _findings(sent, shelf, demand, now_ns) if one.tolerate not in demand.tolerate]
        if found:
            if sent[0].facts.sha256 not in shelf.trusted:
                self.put_aside(leaf_of(chain), sent[0].facts)
            raise OpcuaTrustError(demand.url, found, sent[0].facts.sha256)
        return sent[0].facts

    def shelf(self) -> Shelf:
        """Everything readable in the folders. Errors: OSError."""
        shelf = Shelf()
        for name, place in ((TRUSTED, shelf.trusted), (ISSUERS, shelf.issuers)):
            for path in files(self.folder / name):
                place.update((one.facts.sha256, one) for one in _readable(path))
        for name in (TRUSTED_CRL, ISSUERS_CRL):
            shelf.crls += [one for path in files(self.folder / name) for one in _readable_crl(path)]
        return shelf

    def put_aside(self, der: bytes, one: Facts) -> None:
        """Keep a refused certificate for a person to look at; the oldest make room. A full disk is no reason to trust.

        Errors: OSError.
        """
        folder = self.folder / REJECTED
        make_folder(folder)
        path = folder / file_name(one.common_name, one.sha1)
        if path.exists():
            return
        write_whole(path, der)
        by_age = sorted(files(folder), key=lambda known: known.stat().st_mtime_ns)
        for old in by_age[:-MOST_REJECTED]:
            old.unlink(missing_ok=True)


def _readable(path: Path) -> Iterator[Certificate]:
    try:
        for parsed in load_file(path.read_bytes()):
            yield Certificate(parsed, facts(parsed))
    except CertificateError:
        return


def _readable_crl(path: Path) -> Iterator[x509.CertificateRevocationList]:
    try:
        yield load_crl(path.read_bytes())
    except CertificateError:
        return


# ── the checks
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _findings(sent: Sequence[Certificate], shelf: Shelf, demand: Demand, now_ns: int) -> Iterator[Finding]:
    leaf = sent[0]
    pinned = bool(demand.pin) and demand.pin == leaf.facts.sha256
    direct = pinned or leaf.facts.sha256 in shelf.trusted
    path, broken = _path(sent, shelf)
    if demand.pin and not pinned:
        yield distrust.other_than_pinned(demand.pin)
    elif not direct:
        if not any(one.facts.sha256 in shelf.trusted for one in path[1:]):
            yield distrust.untrusted(leaf.facts)
        if broken is not None:
            yield broken
    yield from _revocation(path, shelf, now_ns, direct=direct)
    yield from (found for found in (distrust.dated(leaf.facts, now_ns, issuer=False),) if found)
    if demand.application_uri not in leaf.facts.uris:
        yield distrust.other_uri(demand.application_uri, leaf.facts)
    if normal_host(demand.host) not in map(normal_host, leaf.facts.hosts):
        yield distrust.other_host(demand.host, leaf.facts)
    yield from _usage(leaf)
    yield from _strength(leaf.facts)
    if not direct:
        for issuer in path[1:]:
            yield from (found for found in (distrust.dated(issuer.facts, now_ns, issuer=True),) if found)
            yield from _strength(issuer.facts)


def _path(sent: Sequence[Certificate], shelf: Shelf) -> tuple[list[Certificate], Finding | None]:
    """The leaf and its issuers as far as they are to be had, up to a trusted one or a root; and what broke it."""
    pool = [*shelf.trusted.values(), *shelf.issuers.values(), *sent[1:]]
    path = [sent[0]]
    while len(path) <= _DEEPEST:
        last = path[-1]
        if last.facts.self_signed:
            return path, None if _signed_by(last, last) else distrust.forged(last.facts.issuer)
        if len(path) > 1 and last.facts.sha256 in shelf.trusted:
            return path, None
        named = [one for one in pool if one.parsed.subject == last.parsed.issuer]
        issuer = next((one for one in named if _signed_by(last, one)), None)
        if issuer is None:
            made = distrust.forged if named else distrust.no_issuer
            return path, made(last.facts.issuer)
        if not _may_issue(issuer.parsed, below=len(path) - 1):
            return path, distrust.misused("certificate signing (CA)", issuer=True)
        path.append(issuer)
    return path, distrust.no_issuer(path[-1].facts.issuer)


def _signed_by(one: Certificate, issuer: Certificate) -> bool:
    try:
        one.parsed.verify_directly_issued_by(issuer.parsed)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _may_issue(issuer: x509.Certificate, below: int) -> bool:
    """RFC 5280 §4.2.1.3 and §4.2.1.9: an authority, for signing, with `below` authorities between it and the leaf."""
    try:
        constraints, usage = extension(issuer, x509.BasicConstraints), extension(issuer, x509.KeyUsage)
    except CertificateError:
        return False
    if constraints is None or not constraints.ca or (usage is not None and not usage.key_cert_sign):
        return False
    return constraints.path_length is None or constraints.path_length >= below


def _usage(leaf: Certificate) -> Iterator[Finding]:
    """OPC 10000-6 §6.2.2: what an application instance certificate is for; one that names no use allows all."""
    try:
        usage = extension(leaf.parsed, x509.KeyUsage)
        extended = extension(leaf.parsed, x509.ExtendedKeyUsage)
    except CertificateError as error:
        yield distrust.misused(f"? ({error})", issuer=False)
        return
    if usage is not None:
        wanted = {
            "digitalSignature": usage.digital_signature,
            "nonRepudiation": usage.content_commitment,
            "keyEncipherment": usage.key_encipherment,
            "dataEncipherment": usage.data_encipherment,
        }
        if missing := [name for name, there in wanted.items() if not there]:
            yield distrust.misused(", ".join(missing), issuer=False)
    if extended is not None and not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(
        extended
    ):
        yield distrust.misused("serverAuth", issuer=False)


def _strength(one: Facts) -> Iterator[Finding]:
    if not one.key_bits:
        yield distrust.weak("no RSA")
    elif one.key_bits < _KEY_BITS_LEAST:
        yield distrust.weak(f"RSA {one.key_bits}")
    if one.signature in _WEAK_HASHES and not one.self_signed:  # a self-signature proves nothing to begin with
        yield distrust.weak(one.signature.upper())


def _revocation(path: Sequence[Certificate], shelf: Shelf, now_ns: int, *, direct: bool) -> Iterator[Finding]:
    """Each certificate of the path against the lists of its issuer; a directly trusted one needs no list."""
    for depth, one in enumerate(path):
        if one.facts.self_signed:
            return
        issuer = path[depth + 1] if depth + 1 < len(path) else None
        lists = [crl for crl in shelf.crls if crl.issuer == one.parsed.issuer and _genuine(crl, issuer)]
        if any(crl.get_revoked_certificate_by_serial_number(one.parsed.serial_number) for crl in lists):
            yield distrust.revoked(one.facts, one.facts.issuer, of_issuer=depth > 0)
        elif issuer is None or (direct and not lists):
            continue  # nothing to ask; the missing issuer is told where it matters
        elif not lists:
            yield distrust.revocation_unknown(one.facts.issuer, ("没有吊销列表", "there is no revocation list"))
        elif not direct and not any(_current(crl, now_ns) for crl in lists):
            yield distrust.revocation_unknown(
                one.facts.issuer, ("吊销列表已过期", "the revocation list is out of date")
            )


def _genuine(crl: x509.CertificateRevocationList, issuer: Certificate | None) -> bool:
    """Signed by the issuer, where that can be checked; a person put the file there."""
    if issuer is None:
        return True
    try:
        return crl.is_signature_valid(issuer.parsed.public_key())  # type: ignore[arg-type]  # TypeError is caught
    except (TypeError, ValueError):
        return False


def _current(crl: x509.CertificateRevocationList, now_ns: int) -> bool:
    until = crl.next_update_utc
    return until is None or until.timestamp() * _NS_PER_S >= now_ns
