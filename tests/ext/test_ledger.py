"""The ledger's rules one by one: what ends a gap, what is refused, what survives a restart. Compiled kernel and
plain twin.
"""

from __future__ import annotations

import time
from array import array
from typing import Any

import pytest
from cases.ledger.story import ALWAYS, DAY, NO_STATE, SHIFT, START, Machine, S, calendar_arrays, ns
from twins.ledger import LedgerTwin, largest_remainder

from edge.kpi.windows import cell_to_sums
from ext.buckets import Bucket, Counter, Flag, Schedule
from ext.ledger import CELL_FIELDS, SAMPLE_FIELDS, MachineLedger


@pytest.fixture(params=[MachineLedger, LedgerTwin], ids=["compiled", "twin"])
def build(request: pytest.FixtureRequest) -> Any:
    return request.param


def column(cells: list[tuple[int, ...]], name: str) -> list[int]:
    return [cell[CELL_FIELDS.index(name)] for cell in cells]


# ---- what ends a gap -------------------------------------------------------------------------------------------------


def test_first_sample_is_a_baseline(build: Any) -> None:
    """What the counter showed before we came is not our production, and no time is booked before it."""
    machine = Machine(build)
    machine.sample(0, register={"total": 40000})
    assert machine.outcome().made == (0, 0, 0)
    assert machine.outcome().cells == []


def test_gap_of_exactly_t3_is_run_and_one_ns_more_is_a_stop(build: Any) -> None:
    """`>` decides at every threshold, never `>=`."""
    at, beyond = (Machine(build, t3_s=60, hold_s=100).sample(total=1) for _ in range(2))
    assert at.sample(60, total=1).outcome().buckets == {"run": 61}
    late = beyond.sample(60 + 1e-9, total=1).outcome()
    assert late.sums.stop_ns[Bucket.UNASSIGNED] == 59 * S + 1
    assert late.sums.stop_ns[Bucket.RUN] == 2 * S


def test_several_pieces_in_one_sample_are_no_stop(build: Any) -> None:
    """A slow poll sees many pieces at once. 100 pieces after 120 s with t3 = 60 s: no gap between two can have been
    a stop.
    """
    seen = Machine(build, hold_s=300).sample(total=1).sample(120, total=100).outcome()
    assert seen.buckets == {"run": 121}
    assert seen.sums.small_ns == 20 * S


def test_pieces_after_a_stop_were_run(build: Any) -> None:
    """After five minutes of nothing, three pieces in one sample: their cycles were run, the rest was the stop."""
    seen = Machine(build, hold_s=10).sample(total=1).sample(5, times=60).sample(5, total=3).outcome()
    assert seen.buckets == {"run": 1 + 1 + 2, "unassigned": 302}


def test_count_while_stopped_proves_only_its_own_cycle_beyond_t2(build: Any) -> None:
    """A single piece minutes into a stop: its ideal cycle was run, the rest is what the state said."""
    machine = Machine(build, ideal_s=4, t2_s=8, hold_s=20)
    machine.sample(total=1).sample(state="breakdown", fault=7).sample(10, "breakdown", times=30, fault=7)
    seen = machine.sample(5, "breakdown", total=1, fault=7).outcome()
    assert seen.seconds(Bucket.RUN) == 2 + 4
    assert seen.sums.conflict_ns == 4 * S
    assert seen.flags & Flag.STATE_CONFLICT


def test_time_before_the_start_is_what_the_state_said(build: Any) -> None:
    """Three seconds between two readings, setup then run with a piece: one cycle was run, the rest was setup."""
    seen = Machine(build).sample(state="setup").sample(3, total=1).outcome()
    assert seen.buckets == {"run": 2, "setup": 2}


def test_piece_of_a_machine_that_just_started_is_no_conflict(build: Any) -> None:
    """The state turned to RUN and a piece came with it: it was made in run time, and nobody contradicted anybody."""
    seen = Machine(build).sample(state="setup", times=10).sample(total=1).outcome()
    assert seen.buckets == {"run": 2, "setup": 9}
    assert seen.sums.conflict_ns == 0


