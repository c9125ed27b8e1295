"""A line is as good as its constraint and what is scrapped behind it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.kpi.figure import Why
from edge.kpi.lines import Station, constraint, line_oee, line_rate_per_hour, net_cycles, parallel

S = 1_000_000_000
MASK_LINE = (
    Station("body", S // 2, station_yield=Fraction(98, 100)),
    Station("ear-loop", S, tools=2, station_yield=Fraction(95, 100)),
    Station("pack", 4 * S, parts_per_cycle=Fraction(10)),
)


def test_the_constraint_feeds_the_scrap_behind_it() -> None:
    """Both take 0.5 s a mask; the body also makes what the ear loops scrap, so it is the constraint."""
    assert net_cycles(MASK_LINE) == [Fraction(S, 2) / Fraction(95, 100), Fraction(S, 2), Fraction(4 * S, 10)]
    assert constraint(MASK_LINE).id == "body"
    assert line_rate_per_hour(MASK_LINE) == 7200 * Fraction(95, 100)


def test_parallel_tools_move_the_constraint() -> None:
    """With one ear-loop station the line is half as fast, and it is the ear loops that are short."""
    one_loop = (MASK_LINE[0], Station("ear-loop", S, station_yield=Fraction(95, 100)), MASK_LINE[2])
    assert constraint(one_loop).id == "ear-loop"
    assert line_rate_per_hour(one_loop) == 3600


def test_cycles_that_make_half_a_piece() -> None:
    """A station that needs two cycles for a piece takes twice its cycle."""
    assert Station("loop", S, parts_per_cycle=Fraction(1, 2)).ideal_cycle_ns == 2 * S


def test_equal_stations() -> None:
    """The one nearest to the output is named, always the same."""
    assert constraint((Station("a", S), Station("b", S))).id == "b"


def test_line_oee_by_the_constraint() -> None:
    """0.5 s a mask, 5000 good ones out of the line in one hour: 2500 s of 3600 s."""
    found = line_oee(constraint(MASK_LINE), 5000, 3600 * S)
    assert found.value == 2500 / 3600
    assert (found.numerator, found.denominator) == (2500 * S, 3600 * S)
    assert line_oee(MASK_LINE[0], 0, 0).why_null == Why.NOTHING_PLANNED
    assert line_oee(MASK_LINE[0], 0, S).value == 0.0


@given(
    st.lists(
        st.builds(
            Station,
            st.just("s"),
            st.integers(1, 10**10),
            st.integers(1, 8),
            st.fractions(Fraction(1, 4), 12, max_denominator=12),
            st.fractions(Fraction(1, 2), 1, max_denominator=100),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_the_rate_is_the_smallest_station(stations: list[Station]) -> None:
    """Line rate = min over stations of rate · yields behind it; the constraint is a station of that rate."""
    rates = []
    for index, station in enumerate(stations):
        behind = Fraction(1)
        for later in stations[index + 1 :]:
            behind *= later.station_yield
        rates.append(3600 * S / station.ideal_cycle_ns * behind)
    assert line_rate_per_hour(stations) == min(rates)
    assert rates[stations.index(constraint(stations))] == min(rates)


def test_what_no_line_is() -> None:
    """No stations, no cycle, no yield: refused with what is expected."""
    for function in (constraint, line_rate_per_hour):
        with pytest.raises(ValueError, match="stations"):
            function(())
    for wrong in ({"cycle_ns": 0}, {"tools": 0}, {"station_yield": Fraction(0)}, {"station_yield": Fraction(2)}):
        with pytest.raises(ValueError, match="a station has"):
            Station(**{"id": "s", "cycle_ns": 1, **wrong})


def test_unlike_machines_side_by_side() -> None:
    """Rates add up: one of 1 s and one of 2 s make three pieces in two seconds."""
    assert parallel("pair", [S, 2 * S]).ideal_cycle_ns == Fraction(2 * S, 3)
    with pytest.raises(ValueError, match="without machines"):
        parallel("none", [])
