"""Signals that the readings never give, taken as what the machine does not have.

Theory. Live, a signal of the template that is never read is a fault of the wiring or of the site file, and what only it
could tell is unknown: with `fault` unread, a run bit of 0 does not mean "stopped", because it might be a breakdown. A
file from elsewhere that never names `fault` comes from a machine without one.

Rules. It is the machine that the site file would give with these signals set to `null`: state rules that ask for them
are gone, counters that read them too, and with them what they could tell (capabilities, tier). Where no output counter
is given there is still a ledger, of time, and no figure that asks for pieces. What an agent recorded is replayed as it
lived: there a signal nobody could read is a fact.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from edge.config.tiers import ORDER, capabilities_of, tier_of
from edge.plan import Capability, Machine
from ext.buckets import Counter


def without(machine: Machine, absent: Collection[int]) -> Machine:
    """The machine without the signals of these indices; the indices of all others stay."""
    if not absent:
        return machine
    given = tuple(rule for rule in machine.counters if rule.signal not in absent)
    has_output = any(rule.counter in (Counter.TOTAL, Counter.GOOD) for rule in given)
    states = tuple(rule for rule in machine.states if not any(c.signal in absent for c in rule.when))
    times = tuple(time for time in machine.state_times if time.signal not in absent)
    known_product = machine.product_signal is None or machine.product_signal not in absent
    fault_code = machine.fault_code_signal if machine.fault_code_signal not in absent else None
    names = [signal.name for index, signal in enumerate(machine.signals) if index not in absent]
    capabilities = capabilities_of(
        [*names, *(value.name for value in machine.process_values)],
        states,
        given,
        fault_code=fault_code is not None,
        faults=machine.faults,
        product=Capability.PRODUCT in machine.capabilities and known_product,
        order=any(machine.signals[c.signal].name == ORDER for rule in states for c in rule.when),
        state_times=times,
    )
    return replace(
        machine,
        states=states,
        counters=given if has_output else machine.counters,
        state_times=times,
        epochs=tuple(epoch for epoch in machine.epochs if epoch.signal not in absent),
        together=tuple(index for index in machine.together if index not in absent),
        hold_while=machine.hold_while if not any(c.signal in absent for c in machine.hold_while) else (),
        product_signal=machine.product_signal if known_product else None,
        fault_code_signal=fault_code,
        capabilities=capabilities,
        tier=tier_of(capabilities),
    )
