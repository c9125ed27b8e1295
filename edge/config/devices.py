"""Devices on their way into the plan: the brand's template and the site's overrides become an endpoint that takes tags.

Rules.
* A tag without an address of its own lies at base + offset, counted in the vendor's numbering: D4090 + 8 is D4098,
  which on a Delta DVP is another area of the wire, and DBW0 + 1 is DBW2.
* No request crosses the end of an area: what lies beyond is unmapped and would refuse the whole block.
* `areas` of a device replace the template's areas of the same prefix (a PLC whose map was edited).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from edge.config.endpoints import endpoint_of, shared
from edge.config.groups import ChosenGroup, check_patterns, group_of, groups_of
from edge.config.modbus_tags import DeviceOrders, modbus_tag, with_bit
from edge.config.models import AreaModel, DeviceModel, NodesModel, PlcTemplate
from edge.config.nodes import NodeError, needs_base, node_of
from edge.config.opcua_security import user_files
from edge.config.problems import Problems
from edge.config.tags import MergedTag
from edge.config.validate import Placed
from edge.errors import Text
from edge.packed import packed
from edge.plan import ModbusDevice, OpcuaDevice
from protocols.modbus.address import TABLE_NAMES, AddressError, AddressMap, Area, Refused, Resolved
from protocols.modbus.bus import bus_of
from protocols.modbus.plan import PlanError, plan_requests
from protocols.modbus.tags import DataType, Endpoint, Limits, ModbusTag, Table
from protocols.opcua.place import parse_field
from protocols.opcua.tags import Mode, OpcuaEndpoint, OpcuaTag, ServerLimits

NS_PER_S = 1_000_000_000
FAST_S = 1.0  # tags due this often or more are sampled at the device's own sampling interval
_MODBUS_ONLY = ("bits", "encoding", "low_byte_first", "words")
_TABLES = {name: table for table, name in TABLE_NAMES.items()}


@dataclass(slots=True)
class ModbusDraft:
    """A Modbus device that still takes tags."""

    placed: Placed[DeviceModel]
    endpoint: Endpoint
    unit: int
    limits: Limits
    addresses: AddressMap
    orders: DeviceOrders
    tags: dict[str, ModbusTag] = field(default_factory=dict)
    sources: dict[str, MergedTag] = field(default_factory=dict)

    def add(self, name: str, tag: MergedTag, base: str | None, problems: Problems) -> bool:
        """Resolve one machine tag to the wire; False where that is impossible (then the problem is noted)."""
        resolved = self._resolve(tag, base, problems)
        if resolved is None:
            return False
        found = modbus_tag(name, tag, resolved, self.orders, problems)
        if found is None:
            return False
        self.sources[name] = tag
        self.tags[name] = found
        return True

    def needs_base(self, tag: MergedTag) -> bool:
        """True where the tag lies relative to the machine's base."""
        return tag.spec.address is None and tag.spec.offset is not None

    def interval_ns(self, name: str) -> int:
        """How often a tag is refreshed."""
        return self.tags[name].interval_ns

    def finish(self, index: int, problems: Problems) -> ModbusDevice | None:
        """Plan the requests; None where a tag cannot be read within the limits."""
        try:
            bus = bus_of(self.endpoint, self.limits.turnaround_ns)
            planned = plan_requests(tuple(self.tags.values()), self.limits, self.unit, bus)
        except PlanError as error:
            tag = self.sources[error.tag.name]
            tag.add(problems, "address" if tag.spec.address else "base", Text(error.zh, error.en))
            return None
        model = self.placed.value
        return ModbusDevice(
            index=index,
            id=model.id,
            brand=model.template,
            endpoint=self.endpoint,
            limits=self.limits,
            tags=packed(planned.tags),
            requests=planned.requests,
            addresses=self.addresses,
            unit=self.unit,
            depth=model.depth or 1,
        )

    def _resolve(self, tag: MergedTag, base: str | None, problems: Problems) -> Resolved | None:
        spec = tag.spec
        try:
            if spec.address is not None:
                return with_bit(self.addresses.resolve(spec.address, spec.type is DataType.BOOL), spec)
            if spec.offset is None:
                zh = f"设备 {self.placed.value.id} 走 Modbus：此点需要 address（或 offset）"
                en = f"device {self.placed.value.id} is Modbus: this tag needs an address (or an offset)"
                tag.add(problems, "address", Text(zh, en), tag.hint)
                return None
            if base is None:
                return None  # told once, at the machine
            return with_bit(self.addresses.step(base, spec.offset), spec)
        except AddressError as error:
            if spec.address is not None:
                tag.add(problems, "address", Text(error.zh, error.en))
            else:
                where = f"{tag.name} = base+{spec.offset}"
                tag.add(problems, "base", Text(f"{error.zh}（{where}）", f"{error.en} ({where})"))
            return None


