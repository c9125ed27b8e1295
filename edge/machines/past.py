"""What a device remembers, as readings of one machine. Pure.

Theory. History comes as changes; the ledger believes a value for a machine's hold only. So between two entries the
older one is repeated, on a common grid: the signals of a machine meet on it.

Rules. A value stands until the next entry of its tag, whatever its quality; after the last one only where the device
said so (`Past.steady`); and never past a start of the device: from when on it was off nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from protocols.reading import Past, Quality, Remembered

_LEAST_NS = 1_000_000_000


def repeated(past: Past, signals: Mapping[int, Sequence[int]], hold_ns: int) -> Iterator[tuple[int, int, int, int]]:
    """For `MachineLife.backfill`: UTC ns, index of the signal, raw integer, Quality. `signals`: by tag."""
    step_ns = max(hold_ns // 2, _LEAST_NS)
    by_tag: dict[int, list[Remembered]] = {}
    for one in (*past.standing, *past.readings):
        if one.tag in signals:
            by_tag.setdefault(one.tag, []).append(one)
    for tag, entries in by_tag.items():
        ends = [*(one.t_ns for one in entries[1:]), past.to_ns if tag in past.steady else entries[-1].t_ns]
        for one, end_ns in zip(entries, ends, strict=True):
            for t_ns in _times(one, end_ns, past.began_ns, step_ns):
                for signal in signals[tag]:
                    yield t_ns, signal, one.i64, one.quality


def _times(one: Remembered, end_ns: int, began_ns: int, step_ns: int) -> Sequence[int]:
    if one.quality > Quality.UNCERTAIN or one.t_ns < began_ns < end_ns:
        return (one.t_ns,)
    return (one.t_ns, *range((one.t_ns // step_ns + 1) * step_ns, end_ns, step_ns))
