"""What goes wrong, one function per kind: each changes the readings of a day and notes when it struck.

Parameters are drawn from the ranges printed on the page; how often is scaled to the length of the day. A function that
acts on the machine itself (a power cut, a PLC replaced) needs the stop that goes with it: `kinds` orders it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise
from random import Random

from truth.day import Day, moments
from truth.life import HOUR_NS, MINUTE_NS, NS

from edge.simulate.conditions import Condition
from ext.buckets import Counter, Schedule
from protocols.reading import Quality

OUTPUT = (Counter.TOTAL, Counter.GOOD)
EPOCH = 8
_WORD = 1 << 16


def none(day: Day, dice: Random) -> None:
    """Nothing goes wrong."""


# ---- the register itself ---------------------------------------------------------------------------------


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


def backwards_for_a_moment(day: Day, dice: Random) -> None:
    """One to three samples show 1 to 5 less than the ones before: an encoder that swings, a late frame."""
    for at in moments(day, dice, 12):
        first, back = day.readings.at(at), dice.randint(1, 5)
        last = min(first + dice.randint(1, 3), day.readings.size)
        for counter in day.readings.counters():
            column, modulus = day.readings.registers[counter], day.readings.modulus[counter]
            level = column[first - 1]
            for index in range(first, last):
                column[index] = (level - back) % modulus
        day.struck(at, day.readings.true_ns[last - 1])


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


# ---- what is read of it ---------------------------------------------------------------------------------


def glitch(day: Day, dice: Random) -> None:
    """One sample shows rubbish."""
    _rubbish(day, dice, lambda: 1)


def glitches_in_a_row(day: Day, dice: Random) -> None:
    """Two to four samples in a row show rubbish, each another one."""
    _rubbish(day, dice, lambda: dice.randint(2, 4))


def torn(day: Day, dice: Random) -> None:
    """The first sample after a carry into the high word has one word from before and one from after it."""
    readings = day.readings
    for counter in readings.counters():
        column = readings.registers[counter]
        for index in range(1, readings.size):
            before, after = column[index - 1], column[index]
            if before // _WORD != after // _WORD and after > before:
                old_high = before // _WORD * _WORD + after % _WORD
                new_high = after // _WORD * _WORD + before % _WORD
                column[index] = dice.choice((old_high, new_high))
                day.struck(readings.true_ns[index])


def zero_briefly(day: Day, dice: Random) -> None:
    """Counters read 0 for 1 to 8 samples: a buffer that is empty, then filled again."""
    for at in moments(day, dice, 8):
        _zero(day, at, at + dice.randint(1, 8) * day.readings.poll_ns)


def zero_for_long(day: Day, dice: Random) -> None:
    """Counters read 0 for 30 s to 15 min."""
    for at in moments(day, dice, 3, length_ns=15 * MINUTE_NS):
        _zero(day, at, at + dice.randrange(30 * NS, 15 * MINUTE_NS))


def blank_block(day: Day, dice: Random) -> None:
    """The whole block reads 0, states too, for 3 to 8 samples."""
    for at in moments(day, dice, 6):
        end = at + dice.randint(3, 8) * day.readings.poll_ns
        for index in range(day.readings.at(at), day.readings.at(end)):
            day.readings.face[index] = day.readings.faces.blank(day.readings.face[index])
        _zero(day, at, end)


def frozen(day: Day, dice: Random) -> None:
    """Every value stays as it is for 10 s to 30 min, while the device answers as ever."""
    for at in moments(day, dice, 4, length_ns=30 * MINUTE_NS):
        end = at + round(10 * NS * 180 ** dice.random())
        first, last = day.readings.at(at), day.readings.at(end)
        for column in (*day.readings.registers, day.readings.face, day.readings.product):
            for index in range(first, last):
                column[index] = column[first - 1]
        day.struck(at, end)


def counter_unreadable(day: Day, dice: Random) -> None:
    """The counters' quality is bad for 10 s to 2 h; the state is read as ever."""
    for at in moments(day, dice, 3, length_ns=2 * HOUR_NS):
        end = at + round(10 * NS * 720 ** dice.random())
        for index in range(day.readings.at(at), day.readings.at(end)):
            day.readings.mask[index] = 0
        day.struck(at, end)


def all_unreadable(day: Day, dice: Random) -> None:
    """Everything is of bad quality for 10 s to 2 h."""
    for at in moments(day, dice, 3, length_ns=2 * HOUR_NS):
        end = at + round(10 * NS * 720 ** dice.random())
        for index in range(day.readings.at(at), day.readings.at(end)):
            day.readings.mask[index] = 0
        day.readings.look(at, end, {}, Quality.BAD)
        day.struck(at, end)


def words_swapped(day: Day, dice: Random) -> None:
    """After a reconnect of 10 to 60 s the two words of each counter are swapped for 1 to 30 min."""
    for at in moments(day, dice, 2, length_ns=32 * MINUTE_NS):
        back = at + dice.randrange(10, 60) * NS
        end = back + dice.randrange(1, 30) * MINUTE_NS
        day.readings.lose(at, back)
        for counter in day.readings.counters():
            column = day.readings.registers[counter]
            for index in range(day.readings.at(back), day.readings.at(end)):
                column[index] = column[index] % _WORD * _WORD + column[index] // _WORD
        day.struck(at, end)


