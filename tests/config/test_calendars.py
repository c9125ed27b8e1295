"""Promises: a calendar is refused for all its mistakes at once, each at its line; what is accepted is planned so.

A site file that uses nothing new is planned, and versioned, as it was.
"""

from __future__ import annotations

import sys
import zoneinfo
from datetime import date, datetime, time
from pathlib import Path

import pytest

from edge.config import compile_site
from edge.config.calendars import known_zone, zone_problem
from edge.config.version import config_version
from edge.errors import ConfigError, Problem
from edge.plan import Calendar, DayException, Name, PlannedStop, Rotation, Site, SitePlan
from ext.buckets import Schedule

REST = """\
site: {id: s, enterprise: e, province: p, city: c}
devices: [{id: plc-1, template: inovance-h5u, host: h}]
machines: [{id: m-1, template: tape-sealer, device: plc-1, base: D1000}]
"""
TWO_MACHINES = REST.replace(
    "machines: [{id: m-1, template: tape-sealer, device: plc-1, base: D1000}]\n",
    "machines:\n"
    "  - {id: m-1, template: tape-sealer, device: plc-1, base: D1000}\n"
    "  - {id: m-2, template: tape-sealer, device: plc-1, base: D1100, OWN}\n",
)
LINES = REST.count("\n")


def plan_of(text: str) -> SitePlan:
    return compile_site(text, Path("/etc/x/site.yaml"), {})


def calendar_of(calendar: str) -> Calendar:
    return plan_of(REST + calendar).calendars[0]


def problems_of(text: str) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        plan_of(text)
    return list(caught.value.problems)


DAY_NIGHT = """\
calendar:
  shifts:
    - {name: day, start: "08:00", end: "20:00", days: mon-fri}
    - {name: night, start: "20:00", end: "08:00"}
"""

LATE = 'shifts: [{name: late, start: "12:00", end: "20:00"}]'

