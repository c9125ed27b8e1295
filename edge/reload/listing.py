"""What following another plan means, in words: for `seamline check --diff` before, for the log and the `reload` event
after. No secret is shown: of what changed only names of fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge.errors import Text
from edge.plan import SitePlan
from edge.reload.diff import Change, Parts


def listing(change: Change, old: SitePlan, new: SitePlan) -> list[str]:
    """One line for each thing that is done, and what is not touched."""
    if change.is_empty:
        return [str(Text("没有变化", "nothing changes"))]
    if change.begins_anew:
        anew = Text(
            f"存储改到 {new.agent.store_path}：一切重新开始，旧存储原样留在 {old.agent.store_path}",
            f"the store moves to {new.agent.store_path}: everything begins anew, the old one stays as it is at "
            f"{old.agent.store_path}",
        )
        return [str(anew)]
    return [str(text) for text in (*_site(change, old, new), *_devices(change), *_machines(change), *_sinks(change))]


def summary(change: Change) -> str:
    """The same on one line, for the log: what was added, removed, changed, by id."""
    kinds = (("devices", change.devices), ("machines", change.machines), ("sinks", change.sinks))
    parts = [
        f"{kind} {sign}{name}"
        for kind, part in (*kinds, ("calendars", change.calendars))
        for sign, names in (("+", part.added), ("-", part.removed), ("~", sorted(part.changed_ids)))
        for name in names
    ]
    own = (*(f"site.{name}" for name in change.site), *(f"agent.{name}" for name in change.agent))
    return ", ".join((*parts, *own))


def _site(change: Change, old: SitePlan, new: SitePlan) -> Iterable[Text]:
    if old.config_version != new.config_version:
        yield Text(
            f"配置版本 {old.config_version} → {new.config_version}",
            f"config version {old.config_version} → {new.config_version}",
        )
    if change.site:
        yield Text(f"站点：{_names(change.site)} 改变", f"site: {_names(change.site)} changed")
    if change.agent:
        yield Text(f"代理设置：{_names(change.agent)} 改变", f"agent: {_names(change.agent)} changed")
    for one in change.calendars.changed:
        yield Text(f"日历 {one.id}：{_names(one.fields)} 改变", f"calendar {one.id}: {_names(one.fields)} changed")


def _devices(change: Change) -> Iterable[Text]:
    parts = change.devices
    yield from _come_and_go(parts, Text("设备", "device"), Text("断开连接", "its connection is closed"))
    for one in parts.changed:
        yield Text(
            f"设备 {one.id}：{_names(one.fields)} 改变，重新连接",
            f"device {one.id}: {_names(one.fields)} changed, connected anew",
        )
    for name in change.rejoined:
        yield Text(f"设备 {name}：同一连接上有变化，重新连接", f"device {name}: shares a changed wire, connected anew")
    if staying := sum(len(now) for _, now in change.connections):
        yield Text(f"{staying} 台设备的连接不动", f"{staying} devices keep their connections")


def _machines(change: Change) -> Iterable[Text]:
    parts = change.machines
    closing = Text("最后的窗口结算并写出", "its last windows are closed and written")
    yield from _come_and_go(parts, Text("机台", "machine"), closing)
    for one in parts.changed:
        what = _names(one.fields)
        if one.id in change.succeeded:
            yield Text(
                f"机台 {one.id}：规则改变（{what}）；计数与未结束的窗口保留，过渡的分钟带 CONFIG_CHANGED",
                f"machine {one.id}: its rules change ({what}); counters and open windows stay, the minutes between "
                "carry CONFIG_CHANGED",
            )
        else:
            yield Text(
                f"机台 {one.id}：仅名称与说明改变（{what}），账本不动",
                f"machine {one.id}: labels change ({what}), its ledger is not touched",
            )
    for name in sorted(change.succeeded - parts.changed_ids):
        yield Text(
            f"机台 {name}：日历改变；计数与未结束的窗口保留，过渡的分钟带 CONFIG_CHANGED",
            f"machine {name}: its calendar changes; counters and open windows stay, the minutes between carry "
            "CONFIG_CHANGED",
        )
    for name in sorted(change.renamed):
        yield Text(
            f"机台 {name}：序列标签改变；未结束的窗口移到新序列，旧序列中归零",
            f"machine {name}: the tags of its series change; open windows move to the new ones, the old hold zero",
        )
    if staying := len(set(parts.kept) - change.succeeded):
        yield Text(f"{staying} 台机台不动", f"{staying} machines are not touched")


def _sinks(change: Change) -> Iterable[Text]:
    parts = change.sinks
    gone = Text("停止送达，游标留在存储中", "nothing is sent to it any more, its cursor stays in the store")
    yield from _come_and_go(parts, Text("数据库", "database"), gone)
    for one in parts.changed:
        yield Text(
            f"数据库 {one.id}：{_names(one.fields)} 改变，从原游标继续",
            f"database {one.id}: {_names(one.fields)} changed, goes on from its cursor",
        )
    yield Text("存储不动", "the store is not touched")


def _come_and_go(parts: Parts, kind: Text, gone: Text) -> Iterable[Text]:
    for name in parts.added:
        yield Text(f"{kind.zh} {name}：新增", f"{kind.en} {name}: added")
    for name in parts.removed:
        yield Text(f"{kind.zh} {name}：移除，{gone.zh}", f"{kind.en} {name}: removed, {gone.en}")


def _names(fields: Sequence[str]) -> str:
    return ", ".join(fields)
