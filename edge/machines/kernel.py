"""The ledger kernel under the rules of one machine: one place, so that a live run and a replay cannot differ.

`new_kernel` gives it the plan's numbers, `feed` one sample, with what the machine's own hours counters say then. Two
kinds of samples are not fed, change nothing, and leave the next one to be seen from the sample before: one in which
nothing could be read (bad readings are no readings: what the silence was is told by its end), and one that may come
from a PLC that began anew, as long as nothing confirms it.
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
        flush=((machine.flush_pieces, machine.flush_ns),) * len(machine.products),
        multipliers=tuple(p.pieces_per_count for p in machine.products),
        times=tuple((int(rule.bucket), rule.modulus, rule.unit_ns) for rule in machine.state_times),
    )


def feed(kernel: MachineLedger, observer: Observer, t_ns: int, elapsed_ns: int) -> Sample | None:
    """Sample the machine and push it. `elapsed_ns` since the last sample pushed, negative where it is not known.

    None: nothing was pushed. Raises what `MachineLedger.push` does.
    """
    sample = observer.sample(t_ns)
    if sample.doubtful or sample.is_empty:
        return None
    if noted := observer.read_times(t_ns):
        kernel.note_times(t_ns, noted, observer.time_values)
    kernel.push(t_ns, elapsed_ns, sample.bucket, sample.fault_code, sample.product, sample.mask, *sample.counters)
    return sample
