"""Plain-Python twin of `ext.counters`: the same rules, written to be read. The oracle of the compiled decoder."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
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
        self.modulus, self.multiplier, self.slack_ns = modulus, multiplier, slack_ns
        self.rate = ratio_of(rate_per_s)  # counts a second
        self.last: tuple[int, int] | None = None  # value, time
        self.fresh = 0  # credited by it as a plain change
        self.owed = 0  # credited too much, taken off later credits
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
        out = self._judge(t_ns, value, epoch)
        taken = min(self.owed, out.credit)
        self.owed -= taken
        out.credit -= taken
        if self.memory is not None and out.correction not in (Correction.RESET, Correction.REBASE):
            self.memory.samples -= 1
            self.memory.credited += out.credit
            if self.memory.samples == 0:
                self.memory = None
        return out

    def _judge(self, t_ns: int, value: int, epoch: bool) -> Outcome:
        assert self.last is not None
        old, at_ns = self.last
        if epoch and value < old:
            return self._epoch(t_ns, value)
        if self.held is not None:
            return self._decide(self.held, t_ns, value)
        if t_ns == at_ns:
            restated = self._restated(value)
            if restated is not None:
                return restated
        if value == old:
            return self._settle(t_ns, value, Outcome())
        if self._distance(old, value) <= self._cap(t_ns - at_ns):
            return self._believe(t_ns, value)
        reversal = self._reversal(t_ns, value)
        return self._hold(t_ns, value, 1) if reversal is None else reversal

    def _possible(self, dt_ns: int) -> Fraction:
        return self.rate * Fraction(max(dt_ns, 0) + self.slack_ns, 10**9)

    def _cap(self, dt_ns: int) -> int:
        return min(self.modulus, ceil(self._possible(dt_ns)) + 2)

    def _may_have_wrapped(self, dt_ns: int) -> bool:
        return self._possible(dt_ns) >= self.modulus

    def _distance(self, origin: int, value: int) -> int:
        return (value - origin) % self.modulus

    def _hold(self, t_ns: int, value: int, samples: int) -> Outcome:
        assert self.last is not None
        self.held = Held(value, t_ns, self._cap(t_ns - self.last[1]), samples)
        if samples < HELD_LIMIT:
            return Outcome()
        said = Correction.COUNTER_FAULT if samples == HELD_LIMIT else 0
        return Outcome(correction=said, flags=Flag.COUNTER_FAULT)

    def _believe(self, t_ns: int, value: int) -> Outcome:
        assert self.last is not None
        old, at_ns = self.last
        out = Outcome(credit=self._distance(old, value))
        if value < old:
            out.correction, out.flags = Correction.ROLLOVER, Flag.ROLLOVER
            cap = self._cap(t_ns - at_ns)
            if value <= cap and cap > self.modulus // 4:
                out.flags |= Flag.AMBIGUOUS  # cleared meanwhile explains it as well
        if self._may_have_wrapped(t_ns - at_ns):
            out.correction, out.flags = Correction.AMBIGUOUS, out.flags | Flag.AMBIGUOUS
        returned, plain = self._returned(t_ns, value), max(out.credit - self.owed, 0)
        if returned is not None and returned < plain:
            out.lost_max, out.credit, self.owed = plain - returned, returned, 0
            out.correction, out.flags = Correction.AMBIGUOUS, out.flags | Flag.AMBIGUOUS
            self.memory = None
        return self._settle(t_ns, value, out, fresh=out.credit)

    def _restated(self, value: int) -> Outcome | None:
        """Of two values at one time the last stands."""
        assert self.last is not None
        old, at_ns = self.last
        back, on = self._distance(value, old), self._distance(old, value)
        if back <= self.fresh:
            self.owed += back
            return self._settle(at_ns, value, doubtful(0), fresh=self.fresh - back)
        if on <= self._cap(0):
            return self._settle(at_ns, value, doubtful(on), fresh=self.fresh + on)
        return None

    def _epoch(self, t_ns: int, value: int) -> Outcome:
        assert self.last is not None
        old, at_ns = self.last
        lost = self._cap(t_ns - at_ns) - value
        held, self.memory = self.held, None
        if held is not None and 0 <= value - held.value <= self._cap(t_ns - held.at_ns) and held.value <= held.cap:
            lost = held.cap - held.value  # the sample on hold had shown the restart already
        if lost >= 0:
            out = Outcome(credit=value, correction=Correction.RESET, lost_max=lost, flags=Flag.RESET)
        else:
            jump = self._distance(old, value)
            out = Outcome(correction=Correction.REBASE, unattributed=jump, flags=Flag.RESET | Flag.AMBIGUOUS)
        return self._settle(t_ns, value, out)

    def _returned(self, t_ns: int, value: int) -> int | None:
        """Counts to credit if the value follows on what the register showed before a reset."""
        memory = self.memory
        if memory is None:
            return None
        since = self._distance(memory.value, value)
        if since > self._cap(t_ns - memory.at_ns) or since < memory.credited:
            return None
        return since - memory.credited

    def _reversal(self, t_ns: int, value: int) -> Outcome | None:
        memory, credit, owed = self.memory, self._returned(t_ns, value), 0
        if memory is None:
            return None
        if credit is None and memory.credited <= 2 and self._distance(memory.value, value) < memory.credited:
            credit, owed = 0, memory.credited - self._distance(memory.value, value)
        if credit is None:
            return None
        self.memory, self.owed = None, owed
        return self._settle(t_ns, value, Outcome(credit, Correction.REVERSAL, lost_max=-memory.lost))

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
            doubt = Flag.AMBIGUOUS if self._may_have_wrapped(t_ns - at_ns) else 0
            return self._settle(t_ns, value, Outcome(back, Correction.GLITCH, flags=Flag.GLITCH | doubt))
        if cleared:
            lost = held.cap - held.value
            self.memory = Memory(old, at_ns, reset_credit, lost)
            return self._settle(t_ns, value, Outcome(reset_credit, Correction.RESET, lost_max=lost, flags=Flag.RESET))
        reversal = self._reversal(t_ns, value)
        if reversal is not None:
            return reversal
        if goes_on and value >= held.value:
            out = Outcome(on, Correction.REBASE, flags=Flag.RESET | Flag.AMBIGUOUS)
            swing = self._distance(held.value, old)
            if swing <= self._cap(held.at_ns - at_ns):
                self.owed += swing
                out.lost_max = swing + held.cap  # taken back: the fall that shows, and what was made before it
            else:
                out.unattributed = self._distance(old, held.value)
            self.memory = Memory(old, at_ns, max(on - self.owed, 0), out.lost_max)
            return self._settle(t_ns, value, out)
        return self._hold(t_ns, value, held.samples + 1)

    def _settle(self, t_ns: int, value: int, out: Outcome, fresh: int = 0) -> Outcome:
        self.last, self.fresh, self.held = (value, t_ns), fresh, None
        return out


def doubtful(credit: int) -> Outcome:
    return Outcome(credit, Correction.AMBIGUOUS, flags=Flag.AMBIGUOUS)


def ratio_of(rate_per_s: float) -> Fraction:
    """What was meant by a float: 16.666666666666668 is 50/3."""
    return Fraction(rate_per_s).limit_denominator(10**6) or Fraction(1, 10**6)
