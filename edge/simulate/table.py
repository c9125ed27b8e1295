"""The verdict as people read it in a terminal, Chinese characters counted as two columns wide."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edge.errors import Text
from edge.simulate.verdict import Booked, Line


@dataclass(frozen=True, slots=True)
class _Column:
    """One column: its head, whether it is a number, how to read it."""

    head: Text
    number: bool
    read: Callable[[Line, Booked], str]


_COLUMNS = (
    _Column(Text("机台", "machine"), False, lambda line, _: line.id),
    _Column(Text("机型", "kind"), False, lambda line, _: line.kind),
    _Column(Text("协议", "protocol"), False, lambda line, _: line.protocol),
    _Column(Text("实际生产", "made"), True, lambda line, _: str(line.made)),
    _Column(Text("代理计数", "counted"), True, lambda line, _: str(line.counted)),
    _Column(Text("已存储", "stored"), True, lambda line, _: str(line.stored)),
    _Column(Text("已送达", "delivered"), True, lambda line, _: "–" if line.delivered is None else str(line.delivered)),
    _Column(Text("OEE 真值", "OEE, truth"), True, lambda line, _: _percent(line.oee_truth)),
    _Column(Text("OEE 代理", "OEE, agent"), True, lambda line, _: _percent(line.oee)),
    _Column(Text("回绕", "wraps"), True, lambda _, book: str(book.rollovers)),
    _Column(Text("清零", "resets"), True, lambda _, book: str(book.resets)),
    _Column(Text("未观测", "unseen"), True, lambda _, book: f"{book.unknown_ns / 1e9:.1f} s"),
    _Column(Text("相符", "agrees"), False, lambda line, _: "✓" if line.agrees else "✗"),
)


def as_table(lines: Sequence[Line], booked: Mapping[str, Booked]) -> str:
    """Every machine, then one sentence."""
    cells = [[str(column.head) for column in _COLUMNS]]
    cells += [[column.read(line, booked[line.id]) for column in _COLUMNS] for line in lines]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    rows = [
        "  ".join(
            _pad(cell, width, right=column.number) for cell, width, column in zip(row, widths, _COLUMNS, strict=True)
        )
        for row in cells
    ]
    return "\n".join([row.rstrip() for row in rows] + ["", str(_sentence(lines))])


def _sentence(lines: Sequence[Line]) -> Text:
    wrong = [line.id for line in lines if not line.agrees]
    if wrong:
        return Text(f"✗ 账目不符：{'、'.join(wrong)}", f"✗ the books disagree: {', '.join(wrong)}")
    total = sum(line.made for line in lines)
    asked = any(line.delivered is not None for line in lines)
    return Text(
        f"✓ 账目相符：{len(lines)} 台机共 {total} 件，实际生产 = 计数 = 存储{' = 送达' if asked else ''}，"
        "OEE 与真值一致",
        f"✓ the books agree: {total} pieces on {len(lines)} machines, made = counted = stored"
        f"{' = delivered' if asked else ''}; OEE equals the truth",
    )


def _width(text: str) -> int:
    """Columns in a terminal (Unicode Standard Annex 11)."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _pad(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _percent(ratio: float | None) -> str:
    return "–" if ratio is None else f"{100 * ratio:.3f}%"
