"""The folder of certificates, laid out as OPC UA tools of the field do it, and how files get there.

    own/certs, own/private        this gateway's certificates and keys
    trusted/certs, trusted/crl    servers and authorities that are trusted; revocation lists of those authorities
    issuers/certs, issuers/crl    authorities needed to complete a chain, not trusted by themselves; their lists
    rejected                      certificates of servers that were refused, newest kept

Rules. A file is written whole or not at all. Private keys are readable by the owner only (0600 in a folder of 0700);
certificates are public. What root makes (somebody ran the command with sudo) belongs to the owner of the folder above,
so that the agent can go on writing there.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

OWN_CERTS, OWN_PRIVATE = "own/certs", "own/private"
TRUSTED, TRUSTED_CRL = "trusted/certs", "trusted/crl"
ISSUERS, ISSUERS_CRL = "issuers/certs", "issuers/crl"
REJECTED = "rejected"
SUFFIXES = frozenset((".der", ".crt", ".cer", ".pem", ".crl"))
_PUBLIC, _OPEN = 0o644, 0o755
MOST_FILES = 1000  # read of one folder


def make_folder(folder: Path, mode: int = _OPEN) -> None:
    """The folder and what is above it. Errors: OSError."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=mode, exist_ok=True)
    _give_to_owner(folder)


def write_whole(path: Path, content: bytes, mode: int = _PUBLIC) -> None:
    """All of it or nothing, on disk when it has its name. Errors: OSError."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    _give_to_owner(fresh)
    fresh.replace(path)


def files(folder: Path) -> list[Path]:
    """Certificates and lists in a folder, by name; none where it does not exist. Errors: OSError."""
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    except FileNotFoundError:
        return []
    return found[:MOST_FILES]


def file_name(common_name: str, sha1: str) -> str:
    """`NAME [THUMBPRINT].der`, the field's way; the name comes from a stranger and is reduced to harmless letters."""
    plain = re.sub(r"[^\w .@-]+", "_", common_name).strip(". ")[:60]
    return f"{plain or 'certificate'} [{sha1}].der"


def _give_to_owner(path: Path) -> None:
    if os.geteuid() == 0:
        above = path.parent.stat()
        os.chown(path, above.st_uid, above.st_gid)
