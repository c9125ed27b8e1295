"""What a calendar must not say: a moment with two shifts, two shifts of one name and date, a rule that changes nothing.

Theory. The checks are made on the plan, by the very rosters that will rule (`edge.calendar.rosters`), in minutes of the
wall clock: instants keep that order, so what does not overlap on paper does not overlap in time. A pattern repeats
after the least common multiple of its week and its rotation, so it is checked on that ring. Where something else begins
to rule (a version, an exception) the dates around it are checked one by one.

Rules.
* Overlaps are refused everywhere, at the seam of two versions too: the last night of the old pattern is shortened by an
  exception that the engineer writes, never cut silently.
* Rows are told apart by shift name and report date: one name stands once on a date.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from itertools import combinations
from math import lcm

from edge.calendar import SHIFTS_PER_CALENDAR
from edge.calendar.rosters import exception_on, roster_on, version_on
from edge.config.calendar_models import ReportDate
from edge.config.document import Document
from edge.config.problems import KeyPath, Problems
from edge.errors import Text
from edge.plan import EVERY_DAY, Calendar, CalendarVersion, Shift

DAY_MINUTES = 24 * 60
_DAY = timedelta(days=1)
_MONDAY = date(2024, 1, 1)
_DAY_NAMES = (
    "周一 Monday",
    "周二 Tuesday",
    "周三 Wednesday",
    "周四 Thursday",
    "周五 Friday",
    "周六 Saturday",
    "周日 Sunday",
)
_ONE_SHIFT = Text("同一时刻只能属于一个班次：改起止时间或 days", "a moment has one shift: change start, end or days")


@dataclass(frozen=True, slots=True)
class Source:
    """A place of the file that has shifts: the calendar, a version, an exception."""

    path: KeyPath
    shifts: tuple[KeyPath, ...]  # path of each shift, in the plan's order


@dataclass(frozen=True, slots=True)
class CalendarDraft:
    """A calendar of the plan, and where each of its parts stands in the file."""

    calendar: Calendar
    document: Document
    base: Source
    versions: tuple[Source, ...]  # beside those of the plan
    exceptions: tuple[Source, ...]  # beside those of the plan
    report: ReportDate = "start"  # of its shifts, where they do not say

    def version_source(self, version: CalendarVersion) -> Source:
        """Where a version stands; the calendar itself for its own shifts."""
        at = {known.since: source for known, source in zip(self.calendar.versions, self.versions, strict=True)}
        return at.get(version.since, self.base)


# ---- one list of shifts ----------------------------------------------------------------------------------------------


def check_shifts(document: Document, source: Source, shifts: Sequence[Shift], problems: Problems) -> None:
    """Number of shifts, and breaks inside their shift."""
    if len(shifts) > SHIFTS_PER_CALENDAR:
        most = SHIFTS_PER_CALENDAR
        what = Text(f"最多 {most} 个班次", f"at most {most} shifts per calendar")
        problems.add(document.place((*source.path, "shifts")), what)
    for path, shift in zip(source.shifts, shifts, strict=True):
        _check_breaks(document, path, shift, problems)


def _check_breaks(document: Document, path: KeyPath, shift: Shift, problems: Problems) -> None:
    taken: list[tuple[int, int, frozenset[int]]] = []
    for index, pause in enumerate(shift.breaks):
        start = (_minute(pause.start) - _minute(shift.start)) % DAY_MINUTES
        end = start + _length(pause.start, pause.end)
        place = document.place((*path, "breaks", index))
        if end > _length(shift.start, shift.end):
            what = Text(f"休息不在班次 {_hours(shift)} 之内", f"this break is not inside its shift {_hours(shift)}")
            problems.add(place, what, Text("休息须整段落在班次内", "a break lies inside its shift as a whole"))
        elif any(start < e and s < end and pause.weekdays & days for s, e, days in taken):
            problems.add(place, Text("与同一班次的另一休息重叠", "overlaps another break of this shift"))
        else:
            taken.append((start, end, pause.weekdays))


# ---- one pattern -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Span:
    """One shift of one date, in minutes from a common beginning."""

    shift: Shift
    place: int  # in its list
    day: int
    start: int
    end: int

    @property
    def report_day(self) -> int:
        return self.day + self.shift.report_days


def check_pattern(document: Document, source: Source, version: CalendarVersion, problems: Problems) -> None:
    """Shifts of one pattern against each other, all round its ring."""
    if not _turns(document, source, version, problems):
        return
    rotation = version.rotation
    first = rotation.anchor if rotation is not None else _MONDAY
    ring = lcm(7, rotation.days) if rotation is not None else 7
    pattern = Calendar("", "UTC", version.shifts, rotation=rotation)
    spans = [span for day in range(ring) for span in _spans(pattern, first + day * _DAY, day)] if version.shifts else []
    for place in sorted(set(range(len(version.shifts))) - {span.place for span in spans}):
        what = Text("这个班次永远不会开：days 与 cycle 没有同一天", "never worked: days and cycle never meet")
        problems.add(document.place(source.shifts[place]), what)
    round_again = [_moved(span, ring) for span in spans if span.day == 0]
    for a, b in _overlapping([*spans, *round_again]):
        first_one, second = sorted((a, b), key=lambda span: (span.place, span.day))
        zh, en = _day_name(version, first + second.day * _DAY, second)
        x, y = first_one.shift, second.shift
        what = Text(
            f"班次 {y.name}（{zh} {_hours(y)}）与班次 {x.name}（{_hours(x)}）重叠",
            f"shift {y.name} ({en} {_hours(y)}) overlaps shift {x.name} ({_hours(x)})",
        )
        problems.add(document.place(source.shifts[second.place]), what, _ONE_SHIFT)
    for _, second in _same_name([*spans, *round_again]):
        problems.add(document.place((*source.shifts[second.place], "name")), *_one_name(second.shift))


def _turns(document: Document, source: Source, version: CalendarVersion, problems: Problems) -> bool:
    """True where the rotation is used by the shifts, and is long enough for them."""
    days = version.rotation.days if version.rotation is not None else 0
    wrong = [
        path
        for path, shift in zip(source.shifts, version.shifts, strict=True)
        if any(day >= days for day in shift.cycle)
    ]
    given = {"cycle_days", "anchor"} & set(_keys(document, source.path))
    for path in wrong if days or not given else ():  # half a rotation has been told
        what = Text(f"周期只有 {days} 天", f"the cycle has only {days} days")
        hint = None
        if not days:
            what = Text("日历没有写轮班周期", "this calendar has no rotation")
            zh = "在日历里写 cycle_days（周期天数）和 anchor（第 1 天的日期）"
            hint = Text(zh, "give cycle_days and anchor (a day 1)")
        problems.add(document.place((*path, "cycle")), what, hint)
    if days and not any(shift.cycle for shift in version.shifts):
        what = Text("没有班次使用这个周期", "no shift uses this cycle")
        hint = Text("给班次写 cycle，例如 cycle: 1-4", "give its shifts a cycle, e.g. cycle: 1-4")
        problems.add(document.place((*source.path, "cycle_days")), what, hint)
    return not wrong


def _keys(document: Document, path: KeyPath) -> Iterable[str]:
    said = document.at(path)
    return said if isinstance(said, dict) else ()


def _day_name(version: CalendarVersion, day: date, span: _Span) -> tuple[str, str]:
    if version.rotation is None or not span.shift.cycle:
        zh, en = _DAY_NAMES[day.weekday()].split()
        return zh, en
    turn = (day - version.rotation.anchor).days % version.rotation.days + 1
    return f"周期第 {turn} 天", f"day {turn} of the cycle"


# ---- where something else begins to rule -----------------------------------------------------------------------------


def check_seams(draft: CalendarDraft, problems: Problems) -> None:
    """Shifts around every date on which a version begins or an exception rules."""
    calendar = draft.calendar
    special = {version.since for version in calendar.versions}
    for exception in calendar.exceptions:
        special.update(exception.first + n * _DAY for n in range((exception.last - exception.first).days + 1))
    days = sorted({day + n * _DAY for day in special for n in (-1, 0, 1)})
    for day in days:
        apart = _ruler(calendar, day - _DAY) != _ruler(calendar, day)
        evening = _spans(calendar, day - _DAY, day.toordinal() - 1) if apart else []
        seen = [*evening, *_spans(calendar, day, day.toordinal())]
        for a, b in _overlapping(seen):
            if _at_seam(calendar, a, b):
                _tell_seam(draft, a, b, problems)
        for a, b in _same_name(seen):
            if _at_seam(calendar, a, b):
                problems.add(draft.document.place(_blamed(draft, a, b)), *_one_name(b.shift))


def _ruler(calendar: Calendar, day: date) -> date:
    """What rules a date. Two dates of one pattern were checked on its ring; an exception's dates are each their own."""
    return day if exception_on(calendar, day) else version_on(calendar, day).since


