"""From a local wall-clock time to UTC nanoseconds, in every case a time zone can produce.

Theory. Local time is not a line: in autumn an hour happens twice, in spring one does not happen at all. A shift plan is
written in local time, so each of its times must become exactly one instant, and a later local time must never become an
earlier instant; otherwise a break could end before it starts, and two shifts apart on paper would overlap in time.

Rules.
* Ambiguous (clock set back): the first occurrence, `fold=0`, at both ends. A 22:00-06:00 shift is 9 h in that night.
* Non-existent (clock set forward): the instant of the change itself. All such times meet there, so order is kept, and
  the 22:00-06:00 shift is 7 h in that night.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

NS_PER_S = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_ns(local: datetime, zone: ZoneInfo) -> int:
    """UTC ns of a naive local time; non-decreasing in `local` for every zone."""
    instant = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None, fold=0) == local:
        return _whole_seconds(instant) * NS_PER_S
    before = _whole_seconds(local.replace(tzinfo=zone, fold=1).astimezone(UTC))
    return _change_s(before, _whole_seconds(instant), zone) * NS_PER_S


def local_date(t_ns: int, zone: ZoneInfo) -> date:
    """The date on the wall calendar at a UTC instant."""
    return datetime.fromtimestamp(t_ns // NS_PER_S, zone).date()


def _whole_seconds(instant: datetime) -> int:
    delta = instant - _EPOCH
    return delta.days * 86_400 + delta.seconds


def _change_s(before: int, after: int, zone: ZoneInfo) -> int:
    """First second with the new offset, between one second that has the old offset and one that has the new."""
    old = datetime.fromtimestamp(before, zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after
