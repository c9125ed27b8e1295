"""OPC UA binary, the reading half: what a server's answer says (OPC 10000-6 §5.2). Pure: bytes in, values out.

Theory. Everything the agent counts arrives in two messages: the answer to Publish (OPC 10000-4 §5.14.5) and the
answer to Read (§5.11.2). Both carry DataValues. asyncua decodes them into one Python object per field and cuts time
stamps to microseconds; a publish of a thousand values then costs more than everything we do with it. Here a publish
becomes five parallel lists, and the common notification (a number, with or without status, with both time stamps) is
one precompiled `struct` call. A structure stays an `Extension`, the bytes with the id of their encoding: what they
mean is known per server, never per process, because two servers may use one id for different types (`structures.py`
gives them meaning).

Rules.
* Integers stay exact. DateTime becomes UTC nanoseconds (ticks of 100 ns since 1601); 0 and times outside int64 mean
  "none".
* Arrays become lists; a matrix is one too, flat, in the order it was sent (row by row), and knows its dimensions.
* Bytes that do not add up raise `WireError`; nothing is guessed and nothing is skipped silently.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

Value = Any  # bool, int, float, str, bytes, UUID, NodeKey, Extension, None, or a list of one of them
NodeKey = tuple[int, int | str | bytes | UUID]  # namespace index, identifier

_EPOCH_TICKS: Final = 116_444_736_000_000_000  # 1601-01-01 → 1970-01-01, 100 ns
_LATEST_TICKS: Final = _EPOCH_TICKS + (2**63 - 1) // 100
_DEPTH_MAX: Final = 16  # nested Variants and diagnostics of a hostile server

_DATA_CHANGE: Final = (0, 811)  # DataChangeNotification_Encoding_DefaultBinary
_HISTORY_DATA: Final = (0, 658)  # HistoryData_Encoding_DefaultBinary
_HISTORY_MODIFIED: Final = (0, 664)  # HistoryModifiedData_Encoding_DefaultBinary
_STATUS_CHANGE: Final = (0, 820)  # StatusChangeNotification_Encoding_DefaultBinary


class WireError(ValueError):
    """The bytes are not what the specification says they must be; the server's fault."""


@dataclass(frozen=True, slots=True)
class Extension:
    """A structure as sent: the node id of its encoding and its bytes."""

    type_id: NodeKey
    body: bytes


@dataclass(slots=True)
class DataValues:
    """DataValues side by side. Time stamps are UTC ns, 0 = none; a status that was not sent is 0, Good."""

    handles: list[int] = field(default_factory=list)  # ClientHandle of a notification; position of a Read answer
    values: list[Value] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    source_ns: list[int] = field(default_factory=list)
    server_ns: list[int] = field(default_factory=list)

    def extend(self, other: DataValues) -> None:
        """Add what another one holds."""
        self.handles += other.handles
        self.values += other.values
        self.statuses += other.statuses
        self.source_ns += other.source_ns
        self.server_ns += other.server_ns


@dataclass(slots=True)
class HistoryPage:
    """A part of one node's history."""

    status: int  # of the node's result: Good, Good_NoData, Bad_HistoryOperationUnsupported, …
    more: bytes  # continuation point; empty = this was the last page
    data: DataValues


@dataclass(slots=True)
class Publish:
    """One answer to Publish."""

    subscription: int
    sequence: int
    publish_ns: int  # when the server sent it, by its own clock; 0 = none
    more: bool  # MoreNotifications: the rest of this cycle follows in the next answer
    data: DataValues
    empty: bool = True  # a keep-alive: it consumes no sequence number
    status_change: int | None = None  # StatusCode of a StatusChangeNotification, e.g. Bad_Timeout: subscription gone


def utc_ns(ticks: int) -> int:
    """DateTime ticks → UTC ns; 0 where the time is null or outside int64."""
    return (ticks - _EPOCH_TICKS) * 100 if _EPOCH_TICKS < ticks <= _LATEST_TICKS else 0


_U16, _I32, _U32, _I64 = struct.Struct("<H"), struct.Struct("<i"), struct.Struct("<I"), struct.Struct("<q")


class Matrix(list[Any]):
    """An array of several dimensions, row by row."""

    __slots__ = ("dimensions",)

    def __init__(self, values: Sequence[Any], dimensions: tuple[int, ...]) -> None:
        super().__init__(values)
        self.dimensions = dimensions


