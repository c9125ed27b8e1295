"""Promises: a restart of the PLC is a reset, never a roll-over, and a torn reading or a blank buffer is no restart."""

from __future__ import annotations

import pytest
from machines.shown import S, Shown, machine_of

from edge.calendar.feed import stretch
from edge.machines.kernel import feed, new_kernel
from edge.machines.observer import EPOCH
from edge.plan import Calendar, EpochWhen
from ext.buckets import Correction

UPTIME = "tags: {uptime: {node: U}, total: {node: C, type: u16}}"
START = 'tags: {uptime: null, start: {node: "i=2257", type: i64}}, epoch: [{tag: start, when: changes}]'
READ = {"run": 1, "fault": 0, "total": 0}


def told(more: str, signal: str, values: list[int | None]) -> list[str]:
    """What the observer makes of a sequence: `epoch`, `doubt`, or nothing."""
    machine = Shown(machine_of("generic", more))
    samples = [machine.sample(**READ, **{signal: value}) for value in values]
    return ["doubt" if s.doubtful else "epoch" if s.mask & EPOCH else "" for s in samples]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([100, 101, 102], ["", "", ""]),
        ([100, 100, 100], ["", "", ""]),
        ([100, 3, 4, 5], ["", "doubt", "epoch", ""]),
        ([100, 3, 3, 5], ["", "doubt", "epoch", ""]),
        ([100, 3, 102, 103], ["", "doubt", "", ""]),  # a torn reading
        ([100, 0, 0, 0, 104], ["", "doubt", "", "", ""]),  # a blank buffer: not a second sample is lost
        ([100, 0, 1, 2], ["", "doubt", "epoch", ""]),
        ([100, None, 101, None], ["", "", "", ""]),
        ([100, None, 5, None, 6], ["", "", "doubt", "", "epoch"]),  # a bad reading proves nothing
        ([100, 50, 20, 21], ["", "doubt", "", "epoch"]),  # again, before it was confirmed
        ([None, 7, 8], ["", "", ""]),
    ],
)
def test_a_value_that_decreases(values: list[int | None], expected: list[str]) -> None:
    assert told(UPTIME, "uptime", values) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7, 7, 7], ["", "", ""]),
        ([7, 9, 9, 9], ["", "doubt", "epoch", ""]),
        ([9, 7, 7], ["", "doubt", "epoch"]),
        ([7, 9, 7], ["", "doubt", ""]),
        ([7, 0, 0, 7], ["", "doubt", "", ""]),
        ([7, None, 9, 9], ["", "", "doubt", "epoch"]),
    ],
)
def test_a_value_that_changes(values: list[int | None], expected: list[str]) -> None:
    assert told(START, "start", values) == expected


def test_every_counter_is_told_with_its_next_good_reading() -> None:
    machine = Shown(machine_of("generic", "tags: {uptime: {node: U}, reject: {node: R, type: u32}}"))
    machine.sample(**READ, reject=0, uptime=100)
    machine.sample(uptime=1)
    masks = [machine.sample(uptime=2 + n, reject=None if n < 2 else 0).mask for n in range(4)]
    assert masks == [0b0001 | EPOCH, 0b0001, 0b0101 | EPOCH, 0b0101]


def test_it_is_remembered_across_a_restart_of_the_agent() -> None:
    """The PLC restarted while the agent was away."""
    machine = Shown(machine_of("generic", UPTIME))
    machine.sample(**READ, uptime=5000)
    again = Shown(machine.machine)
    again.now_ns, again.observer.memory = machine.now_ns, machine.observer.memory
    assert [again.sample(**READ, uptime=20).doubtful, bool(again.sample(uptime=21).mask & EPOCH)] == [True, True]


def test_the_ledger_resets_instead_of_rolling_over() -> None:
    """16 bits, 65530 → 5: eleven pieces by a roll-over, five by a restart."""

    def corrections(*uptimes: int) -> list[Correction]:
        machine = Shown(machine_of("generic", UPTIME + ", counters: {total: {max_rate_per_s: 20}}"))
        kernel = new_kernel(machine.machine)
        days = stretch(Calendar("c", "UTC", ()), machine.now_ns, machine.now_ns)
        kernel.set_calendar(days.start, days.end, days.kind, days.shift)
        for uptime, total in zip(uptimes, (65530, 5, 6, 7), strict=True):
            machine.read(READ | {"total": total, "uptime": uptime})
            feed(kernel, machine.observer, machine.now_ns, S)
        made.append(kernel.made[0])
        return [Correction(row[2]) for row in kernel.corrections()]

    made: list[int] = []
    assert corrections(900, 901, 902, 903) == [Correction.BASELINE, Correction.ROLLOVER]
    assert corrections(900, 0, 1, 2) == [Correction.BASELINE, Correction.RESET]
    assert corrections(900, 0, 902, 903) == [Correction.BASELINE, Correction.ROLLOVER], "a torn uptime is no restart"
    assert made == [13, 7, 13]


def test_templates_know_what_proves_a_restart() -> None:
    proofs = {
        kind: [(m.signals[e.signal].name, e.when) for e in m.epochs]
        for kind in ("packml", "packml-30050", "packml-tmc", "machinery", "generic")
        for m in [machine_of(kind)]
    }
    server = ("server_start", EpochWhen.CHANGES)
    assert proofs == {
        "packml": [("acc_time", EpochWhen.DECREASES), server],
        "packml-30050": [("acc_time", EpochWhen.DECREASES), server],
        "packml-tmc": [server],
        "machinery": [("power_on", EpochWhen.DECREASES), server],
        "generic": [],
    }
