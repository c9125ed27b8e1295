"""Which of a machine's signals move its ledger: what a recording keeps and a replay takes, and nothing else."""

from __future__ import annotations

from edge.plan import Machine


def used_signals(machine: Machine) -> frozenset[int]:
    """Indices of the signals that can move the ledger: states, counters, product, fault code."""
    named = {condition.signal for rule in machine.states for condition in rule.when}
    named |= {rule.signal for rule in machine.counters}
    return frozenset(named | {i for i in (machine.product_signal, machine.fault_code_signal) if i is not None})
