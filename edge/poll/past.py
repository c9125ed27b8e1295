"""From a server's history to readings of the past: in our time, repeated while they stand, bounded. Pure.

Theory. History comes as changes: value and source time, by the server's clock. The ledger believes a value for a
machine's hold only, so between two entries the older one is repeated, every `STEP_NS`; where the server wrote a bad
status the value ends there. Whoever listens next knows what came after the last entry, so it stands to the end of the
gap and not beyond.

Rules. The difference of the clocks is taken off, nothing else is moved. Only integers as the ledger reads them: a value
that is no number is left out. Readings carry `UNCERTAIN` where the server says so, never better than it said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from edge.plan import OpcuaDevice
from protocols.opcua.status import quality
from protocols.opcua.tags import Codes
from protocols.opcua.wire import DataValues
from protocols.reading import Past, Quality, Remembered

STEP_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Gap:
    """Time of which nothing was heard, UTC ns by our clock."""

    from_ns: int
    to_ns: int

    SPAN_NS: ClassVar[int] = 12 * 3600 * 1_000_000_000  # of a longer one, the last part is filled
    VALUES_MAX: ClassVar[int] = 50_000  # over all nodes

    def bounded(self) -> tuple[int, int]:
        """The part that is asked for."""
        return max(self.from_ns, self.to_ns - self.SPAN_NS), self.to_ns


def past_of(device: OpcuaDevice, found: Sequence[DataValues], gap: Gap, skew_ns: int) -> Past:
    """Readings of a gap, by time. `found`: what `OpcuaClient.history` gave; `skew_ns`: server's clock minus ours."""
    from_ns, to_ns = gap.bounded()
    readings: list[Remembered] = []
    for data in found:
        readings += _standing(device, data, from_ns, to_ns, skew_ns)
    readings.sort()
    return Past(device.index, from_ns, to_ns, tuple(readings))


def _standing(device: OpcuaDevice, data: DataValues, from_ns: int, to_ns: int, skew_ns: int) -> list[Remembered]:
    """The entries of one node, and what stands between them."""
    by_tag: dict[int, list[tuple[int, int | None, Quality]]] = {}
    columns = zip(data.handles, data.source_ns, data.server_ns, data.values, data.statuses, strict=True)
    for tag, source_ns, server_ns, value, status in columns:
        t_ns = (source_ns or server_ns) - skew_ns
        if from_ns <= t_ns <= to_ns:
            by_tag.setdefault(tag, []).append((t_ns, _integer(value, device.tags[tag].codes), quality(status)))
    made: list[Remembered] = []
    for tag, entries in by_tag.items():
        entries.sort(key=lambda entry: entry[0])
        ends = [*(t_ns for t_ns, _, _ in entries[1:]), to_ns]
        for (t_ns, number, trust), end_ns in zip(entries, ends, strict=True):
            if number is not None and trust <= Quality.UNCERTAIN:
                first_grid = (t_ns // STEP_NS + 1) * STEP_NS  # a common grid: signals of a machine meet on it
                times = (t_ns, *range(first_grid, end_ns, STEP_NS))
                made += [Remembered(at_ns, tag, number, trust) for at_ns in times]
    return made


def _integer(value: object, codes: Codes) -> int | None:
    if isinstance(value, str):
        return dict(codes).get(value, 0) if codes else int(bool(value.strip()))
    if not isinstance(value, bool | int | float):
        return None
    try:
        number = round(value)
    except (ValueError, OverflowError):
        return None
    return number if -(2**63) <= number < 2**63 else None
