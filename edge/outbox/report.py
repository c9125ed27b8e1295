"""What people are told of a store that was set aside: in the log, on the page, and in a file beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from edge.errors import Text
from edge.outbox.saved import NOW, Saved


def words(path: Path, aside: Path, damage: Exception, saved: Saved) -> Text:
    """What is damaged, what came over, what did not."""
    lost, older = _lost(saved), _outdated(saved)
    return Text(
        f"存储文件 {path} 已损坏（{damage}），已改名为 {aside}；完好的内容已移入新存储："
        f"{saved.told or '无'}。{lost.zh}{older.zh}",
        f"store {path} is damaged ({damage}); moved to {aside}. What is whole was carried into a new one: "
        f"{saved.told or 'nothing'}. {lost.en}{older.en}",
    )


def nothing(path: Path, aside: Path, damage: Exception, why: str) -> Text:
    """Nothing came over."""
    return Text(
        f"存储文件 {path} 已损坏（{damage}），已改名为 {aside}，并新建存储；未能移入旧内容（{why}），"
        "计数从新的基线开始；可稍后用 seamline store fsck --repair-into 取出",
        f"store {path} is damaged ({damage}); moved to {aside} and a new one begun. Nothing was carried over ({why}): "
        "counting starts from a new baseline; seamline store fsck --repair-into can still save what is whole",
    )


def _lost(saved: Saved) -> Text:
    if not saved.missing:
        return Text("没有未送达的记录丢失", "No record that is still to be sent is missing")
    start = _time(saved.lost_from_ns) if saved.lost_from_ns else "?"
    end = Text("现在", "now") if saved.lost_until_ns == NOW else Text(*(2 * [_time(saved.lost_until_ns)]))
    return Text(
        f"未送达的记录缺 {saved.missing} 条，介于 {start} 与{end.zh}之间；其中各分钟的台账将重新发送",
        f"{saved.missing} records still to be sent are missing, between {start} and {end.en}; the minutes of that time "
        "that were saved are sent again",
    )


def _outdated(saved: Saved) -> Text:
    if not saved.outdated:
        return Text("", "")
    names = ", ".join(key.partition(":")[2] or key for key in saved.outdated)
    since = _time(saved.outdated_from_ns)
    return Text(
        f"；以下机台从较早的断点（最早 {since}）继续，其后的件数由 PLC 计数器补记：{names}",
        f". These machines go on from an earlier state (the oldest of {since}), and their PLCs' counters tell what was "
        f"made since: {names}",
    )


def _time(t_ns: int) -> str:
    return datetime.fromtimestamp(t_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
