"""Calendars of the site file, planned: patterns, versions, exceptions, stops; and what single machines add to them.

Parts are validated one by one, so that a bad time does not hide an overlap. What they must not say together is
`edge.config.calendar_checks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from edge.calendar.rosters import version_on
from edge.config.calendar_checks import (
    CalendarDraft,
    Source,
    by_weekday,
    check_pattern,
    check_seams,
    check_shifts,
)
from edge.config.calendar_models import (
    CalendarModel,
    DayShiftModel,
    ExceptionModel,
    PatternModel,
    ReportDate,
    ShiftModel,
    StopModel,
    VersionModel,
)
from edge.config.document import Document
from edge.config.problems import KeyPath, Problems, suggest
from edge.config.products import name_of
from edge.config.validate import Placed, many, one
from edge.errors import Text
from edge.plan import (
    EVERY_DAY,
    Break,
    Calendar,
    CalendarVersion,
    DayException,
    PlannedStop,
    Rotation,
    Shift,
)
from ext.buckets import Schedule

_KINDS = {"planned-stop": Schedule.BREAK, "not-scheduled": Schedule.NOT_SCHEDULED}
_PARTS = ("shifts", "versions", "exceptions", "stops")
_MIDNIGHT = time(0)


# ---- time zones ------------------------------------------------------------------------------------------------------


def known_zone(name: str) -> bool:
    """True for an IANA time zone this system has."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, such as "Asia"
        return False
    return True


def zone_problem(name: str) -> tuple[Text, Text]:
    """What to say about an unknown time zone."""
    zones = available_timezones()
    if not zones:
        what = Text("本机没有时区数据库，无法换算任何时区", "this system has no time zone database")
        return what, Text(
            "安装 tzdata：apt install tzdata，或 pip install tzdata", "apt install tzdata, or pip install"
        )
    what = Text("没有这个时区，应为 IANA 名称，例如 Asia/Shanghai", "no such time zone; an IANA name is expected")
    return what, suggest(name, zones)


# ---- calendars -------------------------------------------------------------------------------------------------------


def read_calendars(document: Document, problems: Problems) -> list[Placed[CalendarModel]]:
    """The calendars of `calendar:` and `calendars:`, less their parts, which `draft_calendar` reads."""
    paths: list[KeyPath] = [("calendar",)] if document.at(("calendar",)) is not None else []
    listed = document.at(("calendars",))
    if isinstance(listed, list):
        paths += [("calendars", index) for index in range(len(listed))]
    elif listed is not None:
        many(CalendarModel, document, ("calendars",), problems)  # tells that it is no list
    placed = [one(CalendarModel, document, path, problems, skip=_PARTS) for path in paths]
    return [calendar for calendar in placed if calendar is not None]


def draft_calendar(placed: Placed[CalendarModel], timezone: str, problems: Problems) -> CalendarDraft:
    """One calendar, planned and checked."""
    model, document = placed.value, placed.document
    zone = model.timezone
    if zone is not None and not known_zone(zone):
        placed.add(problems, ("timezone",), *zone_problem(zone))
    report, day_start = model.report_date or "start", _or_else(model.day_start, _MIDNIGHT)
    base, own = _pattern(placed, date.min, day_start, report, problems)
    versions = _versions(placed, day_start, report, problems)
    exceptions = _exceptions(document, (*placed.path, "exceptions"), report, problems)
    calendar = Calendar(
        model.id,
        zone or timezone,
        base.shifts,
        frozenset(_dates(model.holidays)),
        base.rotation,
        day_start,
        tuple(version for version, _ in versions),
        tuple(exception for exception, _ in exceptions),
        _stops(document, (*placed.path, "stops"), problems),
    )
    places = tuple(source for _, source in versions), tuple(source for _, source in exceptions)
    draft = CalendarDraft(calendar, document, own, *places, report)
    _check_likes(draft, problems)
    check_seams(draft, problems)
    return draft


