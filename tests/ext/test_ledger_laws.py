"""Laws of the ledger, on streams of any wildness: what must hold whatever a machine, a PLC or a clock does."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cases.ledger.story import START, S
from hypothesis import given, settings
from hypothesis import strategies as st
from twins.ledger import LedgerTwin

from edge.kpi.figures import losses
from edge.kpi.row import Sums
from edge.kpi.windows import cell_to_sums
from ext.buckets import Bucket, Schedule
from ext.ledger import MachineLedger

HOLD = 5 * S
MODULUS = 1000


@dataclass(frozen=True)
class World:
    """One machine's rules, calendar and readings."""

    counters: tuple[int, ...]
    products: tuple[tuple[int, int, int, int], ...]
    calendar: tuple[tuple[int, int, int, int], ...]
    samples: tuple[tuple[int, ...], ...]
    options: dict[str, Any]  # flush, multipliers, times
    notes: tuple[tuple[int, ...] | None, ...]  # what the PLC's accumulators said before each sample

    def ledger(self, build: Any = MachineLedger) -> Any:
        made = build(HOLD, tuple((c, MODULUS, 20.0, 1 + c) for c in self.counters), self.products, **self.options)
        made.set_calendar(*(array("q", column) for column in zip(*self.calendar, strict=True)))
        return made

    def tell(self, ledger: Any, number: int) -> None:
        """The next sample, and what was noted before it."""
        note = self.notes[number]
        if note is not None:
            ledger.note_times(note[0], note[1], array("q", note[2:]))
        ledger.push(*self.samples[number])

    def told(self, build: Any = MachineLedger) -> Any:
        made = self.ledger(build)
        for number in range(len(self.samples)):
            self.tell(made, number)
        return made

    @property
    def end_ns(self) -> int:
        return max(sample[0] for sample in self.samples)


def everything(ledger: Any, at_ns: int = 0) -> tuple[Any, ...]:
    """All a ledger says."""
    return (
        ledger.cells(), ledger.stops(), ledger.corrections(), ledger.made, ledger.booked_ns, ledger.t_ns,
        ledger.peek(max(at_ns, ledger.t_ns)),
    )  # fmt: skip


def sums_of(cells: Sequence[tuple[int, ...]]) -> Sums:
    total = Sums()
    for cell in cells:
        total.add(cell_to_sums(cell))
    return total


