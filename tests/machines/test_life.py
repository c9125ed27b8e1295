"""One machine's life: restarts, silence, clocks and reconfiguration change no row that is final and lose no piece."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from datetime import time as wall_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines.bench import ALWAYS, MINUTE, NAME, RUN, T0, TOTAL, Bench, S, machine

from edge.machines import core
from edge.machines.corrections import tell
from edge.machines.life import APART_NS
from edge.plan import Calendar, Machine, Product, Shift, Signal
from ext.buckets import Bucket, Correction, Flag
from protocols.reading import Quality

HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
TWO_SHIFTS = Calendar(
    "c",
    "Asia/Shanghai",
    (
        Shift("early", wall_time(8), wall_time(20), frozenset(range(7))),
        Shift("late", wall_time(20), wall_time(8), frozenset(range(6))),
    ),
)

# ---- restarts ----

STEP = st.tuples(
    st.sampled_from([S, S, S, 2 * S, 7 * S, 25 * S, 61 * S, 400 * S]),
    st.sampled_from([0, 1, 1, 2]),  # pieces
    st.sampled_from([None, None, None, 0, 1]),  # run bit
    st.sampled_from([None, None, None, None, 0, 0, 1]),  # fault bit
    st.sampled_from([None, None, None, 7, 0]),  # fault code
    st.sampled_from([None, None, None, None, 1, 2]),  # recipe
    st.sampled_from([Quality.GOOD] * 5 + [Quality.BAD]),
    st.sampled_from(["nothing", "nothing", "commit", "commit and kill"]),
)


def play(bench: Bench, steps, kills: bool) -> Bench:
    for wait_ns, pieces, run, fault, code, recipe, quality, then in steps:
        bench.wait(wait_ns)
        changed = {"run": run, "fault": fault, "fault_code": code, "recipe": recipe}
        told = {name: value for name, value in changed.items() if value is not None}
        bench.sample(quality, total=(bench.registers[TOTAL] + pieces) % (1 << 16), **told)
        if then != "nothing":
            bench.commit()
        if then == "commit and kill" and kills:
            bench.restart()
    bench.commit(closing=True)
    return bench


@settings(max_examples=150)
@given(st.lists(STEP, min_size=1, max_size=60), st.sampled_from([ALWAYS, TWO_SHIFTS]))
def test_killed_at_any_commit_it_writes_the_same_rows(steps, calendar: Calendar) -> None:
    """Minutes, hours, shifts, stops, counts, failures: as if nothing had happened."""
    whole = play(Bench(calendar=calendar), steps, kills=False)
    killed = play(Bench(calendar=calendar), steps, kills=True)
    assert killed.rows == whole.rows
    assert killed.sums == whole.sums
    assert killed.stops == whole.stops
    view, same = killed.life.view(killed.now_ns), whole.life.view(whole.now_ns)
    assert (view.counted, view.shift, view.hour, view.product) == (same.counted, same.shift, same.hour, same.product)


@settings(max_examples=100)
@given(st.lists(st.tuples(STEP, st.booleans()), min_size=1, max_size=60))
def test_killed_at_any_moment_no_piece_is_lost_and_no_time_is_doubled(steps) -> None:
    """What was sampled since the last commit is forgotten; the counter remembers, and the time is booked once."""
    bench = Bench()
    bench.sample()
    first = bench.registers[TOTAL]
    bench.commit()
    for (wait_ns, pieces, run, *_, then), kill in steps:
        bench.wait(wait_ns)
        bench.sample(total=bench.registers[TOTAL] + pieces, **({} if run is None else {"run": run}))
        if then != "nothing":
            bench.commit()
        if kill:
            bench.restart()
    bench.wait(S)
    bench.sample()
    bench.commit(closing=True)
    assert bench.total.tc == bench.registers[TOTAL] - first
    assert bench.total.all_ns == bench.now_ns - T0
    assert bench.life.view(bench.now_ns).counted == bench.total.tc


def test_a_restart_remembers_the_product_until_the_recipe_is_read_again() -> None:
    """The recipe lies in a slow block: the first readings after a restart come without it."""
    bench = Bench()
    bench.sample(recipe=2)
    bench.make(3)
    bench.commit()
    bench.restart()
    bench.wait(S)
    bench.registers.pop(3)
    bench.sample()
    bench.images[0].quality[3] = Quality.NOT_CONFIGURED
    bench.wait(S)
    bench.life.observe(bench.now_ns, bench.monotonic_ns)
    assert bench.life.view(bench.now_ns).product == "large"


def test_a_clock_set_back_during_a_restart_credits_and_says_so() -> None:
    """Elapsed time is not known then: long enough to believe any change, the smaller of two explanations."""
    bench = Bench()
    bench.sample()
    bench.make(30)
    bench.commit()
    bench.now_ns -= HOUR
    bench.restart()
    bench.make(5)
    bench.now_ns += HOUR
    bench.make(5)
    bench.commit(closing=True)
    assert bench.total.tc == 40
    assert bench.total.all_ns == bench.now_ns - T0
    assert bench.total.flags & Flag.CLOCK_STEP


@pytest.mark.parametrize("step_ns", [HOUR, -HOUR, 5 * DAY, -5 * DAY])
def test_a_clock_step_never_doubles_time_and_never_moves_a_piece(step_ns: int) -> None:
    """Forward: unknown time. Back: nothing is booked until the clock has caught up, pieces count on."""
    bench = Bench()
    bench.sample()
    bench.make(60)
    bench.commit()
    bench.now_ns += step_ns
    bench.make(60)
    bench.commit()
    bench.wait(max(-step_ns, 0))
    bench.make(60)
    bench.commit(closing=True)
    assert bench.total.tc == 180
    assert bench.total.all_ns == bench.now_ns - T0
    assert all(row.sums.all_ns >= 0 and row.sums.unknown_ns >= 0 for row in bench.rows.values())
    assert bench.total.flags & Flag.CLOCK_STEP


DAMAGE = {
    "no header": lambda whole: b"\x00\x01",
    "other keys": lambda whole: b"{}\n" + whole.partition(b"\n")[2],
    "torn": lambda whole: whole[: len(whole) // 2],
    "another core": lambda whole: whole.partition(b"\n")[0] + b"\n" + b"\xff" * 8 + whole.partition(b"\n")[2][8:],
    "no journal": lambda whole: whole.partition(b"\n")[0] + b"\n" + core_of(whole) + b"{}\n",
    "another kernel": lambda whole: resized(whole, kernel=5),
    "another book": lambda whole: resized(whole, book=5),
}


def core_of(whole: bytes) -> bytes:
    head, _, rest = whole.partition(b"\n")
    return rest[: json.loads(head)["core"]]


def resized(whole: bytes, **sizes: int) -> bytes:
    """The core's blob with another length of one of its parts."""
    head, _, rest = whole.partition(b"\n")
    core = core_of(whole)
    about, _, parts = core.partition(b"\n")
    other = json.dumps({**json.loads(about), **sizes}).encode() + b"\n" + parts
    return json.dumps({**json.loads(head), "core": len(other)}).encode() + b"\n" + other + rest[len(core) :]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_checkpoint_that_cannot_be_read_is_said_and_left(damage: str, caplog: pytest.LogCaptureFixture) -> None:
    """Counters begin at a new baseline, whole: no half of the old life stays."""
    bench = Bench()
    bench.sample()
    bench.make(20)
    bench.commit()
    bench.checkpoint = DAMAGE[damage](bench.checkpoint)
    bench.restart()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["checkpoint"]
    bench.wait(S)
    bench.sample(total=999)
    assert bench.life.view(bench.now_ns).counted == 0
    bench.make(3)
    assert bench.life.view(bench.now_ns).counted == 3


