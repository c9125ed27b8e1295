"""Rate and timeline: views that never invent what was not seen."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from machines.bench import T0, S

from edge.machines.pace import Pace, Timeline
from edge.snapshot import StateSpan
from ext.buckets import Bucket


def pace_of(*marks: tuple[int, int]) -> Pace:
    pace = Pace()
    for t_s, made in marks:
        pace.mark(T0 + t_s * S, made)
    return pace


def test_no_rate_before_two_seconds() -> None:
    assert Pace().per_min(T0, 0) is None
    assert pace_of((0, 0)).per_min(T0 + S, 5) is None
    assert pace_of((0, 0)).per_min(T0 + 2 * S, 2) == 60.0


def test_the_rate_is_that_of_the_last_minute() -> None:
    """Ten a second at first, one a second in the last minute."""
    marks = [(t, 10 * t if t < 40 else 400 + t - 40) for t in range(200)]
    assert pace_of(*marks).per_min(T0 + 199 * S, 559) == 60.0


def test_a_standing_machine_comes_to_zero() -> None:
    assert pace_of(*[(t, min(t, 10)) for t in range(100)]).per_min(T0 + 99 * S, 10) == 0.0


def test_fast_polling_keeps_one_mark_a_second() -> None:
    pace = Pace()
    for tick in range(1000):
        pace.mark(T0 + tick * S // 10, tick)
    assert len(pace._marks) <= 61
    assert pace.per_min(T0 + 999 * S // 10, 999) == 600.0


def test_a_clock_set_back_costs_two_seconds_of_rate_and_no_more() -> None:
    pace = pace_of(*[(t, t) for t in range(60)])
    later = [(t - 3600, t) for t in range(60, 70)]
    for t_s, made in later:
        pace.mark(T0 + t_s * S, made)
    assert pace.per_min(T0 + (69 - 3600) * S, 69) == 60.0


# ---- timeline ----


def spans_of(stops: list[tuple[int, int]], now_s: int, since_s: int, bucket: Bucket) -> tuple[StateSpan, ...]:
    line = Timeline()
    line.begin(T0)
    line.take((T0 + a * S, T0 + b * S, int(Bucket.BREAKDOWN), 7) for a, b in stops)
    return line.spans(T0 + now_s * S, bucket, T0 + since_s * S, 0)


def shape(spans: tuple[StateSpan, ...]) -> list[tuple[int, int, str]]:
    return [((s.start_ns - T0) // S, (s.end_ns - T0) // S, s.bucket.name) for s in spans]


def test_what_lies_between_stops_was_run_time() -> None:
    found = shape(spans_of([(10, 20), (30, 40)], 60, 50, Bucket.SETUP))
    assert found == [
        (0, 10, "RUN"), (10, 20, "BREAKDOWN"), (20, 30, "RUN"), (30, 40, "BREAKDOWN"), (40, 50, "RUN"),
        (50, 60, "SETUP"),
    ]  # fmt: skip


def test_nothing_is_said_of_time_before_the_first_sample() -> None:
    assert shape(spans_of([], 5, 0, Bucket.RUN)) == [(0, 5, "RUN")]


def test_only_the_last_hour_is_kept() -> None:
    found = shape(spans_of([(10, 20), (3000, 4000)], 7000, 4000, Bucket.RUN))
    assert found == [(3400, 4000, "BREAKDOWN"), (4000, 7000, "RUN")]


@given(
    st.lists(st.tuples(st.integers(1, 900), st.integers(1, 900)), max_size=20), st.integers(0, 900), st.integers(0, 900)
)
def test_spans_are_contiguous_up_to_now(steps: list[tuple[int, int]], idle_s: int, open_s: int) -> None:
    """However the stops lie: no hole, no overlap, exactly the last hour or the time since the first sample."""
    stops, at = [], 0
    for run_s, stop_s in steps:
        stops.append((at + run_s, at + run_s + stop_s))
        at += run_s + stop_s
    since, now = at + idle_s, at + idle_s + open_s
    spans = spans_of(stops, now, since, Bucket.SETUP)
    assert all(a.end_ns == b.start_ns for a, b in pairwise(spans))
    assert all(s.start_ns < s.end_ns for s in spans)
    assert sum(s.end_ns - s.start_ns for s in spans) == min(now, 3600) * S
