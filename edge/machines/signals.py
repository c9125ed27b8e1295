"""Which of a machine's signals move its ledger: what a recording keeps and a replay takes, and nothing else."""

from __future__ import annotations

from edge.plan import Machine


def used_signals(machine: Machine) -> frozenset[int]:
    """Indices of the signals that can move the ledger: states and what makes them stale, counters, product, fault code,
    what proves a restart, the machine's own state times.
    """
    named = {condition.signal for rule in machine.states for condition in rule.when}
    named |= {condition.signal for condition in machine.hold_while}
    named |= {rule.signal for rules in (machine.counters, machine.epochs, machine.state_times) for rule in rules}
    named |= set(machine.together)
    return frozenset(named | {i for i in (machine.product_signal, machine.fault_code_signal) if i is not None})
