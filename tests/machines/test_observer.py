"""From signals to a sample: rules in order, nothing believed that was not read, no state invented."""

from __future__ import annotations

import random

import pytest
from machines.bench import (
    FAULT,
    FAULT_CODE,
    RECIPE,
    REJECT,
    RUN,
    SIGNALS,
    T0,
    TOTAL,
    S,
    condition,
    machine,
    new_images,
    write,
)

from edge.machines.observer import NO_STATE, Observer
from edge.plan import StateRule
from ext.buckets import Bucket
from protocols.reading import Quality

GOOD = {RUN: 1, FAULT: 0, FAULT_CODE: 0, RECIPE: 1, TOTAL: 40, REJECT: 2}


def observed(*, at_ns: int = T0, bad: tuple[int, ...] = (), quality=Quality.BAD, of=None, **changes):
    """The sample at `at_ns` of registers read well at T0, except the `bad` ones."""
    images = new_images()
    write(images[0], T0, GOOD | {int(k.removeprefix("r")): v for k, v in changes.items()})
    for tag in bad:
        images[0].quality[tag] = quality
    return Observer(of or machine(), images).sample(at_ns)


def test_a_good_image_gives_state_product_and_counts() -> None:
    sample = observed()
    assert (sample.bucket, sample.state, sample.product) == (Bucket.RUN, "execute", 0)
    assert (sample.mask, sample.counters) == (0b101, (40, 0, 2)), "total and reject, no good counter"


def test_the_first_rule_that_holds_wins() -> None:
    """Fault and run at once: the fault comes first in the rules."""
    assert observed(**{f"r{FAULT}": 1}).state == "fault"
    turned = machine(states=machine().states[::-1])
    assert observed(**{f"r{FAULT}": 1}, of=turned).state == "execute"


def test_a_rule_needs_all_its_conditions() -> None:
    both = StateRule((condition(RUN, 1), condition(FAULT, 0, negate=True)), Bucket.SETUP, "both")
    assert observed(of=machine(states=(both,))).state == "stopped"
    assert observed(**{f"r{FAULT}": 5}, of=machine(states=(both,))).state == "both"


def test_no_rule_holds_and_everything_was_read_is_the_default() -> None:
    assert observed(**{f"r{RUN}": 0}).state == "stopped"


@pytest.mark.parametrize("quality", [Quality.BAD, Quality.STALE, Quality.COMM_LOST, Quality.NOT_CONFIGURED])
def test_a_run_bit_nobody_can_read_does_not_say_stopped(quality: Quality) -> None:
    sample = observed(bad=(RUN,), quality=quality)
    assert (sample.bucket, sample.state) == (Bucket.UNKNOWN, "unseen")


def test_what_can_be_read_still_decides() -> None:
    """The fault bit is unreadable, the run bit says it runs."""
    assert observed(bad=(FAULT,)).bucket is Bucket.RUN


def test_an_uncertain_value_counts() -> None:
    assert observed(bad=(RUN, TOTAL), quality=Quality.UNCERTAIN) == observed()


def test_a_counter_that_cannot_be_read_leaves_the_mask() -> None:
    assert (observed(bad=(TOTAL,)).mask, observed(bad=(TOTAL,)).counters) == (0b100, (0, 0, 2))


@pytest.mark.parametrize(("age_ns", "seen"), [(0, True), (5 * S, True), (5 * S + 1, False), (-1, False)])
def test_a_reading_counts_for_the_hold_time_and_never_from_the_future(age_ns: int, seen: bool) -> None:
    sample = observed(at_ns=T0 + age_ns)
    assert (sample.bucket is Bucket.RUN) is seen
    assert (sample.mask != 0) is seen


def test_a_fault_code_names_an_unnamed_stop_only() -> None:
    """Code 7 is 'starved': it explains a stop and a fault, never a run."""
    code = {f"r{FAULT_CODE}": 7}
    assert observed(**code, **{f"r{RUN}": 0}).bucket is Bucket.EXTERNAL_STARVED
    assert observed(**code, **{f"r{FAULT}": 1}).bucket is Bucket.EXTERNAL_STARVED
    running = observed(**code)
    assert (running.bucket, running.fault_code) == (Bucket.RUN, 7)


@pytest.mark.parametrize("code", [8, 9])
def test_a_code_without_a_bucket_or_unknown_leaves_the_stop(code: int) -> None:
    assert observed(**{f"r{FAULT_CODE}": code, f"r{RUN}": 0}).bucket is Bucket.UNASSIGNED


def test_a_fault_code_that_cannot_be_read_is_none() -> None:
    assert observed(**{f"r{FAULT_CODE}": 7, f"r{RUN}": 0}, bad=(FAULT_CODE,)).fault_code == 0


def test_the_product_is_the_last_one_seen() -> None:
    """A recipe nobody can read, or one without a product, changes nothing."""
    images = new_images()
    observer = Observer(machine(), images)
    seen = []
    for recipe, quality in ((1, 0), (2, 0), (2, Quality.BAD), (99, 0), (1, 0)):
        write(images[0], T0, GOOD | {RECIPE: recipe})
        images[0].quality[RECIPE] = quality
        seen.append(observer.sample(T0).product)
    assert seen == [0, 1, 1, 1, 0]


