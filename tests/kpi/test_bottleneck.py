"""The bottleneck is whoever never waits; breaks and unseen time belong to nobody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.kpi.bottleneck import Period, active_periods, bottleneck_ns
from edge.kpi.failures import Stop
from ext.buckets import Bucket

S = 1_000_000_000


def stop(start_s: int, end_s: int, bucket: Bucket) -> Stop:
    return Stop(start_s * S, end_s * S, bucket)


def period(start_s: int, end_s: int) -> Period:
    return Period(start_s * S, end_s * S)


def test_waiting_ends_an_active_period_and_a_breakdown_does_not() -> None:
    stops = (
        stop(10, 20, Bucket.EXTERNAL_STARVED),
        stop(30, 40, Bucket.BREAKDOWN),
        stop(50, 60, Bucket.PLANNED_STOP),
        stop(60, 70, Bucket.UNKNOWN),
    )
    assert active_periods(stops, 0, 100 * S) == [period(0, 10), period(20, 50), period(70, 100)]


def test_the_longest_active_period_is_the_bottleneck() -> None:
    """b works without a pause for 60 s while a waits now and then; then b waits and a holds the line up."""
    held = bottleneck_ns({"a": [period(0, 20), period(30, 50), period(55, 100)], "b": [period(0, 60)]})
    assert held == {"a": 40 * S, "b": 60 * S}
    assert bottleneck_ns({"a": [period(0, 10)], "b": [period(0, 10)]}) == {"a": 0, "b": 10 * S}, "nearest to the output"
    assert bottleneck_ns({"a": [], "b": []}) == {"a": 0, "b": 0}


@given(st.lists(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), max_size=8), min_size=1, max_size=4))
def test_somebody_holds_the_line_up_whenever_anybody_is_active(made: list[list[tuple[int, int]]]) -> None:
    """All of that time, once; against asking every second."""
    stations: dict[str, list[Period]] = {}
    for number, spans in enumerate(made):
        now, periods = 0, []
        for pause, active in spans:
            now += pause
            periods.append(period(now, now + active))
            now += active
        stations[str(number)] = periods
    expected = dict.fromkeys(stations, 0)
    for second in range(900):
        inside = [
            (each.length_ns, int(name))
            for name, periods in stations.items()
            for each in periods
            if each.start_ns <= second * S < each.end_ns
        ]
        if inside:
            expected[str(max(inside)[1])] += S
    assert bottleneck_ns(stations) == expected
