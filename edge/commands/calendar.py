"""`seamline calendar`: the shifts of some dates."""

from __future__ import annotations

import argparse
import os
from datetime import date

from edge.arguments import as_json, site_file
from edge.errors import Text

MOST_DAYS = 800  # that a calendar is printed for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose calendar, which dates, the form."""
    site_file(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--calendar", metavar="ID", help=str(Text("只看这个日历", "only this calendar")))
    which.add_argument(
        "--machine",
        metavar="ID",
        help=str(Text("这台机的日历，含它自己的例外", "the calendar of this machine, its own exceptions included")),
    )
    parser.add_argument(
        "--from",
        dest="first",
        metavar="DATE",
        type=_date,
        help=str(Text("从哪天起，默认今天", "first date, default today")),
    )
    parser.add_argument(
        "--days", metavar="N", type=_days, default=7, help=str(Text("几天，默认 7", "how many dates, default 7"))
    )
    as_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print them. Raises ConfigError."""
    from edge.clock import SystemClock
    from edge.config import load
    from edge.config.calendar_listing import choose, listing, listing_json, today

    calendars = choose(load(options.config, os.environ), options.calendar, options.machine)
    first = options.first or today(calendars, SystemClock().now_ns())
    show = listing_json if options.json else listing
    print(show(calendars, first, options.days).rstrip())
    return 0


def _date(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if not 1970 <= day.year <= 2200:  # what instants of 64 bits can hold, with room around it
        said = Text(f"应为日期，例如 2026-03-01，实为 {text!r}", f"a date such as 2026-03-01 expected, got {text!r}")
        raise argparse.ArgumentTypeError(str(said))
    return day


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_DAYS:
        said = Text(f"应为 1–{MOST_DAYS} 天，实为 {text!r}", f"1 to {MOST_DAYS} days expected, got {text!r}")
        raise argparse.ArgumentTypeError(str(said))
    return int(text)