def test_rejects_alone_prove_no_production(build: Any) -> None:
    """Rejects thrown out by hand while the machine stands do not make it run."""
    machine = Machine(build, counters=("total", "reject"))
    seen = machine.sample(total=1).sample(state="breakdown").sample(state="breakdown", reject=1, times=20).outcome()
    assert seen.buckets == {"run": 2, "breakdown": 20}
    assert (seen.sums.sc, seen.sums.gc) == (20, 1)


# ---- signals that cannot be read -------------------------------------------------------------------------------------


def test_state_is_believed_for_hold_to_the_nanosecond(build: Any) -> None:
    """A reading holds for `hold`. After exactly that long nobody has doubted it; one ns more and the rest is
    UNKNOWN.
    """
    held = Machine(build).sample(state="breakdown").sample(5, "breakdown").outcome()
    assert held.buckets == {"run": 1, "breakdown": 5}
    silent = Machine(build).sample(state="breakdown").sample(65, "breakdown").outcome()
    assert silent.buckets == {"run": 1, "breakdown": 5, "unknown": 60}


def test_unreadable_state_is_held_then_counts_decide(build: Any) -> None:
    """OPC UA says Bad for the state while the counter goes on: first the last state, then counts alone."""
    machine = Machine(build).sample(total=1, times=10).sample(state="unknown", total=1, times=10)
    assert machine.outcome().buckets == {"run": 20}
    machine = Machine(build).sample(state="breakdown", times=10).sample(state="unknown", times=4)
    assert machine.outcome().stops == []
    assert machine.sample(state="breakdown", times=10).outcome().buckets == {"run": 1, "breakdown": 23}


def test_nothing_readable_is_unknown(build: Any) -> None:
    """Neither state nor counter for longer than hold: UNKNOWN, never the last state for ever."""
    machine = Machine(build).sample(total=1, times=10).sample(state="unknown", unread=["total"], times=65)
    assert machine.outcome().buckets == {"run": 15, "unknown": 60}


def test_count_register_alone_unreadable_is_unknown(build: Any) -> None:
    """A machine with nothing but a counter, and that unreadable, is not running because it once did."""
    machine = Machine(build).sample(state=NO_STATE, total=1, times=10)
    machine.sample(state=NO_STATE, unread=["total"], times=65)
    assert machine.outcome().seconds(Bucket.UNKNOWN) == 60


def test_blind_counter_leaves_the_word_to_the_state(build: Any) -> None:
    """Run bit read, counter not, for three minutes: it ran. What the counter shows afterwards is recovered, not
    lost.
    """
    machine = Machine(build).sample(total=1, times=10)
    machine.sample(unread=["total"], total=1, times=180).sample(total=1, times=10)
    seen = machine.outcome()
    assert seen.buckets == {"run": 200}
    assert (seen.sums.tc, seen.sums.recovered) == (200, 181)
    assert seen.flags & Flag.RECOVERED


def test_one_unread_count_does_not_restart_the_clock_of_a_stop(build: Any) -> None:
    """Every second reading of the counter fails; the machine stands for three minutes with its run bit on: a stop
    even so.
    """
    machine = Machine(build).sample(total=1)
    for _ in range(90):
        machine.sample().sample(unread=["total"])
    assert machine.outcome().seconds(Bucket.UNASSIGNED) >= 175


# ---- silence ---------------------------------------------------------------------------------------------------------

WITH_BREAK = (
    (-DAY, 90, Schedule.SCHEDULED, SHIFT),
    (90, 150, Schedule.BREAK, SHIFT),
    (150, 210, Schedule.NOT_SCHEDULED, 0),
    (210, DAY, Schedule.SCHEDULED, SHIFT + 1),
)


def test_recovered_pieces_are_spread_over_scheduled_time(build: Any) -> None:
    """Largest remainder over the scheduled part of the silence, the seconds included in which the state was believed:
    whole pieces, none in the break, none outside the shift.
    """
    machine = Machine(build, calendar=WITH_BREAK).sample(55)  # silence from 60 s on: 30 s scheduled before, 30 s after
    assert machine.outcome().buckets == {"run": 5, "unknown": 50}
    machine = Machine(build, calendar=WITH_BREAK)
    machine.sample(5, times=12).sample(180, total=7)  # 60 … 240 s; 30 s + 30 s of it scheduled
    cells = machine.outcome().cells
    found = {(START + 60 * S * m): 0 for m in range(5)}
    for cell in cells:
        found[cell[0]] += cell_to_sums(cell).recovered
    assert list(found.values()) == [0, 4, 0, 3, 0]
    assert sum(column(cells, "estimated")) == 7


