"""The ledger for people: a line per machine, shift and product, every figure, and what differs from the store.

Columns are aligned by display width, in which a Chinese character is two wide.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from edge.errors import Text
from edge.kpi import catalogue
from edge.kpi.catalogue import Scope
from edge.kpi.evidence import Evidence
from edge.kpi.figure import Figure
from edge.plan import SitePlan
from edge.replay.account import Account
from edge.replay.against import Comparison, Difference
from edge.replay.document import flag_words
from edge.replay.sheet import sheet

NS_PER_S = 1_000_000_000
_HEAD = (
    Text("日期", "date"),
    Text("班次", "shift"),
    Text("产品", "product"),
    Text("计划", "planned"),
    Text("运行", "run"),
    Text("停机", "stopped"),
    Text("未知", "unknown"),
    Text("产量", "total"),
    Text("合格", "good"),
    Text("不良", "reject"),
    Text("OEE", "OEE"),
    Text("可用率", "A"),
    Text("性能", "P"),
    Text("质量", "Q"),
    Text("存疑", "doubts"),
)
_LEFT = 3  # columns of words; the numbers behind them stand on the right


def ledgers(plan: SitePlan, accounts: Iterable[Account], *, figures: bool = False) -> str:
    """All machines that have readings, one table each; with `figures`, every figure of each below it."""
    return "\n".join(_ledger(plan, account, figures=figures) for account in accounts if account.span is not None)


def _ledger(plan: SitePlan, account: Account, *, figures: bool) -> str:
    assert account.span is not None
    name, record = account.machine.name, account.record
    first, last = (_local(plan, t_ns) for t_ns in account.span)
    rows = [[str(word) for word in _HEAD]]
    rows += [
        [row.key.shift_date, row.key.shift, row.key.product, *_numbers(record.of_shift(row))] for row in account.shifts
    ]
    rows.append([str(Text("合计", "total")), "", "", *_numbers(account.known)])
    heading = f"{account.machine.id}  {Text(name.zh, name.en)}  {first} – {last}"
    return "\n".join([heading, *_columns(rows), "", *(_sheet(account) if figures else ())])


def _sheet(account: Account) -> Iterator[str]:
    """Every figure of the record."""
    for title, rows in sheet(account.known):
        yield f"  {title}"
        yield from (f"  {line}" for line in _columns(rows, left=4))
        yield ""


def _numbers(known: Evidence) -> list[str]:
    sums = known.sums
    found = catalogue.figures(known, Scope.WINDOW)
    return [
        _duration(sums.ppt_ns),
        _duration(sums.rt_ns),
        _duration(sums.ppt_ns - sums.rt_ns - sums.unknown_ns),
        _duration(sums.unknown_ns),
        str(sums.tc + sums.unscheduled_tc),
        str(sums.gc + sums.unscheduled_gc),
        str(sums.sc + sums.unscheduled_sc),
        *(_percent(found[key]) for key in ("oee", "availability", "performance", "quality")),
        ", ".join(flag_words(sums.flags)),
    ]


def _duration(ns: int) -> str:
    """h:mm:ss, to the nearest second."""
    seconds = round(ns / NS_PER_S)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _percent(found: Figure) -> str:
    """Lowest and highest where they differ: 88.81–89.29 %."""
    if found.value is None:
        return "–"
    if found.low is None or found.high is None or found.low == found.high:
        return f"{found.value:.2%}"
    return f"{found.low * 100:.2f}–{found.high:.2%}"


def _local(plan: SitePlan, t_ns: int) -> str:
    return datetime.fromtimestamp(t_ns // NS_PER_S, ZoneInfo(plan.site.timezone)).strftime("%Y-%m-%d %H:%M:%S")


def _columns(rows: Sequence[Sequence[str]], left: int = _LEFT) -> list[str]:
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell + _space(cell, width) if at < left or at == len(row) - 1 else _space(cell, width) + cell
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return lines


def _space(cell: str, width: int) -> str:
    return " " * (width - _width(cell))


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


# ---- against what was stored ----


def write_comparison(plan: SitePlan, comparison: Comparison, write: Callable[[str], object]) -> None:
    """Every minute that differs, then how many do not."""
    machine = comparison.account.machine.id
    for difference in comparison.differences():
        write(f"{machine}  {_difference(plan, difference)}\n")
    summary = Text(
        f"{machine}：{comparison.compared} 行，一致 {comparison.same}，不一致 {comparison.different}",
        f"{machine}: {comparison.compared} rows, {comparison.same} the same, {comparison.different} different",
    )
    write(f"{summary}\n")
    version = comparison.account.config_version
    if others := sorted(comparison.config_versions - {version}):
        versions = ", ".join(others)
        told = Text(
            f"  存储时的配置版本为 {versions}，本次为 {version}",
            f"  stored under configuration {versions}, replayed under {version}",
        )
        write(f"{told}\n")


def _difference(plan: SitePlan, difference: Difference) -> str:
    start_ns, product, shift, _ = difference.key
    where = f"{_local(plan, start_ns)}  {shift or '–'}  {product}"
    if difference.kind == "only-replayed":
        return f"{where}  {Text('存储中没有', 'not in the store')}"
    if difference.kind == "only-stored":
        return f"{where}  {Text('只在存储中', 'only in the store')}"
    fields = ", ".join(f"{name} {ours} ≠ {stored}" for name, (ours, stored) in difference.fields.items())
    return f"{where}  {Text('重放 ≠ 存储', 'replayed ≠ stored')}: {fields}"
