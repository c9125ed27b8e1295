"""What a request costs: the time it keeps a connection or a line busy. Pure.

Theory. The time of a read is the turnaround of the device, which answers about once per scan, and the characters of
question and answer on the wire. On Ethernet the first is some 10 ms and a register 160 ns; at 9600 baud a register
takes 2.3 ms and the frame around it 15 ms. So what is worth reading together depends on the wire: the planner asks
here.

Frames: MBAP ("Messaging on TCP/IP" V1.0b §3.1.3), RTU and ASCII ("over Serial Line" V1.02 §2.5.1, §2.5.2).
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.modbus.tags import Endpoint, Framing, SerialEndpoint, Table, TcpEndpoint, UdpEndpoint

TURNAROUND_NS = 10_000_000  # of a PLC nobody has said anything about
_NS_PER_S = 1_000_000_000
_TCP_BYTES = 78  # Ethernet preamble 8, header 14, FCS 4, gap 12, IPv4 20, TCP 20
_UDP_BYTES = 66
_TLS_BYTES = 29  # of one record: header 5, explicit nonce 8, tag 16
_ETHERNET_BITS_PER_S = 100_000_000
_FAST_LINE_BAUD = 19_200  # above it the silence of 3.5 characters is 1.75 ms (Serial Line V1.02 §2.5.1.1)
_FAST_SILENCE_NS = 1_750_000
# Characters of a whole request, of a reply without its data, and for each data byte.
_FRAMES = {
    Framing.MBAP: (12, 9, 1),  # header 7, function code 1, and address 2 + quantity 2, or byte count 1
    Framing.RTU: (8, 5, 1),  # unit 1, function code 1, the same, CRC 2
    Framing.ASCII: (17, 11, 2),  # colon 1, twice as many as RTU with a check of one byte, CR LF 2
}


@dataclass(frozen=True, slots=True)
class Bus:
    """What time costs between gateway and PLC."""

    bits_per_s: int
    bits_per_char: int  # on the wire: 8 on Ethernet; start, data, parity and stop bits on a line
    request_chars: int  # a whole request and what is around it
    reply_chars: int  # what is around the data of a reply
    chars_per_byte: int = 1  # 2 in ASCII
    turnaround_ns: int = TURNAROUND_NS  # from the last character of a request to the first of its reply

    @property
    def request_ticks(self) -> int:
        """A request that brings no data, in ticks. A tick is 1 ns / `bits_per_s`: in ticks, times are whole numbers."""
        wire = (self.request_chars + self.reply_chars) * self.bits_per_char * _NS_PER_S
        return self.turnaround_ns * self.bits_per_s + wire

    @property
    def byte_ticks(self) -> int:
        """One more data byte, in ticks."""
        return self.chars_per_byte * self.bits_per_char * _NS_PER_S

    def read_ns(self, table: Table, quantity: int) -> int:
        """Expected time from the first character of the request to the last of its reply, ns."""
        ticks = self.request_ticks + payload_bytes(table, quantity) * self.byte_ticks
        return ticks // self.bits_per_s


def payload_bytes(table: Table, quantity: int) -> int:
    """Data bytes of a reply: two per register, or one per eight bits begun (spec V1.1b3 §6.1, §6.3)."""
    return (quantity + 7) // 8 if table.is_bits else 2 * quantity


def ethernet(framing: Framing = Framing.MBAP, around: int = _TCP_BYTES, turnaround_ns: int = TURNAROUND_NS) -> Bus:
    """A switched network of 100 Mbit/s, `around` bytes around each frame."""
    request, reply, per_byte = _FRAMES[framing]
    return Bus(_ETHERNET_BITS_PER_S, 8, request + around, reply + around, per_byte, turnaround_ns)


def line(endpoint: SerialEndpoint, turnaround_ns: int = TURNAROUND_NS) -> Bus:
    """A serial line; the silence that ends an RTU frame belongs to the turnaround, on both ways."""
    request, reply, per_byte = _FRAMES[endpoint.framing]
    bits = endpoint.bits_per_character
    silence_ns = 0
    if endpoint.framing is Framing.RTU:
        fast = endpoint.baud > _FAST_LINE_BAUD
        silence_ns = _FAST_SILENCE_NS if fast else 7 * bits * _NS_PER_S // (2 * endpoint.baud)
    quiet_ns = silence_ns + max(silence_ns, endpoint.silence_ns)
    return Bus(endpoint.baud, bits, request, reply, per_byte, turnaround_ns + quiet_ns)


def bus_of(endpoint: Endpoint, turnaround_ns: int = TURNAROUND_NS) -> Bus:
    """What time costs on the way to a device."""
    match endpoint:
        case SerialEndpoint():
            return line(endpoint, turnaround_ns)
        case UdpEndpoint():
            return ethernet(endpoint.framing, _UDP_BYTES, turnaround_ns)
        case TcpEndpoint():
            around = _TCP_BYTES + (_TLS_BYTES if endpoint.tls is not None else 0)
            return ethernet(endpoint.framing, around, turnaround_ns)


ETHERNET = ethernet()
