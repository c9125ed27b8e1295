"""How what was found is written: a tree, CSV, JSON, or tags of a site file. Line by line; nothing is kept but names.

Each form gives the lines before, those of one node, and those after. In YAML a node becomes a tag that reads: the name
from the browse name, unique, in the letters a tag's name may have; `label` where that lost something; `index: 0` for an
array, as a tag is one value.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from protocols.opcua.browse import METHOD, OBJECT, VARIABLE, Found
from protocols.opcua.described import Described

CLASSES = {"object": OBJECT, "variable": VARIABLE, "method": METHOD, "view": 128}
_CLASS = {kind: name for name, kind in CLASSES.items()}
_LONGEST = 64  # of a tag's name (edge.config.fields.ID_PATTERN)


@dataclass(frozen=True, slots=True)
class Row:
    """One node, ready to be written."""

    node: str  # node id with the namespace's URI
    found: Found
    described: Described | None  # of variables


class Form(Protocol):
    """Lines of text."""

    def head(self) -> Iterator[str]:
        """Before the first node."""

    def lines(self, row: Row) -> Iterator[str]:
        """Of one node."""

    def tail(self) -> Iterator[str]:
        """After the last."""


def shape(described: Described | None) -> str:
    """Double, Int32[], …"""
    return "" if described is None else described.type + ("[]" if described.array else "")


class Tree:
    """For people: indented by depth."""

    def head(self) -> Iterator[str]:
        """Nothing."""
        yield from ()

    def lines(self, row: Row) -> Iterator[str]:
        """Name, type, node id."""
        found = row.found
        kind = shape(row.described) or ("" if found.kind == OBJECT else _CLASS.get(found.kind, ""))
        yield f"{'  ' * found.depth}{found.name}  {kind + '  ' if kind else ''}{row.node}"

    def tail(self) -> Iterator[str]:
        """Nothing."""
        yield from ()


class Csv:
    """For spreadsheets: with a header; RFC 4180."""

    COLUMNS = ("path", "node", "class", "type", "array", "label")

    def head(self) -> Iterator[str]:
        """The header."""
        yield self._line(self.COLUMNS)

    def lines(self, row: Row) -> Iterator[str]:
        """One record."""
        described = row.described
        type_, array = ("", "") if described is None else (described.type, str(int(described.array)))
        found = row.found
        yield self._line((found.path, row.node, _CLASS.get(found.kind, str(found.kind)), type_, array, found.label))

    def tail(self) -> Iterator[str]:
        """Nothing."""
        yield from ()

    def _line(self, cells: tuple[str, ...]) -> str:
        out = io.StringIO()
        csv.writer(out, lineterminator="").writerow([_harmless(cell) for cell in cells])
        return out.getvalue()


def _harmless(cell: str) -> str:
    """A name that a spreadsheet would take for a formula comes from a stranger: it is shown, not run."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@") else cell


class Json:
    """One array, an object a line."""

    def __init__(self) -> None:
        self._first = True

    def head(self) -> Iterator[str]:
        """The bracket."""
        yield "["

    def lines(self, row: Row) -> Iterator[str]:
        """One object."""
        found, described = row.found, row.described
        document = {
            "path": found.path,
            "node": row.node,
            "class": _CLASS.get(found.kind, str(found.kind)),
            "type": None if described is None else described.type or None,
            "array": None if described is None else described.array,
            "label": found.label,
        }
        comma, self._first = ("" if self._first else ","), False
        yield comma + json.dumps(document, ensure_ascii=False)

    def tail(self) -> Iterator[str]:
        """The other bracket."""
        yield "]"


class Tags:
    """YAML to paste under a machine of a site file."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def head(self) -> Iterator[str]:
        """The key they stand under."""
        yield "tags:"

    def lines(self, row: Row) -> Iterator[str]:
        """One tag; what is no variable is none."""
        found, described = row.found, row.described
        if found.kind != VARIABLE:
            return
        name = self._name(found)
        parts = [f"node: {_quoted(row.node)}"]
        if described is not None and described.array:
            parts.append("index: 0")
        if name != found.name:
            parts.append(f"label: {_quoted(_word(found.label or found.name))}")
        kind = shape(described)
        yield f"  {name}: {{{', '.join(parts)}}}" + (f" # {kind}" if kind else "")

    def tail(self) -> Iterator[str]:
        """An empty list is said as such."""
        if not self._names:
            yield "  {}"

    def _name(self, found: Found) -> str:
        whole = _letters(found.path.replace("/", "."))[-_LONGEST:].lstrip("._+-")
        for name in (_letters(found.name)[:_LONGEST], whole):
            if name and name not in self._names and name.lower() not in _NOT_A_NAME and not name[0].isdigit():
                break
        else:
            stem = (whole or "node")[: _LONGEST - 8]
            stem = stem if not stem[0].isdigit() else f"n{stem}"
            number = 1
            while (name := f"{stem}-{number}") in self._names:
                number += 1
        self._names.add(name)
        return name


_NOT_A_NAME = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))  # of YAML 1.1: no text


def _letters(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]+", "", text).lstrip("._+-")


def _word(text: str) -> str:
    """A label of a site file: one line, not too long."""
    return re.sub(r"[\r\n]+", " ", text)[:200]


def _quoted(text: str) -> str:
    """A double-quoted YAML scalar; JSON is one, except for what YAML forbids in a stream."""
    return json.dumps(text, ensure_ascii=any(ord(char) in range(0x7F, 0xA0) or ord(char) > 0xFFFF for char in text))


FORMS: Mapping[str, Callable[[], Form]] = {"tree": Tree, "csv": Csv, "json": Json, "yaml": Tags}
