"""The ledger kernel under the rules of one machine: one place, so that a live run and a replay cannot differ."""

from __future__ import annotations

from edge.plan import Machine
from ext.ledger import MachineLedger

DAY_NS = 86_400_000_000_000
APART_NS = 35 * DAY_NS  # samples further apart than this, either way, are not of one life


def new_kernel(machine: Machine) -> MachineLedger:
    """An empty ledger: hold time, counters and products as planned. It wants a calendar before its first sample."""
    return MachineLedger(
        machine.hold_ns,
        tuple(
            (int(c.counter), c.modulus, c.max_rate_per_s / c.multiplier, c.multiplier, c.slack_ns)
            for c in machine.counters
        ),
        tuple((p.ideal_cycle_ns, p.slow_ns, p.small_stop_ns, p.stop_ns) for p in machine.products),
    )
