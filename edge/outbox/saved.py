"""What came over from a damaged store, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NOW = (1 << 63) - 1  # of `lost_until_ns`: up to the moment of the start


@dataclass(frozen=True, slots=True)
class Saved:
    """What came over, and what did not as far as anybody can tell."""

    rows: Mapping[str, int]  # by table
    missing: int  # records some database has not got, by their numbers; those that were evicted among them
    lost_from_ns: int  # commit times around them, UTC; 0 = none is missing
    lost_until_ns: int
    outdated: tuple[str, ...] = ()  # keys of machine states that are not, or may not be, the last that were stored
    outdated_from_ns: int = 0  # when the oldest of them was stored

    @property
    def told(self) -> str:
        """Tables and their rows, for people."""
        return "  ".join(f"{table} {count:,}" for table, count in self.rows.items() if count)
