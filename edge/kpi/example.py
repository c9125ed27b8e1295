"""The running example: one shift of one machine with everything a figure may be made of. Pure.

The ledger is the shift OEE is taught with (480 min, 60 min of breaks, 47 min of stops, 60 a minute, 19 271 pieces, 423
of them rejected; vorne.com, "Calculate OEE": availability 88.81 %, performance 86.11 %, quality 97.80 %, OEE 74.79 %),
with its 47 minutes divided into stops of every kind. What machines do not know (orders, people, inspection, energy,
material) is made up beside it. The pages compute every figure of the table from it.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from edge.kpi.capacity import STRETCHES_NS, Demonstrated
from edge.kpi.elements import (
    Carrier,
    Energy,
    Inspection,
    Inventory,
    Maintenance,
    Order,
    Personnel,
    Samples,
    elements,
)
from edge.kpi.evidence import Evidence, Part, Plan
from edge.kpi.failures import FailureSums
from edge.kpi.figure import NS_PER_HOUR, NS_PER_S
from edge.kpi.figures import SUSPECT_RUN_NS
from edge.kpi.row import Sums
from ext.buckets import N_BUCKETS, Bucket, Flag

MINUTE_NS = 60 * NS_PER_S
IDEAL_CYCLE_NS = NS_PER_S

STOPS_MIN = {
    Bucket.BREAKDOWN: 18,
    Bucket.INTERNAL_MINOR: 3,
    Bucket.SETUP: 10,
    Bucket.STARTUP: 2,
    Bucket.EXTERNAL_STARVED: 4,
    Bucket.EXTERNAL_BLOCKED: 2,
    Bucket.NO_ORDER: 2,
    Bucket.MAINTENANCE: 2,
    Bucket.UNASSIGNED: 2,
    Bucket.UNKNOWN: 2,
}  # 47 min


def _sums() -> Sums:
    stop_ns = [0] * N_BUCKETS
    for bucket, minutes in {**STOPS_MIN, Bucket.RUN: 373, Bucket.PLANNED_STOP: 60}.items():
        stop_ns[bucket] = minutes * MINUTE_NS
    return Sums(
        all_ns=480 * MINUTE_NS,
        ppt_ns=420 * MINUTE_NS,
        rt_ns=373 * MINUTE_NS,
        nrt_ns=19_271 * IDEAL_CYCLE_NS,
        fpt_ns=18_848 * IDEAL_CYCLE_NS,
        unknown_ns=2 * MINUTE_NS,
        stop_ns=stop_ns,
        tc=19_271,
        gc=18_848,
        sc=423,
        slow_ns=1_500 * NS_PER_S,
        small_ns=1_200 * NS_PER_S,
        resets=1,
        lost_max=20,
        flags=int(Flag.RESET),
    )


SUMS = _sums()
_BEST = (3_240, 18_848, 54_000, 159_000, 361_200)  # good pieces in 1 h, 8 h, 24 h, 3 d, 7 d
_OUTSIDE = replace(
    elements(SUMS),
    order=Order(aoet_ns=8 * NS_PER_HOUR, aubt_ns=12 * NS_PER_HOUR, apt_ns=10 * NS_PER_HOUR, psq=400),
    personnel=Personnel(apwt_ns=450 * MINUTE_NS, apat_ns=480 * MINUTE_NS),
    inspection=Inspection(gp=480, ip=500, rq=57),
    samples=Samples(
        Fraction("4.0"),
        Fraction("6.0"),
        tuple((Fraction(a), Fraction(b)) for a, b in (("4.8", "5.0"), ("5.1", "5.3"), ("4.9", "5.2"))),
    ),
    energy=Energy((Carrier(Fraction(120), Fraction(1000)), Carrier(Fraction(30), Fraction(110))), Fraction(-1000)),
    inventory=Inventory(*map(Fraction, (1200, 150, 1000, 920, 940, 40, 15, 5))),
    maintenance=Maintenance(cmt_ns=90 * MINUTE_NS, pmt_ns=270 * MINUTE_NS),
    first_pq=19_600,
)

EXAMPLE = Evidence(
    sums=SUMS,
    parts=(Part(IDEAL_CYCLE_NS, SUMS),),
    failures=FailureSums(fe=2, restored=2, tbf_ns=290 * MINUTE_NS, ttf_ns=287 * MINUTE_NS, ttr_ns=21 * MINUTE_NS),
    startup_rejects_ns=60 * NS_PER_S,
    plan=Plan(oee_target=0.85, demand_per_h=2600, rated_per_min=66),
    demonstrated={
        length_ns: Demonstrated(length_ns, 0, pieces, Fraction(1), Flag.NONE)
        for length_ns, pieces in zip(STRETCHES_NS, _BEST, strict=True)
    },
    fastest=Demonstrated(SUSPECT_RUN_NS, 0, 1_680, Fraction(1), Flag.NONE),
    outside=_OUTSIDE,
)
