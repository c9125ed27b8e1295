"""Are the books right? Four independent counts of the same pieces, machine by machine.

    made       what the simulated PLC really produced, by the simulator's own account
    counted    what the agent says it counted
    stored     the sum of the one-minute ledger rows in the store on disk
    delivered  the same sum, read back from the database by query

and OEE twice: by the truth (ideal cycle × good pieces / scheduled time, from the simulator and the calendar), and by
the agent's ledger (FPT / PPT from the store). Pieces must be equal; OEE must be equal to one part in a million.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edge.calendar import slices
from edge.kpi import figures
from edge.machines.report import merged
from edge.outbox.reader import Reader
from edge.plan import SitePlan
from ext.buckets import Schedule

OEE_TOLERANCE = 1e-6
ALWAYS_NS = 1 << 62


@dataclass(frozen=True, slots=True)
class Made:
    """The simulator's account of one machine."""

    total: int
    good: int
    ideal_cycle_ns: int  # at the speed of the simulation


@dataclass(frozen=True, slots=True)
class Booked:
    """The agent's account of one machine, from its store."""

    total: int
    oee: float | None
    rollovers: int
    resets: int
    glitches: int
    unknown_ns: int
    all_ns: int


@dataclass(frozen=True, slots=True)
class Line:
    """One machine of the verdict; None where nothing was asked."""

    id: str
    kind: str
    protocol: str
    made: int
    counted: int
    stored: int
    delivered: int | None
    oee_truth: float | None
    oee: float | None

    @property
    def agrees(self) -> bool:
        """Every figure that was asked for is the same."""
        pieces = {self.made, self.counted, self.stored} | ({self.delivered} if self.delivered is not None else set())
        if len(pieces) != 1 or (self.oee is None) != (self.oee_truth is None):
            return False
        return (
            self.oee is None
            or self.oee_truth is None
            or math.isclose(self.oee, self.oee_truth, rel_tol=0.0, abs_tol=OEE_TOLERANCE)
        )


def read_store(path: Path, machines: Iterable[str]) -> dict[str, Booked]:
    """Sum the ledger of every machine in the store at `path`. Raises StoreError."""
    booked: dict[str, Booked] = {}
    with Reader(path) as reader:
        for machine in machines:
            sums = merged(reader.ledger_rows(machine, "1m", 0, ALWAYS_NS))
            booked[machine] = Booked(
                total=sums.tc + sums.unscheduled_tc,
                oee=figures.oee(sums),
                rollovers=sums.rollovers,
                resets=sums.resets,
                glitches=sums.glitches,
                unknown_ns=sums.unknown_ns,
                all_ns=sums.all_ns,
            )
    return booked


def oee_by_truth(plan: SitePlan, machine: str, made: Made, since_ns: int, until_ns: int) -> float | None:
    """Ideal cycle × good pieces over the scheduled time from the agent's first sample to its last commit."""
    entry = next(m for m in plan.machines if m.id == machine)
    calendar = next(c for c in plan.calendars if c.id == entry.calendar)
    planned_ns = sum(
        piece.end_ns - piece.start_ns
        for piece in slices(calendar, since_ns, until_ns)
        if piece.schedule is Schedule.SCHEDULED
    )
    return made.ideal_cycle_ns * made.good / planned_ns if planned_ns else None


def verdict(
    plan: SitePlan,
    made: Mapping[str, Made],
    counted: Mapping[str, int],
    booked: Mapping[str, Booked],
    delivered: Mapping[str, int] | None,
    lives: Mapping[str, tuple[int, int]],
) -> list[Line]:
    """One line per machine. `lives`: first sample and last commit, UTC ns, of machines that were read at all."""
    protocols = {index: device.protocol for index, device in enumerate(plan.devices)}
    lines = []
    for machine in plan.machines:
        truth, book = made[machine.id], booked[machine.id]
        life = lives.get(machine.id)
        lines.append(
            Line(
                id=machine.id,
                kind=machine.kind,
                protocol=protocols[machine.signals[0].device],
                made=truth.total,
                counted=counted.get(machine.id, 0),
                stored=book.total,
                delivered=None if delivered is None else delivered.get(machine.id, 0),
                oee_truth=oee_by_truth(plan, machine.id, truth, *life) if life else None,
                oee=book.oee,
            )
        )
    return lines


def as_json(lines: Sequence[Line]) -> str:
    """The one JSON document of `--json`."""
    document = {
        "ok": all(line.agrees for line in lines),
        "machines": [
            {k: round(v, 9) if isinstance(v, float) else v for k, v in asdict(line).items()} for line in lines
        ],
    }
    return json.dumps(document, ensure_ascii=False)
