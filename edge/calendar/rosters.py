"""Which shifts start on a date: the version in force, its rotation, holidays and exceptions. Dates only, no instants.

Theory. Everything a calendar says about *which* shifts are worked depends on one date, the date a shift starts on (its
anchor date). So a change of pattern cannot reach back: the shift that began on the last evening of the old pattern is
of the old pattern to its end. What a shift means in time is `edge.calendar.shifts`.

Rules, the first that applies to a date:
* an exception that holds it: its own shifts, or none, or those of another day (a Saturday worked like a Friday);
* a holiday: none. A pattern without shifts (around the clock) has no holidays;
* the version in force: of its shifts those of the weekday, and of the day of the rotation where there is one.

A shift's number is its place in the list that rules the date; it does not depend on what else is worked that day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, time

from edge.plan import EVERY_DAY, Calendar, CalendarVersion, DayException, Shift

_ALL_DAY = (Shift("day", time(0), time(0), EVERY_DAY),)


@dataclass(frozen=True, slots=True)
class Roster:
    """The shifts of one date."""

    shifts: tuple[Shift, ...]  # all the list has; the place in it is the shift's number
    worked: tuple[int, ...]  # places of those that start on the date, the earliest first
    weekday: int  # the date counts as, 0 = Monday


def roster_on(calendar: Calendar, day: date) -> Roster:
    """The shifts that may start on a date, and those that do."""
    version, exception = version_on(calendar, day), exception_on(calendar, day)
    if exception is None:
        idle = bool(version.shifts) and day in calendar.holidays
        return _pattern(version, day, day.weekday()) if not idle else Roster(version.shifts, (), day.weekday())
    if exception.shifts is not None:
        return _roster(exception.shifts, range(len(exception.shifts)), day.weekday())
    if isinstance(exception.like, date):
        return _pattern(version, exception.like, exception.like.weekday())
    return _pattern(version, day, day.weekday() if exception.like is None else exception.like)


def version_on(calendar: Calendar, day: date) -> CalendarVersion:
    """The version in force on a date; the calendar's own shifts before the first one."""
    for version in reversed(calendar.versions):
        if version.since <= day:
            return version
    return CalendarVersion(date.min, calendar.shifts, calendar.rotation, calendar.day_start)


def exception_on(calendar: Calendar, day: date) -> DayException | None:
    """The exception that rules a date."""
    return next((one for one in calendar.exceptions if one.first <= day <= one.last), None)


def _pattern(version: CalendarVersion, day: date, weekday: int) -> Roster:
    """What a version has for a date that counts as a weekday."""
    shifts, rotation = version.shifts or _ALL_DAY, version.rotation
    turn = (day - rotation.anchor).days % rotation.days if rotation is not None else None
    due = (
        place
        for place, shift in enumerate(shifts)
        if weekday in shift.weekdays and (not shift.cycle or turn in shift.cycle)
    )
    return _roster(shifts, due, weekday)


def _roster(shifts: tuple[Shift, ...], due: Iterable[int], weekday: int) -> Roster:
    return Roster(shifts, tuple(sorted(due, key=lambda place: shifts[place].start)), weekday)
