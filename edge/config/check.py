"""`seamline check`: the compiled plan, printed for people in Chinese or English. No network, no secret shown.

Each section is a list of lines.
"""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from pathlib import Path
from zoneinfo import ZoneInfo

from edge.calendar import shift_of, slices
from edge.config.columns import columns
from edge.config.connection_listing import connection_lines, line_settings, transport
from edge.config.machine_listing import machine_lines
from edge.config.words import NS_PER_S, called, counted, lasting, say
from edge.errors import Text
from edge.plan import (
    Calendar,
    InfluxSink,
    ModbusDevice,
    OpcuaDevice,
    RecordingPlan,
    SitePlan,
)
from edge.recording.lines import folder_of
from ext.buckets import Schedule
from protocols.modbus.address import TABLE_NAMES
from protocols.modbus.bus import Bus, bus_of, payload_bytes
from protocols.modbus.plan import Request, bus_time_ns
from protocols.modbus.tags import DataType, ModbusTag
from protocols.opcua.place import within
from protocols.opcua.tags import Deadband, Mode, ServerLimits, TagGroup

DAY_NS = 86_400 * NS_PER_S
_SCHEDULE = {
    Schedule.SCHEDULED: Text("计划生产", "scheduled"),
    Schedule.BREAK: Text("休息", "break"),
    Schedule.NOT_SCHEDULED: Text("不排产", "not scheduled"),
}


