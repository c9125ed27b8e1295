"""From a device's tag image to one sample of a machine: state, product, fault, counters.

Theory. A machine's signals lie in the images of its devices. One signal is the clock of the machine: the block that
carries its counters (of its state, where it has none). When that block arrives, or when a subscription confirms that
nothing changed, the machine is sampled once, from one consistent image. Other blocks refresh the image and wait for
that moment.

Rules. A signal counts only while its quality is good or uncertain and its reading is younger than the machine's hold. A
state rule whose signals do not count is false. The default holds only where every signal was read that could have said
RUN: a run bit nobody can read does not say "stopped"; one that was read does, even if nobody can read why. A machine
without a signal for RUN leaves that to the counts (bucket -1), where all its state signals were read.

A state is told when another rule holds than before, and again when all it rests on was read anew. In between, and where
it cannot be told, the sample says UNKNOWN: the kernel believes the last state for `hold` from when it was told, then
counts decide. (To tell it for `hold` here and to believe it for `hold` there would be twice.)

Signals of `together` are one fact: those that count must have been read at one time (one request, one publish), or the
state is not told by this sample. While the conditions of `hold_while` hold, the state read is stale and is not told
either. Both ways the state before goes on, for `hold`.

Epochs. A signal that decreases, or changes, says that the PLC began anew; so does one torn read, or a blank buffer. So
the first such reading makes a sample nobody uses (`doubtful`); the next reading of the signal confirms it, unless it is
back or zero. Confirmed, every counter is told so with its next good reading. What is never confirmed costs one sample.

A product is the version of it that holds at the moment of the sample. This module knows no time and no loop: it is
given the moment. `memory` is all that it remembers from one sample to the next.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from edge.plan import Condition, EpochRule, EpochWhen, Machine, Product, Signal, StateRule
from ext.buckets import Bucket
from protocols.reading import Quality, TagImage

UNNAMED_STOPS = (
    Bucket.BREAKDOWN,
    Bucket.UNASSIGNED,
)  # "fault" and "stopped" say little: a fault code may say what kind of stop it is
NO_STATE = -1  # the kernel's word for "counts alone decide"
EPOCH = 8  # bit of the mask: the PLC began anew since the last sample
_UNCERTAIN = int(Quality.UNCERTAIN)
UNSEEN = StateRule((), Bucket.UNKNOWN, "unseen")


@dataclass(frozen=True, slots=True)
class Sample:
    """What one consistent image says of a machine. `counters` has a value for every bit of `mask`."""

    bucket: int  # Bucket, or NO_STATE
    state: str  # the word people see
    fault_code: int
    product: int  # index into Machine.products
    mask: int  # bit per Counter that was read well; EPOCH
    counters: tuple[int, int, int]  # total, good, reject; 0 where the mask has no bit
    doubtful: bool = False  # of a PLC that seems to have begun anew, not confirmed: not to be used

    @property
    def is_empty(self) -> bool:
        """Nothing could be read."""
        return not self.mask and self.bucket in (NO_STATE, Bucket.UNKNOWN)


class Observer:
    """Reads one machine from the images of its devices."""

    def __init__(self, machine: Machine, images: Sequence[TagImage]) -> None:
        """`images`: by device index, as in the site plan."""
        self._machine = machine
        self._hold_ns = machine.hold_ns
        self._places = [(images[signal.device], signal.tag) for signal in machine.signals]
        self.product = machine.product_default  # index of the last one seen; outlives a restart with the checkpoint
        self._versions = _versions_of(machine.products)
        self._codes = _products_of(machine.products)
        self._fault_buckets = {f.code: f.bucket for f in machine.faults if f.bucket is not None}
        self._rules = (*machine.states, machine.state_default, UNSEEN)
        self._rule = len(self._rules) - 1  # index of the one that held last
        self._buckets: list[int] = [rule.bucket for rule in self._rules]
        if Bucket.RUN not in self._buckets[:-2] and self._buckets[-2] == Bucket.RUN:
            self._buckets[-2] = NO_STATE  # no signal says RUN: counts do
        conditions = [condition for rule in machine.states for condition in rule.when]
        self._lasting = sorted({condition.signal for condition in conditions if condition.last})
        self._state_signals = sorted({condition.signal for condition in conditions})
        self._needed = sorted({c.signal for r in machine.states if r.bucket is Bucket.RUN for c in r.when})
        self._needed = self._needed or self._state_signals  # to be read before the default may hold
        self._bases = [tuple(c.signal for c in rule.when if not c.last) for rule in machine.states]
        self._bases += [tuple(self._needed), ()]  # by rule: what it rests on
        self._told_ns = 0  # when a state was told last
        self._may_be_stale = bool(machine.together or machine.hold_while)
        self._lasts: dict[int, int] = {}  # of `_lasting`: the last good value
        self._told: list[int | None] = []  # values of the state signals, None for those that did not count, of `_rule`
        self._epochs = [_Epoch(rule) for rule in machine.epochs]
        self._untold = 0  # counters that have not been told of an epoch yet, bit per Counter
        self._all_counters = sum(1 << rule.counter for rule in machine.counters)
        self.time_values = array("q", bytes(8 * len(machine.state_times)))  # raw, by index into Machine.state_times

    @property
    def trigger(self) -> Signal | None:
        """The signal whose arrival samples the machine: its first counter, else the first signal of its state rules."""
        if self._machine.counters:
            return self._machine.signals[self._machine.counters[0].signal]
        return self._machine.signals[self._state_signals[0]] if self._state_signals else None

    @property
    def memory(self) -> tuple[int, ...]:
        """What outlives a sample. Setting it to what was got goes on from there, under the same configuration."""
        lasts = (n for signal in self._lasting for n in (signal in self._lasts, self._lasts.get(signal, 0)))
        epochs = (n for epoch in self._epochs for n in epoch.memory)
        return (self.product, self._rule, self._untold, self._told_ns, *epochs, *lasts)

    @memory.setter
    def memory(self, memory: tuple[int, ...]) -> None:
        self.product, self._rule, self._untold, self._told_ns = memory[:4]
        self._told = []
        rest = iter(memory[4:])
        for epoch in self._epochs:
            epoch.memory = (next(rest), next(rest), next(rest), next(rest))
        self._lasts = {signal: value for signal in self._lasting for seen, value in [(next(rest), next(rest))] if seen}

    def sample(self, t_ns: int) -> Sample:
        """The machine at `t_ns`, from what the images hold then."""
        doubtful = self._watch_epochs(t_ns) if self._epochs else False
        mask, counters = self._counters(t_ns)
        if self._untold & mask and not doubtful:
            self._untold &= ~mask
            mask |= EPOCH
        bucket, state = self._state(t_ns)
        fault_code = self._fault_code(t_ns)
        if bucket in UNNAMED_STOPS:
            bucket = self._fault_buckets.get(fault_code, bucket)
        return Sample(bucket, state, fault_code, self._product_at(t_ns), mask, counters, doubtful)

    def read_times(self, t_ns: int) -> int:
        """Put the machine's own state times into `time_values`; returns a bit for each that was read well at `t_ns` and
        not before: what it says is exact only together with its time.
        """
        mask = 0
        for index, rule in enumerate(self._machine.state_times):
            if self._read_ns(rule.signal) == t_ns and self._counts(rule.signal, t_ns):
                mask |= 1 << index
                self.time_values[index] = self._value(rule.signal)
        return mask

    # ---- signals ----

    def _counts(self, index: int, t_ns: int) -> bool:
        image, tag = self._places[index]
        return 0 <= t_ns - image.t_ns[tag] <= self._hold_ns and image.quality[tag] <= _UNCERTAIN

    def _value(self, index: int) -> int:
        image, tag = self._places[index]
        return image.i64[tag]

    def _read_ns(self, index: int) -> int:
        image, tag = self._places[index]
        return image.t_ns[tag]

    # ---- counters ----

    def _counters(self, t_ns: int) -> tuple[int, tuple[int, int, int]]:
        mask, values = 0, [0, 0, 0]
        for rule in self._machine.counters:
            if self._counts(rule.signal, t_ns):
                mask |= 1 << rule.counter
                values[rule.counter] = self._value(rule.signal)
        return mask, (values[0], values[1], values[2])

    def _watch_epochs(self, t_ns: int) -> bool:
        """True where a signal looks as if the PLC began anew and nothing confirms it yet."""
        doubtful = False
        for epoch in self._epochs:
            signal = epoch.rule.signal
            if not self._counts(signal, t_ns):
                continue
            began, doubt = epoch.read(self._value(signal), self._read_ns(signal))
            doubtful |= doubt
            if began:
                self._untold = self._all_counters
        return doubtful

    # ---- state ----

    def _state(self, t_ns: int) -> tuple[int, str]:
        if not self._state_signals:
            return NO_STATE, self._machine.state_default.state
        before = self._rule
        told = [self._value(index) if self._counts(index, t_ns) else None for index in self._state_signals]
        if told != self._told or self._may_be_stale:  # otherwise the same rule holds as before
            good = {index for index, value in zip(self._state_signals, told, strict=True) if value is not None}
            for index in self._lasting:
                if index in good:
                    self._lasts[index] = self._value(index)
            if self._is_stale(good, t_ns):
                return Bucket.UNKNOWN, self._rules[self._rule].state
            self._rule, self._told = self._rule_that_holds(good), told
        bucket, state = self._buckets[self._rule], self._rules[self._rule].state
        if bucket == NO_STATE:
            return bucket, state
        if before == self._rule and not self._is_read_anew(t_ns):
            return Bucket.UNKNOWN, state
        self._told_ns = t_ns
        return bucket, state

    def _is_read_anew(self, t_ns: int) -> bool:
        """All that the state rests on was read since it was told (at this moment, where the clock was set back)."""
        told_ns = self._told_ns if self._told_ns < t_ns else t_ns - 1
        return all(self._read_ns(signal) > told_ns for signal in self._bases[self._rule])

    def _rule_that_holds(self, good: set[int]) -> int:
        states = self._machine.states
        for number, rule in enumerate(states):
            if all(self._holds(condition, good) for condition in rule.when):
                return number
        return len(states) if good.issuperset(self._needed) else len(states) + 1

    def _is_stale(self, good: set[int], t_ns: int) -> bool:
        """The state signals of this sample are no state: read at different times, or while a change is in process."""
        machine = self._machine
        if machine.together and len({self._read_ns(index) for index in machine.together if index in good}) > 1:
            return True
        return bool(machine.hold_while) and all(
            self._counts(condition.signal, t_ns) and self._is_met(condition) for condition in machine.hold_while
        )

    def _holds(self, condition: Condition, good: set[int]) -> bool:
        if condition.last:
            known = self._lasts.get(condition.signal)
            return known is not None and (known in condition.values) != condition.negate
        return condition.signal in good and self._is_met(condition)

    def _is_met(self, condition: Condition) -> bool:
        return (self._value(condition.signal) in condition.values) != condition.negate

    def _fault_code(self, t_ns: int) -> int:
        index = self._machine.fault_code_signal
        return self._value(index) if index is not None and self._counts(index, t_ns) else 0

    # ---- product ----

    def _product_at(self, t_ns: int) -> int:
        index = self._machine.product_signal
        if index is not None and self._counts(index, t_ns):
            code = self._value(index)
            for known in self._codes.get(code, ()):
                version = self._version_at(known, t_ns)
                if self._machine.products[version].code == code:
                    self.product = version
        self.product = self._version_at(self.product, t_ns)
        return self.product

    def _version_at(self, product: int, t_ns: int) -> int:
        """The version of a product, given by any of them, that holds at a moment; the first also before its date."""
        versions = self._versions[product]
        if len(versions) == 1:
            return product
        return next((index for from_ns, index in reversed(versions) if from_ns <= t_ns), versions[0][1])


class _Epoch:
    """One signal that proves a restart, and what was read of it."""

    __slots__ = ("_doubt", "_doubted_ns", "_last", "_seen", "rule")

    def __init__(self, rule: EpochRule) -> None:
        self.rule = rule
        self._seen = 0
        self._last = 0  # the last value that was believed
        self._doubt = 0  # a value that would mean a restart, not confirmed
        self._doubted_ns = 0  # when it was read; 0 = there is none

    @property
    def memory(self) -> tuple[int, ...]:
        """All of it."""
        return self._seen, self._last, self._doubt, self._doubted_ns

    @memory.setter
    def memory(self, memory: tuple[int, ...]) -> None:
        self._seen, self._last, self._doubt, self._doubted_ns = memory

    def read(self, value: int, read_ns: int) -> tuple[bool, bool]:
        """A good reading: (the PLC began anew, it looks as if it did)."""
        if not self._seen or self._is_usual(value):
            self._seen, self._last, self._doubted_ns = 1, value, 0
            return False, False
        if not self._doubted_ns:
            self._doubt, self._doubted_ns = value, read_ns
            return False, True
        if read_ns == self._doubted_ns:
            return False, False  # not read again: proves nothing, and costs no second sample
        if value and self._confirms(value):
            self._last, self._doubted_ns = value, 0
            return True, False
        self._doubt, self._doubted_ns = value, read_ns
        return False, False

    def _is_usual(self, value: int) -> bool:
        return value >= self._last if self.rule.when is EpochWhen.DECREASES else value == self._last

    def _confirms(self, value: int) -> bool:
        return value >= self._doubt if self.rule.when is EpochWhen.DECREASES else value == self._doubt


def _versions_of(products: Sequence[Product]) -> list[list[tuple[int, int]]]:
    """By product index: (from_ns, index) of all versions of that product, by time."""
    by_id: dict[str, list[tuple[int, int]]] = {}
    for index, product in enumerate(products):
        by_id.setdefault(product.id, []).append((product.from_ns, index))
    return [sorted(by_id[product.id]) for product in products]


def _products_of(products: Sequence[Product]) -> dict[int, list[int]]:
    """By recipe code: indices of the products that it has ever selected."""
    by_code: dict[int, list[int]] = {}
    for index, product in enumerate(products):
        if product.code is not None:
            by_code.setdefault(product.code, []).append(index)
    return by_code
