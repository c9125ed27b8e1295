"""docs/points.md, from the dictionary: `python -m edge.points_page > docs/points.md`. A test compares the two."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from edge.points import MEASUREMENTS, Measurement, RecordClass
from ext.buckets import Bucket, Flag
from protocols.reading import Quality

_HEAD = """\
# Points · 数据点

Everything Seamline writes to a database. This page is generated from `edge/points.py`; edit that file, then run
`python -m edge.points_page > docs/points.md`.

Seamline 写入数据库的全部内容。本页由 `edge/points.py` 生成，请勿手工修改。

- Times are UTC nanoseconds and deterministic: writing a point again overwrites it.
- Durations are integer nanoseconds, pieces are integers. Ratios are not stored: divide sums, never average percentages.
- A field that is undefined is absent, never 0. A tag whose value is empty is absent.
- Field types never change.
"""

_MEANING_OF_CLASS = {
    RecordClass.TAG: "raw values, dropped first when the store is full",
    RecordClass.LIVE: "the present, dropped second",
    RecordClass.LEDGER: "the account, dropped after the two",
    RecordClass.EVENT: "what happened",
    RecordClass.EVIDENCE: "proof, dropped last of all",
}


def render() -> str:
    """The whole page, ending in a line feed."""
    parts = [_HEAD]
    parts += [_section(measurement) for measurement in MEASUREMENTS]
    parts += [
        _table("Time buckets · 时间分类", "`bucket` in `live` and `stop`; the ledger has one field for each.", Bucket),
        _table("Flags · 标志位", "Bits of `flags` in `ledger`.", Flag),
        _table("Quality · 质量", "`quality` in `tag`.", Quality),
    ]
    return "\n".join(parts)


def _section(measurement: Measurement) -> str:
    return "\n".join(_section_lines(measurement)) + "\n"


def _section_lines(measurement: Measurement) -> Iterator[str]:
    record_class = measurement.record_class
    yield f"## {measurement.name}"
    yield ""
    yield f"Time: {measurement.time}.  "
    yield f"Tags: {', '.join(f'`{tag}`' for tag in measurement.tags)}.  "
    yield f"Class: {record_class.name.lower()} ({_MEANING_OF_CLASS[record_class]})."
    yield ""
    yield "| field | type | unit | meaning |"
    yield "| --- | --- | --- | --- |"
    for field in measurement.fields:
        yield f"| `{field.name}` | {field.kind} | {field.unit or '–'} | {field.meaning} |"


def _table(title: str, note: str, numbers: type[Enum]) -> str:
    rows = [f"| {int(member.value)} | {member.name} |" for member in numbers if member.value or numbers is not Flag]
    return "\n".join([f"## {title}", "", note, "", "| number | name |", "| --- | --- |", *rows]) + "\n"


if __name__ == "__main__":
    print(render(), end="")