@dataclass(slots=True)
class OpcuaDraft:
    """An OPC UA server that still takes nodes."""

    placed: Placed[DeviceModel]
    template: PlcTemplate
    endpoint: OpcuaEndpoint
    sampling_ns: int
    groups: tuple[ChosenGroup, ...]
    tags: dict[str, OpcuaTag] = field(default_factory=dict)

    def add(self, name: str, tag: MergedTag, base: str | None, problems: Problems) -> bool:
        """Name the node of one machine tag; False where that is impossible (then the problem is noted)."""
        spec = tag.spec
        try:
            node = node_of(spec.node or tag.name, base, self._nodes)
        except NodeError as error:
            tag.add(problems, "node" if spec.node else "base", Text(error.zh, error.en))
            return False
        group = group_of(self.groups, name)
        sampling_ns = self.groups[group].sampling_ns
        if sampling_ns is None:
            fast = tag.interval_ns <= FAST_S * NS_PER_S
            sampling_ns = self.sampling_ns if fast else max(self.sampling_ns, tag.interval_ns)
        try:
            parse_field(spec.field)
        except ValueError as error:
            tag.add(problems, "field", Text(f"看不懂：{error}", str(error)))
            return False
        wrong = next((key for key in _MODBUS_ONLY if key in tag.overridden and getattr(spec, key) is not None), None)
        if wrong is not None:
            what = Text(f"{wrong} 只用于 Modbus", f"{wrong} is for Modbus only")
            tag.add(problems, wrong, what, Text("OPC UA 的值自带类型", "values of OPC UA come with their type"))
            return False
        scale, add = (1.0 if spec.scale is None else spec.scale), spec.add or 0.0
        if spec.range is not None:
            (raw_low, raw_high), (low, high) = spec.range.raw, spec.range.value
            scale = (high - low) / (raw_high - raw_low)
            add = low - raw_low * scale
        text, codes = spec.type is DataType.STRING, tuple((spec.codes or {}).items())
        self.tags[name] = OpcuaTag(name, node, spec.index, spec.field, scale, add, sampling_ns, group, text, codes)
        return True

    def needs_base(self, tag: MergedTag) -> bool:
        """True where the tag's node is named relative to the machine's base."""
        return needs_base(tag.spec.node or tag.name, self._nodes)

    @property
    def _nodes(self) -> NodesModel | None:
        return self.placed.value.nodes or self.template.nodes

    def interval_ns(self, name: str) -> int:
        """How often a tag is confirmed: sampled by the server, published to us."""
        tag = self.tags[name]
        group = self.groups[tag.group].group
        return group.publishing_ns if group.mode is Mode.POLL else max(tag.sampling_ns, group.publishing_ns)

    def finish(self, index: int, problems: Problems) -> OpcuaDevice:
        """The nodes in image order."""
        model = self.placed.value
        check_patterns(self.placed, self.groups, list(self.tags), problems)
        return OpcuaDevice(index, model.id, model.template, self.endpoint, tuple(self.tags.values()))


Draft = ModbusDraft | OpcuaDraft


