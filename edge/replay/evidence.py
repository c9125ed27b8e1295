"""What a replayed machine's figures need beside its sums: failures, rejects of start-up, the best stretches on record.

Theory. All of it comes from the same rows and stops that are printed, so anybody can make it again from the output:
failure events from the stops (`edge.kpi.failures`), the rest from the final minutes, each taken in once, in order of
time, and forgotten. A failure is known only when it has lasted, minutes after the window it began in was final; so it
is counted last, and laid into the window, shift and product in which it began.

Rules. The first good piece after a failure is known to the minute: its minute's row has good pieces. TTR is at most a
minute too short by that. Between two lives of a ledger (samples 35 days apart) nothing is known, so nothing was run.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge.kpi.capacity import LENGTHS, STRETCHES_NS, Best, Demonstrated, all_pieces, good_pieces
from edge.kpi.evidence import Evidence, Part, Plan
from edge.kpi.failures import CLEARING, Failure, FailureSums, Stop, failures, note_good, sum_failures
from edge.kpi.figures import SUSPECT_RUN_NS
from edge.kpi.means import of_machine
from edge.kpi.product import product_at
from edge.kpi.row import Row, RowKey, Sums
from edge.kpi.six_losses import startup_rejects
from edge.kpi.windows import MINUTE_NS
from edge.plan import Capability, Machine, Product
from edge.replay.document import demonstrated_document
from ext.buckets import Bucket

NONE = FailureSums()


@dataclass(frozen=True, slots=True)
class About:
    """What a shift row is about."""

    product: str
    shift: str
    shift_date: str


@dataclass(slots=True)
class _Beside:
    """What adds up beside the sums of a shift and product."""

    parts: dict[int, Sums] = field(default_factory=dict)  # by ideal cycle, ns: a product's may change on a date
    startup_rejects_ns: int = 0
    failures: FailureSums = NONE


@dataclass(frozen=True, slots=True)
class _Broken:
    """The window in which a minute's breakdown is booked; the first where the product changed in that minute."""

    window: int
    beside: _Beside
    t3_ns: int