def test_pieces_that_only_a_break_can_have_made_prove_it_was_not_taken(build: Any) -> None:
    """Silence wholly inside a break, and pieces in it: that time is unobserved planned production, or OEE would be a
    gift.
    """
    machine = Machine(build, calendar=((-60, 0, Schedule.SCHEDULED, 1), (0, 3600, Schedule.BREAK, 1)))
    seen = machine.sample(600, total=500).outcome()
    assert seen.sums.ppt_ns == seen.sums.unknown_ns == 595 * S
    assert seen.sums.tc == 500
    assert not seen.flags & Flag.BREAK_ASSUMED


def test_goods_and_rejects_follow_the_totals(build: Any) -> None:
    """No minute has more goods or rejects than pieces, however the spreading rounds."""
    machine = Machine(build, counters=("total", "reject"), rate_per_s=5)
    machine.sample(600, total=607, reject=13)
    for cell in map(cell_to_sums, machine.outcome().cells):
        assert cell.gc + cell.sc == cell.tc
    assert machine.ledger.made == (607, 594, 13)


def test_largest_remainder() -> None:
    """The oracle of the oracle: known shares."""
    assert largest_remainder(7, [30, 0, 0, 30]) == [4, 0, 0, 3]
    assert largest_remainder(10, [1, 1, 1]) == [4, 3, 3]
    assert largest_remainder(0, [5, 5]) == [0, 0]


