"""Rows of the ledger as JSON objects, and every figure with its numerator and denominator. Pure.

Rules. All sums of a row are printed, not only those a figure needs, so that who reads them can close every waterfall.
A figure is null where its denominator is 0: undefined is not zero. Names of time classes and flags are those of the
page, in lower case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge.kpi import figures
from edge.kpi.row import SUM_COLUMNS, Row, Sums
from ext.buckets import Bucket, Correction, Counter, Flag

_CLASS = tuple(bucket.name.lower() for bucket in Bucket)


@dataclass(frozen=True, slots=True)
class Figure:
    """A ratio of two integers; `edge.kpi.figures` has the function of the same name, with its source."""

    numerator: Callable[[Sums], int]
    denominator: Callable[[Sums], int]

    def of(self, sums: Sums) -> dict[str, int | float | None]:
        """Numerator, denominator, and the quotient correctly rounded once."""
        part, whole = self.numerator(sums), self.denominator(sums)
        return {"numerator": part, "denominator": whole, "value": part / whole if whole else None}


FIGURES = {
    "oee": Figure(lambda s: s.fpt_ns, lambda s: s.ppt_ns),
    "availability": Figure(lambda s: s.rt_ns, lambda s: s.ppt_ns),
    "performance": Figure(lambda s: s.nrt_ns, lambda s: s.rt_ns),
    "quality": Figure(lambda s: s.fpt_ns, lambda s: s.nrt_ns),
    "ooe": Figure(lambda s: s.fpt_ns, figures.operating_ns),
    "teep": Figure(lambda s: s.fpt_ns + s.unscheduled_fpt_ns, lambda s: s.all_ns),
    "nee": Figure(
        lambda s: (s.rt_ns + figures.setup_ns(s)) * s.fpt_ns,
        lambda s: s.ppt_ns * s.rt_ns,
    ),
    "utilisation": Figure(lambda s: s.ppt_ns, lambda s: s.all_ns),
    "setup_ratio": Figure(figures.setup_ns, lambda s: s.rt_ns + figures.setup_ns(s)),
    "scrap_ratio": Figure(lambda s: s.sc, lambda s: s.tc),
    "piece_yield": Figure(lambda s: s.gc, lambda s: s.tc),
}


def flag_words(flags: int) -> list[str]:
    """The flags that are set, by name."""
    return [flag.name.lower() for flag in Flag if flag & flags and flag.name]


def row_document(row: Row) -> dict[str, Any]:
    """A window or a shift."""
    key = row.key
    return {
        "start_ns": key.start_ns,
        "end_ns": row.end_ns,
        "product": key.product,
        "shift": key.shift,
        "shift_date": key.shift_date,
        **_sums_document(row.sums, row.revision, row.tier, row.config_version),
    }


def total_document(
    sums: Sums, span: tuple[int, int] | None, revision: int, tier: int, config_version: str
) -> dict[str, Any]:
    """All windows of a machine together. `span`: first and last sample, None where there was none."""
    start_ns, end_ns = span or (None, None)
    about = {"start_ns": start_ns, "end_ns": end_ns, "product": None, "shift": None, "shift_date": None}
    return about | _sums_document(sums, revision, tier, config_version)


def _sums_document(sums: Sums, revision: int, tier: int, config_version: str) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    for name in SUM_COLUMNS:
        numbers[name] = getattr(sums, name)
        if name == "unknown_ns":
            numbers["stop_ns"] = dict(zip(_CLASS, sums.stop_ns, strict=True))
    return {
        **numbers,
        "coverage": figures.coverage(sums),
        "flags": flag_words(sums.flags),
        "revision": revision,
        "tier": tier,
        "config_version": config_version,
        "figures": {name: figure.of(sums) for name, figure in FIGURES.items()},
    }


def stop_document(start_ns: int, end_ns: int, bucket: int, fault_code: int, *, is_open: bool) -> dict[str, Any]:
    """A stop. `is_open`: it had not ended at the last sample, which is its end here."""
    return {
        "start_ns": start_ns,
        "end_ns": end_ns,
        "class": _CLASS[bucket],
        "fault_code": fault_code,
        "open": is_open,
    }


def correction_document(correction: tuple[int, ...]) -> dict[str, Any]:
    """What a counter decoder decided, as the kernel hands it out; pieces from `credited` on."""
    t_ns, counter, reason, old, new, credited, lost_max, unattributed = correction
    return {
        "time_ns": t_ns,
        "counter": Counter(counter).name.lower(),
        "reason": Correction(reason).name.lower(),
        "old": old,
        "new": new,
        "credited": credited,
        "lost_max": lost_max,
        "unattributed": unattributed,
    }
