"""What an engineer writes lands on the right register; what the PLC does not have is refused with the ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.modbus.address import AddressError, AddressMap, Area, Resolved
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
SIEMENS = AddressMap(
    (
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
        (AddressMap(), "holding:1000", Resolved(HOLDING, 1000, None, 1)),
        (AddressMap(), "holding:0x3E8.2", Resolved(HOLDING, 1000, 2, 1)),
        (AddressMap(), "input:5", Resolved(INPUT, 5, None, 1)),
        (AddressMap(), "coil:3", Resolved(COIL, 3, None, 1)),
        (AddressMap(), "discrete:7", Resolved(DISCRETE, 7, None, 1)),
        (AddressMap(), "4x1001", Resolved(HOLDING, 1000, None, 1)),
        (AddressMap(), "0x10", Resolved(COIL, 9, None, 1)),
        (AddressMap(), "40001", Resolved(HOLDING, 0, None, 1)),
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


@given(st.sampled_from([INOVANCE, DELTA, XINJE, DELTA_AS, SIEMENS]), st.sampled_from(Table), st.integers(0, 65535))
def test_render_and_resolve_agree(plc, table, address):
    """What `check` prints can be pasted back into a site file."""
    resolved = plc.resolve(plc.render(table, address))
    assert (resolved.table, resolved.address) == (table, address)


@given(st.sampled_from([INOVANCE, DELTA, XINJE]), st.integers(0, 65535), st.integers(0, 15))
def test_render_of_bits(plc, address, bit):
    """Bits of registers come back as well."""
    if "C2" in plc.render(HOLDING, address):  # 32-bit counters have no bits
        return
    resolved = plc.resolve(plc.render(HOLDING, address, bit))
    assert (resolved.address, resolved.bit) == (address, bit)


def test_area_outside_the_table_is_refused():
    """A template that maps past address 65535 never loads."""
    with pytest.raises(ValueError, match="does not fit"):
        Area("D", HOLDING, 0, 10, 65530)
