"""What an engineer writes lands on the right register; what the PLC does not have is refused with the ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.modbus.address import AddressError, AddressMap, Area, Refused, Resolved
from protocols.modbus.tags import Table

COIL, DISCRETE, HOLDING, INPUT = Table.COILS, Table.DISCRETE_INPUTS, Table.HOLDING_REGISTERS, Table.INPUT_REGISTERS

INOVANCE = AddressMap(
    (
        Area("M", COIL, 0, 7999, 0),
        Area("X", COIL, 0, 0o1777, 0xF800, radix=8),
        Area("D", HOLDING, 0, 7999, 0),
        Area("C", HOLDING, 0, 199, 0xF400),
        Area("C", HOLDING, 200, 255, 0xF700, registers=2),
    )
)
DELTA = AddressMap((Area("D", HOLDING, 0, 4095, 0x1000), Area("D", HOLDING, 4096, 9999, 0x9000)))
XINJE = AddressMap((Area("D", HOLDING, 0, 20479, 0), Area("HD", HOLDING, 0, 6143, 0xA080)))
DELTA_AS = AddressMap((Area("X", DISCRETE, 0, 63, 0x6000, registers=16),))
TWO_KINDS = AddressMap(
    (
        Area("T", HOLDING, 0, 511, 0xF000),
        Area("T", COIL, 0, 511, 0xF100),
        Area("X", DISCRETE, 0, 63, 0x6000, registers=16),
        Area("X", INPUT, 0, 63, 0x8000),
    )
)
CODESYS = AddressMap(
    (
        Area("%MW", HOLDING, 0, 65535, 0),
        Area("%MD", HOLDING, 0, 32767, 0, registers=2),
        Area("%MB", HOLDING, 0, 131071, 0, bytewise=True, low_byte_first=True, halves=True),
        Area("%MX", HOLDING, 0, 131071, 0, bytewise=True, low_byte_first=True),
        Area("%QX", COIL, 0, 8191, 0, registers=8),
    ),
    (Refused("SD", "要用厂家自定义功能码", "it takes function codes of the vendor's own"),),
)
SIEMENS = AddressMap(
    (
        Area("DBB", HOLDING, 0, 1999, 0, bytewise=True, halves=True),
        Area("DBW", HOLDING, 0, 1998, 0, bytewise=True),
        Area("DBX", HOLDING, 0, 1999, 0, bytewise=True),
        Area("DBD", HOLDING, 0, 1996, 0, registers=2, bytewise=True),
    )
)


@pytest.mark.parametrize(
    ("plc", "text", "expected"),
    [
        (INOVANCE, "D1000", Resolved(HOLDING, 1000, None, 1)),
        (INOVANCE, "d1000.3", Resolved(HOLDING, 1000, 3, 1)),
        (INOVANCE, "D1000.F", Resolved(HOLDING, 1000, 15, 1)),
        (INOVANCE, "D1000.15", Resolved(HOLDING, 1000, 15, 1)),
        (INOVANCE, "M100", Resolved(COIL, 100, None, 1)),
        (INOVANCE, "X17", Resolved(COIL, 0xF80F, None, 1)),
        (INOVANCE, "C199", Resolved(HOLDING, 0xF4C7, None, 1)),
        (INOVANCE, "C201", Resolved(HOLDING, 0xF702, None, 2)),
        (DELTA, "D4095", Resolved(HOLDING, 0x1FFF, None, 1)),
        (DELTA, "D4096", Resolved(HOLDING, 0x9000, None, 1)),
        (XINJE, "HD1000", Resolved(HOLDING, 42088, None, 1)),
        (DELTA_AS, "X1.3", Resolved(DISCRETE, 0x6013, None, 1)),
        (SIEMENS, "DBW8", Resolved(HOLDING, 4, None, 1)),
        (SIEMENS, "DBX8.0", Resolved(HOLDING, 4, 8, 1)),
        (SIEMENS, "DBX9.7", Resolved(HOLDING, 4, 7, 1)),
        (SIEMENS, "DBD16", Resolved(HOLDING, 8, None, 2)),
        (SIEMENS, "DBB8", Resolved(HOLDING, 4, None, 1, True)),
        (SIEMENS, "DBB9", Resolved(HOLDING, 4, None, 1, False)),
        (TWO_KINDS, "T5", Resolved(HOLDING, 0xF005, None, 1)),
        (TWO_KINDS, "T5.3", Resolved(HOLDING, 0xF005, 3, 1)),
        (TWO_KINDS, "X1", Resolved(INPUT, 0x8001, None, 1)),
        (TWO_KINDS, "X1.3", Resolved(DISCRETE, 0x6013, None, 1)),
        (CODESYS, "%MW50", Resolved(HOLDING, 50, None, 1)),
        (CODESYS, "MW50.3", Resolved(HOLDING, 50, 3, 1)),
        (CODESYS, "MD50", Resolved(HOLDING, 100, None, 2)),
        (CODESYS, "MB100", Resolved(HOLDING, 50, None, 1, False)),
        (CODESYS, "%MB101", Resolved(HOLDING, 50, None, 1, True)),
        (CODESYS, "MX100.3", Resolved(HOLDING, 50, 3, 1)),
        (CODESYS, "MX101.3", Resolved(HOLDING, 50, 11, 1)),
        (CODESYS, "QX1.3", Resolved(COIL, 11, None, 1)),
        (AddressMap(), "holding:1000", Resolved(HOLDING, 1000, None, 1)),
        (AddressMap(), "holding:0x3E8.2", Resolved(HOLDING, 1000, 2, 1)),
        (AddressMap(), "input:5", Resolved(INPUT, 5, None, 1)),
        (AddressMap(), "coil:3", Resolved(COIL, 3, None, 1)),
        (AddressMap(), "discrete:7", Resolved(DISCRETE, 7, None, 1)),
        (AddressMap(), "4x1001", Resolved(HOLDING, 1000, None, 1)),
        (AddressMap(), "0x10", Resolved(COIL, 9, None, 1)),
        (AddressMap(), "40001", Resolved(HOLDING, 0, None, 1)),
        (AddressMap(), "400001", Resolved(HOLDING, 0, None, 1)),
        (AddressMap(), "4x00001", Resolved(HOLDING, 0, None, 1)),
        (AddressMap(), "40001.F", Resolved(HOLDING, 0, 15, 1)),
        (AddressMap(), "00001", Resolved(COIL, 0, None, 1)),
        (AddressMap(), "465536", Resolved(HOLDING, 65535, None, 1)),
        (AddressMap(), "10001", Resolved(DISCRETE, 0, None, 1)),
        (AddressMap(), "30010", Resolved(INPUT, 9, None, 1)),
    ],
)
def test_resolves(plc, text, expected):
    """Each notation of the vendors' manuals means exactly one protocol address."""
    assert plc.resolve(text) == expected