def _at_seam(calendar: Calendar, a: _Span, b: _Span) -> bool:
    """Not two shifts of one date and one pattern: those were checked on its ring."""
    return a.day != b.day or exception_on(calendar, date.fromordinal(b.day)) is not None


def _tell_seam(draft: CalendarDraft, a: _Span, b: _Span, problems: Problems) -> None:
    first, second = date.fromordinal(a.day), date.fromordinal(b.day)
    what = Text(
        f"{second} 的班次 {b.shift.name}（{_hours(b.shift)}）与 {first} 的班次 {a.shift.name}（{_hours(a.shift)}）重叠",
        f"shift {b.shift.name} of {second} ({_hours(b.shift)}) overlaps shift {a.shift.name} of {first} "
        f"({_hours(a.shift)})",
    )
    hint = _ONE_SHIFT
    if first != second:
        hint = Text(
            f"用 {first} 的例外（exceptions）缩短前一班，或让后一班晚开始",
            f"shorten the earlier one by an exception of {first}, or let the later one begin later",
        )
    problems.add(draft.document.place(_blamed(draft, a, b)), what, hint)


def _blamed(draft: CalendarDraft, a: _Span, b: _Span) -> KeyPath:
    """The place to change: a shift of an exception, else the exception, else the version that begins."""
    later, earlier = (b, a) if b.day >= a.day else (a, b)
    for span in (later, earlier):
        exception = exception_on(draft.calendar, date.fromordinal(span.day))
        if exception is not None:
            source = draft.exceptions[draft.calendar.exceptions.index(exception)]
            return source.shifts[span.place] if exception.shifts else source.path
    version = version_on(draft.calendar, date.fromordinal(later.day))
    return (*draft.version_source(version).path, "since")