# what follows DAY_NIGHT, the line below `calendar:`, the key path, a word of the English sentence or hint
MISTAKES = {
    "unknown key of an exception": (
        "  exceptions: [{date: 2026-05-01, of: true}]\n",
        5,
        "exceptions[0].of",
        "did you mean off",
    ),
    "an exception that says nothing": ("  exceptions: [{date: 2026-05-01}]\n", 5, "exceptions[0]", "exactly one of"),
    "an exception that says two things": (
        "  exceptions: [{date: 2026-05-01, off: true, like: fri}]\n",
        5,
        "exceptions[0]",
        "exactly one of",
    ),
    "an exception with no shifts in its list": (
        "  exceptions: [{date: 2026-05-01, shifts: []}]\n",
        5,
        "exceptions[0].shifts",
        "off: true",
    ),
    "off is not a switch": ("  exceptions: [{date: 2026-05-01, off: false}]\n", 5, "exceptions[0].off", "one of these"),
    "a shift of one date has no weekdays": (
        '  exceptions: [{date: 2026-05-01, shifts: [{name: x, start: "09:00", end: "10:00", days: mon}]}]\n',
        5,
        "exceptions[0].shifts[0].days",
        "unknown key",
    ),
    "two exceptions of one date": (
        "  exceptions:\n    - {date: 2026-05-01..2026-05-05, off: true}\n    - {date: 2026-05-04, off: true}\n",
        7,
        "exceptions[1].date",
        "2026-05-04 has an exception already",
    ),
    "a range backwards": ("  holidays: [2026-05-05..2026-05-01]\n", 5, "holidays[0]", "from early to late"),
    "a range without end": ("  holidays: [2026-05-05..]\n", 5, "holidays[0]", "2026-10-01"),
    "a year nobody lives in": ("  holidays: [9999-12-31]\n", 5, "holidays[0]", "1970"),
    "like no day": ("  exceptions: [{date: 2026-05-01, like: mon-fri}]\n", 5, "exceptions[0].like", "one weekday"),
    "an extra shift that last night runs into": (
        '  exceptions: [{date: 2026-05-02, shifts: [{name: x, start: "06:00", end: "14:00"}]}]\n',
        5,
        "exceptions[0].shifts[0]",
        "overlaps shift night of 2026-05-01",
    ),
    "an extra shift that runs into the next morning": (
        '  exceptions: [{date: 2026-05-03, shifts: [{name: x, start: "21:00", end: "09:00"}]}]\n',
        5,
        "exceptions[0].shifts[0]",
        "shift day of 2026-05-04 (08:00–20:00) overlaps shift x of 2026-05-03",
    ),
    "extra shifts that overlap each other": (
        (
            "  exceptions:\n    - date: 2026-05-03\n      shifts:\n"
            '        - {name: x, start: "08:00", end: "12:00"}\n        - {name: y, start: "11:00", end: "14:00"}\n'
        ),
        9,
        "exceptions[0].shifts[1]",
        "overlaps shift x",
    ),
    "two versions of one date": (
        f"  versions:\n    - {{since: 2026-05-01, {LATE}}}\n    - {{since: 2026-05-01, {LATE}}}\n",
        7,
        "versions[1].since",
        "has a version already, line 9",
    ),
    "a version that the last night runs into": (
        '  versions:\n    - since: 2026-05-01\n      shifts: [{name: early, start: "06:00", end: "14:00"}]\n',
        6,
        "versions[0].since",
        "exception of 2026-04-30",
    ),
    "overlap inside a version": (
        (
            "  versions:\n    - since: 2026-05-01\n      shifts:\n"
            '        - {name: a, start: "08:00", end: "14:00"}\n        - {name: b, start: "13:00", end: "20:00"}\n'
        ),
        9,
        "versions[0].shifts[1]",
        "overlaps shift a",
    ),
    "one name twice on a report date": (
        (
            '  versions: [{since: 2026-05-01, shifts: [{name: night, start: "08:00", end: "16:00"}]}]\n'
            "  report_date: end\n"
        ),
        5,
        "versions[0].since",
        "both called night",
    ),
    "a rotation without a first day": ("  cycle_days: 6\n", 5, "cycle_days", "anchor"),
    "a first day without a rotation": ("  anchor: 2026-01-05\n", 5, "anchor", "cycle_days"),
    "a rotation nobody uses": ("  cycle_days: 6\n  anchor: 2026-01-05\n", 5, "cycle_days", "no shift uses"),
    "a break that leaves its shift": (
        (
            '  versions: [{since: 2026-05-01, shifts: [{name: a, start: "08:00", end: "16:00", '
            'breaks: [{start: "15:30", end: "16:30"}]}]}]\n'
        ),
        5,
        "versions[0].shifts[0].breaks[0]",
        "not inside its shift",
    ),
    "a stop that ends before it begins": (
        "  stops: [{start: 2026-06-01 12:00, end: 2026-06-01 08:00}]\n",
        5,
        "stops[0].end",
        "after the start",
    ),
    "a stop without a time of day": (
        "  stops: [{start: 2026-06-01, end: 2026-06-02 24:00}]\n",
        5,
        "stops[0].start",
        "08:00",
    ),
    "two stops at once": (
        (
            "  stops:\n    - {start: 2026-06-01 08:00, end: 2026-06-01 12:00}\n"
            "    - {start: 2026-06-01 11:00, end: 2026-06-01 13:00}\n"
        ),
        7,
        "stops[1]",
        "overlaps another stop",
    ),
    "a stop of no kind": (
        "  stops: [{start: 2026-06-01 08:00, end: 2026-06-01 12:00, kind: holiday}]\n",
        5,
        "stops[0].kind",
        "planned-stop",
    ),
    "a report date that is none": ("  report_date: middle\n", 5, "report_date", "start"),
    "a zone that is none": ("  timezone: Asia/Shangai\n", 5, "timezone", "Asia/Shanghai"),
}


@pytest.mark.parametrize(("text", "line", "path", "word"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_at_its_line(text: str, line: int, path: str, word: str) -> None:
    (problem,) = problems_of(REST + DAY_NIGHT + text)
    assert (problem.line, problem.path) == (LINES + line, f"calendar.{path}")
    assert word in f"{problem.what.en} {problem.hint.en if problem.hint else ''}"
    assert problem.what.zh != problem.what.en


ROTATING = """\
calendar:
  cycle_days: 4
  anchor: 2026-01-05
  shifts:
    - {name: a, start: "08:00", end: "20:00", cycle: 1-2}
    - {name: b, start: "08:00", end: "20:00", cycle: [3, 4]}
"""
ROTATION_MISTAKES = {
    "days beyond the cycle": ("cycle: [3, 4]", "cycle: [3, 5]", 6, "shifts[1].cycle", "only 4 days"),
    "day nought": ("cycle: [3, 4]", "cycle: 0-4", 6, "shifts[1].cycle", "1-4"),
    "shifts of different crews that overlap": ("[3, 4]", "2-3", 6, "shifts[1]", "day 2 of the cycle"),
    "a cycle without a rotation": (
        "  cycle_days: 4\n  anchor: 2026-01-05\n",
        "\n\n",
        5,
        "shifts[0].cycle",
        "cycle_days",
    ),
}


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "word"), ROTATION_MISTAKES.values(), ids=ROTATION_MISTAKES.keys()
)
def test_a_mistake_of_a_rotation_is_told_at_its_line(old: str, new: str, line: int, path: str, word: str) -> None:
    assert old in ROTATING
    first, *_ = problems_of(REST + ROTATING.replace(old, new))
    assert (first.line, first.path) == (LINES + line, f"calendar.{path}")
    assert word in f"{first.what.en} {first.hint.en if first.hint else ''}"


