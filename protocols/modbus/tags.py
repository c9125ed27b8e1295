"""Frozen types of the Modbus side: tables, data types, word orders, tags and device limits. No logic, no I/O.

Vocabulary follows "MODBUS Application Protocol Specification V1.1b3" (unit id, function code, holding register, …).
All addresses are protocol addresses: zero-based, as they stand in the PDU.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


class Table(IntEnum):
    """The four primary tables (spec §4.3). The value is the one function code that reads it; there are no others."""

    COILS = 1
    DISCRETE_INPUTS = 2
    HOLDING_REGISTERS = 3
    INPUT_REGISTERS = 4

    @property
    def is_bits(self) -> bool:
        """True where one address is one bit, not one 16-bit register."""
        return self in (Table.COILS, Table.DISCRETE_INPUTS)


class DataType(StrEnum):
    """How a tag's bits are to be understood. An integer type may be narrowed to a bit field (`ModbusTag.bits`)."""

    BOOL = "bool"
    U8H = "u8h"  # the high half of a register, which travels first
    U8L = "u8l"
    I8H = "i8h"
    I8L = "i8l"
    U16 = "u16"
    I16 = "i16"
    U32 = "u32"
    I32 = "i32"
    U64 = "u64"
    I64 = "i64"
    F16 = "f16"  # IEEE 754 binary16
    F32 = "f32"
    F64 = "f64"
    BCD16 = "bcd16"
    BCD32 = "bcd32"
    BCD64 = "bcd64"
    SM16 = "sm16"  # sign and magnitude: the top bit says "negative", the others how much
    SM32 = "sm32"
    STRING = "string"


class WordOrder(StrEnum):
    """Order of the bytes of a value on the wire; A is the most significant byte of 32 bits (or of 64: A … H).

    The four orders of four letters cover 64-bit values as well: CDAB is GHEFCDAB, all words reversed. Those of eight
    letters are for PLCs that swap the halves of a 64-bit value and its words apart from one another; what they say of
    four bytes holds for 32-bit values: EFGHABCD is ABCD there, CDABGHEF is CDAB.
    """

    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"
    EFGHABCD = "EFGHABCD"
    CDABGHEF = "CDABGHEF"
    FEHGBADC = "FEHGBADC"
    DCBAHGFE = "DCBAHGFE"

    @property
    def swaps_bytes(self) -> bool:
        """True where the low byte of each register travels first: 16-bit values and bits are swapped as well."""
        return self in (WordOrder.BADC, WordOrder.DCBA, WordOrder.FEHGBADC, WordOrder.DCBAHGFE)

    @property
    def swaps_words(self) -> bool:
        """True where the low register of 32 bits comes first."""
        return self in (WordOrder.CDAB, WordOrder.DCBA, WordOrder.CDABGHEF, WordOrder.DCBAHGFE)

    @property
    def swaps_halves(self) -> bool:
        """True where the low half of 64 bits comes first."""
        return self in (WordOrder.CDAB, WordOrder.DCBA, WordOrder.EFGHABCD, WordOrder.FEHGBADC)


class Encoding(StrEnum):
    """Which characters the bytes of a text are."""

    AUTO = "auto"  # UTF-8 where the bytes are that, else GB 18030: what Chinese panels write
    ASCII = "ascii"
    GBK = "gbk"
    GB18030 = "gb18030"
    UTF_8 = "utf-8"


@dataclass(frozen=True, slots=True)
class RangeMap:
    """A line through two points: raw `raw_low` … `raw_high` is `low` … `high` in engineering units, and so beyond."""

    raw_low: float
    raw_high: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Word:
    """What one value of a tag is called, in both languages."""

    value: int
    zh: str
    en: str


LATER = {
    "later": True
}  # metadata of fields that earlier builds lacked: at its default a site's version stays as it was


