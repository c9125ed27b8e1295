"""The line protocol kernel in plain Python: slow, short, obviously right. Names and errors as in `ext.lineprotocol`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

INT64 = range(-(2**63), 2**63)


class Schema:
    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        pairs = [(str(name), str(kind)) for name, kind in fields]
        self.names = tuple(name for name, _ in pairs)
        self.kinds = tuple(kind for _, kind in pairs)
        for name, kind in pairs:
            _escape(name, ",= ")
            if kind not in ("integer", "float", "string", "boolean", "unsigned"):
                raise ValueError(f"field {name!r}: no kind {kind!r}")


def encode_prefix(measurement: str, tags: Iterable[tuple[str, str]]) -> bytes:
    if measurement.startswith("#"):
        raise ValueError("would read as a comment")
    head = _escape(measurement, ", ")
    return ",".join(
        [head, *(f"{_escape(key, ',= ')}={_escape(value, ',= ')}" for key, value in tags if value)]
    ).encode()


def encode_row(schema: Schema, prefix: bytes, values: tuple[object, ...], t_ns: int) -> bytes:
    if len(values) != len(schema.names):
        raise ValueError("wrong length")
    fields = []
    for name, kind, value in zip(schema.names, schema.kinds, values, strict=True):
        text = _field(kind, value)
        if text is not None:
            fields.append(f"{_escape(name, ',= ')}={text}")
    if not fields:
        return b""
    if t_ns not in INT64:
        raise OverflowError(t_ns)
    return prefix + f" {','.join(fields)} {t_ns}".encode()


def encode_rows(
    schema: Schema, prefixes: Sequence[bytes], rows: Sequence[tuple[object, ...]], times_ns: Sequence[int]
) -> tuple[bytes, int]:
    if not len(prefixes) == len(rows) == len(times_ns):
        raise ValueError("unequal lengths")
    lines = [encode_row(schema, *row) for row in zip(prefixes, rows, times_ns, strict=True)]
    present = [line for line in lines if line]
    return b"\n".join(present), len(present)


def _field(kind: str, value: object) -> str | None:
    if value is None:
        return None
    match kind, value:
        case "boolean", bool():
            return "true" if value else "false"
        case "integer", int() if not isinstance(value, bool):
            if value not in INT64:
                raise OverflowError(value)
            return f"{value}i"
        case "unsigned", int() if not isinstance(value, bool):
            if not 0 <= value < 2**64:
                raise OverflowError(value)
            return f"{value}u"
        case "float", float() | int() if not isinstance(value, bool):
            number = float(value)
            return repr(number) if math.isfinite(number) else None
        case "string", str():
            if "\n" in value:
                raise ValueError("line feed")
            value.encode()
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    raise TypeError(f"{kind} does not take {value!r}")


def _escape(text: str, separators: str) -> str:
    """Backslash before each separator, where line protocol has a spelling for the text at all."""
    if not text or "\n" in text or text.endswith("\\") or any("\\" + each in text for each in separators):
        raise ValueError(f"no spelling for {text!r}")
    for each in separators:
        text = text.replace(each, "\\" + each)
    text.encode()
    return text
