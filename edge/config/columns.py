"""Rows of text as columns, aligned by display width: a Chinese character is two wide."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence


def columns(rows: Iterable[Sequence[str]], indent: int = 4) -> list[str]:
    """Rows of equal length as aligned lines."""
    cells = [list(row) for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        lines.append(" " * indent + "  ".join(padded).rstrip())
    return lines


def cut(text: str, width: int) -> str:
    """As much of the line as is so wide on a screen."""
    kept, used = 0, 0
    for char in text:
        used += _width(char)
        if used > width:
            break
        kept += 1
    return text[:kept]


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
