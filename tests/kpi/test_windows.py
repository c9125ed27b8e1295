"""Minute rows and their sums: names, finality, restarts, shifts across midnight and clock changes."""

from __future__ import annotations

from array import array
from datetime import UTC, datetime, time
from functools import partial
from typing import Any

import pytest
from cases.ledger.story import SHIFT, START, Machine, S
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.calendar import ShiftInstance, shift_of, slices
from edge.kpi.figures import oee
from edge.kpi.rollup import HOUR, HOUR_NS, Rollup, hour_of, shift_spans, sum_rows
from edge.kpi.rollup import SHIFT as SHIFT_WINDOW
from edge.kpi.row import Row, RowKey, Sums
from edge.kpi.windows import MINUTE_NS, MinuteBook, cell_to_sums, renumbering
from edge.plan import Break, Calendar, Shift
from ext.buckets import Bucket, Flag
from ext.ledger import CELL_FIELDS, MachineLedger

EARLY = ShiftInstance("early", datetime(2023, 11, 15, tzinfo=UTC).date(), START, START + 8 * HOUR_NS)


def book(products: tuple[str, ...] = ("mask",), config_version: str = "c0ffee") -> MinuteBook:
    return MinuteBook("m1", products, lambda number: EARLY, tier=2, config_version=config_version)


def test_a_cell_is_all_of_its_numbers() -> None:
    """Every column of a cell that is a sum lands in the field of the same name; the bucket columns in their order."""
    cell = tuple(range(100, 100 + len(CELL_FIELDS)))
    made = cell_to_sums(cell)
    at = CELL_FIELDS.index
    assert made.stop_ns == list(cell[at("run") : at("not_scheduled") + 1])
    assert made.all_ns == sum(made.stop_ns)
    for name in CELL_FIELDS[at("ppt_ns") :]:
        assert getattr(made, name) == cell[at(name)], name


def test_minutes_become_final_when_booking_has_passed_them() -> None:
    """A final row is given once; the open minute is a provisional row under the same key until it is final itself."""
    machine, minutes = Machine(MachineLedger).sample(total=1, times=90), book()
    ledger = machine.ledger
    minutes.add(ledger.cells())
    (first,) = minutes.finished(ledger.booked_ns)
    assert first.key == RowKey("m1", "1m", START, "mask", "early", "2023-11-15")
    assert (first.final, first.end_ns, first.sums.tc, first.sums.all_ns) == (True, START + MINUTE_NS, 60, 60 * S)
    assert (first.tier, first.config_version, first.doubts) == (2, "c0ffee", Flag.QUALITY_ASSUMED)
    (open_row,) = minutes.provisional(ledger.peek(START + 95 * S)[0])
    assert (open_row.final, open_row.sums.tc, open_row.sums.all_ns) == (False, 30, 35 * S)
    machine.sample(total=1, times=60)
    minutes.add(ledger.cells())
    (second,) = minutes.finished(ledger.booked_ns)
    assert second.key == open_row.key
    assert (second.sums.tc, second.final) == (60, True)
    assert minutes.finished(ledger.booked_ns) == []


def test_a_look_keeps_nothing() -> None:
    """Provisional rows may be asked for every second; they leave no trace in the final ones."""
    machine, minutes = Machine(MachineLedger).sample(total=1, times=30), book()
    minutes.add(machine.ledger.cells())
    looks = [minutes.provisional(machine.ledger.peek(START + 40 * S)[0])[0].sums for _ in range(3)]
    assert looks[0] == looks[1] == looks[2]
    assert minutes.finished(START + 3 * MINUTE_NS) == []


steps = st.lists(st.tuples(st.sampled_from([1, 1, 1, 7, 70, 200]), st.integers(0, 3), st.integers(0, 1)), max_size=40)