def test_a_month_of_silence_is_spread_quickly() -> None:
    """An agent that was off for a month comes back without holding up the loop: its 43 200 minutes cost less than
    hearing the machine once in each of them.
    """

    def cost(step_s: int, times: int) -> float:
        machine = Machine(MachineLedger, rate_per_s=20, modulus=2**31)
        began = time.process_time()
        machine.sample(step_s, total=step_s, times=times)
        took = time.process_time() - began
        assert machine.ledger.made[0] == 30 * DAY
        return took

    spread = min(cost(30 * DAY, 1) for _ in range(3))  # a collection of garbage may fall into any of them
    assert spread < min(cost(60, 30 * DAY // 60) for _ in range(3))


# ---- edges of windows ------------------------------------------------------------------------------------------------


def test_cells_end_at_minutes_shifts_and_product_changes(build: Any) -> None:
    """One cell per minute x shift x product; a piece seen on an edge was made before it."""
    machine = Machine(
        build,
        products=((ns(1) / S, 1.05, 1.7, 60), (1, 1.05, 1.7, 60)),
        calendar=((-60, 30, Schedule.SCHEDULED, 1), (30, DAY, Schedule.SCHEDULED, 2)),
    )
    machine.sample(total=1, times=45).sample(total=1, product=1, times=30)
    cells = [(c[0] - START, c[1], c[2], sum(c[3:17]), cell_to_sums(c).tc) for c in machine.outcome().cells]
    assert cells == [
        (0, 1, 0, 30 * S, 30),
        (0, 2, 0, 16 * S, 16),  # the piece seen with the new product was still made of the old
        (0, 2, 1, 14 * S, 14),
        (60 * S, 2, 1, 15 * S, 15),
    ]


def test_a_minute_leaves_when_something_beyond_it_is_booked(build: Any) -> None:
    """Booked to its very end it is still open: another reading of that time may show a piece of it."""
    machine = Machine(build).sample(total=1, times=59).sample(state="manual")
    assert machine.ledger.booked_ns == START + 60 * S
    assert machine.ledger.cells() == []
    machine.sample(0, state="manual", total=1).sample(state="manual")
    assert [cell_to_sums(cell).tc for cell in machine.ledger.cells()] == [60]


def test_stops_are_whole_and_keep_the_first_fault(build: Any) -> None:
    """A stop crosses minutes as one event, with the first code of the fault, not the last."""
    machine = Machine(build).sample(total=1, times=30).sample(state="breakdown")
    machine.sample(state="breakdown", fault=7, times=10).sample(state="breakdown", fault=9, times=80)
    machine.sample().sample(total=1)
    assert machine.outcome().stop_story == [(31, 122, "breakdown", 7)]


def test_a_break_inside_a_breakdown_has_no_fault(build: Any) -> None:
    """A planned stop is nobody's fault, and the breakdown after it is the same one again."""
    machine = Machine(build, calendar=WITH_BREAK).sample(state="breakdown", fault=7, times=300).sample().sample(total=1)
    story = machine.outcome().stop_story
    assert story == [
        (1, 90, "breakdown", 7),
        (90, 150, "planned_stop", 0),
        (150, 210, "not_scheduled", 0),
        (210, 301, "breakdown", 7),
    ]


# ---- looking ---------------------------------------------------------------------------------------------------------


def test_peek_says_what_it_looks_like_now(build: Any) -> None:
    """Bucket, since when, with which fault; beyond hold the present is unknown."""
    machine = Machine(build).sample(total=1).sample(state="breakdown", fault=7, times=20)
    _, bucket, since_ns, fault = machine.ledger.peek(START + 23 * S)
    assert (bucket, since_ns, fault) == (Bucket.BREAKDOWN, START + 2 * S, 7)
    _, bucket, since_ns, fault = machine.ledger.peek(START + 60 * S)
    assert (bucket, since_ns, fault) == (Bucket.UNKNOWN, START + 26 * S, 0)


def test_peek_gives_only_minutes_asked_for(build: Any) -> None:
    """During a long silence only the minutes that are wanted are made into rows."""
    machine = Machine(build).sample(total=1, times=30)
    cells = machine.ledger.peek(START + 600 * S, START + 540 * S)[0]
    assert column(cells, "minute_ns") == [START + 540 * S]


def test_finish_is_what_peek_shows_for_good_with_the_stops_that_ended_by_it(build: Any) -> None:
    """A breakdown, then three seconds that nothing decided yet: it ended when they began."""
    machine = Machine(build).sample(total=1).sample(state="breakdown", fault=7, times=3).sample(times=3)
    ledger, now_ns = machine.ledger, machine.ledger.t_ns
    drained, stops = ledger.cells(), ledger.stops()
    shown, *present = ledger.peek(now_ns)
    assert [*ledger.finish(now_ns)] == present
    assert ledger.cells() == shown
    assert sum(end - start for start, end, *_ in stops + ledger.stops()) == sum(column(drained + shown, "breakdown"))


def test_before_the_first_sample_there_is_nothing(build: Any) -> None:
    """A ledger that never saw a sample has nothing to say and does not fail."""
    fresh = build(S, (), ((1, 1, 1, 1),))
    assert fresh.peek(START)[0] == []
    fresh.finish(START)
    assert fresh.cells() == []
    assert (fresh.started, fresh.t_ns, fresh.made) == (False, 0, (0, 0, 0))


# ---- what is refused -------------------------------------------------------------------------------------------------


def refused(ledger: Any, rows: list[tuple[int, ...]], error: type[Exception]) -> None:
    """Refused by push and by run, and nothing has changed."""
    before = ledger.dump()
    with pytest.raises(error):
        ledger.push(*rows[-1])
    flat = array("q", [n for row in rows for n in row])
    with pytest.raises(error):
        ledger.run(memoryview(flat).cast("B").cast("q", (len(rows), len(SAMPLE_FIELDS))))
    assert ledger.dump() == before
    assert (ledger.cells(), ledger.stops(), ledger.corrections()) == ([], [], [])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bucket", -2), ("bucket", 14), ("bucket", int(Bucket.NOT_SCHEDULED)), ("product", 1), ("product", -1),
        ("t_ns", 0), ("t_ns", -5), ("mask", 16), ("mask", -1), ("elapsed_ns", 2**62),
    ],
)  # fmt: skip
def test_impossible_samples_are_refused_and_change_nothing(build: Any, field: str, value: int) -> None:
    """A sample no machine can send is an error of the caller, in a batch before its first row is taken."""
    machine = Machine(build).sample(total=1, times=3)
    machine.outcome()
    good = (START + 4 * S, S, 0, 0, 0, 1, 4, 0, 0)
    bad = list(good)
    bad[SAMPLE_FIELDS.index(field)] = value
    refused(machine.ledger, [good, tuple(bad)], ValueError)


