"""Every ratio, as one division of integer sums. Pure functions of `Sums`; nothing here remembers, rounds or caps.

Theory. The sums form a waterfall in which every line closes to the nanosecond:

    all  − schedule loss →  PPT  − availability loss →  RT  − performance loss →  NRT  − quality loss →  FPT

with NRT = Σ ideal cycle · total count and FPT = Σ ideal cycle · good count, product by product. A ratio of two lines is
a figure. OEE is FPT / PPT and nothing else: multiplied from rounded or capped factors it would depend on where a stop
threshold is drawn.

Rules. None means undefined (0/0, or the machine cannot know it); 0.0 means measured zero. Performance above 1 is shown
as it is: the ideal cycle is then too slow, or run time was not observed, and capping would hide which. Sum first,
divide last: the figure of a day is the figure of the day's sums, never a mean of figures.

Sources: ISO 22400-2 (availability, effectiveness, quality ratio, OEE index, NEE index, setup ratio, technical
efficiency, scrap ratio) with two stated differences: minor stoppages are a performance loss here and a delay (ADET)
there, which moves loss between two factors and leaves OEE alone; OEE here is of the window and product, there of the
order.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.kpi.row import Sums
from ext.buckets import Bucket, Flag

COVERAGE_FLOOR_PERCENT = 95
SUSPECT_RUN_NS = 30 * 60 * 1_000_000_000  # performance above 1 means something only over half an hour of running
DERIVED_FLAGS = Flag.COVERAGE_LOW | Flag.ICT_SUSPECT  # they belong to one window and are judged anew for every sum


def _ratio(part: int, whole: int) -> float | None:
    """`part` / `whole`, correctly rounded once; None where it is undefined."""
    return part / whole if whole else None


# ---- the four figures everybody asks for -----------------------------------------------------------------------------


def oee(sums: Sums) -> float | None:
    """FPT / PPT. 0.0 for a planned shift that made nothing, None where nothing was planned."""
    return _ratio(sums.fpt_ns, sums.ppt_ns)


def availability(sums: Sums) -> float | None:
    """RT / PPT: the part of planned time that was seen running, so the lower bound (`availability_bounds`)."""
    return _ratio(sums.rt_ns, sums.ppt_ns)


def performance(sums: Sums) -> float | None:
    """NRT / RT, never capped. None where nothing ran."""
    return _ratio(sums.nrt_ns, sums.rt_ns)


def quality(sums: Sums) -> float | None:
    """FPT / NRT: good part of the output, weighed by ideal time, so that products may be mixed. None without output."""
    return _ratio(sums.fpt_ns, sums.nrt_ns)


# ---- what was not seen -----------------------------------------------------------------------------------------------


def coverage(sums: Sums) -> float | None:
    """The part of planned production time that was observed: 1 − unknown / PPT."""
    return _ratio(sums.ppt_ns - sums.unknown_ns, sums.ppt_ns)


def availability_bounds(sums: Sums) -> tuple[float, float] | None:
    """(RT / PPT, (RT + unknown) / PPT): availability if the machine stood, or ran, all the time nobody looked."""
    if not sums.ppt_ns:
        return None
    return sums.rt_ns / sums.ppt_ns, (sums.rt_ns + sums.unknown_ns) / sums.ppt_ns


def performance_bounds(sums: Sums) -> tuple[float | None, float | None]:
    """(NRT / (RT + unknown), NRT / RT): pieces recovered over unobserved time have no run time of their own."""
    return _ratio(sums.nrt_ns, sums.rt_ns + sums.unknown_ns), _ratio(sums.nrt_ns, sums.rt_ns)


# ---- the same output over more time ----------------------------------------------------------------------------------


def operating_ns(sums: Sums) -> int:
    """Shift time: PPT and the breaks taken out of it. Time outside shifts, produced in or not, is not in it."""
    return sums.all_ns - sums.stop_ns[Bucket.NOT_SCHEDULED] - sums.unscheduled_run_ns


def ooe(sums: Sums) -> float | None:
    """FPT / operating time: breaks count as loss."""
    return _ratio(sums.fpt_ns, operating_ns(sums))


def teep(sums: Sums) -> float | None:
    """All fully productive time / calendar time. Output outside shifts counts: it was made."""
    return _ratio(sums.fpt_ns + sums.unscheduled_fpt_ns, sums.all_ns)


def utilisation(sums: Sums) -> float | None:
    """PPT / calendar time. TEEP = OEE · utilisation where nothing was made outside shifts."""
    return _ratio(sums.ppt_ns, sums.all_ns)


# ---- ISO 22400-2, from machine data ----------------------------------------------------------------------------------


def setup_ns(sums: Sums) -> int:
    """Order-related setup, ns: setup and start-up (AUST)."""
    return sums.stop_ns[Bucket.SETUP] + sums.stop_ns[Bucket.STARTUP]


def nee(sums: Sums) -> float | None:
    """Net equipment effectiveness: (RT + setup) / PPT · NRT / RT · FPT / NRT. Setup is no loss. None where nothing ran.

    Meaningful where the machine reports setup (tier 3 and above); below, it equals OEE.
    """
    return _ratio((sums.rt_ns + setup_ns(sums)) * sums.fpt_ns, sums.ppt_ns * sums.rt_ns)


def setup_ratio(sums: Sums) -> float | None:
    """Setup / (RT + setup): AUST / AUPT."""
    return _ratio(setup_ns(sums), sums.rt_ns + setup_ns(sums))


_DELAY = (
    Bucket.BREAKDOWN,
    Bucket.INTERNAL_MINOR,
    Bucket.EXTERNAL_STARVED,
    Bucket.EXTERNAL_BLOCKED,
    Bucket.UNASSIGNED,
)


def technical_efficiency(sums: Sums) -> float | None:
    """RT / (RT + delay), APT / (APT + ADET): setup, people's work on the machine and lack of an order are no delay."""
    return _ratio(sums.rt_ns, sums.rt_ns + sum(sums.stop_ns[bucket] for bucket in _DELAY))


