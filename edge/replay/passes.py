"""One pass over the file, and a second one where readings came too late for the first.

Theory. The first pass is what a live run could have known in time: everything within the watermark. Late readings make
a second ledger from all readings. Windows that are not the same in both were opened again by a late reading, and carry
revision 1; all others are as they were, revision 0. A shift's revision, and a total's, is the sum of its windows'.

Rules. A late reading that says nothing new (a copy) changes nothing. Only machines with late readings are made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from edge.kpi.row import Row
from edge.plan import Machine, SitePlan
from edge.replay.account import Account, Revise
from edge.replay.document import row_document
from edge.replay.order import LateReadings, Order, with_late
from edge.replay.readings import Reading, ReadingsFile
from edge.replay.spool import Spool, to_json

WATERMARK_MIN_NS = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Replayed:
    """One machine's ledger as the file tells it, and how many readings came late."""

    account: Account
    late: int


def default_watermark_ns(machine: Machine) -> int:
    """Two polls and five seconds: how long a reading may be on its way."""
    return 2 * machine.poll_ns + WATERMARK_MIN_NS


@contextmanager
def replayed(plan: SitePlan, path: Path, watermark_ns: int | None = None) -> Iterator[tuple[Replayed, ...]]:
    """The ledgers of all machines of `plan` from the readings at `path`, as long as the context lasts.

    watermark_ns: for every machine; None = each machine's own. Raises ConfigError with the mistakes in the file.
    """
    machines = {machine.id: machine for machine in plan.machines}
    file = ReadingsFile(path, machines)
    with ExitStack() as stack:

        def account(machine: Machine, revise: Revise) -> Account:
            calendar = next(c for c in plan.calendars if c.id == machine.calendar)
            made = Account(machine, calendar, plan.config_version, revise)
            stack.callback(made.close)
            return made

        def order(machine: Machine, sampled: Callable[[int, list[Reading]], None], late: LateReadings | None) -> Order:
            waited_ns = default_watermark_ns(machine) if watermark_ns is None else watermark_ns
            return Order(waited_ns, sampled, late.add if late is not None else _known)

        late = {name: LateReadings() for name in machines}
        for readings in late.values():
            stack.callback(readings.close)
        accounts = {name: account(machine, _as_it_is) for name, machine in machines.items()}
        _pass(file, {name: order(machines[name], accounts[name].sample, late[name]) for name in machines})
        _end(accounts)
        again = {
            name: account(machines[name], Revisions(accounts[name].windows))
            for name, readings in late.items()
            if readings.count
        }
        if again:
            merged = {name: with_late(late[name].merged(), made.sample) for name, made in again.items()}
            _pass(file, {name: order(machines[name], sampled, None) for name, sampled in merged.items()})
            _end(again)
        yield tuple(Replayed(again.get(name, accounts[name]), late[name].count) for name in machines)


def _pass(file: ReadingsFile, orders: Mapping[str, Order]) -> None:
    """Once through the file, for the machines in `orders`."""
    add = {name: order.add for name, order in orders.items()}
    for t_ns, machine, reading in file.lines():
        if machine in add:
            add[machine](t_ns, reading)
    for order in orders.values():
        order.end()


def _end(accounts: Mapping[str, Account]) -> None:
    for account in accounts.values():
        account.end()


def _as_it_is(row: Row) -> Row:
    return row


def _known(_t_ns: int, _reading: Reading) -> None:
    """Late readings of the second pass are those of the first."""


class Revisions:
    """Compares windows, by start, with those of the ledger without late readings."""

    def __init__(self, before: Spool) -> None:
        self._groups = groupby(before, key=_start_of)
        self._at_ns = -1
        self._same: frozenset[str] = frozenset()

    def __call__(self, row: Row) -> Row:
        """The window with its revision."""
        while self._at_ns < row.key.start_ns:
            self._at_ns, lines = next(self._groups, (row.key.start_ns, ()))
            self._same = frozenset(lines)
        known = self._at_ns == row.key.start_ns and to_json(row_document(row)) in self._same
        return row if known else replace(row, revision=1)


_START = len('{"start_ns": ')


def _start_of(line: str) -> int:
    """Of a window's line: `start_ns` is its first number."""
    return int(line[_START : line.index(",")])