STATES = [-1, *(b for b in Bucket if b not in (Bucket.NOT_SCHEDULED, Bucket.PLANNED_STOP))]
CALM = st.sampled_from([S, S, S, S, 2 * S, S // 3])
ROUGH = st.one_of(CALM, CALM, CALM, st.sampled_from([0, HOLD, HOLD + 1, 61 * S, 200 * S]), st.integers(1, 400 * S))
WILD = st.one_of(ROUGH, st.sampled_from([-2 * S, -400 * S]))
TIMES = (
    (),
    ((Bucket.RUN, 100, S), (Bucket.BREAKDOWN, 2**31 - 1, S), (Bucket.RUN, 2**31, S // 10, S // 5)),
    ((Bucket.RUN, 2**31, S), (Bucket.INTERNAL_MINOR, 2**31, S), (Bucket.UNKNOWN, 500, S), (Bucket.NO_ORDER, 9, S)),
)
FLUSHES = st.tuples(st.sampled_from([0, 0, 3, 40]), st.sampled_from([0, 0, 10 * S, 120 * S]))
MULTIPLIERS = st.tuples(*[st.sampled_from([0, 0, 1, 7])] * 3)
COUNTERS = st.sampled_from([(), (0,), (1,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])


@st.composite
def calendars(draw: st.DrawFn) -> tuple[tuple[int, int, int, int], ...]:
    """Any contiguous slices around the story."""
    at, slices = START - 2000 * S, []
    kinds = st.sampled_from([Schedule.SCHEDULED, Schedule.SCHEDULED, Schedule.BREAK, Schedule.NOT_SCHEDULED])
    for length in draw(st.lists(st.integers(1, 600 * S), max_size=30)):
        slices.append((at, at + length, int(draw(kinds)), draw(st.integers(0, 3))))
        at += length
    return (*slices, (at, START + 400 * 86_400 * S, int(draw(kinds)), 9))


@st.composite
def worlds(draw: st.DrawFn, steps: st.SearchStrategy[int] = WILD) -> World:
    """Readings of any kind: states that flap, counters that jump, clocks that step, signals that come and go."""
    t_ns, registers, state, samples = START, [draw(st.integers(0, MODULUS - 1)) for _ in range(3)], 0, []
    times, spent, notes = draw(st.sampled_from(TIMES)), 0, []
    shares = [draw(st.sampled_from([0, 0, 1, 1, 2])) for _ in times]
    one = st.tuples(
        steps,
        st.one_of(st.none(), st.none(), st.sampled_from(STATES)),
        st.tuples(*[st.sampled_from([0, 0, 1, 1, 2, 7])] * 3),
        st.sampled_from([7, 7, 7, 7, 0, 1, 2, 4, 15]),
        st.sampled_from([0, 0, 0, 0, 1]),
        st.sampled_from([0, 0, 7, 9]),
        st.one_of(st.none(), st.none(), st.none(), st.integers(-1, MODULUS)),
        st.booleans(),
    )
    for dt, turn, made, mask, product, fault, lie, timed in draw(st.lists(one, min_size=25, max_size=70)):
        t_ns += dt
        state = int(state if turn is None else turn)
        registers = [(r + n) % MODULUS for r, n in zip(registers, made, strict=True)]
        shown = registers if lie is None else [lie, *registers[1:]]
        samples.append((t_ns, max(dt, 0) if timed else -1, state, fault, product, mask, *shown))
        spent += max(dt, 0)
        told = [
            share * spent // max(1, sum(shares)) // rule[2] % rule[1] for share, rule in zip(shares, times, strict=True)
        ]
        notes.append((max(t_ns - (made[2] == 7) * S, 1), 15 - fault // 7, *told) if times and mask else None)
    stop = draw(st.sampled_from([4, 20, 60, 300])) * S
    products = ((S // 2, S * 21 // 40, S * 17 // 20, stop), (2 * S, 2 * S, 4 * S, max(stop, 4 * S)))
    options = {
        "times": times,
        "flush": draw(st.sampled_from([(), (draw(FLUSHES), draw(FLUSHES))])),
        "multipliers": draw(st.sampled_from([(), (draw(MULTIPLIERS), draw(MULTIPLIERS))])),
    }
    return World(draw(COUNTERS), products, draw(calendars()), tuple(samples), options, tuple(notes))


@settings(max_examples=120)
@given(worlds())
def test_stream_batch_and_twin_agree_to_the_bit(world: World) -> None:
    """Pushed one by one, run as a batch, or told to the plain twin: the same cells, stops, corrections, counts and
    view.
    """
    batch, told = world.ledger(), [note for note in world.notes if note is not None]
    if all(note is None or note[0] == sample[0] for note, sample in zip(world.notes, world.samples, strict=True)):
        batch.run(as_rows(world.samples), as_rows(told) if told else None)
    else:  # a note of another time than its sample comes earlier in a batch
        batch = world.told()
    stream = world.told()
    twin = world.told(LedgerTwin)
    at_ns = stream.t_ns + 90 * S
    assert batch.dump() == stream.dump()
    said = everything(stream, at_ns)
    assert said == everything(batch, at_ns)
    assert said == everything(twin, at_ns)


@settings(max_examples=120)
@given(worlds(), st.integers(0, 500 * S))
def test_every_nanosecond_once_and_every_piece(world: World, later: int) -> None:
    """Buckets sum to the time that passed, exactly; pieces sum to the pieces counted; the waterfall closes."""
    ledger = world.told()
    first_ns, at_ns = world.samples[0][0], ledger.t_ns + later
    drained = ledger.cells()
    booked = sums_of(drained + ledger.peek(ledger.booked_ns)[0])
    assert booked.all_ns == ledger.booked_ns - first_ns
    peeked = sums_of(drained + ledger.peek(at_ns)[0])
    assert peeked.all_ns == at_ns - first_ns == sum(peeked.stop_ns)
    for sums in (booked, peeked):
        pieces = (sums.tc + sums.unscheduled_tc, sums.gc + sums.unscheduled_gc, sums.sc + sums.unscheduled_sc)
        assert pieces == ledger.made
        assert sums.rt_ns + sums.unscheduled_run_ns == sums.stop_ns[Bucket.RUN]
        assert sums.unknown_ns == sums.stop_ns[Bucket.UNKNOWN]
        off = sums.stop_ns[Bucket.PLANNED_STOP] + sums.stop_ns[Bucket.NOT_SCHEDULED]
        assert sums.ppt_ns == sums.all_ns - off - sums.unscheduled_run_ns
        assert sums.slow_ns + sums.small_ns <= sums.rt_ns
        assert sums.conflict_ns <= sums.stop_ns[Bucket.RUN]
        steps = losses(sums)
        down = steps.schedule_ns + steps.availability_ns + steps.performance_ns + steps.quality_ns
        assert down + steps.fpt_ns == steps.all_ns
    for cell in map(cell_to_sums, drained):
        assert min(cell.tc, cell.gc, cell.sc, cell.slow_ns, cell.small_ns, cell.conflict_ns, *cell.stop_ns) >= 0
        assert cell.rt_ns <= cell.ppt_ns <= cell.all_ns <= 60 * S
        assert cell.estimated <= cell.recovered <= cell.tc + cell.unscheduled_tc


@settings(max_examples=60)
@given(worlds())
def test_what_is_final_stays_final(world: World) -> None:
    """Cells leave in time order, and all of a minute has left when `booked_ns` is beyond its end."""
    ledger = world.ledger()
    out: list[int] = []
    for number in range(len(world.samples)):
        world.tell(ledger, number)
        minutes = [cell[0] for cell in ledger.cells()]
        assert not out or not minutes or minutes[0] >= out[-1]
        out += minutes
        assert out == sorted(out)
        open_cells = ledger.peek(ledger.booked_ns)[0]
        assert all(cell[0] + 60 * S >= ledger.booked_ns for cell in open_cells)


@settings(max_examples=60)
@given(worlds(), st.integers(0, 300 * S))
def test_a_look_changes_nothing(world: World, ahead: int) -> None:
    """A ledger that is looked at between any two samples is the same ledger."""
    plain, watched = world.told(), world.ledger()
    for number, sample in enumerate(world.samples):
        world.tell(watched, number)
        before = watched.dump()
        watched.peek(sample[0] + ahead)
        assert watched.dump() == before
    assert everything(watched) == everything(plain)


@settings(max_examples=60)
@given(worlds(), st.sampled_from([5, 20, 90, 600]))
def test_the_stop_threshold_moves_no_figure(world: World, t3_s: int) -> None:
    """t3 decides between RUN and stop. Planned time, pieces and fully productive time, so OEE, do not depend on it."""
    other = replace(world, products=tuple((*product[:3], t3_s * S) for product in world.products))
    at_ns = world.end_ns + 1000 * S
    one, two = (sums_of((ledger := w.told()).cells() + ledger.peek(at_ns)[0]) for w in (world, other))
    assert (one.ppt_ns, one.fpt_ns, one.nrt_ns, one.tc) == (two.ppt_ns, two.fpt_ns, two.nrt_ns, two.tc)
    assert (one.all_ns, one.unknown_ns, one.unscheduled_run_ns) == (two.all_ns, two.unknown_ns, two.unscheduled_run_ns)


def as_rows(rows: Sequence[tuple[int, ...]]) -> memoryview:
    flat = array("q", [n for row in rows for n in row])
    return memoryview(flat).cast("B").cast("q", (len(rows), len(rows[0])))


def by_key(cells: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], Sums]:
    """Cells of one minute, shift and product add up."""
    found: dict[tuple[int, ...], Sums] = {}
    for cell in cells:
        found.setdefault(cell[:3], Sums()).add(cell_to_sums(cell))
    return found


@settings(max_examples=40)
@given(worlds())
def test_restart_anywhere_is_no_event(world: World) -> None:
    """Killed after any sample and continued from the checkpoint, the ledger comes out the same."""
    for build in (MachineLedger, LedgerTwin):
        whole = world.told(build)
        broken, cells = world.ledger(build), []
        stops, corrections = [], []
        for number in range(len(world.samples)):
            world.tell(broken, number)
            cells += broken.cells()
            stops += broken.stops()
            corrections += broken.corrections()
            blob, broken = broken.dump(), world.ledger(build)
            broken.load(blob)
        at_ns = whole.t_ns + 30 * S
        cells += broken.cells()
        assert by_key(cells + broken.peek(at_ns)[0]) == by_key(whole.cells() + whole.peek(at_ns)[0])
        assert (stops, corrections) == (whole.stops(), whole.corrections())
        assert (broken.made, broken.booked_ns) == (whole.made, whole.booked_ns)


@settings(max_examples=40)
@given(worlds(steps=ROUGH))
def test_a_copy_of_a_reading_is_no_reading(world: World) -> None:
    """Every sample twice gives the same ledger, to the bit: a copy neither books, counts nor confirms anything."""
    once, twice = world.told(), world.ledger()
    for number, sample in enumerate(world.samples):
        world.tell(twice, number)
        twice.push(sample[0], 0, *sample[2:])
    assert everything(once, world.end_ns + S) == everything(twice, world.end_ns + S)
