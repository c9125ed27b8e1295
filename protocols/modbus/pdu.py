"""The protocol data unit: function code and data, without unit, transaction or checksum. Pure: bytes and values.

Source: MODBUS Application Protocol Specification V1.1b3, §6.1 to §6.4 (reads), §6.21 (read device identification), §7
(exception replies).

Theory. A client of ours says two things only: read a table (function codes 1 to 4) and say who you are (43/14). A
`Query` is one of these, checked when it is made; the framings wrap a `Query` and nothing else. So there is no way from
any public entry of this package to bytes that write.

On a serial line one also hears what others say, and an RTU frame does not tell its length. `request_size` and
`reply_size` therefore know the shape of every public function code, for listening.

Rules.
* Only `Query.__init__` decides what may be asked.
* A reply is the answer to its query or a `ReplyError`; nothing is read out of a reply of the wrong size.
"""

from __future__ import annotations

from struct import Struct

from protocols.modbus.tags import Table

MAX_PDU = 253  # §4.1: 256 bytes of a serial frame less unit and CRC
MAX_REGISTERS = 125  # §6.3, §6.4
MAX_BITS = 2000  # §6.1, §6.2
EXCEPTION_BIT = 0x80
ENCAPSULATED, IDENTIFICATION = 0x2B, 0x0E  # function code 43, MEI type 14

_READ = Struct(">BHH")
_IDENTIFY = Struct(">BBBB")
_READS = {int(table): table for table in Table}


class ReplyError(ValueError):
    """A reply that does not fit its query: the device's mistake. Both languages."""

    def __init__(self, zh: str, en: str) -> None:
        self.zh = zh
        self.en = en
        super().__init__(en)


class Refusal(Exception):  # noqa: N818 - an exception reply, in a word that Python has not taken
    """The exception reply to a query: its code (§7)."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exception {code}")


class Query:
    """One request PDU of the kinds that may be sent: reads of a table, and device identification."""

    __slots__ = ("address", "function", "pdu", "quantity", "reply_bytes")

    def __init__(self, pdu: bytes) -> None:
        """Raises ValueError for everything but a permitted request with legal quantities."""
        self.pdu = pdu
        self.function = function = pdu[0] if pdu else 0
        self.reply_bytes: int | None = None  # data bytes of the reply; None where only the reply knows
        self.address = self.quantity = 0
        if function in _READS and len(pdu) == _READ.size:
            _, self.address, self.quantity = _READ.unpack(pdu)
            is_bits = _READS[function].is_bits
            if not 1 <= self.quantity <= (MAX_BITS if is_bits else MAX_REGISTERS):
                raise ValueError(f"a quantity of {self.quantity} is beyond one request")
            if self.address + self.quantity > 0x10000:
                raise ValueError(f"address {self.address} + {self.quantity} is beyond 65535")
            self.reply_bytes = (self.quantity + 7) // 8 if is_bits else 2 * self.quantity
        elif len(pdu) != _IDENTIFY.size or pdu[:2] != bytes((ENCAPSULATED, IDENTIFICATION)) or not 1 <= pdu[2] <= 4:
            raise ValueError(f"function code {function} is no read; this client never writes")

    @property
    def table(self) -> Table | None:
        """The table that is read; None for identification."""
        return _READS.get(self.function)

    def __repr__(self) -> str:
        """The bytes, as a manual prints them."""
        return f"Query({self.pdu.hex(' ')})"

    def answered_by(self, pdu: bytes) -> bool:
        """True where `pdu` has the shape of this query's answer: data of the right length, or an exception reply."""
        if not pdu:
            return False
        if pdu[0] == self.function | EXCEPTION_BIT:
            return len(pdu) == 2
        if pdu[0] != self.function:
            return False
        if self.reply_bytes is None:
            return len(pdu) > 2 and pdu[1] == IDENTIFICATION and reply_size(pdu) == len(pdu)
        return len(pdu) == 2 + self.reply_bytes and pdu[1] == self.reply_bytes


def read(table: Table, address: int, quantity: int) -> Query:
    """A request for `quantity` registers or bits (§6.1 to §6.4). Raises ValueError beyond the protocol's limits."""
    if table not in _READS or not (0 <= address <= 0xFFFF and 0 <= quantity <= 0xFFFF):
        raise ValueError(f"table {table}, address {address}, quantity {quantity}: no request can say this")
    return Query(_READ.pack(table, address, quantity))


