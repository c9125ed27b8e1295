"""The decoder reads what another implementation writes, exactly, and survives what nobody should write."""

from __future__ import annotations

import contextlib
import math
import struct
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary, variant_to_binary
from hypothesis import given
from hypothesis import strategies as st

from protocols.opcua.wire import Extension, Reader, WireError, publish, read_results, utc_ns

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - made aware by the strategy


def ns(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def single(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


KINDS: dict[ua.VariantType, st.SearchStrategy[Any]] = {
    ua.VariantType.Boolean: st.booleans(),
    ua.VariantType.SByte: st.integers(-(2**7), 2**7 - 1),
    ua.VariantType.Byte: st.integers(0, 2**8 - 1),
    ua.VariantType.Int16: st.integers(-(2**15), 2**15 - 1),
    ua.VariantType.UInt16: st.integers(0, 2**16 - 1),
    ua.VariantType.Int32: st.integers(-(2**31), 2**31 - 1),
    ua.VariantType.UInt32: st.integers(0, 2**32 - 1),
    ua.VariantType.Int64: st.integers(-(2**63), 2**63 - 1),
    ua.VariantType.UInt64: st.integers(0, 2**64 - 1),
    ua.VariantType.Float: st.floats(width=32, allow_nan=False),
    ua.VariantType.Double: st.floats(allow_nan=False),
    ua.VariantType.String: st.text(),
    ua.VariantType.ByteString: st.binary(),
    ua.VariantType.Guid: st.uuids(),
    ua.VariantType.DateTime: TIMES,
}


@st.composite
def variants(draw: st.DrawFn) -> ua.Variant:
    kind = draw(st.sampled_from(sorted(KINDS, key=lambda one: one.value)))
    if draw(st.booleans()):
        return ua.Variant(draw(st.lists(KINDS[kind], max_size=4)), kind, is_array=True)
    return ua.Variant(draw(KINDS[kind]), kind)


def plain(value: Any) -> Any:
    """What our decoder makes of a value asyncua holds."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    return ns(value) if isinstance(value, datetime) else value


@given(variants())
def test_variants_of_another_implementation(variant: ua.Variant) -> None:
    """Every type and arrays of it come through unchanged; times as nanoseconds."""
    reader = Reader(variant_to_binary(variant))
    assert reader.variant() == plain(variant.Value)
    assert reader.at == len(reader.data)


@given(
    st.lists(
        st.tuples(st.integers(0, 2**32 - 1), variants(), st.sampled_from([0, 0x40000000, 0x80000000]), TIMES),
        max_size=5,
    ),
    st.booleans(),
)
def test_a_publish_of_another_implementation(items: list[Any], more: bool) -> None:
    """Fast notifications and odd ones, in any mix, keep order, value, status and times."""
    result = ua.PublishResult(SubscriptionId=7, AvailableSequenceNumbers=[1, 2], MoreNotifications=more)
    result.NotificationMessage.SequenceNumber = 42
    result.NotificationMessage.PublishTime = datetime(2026, 3, 1, tzinfo=UTC)
    notification = ua.DataChangeNotification()
    for handle, variant, status, moment in items:
        value = ua.DataValue(variant, ua.StatusCode(status), SourceTimestamp=moment, ServerTimestamp=moment)
        notification.MonitoredItems.append(ua.MonitoredItemNotification(handle, value))
    result.NotificationMessage.NotificationData = [notification]
    answer = publish(struct_to_binary(result))
    assert (answer.subscription, answer.sequence, answer.more, answer.empty) == (7, 42, more, False)
    assert answer.publish_ns == ns(datetime(2026, 3, 1, tzinfo=UTC))
    assert answer.data.handles == [handle for handle, *_ in items]
    assert answer.data.values == [plain(variant.Value) for _, variant, *_ in items]
    assert answer.data.statuses == [status for *_, status, _ in items]
    assert answer.data.source_ns == answer.data.server_ns == [ns(moment) for *_, moment in items]


@pytest.mark.parametrize("mask", range(64))
def test_every_combination_of_optional_parts(mask: int) -> None:
    """Value, status, both times and both picoseconds may each be missing; what follows is still found."""
    parts = [
        (0x01, b"\x07" + struct.pack("<I", 99)),
        (0x02, struct.pack("<I", 0x40000000)),
        (0x04, struct.pack("<q", 116_444_736_000_000_000 + 10)),
        (0x10, b"\x01\x00"),
        (0x08, struct.pack("<q", 116_444_736_000_000_000 + 20)),
        (0x20, b"\x02\x00"),
    ]
    value = bytes([mask]) + b"".join(content for bit, content in parts if mask & bit)
    body = struct.pack("<i", 2) + (struct.pack("<I", 5) + value) * 2 + struct.pack("<i", -1)
    head = struct.pack("<IiBIqi", 1, 0, 0, 1, 0, 1)
    data = publish(head + b"\x01\x00" + struct.pack("<H", 811) + b"\x01" + struct.pack("<i", len(body)) + body).data
    assert data.handles == [5, 5]
    assert data.values == [99 if mask & 0x01 else None] * 2
    assert data.statuses == [0x40000000 if mask & 0x02 else 0] * 2
    assert data.source_ns == [1000 if mask & 0x04 else 0] * 2
    assert data.server_ns == [2000 if mask & 0x08 else 0] * 2


def test_keep_alive_and_status_change() -> None:
    """A publish without data is a keep-alive; a status change says why the subscription ended."""
    result = ua.PublishResult(SubscriptionId=3)
    result.NotificationMessage.SequenceNumber = 9
    assert publish(struct_to_binary(result)).empty
    gone = ua.StatusChangeNotification(Status=ua.StatusCode(0x800A0000))
    result.NotificationMessage.NotificationData = [gone]
    answer = publish(struct_to_binary(result))
    assert (answer.status_change, answer.empty) == (0x800A0000, False)


def test_read_results_and_not_a_number() -> None:
    """A Read answer keeps the order of the request; NaN stays NaN."""
    values = [
        ua.DataValue(ua.Variant(math.nan, ua.VariantType.Double)),
        ua.DataValue(None, ua.StatusCode(0x80340000)),
    ]
    body = struct.pack("<i", 2) + b"".join(struct_to_binary(value) for value in values)
    data = read_results(body)
    assert math.isnan(data.values[0])
    assert data.values[1] is None
    assert data.statuses == [0, 0x80340000]
    assert data.handles == [0, 1]


def test_a_structure_stays_bytes_with_its_encoding() -> None:
    """No registry of the process decides what a server's bytes mean."""
    variant = ua.Variant(ua.EUInformation(UnitId=5))
    value = Reader(variant_to_binary(variant)).variant()
    assert isinstance(value, Extension)
    assert value.type_id == (0, 889)


@pytest.mark.parametrize("ticks", [0, -1, 2**63 - 1, -(2**63)])
def test_times_outside_int64_are_none(ticks: int) -> None:
    """A null or absurd time stamp is no time; it never wraps around."""
    assert utc_ns(ticks) == 0


def test_guids_keep_their_byte_order() -> None:
    """The worked example of OPC 10000-6 §5.2.2.6."""
    wire = bytes.fromhex("912b9672 75fa e64a 8d28b404dc7daf63".replace(" ", ""))
    assert Reader(wire).guid() == uuid.UUID("72962b91-fa75-4ae6-8d28-b404dc7daf63")


@given(st.binary(max_size=200))
def test_random_bytes_raise_wire_errors_only(data: bytes) -> None:
    """A hostile or broken server costs its own message, never the task."""
    for decode in (publish, read_results):
        with contextlib.suppress(WireError):
            decode(data)


@given(st.data())
def test_a_damaged_publish_raises_wire_errors_only(data: st.DataObject) -> None:
    """Cut or flipped anywhere, a real message is read or refused, and never read beyond its end."""
    notification = ua.DataChangeNotification()
    for handle in range(4):
        value = ua.DataValue(ua.Variant(handle * 1.5), SourceTimestamp=EPOCH, ServerTimestamp=EPOCH)
        notification.MonitoredItems.append(ua.MonitoredItemNotification(handle, value))
    result = ua.PublishResult(SubscriptionId=1)
    result.NotificationMessage.NotificationData = [notification]
    raw = bytearray(struct_to_binary(result))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        publish(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
