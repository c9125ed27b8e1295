"""One pass over the readings, and more where readings came too late for the first.

Theory. The first pass is what a live run could have known in time: everything within the watermark. Late readings come
in arrivals (`edge.replay.order`). For each arrival the ledger is made again with it, and every window that was known by
then and is not what it was before gets the next revision; all others keep theirs, and begin at 0. A shift's revision,
and a total's, is the sum of its windows'.

Rules. A late reading that says nothing new (a copy) changes nothing. Only machines with late readings are made again,
at most `MOST_ARRIVALS` times. What a file from elsewhere never gives (`edge.replay.absent`) is guessed from its first
readings and known once it was read: where the guess was wrong, the machine is made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path

from edge.kpi.row import Row
from edge.machines.signals import used_signals
from edge.machines.watermark import watermark_ns as watermark_of
from edge.plan import Machine, SitePlan
from edge.replay.absent import without
from edge.replay.account import Account, Revise
from edge.replay.document import row_document
from edge.replay.order import LateReadings, OnLate, Order, Sampled, with_late
from edge.replay.readings import Reading, ReadingsFile
from edge.replay.spool import Spool, to_json

FIRST_LOOK = 50_000  # readings that show which signals are given


@dataclass(frozen=True, slots=True)
class Replayed:
    """One machine's ledger as the readings tell it, and how many of them came late, in how many arrivals."""

    account: Account
    absent: tuple[str, ...]  # signals the readings never gave, taken as not there
    late: int
    arrivals: int


@contextmanager
def replayed(
    plan: SitePlan, path: Path, watermark_ns: int | None = None, *, as_planned: bool = False
) -> Iterator[tuple[Replayed, ...]]:
    """The ledgers of all machines of `plan` from the readings at `path`, as long as the context lasts.

    watermark_ns: for every machine; None = each machine's own. as_planned: machines have all the signals of the plan,
    whether or not the readings give them. Raises ConfigError with the mistakes in the files.
    """
    with ExitStack() as stack:
        passes = _Passes(plan, ReadingsFile(path, {machine.id: machine for machine in plan.machines}), stack)
        yield passes.run(watermark_ns, as_planned=as_planned)


