"""What a Modbus read can end in, other than data. Codes and names from spec V1.1b3 §7."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.errors import Fault, ProtocolError


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
GATEWAY_PATH_UNAVAILABLE, GATEWAY_TARGET_FAILED = 10, 11


class ModbusError(ProtocolError):
    """Root of what a Modbus read can end in. `reason` is short and machine-readable."""

    reason = "error"


class ModbusExceptionReply(ModbusError):  # noqa: N818 - the word of the specification
    """The device answered and refused. The connection is fine."""

    def __init__(self, code: int, where: str) -> None:
        known = EXCEPTION_CODES.get(code, _UNKNOWN)
        self.code = code
        self.name = known.name
        self.meaning = known.en
        self.reason = f"exception-{code}"
        fault = Fault.CONFIG if code in (ILLEGAL_FUNCTION, ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE) else Fault.DEVICE
        super().__init__(
            f"{where}：异常 {code}（{known.name}）：{known.zh}",
            f"{where}: exception {code} ({known.name}): {known.en}",
            fault,
        )


class ModbusTimeout(ModbusError):  # noqa: N818 - says what it is
    """No complete reply within the deadline. The connection may be fine; a late reply is recognised and dropped."""

    reason = "timeout"

    def __init__(self, where: str, deadline_s: float) -> None:
        super().__init__(
            f"{where}：{deadline_s:g} 秒内无应答；检查站号、设备负载与线路",
            f"{where}: no reply within {deadline_s:g} s; check the unit id, the load of the device and the line",
            Fault.DEVICE,
        )


class ModbusConnectionError(ModbusError):
    """There is no connection. `reason`: refused, timeout, unreachable, name, closed."""

    def __init__(self, reason: str, zh: str, en: str, fault: Fault = Fault.NETWORK) -> None:
        self.reason = reason
        super().__init__(zh, en, fault)


class ModbusProtocolError(ModbusError):
    """What came back is no Modbus answer to the question: a broken device, or none that speaks Modbus."""

    reason = "garbage"

    def __init__(self, where: str, zh: str, en: str) -> None:
        super().__init__(f"{where}：{zh}", f"{where}: {en}", Fault.DEVICE)