def test_a_shift_that_is_never_worked_is_told() -> None:
    text = ROTATING.replace("cycle_days: 4", "cycle_days: 7").replace("cycle: 1-2", "cycle: 1-2, days: sat")
    (problem,) = problems_of(REST + text)
    assert (problem.path, "never worked" in problem.what.en) == ("calendar.shifts[0]", True)


def test_an_exception_that_changes_nothing_is_told() -> None:
    """In a rotation that knows no weekdays, "like a Friday" says nothing; a date does."""
    (problem,) = problems_of(REST + ROTATING + "  exceptions: [{date: 2026-02-14, like: fri}]\n")
    assert (problem.path, "give a date" in problem.hint.en) == ("calendar.exceptions[0].like", True)
    assert calendar_of(ROTATING + "  exceptions: [{date: 2026-02-14, like: 2026-02-13}]\n").exceptions


def test_all_mistakes_of_a_calendar_come_together() -> None:
    text = REST + DAY_NIGHT + "  holidays: [x]\n  exceptions: [{date: y, off: true}]\n  cycle_days: 1\n  stops: [{}]\n"
    assert {problem.path for problem in problems_of(text)} == {
        "calendar.holidays[0]",
        "calendar.exceptions[0].date",
        "calendar.cycle_days",
        "calendar.stops[0].start",
        "calendar.stops[0].end",
    }


# ---- what is accepted ----


def test_everything_is_planned_as_written() -> None:
    calendar = calendar_of("""\
calendar:
  day_start: "20:00"
  report_date: end
  cycle_days: 6
  anchor: 2026-01-05
  shifts:
    - {name: 甲, start: "08:00", end: "20:00", cycle: 1-4}
    - {name: 乙, start: "20:00", end: "08:00", cycle: [1, 2]}
    - {name: 丙, start: "20:00", end: "24:00", cycle: 3, breaks: &late [{start: "23:00", end: "24:00", days: 周五}]}
    - {name: 丁, start: "20:00", end: "08:00", cycle: "4", report_date: start, breaks: *late}
  holidays: [2026-10-01..2026-10-03, 2027-01-01]
  versions: [{since: 2026-12-01, day_start: "06:00"}]
  exceptions: [{date: 2026-02-15..2026-02-23, off: true, reason: {zh: 春节, en: Spring Festival}}]
  stops: [{start: 2026-06-01 22:00, end: 2026-06-01 24:00, kind: not-scheduled, reason: 停电}]
""")
    assert calendar.rotation == Rotation(6, date(2026, 1, 5))
    assert [sorted(shift.cycle) for shift in calendar.shifts] == [[0, 1, 2, 3], [0, 1], [2], [3]]
    assert [shift.report_days for shift in calendar.shifts] == [0, 1, 0, 0], "one that ends at 24:00 stays where it is"
    assert calendar.shifts[3].breaks[0].weekdays == {4}
    assert sorted(calendar.holidays) == [date(2026, 10, n) for n in (1, 2, 3)] + [date(2027, 1, 1)]
    assert calendar.day_start == time(20)
    assert [(version.since, version.day_start) for version in calendar.versions] == [(date(2026, 12, 1), time(6))]
    spring = Name("春节", "Spring Festival")
    assert calendar.exceptions == (DayException(date(2026, 2, 15), date(2026, 2, 23), (), None, spring),)
    night = datetime.fromisoformat("2026-06-01T22:00"), datetime.fromisoformat("2026-06-02T00:00")
    assert calendar.stops == (PlannedStop(*night, Schedule.NOT_SCHEDULED, Name("停电", "停电")),)


