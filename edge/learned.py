"""`seamline check --learned` and `--forget`: what was learned of Modbus devices and is kept in the store.

The agent learns while it reads (`edge.poll`) and stores what it learned with its data. Here it is read beside a running
agent and told to people. To forget something the store must be free: the agent keeps what it knows in memory, and would
write it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from edge.clock import SystemClock
from edge.config.columns import columns
from edge.config.words import NS_PER_S, say
from edge.encode import Encoder
from edge.errors import StoreError, Text
from edge.outbox.batch import Batch
from edge.outbox.facts import StoreSettings
from edge.outbox.reader import Reader
from edge.outbox.store import Outbox
from edge.plan import ModbusDevice, SitePlan
from edge.poll.cap import Cap
from edge.poll.learned import Notes, fingerprint, key_of, read_notes
from protocols.modbus.address import TABLE_NAMES
from protocols.modbus.tags import Table


@dataclass(frozen=True, slots=True)
class Learned:
    """What is stored of one device."""

    device: ModbusDevice
    notes: Notes
    stored: bool  # there are notes, perhaps of another map


def learned(plan: SitePlan) -> list[Learned]:
    """Of every Modbus device of the site. Raises StoreError where there is a store that cannot be read."""
    path = Path(plan.agent.store_path)
    meta: dict[str, str] = {}
    if path.exists():
        with Reader(path) as reader:
            meta = reader.meta()
    return [_learned(device, meta.get(key_of(device.id), "")) for device in _modbus(plan)]


def _learned(device: ModbusDevice, text: str) -> Learned:
    return Learned(device, read_notes(text, fingerprint(device)), bool(text))


def _modbus(plan: SitePlan) -> list[ModbusDevice]:
    return [device for device in plan.devices if isinstance(device, ModbusDevice)]


def forget(plan: SitePlan, names: Sequence[str]) -> list[str]:
    """Forget what was learned of these devices (`all`: of every one); their ids.

    Raises StoreError where the agent runs, or a device is not of this site.
    """
    known = [device.id for device in _modbus(plan)]
    wrong = [name for name in names if name not in known and name != "all"]
    if wrong:
        there = ", ".join(known)
        what = ", ".join(wrong)
        raise StoreError(Text(f"没有 Modbus 设备 {what}；有：{there}", f"no Modbus device {what}; there are: {there}"))
    chosen = known if "all" in names else [name for name in known if name in names]
    if Path(plan.agent.store_path).exists():
        asyncio.run(_forget(plan, chosen))
    return chosen


async def _forget(plan: SitePlan, devices: Iterable[str]) -> None:
    agent, clock = plan.agent, SystemClock()
    settings = StoreSettings(Path(agent.store_path), agent.store_max_bytes, sinks=tuple(s.id for s in plan.sinks))
    store = Outbox(settings, clock, Encoder(plan.site).gap_record)
    await store.open()
    try:
        await store.commit(Batch(clock.now_ns(), meta=tuple((key_of(device), "") for device in devices)))
    finally:
        await store.close()


# ---- for people ----


def listing(plan: SitePlan) -> str:
    """Every Modbus device: what was learned, since when, what would make it forgotten."""
    zone = ZoneInfo(plan.site.timezone)
    sections = [_section(one, zone) for one in learned(plan)]
    if not sections:
        return say("没有 Modbus 设备", "no Modbus devices")
    forgetting = say(
        "何时忘记：设备的连接、站号、limits 或变量一改即重新学；\n"
        "或停止代理后 seamline check -c FILE --forget 设备（all：全部）",
        "forgotten where endpoint, unit, limits or tags of the device are edited; or, with the agent stopped, by\n"
        "seamline check -c FILE --forget DEVICE (all: every device)",
    )
    return "\n\n".join([say("存储 ", "store ") + plan.agent.store_path, *("\n".join(s) for s in sections), forgetting])


def _section(one: Learned, zone: ZoneInfo) -> list[str]:
    device, notes = one.device, one.notes
    head = say("设备", "device") + f" {device.id}  {device.brand}  {device.endpoint.peer}"
    if notes == Notes():
        if one.stored:
            zh, en = (
                "  所存的内容属于改动前的点表，不再使用",
                "  what is stored is about the map as it was before an edit",
            )
            return [head, say(zh, en)]
        return [head, say("  没有学到什么：照配置读取", "  nothing learned: it is read as configured")]
    lines = [head]
    if notes.refused:
        lines.append(say("  设备拒绝的变量（每 5 分钟再试）：", "  tags it refuses (tried again every 5 minutes):"))
        lines += columns(_refused_row(name, since_ns, device, zone) for name, since_ns in notes.refused)
    for cap, zh, en in ((notes.registers, "寄存器", "registers"), (notes.bits, "位", "bits")):
        if cap is not None:
            lines.append("  " + _cap_line(cap, zh, en, zone))
    if notes.depth is not None:
        since = _since(notes.depth_since_ns, zone)
        zh = f"  同时只受理 {notes.depth} 个请求（配置 {device.depth}）{since}，每小时试着加倍"
        en = f"  takes {notes.depth} requests at a time ({device.depth} configured){since}; doubled on trial every hour"
        lines.append(say(zh, en))
    if notes.splits:
        holes = ", ".join(device.addresses.render(Table(table), address) for table, address in notes.splits)
        zh, en = f"  不跨越其前空洞读取：{holes}（5 分钟后再试）", f"  not read across the hole before: {holes}"
        lines.append(say(zh, en + " (tried again after 5 minutes)"))
    return lines


def _refused_row(name: str, since_ns: int, device: ModbusDevice, zone: ZoneInfo) -> list[str]:
    tag = next((tag for tag in device.tags if tag.name == name), None)
    if tag is None:
        return [name, "", "", ""]
    bit = tag.bit if tag.bits is None else None
    place = device.addresses.render(tag.table, tag.address, bit)
    return [name, place, f"{TABLE_NAMES[tag.table]}:{tag.address}", _since(since_ns, zone).lstrip("，, ")]


def _cap_line(cap: Cap, zh: str, en: str, zone: ZoneInfo) -> str:
    since = _since(cap.since_ns, zone)
    refused_zh, refused_en = (f"，{cap.bad} 被拒绝", f", {cap.bad} refused") if cap.bad else ("", "")
    how = say("每小时试一次更长的", "a longer one is tried every hour")
    if not cap.settled:
        how = say("每分钟试一次，找准为止", "being found out, one try a minute")
    said = say(f"每次请求 {cap.good} 个{zh}{refused_zh}{since}；", f"{cap.good} {en} per request{refused_en}{since}; ")
    return said + how


def _since(t_ns: int, zone: ZoneInfo) -> str:
    if not t_ns:
        return ""
    when = f"{datetime.fromtimestamp(t_ns // NS_PER_S, zone):%Y-%m-%d %H:%M}"
    return say(f"，自 {when}", f", since {when}")
