"""A point as a row: the columns of its measurement in the dictionary, the same in every table that is exported."""

from __future__ import annotations

from edge.points import Kind, Measurement
from edge.store.line import FieldValue, Point

Cells = list[FieldValue | None]

_KINDS: dict[Kind, type] = {Kind.INTEGER: int, Kind.FLOAT: float, Kind.STRING: str, Kind.BOOLEAN: bool}


def columns(measurement: Measurement) -> list[str]:
    """In order: time, tags, fields, the rest."""
    return ["time_ns", *measurement.tags, *(field.name for field in measurement.fields), "more"]


def cells(point: Point, measurement: Measurement) -> Cells:
    """A point as the columns of its measurement."""
    tags, fields = dict(point.tags), dict(point.fields)
    row: Cells = [point.t_ns, *(tags.pop(name, None) for name in measurement.tags)]
    for field in measurement.fields:
        value = fields.get(field.name)
        fits = type(value) is _KINDS[field.kind]
        row.append(value if fits else None)
        if fits:
            del fields[field.name]
    more = [f"{key}={value}" for key, value in tags.items()]
    more += [f"{key}={value!r}" for key, value in fields.items()]
    row.append(",".join(more) or None)
    return row
