"""What a machine can tell, from its compiled rules and counters; and its tier, from that. Pure.

Theory. A capability is not a name in a tag list: it is a place that time or pieces can really be booked to. A rule that
leads to BREAKDOWN can tell a breakdown, whatever the signal behind it is called; a rule on a signal the site switched
off is gone, and with it what only it could tell. The tier is the highest row of `TIERS` up to which every row is met:

    T0  counts                    output, rate, OEE; run and stop as counts prove them
    T1  + running or not          availability and performance apart
    T2  + quality, breakdowns     the full OEE, scrap, MTBF and MTTR
    T3  + neighbours, product,    losses of others apart from its own; setup or maintenance; cycle by product
          setup or maintenance
    T4  + its own state times     gaps repaired by the machine itself, or orders told from idling
          or orders

A capability may be there above the tier (a counter of rejects without a run bit): figures ask for capabilities.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from edge.plan import Capability, CounterRule, FaultText, StateRule, StateTime
from ext.buckets import Bucket, Counter

TIERS: tuple[tuple[frozenset[Capability], ...], ...] = (  # T1 …; one of every group must be there
    (frozenset({Capability.STATE}),),
    (frozenset({Capability.QUALITY}), frozenset({Capability.FAULT})),
    (
        frozenset({Capability.EXTERNAL}),
        frozenset({Capability.PRODUCT}),
        frozenset({Capability.SETUP, Capability.MAINTENANCE}),
    ),
    (frozenset({Capability.ACCUMULATORS, Capability.ORDER}),),
)
SUSPENDED = "suspended"  # PackML: stopped by a neighbour, whether or not it is known by which (TR88.00.02)
SPEED = frozenset({"speed", "speed_set"})
ORDER = "order"
_COUNTED_QUALITY = 2  # of total, good and reject; the third follows
_REPAIRING_TIMES = 3  # buckets with a time of their own: run and fault alone prove their part of a gap, not the rest
_BOTH = {Bucket.EXTERNAL_STARVED, Bucket.EXTERNAL_BLOCKED}
_REACHED = {
    Bucket.RUN: Capability.STATE,
    Bucket.BREAKDOWN: Capability.FAULT,
    Bucket.SETUP: Capability.SETUP,
    Bucket.MAINTENANCE: Capability.MAINTENANCE,
    Bucket.NO_ORDER: Capability.IDLE,
}


def tier_of(capabilities: Collection[Capability]) -> int:
    """0 … 4. Every row needs all rows before it."""
    tier = 0
    for groups in TIERS:
        if not all(group & set(capabilities) for group in groups):
            break
        tier += 1
    return tier


def missing(capabilities: Collection[Capability]) -> tuple[tuple[Capability, ...], ...]:
    """What the next tier asks for: one of each group would do. Empty at the top."""
    tier = tier_of(capabilities)
    if tier == len(TIERS):
        return ()
    groups = (group for group in TIERS[tier] if not group & set(capabilities))
    return tuple(tuple(c for c in Capability if c in group) for group in groups)


def capabilities_of(
    signals: Collection[str],
    states: Iterable[StateRule],
    counters: Iterable[CounterRule],
    *,
    fault_code: bool = False,
    faults: Iterable[FaultText] = (),
    product: bool = False,
    order: bool = False,
    state_times: Iterable[StateTime] = (),
) -> frozenset[Capability]:
    """What can be told. `signals`: names of all tags that are read; `product`: the recipe is read, or is always the
    same; `order`: a state rule asks whether an order is registered.
    """
    rules = tuple(states)
    reached = {rule.bucket for rule in rules}
    if fault_code:  # a code explains a stop that was told from running by a rule
        reached |= {fault.bucket for fault in faults if fault.bucket is not None}
    counted = {rule.counter for rule in counters}
    told = {capability for bucket, capability in _REACHED.items() if bucket in reached}
    if reached >= _BOTH or any(rule.state == SUSPENDED for rule in rules):
        told.add(Capability.EXTERNAL)
    if counted & {Counter.TOTAL, Counter.GOOD}:
        told.add(Capability.COUNT)
    if len(counted) >= _COUNTED_QUALITY:
        told.add(Capability.QUALITY)
    said = {
        Capability.FAULT_CODE: fault_code,
        Capability.PRODUCT: product,
        Capability.SPEED: set(signals) >= SPEED,
        Capability.ORDER: order,
        Capability.ACCUMULATORS: len({time.bucket for time in state_times}) >= _REPAIRING_TIMES,
    }
    return frozenset(told | {capability for capability, is_so in said.items() if is_so})