def test_calendar_that_ends_is_an_error_that_can_be_repaired(build: Any) -> None:
    """The calendar does not reach: nothing changed; with a longer calendar the same sample is accepted and nothing
    is missing.
    """
    short = ((-60, 100, Schedule.SCHEDULED, SHIFT),)
    machine = Machine(build, calendar=short).sample(total=1, times=90)
    machine.outcome()
    row = (START + 200 * S, 110 * S, 0, 0, 0, 1, 200, 0, 0)
    refused(machine.ledger, [row], LookupError)
    with pytest.raises(LookupError):
        machine.ledger.peek(START + 101 * S)
    machine.ledger.set_calendar(*calendar_arrays(((-60, 500, Schedule.SCHEDULED, SHIFT),)))
    machine.ledger.push(*row)
    assert machine.ledger.made[0] == 200
    whole = Machine(build, calendar=((-60, 500, Schedule.SCHEDULED, SHIFT),)).sample(total=1, times=90)
    whole.ledger.push(*row)
    assert machine.ledger.peek(START + 200 * S) == whole.ledger.peek(START + 200 * S)


def test_the_end_of_the_calendar_is_not_in_it(build: Any) -> None:
    """A look may reach to the last nanosecond; a piece needs a slice to fall into."""
    machine = Machine(build, calendar=((-60, 100, Schedule.SCHEDULED, SHIFT),)).sample(total=1, times=99)
    assert machine.outcome(100).sums.all_ns == 100 * S
    refused(machine.ledger, [(START + 100 * S, S, 0, 0, 0, 1, 100, 0, 0)], LookupError)


def test_calendar_must_reach_back_to_what_is_not_booked(build: Any) -> None:
    """A calendar that begins after the open gap would tear a hole: refused, repairable."""
    machine = Machine(build).sample(total=1, times=3)
    machine.outcome()
    machine.ledger.set_calendar(*calendar_arrays(((60, DAY, Schedule.SCHEDULED, SHIFT),)))
    refused(machine.ledger, [(START + 90 * S, S, 0, 0, 0, 1, 4, 0, 0)], LookupError)
    machine.ledger.set_calendar(*calendar_arrays(ALWAYS))
    assert machine.sample(total=1).outcome().sums.tc == 4


def test_no_calendar_at_all(build: Any) -> None:
    """Forgotten set_calendar: said, not crashed."""
    refused(build(S, (), ((1, 1, 1, 1),)), [(START, -1, 0, 0, 0, 0, 0, 0, 0)], LookupError)


@pytest.mark.parametrize(
    "rules",
    [
        (0, (), ((1, 1, 1, 1),)),
        (S, (), ()),
        (S, (), ((2, 1, 3, 4),)),
        (S, (), ((0, 1, 3, 4),)),
        (S, (), ((1, 1, 1, 1),) * 33),
        (S, ((3, 100, 1.0, 1),), ((1, 1, 1, 1),)),
        (S, ((0, 1, 1.0, 1),), ((1, 1, 1, 1),)),
        (S, ((0, 100, float("nan"), 1),), ((1, 1, 1, 1),)),
        (S, ((0, 100, 1.0, 0),), ((1, 1, 1, 1),)),
        (S, ((0, 100, 1.0, 1), (0, 100, 1.0, 1)), ((1, 1, 1, 1),)),
        (S, ((2, 100, 1.0, 1),), ((1, 1, 1, 1),)),
    ],
)
def test_impossible_rules_are_refused(build: Any, rules: tuple[Any, ...]) -> None:
    """Rules that cannot be meant are errors at start; a reject counter alone says nothing of the output."""
    with pytest.raises(ValueError):
        build(*rules)


@pytest.mark.parametrize(
    "slices",
    [((0, 10, 0, 1), (11, 20, 0, 1)), ((0, 10, 3, 1),), ((10, 10, 0, 1),), ()],
    ids=["hole", "unknown kind", "empty slice", "none"],
)
def test_impossible_calendars_are_refused(build: Any, slices: Any) -> None:
    """A calendar has no holes and no overlaps."""
    columns = [array("q", column) for column in zip(*slices, strict=True)] or [array("q")] * 4
    with pytest.raises(ValueError):
        build(S, (), ((1, 1, 1, 1),)).set_calendar(*columns)


