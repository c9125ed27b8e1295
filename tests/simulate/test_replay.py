"""A simulator that was away and replays its journal shows the registers it would have shown."""

from __future__ import annotations

from fractions import Fraction

import pytest

from edge.simulate.journal import Entry
from edge.simulate.plant import Plant, Shifts
from edge.simulate.site import demo_site, plan_of

S = 1_000_000_000
T0 = 1_800_000_000 * S


@pytest.mark.parametrize("seed", [1, 7, 8696])
def test_one_look_after_a_handover_sees_the_same_registers_as_many_looks_during_it(seed):
    """The clear at shift change takes the pieces and rejects made by then, whether or not anybody looked meanwhile."""
    plan = plan_of(demo_site(12, protocols=("modbus",)))
    watched, replayed = (Plant(plan, seed, Fraction(20), T0, Shifts()) for _ in range(2))
    for plant in (watched, replayed):
        plant.apply(Entry("go", T0 + S, {}))
    end = T0 + 46 * S
    for now in range(T0, end, S // 7):
        watched.live(now)
    watched.live(end)
    replayed.live(end)
    assert any(machine.process.counters.resets for machine in watched.machines.values())
    for name, machine in watched.machines.items():
        assert machine.registers() == replayed.machines[name].registers(), name
        assert machine.truth(T0, end) == replayed.machines[name].truth(T0, end)
