"""docs/truth.md and docs/truth.zh-CN.md, from the result of a run. A test compares them with what this makes of
result.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from truth.kinds import BY_KEY, Kind, Knows
from truth.result import About, Row, broken

from edge.plan import Name

PAGES = {"en": "truth.md", "zh": "truth.zh-CN.md"}
HOUR_NS = 3_600_000_000_000

_PROMISE = {
    Knows.EXACT: Name("精确", "exact"),
    Knows.BOUNDED: Name("在声明的界内", "within its bound"),
    Knows.DOUBTED: Name("有标记", "flagged"),
    Knows.BLIND: Name("不可知", "nobody can know"),
}


def render(about: About, rows: Sequence[Row], language: str) -> str:
    """The whole page, ending in a line feed."""
    zh = language == "zh"
    words = Path(__file__).with_name(f"page.{language}.md").read_text("utf-8")
    return words.format(
        facts=_facts(about, rows, zh=zh),
        agreed=_agreed(about, zh=zh),
        pieces=_pieces(rows, zh=zh),
        time=_time(rows, zh=zh),
        promises=_promises(rows, zh=zh),
        why=_why(rows, zh=zh),
        command=about.command,
        minutes=max(1, round(about.seconds * about.jobs / 2 / 60)),
    )


def _say(name: Name, *, zh: bool) -> str:
    return name.zh if zh else name.en


def _kind(row: Row) -> Kind:
    return BY_KEY[row.key]


def _facts(about: About, rows: Sequence[Row], *, zh: bool) -> str:
    spans = [sum(row.spans[index] for row in rows) for index in range(4)]
    knowable = [row for row in rows if _kind(row).knows is not Knows.BLIND]
    silent, hours = sum(row.spans[3] for row in knowable), sum(row.hours_silent for row in knowable)
    injections, true = sum(row.injections for row in rows), sum(row.true for row in rows)
    days = f"{about.machine_days:,.0f}"
    if zh:
        return (
            f"**{days} 个机器日**，{about.samples:,} 个采样，{true:,} 件，{injections:,} 次故障，{len(rows)} 种。"
            f"区间：精确 {spans[0]:,}，界内 {spans[1]:,}，有标记 {spans[2]:,}，无声 {spans[3]:,}；"
            f"凭信号可知的故障中，无声的区间：**{silent}**，无声的小时：**{hours}**。\n\n"
            f"种子 {about.seed}，代码 {about.version}，内核 {about.binary}，Python {about.python}，"
            f"{about.seconds:.0f} s，{about.jobs} 个进程：`{about.command}`。"
        )
    return (
        f"**{days} machine-days**, {about.samples:,} samples, {true:,} pieces, {injections:,} faults, "
        f"{len(rows)} kinds."
        f" Spans: {spans[0]:,} exact, {spans[1]:,} bounded, {spans[2]:,} flagged, {spans[3]:,} silent; silent among "
        f"the faults that a reader can know of: **{silent}** spans, **{hours}** hours.\n\n"
        f"Seed {about.seed}, code {about.version}, kernel {about.binary}, Python {about.python}, "
        f"{about.seconds:.0f} s in {about.jobs} processes: `{about.command}`."
    )


def _agreed(about: About, *, zh: bool) -> str:
    wrong = "; ".join(about.disagreed)
    if zh:
        text = f"另有 {about.agreed} 种故障各一小时，同时经过内核与 `seamline replay`，所有数字一致。"
        return text + (f"不一致：{wrong}。" if wrong else "")
    text = f"An hour of {about.agreed} of the kinds also went through `seamline replay`: every number the same."
    return text + (f" Different: {wrong}." if wrong else "")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    line = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, line, *rows))


def _pieces(rows: Sequence[Row], *, zh: bool) -> str:
    head = (
        "故障 机器日 故障数 真实件数 账本件数 少计 多计 精确 界内 有标记 无声 合格、不良 承诺"
        if zh
        else "fault|days|faults|true|counted|lost|invented|exact|bounded|flagged|silent|goods, rejects|promised"
    )
    columns = head.split(" ") if zh else head.split("|")
    return _table(
        columns,
        [
            [
                f"**{_say(_kind(row).name, zh=zh)}** {_say(_kind(row).what, zh=zh)}",
                f"{row.machine_days:,.0f}",
                f"{row.injections:,}",
                f"{row.true:,}",
                f"{row.counted:,}",
                f"{row.lost:,}",
                f"{row.invented:,}",
                *(f"{number:,}" for number in row.spans),
                f"{row.quality_off:,}",
                _say(_PROMISE[_kind(row).knows], zh=zh),
            ]
            for row in rows
        ],
    )


def _time(rows: Sequence[Row], *, zh: bool) -> str:
    head = (
        "故障|真实运行 h|未知 h|运行误差 s/日|最大 s|余地 s/日|A|OEE 平均|OEE 最大|小时|其中无声"
        if zh
        else "fault|true run, h|unknown, h|run error, s/day|most, s|room, s/day|A|OEE, mean|OEE, most|hours off|silent"
    )
    return _table(
        head.split("|"),
        [
            [
                _say(_kind(row).name, zh=zh),
                f"{row.true_run_ns / HOUR_NS:,.0f}",
                f"{row.unknown_ns / HOUR_NS:,.1f}",
                f"{row.run_error_ns / 1e9 / row.machine_days:,.0f}",
                f"{row.run_error_most_ns / 1e9:,.0f}",
                f"{row.resolution_ns / 1e9 / row.machine_days:,.0f}",
                f"{row.contained}/{row.told}",
                f"{row.oee_error / row.oee_days:.3f}" if row.oee_days else "",
                f"{row.oee_error_most:.3f}" if row.oee_days else "",
                f"{row.hours_off}/{row.hours}" if row.hours else "",
                f"{row.hours_silent}" if row.hours else "",
            ]
            for row in rows
        ],
    )


def _promises(rows: Sequence[Row], *, zh: bool) -> str:
    closes, days = sum(row.closes for row in rows), sum(row.days for row in rows)
    wrong = broken(rows)
    if zh:
        text = f"时间类别之和与经过的时间一纳秒不差：{closes}/{days} 天。承诺不成立：{'无' if not wrong else ''}"
    else:
        text = (
            f"The buckets sum to the time that passed, to the nanosecond, on {closes} of {days} days. Promises broken: "
        )
        text += "none." if not wrong else ""
    return text + "".join(f"\n- {line}" for line in wrong)


def _why(rows: Sequence[Row], *, zh: bool) -> str:
    lines = []
    for row in rows:
        kind = _kind(row)
        if kind.why is not None:
            lines.append(f"- **{_say(kind.name, zh=zh)}**: {_say(kind.why, zh=zh)}")
    return "\n".join(lines)