# ---- spans -----------------------------------------------------------------------------------------------------------


def _spans(calendar: Calendar, date_: date, day: int) -> list[_Span]:
    """The shifts that start on a date, which is the day numbered `day`."""
    roster = roster_on(calendar, date_)
    made = []
    for place in roster.worked:
        shift = roster.shifts[place]
        start = day * DAY_MINUTES + _minute(shift.start)
        made.append(_Span(shift, place, day, start, start + _length(shift.start, shift.end)))
    return made


def _moved(span: _Span, days: int) -> _Span:
    minutes = days * DAY_MINUTES
    return _Span(span.shift, span.place, span.day + days, span.start + minutes, span.end + minutes)


def _overlapping(spans: Iterable[_Span]) -> Iterator[tuple[_Span, _Span]]:
    """Pairs with a common minute, the earlier one first."""
    running: list[_Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        running = [before for before in running if before.end > span.start]
        for before in running:
            yield before, span
        running.append(span)


def _same_name(spans: Sequence[_Span]) -> Iterator[tuple[_Span, _Span]]:
    """Pairs of one name and one report date, in file order."""
    by_name: dict[tuple[str, int], list[_Span]] = {}
    for span in spans:
        by_name.setdefault((span.shift.name, span.report_day), []).append(span)
    for alike in by_name.values():
        yield from combinations(sorted(alike, key=lambda span: span.place), 2)


def _one_name(shift: Shift) -> tuple[Text, Text]:
    zh = f"同一天有两个班次都叫 {shift.name}"
    en = f"two shifts of one day are both called {shift.name}"
    return Text(zh, en), Text("换一个名字", "choose another name")


def _minute(clock: time) -> int:
    return clock.hour * 60 + clock.minute


def _length(start: time, end: time) -> int:
    """Minutes from start to end; an end not after the start lies on the next day."""
    return (_minute(end) - _minute(start)) % DAY_MINUTES or DAY_MINUTES


def _hours(shift: Shift) -> str:
    return f"{shift.start:%H:%M}–{shift.end:%H:%M}"


def by_weekday(shifts: Iterable[Shift]) -> bool:
    """True where the weekday makes any difference to these shifts."""
    return any(
        shift.weekdays != EVERY_DAY or any(pause.weekdays != EVERY_DAY for pause in shift.breaks) for shift in shifts
    )