def test_a_version_that_begins_after_an_exception_made_room_is_accepted() -> None:
    text = (
        "  versions: [{since: 2026-05-01, shifts: [{name: early, start: '06:00', end: '14:00'}]}]\n"
        "  exceptions:\n    - date: 2026-04-30\n      shifts:\n"
        "        - {name: day, start: '08:00', end: '20:00'}\n        - {name: night, start: '20:00', end: '06:00'}\n"
    )
    assert len(calendar_of(DAY_NIGHT + text).exceptions) == 1


def test_versions_may_be_written_in_any_order() -> None:
    calendar = calendar_of("calendar: {versions: [{since: 2026-05-01}, {since: 2026-04-01}]}\n")
    assert [version.since.month for version in calendar.versions] == [4, 5]


def test_a_machine_may_have_exceptions_and_stops_of_its_own() -> None:
    own = "exceptions: [{date: 2026-05-01, off: true}], stops: [{start: 2026-06-01 08:00, end: 2026-06-01 12:00}]"
    common = DAY_NIGHT + "  exceptions: [{date: 2026-05-01..2026-05-02, like: sun}]\n"
    plan = plan_of(TWO_MACHINES.replace("OWN", own) + common)
    site, machine = plan.calendars
    assert [one.calendar for one in plan.machines] == ["default", "default/m-2"]
    assert (machine.id, machine.shifts) == ("default/m-2", site.shifts)
    assert machine.exceptions == (DayException(date(2026, 5, 1), date(2026, 5, 1), ()), *site.exceptions)
    assert (site.stops, len(machine.stops)) == ((), 1)
    assert machine.stops[0].schedule is Schedule.BREAK


def test_a_machine_without_a_calendar_may_have_exceptions_too() -> None:
    plan = plan_of(TWO_MACHINES.replace("OWN", "exceptions: [{date: 2026-05-01, off: true}]"))
    assert [one.calendar for one in plan.machines] == ["around-the-clock", "around-the-clock/m-2"]


def test_a_mistake_of_a_machines_own_calendar_is_told_at_the_machine() -> None:
    own = "exceptions: [{date: 2026-05-02, shifts: [{name: x, start: '06:00', end: '14:00'}]}], stops: [{start: 1}]"
    found = problems_of(TWO_MACHINES.replace("OWN", own) + DAY_NIGHT)
    assert [(problem.line, problem.path) for problem in found] == [
        (5, "machines[1].exceptions[0].shifts[0]"),
        (5, "machines[1].stops[0].end"),
        (5, "machines[1].stops[0].start"),
    ]


# ---- versions of the configuration ----


def test_a_calendar_that_uses_nothing_new_keeps_its_version() -> None:
    """Twelve digits worked out when calendars had four keys: rows of those days still match."""
    site = Site("s", "e", "p", "c", "Asia/Shanghai", Name("s", "s"))
    assert config_version(site, (calendar_of(DAY_NIGHT + "  holidays: [2026-10-01]\n"),), (), ()) == "1aa4107cc93b"


@pytest.mark.parametrize(
    "text",
    [
        "  day_start: '08:00'\n",
        "  report_date: end\n",
        "  versions: [{since: 2030-01-01, shifts: [{name: x, start: '08:00', end: '20:00'}]}]\n",
        "  exceptions: [{date: 2026-05-01, off: true}]\n",
        "  stops: [{start: 2026-06-01 08:00, end: 2026-06-01 12:00}]\n",
    ],
)
def test_what_moves_a_figure_changes_the_version(text: str) -> None:
    assert plan_of(REST + DAY_NIGHT + text).config_version != plan_of(REST + DAY_NIGHT).config_version


def test_a_reason_is_for_people() -> None:
    silent, said = ("  exceptions: [{date: 2026-05-01, off: true" + more for more in ("}]\n", ", reason: 五一}]\n"))
    assert plan_of(REST + DAY_NIGHT + silent).config_version == plan_of(REST + DAY_NIGHT + said).config_version


# ---- no time zones at all ----


def test_a_system_without_a_time_zone_database_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not "no such zone, did you mean ...": the file is right, the system lacks a package."""
    for name in ("tzdata", "tzdata.zoneinfo", "tzdata.zoneinfo.Asia"):
        monkeypatch.setitem(sys.modules, name, None)
    zoneinfo.reset_tzpath(to=[])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        assert not known_zone("Asia/Shanghai")
        what, hint = zone_problem("Asia/Shanghai")
        first, *_ = problems_of(REST + DAY_NIGHT)
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()
    assert "no time zone database" in what.en
    assert "apt install tzdata" in hint.en
    assert (first.path, first.what) == ("site.timezone", what)
