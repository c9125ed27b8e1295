"""What is asked and answered is what the specification prints; nothing but reads and identification can be asked."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocols.modbus.identification import Identity, goes_on, identity, parse_part
from protocols.modbus.pdu import (
    MORE,
    UNKNOWN,
    Query,
    Refusal,
    ReplyError,
    identify,
    payload,
    read,
    reply_size,
    request_size,
)
from protocols.modbus.tags import Table

# The worked examples of V1.1b3 §6.1 to §6.4: table, address, quantity, request, reply, data.
SPECIFICATION = [
    (Table.COILS, 19, 19, "01 0013 0013", "01 03 CD6B05", "CD6B05"),
    (Table.DISCRETE_INPUTS, 196, 22, "02 00C4 0016", "02 03 ACDB35", "ACDB35"),
    (Table.HOLDING_REGISTERS, 107, 3, "03 006B 0003", "03 06 022B 0000 0064", "022B00000064"),
    (Table.INPUT_REGISTERS, 8, 1, "04 0008 0001", "04 02 000A", "000A"),
]
HOLDING = Table.HOLDING_REGISTERS


@pytest.mark.parametrize(("table", "address", "quantity", "request_pdu", "reply", "data"), SPECIFICATION)
def test_examples_of_the_specification(table, address, quantity, request_pdu, reply, data):
    """Requests and replies, byte by byte, as printed."""
    query = read(table, address, quantity)
    assert query.pdu == bytes.fromhex(request_pdu)
    assert (query.table, query.address, query.quantity) == (table, address, quantity)
    assert query.answered_by(bytes.fromhex(reply))
    assert payload(query, bytes.fromhex(reply)) == bytes.fromhex(data)
    assert request_size(query.pdu) == len(query.pdu)
    assert reply_size(bytes.fromhex(reply)) == len(bytes.fromhex(reply))


@pytest.mark.parametrize(("table", "code"), list(zip(Table, (1, 2, 3, 4), strict=True)))
def test_exception_replies(table, code):
    """Function code plus 0x80, then the code (§7)."""
    query = read(table, 0, 1)
    reply = bytes((0x80 | table, code))
    assert query.answered_by(reply)
    with pytest.raises(Refusal) as raised:
        payload(query, reply)
    assert raised.value.code == code


@given(st.one_of(st.binary(max_size=12), st.binary(min_size=4, max_size=4).map(lambda b: b"\x03" + b)))
@example(b"\x2b\x0e\x01\x00")
@example(b"\x2b\x0d\x01\x00")
@example(b"\x05\x00\x00\xff\x00")
@example(b"\x10\x00\x00\x00\x01\x02\x00\x00")
def test_a_query_is_a_permitted_request_or_no_query(data):
    """Of all byte strings only function codes 1 to 4 and 43/14, whole and within the limits, become a query."""
    try:
        query = Query(data)
    except ValueError:
        return
    assert query.pdu == data
    if len(data) == 5:
        assert data[0] in (1, 2, 3, 4)
        quantity = int.from_bytes(data[3:], "big")
        assert 1 <= quantity <= (2000 if data[0] < 3 else 125)
        assert int.from_bytes(data[1:3], "big") + quantity <= 65_536
    else:
        assert data[:2] == b"\x2b\x0e"
        assert len(data) == 4


@pytest.mark.parametrize("function", [*range(5, 43), *range(44, 256), 0])
def test_no_other_function_code(function):
    """No function code that does anything else, whatever stands behind it."""
    for size in range(8):
        with pytest.raises(ValueError, match="never writes"):
            Query(bytes((function,)) + bytes([1] * size))


@pytest.mark.parametrize(
    ("table", "address", "quantity"),
    [(HOLDING, 0, 126), (HOLDING, 0, 0), (HOLDING, 65_535, 2), (HOLDING, -1, 1), (Table.COILS, 0, 2001), (5, 0, 1)],
)
def test_illegal_quantities(table, address, quantity):
    """Nothing beyond the protocol's limits is asked."""
    with pytest.raises(ValueError):
        read(table, address, quantity)


def test_longest_reads():
    """The limits themselves are allowed: 125 registers, 2000 bits, the last address."""
    assert read(HOLDING, 65_411, 125).reply_bytes == 250
    assert read(Table.COILS, 63_536, 2000).reply_bytes == 250


