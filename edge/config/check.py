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
from edge.config.counters import gap_max_s
from edge.errors import Text, language
from edge.plan import (
    Calendar,
    CounterRule,
    Machine,
    ModbusDevice,
    Name,
    OpcuaDevice,
    Product,
    RecordingPlan,
    SitePlan,
    StateRule,
)
from edge.recording.lines import folder_of
from ext.buckets import Bucket, Schedule
from protocols.modbus.address import TABLE_NAMES
from protocols.modbus.plan import Request, bus_time_ns, payload_bytes
from protocols.modbus.tags import ModbusTag

NS_PER_S = 1_000_000_000
DAY_NS = 86_400 * NS_PER_S
_SCHEDULE = {
    Schedule.SCHEDULED: Text("计划生产", "scheduled"),
    Schedule.BREAK: Text("休息", "break"),
    Schedule.NOT_SCHEDULED: Text("不排产", "not scheduled"),
}
_COUNTERS = (Text("总数", "total"), Text("合格", "good"), Text("不良", "reject"))


def render(plan: SitePlan, now_ns: int) -> str:
    """The whole plan as text; `now_ns` is where the calendar's next 24 hours begin."""
    sections = [
        _site(plan),
        *(_modbus(device) if isinstance(device, ModbusDevice) else _opcua(device) for device in plan.devices),
        *(_machine(machine, plan) for machine in plan.machines),
        *(_calendar(calendar, now_ns) for calendar in plan.calendars),
        _sinks(plan),
        _store(plan),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _t(zh: str, en: str) -> str:
    return str(Text(zh, en))


def _name(name: Name) -> str:
    return name.zh if language() == "zh" else name.en


def _seconds(ns: float) -> str:
    """A duration in the unit people would use."""
    seconds = ns / NS_PER_S
    for size, unit in ((86_400 * 365, _t("年", "y")), (86_400, _t("天", "d")), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.4g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def _site(plan: SitePlan) -> list[str]:
    site = plan.site
    version = _t("配置版本", "config version")
    return [
        _t(f"站点 {site.id}", f"site {site.id}") + f"  {_name(site.name)}",
        f"  {site.enterprise}, {site.province}, {site.city}, {site.timezone}",
        f"  {version} {plan.config_version}  {plan.source}",
    ]


def _modbus(device: ModbusDevice) -> list[str]:
    endpoint, limits = device.endpoint, device.limits
    address = f"{endpoint.host}:{endpoint.port}  " + _t("站号", "unit") + f" {endpoint.unit}"
    return [
        _t("设备", "device") + f" {device.id}  {device.brand}  Modbus TCP {address}",
        _t(
            f"  限额：每次 {limits.max_registers} 个寄存器、{limits.max_bits} 个位，空洞 {limits.max_gap}，"
            f"应答后停 {_seconds(limits.pause_ns)}，每秒 {limits.requests_per_s:g} 次",
            f"  limits: {limits.max_registers} registers, {limits.max_bits} bits, holes up to {limits.max_gap}, "
            f"pause {_seconds(limits.pause_ns)} after a reply, {limits.requests_per_s:g} requests/s",
        ),
        _t(
            "  请求（功能码、地址、协议地址、长度、周期、预计总线时间）：",
            "  requests (function code, address, protocol address, length, interval, expected bus time):",
        ),
        *columns(_request_row(device, request) for request in device.requests),
        _load(device),
        _t("  点：", "  tags:"),
        *columns(_tag_row(device, tag) for tag in device.tags),
    ]


def _request_row(device: ModbusDevice, request: Request) -> list[str]:
    last = request.address + request.quantity - 1
    name = device.addresses.render
    what = _t("位", "bits") if request.table.is_bits else _t("寄存器", "registers")
    return [
        f"FC{request.table.value:02d}",
        f"{name(request.table, request.address)}…{name(request.table, last)}",
        f"{request.address}–{last}",
        f"0x{request.address:04X}",
        f"{request.quantity} {what}",
        f"{payload_bytes(request.table, request.quantity)} " + _t("字节", "bytes"),
        _seconds(request.interval_ns),
        f"≈{_seconds(bus_time_ns(request))}",
        f"{request.count} " + _t("点", "tags"),
    ]


def _load(device: ModbusDevice) -> str:
    """Requests per second and the share of time in which the connection is busy, pauses included."""
    rate = sum(NS_PER_S / request.interval_ns for request in device.requests)
    busy = sum((bus_time_ns(r) + device.limits.pause_ns) / r.interval_ns for r in device.requests)
    line = _t(f"  合计：每秒 {rate:.2f} 次请求，占用 {busy:.1%}", f"  sum: {rate:.2f} requests/s, occupancy {busy:.1%}")
    if busy > 1 or rate > device.limits.requests_per_s:
        line += _t("  ← 放不下：加大 interval_s 或减少点", "  <- does not fit: raise interval_s or switch tags off")
    return line


def _tag_row(device: ModbusDevice, tag: ModbusTag) -> list[str]:
    vendor = device.addresses.render(tag.table, tag.address, tag.bit)
    protocol = f"{TABLE_NAMES[tag.table]}:{tag.address}" + ("" if tag.bit is None else f".{tag.bit}")
    wide = f"{tag.type}" + (f" {tag.word_order}" if tag.registers in (2, 4) else "")
    return [tag.name, vendor, protocol, wide, _seconds(tag.interval_ns), _range(tag)]


def _range(tag: ModbusTag) -> str:
    parts = []
    if (tag.scale, tag.offset) != (1.0, 0.0):
        parts.append(f"x{tag.scale:g}" + (f"{tag.offset:+g}" if tag.offset else ""))
    if tag.minimum is not None or tag.maximum is not None:
        low = "" if tag.minimum is None else f"{tag.minimum:g}"
        high = "" if tag.maximum is None else f"{tag.maximum:g}"
        parts.append(f"{low}…{high}")
    if tag.sentinels:
        parts.append(_t("无效值 ", "invalid ") + ",".join(map(str, tag.sentinels)))
    return " ".join(parts)


def _opcua(device: OpcuaDevice) -> list[str]:
    endpoint = device.endpoint
    security = endpoint.security if endpoint.security == "None" else f"{endpoint.security}, {endpoint.mode}"
    user = "" if endpoint.user is None else _t("，有用户名", ", with a user name")
    return [
        _t("设备", "device") + f" {device.id}  {device.brand}  OPC UA {endpoint.url}",
        _t("  安全：", "  security: ") + security + user,
        _t("  发布周期 ", "  publishing ") + _seconds(endpoint.publishing_ns),
        _t("  点（节点、采样）：", "  tags (node, sampling):"),
        *columns([tag.name, _node(tag.node, tag.index, tag.field), _seconds(tag.sampling_ns)] for tag in device.tags),
    ]


def _node(node: str, index: int | None, field: str | None) -> str:
    return node + ("" if index is None else f" [{index}]") + ("" if field is None else f" .{field}")


def _machine(machine: Machine, plan: SitePlan) -> list[str]:
    return [
        _t("机台", "machine") + f" {machine.id}  {machine.kind}  {_name(machine.name)}",
        *_about(machine, plan),
        _t("  信号：", "  signals: ") + ", ".join(signal.name for signal in machine.signals),
        _t(
            "  计数（模数、最大速率、不致算错的最长间断）：",
            "  counters (modulus, maximum rate, longest gap that stays unambiguous):",
        ),
        *columns(_counter_row(machine, rule) for rule in machine.counters),
        _t("  产品（理想节拍、慢、短停、停机）：", "  products (ideal cycle, slow, small stop, stop):"),
        *columns(_product_row(product, machine) for product in machine.products),
        _t("  状态规则（第一条成立者为准）：", "  state rules (the first that holds):"),
        *columns(_rule_row(rule, machine) for rule in (*machine.states, machine.state_default)),
        *_process_values(machine),
    ]


def _about(machine: Machine, plan: SitePlan) -> list[str]:
    devices = {signal.device for signal in machine.signals} | {value.device for value in machine.process_values}
    names = ", ".join(plan.devices[index].id for index in sorted(devices))
    line, calendar, note = machine.line, machine.calendar, machine.capacity_note
    hold, poll = _seconds(machine.hold_ns), _seconds(machine.poll_ns)
    return [
        _t(
            f"  取自 {names}，产线 {line}，等级 T{machine.tier}，日历 {calendar}，计数点 {note}",
            f"  read from {names}, line {line}, tier T{machine.tier}, calendar {calendar}, counting point {note}",
        ),
        _t(
            f"  读数 {hold} 后不再采信，之后的时间记为未知（最慢读取 {poll}）",
            f"  a reading is believed for {hold}, then the time is unknown (slowest read {poll})",
        ),
    ]


def _process_values(machine: Machine) -> list[str]:
    if not machine.process_values:
        return []
    units = (f"{value.name} ({value.unit})" if value.unit else value.name for value in machine.process_values)
    return [_t("  过程值：", "  process values: ") + ", ".join(units)]


def _counter_row(machine: Machine, rule: CounterRule) -> list[str]:
    gap_ns = gap_max_s(rule.modulus, rule.multiplier, rule.max_rate_per_s) * NS_PER_S
    times = f" x{rule.multiplier}" if rule.multiplier != 1 else ""
    return [
        str(_COUNTERS[rule.counter]),
        machine.signals[rule.signal].name + times,
        f"{rule.modulus}",
        f"{rule.max_rate_per_s * 60:.4g} " + _t("件/分", "pieces/min"),
        _seconds(gap_ns),
    ]


def _product_row(product: Product, machine: Machine) -> list[str]:
    default = _t("默认", "default") if machine.products[machine.product_default] is product else ""
    code = "" if product.code is None else f"#{product.code}"
    times = (product.ideal_cycle_ns, product.slow_ns, product.small_stop_ns, product.stop_ns)
    return [product.id, _name(product.name), code, *map(_seconds, times), default]


def _rule_row(rule: StateRule, machine: Machine) -> list[str]:
    said = []
    for condition in rule.when:
        values = "/".join(map(str, sorted(condition.values)))
        said.append(f"{machine.signals[condition.signal].name} {'≠' if condition.negate else '='} {values}")
    return [", ".join(said) or _t("其余", "otherwise"), "→ " + rule.state, _bucket(rule.bucket)]


def _bucket(bucket: Bucket) -> str:
    return bucket.name.lower().replace("_", "-")


def _calendar(calendar: Calendar, now_ns: int) -> list[str]:
    zone = ZoneInfo(calendar.timezone)
    rows = []
    cut = slices(calendar, now_ns, now_ns + DAY_NS)
    for (schedule, shift_id), group in groupby(cut, key=lambda piece: (piece.schedule, piece.shift_id)):
        pieces = list(group)
        start_ns, end_ns = pieces[0].start_ns, pieces[-1].end_ns
        shift = f"{(found := shift_of(calendar, shift_id)).name} ({found.date})" if shift_id else ""
        span = f"{_local(start_ns, zone)} – {_local(end_ns, zone)}"
        rows.append([span, _seconds(end_ns - start_ns), str(_SCHEDULE[schedule]), shift])
    title = _t("日历", "calendar") + f" {calendar.id}  {calendar.timezone}  "
    return [title + _t("今后 24 小时：", "next 24 hours:"), *columns(rows), *_more(calendar)]


def _more(calendar: Calendar) -> list[str]:
    """What a day does not show."""
    parts = [
        (len(calendar.versions), _t("版本", "versions")),
        (len(calendar.exceptions), _t("例外", "exceptions")),
        (len(calendar.stops), _t("停机时段", "stops")),
    ]
    said = [f"{what} {count}" for count, what in parts if count]
    if calendar.rotation is not None:
        days = calendar.rotation.days
        said.insert(0, _t(f"{days} 天轮班", f"a rotation of {days} days"))
    every = _t("逐班打印：seamline calendar", "every shift: seamline calendar")
    return [_t("  还有：", "  and: ") + ", ".join(said) + _t("；", "; ") + every] if said else []


def _local(t_ns: int, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(t_ns // NS_PER_S, zone):%m-%d %H:%M}"


def _sinks(plan: SitePlan) -> list[str]:
    if not plan.sinks:
        return [_t("数据库：未配置，数据只存本机", "databases: none; data stay on this gateway")]
    rows = []
    for sink in plan.sinks:
        target = sink.database if sink.version == 1 else f"{sink.org}/{sink.bucket}"
        secret = _t("有密钥", "with a secret") if sink.token or sink.password else _t("无密钥", "without a secret")
        rows.append([sink.id, f"InfluxDB {sink.version}", sink.url, target, secret])
    return [_t("数据库：", "databases:"), *columns(rows)]


def _store(plan: SitePlan) -> list[str]:
    agent = plan.agent
    size = f"{agent.store_max_bytes / 2**20:.0f} MiB"
    window = _seconds(agent.commit_ns)
    return [
        _t("本机存储", "store") + f"  {agent.store_path}",
        _t(f"  最多 {size}、", f"  at most {size}, ")
        + _t(f"{_seconds(agent.store_max_age_ns)}；", f"{_seconds(agent.store_max_age_ns)}; ")
        + _t(f"断电最多丢 {window}", f"a power cut loses at most {window}"),
        *(_recording(recording, agent.store_path) for recording in plan.recordings),
        _t("页面", "page") + f"  http://{agent.page_host}:{agent.page_port}/",
    ]


def _recording(recording: RecordingPlan, store_path: str) -> str:
    name, size = recording.machine, f"{recording.max_bytes / 1e6:.0f} MB"
    told = _t(f"  录制 {name} 的读数，最多 {size}：", f"  readings of {name} are recorded, at most {size}: ")
    return f"{told}{folder_of(Path(store_path)) / name}"
