"""What a person reads off the HMI, as typed: `12345`, `36.5`, `1,234`, `398~3` (give or take 3), `on`, a text.

A display shows a rounded or a cut number, so what it says is an interval: 36.5 may be anything from 36.45 up to, but
not including, 36.6. A whole number of a register that holds whole numbers is just that number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from edge.errors import Text
from protocols.modbus.tags import DataType

_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,3}(?:[ ,'_][0-9]{3})+|[0-9]+)?(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_ON = frozenset({"1", "on", "true", "yes", "开", "通", "亮", "是", "有"})
_OFF = frozenset({"0", "off", "false", "no", "关", "断", "灭", "否", "无"})


class ShownError(ValueError):
    """What was typed is no reading of such a tag; says what is."""

    def __init__(self, zh: str, en: str) -> None:
        self.text = Text(zh, en)
        super().__init__(en)


@dataclass(frozen=True, slots=True)
class Shown:
    """A reading: a number between `low` and `high`, or a text. A bit is the number 0 or 1."""

    typed: str
    number: float = 0.0  # as typed
    low: float = 0.0
    high: float = 0.0
    whole: int | None = None  # the number itself, where it is whole and exact to the last digit
    tolerance: float = 0.0  # as the person gave it
    text: str | None = None

    def holds(self, number: float) -> bool:
        """Whether a display of `number` may look like this."""
        if self.whole is not None and isinstance(number, int):
            return abs(number - self.whole) <= self.tolerance
        return self.low - self.tolerance <= number <= self.high + self.tolerance


def parse_shown(typed: str, kind: DataType) -> Shown:
    """What a person typed about a tag of that type. Raises ShownError."""
    given = typed.strip()
    if kind is DataType.STRING:
        return Shown(given, text=given)
    if kind is DataType.BOOL:
        return _bit(given)
    body, tilde, slack = given.partition("~")
    number, tolerance = _number(body), _number(slack) if tilde else Decimal(0)
    if number is None or tolerance is None or tolerance < 0:
        zh = f"{typed!r} 不是数值；例如 12345、36.5、398~3（上下 3 以内）"
        raise ShownError(zh, f"{typed!r} is no number; write 12345, 36.5, or 398~3 (give or take 3)")
    exponent = number.as_tuple().exponent
    unit = Decimal(1).scaleb(min(int(exponent), 0))
    whole = int(number) if unit == 1 and number == number.to_integral_value() else None
    rounded, cut = number - unit / 2, number + unit * Decimal("0.999999")
    if number < 0:
        rounded, cut = number - unit * Decimal("0.999999"), number + unit / 2
    return Shown(given, float(number), float(rounded), float(cut), whole, float(tolerance))


def _bit(given: str) -> Shown:
    word = given.casefold()
    if word not in _ON | _OFF:
        zh = f"{given!r} 不是位的状态；写 on 或 off（1、0，开、关）"
        raise ShownError(zh, f"{given!r} is no state of a bit; write on or off (1, 0)")
    state = int(word in _ON)
    return Shown(given, state, state, state, state)


def _number(text: str) -> Decimal | None:
    body = text.strip().replace("，", ",").replace("−", "-")
    if not body or not _NUMBER.fullmatch(body) or not any(c.isdigit() for c in body):
        return None
    return Decimal(re.sub(r"[ ,'_]", "", body))
