"""What goes wrong on the way to the ledger: samples are lost, doubled, late, stamped by a bad clock. And what only is
noted, because the day was set up with it.

One function per kind: each changes the readings of a day and notes when it struck. Parameters are drawn from the ranges
printed on the page; how often is scaled to the length of the day.
"""

from __future__ import annotations

from array import array
from random import Random

from truth.day import Day, moments
from truth.life import HOUR_NS, MINUTE_NS, NS

from edge.simulate.conditions import Condition
from ext.buckets import Schedule


def none(day: Day, dice: Random) -> None:
    """Nothing goes wrong."""


def all_day(day: Day, dice: Random) -> None:
    """What is wrong is wrong all day: a rule of the site file."""
    day.struck(day.life.start_ns, day.life.end_ns)


def short_gaps(day: Day, dice: Random) -> None:
    """10 to 60 s without a sample, ten times a day."""
    for at in moments(day, dice, 10, length_ns=MINUTE_NS):
        end = at + dice.randrange(10 * NS, MINUTE_NS)
        day.readings.lose(at, end)
        day.struck(at, end)


def long_gap(day: Day, dice: Random) -> None:
    """10 min to 12 h without a sample."""
    _gap(day, dice)


def gap_with_reset(day: Day, dice: Random) -> None:
    """1 min to 4 h without a sample, and the counters were cleared meanwhile."""
    for at in moments(day, dice, 2, length_ns=4 * HOUR_NS):
        end = at + round(MINUTE_NS * 240 ** dice.random())
        day.readings.clear(dice.randrange(at, end))
        day.readings.lose(at, end)
        day.struck(at, end)


def gap_with_product_change(day: Day, dice: Random) -> None:
    """A product change that happens in a gap of 10 to 60 min."""
    for part, _ in day.setup.products[1:]:
        change = day.life.start_ns + round(part * (day.life.end_ns - day.life.start_ns))
        length = dice.randrange(10, 60) * MINUTE_NS
        start = change - dice.randrange(length)
        day.readings.lose(start, start + length)
        day.struck(start, start + length)


def product_changes(day: Day, dice: Random) -> None:
    """Product changes in full view."""
    for part, _ in day.setup.products[1:]:
        day.struck(day.life.start_ns + round(part * (day.life.end_ns - day.life.start_ns)))


def duplicates(day: Day, dice: Random) -> None:
    """One sample in twenty is handed on twice, one in two hundred three times."""
    order: list[int] = []
    for index in range(day.readings.size):
        chance = dice.random()
        copies = 3 if chance < 0.005 else 2 if chance < 0.05 else 1
        order += [index] * copies
        if copies > 1:
            day.struck(day.readings.true_ns[index])
    day.readings.order = order


def out_of_order(day: Day, dice: Random) -> None:
    """One sample in ten is up to 4 s late: inside the watermark."""
    _shuffle(day, dice, 0.1, 4 * NS)


def late(day: Day, dice: Random) -> None:
    """Ten times a day 10 to 120 s of samples arrive after 20 s to 10 min: behind the watermark."""
    order: list[int] = list(range(day.readings.size))
    for at in moments(day, dice, 10, length_ns=12 * MINUTE_NS, apart_ns=MINUTE_NS):
        first, last = day.readings.at(at), day.readings.at(at + dice.randrange(10, 120) * NS)
        to = day.readings.at(day.readings.true_ns[last] + dice.randrange(20, 600) * NS)
        where = order.index(first)
        held = order[where : where + last - first]
        order[where : where + to - first] = order[where + last - first : where + to - first] + held
        day.struck(day.readings.true_ns[first], day.readings.true_ns[to])
    day.readings.order = order


def agent_killed(day: Day, dice: Random) -> None:
    """The gateway loses power for 20 s to 10 min; what was not committed in the last second is gone."""
    for at in moments(day, dice, 4, length_ns=10 * MINUTE_NS):
        end = at + dice.randrange(20 * NS, 10 * MINUTE_NS)
        day.readings.lose(at - NS, end)
        day.readings.restarts.append(day.readings.at(end))
        day.struck(at - NS, end)


def clock_steps(day: Day, dice: Random) -> None:
    """The gateway's wall clock is set forward or back by 1 s to 2 h."""
    stamps = day.readings.stamp_ns
    for at in moments(day, dice, 1):
        step = dice.choice((-1, 1)) * round(NS * 7_200 ** dice.random())
        for index in range(day.readings.at(at), day.readings.size):
            stamps[index] += step
        day.struck(at)


def clock_drift(day: Day, dice: Random) -> None:
    """The wall clock drifts by up to 200 ppm and is put right every 1 to 4 h."""
    readings = day.readings
    ppm = dice.randrange(-200, 200)
    put_right = readings.heard_ns[0]
    due = put_right + dice.randrange(1 * HOUR_NS, 4 * HOUR_NS)
    for index, heard in enumerate(readings.heard_ns):
        if heard >= due:
            put_right, due = heard, heard + dice.randrange(1 * HOUR_NS, 4 * HOUR_NS)
            day.struck(heard)
        readings.stamp_ns[index] = heard + (heard - put_right) * ppm // 1_000_000


def breaks_worked(day: Day, dice: Random) -> None:
    """Breaks, taken or worked through."""
    for start, end, kind in day.setup.schedule:
        if kind is Schedule.BREAK and day.life.start_ns < start and end < day.life.end_ns:
            day.struck(start, end)


def held(day: Day, dice: Random) -> None:
    """Stops that were ordered."""
    for stop in day.setup.breakdowns:
        day.struck(stop.at_ns, stop.at_ns + stop.for_ns)


def micro_stops(day: Day, dice: Random) -> None:
    """Stops shorter than two polls."""
    for s in day.life.stretches:
        if s.condition is Condition.MINOR and s.end_ns - s.start_ns < 2 * day.readings.poll_ns:
            day.struck(s.start_ns, s.end_ns)


def nights(day: Day, dice: Random) -> None:
    """Shifts of a night on which the clocks change."""
    for start, end, _ in day.setup.schedule:
        if day.life.start_ns < end and start < day.life.end_ns:
            day.struck(max(start, day.life.start_ns), min(end, day.life.end_ns - MINUTE_NS))


def _gap(day: Day, dice: Random) -> None:
    most = min(12 * HOUR_NS, round(day.share * 18 * HOUR_NS))
    length = round(10 * MINUTE_NS * (most / (10 * MINUTE_NS)) ** dice.random())
    for at in moments(day, dice, 1, length_ns=length):
        day.readings.lose(at, at + length)
        day.struck(at, at + length)


def _shuffle(day: Day, dice: Random, share: float, within_ns: int) -> None:
    """A `share` of the samples is handed on up to `within_ns` later than read."""
    handed = array("q", day.readings.heard_ns)
    for index in range(day.readings.size):
        if dice.random() < share:
            handed[index] += dice.randrange(day.readings.poll_ns, within_ns)
            day.struck(day.readings.true_ns[index])
    day.readings.order = sorted(range(day.readings.size), key=handed.__getitem__)
