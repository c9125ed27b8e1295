"""Deflate (RFC 1951) inside zlib or gzip (RFC 1950, 1952): by ISA-L where the machine has it, else by zlib.

Theory. Lines repeat their tags, so the cheapest level makes them three to thirty times smaller, and its CPU is the
largest part of storing a point and of reading it back. ISA-L's first level costs a third to a seventh of zlib's and
makes them smaller still; reading costs half. Its wheels exist for x86-64 and 64-bit ARM. What either writes the other
reads, so a store moves between machines as it is.
"""

from __future__ import annotations

import zlib
from importlib import import_module
from types import ModuleType

ZLIB = 15  # the window of 32 KiB in zlib's format …
GZIP = 31  # … and in gzip's
FAST = 1  # the level that is worth its CPU on a gateway
_ISAL_LEVELS = 3


def _isal() -> ModuleType | None:
    try:
        return import_module("isal.isal_zlib")
    except ImportError:  # no wheel for this machine
        return None


isal = _isal()
_ERRORS: tuple[type[Exception], ...] = (zlib.error,) if isal is None else (zlib.error, isal.error)


def compress(data: bytes, level: int = FAST, wbits: int = ZLIB) -> bytes:
    """`level`: 1 to 9, as zlib counts."""
    if isal is None or level > _ISAL_LEVELS:
        return zlib.compress(data, level, wbits)
    packed: bytes = isal.compress(data, level, wbits)
    return packed


def decompress(data: bytes) -> bytes:
    """What `compress` made in zlib's format. Raises ValueError for what is none."""
    try:
        lines: bytes = zlib.decompress(data) if isal is None else isal.decompress(data)
    except _ERRORS as error:
        raise ValueError(str(error)) from error
    return lines
