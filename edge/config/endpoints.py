"""How a Modbus device is reached: TCP, TLS, UDP, RTU or ASCII frames over TCP, a serial line.

    host: 192.168.1.20                              Modbus TCP
    host: 192.168.1.20, framing: rtu                a gateway that passes serial frames through
    host: 192.168.1.20, tls: {ca: plant-ca.pem}     Modbus/TCP Security, port 802
    host: 192.168.1.20, transport: udp
    serial: {path: /dev/ttyUSB0, baud: 9600, parity: N}

Rules.
* Devices that are reached the same way share one connection: units behind a gateway, or on a line. Where their
  deadlines differ, the longest holds for all of them.
* A serial port has one set of parameters; two devices that name others are a mistake.
* Certificates are looked for beside the site file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from edge.config.models import DeviceModel, PlcTemplate, SerialModel, TlsModel
from edge.config.problems import Problems
from edge.config.validate import Placed
from edge.errors import Text
from protocols.modbus.tags import Endpoint, Framing, Parity, SerialEndpoint, TcpEndpoint, TlsFiles, UdpEndpoint

_PORT, _TLS_PORT = 502, 802
_NS_PER_S = 1_000_000_000


def endpoint_of(placed: Placed[DeviceModel], template: PlcTemplate, problems: Problems) -> Endpoint:
    """Where `placed` is reached. What does not fit together is noted, and something stands in for it."""
    model = placed.value
    deadline_ns = round((model.deadline_s or template.deadline_s) * _NS_PER_S)
    pause_ms = model.limits.connect_pause_ms
    pause_ns = round((template.connect_pause_ms if pause_ms is None else pause_ms) / 1000 * _NS_PER_S)
    if model.serial is not None:
        for key in ("host", "port", "transport", "tls", "depth"):
            if getattr(model, key) is not None:
                _note(placed, key, _no_serial(key), problems)
        unit = template.unit if model.unit is None else model.unit
        return _serial(placed, model.serial, unit, deadline_ns, pause_ns, problems)
    if model.host is None:
        zh, en = "缺少 host（PLC 的 IP 地址或主机名）或 serial（串口）", "host (the PLC's IP address or name) or serial"
        _note(placed, "host", Text(zh, f"{en} is required"), problems)
    host, port = model.host or "", model.port or template.port or _PORT
    if model.transport == "udp":
        if model.tls is not None:
            _note(placed, "tls", Text("TLS 只能用于 TCP", "TLS goes with TCP only"), problems)
        if model.framing not in (None, Framing.MBAP):
            zh = "UDP 只用 mbap 帧：报文会丢失和重复，没有事务号无法分辨"
            en = "UDP takes mbap frames only: datagrams are lost and doubled, and only transaction ids tell"
            _note(placed, "framing", Text(zh, en), problems)
        return UdpEndpoint(host, port, deadline_ns=deadline_ns, connect_pause_ns=pause_ns)
    framing = model.framing or Framing.MBAP
    if model.depth is not None and model.depth > 1 and framing is not Framing.MBAP:
        zh = f"{framing} 帧没有事务号，一次只能有一个请求在途"
        en = f"{framing} frames carry no transaction id: one request at a time"
        _note(placed, "depth", Text(zh, en), problems)
    tls = None if model.tls is None else _tls(placed, model.tls, problems)
    if tls is not None and model.port is None:
        port = _TLS_PORT
    return TcpEndpoint(host, port, framing, tls, deadline_ns=deadline_ns, connect_pause_ns=pause_ns)


def shared(endpoints: Iterable[tuple[Placed[DeviceModel], Endpoint]], problems: Problems) -> list[Endpoint]:
    """The endpoints, equal where they are one wire: each wire has the longest deadline of those on it."""
    given = list(endpoints)
    deadlines: dict[Endpoint, tuple[int, int]] = {}
    lines: dict[str, Endpoint] = {}
    for placed, endpoint in given:
        wire = _wire(endpoint)
        deadline_ns, pause_ns = deadlines.get(wire, (0, 0))
        deadlines[wire] = max(deadline_ns, endpoint.deadline_ns), max(pause_ns, endpoint.connect_pause_ns)
        if isinstance(endpoint, SerialEndpoint) and lines.setdefault(endpoint.path, wire) != wire:
            text = Text(
                f"{endpoint.path} 已由另一台设备以不同参数使用；同一条线路上波特率、校验位等必须一致",
                f"another device has {endpoint.path} with other parameters; all units of a line have the same",
            )
            _note(placed, "serial", text, problems)
    return [
        replace(endpoint, deadline_ns=deadlines[_wire(endpoint)][0], connect_pause_ns=deadlines[_wire(endpoint)][1])
        for _, endpoint in given
    ]


def _wire(endpoint: Endpoint) -> Endpoint:
    return replace(endpoint, deadline_ns=0, connect_pause_ns=0)


def _serial(
    placed: Placed[DeviceModel], line: SerialModel, unit: int, deadline_ns: int, pause_ns: int, problems: Problems
) -> SerialEndpoint:
    framing = placed.value.framing or Framing.RTU
    if unit == 0:
        zh = "站号 0 是广播，串行线路上没有站应答（1…247）"
        en = "unit 0 is broadcast: nobody answers to it on a serial line (1 … 247)"
        _note(placed, "unit", Text(zh, en), problems)
    if framing is Framing.MBAP:
        zh, en = "串口上是 rtu 或 ascii 帧", "frames on a serial line are rtu or ascii"
        _note(placed, "framing", Text(zh, en), problems)
    if line.data_bits == 7 and framing is not Framing.ASCII:
        zh, en = "RTU 帧需要 8 个数据位；7 位只用于 ascii", "RTU frames need 8 data bits; 7 are for ascii"
        placed.add(problems, ("serial", "data_bits"), Text(zh, en))
    return SerialEndpoint(
        line.path,
        line.baud,
        Parity(line.parity),
        line.stop_bits,
        line.data_bits,
        framing,
        silence_ns=round(line.silence_ms * 1_000_000),
        rs485=line.rs485,
        deadline_ns=deadline_ns,
        connect_pause_ns=pause_ns,
    )


def _tls(placed: Placed[DeviceModel], model: TlsModel, problems: Problems) -> TlsFiles:
    folder = Path(placed.document.file).parent
    paths: dict[str, str | None] = {}
    for key in ("ca", "certificate", "key"):
        said = getattr(model, key)
        paths[key] = None if said is None else str(folder / said)
        if said is not None and not (folder / said).is_file():
            text = Text(f"没有文件 {folder / said}", f"there is no file {folder / said}")
            placed.add(problems, ("tls", key), text)
    if model.key is not None and model.certificate is None:
        zh, en = "有 key 而没有 certificate：两者成对", "a key without its certificate: both or neither"
        placed.add(problems, ("tls", "certificate"), Text(zh, en))
    if model.key_password is not None and model.certificate is None:
        zh, en = "key_password 只用于 certificate 的私钥", "key_password opens the key of a certificate: give that"
        placed.add(problems, ("tls", "key_password"), Text(zh, en))
    return TlsFiles(paths["ca"], paths["certificate"], paths["key"], model.key_password, model.server_name)


def _no_serial(key: str) -> Text:
    if key == "depth":
        return Text("串行线路一次只能有一个请求", "a serial line carries one request at a time")
    return Text(f"串口设备没有 {key}", f"a device on a serial line has no {key}")


def _note(placed: Placed[DeviceModel], key: str, what: Text, problems: Problems) -> None:
    placed.add(problems, (key,), what)
