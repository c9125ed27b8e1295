"""Promises: PackML (ISA-TR88.00.02 through OPC 30050 and 30060) and OPC UA for Machinery (OPC 40001-1) come to the
classes of time their tables say, state by state and mode by mode, from one consistent sample.
"""

from __future__ import annotations

import pytest
from machines.shown import S, Shown, machine_of

from ext.buckets import Bucket

B = Bucket
# no., name, class in mode Produce, number in OPC 30060
PACKML = (
    (1, "clearing", B.BREAKDOWN, 10),
    (2, "stopped", B.UNASSIGNED, 0),
    (3, "starting", B.STARTUP, 3),
    (4, "idle", B.NO_ORDER, 2),
    (5, "suspended", B.EXTERNAL_STARVED, 12),
    (6, "execute", B.RUN, 4),
    (7, "stopping", B.UNASSIGNED, 9),
    (8, "aborting", B.BREAKDOWN, 7),
    (9, "aborted", B.BREAKDOWN, 8),
    (10, "holding", B.INTERNAL_MINOR, 14),
    (11, "held", B.INTERNAL_MINOR, 15),
    (12, "unholding", B.INTERNAL_MINOR, 16),
    (13, "suspending", B.EXTERNAL_STARVED, 11),
    (14, "unsuspending", B.EXTERNAL_STARVED, 13),
    (15, "resetting", B.STARTUP, 1),
    (16, "completing", B.RUN, 5),
    (17, "complete", B.NO_ORDER, 6),
)
WAITING = {5, 10, 11, 12, 13, 14}  # states that starved and blocked explain
CLEARED, RUNNING = 19, 18


def nested(state: int) -> dict[str, int | None]:
    """The 17 states as the three state machines of OPC 30050 show them; a machine that is not active has no state."""
    if state in (8, 9):
        return {"base_state": state, "machine_state": None, "execute_state": None}
    if state in (1, 2, 7):
        return {"base_state": CLEARED, "machine_state": state, "execute_state": None}
    return {"base_state": CLEARED, "machine_state": RUNNING, "execute_state": state}


FLAT = Shown(machine_of("packml"))
NESTED = Shown(machine_of("packml-30050"))
TMC = Shown(machine_of("packml-tmc", "tags: {starved: {node: S}}"))
QUIET = {"mode": 1, "starved": 0, "blocked": 0}


@pytest.mark.parametrize(("state", "name", "bucket", "tmc"), PACKML, ids=[row[1] for row in PACKML])
class TestPackml:
    """Each of the 17 states, through every template."""

    def shown(self, state: int, tmc: int, **more: int) -> set[Bucket]:
        said = {**QUIET, **more}
        return {
            Bucket(FLAT.sample(state=state, state_changing=0, **said).bucket),
            Bucket(NESTED.sample(**nested(state), state_changing=0, **said).bucket),
            Bucket(TMC.sample(state=tmc, production=0, **said).bucket),
        }

    def test_producing(self, state: int, name: str, bucket: Bucket, tmc: int) -> None:
        assert self.shown(state, tmc) == {bucket}

    def test_mode_beats_state(self, state: int, name: str, bucket: Bucket, tmc: int) -> None:
        assert self.shown(state, tmc, mode=2) == {B.MAINTENANCE}
        assert self.shown(state, tmc, mode=3) == {B.MANUAL}

    def test_starved_and_blocked_explain_a_machine_that_waits(
        self, state: int, name: str, bucket: Bucket, tmc: int
    ) -> None:
        assert self.shown(state, tmc, starved=1) == {B.EXTERNAL_STARVED if state in WAITING else bucket}
        assert self.shown(state, tmc, blocked=1) == {B.EXTERNAL_BLOCKED if state in WAITING else bucket}


def test_orders_tell_a_stop_from_a_lack_of_work() -> None:
    ordered = Shown(machine_of("packml", "tags: {order: {node: O}, setup: {node: U}}"))
    quiet = {**QUIET, "state_changing": 0, "setup": 0}
    for state, order, bucket in (
        (4, 1, B.UNASSIGNED),
        (17, 4711, B.UNASSIGNED),
        (4, 0, B.NO_ORDER),
        (2, 0, B.NO_ORDER),
    ):
        assert ordered.sample(state=state, order=order, **quiet).bucket is bucket
    assert ordered.sample(state=6, order=0, **quiet).bucket is B.RUN, "made without an order is made"
    assert ordered.sample(state=17, order=0, **quiet | {"setup": 1}).bucket is B.SETUP


# ---- one sample ------------------------------------------------------------------------------------------------------


def test_two_nested_machines_that_change_in_one_publish_never_give_a_state_in_between() -> None:
    """Running and Suspended, then Stopped and nothing: never "Cleared, Running, and no execute state"."""
    machine = Shown(machine_of("packml-30050"))
    seen = [machine.sample(**nested(state), **QUIET, state_changing=0) for state in (6, 5, 2, 9, 1, 2, 15, 6)]
    assert [sample.state for sample in seen] == [
        "execute", "suspended", "stopped", "aborted", "aborted", "stopped", "starting", "execute",
    ]  # fmt: skip


