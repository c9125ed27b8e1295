"""The calendar as arrays for the ledger kernel: a few days around now, made anew before they run out."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from edge.calendar.shifts import slices
from edge.plan import Calendar

DAY_NS = 86_400_000_000_000
BEHIND_NS = 1 * DAY_NS
AHEAD_NS = 3 * DAY_NS
MARGIN_NS = 1 * DAY_NS


@dataclass(frozen=True, slots=True)
class Stretch:
    """Contiguous slices covering [start_ns, end_ns)."""

    start_ns: int
    end_ns: int
    start: array[int]
    end: array[int]
    kind: array[int]
    shift: array[int]


def stretch(calendar: Calendar, from_ns: int, now_ns: int) -> Stretch:
    """Slices that cover everything from a day before `from_ns` (the oldest time still to be booked) to three days after
    `now_ns`.
    """
    found = slices(calendar, min(from_ns, now_ns) - BEHIND_NS, now_ns + AHEAD_NS)
    return Stretch(
        found[0].start_ns,
        found[-1].end_ns,
        array("q", [s.start_ns for s in found]),
        array("q", [s.end_ns for s in found]),
        array("q", [s.schedule for s in found]),
        array("q", [s.shift_id for s in found]),
    )


def runs_out(present: Stretch, now_ns: int) -> bool:
    """Time to make a new one."""
    return now_ns > present.end_ns - MARGIN_NS or now_ns < present.start_ns
