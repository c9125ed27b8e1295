"""RTU frames come out of a line whole and once, whatever stands between them; and never one that was not sent."""

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocols.modbus.framing import NOBODY, Adu, WireCounters
from protocols.modbus.pdu import identify, read
from protocols.modbus.rtu import RtuFramer, crc16
from protocols.modbus.tags import Table

QUERY = read(Table.HOLDING_REGISTERS, 0x6B, 3)
BITS = read(Table.COILS, 0x0300, 24)
REPLY = bytes.fromhex("1103 06 022B 0000 0064")


def framed(data):
    return data + crc16(data)


def listen(data, cuts=(), query=QUERY, counters=None):
    """What a framer hears that asked unit 17 in transaction 5."""
    framer, out = RtuFramer(counters or WireCounters()), []
    framer.wrap(5, 17, query)
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        framer.feed(data[start:end])
        out.extend(framer.frames())
    return out


def bitwise_crc(data):
    """The CRC by the procedure of appendix B, bit by bit, without a table."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            carry, crc = crc & 1, crc >> 1
            crc ^= 0xA001 * carry
    return struct.pack("<H", crc)


def test_crc_of_the_specification():
    """Appendix B: the frame 02 07 has the CRC 1241 hex, sent as 41 12."""
    assert crc16(b"\x02\x07") == bytes.fromhex("4112")


@given(st.binary(max_size=256))
def test_crc_is_the_procedure_of_the_specification(data):
    """The table gives what the bits give, and a frame with its CRC has the CRC 0."""
    assert crc16(data) == bitwise_crc(data)
    assert crc16(framed(data)) == b"\0\0"


def test_request():
    """Unit, the request of §6.3, CRC."""
    assert RtuFramer(WireCounters()).wrap(1, 17, QUERY) == bytes.fromhex("11 03 006B 0003 7687")


@given(st.sets(st.integers(1, 10), max_size=8))
def test_any_cut_gives_the_same_frame(cuts):
    """A USB adapter may hand over bytes as it likes."""
    assert listen(framed(REPLY), sorted(cuts)) == [Adu(5, 17, REPLY[1:])]


@given(st.binary(max_size=80), st.data())
@example(b"\x11\x03\xfa", None)
@example(b"\x11\x03\x06", None)
@example(b"\x00\x11\x03\x06\x07\x11", None)
def test_garbage_before_the_answer(garbage, data):
    """The answer is found behind any garbage, however it is cut, and everything else heard is no answer of ours."""
    whole = garbage + framed(REPLY)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=6))) if data else []
    heard = listen(whole, cuts)
    assert Adu(5, 17, REPLY[1:]) in heard
    assert all(adu.transaction == NOBODY for adu in heard if adu.pdu != REPLY[1:])


@given(st.binary(min_size=9, max_size=9), st.integers(0, 10), st.integers(1, 255))
def test_a_damaged_answer_is_none(body, place, flip):
    """One damaged byte anywhere: no frame, one checksum counted once the line is silent, and the damage is known."""
    frame = bytearray(framed(b"\x11\x03\x06" + body[3:]))
    frame[place] ^= flip
    counters = WireCounters()
    framer = RtuFramer(counters)
    framer.wrap(5, 17, QUERY)
    framer.feed(bytes(frame))
    assert [adu for adu in framer.frames() if adu.transaction != NOBODY] == []
    framer.silence()
    assert framer.damaged == (place > 2)  # where unit, function or length is damaged, nobody knows whose answer it was
    assert counters.dropped_frames <= 1
    if place > 2:
        assert counters.checksums == 1
    framer.feed(framed(REPLY))
    assert list(framer.frames()) == [Adu(5, 17, REPLY[1:])]


@settings(max_examples=150)
@given(st.binary(max_size=600), st.integers(1, 50))
def test_no_answer_is_invented(noise, step):
    """Noise is no answer: 40 bits of it would have to be right."""
    assert [adu for adu in listen(noise, range(step, len(noise), step)) if adu.transaction == 5] == []


def test_noise_is_bounded():
    """A line that only makes noise fills no memory."""
    framer = RtuFramer(WireCounters())
    framer.wrap(5, 17, QUERY)
    for _ in range(1000):
        framer.feed(b"\x11\x03\xfa" * 10)
        assert list(framer.frames()) == []
    assert len(framer._buffer) <= 512


def test_echo():
    """Our own request, heard by a receiver that is not muted, is ignored and counted; the answer behind it counts."""
    counters = WireCounters()
    framer = RtuFramer(counters)
    request = framer.wrap(5, 17, QUERY)
    framer.feed(request + framed(REPLY))
    assert list(framer.frames()) == [Adu(5, 17, REPLY[1:])]
    assert (counters.echoes, counters.foreign_requests, counters.noise_bytes) == (1, 0, 0)


def test_an_answer_that_looks_like_the_echo():
    """24 bits read from 0x0300 may read 00 00 18: byte for byte the request. It counts where the port does not echo."""
    framer = RtuFramer(WireCounters())
    request = framer.wrap(5, 17, BITS)
    framer.feed(request)
    assert list(framer.frames()) == []  # nobody knows this port yet: nothing is believed
    framer.feed(request)
    assert list(framer.frames()) == [Adu(5, 17, BITS.pdu)]
    silent = RtuFramer(WireCounters())
    silent.wrap(4, 17, QUERY)
    silent.feed(framed(REPLY))
    assert len(list(silent.frames())) == 1
    silent.wrap(5, 17, BITS)
    silent.feed(request)
    assert list(silent.frames()) == [Adu(5, 17, BITS.pdu)]


def test_another_master():
    """What another master asks, and what it is answered, is told apart from our answer."""
    theirs = framed(bytes.fromhex("11 03 0010 0002"))
    answer = framed(bytes.fromhex("11 03 04 00010002"))
    writes = framed(bytes.fromhex("11 10 0001 0002 04 000A 0102")) + framed(bytes.fromhex("11 10 0001 0002"))
    heard = listen(theirs + answer + writes)
    assert [adu.request for adu in heard] == [True, False, True, False]
    assert {adu.transaction for adu in heard} == {NOBODY}


def test_late_answer_is_not_the_next_ones():
    """An answer to what was asked before belongs to nobody; where it is of the shape of a request, too."""
    framer = RtuFramer(WireCounters())
    framer.wrap(4, 17, BITS)
    framer.wrap(5, 18, QUERY)
    framer.feed(framed(b"\x11\x01\x03\x55\x00\x18"))
    assert list(framer.frames()) == [Adu(NOBODY, 17, b"\x01\x03\x55\x00\x18", False)]


def test_half_a_frame_before_the_next_request():
    """What was heard before a request belongs to the past, also the second half of it that comes after."""
    counters = WireCounters()
    framer = RtuFramer(counters)
    framer.wrap(4, 17, QUERY)
    framer.feed(framed(REPLY)[:6])
    assert list(framer.frames()) == []
    framer.wrap(5, 17, QUERY)
    assert counters.truncated == 1
    framer.feed(framed(REPLY)[6:] + framed(REPLY))
    assert list(framer.frames()) == [Adu(5, 17, REPLY[1:])]


@pytest.mark.parametrize("code", [1, 2, 3, 4, 6, 11])
def test_exception_replies(code):
    """Five bytes, also behind garbage."""
    reply = framed(bytes((17, 0x83, code)))
    assert listen(reply) == listen(b"\x00\xff" + reply) == [Adu(5, 17, bytes((0x83, code)))]


def test_identification():
    """A reply whose length stands in its objects, cut anywhere."""
    reply = framed(b"\x11\x2b\x0e\x01\x01\x00\x00\x02\x00\x03ABC\x01\x02XY")
    for cut in range(1, len(reply)):
        assert listen(reply, (cut,), identify(1)) == [Adu(5, 17, reply[1:-2])]
