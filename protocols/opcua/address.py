"""Where a value lives: the text of a site file → a node id or a browse path. Pure; no asyncua, no I/O.

Theory. OPC 10000-6 §5.3.1.10 writes a node id as `ns=<index>;<kind>=<identifier>` with the kinds i (number), s
(string), g (GUID) and b (base64 bytes); `ns=` is left out for namespace 0. A namespace *index* belongs to one run of
one server and may change when the server restarts or a program is downloaded; `nsu=<uri>;…` names the namespace
itself and is looked up again in every session. A browse path follows hierarchical references by browse name from the
Root folder (OPC 10000-4 §A.2), and suits servers whose node ids are numbers that change with every download. A step of
it may name its namespace too: `/0:Objects/nsu=urn:maker;Tape1`.

Rules.
* Everything after `s=` is the identifier, `;` and quotes included: `ns=3;s="DB"."Total"` is as Siemens writes it.
* In a browse path `&` makes the next character literal; `/ . < > : # ! &` need it inside a name. A namespace URI is
  written as it is, up to the `;`.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

_NUMERIC_MAX = 0xFFFFFFFF
_INDEX_MAX = 0xFFFF
_RESERVED = frozenset("/.<>:#!&")


class Kind(Enum):
    """Type of a node id's identifier; the value is the letter in its text form."""

    NUMERIC = "i"
    STRING = "s"
    GUID = "g"
    OPAQUE = "b"


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """One node. `uri` is set where the text names the namespace; `index` is meaningless then."""

    index: int
    kind: Kind
    identifier: int | str | UUID | bytes
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class BrowsePath:
    """Browse names from the Root folder, each with its namespace: its index, or its URI."""

    steps: tuple[tuple[int | str, str], ...]


def parse(text: str) -> NodeAddress | BrowsePath:
    """The address a site file writes. ValueError says what was expected, for people."""
    return _browse_path(text) if text.startswith("/") else _node(text)


def _node(text: str) -> NodeAddress:
    uri, index, rest = None, 0, text
    if text.startswith("nsu="):
        uri, rest = _uri(text)
    elif text.startswith("ns="):
        number, separator, rest = text[3:].partition(";")
        if not (separator and number.isascii() and number.isdigit() and int(number) <= _INDEX_MAX):
            raise ValueError(f"{text!r}: expected 'ns=<0…65535>;' before the identifier")
        index = int(number)
    letter, separator, identifier = rest[:1], rest[1:2], rest[2:]
    if separator != "=" or letter not in "isgb" or not letter:
        raise ValueError(f"{text!r}: expected i=<number>, s=<string>, g=<guid> or b=<base64>, e.g. ns=2;s=Line.Total")
    kind = Kind(letter)
    return NodeAddress(index, kind, _identifier(kind, identifier, text), uri)


def _uri(text: str) -> tuple[str, str]:
    """Split `nsu=<uri>;<identifier>`; a `;` inside the URI is written %3B (OPC 10000-6 §5.1.12)."""
    uri, separator, rest = text[4:].partition(";")
    if not (separator and uri):
        raise ValueError(f"{text!r}: expected 'nsu=<namespace uri>;' before the identifier")
    return uri.replace("%3B", ";").replace("%3b", ";").replace("%25", "%"), rest


def _identifier(kind: Kind, word: str, text: str) -> int | str | UUID | bytes:
    try:
        if kind is Kind.STRING and word:
            return word
        if kind is Kind.NUMERIC and word.isascii() and word.isdigit() and int(word) <= _NUMERIC_MAX:
            return int(word)
        if kind is Kind.GUID:
            return UUID(word)
        if kind is Kind.OPAQUE and word:
            return base64.b64decode(word, validate=True)
    except (ValueError, binascii.Error):
        pass
    wanted = {Kind.STRING: "text", Kind.NUMERIC: "a number 0…4294967295", Kind.GUID: "a GUID", Kind.OPAQUE: "base64"}[
        kind
    ]
    raise ValueError(f"{text!r}: expected {wanted} after '{kind.value}='")


def _browse_path(text: str) -> BrowsePath:
    return BrowsePath(tuple(_step(word, text) for word in split_path(text)[1:]))


def split_path(text: str) -> list[str]:
    """Cut at the slashes between the steps of a path: not at escaped ones, nor at those of a namespace URI."""
    words = [""]
    escaped = False
    for character in text:
        if character == "/" and not escaped and not _in_uri(words[-1]):
            words.append("")
            continue
        words[-1] += character
        escaped = character == "&" and not escaped
    return words


def _in_uri(word: str) -> bool:
    return word.startswith("nsu=") and ";" not in word


def _step(word: str, text: str) -> tuple[int | str, str]:
    if word.startswith("nsu="):
        uri, name = _uri(word)
        return uri, _plain(name, text)
    number, separator, name = word.partition(":")
    if not (separator and number.isascii() and number.isdigit()):
        number, name = "0", word
    if int(number) > _INDEX_MAX:
        raise _bad_step(text)
    return int(number), _plain(name, text)


def _plain(name: str, text: str) -> str:
    """A browse name without its escapes."""
    plain, escaped = "", False
    for character in name:
        if not escaped and character == "&":
            escaped = True
            continue
        if not escaped and character in _RESERVED - {".", ":"}:
            raise ValueError(f"{text!r}: write '&{character}' for a literal '{character}' in a browse name")
        plain, escaped = plain + character, False
    if not plain or escaped:
        raise _bad_step(text)
    return plain


def _bad_step(text: str) -> ValueError:
    return ValueError(f"{text!r}: expected /<namespace>:<name>/…, e.g. /0:Objects/2:Machine/2:Total")