def test_a_checkpoint_of_a_build_with_fewer_kinds_of_corrections_is_read() -> None:
    """An upgrade loses no baseline."""
    bench = Bench()
    bench.sample()
    bench.make(5)
    bench.commit()
    head, _, rest = bench.checkpoint.partition(b"\n")
    header = json.loads(head)
    bench.checkpoint = json.dumps({**header, "corrections": header["corrections"][:-1]}).encode() + b"\n" + rest
    bench.restart()
    bench.make(1)
    assert bench.life.view(bench.now_ns).counted == 6


def _of_many_signals(unused: int) -> Machine:
    spare = tuple(Signal(f"spare-{n}", 0, RUN) for n in range(unused))
    return machine(signals=(*machine().signals, *spare))


def test_a_checkpoint_has_nothing_of_tags_that_nobody_uses() -> None:
    sizes = []
    for unused in (0, 500):
        bench = Bench(_of_many_signals(unused))
        bench.sample()
        bench.make(5)
        bench.commit()
        sizes.append(len(bench.checkpoint))
    assert sizes[0] == sizes[1]


def test_a_checkpoint_of_a_build_that_kept_all_tags_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade loses no baseline."""
    before = Bench(_of_many_signals(20))
    with monkeypatch.context() as patch:
        patch.setattr(core, "used_signals", lambda machine: range(len(machine.signals)))
        before.life = before._new_life()
        before.sample()
        before.make(5)
        before.commit()
    before.restart()
    before.make(1)
    assert before.life.view(before.now_ns).counted == 6


# ---- silence ----


def test_minutes_nobody_can_decide_get_a_row_once_and_are_replaced_later() -> None:
    bench = Bench()
    bench.sample()
    bench.make(20)
    bench.commit()
    bench.wait(10 * S)  # past the watermark of the minute that ended
    written: dict[int, int] = {}
    for _ in range(10):
        bench.wait(MINUTE)
        for row in bench.commit().rows:
            assert not row.final
            written[row.key.start_ns] = written.get(row.key.start_ns, 0) + 1
    assert len(written) == 11, "ten, and the one in which it went silent"
    assert set(written.values()) == {1}, "each once"
    assert bench.total.unknown_ns > 9 * MINUTE
    bench.sample(total=bench.registers[TOTAL] + 30)
    bench.wait(MINUTE)
    bench.sample()
    bench.wait(30 * S)
    bench.sample()
    bench.commit(closing=True)
    assert bench.total.recovered == 30, "made while nobody looked"
    assert bench.total.tc == 50
    assert bench.total.all_ns == bench.now_ns - T0
    assert sum(not row.final for row in bench.rows.values()) <= 1


def test_open_windows_are_written_at_a_clean_stop_only() -> None:
    bench = Bench()
    bench.sample()
    bench.make(5)
    assert bench.commit(minute=False).rows == []
    assert [row.sums.tc for row in bench.commit(closing=True).rows] == [5]


def test_hours_and_shifts_are_the_sums_of_their_minutes() -> None:
    bench = Bench(calendar=TWO_SHIFTS)
    bench.sample()
    for _ in range(100):
        bench.make(40)
        bench.commit()
    bench.commit(closing=True)
    for window in ("1h", "shift"):
        rows = [row for row in bench.sums.values() if row.key.window == window]
        assert sum(row.sums.tc for row in rows) == bench.total.tc == 4000
        assert sum(row.sums.all_ns for row in rows) == bench.total.all_ns == bench.now_ns - T0
    assert len({row.key.start_ns for row in bench.sums.values() if row.key.window == "1h"}) == 3


@pytest.mark.parametrize("calendar", [ALWAYS, TWO_SHIFTS], ids=["around the clock", "two shifts"])
def test_days_without_a_sample_says_what_a_look_at_the_end_says(calendar: Calendar) -> None:
    """Folding ended minutes away changes no row and no sum; a restart in the middle of the silence neither."""
    watched, asleep, restarted = (Bench(calendar=calendar) for _ in range(3))
    for bench in (watched, asleep, restarted):
        bench.sample()
        bench.make(100)
        bench.commit()
    for minute in range(0, 3 * 1440, 7):
        watched.wait(7 * MINUTE)
        watched.commit()
        restarted.wait(7 * MINUTE)
        restarted.commit()
        if minute == 4200:  # six shifts later: the open minute still knows which one was its own
            restarted.restart()
    asleep.now_ns, asleep.monotonic_ns = watched.now_ns, watched.monotonic_ns
    asleep.commit()
    hours = [row for row in watched.sums.values() if row.key.window == "1h"]
    assert sum(row.sums.all_ns for row in hours) == watched.now_ns - T0, "an hour that is over stays as it was written"
    seen = asleep.life.view(asleep.now_ns)
    for bench in (watched, asleep, restarted):
        bench.commit()
        view = bench.life.view(bench.now_ns)
        assert (view.shift, view.hour, view.bucket) == (seen.shift, seen.hour, seen.bucket)
        bench.sample(total=5000)
        bench.make(40)
        bench.commit(closing=True)
        assert bench.total.all_ns == bench.now_ns - T0
        assert bench.total.tc + bench.total.unscheduled_tc == 5040 - 100
    assert watched.rows == asleep.rows == restarted.rows
    final = {key: row for key, row in watched.sums.items() if row.final}
    assert final == {key: row for key, row in asleep.sums.items() if row.final}


def test_a_silent_machine_costs_no_more_after_a_day_than_after_a_minute() -> None:
    bench = Bench()
    bench.sample()
    bench.make(10)

    def cost() -> float:
        began = time.process_time()
        for _ in range(20):
            bench.life.view(bench.now_ns + 30 * S)
        return time.process_time() - began

    bench.wait(2 * MINUTE)
    bench.commit()
    minute = cost()
    bench.wait(DAY)
    bench.commit()
    day = min(cost() for _ in range(3))  # a collection of garbage may fall into any of them
    assert day < 20 * minute, "a peek walks on, but no row is made anew"
    assert len(bench.life.view(bench.now_ns + 30 * S).timeline) <= 3


def test_the_calendar_never_runs_out() -> None:
    """Nobody hears of the machine for days, or the clock is set back by days: it is still asked and committed."""
    bench = Bench(calendar=TWO_SHIFTS)
    bench.sample()
    bench.commit()
    for days in (2, 3, 4, 9):
        bench.now_ns = T0 + days * DAY
        bench.commit()
        assert bench.life.view(bench.now_ns).bucket in (Bucket.UNKNOWN, Bucket.NOT_SCHEDULED)
    bench.sample()
    bench.now_ns = T0 - 2 * DAY
    bench.sample()
    bench.commit()
    bench.life.view(bench.now_ns)


@pytest.mark.parametrize("apart_ns", [APART_NS + DAY, 20_000 * DAY, -APART_NS - DAY])
def test_weeks_apart_is_another_life(apart_ns: int, caplog: pytest.LogCaptureFixture) -> None:
    """A clock without battery is set, or a machine comes out of store: said, and begun anew at once."""
    bench = Bench()
    bench.sample()
    bench.make(10)
    bench.commit()
    bench.now_ns += apart_ns
    bench.sample(total=30_000)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["begins anew"]
    bench.make(10)
    assert len(bench.commit(closing=True).rows) <= 3
    assert bench.total.tc == 20


# ---- reconfiguration ----


def test_a_shift_renamed_while_nobody_saw_the_machine_doubles_no_time() -> None:
    """Provisional rows under the old name are made void when their minutes become final under the new one."""
    bench = Bench(calendar=TWO_SHIFTS)
    bench.sample()
    bench.make(30)
    for _ in range(30):
        bench.wait(MINUTE)
        bench.commit()
    bench.calendar = replace(
        TWO_SHIFTS, shifts=tuple(replace(shift, name=f"new {shift.name}") for shift in TWO_SHIFTS.shifts)
    )
    bench.config_version = "c2"
    bench.restart()
    bench.wait(MINUTE)
    bench.sample(total=bench.registers[TOTAL] + 100)
    bench.make(40)
    bench.commit(closing=True)
    assert bench.total.all_ns == bench.now_ns - T0
    assert bench.total.tc + bench.total.unscheduled_tc == 170
    void = [row for row in bench.rows.values() if not row.sums.all_ns]
    assert len(void) >= 29
    assert all(row.final for row in void)


def test_a_product_that_is_gone_keeps_what_was_counted_under_it() -> None:
    bench = Bench()
    bench.sample(recipe=2)
    bench.make(10)
    bench.commit()
    bench.machine = machine(
        products=(Product("new", NAME, 2 * S, 3 * S, 6 * S, 20 * S, code=3), *machine().products[:1])
    )
    bench.config_version = "c2"
    bench.restart()
    bench.wait(S)
    bench.sample(recipe=3)
    bench.make(60)
    bench.commit(closing=True)
    pieces: dict[str, int] = {}
    for row in bench.rows.values():
        pieces[row.key.product] = pieces.get(row.key.product, 0) + row.sums.tc
    assert pieces == {"large": 10, "new": 60}
    assert bench.total.all_ns == bench.now_ns - T0


# ---- what people see ----


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_correction_has_a_sentence(
    language: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers for machines, a sentence for people; a healthy counter's own doings are no warning."""
    monkeypatch.setenv("SEAMLINE_LANG", language)
    caplog.set_level(logging.INFO)
    told = []
    for kind in Correction:
        tell(logging.getLogger("edge"), "m1", (T0, 0, int(kind), 90, 5, 5, 0, 0))
        told.append(caplog.records[-1].seamline_facts["detail"])
    assert len(set(told)) == len(Correction)
    levels = {record.seamline_facts["correction"]: record.levelname for record in caplog.records}
    assert [kind for kind, level in levels.items() if level == "INFO"] == ["rollover", "baseline"]


