"""Counted against true, injection by injection.

Theory. Between two faults there is calm: samples the ledger believes at once. There counted pieces and true pieces are
compared at one and the same sample, so that no tolerance is needed: what differs between two calms was done by the
faults between them. Each such span is put in one of four classes, by its worst counter:

    exact     counted = true
    bounded   less was counted, by no more than the ledger itself says it may have lost: lost_max, the size of a jump it
              did not credit (unattributed), or AMBIGUOUS as a lower bound
    flagged   it differs by more, or more was counted; the windows carry a flag that says the number is in doubt
    silent    it differs and nothing says so: the worst there is

Time is compared over the whole day, with what sampling alone cannot know: a change of state is seen up to one sample
late, and a state is believed for `hold` when samples cease.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from truth.day import Day
from truth.life import HOUR_NS, MINUTE_NS, NS
from truth.readings import WIDTH

from edge.calendar.feed import stretch
from edge.kpi.figures import doubts
from edge.kpi.row import Sums
from edge.machines.kernel import new_kernel
from edge.plan import Machine
from ext.buckets import N_BUCKETS, Correction, Counter, Flag, Schedule
from ext.ledger import CELL_FIELDS, MachineLedger

CALM_SAMPLES = 15  # after a fault; a reset may be taken back for ten samples
CALM_NS = 10 * NS
# What a window says of its pieces. STATE_CONFLICT doubts the state; ROLLOVER and QUALITY_ASSUMED tell how was counted.
_DECIDED = Flag.RESET | Flag.AMBIGUOUS | Flag.GLITCH | Flag.COUNTER_FAULT
_UNSEEN = Flag.RECOVERED | Flag.ESTIMATED | Flag.CLOCK_STEP | Flag.ICT_SUSPECT | Flag.COUNTER_CONFLICT
DOUBT = _DECIDED | _UNSEEN
_DECISIONS = (
    Correction.RESET,
    Correction.REBASE,
    Correction.GLITCH,
    Correction.REVERSAL,
    Correction.AMBIGUOUS,
    Correction.COUNTER_FAULT,
)
_FIELD = {name: index for index, name in enumerate(CELL_FIELDS)}
_FIRST_BUCKET = _FIELD["run"]

Cell = tuple[int, ...]
Entry = tuple[int, int, int, int, int, int, int, int]  # a correction of the kernel


class Verdict(IntEnum):
    """From best to worst."""

    EXACT = 0
    BOUNDED = 1
    FLAGGED = 2
    SILENT = 3


@dataclass(frozen=True, slots=True)
class Span:
    """From calm to calm: one injection, or several that overlap."""

    verdict: Verdict
    injections: int
    difference: tuple[int, int, int]  # counted − true: total, good, reject
    bound: tuple[int, int, int]  # the most the ledger says it may have lost
    decided: tuple[int, ...]  # Correction numbers
    flags: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Judged:
    """One machine-day."""

    kind: str
    seed: int
    template: str
    samples: int
    length_ns: int
    spans: tuple[Span, ...]
    true: tuple[int, int, int]
    counted: tuple[int, int, int]
    closes: bool
    run_ns: int
    true_run_ns: int
    unknown_ns: int
    ppt_ns: int
    true_ppt_ns: int
    resolution_ns: int
    oee: float | None
    true_oee: float | None
    hours: int
    hours_off: int  # hours whose pieces differ by more than what two polls at either end may move
    hours_silent: int  # of these, without a flag
    flags: int
    told: bool  # every stop of the machine looks like one: else counts alone place the time

    @property
    def availability(self) -> tuple[float, float]:
        """Lowest and highest, as the ledger says."""
        return self.run_ns / self.ppt_ns, (self.run_ns + self.unknown_ns) / self.ppt_ns

    @property
    def true_availability(self) -> float:
        """As it was."""
        return self.true_run_ns / self.true_ppt_ns

    @property
    def contained(self) -> bool:
        """The true availability lies in the ledger's interval, give or take what sampling cannot know."""
        low, high = self.availability
        room = self.resolution_ns / self.ppt_ns
        return low - room <= self.true_availability <= high + room


@dataclass(frozen=True, slots=True)
class Books:
    """What a day came to, whoever booked it."""

    sums: Sums
    made: tuple[int, int, int]
    hours: Mapping[int, tuple[int, int]]  # pieces and flags by hour
    length_ns: int  # from the first sample to the last


@dataclass(slots=True)
class Ledger:
    """What the kernel booked, in the order of the samples."""

    cells: list[Cell]
    corrections: list[Entry]
    made: list[tuple[int, int, int]]  # after each part
    end_ns: int