def around_the_clock(identity: str, timezone: str, document: Document) -> CalendarDraft:
    """The calendar of a site file that has none."""
    return CalendarDraft(Calendar(identity, timezone, ()), document, Source((), ()), (), ())


def machine_calendar(base: CalendarDraft, machine: str, path: KeyPath, problems: Problems) -> Calendar | None:
    """The calendar of a machine with exceptions or stops of its own, which come before the calendar's; None without."""
    document = base.document
    exceptions = _exceptions(document, (*path, "exceptions"), base.report, problems)
    stops = _stops(document, (*path, "stops"), problems)
    if not exceptions and not stops:
        return None
    calendar = replace(
        base.calendar,
        id=f"{base.calendar.id}/{machine}",  # no id of a site file has a slash
        exceptions=(*(exception for exception, _ in exceptions), *base.calendar.exceptions),
        stops=(*base.calendar.stops, *stops),
    )
    draft = replace(base, calendar=calendar, exceptions=(*(source for _, source in exceptions), *base.exceptions))
    _check_likes(draft, problems)
    check_seams(draft, problems)
    return calendar


# ---- patterns --------------------------------------------------------------------------------------------------------


def _pattern(
    placed: Placed[CalendarModel] | Placed[VersionModel],
    since: date,
    day_start: time,
    report: ReportDate,
    problems: Problems,
) -> tuple[CalendarVersion, Source]:
    """The shifts of a calendar or a version, in force from a date on."""
    document = placed.document
    read = many(ShiftModel, document, (*placed.path, "shifts"), problems)
    found = [shift for shift in read if _whole(shift)]
    source = Source(placed.path, tuple(shift.path for shift in found))
    shifts = tuple(_weekly(shift.value, report) for shift in found)
    version = CalendarVersion(since, shifts, _rotation(placed.value, placed, problems), day_start)
    check_shifts(document, source, shifts, problems)
    check_pattern(document, source, version, problems)
    return version, source


def _rotation(
    model: PatternModel, placed: Placed[CalendarModel] | Placed[VersionModel], problems: Problems
) -> Rotation | None:
    if model.cycle_days is not None and model.anchor is not None:
        return Rotation(model.cycle_days, model.anchor)
    given = [key for key in ("cycle_days", "anchor") if placed.document.at((*placed.path, key)) is not None]
    if len(given) == 1:
        other = "anchor" if given == ["cycle_days"] else "cycle_days"
        what = Text(f"轮班还要写 {other}", f"a rotation wants {other} too")
        hint = Text(
            "cycle_days 是周期天数，anchor 是第 1 天的日期", "cycle_days is its length, anchor the date of a day 1"
        )
        placed.add(problems, (given[0],), what, hint)
    return None


def _versions(
    placed: Placed[CalendarModel], day_start: time, report: ReportDate, problems: Problems
) -> list[tuple[CalendarVersion, Source]]:
    """By date. Two of one date are a mistake."""
    document = placed.document
    path: KeyPath = (*placed.path, "versions")
    made: dict[date, tuple[CalendarVersion, Source]] = {}
    for item in many(VersionModel, document, path, problems, skip=("shifts",)):
        since = item.value.since
        start = _or_else(item.value.day_start, day_start)
        version = _pattern(item, since, start, item.value.report_date or report, problems)
        if since in made:
            line = document.place((*made[since][1].path, "since")).line
            what = Text(f"{since} 已有一个版本，第 {line} 行", f"{since} has a version already, line {line}")
            item.add(problems, ("since",), what)
        made.setdefault(since, version)
    return [made[since] for since in sorted(made)]


def _whole(item: Placed[ShiftModel] | Placed[ExceptionModel]) -> bool:
    """False where a wrong key was told and cut away: what is left may say what nobody meant."""
    said = item.document.at(item.path)
    return isinstance(said, dict) and item.value.model_fields_set >= said.keys()