@given(st.binary(min_size=1, max_size=253), st.sampled_from(SPECIFICATION))
def test_a_reply_is_the_answer_or_an_error(reply, case):
    """Whatever comes back: data of exactly the length asked for, a refusal, or a complaint; nothing else."""
    table, address, quantity = case[:3]
    query = read(table, address, quantity)
    try:
        assert len(payload(query, reply)) == query.reply_bytes
        assert query.answered_by(reply)
    except Refusal:
        assert len(reply) == 2
        assert query.answered_by(reply)
    except ReplyError:
        assert not query.answered_by(reply)


def test_complaints_name_the_mistake():
    """In both languages."""
    with pytest.raises(ReplyError, match="answers function code 3 with 4") as raised:
        payload(read(HOLDING, 0, 1), b"\x04\x02\x00\x01")
    assert "功能码 4" in raised.value.zh
    with pytest.raises(ReplyError, match="4 bytes instead of 2"):
        payload(read(HOLDING, 0, 1), b"\x03\x04\x00\x01\x00\x02")
    with pytest.raises(ReplyError, match="cut short"):
        payload(read(HOLDING, 0, 1), b"\x83")


# §6.21, the example in one transaction. The specification prints 0D as the length of "Product code XX", which has 15.
WHOLE = b"\x2b\x0e\x01\x01\x00\x00\x03\x00\x16Company identification\x01\x0fProduct code XX\x02\x05V2.11"


def test_identification_in_one_reply():
    """Company, product code and revision of the specification's example."""
    query = identify(1)
    assert query.pdu == bytes.fromhex("2B 0E 01 00")
    assert query.answered_by(WHOLE)
    part = parse_part(payload(query, WHOLE))
    assert goes_on(part, 0) is None
    assert identity(dict(part.objects)) == Identity("Company identification", "Product code XX", "V2.11")


def test_identification_in_two_replies():
    """More follows: the stream goes on at the object the device names."""
    first = parse_part(WHOLE[2:4] + b"\xff\x02\x02" + WHOLE[7:-7])
    assert goes_on(first, 0) == 2
    second = parse_part(WHOLE[2:4] + b"\x00\x00\x01" + WHOLE[-7:])
    assert identity(dict(first.objects + second.objects)).revision == "V2.11"


def test_identification_in_circles():
    """A device whose stream does not get on is not followed for ever."""
    part = parse_part(b"\x01\x01\xff\x02\x01\x02\x01A")
    assert goes_on(part, 1) == 2
    with pytest.raises(ReplyError):
        goes_on(part, 2)


@given(st.binary(max_size=60))
def test_identification_never_reads_beyond_the_reply(data):
    """Objects are whole or there is no identification."""
    try:
        part = parse_part(data)
    except ReplyError:
        return
    assert sum(2 + len(value) for _, value in part.objects) <= len(data)


def test_vendors_own_objects_are_kept():
    """Objects beyond the seven known ones, and text that is none."""
    told = identity({0: b"Inovance\0\0", 3: "汇川".encode(), 0x80: b"\xff\x01"})
    assert told.vendor == "Inovance"
    assert told.url == "汇川"
    assert told.others == ((0x80, "\\xff\x01"),)


@pytest.mark.parametrize(
    ("pdu", "size"),
    [
        *[("", MORE), ("03", MORE), ("0304", 6), ("83", 2), ("80", UNKNOWN), ("0300", UNKNOWN), ("4101", UNKNOWN)],
        *[("06000A0001", 5), ("1000010002", 5), ("18", MORE), ("180006", 9), ("2B0E0101", MORE), ("2B0D01", UNKNOWN)],
        *[(WHOLE.hex(), len(WHOLE)), (WHOLE[:-1].hex(), len(WHOLE)), (WHOLE[:9].hex(), MORE)],
    ],
)
def test_sizes_of_replies(pdu, size):
    """How long a reply will be is known from its first bytes, or known to be unknown."""
    assert reply_size(bytes.fromhex(pdu)) == size


@pytest.mark.parametrize(
    ("pdu", "size"),
    [("01", 5), ("06", 5), ("0F00", MORE), ("100001000204", 10), ("2B", 4), ("11", 1), ("64", UNKNOWN), ("", MORE)],
)
def test_sizes_of_requests(pdu, size):
    """And so is the length of what other masters ask."""
    assert request_size(bytes.fromhex(pdu)) == size
