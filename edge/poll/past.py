"""From a server's history to readings of the past: in our time, each once, bounded. Pure.

Theory. History comes as changes: value, status and source time, by the server's clock. Less the difference of the two
clocks they are readings like any other, only late. What stood when the gap began is known from the server (a bounding
value), or because we heard it last and the server was not restarted since.

Rules. Where the difference of the clocks is another than before the gap, one of them was set in between: nothing of
that time can be believed, and nothing is filled. Readings lie within the gap, after all that was heard before it and
before all that was heard after it, so that no value is ever heard after the one that followed it. Quality is as the
server kept it, never better.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from edge.plan import OpcuaDevice
from protocols.opcua.status import quality
from protocols.opcua.wire import DataValues
from protocols.reading import Quality, Remembered, TagImage

_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Gap:
    """Time of which nothing was heard, UTC ns by our clock."""

    from_ns: int
    to_ns: int
    skew_ns: int | None = None  # server's clock minus ours before it; None = not known
    standing: tuple[Remembered, ...] = ()  # as last heard

    SPAN_NS: ClassVar[int] = 12 * 3600 * _S  # of a longer one, the last part is filled
    PART_NS: ClassVar[int] = 3600 * _S  # asked for at a time: what a machine hears again in one go
    LEAST_NS: ClassVar[int] = 10 * _S  # never asked for less
    PART_VALUES: ClassVar[int] = 5_000  # of all nodes, in one part
    VALUES_MAX: ClassVar[int] = 200_000  # over all parts
    _SET_NS: ClassVar[int] = 2 * _S
    _DRIFT: ClassVar[float] = 100e-6  # clocks that nobody sets

    def parts(self) -> list[tuple[int, int]]:
        """What is asked for at a time, newest first: a stack."""
        first_ns = max(self.from_ns, self.to_ns - self.SPAN_NS)
        starts = range(first_ns, self.to_ns, self.PART_NS)
        return [(start_ns, min(start_ns + self.PART_NS, self.to_ns)) for start_ns in starts][::-1]

    def set_by_ns(self, skew_ns: int) -> int:
        """By how much a clock was set meanwhile; 0 where none was, as far as can be known."""
        moved_ns = 0 if self.skew_ns is None else skew_ns - self.skew_ns
        return moved_ns if abs(moved_ns) > self._SET_NS + self._DRIFT * (self.to_ns - self.from_ns) else 0


def heard_last(image: TagImage, qualities: Iterable[int], t_ns: int) -> Iterator[Remembered]:
    """What an image held before the connection was lost. `qualities`: as they were then."""
    for tag, trust in enumerate(qualities):
        if trust <= Quality.UNCERTAIN:
            yield Remembered(t_ns, tag, image.i64[tag], Quality(trust), image.f64[tag])


def readings_of(
    device: OpcuaDevice, data: DataValues, span: tuple[int, int], skew_ns: int
) -> tuple[list[Remembered], dict[int, Remembered]]:
    """Readings between two times of our clock, by time; and by tag what stood at the first. `data` has tags as handles;
    `skew_ns`: server's clock minus ours.
    """
    from_ns, to_ns = span
    readings: list[Remembered] = []
    standing: dict[int, Remembered] = {}
    columns = zip(data.handles, data.source_ns, data.server_ns, data.values, data.statuses, strict=True)
    for tag, source_ns, server_ns, value, status in columns:
        t_ns = (source_ns or server_ns) - skew_ns
        if t_ns > to_ns:
            continue
        one = _reading(device, max(t_ns, from_ns), tag, value, quality(status))
        if t_ns <= from_ns:
            standing[tag] = one
        else:
            readings.append(one)
    readings.sort()
    return readings, standing


def _reading(device: OpcuaDevice, t_ns: int, tag: int, value: object, trust: Quality) -> Remembered:
    of = device.tags[tag]
    number = of.number_of(value) if isinstance(value, str) else _integer(value)
    if trust > Quality.UNCERTAIN or number is None:
        return Remembered(t_ns, tag, 0, max(trust, Quality.BAD))
    shown = value * of.scale + of.offset if isinstance(value, bool | int | float) else 0.0
    return Remembered(t_ns, tag, number, trust, shown)


def _integer(value: object) -> int | None:
    if not isinstance(value, bool | int | float):
        return None
    try:
        number = round(value)
    except (ValueError, OverflowError):
        return None
    return number if -(2**63) <= number < 2**63 else None
