"""Timing of kernels: the best of several goes, so that a busy neighbour does not count."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_GOES = 5
Made = TypeVar("Made")


def best_ns(make: Callable[[], Made], work: Callable[[Made], object], goes: int = _GOES) -> float:
    """Nanoseconds of `work` on something newly made; making it is not timed."""
    best = float("inf")
    for _ in range(goes):
        thing = make()
        began_ns = time.perf_counter_ns()
        work(thing)
        best = min(best, time.perf_counter_ns() - began_ns)
    return best
