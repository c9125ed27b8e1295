"""What a machine's ledger tells beside its rows."""

from __future__ import annotations

from dataclasses import dataclass

from ext.buckets import Bucket


@dataclass(frozen=True, slots=True)
class StopEvent:
    """One stop. `is_open`: it lasts, and `end_ns` is now."""

    start_ns: int
    end_ns: int
    bucket: Bucket
    fault_code: int
    is_open: bool = False
    revision: int = 0
    void: bool = False


@dataclass(frozen=True, slots=True)
class Revision:
    """Closed windows were opened again, or readings came too late for that."""

    cause: str  # "late-reading", "history", "too-late"
    readings: int  # that were late
    start_ns: int  # of the first minute that changed; of readings that came too late, the oldest
    end_ns: int
    windows: int  # minute rows written again
    pieces: int  # in them, more than before
    detail: str
