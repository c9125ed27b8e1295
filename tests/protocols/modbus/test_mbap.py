"""Frames come out of the byte stream whole and once, however TCP cut it; an impossible header ends the connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.modbus.framing import Adu, FramingError, WireCounters
from protocols.modbus.mbap import MbapFramer
from protocols.modbus.pdu import read
from protocols.modbus.tags import Table

# Read holding registers 108-110 of unit 17 (data of spec V1.1b3 §6.3) behind an MBAP header.
REPLY = bytes.fromhex("1501 0000 0009 11 03 06 022B 0000 0064")


def frames(data, step=None):
    framer, out = MbapFramer(WireCounters()), []
    for start in range(0, len(data), step or len(data)):
        framer.feed(data[start : start + (step or len(data))])
        out.extend(framer.frames())
    return out


def test_frame_of_the_specification():
    """Header and PDU of the specification's example."""
    assert frames(REPLY) == [Adu(0x1501, 0x11, bytes.fromhex("0306022B00000064"))]


def test_request_behind_its_header():
    """Transaction, protocol id 0, length, unit, then the request of §6.3."""
    query = read(Table.HOLDING_REGISTERS, 0x6B, 3)
    assert MbapFramer(WireCounters()).wrap(0x1501, 0x11, query) == bytes.fromhex("1501 0000 0006 11 03 006B 0003")


@given(st.lists(st.binary(min_size=1, max_size=253), min_size=1, max_size=6), st.integers(1, 300))
def test_any_cut_gives_the_same_frames(pdus, step):
    """Pieces and heaps of frames give the same frames."""
    data = b"".join(
        n.to_bytes(2, "big") + b"\0\0" + (len(p) + 1).to_bytes(2, "big") + b"\1" + p for n, p in enumerate(pdus)
    )
    assert frames(data, step) == [Adu(n, 1, p) for n, p in enumerate(pdus)]


@pytest.mark.parametrize(
    "data", ["0001 0100 0006 01 03", "0001 0000 0001 01 03", "0001 0000 00ff 01 03", "4854 5450 2f31 2e"]
)
def test_impossible_header(data):
    """A foreign protocol id (HTTP, say) or an impossible length is named, in both languages."""
    with pytest.raises(FramingError) as raised:
        frames(bytes.fromhex(data))
    assert raised.value.zh
    assert raised.value.en


def test_frames_before_the_garbage_are_frames():
    """What was whole before the stream went out of step is given out."""
    framer, out = MbapFramer(WireCounters()), []
    framer.feed(REPLY + b"HTTP/1.1 400")
    with pytest.raises(FramingError):
        out.extend(framer.frames())  # list.extend keeps what came before the error
    assert out == [Adu(0x1501, 0x11, bytes.fromhex("0306022B00000064"))]


def test_end_of_a_datagram():
    """Half a frame at the end of a datagram is counted and does not touch the next."""
    counters = WireCounters()
    framer = MbapFramer(counters)
    framer.feed(REPLY[:9])
    assert list(framer.frames()) == []
    framer.silence()
    framer.feed(REPLY)
    assert len(list(framer.frames())) == 1
    assert counters.truncated == counters.dropped_frames == 1
