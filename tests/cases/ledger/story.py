"""A machine told as a story: what it did, sample by sample, and what the ledger made of it. For tests of both ledgers.

All times in stories are seconds since the story began (08:00 UTC on a Wednesday, at the start of a minute).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge.kpi.row import Sums
from edge.kpi.windows import cell_to_sums
from ext.buckets import Bucket, Counter, Flag, Schedule
from ext.ledger import CELL_FIELDS

S = 1_000_000_000
START = 1_700_035_200 * S  # 2023-11-15T08:00:00Z
DAY = 86_400
NO_STATE = -1
SHIFT = 7

Slices = Sequence[tuple[float, float, Schedule, int]]
ALWAYS: Slices = ((-DAY, 40 * DAY, Schedule.SCHEDULED, SHIFT),)


def ns(seconds: float) -> int:
    """Story seconds as a duration."""
    return round(seconds * S)


def calendar_arrays(slices: Slices) -> tuple[array[int], ...]:
    """As `set_calendar` takes them."""
    columns = zip(*((START + ns(a), START + ns(b), int(kind), shift) for a, b, kind, shift in slices), strict=True)
    return tuple(array("q", column) for column in columns)


@dataclass
class Outcome:
    """What the ledger says, cells added up."""

    cells: list[tuple[int, ...]]
    stops: list[tuple[int, int, int, int]]
    corrections: list[tuple[int, ...]]
    made: tuple[int, int, int]
    sums: Sums = field(init=False)

    def __post_init__(self) -> None:
        self.sums = Sums()
        for cell in self.cells:
            self.sums.add(cell_to_sums(cell))

    @property
    def flags(self) -> Flag:
        return Flag(self.sums.flags)

    def seconds(self, bucket: Bucket) -> float:
        return self.sums.stop_ns[bucket] / S

    @property
    def buckets(self) -> dict[str, float]:
        """Seconds by bucket name, zeros left out."""
        return {b.name.lower(): self.seconds(b) for b in Bucket if self.sums.stop_ns[b]}

    @property
    def minutes(self) -> list[tuple[float, int]]:
        """Pieces by minute of the story."""
        return [(start_ns / S, sums.tc + sums.unscheduled_tc) for start_ns, sums in self._by("minute_ns", START)]

    @property
    def losses(self) -> list[tuple[float, int]]:
        """Pieces that a reset may have hidden, by minute of the story."""
        return [(start_ns / S, sums.lost_max) for start_ns, sums in self._by("minute_ns", START) if sums.lost_max]

    @property
    def products(self) -> list[tuple[int, float, int]]:
        """Seconds and pieces by product."""
        return [(product, sums.all_ns / S, sums.tc) for product, sums in self._by("product")]

    def _by(self, column: str, origin: int = 0) -> list[tuple[int, Sums]]:
        found: dict[int, Sums] = {}
        for cell in self.cells:
            found.setdefault(cell[CELL_FIELDS.index(column)] - origin, Sums()).add(cell_to_sums(cell))
        return sorted(found.items())

    @property
    def stop_story(self) -> list[tuple[float, float, str, int]]:
        """Ended stops: (from, to, name, fault code)."""
        return [((a - START) / S, (b - START) / S, Bucket(k).name.lower(), fault) for a, b, k, fault in self.stops]


class Machine:
    """Feeds a ledger. Registers hold what the PLC shows; `sample` moves time and registers and pushes."""

    def __init__(
        self,
        ledger: Callable[..., Any],
        *,
        ideal_s: float = 1,
        t1_s: float | None = None,
        t2_s: float | None = None,
        t3_s: float = 60,
        products: Sequence[tuple[float, float, float, float]] = (),
        hold_s: float = 5,
        counters: Sequence[str] = ("total",),
        modulus: int = 65536,
        rate_per_s: float = 20.0,
        multiplier: int = 1,
        calendar: Slices = ALWAYS,
        flush: Sequence[tuple[int, float]] = (),
        multipliers: Sequence[tuple[int, int, int]] = (),
        times: Sequence[tuple[str, int, float]] = (),
    ) -> None:
        """`flush`: pieces and seconds per product; `times`: bucket, modulus, unit in seconds per accumulator."""
        rules = products or ((ideal_s, t1_s or 1.05 * ideal_s, t2_s or 1.7 * ideal_s, t3_s),)
        self.counters = [Counter[name.upper()] for name in counters]
        self.modulus = modulus
        self.rules: tuple[Any, ...] = (
            ns(hold_s),
            tuple((int(c), modulus, rate_per_s, multiplier) for c in self.counters),
            tuple(tuple(ns(x) for x in rule) for rule in rules),
        )
        self.options: dict[str, Any] = {
            "flush": tuple((pieces, ns(after_s)) for pieces, after_s in flush),
            "multipliers": tuple(tuple(row) for row in multipliers),
            "times": tuple((int(Bucket[name.upper()]), modulus, ns(unit_s)) for name, modulus, unit_s in times),
        }
        self.make = ledger
        self.calendar = calendar
        self.ledger = self.fresh()
        self.now_s = 0.0
        self.registers = [0, 0, 0]
        self.samples: list[tuple[int, ...]] = []
        self.sample(0)

    def fresh(self) -> Any:
        """Another ledger of the same rules, as after a restart."""
        made = self.make(*self.rules, **self.options)
        made.set_calendar(*calendar_arrays(self.calendar))
        return made

    def sample(
        self,
        after_s: float = 1,
        state: int | str = Bucket.RUN,
        *,
        times: int = 1,
        total: int = 0,
        good: int = 0,
        reject: int = 0,
        register: dict[str, int] | None = None,
        fault: int = 0,
        product: int = 0,
        unread: Iterable[str] = (),
        plc_restarted: bool = False,
        wall_s: float | None = None,
        told: Sequence[int] | None = None,
    ) -> Machine:
        """`times` samples, each `after_s` later, with these pieces counted between them; `register` shows other values.

        wall_s: how far the wall clock moves meanwhile, where it is not `after_s`. told: the PLC's accumulators of time
        as they are read with each of the samples.
        """
        named = isinstance(state, str) and state != "none"
        bucket: int | str = int(Bucket[str(state).upper().replace("-", "_")]) if named else state
        bucket = NO_STATE if bucket == "none" else int(bucket)
        hidden = {Counter[name.upper()] for name in unread}
        mask = sum(1 << c for c in self.counters if c not in hidden) | (8 if plc_restarted else 0)
        for _ in range(times):
            for c, pieces in enumerate((total, good, reject)):
                self.registers[c] = (self.registers[c] + pieces) % self.modulus
            for name, value in (register or {}).items():
                self.registers[Counter[name.upper()]] = value
            self.now_s += after_s if wall_s is None else wall_s
            row = (START + ns(self.now_s), ns(after_s), bucket, fault, product, mask, *self.registers)
            self.samples.append(row)
            if told is not None:
                self.ledger.note_times(row[0], (1 << len(told)) - 1, array("q", told))
            self.ledger.push(*row)
        return self

    def restart(self, renumber: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
        """kill -9 right after a commit: everything but the checkpoint is new. Returns the rows that were committed."""
        rows: list[tuple[int, ...]] = self.ledger.cells()
        blob = self.ledger.dump()
        self.ledger = self.fresh()
        self.ledger.load(blob, renumber)
        return rows

    def outcome(self, at_s: float | None = None) -> Outcome:
        """Everything up to `at_s` (default: the last sample): drained cells and a peek."""
        cells = self.ledger.cells()
        peeked = self.ledger.peek(START + ns(self.now_s if at_s is None else at_s))[0]
        return Outcome(cells + peeked, self.ledger.stops(), self.ledger.corrections(), self.ledger.made)


def tell(ledger: Callable[..., Any], case: dict[str, Any]) -> Outcome:
    """Run a story from its file."""
    rules = dict(case.get("machine", {}))
    if "calendar" in case:
        rules["calendar"] = [
            (a, b, Schedule[kind.upper().replace("-", "_")], SHIFT if kind != "not-scheduled" else 0)
            for a, b, kind in case["calendar"]
        ]
    machine = Machine(ledger, **rules)
    for step in case["samples"]:
        machine.sample(**step)
    return machine.outcome(case.get("look_at_s"))
