"""A device that is busy or slow is asked more slowly, with jitter and a cap, and is well again after three answers."""

import random

from edge.poll.strain import CALM, CAP_S, FIRST_S, Strain


def test_doubling_with_a_cap_and_jitter() -> None:
    pauses = [[one.busy() for _ in range(10)] for one in (Strain(random.Random(1)), Strain(random.Random(2)))]
    for row in pauses:
        for number, pause_s in enumerate(row):
            full = min(CAP_S, FIRST_S * 2**number)
            assert 0.75 * full <= pause_s <= full
    assert pauses[0] != pauses[1]


def test_recovers_fast() -> None:
    """After any number of misses: three answers in time, each but the last with its pause."""
    one = Strain()
    for _ in range(50):
        one.missed()
    assert one
    assert one.lasting
    pauses = [one.answered() for _ in range(CALM)]
    assert all(0 < pause_s <= CAP_S for pause_s in pauses[:-1])
    assert pauses[-1] == 0
    assert not one
    assert one.busy() <= FIRST_S


def test_one_lost_frame_costs_no_pause() -> None:
    """It has cost its deadline; the next one, before all is well, does."""
    one = Strain()
    assert one.missed() == 0
    assert one.answered() == 0
    assert one.missed() > 0


def test_every_second_answer_in_time_is_slow() -> None:
    """Answers between the misses do not make it well."""
    one = Strain()
    for _ in range(4):
        one.missed()
        one.answered()
    assert one.answered() > 0
    assert one.lasting
