"""Days on which a kind of fault can happen: which machine, which registers, which stops are ordered before it lives.

Each is a function of the day's own dice and its length in hours; a short day (tests) has at least one fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from truth.day import T0_NS, Setup, Slice, counters_of
from truth.life import HOUR_NS, MINUTE_NS, NS, Breakdown
from truth.plant import FAST, KINDS, Line

from edge.simulate.conditions import Condition
from edge.simulate.parameters import Cause, Hazard, fault_code, parameters_of
from ext.buckets import Schedule

STOP = fault_code("E01")
SetUp = Callable[[Random, float], Setup]


def anything(dice: Random, hours: float) -> Setup:
    return Setup(Line(dice.choice(KINDS)), hours=hours)


def fast(dice: Random, hours: float) -> Setup:
    return Setup(Line(dice.choice(FAST)), hours=hours)


def carrying(dice: Random, hours: float) -> Setup:
    """A fast line, its registers shortly before a carry into the high word."""
    total = (1 << 16) * dice.randrange(1, 60) - dice.randrange(500, 1_500)
    reject = (1 << 16) * dice.randrange(1, 4) - dice.randrange(10, 30)
    return Setup(Line("flat-mask-1+2"), hours=hours, first=(total, total - reject, reject))


def generic(dice: Random, hours: float) -> Setup:
    """Run bit, fault bit, one counter, read every 1 s: few lines, because every line passes through Python."""
    return Setup(Line("generic"), hours=hours)


def generic_slow(dice: Random, hours: float) -> Setup:
    """The same, read every 5 s."""
    return Setup(
        Line("generic", {"tags": {name: {"interval_s": 5} for name in ("run", "fault", "total")}}), hours=hours
    )


def narrow(modulus: int | None = None) -> SetUp:
    def setup(dice: Random, hours: float) -> Setup:
        chosen = modulus or dice.choice((100, 999, 1_000, 9_999, 10_000, 32_767, 32_768))
        kind = dice.choice(("tape-sealer", "suit-station") if chosen == 100 else FAST)
        counters = counters_of(16, None if chosen == 1 << 16 else chosen)
        near = dice.randrange(min(chosen // 2, 200 if hours < 24 else 20_000))
        total = chosen - 1 - near
        return Setup(Line(kind, {"counters": counters}), hours=hours, first=(total, total - near // 2, chosen // 2))

    return setup


def either_width(dice: Random, hours: float) -> Setup:
    """Narrow and wide counters, both."""
    kind = dice.choice((*FAST, "tape-sealer", "suit-station"))
    return Setup(Line(kind, {"counters": counters_of(dice.choice((16, 32)))}), hours=hours)


def with_stops(least_s: int, most_s: int, per_day: int) -> SetUp:
    def setup(dice: Random, hours: float) -> Setup:
        whole = round(hours * HOUR_NS)
        parts = max(1, round(per_day * hours / 24))
        room = whole // parts
        stops = []
        for part in range(parts):
            length = min(dice.randrange(least_s, most_s) * NS, room - 20 * MINUTE_NS)
            at = T0_NS + part * room + 8 * MINUTE_NS + dice.randrange(max(1, room - length - 16 * MINUTE_NS))
            stops.append(Breakdown(at, length, STOP))
        return replace(either_width(dice, hours), breakdowns=tuple(stops))

    return setup


def held_for_days(dice: Random, hours: float) -> Setup:
    """Four days, the emergency stop held for most of three."""
    days = 4 if hours >= 24 else 1
    whole = round(days * hours * HOUR_NS)
    return Setup(
        Line(dice.choice(KINDS[:9])),
        hours=days * hours,
        breakdowns=(Breakdown(T0_NS + whole // 8, round(whole * dice.uniform(0.5, 0.75)), STOP),),
    )


def restless(dice: Random, hours: float) -> Setup:
    kind = dice.choice(FAST)
    brief = Hazard(Condition.MINOR, 0, 2 * MINUTE_NS, (Cause(fault_code("M06"), "M06", 1.0, round(0.9 * NS)),))
    row = parameters_of(kind)
    return Setup(Line(kind), hours=hours, parameters=replace(row, hazards=(*row.hazards, brief)))


def agent_believes(multiplier: int) -> SetUp:
    def setup(dice: Random, hours: float) -> Setup:
        kind = dice.choice(FAST)
        wrong = {name: {"multiplier": multiplier} for name in ("total", "good", "reject")}
        return Setup(Line(kind), Line(kind, {"counters": wrong}), hours=hours)

    return setup


def pulses_ten(dice: Random, hours: float) -> Setup:
    """The PLC's one count is ten pieces; the agent was not told."""
    kind = dice.choice(FAST)
    ten = {name: {"multiplier": 10} for name in ("total", "good", "reject")}
    return Setup(Line(kind, {"counters": ten}), Line(kind), hours=hours)