def _weekly(model: ShiftModel, report: ReportDate) -> Shift:
    """A shift that repeats; days of the cycle count from 0 in the plan."""
    cycle = frozenset(day - 1 for day in model.cycle or ())
    return replace(_shift(model, report), weekdays=model.days, cycle=cycle)


def _shift(model: DayShiftModel, report: ReportDate) -> Shift:
    crosses = model.end <= model.start and model.end != _MIDNIGHT  # its last moment lies on the next date
    breaks = tuple(Break(pause.start, pause.end, pause.days) for pause in model.breaks)
    days = int(crosses and (model.report_date or report) == "end")
    return Shift(model.name, model.start, model.end, EVERY_DAY, breaks, report_days=days)


# ---- exceptions and stops --------------------------------------------------------------------------------------------


def _exceptions(
    document: Document, path: KeyPath, report: ReportDate, problems: Problems
) -> list[tuple[DayException, Source]]:
    made: list[tuple[DayException, Source]] = []
    for item in many(ExceptionModel, document, path, problems, skip=("shifts",)):
        said = [key for key in ("off", "shifts", "like") if document.at((*item.path, key)) is not None]
        if len(said) != 1:
            if said or _whole(item):  # a key that is misspelt has been told
                what = Text("off、shifts、like 三者写一个", "exactly one of off, shifts and like is expected")
                item.add(problems, (), what)
            continue
        found = many(DayShiftModel, document, (*item.path, "shifts"), problems)
        if document.at((*item.path, "shifts")) == []:
            item.add(problems, ("shifts",), Text("没有班次请写 off: true", "for no shift at all write off: true"))
        shifts = tuple(_shift(shift.value, report) for shift in found)
        source = Source(item.path, tuple(shift.path for shift in found))
        check_shifts(document, source, shifts, problems)
        first, last = item.value.date
        reason = name_of(item.value.reason, "")
        exception = DayException(first, last, None if said == ["like"] else shifts, item.value.like, reason)
        before = next((known for known, _ in made if known.first <= last and first <= known.last), None)
        if before is not None:
            zh = f"{max(first, before.first)} 已有一个例外"
            en = f"{max(first, before.first)} has an exception already"
            item.add(problems, ("date",), Text(zh, en))
            continue
        made.append((exception, source))
    return made


def _check_likes(draft: CalendarDraft, problems: Problems) -> None:
    """An exception that follows another day must have a pattern in which days differ."""
    for exception, source in zip(draft.calendar.exceptions, draft.exceptions, strict=True):
        if exception.shifts is not None or exception.like is None:
            continue
        version = version_on(draft.calendar, exception.first)
        turns = version.rotation is not None and isinstance(exception.like, date)
        if not turns and not by_weekday(version.shifts):
            what = Text("这样写没有作用：每个日子的班次都一样", "this changes nothing: every day has the same shifts")
            hint = Text("轮班制请写日期，例如 like: 2026-02-13", "in a rotation give a date, e.g. like: 2026-02-13")
            problems.add(draft.document.place((*source.path, "like")), what, hint)


def _stops(document: Document, path: KeyPath, problems: Problems) -> tuple[PlannedStop, ...]:
    made: list[PlannedStop] = []
    for item in many(StopModel, document, path, problems):
        model = item.value
        if model.end <= model.start:
            item.add(problems, ("end",), Text("结束须晚于开始", "the end must come after the start"))
        elif any(model.start < known.end and known.start < model.end for known in made):
            item.add(problems, (), Text("与另一个停机时段重叠", "overlaps another stop of this list"))
        else:
            made.append(PlannedStop(model.start, model.end, _KINDS[model.kind], name_of(model.reason, "")))
    return tuple(made)


# ---- small things ----------------------------------------------------------------------------------------------------


def _dates(ranges: Sequence[tuple[date, date]]) -> list[date]:
    return [first + timedelta(days=n) for first, last in ranges for n in range((last - first).days + 1)]


def _or_else(given: time | None, default: time) -> time:
    return default if given is None else given