def test_rows_of_another_width_are_refused() -> None:
    """A short row is an error, never read past its end."""
    with pytest.raises(ValueError, match="rows of 9"):
        Machine(MachineLedger).ledger.run(memoryview(array("q", [0] * 8)).cast("B").cast("q", (1, 8)))


# ---- checkpoints -----------------------------------------------------------------------------------------------------


def test_restart_is_a_gap_and_loses_nothing(build: Any) -> None:
    """Killed for two minutes at a piece a second: every piece is there, the time is UNKNOWN, not run and not down."""
    machine = Machine(build).sample(total=1, times=100)
    rows = machine.restart()
    machine.sample(120, total=120).sample(total=1, times=10)
    seen = machine.outcome()
    total = sum(column(rows, "tc")) + seen.sums.tc
    assert (total, seen.made[0]) == (230, 230)
    assert seen.sums.unknown_ns == 115 * S


def test_load_hands_out_the_open_cell_and_renumbers_the_product(build: Any) -> None:
    """After a change of the product list, what was counted stays under the old number and the present product gets
    its new one.
    """
    two = ((1, 1.05, 1.7, 60), (1, 1.05, 1.7, 60))
    machine = Machine(build, products=two).sample(total=1, product=1, times=30)
    assert machine.restart(renumber=(0, 0)) != []
    old = machine.ledger.cells()
    assert column(old, "product") == [1]
    assert column(old, "tc") == [29]
    machine.sample(total=1, times=5)
    assert set(column(machine.outcome().cells, "product")) == {0}


def test_a_replaced_counter_starts_from_its_first_sample(build: Any) -> None:
    """Another modulus is another counter: what the old one showed says nothing about it."""
    machine = Machine(build).sample(total=1, times=30)
    blob = machine.ledger.dump()
    machine.rules = (machine.rules[0], ((0, 10000, 20.0, 1),), machine.rules[2])
    machine.ledger = machine.fresh()
    machine.ledger.load(blob)
    machine.sample(register={"total": 9000}).sample(total=2)
    assert machine.ledger.made[0] == 32


def test_pieces_per_count_and_rate_come_from_the_rules(build: Any) -> None:
    """A changed multiplier holds from the restart on; the checkpoint does not bring the old one back."""
    machine = Machine(build, multiplier=2).sample(total=1, times=10)
    blob = machine.ledger.dump()
    machine.rules = (machine.rules[0], ((0, 65536, 20.0, 3),), machine.rules[2])
    machine.ledger = machine.fresh()
    machine.ledger.load(blob)
    machine.sample(total=1)
    assert machine.ledger.made[0] == 20 + 3


@pytest.mark.parametrize("blob", [b"", b"x" * 10, b"\0" * 4096])
def test_what_is_no_checkpoint_is_refused(build: Any, blob: bytes) -> None:
    """A damaged checkpoint is an error with words, and the ledger is as new."""
    ledger = Machine(build).ledger
    before = ledger.dump()
    with pytest.raises(ValueError):
        ledger.load(blob)
    assert ledger.dump() == before


def test_an_older_sample_moves_counts_not_time(build: Any) -> None:
    """Readings in the wrong order: no time is booked twice, and the pieces are those of the stream in order."""
    machine = Machine(build).sample(total=1, times=10)
    machine.ledger.push(START + 8 * S, -1, 0, 0, 0, 1, 8, 0, 0)
    machine.sample(total=1).sample(total=1)
    seen = machine.outcome()
    assert seen.made[0] == 12
    assert seen.sums.all_ns == 12 * S


def test_corrections_speak_in_pieces(build: Any) -> None:
    """What a correction credits and may have lost is said in pieces, with the counter's own values beside it."""
    machine = Machine(build, multiplier=2, rate_per_s=18)
    machine.sample(2300, register={"total": 40000}).sample(register={"total": 3}).sample(register={"total": 3})
    *_, last = machine.outcome().corrections
    assert last[1:] == (Counter.TOTAL, 2, 40000, 3, 6, 34, 0)


# ---- the end of a life -----------------------------------------------------------------------------------------------


