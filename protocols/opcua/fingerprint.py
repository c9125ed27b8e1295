"""Fingerprints as people write them: AB:12:…, lower case, with spaces, a beginning of one. Pure and light."""

from __future__ import annotations

import re

SHORTEST = 16  # hexadecimal digits a person may give of one: 64 bits
SHA1, SHA256 = 40, 64  # digits


def normal(text: str) -> str:
    """A fingerprint as people paste it → upper-case digits. ValueError where it is none."""
    digits = re.sub(r"[\s:-]|^sha-?(1|256)[\s:=]", "", text.strip(), flags=re.IGNORECASE).upper()
    if not re.fullmatch(r"[0-9A-F]+", digits) or not SHORTEST <= len(digits) <= SHA256:
        raise ValueError(text)
    return digits


def matches(given: str, sha256: str, sha1: str) -> bool:
    """Whether `given`, normal, is one of the fingerprints or the beginning of it."""
    return sha256.startswith(given) or sha1.startswith(given)


def pairs(digits: str) -> str:
    """AB12… → AB:12:…, as tools of the field show it."""
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