class Record:
    """One machine's record. `take` and `note` as it goes, `close` once, then read."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.means = of_machine(machine)
        self._plan = Plan(machine.oee_target, machine.demand_per_h, machine.rated_per_min)
        self._rows = 0
        self._beside: dict[About, _Beside] = {}
        self._stops = array("q")  # start, end, bucket, fault code
        self._good: list[tuple[int, int]] = []  # stretches of minutes with good pieces
        self._broken: dict[int, _Broken] = {}  # by minute
        self._cleared: list[int] = []  # when a state was seen that only people end
        self._best = [Best(length_ns, good_pieces) for length_ns in STRETCHES_NS]
        self._fastest: dict[str, Best] = {}
        self.failures: Sequence[Failure] = ()
        self._fe: Mapping[int, int] = {}  # failures that began in a window, by its number
        self.demonstrated: Mapping[int, Demonstrated | None] = {}
        self.fastest: Mapping[str, Demonstrated] = {}

    # ---- as it goes ----

    def take(self, row: Row) -> None:
        """A final minute row, in order of time."""
        key, sums = row.key, row.sums
        beside = self._of(key)
        product = self._product(key.product, key.start_ns)
        beside.parts.setdefault(product.ideal_cycle_ns, Sums()).add(sums)
        beside.startup_rejects_ns += startup_rejects((row,), 0)
        for best in self._best:
            best.take(row)
        self._fastest.setdefault(key.product, Best(SUSPECT_RUN_NS, all_pieces)).take(row)
        if good_pieces(sums) > 0:
            note_good(self._good, key.start_ns, row.end_ns - 1)
        if sums.stop_ns[Bucket.BREAKDOWN]:
            self._broken.setdefault(key.start_ns, _Broken(self._rows, beside, product.stop_ns))
        self._rows += 1

    def note(self, t_ns: int, state: str) -> None:
        """The word for the machine's state, at every sample."""
        if state in CLEARING:
            self._cleared.append(t_ns)

    def stopped(self, start_ns: int, end_ns: int, bucket: int, fault_code: int) -> None:
        """A stop, as the kernel hands it out; or time of which nothing is known, as UNKNOWN."""
        self._stops.extend((start_ns, end_ns, bucket, fault_code))

    def close(self, span: tuple[int, int] | None) -> None:
        """There is no more. span: first and last sample."""
        self.demonstrated = {length_ns: best.found() for length_ns, best in zip(STRETCHES_NS, self._best, strict=True)}
        found = {product: best.found() for product, best in self._fastest.items()}
        self.fastest = {product: best for product, best in found.items() if best is not None}
        if span is None:
            return
        from_ns, until_ns = span
        self.failures = failures(
            self.stops(from_ns, until_ns), from_ns=from_ns, until_ns=until_ns, t3_ns=self._t3_at, good=self._good
        )
        fe: dict[int, int] = {}
        for failure in self.failures:
            broken = self._broken.get(failure.start_ns - failure.start_ns % MINUTE_NS)
            if broken is not None:
                fe[broken.window] = fe.get(broken.window, 0) + 1
                broken.beside.failures += sum_failures((failure,), failure.start_ns, failure.start_ns + 1)
        self._fe = fe

    def stops(self, from_ns: int, until_ns: int) -> Iterator[Stop]:
        """By time; cut to the record, none overlapping (a clock may have been set back)."""
        kept = self._stops
        edge_ns, cleared, seen = from_ns, self._cleared, 0
        by_time = sorted(zip(kept[::4], kept[1::4], kept[2::4], kept[3::4], strict=True))
        for begun_ns, ended_ns, bucket, fault_code in by_time:
            start_ns, end_ns = max(begun_ns, edge_ns), min(ended_ns, until_ns)
            if start_ns >= end_ns:
                continue
            while seen < len(cleared) and cleared[seen] < start_ns:
                seen += 1
            by_people = seen < len(cleared) and cleared[seen] < end_ns
            yield Stop(start_ns, end_ns, Bucket(bucket), fault_code, by_people)
            edge_ns = end_ns

    def _t3_at(self, start_ns: int) -> int:
        """t3 of the product that was made when a breakdown began."""
        broken = self._broken.get(start_ns - start_ns % MINUTE_NS)
        return broken.t3_ns if broken is not None else max(product.stop_ns for product in self._machine.products)

    def _product(self, product: str, t_ns: int) -> Product:
        found = product_at(self._machine.products, product, t_ns)
        return self._machine.products[self._machine.product_default] if found is None else found

    def _of(self, key: RowKey) -> _Beside:
        return self._beside.setdefault(About(key.product, key.shift, key.shift_date), _Beside())

    def proved(self) -> dict[str, Any]:
        """The best stretches, as JSON objects: by length, and the fastest half hour of each product."""
        return {
            "demonstrated": {
                name: demonstrated_document(self.demonstrated.get(length_ns)) for length_ns, name in LENGTHS.items()
            },
            "fastest": {product: demonstrated_document(best) for product, best in self.fastest.items()},
        }

    # ---- evidence ----

    @property
    def tells_failures(self) -> bool:
        """Whether the machine's signals tell a breakdown from another stop."""
        return Capability.FAULT in self.means

    def fe_of(self, window: int) -> int | None:
        """Failures that began in the window of this number, in the order they were taken. None: nobody can tell."""
        return self._fe.get(window, 0) if self.tells_failures else None

    def of_window(self, row: Row) -> Evidence:
        """A minute: its sums and the machine's signals."""
        ideal_ns = self._product(row.key.product, row.key.start_ns).ideal_cycle_ns
        return Evidence(row.sums, self.means, (Part(ideal_ns, row.sums),))

    def of_shift(self, row: Row) -> Evidence:
        """A shift and product. After `close`."""
        beside = self._of(row.key)
        return Evidence(
            row.sums,
            self.means,
            _parts((beside,)),
            beside.failures if self.tells_failures else None,
            beside.startup_rejects_ns,
            self._plan,
        )

    def of_total(self, sums: Sums) -> Evidence:
        """All of the record. After `close`."""
        beside = list(self._beside.values())
        made: dict[str, int] = {}
        for about, each in self._beside.items():
            made[about.product] = made.get(about.product, 0) + sum(map(all_pieces, each.parts.values()))
        return Evidence(
            sums,
            self.means,
            _parts(beside),
            sum((each.failures for each in beside), NONE) if self.tells_failures else None,
            sum(each.startup_rejects_ns for each in beside),
            self._plan,
            self.demonstrated,
            self.fastest.get(max(made, key=lambda product: made[product], default="")),
        )


def _parts(several: Sequence[_Beside]) -> list[Part]:
    """By ideal cycle: the same pieces an hour, whatever they are called."""
    found: dict[int, Sums] = {}
    for beside in several:
        for ideal_ns, sums in beside.parts.items():
            found.setdefault(ideal_ns, Sums()).add(sums)
    return [Part(ideal_ns, sums) for ideal_ns, sums in found.items()]
