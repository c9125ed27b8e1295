"""Which layouts hold what the person reads, over all rounds of a tag and over all tags of a device together. Pure.

Theory. One round is one reading of the HMI with what the registers held around that moment. A machine that runs counts
on while somebody looks up, reads and types, so a layout passes a round when the number shown lies between what it gave
before and after, widened by what the machine may have made in between. What passes every round is left.

    one       one frame is left (`Layout.frame`): this is how the tag lies
    several   more are left: another value, best a larger or another one, tells them apart
    none      nothing fits

Zero registers tell nothing: 398 in sixteen bits is 398 in thirty-two, if its neighbour is zero. Where several layouts
make the same number of the same bytes and differ in zeros only, the configured one is believed, or else those of the
configured width; the others are said to be not excluded (`open`). But sixteen bits right at the configured place are
as likely as thirty-two beside it: then both are left.

Tags of one device are seldom wrong in different ways. Where one change of order and place (a `Shift`) explains all of
them and no other one does, it settles tags that alone would be in doubt: of small numbers half the bytes are zero, and
a zero word fits anywhere.

Rules.
* A layout that could not be read fails: it costs itself and nothing else.
* Another power of ten than the configured one counts only where nothing else passes, and for all digits: with enough
  of them cut off a number is near any other.
* Many PLCs show one memory in both tables of registers: what the other table gives as well is no other answer.
* How far a value may have moved is bounded by the counter's own rate, or by a hundredth of the value where there is
  none. A wrong order makes great leaps of every count, and would pass any interval between two of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import isclose

from edge.probe.layouts import Layout, order_that_shows
from edge.probe.shown import Shown
from protocols.modbus.tags import DataType, ModbusTag, WordOrder

_MARGIN = 1.2  # of a counter's rate: cycles have a best time, plates have optimists
_DRIFT = 0.01  # of a value that is no counter, while somebody reads and types

Value = int | float | str | None  # None: not to be read, or no number of that format


@dataclass(frozen=True, slots=True)
class Motion:
    """How a counter moves; for anything else `rate_per_s` is None."""

    rate_per_s: float | None = None  # at most, in counts
    modulus: int = 0  # it runs 0 … modulus-1


@dataclass(frozen=True, slots=True)
class Glance:
    """What every layout of a tag gave at one moment, in their order, and the raw bytes each was made of."""

    at_s: float
    values: tuple[Value, ...]
    raws: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Round:
    """A value read off the HMI: after `before` where there is one, at most `ago_s` before `after` otherwise."""

    shown: Shown
    after: Glance
    before: Glance | None = None
    ago_s: float = 0.0


class Verdict(Enum):
    """What a tag's rounds say."""

    ONE = "one"
    SEVERAL = "several"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Fit:
    """Layouts of one frame that passed: the nearest to the configuration, and other formats that give the same."""

    place: int  # of the nearest, among the tag's layouts
    layout: Layout
    also: tuple[DataType, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is left of a tag's layouts, the nearest to the configuration first."""

    verdict: Verdict
    fits: tuple[Fit, ...]
    together: bool = False  # settled by the other tags of the device
    open: tuple[Fit, ...] = ()  # beside the answer: what these values cannot exclude

    @property
    def answer(self) -> Fit | None:
        """The one, where there is one."""
        return self.fits[0] if self.verdict is Verdict.ONE else None


@dataclass(frozen=True, slots=True)
class Shift:
    """What tags of a device have in common when its map is wrong: another table, a place further on, an order."""

    sibling: bool  # the other table of registers, or of bits
    by: int
    order: WordOrder | None  # None: as configured


def judge(layouts: Sequence[Layout], rounds: Sequence[Round], motion: Motion) -> Judgement:
    """What is left after all rounds of one tag; `layouts` by cost."""
    passed = [i for i, layout in enumerate(layouts) if all(passes(layout, i, one, motion) for one in rounds)]
    left = [i for i in passed if layouts[i].decade == 1.0] or passed
    frames: dict[tuple[object, ...], list[int]] = {}
    for place in left:
        frames.setdefault(layouts[place].frame, []).append(place)
    own_table = layouts[0].tag.table
    twins = {_but_table(layouts[place]): place for place in left if layouts[place].tag.table is own_table}
    fits = tuple(
        Fit(places[0], layouts[places[0]], tuple(layouts[other].tag.type for other in places[1:]))
        for places in frames.values()
        if not _mirrored(places[0], layouts, twins, rounds)
    )
    kept, left_open = _of_zeros(fits, layouts[0].tag, rounds)
    verdict = Verdict.NONE if not kept else Verdict.ONE if len(kept) == 1 else Verdict.SEVERAL
    return Judgement(verdict, kept, open=left_open)


def _of_zeros(fits: Sequence[Fit], tag: ModbusTag, rounds: Sequence[Round]) -> tuple[tuple[Fit, ...], tuple[Fit, ...]]:
    """The fits, and those apart that differ from one of them in zeros only and are further from the configuration."""
    alike: dict[tuple[object, ...], list[Fit]] = {}
    for fit in fits:
        alike.setdefault(_digits(fit, rounds), []).append(fit)
    kept: set[int] = set()
    for group in alike.values():
        own = [fit for fit in group if fit.layout.cost == 0]
        wide = [fit for fit in group if fit.layout.tag.registers == tag.registers]
        here = [fit for fit in group if (fit.layout.tag.table, fit.layout.tag.address) == (tag.table, tag.address)]
        beside = not any(fit in wide for fit in here)
        chosen = own or (wide + here if wide and beside else wide) or group
        kept |= {fit.place for fit in chosen}
    return tuple(f for f in fits if f.place in kept), tuple(f for f in fits if f.place not in kept)


def _but_table(layout: Layout) -> tuple[object, ...]:
    return layout.tag.type, *layout.frame[1:]


def _mirrored(
    place: int, layouts: Sequence[Layout], twins: Mapping[tuple[object, ...], int], rounds: Sequence[Round]
) -> bool:
    """Whether the configured table holds the same registers at the same place in every round."""
    twin = twins.get(_but_table(layouts[place]), place)
    return twin != place and all(one.after.raws[twin] == one.after.raws[place] for one in rounds)


def _digits(fit: Fit, rounds: Sequence[Round]) -> tuple[object, ...]:
    """Which bytes of the memory are what digits of the number, zero bytes left out: what a value can tell of a place.

    Bytes by their address and their weight; and how they are understood. Bits and texts: the frame itself.
    """
    tag = fit.layout.tag
    if tag.type in (DataType.BOOL, DataType.STRING) or tag.bits is not None:
        return fit.layout.frame
    size = 2 * tag.registers
    sources = arranged(range(size), tag.word_order)  # by falling weight
    found = {
        (2 * tag.address + source, size - 1 - at)
        for one in rounds
        for at, source in enumerate(sources)
        if one.after.raws[fit.place][source]
    }
    return tag.table, _KINDS.get(tag.type, tag.type), frozenset(found)


def arranged(wire: Sequence[int], order: WordOrder) -> list[int]:
    """Bytes as they came, in the order of their weight, the most significant first."""
    pairs = [list(wire[at : at + 2][:: -1 if order.swaps_bytes else 1]) for at in range(0, len(wire), 2)]
    if len(pairs) == 4:
        halves = [pairs[:2], pairs[2:]]
        pairs = [pair for half in halves[:: -1 if order.swaps_halves else 1] for pair in half]
    if order.swaps_words:
        pairs = [pair for at in range(0, len(pairs), 2) for pair in pairs[at : at + 2][::-1]]
    return [byte for pair in pairs for byte in pair]


def passes(layout: Layout, place: int, one: Round, motion: Motion) -> bool:
    """Whether a layout holds what was shown in one round."""
    after = one.after.values[place]
    before = after if one.before is None else one.before.values[place]
    if after is None or before is None:
        return False
    if isinstance(after, str) or isinstance(before, str) or one.shown.text is not None:
        return _same_text(one.shown, before, after)
    if layout.tag.type is DataType.BOOL:
        return one.shown.whole in (before, after)
    if layout.decade != 1.0 and layout.tag.type not in _FLOATS:
        return any(isclose(one.shown.number, value, rel_tol=1e-12) for value in (before, after))
    if one.shown.holds(after) or one.shown.holds(before):
        return True
    waited_s = one.after.at_s - one.before.at_s if one.before is not None else one.ago_s
    if motion.rate_per_s is not None:
        most = motion.rate_per_s * abs(layout.tag.scale) * _MARGIN * waited_s + abs(layout.tag.scale)
        return _counted(one.shown, before if one.before is not None else None, after, most, motion.modulus)
    most = _DRIFT * max(abs(one.shown.low), abs(one.shown.high)) + one.shown.tolerance
    low, high = min(before, after), max(before, after)
    return high - low <= most and low <= one.shown.high and high >= one.shown.low


def _counted(shown: Shown, before: float | None, after: float, most: float, modulus: int) -> bool:
    """A counter: shown before it was `after`, and not before it was `before`."""

    def since(then: float) -> float:
        return (after - then) % modulus if modulus else after - then

    if modulus and not (0 <= after < modulus and (before is None or 0 <= before < modulus)):
        return False
    made_shown = since(shown.number)
    if not 0 <= made_shown <= most + shown.tolerance:
        return False
    return before is None or (0 <= since(before) <= most and made_shown <= since(before) + 1)


def _same_text(shown: Shown, before: Value, after: Value) -> bool:
    return bool(shown.text) and shown.text in (before, after)


def together(tags: Sequence[ModbusTag], judgements: Sequence[Judgement]) -> tuple[Judgement, ...]:
    """The judgements of the tags of one device, those in doubt settled where one shift explains all of them."""
    known = [i for i, one in enumerate(judgements) if one.fits and one.fits[0].layout.decade == 1.0]
    if len(known) < 2 or all(judgements[i].verdict is Verdict.ONE for i in known):
        return tuple(judgements)
    common: set[Shift] | None = None
    for i in known:
        shifts = {shift for fit in judgements[i].fits for shift in _shifts(tags[i], fit)}
        common = shifts if common is None else common & shifts
    if not common:
        return tuple(judgements)
    settled = list(judgements)
    for i in known:
        fitting = [fit for fit in judgements[i].fits if common & set(_shifts(tags[i], fit))]
        if judgements[i].verdict is Verdict.SEVERAL and len(fitting) == 1:
            settled[i] = Judgement(Verdict.ONE, (fitting[0],), together=True)
    return tuple(settled)


def _shifts(tag: ModbusTag, fit: Fit) -> list[Shift]:
    """The shifts that would put the tag, as configured otherwise, where this fit has it."""
    found = fit.layout.tag
    if found.type is not tag.type and tag.type not in fit.also:
        return []
    if fit.layout.decade != 1.0 or found.bit != tag.bit:
        return []
    sibling, by = found.table is not tag.table, found.address - tag.address
    if tag.table.is_bits or tag.type is DataType.STRING:
        same = found.string_low_byte_first == tag.string_low_byte_first
        return [Shift(sibling, by, order) for order in (None, *_ORDERS)] if same else []
    shown = order_that_shows(found)
    orders = [o for o in _ORDERS if order_that_shows(_ordered(tag, o)) == shown]
    own: list[WordOrder | None] = [None] if order_that_shows(tag) == shown else []
    return [Shift(sibling, by, order) for order in (*own, *orders)]


_FLOATS = (DataType.F16, DataType.F32, DataType.F64)
_INTEGER, _BCD = "integer", "bcd"
_KINDS: dict[DataType, str] = {
    **dict.fromkeys((DataType.U16, DataType.I16, DataType.SM16, DataType.U32, DataType.I32, DataType.SM32), _INTEGER),
    **dict.fromkeys((DataType.U64, DataType.I64), _INTEGER),
    **dict.fromkeys((DataType.BCD16, DataType.BCD32, DataType.BCD64), _BCD),
}
_ORDERS = (WordOrder.ABCD, WordOrder.CDAB, WordOrder.BADC, WordOrder.DCBA)


def _ordered(tag: ModbusTag, order: WordOrder) -> ModbusTag:
    return replace(tag, word_order=order)
