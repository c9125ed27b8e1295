"""A figure as people read it: the value with its bounds, and the division it is. Pure.

Numbers are whole thousands apart; times, which are ns in the ledger, are said in seconds. A number is taken as a time
from 10⁹ on: no shift makes that many pieces, and time below a second is no figure's.
"""

from __future__ import annotations

from fractions import Fraction

from edge.kpi.figure import NS_PER_S, Figure, Number

_NS2 = NS_PER_S * NS_PER_S


def value_text(found: Figure, unit: str) -> str:
    """The value, with its bounds where they differ; "–" for none."""
    if found.value is None:
        return "–"
    if found.low is None or found.high is None or found.low == found.high:
        return _value(found.value, unit)
    return f"{_value(found.value, unit)} ({_value(found.low, unit)} … {_value(found.high, unit)})"


def division_text(found: Figure) -> str:
    """Numerator / denominator, times in seconds; "" for a plain count."""
    if found.numerator is None or found.denominator is None or found.denominator == 1:
        return ""
    return f"{number_text(found.numerator)} / {number_text(found.denominator)}"


def number_text(number: Number) -> str:
    """Pieces as they are; ns (any number from 10⁹ on) in seconds, a product of two times in s²."""
    if isinstance(number, float):
        return f"{number:.4f}"
    exact = Fraction(number)
    if abs(exact) >= _NS2:
        return f"{_decimal(exact / _NS2)} s²"
    if abs(exact) >= NS_PER_S:
        return f"{_decimal(exact / NS_PER_S)} s"
    return _decimal(exact)


def _value(value: float, unit: str) -> str:
    if unit == "1":
        return f"{value:.2%}".replace("%", " %") if abs(value) < 1.3 else f"{value:.3f}"
    return f"{_decimal(Fraction(value))} {unit}"


def _decimal(number: Fraction) -> str:
    """Thousands apart, three decimals where it is not whole."""
    text = f"{int(number):,}" if number.denominator == 1 else f"{float(number):,.3f}"
    return text.replace(",", " ")
