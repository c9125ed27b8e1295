"""How a machine in a condition looks to a reader, and what the agent's own Observer makes of it.

A face is the state signals of one sample: values and quality by signal name. Faces are numbered, because a day has a
hundred thousand samples and a dozen faces. Nothing is translated twice: the number says what the recorded signals are,
and the Observer, the part that runs live, says what bucket and fault code the kernel gets for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from edge.machines.observer import Observer
from edge.machines.signals import used_signals
from edge.plan import Machine, Signal
from edge.simulate.conditions import Condition
from edge.simulate.history import Scale
from edge.simulate.plant import SimulatedMachine
from edge.simulate.values import View, reading_of
from ext.buckets import Bucket
from protocols.reading import Quality, TagImage

Face = tuple[tuple[tuple[str, int], ...], int]  # values by signal, Quality
_T_NS = 1 << 60


class Faces:
    """The faces of one machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        counters = {rule.signal for rule in machine.counters}
        apart = counters | ({machine.product_signal} if machine.product_signal is not None else set())
        self.signals = [machine.signals[index].name for index in sorted(used_signals(machine) - apart)]
        self._slots = {signal.name: index for index, signal in enumerate(machine.signals)}
        self._own = replace(machine, signals=tuple(Signal(s.name, 0, i) for i, s in enumerate(machine.signals)))
        self._numbers: dict[Face, int] = {}
        self._known: dict[tuple[Condition, int], int] = {}
        self._changed: dict[tuple[object, ...], int] = {}
        self.faces: list[Face] = []
        self.buckets: list[int] = []
        self.fault_codes: list[int] = []
        self.says_nothing: list[bool] = []  # no state in it; with no counter either, the sample is no sample
        self._simulated = SimulatedMachine(machine, 0, Scale(Fraction(1)), 0, None)
        self._simulated.live(1)

    def of(self, condition: Condition, code: int) -> int:
        """The face of a machine in this condition."""
        known = self._known.get((condition, code))
        if known is None:
            view = View(self._simulated)
            view.condition, view.code = condition, code
            values = {}
            for name in self.signals:
                read = reading_of(self._machine.kind, name)
                values[name] = int(read(view)) if read is not None else 0
            known = self._known[condition, code] = self._number(values, Quality.GOOD)
        return known

    @property
    def tell_stops(self) -> bool:
        """No stop seen so far looks like running."""
        return all(
            self.buckets[face] != Bucket.RUN
            for (condition, _), face in self._known.items()
            if condition is not Condition.RUN
        )

    def changed(self, face: int, values: Mapping[str, int] | None = None, quality: Quality | None = None) -> int:
        """The same face with some signals otherwise; signals the machine does not have are left out."""
        values = {name: value for name, value in (values or {}).items() if name in self._slots}
        key = (face, tuple(values.items()), quality)
        if key not in self._changed:
            old, old_quality = self.faces[face]
            self._changed[key] = self._number({**dict(old), **values}, old_quality if quality is None else quality)
        return self._changed[key]

    def blank(self, face: int) -> int:
        """Every state signal reads 0."""
        return self.changed(face, dict.fromkeys(self.signals, 0))

    def _number(self, values: Mapping[str, int], quality: int) -> int:
        face = (tuple(values.items()), int(quality))
        if face not in self._numbers:
            self._numbers[face] = len(self.faces)
            self.faces.append(face)
            image = TagImage(len(self._own.signals))
            for name, value in values.items():
                slot = self._slots[name]
                image.i64[slot], image.quality[slot], image.t_ns[slot] = value, quality, _T_NS
            sample = Observer(self._own, [image]).sample(_T_NS)
            self.buckets.append(int(sample.bucket))
            self.fault_codes.append(sample.fault_code)
            self.says_nothing.append(sample.is_empty)
        return self._numbers[face]
