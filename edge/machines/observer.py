"""From a device's tag image to one sample of a machine: state, product, fault, counters.

Theory. A machine's signals lie in the images of its devices. One signal is the clock of the machine: the block that
carries its counters (of its state, where it has none). When that block arrives, or when a subscription confirms that
nothing changed, the machine is sampled once, from one consistent image. Other blocks refresh the image and wait for
that moment.

Rules. A signal counts only while its quality is good or uncertain and its reading is younger than the machine's hold. A
state rule whose signals do not count is false, and the default holds only where every state signal was read: a run bit
nobody can read does not say "stopped". A machine without state signals leaves its state to the counts (bucket -1); one
whose state cannot be told now is UNKNOWN to the kernel, which believes the last state for `hold` and then lets counts
decide. This module knows no time and no loop: it is given the moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.plan import Condition, Machine, Signal, StateRule
from ext.buckets import Bucket
from protocols.reading import Quality, TagImage

UNNAMED_STOPS = (
    Bucket.BREAKDOWN,
    Bucket.UNASSIGNED,
)  # "fault" and "stopped" say little: a fault code may say what kind of stop it is
NO_STATE = -1  # the kernel's word for "counts alone decide"
UNSEEN = StateRule((), Bucket.UNKNOWN, "unseen")


@dataclass(frozen=True, slots=True)
class Sample:
    """What one consistent image says of a machine. `counters` has a value for every bit of `mask`."""

    bucket: int  # Bucket, or NO_STATE
    state: str  # the word people see
    fault_code: int
    product: int  # index into Machine.products
    mask: int  # bit per Counter that was read well
    counters: tuple[int, int, int]  # total, good, reject; 0 where the mask has no bit


class Observer:
    """Reads one machine from the images of its devices. Holds no history but the last product seen."""

    def __init__(self, machine: Machine, images: Sequence[TagImage]) -> None:
        """`images`: by device index, as in the site plan."""
        self._machine = machine
        self._images = images
        self.product = machine.product_default  # index of the last one seen; outlives a restart with the checkpoint
        self._codes = {p.code: index for index, p in enumerate(machine.products) if p.code is not None}
        self._fault_buckets = {f.code: f.bucket for f in machine.faults if f.bucket is not None}
        self._state_signals = sorted({c.signal for rule in machine.states for c in rule.when})

    @property
    def trigger(self) -> Signal | None:
        """The signal whose arrival samples the machine: its first counter, else the first signal of its state rules."""
        if self._machine.counters:
            return self._machine.signals[self._machine.counters[0].signal]
        return self._machine.signals[self._state_signals[0]] if self._state_signals else None

    def sample(self, t_ns: int) -> Sample:
        """The machine at `t_ns`, from what the images hold then."""
        mask, counters = self._counters(t_ns)
        bucket, state = self._state(t_ns)
        fault_code = self._fault_code(t_ns)
        if bucket in UNNAMED_STOPS:
            bucket = self._fault_buckets.get(fault_code, bucket)
        return Sample(bucket, state, fault_code, self._product_at(t_ns), mask, counters)

    def _counts(self, index: int, t_ns: int) -> bool:
        signal = self._machine.signals[index]
        image = self._images[signal.device]
        fresh = 0 <= t_ns - image.t_ns[signal.tag] <= self._machine.hold_ns
        return fresh and image.quality[signal.tag] <= Quality.UNCERTAIN

    def _value(self, index: int) -> int:
        signal = self._machine.signals[index]
        return self._images[signal.device].i64[signal.tag]

    def _counters(self, t_ns: int) -> tuple[int, tuple[int, int, int]]:
        mask, values = 0, [0, 0, 0]
        for rule in self._machine.counters:
            if self._counts(rule.signal, t_ns):
                mask |= 1 << rule.counter
                values[rule.counter] = self._value(rule.signal)
        return mask, (values[0], values[1], values[2])

    def _state(self, t_ns: int) -> tuple[int, str]:
        if not self._state_signals:
            return NO_STATE, self._machine.state_default.state
        good = {index for index in self._state_signals if self._counts(index, t_ns)}
        for rule in self._machine.states:
            if all(self._holds(condition, good) for condition in rule.when):
                return rule.bucket, rule.state
        default = self._machine.state_default if len(good) == len(self._state_signals) else UNSEEN
        return default.bucket, default.state

    def _holds(self, condition: Condition, good: set[int]) -> bool:
        return condition.signal in good and (self._value(condition.signal) in condition.values) != condition.negate

    def _fault_code(self, t_ns: int) -> int:
        index = self._machine.fault_code_signal
        return self._value(index) if index is not None and self._counts(index, t_ns) else 0

    def _product_at(self, t_ns: int) -> int:
        index = self._machine.product_signal
        if index is not None and self._counts(index, t_ns):
            self.product = self._codes.get(self._value(index), self.product)
        return self.product
