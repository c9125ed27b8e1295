"""Promise: `seamline calendar` shows an engineer every shift that will rule, in both languages and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge import cli

SITE = """\
site: {id: s, enterprise: e, province: p, city: c, timezone: Europe/Berlin}
calendar:
  day_start: "06:00"
  cycle_days: 4
  anchor: 2026-03-23
  shifts:
    - {name: 甲班, start: "06:00", end: "18:00", cycle: 1-2, breaks: [{start: "12:00", end: "12:30"}]}
    - {name: 乙班, start: "22:00", end: "06:00", cycle: 2-3, report_date: end}
  versions: [{since: 2026-03-30, shifts: [{name: day, start: "08:00", end: "20:00"}]}]
  exceptions: [{date: 2026-03-28, shifts: [{name: extra, start: "22:00", end: "06:00"}], reason: {zh: 急单, en: rush}}]
  stops: [{start: 2026-03-27 06:00, end: 2026-03-27 10:00, kind: not-scheduled, reason: {zh: 停电, en: power cut}}]
devices: [{id: plc-1, template: inovance-h5u, host: h}]
machines:
  - {id: m-1, template: tape-sealer, device: plc-1, base: D1000}
  - {id: m-2, template: tape-sealer, device: plc-1, base: D1100, exceptions: [{date: 2026-03-30, off: true}]}
"""


@pytest.fixture
def site(tmp_path: Path) -> str:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["--lang", "en", "calendar", *arguments]) == 0
    return capsys.readouterr().out


def test_a_week_is_printed_shift_by_shift(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "-c", site, "--calendar", "default", "--from", "2026-03-24", "--days", "7").splitlines()
    assert [" ".join(line.split()) for line in said] == [
        "calendar default Europe/Berlin production day from 06:00",
        "starts on shift reported as local time UTC length planned min stops min",
        "2026-03-24 Tue 甲班 2026-03-24 03-24 06:00 – 03-24 18:00 03-24 05:00 – 03-24 17:00 12:00 690 30 cycle 2/4",
        "2026-03-24 Tue 乙班 2026-03-25 03-24 22:00 – 03-25 06:00 03-24 21:00 – 03-25 05:00 8:00 480 0 cycle 2/4",
        "2026-03-25 Wed 乙班 2026-03-26 03-25 22:00 – 03-26 06:00 03-25 21:00 – 03-26 05:00 8:00 480 0 cycle 3/4",
        "2026-03-26 Thu (none) cycle 4/4",
        (
            "2026-03-27 Fri 甲班 2026-03-27 03-27 06:00 – 03-27 18:00 03-27 05:00 – 03-27 17:00 12:00 450 270 "
            "cycle 1/4, power cut, 240 min not scheduled"
        ),
        (
            "2026-03-28 Sat extra 2026-03-28 03-28 22:00 – 03-29 06:00 03-28 21:00 – 03-29 04:00 7:00 420 0 "
            "rush, cycle 2/4, clock change -60 min"
        ),
        "2026-03-29 Sun 乙班 2026-03-30 03-29 22:00 – 03-30 06:00 03-29 20:00 – 03-30 04:00 8:00 480 0 cycle 3/4",
        "2026-03-30 Mon day 2026-03-30 03-30 08:00 – 03-30 20:00 03-30 06:00 – 03-30 18:00 12:00 720 0 new version",
        "7 shifts, 3720 min planned, 60 min breaks and planned stops",
    ]


def test_it_speaks_chinese(site: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAMLINE_LANG", "zh")
    cli.main(["calendar", "-c", site, "--from", "2026-03-27", "--days", "3"])
    said = capsys.readouterr().out
    for word in ("日历 default", "报表日期", "周六", "停电, 其中 240 分不排产", "急单", "拨钟 -60 分"):
        assert word in said, word


def test_a_machines_own_calendar_is_shown(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    of_one, of_other = (
        run(capsys, "-c", site, "--machine", machine, "--from", "2026-03-30", "--days", "1")
        for machine in ("m-1", "m-2")
    )
    assert "default  " in of_one
    assert "default/m-2" in of_other
    assert ("(none)" in of_one, "(none)" in of_other) == (False, True)


def test_machines_read_the_same(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "-c", site, "--machine", "m-1", "--from", "2026-03-27", "--days", "2", "--json")
    (calendar,) = json.loads(said)["calendars"]
    cut, extra = calendar["shifts"]
    assert (cut["ppt_min"], cut["break_min"], cut["not_scheduled_min"]) == (450, 30, 240)
    assert (extra["length_min"], extra["clock_change_min"], extra["ppt_min"]) == (420, -60, 420)
    assert (extra["start_local"], extra["end_local"]) == ("2026-03-28T22:00:00+01:00", "2026-03-29T06:00:00+02:00")
    assert sum(piece["end_ns"] - piece["start_ns"] for piece in cut["slices"]) == cut["end_ns"] - cut["start_ns"]


def test_without_a_date_it_begins_today(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(run(capsys, "-c", site, "--calendar", "default").splitlines()) == 2 + 7 + 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--machine", "m-3"), "did you mean m-"),
        (("--calendar", "defualt"), "did you mean default"),
    ],
)
def test_a_name_nobody_has_is_told(
    site: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], word: str
) -> None:
    assert cli.main(["--lang", "en", "calendar", "-c", site, *arguments]) == cli.EXIT_USAGE
    assert word in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [("--from", "tomorrow"), ("--from", "9999-12-31"), ("--days", "0"), ("--days", "x")]
)
def test_a_date_that_is_none_is_told(site: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--lang", "en", "calendar", "-c", site, *arguments])
    assert "expected, got" in capsys.readouterr().err


def test_check_says_what_a_day_does_not_show(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["--lang", "en", "check", "-c", site])
    assert "a rotation of 4 days, versions 1, exceptions 2, stops 1; every shift: seamline calendar" in (
        capsys.readouterr().out
    )
