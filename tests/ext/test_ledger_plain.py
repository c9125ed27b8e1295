"""A plain sample is passed by a shorter way (ext/plain.pxd). It may be shorter, and nothing else."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator
from typing import Any

import pytest
from cases.ledger.story import START, S
from twins.ledger import STEP_LIMIT, LedgerTwin

from ext.buckets import Bucket, Schedule
from ext.ledger import MachineLedger

HOLD = 5 * S
STREAMS = 400
TWIN_SHARE = 8
STATES = (Bucket.RUN, Bucket.RUN, Bucket.BREAKDOWN, Bucket.PLANNED_STOP, Bucket.MANUAL, Bucket.UNKNOWN, -1)
COUNTERS = ((0,), (1,), (0, 1), (0, 2), (1, 2), (0, 1, 2), (0, 1, 2))
LIES = (-1, 0, 2**63 - 1, -(2**63))


class Stream:
    """Readings of a machine that mostly goes on as before, with every bound of a plain sample met exactly and missed by
    one.
    """

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        pick = chance.choice
        self.modulus, self.rate = pick((40, 1000, 65536)), pick((0.05, 1.5, 8.0))
        slack = pick((0, S // 5))
        self.counters = tuple((c, self.modulus, self.rate, 1 + c % 2, slack) for c in pick(COUNTERS))
        self.products = ((S // 2, S * 21 // 40, 2 * S, pick((4, 20)) * S), (2 * S, 2 * S, 4 * S, 30 * S))
        self.options = {
            "flush": pick(((), ((0, 0), (7, 0)), ((3, 9 * S), (0, 4 * S)))),
            "multipliers": pick(((), ((0, 0, 0), (5, 5, 5)))),
        }
        self.samples = list(self._samples(chance, 70))
        self.ended = chance.randrange(2 * len(self.samples)), pick((0, 1, S, 2 * S, HOLD + 1, 70 * S))
        at = START - S
        slices = []
        while at < START + 400 * S:
            length = pick((7 * S, 60 * S, 61 * S + 1, 400 * S))
            slices.append((at, at + length, int(pick((0, 0, Schedule.BREAK, Schedule.NOT_SCHEDULED))), len(slices)))
            at += length
        slices.append((at, START + 10**15, 0, 99))
        self.calendar = [array("q", column) for column in zip(*slices, strict=True)]

    def _samples(self, chance: random.Random, count: int) -> Iterator[tuple[int, ...]]:
        pick, rare = chance.choice, lambda share: chance.random() < share
        t_ns, state, product, fault = START, 0, 0, 0
        mask = sum(1 << c for c, *_ in self.counters)
        shown = [chance.randrange(self.modulus) for _ in range(3)]
        most = int(self.rate) + 2
        for _ in range(count):
            dt = pick((S, S, S, S // 2)) if not rare(0.1) else pick((HOLD - 1, HOLD, HOLD + 1, 1, 0, -1, 2 * S))
            off = 0 if not rare(0.1) else pick((STEP_LIMIT, -STEP_LIMIT, STEP_LIMIT + 1, -STEP_LIMIT - 1, 1))
            t_ns += dt
            if rare(0.08):
                state, fault = int(pick(STATES)), pick((0, 0, 3, 4))
            product = 1 - product if rare(0.03) else product
            made = [pick((0, 1, 1, 2, 3)) if not rare(0.06) else pick((most, most + 1, most + 2)) for _ in range(3)]
            if rare(0.3):
                made = [0, 0, 0]
            elif rare(0.8):
                made = [made[0], made[0], 0]
            shown = [(a + b) % self.modulus for a, b in zip(shown, made, strict=True)]
            lie = [pick((*LIES, self.modulus)), *shown[1:]] if rare(0.02) else shown
            seen = mask if not rare(0.05) else pick((0, mask & 5, mask | 8, 7))
            yield (t_ns, -1 if rare(0.05) else max(dt + off, 0), state, fault, product, seen, *lie)

    def ledger(self, build: Any = MachineLedger) -> Any:
        made = build(HOLD, self.counters, self.products, **self.options)
        made.set_calendar(*self.calendar)
        return made

    def told(self, build: Any = MachineLedger, *, disturbed: bool = False) -> tuple[Any, ...]:
        """All that the ledger says. disturbed: it is told before every sample that the calendar may have changed, so
        that it must look into everything again.
        """
        ledger = self.ledger(build)
        for number, sample in enumerate(self.samples):
            if disturbed:
                ledger.set_calendar(*self.calendar)
            ledger.push(*sample)
            if number == self.ended[0]:
                ledger.finish(ledger.t_ns + self.ended[1])
        state = ledger.dump() if build is MachineLedger else b""
        rows = ledger.cells(), ledger.stops(), ledger.corrections(), ledger.made, ledger.booked_ns
        return state, rows, ledger.peek(max(ledger.t_ns, ledger.booked_ns) + 90 * S)


@pytest.mark.parametrize("part", range(4))
def test_the_shorter_way_leads_to_the_same_ledger(part: int) -> None:
    """Whatever a sample is told by, the same rows come out and the same is remembered, to the bit."""
    for seed in range(part, STREAMS, 4):
        stream = Stream(seed)
        assert stream.told() == stream.told(disturbed=True), f"stream {seed}"


@pytest.mark.parametrize("part", range(2))
def test_the_shorter_way_is_that_of_the_twin(part: int) -> None:
    """The plain twin, which knows one way only, says the same."""
    for seed in range(STREAMS + part, STREAMS + STREAMS // TWIN_SHARE, 2):
        stream = Stream(seed)
        stream.ended = -1, 0
        assert stream.told()[1:] == stream.told(LedgerTwin)[1:], f"stream {seed}"


def test_a_sample_after_the_end_was_asked_for() -> None:
    """What `finish` booked ahead is not booked again by the samples that come after all."""
    ledger = MachineLedger(HOLD, ((0, 1000, 8.0, 1),), ((S // 2, S, 2 * S, 20 * S),))
    ledger.set_calendar(*(array("q", [value]) for value in (0, 2**62, int(Schedule.SCHEDULED), 0)))
    for second in range(10):
        ledger.push(START + second * S, S, int(Bucket.RUN), 0, 0, 1, second)
    ledger.finish(START + 13 * S)
    for second in range(10, 30):
        ledger.push(START + second * S, S, int(Bucket.RUN), 0, 0, 1, second)
    cells = [*ledger.cells(), *ledger.peek(ledger.booked_ns)[0]]
    assert sum(sum(cell[3:17]) for cell in cells) == 29 * S == ledger.booked_ns - START
