"""One line of a benchmark: medians, with the reference measured in the same run."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """`ratio` is the median of value/reference taken run by run; None where nothing comparable exists.

    A reference of zero is comparable to nothing: its ratio is undefined, the figures beside it still stand.
    """

    name: str
    value: float
    unit: str
    reference: float | None
    ratio: float | None
    min: float
    max: float
    runs: int

    def line(self) -> str:
        """As one JSON line."""
        return json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()})


def summarise(name: str, unit: str, values: Sequence[float], references: Sequence[float] | None = None) -> Result:
    """Medians over the runs; with references of the same runs, the median of the paired ratios."""
    if references is not None and len(references) != len(values):
        raise ValueError(f"{name}: {len(values)} values, {len(references)} references")
    return Result(
        name=name,
        value=statistics.median(values),
        unit=unit,
        reference=statistics.median(references) if references else None,
        ratio=_median_ratio(values, references) if references else None,
        min=min(values),
        max=max(values),
        runs=len(values),
    )


def _median_ratio(values: Sequence[float], references: Sequence[float]) -> float | None:
    if not all(references):
        return None
    return statistics.median([value / reference for value, reference in zip(values, references, strict=True)])
