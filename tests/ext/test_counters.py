"""The counter decoder: golden cases, laws, and agreement with its plain-Python twin."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins.counters import CounterTwin

from ext.buckets import Correction, Flag
from ext.counters import CounterDecoder

S = 1_000_000_000
BOTH = pytest.mark.parametrize("decoder", [CounterDecoder, CounterTwin], ids=["compiled", "twin"])


def feed(decoder, values, *, modulus=65536, rate=20.0, dt_ns=S):
    """Push values one a second; return every outcome."""
    counter = decoder(modulus, rate)
    return [counter.push(i * dt_ns, v) for i, v in enumerate(values)]


def pieces(outcomes):
    return sum(o[0] for o in outcomes)


@BOTH
@pytest.mark.parametrize(
    ("values", "modulus", "rate", "made"),
    [
        ([65530, 5], 65536, 20.0, 11),
        ([100, 101, 0, 103], 65536, 1.0, 3),
        ([65535, 131071, 65537], 2**32, 20.0, 2),
        ([9990, 4], 10000, 20.0, 14),
        ([998, 1], 1000, 20.0, 3),
        ([7, 7, 7], 65536, 20.0, 0),
    ],
    ids=["wrap-16-bit", "glitch", "torn-32-bit", "wrap-10000", "wrap-1000", "still"],
)
def test_pieces_of_known_series(decoder, values, modulus, rate, made):
    """Wraps of any modulus are counted through; single lies are dropped without losing what was made meanwhile."""
    assert pieces(feed(decoder, values, modulus=modulus, rate=rate)) == made


@BOTH
def test_reset_credits_what_shows_and_bounds_what_does_not(decoder):
    """A cleared counter credits its new value; what it counted unseen before the clearing is bounded by physics."""
    *_, last = feed(decoder, [40000, 3, 3], rate=18.0)
    assert last == (3, Correction.RESET, 17, 0, Flag.RESET)


@BOTH
def test_rebase_credits_nothing_for_the_jump(decoder):
    """A preset or replaced counter is no production: only counts after the jump are credited, the jump is reported."""
    *_, last = feed(decoder, [100, 30000, 30002])
    assert last[:2] == (2, Correction.REBASE)
    assert last[3] == 29900


@BOTH
def test_stuck_at_zero_is_taken_back(decoder):
    """A blank communication buffer looks like a reset; when the old count returns, every piece is restored."""
    outcomes = feed(decoder, [100, 101, 0, 0, 103, 104], rate=1.0)
    assert pieces(outcomes) == 4
    assert sum(o[2] for o in outcomes) == 0, "the bound of the mistaken reset is taken back with it"
    assert Correction.REVERSAL in {o[1] for o in outcomes}


@BOTH
def test_low_counts_take_the_smaller_credit(decoder):
    """10, 0, 12 may be a glitch (+2) or a reset (+12): the smaller is credited and the doubt is said."""
    assert feed(decoder, [10, 0, 12])[-1] == (2, Correction.AMBIGUOUS, 10, 0, Flag.AMBIGUOUS)


@BOTH
def test_gap_longer_than_the_wrap_time_is_a_lower_bound(decoder):
    """Where the counter may have wrapped entirely, the change is credited as a lower bound and said to be one."""
    counter = decoder(1000, 10.0)
    counter.push(0, 5)
    assert counter.push(200 * S, 25)[:2] == (20, Correction.AMBIGUOUS)


@BOTH
def test_plc_restart_is_a_reset_not_a_rollover(decoder):
    """Where the PLC itself says it restarted, a smaller value near the wrap is no rollover."""
    counter = decoder(65536, 20.0)
    counter.push(0, 65530)
    assert counter.push(S, 5, True)[:3] == (5, Correction.RESET, 17)


@BOTH
def test_noise_raises_a_counter_fault_and_counting_resumes(decoder):
    """Nonsense is never counted; after five held samples it is reported; two samples that agree end it."""
    outcomes = feed(decoder, [10, 9000, 18000, 27000, 36000, 45000, 54000, 54003])
    assert Correction.COUNTER_FAULT in {o[1] for o in outcomes}
    assert pieces(outcomes) == 3


@BOTH
def test_a_late_reading_is_no_fast_machine(decoder):
    """Two readings that came in close together may lie further apart: within the slack nothing is held or lost."""
    counter = decoder(2**32, 40.0, 1, S)
    counter.push(0, 1000)
    assert counter.push(S // 10, 1030)[:2] == (30, 0)
    exact = decoder(2**32, 40.0)
    exact.push(0, 1000)
    assert exact.push(S // 10, 1030)[0] == 0, "without slack the change is put on hold"


@BOTH
def test_first_sample_is_a_baseline(decoder):
    """What the counter showed before we came is not our production."""
    assert feed(decoder, [54321])[0] == (0, Correction.BASELINE, 0, 0, 0)


samples = st.lists(st.tuples(st.integers(0, 5 * S), st.integers(-2, 1100), st.booleans()), max_size=60)


@given(
    samples,
    st.sampled_from([1000, 1050]),
    st.sampled_from([0.5, 20.0, 400.0]),
    st.integers(1, 3),
    st.sampled_from([0, S]),
)
def test_twins_agree_on_anything(series, modulus, rate, multiplier, slack_ns):
    """Compiled and plain decoder give the same answer to any series, however wild."""
    rule = modulus, rate, multiplier, slack_ns
    compiled, plain = CounterDecoder(*rule), CounterTwin(*rule)
    t_ns = 0
    for dt_ns, value, epoch in series:
        t_ns += dt_ns
        assert compiled.push(t_ns, value, epoch) == plain.push(t_ns, value, epoch)


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=200),
    st.sampled_from([64, 1000, 65536, 2**31]),
    st.integers(0, 63),
)
def test_every_piece_of_a_healthy_counter_is_counted(increments, modulus, start):
    """Whatever the modulus, a counter read faster than it wraps gives exactly the pieces made."""
    value, t_ns = start, 0
    counter = CounterDecoder(modulus, 20.0)
    counter.push(t_ns, value)
    counted = 0
    for made in increments:
        t_ns += S
        value = (value + made) % modulus
        counted += counter.push(t_ns, value)[0]
    assert counted == sum(increments)


@given(samples)
def test_credit_is_never_negative(series):
    """No sample, however wrong, takes pieces away."""
    counter, t_ns = CounterDecoder(1000, 20.0), 0
    for dt_ns, value, epoch in series:
        t_ns += dt_ns
        assert counter.push(t_ns, value, epoch)[0] >= 0


def test_batch_equals_stream():
    """`run` over arrays is the same code path as `push`."""
    values = [65500 + i * 7 if 65500 + i * 7 < 65536 else (65500 + i * 7) % 65536 for i in range(300)]
    t_ns = array("q", range(0, 300 * S, S))
    stream = CounterDecoder(65536, 20.0)
    assert CounterDecoder(65536, 20.0).run(t_ns, array("q", values)) == sum(
        stream.push(t, v)[0] for t, v in zip(t_ns, values, strict=True)
    )


def test_unequal_arrays_are_refused():
    """A short buffer is an error, never a silent zero."""
    with pytest.raises(ValueError, match="2 times for 3 values"):
        CounterDecoder(100, 1.0).run(array("q", [0, 1]), array("q", [0, 1, 2]))


@pytest.mark.parametrize(("modulus", "rate", "multiplier"), [(1, 1.0, 1), (10, 0.0, 1), (10, 1.0, 0)])
def test_impossible_rules_are_refused(modulus, rate, multiplier):
    """A rule that cannot describe a counter is an error at start."""
    with pytest.raises(ValueError, match="must be"):
        CounterDecoder(modulus, rate, multiplier)


# ---- the bound, to the letter ----------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("rate_per_s", "dt_ns", "most"),
    [
        (1200 / 60, S, 22),  # 1 200 a minute for a second is 20, not 20.000000000000004
        (1000 / 60, 3 * S, 52),
        (1.2 * (1000 / 60), S, 22),
        (50 / 60 * 1.2, 7 * S, 9),
        (1.1, 10 * S, 13),
        (0.1, 10 * S, 3),
        (1 / 3, 3 * S, 3),
        (18.0, S, 20),
        (1000 / 60, S, 19),  # 16.67 is 17 and 2
        (20.0, 0, 2),
    ],
)
def test_the_bound_is_what_it_is_on_paper(decoder, rate_per_s, dt_ns, most):
    """cap = ceil(r * dt) + 2: that many counts are believed, one more is held."""
    for counts, credit in ((most, most), (most + 1, 0)):
        counter = decoder(65536, rate_per_s)
        counter.push(0, 100)
        assert counter.push(dt_ns, 100 + counts)[0] == credit


@BOTH
@pytest.mark.parametrize(("rate_per_s", "modulus"), [(1000 / 60, 65536), (2.0, 1000), (1200 / 60, 9999)])
def test_a_whole_turn_may_hide_from_m_over_r_on(decoder, rate_per_s, modulus):
    """At M / r exactly the change is a lower bound; a nanosecond earlier it is a count. No change is no change."""
    turn_ns = -(-modulus * 60 * S // round(rate_per_s * 60))
    for dt_ns, correction in ((turn_ns, Correction.AMBIGUOUS), (turn_ns - 1, 0)):
        counter = decoder(modulus, rate_per_s)
        counter.push(0, 5)
        assert counter.push(dt_ns, 25) == (20, correction, 0, 0, Flag.AMBIGUOUS if correction else 0)
        still = decoder(modulus, rate_per_s)
        still.push(0, 5)
        assert still.push(dt_ns, 5) == (0, 0, 0, 0, 0)


@BOTH
def test_a_glitch_after_which_the_register_may_have_turned_is_in_doubt(decoder):
    """A held sample, then a silence longer than a turn: what comes back is a lower bound."""
    counter = decoder(1000, 10.0)
    counter.push(0, 5)
    counter.push(S, 500)
    assert counter.push(200 * S, 25)[0::4] == (20, Flag.GLITCH | Flag.AMBIGUOUS)


@BOTH
def test_five_held_samples_are_a_fault_until_two_agree(decoder):
    """The fault is told once; the doubt goes with every sample that is not counted."""
    outcomes = feed(decoder, [10, 9000, 18000, 27000, 36000, 45000, 54000, 54003])
    assert [o[1] for o in outcomes[1:]] == [0, 0, 0, 0, Correction.COUNTER_FAULT, 0, Correction.REBASE]
    assert [bool(o[4] & Flag.COUNTER_FAULT) for o in outcomes[1:]] == [False] * 4 + [True] * 2 + [False]


@BOTH
@pytest.mark.parametrize(("samples", "restored"), [(10, True), (11, False)])
def test_a_reset_is_remembered_for_ten_samples(decoder, samples, restored):
    """The old value within ten samples takes the reset back; in the eleventh it is a jump like any other."""
    outcomes = feed(decoder, [5000, 5001, 0, *[0] * samples, 5003], rate=1.0)
    assert (outcomes[-1][1] == Correction.REVERSAL) is restored
    assert pieces(outcomes) == (3 if restored else 1)


@BOTH
def test_a_blank_buffer_of_a_low_count_invents_nothing(decoder):
    """15, 0, 0, 16 within the bound of counting on from zero: the smaller credit, and the doubt is said."""
    outcomes = feed(decoder, [14, 15, 0, 0, 16], rate=20.0)
    assert pieces(outcomes) == 2
    assert outcomes[-1] == (1, Correction.AMBIGUOUS, 15, 0, Flag.AMBIGUOUS)


@BOTH
@pytest.mark.parametrize(("held", "lost_max"), [(7, 15), (10, 33), (500, 33)], ids=["had shown it", "a lie", "a jump"])
def test_a_plc_restart_settles_a_held_sample(decoder, held, lost_max):
    """What may be lost was made before the restart showed: by the reading on hold, if the register went on from it."""
    counter = decoder(65536, 20.0)
    counter.push(0, 60000)
    counter.push(S, held)
    assert counter.push(2 * S, 9, True)[:3] == (9, Correction.RESET, lost_max)


@BOTH
def test_of_two_values_at_one_time_the_last_stands(decoder):
    """Said each time; what the first was credited too much is not credited again."""
    counter = decoder(65536, 20.0)
    counter.push(0, 100)
    assert counter.push(S, 105)[0] == 5
    assert counter.push(S, 103) == (0, Correction.AMBIGUOUS, 0, 0, Flag.AMBIGUOUS)
    assert [counter.push(2 * S, 104)[0], counter.push(3 * S, 107)[0]] == [0, 2]
    assert counter.push(3 * S, 109) == (2, Correction.AMBIGUOUS, 0, 0, Flag.AMBIGUOUS)
    assert counter.push(4 * S, 110)[0] == 1


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 10**7))
def test_any_rate_written_as_a_fraction_is_bounded_exactly(numerator, denominator, micros):
    """The float of a rate is turned back into what was written."""
    most = -(-numerator * micros // (denominator * 10**6)) + 2
    for counts in (most, most + 1):
        counter = CounterDecoder(2**62, numerator / denominator)
        counter.push(0, 0)
        assert counter.push(micros * 1000, counts)[0] == (counts if counts == most else 0)


# ---- registers that go back ------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    "values", [[100, 102, 100, 100, 104], [100, 102, 100, 100, 101, 102, 103, 104], [100, 102, 101, 102, 103, 104]]
)
def test_a_register_that_swings_back_counts_nothing_twice(decoder, values):
    """An encoder that swung back by two: what it counts again was counted."""
    assert pieces(feed(decoder, values, modulus=2**32, rate=2.2)) == 4


@BOTH
def test_a_swing_says_what_it_may_have_lost(decoder):
    """Had pieces been taken back, two and whatever was made unseen before that (the bound: 5) are missing."""
    outcomes = feed(decoder, [1000, 1002, 1000, 1000, 1001, 1002, 1003], rate=2.2)
    assert (pieces(outcomes), sum(o[2] for o in outcomes)) == (3, 2 + 5)


@given(st.lists(st.integers(0, 2), min_size=8, max_size=20), st.integers(1, 4), st.integers(2, 6))
def test_pieces_taken_back_are_within_the_bound(made, taken, when):
    """Four taken back while two are made: 98 after 100. What was made beyond the credits is no more than is said."""
    shown, values = 1000, []
    for number, pieces_made in enumerate(made):
        shown += pieces_made - (taken if number == when else 0)
        values.append(shown)
    outcomes = feed(CounterDecoder, [1000, *values], modulus=2**32, rate=1.8)
    if values[when] < values[when - 1] > values[when + 1]:  # a smaller one leaves no trace, or that of a glitch
        assert 0 <= sum(made) - pieces(outcomes) <= sum(o[2] for o in outcomes)


@BOTH
def test_two_blank_values_count_nothing(decoder):
    """A buffer of all ones, then of zeros, perhaps of anything, then the register again: nothing was made."""
    assert pieces(feed(decoder, [1000, 1000, 2**32 - 1, 0, 1000, 1000], modulus=2**32)) == 0
    assert pieces(feed(decoder, [1000, 1000, 2**32 - 1, 0, 1293229062, 1000, 1000], modulus=2**32)) == 0
    assert pieces(feed(decoder, [1000, 1000, 2**32 - 1, 0, 1000, 1001, 1002], modulus=2**32)) == 2