class Reader:
    """A position in the bytes of one message. Every method reads one thing and moves on."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        end = self.at + size
        if size < 0 or end > len(self.data):
            raise WireError(f"{size} bytes wanted at {self.at}, the message has {len(self.data)}")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def fixed(self, packed: struct.Struct) -> Any:
        """One number of fixed size."""
        try:
            (value,) = packed.unpack_from(self.data, self.at)
        except struct.error as error:
            raise WireError(f"at byte {self.at}: {error}") from None
        self.at += packed.size
        return value

    def u8(self) -> int:
        """Byte."""
        return self.take(1)[0]

    def u32(self) -> int:
        """UInt32."""
        return int(self.fixed(_U32))

    def length(self) -> int:
        """Length of an array; −1 (null) counts as 0. An element takes a byte at least, so a lie is cheap."""
        count = int(self.fixed(_I32))
        if count > len(self.data) - self.at:
            raise WireError(f"an array of {count} elements in {len(self.data) - self.at} bytes")
        return max(count, 0)

    def byte_string(self) -> bytes | None:
        """ByteString; None where null."""
        count = int(self.fixed(_I32))
        return None if count < 0 else self.take(count)

    def string(self) -> str | None:
        """String; None where null. Broken UTF-8 is kept visible, never fatal."""
        raw = self.byte_string()
        return None if raw is None else raw.decode("utf-8", "replace")

    def time(self) -> int | None:
        """DateTime as UTC ns; None where null or out of range."""
        return utc_ns(int(self.fixed(_I64))) or None

    def guid(self) -> UUID:
        """Guid."""
        return UUID(bytes_le=self.take(16))

    def node_id(self) -> NodeKey:
        """NodeId or ExpandedNodeId (§5.2.2.9); the server index and URI of the latter are read over."""
        form = self.u8()
        key = self._node_key(form & 0x3F)
        if form & 0x80:
            self.string()
        if form & 0x40:
            self.u32()
        return key

    def _node_key(self, form: int) -> NodeKey:
        if form == 0:
            return 0, self.u8()
        if form == 1:
            namespace = self.u8()
            return namespace, int(self.fixed(_U16))
        if form > 5:
            raise WireError(f"node id of unknown form {form}")
        namespace = int(self.fixed(_U16))
        if form == 2:
            return namespace, self.u32()
        if form == 3:
            return namespace, self.string() or ""
        return namespace, self.guid() if form == 4 else self.byte_string() or b""

    def qualified_name(self) -> str | None:
        """The name; its namespace index is read over."""
        self.fixed(_U16)
        return self.string()

    def localized_text(self) -> str | None:
        """The text; its locale is read over."""
        mask = self.u8()
        if mask & 1:
            self.string()
        return self.string() if mask & 2 else None

    def extension(self) -> Extension | None:
        """ExtensionObject; None where it has no body."""
        type_id = self.node_id()
        if not self.u8():
            return None
        return Extension(type_id, self.byte_string() or b"")

    def diagnostic(self, depth: int = 0) -> None:
        """DiagnosticInfo, read over."""
        if depth > _DEPTH_MAX:
            raise WireError("diagnostics nested too deep")
        mask = self.u8()
        for bit in (0x01, 0x02, 0x04, 0x08):
            if mask & bit:
                self.u32()
        if mask & 0x10:
            self.string()
        if mask & 0x20:
            self.u32()
        if mask & 0x40:
            self.diagnostic(depth + 1)

    def variant(self, depth: int = 0) -> Value:
        """Variant: a scalar, a list, or None."""
        if depth > _DEPTH_MAX:
            raise WireError("Variants nested too deep")
        form = self.u8()
        kind = form & 0x3F
        if kind == 0:
            return None
        read = self._reader(kind, depth)
        if not form & 0x80:
            return read()
        values = [read() for _ in range(self.length())]
        return Matrix(values, tuple(self.u32() for _ in range(self.length()))) if form & 0x40 else values

    def _reader(self, kind: int, depth: int) -> Callable[[], Value]:
        packed = FIXED.get(kind)
        if packed is not None:
            return lambda: self.fixed(packed)
        if kind == 24:
            return lambda: self.variant(depth + 1)
        if kind == 23:
            return lambda: self.data_value(depth + 1)[0]
        name = _METHODS.get(
            kind, "byte_string" if 26 <= kind <= 31 else ""
        )  # §5.2.2.16: reserved kinds are ByteStrings
        if not name:
            raise WireError(f"value of unknown type {kind}")
        return getattr(self, name)  # type: ignore[no-any-return]

    def data_value(self, depth: int = 0) -> tuple[Value, int, int, int]:
        """DataValue: value, status, source time, server time."""
        mask = self.u8()
        value = self.variant(depth) if mask & 0x01 else None
        status = self.u32() if mask & 0x02 else 0
        source = utc_ns(self.fixed(_I64)) if mask & 0x04 else 0
        if mask & 0x10:
            self.fixed(_U16)
        server = utc_ns(self.fixed(_I64)) if mask & 0x08 else 0
        if mask & 0x20:
            self.fixed(_U16)
        return value, status, source, server

    def time_ahead(self) -> int:
        """The DateTime that comes next, UTC ns; it is not read over."""
        at = self.at
        ticks: int = _I64.unpack(self.take(8))[0]
        self.at = at
        return utc_ns(ticks)

    def response_header(self) -> int:
        """ResponseHeader (OPC 10000-4 §7.33): the ServiceResult; the rest is read over."""
        self.take(12)  # Timestamp, RequestHandle
        result = self.u32()
        self.diagnostic()
        for _ in range(self.length()):
            self.string()
        self.extension()
        return result


FIXED: Final = {
    kind: struct.Struct("<" + code)
    for kind, code in {
        1: "?",
        2: "b",
        3: "B",
        4: "h",
        5: "H",
        6: "i",
        7: "I",
        8: "q",
        9: "Q",
        10: "f",
        11: "d",
        19: "I",
    }.items()
}
"""Built-in types of fixed size, by their number (OPC 10000-6 §5.1.2)."""

_METHODS: Final = {
    12: "string",
    13: "time",
    14: "guid",
    15: "byte_string",
    16: "string",
    17: "node_id",
    18: "node_id",
    20: "qualified_name",
    21: "localized_text",
    22: "extension",
    25: "diagnostic",
}

# The notifications that make up nearly all traffic, each one `struct` call: ClientHandle, mask, type, value,
# [status,] source time, server time. Key: mask and type as two adjacent bytes of the message.
_GOOD: Final = {0x0D | kind << 8: struct.Struct(f"<IBB{packed.format[1:]}qq") for kind, packed in FIXED.items()}
_WITH_STATUS: Final = {0x0F | kind << 8: struct.Struct(f"<IBB{packed.format[1:]}Iqq") for kind, packed in FIXED.items()}


def publish(data: bytes, at: int = 0) -> Publish:
    """Decode what follows the ResponseHeader of a PublishResponse. Errors: WireError."""
    reader = Reader(data, at)
    subscription = reader.u32()
    reader.take(4 * reader.length())  # AvailableSequenceNumbers
    return _message(reader, subscription, more=bool(reader.u8()))


def republished(subscription: int, data: bytes, at: int = 0) -> Publish:
    """Decode what follows the ResponseHeader of a RepublishResponse. Errors: WireError."""
    return _message(Reader(data, at), subscription, more=True)  # what follows it is not known: it promises nothing


def _message(reader: Reader, subscription: int, *, more: bool) -> Publish:
    """A NotificationMessage (OPC 10000-4 §7.26)."""
    sequence = reader.u32()
    answer = Publish(subscription, sequence, utc_ns(reader.fixed(_I64)), more, DataValues())
    for _ in range(reader.length()):
        part = reader.extension()
        if part is None:
            continue
        answer.empty = False
        if part.type_id == _DATA_CHANGE:
            _notifications(part.body, answer.data)
        elif part.type_id == _STATUS_CHANGE:
            answer.status_change = Reader(part.body).u32()
    return answer


def _notifications(data: bytes, into: DataValues) -> None:
    """MonitoredItemNotifications of one DataChangeNotification (OPC 10000-4 §7.25.2)."""
    reader = Reader(data)
    handle_to, value_to, status_to = into.handles.append, into.values.append, into.statuses.append
    source_to, server_to = into.source_ns.append, into.server_ns.append
    count, at = reader.length(), reader.at
    try:
        for _ in range(count):
            key = data[at + 4] | data[at + 5] << 8
            if (packed := _WITH_STATUS.get(key)) is not None:
                handle, _, _, value, status, source, server = packed.unpack_from(data, at)
                at += packed.size
            elif (packed := _GOOD.get(key)) is not None:
                handle, _, _, value, source, server = packed.unpack_from(data, at)
                status = 0
                at += packed.size
            else:
                reader.at = at
                handle = reader.u32()
                value, status, source_ns, server_ns = reader.data_value()
                at = reader.at
                handle_to(handle), value_to(value), status_to(status), source_to(source_ns), server_to(server_ns)
                continue
            handle_to(handle)
            value_to(value)
            status_to(status)
            source_to((source - _EPOCH_TICKS) * 100 if _EPOCH_TICKS < source <= _LATEST_TICKS else 0)
            server_to((server - _EPOCH_TICKS) * 100 if _EPOCH_TICKS < server <= _LATEST_TICKS else 0)
    except (struct.error, IndexError) as error:
        raise WireError(f"notification {len(into.handles)} of {count} ends beyond the message: {error}") from None


def read_results(data: bytes, at: int = 0) -> DataValues:
    """Decode what follows the ResponseHeader of a ReadResponse; `handles` are positions. Errors: WireError."""
    return _data_values(Reader(data, at))


def _data_values(reader: Reader) -> DataValues:
    into = DataValues()
    for position in range(reader.length()):
        value, status, source, server = reader.data_value()
        into.handles.append(position)
        into.values.append(value)
        into.statuses.append(status)
        into.source_ns.append(source)
        into.server_ns.append(server)
    return into


def history_results(data: bytes, at: int = 0) -> list[HistoryPage]:
    """Decode what follows the ResponseHeader of a HistoryReadResponse, a page for each node. Errors: WireError."""
    reader = Reader(data, at)
    pages = []
    for _ in range(reader.length()):
        status, more, found = reader.u32(), reader.byte_string() or b"", reader.extension()
        known = found is not None and found.type_id in (_HISTORY_DATA, _HISTORY_MODIFIED)
        pages.append(HistoryPage(status, more, _data_values(Reader(found.body)) if found and known else DataValues()))
    return pages
