"""What goes wrong in the PLC and at its sensors: the register itself shows another number than pieces made.

One function per kind: each changes the readings of a day and notes when it struck. Parameters are drawn from the ranges
printed on the page; how often is scaled to the length of the day. What acts
on the machine itself (a power cut, a PLC replaced) happens in a stop that `setups` ordered.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from random import Random

from truth.day import Day, moments
from truth.life import HOUR_NS, MINUTE_NS, NS

from ext.buckets import Counter

OUTPUT = (Counter.TOTAL, Counter.GOOD)
EPOCH = 8


def wraps(day: Day, dice: Random) -> None:
    """The register rolls over by itself: note when."""
    readings = day.readings
    counter = next(c for c in OUTPUT if readings.has(c))
    column = readings.registers[counter]
    for index in range(1, readings.size):
        if column[index] < column[index - 1]:
            day.struck(readings.true_ns[index])


def cleared_at_shift(day: Day, dice: Random) -> None:
    """The PLC clears its counters at 06:00, 14:00 and 22:00, whatever the machine does."""
    start = day.life.start_ns
    for hour in (6, 14, 22) if day.share > 0.9 else (round(day.share * 24 / 2),):
        day.readings.clear(start + hour * HOUR_NS)
        day.struck(start + hour * HOUR_NS)


def cleared_by_hand(day: Day, dice: Random) -> None:
    """Somebody presses "clear" while the machine runs."""
    for at in moments(day, dice, 3, running=True):
        day.readings.clear(at)
        day.struck(at)


def cleared_standing(day: Day, dice: Random) -> None:
    """The operator clears while the machine stands, as at a handover."""
    for start, end in _some(day.life.stands(20 * NS), dice, 3, day.share):
        if day.readings.at(start) and end < day.life.end_ns - MINUTE_NS:
            day.readings.clear((start + end) // 2)
            day.struck((start + end) // 2)


def power_cut(day: Day, dice: Random, *, says_so: bool = False, value: int = 0) -> None:
    """The PLC is away for part of an ordered stop and comes back with its counters cleared."""
    for stop in day.setup.breakdowns:
        away = dice.randrange(30 * NS, min(90 * NS, stop.for_ns - 20 * NS))
        start = stop.at_ns + 10 * NS
        back = start + away
        day.readings.lose(start, back)
        for counter in day.readings.counters():
            day.readings.show(counter, back, value)
        if says_so:
            day.readings.mask[day.readings.at(back)] |= EPOCH
        day.struck(start, back)


def power_cut_that_tells(day: Day, dice: Random) -> None:
    """The same, and the PLC shows that it restarted."""
    power_cut(day, dice, says_so=True)


def replaced(day: Day, dice: Random) -> None:
    """The PLC is replaced in a long stop; the new one's counters stand at zero or anywhere."""
    for stop in day.setup.breakdowns:
        start, back = stop.at_ns + stop.for_ns // 10, stop.at_ns + stop.for_ns * 9 // 10
        day.readings.lose(start, back)
        value = dice.choice((0, dice.randrange(1, 60_000)))
        for counter in day.readings.counters():
            day.readings.show(counter, back, value)
        day.struck(start, back)


def preset(day: Day, dice: Random) -> None:
    """Somebody sets the counter to another number while the machine runs."""
    for at in moments(day, dice, 3, running=True):
        value = dice.choice((dice.randrange(1, 2_000), dice.randrange(2_000, 60_000)))
        for counter in day.readings.counters():
            day.readings.show(counter, at, value)
        day.struck(at)


def undone(day: Day, dice: Random) -> None:
    """The PLC takes pieces back: the register falls by 1 to 5 and counts on from there."""
    for at in moments(day, dice, 6):
        pieces = dice.randint(1, 5)
        for counter in OUTPUT:
            if day.readings.has(counter):
                day.readings.add(counter, at, -pieces)
        day.struck(at)


def disagreeing(day: Day, dice: Random) -> None:
    """The total's sensor misses one piece in a hundred: GOOD overtakes TOTAL."""
    _distort(day, (Counter.TOTAL,), dice, 0.01, -1)


def missed(day: Day, dice: Random) -> None:
    """The sensor behind all counters misses one piece in a hundred."""
    _distort(day, OUTPUT, dice, 0.01, -1)


def bounced(day: Day, dice: Random) -> None:
    """The sensor bounces: one piece in fifty counts twice."""
    _distort(day, OUTPUT, dice, 0.02, +1)


def bounced_in_a_storm(day: Day, dice: Random) -> None:
    """For 10 to 30 min every piece counts twice."""
    for at in moments(day, dice, 2, length_ns=30 * MINUTE_NS, running=True):
        end = at + dice.randrange(10, 30) * MINUTE_NS
        _distort(day, OUTPUT, dice, 1.0, +1, (at, end))
        day.struck(at, end)


def ahead(day: Day, dice: Random) -> None:
    """The last counter of good and reject the machine has sees a piece 3 to 60 s before the total does."""
    lead = dice.randrange(3, 60) * NS
    readings, life = day.readings, day.life
    counter = Counter.REJECT if readings.has(Counter.REJECT) else Counter.GOOD
    column, modulus = readings.registers[counter], readings.modulus[counter]
    base = column[0] - readings.counted[counter][0]
    for index in range(1, readings.size):
        column[index] = (base + life.counts(readings.true_ns[index] + lead)[counter]) % modulus
    day.struck(life.start_ns, life.end_ns)


def _some(found: list[tuple[int, int]], dice: Random, per_day: float, share: float) -> list[tuple[int, int]]:
    return sorted(dice.sample(found, min(len(found), max(1, round(per_day * share)))))


def _distort(
    day: Day,
    counters: tuple[Counter, ...],
    dice: Random,
    share: float,
    pulses: int,
    span: tuple[int, int] | None = None,
) -> None:
    """Of the pieces made in `span` (the day), a `share` counts `pulses` more than once."""
    readings, life = day.readings, day.life
    start, end = span or (life.start_ns, life.end_ns)
    made = life.counts(start)[0], life.counts(end - 1)[0]
    struck = [number for number in range(made[0] + 1, made[1] + 1) if share >= 1 or dice.random() < share]
    times = [life.time_of(number) for number in struck]
    rejected = set(life.reject_times)
    for counter in counters:
        if readings.has(counter):
            own = times if counter is Counter.TOTAL else [t for t in times if t not in rejected]
            edges = [*(bisect_left(readings.true_ns, t) for t in own), readings.size]
            column, modulus = readings.registers[counter], readings.modulus[counter]
            for more, (first, last) in enumerate(pairwise(edges), start=1):
                for index in range(first, last):
                    column[index] = (column[index] + more * pulses) % modulus
    if span is None and times:
        day.struck(times[0], times[-1])
