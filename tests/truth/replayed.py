"""The same readings through `seamline replay`, the product's own command: site file and CSV in, the whole ledger out.

The thousand days go straight into the kernel. Here the parts above it take part: configuration, reading of the file,
order within the watermark and late readings, Observer, minute windows, sums. Where both can book a day they must agree
in every number.
"""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from truth.day import Day
from truth.judge import Books, Entry, Judged, booked, classified, judged, sums_of
from truth.life import HOUR_NS
from truth.plant import MACHINE

from edge import cli
from edge.kpi.figures import doubts
from edge.kpi.row import Sums
from ext.buckets import Bucket, Correction, Counter, Flag

_SUMS = [name for name in Sums.__dataclass_fields__ if name not in ("stop_ns", "flags")]


def replay(day: Day, folder: Path) -> dict[str, Any]:
    """What the command says of the machine."""
    site, readings, ledger = folder / "site.yaml", folder / "readings.csv", folder / "ledger.json"
    site.write_text(day.site.text, "utf-8")
    with readings.open("w", encoding="utf-8") as file:
        file.write("time_ns,machine,signal,value,quality\n")
        file.writelines(f"{line}\n" for _, line in day.readings.lines(MACHINE))
    words = io.StringIO()
    with (
        ledger.open("w", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(words),
    ):
        status = cli.main(["replay", "-c", str(site), "--readings", str(readings), "--json"])
    if status != 0:
        raise RuntimeError(f"seamline replay ended with {status}: {words.getvalue()}")
    with ledger.open(encoding="utf-8") as file:
        machine: dict[str, Any] = json.load(file)["machines"][MACHINE]
    return machine


def judge_replayed(day: Day, kind: str, seed: int, folder: Path) -> Judged:
    """The day through the command, and what it is worth. The day is one span."""
    found = replay(day, folder)
    sums, totals = sums_said(found["totals"]), found["totals"]
    made = (sums.tc + sums.unscheduled_tc, sums.gc + sums.unscheduled_gc, sums.sc + sums.unscheduled_sc)
    books = Books(sums, made, _hours(found["windows"]), totals["end_ns"] - totals["start_ns"])
    samples = day.readings.delivered()
    whole = judged(day, kind, seed, samples, books, ())
    difference = tuple(a - b for a, b in zip(whole.counted, whole.true, strict=True))
    flags = sums.flags | int(doubts(sums)) & Flag.ICT_SUSPECT
    when = (totals["start_ns"], totals["end_ns"])
    span = classified(day.machine, difference, _entries(found["corrections"]), flags, len(day.injections), when)
    return judged(day, kind, seed, samples, books, (span,))


def disagreement(day: Day, folder: Path) -> list[str]:
    """Numbers in which the command and the kernel differ; nothing where they agree. A file says when a value was read,
    so the command allows no doubt about that: the kernel gets none either.
    """
    sure = tuple(replace(rule, slack_ns=0) for rule in day.machine.counters)
    day = replace(day, site=replace(day.site, machine=replace(day.machine, counters=sure)))
    rows, _ = day.readings.rows()
    ledger = booked(day, rows, ())
    ours, theirs = sums_of(ledger.cells), sums_said(replay(day, folder)["totals"])
    ours.flags |= int(doubts(ours))
    pairs = [(name, getattr(ours, name), getattr(theirs, name)) for name in (*_SUMS, "stop_ns", "flags")]
    return [f"{name}: kernel {mine}, replay {other}" for name, mine, other in pairs if mine != other]


def sums_said(said: dict[str, Any]) -> Sums:
    """A window or total of the document as sums."""
    sums = Sums(**{name: said[name] for name in _SUMS})
    sums.stop_ns = [said["stop_ns"][bucket.name.lower()] for bucket in Bucket]
    for name in said["flags"]:
        sums.flags |= Flag[name.upper()]
    return sums


def _hours(windows: list[dict[str, Any]]) -> dict[int, tuple[int, int]]:
    hours: dict[int, Sums] = {}
    for window in windows:
        hours.setdefault(window["start_ns"] - window["start_ns"] % HOUR_NS, Sums()).add(sums_said(window))
    return {
        start: (hour.tc + hour.unscheduled_tc, hour.flags | int(doubts(hour)) & Flag.COVERAGE_LOW)
        for start, hour in hours.items()
    }


def _entries(corrections: list[dict[str, Any]]) -> list[Entry]:
    return [
        (
            entry["time_ns"],
            int(Counter[entry["counter"].upper()]),
            int(Correction[entry["reason"].upper()]),
            entry["old"],
            entry["new"],
            entry["credited"],
            entry["lost_max"],
            entry["unattributed"],
        )
        for entry in corrections
    ]