def test_without_state_signals_counts_decide() -> None:
    sample = observed(of=machine(states=()))
    assert (sample.bucket, sample.mask) == (NO_STATE, 0b101)


def test_a_good_fault_code_of_a_machine_without_states_names_nothing() -> None:
    assert observed(of=machine(states=()), **{f"r{FAULT_CODE}": 7}).bucket == NO_STATE


def test_the_clock_of_a_machine() -> None:
    """Its first counter; without counters the first state signal; without either it is never sampled."""
    images = new_images()
    assert Observer(machine(), images).trigger.tag == TOTAL
    assert Observer(machine(counters=()), images).trigger.tag == RUN
    assert Observer(machine(counters=(), states=()), images).trigger is None


# ---- a state is told once --------------------------------------------------------------------------------------------


class Apart:
    """Run, fault and total read one after the other, never at one time."""

    def __init__(self) -> None:
        self.images = new_images()
        self.observer = Observer(machine(), self.images)
        self.buckets: list[int] = []

    def read(self, at_ns: int, **registers: int) -> int:
        image = self.images[0]
        for name, value in registers.items():
            tag = SIGNALS.index(name)
            image.i64[tag], image.t_ns[tag], image.quality[tag] = value, T0 + at_ns, Quality.GOOD
        return self.observer.sample(T0 + at_ns).bucket


def test_a_state_is_told_when_another_rule_holds_and_again_when_it_was_read_anew() -> None:
    bench = Apart()
    assert bench.read(0, run=1) == Bucket.RUN, "a fault bit nobody has read yet hides no run bit"
    assert bench.read(S // 2, fault=0) == Bucket.UNKNOWN, (
        "the run bit was not read again: it is believed from when it was"
    )
    assert bench.read(S, run=1) == Bucket.RUN
    assert bench.read(2 * S, fault=1) == Bucket.BREAKDOWN
    assert bench.read(3 * S, run=1) == Bucket.UNKNOWN, "the fault bit was not read again"
    assert bench.read(4 * S, fault=0) == Bucket.RUN, "the run bit of 3 s still holds, and says something else now"
    assert bench.read(5 * S, total=7) == Bucket.UNKNOWN


def test_a_reading_is_believed_for_the_hold_time_once() -> None:
    """A fault read once: told at 0 s, gone after 5 s; the run bit, read on, says that it stands."""
    bench = Apart()
    told = [bench.read(0, fault=1, run=0), *(bench.read(n * S, run=0) for n in range(1, 8))]
    assert told == [Bucket.BREAKDOWN, *[Bucket.UNKNOWN] * 5, *[Bucket.UNASSIGNED] * 2]


def test_signals_read_in_turn_are_told_every_round() -> None:
    both = StateRule((condition(RUN, 1), condition(FAULT, 0)), Bucket.SETUP, "both")
    bench = Apart()
    bench.observer = Observer(machine(states=(both,)), bench.images)
    told = [bench.read(n * S, **({"run": 1} if n % 2 else {"fault": 0})) for n in range(8)]
    assert told[1:] == [Bucket.SETUP, *[Bucket.UNKNOWN, Bucket.SETUP] * 3]


def test_a_clock_set_back_tells_the_state_it_reads() -> None:
    bench = Apart()
    assert bench.read(3600 * S, run=1, fault=0) == Bucket.RUN
    assert [bench.read(n * S, run=1, fault=0) for n in range(3)] == [Bucket.RUN] * 3


def test_a_run_bit_that_was_read_says_stopped_even_if_nobody_can_read_why() -> None:
    assert observed(bad=(FAULT,), **{f"r{RUN}": 0}).bucket is Bucket.UNASSIGNED


def test_a_machine_whose_only_state_signal_is_a_fault_bit_counts_otherwise() -> None:
    """Not "stopped" whenever there is no fault."""
    fault_only = machine(states=machine().states[:1], state_default=StateRule((), Bucket.RUN, "counting"))
    assert observed(of=fault_only).bucket == NO_STATE
    assert observed(of=fault_only, **{f"r{FAULT}": 1}).bucket is Bucket.BREAKDOWN
    assert observed(of=fault_only, bad=(FAULT,)).bucket is Bucket.UNKNOWN


def test_a_sample_of_nothing_is_empty() -> None:
    images = new_images()
    write(images[0], T0, GOOD, Quality.BAD)
    assert Observer(machine(), images).sample(T0).is_empty
    assert not observed(bad=(RUN, FAULT)).is_empty, "the counters were read"


def test_the_memory_is_all_there_is() -> None:
    """An observer that goes on from a memory says what the one before would have said, at every sample."""
    dice = random.Random(7)
    images = new_images()
    whole = Observer(machine(), images)
    for n in range(300):
        quality = dice.choice([Quality.GOOD, Quality.GOOD, Quality.BAD])
        for tag in dice.sample(range(len(SIGNALS)), 3):
            images[0].i64[tag], images[0].t_ns[tag] = dice.randrange(3), T0 + n * S
            images[0].quality[tag] = quality
        again = Observer(machine(), images)
        again.memory = whole.memory
        assert again.sample(T0 + n * S) == whole.sample(T0 + n * S)
        assert again.memory == whole.memory
