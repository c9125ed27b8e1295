"""What a machine's signals must tell for a figure, and why it is empty where they do not. Pure.

A figure asks for capabilities (`edge.plan.Capability`), not for a tier: a machine with a counter for rejects and no run
signal has an honest quality and no availability. The tier is the usual name of a set of capabilities, for people.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge.kpi.figure import Why
from edge.plan import Capability, Machine

Means = frozenset[Capability]

NOTHING: Means = frozenset()
EVERYTHING: Means = frozenset(Capability)
_WHY = {
    Capability.COUNT: Why.NO_COUNTER,
    Capability.STATE: Why.NEEDS_TIER_1,
    Capability.QUALITY: Why.NO_REJECT_COUNTER,
    Capability.FAULT: Why.NEEDS_TIER_2,
    Capability.EXTERNAL: Why.NEEDS_CAUSES,
    Capability.SETUP: Why.NEEDS_SETUP,
    Capability.MAINTENANCE: Why.NEEDS_MAINTENANCE_MODE,
    Capability.IDLE: Why.NEEDS_IDLE,
}
_TIERS: tuple[Means, ...] = (
    frozenset({Capability.COUNT}),
    frozenset({Capability.STATE}),
    frozenset({Capability.QUALITY, Capability.FAULT}),
    frozenset({Capability.EXTERNAL, Capability.PRODUCT, Capability.SETUP, Capability.MAINTENANCE, Capability.IDLE}),
    frozenset({Capability.ACCUMULATORS, Capability.ORDER}),
)
TOP_TIER = len(_TIERS) - 1


def of_tier(tier: int) -> Means:
    """What a machine of this tier (0 … 4) usually has. Raises ValueError for another number."""
    if not 0 <= tier <= TOP_TIER:
        raise ValueError(f"a signal tier is 0 … {TOP_TIER}, got {tier}")
    return frozenset().union(*_TIERS[: tier + 1])


def tier_of(needed: Means) -> int:
    """The lowest tier that usually has all of it."""
    return next(tier for tier in range(TOP_TIER + 1) if needed <= of_tier(tier))


def of_machine(machine: Machine) -> Means:
    """As the plan says; for a machine made by hand without a word about it, what its tier usually has."""
    return machine.capabilities or of_tier(machine.tier)


def missing(needed: Means, means: Means) -> Why | None:
    """Why a figure that needs `needed` is empty; None where nothing is missing. The most basic is named first."""
    if needed <= means:
        return None
    return next(why for one, why in _WHY.items() if one in needed and one not in means)


def common(several: Iterable[Means]) -> Means:
    """What can be said of several machines together: what can be said of each."""
    return EVERYTHING.intersection(*several)