def test_a_reset_is_told_once_with_what_it_may_have_cost(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.sample()
    bench.make(50)
    bench.commit()
    caplog.clear()
    bench.wait(2 * S)
    bench.sample(total=1)
    bench.make(5)
    bench.commit()
    (record,) = caplog.records
    assert {"counter": "total", "correction": "reset", "old": 150}.items() <= record.seamline_facts.items()
    assert bench.life.view(bench.now_ns).corrections[1] == 1


def test_a_machine_that_was_never_read() -> None:
    view = Bench().life.view(T0)
    assert (view.bucket, view.state, view.age_ms, view.rate_per_min) == (Bucket.UNKNOWN, "unseen", None, None)
    assert (view.baseline, view.counted, view.timeline) == (False, 0, ())


def test_a_running_machine() -> None:
    bench = Bench()
    bench.sample()
    bench.make(30)
    bench.wait(S)
    view = bench.life.view(bench.now_ns)
    assert (view.bucket, view.state, view.age_ms, view.counted) == (Bucket.RUN, "execute", 1000, 30)
    assert view.rate_per_min == pytest.approx(30, rel=0.05)
    assert view.shift.all_ns == bench.now_ns - T0, "closed up to now"
    assert view.shift_name == "day"


def test_a_stopped_machine_says_why_and_since_when() -> None:
    bench = Bench()
    bench.sample()
    bench.make(5)
    bench.wait(S)
    bench.sample(run=0, fault_code=7)
    began = bench.now_ns
    for _ in range(30):
        bench.wait(S)
        bench.sample()
    view = bench.life.view(bench.now_ns)
    assert (view.bucket, view.state_since_ns, view.fault_code) == (Bucket.EXTERNAL_STARVED, began, 7)
    assert view.fault_text == NAME
    assert view.timeline[-1].bucket is Bucket.EXTERNAL_STARVED
    bench.sample(run=1, fault_code=0)
    bench.make(5)
    bench.commit()
    assert [(stop.end_ns - stop.start_ns, stop.fault_code) for stop in bench.stops.values()] == [(30 * S, 7)]


def test_a_machine_that_went_silent_is_unseen_not_stopped() -> None:
    bench = Bench()
    bench.sample()
    bench.make(5)
    bench.wait(6 * S)
    view = bench.life.view(bench.now_ns)
    assert (view.bucket, view.state, view.rate_per_min, view.age_ms) == (Bucket.UNKNOWN, "unseen", None, 6000)


def test_what_is_recorded_are_the_sums_that_people_see_as_figures() -> None:
    bench = Bench()
    bench.make(20)
    seen, recorded = bench.life.view(bench.now_ns), bench.life.view(bench.now_ns, whole=False)
    assert seen.shift is not None
    assert recorded.shift is not None
    none: dict[str, None] = dict.fromkeys(("oee", "availability", "performance", "quality", "fe", "mtbf_s", "mttr_s"))
    assert replace(seen.shift, **none, bounds=(), why=()) == recorded.shift
    assert (recorded.hour, recorded.timeline, recorded.process_values) == (None, (), ())


def test_a_process_value_of_bad_quality_is_not_shown() -> None:
    bench = Bench()
    bench.images[1].f64[0], bench.images[1].quality[0] = 42.5, Quality.GOOD
    assert bench.life.view(T0).process_values == (("temp", NAME, 42.5, "°C"),)
    bench.images[1].quality[0] = Quality.STALE
    assert bench.life.view(T0).process_values == (("temp", NAME, None, "°C"),)


def test_an_idle_machine_commits_no_checkpoint_twice() -> None:
    bench = Bench()
    bench.sample()
    assert bench.commit().checkpoint is not None
    assert bench.commit(minute=False).checkpoint is None
    assert bench.registers[RUN] == 1


@pytest.mark.parametrize("restart_again", [False, True])
def test_a_clock_set_back_while_the_agent_was_away_is_known_until_the_next_sample(restart_again: bool) -> None:
    """The first fact after the restart may be that the device is down: what was made meanwhile is counted all the same,
    even if the agent is killed once more before it hears of the machine.
    """
    bench = Bench()
    bench.sample()
    bench.make(20)
    bench.commit()
    bench.restart()
    bench.now_ns -= 60 * MINUTE
    bench.life = bench._new_life()
    bench.life.restore(bench.checkpoint, bench.now_ns, bench.pages.values())
    bench.images[0].quality[:] = type(bench.images[0].quality)("B", [Quality.COMM_LOST] * bench.images[0].size)
    bench.life.observe(bench.now_ns, bench.monotonic_ns, 0, samples=False)
    bench.commit()
    if restart_again:
        bench.wait(3 * S)
        bench.restart()
    bench.wait(5 * S)
    bench.sample(total=bench.registers[TOTAL] + 300)
    bench.make(2)
    bench.commit(closing=True)
    assert sum(row.sums.tc for row in bench.rows.values()) == 322