@settings(max_examples=50)
@given(steps, st.sets(st.integers(0, 39)))
def test_rows_of_a_killed_agent_are_the_rows_of_a_living_one(walk: list[tuple[int, int, int]], kills: set[int]) -> None:
    """Committed rows and both checkpoints bring back everything: killed anywhere, the store ends up with the same
    rows.
    """

    def live(killed: set[int]) -> dict[RowKey, Row]:
        machine = Machine(MachineLedger, products=((1, 2, 3, 60), (2, 4, 6, 60)))
        minutes, store = book(("a", "b")), {}
        for number, (after_s, pieces, product) in enumerate(walk):
            machine.sample(after_s, total=pieces, product=product)
            minutes.add(machine.ledger.cells())
            rows = minutes.finished(machine.ledger.booked_ns)
            rows += minutes.provisional(machine.ledger.peek(machine.ledger.t_ns)[0])
            store.update({row.key: row for row in rows})
            if number in killed:
                saved = machine.ledger.dump(), minutes.dump()
                machine.ledger, minutes = machine.fresh(), book(("a", "b"))
                machine.ledger.load(saved[0], renumbering(saved[1], ("a", "b")))
                minutes.load(saved[1], machine.ledger.cells())
        return store

    assert live(kills) == live(set())


def test_old_names_survive_a_new_configuration() -> None:
    """The product list changes order and loses one: what was counted stays under its name, the present one gets its
    number.
    """
    machine, minutes = Machine(MachineLedger, products=((1, 2, 3, 60),) * 3), book(("kn95", "flat", "old"))
    machine.sample(total=1, product=2, times=5).sample(total=1, product=1, times=5)
    minutes.add(machine.ledger.cells())
    minutes.provisional(machine.ledger.peek(machine.ledger.t_ns)[0])
    saved = machine.ledger.dump(), minutes.dump()
    now = ("flat", "kn95")
    assert renumbering(saved[1], now) == (1, 0, 0)
    machine.ledger, minutes = machine.fresh(), MinuteBook("m1", now, _no_shift, tier=2, config_version="new")
    machine.ledger.load(saved[0], renumbering(saved[1], now))
    minutes.load(saved[1], machine.ledger.cells())
    rows = {row.key.product: row.sums.tc for row in minutes.provisional(machine.ledger.peek(machine.ledger.t_ns)[0])}
    assert rows == {"kn95": 1, "old": 5, "flat": 4}, "a piece seen with the new product was still made of the old one"


def _no_shift(number: int) -> ShiftInstance:
    raise ValueError(f"no shift {number} in this calendar")


@pytest.mark.parametrize(
    "blob", [b"", b"{}", b"[]", b'{"version":99}', b'{"version":1,"products":[],"shifts":[],"minutes":[[1]]}']
)
def test_what_is_no_minute_book_is_refused(blob: bytes) -> None:
    """A damaged dump is an error with words; the book is as it was."""
    minutes = book()
    before = minutes.dump()
    with pytest.raises(ValueError):
        minutes.load(blob)
    assert minutes.dump() == before


# ---- hours and shifts ------------------------------------------------------------------------------------------------


def minute_row(number: int, *, product: str = "mask", version: str = "v1", tc: int = 60, unknown: int = 0) -> Row:
    stops = [0] * len(Bucket)
    stops[Bucket.RUN], stops[Bucket.UNKNOWN] = 60 * S - unknown, unknown
    flags = Flag.COVERAGE_LOW if unknown else Flag.NONE
    sums = Sums(
        all_ns=60 * S, ppt_ns=60 * S, rt_ns=60 * S - unknown, nrt_ns=tc * S, fpt_ns=tc * S, unknown_ns=unknown,
        stop_ns=stops, tc=tc, gc=tc, flags=int(flags),
    )  # fmt: skip
    key = RowKey("m1", "1m", START + number * MINUTE_NS, product, "early", "2023-11-15")
    return Row(key, key.start_ns + MINUTE_NS, sums, 0, True, version, 2)


def test_an_hour_is_the_sum_of_its_minutes() -> None:
    """Hours by UTC hour and product, final once booking has passed their end; the union of flags, judged anew."""
    rows = [minute_row(n, unknown=10 * S if n == 3 else 0) for n in range(90)] + [minute_row(5, product="kn95")]
    hours = sum_rows(rows, HOUR, hour_of, booked_ns=START + 90 * MINUTE_NS)
    found = {(row.key.start_ns - START, row.key.product): (row.sums.tc, row.final) for row in hours}
    assert found == {(0, "mask"): (3600, True), (HOUR_NS, "mask"): (1800, False), (0, "kn95"): (60, True)}
    assert all(row.key.window == "1h" and row.end_ns - row.key.start_ns == HOUR_NS for row in hours)
    assert all(row.doubts == Flag.NONE for row in hours)


