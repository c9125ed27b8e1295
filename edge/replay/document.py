"""Rows of the ledger as JSON objects, and every figure with its numerator and denominator. Pure.

Rules. All sums of a row are printed, not only those a figure needs, so that who reads them can close every waterfall.
A figure is null where its denominator is 0 or where the machine's signals cannot tell it, and says why: undefined is
not zero. Numerators and denominators are whole numbers (of ns, of pieces, or of a fraction of them, both alike), only
of measured values they are not. Names of time classes and flags are those of the page, in lower case.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import lcm
from typing import Any

from edge.kpi import catalogue, figures
from edge.kpi.capacity import Demonstrated
from edge.kpi.catalogue import CATALOGUE, Scope
from edge.kpi.evidence import Evidence
from edge.kpi.failures import Failure
from edge.kpi.figure import Figure, Number
from edge.kpi.row import SUM_COLUMNS, Row, Sums
from ext.buckets import Bucket, Correction, Counter, Flag

_CLASS = tuple(bucket.name.lower() for bucket in Bucket)


_BOUNDED = frozenset(each.key for each in CATALOGUE if each.bounds)


def flag_words(flags: int) -> list[str]:
    """The flags that are set, by name."""
    return [flag.name.lower() for flag in Flag if flag & flags and flag.name]


def row_document(row: Row) -> dict[str, Any]:
    """A window or a shift, without its figures."""
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
    """All windows of a machine together, without their figures. `span`: first and last sample, or None."""
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
    }


# ---- figures ---------------------------------------------------------------------------------------------------------


def figures_document(found: Mapping[str, Figure]) -> dict[str, dict[str, Any]]:
    """Figures by key, in the order of the table."""
    return {key: figure_document(figure, bounded=key in _BOUNDED) for key, figure in found.items()}


def known_document(known: Evidence, scope: Scope) -> dict[str, Any]:
    """What follows a row's sums: the failures that began in it, and its figures."""
    fe = known.failures.fe if known.failures is not None else None
    return {"fe": fe, "figures": figures_document(catalogue.figures(known, scope))}


def figure_document(figure: Figure, *, bounded: bool = False) -> dict[str, Any]:
    """Numerator, denominator and value; bounds where it has them, and why there is no value."""
    numerator, denominator = _whole(figure.numerator, figure.denominator)
    document: dict[str, Any] = {"numerator": numerator, "denominator": denominator, "value": figure.value}
    if bounded:
        document |= {"low": figure.low, "high": figure.high}
    if figure.why_null is not None:
        document["why"] = figure.why_null.code
    return document


def _whole(numerator: Number | None, denominator: Number | None) -> tuple[Number | None, Number | None]:
    """Both times what makes both whole; measured values (floats) as they are."""
    if type(numerator) is not Fraction and type(denominator) is not Fraction:
        return numerator, denominator
    scale = lcm(*(part.denominator for part in (numerator, denominator) if isinstance(part, int | Fraction)))
    return _times(numerator, scale), _times(denominator, scale)


def _times(part: Number | None, scale: int) -> Number | None:
    return int(part * scale) if isinstance(part, int | Fraction) else part


def demonstrated_document(best: Demonstrated | None) -> dict[str, Any] | None:
    """The best stretch of one length."""
    if best is None:
        return None
    return {
        "start_ns": best.start_ns,
        "length_ns": best.length_ns,
        "pieces": best.pieces,
        "coverage": float(best.coverage),
        "flags": flag_words(best.flags),
    }


def failure_document(failure: Failure) -> dict[str, Any]:
    """A failure event. `end_ns` and `ttr_ns` are null while it goes on."""
    return {
        "start_ns": failure.start_ns,
        "end_ns": failure.end_ns,
        "fault_code": failure.fault_code,
        "breakdowns": failure.breakdowns,
        "down_ns": failure.down_ns,
        "tbf_ns": failure.tbf_ns,
        "ttf_ns": failure.ttf_ns,
        "ttr_ns": failure.ttr_ns,
    }


# ---- events ----------------------------------------------------------------------------------------------------------


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
