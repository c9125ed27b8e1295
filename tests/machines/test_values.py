"""Process values: by interval, deadband and quality; never twice for one reading; never without bound."""

from __future__ import annotations

import pytest
from machines.bench import T0, S, machine, new_images, write

from edge.machines import values
from edge.machines.values import ProcessValues
from protocols.reading import Quality


class Thermometer:
    """Its values as they are read; what was kept of them."""

    def __init__(self) -> None:
        self.images = new_images()
        self.kept = ProcessValues([machine()], self.images)

    def read(self, t_s: float, degrees: int, quality: Quality = Quality.GOOD, tags: tuple[int, ...] = (0,)) -> None:
        t_ns = T0 + round(t_s * S)
        write(self.images[1], t_ns, {0: degrees}, quality)
        self.kept.on_frame(1, tags)

    def taken(self) -> list[tuple[float, float, Quality]]:
        return [((kept.t_ns - T0) / S, kept.number, kept.quality) for kept in self.kept.take(1000)]


def numbers(of: Thermometer) -> list[float]:
    return [number for _, number, _ in of.taken()]


def test_the_first_reading_is_kept() -> None:
    thermometer = Thermometer()
    thermometer.read(0, 20)
    assert thermometer.taken() == [(0.0, 20.0, Quality.GOOD)]
    assert thermometer.taken() == [], "once"


def test_only_what_leaves_the_deadband() -> None:
    """One degree: exactly one is inside."""
    thermometer = Thermometer()
    for t_s, degrees in enumerate([20, 21, 20, 19, 22, 23, 24]):
        thermometer.read(t_s, degrees)
    assert numbers(thermometer) == [20, 22, 24]


def test_a_steady_value_is_kept_once_an_interval() -> None:
    thermometer = Thermometer()
    for t_s in range(25):
        thermometer.read(t_s, 20)
    assert [t_s for t_s, _, _ in thermometer.taken()] == [0, 10, 20]


def test_a_change_of_quality_is_kept_both_ways() -> None:
    thermometer = Thermometer()
    for t_s, quality in enumerate([Quality.GOOD, Quality.BAD, Quality.BAD, Quality.GOOD]):
        thermometer.read(t_s, 20, quality)
    assert [quality for _, _, quality in thermometer.taken()] == [Quality.GOOD, Quality.BAD, Quality.GOOD]


def test_a_frame_that_did_not_read_it_keeps_nothing() -> None:
    thermometer = Thermometer()
    thermometer.read(0, 20, tags=())
    assert thermometer.taken() == []


def test_a_clock_set_back_does_not_silence_it() -> None:
    thermometer = Thermometer()
    for t_s in (0, 1, -3600, -3599, -3590):
        thermometer.read(t_s, 20)
    assert [t_s for t_s, _, _ in thermometer.taken()] == [0, -3600, -3590]


def test_what_nobody_takes_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "WAITING_LIMIT", 3)
    thermometer = Thermometer()
    for t_s in range(5):
        thermometer.read(t_s, 100 * t_s)
    assert numbers(thermometer) == [0, 100, 200]
    assert thermometer.kept.dropped == 2
