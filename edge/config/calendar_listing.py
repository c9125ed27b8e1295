"""`seamline calendar`: the shifts of some dates as they will rule, for an engineer to check a rotation by eye.

What is shown comes from the slices the ledger gets: a shift's planned minutes here are its planned minutes there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from edge.calendar.listing import ListedShift, dates_from, listed_shifts
from edge.calendar.localtime import local_date, utc_ns
from edge.calendar.rosters import exception_on, roster_on, version_on
from edge.config.columns import columns
from edge.config.problems import suggest
from edge.errors import ConfigError, Problem, Text, language
from edge.plan import Calendar, Name, SitePlan
from ext.buckets import Schedule

_NS_PER_S, _NS_PER_MIN = 1_000_000_000, 60_000_000_000
_WEEKDAYS = ("周一 Mon", "周二 Tue", "周三 Wed", "周四 Thu", "周五 Fri", "周六 Sat", "周日 Sun")


def choose(plan: SitePlan, calendar: str | None, machine: str | None) -> tuple[Calendar, ...]:
    """The calendar asked for, or that of a machine, or all. Raises ConfigError for a name the plan does not have."""
    if machine is not None:
        machines = {one.id: one.calendar for one in plan.machines}
        calendar = machines.get(machine) or _unknown(plan, machine, machines)
    known = {one.id: one for one in plan.calendars}
    if calendar is None:
        return plan.calendars
    if calendar not in known:
        _unknown(plan, calendar, known)
    return (known[calendar],)


def _unknown(plan: SitePlan, name: str, known: Sequence[str] | dict[str, Any]) -> str:
    what = Text(f"站点文件里没有 {name}", f"the site file has no {name}")
    raise ConfigError([Problem(str(Path(plan.source)), 0, ".", what, suggest(name, known))])


def today(calendars: Sequence[Calendar], now_ns: int) -> date:
    """The local date of the first calendar."""
    return local_date(now_ns, ZoneInfo(calendars[0].timezone))


# ---- for people ------------------------------------------------------------------------------------------------------


def listing(calendars: Sequence[Calendar], first: date, days: int) -> str:
    """The shifts that start on `days` dates from `first` on, for people."""
    return "\n\n".join("\n".join(_section(calendar, first, days)) for calendar in calendars) + "\n"


def _section(calendar: Calendar, first: date, days: int) -> list[str]:
    zone = ZoneInfo(calendar.timezone)
    head = _t("日历", "calendar") + f" {calendar.id}  {calendar.timezone}  "
    day_start = version_on(calendar, first).day_start
    heading: tuple[str, ...] = (
        _t("开始日", "starts on"),
        _t("班次", "shift"),
        _t("报表日期", "reported as"),
        _t("本地时间", "local time"),
        "UTC",
        _t("时长", "length"),
        _t("计划 分", "planned min"),
        _t("休停 分", "stops min"),
        "",
    )
    rows = [heading]
    sums = [0, 0, 0]
    for day in dates_from(first, days):
        for shift in listed_shifts(calendar, day):
            rows.append(_row(calendar, shift, zone))
            sums = [sums[0] + 1, sums[1] + shift.ns(Schedule.SCHEDULED), sums[2] + shift.ns(Schedule.BREAK)]
        if not roster_on(calendar, day).worked:
            rows.append((_day(day), _t("（无）", "(none)"), "", "", "", "", "", "", _note(calendar, day)))
    total = _t(
        f"  共 {sums[0]} 个班次，计划 {_minutes(sums[1])} 分，休息与计划停机 {_minutes(sums[2])} 分",
        f"  {sums[0]} shifts, {_minutes(sums[1])} min planned, {_minutes(sums[2])} min breaks and planned stops",
    )
    return [
        head + _t(f"生产日自 {day_start:%H:%M}", f"production day from {day_start:%H:%M}"),
        *columns(rows, indent=2),
        total,
    ]


def _row(calendar: Calendar, listed: ListedShift, zone: ZoneInfo) -> tuple[str, ...]:
    shift = listed.shift
    length = _minutes(shift.end_ns - shift.start_ns)
    return (
        _day(listed.anchor),
        shift.name,
        f"{shift.date}",
        f"{_local(shift.start_ns, zone)} – {_local(shift.end_ns, zone)}",
        f"{_utc(shift.start_ns)} – {_utc(shift.end_ns)}",
        f"{length // 60}:{length % 60:02d}",
        f"{_minutes(listed.ns(Schedule.SCHEDULED))}",
        f"{_minutes(listed.ns(Schedule.BREAK) + listed.ns(Schedule.NOT_SCHEDULED))}",
        _note(calendar, listed.anchor, listed),
    )


def _note(calendar: Calendar, day: date, listed: ListedShift | None = None) -> str:
    """Why this date is not as the others, and why the shift has another length than on paper."""
    return ", ".join(_notes(calendar, day, listed))


def _notes(calendar: Calendar, day: date, listed: ListedShift | None) -> Iterator[str]:
    exception = exception_on(calendar, day)
    if exception is not None:
        yield _name(exception.reason) or _t("例外", "exception")
    elif day in calendar.holidays and listed is None:
        yield _t("节假日", "holiday")
    version = version_on(calendar, day)
    if version.since == day:
        yield _t("新版本起", "new version")
    if version.rotation is not None:
        turn, days = (day - version.rotation.anchor).days % version.rotation.days + 1, version.rotation.days
        yield _t(f"周期 {turn}/{days}", f"cycle {turn}/{days}")
    if listed is not None:
        yield from _notes_on_time(calendar, listed)


def _notes_on_time(calendar: Calendar, listed: ListedShift) -> Iterator[str]:
    shift, zone = listed.shift, ZoneInfo(calendar.timezone)
    if change := _minutes(listed.clock_change_ns):
        yield _t(f"拨钟 {change:+d} 分", f"clock change {change:+d} min")
    for stop in calendar.stops:
        if utc_ns(stop.start, zone) < shift.end_ns and shift.start_ns < utc_ns(stop.end, zone):
            yield _name(stop.reason) or _t("停机", "stop")
    if minutes := _minutes(listed.ns(Schedule.NOT_SCHEDULED)):
        yield _t(f"其中 {minutes} 分不排产", f"{minutes} min not scheduled")


# ---- for machines ----------------------------------------------------------------------------------------------------


def listing_json(calendars: Sequence[Calendar], first: date, days: int) -> str:
    """The same as a JSON document: times in ns of UTC and as local text, lengths in minutes."""
    documents = [
        {
            "calendar": calendar.id,
            "timezone": calendar.timezone,
            "from": first.isoformat(),
            "days": days,
            "shifts": [
                _document(shift, ZoneInfo(calendar.timezone))
                for day in dates_from(first, days)
                for shift in listed_shifts(calendar, day)
            ],
        }
        for calendar in calendars
    ]
    return json.dumps({"calendars": documents}, ensure_ascii=False, indent=2)


def _document(listed: ListedShift, zone: ZoneInfo) -> dict[str, Any]:
    shift = listed.shift
    return {
        "name": shift.name,
        "report_date": shift.date.isoformat(),
        "anchor_date": listed.anchor.isoformat(),
        "start_ns": shift.start_ns,
        "end_ns": shift.end_ns,
        "start_local": _iso(shift.start_ns, zone),
        "end_local": _iso(shift.end_ns, zone),
        "length_min": _minutes(shift.end_ns - shift.start_ns),
        "ppt_min": _minutes(listed.ns(Schedule.SCHEDULED)),
        "break_min": _minutes(listed.ns(Schedule.BREAK)),
        "not_scheduled_min": _minutes(listed.ns(Schedule.NOT_SCHEDULED)),
        "clock_change_min": _minutes(listed.clock_change_ns),
        "slices": [
            {"start_ns": piece.start_ns, "end_ns": piece.end_ns, "schedule": piece.schedule.name.lower()}
            for piece in listed.slices
        ],
    }


# ---- words -----------------------------------------------------------------------------------------------------------


def _t(zh: str, en: str) -> str:
    return str(Text(zh, en))


def _name(name: Name) -> str:
    return name.zh if language() == "zh" else name.en


def _minutes(ns: int) -> int:
    return round(ns / _NS_PER_MIN)


def _day(day: date) -> str:
    zh, en = _WEEKDAYS[day.weekday()].split()
    return f"{day} {_t(zh, en)}"


def _local(t_ns: int, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(t_ns // _NS_PER_S, zone):%m-%d %H:%M}"


def _utc(t_ns: int) -> str:
    return f"{datetime.fromtimestamp(t_ns // _NS_PER_S, UTC):%m-%d %H:%M}"


def _iso(t_ns: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(t_ns // _NS_PER_S, zone).isoformat()
