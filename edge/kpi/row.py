"""One row of the ledger: integers that add up. Hours, shifts, lines and nations are sums of rows, then one division."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Self

from ext.buckets import N_BUCKETS, Flag


@dataclass(slots=True)
class Sums:
    """Everything that adds up, in ns and pieces.

    `stop_ns` is indexed by `Bucket`, RUN included, and sums to `all_ns`.
    """

    all_ns: int = 0
    ppt_ns: int = 0
    rt_ns: int = 0
    nrt_ns: int = 0
    fpt_ns: int = 0
    unknown_ns: int = 0
    stop_ns: list[int] = field(default_factory=lambda: [0] * N_BUCKETS)
    tc: int = 0
    gc: int = 0
    sc: int = 0
    unscheduled_tc: int = 0
    unscheduled_gc: int = 0
    unscheduled_sc: int = 0
    unscheduled_run_ns: int = 0
    unscheduled_fpt_ns: int = 0
    slow_ns: int = 0
    small_ns: int = 0
    conflict_ns: int = 0
    recovered: int = 0
    estimated: int = 0
    resets: int = 0
    rollovers: int = 0
    glitches: int = 0
    lost_max: int = 0
    repaired_ns: int = 0  # told by the PLC's own accumulators after nobody had observed it
    flags: int = 0  # union, not sum

    def add(self, other: Sums) -> Self:
        """Add `other` in place: sums, and the union of flags."""
        for name in _ADDITIVE:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        mine = self.stop_ns
        for index, ns in enumerate(other.stop_ns):
            mine[index] += ns
        self.flags |= other.flags
        return self

    def pack(self) -> bytes:
        """A fraction of the memory, for rows that wait: what is not 0, each with its place."""
        values = (*_values_of(self), *self.stop_ns)
        places = [place for place, value in enumerate(values) if value]
        return bytes((len(places), *places)) + array("q", [values[place] for place in places]).tobytes()

    @classmethod
    def unpack(cls, blob: bytes) -> Self:
        """From what `pack` gave."""
        behind = 1 + blob[0]
        values = [0] * (len(_ADDITIVE) + 1 + N_BUCKETS)
        for place, value in zip(blob[1:behind], array("q", blob[behind:]), strict=True):
            values[place] = value
        n = len(_ADDITIVE)
        return cls(**dict(zip(_ADDITIVE, values[:n], strict=True)), flags=values[n], stop_ns=values[n + 1 :])


_ADDITIVE = tuple(f.name for f in fields(Sums) if f.name not in ("stop_ns", "flags"))
SUM_COLUMNS = _ADDITIVE
_values_of = attrgetter(*_ADDITIVE, "flags")


@dataclass(frozen=True, slots=True)
class RowKey:
    """What a row is about. Unique in the ledger."""

    machine: str
    window: str  # "1m"; sums of them are "1h", "shift", "1d"
    start_ns: int
    product: str
    shift: str  # name of the shift, "" outside shifts and for days
    shift_date: str  # ISO date the shift is reported under, "" where there is no shift


@dataclass(frozen=True, slots=True)
class Row:
    """One window of one machine, product and shift."""

    key: RowKey
    end_ns: int
    sums: Sums
    revision: int
    final: bool
    config_version: str
    tier: int

    @property
    def coverage(self) -> float | None:
        """The part of planned time that was observed; None where nothing was planned."""
        sums = self.sums
        return (sums.ppt_ns - sums.unknown_ns) / sums.ppt_ns if sums.ppt_ns else None

    @property
    def doubts(self) -> Flag:
        """The flags, named."""
        return Flag(self.sums.flags)
