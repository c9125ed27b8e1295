"""ASCII frames: as the specification prints them, found between any garbage, and none with a wrong LRC."""

from hypothesis import given
from hypothesis import strategies as st

from protocols.modbus.ascii import AsciiFramer, lrc
from protocols.modbus.framing import NOBODY, Adu, WireCounters
from protocols.modbus.pdu import read
from protocols.modbus.tags import Table

QUERY = read(Table.HOLDING_REGISTERS, 0x6B, 3)
REPLY = bytes.fromhex("1103 06 022B 0000 0064")


def framed(data):
    return b":" + (data + bytes((lrc(data),))).hex().upper().encode() + b"\r\n"


def listen(data, cuts=(), counters=None):
    framer, out = AsciiFramer(counters or WireCounters()), []
    framer.wrap(5, 17, QUERY)
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        framer.feed(data[start:end])
        out.extend(framer.frames())
    return out


def test_request():
    """The request of §6.3 in characters: 11 03 00 6B 00 03 and the LRC 7E."""
    assert AsciiFramer(WireCounters()).wrap(1, 17, QUERY) == b":1103006B00037E\r\n"


@given(st.binary(max_size=255))
def test_lrc_of_the_specification(data):
    """Appendix B: add all bytes without carry, take the two's complement; with it the sum is 0."""
    total = 0
    for byte in data:
        total = (total + byte) & 0xFF
    assert lrc(data) == (~total + 1) & 0xFF
    assert (sum(data) + lrc(data)) & 0xFF == 0


@given(st.lists(st.binary(max_size=30).filter(lambda b: b":" not in b), min_size=2, max_size=4), st.data())
def test_garbage_between_frames(garbage, data):
    """Whatever stands around the frames, and however they are cut: each comes out once."""
    whole = framed(REPLY).join(b"" if i == len(garbage) else g for i, g in enumerate(garbage))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=6)))
    assert listen(whole, cuts) == [Adu(5, 17, REPLY[1:])] * (len(garbage) - 1)


@given(st.binary(max_size=60))
def test_a_colon_begins_a_new_frame(garbage):
    """Even garbage with colons costs only itself."""
    heard = listen(garbage + framed(REPLY))
    assert heard[-1] == Adu(5, 17, REPLY[1:])
    assert [adu for adu in heard[:-1] if adu.transaction == 5] == []


@given(st.integers(1, 22), st.integers(0, 255))
def test_a_damaged_character(place, byte):
    """Any other character in the frame: no answer; counted, and known as damage where the unit is still readable."""
    frame = bytearray(framed(REPLY))
    if chr(byte).upper() == chr(frame[place]):
        return
    frame[place] = byte
    counters = WireCounters()
    framer = AsciiFramer(counters)
    framer.wrap(5, 17, QUERY)
    framer.feed(bytes(frame))
    assert list(framer.frames()) == []
    framer.silence()
    assert counters.checksums + counters.truncated >= 1
    assert framer.damaged or place < 3 or chr(byte) == ":"


def test_lower_case():
    """Some devices write small letters."""
    assert listen(framed(REPLY).lower()) == [Adu(5, 17, REPLY[1:])]


def test_echo_and_another_master():
    """Our own request is ignored, another's is told."""
    counters = WireCounters()
    theirs = framed(bytes.fromhex("11 03 0010 0002"))
    heard = listen(b":1103006B00037E\r\n" + theirs + framed(REPLY), counters=counters)
    assert heard == [Adu(NOBODY, 17, theirs and bytes.fromhex("0300100002"), True), Adu(5, 17, REPLY[1:])]
    assert counters.echoes == 1


def test_noise_is_bounded():
    """A line that only makes noise fills no memory, and a frame without an end is given up."""
    counters = WireCounters()
    framer = AsciiFramer(counters)
    for _ in range(200):
        framer.feed(b"\x00" * 30)
        assert list(framer.frames()) == []
    assert framer._buffer == b""
    framer.feed(b":" + b"0" * 600)
    assert list(framer.frames()) == []
    assert (framer._buffer, counters.truncated) == (b"", 1)
