"""Failure events: what counts, what is one event, and what the times between them are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.kpi.failures import BUSY, Failure, FailureSums, Stop, failures, good_minutes, sum_failures
from edge.kpi.row import Row, RowKey, Sums
from ext.buckets import Bucket

S = 1_000_000_000
T3 = 60 * S


def stop(
    start_s: int, end_s: int, bucket: Bucket = Bucket.BREAKDOWN, fault_code: int = 0, cleared: bool = False
) -> Stop:
    return Stop(start_s * S, end_s * S, bucket, fault_code, cleared)


def record(*stops: Stop, until_s: int = 10_000, good: list[tuple[int, int]] | None = None) -> list[Failure]:
    spans = None if good is None else [(first * S, last * S) for first, last in good]
    return failures(stops, from_ns=0, until_ns=until_s * S, t3_ns=T3, good=spans)


def test_a_failure_lasts_or_needs_hands() -> None:
    """From t3 on, or cleared by people, however short; a starved machine has not failed."""
    assert [failure.start_ns for failure in record(stop(100, 160))] == [100 * S]
    assert record(stop(100, 159)) == []
    assert len(record(stop(100, 101, cleared=True))) == 1
    assert record(stop(100, 900, Bucket.EXTERNAL_STARVED), stop(1000, 1900, Bucket.INTERNAL_MINOR)) == []


def test_restarts_that_do_not_hold_are_one_event() -> None:
    """Breakdowns with less than 60 s of running in between are one failure, first-out code; from 60 s on, two."""
    (one,) = record(stop(100, 130, fault_code=7), stop(140, 170, fault_code=9), stop(229, 300, fault_code=9))
    assert (one.start_ns, one.end_ns, one.breakdowns, one.fault_code) == (100 * S, 300 * S, 3, 7)
    assert one.down_ns == 131 * S
    two = record(stop(100, 200), stop(260, 400))
    assert [failure.start_ns for failure in two] == [100 * S, 260 * S]


def test_short_restarts_may_add_up_to_a_failure() -> None:
    """Three breakdowns of 20 s within a minute are a failure of 60 s, though none lasts t3."""
    assert len(record(stop(100, 120), stop(130, 150), stop(160, 180))) == 1


@pytest.mark.parametrize(
    ("between", "events"),
    [(Bucket.PLANNED_STOP, 1), (Bucket.MAINTENANCE, 1), (Bucket.MANUAL, 1), (Bucket.UNKNOWN, 1), (Bucket.NO_ORDER, 2)],
)
def test_only_ability_to_work_ends_a_failure(between: Bucket, events: int) -> None:
    """A break, a repair by hand and an unobserved hour prove nothing; a machine that waits for an order could work."""
    assert len(record(stop(100, 200), stop(200, 800, between), stop(800, 900))) == events


def test_busy_time_between_failures_has_no_delay() -> None:
    """TBF: run and setup; waiting, breaks and small breakdowns are out of it."""
    found = record(
        stop(1000, 1100),
        stop(1200, 1300, Bucket.SETUP),
        stop(1400, 1500, Bucket.EXTERNAL_BLOCKED),
        stop(1600, 1610),  # too short to be a failure, and delay all the same
        stop(1700, 1900, Bucket.PLANNED_STOP),
        stop(2000, 2100),
    )
    assert [failure.tbf_ns for failure in found] == [1000 * S, (2000 - 1100 - 100 - 10 - 200) * S]


def test_the_clock_runs_to_the_first_good_piece() -> None:
    """TTR ends with it, TTF begins with it; without a record of pieces both meet the end of the breakdown."""
    stops = (stop(100, 200), stop(1000, 1100))
    assert [failure.ttr_ns for failure in record(*stops)] == [100 * S, 100 * S]
    first, second = record(*stops, good=[(50, 50), (250, 250), (251, 251), (1300, 1300)])
    assert (first.ttr_ns, second.ttr_ns) == (150 * S, 300 * S)
    assert (second.tbf_ns, second.ttf_ns) == (800 * S, 750 * S)


def test_restored_inside_a_stop() -> None:
    """A good piece while the machine says it is blocked: only what is left of that stop is no operating time."""
    _, second = record(stop(100, 200), stop(240, 340, Bucket.EXTERNAL_BLOCKED), stop(1000, 1100), good=[(300, 300)])
    assert (second.tbf_ns, second.ttf_ns) == (700 * S, 660 * S)


def test_no_time_is_counted_twice() -> None:
    """No good piece between two failures: the first is restored when the second begins, and not later."""
    first, second = record(stop(100, 200), stop(500, 600), good=[(700, 700)])
    assert (first.ttr_ns, second.ttr_ns, second.ttf_ns) == (400 * S, 200 * S, 0)


def test_a_failure_that_goes_on() -> None:
    """It counts at its beginning; its repair has no length yet."""
    (one,) = record(stop(100, 1000), until_s=1000)
    assert (one.end_ns, one.ttr_ns) == (None, None)
    assert sum_failures([one], 0, 1000 * S) == FailureSums(fe=1, restored=0, tbf_ns=100 * S, ttf_ns=100 * S)
    (waiting,) = record(stop(100, 200), until_s=1000, good=[])
    assert (waiting.end_ns, waiting.ttr_ns) == (200 * S, None)


def test_a_windows_edge_makes_one_failure_of_one() -> None:
    """Cut by the edge of two windows, it belongs whole to the one in which it begins."""
    found = record(stop(3500, 3700))
    assert sum_failures(found, 0, 3600 * S).ttr_ns == 200 * S
    assert sum_failures(found, 3600 * S, 7200 * S) == FailureSums()


def test_minutes_with_good_pieces() -> None:
    """From ledger rows: the minute a good piece was counted in, at the earliest the end of the breakdown."""
    rows = [
        Row(RowKey("m", "1m", minute * 60 * S, "p", "", ""), (minute + 1) * 60 * S, Sums(gc=gc), 0, True, "c", 2)
        for minute, gc in ((0, 5), (1, 0), (2, 0), (3, 1), (4, 9))
    ]
    spans = good_minutes(rows)
    assert spans == [(0, 60 * S - 1), (180 * S, 240 * S - 1), (240 * S, 300 * S - 1)]
    ended_s = {60: 180, 150: 180, 200: 200}
    for end_s, back_s in ended_s.items():
        (one,) = failures([stop(0, end_s)], from_ns=0, until_ns=900 * S, t3_ns=T3, good=spans)
        assert one.ttr_ns == back_s * S


@pytest.mark.parametrize("stops", [(stop(10, 5),), (stop(0, 20), stop(10, 30)), (stop(0, 20_000),)])
def test_a_record_that_cannot_be_is_refused(stops: tuple[Stop, ...]) -> None:
    """Backwards, overlapping, or beyond its end."""
    with pytest.raises(ValueError, match="order of time"):
        record(*stops)


@st.composite
def records(draw: st.DrawFn) -> tuple[list[Stop], int]:
    now, stops = 0, []
    for run, down, bucket in draw(
        st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200), st.sampled_from(list(Bucket))), max_size=30)
    ):
        now += run
        if bucket != Bucket.RUN:
            stops.append(Stop(now * S, (now + down) * S, bucket))
            now += down
    return stops, now + draw(st.integers(0, 100))


@given(records(), st.lists(st.integers(0, 12_000)), st.integers(0, 12_000))
def test_failures_add_up(made: tuple[list[Stop], int], pieces: list[int], cut_s: int) -> None:
    """Cut anywhere, the sums of the parts are the sums of the whole; times are never negative, never overlap, and busy
    time is never more than there was.
    """
    stops, until_s = made
    good = [(piece * S, piece * S) for piece in sorted(pieces)]
    found = failures(stops, from_ns=0, until_ns=until_s * S, t3_ns=T3, good=good)
    end_ns = until_s * S + 1
    parts = sum_failures(found, 0, cut_s * S) + sum_failures(found, cut_s * S, max(end_ns, cut_s * S))
    whole = sum_failures(found, 0, end_ns)
    assert parts == whole
    idle_ns = sum(each.end_ns - each.start_ns for each in stops if each.bucket not in BUSY)
    assert whole.tbf_ns <= until_s * S - idle_ns
    assert whole.ttf_ns <= whole.tbf_ns
    assert whole.ttr_ns + whole.ttf_ns <= until_s * S
    assert all(failure.ttf_ns >= 0 and (failure.ttr_ns or 0) >= 0 for failure in found)
    assert whole.fe == len(found) >= whole.restored >= whole.fe - 1
