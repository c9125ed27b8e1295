"""What a person types is understood as a display shows it: rounded, cut, with commas, in both languages."""

import pytest

from edge.probe.shown import ShownError, parse_shown
from protocols.modbus.tags import DataType


@pytest.mark.parametrize(
    ("typed", "inside", "outside"),
    [
        ("36.5", (36.45, 36.5, 36.59), (36.4, 36.6)),
        ("-36.5", (-36.55, -36.5, -36.59), (-36.4, -36.6)),
        ("1234", (1234, 1234.0, 1234.9, 1233.6), (1233, 1235, 1235.0)),
        ("1,234,567", (1234567,), (1234568,)),
        ("1 234", (1234,), (1,)),
        ("398~3", (395, 401, 398.2), (394, 402)),
        ("1.5e3", (1500.0,), (1600.0,)),
        ("0", (0, 0.4), (1,)),
        (str(2**62 + 1), (2**62 + 1,), (2**62, 2**62 + 2)),
    ],
)
def test_numbers(typed, inside, outside) -> None:
    """A whole number is exact for whole registers; digits behind the point may have been rounded or cut."""
    shown = parse_shown(typed, DataType.U32)
    assert all(shown.holds(number) for number in inside)
    assert not any(shown.holds(number) for number in outside)


def test_bits_and_texts() -> None:
    """on, off and their Chinese; a text is itself."""
    assert [parse_shown(t, DataType.BOOL).whole for t in ("on", "OFF", "1", "开", "灭")] == [1, 0, 1, 1, 0]
    assert parse_shown(" LOT-7 ", DataType.STRING).text == "LOT-7"


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ("", DataType.U16),
        ("abc", DataType.U16),
        ("5~x", DataType.U16),
        ("5~-1", DataType.U16),
        ("2", DataType.BOOL),
        (".", DataType.F32),
    ],
)
def test_nonsense_is_told(typed, kind) -> None:
    """With an example of what is understood."""
    with pytest.raises(ShownError) as error:
        parse_shown(typed, kind)
    assert error.value.text.zh
    assert error.value.text.en
