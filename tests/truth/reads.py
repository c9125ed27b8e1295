"""What goes wrong in reading: the machine and its registers are well, what is read of them is not.

One function per kind: each changes the readings of a day and notes when it struck. Parameters are drawn from the ranges
printed on the page; how often is scaled to the length of the day.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

from truth.day import Day, moments
from truth.life import HOUR_NS, MINUTE_NS, NS

from protocols.reading import Quality

_WORD = 1 << 16
_RUNS = {"run": 1, "fault": 0, "state": 6, "fault_code": 0, "heating": 0, "changeover": 0, "starved": 0, "blocked": 0}


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