@dataclass(frozen=True, slots=True)
class ModbusTag:
    """One tag, resolved to the wire. `name` is unique within its device."""

    name: str
    table: Table
    address: int  # first register, or the bit address in a bit table
    type: DataType
    bit: int | None = None  # of a register (0 … 15) for BOOL; the lowest of a bit field, counted over the whole value
    registers: int = 1  # width in registers (in bits for the bit tables)
    word_order: WordOrder = WordOrder.ABCD
    string_low_byte_first: bool = False
    scale: float = 1.0
    offset: float = 0.0
    minimum: float | None = None  # outside [minimum, maximum] (engineering units) the quality is BAD
    maximum: float | None = None
    sentinels: tuple[int | float, ...] = ()  # raw values that mean "no measurement": quality BAD
    interval_ns: int = 1_000_000_000  # read at least this often
    bits: int | None = field(default=None, metadata=LATER)  # width of a bit field of an integer type; None = all of it
    encoding: Encoding = field(default=Encoding.AUTO, metadata=LATER)  # of a STRING
    range_map: RangeMap | None = field(default=None, metadata=LATER)  # in place of scale and offset
    words: tuple[Word, ...] = field(default=(), metadata=LATER)  # names of values, for people: the value stays a number

    @property
    def is_plain_integer(self) -> bool:
        """True where the value is the raw integer itself, exact in all its bits."""
        whole = self.type not in (DataType.F16, DataType.F32, DataType.F64, DataType.STRING)
        return whole and self.scale == 1 and not self.offset and self.range_map is None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a device accepts. From the PLC template; a site may narrow it."""

    max_registers: int = 100
    max_bits: int = 1968
    max_gap: int = 8  # registers read for nothing to save a request; bits: 16 times as many
    borders: tuple[tuple[Table, int], ...] = ()  # no request may cross from address-1 to address (Delta D4095/D4096)
    forbidden: tuple[tuple[Table, int, int], ...] = ()  # inclusive ranges that must never be read
    pause_ns: int = 10_000_000  # between the end of a reply and the next request
    requests_per_s: float = 50.0
    turnaround_ns: int = 10_000_000  # expected, from request to reply: what the planner weighs holes against
    occupancy: float = 1.0  # share of the time that requests to it may take; after each it rests for the remainder
    retries: int = field(default=0, metadata=LATER)  # times a request without a usable answer is asked again at once


@dataclass(frozen=True, slots=True)
class Learned:
    """What a device turned out to accept, found while it was read. It only ever narrows the limits."""

    max_registers: int | None = None
    max_bits: int | None = None
    bad: tuple[tuple[Table, int, int], ...] = ()  # inclusive ranges it refuses


class Framing(StrEnum):
    """How a PDU is wrapped on its way; any of them travels on any transport."""

    MBAP = "mbap"  # header with transaction id (Messaging on TCP/IP V1.0b §3.1.3)
    RTU = "rtu"  # unit, PDU, CRC-16 (Serial Line V1.02 §2.5.1)
    ASCII = "ascii"  # ":" unit, PDU, LRC in hexadecimal, CR LF (Serial Line V1.02 §2.5.2)


class Parity(StrEnum):
    """Parity of a character on a serial line. The letters are those of every manual."""

    EVEN = "E"
    ODD = "O"
    NONE = "N"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Modbus/TCP Security (MB-TCP-Security V2.1): who is trusted, and who we say we are. Paths of PEM files.

    The specification demands certificates of both sides; a server that asks for none is used as well.
    """

    ca: str | None = None  # CA, or self-signed certificate, that vouches for the server; None = the system's
    certificate: str | None = None  # our own, intermediates behind it
    key: str | None = None  # its key; None = in the file of the certificate
    key_password: str | None = field(default=None, repr=False)
    server_name: str | None = None  # name or IP address in the server's certificate; None = the host


@dataclass(frozen=True, slots=True)
class TcpEndpoint:
    """One TCP connection, to a Modbus TCP server or to a gateway that passes RTU or ASCII frames through."""

    host: str
    port: int = 502
    framing: Framing = Framing.MBAP
    tls: TlsFiles | None = None
    depth: int = 1  # requests in flight; RTU and ASCII frames carry no transaction id, so it is always 1 with them
    deadline_ns: int = 1_000_000_000  # for each I/O: connect, and request to complete reply
    connect_pause_ns: int = 0  # after connecting, before the first request

    @property
    def peer(self) -> str:
        """Where errors and pages say it is."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UdpEndpoint:
    """One datagram socket to one server; a datagram is one MBAP frame."""

    host: str
    port: int = 502
    depth: int = 1
    deadline_ns: int = 1_000_000_000
    connect_pause_ns: int = 0

    @property
    def framing(self) -> Framing:
        """Datagrams are lost and doubled: without transaction ids nobody could tell."""
        return Framing.MBAP

    @property
    def peer(self) -> str:
        """Where errors and pages say it is."""
        return f"udp:{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SerialEndpoint:
    """One serial line with all units on it. The defaults are the specification's (Serial Line V1.02 §2.5.1, §3.3)."""

    path: str  # /dev/ttyUSB0, better /dev/serial/by-id/…
    baud: int = 19_200
    parity: Parity = Parity.EVEN
    stop_bits: int = 1  # the specification wants 2 where there is no parity
    data_bits: int = 8  # 7 is for ASCII only
    framing: Framing = Framing.RTU
    silence_ns: int = 0  # quiet line before a request; 0 = 3.5 characters as specified, never less
    rs485: bool = False  # the port's driver switches the transmitter (RTS); most USB adapters do it by themselves
    deadline_ns: int = 1_000_000_000  # from request to reply, the time of both on the wire comes on top
    connect_pause_ns: int = 0

    @property
    def depth(self) -> int:
        """A line carries one request at a time (Serial Line V1.02 §2.1)."""
        return 1

    @property
    def peer(self) -> str:
        """Where errors and pages say it is."""
        return self.path

    @property
    def bits_per_character(self) -> int:
        """Start bit, data, parity, stop bits."""
        return 1 + self.data_bits + (self.parity is not Parity.NONE) + self.stop_bits


Endpoint = TcpEndpoint | UdpEndpoint | SerialEndpoint


@dataclass(frozen=True, slots=True)
class ModbusEndpoint(TcpEndpoint):
    """A TCP connection that carries one unit only. Requests carry their unit; this one is what plans are made with."""

    unit: int = 1
