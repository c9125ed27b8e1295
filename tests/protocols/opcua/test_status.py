"""A StatusCode becomes the trust it deserves, and never more."""

from __future__ import annotations

import pytest
from asyncua.ua.status_codes import StatusCodes
from hypothesis import given
from hypothesis import strategies as st

from protocols.opcua.status import carries_value, overflowed, quality
from protocols.reading import Quality


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (StatusCodes.Good, Quality.GOOD),
        (StatusCodes.GoodClamped, Quality.GOOD),
        (StatusCodes.GoodLocalOverride, Quality.UNCERTAIN),
        (StatusCodes.Uncertain, Quality.UNCERTAIN),
        (StatusCodes.UncertainSensorNotAccurate, Quality.UNCERTAIN),
        (StatusCodes.UncertainLastUsableValue, Quality.STALE),
        (StatusCodes.UncertainNoCommunicationLastUsableValue, Quality.COMM_LOST),
        (StatusCodes.BadCommunicationError, Quality.COMM_LOST),
        (StatusCodes.BadTimeout, Quality.COMM_LOST),
        (StatusCodes.BadShutdown, Quality.COMM_LOST),
        (StatusCodes.BadServerNotConnected, Quality.COMM_LOST),
        (StatusCodes.BadServerHalted, Quality.COMM_LOST),
        (StatusCodes.BadNoCommunication, Quality.COMM_LOST),
        (StatusCodes.BadWaitingForInitialData, Quality.COMM_LOST),
        (StatusCodes.BadNotConnected, Quality.COMM_LOST),
        (StatusCodes.BadConnectionClosed, Quality.COMM_LOST),
        (StatusCodes.BadSensorFailure, Quality.BAD),
        (StatusCodes.BadDeviceFailure, Quality.BAD),
        (StatusCodes.BadOutOfService, Quality.BAD),
        (StatusCodes.BadNodeIdUnknown, Quality.BAD),
        (0xC0000000, Quality.BAD),
    ],
)
def test_known_codes(code: int, expected: Quality) -> None:
    """The codes of the standard, by the library's own list of numbers."""
    assert quality(code) is expected
    assert quality(code | 0x0480) is expected  # flags do not change trust


@given(st.integers(0, 2**32 - 1))
def test_severity_is_never_bettered(code: int) -> None:
    """No bad code becomes good or uncertain, and no uncertain one good."""
    trust = quality(code)
    assert (trust is Quality.GOOD) <= (code >> 30 == 0)
    assert (trust <= Quality.UNCERTAIN) <= carries_value(code)


def test_the_overflow_bit_counts_only_with_its_info_type() -> None:
    """Bit 7 means overflow only where the info type says the flags belong to a DataValue."""
    assert overflowed(0x0480)
    assert not overflowed(0x0080)
    assert not overflowed(0x0400)
