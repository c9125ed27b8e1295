"""Shifts, breaks, holidays and clock changes: local time becomes UTC here and nowhere else below the page. Pure."""

from edge.calendar.shifts import NO_SHIFT, SHIFTS_PER_CALENDAR, ShiftInstance, Slice, shift_id_of, shift_of, slices

__all__ = ["NO_SHIFT", "SHIFTS_PER_CALENDAR", "ShiftInstance", "Slice", "shift_id_of", "shift_of", "slices"]
