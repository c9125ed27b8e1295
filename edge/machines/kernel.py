"""The ledger kernel under the rules of one machine: one place, so that a live run and a replay cannot differ.

`new_kernel` gives it the plan's numbers, `feed` one sample. A sample that may come from a PLC that began anew, before
anything confirms it, is not fed: it changes nothing, and the next one is seen from the sample before.
"""

from __future__ import annotations

from edge.machines.observer import Observer, Sample
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


def feed(kernel: MachineLedger, observer: Observer, t_ns: int, elapsed_ns: int) -> Sample | None:
    """Sample the machine and push it. `elapsed_ns` since the last sample pushed, negative where it is not known.

    None: nothing was pushed. Raises what `MachineLedger.push` does.
    """
    sample = observer.sample(t_ns)
    if sample.doubtful:
        return None
    kernel.push(t_ns, elapsed_ns, sample.bucket, sample.fault_code, sample.product, sample.mask, *sample.counters)
    return sample