def test_mixed_configurations_are_said() -> None:
    """An hour in which the rules changed carries the newest version and the flag."""
    (hour,) = sum_rows([minute_row(0), minute_row(1, version="v2")], HOUR, hour_of, booked_ns=0)
    assert (hour.config_version, hour.doubts) == ("v2", Flag.CONFIG_CHANGED)


def test_running_sums_equal_a_sum_of_everything() -> None:
    """Fed minute by minute, looked at in between, a rollup ends where one big sum does, and changes no row it was
    given.
    """
    rows = [minute_row(n) for n in range(125)]
    rollup, final = Rollup(HOUR, hour_of), []
    for row in rows:
        look = rollup.provisional([row])
        assert all(not r.final for r in look)
        rollup.add([row])
        final += rollup.finished(row.end_ns)
    assert final + rollup.provisional([]) == sum_rows(rows, HOUR, hour_of, booked_ns=rows[-1].end_ns)
    assert rows == [minute_row(n) for n in range(125)]


BERLIN = Calendar(
    "night", "Europe/Berlin", (Shift("night", time(22), time(6), frozenset(range(7)), (Break(time(1), time(1, 30)),)),)
)


@pytest.mark.parametrize(
    ("day", "hours"), [((2026, 10, 24), 9), ((2026, 3, 28), 7), ((2026, 6, 1), 8)], ids=["autumn", "spring", "summer"]
)
def test_a_night_shift_is_as_long_as_it_is(day: tuple[int, int, int], hours: int) -> None:
    """22:00 to 06:00 across a clock change is nine or seven hours of planned time, reported on the date it began."""
    noon = int(datetime(*day, 12, tzinfo=UTC).timestamp()) * S
    cut = slices(BERLIN, noon, noon + 24 * HOUR_NS)
    ledger = MachineLedger(180 * S, ((0, 65536, 20.0, 1),), ((S, 2 * S, 3 * S, 60 * S),))
    ledger.set_calendar(*(array("q", column) for column in zip(*(_slice(s) for s in cut), strict=True)))
    minutes, shifts = MinuteBook("m1", ("mask",), partial(shift_of, BERLIN), tier=2, config_version="v"), {}
    for minute in range(24 * 60):
        ledger.push(noon + minute * MINUTE_NS, -1, int(Bucket.BREAKDOWN), 0, 0, 1, 0)
    minutes.add(ledger.cells())
    rows = minutes.finished(ledger.booked_ns)
    shifts = shift_spans(shift_of(BERLIN, s.shift_id) for s in cut if s.shift_id)
    (night,) = sum_rows(rows, SHIFT_WINDOW, shifts, booked_ns=ledger.booked_ns)
    assert night.final
    assert (night.key.shift, night.key.shift_date) == ("night", f"{day[0]}-{day[1]:02}-{day[2]:02}")
    assert (night.sums.all_ns, night.end_ns - night.key.start_ns) == (hours * HOUR_NS, hours * HOUR_NS)
    assert night.sums.ppt_ns == hours * HOUR_NS - 30 * MINUTE_NS
    assert oee(night.sums) == 0.0


def _slice(s: Any) -> tuple[int, int, int, int]:
    return s.start_ns, s.end_ns, int(s.schedule), s.shift_id


def test_minutes_outside_shifts_belong_to_no_shift() -> None:
    """Overtime is in the hours, not in a shift."""
    row = minute_row(0)
    loose = Row(RowKey("m1", "1m", START, "mask", "", ""), row.end_ns, row.sums, 0, True, "v1", 2)
    assert sum_rows([loose], SHIFT_WINDOW, shift_spans([EARLY]), booked_ns=0) == []
    assert len(sum_rows([loose], HOUR, hour_of, booked_ns=0)) == 1


def test_shift_ids_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Naming a shift expands a calendar; the book remembers the last few and asks no more."""
    asked: list[int] = []

    def name(number: int) -> ShiftInstance:
        asked.append(number)
        return EARLY

    minutes = MinuteBook("m1", ("mask",), name, tier=1, config_version="v")
    machine = Machine(MachineLedger).sample(total=1, times=600)
    minutes.add(machine.ledger.cells())
    assert asked == [SHIFT]
