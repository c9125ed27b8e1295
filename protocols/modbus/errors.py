"""What a Modbus read can end in, other than data. Codes and names from spec V1.1b3 §7."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.errors import Fault, Phrase, ProtocolError


@dataclass(frozen=True, slots=True)
class ExceptionCode:
    """One exception code: its name in the specification and what it means on the floor."""

    name: str
    zh: str
    en: str


EXCEPTION_CODES = {
    1: ExceptionCode("ILLEGAL FUNCTION", "设备不支持此功能码", "the device does not know this function code"),
    2: ExceptionCode("ILLEGAL DATA ADDRESS", "设备没有此地址", "the device has no such address"),
    3: ExceptionCode("ILLEGAL DATA VALUE", "设备不接受此数量", "the device does not accept this quantity"),
    4: ExceptionCode("SERVER DEVICE FAILURE", "设备内部故障", "the device failed while reading"),
    5: ExceptionCode("ACKNOWLEDGE", "设备需要更长时间", "the device needs more time"),
    6: ExceptionCode("SERVER DEVICE BUSY", "设备忙", "the device is busy"),
    8: ExceptionCode("MEMORY PARITY ERROR", "设备存储器校验错误", "the device found its memory damaged"),
    10: ExceptionCode("GATEWAY PATH UNAVAILABLE", "网关没有通往该站号的通路", "the gateway has no path to this unit"),
    11: ExceptionCode(
        "GATEWAY TARGET DEVICE FAILED TO RESPOND",
        "网关后面的设备没有应答",
        "the unit behind the gateway does not answer",
    ),
}
_UNKNOWN = ExceptionCode("UNKNOWN", "规范之外的异常码", "an exception code outside the specification")

ILLEGAL_FUNCTION, ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE = 1, 2, 3
ACKNOWLEDGE, SERVER_DEVICE_BUSY = 5, 6
GATEWAY_PATH_UNAVAILABLE, GATEWAY_TARGET_FAILED = 10, 11


class ModbusError(ProtocolError):
    """Root of what a Modbus read can end in. `reason` is short and machine-readable."""

    reason = "error"


class ModbusExceptionReply(ModbusError):  # noqa: N818 - the word of the specification
    """The device answered and refused. The connection is fine."""

    def __init__(self, code: int, where: Phrase) -> None:
        known = EXCEPTION_CODES.get(code, _UNKNOWN)
        self.code = code
        self.name = known.name
        self.meaning = known.en
        self.reason = f"exception-{code}"
        fault = Fault.CONFIG if code in (ILLEGAL_FUNCTION, ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE) else Fault.DEVICE
        super().__init__(
            f"{where.zh}：异常 {code}（{known.name}）：{known.zh}",
            f"{where.en}: exception {code} ({known.name}): {known.en}",
            fault,
        )


class ModbusTimeout(ModbusError):  # noqa: N818 - says what it is
    """No complete reply within the deadline. The connection may be fine; a late reply is recognised and dropped."""

    reason = "timeout"

    def __init__(self, where: Phrase, deadline_s: float, other_unit: int | None = None) -> None:
        zh = "检查站号、framing（mbap、rtu、ascii）、设备负载与线路"
        en = "check the unit id, the framing (mbap, rtu, ascii), the load of the device and the line"
        if other_unit is not None:
            zh = f"却收到站号 {other_unit} 的应答：检查站点文件中的站号"
            en = f"but unit {other_unit} answered in its stead: check the unit id in the site file"
        fault = Fault.DEVICE if other_unit is None else Fault.CONFIG
        super().__init__(
            f"{where.zh}：{deadline_s:g} 秒内无应答；{zh}", f"{where.en}: no reply within {deadline_s:g} s; {en}", fault
        )


class ModbusConnectionError(ModbusError):
    """There is no connection. `reason` is a key of `CONNECTION_WORDS`."""

    def __init__(self, reason: str, zh: str, en: str, fault: Fault = Fault.NETWORK) -> None:
        self.reason = reason
        super().__init__(zh, en, fault)


class ModbusProtocolError(ModbusError):
    """What came back is no Modbus answer to the question: a broken device or line, or nobody who speaks Modbus.

    `reason`: garbage (no answer to the question), damaged (CRC or LRC wrong), collision (another master spoke).
    """

    def __init__(self, where: Phrase, zh: str, en: str, reason: str = "garbage", fault: Fault = Fault.DEVICE) -> None:
        self.reason = reason
        super().__init__(f"{where.zh}：{zh}", f"{where.en}: {en}", fault)


def damaged(where: Phrase) -> ModbusProtocolError:
    """An answer came, and its checksum was wrong."""
    return ModbusProtocolError(
        where,
        "应答的校验错误；检查终端电阻、屏蔽与接地、波特率与校验位",
        "the answer came damaged (checksum); check termination, shield and earth, baud rate and parity",
        "damaged",
        Fault.NETWORK,
    )


def collision(where: Phrase) -> ModbusProtocolError:
    """Another master asked the same unit while we waited: nobody can tell whose the next answer is."""
    return ModbusProtocolError(
        where,
        "等待应答时线路上有另一个主站在询问；一条线路只能有一个主站",
        "another master asked on this line while we waited; a line has one master",
        "collision",
        Fault.CONFIG,
    )


@dataclass(frozen=True, slots=True)
class Words:
    """What to tell people; `{0}` is a detail."""

    zh: str
    en: str
    fault: Fault


CONNECTION_WORDS = {
    "closed": Words(
        "连接被对方关闭；设备重启、断网，或其连接数已满",
        "closed by the device; it restarted, the network broke, or all its connections are taken",
        Fault.NETWORK,
    ),
    "hung-up": Words("本端已断开连接", "this side has hung up", Fault.CONFIG),
    "timeout": Words(
        "{0} 秒内连接不上；检查设备电源、网线、IP 地址",
        "no connection within {0} s; check power, cable and IP address of the device",
        Fault.NETWORK,
    ),
    "refused": Words(
        "拒绝连接；设备在线，但 Modbus 服务未启用、端口不对或连接数已满",
        "refused; the host is there, but its Modbus server is off, on another port, or full",
        Fault.DEVICE,
    ),
    "name": Words("主机名无法解析；请改用 IP 地址", "unknown host name; use the IP address", Fault.CONFIG),
    "unreachable": Words("网络不可达（{0}）", "network unreachable ({0})", Fault.NETWORK),
    "tls-expired": Words(
        "TLS：对方证书已过期；更换设备证书，并核对本网关的时钟",
        "TLS: the device's certificate has expired; renew it, and check this gateway's clock",
        Fault.DEVICE,
    ),
    "tls-not-yet-valid": Words(
        "TLS：对方证书尚未生效；核对本网关与签发机构的时钟",
        "TLS: the device's certificate is not valid yet; check the clocks of this gateway and of its issuer",
        Fault.CONFIG,
    ),
    "tls-name": Words(
        "TLS：对方证书不是发给这个地址的（{0}）；把 host 或 tls 的 server_name 写成证书中的名称",
        "TLS: the certificate is for another name ({0}); write a name of the certificate as host or tls server_name",
        Fault.CONFIG,
    ),
    "tls-unknown-ca": Words(
        "TLS：对方证书的签发机构不受信任（{0}）；把其 CA 证书写入 tls 的 ca",
        "TLS: nobody trusted here vouches for the certificate ({0}); give its CA as tls ca",
        Fault.CONFIG,
    ),
    "tls-client-certificate": Words(
        "TLS：对方要求客户端证书；在 tls 下配置 certificate 和 key",
        "TLS: the server demands a client certificate; set tls certificate and key",
        Fault.CONFIG,
    ),
    "tls-refused": Words(
        "TLS：对方不接受本网关的证书（{0}）；检查有效期，并让设备信任其签发机构",
        "TLS: the server does not accept our certificate ({0}); check its dates, and make the device trust its issuer",
        Fault.DEVICE,
    ),
    "tls-version": Words(
        "TLS：对方只支持 TLS 1.2 以下的版本（{0}），Modbus/TCP Security 不允许；升级设备固件",
        "TLS: the server offers nothing from TLS 1.2 on ({0}), as Modbus/TCP Security demands; update its firmware",
        Fault.DEVICE,
    ),
    "tls-plain": Words(
        "TLS：对方在此端口不使用 TLS（{0}）；Modbus/TCP Security 的端口通常是 802",
        "TLS: there is no TLS on this port ({0}); Modbus/TCP Security is usually on 802",
        Fault.CONFIG,
    ),
    "tls-closed": Words(
        "TLS：对方在握手中断开；此端口没有 TLS（通常是 802），或对方要求、不接受本网关的证书",
        "TLS: the server hung up during the handshake; there is no TLS on this port (usually 802), or it misses or "
        "does not accept our certificate",
        Fault.CONFIG,
    ),
    "tls-mute": Words(
        "TLS：已连上，但 {0} 秒内握手没有回音；此端口多半没有 TLS（通常是 802）；设备握手慢则加大 deadline_s",
        "TLS: connected, but the handshake was not answered within {0} s; there is probably no TLS on this port "
        "(usually 802); raise deadline_s for a device that is slow at it",
        Fault.CONFIG,
    ),
    "tls-files": Words("TLS：证书文件无法使用：{0}", "TLS: the certificate files cannot be used: {0}", Fault.CONFIG),
    "tls": Words("TLS 握手失败（{0}）", "TLS: the handshake failed ({0})", Fault.DEVICE),
    "port-missing": Words(
        "没有这个串口；检查转换器是否插好、路径是否正确（可用 /dev/serial/by-id/…）",
        "no such port; is the adapter plugged in, is the path right (better /dev/serial/by-id/…)?",
        Fault.CONFIG,
    ),
    "port-denied": Words(
        "无权使用串口；把运行账户加入 dialout 组",
        "no permission to use the port; add the account of this service to the group dialout",
        Fault.CONFIG,
    ),
    "port-busy": Words(
        "串口被另一个程序占用；一条线路只能有一个主站",
        "another program holds the port; a line has one master",
        Fault.CONFIG,
    ),
    "port-settings": Words(
        "串口不接受这些参数（{0}）；检查波特率、数据位、校验位与 rs485",
        "the port does not take these settings ({0}); check baud rate, data bits, parity and rs485",
        Fault.CONFIG,
    ),
    "port-lost": Words(
        "串口消失或出错（{0}）；检查 USB 转换器和供电",
        "the port is gone or failed ({0}); check the USB adapter and its supply",
        Fault.NETWORK,
    ),
    "stuck": Words(
        "串口发不出数据；拔插转换器，检查驱动与接线",
        "the port does not send what it was given; re-plug the adapter, check driver and wiring",
        Fault.NETWORK,
    ),
    "silent": Words(
        "对方不再响应（{0}）；断电、断网，或防火墙切断了连接",
        "the other side no longer reacts ({0}); power, cable, or a firewall that cut the connection",
        Fault.NETWORK,
    ),
}


def connection_error(peer: str, reason: str, detail: str | Phrase = "") -> ModbusConnectionError:
    """The error of a reason in `CONNECTION_WORDS`."""
    words = CONNECTION_WORDS[reason]
    both = Phrase(detail, detail) if isinstance(detail, str) else detail
    zh, en = words.zh.format(both.zh), words.en.format(both.en)
    return ModbusConnectionError(reason, f"{peer}：{zh}", f"{peer}: {en}", words.fault)
