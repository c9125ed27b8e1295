"""What a machine or its template may say of signals that are more than states and counts: typed, frozen."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from edge.config.fields import BucketName, Id, Strict, wrong

CounterName = Literal["total", "good", "reject"]
COUNTER_NAMES: tuple[CounterName, ...] = ("total", "good", "reject")
Condition = Annotated[dict[str, Any], Field(min_length=1)]


class EpochModel(Strict):
    """A signal that proves that the PLC, its server or its counters began anew."""

    tag: Id = Field(description="e.g. an uptime, a start time, seconds since reset, a cycle count nobody resets")
    when: Literal["decreases", "changes"] = Field(description="what it does then: decreases, or changes at all")


class StateTimeModel(Strict):
    """An accumulator of the PLC: how long it has been in the states of one bucket."""

    tag: Id
    bucket: BucketName
    unit: Literal["ms", "s", "min"] = "s"
    modulus: int | None = Field(None, ge=2, le=2**63 - 1, description="it runs 0 ... modulus-1; default: its type's")


class FlushModel(Strict):
    """After a change of product: what is still counted of the old one."""

    pieces: int = Field(0, ge=0, le=1_000_000, description="that many pieces are still the old product's")
    within_s: float = Field(0.0, ge=0, le=86_400, description="but none later than this; 0 = no such limit")


def _since(value: Any) -> Any:
    """A date, or a date and a time of day; local."""
    try:
        return datetime.fromisoformat(value).replace(tzinfo=None)
    except (TypeError, ValueError):
        zh = "应为日期 2026-03-01 或本地时刻 2026-03-01 06:00"
        raise wrong(zh, "a date 2026-03-01 or a local time 2026-03-01 06:00 is expected") from None


Since = Annotated[
    datetime,
    BeforeValidator(_since),
    WithJsonSchema({"type": "string", "examples": ["2026-03-01", "2026-03-01 06:00"]}),
]


def _for_all(value: Any) -> Any:
    """One number is for every counter."""
    return dict.fromkeys(COUNTER_NAMES, value) if isinstance(value, int) and not isinstance(value, bool) else value


PiecesPerCount = Annotated[
    dict[CounterName, Annotated[int, Field(ge=1, le=1_000_000)]],
    BeforeValidator(_for_all, json_schema_input_type=int | dict[CounterName, int]),
]
