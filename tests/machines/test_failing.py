"""Failures while they happen: at any moment, through restarts and late facts, those of the replay of what was read."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import time
from fractions import Fraction

import pytest
from machines.bench import MINUTE, SIGNALS, TOTAL, Bench, S, condition, machine

from edge.kpi.failures import Failure, FailureSums, sum_failures
from edge.machines import journal
from edge.plan import Calendar, FaultText, Machine, Shift, StateRule
from edge.replay.account import Account
from edge.snapshot import Figures
from ext.buckets import Bucket
from protocols.reading import Quality

HOUR = 60 * MINUTE
QUARTERS = Calendar(
    "c",
    "UTC",
    tuple(
        Shift(f"s{at}", time(at // 2, at % 2 * 30), time((at + 1) // 2 % 24, (at + 1) % 2 * 30), frozenset(range(7)))
        for at in range(48)
    ),
)


def packml() -> Machine:
    """Fault 1 is a fault, fault 2 a state that only people end."""
    plain = machine()
    return replace(
        plain, states=(StateRule((condition(1, 2),), Bucket.BREAKDOWN, "aborted"), *plain.states),
        faults=(FaultText(7, plain.name, Bucket.EXTERNAL_STARVED),),
    )  # fmt: skip


@dataclass
class Watched(Bench):
    """Everything that was read is kept, to be replayed."""

    machine: Machine = field(default_factory=packml)
    calendar: Calendar = QUARTERS
    read: dict[int, list[tuple[int, int, int, int]]] = field(default_factory=dict)  # by time, as a replay takes it

    def sample(self, quality: Quality = Quality.GOOD, **registers: int) -> None:
        super().sample(quality, **registers)
        self.read[self.now_ns] = [(tag, raw, int(quality), 0) for tag, raw in self.registers.items()]

    def say_late(self, ago_ns: int, **registers: int) -> None:
        """A reading from the past, of some signals, as a server's history brings it."""
        t_ns = self.now_ns - ago_ns
        if not self.life.reach_ns or t_ns < self.life.reach_ns or t_ns in self.read:
            return
        said = [(SIGNALS.index(name), raw, int(Quality.GOOD)) for name, raw in registers.items()]
        self.life.backfill((t_ns, *reading) for reading in said)
        self.read[t_ns] = [(*reading, 0) for reading in said]

    def replayed(self) -> Sequence[Failure]:
        account = Account(self.machine, self.calendar, "c1", lambda row: row)
        for t_ns in sorted(self.read):
            account.sample(t_ns, self.read[t_ns])
        account.end()
        account.close()
        return account.record.failures

    def figures(self) -> tuple[Figures, Figures]:
        """Of the shift and of the hour, as people see them."""
        view = self.life.view(self.now_ns)
        assert view.shift is not None
        assert view.hour is not None
        return view.shift, view.hour


def live(bench: Bench, dice: random.Random, *, hops: int) -> None:
    """Runs, stops, faults, starves, is cleared by people, is not heard of; read every second or two."""
    for _ in range(hops):
        mode = dice.choice(["run", "run", "run", "fault", "fault", "aborted", "stop", "starved", "silent"])
        seconds = dice.choice([1, 2, 5, 15, 25, 40, 70, 130])
        signals = {"run": int(mode == "run"), "fault": {"fault": 1, "aborted": 2}.get(mode, 0)}
        signals |= {"fault_code": 7 if mode == "starved" else 0, "recipe": dice.choice([1, 1, 1, 2])}
        for _ in range(seconds):
            bench.wait(S)
            if mode == "silent" or dice.random() < 0.1:
                continue
            made = mode == "run" and dice.random() < 0.5
            bench.sample(total=(bench.registers[TOTAL] + made) % (1 << 16), **signals)
            if dice.random() < 0.02 and isinstance(bench, Watched):
                bench.say_late(dice.choice([1, 3, 20, 200]) * S + 1, fault=dice.choice([0, 1]), run=1)
            if dice.random() < 0.2:
                bench.commit(minute=dice.random() < 0.3)
                if dice.random() < 0.1:
                    bench.restart()
    bench.wait(S)
    bench.sample()


def expected(sums: FailureSums) -> tuple[int, float | None, float | None]:
    """FE, MTBF, MTTR."""
    mtbf, mttr = (
        float(Fraction(part_ns, count * S)) if count else None
        for part_ns, count in ((sums.tbf_ns, sums.fe), (sums.ttr_ns, sums.restored))
    )
    return sums.fe, mtbf, mttr


@pytest.mark.parametrize("reach_bytes", [2_000, 64 << 10])
@pytest.mark.parametrize("seed", range(2))
def test_failures_are_those_of_the_replay(seed: int, reach_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at any commit, facts that come late, half-hour shifts, a horizon that is near or far: at any look the same
    events, and the same times to the nanosecond.
    """
    monkeypatch.setattr(journal, "LIMIT_BYTES", reach_bytes)
    dice, bench = random.Random(seed), Watched()
    fe = 0
    for _ in range(3):
        live(bench, dice, hops=20)
        found = bench.replayed()
        fe += len(found)
        for seen in bench.figures():
            sums = sum_failures(found, seen.start_ns, bench.now_ns + 1)
            assert (seen.fe, seen.mtbf_s, seen.mttr_s) == expected(sums)
    assert fe > 5
