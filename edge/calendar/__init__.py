"""Shifts, breaks, holidays, exceptions and clock changes: local time becomes UTC here and nowhere else below the page.

Pure: no clock, no I/O.
"""

from edge.calendar.day import ProductionDay, production_day
from edge.calendar.shifts import NO_SHIFT, SHIFTS_PER_CALENDAR, ShiftInstance, Slice, shift_id_of, shift_of, slices

__all__ = [
    "NO_SHIFT",
    "SHIFTS_PER_CALENDAR",
    "ProductionDay",
    "ShiftInstance",
    "Slice",
    "production_day",
    "shift_id_of",
    "shift_of",
    "slices",
]
