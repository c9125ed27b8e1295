"""Shifts of the site file: days, breaks and holidays, checked so that a minute of the week has at most one shift."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from itertools import combinations
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from edge.calendar import SHIFTS_PER_CALENDAR
from edge.config.document import Document
from edge.config.models import CalendarModel, ShiftModel
from edge.config.problems import KeyPath, Problems, suggest
from edge.config.validate import Placed, many, one
from edge.errors import Text
from edge.plan import Break, Calendar, Shift

DAY_MINUTES = 24 * 60
WEEK_MINUTES = 7 * DAY_MINUTES
_DAY_NAMES = (
    "周一 Monday",
    "周二 Tuesday",
    "周三 Wednesday",
    "周四 Thursday",
    "周五 Friday",
    "周六 Saturday",
    "周日 Sunday",
)


def known_zone(name: str) -> bool:
    """True for an IANA time zone this system has."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, such as "Asia"
        return False
    return True


def zone_problem(name: str) -> tuple[Text, Text]:
    """What to say about an unknown time zone."""
    what = Text("没有这个时区，应为 IANA 名称，例如 Asia/Shanghai", "no such time zone; an IANA name is expected")
    return what, suggest(name, available_timezones())


def compile_calendars(document: Document, timezone: str, problems: Problems) -> list[Placed[CalendarModel]]:
    """The calendars of `calendar:` and `calendars:`, checked; their shifts already in place."""
    paths: list[KeyPath] = [("calendar",)] if document.at(("calendar",)) is not None else []
    listed = document.at(("calendars",))
    if isinstance(listed, list):
        paths += [("calendars", index) for index in range(len(listed))]
    elif listed is not None:
        many(CalendarModel, document, ("calendars",), problems)  # tells that it is no list
    placed = [_calendar(document, path, timezone, problems) for path in paths]
    return [calendar for calendar in placed if calendar is not None]


def plan_calendar(model: CalendarModel, timezone: str) -> Calendar:
    """The plan's calendar of a checked model."""
    shifts = tuple(
        Shift(s.name, s.start, s.end, s.days, tuple(Break(b.start, b.end) for b in s.breaks)) for s in model.shifts
    )
    return Calendar(model.id, model.timezone or timezone, shifts, frozenset(model.holidays))


def _calendar(document: Document, path: KeyPath, timezone: str, problems: Problems) -> Placed[CalendarModel] | None:
    """One calendar. Its shifts are validated one by one, so that a bad time does not hide an overlap."""
    data = document.at(path)
    shifts = many(ShiftModel, document, (*path, "shifts"), problems) if isinstance(data, dict) else []
    head = one(CalendarModel, document, path, problems, skip=("shifts",))
    if head is None:
        return None
    zone = head.value.timezone
    if zone is not None and not known_zone(zone):
        head.add(problems, ("timezone",), *zone_problem(zone))
    if len(shifts) > SHIFTS_PER_CALENDAR:
        most = SHIFTS_PER_CALENDAR
        head.add(problems, ("shifts",), Text(f"最多 {most} 个班次", f"at most {most} shifts per calendar"))
    for shift in shifts:
        _check_breaks(shift, problems)
    _check_overlaps(shifts, problems)
    _check_names(shifts, problems)
    model = head.value.model_copy(update={"shifts": tuple(shift.value for shift in shifts)})
    return Placed(document, path, model)


@dataclass(frozen=True, slots=True)
class _Span:
    """One shift on one weekday, minutes of the week."""

    shift: Placed[ShiftModel]
    weekday: int
    start: int
    length: int

    def overlaps(self, other: _Span) -> bool:
        """On the ring of the week."""
        return (other.start - self.start) % WEEK_MINUTES < self.length or (
            (self.start - other.start) % WEEK_MINUTES < other.length
        )


def _check_overlaps(shifts: list[Placed[ShiftModel]], problems: Problems) -> None:
    spans = [
        _Span(shift, day, day * DAY_MINUTES + _minute(shift.value.start), _length(shift.value.start, shift.value.end))
        for shift in shifts
        for day in sorted(shift.value.days)
    ]
    told: set[tuple[KeyPath, KeyPath]] = set()
    for first, second in combinations(spans, 2):
        pair = (first.shift.path, second.shift.path)
        if pair in told or not first.overlaps(second):
            continue
        told.add(pair)
        a, b = first.shift.value, second.shift.value
        day_zh, day_en = _DAY_NAMES[second.weekday].split()
        what = Text(
            f"班次 {b.name}（{day_zh} {_span(b)}）与班次 {a.name}（{_span(a)}）重叠",
            f"shift {b.name} ({day_en} {_span(b)}) overlaps shift {a.name} ({_span(a)})",
        )
        hint = Text("同一时刻只能属于一个班次：改起止时间或 days", "a moment has one shift: change start, end or days")
        second.shift.add(problems, (), what, hint)


def _check_names(shifts: list[Placed[ShiftModel]], problems: Problems) -> None:
    """Rows are told apart by shift name and date: one name may stand only once on a weekday."""
    for first, second in combinations(shifts, 2):
        if first.value.name == second.value.name and first.value.days & second.value.days:
            zh = f"同一天有两个班次都叫 {second.value.name}"
            en = f"two shifts of one day are both called {second.value.name}"
            second.add(problems, ("name",), Text(zh, en), Text("换一个名字", "choose another name"))


def _check_breaks(shift: Placed[ShiftModel], problems: Problems) -> None:
    length = _length(shift.value.start, shift.value.end)
    taken: list[tuple[int, int]] = []
    for index, pause in enumerate(shift.value.breaks):
        start = (_minute(pause.start) - _minute(shift.value.start)) % DAY_MINUTES
        end = start + _length(pause.start, pause.end)
        at: KeyPath = ("breaks", index)
        if end > length:
            what = Text(
                f"休息不在班次 {_span(shift.value)} 之内", f"this break is not inside its shift {_span(shift.value)}"
            )
            shift.add(problems, at, what, Text("休息须整段落在班次内", "a break lies inside its shift as a whole"))
        elif any(start < other_end and other_start < end for other_start, other_end in taken):
            shift.add(problems, at, Text("与同一班次的另一休息重叠", "overlaps another break of this shift"))
        else:
            taken.append((start, end))


def _minute(clock: time) -> int:
    return clock.hour * 60 + clock.minute


def _length(start: time, end: time) -> int:
    """Minutes from start to end; an end not after the start lies on the next day."""
    return (_minute(end) - _minute(start)) % DAY_MINUTES or DAY_MINUTES


def _span(shift: ShiftModel) -> str:
    return f"{shift.start:%H:%M}–{shift.end:%H:%M}"