def words_swapped_for_good(day: Day, dice: Random) -> None:
    """The same at some hour of the second half of the day, and it stays so."""
    length = day.life.end_ns - day.life.start_ns
    at = day.life.start_ns + dice.randrange(length // 2, length * 19 // 20)
    back = at + dice.randrange(10, 60) * NS
    day.readings.lose(at, back)
    for counter in day.readings.counters():
        column = day.readings.registers[counter]
        for index in range(day.readings.at(back), day.readings.size):
            column[index] = column[index] % _WORD * _WORD + column[index] // _WORD
    day.struck(at, day.life.end_ns)


def map_shifted(day: Day, dice: Random) -> None:
    """After a program download the counters' addresses hold something else (a speed) for 1 to 20 min."""
    for at in moments(day, dice, 2, length_ns=20 * MINUTE_NS):
        end = at + dice.randrange(1, 20) * MINUTE_NS
        for counter in day.readings.counters():
            column = day.readings.registers[counter]
            for index in range(day.readings.at(at), day.readings.at(end)):
                column[index] = 95 + index % 7 * 3
        day.struck(at, end)


# ---- the state ---------------------------------------------------------------------------------

_RUNS = {"run": 1, "fault": 0, "state": 6, "fault_code": 0, "heating": 0, "changeover": 0, "starved": 0, "blocked": 0}


def run_stuck_on(day: Day, dice: Random) -> None:
    """The run signal says "running" for 1 to 6 h."""
    runs = _RUNS if day.machine.kind != "machinery" else {"state": 3, "mode": 3}
    for at in moments(day, dice, 1, length_ns=min(6 * HOUR_NS, round(day.share * 12 * HOUR_NS))):
        end = at + dice.randrange(1, 6) * HOUR_NS
        day.readings.look(at, end, dict(runs))
        day.struck(at, end)


def run_stuck_off(day: Day, dice: Random) -> None:
    """The run signal says "stopped" for 10 min to 4 h."""
    for at in moments(day, dice, 1, length_ns=min(4 * HOUR_NS, round(day.share * 12 * HOUR_NS))):
        end = at + dice.randrange(10, 240) * MINUTE_NS
        day.readings.look(at, end, {"run": 0, "state": 2})
        day.struck(at, end)


def flicker(day: Day, dice: Random) -> None:
    """The run signal drops for one sample, 200 times a day."""
    for at in moments(day, dice, 200, apart_ns=20 * NS, running=True):
        day.readings.look(at, at + day.readings.poll_ns, {"run": 0, "state": 2})
        day.struck(at)


def counts_in_stop(day: Day, dice: Random) -> None:
    """The state says "stopped" 3 to 15 s before the machine has run out."""
    for before, after in pairwise(day.life.stretches):
        if before.cycle_ns and not after.cycle_ns and before.end_ns - before.start_ns > 30 * NS:
            early = before.end_ns - dice.randrange(3, 15) * NS
            face = day.readings.faces.of(after.condition, after.code)
            first, last = day.readings.at(early), day.readings.at(before.end_ns)
            for index in range(first, last):
                day.readings.face[index] = face
            day.struck(early, before.end_ns)


# ---- stations apart ---------------------------------------------------------------------------------


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


# ---- the way to the agent ---------------------------------------------------------------------------------


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


# ---- clocks ---------------------------------------------------------------------------------


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


# ---- noted only: the day was set up with them ----


def all_day(day: Day, dice: Random) -> None:
    """What is wrong is wrong all day: a rule of the site file."""
    day.struck(day.life.start_ns, day.life.end_ns)


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


# ---- used above ---------------------------------------------------------------------------------


def _some(found: list[tuple[int, int]], dice: Random, per_day: float, share: float) -> list[tuple[int, int]]:
    return sorted(dice.sample(found, min(len(found), max(1, round(per_day * share)))))


def _zero(day: Day, start_ns: int, end_ns: int) -> None:
    for counter in day.readings.counters():
        column = day.readings.registers[counter]
        for index in range(day.readings.at(start_ns), day.readings.at(end_ns)):
            column[index] = 0
    day.struck(start_ns, end_ns)


def _rubbish(day: Day, dice: Random, samples: Callable[[], int]) -> None:
    for at in moments(day, dice, 12):
        first = day.readings.at(at)
        last = min(first + samples(), day.readings.size)
        for counter in day.readings.counters():
            modulus = day.readings.modulus[counter]
            rubbish = [0, modulus - 1, 32_767 % modulus, *(dice.randrange(modulus) for _ in range(3))]
            for index, value in zip(range(first, last), dice.sample(rubbish, last - first), strict=True):
                day.readings.registers[counter][index] = value
        day.struck(at, day.readings.true_ns[last - 1])


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
    edges = [bisect_left(readings.true_ns, t) for t in times] + [readings.size]
    for counter in counters:
        if readings.has(counter):
            column, modulus = readings.registers[counter], readings.modulus[counter]
            for more, (first, last) in enumerate(pairwise(edges), start=1):
                for index in range(first, last):
                    column[index] = (column[index] + more * pulses) % modulus
    if span is None and times:
        day.struck(times[0], times[-1])


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
