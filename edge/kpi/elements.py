"""The elements ISO 22400-2 builds its figures from: its time model filled from our buckets, its quantities from our
counts, and what only people and other systems know. Pure.

Theory. The standard divides the calendar like this:

    calendar time of the window
    └ POT   planned operation: shifts
      ├ PDOT  planned down: breaks taken
      └ PBT   planned busy = our PPT
        ├ ADOT  no order is worked on: none there, people at the machine, a planned stop the machine reports
        └ AUBT  busy with an order
          ├ ADET  delay: the order waits for the machine, for material, for room
          └ AUPT  processing
            ├ AUST  setup and start-up
            └ APT   production = our RT

and so does `TIME_ELEMENTS`, one line per bucket. Every nanosecond of the window is in exactly one leaf; the identities
POT = PDOT + PBT, PBT = ADOT + AUBT, AUBT = ADET + AUPT, AUPT = AUST + APT close exactly, or the sums are refused.

Where we differ, or had to choose:
- Minor stops inside running time are delay (ADET) in the standard and a performance loss here, in effectiveness.
  `minor_stops_as_delay` gives the standard's view. OEE is the same in both.
- The standard knows no starvation. Waiting for material and a blocked outfeed are ADET here; the buckets stay apart.
- Time nobody observed cannot be claimed as busy: it is in ADOT, and `unknown_ns` says how much. APT, AUBT and the
  figures that grow with them are lower bounds by that much.
- The standard evaluates orders; we evaluate a window of one product. With orders come `Order`'s numbers.

Source: ISO 22400-2:2014, clause 5 (elements); the text is paid, its element definitions were read in the open ontology
made from ISO/DIS 22400-2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction
from math import exp, lgamma, sqrt

from edge.kpi.failures import FailureSums
from edge.kpi.row import Sums
from ext.buckets import Bucket, Flag


class Leaf(Enum):
    """The leaves of the time model."""

    APT = "APT"
    AUST = "AUST"
    ADET = "ADET"
    ADOT = "ADOT"
    PDOT = "PDOT"
    OUTSIDE = "–"  # outside planned operation time


@dataclass(frozen=True, slots=True)
class Lies:
    """Where the time of one bucket lies: inside planned busy time (PBT), and where the calendar took it out."""

    inside: Leaf
    outside: Leaf | None = None  # None: the calendar takes none of this bucket out


TIME_ELEMENTS: Mapping[Bucket, Lies] = {
    Bucket.RUN: Lies(Leaf.APT, Leaf.OUTSIDE),  # outside shifts: unscheduled production
    Bucket.BREAKDOWN: Lies(Leaf.ADET),
    Bucket.INTERNAL_MINOR: Lies(Leaf.ADET),
    Bucket.SETUP: Lies(Leaf.AUST),
    Bucket.STARTUP: Lies(Leaf.AUST),
    Bucket.EXTERNAL_STARVED: Lies(Leaf.ADET),
    Bucket.EXTERNAL_BLOCKED: Lies(Leaf.ADET),
    Bucket.NO_ORDER: Lies(Leaf.ADOT),
    Bucket.PLANNED_STOP: Lies(Leaf.ADOT, Leaf.PDOT),  # inside: the machine says so, the calendar does not
    Bucket.MAINTENANCE: Lies(Leaf.ADOT),
    Bucket.MANUAL: Lies(Leaf.ADOT),
    Bucket.UNASSIGNED: Lies(Leaf.ADET),
    Bucket.UNKNOWN: Lies(Leaf.ADOT),
    Bucket.NOT_SCHEDULED: Lies(Leaf.ADOT, Leaf.OUTSIDE),  # inside: as with PLANNED_STOP
}


# ---- what machines do not know ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """A production order: its execution time, and the busy and production time of all its work units, ns; pieces."""

    aoet_ns: int
    aubt_ns: int  # Σ over all units of the order
    apt_ns: int  # Σ over all units of the order
    psq: int | None = None  # planned scrap, None: not planned


@dataclass(frozen=True, slots=True)
class Personnel:
    """Work time on orders and attendance time, ns."""

    apwt_ns: int
    apat_ns: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """Parts known one by one: good at the first pass, inspected; and reworked pieces."""

    gp: int
    ip: int
    rq: int


@dataclass(frozen=True, slots=True)
class Samples:
    """Measured values of one characteristic in groups of equal size, with its limits, all in the same unit."""

    lsl: Fraction
    usl: Fraction
    groups: tuple[tuple[Fraction, ...], ...]

    @property
    def values(self) -> tuple[Fraction, ...]:
        """All values."""
        return tuple(value for group in self.groups for value in group)

    @property
    def mean(self) -> Fraction | None:
        """x̄ of all values, and x̿ of equal groups. None without values."""
        values = self.values
        return sum(values, Fraction()) / len(values) if values else None

    @property
    def deviation(self) -> float | None:
        """Deviation s of all values together, a float, for it is a root of `variance`. None below two values."""
        return deviation(self.values)

    @property
    def within(self) -> float | None:
        """σ̂: mean deviation of the groups / c₄(size), unbiased for normal values. None without two values a group.

        c₄(n) = √(2 / (n − 1)) · Γ(n / 2) / Γ((n − 1) / 2), ISO 7870-2. Raises ValueError for groups of unequal size.
        """
        sizes = {len(group) for group in self.groups}
        if len(sizes) > 1:
            raise ValueError(f"groups of one size are needed to estimate the dispersion, got sizes {sorted(sizes)}")
        found = [each for each in map(deviation, self.groups) if each is not None]
        if not found:
            return None
        n = sizes.pop()
        c4 = sqrt(2 / (n - 1)) * exp(lgamma(n / 2) - lgamma((n - 1) / 2))
        return sum(found) / len(found) / c4


def variance(values: tuple[Fraction, ...]) -> Fraction | None:
    """Σ(x − x̄)² / (n − 1), exact. None below two values."""
    if len(values) < 2:
        return None
    mean = sum(values, Fraction()) / len(values)
    return sum(((value - mean) ** 2 for value in values), Fraction()) / (len(values) - 1)


def deviation(values: tuple[Fraction, ...]) -> float | None:
    """Root of `variance`."""
    found = variance(values)
    return None if found is None else sqrt(found)


@dataclass(frozen=True, slots=True)
class Carrier:
    """One energy carrier: the amount used, and energy per unit of amount, Wh."""

    amount: Fraction
    wh_per_unit: Fraction


@dataclass(frozen=True, slots=True)
class Energy:
    """Σ Mᵢ · Rᵢ + Q: carriers, and other energy exchanged with the surroundings, Wh."""

    carriers: tuple[Carrier, ...]
    other_wh: Fraction = Fraction()

    @property
    def total_wh(self) -> Fraction:
        """All energy used, Wh."""
        return sum((each.amount * each.wh_per_unit for each in self.carriers), Fraction()) + self.other_wh


@dataclass(frozen=True, slots=True)
class Inventory:
    """Stock and material in one unit of measure: throughput and average stock, consumed material, and where it went."""

    throughput: Fraction
    average_inventory: Fraction
    cm: Fraction
    gq: Fraction  # good quantity, in the unit of the material
    igq: Fraction
    pl: Fraction
    stl: Fraction
    ol: Fraction


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Corrective and preventive maintenance time, waiting for people and parts included, ns."""

    cmt_ns: int
    pmt_ns: int


