"""Columns for terminals, in which a Chinese character is two cells wide; and the units people read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from unicodedata import east_asian_width

from edge.errors import Text

_NS_PER_S = 1_000_000_000


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns; the last one runs on."""
    lines = [head, *rows]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    padded = (
        "  ".join(cell + " " * (w - width(cell)) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    return "\n".join(padded)


def width(text: str) -> int:
    """Cells on a terminal."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def moment(t_ns: int | None) -> str:
    """Local time of this machine, with its offset; a dash for None."""
    if t_ns is None:
        return "–"
    return datetime.fromtimestamp(t_ns // _NS_PER_S).astimezone().strftime("%Y-%m-%d %H:%M:%S%z")


def duration(ns: int) -> str:
    """To a tenth of a second below a minute, to the second above."""
    if ns < 60 * _NS_PER_S:
        return str(Text(f"{ns / _NS_PER_S:.1f} 秒", f"{ns / _NS_PER_S:.1f} s"))
    minutes, seconds = divmod(ns // _NS_PER_S, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    clock = f"{hours:02d}:{minutes:02d}:{seconds:02d}"
    return str(Text(f"{days} 天 {clock}", f"{days} d {clock}")) if days else clock


def size(count: float) -> str:
    """Bytes, in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
