"""One machine as a seeded, deterministic process in machine time.

Theory. The life of a machine is a chain of stretches (see `history`). Each is planned when the one before ends,
from the machine's own random streams, never from the moment somebody looks: `advance(a); advance(b)` is
`advance(b)`, and a process that is built again from (seed, id, parameters) and given the same commands at the same
times has lived the same life. That is what lets a simulator be killed and come back with the counters its PLC would
have, had it kept running.

Rules.
* A running machine wears: each hazard has its own stock of running time, and the first to run out stops the
  machine. Standing machines do not wear.
* A piece half made when the machine stops is finished after it, not started anew.
* Nothing is made before `go`, nor after `stop`; heating, and repairs under way, go on.
* At a handover the machine stands, the counters are cleared while it stands, and then it goes on with what it was
  doing.
* Quality has a random stream of its own, so that asking for rejects never disturbs the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from edge.simulate.conditions import Condition
from edge.simulate.counters import Counters
from edge.simulate.history import History, Scale
from edge.simulate.parameters import Cause, Hazard, Parameters

FAR = 1 << 62
_TAIL = 0.6  # sigma of the log-normal length of a stop


@dataclass(frozen=True, slots=True)
class Handover:
    """When the shifts change, machine ns; `offset_ns` counts from `go`. The clear comes `before_ns` after the stop."""

    offset_ns: int
    period_ns: int
    before_ns: int
    after_ns: int
    clears: bool = True


@dataclass(slots=True)
class _Stop:
    """A stop that is going on, or was interrupted with `left_ns` to go."""

    condition: Condition
    code: int
    left_ns: int
    cools: bool = False


class Process:
    """One machine. Times are machine nanoseconds since power-on; counts are cycles."""

    def __init__(
        self,
        machine_id: str,
        seed: int,
        parameters: Parameters,
        cycle_ns: int,
        counters: Counters,
        scale: Scale,
        handover: Handover | None = None,
    ) -> None:
        self._random = Random(f"{seed}/{machine_id}/life")  # noqa: S311 - a simulation, not a secret
        self._quality = Random(f"{seed}/{machine_id}/quality")  # noqa: S311
        self._parameters = parameters
        self._ideal_ns = cycle_ns
        self.counters = counters
        self.history = History(scale)
        self.now_ns = 0
        self._handover = handover
        self._handover_ns = FAR  # when the next handover begins
        self._handing_over = 0  # 0 no, 1 before the counters are cleared, 2 after
        self._demand = False
        self._cold = parameters.warmup_ns[1] > 0
        self._stop: _Stop | None = None
        self._running = False
        self._start_ns = 0
        self._end_ns = 0
        self._first_ns = 0
        self._cycle_ns = self._draw_cycle()
        # of the piece in the machine, what is left to do; 0 = none begun
        self._carry_ns = max(1, round(self._cycle_ns * self._random.uniform(*parameters.first_left)))
        self._left_ns = [self._draw_life(hazard, new=False) for hazard in parameters.hazards]
        self._fresh_until = parameters.start_cycles  # cycles up to this number are start-up quality
        self._next_reject = 0
        self._heated_ns = 0
        self._draw_reject(0)
        self._next()

    # --- what the world may do ------------------------------------------------------------------------------

    def advance(self, to_ns: int) -> None:
        """Live until `to_ns`; asking for the past changes nothing."""
        while self._end_ns <= to_ns:
            # Stretch by stretch, as if somebody looked at each end: what a clear or a draw sees must not depend on
            # how often anybody asked.
            self._settle_quality(self.history.cycles(self._end_ns))
            self._turn(self._end_ns)
        self.now_ns = max(self.now_ns, to_ns)
        self._settle_quality(self.history.cycles(self.now_ns))

    def go(self, at_ns: int) -> None:
        """Production is ordered from `at_ns` on; handovers count from here. A second `go` changes nothing."""
        self.advance(at_ns)
        if self._demand:
            return
        self._cut(at_ns)
        self._demand = True
        if self._handover:
            self._handover_ns = at_ns + self._handover.offset_ns
        self._next()

    def stop(self, at_ns: int) -> None:
        """No piece is completed after `at_ns`, until the next `go`."""
        self._cut(at_ns)
        self._demand = False
        self._handing_over, self._handover_ns = 0, FAR
        self._next()

    def clear(self, at_ns: int) -> None:
        """Somebody presses "clear" on the panel: the counters start at 0 again, whatever the machine is doing."""
        self.advance(at_ns)
        self.counters.clear(self.now_ns, *self.counts())

    def break_down(self, at_ns: int, code: int, duration_ns: int) -> None:
        """A breakdown with fault `code` begins and lasts `duration_ns`; in a handover it shows when that is over."""
        self._cut(at_ns)
        self._stop = _Stop(Condition.BREAKDOWN, code, duration_ns)
        if not self._handing_over:
            self._next()

    # --- what can be seen -----------------------------------------------------------------------------------

    def counts(self) -> tuple[int, int, int]:
        """Cycles since power-on: total, good, reject. Good + reject = total, always."""
        total = self.history.cycles(self.now_ns)
        reject = self.history.rejects(total)
        return total, total - reject, reject

    def condition(self) -> tuple[Condition, int]:
        """What the machine is doing, and its fault code (0 = none)."""
        condition, code, _ = self.history.current()
        return condition, code

    def progress(self) -> float:
        """How far the piece in the machine is, 0 to 1."""
        if not self._cycle_ns:
            return 0.0
        left = self._left_of_piece(self.now_ns) if self._running else self._carry_ns
        return max(0.0, min(1.0, 1 - left / self._cycle_ns)) if left else 0.0

    def warmth(self) -> float:
        """Share of the heat-up done, 0 to 1; 1 when at temperature."""
        if not self._cold:
            return 1.0
        stop = self._stop
        if not stop or stop.condition is not Condition.HEATING:
            return 0.0
        left = stop.left_ns
        if self.history.current()[0] is Condition.HEATING:
            left -= self.now_ns - self._start_ns
        return max(0.0, min(1.0, 1 - left / max(1, self._heated_ns)))

    @property
    def cycle_ns(self) -> int:
        """Length of one cycle at the present pace; 0 while the machine stands."""
        return self._cycle_ns if self._running else 0

    @property
    def rate_per_min(self) -> float:
        """Cycles per minute of machine time right now; 0 while it stands."""
        return 60e9 / self._cycle_ns if self._running else 0.0

    # --- the chain of stretches -----------------------------------------------------------------------------

    def _turn(self, at_ns: int) -> None:
        """The stretch ends at its planned end, or because a handover begins."""
        self.now_ns = at_ns
        if self._handing_over:
            self._hand_over_on()
        elif self._running:
            self._settle_run()
        elif self._stop:
            self._stop.left_ns -= at_ns - self._start_ns
            if self._stop.left_ns <= 0:
                self._finish(self._stop)
        self._next()

    def _cut(self, at_ns: int) -> None:
        """A command arrives: end the stretch here and keep what is left of it."""
        self.advance(at_ns)
        if self._running:
            self._settle_run()
        elif self._stop and not self._handing_over:
            self._stop.left_ns -= self.now_ns - self._start_ns

    def _next(self) -> None:
        """Plan the next stretch from here."""
        now = self.now_ns
        self._running = False
        if self._handing_over:
            self._stand_for_handover()
        elif self._demand and now >= self._handover_ns:
            self._handing_over = 1
            self._stand_for_handover()
        elif self._stop and self._stop.left_ns > 0:
            self._stand(self._stop)
        elif self._cold:
            self._heated_ns = self._random.randint(*self._parameters.warmup_ns)
            self._stop = _Stop(Condition.HEATING, 0, self._heated_ns)
            self._stand(self._stop)
        elif not self._demand:
            self._open(Condition.IDLE, 0, FAR)
        elif (due := min(range(len(self._left_ns)), key=self._left_ns.__getitem__, default=-1)) >= 0 and (
            self._left_ns[due] <= 0
        ):
            self._stop = self._strike(due)
            self._stand(self._stop)
        else:
            self._run()

    def _open(self, condition: Condition, code: int, end_ns: int, *, first_ns: int = 0, cycle_ns: int = 0) -> None:
        self._start_ns = self.now_ns
        self._end_ns = end_ns
        if not self._handing_over and self._demand:
            self._end_ns = min(end_ns, self._handover_ns)
        self.history.begin(self.now_ns, condition, code, first_ns=first_ns, cycle_ns=cycle_ns)

    def _stand(self, stop: _Stop) -> None:
        self._open(stop.condition, stop.code, self.now_ns + stop.left_ns)

    def _finish(self, stop: _Stop) -> None:
        """A stop is over: what it leaves behind."""
        self._stop = None
        if stop.condition is Condition.HEATING:
            self._cold = False
        self._cold = self._cold or stop.cools
        if stop.condition in (Condition.HEATING, Condition.SETUP) and self._parameters.start_cycles:
            made = self.history.cycles(self.now_ns)
            self._settle_quality(made)
            self._fresh_until = made + self._parameters.start_cycles
            self._draw_reject(made)

    # --- running --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        """One spell at one pace: whole cycles, unless a hazard or a handover comes first."""
        if not self._carry_ns:
            self._cycle_ns = self._draw_cycle()
        self._first_ns = self._carry_ns or self._cycle_ns
        cycles = max(1, self._parameters.spell_ns // self._cycle_ns)
        length = self._first_ns + (cycles - 1) * self._cycle_ns
        length = min([length, *self._left_ns])
        self._running = True
        self._open(Condition.RUN, 0, self.now_ns + length, first_ns=self._first_ns, cycle_ns=self._cycle_ns)

    def _draw_cycle(self) -> int:
        return max(1, round(self._ideal_ns * self._random.uniform(*self._parameters.pace)))

    def _left_of_piece(self, at_ns: int) -> int:
        """What is left to do at the piece in the machine; 0 exactly when one is complete."""
        ran = at_ns - self._start_ns
        if ran < self._first_ns:
            return self._first_ns - ran
        return -(ran - self._first_ns) % self._cycle_ns

    def _settle_run(self) -> None:
        """Book wear and the half-made piece of the running stretch that ends now."""
        ran = self.now_ns - self._start_ns
        self._running = False
        self._carry_ns = self._left_of_piece(self.now_ns) if ran else self._first_ns
        self._left_ns = [left - ran for left in self._left_ns]
        unload = self._parameters.unload
        if unload and ran and not self._carry_ns:
            self._stop = _Stop(Condition.SETUP, unload.code, self._draw_length(unload, Condition.SETUP))

    def _strike(self, index: int) -> _Stop:
        hazard = self._parameters.hazards[index]
        self._left_ns[index] = self._draw_life(hazard)
        cause = self._random.choices(hazard.causes, [cause.share for cause in hazard.causes])[0]
        return _Stop(hazard.condition, cause.code, self._draw_length(cause, hazard.condition), cause.cools)

    def _draw_life(self, hazard: Hazard, *, new: bool = True) -> int:
        """Running time until the hazard strikes; at power-on (not new) a reel is somewhere in its life."""
        if hazard.exponential:
            return 1 + round(self._random.expovariate(2 / (hazard.low_ns + hazard.high_ns)))
        return 1 + round(self._random.uniform(hazard.low_ns if new else 0, hazard.high_ns))

    def _draw_length(self, cause: Cause, condition: Condition) -> int:
        if condition is Condition.SETUP:
            return round(cause.mean_ns * self._random.uniform(2 / 3, 4 / 3))
        spread = math.exp(self._random.gauss(-_TAIL * _TAIL / 2, _TAIL))
        return max(1, round(cause.mean_ns * min(6.0, max(0.15, spread))))

    # --- quality --------------------------------------------------------------------------------------------

    def _settle_quality(self, cycles: int) -> None:
        while self._next_reject <= cycles:
            self.history.reject(self._next_reject)
            self._draw_reject(self._next_reject)

    def _draw_reject(self, after: int) -> None:
        """Number of the next rejected cycle: gaps between rejects are geometric, memoryless, so they may be redrawn."""
        if after < self._fresh_until:
            candidate = after + self._gap(self._parameters.start_reject)
            if candidate <= self._fresh_until:
                self._next_reject = candidate
                return
            after = self._fresh_until
        self._next_reject = after + self._gap(self._share_of_rejects())

    def _share_of_rejects(self) -> float:
        """The learning curve: from `reject_new` down to `reject_mature`."""
        row = self._parameters
        skill = math.exp(-(row.age_ns + self._start_ns) / row.learning_ns)
        return row.reject_mature + (row.reject_new - row.reject_mature) * skill

    def _gap(self, share: float) -> int:
        if share <= 0:
            return FAR
        return 1 + int(math.log(1 - self._quality.random()) / math.log(1 - share))

    # --- handover -------------------------------------------------------------------------------------------

    def _stand_for_handover(self) -> None:
        assert self._handover
        length = self._handover.before_ns if self._handing_over == 1 else self._handover.after_ns
        self._open(Condition.HANDOVER, 0, self.now_ns + length)

    def _hand_over_on(self) -> None:
        assert self._handover
        if self._handing_over == 1:
            self._handing_over = 2
            counts = self.counts()
            if self._handover.clears and self.counters.may_clear(*counts):
                self.counters.clear(self.now_ns, *counts)
            return
        self._handing_over = 0
        self._handover_ns += self._handover.period_ns