def two_stations(other: str) -> SetUp:
    """Total and one other counter; the machine stands at the end of the day, so that the stations are drained."""

    def setup(dice: Random, hours: float) -> Setup:
        end = T0_NS + round(hours * HOUR_NS)
        drained = Breakdown(end - 10 * MINUTE_NS, 20 * MINUTE_NS, STOP)
        return Setup(Line(dice.choice(FAST), {"counters": {other: None}}), hours=hours, breakdowns=(drained,))

    return setup


def two_products(dice: Random, hours: float) -> Setup:
    products = [
        {"id": "small", "ideal_cycle_s": 0.6, "code": 1},
        {"id": "large", "ideal_cycle_s": 1.1, "code": 2},
    ]
    changes = sorted(dice.uniform(0.1, 0.9) for _ in range(3 if hours >= 24 else 1))
    apart = [change for n, change in enumerate(changes) if n == 0 or change - changes[n - 1] > 0.1]
    return Setup(
        Line(dice.choice(FAST), {"products": products}),
        hours=hours,
        products=((0.0, 0), *((change, (n + 1) % 2) for n, change in enumerate(apart))),
    )


def narrow_in_the_dark(dice: Random, hours: float) -> Setup:
    """A register that can wrap entirely in ten minutes."""
    return Setup(Line(dice.choice(FAST), {"counters": counters_of(16, 1_000)}), hours=hours)


_SHIFTS = (("early", time(6), time(14)), ("late", time(14), time(22)), ("night", time(22), time(6)))
_BREAKS = {"early": (time(9), time(9, 30)), "late": (time(18), time(18, 45)), "night": (time(1), time(1, 30))}


def _calendar(breaks: bool) -> Mapping[str, Any]:
    shifts = []
    for name, start, end in _SHIFTS:
        shift: dict[str, Any] = {"name": name, "start": f"{start:%H:%M}", "end": f"{end:%H:%M}"}
        if breaks:
            pause = _BREAKS[name]
            shift["breaks"] = [{"start": f"{pause[0]:%H:%M}", "end": f"{pause[1]:%H:%M}"}]
        shifts.append(shift)
    return {"shifts": shifts}


def schedule(timezone: str, first: date, days: int, names: tuple[str, ...], *, breaks: bool) -> list[Slice]:
    """What the plant means to do, worked out from the local clock alone: contiguous slices."""
    zone = ZoneInfo(timezone)

    def utc(day: date, at: time) -> int:
        return round(datetime.combine(day, at, zone).timestamp()) * NS

    cut: list[Slice] = []
    for offset in range(-1, days + 1):
        day = first + timedelta(days=offset)
        for name, start, end in _SHIFTS:
            if name not in names:
                continue
            last = day + timedelta(days=1) if end <= start else day
            edges = [utc(day, start), utc(last, end)]
            if breaks:
                pause = _BREAKS[name]
                on = day + timedelta(days=1) if pause[0] < start else day
                edges[1:1] = [utc(on, pause[0]), utc(on, pause[1])]
            kinds = (Schedule.SCHEDULED, Schedule.BREAK, Schedule.SCHEDULED)
            cut += [(a, b, kinds[n]) for n, (a, b) in enumerate(pairwise(edges))]
    return sorted(cut)


def summer_time(dice: Random, hours: float) -> Setup:
    """A night on which the clocks change, the night shift the only one."""
    first = dice.choice((date(2026, 3, 28), date(2026, 10, 24)))
    start = round(datetime.combine(first, time(12), ZoneInfo("UTC")).timestamp()) * NS
    if hours < 24:
        start += 11 * HOUR_NS
    shift = {"shifts": [{"name": "night", "start": "22:00", "end": "06:00"}]}
    return Setup(
        Line(dice.choice(FAST), calendar=shift, timezone="Europe/Berlin"),
        hours=hours,
        start_ns=start,
        schedule=schedule("Europe/Berlin", first, 3, ("night",), breaks=False),
    )


def breaks(dice: Random, hours: float) -> Setup:
    """Three shifts with breaks; some are taken, some are worked through."""
    first = date(2026, 3, 9)
    slices = schedule("UTC", first, 2, tuple(_BREAKS), breaks=True)
    start = T0_NS + (8 * HOUR_NS if hours < 24 else 0)
    end = start + round(hours * HOUR_NS)
    taken = [
        Breakdown(a, b - a, STOP)
        for a, b, kind in slices
        if kind is Schedule.BREAK and start <= a and b <= end and dice.random() < 0.5
    ]
    return Setup(
        Line(dice.choice(FAST), calendar=_calendar(breaks=True)),
        hours=hours,
        start_ns=start,
        breakdowns=tuple(taken),
        schedule=slices,
    )