def test_a_stop_that_the_last_sample_ended_is_not_open(build: Any) -> None:
    """The piece that ends a stop is the last thing ever seen: the stop is over, and told as one."""
    machine = Machine(build, ideal_s=2, t2_s=3.4, t3_s=20).sample(2, total=1).sample(times=25).sample(total=1)
    now_ns = machine.ledger.t_ns
    assert machine.ledger.peek(now_ns)[1] == Bucket.RUN
    assert machine.ledger.finish(now_ns)[0] == Bucket.RUN
    assert machine.outcome().stop_story == [(4, 28, "unassigned", 0)]


def test_a_blind_run_waits_two_hours_for_its_pieces(build: Any) -> None:
    """Minutes of a run whose counter cannot be read become final after two hours, and say that they miss pieces."""
    machine = Machine(build, hold_s=60).sample(total=1, times=60).sample(30, unread=["total"], total=30, times=2 * 122)
    seen = machine.ledger.cells()
    assert column(seen, "minute_ns")[-1] == START + 60 * S
    assert [sum(column(seen, "tc")), machine.ledger.made[0]] == [60, 60]
    assert Flag(seen[-1][-1]) == Flag.ESTIMATED
    machine.sample(30, total=30)
    assert machine.ledger.made[0] == 60 + 30 * (2 * 122 + 1)
    assert sum(column(machine.ledger.cells(), "tc")) >= 60 * 120


def test_a_loss_told_at_a_time_that_is_booked_survives_a_restart(build: Any) -> None:
    """A count that a clock set back shows at the time of the last sample ends a gap there, be its cell gone since."""

    def ledger() -> Any:
        counters = (Counter.GOOD, 1000, 20.0, 1), (Counter.REJECT, 1000, 20.0, 1)
        made = build(5 * S, counters, ((S // 2, S, S, 60 * S),))
        made.set_calendar(*(array("q", [value]) for value in (0, 2**62, int(Schedule.SCHEDULED), 0)))
        return made

    whole, broken, cells = ledger(), ledger(), []
    for second, good, reject in [*((second, 0, 0) for second in range(1, 40)), (37, 0, 1), (38, 1, 1)]:
        for made in (whole, broken):
            made.push(START + second * S, -1, NO_STATE, 0, 0, 6, 0, good, reject)
        cells += broken.cells()
        blob, broken = broken.dump(), ledger()
        broken.load(blob)
    cells += broken.cells() + broken.peek(broken.t_ns)[0]
    assert sum(column(cells, "small_ns")) == sum(column(whole.peek(whole.t_ns)[0], "small_ns")) > 30 * S


@pytest.mark.parametrize(
    ("counters", "told", "expected"),
    [
        ((Counter.TOTAL, Counter.REJECT), (4, 0, 1), ([2, 2], [1, 2], [1, 0])),
        ((Counter.TOTAL, Counter.GOOD), (4, 3, 0), ([2, 2], [2, 1], [0, 1])),
        ((Counter.GOOD, Counter.REJECT), (0, 3, 1), ([3, 1], [2, 1], [1, 0])),
        ((Counter.TOTAL, Counter.GOOD), (3, 3, 0), ([2, 1], [2, 1], [0, 0])),
        ((Counter.TOTAL, Counter.REJECT), (2, 0, 3), ([1, 1], [0, 0], [2, 1])),
    ],
)
def test_each_counter_is_spread_for_itself(build: Any, counters: Any, told: Any, expected: Any) -> None:
    """A silence over two halves of minutes: what is counted goes by largest remainder, the rest is derived in each."""
    ledger = build(5 * S, [(counter, 1000, 20.0, 1) for counter in counters], ((S // 2, S, S, 60 * S),))
    ledger.set_calendar(*(array("q", [value]) for value in (0, 2**62, int(Schedule.SCHEDULED), 0)))
    minute = START - START % (60 * S)
    ledger.push(minute + 30 * S, -1, int(Bucket.RUN), 0, 0, 7, 100, 100, 100)
    ledger.push(minute + 90 * S, -1, int(Bucket.RUN), 0, 0, 7, *(100 + n for n in told))
    cells = ledger.cells() + ledger.peek(ledger.t_ns)[0]
    assert tuple(column(cells, name) for name in ("tc", "gc", "sc")) == expected
