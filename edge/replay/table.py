"""The ledger for people: a line per machine, shift and product, and what differs from the store.

Columns are aligned by display width, in which a Chinese character is two wide.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from edge.errors import Text
from edge.kpi import figures
from edge.kpi.row import Sums
from edge.plan import SitePlan
from edge.replay.account import Account
from edge.replay.against import Comparison, Difference
from edge.replay.document import flag_words

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


def ledgers(plan: SitePlan, accounts: Iterable[Account]) -> str:
    """All machines that have readings, one table each."""
    return "\n".join(_ledger(plan, account) for account in accounts if account.span is not None)


def _ledger(plan: SitePlan, account: Account) -> str:
    assert account.span is not None
    name = account.machine.name
    first, last = (_local(plan, t_ns) for t_ns in account.span)
    rows = [[str(word) for word in _HEAD]]
    rows += [[row.key.shift_date, row.key.shift, row.key.product, *_numbers(row.sums)] for row in account.shifts]
    rows.append([str(Text("合计", "total")), "", "", *_numbers(account.total)])
    heading = f"{account.machine.id}  {Text(name.zh, name.en)}  {first} – {last}"
    return "\n".join([heading, *_columns(rows), ""])


def _numbers(sums: Sums) -> list[str]:
    run_ns = sums.rt_ns
    return [
        _duration(sums.ppt_ns),
        _duration(run_ns),
        _duration(sums.ppt_ns - run_ns - sums.unknown_ns),
        _duration(sums.unknown_ns),
        str(sums.tc + sums.unscheduled_tc),
        str(sums.gc + sums.unscheduled_gc),
        str(sums.sc + sums.unscheduled_sc),
        *(
            _percent(figure(sums))
            for figure in (figures.oee, figures.availability, figures.performance, figures.quality)
        ),
        ", ".join(flag_words(sums.flags)),
    ]


def _duration(ns: int) -> str:
    """h:mm:ss, to the nearest second."""
    seconds = round(ns / NS_PER_S)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _local(plan: SitePlan, t_ns: int) -> str:
    return datetime.fromtimestamp(t_ns // NS_PER_S, ZoneInfo(plan.site.timezone)).strftime("%Y-%m-%d %H:%M:%S")


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell + _space(cell, width) if at < _LEFT or at == len(row) - 1 else _space(cell, width) + cell
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
    if others := sorted(comparison.config_versions - {plan.config_version}):
        versions = ", ".join(others)
        told = Text(
            f"  存储时的配置版本为 {versions}，本次为 {plan.config_version}",
            f"  stored under configuration {versions}, replayed under {plan.config_version}",
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
