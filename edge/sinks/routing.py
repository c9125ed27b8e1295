"""Which points of a sink go to which target. Pure.

The measurement of a line is its beginning up to the first bare comma or space (InfluxDB, "Line protocol reference").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge.plan import Route, Target

_MEASUREMENT = re.compile(rb"(?:[^, \\]|\\.)*")


@dataclass(frozen=True, slots=True)
class Parcel:
    """Lines for one target; None = the sink's own."""

    target: Target | None
    lines: bytes


class Router:
    """The routes of one sink."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._targets: dict[bytes, Target | None] = {}
        for route in routes:
            for measurement in route.measurements:
                self._targets.setdefault(measurement.encode(), route.target)

    def parcels(self, lines: bytes) -> list[Parcel]:
        """The lines by target, in order within each; those that are not for this sink are left out."""
        if not self._targets:
            return [Parcel(None, lines)]
        by_target: dict[Target | None, list[bytes]] = {}
        for line in lines.split(b"\n"):
            match = _MEASUREMENT.match(line)
            name = match.group() if match else b""
            if name not in self._targets:
                by_target.setdefault(None, []).append(line)
            elif (target := self._targets[name]) is not None:
                by_target.setdefault(target, []).append(line)
        return [Parcel(target, b"\n".join(run)) for target, run in by_target.items()]
