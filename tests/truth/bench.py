"""A day by its number: made, struck, judged. What the run in parallel, the tests and a person with a debugger share."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

from truth import kinds
from truth.day import Day, live_through
from truth.judge import Judged, judge
from truth.replayed import disagreement, judge_replayed

_HOUR = 1.0


def made(key: str, number: int, seed: int, hours: float = 24.0) -> Day:
    """Day `number` of a kind, faults and all. The same arguments give the same day."""
    kind = kinds.BY_KEY[key]
    dice = Random(f"{seed}/{key}/{number}")
    day = live_through(kind.setup(dice, hours), dice.randrange(1 << 31), dice)
    kind.inject(day, dice)
    return day


def day_of(key: str, number: int, seed: int, hours: float = 24.0) -> Judged:
    """The same, judged."""
    day = made(key, number, seed, hours)
    if not kinds.BY_KEY[key].replayed:
        return judge(day, key, number)
    with tempfile.TemporaryDirectory() as folder:
        return judge_replayed(day, key, number, Path(folder))


def agrees(key: str, seed: int) -> list[str]:
    """An hour of this kind through the kernel and through `seamline replay`: in what they differ."""
    with tempfile.TemporaryDirectory() as folder:
        return disagreement(made(key, 0, seed, _HOUR), Path(folder))
