"""Required against available: the arithmetic of an automotive capacity analysis, process by process. Pure, exact.

    G = days · shifts · (hours − non-production) · allocation      net available hours a week
    N = K / (L · M)                                                net ideal cycle, s
    P = 3600 · G / N                                               pieces a week at 100 % OEE
    J                                                              good pieces a week this process must deliver
    Q = J / P                                                      required OEE
    T = (P − J / (1 − H) − J · R − 60 · G1 · G2 / N) / P           share left for stops and slow cycles

H scrap, R rework (shares of pieces), G1 minutes a changeover, G2 changeovers a week. Up the line each process must make
what the next one scraps: J_i = J_(i+1) / (1 − H_(i+1)). Where T is below the share that demonstrated stops and slow
cycles take, the process cannot deliver J.

The letters are those of the capacity analysis reports that car makers ask of suppliers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Pattern:
    """When a process works for this customer."""

    days_per_week: Fraction
    shifts_per_day: Fraction
    hours_per_shift: Fraction
    non_production_h: Fraction = Fraction()  # of each shift
    allocation: Fraction = Fraction(1)  # share of the equipment's time

    @property
    def available_h(self) -> Fraction:
        """G, hours a week."""
        hours = self.hours_per_shift - self.non_production_h
        return self.days_per_week * self.shifts_per_day * hours * self.allocation


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the value stream."""

    pattern: Pattern
    cycle_s: Fraction  # K
    tools: int = 1  # L
    parts_per_cycle: int = 1  # M
    scrap: Fraction = Fraction()  # H
    rework: Fraction = Fraction()  # R
    changeover_min: Fraction = Fraction()  # G1
    changeovers_per_week: Fraction = Fraction()  # G2

    @property
    def net_cycle_s(self) -> Fraction:
        """N, seconds a piece."""
        return self.cycle_s / (self.tools * self.parts_per_cycle)

    @property
    def potential(self) -> Fraction:
        """P, pieces a week at 100 % OEE."""
        return 3600 * self.pattern.available_h / self.net_cycle_s

    def required_oee(self, good: Fraction) -> Fraction:
        """Q for J = `good` pieces a week."""
        return good / self.potential

    def slack(self, good: Fraction) -> Fraction:
        """T for J = `good` pieces a week; negative where they do not fit even without a single stop."""
        changeovers = 60 * self.changeover_min * self.changeovers_per_week / self.net_cycle_s
        needed = good / (1 - self.scrap) + good * self.rework + changeovers
        return (self.potential - needed) / self.potential


def required_good(stream: Sequence[Process], demand: Fraction) -> list[Fraction]:
    """J of each process in the order of flow, for `demand` good pieces a week at the end."""
    needed: list[Fraction] = []
    for process in reversed(stream):
        needed.append(demand)
        demand /= 1 - process.scrap
    return needed[::-1]
