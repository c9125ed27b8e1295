"""Which station held the line up, moment by moment: the active period method. Pure.

Theory. A station is *active* while its own work keeps it from waiting: working, setting up, broken down, in repair.
It is inactive while it waits for its neighbours (starved, blocked) or for orders. Whoever has been active longest
without a pause, the pause at either end being a wait, is what everybody else waits for: at any moment the station in
the longest active period is the bottleneck, of equals the one nearest to the output. Machines with longer cycles wait
less, so buffers and cycles need not be known.

Rules. Breaks, nights and time nobody observed end an active period and belong to none: nobody waited for a machine that
was not meant to run or not seen. Without signals for starved and blocked a station never seems to wait; such a line has
no bottleneck, only a constraint by design (`edge.kpi.lines`). This one moves, and is shown; the line's OEE uses that
one, which is fixed with the configuration.

Source: Roser, Nakano, Tanaka: A practical bottleneck detection method, Winter Simulation Conference 2001.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edge.kpi.failures import Stop
from ext.buckets import Bucket

ACTIVE = frozenset(
    {
        Bucket.RUN,
        Bucket.BREAKDOWN,
        Bucket.INTERNAL_MINOR,
        Bucket.SETUP,
        Bucket.STARTUP,
        Bucket.MAINTENANCE,
        Bucket.MANUAL,
        Bucket.UNASSIGNED,
    }
)


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch in which one station was active without a pause, ns."""

    start_ns: int
    end_ns: int

    @property
    def length_ns(self) -> int:
        """How long."""
        return self.end_ns - self.start_ns


def active_periods(stops: Iterable[Stop], from_ns: int, until_ns: int) -> list[Period]:
    """Of one station, from its stops in order of time, none overlapping: all that is not a pause."""
    found: list[Period] = []
    begun_ns = from_ns
    for stop in stops:
        if stop.bucket in ACTIVE:
            continue
        if stop.start_ns > begun_ns:
            found.append(Period(begun_ns, stop.start_ns))
        begun_ns = stop.end_ns
    if until_ns > begun_ns:
        found.append(Period(begun_ns, until_ns))
    return found


def bottleneck_ns(stations: Mapping[str, Sequence[Period]]) -> dict[str, int]:
    """How long each station was the bottleneck, ns; stations in the order of flow, periods in the order of time."""
    edges = sorted({edge for periods in stations.values() for each in periods for edge in (each.start_ns, each.end_ns)})
    held = dict.fromkeys(stations, 0)
    at = dict.fromkeys(stations, 0)
    for start_ns, end_ns in pairwise(edges):
        longest, slowest = 0, ""
        for name, periods in stations.items():
            while at[name] < len(periods) and periods[at[name]].end_ns <= start_ns:
                at[name] += 1
            if at[name] < len(periods) and periods[at[name]].start_ns <= start_ns:
                length_ns = periods[at[name]].length_ns
                if length_ns >= longest:
                    longest, slowest = length_ns, name
        if slowest:
            held[slowest] += end_ns - start_ns
    return held