def booked(day: Day, rows: array[int], cuts: Sequence[int], restarts: Iterable[int] = ()) -> Ledger:
    """The rows through the kernel, drained at every cut; before the rows in `restarts` it comes back from its
    checkpoint.
    """
    kernel = _kernel(day, rows)
    ledger = Ledger([], [], [], 0)
    reborn = set(restarts)
    flat = memoryview(rows)
    at = 0
    for cut in sorted({*cuts, *reborn, len(rows) // WIDTH}):
        if cut > at:
            kernel.run(flat[at * WIDTH : cut * WIDTH].cast("B").cast("q", (cut - at, WIDTH)))
            ledger.cells += kernel.cells()
            ledger.corrections += kernel.corrections()
        if cut in cuts:
            ledger.made.append(kernel.made)
        if cut in reborn:
            kernel = _reborn(day, rows, kernel)
        at = cut
    ledger.made.append(kernel.made)
    ledger.end_ns = kernel.t_ns
    ledger.cells += kernel.peek(kernel.t_ns)[0]
    return ledger


def _kernel(day: Day, rows: array[int]) -> MachineLedger:
    kernel = new_kernel(day.machine)
    stamps = rows[0::WIDTH]
    days = stretch(day.site.calendar, min(stamps), max(stamps))
    kernel.set_calendar(days.start, days.end, days.kind, days.shift)
    return kernel


def _reborn(day: Day, rows: array[int], before: MachineLedger) -> MachineLedger:
    kernel = _kernel(day, rows)
    kernel.load(before.dump())
    return kernel


# ---- pieces ---------------------------------------------------------------------------------


def judge(day: Day, kind: str, seed: int) -> Judged:
    """The day through the kernel, and what it is worth."""
    rows, samples = day.readings.rows()
    restarts = [bisect_left(samples, index) for index in day.readings.restarts]
    cuts, struck = _calms(day, samples)
    ledger = booked(day, rows, cuts, restarts)
    sums = sums_of(ledger.cells)
    spans = _spans(day, rows, samples, ledger, cuts, struck, sums)
    books = Books(sums, ledger.made[-1], hours_of(ledger.cells), ledger.end_ns - rows[0])
    return judged(day, kind, seed, samples, books, spans)


def _calms(day: Day, samples: Sequence[int]) -> tuple[list[int], list[int]]:
    """Rows at which the faults before are over and the next has not begun; how many lie before each."""
    true_ns, poll_ns = day.readings.true_ns, day.readings.poll_ns
    heard = array("q", [true_ns[index] for index in samples])
    found: list[int] = []
    struck: list[int] = []
    pending, over_ns = 0, 0
    for injection in sorted(day.injections, key=lambda injection: injection.start_ns):
        calm = bisect_left(heard, over_ns + CALM_SAMPLES * poll_ns + CALM_NS)
        if pending and calm < len(heard) and heard[calm] < injection.start_ns - 2 * poll_ns:
            found.append(calm)
            struck.append(pending)
            pending = 0
        pending, over_ns = pending + 1, max(over_ns, injection.end_ns)
    return found, [*struck, pending]


def _spans(
    day: Day,
    rows: array[int],
    samples: Sequence[int],
    ledger: Ledger,
    cuts: list[int],
    struck: list[int],
    sums: Sums,
) -> list[Span]:
    life, readings = day.life, day.readings
    per_count = pieces_per_count(day)
    flags = _flags_of_minutes(ledger.cells)
    whole = int(doubts(sums)) & Flag.ICT_SUSPECT
    ends = [*cuts, len(samples)]
    spans: list[Span] = []
    counted, true = (0, 0, 0), life.counts(readings.true_ns[samples[0]])
    start, at, entries = rows[0], 0, ledger.corrections
    for cut, made, injections in zip(ends, ledger.made, struck, strict=True):
        end = rows[(cut - 1) * WIDTH]
        now = life.counts(readings.true_ns[samples[cut - 1]])
        difference = tuple(m - c - (n - t) * per_count for m, c, n, t in zip(made, counted, now, true, strict=True))
        upto = at
        while upto < len(entries) and (cut == len(samples) or _before(entries[upto], rows, cut)):
            upto += 1
        low, high = min(start, end), max(start, end)
        own = whole
        for minute in range(low - low % MINUTE_NS, high + 1, MINUTE_NS):
            own |= flags.get(minute, 0)
        spans.append(classified(day.machine, difference, entries[at:upto], own, injections, (start, end)))
        counted, true, start, at = made, now, end, upto
    return spans


def _before(entry: Entry, rows: array[int], cut: int) -> bool:
    return entry[0] < rows[cut * WIDTH]


def classified(
    machine: Machine,
    difference: tuple[int, ...],
    entries: Sequence[Entry],
    flags: int,
    injections: int,
    when: tuple[int, int],
) -> Span:
    """What counted and true pieces, and what the ledger says of it, make of a span."""
    decided = tuple(sorted({entry[2] for entry in entries} - {int(Correction.BASELINE)}))
    bounds = [_stated(machine, counter, entries) for counter in Counter]
    verdict = Verdict.EXACT
    for counter in compared(machine):
        off, (bound, lower) = difference[counter], bounds[counter]
        if off == 0:
            continue
        inside = off < 0 and (lower or -off <= bound)
        doubted = flags & _UNSEEN or any(kind in _DECISIONS for kind in decided)  # decided in this span, not near it
        verdict = max(verdict, Verdict.BOUNDED if inside else Verdict.FLAGGED if doubted else Verdict.SILENT)
    stated = tuple(bound for bound, _ in bounds)
    return Span(verdict, injections, _three(difference), _three(stated), decided, flags, *when)


def _stated(machine: Machine, counter: Counter, entries: Sequence[Entry]) -> tuple[int, bool]:
    """The most that was lost, as the corrections say, and whether they call the number a lower bound."""
    counters = {rule.counter for rule in machine.counters}
    bound, lower = 0, False
    for _, which, kind, _, _, _, lost_max, unattributed in entries:
        if which == counter or counter not in counters:
            bound += lost_max + unattributed
            lower |= kind == Correction.AMBIGUOUS and lost_max == 0
    return bound, lower


def compared(machine: Machine) -> list[Counter]:
    """Totals, and goods and rejects where quality is counted and not assumed."""
    return [Counter.TOTAL] if len(machine.counters) == 1 else list(Counter)


def pieces_per_count(day: Day) -> int:
    """As the machine really makes them: by its own site file, not the agent's."""
    rules = day.readings.machine.counters
    return max((rule.multiplier for rule in rules), default=1)


# ---- time ---------------------------------------------------------------------------------


def judged(day: Day, kind: str, seed: int, samples: Sequence[int], books: Books, spans: Sequence[Span]) -> Judged:
    """Everything about one day."""
    readings, life = day.readings, day.life
    first, last = min(samples), max(samples)
    start, end = readings.heard_ns[first], readings.heard_ns[last]
    true_ppt, true_fpt = _planned(day, start, end, (readings.true_ns[first], readings.true_ns[last]))
    before, after = life.counts(readings.true_ns[first]), life.counts(readings.true_ns[last])
    per_count = pieces_per_count(day)
    honest = readings.stamp_ns[last] == readings.heard_ns[last]
    off, silent = _hours(day, books.hours, start, end) if honest else (0, 0)
    inside = [(max(s, start), min(e, end)) for s, e, kind in _slices(day, start, end) if kind < Schedule.NOT_SCHEDULED]
    sums, quality = books.sums, len(compared(day.machine)) > 1
    return Judged(
        kind=kind,
        seed=seed,
        template=day.machine.kind,
        samples=len(samples),
        length_ns=day.life.end_ns - day.life.start_ns,
        spans=tuple(spans),
        true=_three([(a - b) * per_count for a, b in zip(after, before, strict=True)]),
        counted=books.made,
        closes=sum(sums.stop_ns) == sums.all_ns == books.length_ns,
        run_ns=sums.rt_ns,
        true_run_ns=sum(life.run_ns(s, e) for s, e in inside if s < e),
        unknown_ns=sums.unknown_ns,
        ppt_ns=sums.ppt_ns,
        true_ppt_ns=true_ppt,
        resolution_ns=_resolution(day, samples, start, end),
        oee=sums.fpt_ns / sums.ppt_ns if sums.ppt_ns and quality else None,
        true_oee=true_fpt / true_ppt if true_ppt and quality else None,
        hours=len(books.hours) if honest else 0,
        hours_off=off,
        hours_silent=silent,
        flags=sums.flags,
        told=day.readings.faces.tell_stops,
    )


def sums_of(cells: Iterable[Cell]) -> Sums:
    """All cells added up."""
    names = [name for name in CELL_FIELDS if name in Sums.__dataclass_fields__ and name != "flags"]
    columns = list(zip(*cells, strict=True))
    whole = Sums(**{name: sum(columns[_FIELD[name]]) for name in names})
    whole.stop_ns = [sum(columns[_FIRST_BUCKET + bucket]) for bucket in range(N_BUCKETS)]
    whole.all_ns = sum(whole.stop_ns)
    for value in columns[_FIELD["flags"]]:
        whole.flags |= value
    return whole


def _slices(day: Day, start: int, end: int) -> list[tuple[int, int, Schedule]]:
    return list(day.setup.schedule) or [(start, end, Schedule.SCHEDULED)]


def _planned(day: Day, start_ns: int, end_ns: int, made_ns: tuple[int, int]) -> tuple[int, int]:
    """Planned production time as it was, and the ideal time of the good pieces made in it and after `made_ns[0]`, up to
    `made_ns[1]`: what the registers showed at the first and the last sample.
    """
    life, products = day.life, day.readings.machine.products
    per_count = pieces_per_count(day)
    ppt = fpt = 0
    for from_ns, to_ns, kind in _slices(day, start_ns, end_ns):
        from_ns, to_ns = max(from_ns, start_ns), min(to_ns, end_ns)
        if from_ns >= to_ns or kind is Schedule.NOT_SCHEDULED:
            continue
        ppt += to_ns - from_ns if kind is Schedule.SCHEDULED else life.run_ns(from_ns, to_ns)
        for product, part in _by_product(day, max(from_ns, made_ns[0] + 1), min(to_ns, made_ns[1] + 1)):
            good = life.counts(part[1] - 1)[1] - life.counts(part[0] - 1)[1]
            fpt += good * per_count * products[product].ideal_cycle_ns
    return ppt, fpt


def _by_product(day: Day, from_ns: int, to_ns: int) -> Iterable[tuple[int, tuple[int, int]]]:
    at, product = from_ns, -1
    for start, _, s in day.life.between(from_ns, to_ns):
        if s.product != product:
            if product >= 0:
                yield product, (at, start)
            at, product = start, s.product
    yield product, (at, to_ns)


def _resolution(day: Day, samples: Sequence[int], start_ns: int, end_ns: int) -> int:
    """Run time that samples alone cannot place: a change of state is seen with the next sample, at most `hold` late
    (then the time is unknown), and where samples cease the state is believed for `hold`.
    """
    readings, hold = day.readings, day.machine.hold_ns
    arrived = sorted(samples)
    true_ns = array("q", [readings.true_ns[index] for index in arrived])
    room = 0
    for turn in day.life.turns(start_ns, end_ns):
        following = bisect_left(true_ns, turn)
        if following < len(arrived):
            room += min(readings.heard_ns[arrived[following]] - turn, hold)
    gaps = sum(b - a > hold for a, b in pairwise(true_ns))
    return room + gaps * hold


def _flags_of_minutes(cells: Iterable[Cell]) -> dict[int, int]:
    flags: dict[int, int] = {}
    for cell in cells:
        flags[cell[0]] = flags.get(cell[0], 0) | cell[_FIELD["flags"]]
    return flags


def hours_of(cells: Iterable[Cell]) -> dict[int, tuple[int, int]]:
    """Pieces and flags by hour; the flags as the product's own hour has them, low coverage included."""
    hours: dict[int, Sums] = {}
    for cell in cells:
        hour = hours.setdefault(cell[0] - cell[0] % HOUR_NS, Sums())
        hour.tc += cell[_FIELD["tc"]] + cell[_FIELD["unscheduled_tc"]]
        hour.ppt_ns += cell[_FIELD["ppt_ns"]]
        hour.unknown_ns += cell[_FIELD["unknown_ns"]]
        hour.flags |= cell[_FIELD["flags"]]
    return {start: (hour.tc, hour.flags | int(doubts(hour)) & Flag.COVERAGE_LOW) for start, hour in hours.items()}


def _hours(day: Day, hours: Mapping[int, tuple[int, int]], start_ns: int, end_ns: int) -> tuple[int, int]:
    """Hours whose total is off by more than two polls at either end can move; those of them without a flag."""
    life, per_count, edge = day.life, pieces_per_count(day), 2 * day.readings.poll_ns + NS
    off = silent = 0

    def by(t_ns: int) -> int:
        return life.counts(min(max(t_ns, start_ns), end_ns))[0] * per_count

    for hour, (pieces, flags) in hours.items():
        most = by(hour + HOUR_NS + edge) - by(hour - edge)
        least = by(hour + HOUR_NS - edge) - by(hour + edge)
        if not least <= pieces <= most:
            off += 1
            silent += not flags & (DOUBT | Flag.COVERAGE_LOW)
    return off, silent


def _three(numbers: Iterable[int]) -> tuple[int, int, int]:
    total, good, reject = numbers
    return total, good, reject
