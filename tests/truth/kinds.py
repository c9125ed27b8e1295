"""The kinds of fault: on which days, what is done, and what the ledger promises. In words: kinds.toml.

The list is the data part of a fault catalogue for PLC counters and states, and what a gateway adds to it. What a row
promises is checked: on `EXACT` days every piece is counted, `BOUNDED` ones never lose more than the ledger says they
may, `DOUBTED` ones never differ without a flag. Of a `BLIND` kind no reader of these signals can know; the page prints
what happens, and why.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random

from truth import reads, registers, setups, ways
from truth.day import Day

from edge.plan import Name


class Knows(StrEnum):
    """What is promised of the pieces of a kind."""

    EXACT = "exact"
    BOUNDED = "bounded"
    DOUBTED = "doubted"
    BLIND = "blind"


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table."""

    key: str
    name: Name
    what: Name  # parameters and frequency
    why: Name | None  # what no reader can know, or what the difference is
    knows: Knows
    setup: setups.SetUp
    inject: Callable[[Day, Random], None]
    places_time: bool  # the availability interval must contain the truth
    replayed: bool  # order of arrival matters: through `seamline replay`, not straight into the kernel
    days: int  # how long one life is
    share: int  # of 1,000 machine-days
    told_in_hours: float  # a life this long is long enough for the ledger to say what it promises

    @property
    def comparable(self) -> bool:
        """A file of readings can say everything the kernel was told: not how a clock was set, nor a bare sign of a
        restart.
        """
        return not self.replayed and self.key not in ("clock-step", "clock-drift", "power-cut-told")


_WORDS = tomllib.loads(Path(__file__).with_name("kinds.toml").read_text("utf-8"))


def _kind(
    key: str,
    knows: Knows,
    setup: setups.SetUp,
    inject: Callable[[Day, Random], None],
    *,
    places_time: bool = True,
    replayed: bool = False,
    days: int = 1,
    share: int = 19,
    told_in_hours: float = 1.0,
) -> Kind:
    words = {part: Name(**said) for part, said in _WORDS[key].items()}
    name, what, why = words["name"], words["what"], words.get("why")
    return Kind(key, name, what, why, knows, setup, inject, places_time, replayed, days, share, told_in_hours)


ALL: tuple[Kind, ...] = (
    _kind("none", Knows.EXACT, setups.anything, ways.none, share=40),
    # the register itself
    _kind("wrap-16", Knows.EXACT, setups.narrow(1 << 16), registers.wraps),
    _kind("wrap-odd", Knows.EXACT, setups.narrow(), registers.wraps),
    _kind("reset-shift", Knows.BOUNDED, setups.either_width, registers.cleared_at_shift),
    _kind("reset-hand", Knows.BOUNDED, setups.either_width, registers.cleared_by_hand),
    _kind("reset-standing", Knows.EXACT, setups.either_width, registers.cleared_standing),
    _kind("power-cut", Knows.EXACT, setups.with_stops(180, 1_200, 3), registers.power_cut),
    _kind("power-cut-told", Knows.EXACT, setups.with_stops(180, 1_200, 3), registers.power_cut_that_tells),
    _kind("replaced", Knows.DOUBTED, setups.with_stops(1_800, 10_800, 1), registers.replaced),
    _kind("preset", Knows.DOUBTED, setups.either_width, registers.preset),
    _kind("undo", Knows.BLIND, setups.fast, registers.undone),
    _kind("backwards", Knows.EXACT, setups.fast, reads.backwards_for_a_moment),
    # what is read of it
    _kind("glitch", Knows.EXACT, setups.anything, reads.glitch),
    _kind("glitch-row", Knows.DOUBTED, setups.anything, reads.glitches_in_a_row),
    _kind("torn", Knows.EXACT, setups.carrying, reads.torn),
    _kind("zero-brief", Knows.EXACT, setups.either_width, reads.zero_briefly),
    _kind("zero-long", Knows.BOUNDED, setups.fast, reads.zero_for_long, places_time=False),
    _kind("blank", Knows.EXACT, setups.fast, reads.blank_block, places_time=False),
    _kind("frozen", Knows.BOUNDED, setups.anything, reads.frozen, places_time=False),
    _kind("counter-bad", Knows.EXACT, setups.anything, reads.counter_unreadable),
    _kind("all-bad", Knows.EXACT, setups.anything, reads.all_unreadable),
    _kind("words-swapped", Knows.BOUNDED, setups.fast, reads.words_swapped, places_time=False),
    _kind("words-swapped-stay", Knows.DOUBTED, setups.fast, reads.words_swapped_for_good, places_time=False),
    _kind("map-shift", Knows.DOUBTED, setups.fast, reads.map_shifted, places_time=False),
    # sensors and rules
    _kind("bounce", Knows.BLIND, setups.fast, registers.bounced),
    _kind("bounce-storm", Knows.BLIND, setups.fast, registers.bounced_in_a_storm),
    _kind("missed", Knows.BLIND, setups.fast, registers.missed),
    _kind("good-above-total", Knows.DOUBTED, setups.fast, registers.disagreeing, told_in_hours=6.0),
    _kind("multiplier-high", Knows.BLIND, setups.agent_believes(10), ways.all_day, places_time=False),
    _kind("multiplier-low", Knows.BLIND, setups.pulses_ten, ways.all_day),
    _kind("reject-ahead", Knows.EXACT, setups.two_stations("good"), registers.ahead),
    _kind("good-ahead", Knows.EXACT, setups.two_stations("reject"), registers.ahead),
    # the state
    _kind("run-on", Knows.EXACT, setups.anything, reads.run_stuck_on, places_time=False),
    _kind("run-off", Knows.EXACT, setups.fast, reads.run_stuck_off, places_time=False),
    _kind("flicker", Knows.EXACT, setups.fast, reads.flicker),
    _kind("counts-in-stop", Knows.EXACT, setups.fast, reads.counts_in_stop),
    _kind("micro-stops", Knows.EXACT, setups.restless, ways.micro_stops),
    _kind("estop-days", Knows.EXACT, setups.held_for_days, ways.held, days=4),
    # the way to the agent
    _kind("gap-short", Knows.EXACT, setups.anything, ways.short_gaps),
    _kind("gap-long", Knows.EXACT, setups.anything, ways.long_gap),
    _kind("gap-wrap", Knows.BOUNDED, setups.narrow_in_the_dark, ways.long_gap),
    _kind("gap-reset", Knows.BLIND, setups.either_width, ways.gap_with_reset),
    _kind("product-change", Knows.EXACT, setups.two_products, ways.product_changes),
    _kind("gap-product", Knows.EXACT, setups.two_products, ways.gap_with_product_change),
    _kind("duplicates", Knows.EXACT, setups.anything, ways.duplicates),
    _kind("out-of-order", Knows.EXACT, setups.generic, ways.out_of_order, replayed=True),
    _kind("late", Knows.EXACT, setups.generic_slow, ways.late, replayed=True),
    _kind("agent-killed", Knows.EXACT, setups.anything, ways.agent_killed),
    # clocks
    _kind("clock-step", Knows.EXACT, setups.anything, ways.clock_steps, places_time=False),
    _kind("clock-drift", Knows.EXACT, setups.anything, ways.clock_drift),
    _kind("summer-time", Knows.EXACT, setups.summer_time, ways.nights),
    _kind("breaks", Knows.EXACT, setups.breaks, ways.breaks_worked),
)
BY_KEY = {kind.key: kind for kind in ALL}
