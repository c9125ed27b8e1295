"""Gaps in words, for terminals; the page has its own table of the same causes."""

from __future__ import annotations

from edge.errors import Text
from edge.gaps.gap import Gap, GapCause, GapScope

CAUSES = {
    GapCause.PLC_OFF: Text("设备无应答", "PLC off"),
    GapCause.LINK_DOWN: Text("通信链路断开", "link down"),
    GapCause.AGENT_STOPPED: Text("代理未运行", "agent stopped"),
    GapCause.CLOCK_STEPPED: Text("时钟被调整", "clock stepped"),
    GapCause.UNOBSERVED: Text("状态信号缺失", "not observed"),
    GapCause.EVICTED: Text("存储已满删除", "evicted"),
    GapCause.QUARANTINED: Text("数据库拒收隔离", "quarantined"),
    GapCause.DAMAGED: Text("磁盘数据损坏", "damaged"),
}
SCOPES = {
    GapScope.MACHINE: Text("机台", "machine"),
    GapScope.DEVICE: Text("设备", "device"),
    GapScope.AGENT: Text("站点", "site"),
    GapScope.CLASS: Text("数据类别", "class"),
    GapScope.DATABASE: Text("数据库", "database"),
}


def hides(gap: Gap) -> str:
    """What it may hide: pieces of a machine, records of a store; "" where only time is known."""
    if gap.void:
        return str(Text("后来证实没有缺口", "later readings showed there was none"))
    if gap.records is not None:
        return str(Text(f"{gap.records} 条", f"{gap.records} records"))
    if gap.scope is not GapScope.MACHINE:
        return ""
    if gap.pieces_min is None or gap.pieces_max is None:
        return str(Text("件数不明", "pieces unknown"))
    if gap.pieces_min == gap.pieces_max:
        return str(Text(f"{gap.pieces_min} 件，已补记", f"{gap.pieces_min} pieces, recovered"))
    return str(Text(f"{gap.pieces_min} 至 {gap.pieces_max} 件", f"{gap.pieces_min} to {gap.pieces_max} pieces"))
