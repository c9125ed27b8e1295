"""Facts come late and out of order: within the watermark nothing shows of it; beyond it the windows they touch are
opened again, the revision grows, and the ledger is what it would have been. Restarts at any commit change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines.bench import MINUTE, RUN, T0, TOTAL, Bench, S, machine, write

from edge.kpi.row import Sums
from edge.machines.events import StopEvent
from edge.machines.journal import LIMIT_BYTES, PAGE_FACTS, SLOTS
from edge.machines.watermark import watermark_ns
from edge.plan import Signal
from ext.buckets import Bucket, Flag
from protocols.reading import Quality

WAIT = watermark_ns(machine())
COUNTERS, STATE = 0, 1  # devices: the counters sample the machine, the state comes by another way

TWO_DEVICES = replace(
    machine(),
    signals=tuple(Signal(s.name, STATE if n <= RUN + 2 else COUNTERS, s.tag) for n, s in enumerate(machine().signals)),
    process_values=(),
)


@dataclass(frozen=True)
class Told:
    """What a device said at `t_ns`, and when it arrives."""

    t_ns: int
    device: int
    values: dict[int, int]
    quality: Quality
    arrival_ns: int


class LateBench(Bench):
    """Hears facts when they arrive, commits by its own clock, checks that no closed window changes silently."""

    def __init__(self) -> None:
        super().__init__(machine=TWO_DEVICES)

    def hear(self, told: Told) -> None:
        self.wait(max(0, told.arrival_ns - self.now_ns))
        image = self.images[told.device]
        for tag in range(image.size):
            if (tag <= RUN + 2) == (told.device == STATE):
                image.t_ns[tag], image.quality[tag], image.i64[tag] = told.t_ns, told.quality, told.values[tag]
        era_ns = self.monotonic_ns - self.now_ns
        self.life.observe(told.t_ns, told.t_ns + era_ns, told.device, samples=told.device == COUNTERS)

    def commit(self, **how):
        before = dict(self.rows)
        harvest = super().commit(**how)
        for row in harvest.rows:
            known = before.get(row.key)
            if known is not None and known.final and known.sums != row.sums:
                assert row.revision > known.revision, "never a silent edit"
            assert known is None or row.revision >= known.revision
        return harvest


STEP = st.tuples(
    st.integers(1, 30),  # tenths of a second since the one before
    st.sampled_from([COUNTERS, COUNTERS, COUNTERS, STATE]),
    st.sampled_from([0, 0, 1, 1, 2]),  # pieces
    st.sampled_from([None, None, None, 0, 1]),  # run
    st.sampled_from([None, None, None, None, 1, 2]),  # recipe
    st.sampled_from([Quality.GOOD] * 6 + [Quality.BAD]),
    st.sampled_from([0, 0, 0, 1, 5, 20, 69]),  # how late, tenths of a second
    st.sampled_from(["nothing", "nothing", "nothing", "commit", "kill"]),
    st.sampled_from([0, 0, 0, 0, 30]),  # a silence before it, s
)


def story(steps, delay_ns) -> list[Told]:
    values, t_ns, facts = {0: 1, 1: 0, 2: 0, 3: 1, TOTAL: 100, 5: 3}, T0, []
    for number, (tenths, device, pieces, run, recipe, quality, late, _, silence) in enumerate(steps):
        t_ns += tenths * S // 10 + silence * S
        values[TOTAL] += pieces if device == COUNTERS else 0
        if run is not None and device == STATE:
            values[RUN] = run
        if recipe is not None and device == COUNTERS:
            values[3] = recipe
        arrival_ns = t_ns + (delay_ns(late) if number else 0)
        facts.append(Told(t_ns, device, dict(values), quality, arrival_ns))
    return facts


def play(facts: list[Told], steps, *, kills: bool) -> LateBench:
    bench = LateBench()
    end_ns = max(told.arrival_ns for told in facts) + S
    for told, (*_, then, _) in zip(facts, steps, strict=True):
        bench.hear(told)
        if then != "nothing":
            bench.commit()
        if then == "kill" and kills:
            bench.restart()
    bench.wait(end_ns - bench.now_ns)
    bench.commit(closing=True)
    return bench


def by_arrival(facts: list[Told]) -> list[Told]:
    return sorted(facts, key=lambda told: told.arrival_ns)


def real(stops: dict[int, StopEvent]) -> dict[int, tuple[int, Bucket, int]]:
    return {
        start: (stop.end_ns, stop.bucket, stop.fault_code)
        for start, stop in stops.items()
        if not stop.void and not stop.is_open
    }


@settings(max_examples=50)
@given(st.lists(STEP, min_size=2, max_size=50), st.booleans())
def test_any_order_within_the_watermark_gives_the_same_rows(steps, kills: bool) -> None:
    """Rows, sums, stops, revisions: byte for byte those of the facts in order."""
    facts = story(steps, lambda tenths: tenths * S // 10)
    assert all(told.arrival_ns - told.t_ns < WAIT for told in facts)
    straight, shuffled = play(facts, steps, kills=False), play(by_arrival(facts), steps, kills=kills)
    assert shuffled.rows == straight.rows
    assert shuffled.sums == straight.sums
    assert real(shuffled.stops) == real(straight.stops)
    assert all(stop.revision == 0 for stop in shuffled.stops.values())
    assert not shuffled.revisions
    view, same = shuffled.life.view(shuffled.now_ns), straight.life.view(straight.now_ns)
    assert (view.counted, view.shift, view.product) == (same.counted, same.shift, same.product)


@settings(max_examples=60)
@given(st.lists(STEP, min_size=2, max_size=120), st.booleans())
def test_any_late_fact_leads_to_the_ledger_of_the_facts_in_order(steps, kills: bool) -> None:
    """However late, as long as the journal reaches back: the same minutes, no time twice, no stop left over."""
    facts = story(steps, lambda tenths: tenths * 3 * S)
    straight, late = play(facts, steps, kills=False), play(by_arrival(facts), steps, kills=kills)
    assert late.life.too_late == 0
    assert {k: r.sums for k, r in late.rows.items() if r.sums != Sums()} == {
        key: row.sums for key, row in straight.rows.items() if row.sums != Sums()
    }
    assert late.total == straight.total
    assert real(late.stops) == real(straight.stops)
    for window in ("1h", "shift", "1d"):
        ours = sum(row.sums.all_ns for row in late.sums.values() if row.key.window == window)
        assert ours == late.total.all_ns, window
        assert {k: r.sums for k, r in late.sums.items() if r.sums != Sums()} == {
            key: row.sums for key, row in straight.sums.items() if row.sums != Sums()
        }


# ---- one at a time ----


def running(seconds: int, *, every_ns: int = S) -> Bench:
    """A piece every two seconds, committed each second."""
    bench = Bench()
    bench.sample()
    for second in range(1, seconds + 1):
        bench.wait(every_ns)
        bench.sample(total=100 + second // 2)
        bench.commit(minute=second % 60 == 50)
    return bench


def say_late(bench: Bench, ago_ns: int, **registers: int) -> None:
    """What the PLC said `ago_ns` ago arrives now."""
    t_ns = bench.now_ns - ago_ns
    names = [signal.name for signal in bench.machine.signals]
    write(bench.images[0], t_ns, bench.registers | {names.index(name): value for name, value in registers.items()})
    bench.life.observe(t_ns, bench.monotonic_ns - ago_ns)


def test_a_late_reading_opens_its_window_and_says_so() -> None:
    """Row, hour, shift and day with revision + 1 under the same keys; a record says why, when and which."""
    bench = running(200)
    before = dict(bench.rows)
    assert all(row.revision == 0 for row in before.values())
    say_late(bench, 75 * S + S // 2, run=0, total=162)
    harvest = bench.commit()
    changed = [row for row in harvest.rows if row.revision]
    assert {row.key for row in changed} < before.keys()
    assert [(row.revision, row.final) for row in changed] == [(1, True)]
    assert changed[0].sums.stop_ns[Bucket.UNASSIGNED] > 0
    assert {row.key.window for row in harvest.sums if row.revision == 1} == {"1h", "shift", "1d"}
    (told,) = harvest.revisions
    assert (told.cause, told.windows, told.start_ns, told.end_ns) == (
        "late-reading", 1, changed[0].key.start_ns, changed[0].end_ns,
    )  # fmt: skip
    assert told.detail
    assert bench.total.all_ns <= bench.now_ns - T0


def test_a_minute_is_final_only_after_the_watermark_and_shown_at_once() -> None:
    """Five seconds into the next minute something arrives of the last one: it is in its first row, revision 0."""
    bench = running(45)
    assert bench.rows == {}, "nothing is final yet"
    assert bench.life.view(bench.now_ns).hour.total == 22, "but it is seen"
    say_late(bench, 6 * S + S // 2, recipe=2, total=119)
    bench.make(5)
    bench.commit()
    closed = [row for row in bench.rows.values() if row.final]
    assert [(row.key.product, row.revision) for row in closed] == [("large", 0), ("small", 0)]
    assert bench.revisions == []
    assert bench.life.late == 0


def test_a_copy_of_a_reading_changes_nothing_however_late() -> None:
    bench = running(200)
    before = dict(bench.rows)
    say_late(bench, 90 * S, total=155)
    bench.commit(minute=False)
    assert bench.rows == before
    assert bench.revisions == []


def test_two_values_at_one_time_are_flagged_and_the_last_counts() -> None:
    bench = running(30)
    say_late(bench, 3 * S, total=150)
    bench.make(30)
    bench.commit(closing=True)
    doubted = [row for row in bench.rows.values() if row.doubts & Flag.AMBIGUOUS]
    assert len(doubted) >= 1


def test_what_is_older_than_the_journal_is_counted_and_told_never_dropped_silently(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = running(120)
    before = dict(bench.rows)
    say_late(bench, 3600 * S, total=7)
    bench.commit(minute=False)
    assert bench.revisions == [], "told once a minute"
    bench.commit()
    (told,) = bench.revisions
    assert (told.cause, told.readings, told.windows, told.pieces) == ("too-late", 6, 0, 0)
    assert told.start_ns == told.end_ns == bench.now_ns - 3600 * S
    assert bench.life.too_late == bench.life.view(bench.now_ns).too_late == 6
    assert [record.message for record in caplog.records] == ["too-late"]
    assert {key: row.sums for key, row in bench.rows.items() if row.final} == {
        key: row.sums for key, row in before.items() if row.final
    }


def test_a_stop_that_later_facts_undo_is_void_and_one_they_cut_is_told_again() -> None:
    """The stop between 60 s and 90 s: a late reading says that the machine ran at 75 s."""
    bench = running(60)
    bench.wait(S)
    bench.sample(run=0)
    began = bench.now_ns
    for _ in range(30):
        bench.wait(S)
        bench.sample(run=0)
        bench.commit(minute=False)
    bench.wait(S)
    bench.sample(run=1)
    for _ in range(60):
        bench.make(1)
    bench.commit()
    assert bench.stops[began].end_ns == began + 31 * S
    ago_ns = bench.now_ns - began
    say_late(bench, ago_ns, run=1, fault_code=0)
    bench.commit()
    assert (bench.stops[began].void, bench.stops[began].end_ns) == (True, began)
    again = began + S
    assert (bench.stops[again].end_ns, bench.stops[again].void) == (again + 30 * S, False)
    assert sum(s.end_ns - s.start_ns for s in bench.stops.values()) == bench.total.stop_ns[Bucket.UNASSIGNED]


@pytest.mark.parametrize("restart", [False, True])
def test_the_history_of_a_gap_makes_it_as_if_it_had_been_seen(restart: bool) -> None:
    """Ten minutes without a reading, then their history: every minute as if there had been no gap, revision 1."""
    whole, torn = running(100), running(100)
    history = []
    for second in range(101, 701):
        whole.wait(S)
        whole.sample(total=100 + second // 2)
        history.append((whole.now_ns, TOTAL, 100 + second // 2, Quality.GOOD))
        history.append((whole.now_ns, RUN, 1, Quality.GOOD))
        history.append((whole.now_ns, 1, 0, Quality.GOOD))
    torn.wait(601 * S)
    torn.sample(total=450)
    torn.registers[TOTAL] = whole.registers[TOTAL] = 450
    whole.wait(S)
    whole.sample()
    for bench in (whole, torn):
        for _ in range(60):
            bench.make(1)
            bench.commit(minute=False)
    gap = [row for row in torn.rows.values() if row.sums.unknown_ns]
    assert len(gap) >= 10
    if restart:
        torn.restart()
    assert torn.life.backfill(history[::-1]).readings == 0
    harvest = torn.commit()
    whole.commit()
    for bench in (whole, torn):
        bench.commit(closing=True)
    assert {key: row.sums for key, row in torn.rows.items()} == {key: row.sums for key, row in whole.rows.items()}
    assert {row.revision for row in harvest.rows if row.final} == {1}
    (told,) = harvest.revisions
    assert (told.cause, told.readings, told.pieces) == ("history", 1800, 0)
    assert torn.total.unknown_ns == 0
    assert torn.life.backfill([(T0 - 3600 * S, TOTAL, 1, Quality.GOOD)]).readings == 1, "before the first reading ever"


def test_what_is_kept_is_bounded_and_most_of_it_is_stored_once() -> None:
    """Hours of readings: 64 KiB a machine at most, and a commit writes a page of the journal only when it is full."""
    bench, written, pages = Bench(), 0, 0
    bench.sample()
    for second in range(1, 2400):
        bench.wait(S)
        bench.sample(total=(100 + second) % (1 << 16))
        harvest = bench.commit(minute=second % 60 == 0)
        written += len(harvest.checkpoint or b"")
        pages += len(harvest.pages)
    journal = bench.life._facts._journal
    assert journal.size_bytes <= LIMIT_BYTES
    assert bench.now_ns - bench.life.reach_ns > 20 * MINUTE, "a fact may be twenty minutes late"
    assert set(bench.pages) <= set(range(SLOTS))
    assert pages == 2399 // PAGE_FACTS
    assert written / 2399 < 6_000, "bytes a commit, of which the store writes what changed"
    assert len(bench.life._books._published._finals) <= 60


def test_the_first_sample_is_the_oldest_not_the_one_that_came_first() -> None:
    """Two publishes of a server at the beginning, the older one behind the newer: the machine's time begins with it."""
    bench = Bench()
    bench.sample()
    first_ns = bench.now_ns = bench.now_ns - 3_000_000
    bench.sample()
    bench.now_ns += 3_000_000
    bench.make(20)
    bench.commit(closing=True)
    assert bench.life.since_ns == first_ns
    assert bench.total.all_ns == bench.now_ns - first_ns