def render(plan: SitePlan, now_ns: int) -> str:
    """The whole plan as text; `now_ns` is where the calendar's next 24 hours begin."""
    sections = [
        _site(plan),
        *(_modbus(device) if isinstance(device, ModbusDevice) else _opcua(device) for device in plan.devices),
        *([lines] if (lines := connection_lines(plan)) else []),
        *(machine_lines(machine, plan) for machine in plan.machines),
        *(_calendar(calendar, now_ns) for calendar in plan.calendars),
        _sinks(plan),
        _store(plan),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _site(plan: SitePlan) -> list[str]:
    site = plan.site
    version = say("配置版本", "config version")
    return [
        say(f"站点 {site.id}", f"site {site.id}") + f"  {called(site.name)}",
        f"  {site.enterprise}, {site.province}, {site.city}, {site.timezone}",
        f"  {version} {plan.config_version}  {plan.source}",
    ]


def _modbus(device: ModbusDevice) -> list[str]:
    endpoint, limits = device.endpoint, device.limits
    bus = bus_of(endpoint, limits.turnaround_ns)
    address = f"{transport(endpoint)} {endpoint.peer}  " + say("站号", "unit") + f" {device.unit}"
    return [
        say("设备", "device") + f" {device.id}  {device.brand}  Modbus {address}",
        *line_settings(endpoint),
        say(
            f"  限额：每次 {limits.max_registers} 个寄存器、{limits.max_bits} 个位，空洞 {limits.max_gap}，"
            f"应答后停 {lasting(limits.pause_ns)}，每秒 {limits.requests_per_s:g} 次"
            + (f"，连接后停 {lasting(endpoint.connect_pause_ns)}" if endpoint.connect_pause_ns else "")
            + (f"，占用至多 {limits.occupancy:.0%}" if limits.occupancy < 1 else "")
            + (f"，同时 {device.depth} 个请求" if device.depth > 1 else "")
            + (f"，重试 {limits.retries} 次" if limits.retries else ""),
            f"  limits: {limits.max_registers} registers, {limits.max_bits} bits, holes up to {limits.max_gap}, "
            f"pause {lasting(limits.pause_ns)} after a reply, {limits.requests_per_s:g} requests/s"
            + (f", pause {lasting(endpoint.connect_pause_ns)} after connecting" if endpoint.connect_pause_ns else "")
            + (f", busy {limits.occupancy:.0%} of the time at most" if limits.occupancy < 1 else "")
            + (f", {device.depth} at a time" if device.depth > 1 else "")
            + (f", retries {limits.retries}" if limits.retries else ""),
        ),
        say(
            "  请求（功能码、地址、协议地址、长度、周期、预计总线时间）：",
            "  requests (function code, address, protocol address, length, interval, expected bus time):",
        ),
        *columns(_request_row(device, request, bus) for request in device.requests),
        _load(device, bus),
        say("  点：", "  tags:"),
        *columns(_tag_row(device, tag, read_ns) for tag, read_ns in zip(device.tags, _intervals(device), strict=True)),
    ]


def _request_row(device: ModbusDevice, request: Request, bus: Bus) -> list[str]:
    last = request.address + request.quantity - 1
    name = device.addresses.render
    what = ("位", "bit") if request.table.is_bits else ("寄存器", "register")
    return [
        f"FC{request.table.value:02d}",
        f"{name(request.table, request.address)}…{name(request.table, last)}",
        f"{request.address}–{last}",
        f"0x{request.address:04X}",
        counted(request.quantity, *what),
        counted(payload_bytes(request.table, request.quantity), "字节", "byte"),
        lasting(request.interval_ns),
        f"≈{lasting(bus_time_ns(request, bus))}",
        counted(request.count, "点", "tag"),
    ]


def _load(device: ModbusDevice, bus: Bus) -> str:
    """Requests per second and the share of its time they take, with the rest after each: over its lanes, at most 1."""
    rate = sum(NS_PER_S / request.interval_ns for request in device.requests)
    limits, lanes = device.limits, device.depth
    taken = ((bus_time_ns(r, bus), r.interval_ns) for r in device.requests)
    busy = sum(max(ns + limits.pause_ns, ns / limits.occupancy) / every_ns for ns, every_ns in taken) / lanes
    line = say(
        f"  合计：每秒 {rate:.2f} 次请求，占用 {busy:.1%}", f"  sum: {rate:.2f} requests/s, occupancy {busy:.1%}"
    )
    if busy > 1 or rate > limits.requests_per_s:
        line += say("  ← 放不下：加大 interval_s 或减少点", "  <- does not fit: raise interval_s or switch tags off")
    return line


def _intervals(device: ModbusDevice) -> list[int]:
    """How often each tag is read: its own interval, or that of a faster request that carries it along."""
    return [request.interval_ns for request in device.requests for _ in range(request.count)]


def _tag_row(device: ModbusDevice, tag: ModbusTag, read_ns: int) -> list[str]:
    bit = tag.bit if tag.bits is None else None
    vendor = device.addresses.render(tag.table, tag.address, bit)
    protocol = f"{TABLE_NAMES[tag.table]}:{tag.address}" + ("" if bit is None else f".{bit}")
    return [tag.name, vendor, protocol, _type(tag), lasting(read_ns), _range(tag)]


def _type(tag: ModbusTag) -> str:
    """The data type, and what it needs beside."""
    if tag.type is DataType.STRING:
        swapped = say("，低字节在前", ", low byte first") if tag.string_low_byte_first else ""
        return f"{tag.type} {2 * tag.registers} {tag.encoding}{swapped}"
    field = "" if tag.bits is None else f"[{tag.bit or 0}…{(tag.bit or 0) + tag.bits - 1}]"
    ordered = tag.registers > 1 or tag.word_order.swaps_bytes
    return f"{tag.type}{field}" + (f" {tag.word_order}" if ordered and not tag.table.is_bits else "")


def _range(tag: ModbusTag) -> str:
    parts = []
    if (tag.scale, tag.offset) != (1.0, 0.0):
        parts.append(f"x{tag.scale:g}" + (f"{tag.offset:+g}" if tag.offset else ""))
    if tag.range_map is not None:
        line = tag.range_map
        parts.append(f"{line.raw_low:g}…{line.raw_high:g} → {line.low:g}…{line.high:g}")
    if tag.minimum is not None or tag.maximum is not None:
        low = "" if tag.minimum is None else f"{tag.minimum:g}"
        high = "" if tag.maximum is None else f"{tag.maximum:g}"
        parts.append(f"{low}…{high}")
    if tag.sentinels:
        parts.append(say("无效值 ", "invalid ") + ",".join(map(str, tag.sentinels)))
    parts.extend(f"{word.value}={Text(word.zh, word.en)}" for word in tag.words)
    return " ".join(parts)


def _opcua(device: OpcuaDevice) -> list[str]:
    endpoint = device.endpoint
    security = endpoint.security if endpoint.security == "None" else f"{endpoint.security}, {endpoint.mode}"
    user = "" if endpoint.user is None else say("，有用户名", ", with a user name")
    return [
        say("设备", "device") + f" {device.id}  {device.brand}  OPC UA {endpoint.url}",
        say("  安全：", "  security: ") + security + user,
        say("  每次调用的节点数：", "  nodes per call: ") + _per_call(endpoint.limits),
        say(
            "  组（方式、周期、采样队列、满时丢弃、触发、死区）：",
            "  groups (mode, interval, queue, discarded when full, trigger, deadband):",
        ),
        *columns(_group_row(group) for group in endpoint.tag_groups),
        say("  点（节点、采样、组）：", "  tags (node, sampling, group):"),
        *columns(
            [
                tag.name,
                f"{tag.node} {within(tag.element, tag.field)}".rstrip(),
                "" if endpoint.tag_groups[tag.group].mode is Mode.POLL else lasting(tag.sampling_ns),
                endpoint.tag_groups[tag.group].name,
            ]
            for tag in device.tags
        ),
    ]


def _per_call(limits: ServerLimits) -> str:
    own = say("由服务器告知，不说则 50", "as the server says, 50 where it does not")
    said = str(limits.nodes_per_call) if limits.nodes_per_call else own
    items = say(f"；监视项最多 {limits.items}，其余改为读取", f"; at most {limits.items} items, the rest is read")
    return said + (items if limits.items else "")


def _group_row(group: TagGroup) -> list[str]:
    if group.mode is Mode.POLL:
        return [group.name, say("轮询", "poll"), lasting(group.publishing_ns), "", "", "", ""]
    queue = str(group.queue_size) if group.queue_size else say("够断线 5 秒", "for a break of 5 s")
    discard = say("最旧的", "oldest") if group.discard_oldest else say("最新的", "newest")
    deadband = ""
    if group.deadband is not Deadband.NONE:
        deadband = f"{group.deadband_value:g}" + (" %" if group.deadband is Deadband.PERCENT else "")
    trigger = group.trigger.name.lower().replace("_", "-")
    return [group.name, say("订阅", "subscribe"), lasting(group.publishing_ns), queue, discard, trigger, deadband]


def _calendar(calendar: Calendar, now_ns: int) -> list[str]:
    zone = ZoneInfo(calendar.timezone)
    rows = []
    cut = slices(calendar, now_ns, now_ns + DAY_NS)
    for (schedule, shift_id), group in groupby(cut, key=lambda piece: (piece.schedule, piece.shift_id)):
        pieces = list(group)
        start_ns, end_ns = pieces[0].start_ns, pieces[-1].end_ns
        shift = f"{(found := shift_of(calendar, shift_id)).name} ({found.date})" if shift_id else ""
        span = f"{_local(start_ns, zone)} – {_local(end_ns, zone)}"
        rows.append([span, lasting(end_ns - start_ns), str(_SCHEDULE[schedule]), shift])
    title = say("日历", "calendar") + f" {calendar.id}  {calendar.timezone}  "
    return [title + say("今后 24 小时：", "next 24 hours:"), *columns(rows), *_more(calendar)]


def _more(calendar: Calendar) -> list[str]:
    """What a day does not show."""
    parts = [
        (len(calendar.versions), say("版本", "versions")),
        (len(calendar.exceptions), say("例外", "exceptions")),
        (len(calendar.stops), say("停机时段", "stops")),
    ]
    said = [f"{what} {count}" for count, what in parts if count]
    if calendar.rotation is not None:
        days = calendar.rotation.days
        said.insert(0, say(f"{days} 天轮班", f"a rotation of {days} days"))
    every = say("逐班打印：seamline calendar", "every shift: seamline calendar")
    return [say("  还有：", "  and: ") + ", ".join(said) + say("；", "; ") + every] if said else []


def _local(t_ns: int, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(t_ns // NS_PER_S, zone):%m-%d %H:%M}"


def _sinks(plan: SitePlan) -> list[str]:
    if not plan.sinks:
        return [say("数据库：未配置，数据只存本机", "databases: none; data stay on this gateway")]
    rows = []
    for sink in plan.sinks:
        target = f"{sink.org}/{sink.bucket}" if sink.org else sink.database
        secret = say("有密钥", "with a secret") if sink.token or sink.password else say("无密钥", "without a secret")
        kind = "VictoriaMetrics" if sink.victoria else f"InfluxDB {sink.version}"
        rows.append([sink.id, kind, sink.url, target, secret, _by_routes(sink)])
    return [say("数据库：", "databases:"), *columns(rows)]


def _by_routes(sink: InfluxSink) -> str:
    """Where single measurements go instead."""
    told = []
    for route in sink.routes:
        there = route.target
        where = ".".join(filter(None, (there.database, there.retention_policy))) if there else say("不发", "not sent")
        told.append(f"{', '.join(sorted(route.measurements))} → {where}")
    return "; ".join(told)


def _store(plan: SitePlan) -> list[str]:
    agent = plan.agent
    size = f"{agent.store_max_bytes / 2**20:.0f} MiB"
    window = lasting(agent.commit_ns)
    return [
        say("本机存储", "store") + f"  {agent.store_path}",
        say(f"  最多 {size}、", f"  at most {size}, ")
        + say(f"{lasting(agent.store_max_age_ns)}；", f"{lasting(agent.store_max_age_ns)}; ")
        + say(f"断电最多丢 {window}", f"a power cut loses at most {window}"),
        *(_recording(recording, agent.store_path) for recording in plan.recordings),
        say("页面", "page") + f"  http://{agent.page_host}:{agent.page_port}/",
    ]


def _recording(recording: RecordingPlan, store_path: str) -> str:
    name, size = recording.machine, f"{recording.max_bytes / 1e6:.0f} MB"
    told = say(f"  录制 {name} 的读数，最多 {size}：", f"  readings of {name} are recorded, at most {size}: ")
    return f"{told}{folder_of(Path(store_path)) / name}"
