"""Plain-Python twin of `ext.counters`: the same rules, written to be read. The oracle of the compiled decoder."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from ext.buckets import Correction, Flag

HELD_LIMIT = 5
MEMORY_SAMPLES = 10


@dataclass
class Outcome:
    """What one sample came to, in counts (not yet pieces)."""

    credit: int = 0
    correction: int = 0
    lost_max: int = 0
    unattributed: int = 0
    flags: int = 0


@dataclass
class Memory:
    """What to go back to if a reset was a blank buffer."""

    value: int
    at_ns: int
    credited: int
    lost: int
    samples: int = MEMORY_SAMPLES


@dataclass
class Held:
    """The newest sample on hold."""

    value: int
    at_ns: int
    cap: int
    samples: int = 1


class CounterTwin:
    """Same interface as `ext.counters.CounterDecoder.push`."""

    def __init__(self, modulus: int, rate_per_s: float, multiplier: int = 1, slack_ns: int = 0) -> None:
        self.modulus, self.rate, self.multiplier, self.slack_ns = modulus, rate_per_s, multiplier, slack_ns
        self.last: tuple[int, int] | None = None  # value, time
        self.held: Held | None = None
        self.memory: Memory | None = None

    def push(self, t_ns: int, value: int, epoch: bool = False) -> tuple[int, int, int, int, int]:
        o = self.step(t_ns, value, epoch)
        k = self.multiplier
        return o.credit * k, o.correction, o.lost_max * k, o.unattributed * k, o.flags

    def step(self, t_ns: int, value: int, epoch: bool) -> Outcome:
        if not 0 <= value < self.modulus:
            return Outcome()
        if self.last is None:
            self.last = value, t_ns
            return Outcome(correction=Correction.BASELINE)
        if (value, t_ns) == ((self.held.value, self.held.at_ns) if self.held is not None else self.last):
            return Outcome()  # the same reading again: a copy confirms nothing
        if self.held is not None:
            out = self._decide(self.held, t_ns, value)
        elif epoch and value < self.last[0]:
            out = self._epoch(t_ns, value)
        elif self._distance(self.last[0], value) <= self._cap(t_ns - self.last[1]):
            out = self._believe(t_ns, value)
        else:
            reversal = self._reversal(t_ns, value)
            if reversal is None:
                self.held = Held(value, t_ns, self._cap(t_ns - self.last[1]))
            out = reversal or Outcome()
        if self.memory is not None and out.correction not in (Correction.RESET, Correction.REBASE):
            self.memory.samples -= 1
            self.memory.credited += out.credit
            if self.memory.samples == 0:
                self.memory = None
        return out

    def _possible(self, dt_ns: int) -> float:
        return self.rate * (float(max(dt_ns, 0) + self.slack_ns) * 1e-9)

    def _cap(self, dt_ns: int) -> int:
        counts = float(ceil(self._possible(dt_ns))) + 2.0
        return self.modulus if counts > self.modulus else int(counts)

    def _distance(self, origin: int, value: int) -> int:
        return (value - origin) % self.modulus

    def _believe(self, t_ns: int, value: int) -> Outcome:
        assert self.last is not None
        old, at_ns = self.last
        out = Outcome(credit=self._distance(old, value))
        if value < old:
            out.correction, out.flags = Correction.ROLLOVER, Flag.ROLLOVER
        if self._possible(t_ns - at_ns) >= self.modulus:
            out.correction, out.flags = Correction.AMBIGUOUS, out.flags | Flag.AMBIGUOUS
        self.last = value, t_ns
        return out

    def _epoch(self, t_ns: int, value: int) -> Outcome:
        assert self.last is not None
        old, at_ns = self.last
        cap = self._cap(t_ns - at_ns)
        self.last, self.memory = (value, t_ns), None
        if value <= cap:
            return Outcome(credit=value, correction=Correction.RESET, lost_max=cap - value, flags=Flag.RESET)
        return Outcome(
            correction=Correction.REBASE, unattributed=self._distance(old, value), flags=Flag.RESET | Flag.AMBIGUOUS
        )

    def _reversal(self, t_ns: int, value: int) -> Outcome | None:
        memory = self.memory
        if memory is None:
            return None
        since = self._distance(memory.value, value)
        if since > self._cap(t_ns - memory.at_ns) or since < memory.credited:
            return None
        self.last, self.held, self.memory = (value, t_ns), None, None
        return Outcome(credit=since - memory.credited, correction=Correction.REVERSAL, lost_max=-memory.lost)

    def _decide(self, held: Held, t_ns: int, value: int) -> Outcome:
        assert self.last is not None
        old, at_ns = self.last
        back, on = self._distance(old, value), self._distance(held.value, value)
        goes_back, goes_on = back <= self._cap(t_ns - at_ns), on <= self._cap(t_ns - held.at_ns)
        cleared = goes_on and held.value <= held.cap
        reset_credit = held.value + on
        if goes_back and cleared:
            low, high = sorted((back, reset_credit))
            return self._settle(
                t_ns,
                value,
                Outcome(low, Correction.AMBIGUOUS, lost_max=high - low, flags=Flag.AMBIGUOUS),
            )
        if goes_back:
            return self._settle(t_ns, value, Outcome(back, Correction.GLITCH, flags=Flag.GLITCH))
        if cleared:
            lost = held.cap - held.value
            self.memory = Memory(old, at_ns, reset_credit, lost)
            return self._settle(t_ns, value, Outcome(reset_credit, Correction.RESET, lost_max=lost, flags=Flag.RESET))
        reversal = self._reversal(t_ns, value)
        if reversal is not None:
            return reversal
        if goes_on:
            self.memory = Memory(old, at_ns, on, 0)
            jump = self._distance(old, held.value)
            return self._settle(
                t_ns, value, Outcome(on, Correction.REBASE, unattributed=jump, flags=Flag.RESET | Flag.AMBIGUOUS)
            )
        self.held = Held(value, t_ns, self._cap(t_ns - at_ns), held.samples + 1)
        if self.held.samples == HELD_LIMIT:
            return Outcome(correction=Correction.COUNTER_FAULT, flags=Flag.COUNTER_FAULT)
        return Outcome()

    def _settle(self, t_ns: int, value: int, out: Outcome) -> Outcome:
        self.last, self.held = (value, t_ns), None
        return out