# ---- elements --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Elements:
    """Everything a figure may be made of, for one machine and window. Times in ns, quantities in pieces.

    None: nobody has told us. `epc` is what the equipment can make in this window (rated or maximum, as the plant says).
    """

    pot_ns: int
    pdot_ns: int
    pbt_ns: int
    adot_ns: int
    aubt_ns: int
    adet_ns: int
    aupt_ns: int
    aust_ns: int
    apt_ns: int
    pri_pq_ns: int  # Σ PRI · PQ, product by product = our NRT
    pri_gq_ns: int  # Σ PRI · GQ = our FPT
    pq: int
    gq: int
    sq: int
    quality_counted: bool  # False: no good or reject counter, every piece was taken as good
    minor_ns: int  # minor stops, of APT; or already moved to ADET
    unknown_ns: int  # of ADOT
    order: Order | None = None
    personnel: Personnel | None = None
    inspection: Inspection | None = None
    samples: Samples | None = None
    energy: Energy | None = None
    inventory: Inventory | None = None
    maintenance: Maintenance | None = None
    failures: FailureSums | None = None
    epc: Fraction | None = None
    first_pq: int | None = None  # pieces made by the first operation of the line


def elements(sums: Sums) -> Elements:
    """The elements of a window from its sums. Add what else is known with `dataclasses.replace`.

    Raises ValueError where the sums do not close: such a ledger has no figures.
    """
    inside = inside_pbt(sums)
    leaves = dict.fromkeys(Leaf, 0)
    for bucket, lies in TIME_ELEMENTS.items():
        leaves[lies.inside] += inside[bucket]
        if lies.outside is not None:
            leaves[lies.outside] += sums.stop_ns[bucket] - inside[bucket]
    aupt_ns = leaves[Leaf.APT] + leaves[Leaf.AUST]
    aubt_ns = aupt_ns + leaves[Leaf.ADET]
    pbt_ns = aubt_ns + leaves[Leaf.ADOT]
    return Elements(
        pot_ns=pbt_ns + leaves[Leaf.PDOT],
        pdot_ns=leaves[Leaf.PDOT],
        pbt_ns=pbt_ns,
        adot_ns=leaves[Leaf.ADOT],
        aubt_ns=aubt_ns,
        adet_ns=leaves[Leaf.ADET],
        aupt_ns=aupt_ns,
        aust_ns=leaves[Leaf.AUST],
        apt_ns=leaves[Leaf.APT],
        pri_pq_ns=sums.nrt_ns,
        pri_gq_ns=sums.fpt_ns,
        pq=sums.tc,
        gq=sums.gc,
        sq=sums.sc,
        quality_counted=not sums.flags & Flag.QUALITY_ASSUMED,
        minor_ns=sums.small_ns,
        unknown_ns=sums.unknown_ns,
    )


