"""The production day: the day a plant reports by, from its `day_start` to the next one. Pure.

Rules.
* Days are contiguous and cover all time. One is 24 h long, 23 or 25 where the clock changes; a date that a zone left
  out has none.
* A day that begins by noon carries the date it begins on. One that begins later (20:00, the night shift first) carries
  the next date, on which most of it lies.
* Where a version of the calendar moves the beginning, the day before the change takes up the difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from edge.calendar.localtime import local_date, utc_ns
from edge.calendar.rosters import version_on
from edge.plan import Calendar

_NOON = time(12)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ProductionDay:
    """[start_ns, end_ns) in UTC ns, and the date on reports."""

    date: date
    start_ns: int
    end_ns: int


def production_day(calendar: Calendar, t_ns: int) -> ProductionDay:
    """The production day of a moment (UTC ns)."""
    zone = ZoneInfo(calendar.timezone)
    day = local_date(t_ns, zone) + 2 * _DAY  # its day begins later, whatever the zone
    end_ns = _start_ns(calendar, day, zone)
    while True:
        day -= _DAY
        start_ns = _start_ns(calendar, day, zone)
        if start_ns <= t_ns:
            return ProductionDay(day, start_ns, end_ns)
        end_ns = start_ns


def _start_ns(calendar: Calendar, day: date, zone: ZoneInfo) -> int:
    """Where the production day of a date begins; non-decreasing in the date."""
    start = version_on(calendar, day).day_start
    return utc_ns(datetime.combine(day - _DAY if start > _NOON else day, start), zone)
