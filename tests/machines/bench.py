"""A machine on the bench: registers set by name, a clock moved by hand, a store that is a dictionary.

Shift "day" runs around the clock in UTC unless a calendar is given; one piece takes 2 s at best, a state is believed
for 5 s, a gap between pieces becomes a stop after 20 s.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from edge.kpi.row import Row, RowKey, Sums
from edge.machines.events import Revision, StopEvent
from edge.machines.life import Harvest, MachineLife
from edge.plan import (
    Calendar,
    Condition,
    CounterRule,
    FaultText,
    Machine,
    Name,
    ProcessValue,
    Product,
    Signal,
    StateRule,
)
from ext.buckets import Bucket, Counter
from protocols.reading import Quality, TagImage

S = 1_000_000_000
MINUTE = 60 * S
T0 = 1_780_000_040 * S  # twenty seconds into a minute
NAME = Name("机", "machine")
SIGNALS = ("run", "fault", "fault_code", "recipe", "total", "reject")
RUN, FAULT, FAULT_CODE, RECIPE, TOTAL, REJECT = range(6)
TEMPERATURE = 0  # the only tag of the second device
ALWAYS = Calendar("c", "UTC", ())


def condition(signal: int, *values: int, negate: bool = False) -> Condition:
    return Condition(signal, frozenset(values), negate)


def machine(**changes: object) -> Machine:
    whole = Machine(
        index=0,
        id="m1",
        kind="mask",
        line="a",
        name=NAME,
        tier=3,
        calendar="c",
        hold_ns=5 * S,
        poll_ns=S,
        signals=tuple(Signal(name, 0, tag) for tag, name in enumerate(SIGNALS)),
        states=(
            StateRule((condition(FAULT, 1),), Bucket.BREAKDOWN, "fault"),
            StateRule((condition(RUN, 1),), Bucket.RUN, "execute"),
        ),
        state_default=StateRule((), Bucket.UNASSIGNED, "stopped"),
        counters=(
            CounterRule(Counter.TOTAL, TOTAL, 1 << 16, 5.0),
            CounterRule(Counter.REJECT, REJECT, 1 << 16, 5.0),
        ),
        products=(
            Product("small", NAME, 2 * S, 3 * S, 6 * S, 20 * S, code=1),
            Product("large", NAME, 4 * S, 5 * S, 10 * S, 20 * S, code=2),
        ),
        product_signal=RECIPE,
        product_default=0,
        fault_code_signal=FAULT_CODE,
        faults=(FaultText(7, NAME, Bucket.EXTERNAL_STARVED), FaultText(8, NAME)),
        process_values=(ProcessValue("temp", 1, TEMPERATURE, "°C", 1.0, 10 * S, NAME),),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def new_images() -> list[TagImage]:
    return [TagImage(len(SIGNALS)), TagImage(len(SIGNALS))]


def write(image: TagImage, t_ns: int, values: dict[int, int], quality: Quality = Quality.GOOD) -> None:
    """As a reply does: every tag of the block gets the time of the reading."""
    for tag in range(image.size):
        image.t_ns[tag], image.quality[tag] = t_ns, quality
    for tag, value in values.items():
        image.i64[tag], image.f64[tag] = value, float(value)


@dataclass
class Bench:
    """One machine with its images and what was committed of it."""

    machine: Machine = field(default_factory=machine)
    calendar: Calendar = ALWAYS
    now_ns: int = T0
    config_version: str = "c1"
    rows: dict[RowKey, Row] = field(default_factory=dict)
    sums: dict[RowKey, Row] = field(default_factory=dict)
    stops: dict[int, StopEvent] = field(default_factory=dict)  # by start, as points are
    revisions: list[Revision] = field(default_factory=list)
    checkpoint: bytes | None = None
    pages: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.images = new_images()
        self.monotonic_ns = 0
        self.registers = {RUN: 1, FAULT: 0, FAULT_CODE: 0, RECIPE: 1, TOTAL: 100, REJECT: 3}
        self.life = self._new_life()

    def _new_life(self) -> MachineLife:
        return MachineLife(self.machine, self.calendar, self.images, self.config_version, self.now_ns)

    def wait(self, ns: int) -> None:
        self.now_ns += ns
        self.monotonic_ns += ns

    def sample(self, quality: Quality = Quality.GOOD, **registers: int) -> None:
        self.registers |= {SIGNALS.index(name): value for name, value in registers.items()}
        write(self.images[0], self.now_ns, self.registers, quality)
        self.life.observe(self.now_ns, self.monotonic_ns)

    def make(self, pieces: int, every_ns: int = 2 * S) -> None:
        """A piece, then the reading that shows it, again and again."""
        for _ in range(pieces):
            self.wait(every_ns)
            self.sample(total=(self.registers[TOTAL] + 1) % (1 << 16))

    def commit(self, *, minute: bool = True, closing: bool = False) -> Harvest:
        harvest = self.life.harvest(self.now_ns, minute=minute or closing, open_windows=closing)
        self.rows |= {row.key: row for row in harvest.rows}
        self.sums |= {row.key: row for row in harvest.sums}
        self.stops |= {stop.start_ns: stop for stop in harvest.stops}
        self.revisions += harvest.revisions
        self.checkpoint = harvest.checkpoint or self.checkpoint
        self.pages |= dict(harvest.pages)
        return harvest

    def restart(self) -> None:
        """kill -9: what was not committed is gone; the images are empty until the PLC is read again."""
        self.images = new_images()
        self.monotonic_ns = 0
        self.life = self._new_life()
        since_ns = self.life.restore(self.checkpoint, self.now_ns, self.pages.values())
        self.life.remember([row for row in self.rows.values() if row.key.start_ns >= since_ns])

    @property
    def total(self) -> Sums:
        """Everything committed, added up."""
        whole = Sums()
        for row in self.rows.values():
            whole.add(row.sums)
        return whole