class _Passes:
    """The passes of one replay. What they open is closed by `stack`."""

    def __init__(self, plan: SitePlan, file: ReadingsFile, stack: ExitStack) -> None:
        self._plan = plan
        self._file = file
        self._stack = stack
        self._calendars = {calendar.id: calendar for calendar in plan.calendars}

    def run(self, watermark_ns: int | None, *, as_planned: bool) -> tuple[Replayed, ...]:
        planned = {machine.id: machine for machine in self._plan.machines}
        waits = {name: watermark_of(m) if watermark_ns is None else watermark_ns for name, m in planned.items()}
        late = {name: LateReadings(wait_ns) for name, wait_ns in waits.items()}
        for readings in late.values():
            self._stack.callback(readings.close)
        absent = {} if as_planned else self._first_look(planned)
        machines = {name: without(machine, absent.get(name, ())) for name, machine in planned.items()}
        accounts = {name: self._account(machine, _as_it_is) for name, machine in machines.items()}
        self._pass(waits, accounts, {name: (account.sample, late[name].add) for name, account in accounts.items()})
        again: dict[str, Account] = {}
        for name, guess in absent.items():
            found = accounts[name].unread(used_signals(planned[name]) - late[name].signals)
            if found != guess and accounts[name].span is not None:
                absent[name], machines[name] = found, without(planned[name], found)
                again[name] = self._account(machines[name], _as_it_is)
        self._again(waits, accounts, again, {name: (account.sample, _known) for name, account in again.items()})
        for arrival in range(1, 1 + max((len(readings.known_ns) for readings in late.values()), default=0)):
            again = {}
            receivers: dict[str, tuple[Sampled, OnLate]] = {}
            for name, readings in late.items():
                if arrival <= len(readings.known_ns):
                    revisions = Revisions(accounts[name].windows, readings.known_ns[arrival - 1])
                    again[name] = self._account(machines[name], revisions)
                    receivers[name] = with_late(readings.merged(arrival), again[name].sample), _known
            self._again(waits, accounts, again, receivers)
        return tuple(
            Replayed(
                accounts[name],
                tuple(machine.signals[signal].name for signal in absent.get(name, ())),
                late[name].count,
                len(late[name].known_ns),
            )
            for name, machine in machines.items()
        )

    def _first_look(self, machines: Mapping[str, Machine]) -> dict[str, list[int]]:
        """The signals that the first readings of each machine do not give. In a recording all are there."""
        given: dict[str, set[int]] = {}
        for _, name, reading in islice(self._file.lines(), FIRST_LOOK):
            given.setdefault(name, set()).add(reading[0])
        if self._file.recorded:
            return {}
        return {
            name: sorted(used_signals(machine) - given[name]) if name in given else []
            for name, machine in machines.items()
        }

    def _again(
        self,
        waits: Mapping[str, int],
        accounts: dict[str, Account],
        again: Mapping[str, Account],
        receivers: Mapping[str, tuple[Sampled, OnLate]],
    ) -> None:
        """Another pass, for some machines; their new accounts take the places of the old."""
        if again:
            self._pass(waits, again, receivers)
        for name in again:
            accounts[name].close()
        accounts |= again

    def _account(self, machine: Machine, revise: Revise) -> Account:
        account = Account(machine, self._calendars[machine.calendar], self._plan.version_of(machine), revise)
        self._stack.callback(account.close)
        return account

    def _pass(
        self,
        waits: Mapping[str, int],
        accounts: Mapping[str, Account],
        receivers: Mapping[str, tuple[Sampled, OnLate]],
    ) -> None:
        """Once through the readings of the machines that have receivers."""
        orders = {name: Order(waits[name], *receiver) for name, receiver in receivers.items()}
        add: dict[str, Callable[[int, Reading], None]] = {name: order.add for name, order in orders.items()}
        for t_ns, machine, reading in self._file.lines():
            if machine in add:
                add[machine](t_ns, reading)
        for order in orders.values():
            order.end()
        for account in accounts.values():
            account.end()


def _as_it_is(row: Row) -> Row:
    return row


def _known(_t_ns: int, _reading: Reading, _newest_ns: int) -> None:
    """Late readings of a further pass are those of the first."""


class Revisions:
    """Compares windows, by start, with those of the ledger before an arrival. `known_ns`: the newest reading by then;
    windows that begin later were not known.
    """

    def __init__(self, before: Spool, known_ns: int) -> None:
        self._groups = groupby(before, key=_start_of)
        self._known_ns = known_ns
        self._at_ns = -1
        self._windows: dict[tuple[str, str, str], tuple[int, str]] = {}  # revision, line

    def __call__(self, row: Row) -> Row:
        """The window with its revision."""
        key = row.key
        while self._at_ns < key.start_ns:
            self._at_ns, lines = next(self._groups, (key.start_ns, ()))
            self._windows = dict(map(_known_window, lines))
        here = self._windows if self._at_ns == key.start_ns else {}
        revision, line = here.get((key.product, key.shift, key.shift_date), (0, ""))
        row = replace(row, revision=revision)
        if key.start_ns > self._known_ns or to_json(row_document(row)) == line:
            return row
        return replace(row, revision=revision + 1)


_START = len('{"start_ns": ')


def _start_of(line: str) -> int:
    """Of a window's line: `start_ns` is its first number."""
    return int(line[_START : line.index(",")])


def _known_window(line: str) -> tuple[tuple[str, str, str], tuple[int, str]]:
    window = json.loads(line)
    return (window["product"], window["shift"], window["shift_date"]), (window["revision"], line)