def scrap_ratio(sums: Sums) -> float | None:
    """SC / TC, in pieces."""
    return _ratio(sums.sc, sums.tc)


def piece_yield(sums: Sums) -> float | None:
    """GC / TC, in pieces; differs from `quality` where products of unlike cycle are mixed."""
    return _ratio(sums.gc, sums.tc)


# ---- the waterfall ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Losses:
    """The steps of the waterfall, ns. Their sum with `fpt_ns` is `all_ns`, exactly; a step may be negative."""

    all_ns: int
    schedule_ns: int  # not planned: outside shifts, breaks taken
    availability_ns: int  # stops, and what nobody observed
    performance_ns: int  # slow cycles, small stops, and the rest; negative where pieces came faster than the ideal
    quality_ns: int  # ideal time of pieces that were not good
    fpt_ns: int
    unknown_ns: int  # of availability_ns
    slow_ns: int  # of performance_ns
    small_ns: int  # of performance_ns

    @property
    def residual_ns(self) -> int:
        """Performance loss that is neither slow cycle nor small stop; shown, not hidden."""
        return self.performance_ns - self.slow_ns - self.small_ns


def losses(sums: Sums) -> Losses:
    """From calendar time down to fully productive time."""
    return Losses(
        all_ns=sums.all_ns,
        schedule_ns=sums.all_ns - sums.ppt_ns,
        availability_ns=sums.ppt_ns - sums.rt_ns,
        performance_ns=sums.rt_ns - sums.nrt_ns,
        quality_ns=sums.nrt_ns - sums.fpt_ns,
        fpt_ns=sums.fpt_ns,
        unknown_ns=sums.unknown_ns,
        slow_ns=sums.slow_ns,
        small_ns=sums.small_ns,
    )


# ---- doubts ----------------------------------------------------------------------------------------------------------


def doubts(sums: Sums) -> Flag:
    """The flags of this window: what happened in it, and what its own sums say.

    COVERAGE_LOW: less than 95 % of PPT was observed. ICT_SUSPECT: over half an hour of running, more ideal time was
    produced than could have run, unobserved time included.
    """
    flags = Flag(sums.flags) & ~DERIVED_FLAGS
    if (sums.ppt_ns - sums.unknown_ns) * 100 < sums.ppt_ns * COVERAGE_FLOOR_PERCENT:
        flags |= Flag.COVERAGE_LOW
    if sums.rt_ns >= SUSPECT_RUN_NS and sums.nrt_ns > sums.rt_ns + sums.unknown_ns:
        flags |= Flag.ICT_SUSPECT
    return flags
