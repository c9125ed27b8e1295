"""Judged days added up, one row per kind of fault; as JSON and back. Integers wherever the ledger has integers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from truth.judge import Judged, Span, Verdict
from truth.kinds import ALL, Kind, Knows
from truth.life import DAY_NS

from ext.buckets import Correction, Flag

EXAMPLES = 2
WORST = {Knows.EXACT: Verdict.EXACT, Knows.BOUNDED: Verdict.BOUNDED, Knows.DOUBTED: Verdict.FLAGGED}


@dataclass(frozen=True, slots=True)
class About:
    """How the run came to be, so that anybody can repeat it."""

    command: str
    seed: int
    version: str  # of the code
    binary: str  # hash of the kernel that ran
    python: str
    machine_days: float
    samples: int
    seconds: float
    jobs: int
    agreed: int  # days of an hour booked alike by the kernel and by `seamline replay`
    disagreed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One span that is not exact, to be looked at: `live_through` makes the day again from kind and number."""

    number: int
    template: str
    verdict: str
    difference: tuple[int, int, int]
    bound: tuple[int, int, int]
    decided: tuple[str, ...]
    flags: tuple[str, ...]
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of fault."""

    key: str
    machine_days: float
    injections: int
    spans: tuple[int, int, int, int]  # exact, bounded, flagged, silent
    true: int  # pieces, total
    counted: int
    lost: int  # summed over spans that count less than was made …
    invented: int  # … and over those that count more
    quality_off: int  # spans whose goods or rejects differ
    closes: int  # days whose buckets sum to the time booked, to the nanosecond
    days: int
    hours: int
    hours_off: int
    hours_silent: int
    true_run_ns: int
    run_error_ns: int  # Σ |booked run − true run|
    run_error_most_ns: int
    unknown_ns: int
    resolution_ns: int
    told: int  # days on machines whose state signals tell every stop from running …
    contained: int  # … and those of them whose availability interval holds the truth
    outside: tuple[str, ...]  # templates of the days where it does not
    oee_days: int
    oee_error: float  # Σ |computed − true|, in percentage points
    oee_error_most: float
    examples: tuple[Example, ...]


def row_of(kind: Kind, days: Sequence[Judged]) -> Row:
    """All days of one kind."""
    spans = [(number, day, span) for number, day in enumerate(days) for span in day.spans]
    off = [span.difference[0] for _, _, span in spans]
    run = [abs(day.run_ns - day.true_run_ns) for day in days]
    oee = [abs(day.oee - day.true_oee) * 100 for day in days if day.oee is not None and day.true_oee is not None]
    ranked = sorted(spans, key=lambda item: -item[2].verdict)
    return Row(
        key=kind.key,
        machine_days=sum(day.length_ns for day in days) / DAY_NS,
        injections=sum(span.injections for _, _, span in spans),
        spans=_count(span.verdict for _, _, span in spans),
        true=sum(day.true[0] for day in days),
        counted=sum(day.counted[0] for day in days),
        lost=-sum(n for n in off if n < 0),
        invented=sum(n for n in off if n > 0),
        quality_off=sum(any(span.difference[1:]) for _, day, span in spans if day.oee is not None),
        closes=sum(day.closes for day in days),
        days=len(days),
        hours=sum(day.hours for day in days),
        hours_off=sum(day.hours_off for day in days),
        hours_silent=sum(day.hours_silent for day in days),
        true_run_ns=sum(day.true_run_ns for day in days),
        run_error_ns=sum(run),
        run_error_most_ns=max(run),
        unknown_ns=sum(day.unknown_ns for day in days),
        resolution_ns=sum(day.resolution_ns for day in days),
        told=sum(day.told for day in days),
        contained=sum(day.contained for day in days if day.told),
        outside=tuple(sorted({day.template for day in days if day.told and not day.contained})),
        oee_days=len(oee),
        oee_error=sum(oee),
        oee_error_most=max(oee, default=0.0),
        examples=tuple(_example(*item) for item in ranked[:EXAMPLES] if item[2].verdict),
    )


def _count(verdicts: Iterable[Verdict]) -> tuple[int, int, int, int]:
    found = list(verdicts)
    return (
        found.count(Verdict.EXACT),
        found.count(Verdict.BOUNDED),
        found.count(Verdict.FLAGGED),
        found.count(Verdict.SILENT),
    )


def _example(number: int, day: Judged, span: Span) -> Example:
    return Example(
        number=number,
        template=day.template,
        verdict=span.verdict.name.lower(),
        difference=span.difference,
        bound=span.bound,
        decided=tuple(Correction(kind).name.lower() for kind in span.decided),
        flags=tuple((flag.name or "").lower() for flag in Flag if flag and span.flags & flag),
        start_ns=span.start_ns,
        end_ns=span.end_ns,
    )


def broken(rows: Iterable[Row]) -> list[str]:
    """Promises that this run did not keep."""
    found = []
    kinds = {kind.key: kind for kind in ALL}
    for row in rows:
        kind = kinds[row.key]
        worst = max((verdict for verdict in Verdict if row.spans[verdict]), default=Verdict.EXACT)
        if worst > WORST.get(kind.knows, Verdict.SILENT):
            found.append(f"{row.key}: {worst.name.lower()} where {kind.knows} is promised")
        if row.closes != row.days:
            found.append(f"{row.key}: time does not close on {row.days - row.closes} days")
        if kind.places_time and row.contained != row.told:
            where = ", ".join(row.outside)
            found.append(f"{row.key}: availability misses the truth on {row.told - row.contained} days ({where})")
    return found


def write(path: Path, about: About, rows: Sequence[Row]) -> None:
    """As JSON, a row a line."""
    lines = ",\n".join(json.dumps(asdict(row)) for row in rows)
    path.write_text(f'{{"about": {json.dumps(asdict(about))},\n"rows": [\n{lines}\n]}}\n', "utf-8")


def read(path: Path) -> tuple[About, list[Row]]:
    """What `write` wrote."""
    found = json.loads(path.read_text("utf-8"))
    about = About(**{**found["about"], "disagreed": tuple(found["about"]["disagreed"])})
    return about, [_row(row) for row in found["rows"]]


def _row(said: dict[str, Any]) -> Row:
    examples = tuple(Example(**_tuples(example)) for example in said["examples"])
    return Row(**{**_tuples(said), "examples": examples})


def _tuples(said: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
