"""What is known of one machine and one window, for figures to be made of. Pure.

The sums of the ledger are enough for most figures. The rest needs more: which signals the machine has, the ideal cycle
of each product, failures (whose repair may end in another window), the record of minutes, what the plan and the
delivery expect. `None` is nobody's knowledge, and the figures that need it say so.

Evidence adds up, like sums: `together` is the evidence of a line of machines, of a site of lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property

from edge.kpi.capacity import Demonstrated
from edge.kpi.elements import Elements, elements
from edge.kpi.failures import FailureSums
from edge.kpi.means import EVERYTHING, Means, common, of_machine
from edge.kpi.product import product_at
from edge.kpi.row import Row, Sums
from edge.kpi.six_losses import SixLosses, six_losses
from edge.plan import Machine
from ext.buckets import Flag

IN_DOUBT = Flag.AMBIGUOUS | Flag.COUNTER_FAULT  # a count was a guess: nobody can say by how much


@dataclass(frozen=True, slots=True)
class Part:
    """The share of one product (of one machine) in the sums."""

    ideal_cycle_ns: int
    sums: Sums


@dataclass(frozen=True, slots=True)
class Plan:
    """What is expected of a machine, where the site says so."""

    oee_target: float | None = None  # of planned time, in (0, 1]
    demand_per_h: float | None = None  # good pieces the delivery needs per hour of planned time
    rated_per_min: float | None = None  # what the equipment is rated for, pieces a minute


@dataclass(frozen=True)
class Evidence:
    """Everything a figure may be made of. `sums` = Σ parts."""

    sums: Sums
    means: Means = EVERYTHING
    parts: Sequence[Part] = ()
    failures: FailureSums | None = None
    startup_rejects_ns: int | None = None  # ideal time of rejects while starting up
    plan: Plan = Plan()
    demonstrated: Mapping[int, Demonstrated | None] | None = None  # by length, ns; None: no record of minutes
    fastest: Demonstrated | None = None  # best half hour of the product made most
    outside: Elements | None = field(default=None)  # orders, people, inspection, energy, material: not from machines

    @cached_property
    def elements(self) -> Elements | None:
        """Of ISO 22400-2. None where the sums do not close: such a ledger has no figures."""
        try:
            found = elements(self.sums)
        except ValueError:
            return None
        found = replace(found, failures=self.failures, epc=self.epc)
        if self.outside is None:
            return found
        told = {name: getattr(self.outside, name) for name in _OUTSIDE}
        return replace(found, **told)

    @cached_property
    def losses(self) -> SixLosses | None:
        """The account of planned time. None where the sums do not close."""
        return None if self.elements is None else six_losses(self.sums, self.startup_rejects_ns or 0)

    @property
    def epc(self) -> Fraction | None:
        """Pieces the equipment is rated for in this planned time."""
        rated = self.plan.rated_per_min
        return None if rated is None else Fraction(str(rated)) * self.sums.ppt_ns / NS_PER_MINUTE

    @property
    def hidden_ns(self) -> int:
        """Ideal time of the pieces that counter resets may have hidden, at most."""
        return sum(part.sums.lost_max * part.ideal_cycle_ns for part in self.parts)

    @property
    def in_doubt(self) -> bool:
        """A count in this window was a guess."""
        return bool(self.sums.flags & IN_DOUBT)


NS_PER_MINUTE = 60_000_000_000


def of_rows(rows: Iterable[Row], machine: Machine, failures: FailureSums | None = None) -> Evidence:
    """What rows of one machine tell, each of one product, by the ideal cycle that held at its start. `failures`: those
    that began in their time.
    """
    whole, parts = Sums(), []
    for row in rows:
        whole.add(row.sums)
        product = product_at(machine.products, row.key.product, row.key.start_ns)
        if product is not None:
            parts.append(Part(product.ideal_cycle_ns, row.sums))
    plan = Plan(machine.oee_target, machine.demand_per_h, machine.rated_per_min)
    return Evidence(whole, of_machine(machine), parts, failures, plan=plan)


_OUTSIDE = ("order", "personnel", "inspection", "samples", "energy", "inventory", "maintenance", "first_pq")


def together(several: Sequence[Evidence]) -> Evidence:
    """Machines of a line, lines of a site: sums add up, and only what can be said of each can be said of all.

    Associative and commutative but for the order of `parts`, which no figure sees; together with nothing, the same.
    """
    whole = Sums()
    for each in several:
        whole.add(each.sums)
    failures = [each.failures for each in several]
    rejects = [each.startup_rejects_ns for each in several]
    return Evidence(
        sums=whole,
        means=common(each.means for each in several),
        parts=[part for each in several for part in each.parts],
        failures=None if None in failures else sum((f for f in failures if f is not None), FailureSums()),
        startup_rejects_ns=None if None in rejects else sum(r for r in rejects if r is not None),
    )