def test_nested_machines_read_at_different_times_tell_nothing_until_they_are_read_together() -> None:
    machine = Shown(machine_of("packml-30050"))
    assert machine.sample(**nested(6), **QUIET, state_changing=0).bucket is B.RUN
    machine.now_ns += S
    machine.write({"machine_state": RUNNING, "base_state": CLEARED, "execute_state": 11})
    machine.now_ns += S
    machine.write({"base_state": CLEARED, "machine_state": RUNNING})  # execute_state: not in this publish
    torn = machine.observer.sample(machine.now_ns)
    assert (torn.bucket, torn.state) == (B.UNKNOWN, "execute"), "the state before goes on; the kernel holds it"
    assert machine.sample(**nested(11), **QUIET).bucket is B.INTERNAL_MINOR


def test_while_a_change_is_in_process_the_state_before_goes_on() -> None:
    machine = Shown(machine_of("packml"))
    assert machine.sample(state=6, state_changing=0, **QUIET).bucket is B.RUN
    stale = machine.sample(state=2, state_changing=1)
    assert (stale.bucket, stale.state) == (B.UNKNOWN, "execute")
    assert machine.sample(state_changing=0).bucket is B.UNASSIGNED
    assert machine.sample(state_changing=None).bucket is B.UNASSIGNED, "a flag nobody can read holds nothing"


# ---- OPC 40001-1 -----------------------------------------------------------------------------------------------------

OFF, OUT, NOT_EXECUTING, EXECUTING = range(4)
NONE, MAINTENANCE, SETUP, PROCESSING = range(4)


@pytest.mark.parametrize(
    ("state", "mode", "order", "bucket"),
    [
        # without an order signal
        (EXECUTING, PROCESSING, None, B.RUN),
        (EXECUTING, NONE, None, B.RUN),
        (EXECUTING, SETUP, None, B.SETUP),
        (EXECUTING, MAINTENANCE, None, B.MAINTENANCE),
        (OUT, PROCESSING, None, B.BREAKDOWN),
        (OUT, NONE, None, B.NO_ORDER),
        (OUT, MAINTENANCE, None, B.MAINTENANCE),
        (OUT, SETUP, None, B.SETUP),
        (OFF, PROCESSING, None, B.UNASSIGNED),
        (OFF, NONE, None, B.NO_ORDER),
        (OFF, MAINTENANCE, None, B.MAINTENANCE),
        (NOT_EXECUTING, PROCESSING, None, B.RUN),  # standby: counts tell the pause between pieces from a stop
        (NOT_EXECUTING, NONE, None, B.NO_ORDER),
        (NOT_EXECUTING, MAINTENANCE, None, B.MAINTENANCE),
        (NOT_EXECUTING, SETUP, None, B.SETUP),
        # an order is registered
        (EXECUTING, PROCESSING, 1, B.RUN),
        (EXECUTING, SETUP, 1, B.SETUP),
        (OUT, PROCESSING, 1, B.BREAKDOWN),
        (OUT, NONE, 1, B.BREAKDOWN),
        (OFF, PROCESSING, 1, B.UNASSIGNED),
        (OFF, NONE, 1, B.UNASSIGNED),
        (NOT_EXECUTING, NONE, 1, B.UNASSIGNED),
        (NOT_EXECUTING, PROCESSING, 1, B.RUN),
        # no order is registered
        (EXECUTING, PROCESSING, 0, B.RUN),
        (EXECUTING, SETUP, 0, B.MAINTENANCE),  # setup as a service
        (OUT, PROCESSING, 0, B.NO_ORDER),
        (OUT, NONE, 0, B.NO_ORDER),
        (OFF, PROCESSING, 0, B.NO_ORDER),
        (NOT_EXECUTING, PROCESSING, 0, B.NO_ORDER),
        (NOT_EXECUTING, NONE, 0, B.NO_ORDER),
        (OUT, MAINTENANCE, 0, B.MAINTENANCE),
    ],
)
def test_machinery(state: int, mode: int, order: int | None, bucket: Bucket) -> None:
    machine = Shown(machine_of("machinery", "" if order is None else "tags: {order: {node: O}}"))
    said = {"state": state, "mode": mode} | ({} if order is None else {"order": order})
    assert machine.sample(**said).bucket is bucket


def test_a_machine_that_is_off_said_its_mode_before() -> None:
    machine = Shown(machine_of("machinery"))
    assert machine.sample(state=OFF, mode=None).state == "not-available"
    last = ((MAINTENANCE, B.MAINTENANCE), (SETUP, B.SETUP), (NONE, B.NO_ORDER), (PROCESSING, B.UNASSIGNED))
    for before, bucket in last:
        machine.sample(state=EXECUTING, mode=before)
        assert machine.sample(state=OFF, mode=None).bucket is bucket
    again = Shown(machine.machine)
    again.observer.memory = machine.observer.memory
    again.now_ns = machine.now_ns
    assert again.sample(state=OFF, mode=None).bucket is B.UNASSIGNED


def test_without_a_mode_the_machine_is_taken_as_processing() -> None:
    machine = Shown(machine_of("machinery", "tags: {mode: null}"))
    told = [machine.sample(state=state).bucket for state in (OFF, OUT, NOT_EXECUTING, EXECUTING)]
    assert told == [B.UNASSIGNED, B.BREAKDOWN, B.RUN, B.RUN]