def join_wires(drafts: Iterable[Draft | None], problems: Problems) -> None:
    """Give Modbus devices on one wire one endpoint: see `endpoints.shared`."""
    modbus = [draft for draft in drafts if isinstance(draft, ModbusDraft)]
    joined = shared([(draft.placed, draft.endpoint) for draft in modbus], problems)
    for draft, endpoint in zip(modbus, joined, strict=True):
        draft.endpoint = endpoint


def draft(placed: Placed[DeviceModel], brand: Placed[PlcTemplate], problems: Problems) -> Draft | None:
    """A device ready to take tags; None where its address is wrong or missing (then the problem is noted)."""
    return _modbus(placed, brand, problems) if brand.value.protocol == "modbus" else _opcua(placed, brand, problems)


def _modbus(placed: Placed[DeviceModel], brand: Placed[PlcTemplate], problems: Problems) -> ModbusDraft | None:
    model, template = placed.value, brand.value
    for key in ("url", "nodes", "publishing_s", "sampling_s", "groups", "server"):
        if getattr(model, key):
            _misplaced(placed, key, "Modbus", "host", problems)
    areas = _maybe_areas(placed, brand, problems)
    if areas is None:
        return None
    addresses = AddressMap(areas, tuple(Refused(area.prefix, area.zh, area.en) for area in template.refused))
    limits = _limits(placed, template, addresses, problems)
    endpoint = endpoint_of(placed, template, problems)
    unit = template.unit if model.unit is None else model.unit
    orders = DeviceOrders(model.word_order or template.word_order, template.string_low_byte_first)
    return ModbusDraft(placed, endpoint, unit, limits, addresses, orders)


def _maybe_areas(
    placed: Placed[DeviceModel], brand: Placed[PlcTemplate], problems: Problems
) -> tuple[Area, ...] | None:
    """The brand's areas, those of a prefix the device re-maps replaced; None where one cannot be."""
    replaced = {area.prefix.upper() for area in placed.value.areas}
    origins: tuple[Placed[PlcTemplate] | Placed[DeviceModel], ...] = (brand, placed)
    areas: list[Area] = []
    broken = False
    for origin in origins:
        for index, area in enumerate(origin.value.areas):
            if origin is brand and area.prefix.upper() in replaced:
                continue
            try:
                areas.append(_area(area))
            except ValueError as error:
                what = Text(f"地址区不成立：{error}", f"no such area: {error}")
                origin.add(problems, ("areas", index), what)
                broken = True
    return None if broken else tuple(areas)


def _area(area: AreaModel) -> Area:
    first, last = (int(end, area.radix) for end in area.range.split("-"))
    table = _TABLES[area.table]
    return Area(
        prefix=area.prefix,
        table=table,
        first=first,
        last=last,
        base=area.base,
        radix=area.radix,
        registers=area.registers,
        bytewise=area.bytewise,
        low_byte_first=area.low_byte_first,
        halves=area.halves,
    )


def _borders(areas: tuple[Area, ...]) -> tuple[tuple[Table, int], ...]:
    """Both ends of every area, as protocol addresses."""
    borders: set[tuple[Table, int]] = set()
    for area in areas:
        numbers = area.last - area.first + 1
        width = numbers // 2 if area.bytewise else numbers * area.registers
        borders.update({(area.table, area.base), (area.table, area.base + width)})
    return tuple(sorted((table, at) for table, at in borders if 0 < at < 65_536))


MOST_PER_S = 1000.0  # what a site file may ask for