def identify(access: int, object_id: int = 0) -> Query:
    """A request for device identification: access code 1 to 4, from `object_id` on (§6.21)."""
    if not (0 <= access <= 0xFF and 0 <= object_id <= 0xFF):
        raise ValueError(f"access code {access}, object {object_id}: one byte each")
    return Query(_IDENTIFY.pack(ENCAPSULATED, IDENTIFICATION, access, object_id))


def payload(query: Query, pdu: bytes) -> bytes:
    """The data bytes of a reply.

    Raises Refusal for an exception reply, ReplyError for what is no reply to this query. The payload of an
    identification is everything behind the MEI type.
    """
    wanted = query.reply_bytes
    if pdu[0] == query.function and wanted is not None and len(pdu) == 2 + wanted and pdu[1] == wanted:
        return pdu[2:]
    if wanted is None and query.answered_by(pdu) and pdu[0] == query.function:
        return pdu[2:]
    raise _complaint(query, pdu)


def _complaint(query: Query, pdu: bytes) -> Refusal | ReplyError:
    function = pdu[0]
    if function == query.function | EXCEPTION_BIT and len(pdu) == 2:
        return Refusal(pdu[1])
    if function not in (query.function, query.function | EXCEPTION_BIT):
        return ReplyError(
            f"以功能码 {function} 应答功能码 {query.function}",
            f"answers function code {query.function} with {function}",
        )
    if query.reply_bytes is None or function & EXCEPTION_BIT:
        return ReplyError(f"应答残缺（{len(pdu)} 字节）", f"a reply of {len(pdu)} bytes, cut short")
    return ReplyError(
        f"应答 {len(pdu) - 2} 字节，应为 {query.reply_bytes}", f"{len(pdu) - 2} bytes instead of {query.reply_bytes}"
    )


# What others say, for listening only. Sizes of PDUs by function code: fixed, or a count byte at a place and what
# stands around it (§6.1 to §6.20).
_REQUEST_FIXED = {1: 5, 2: 5, 3: 5, 4: 5, 5: 5, 6: 5, 7: 1, 8: 5, 11: 1, 12: 1, 17: 1, 22: 7, 24: 3, ENCAPSULATED: 4}
_REQUEST_COUNTED = {15: (5, 6), 16: (5, 6), 20: (1, 2), 21: (1, 2), 23: (9, 10)}
_REPLY_FIXED = {5: 5, 6: 5, 7: 2, 8: 5, 11: 5, 15: 5, 16: 5, 22: 7}
_REPLY_COUNTED = dict.fromkeys((1, 2, 3, 4, 12, 17, 20, 21, 23), (1, 2))

MORE = 0  # the size is not known yet: more bytes are needed
UNKNOWN = -1  # no public function code begins like this


def request_size(pdu: bytes) -> int:
    """Bytes of the request PDU that begins `pdu`; MORE or UNKNOWN where that cannot be told."""
    return _size(pdu, _REQUEST_FIXED, _REQUEST_COUNTED)


def reply_size(pdu: bytes) -> int:
    """Bytes of the reply PDU that begins `pdu`; MORE or UNKNOWN where that cannot be told."""
    if not pdu:
        return MORE
    if pdu[0] & EXCEPTION_BIT:
        return 2 if pdu[0] & ~EXCEPTION_BIT else UNKNOWN
    if pdu[0] == ENCAPSULATED:
        return _identification_size(pdu)
    if pdu[0] == 24:  # FIFO queue: a count of two bytes (§6.18)
        return 3 + int.from_bytes(pdu[1:3], "big") if len(pdu) >= 3 else MORE
    if pdu[0] in _READS and pdu[1:2] == b"\0":  # nobody may ask for nothing
        return UNKNOWN
    return _size(pdu, _REPLY_FIXED, _REPLY_COUNTED)


def _size(pdu: bytes, fixed: dict[int, int], counted: dict[int, tuple[int, int]]) -> int:
    if not pdu:
        return MORE
    if pdu[0] in fixed:
        return fixed[pdu[0]]
    if pdu[0] not in counted:
        return UNKNOWN
    place, around = counted[pdu[0]]
    return around + pdu[place] if len(pdu) > place else MORE


def _identification_size(pdu: bytes) -> int:
    """MEI type, access code, conformity, more, next object, number of objects; then id, length, value each (§6.21)."""
    if len(pdu) < 7:
        return UNKNOWN if len(pdu) > 1 and pdu[1] != IDENTIFICATION else MORE
    size = 7
    for _ in range(pdu[6]):
        if len(pdu) < size + 2:
            return MORE
        size += 2 + pdu[size + 1]
    return size
