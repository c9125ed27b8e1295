"""All simulated machines of a site together: time, commands, truth. Pure: no clock, no sockets, no files.

Theory. A machine lives lazily: it is brought up to date when somebody looks, through its own agenda of commands
(go, stop, clears, breakdowns), each at its recorded time. So a look costs nothing but the stretches that ended
since the last one, and looking often, seldom or not at all gives the same life.

Rules. Times here are UTC nanoseconds; `Scale` turns them into the machines' own time. Truth is integers only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from edge.plan import Machine, SitePlan
from edge.simulate.conditions import FACES
from edge.simulate.counters import Counters, CounterSpec
from edge.simulate.history import Event, Scale
from edge.simulate.inject import OF_MACHINE, Fault, Injection
from edge.simulate.journal import Entry
from edge.simulate.parameters import parameters_of
from edge.simulate.process import Handover, Process
from ext.buckets import Bucket, Counter

SECOND_NS = 1_000_000_000
SMALL = 1 << 16  # counters up to this modulus start shortly before their roll-over
WRAP_AFTER_S = 25  # … and roll over about this long after `go`, real time
CLEAR_MARGIN_S = 2  # a handover clears no counter that could reach its modulus within this time
CLEAR_FLOOR_S = 20  # nor one that shows less than this much production
EVENTS = 50


@dataclass(frozen=True, slots=True)
class Shifts:
    """Handovers at which an operator clears the counters. Real time at any speed, so that pollers see them."""

    offset_s: float = 20.0  # from `go` to the first handover's clear
    period_s: float = 60.0
    before_s: float = 12.0  # the machine stands this long before the clear: time enough for a reader that was killed …
    after_s: float = 4.0  # … and this long after it

    def handover(self, scale: Scale) -> Handover:
        """The same in machine time."""

        def machine(seconds: float) -> int:
            return scale.machine_ns(round(seconds * SECOND_NS))

        return Handover(
            offset_ns=machine(self.offset_s - self.before_s),
            period_ns=machine(self.period_s),
            before_ns=machine(self.before_s),
            after_ns=machine(self.after_s),
        )


@dataclass(frozen=True, slots=True)
class Truth:
    """What a machine really did in [from, to), real time: pieces, and nanoseconds by `Bucket` that sum to `all_ns`."""

    total: int
    good: int
    reject: int
    all_ns: int
    bucket_ns: tuple[int, ...]


class SimulatedMachine:
    """A machine of the plan, alive."""

    def __init__(self, plan: Machine, seed: int, scale: Scale, t0_ns: int, shifts: Shifts | None) -> None:
        self.plan = plan
        self.scale = scale
        self._t0_ns = t0_ns
        self.per_cycle = max((rule.multiplier for rule in plan.counters), default=1)
        product = plan.products[plan.product_default] if plan.products else None
        parameters = parameters_of(plan.kind)
        piece_ns = product.ideal_cycle_ns if product else parameters.ideal_cycle_ns
        cycle_ns = piece_ns * self.per_cycle
        per_s = float(scale.speed) * SECOND_NS / cycle_ns
        handover = shifts.handover(scale) if shifts and clears_at_handover(plan, per_s) else None
        self.clears = handover is not None
        counters = Counters(
            tuple(_spec(plan, index, per_s, cleared=self.clears) for index in range(len(plan.counters))),
            margin=2 + int(per_s * CLEAR_MARGIN_S),
            floor=int(per_s * CLEAR_FLOOR_S / 2),
        )
        self.process = Process(plan.id, seed, parameters, cycle_ns, counters, scale, handover)
        self._agenda: deque[tuple[int, str, Injection | None]] = deque()

    def order(self, at_ns: int, command: str, injection: Injection | None = None) -> None:
        """Put a command on the agenda."""
        self._agenda.append((at_ns, command, injection))
        self._agenda = deque(sorted(self._agenda, key=lambda item: item[0]))

    def live(self, now_ns: int) -> None:
        """Bring the machine up to date."""
        while self._agenda and self._agenda[0][0] <= now_ns:
            self._obey(*self._agenda.popleft())
        self.process.advance(self._machine_ns(now_ns))

    def truth(self, from_ns: int, to_ns: int) -> Truth:
        """What it did in [from, to); `to_ns` must not lie after the time it was brought to. Raises `ForgottenError`."""
        history = self.process.history
        after = history.cycles(self._machine_ns(to_ns - 1))
        before = history.cycles(self._machine_ns(from_ns - 1)) if from_ns > self._t0_ns else 0
        rejected = history.rejects(after) - history.rejects(before)
        buckets = history.bucket_ns(from_ns - self._t0_ns, to_ns - self._t0_ns)
        return Truth(
            total=(after - before) * self.per_cycle,
            good=(after - before - rejected) * self.per_cycle,
            reject=rejected * self.per_cycle,
            all_ns=to_ns - from_ns,
            bucket_ns=tuple(buckets),
        )

    def registers(self) -> dict[str, int]:
        """Raw value of each counter register now, by signal name."""
        counts = self.process.counts()
        counters = self.process.counters
        return {
            self.plan.signals[rule.signal].name: counters.raw(index, counts)
            for index, rule in enumerate(self.plan.counters)
        }

    def state(self) -> tuple[str, int, Bucket]:
        """The word for what it is doing, the fault code, the bucket."""
        condition, code = self.process.condition()
        return FACES[condition].word, code, FACES[condition].bucket

    def events(self) -> Sequence[tuple[int, Event]]:
        """The newest stops with their UTC start."""
        return [
            (self._t0_ns + self.scale.real_ns(event.start_ns), event) for event in self.process.history.events(EVENTS)
        ]

    def _machine_ns(self, at_ns: int) -> int:
        return self.scale.machine_ns(at_ns - self._t0_ns)

    def _obey(self, at_ns: int, command: str, injection: Injection | None) -> None:
        at = self._machine_ns(at_ns)
        process = self.process
        if command == "go":
            process.go(at)
        elif command == "stop":
            process.stop(at)
        elif injection and injection.kind is Fault.RESET:
            process.clear(at)
        elif injection and injection.kind is Fault.BREAKDOWN:
            process.break_down(at, injection.code, self.scale.machine_ns(injection.for_ns))


class Plant:
    """Every machine of the site, and what was done to them."""

    def __init__(self, plan: SitePlan, seed: int, speed: Fraction, t0_ns: int, shifts: Shifts | None) -> None:
        self.plan = plan
        self.seed = seed
        self.scale = Scale(speed)
        self.t0_ns = t0_ns
        self.go_ns: int | None = None
        self.stop_ns: int | None = None
        self.machines = {
            machine.id: SimulatedMachine(machine, seed, self.scale, t0_ns, shifts) for machine in plan.machines
        }

    def apply(self, entry: Entry, injection: Injection | None = None) -> None:
        """Carry out one journaled command, or put it on the agenda of the machine it strikes."""
        if entry.event == "go":
            self.go_ns, self.stop_ns = self.go_ns or entry.at_ns, None
        elif entry.event == "stop":
            self.stop_ns = entry.at_ns
        if entry.event in ("go", "stop"):
            for machine in self.machines.values():
                machine.order(entry.at_ns, entry.event)
        elif injection and injection.kind in OF_MACHINE:
            self.machines[injection.target].order(injection.at_ns, "inject", injection)

    def live(self, now_ns: int) -> None:
        """Bring every machine up to date."""
        for machine in self.machines.values():
            machine.live(now_ns)


def clears_at_handover(plan: Machine, per_s: float) -> bool:
    """Which machines have their counters cleared at shift change: every other one with wide counters and a fast
    beat.

    Slow machines are left out because a counter that shows three suits says little when it is cleared; narrow
    counters because theirs is the roll-over.
    """
    wide = bool(plan.counters) and all(rule.modulus > SMALL for rule in plan.counters)
    return wide and per_s * Shifts().period_s > CLEAR_FLOOR_S * 2 and plan.index % 2 == 1


def _spec(plan: Machine, index: int, per_s: float, *, cleared: bool) -> CounterSpec:
    """Where a counter stands at power-on: narrow ones shortly before their roll-over, wide ones anywhere."""
    rule = plan.counters[index]
    past = 4_000 + 977 * plan.index if cleared else 120_000 + 54_321 * plan.index
    total = past
    if rule.modulus <= SMALL:
        total = rule.modulus - max(1, round(per_s * WRAP_AFTER_S * 0.9))
    reject = total // 40
    initial = {Counter.TOTAL: total, Counter.GOOD: total - reject, Counter.REJECT: reject}[rule.counter]
    return CounterSpec(rule.counter, rule.modulus, initial % rule.modulus)
