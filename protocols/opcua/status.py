"""What a StatusCode means for trust in a value. Pure; the codes are those of OPC 10000-4 §7.39 and OPC 10000-8 §6.3.3.

Theory. The top two bits are the severity: 00 good, 01 uncertain, 10 bad; the next fourteen say why; the low sixteen
are flags. Severity alone is not enough for counting: a server that lost its PLC may go on sending the last value
under an *uncertain* code, and a value forced by a person arrives as *good*. The table below holds the codes whose
meaning differs from their severity.
"""

from __future__ import annotations

from protocols.reading import Quality

_SUBCODE = 0xFFFF0000
_OVERFLOW = 0x0480  # InfoType DataValue (0x0400) with the Overflow bit (0x0080): the server's queue lost values

_EXCEPTIONS = {
    0x00960000: Quality.UNCERTAIN,  # Good_LocalOverride: a person forced this value; it is not the machine's
    0x408F0000: Quality.COMM_LOST,  # Uncertain_NoCommunicationLastUsableValue
    0x40900000: Quality.STALE,  # Uncertain_LastUsableValue: whatever wrote the value stopped doing so
    0x80050000: Quality.COMM_LOST,  # Bad_CommunicationError
    0x800A0000: Quality.COMM_LOST,  # Bad_Timeout
    0x800C0000: Quality.COMM_LOST,  # Bad_Shutdown
    0x800D0000: Quality.COMM_LOST,  # Bad_ServerNotConnected
    0x800E0000: Quality.COMM_LOST,  # Bad_ServerHalted
    0x80310000: Quality.COMM_LOST,  # Bad_NoCommunication
    0x80320000: Quality.COMM_LOST,  # Bad_WaitingForInitialData: the server has not heard its PLC yet
    0x808A0000: Quality.COMM_LOST,  # Bad_NotConnected
    0x80AE0000: Quality.COMM_LOST,  # Bad_ConnectionClosed
}

_SEVERITY = (Quality.GOOD, Quality.UNCERTAIN, Quality.BAD, Quality.BAD)  # 11 is reserved: bad


def quality(code: int) -> Quality:
    """Trust in a value that came with StatusCode `code`."""
    if code == 0:
        return Quality.GOOD
    return _EXCEPTIONS.get(code & _SUBCODE, _SEVERITY[code >> 30])


def carries_value(code: int) -> bool:
    """Whether the value beside `code` may replace the old one: never where the severity is bad (OPC 10000-4 §7.39)."""
    return code >> 30 < 2


def overflowed(code: int) -> bool:
    """The server dropped values of this item because its queue was full."""
    return code & _OVERFLOW == _OVERFLOW