def _limits(placed: Placed[DeviceModel], template: PlcTemplate, addresses: AddressMap, problems: Problems) -> Limits:
    """The site's, else the brand's. A brand's requests per second are those of one at a time: each lane has as many."""
    own, default = placed.value.limits, template.limits
    forbidden: list[tuple[Table, int, int]] = []
    for index, text in enumerate(own.forbidden or ()):
        first, _, last = text.partition("-")
        try:
            low, high = addresses.resolve(first), addresses.resolve(last or first)
        except AddressError as error:
            placed.add(problems, ("limits", "forbidden", index), Text(error.zh, error.en))
            continue
        if low.table is not high.table or low.address > high.address:
            zh, en = (
                "先小后大，且在同一张表内，否则什么也没禁",
                "from the lower to the higher, of one table, or nothing is forbidden",
            )
            placed.add(problems, ("limits", "forbidden", index), Text(f"{text}：{zh}", f"{text}: {en}"))
            continue
        forbidden.append((low.table, low.address, high.address + high.registers - 1))
    pause_ms = default.pause_ms if own.pause_ms is None else own.pause_ms
    return Limits(
        max_registers=own.max_registers or default.max_registers,
        max_bits=own.max_bits or default.max_bits,
        max_gap=default.max_gap if own.max_gap is None else own.max_gap,
        borders=_borders(addresses.areas),
        forbidden=tuple(forbidden),
        pause_ns=_ns(pause_ms / 1000),
        requests_per_s=own.requests_per_s or min(default.requests_per_s * (placed.value.depth or 1), MOST_PER_S),
        occupancy=own.occupancy or 1.0,
        retries=own.retries or 0,
        turnaround_ns=_ns((own.turnaround_ms or default.turnaround_ms) / 1000),
    )


def _opcua(placed: Placed[DeviceModel], brand: Placed[PlcTemplate], problems: Problems) -> OpcuaDraft | None:
    model, template = placed.value, brand.value
    for key in ("host", "port", "transport", "framing", "tls", "serial", "depth", "unit", "word_order"):
        if getattr(model, key) is not None:
            _misplaced(placed, key, "OPC UA", "url", problems)
    if model.areas:
        _misplaced(placed, "areas", "OPC UA", "nodes", problems)
    if model.url is None:
        zh, en = "缺少 url，例如 opc.tcp://192.168.1.20:4840", "url is required, e.g. opc.tcp://192.168.1.20:4840"
        placed.add(problems, ("url",), Text(zh, en))
        return None
    url = urlsplit(model.url)
    if url.scheme != "opc.tcp" or not url.hostname:
        zh, en = "应为 opc.tcp://主机:端口", "opc.tcp://host:port is expected"
        placed.add(problems, ("url",), Text(zh, en))
    if "@" in url.netloc:
        zh = "网址里不要写用户名和密码，请写在 security 下"
        placed.add(problems, ("url",), Text(zh, "no user or password in the address: put them under security"))
    own, default = model.security, template.security
    policy = own.policy or default.policy or "auto"
    groups = groups_of(placed, template, problems)
    server = model.server or template.server
    user_certificate, user_key = user_files(placed, problems)
    endpoint = OpcuaEndpoint(
        url=model.url
        if url.port or not template.port
        else model.url.replace(url.netloc, f"{url.netloc}:{template.port}", 1),
        security=policy,
        mode="None" if policy == "None" else own.mode or default.mode or "SignAndEncrypt",
        user=own.user or default.user,
        password=own.password or default.password,
        publishing_ns=groups[0].group.publishing_ns,
        groups=tuple(chosen.group for chosen in groups) if model.groups else (),
        limits=ServerLimits(server.nodes_per_call, server.items, server.subscriptions),
        user_certificate=user_certificate,
        user_key=user_key,
        user_key_password=own.user_key_password,
        fingerprint=own.fingerprint or "",
        tolerate=frozenset(own.tolerate or default.tolerate or ()),
        deadline_ns=_ns(model.deadline_s or template.deadline_s),
        watchdog_ns=_ns(template.watchdog_s),
    )
    return OpcuaDraft(placed, template, endpoint, _ns(model.sampling_s or template.sampling_s), groups)


def _misplaced(placed: Placed[DeviceModel], key: str, protocol: str, instead: str, problems: Problems) -> None:
    what = Text(f"{protocol} 设备没有 {key}", f"a device that speaks {protocol} has no {key}")
    hint = Text(f"用 {instead}，或换一个 template", f"use {instead}, or choose another template")
    placed.add(problems, (key,), what, hint)


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)