def inside_pbt(sums: Sums) -> tuple[int, ...]:
    """The part of each bucket that lies inside planned production time, ns, indexed by `Bucket`.

    Only the calendar takes time out, and it books it as PLANNED_STOP, as NOT_SCHEDULED, or, where the machine ran
    outside its shifts, as RUN; so what PPT holds beyond the other buckets is planned stops the machine itself reported.
    Raises ValueError where the sums do not close.
    """
    inside = list(sums.stop_ns)
    inside[Bucket.RUN] = sums.rt_ns
    inside[Bucket.PLANNED_STOP] = inside[Bucket.NOT_SCHEDULED] = 0
    reported_ns = sums.ppt_ns - sum(inside)
    inside[Bucket.PLANNED_STOP] = min(reported_ns, sums.stop_ns[Bucket.PLANNED_STOP])
    inside[Bucket.NOT_SCHEDULED] = reported_ns - inside[Bucket.PLANNED_STOP]
    closes = (
        sums.all_ns == sum(sums.stop_ns)
        and sums.stop_ns[Bucket.RUN] == sums.rt_ns + sums.unscheduled_run_ns
        and reported_ns >= 0
        and inside[Bucket.NOT_SCHEDULED] <= sums.stop_ns[Bucket.NOT_SCHEDULED]
    )
    if not closes:
        raise ValueError(
            f"these sums do not close: all {sums.all_ns}, PPT {sums.ppt_ns}, RT {sums.rt_ns}, unscheduled run "
            f"{sums.unscheduled_run_ns}, buckets {sums.stop_ns} (ns); the ledger row is damaged or was made by hand"
        )
    return tuple(inside)


def minor_stops_as_delay(found: Elements) -> Elements:
    """The standard's view: minor stops leave APT for ADET. AUBT, PBT and OEE stay what they are.

    A minor stop is booked where it ended; in a window cut so short that less was run than that, all of the run moves.
    """
    moved_ns = min(found.minor_ns, found.apt_ns)
    return replace(
        found,
        apt_ns=found.apt_ns - moved_ns,
        aupt_ns=found.aupt_ns - moved_ns,
        adet_ns=found.adet_ns + moved_ns,
        minor_ns=0,
    )
