"""From signals to a sample: rules in order, nothing believed that was not read, no state invented."""

from __future__ import annotations

import pytest
from machines.bench import FAULT, FAULT_CODE, RECIPE, REJECT, RUN, T0, TOTAL, S, condition, machine, new_images, write

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
