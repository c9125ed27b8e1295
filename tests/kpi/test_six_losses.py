"""The six big losses: each from its evidence, and an account that closes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.kpi.row import Row, RowKey, Sums
from edge.kpi.six_losses import six_losses, startup_rejects
from ext.buckets import N_BUCKETS, Bucket

MINUTE = 60_000_000_000


def test_each_loss_from_its_evidence() -> None:
    """The six; and the world around, the unexplained and the unseen apart from them."""
    stop_ns = [0] * N_BUCKETS
    amounts = {
        Bucket.RUN: 1000, Bucket.BREAKDOWN: 1, Bucket.INTERNAL_MINOR: 2, Bucket.SETUP: 4, Bucket.STARTUP: 8,
        Bucket.EXTERNAL_STARVED: 16, Bucket.EXTERNAL_BLOCKED: 32, Bucket.NO_ORDER: 64, Bucket.MAINTENANCE: 128,
        Bucket.MANUAL: 256, Bucket.UNASSIGNED: 512, Bucket.UNKNOWN: 1024, Bucket.PLANNED_STOP: 2048,
    }  # fmt: skip
    for bucket, ns in amounts.items():
        stop_ns[bucket] = ns
    made = Sums(
        all_ns=sum(stop_ns), stop_ns=stop_ns, ppt_ns=sum(stop_ns) - 2048, rt_ns=1000, unknown_ns=1024,
        nrt_ns=900, fpt_ns=800, slow_ns=30, small_ns=50,
    )  # fmt: skip
    found = six_losses(made, startup_rejects_ns=40)
    assert (found.breakdown_ns, found.setup_ns, found.minor_stops_ns) == (1, 12, 52)
    assert (found.reduced_speed_ns, found.defects_ns, found.startup_rejects_ns) == (30, 60, 40)
    assert (found.external_ns, found.no_order_ns, found.people_ns) == (48, 64, 384)
    assert (found.unassigned_ns, found.unknown_ns, found.speed_rest_ns) == (512, 1024, 20)
    assert found.six_ns == 195


@given(
    st.lists(st.integers(0, 10**15), min_size=N_BUCKETS, max_size=N_BUCKETS),
    *[st.integers(0, 10**15) for _ in range(5)],
)
def test_the_account_closes(stop_ns: list[int], nrt: int, fpt: int, slow: int, small: int, startup: int) -> None:
    """Six losses, the others and fully productive time are planned time, to the nanosecond, and add up."""
    out = stop_ns[Bucket.PLANNED_STOP] + stop_ns[Bucket.NOT_SCHEDULED]
    made = Sums(
        all_ns=sum(stop_ns), stop_ns=stop_ns, ppt_ns=sum(stop_ns) - out, rt_ns=stop_ns[Bucket.RUN],
        unknown_ns=stop_ns[Bucket.UNKNOWN], nrt_ns=nrt, fpt_ns=fpt, slow_ns=slow, small_ns=small,
    )  # fmt: skip
    found = six_losses(made, startup)
    for each in (found, found + found):
        others = (
            each.external_ns + each.no_order_ns + each.people_ns + each.unassigned_ns + each.unknown_ns
            + each.speed_rest_ns
        )  # fmt: skip
        assert each.six_ns + others + each.fpt_ns == each.ppt_ns
    assert (found + found).ppt_ns == 2 * made.ppt_ns


def test_rejects_of_start_up() -> None:
    """Those of minutes with setup or start-up, and of the minutes soon after; later rejects are defects."""
    rows = []
    for minute, starting_ns in enumerate((0, MINUTE // 2, 0, 0, 0)):
        sums = Sums(nrt_ns=10 + minute, fpt_ns=10)
        sums.stop_ns[Bucket.STARTUP] = starting_ns
        key = RowKey("m", "1m", minute * MINUTE, "p", "", "")
        rows.append(Row(key, (minute + 1) * MINUTE, sums, 0, True, "c", 3))
    assert startup_rejects(rows, 0) == 1
    assert startup_rejects(rows, 2 * MINUTE) == 1 + 2 + 3
    assert startup_rejects(rows[:1], 2 * MINUTE) == 0
