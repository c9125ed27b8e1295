"""Root of what can go wrong between a device and this gateway. Each error speaks both languages and says whose fault.

Tree:

    ProtocolError
      modbus.errors.ModbusError
        ModbusExceptionReply     the device answered and refused
        ModbusTimeout            the device did not answer in time
        ModbusConnectionError    there is no connection, or it was lost
        ModbusProtocolError      what came back is not a Modbus answer to the question
    ValueError
      modbus.address.AddressError   a mistake in a configuration, never the device's
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Phrase:
    """A part of an error, in both languages: where it happened, what exactly."""

    zh: str
    en: str


class Fault(StrEnum):
    """Whose fault an error is; decides what a person does next."""

    DEVICE = "device"  # the PLC or server
    NETWORK = "network"  # cable, switch, address, firewall, power of the PLC
    CONFIG = "config"  # the site file or a template


class ProtocolError(Exception):
    """What happened, where, whose fault, what to do; `str` is English, `zh` the same in Chinese."""

    def __init__(self, zh: str, en: str, fault: Fault) -> None:
        self.zh = zh
        self.en = en
        self.fault = fault
        super().__init__(en)