@pytest.mark.parametrize(
    ("plc", "text", "says"),
    [
        (INOVANCE, "D8000", "D0…D7999"),
        (INOVANCE, "X18", "unknown address"),  # 8 is no octal digit
        (INOVANCE, "W5", "X0…X1777"),
        (INOVANCE, "C300", "C200…C255"),
        (INOVANCE, "D1.16", "bit 0 … 15"),
        (INOVANCE, "D1.", "bit 0 … 15"),
        (INOVANCE, "M1.2", "no 16-bit register"),
        (INOVANCE, "C201.1", "no 16-bit register"),
        (DELTA_AS, "X1", "word.bit"),
        (SIEMENS, "DBW9", "even bytes"),
        (CODESYS, "SD8", "vendor's own"),
        (CODESYS, "%SD8.1", "vendor's own"),
        (CODESYS, "MX100.8", "0 … 7"),
        (TWO_KINDS, "T600", "T0…T511"),
        (SIEMENS, "DBX8.8", "0 … 7"),
        (AddressMap(), "40000", "count from 1"),
        (AddressMap(), "holding:65536", "0 to 65535"),
        (AddressMap(), "coil:1.2", "no bit number"),
        (AddressMap(), "", "unknown address"),
    ],
)
def test_refuses_in_both_languages(plc, text, says):
    """A wrong address names itself and what would have been right."""
    with pytest.raises(AddressError) as raised:
        plc.resolve(text)
    assert says in str(raised.value)
    assert raised.value.given == text
    assert text in raised.value.zh


def test_a_bit_is_asked_for_by_its_type():
    """The contact of a timer has the timer's name: a tag that is a bit means the contact."""
    assert TWO_KINDS.resolve("T5", is_bit=True) == Resolved(COIL, 0xF105, None, 1)
    assert INOVANCE.resolve("D5.1", is_bit=True) == Resolved(HOLDING, 5, 1, 1)


@pytest.mark.parametrize(
    ("plc", "base", "words", "address"),
    [
        (INOVANCE, "D1000", 8, 1008),
        (DELTA, "D4090", 8, 0x9002),
        (XINJE, "HD1000", 8, 42096),
        (SIEMENS, "DBW0", 8, 8),
        (CODESYS, "MW1000", 8, 1008),
        (CODESYS, "%MW1000", 8, 1008),
        (AddressMap(), "41001", 8, 1008),
        (AddressMap(), "holding:0x3E8", 8, 1008),
        (AddressMap(), "3x1", 8, 8),
    ],
)
def test_words_after_a_base(plc, base, words, address):
    """A block goes on in the vendor's numbering, whatever becomes of it on the wire."""
    assert plc.step(base, words).address == address


@pytest.mark.parametrize("base", ["M0", "D0.1", "C200", "W0"])
def test_base_is_a_word(base):
    """A block begins at a 16-bit word."""
    with pytest.raises(AddressError, match=base):
        INOVANCE.step(base, 1)


ALL = [INOVANCE, DELTA, XINJE, DELTA_AS, SIEMENS, CODESYS, TWO_KINDS]


@given(st.sampled_from(ALL), st.sampled_from(Table), st.integers(0, 65535))
def test_render_and_resolve_agree(plc, table, address):
    """What `check` prints can be pasted back into a site file."""
    resolved = plc.resolve(plc.render(table, address), table.is_bits)
    assert (resolved.table, resolved.address) == (table, address)


@given(
    st.sampled_from([INOVANCE, DELTA, XINJE, CODESYS, AddressMap((CODESYS.areas[3],))]),
    st.integers(0, 65535),
    st.integers(0, 15),
)
def test_render_of_bits(plc, address, bit):
    """Bits of registers come back as well."""
    if "C2" in plc.render(HOLDING, address):  # 32-bit counters have no bits
        return
    resolved = plc.resolve(plc.render(HOLDING, address, bit))
    assert (resolved.address, resolved.bit) == (address, bit)


def test_area_outside_the_table_is_refused():
    """A template that maps past address 65535, or says what cannot be, never loads."""
    with pytest.raises(ValueError, match="does not fit"):
        Area("D", HOLDING, 0, 10, 65530)
    with pytest.raises(ValueError, match="counted in bytes"):
        Area("D", HOLDING, 0, 10, 0, halves=True)
