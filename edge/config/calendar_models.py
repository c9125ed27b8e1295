"""What a calendar in a site file may contain: typed, frozen, unknown keys forbidden. Meaning: `edge.config.calendars`.

A range of dates is one text, `2026-10-01..2026-10-07`, both ends included; a moment is `2026-06-01 08:00`, local time.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from edge.config.fields import Clock, Id, Identified, Named, Strict, Weekdays, Word, clock_of, weekdays_of, wrong

LONGEST_RANGE_DAYS = 366
LONGEST_CYCLE_DAYS = 366
FIRST_YEAR, LAST_YEAR = 1970, 2200
_TEXT = {"type": "string"}


def _day(value: Any) -> date:
    """A date that instants of 64 bits can hold, with room around it."""
    try:
        day = date.fromisoformat(value)
    except (TypeError, ValueError):
        raise wrong("应为日期，例如 2026-10-01", "a date such as 2026-10-01 is expected") from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise wrong(f"年份应在 {FIRST_YEAR}–{LAST_YEAR}", f"a year from {FIRST_YEAR} to {LAST_YEAR} is expected")
    return day


def _days(value: Any) -> Any:
    """One date, or first and last of a range."""
    first, dots, last = value.partition("..") if isinstance(value, str) else (value, "", "")
    start = _day(first.strip() if isinstance(first, str) else first)
    end = _day(last.strip()) if dots else start
    if not 0 <= (end - start).days < LONGEST_RANGE_DAYS:
        most = LONGEST_RANGE_DAYS
        raise wrong(f"一段日期须先早后晚，最多 {most} 天", f"a range goes from early to late, at most {most} days")
    return start, end


def _moment(value: Any) -> Any:
    """A local date and time of day; 24:00 is the end of that date."""
    parts = re.fullmatch(r"([0-9-]+)[ T]+([0-9:]+)", value) if isinstance(value, str) else None
    if parts is None:
        raise wrong("应为本地时刻，例如 2026-06-01 08:00", "a local time such as 2026-06-01 08:00 is expected")
    day = _day(parts[1]) + timedelta(days=parts[2].startswith("24"))
    return datetime.combine(day, clock_of(parts[2]))


def _cycle(value: Any) -> Any:
    """Days of the rotation, from 1: `3`, `1-4`, or a list of such."""
    chosen: set[int] = set()
    for item in value if isinstance(value, list) else [value]:
        ends = re.fullmatch(r"([0-9]{1,3})(?:\s*-\s*([0-9]{1,3}))?", str(item).strip())
        first, last = (int(ends[1]), int(ends[2] or ends[1])) if ends else (0, 0)
        if not 1 <= first <= last:
            raise wrong(
                "应为周期内的第几天，例如 1-4 或 [1, 2, 5]", "days of the cycle such as 1-4 or [1, 2, 5] expected"
            )
        chosen.update(range(first, last + 1))
    return frozenset(chosen)


def _like(value: Any) -> Any:
    """One weekday as a number from Monday = 0, or a date."""
    if isinstance(value, str) and re.match(r"[0-9]", value):
        return _day(value)
    days = weekdays_of(value)
    if len(days) != 1:
        raise wrong("应为一个星期几（如 fri、周五）或一个日期", "one weekday such as fri, or a date, is expected")
    return next(iter(days))


Day = Annotated[date, BeforeValidator(_day), WithJsonSchema(_TEXT | {"format": "date"})]
Days = Annotated[
    tuple[date, date], BeforeValidator(_days), WithJsonSchema(_TEXT | {"examples": ["2026-10-01..2026-10-07"]})
]
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema(_TEXT | {"examples": ["2026-06-01 08:00"]})]
Like = Annotated[int | date, BeforeValidator(_like), WithJsonSchema(_TEXT | {"examples": ["fri", "2026-02-13"]})]
CycleDays = Annotated[
    frozenset[int],
    BeforeValidator(_cycle),
    WithJsonSchema({"anyOf": [{"type": "integer"}, _TEXT, {"type": "array"}], "examples": ["1-4"]}),
]
ReportDate = Literal["start", "end"]


class BreakModel(Strict):
    """A planned stop inside a shift."""

    start: Clock
    end: Clock
    days: Weekdays = Field(frozenset(range(7)), description="on shifts that start on these weekdays; default all")


class DayShiftModel(Strict):
    """A shift of one date. An end at or before the start lies on the next day."""

    name: Word
    start: Clock
    end: Clock
    breaks: tuple[BreakModel, ...] = ()
    report_date: ReportDate | None = Field(None, description="date on reports: that of its start or of its end")


class ShiftModel(DayShiftModel):
    """A shift that repeats."""

    days: Weekdays = Field(frozenset(range(7)), description="daily (default), mon-fri, or a list such as [mon, sat]")
    cycle: CycleDays | None = Field(None, description="days of the rotation it is worked on, e.g. 1-4; default all")


class PatternModel(Strict):
    """Shifts by weekday, by a rotation, or by both. Without shifts: around the clock."""

    shifts: tuple[ShiftModel, ...] = ()
    cycle_days: int | None = Field(None, ge=2, le=LONGEST_CYCLE_DAYS, description="length of the rotation in days")
    anchor: Day | None = Field(None, description="a date that is day 1 of the rotation")


class VersionModel(PatternModel):
    """The pattern in force from a date on."""

    since: Day = Field(description="the first date on which shifts of this pattern start")
    day_start: Clock | None = Field(None, description="default: the calendar's")
    report_date: ReportDate | None = Field(None, description="default: the calendar's")


class ExceptionModel(Strict):
    """Dates that do not follow the pattern. One of `off`, `shifts`, `like`."""

    date: Days = Field(description="2026-02-14, or 2026-02-15..2026-02-23")
    off: Literal[True] | None = Field(None, description="no shift starts")
    shifts: tuple[DayShiftModel, ...] = Field((), description="these shifts instead")
    like: Like | None = Field(None, description="worked like this weekday, or like this date")
    reason: Named | None = Field(None, description="for people")


class StopModel(Strict):
    """A stop that was announced: maintenance, a power cut."""

    start: Moment
    end: Moment
    kind: Literal["planned-stop", "not-scheduled"] = Field(
        "planned-stop", description="planned down time inside the shift, or no shift at all"
    )
    reason: Named | None = Field(None, description="for people")


class CalendarModel(Identified, PatternModel):
    """When machines are meant to produce. Without shifts: around the clock."""

    id: Id = "default"
    timezone: Word | None = Field(None, description="default: the site's")
    day_start: Clock | None = Field(None, description="when the production day begins; default 00:00")
    report_date: ReportDate | None = Field(None, description="of its shifts: start (default) or end")
    holidays: tuple[Days, ...] = Field((), description="dates, or ranges of dates, on which no shift starts")
    versions: tuple[VersionModel, ...] = Field((), description="other shifts from a date on")
    exceptions: tuple[ExceptionModel, ...] = Field((), description="dates with other shifts")
    stops: tuple[StopModel, ...] = Field((), description="announced stops, from a local time to another")
