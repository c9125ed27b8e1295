"""Line protocol read back: one line, one point. The opposite of `ext.lineprotocol`, for exports.

Escapes, by InfluxDB's line protocol reference: in names and tags a backslash before a comma, an equals sign or a space;
in texts a backslash before a double quote or a backslash; anywhere else it stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

FieldValue = int | float | str | bool

_SERIES = re.compile(r"(?P<name>(?:[^,\s\\]|\\.)+)(?P<tags>(?:,(?:[^,=\s\\]|\\.)+=(?:[^,=\s\\]|\\.)+)*) ")
_TAG = re.compile(r",((?:[^,=\s\\]|\\.)+)=((?:[^,=\s\\]|\\.)+)")
_FIELD = re.compile(r"((?:[^,=\s\\]|\\.)+)=(\"(?:[^\"\\]|\\.)*\"|[^,\s\"]+)(,|\Z)", re.DOTALL)
_NAME_ESCAPE = re.compile(r"\\([,= ])")
_TEXT_ESCAPE = re.compile(r'\\(["\\])')
_WORDS = {"t": True, "true": True, "f": False, "false": False}


@dataclass(frozen=True, slots=True)
class Point:
    """One point, typed as it was written."""

    measurement: str
    tags: Mapping[str, str]
    fields: Mapping[str, FieldValue]
    t_ns: int


def tags_of(line: bytes) -> dict[str, str]:
    """The tags of a line. Raises ValueError for what is no line."""
    return _tags(_series(line.decode())[1])


def time_of(line: bytes) -> int:
    """Its time, UTC ns. Raises ValueError for what is no line."""
    return int(line.rpartition(b" ")[2])


def measurement_of(line: bytes) -> str:
    """Its measurement. Raises ValueError for what is no line."""
    return _unescaped(_series(line.decode())[0])


def parse(line: bytes) -> Point:
    """The whole point. Raises ValueError for what is no line."""
    text = line.decode()
    name, tags, rest = _series(text)
    fields, _, stamp = rest.rpartition(" ")
    return Point(_unescaped(name), _tags(tags), _fields(fields, text), int(stamp))


def _series(text: str) -> tuple[str, str, str]:
    """Measurement, tags, and what is behind them."""
    found = _SERIES.match(text)
    if found is None:
        raise ValueError(f"not line protocol: {text[:80]!r}")
    return found["name"], found["tags"], text[found.end() :]


def _tags(text: str) -> dict[str, str]:
    return {_unescaped(key): _unescaped(value) for key, value in _TAG.findall(text)}


def _fields(text: str, whole: str) -> dict[str, FieldValue]:
    found: dict[str, FieldValue] = {}
    at = 0
    while at < len(text):
        match = _FIELD.match(text, at)
        if match is None:
            raise ValueError(f"not line protocol: {whole[:80]!r}")
        found[_unescaped(match[1])] = _value(match[2])
        at = match.end()
    return found


def _value(text: str) -> FieldValue:
    if text[0] == '"':
        return _TEXT_ESCAPE.sub(r"\1", text[1:-1])
    if text[-1] in "iu":
        return int(text[:-1])
    word = _WORDS.get(text.lower())
    return float(text) if word is None else word


def _unescaped(text: str) -> str:
    return _NAME_ESCAPE.sub(r"\1", text) if "\\" in text else text
