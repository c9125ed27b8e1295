"""How fast a counter may count, in exact numbers: the bounds of the decoder are integer arithmetic on every processor.

A rate is given as pieces-per-second arithmetic left it, 16.666666666666668 counts a second say. What was meant is
50/3: the nearest ratio with a small denominator. With it, 1 200 a minute over one second is 20 counts, never
20.000000000000004, and no bound is rounded up by a count that does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

NS_PER_S = 1_000_000_000
DAY_NS = 86_400 * NS_PER_S
FASTEST = 1e9  # counts a second
COARSEST = 10**6  # denominator of a rate that was written down or computed from one
FINEST = 10**9  # after a multiplier was divided out
FOREVER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `rate` counts in `scale_ns`; all around the register in `wrap_ns`."""

    modulus: int
    multiplier: int  # pieces per count
    rate: int
    scale_ns: int
    wrap_ns: int  # the shortest time that may have hidden a whole turn
    slack_ns: int


def pace(modulus: int, rate_per_s: float, multiplier: int = 1, slack_ns: int = 0, of_product: int = 0) -> Pace:
    """The rule of one counter. of_product: pieces per count with one product, 0 = `multiplier`: the bound in pieces
    stays what it is, so the bound in counts follows.

    Raises ValueError for a rule that cannot describe a counter.
    """
    if modulus < 2 or modulus > FOREVER:
        raise ValueError(f"modulus must be at least 2 and fit 63 bits, got {modulus}")
    if not 0.0 < rate_per_s < FASTEST:
        raise ValueError(f"rate_per_s must be positive and below {FASTEST:g}, got {rate_per_s}")
    if multiplier < 1 or of_product < 0:
        raise ValueError(f"multiplier must be positive, got {multiplier}, {of_product}")
    if not 0 <= slack_ns <= DAY_NS:
        raise ValueError(f"slack_ns must be between 0 and a day, got {slack_ns}")
    exact = Fraction(rate_per_s).limit_denominator(COARSEST) or Fraction(1, COARSEST)
    pieces = of_product or multiplier
    counts = (exact * multiplier / pieces).limit_denominator(FINEST) or Fraction(1, FINEST)
    if counts >= FASTEST:
        raise ValueError(f"rate_per_s must be below {FASTEST:g} counts a second, got {counts}")
    scale_ns = counts.denominator * NS_PER_S
    wrap_ns = -(-modulus * scale_ns // counts.numerator)
    return Pace(modulus, pieces, counts.numerator, scale_ns, min(wrap_ns, FOREVER), slack_ns)
