"""Connections in the listing of `seamline check`: how each is made, who is on it, how busy the plan keeps it."""

from __future__ import annotations

from edge.config.columns import columns
from edge.config.words import NS_PER_S, lasting, say
from edge.plan import ModbusDevice, SitePlan
from protocols.modbus.bus import bus_of
from protocols.modbus.plan import bus_time_ns
from protocols.modbus.tags import Endpoint, Framing, SerialEndpoint, UdpEndpoint


def transport(endpoint: Endpoint) -> str:
    """In the words of manuals: TCP, RTU over TCP, serial ASCII, …"""
    if isinstance(endpoint, SerialEndpoint):
        return say("串行 ", "serial ") + endpoint.framing.upper()
    if isinstance(endpoint, UdpEndpoint):
        return "UDP"
    wire = "TCP" if endpoint.tls is None else "TLS"
    return wire if endpoint.framing is Framing.MBAP else f"{endpoint.framing.upper()} over {wire}"


def _wire(endpoint: Endpoint) -> str:
    if isinstance(endpoint, SerialEndpoint):
        return say("串行", "serial")
    return "UDP" if isinstance(endpoint, UdpEndpoint) else "TCP" if endpoint.tls is None else "TLS"


def line_settings(endpoint: Endpoint) -> list[str]:
    """Parameters of a serial line or the files of TLS, where there are any."""
    if isinstance(endpoint, SerialEndpoint):
        format_ = f"{endpoint.baud} {endpoint.data_bits}{endpoint.parity}{endpoint.stop_bits}"
        return [say(f"  线路：{format_}", f"  line: {format_}") + ("  RS-485 (RTS)" if endpoint.rs485 else "")]
    if isinstance(endpoint, UdpEndpoint) or endpoint.tls is None:
        return []
    files = endpoint.tls
    ca = files.ca or say("系统证书库", "the system's")
    own = files.certificate or say("无", "none")
    return [say(f"  TLS：CA {ca}，本机证书 {own}", f"  TLS: CA {ca}, own certificate {own}")]


def connection_lines(plan: SitePlan) -> list[str]:
    """One row a connection; empty without Modbus devices."""
    groups: dict[Endpoint, list[ModbusDevice]] = {}
    for device in plan.devices:
        if isinstance(device, ModbusDevice):
            groups.setdefault(device.endpoint, []).append(device)
    if not groups:
        return []
    head = say(
        "Modbus 连接（方式、帧、地址、设备、并发、每秒请求及其上限、每轮总线时间、总线占用及其上限）：",
        "Modbus connections (transport, framing, address, devices, depth, requests per second and their limit, bus "
        "time of a round, load of the bus and its limit):",
    )
    return [head, *columns(_row(endpoint, devices) for endpoint, devices in groups.items())]


def _row(endpoint: Endpoint, devices: list[ModbusDevice]) -> list[str]:
    depth = max(device.depth for device in devices)
    rate = busy = cycle_ns = 0.0
    for device in devices:
        bus = bus_of(endpoint, device.limits.turnaround_ns)
        for request in device.requests:
            time_ns = bus_time_ns(request, bus)
            cycle_ns += time_ns
            rate += NS_PER_S / request.interval_ns
            busy += time_ns / request.interval_ns
    load = busy / depth
    budget = sum(device.limits.requests_per_s for device in devices)
    share = min(1.0, sum(device.limits.occupancy for device in devices))
    row = [
        _wire(endpoint),
        endpoint.framing.upper(),
        endpoint.peer,
        "+".join(device.id for device in devices),
        f"{depth}",
        f"{rate:.2f}/s ≤ {budget:g}/s",
        say(f"每轮 ≈{lasting(round(cycle_ns))}", f"≈{lasting(round(cycle_ns))} a round"),
        f"{load:.1%}" + (f" ≤ {share:.0%}" if share < 1 else ""),
    ]
    if load > share or rate > budget:
        row.append(say("← 放不下：加大 interval_s 或减少点", "<- does not fit: raise interval_s or switch tags off"))
    return row
