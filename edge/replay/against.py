"""What was stored against what the readings come to, minute by minute.

Rules. Compared are whole minutes between the first and the last sample: at both ends the agent knew more than the file;
and only those the agent had finished when it wrote them.
Compared are the sums and flags; figures follow from them. A stored row without anything in it is a row that was made
void and counts as none. Days are compared one at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from edge.kpi.row import Sums
from edge.kpi.windows import MINUTE, MINUTE_NS
from edge.outbox.reader import Reader
from edge.replay.account import Account
from edge.replay.document import row_document

DAY_NS = 86_400_000_000_000
_ABOUT = ("start_ns", "product", "shift", "shift_date")
_NOT_COMPARED = {*_ABOUT, "revision", "config_version", "coverage", "figures"}

Key = tuple[Any, ...]  # as _ABOUT
Numbers = dict[str, Any]  # flat: `stop_ns.run`


@dataclass(frozen=True, slots=True)
class Difference:
    """One minute that is not the same. A side is None where it has no such row, and then `fields` is empty."""

    key: Key
    kind: str  # "changed", "only-replayed", "only-stored"
    fields: dict[str, tuple[Any, Any]]  # name: (replayed, stored)

    def document(self) -> dict[str, Any]:
        """For programs."""
        fields = {name: {"replayed": ours, "stored": stored} for name, (ours, stored) in self.fields.items()}
        return dict(zip(_ABOUT, self.key, strict=True)) | {"kind": self.kind, "fields": fields}


@dataclass(slots=True)
class Comparison:
    """One machine. Counts are complete once `differences` has been read to its end."""

    account: Account
    reader: Reader
    compared: int = 0
    different: int = 0
    config_versions: set[str] = field(default_factory=set)  # of the stored rows

    def differences(self) -> Iterator[Difference]:
        """By time."""
        if self.account.span is None:
            return
        first_ns, last_ns = self.account.span
        start_ns, end_ns = -(-first_ns // MINUTE_NS) * MINUTE_NS, last_ns - last_ns % MINUTE_NS
        replayed = (json.loads(line) for line in self.account.windows)
        inside = (window for window in replayed if start_ns <= window["start_ns"] < end_ns)
        following = next(inside, None)
        for day_ns in range(start_ns - start_ns % DAY_NS, end_ns, DAY_NS):
            ours: dict[Key, Numbers] = {}
            while following is not None and following["start_ns"] < day_ns + DAY_NS:
                ours[_key(following)] = _numbers(following)
                following = next(inside, None)
            stored, unfinished = self._stored(max(day_ns, start_ns), min(day_ns + DAY_NS, end_ns))
            ours = {key: numbers for key, numbers in ours.items() if key[0] not in unfinished}
            for difference in _differing(ours, stored):
                self.different += 1
                yield difference
            self.compared += len(ours.keys() | stored.keys())

    def _stored(self, start_ns: int, end_ns: int) -> tuple[dict[Key, Numbers], set[int]]:
        """Rows of finished minutes, and the starts of those that are not."""
        found: dict[Key, Numbers] = {}
        rows = self.reader.ledger_rows(self.account.machine.id, MINUTE, start_ns, end_ns)
        unfinished = {row.key.start_ns for row in rows if not row.final and row.sums != Sums()}
        for row in rows:
            if row.sums == Sums() or row.key.start_ns in unfinished:
                continue
            self.config_versions.add(row.config_version)
            window = row_document(row)
            found[_key(window)] = _numbers(window)
        return found, unfinished

    @property
    def same(self) -> int:
        """Rows that agree to the nanosecond and the piece."""
        return self.compared - self.different


def _differing(ours: dict[Key, Numbers], stored: dict[Key, Numbers]) -> Iterator[Difference]:
    for key in sorted(ours.keys() | stored.keys()):
        if key not in stored:
            yield Difference(key, "only-replayed", {})
        elif key not in ours:
            yield Difference(key, "only-stored", {})
        elif ours[key] != stored[key]:
            names = (name for name, value in ours[key].items() if value != stored[key][name])
            yield Difference(key, "changed", {name: (ours[key][name], stored[key][name]) for name in names})


def _key(window: dict[str, Any]) -> Key:
    return tuple(window[name] for name in _ABOUT)


def _numbers(window: dict[str, Any]) -> Numbers:
    flat = {name: value for name, value in window.items() if name not in _NOT_COMPARED and name != "stop_ns"}
    stops = ((f"stop_ns.{name}", ns) for name, ns in window["stop_ns"].items())
    return dict(chain(flat.items(), stops))
