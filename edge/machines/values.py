"""Process values worth keeping: temperature, pressure, tension, power. By interval and deadband, with their quality.

Rules. A value is kept when it moved by more than its deadband, when its quality changed, or when its interval passed.
The time written is the time it was read; a value that was not read again is not written again. While nobody takes what
is kept, the newest values go and are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.plan import Machine, ProcessValue
from protocols.reading import Frame, Quality, TagImage

WAITING_LIMIT = 20_000  # values waiting for the next commit; the store takes them each second, so this is a stuck disk


@dataclass(frozen=True, slots=True)
class Kept:
    """One process value to be stored."""

    machine: int
    value: ProcessValue
    t_ns: int
    number: float
    quality: Quality


@dataclass(slots=True)
class _Last:
    machine: int
    value: ProcessValue
    t_ns: int = 0
    number: float = 0.0
    quality: int = -1


class ProcessValues:
    """All process values of a site."""

    def __init__(self, machines: Sequence[Machine], images: Sequence[TagImage]) -> None:
        self._images = images
        self._by_device: list[list[_Last]] = [[] for _ in images]
        for machine in machines:
            for value in machine.process_values:
                self._by_device[value.device].append(_Last(machine.index, value))
        self._waiting: list[Kept] = []
        self.dropped = 0

    def on_frame(self, frame: Frame) -> None:
        """Keep what this frame changed."""
        image = self._images[frame.device]
        for last in self._by_device[frame.device]:
            tag = last.value.tag
            if tag not in frame.tags:
                continue
            number, quality, t_ns = image.f64[tag], image.quality[tag], image.t_ns[tag]
            resting = 0 <= t_ns - last.t_ns < last.value.interval_ns  # below 0: the clock was set back
            if not resting or quality != last.quality or abs(number - last.number) > last.value.deadband:
                last.number, last.quality, last.t_ns = number, quality, t_ns
                self._keep(Kept(last.machine, last.value, t_ns, number, Quality(quality)))

    def _keep(self, kept: Kept) -> None:
        if len(self._waiting) >= WAITING_LIMIT:
            self.dropped += 1
            return
        self._waiting.append(kept)

    def take(self) -> list[Kept]:
        """What was kept since the last call."""
        taken, self._waiting = self._waiting, []
        return taken
