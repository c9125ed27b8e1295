"""A line of stations as one machine: its constraint, its rate and its OEE. Pure, exact fractions.

Theory. A line makes what its constraint makes, less what is scrapped behind it. So the OEE of a line is

    ideal cycle of the constraint · good pieces at the end of the line / PPT of the line

and neither the product nor the mean of the OEEs of its stations. The constraint is the station with the largest net
ideal cycle per finished piece: cycle K, over L parallel tools and M parts per cycle, over the yields of all stations
behind it (what they will scrap has to be made first). It is chosen once per configuration and named with the figure: a
constraint that moved with every window would make windows incomparable. Buffers move output in time, not this bound.

M counts finished pieces: an ear-loop station that needs two cycles for a mask has M = 1/2.

Lines add up in pieces. Percentages never add.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from edge.kpi.figure import NS_PER_HOUR, Figure, Why, divide


@dataclass(frozen=True, slots=True)
class Station:
    """One station of a line, frozen with the configuration."""

    id: str
    cycle_ns: int | Fraction  # K: ideal cycle of one tool
    tools: int = 1  # L: parallel tools
    parts_per_cycle: Fraction = Fraction(1)  # M: finished pieces per cycle of one tool
    station_yield: Fraction = Fraction(1)  # good pieces / pieces, in (0, 1]

    def __post_init__(self) -> None:
        """Refuse what no station can be."""
        if self.cycle_ns <= 0 or self.tools <= 0 or self.parts_per_cycle <= 0 or not 0 < self.station_yield <= 1:
            raise ValueError(f"a station has cycle, tools and parts above 0 and a yield in (0, 1], got {self}")

    @property
    def ideal_cycle_ns(self) -> Fraction:
        """K / (L · M): time per piece through the station, ns."""
        return Fraction(self.cycle_ns) / (self.tools * self.parts_per_cycle)


def parallel(id: str, cycles_ns: Sequence[int]) -> Station:  # noqa: A002 as the field
    """Machines of unlike cycle side by side, as one station: rates add up. Raises ValueError for none."""
    if not cycles_ns:
        raise ValueError("a station without machines has no cycle: give the ideal cycle of each")
    return Station(id, 1 / sum((Fraction(1, cycle_ns) for cycle_ns in cycles_ns), Fraction()))


def net_cycles(stations: Sequence[Station]) -> list[Fraction]:
    """Net ideal cycle per piece that leaves the line good, ns, station by station in the order of flow."""
    cycles: list[Fraction] = []
    behind = Fraction(1)
    for station in reversed(stations):
        cycles.append(station.ideal_cycle_ns / behind)
        behind *= station.station_yield
    return cycles[::-1]


def constraint(stations: Sequence[Station]) -> Station:
    """The station with the largest net ideal cycle; the last of equals, nearest to the output.

    Raises ValueError for a line without stations.
    """
    if not stations:
        raise ValueError("a line without stations has no constraint: name its stations in the order of flow")
    cycles = net_cycles(stations)
    return max(enumerate(stations), key=lambda item: (cycles[item[0]], item[0]))[1]


def line_rate_per_hour(stations: Sequence[Station]) -> Fraction:
    """Pieces per hour that can leave the line at best: the smallest of station rate · yields behind it.

    Raises ValueError for a line without stations.
    """
    if not stations:
        raise ValueError("a line without stations has no rate: name its stations in the order of flow")
    return NS_PER_HOUR / max(net_cycles(stations))


def line_oee(bottleneck: Station, good_final: int, ppt_ns: int) -> Figure:
    """ICT of the constraint · good pieces of the last station / PPT of the line.

    Scrap behind the constraint is a loss; so is everything that kept the constraint from its ideal cycle.
    """
    return divide(bottleneck.ideal_cycle_ns * good_final, ppt_ns, Why.NOTHING_PLANNED)
