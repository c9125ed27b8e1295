"""The failures of one machine while it lives: what no fact can change any more as a few numbers, the rest as told.

Theory. A failure is known when it has lasted, and its repair is over when a good piece came, both long after the minute
in which it began is final (`edge.kpi.failures`). So an account of failures follows behind the horizon, where facts
can change nothing more, and what lies between it and now waits: stops that ended, stretches of minutes with good
pieces, the threshold that held in minutes with a breakdown. Somebody who looks gets the account as if it had been
brought up to now: what waits, then what the ledger would book if nothing more came.

Memory. The account is some 400 bytes. What waits lies in the half hour (64 KiB of readings, a day at most) that facts
reach back: 32 bytes a stop, 120 a stretch. A stop that lasts holds the account at its start; only the first minute of a
breakdown is remembered then, so a week of it is nothing.

Restarts. The checkpoint has the account and the stretches. The stops are in the pages of the journal, which tell those
of all facts that may still be heard again; the checkpoint has the few that are older. A checkpoint of a build without
failures knows nothing of them: no figure is given of a window that began before.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from typing import Any

from edge.kpi.failures import Account, Failure, FailureSums, Stop, note_good, sum_failures
from edge.kpi.product import product_at
from edge.kpi.row import Row
from edge.kpi.windows import MINUTE_NS
from edge.machines.core import Ahead, Core
from edge.machines.journal import Stop as Told
from edge.machines.observer import NO_STATE
from edge.plan import Machine
from ext.buckets import Bucket

NONE = FailureSums()
_EVER_NS = 1 << 62
_TOLD = 4  # numbers of a stop


class Failing:
    """One machine's failures. Where the record is not known from the machine's first sample on: `from_ns`."""

    def __init__(self, machine: Machine, from_ns: int | None = None) -> None:
        self._machine = machine
        self._account = None if from_ns is None else Account(from_ns)  # None: nothing is settled yet
        self._whole = from_ns is None  # windows that began before the record have all of theirs in it
        self._stops = array("q")  # by start
        self._good: list[tuple[int, int]] = []
        self._broken: dict[int, int] = {}  # t3 of the minutes in which a breakdown may have begun
        self._broken_until_ns = 0
        self._windows: dict[str, tuple[int, FailureSums]] = {}  # start; failures since that nothing can change

    # ---- as it goes ----

    def take(self, told: Iterable[Told]) -> None:
        """Stops that ended."""
        stops = self._stops
        for stop in told:
            at = len(stops)
            while at and stops[at - _TOLD] > stop[0]:
                at -= _TOLD
            stops[at:at] = array("q", stop)

    def take_back(self, told: Iterable[Told]) -> None:
        """Stops that later facts undid or changed."""
        starts = {start_ns for start_ns, *_ in told}
        if starts:
            self._wait_for(stop for stop in self._waiting if stop[0] not in starts)

    @property
    def _waiting(self) -> Iterator[Told]:
        stops = self._stops
        return zip(*(stops[at::_TOLD] for at in range(_TOLD)), strict=True)

    def _wait_for(self, stops: Iterable[Told]) -> None:
        self._stops = array("q", [number for stop in stops for number in stop])

    def note(self, rows: Iterable[Row]) -> None:
        """Minutes that are final now, in order of time."""
        for row in rows:
            self._note(row, self._good, self._broken)

    def _note(self, row: Row, good: list[tuple[int, int]], broken: dict[int, int]) -> None:
        key, sums = row.key, row.sums
        if sums.gc + sums.unscheduled_gc > 0:
            note_good(good, key.start_ns, row.end_ns - 1)
        broken_ns = sums.stop_ns[Bucket.BREAKDOWN]
        if not broken_ns:
            return
        goes_on = broken_ns == MINUTE_NS and self._broken_until_ns == key.start_ns  # nothing began in it
        self._broken_until_ns = row.end_ns
        if not goes_on:
            product = product_at(self._machine.products, key.product, key.start_ns)
            product = product or self._machine.products[self._machine.product_default]
            broken.setdefault(key.start_ns, product.stop_ns)

    def reopen(self, from_ns: int) -> None:
        """Minutes from here on are not final any more."""
        self._good = [(first_ns, min(last_ns, from_ns - 1)) for first_ns, last_ns in self._good if first_ns < from_ns]
        self._broken = {minute_ns: t3_ns for minute_ns, t3_ns in self._broken.items() if minute_ns < from_ns}
        self._broken_until_ns = 0

    def settle(self, core: Core, until_ns: int, windows: Mapping[str, int]) -> None:
        """No fact can change what lies before `until_ns`. windows: starts of those that are open, by name."""
        bucket, since_ns = core.kernel.peek(core.kernel.booked_ns)[1:3]
        if bucket not in (NO_STATE, Bucket.RUN):
            until_ns = min(until_ns, since_ns)
        waiting = list(self._waiting)
        ended = next((at for at, stop in enumerate(waiting) if stop[1] > until_ns), len(waiting))
        kept = waiting[ended:]
        until_ns = min(until_ns, kept[0][0]) if kept else until_ns
        account = self._account or Account(core.began_ns)
        if until_ns <= account.edge_ns:
            return
        stops = _cut(waiting[:ended], account.edge_ns, until_ns, core.clearing)
        found = account.advance(stops, until_ns, self._t3_of(self._broken), self._good)
        self._account = account
        self._wait_for(kept)
        del self._good[: bisect_left(self._good, until_ns, key=_last)]
        minute_ns = until_ns - until_ns % MINUTE_NS
        self._broken = {at_ns: t3_ns for at_ns, t3_ns in self._broken.items() if at_ns >= minute_ns}
        core.forget_clearing(until_ns)
        for name, start_ns in windows.items():
            known_ns, sums = self._windows.get(name, (0, NONE))
            if start_ns > known_ns:
                known_ns, sums = start_ns, NONE
            self._windows[name] = known_ns, sums + sum_failures(found, known_ns, _EVER_NS)

    def pause(self, core: Core, ahead: Ahead, t_ns: int) -> None:
        """Nobody knows what was from the last sample to `t_ns`, with which the ledger begins anew."""
        account, _ = self._up_to(core, ahead)
        if t_ns <= account.edge_ns:
            self.adopt(Failing(self._machine, t_ns))
            return
        silence = Stop(account.edge_ns, t_ns, Bucket.UNKNOWN)
        account.advance([silence], t_ns, self._t3_of({}), [])
        self._account, self._stops, self._good, self._broken = account, array("q"), [], {}

    # ---- to be looked at ----

    def sums(self, core: Core, ahead: Ahead, windows: Mapping[str, int]) -> dict[str, FailureSums]:
        """The failures that began since the start of each window. One of which not everything is known is left out."""
        account, found = self._up_to(core, ahead)
        found += account.unended()
        told: dict[str, FailureSums] = {}
        for name, start_ns in windows.items():
            known_ns, sums = self._windows.get(name, (0, NONE))
            if start_ns < known_ns or not (self._whole or account.from_ns <= start_ns):
                continue
            told[name] = sum_failures(found, start_ns, _EVER_NS) + (sums if start_ns == known_ns else NONE)
        return told

    def _up_to(self, core: Core, ahead: Ahead) -> tuple[Account, list[Failure]]:
        """The account as it would be, and the failures that ended meanwhile."""
        account = self._account.copy() if self._account is not None else Account(core.began_ns)
        good, broken, broken_until_ns = list(self._good), dict(self._broken), self._broken_until_ns
        for row in ahead.rows:
            self._note(row, good, broken)
        self._broken_until_ns = broken_until_ns
        until_ns = max(ahead.until_ns, account.edge_ns)
        waiting = [stop for stop in self._waiting if stop[0] not in ahead.gone]
        stops = _cut(sorted([*waiting, *ahead.stops]), account.edge_ns, until_ns, core.clearing)
        return account, account.advance(stops, until_ns, self._t3_of(broken), good)

    def _t3_of(self, broken: Mapping[int, int]) -> Callable[[int], int]:
        """By the beginning of a breakdown: t3 of the product that was made then."""
        longest_ns = max(product.stop_ns for product in self._machine.products)
        return lambda start_ns: broken.get(start_ns - start_ns % MINUTE_NS, longest_ns)

    # ---- what outlives the process ----

    def dump(self, heard_ns: int) -> dict[str, Any]:
        """As JSON takes it, without the stops told by facts since `heard_ns`."""
        return {
            "account": self._account.dump() if self._account is not None else None,
            "whole": self._whole,
            "good": self._good,
            "broken": list(self._broken.items()),
            "windows": {name: [start_ns, *astuple(sums)] for name, (start_ns, sums) in self._windows.items()},
            "stops": [stop for stop in self._waiting if stop[1] < heard_ns],
        }

    def load(self, saved: Mapping[str, Any], told: Iterable[Told]) -> None:
        """Go on from a dump. `told`: stops told by facts that may be heard again. Raises ValueError, TypeError or
        KeyError for what is none.
        """
        self._account = Account.load(saved["account"]) if saved["account"] is not None else None
        self._whole = bool(saved["whole"])
        self._good = [(int(first_ns), int(last_ns)) for first_ns, last_ns in saved["good"]]
        self._broken = {int(minute_ns): int(t3_ns) for minute_ns, t3_ns in saved["broken"]}
        self._windows = {name: (int(w[0]), FailureSums(*map(int, w[1:]))) for name, w in saved["windows"].items()}
        edge_ns = self._account.edge_ns if self._account is not None else 0
        older = [(a, b, c, d) for a, b, c, d in saved["stops"]]
        self._wait_for(sorted({stop for stop in (*older, *told) if stop[1] > edge_ns}))

    def adopt(self, before: Failing) -> None:
        """Go on where the failures of another life ended."""
        self._account, self._whole, self._windows = before._account, before._whole, before._windows
        self._stops, self._good = before._stops, before._good
        self._broken, self._broken_until_ns = before._broken, before._broken_until_ns


def _last(stretch: tuple[int, int]) -> int:
    return stretch[1]


def _cut(stops: Iterable[Told], from_ns: int, until_ns: int, clearing: Sequence[Sequence[int]]) -> list[Stop]:
    """Cut to the piece, none overlapping: a clock may have been set back."""
    found: list[Stop] = []
    edge_ns = from_ns
    for begun_ns, ended_ns, bucket, fault_code in stops:
        start_ns, end_ns = max(begun_ns, edge_ns), min(ended_ns, until_ns)
        if start_ns < end_ns:
            cleared = any(first_ns < end_ns and start_ns <= last_ns for first_ns, last_ns in clearing)
            found.append(Stop(start_ns, end_ns, Bucket(bucket), fault_code, cleared))
            edge_ns = end_ns
    return found
