"""From the kernel's cells to minute rows. Pure. Hours and shifts are sums of these rows: `edge.kpi.rollup`.

Theory. The kernel hands out cells (one minute x shift x product, possibly in several pieces that add up). A minute is
final once the kernel has booked past its end: nothing before `booked_ns` changes again. Until then its row is
provisional: the cells already handed out plus what a peek says. A row has a deterministic key, so writing it again
replaces it, and provisional rows need no clean-up.

What is remembered. The kernel's checkpoint holds the one open cell; finished cells of minutes that are not final yet
live here. So `MinuteBook.dump` goes into the same transaction as the kernel's checkpoint, or pieces are lost between
the two. The dump speaks in names, not in numbers of the present configuration: what was counted under the old product
list stays under its name after a reload.

Use, per machine:
    at start     ledger.load(a, renumbering(b, products)); book.load(b, ledger.cells())
    per sample   ledger.push(...); book.add(ledger.cells())
    per commit   cells, *_ = ledger.peek(now_ns, since_ns)
                 rows = book.finished(ledger.booked_ns) + book.provisional(cells); then both dumps, in one transaction
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from edge.calendar import NO_SHIFT, ShiftInstance
from edge.kpi.figures import doubts
from edge.kpi.row import Row, RowKey, Sums
from ext.buckets import N_BUCKETS, Flag
from ext.ledger import CELL_FIELDS

MINUTE_NS = 60_000_000_000
MINUTE = "1m"

Cell = tuple[int, ...]  # as CELL_FIELDS
ShiftOf = Callable[[int], ShiftInstance]  # shift id → shift; never asked for NO_SHIFT

_AT = {name: index for index, name in enumerate(CELL_FIELDS)}
_BUCKETS = slice(_AT["run"], _AT["run"] + N_BUCKETS)
_ADDED = tuple((f.name, _AT[f.name]) for f in fields(Sums) if f.name in _AT)
_SUMS = tuple(f.name for f in fields(Sums))
_DUMP_VERSION = 1
_SHIFTS_KEPT = 4  # names of past shifts that a dump carries: more than one open minute can touch


def open_minute_ns(booked_ns: int) -> int:
    """Start of the oldest minute that may still change. A piece seen on an edge was made before it, so a minute is over
    once something beyond its end is booked.
    """
    return booked_ns - 1 - (booked_ns - 1) % MINUTE_NS


def cell_to_sums(cell: Cell) -> Sums:
    """The numbers of a cell, ns and pieces. `all_ns` is the sum of its buckets."""
    stop_ns = list(cell[_BUCKETS])
    return Sums(all_ns=sum(stop_ns), stop_ns=stop_ns, **{name: cell[index] for name, index in _ADDED})


def renumbering(blob: bytes, products: Sequence[str]) -> tuple[int, ...]:
    """For `MachineLedger.load`: the index now of each product index of the dump `blob`; 0 for a product that is gone.

    Raises ValueError if the blob is not a dump of this version.
    """
    return tuple(products.index(name) if name in products else 0 for name in _read(blob).names.products)


# ---- names -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """What a minute row is about, under names that outlive a configuration."""

    minute_ns: int
    product: str
    shift: str
    date: str


class _Names:
    """Product indices and shift ids of one configuration, as names. The shifts last asked for are remembered."""

    __slots__ = ("_shift_of", "products", "shifts")

    def __init__(self, products: Iterable[str], shift_of: ShiftOf | None) -> None:
        self.products = tuple(products)
        self.shifts: dict[int, tuple[str, str]] = {}
        self._shift_of = shift_of

    def place(self, cell: Cell) -> _Place:
        minute_ns, shift_id, product, *_ = cell
        return _Place(minute_ns, self.products[product], *self._shift(shift_id))

    def _shift(self, shift_id: int) -> tuple[str, str]:
        known = self.shifts.get(shift_id)
        if known is not None:
            return known
        if shift_id == NO_SHIFT or self._shift_of is None:
            return "", ""
        shift = self._shift_of(shift_id)
        if len(self.shifts) == _SHIFTS_KEPT:
            del self.shifts[next(iter(self.shifts))]
        self.shifts[shift_id] = shift.name, shift.date.isoformat()
        return self.shifts[shift_id]


# ---- minutes ---------------------------------------------------------------------------------------------------------

_Minutes = dict[_Place, Sums]


def _gather(minutes: _Minutes, names: _Names, cells: Iterable[Cell]) -> None:
    for cell in cells:
        minutes.setdefault(names.place(cell), Sums()).add(cell_to_sums(cell))


class MinuteBook:
    """The minutes of one machine that are not final yet.

    products: id of each product index; shift_of: shift id → shift, ValueError for an id the calendar cannot have given.
    """

    def __init__(
        self, machine: str, products: Sequence[str], shift_of: ShiftOf, *, tier: int, config_version: str
    ) -> None:
        self._machine = machine
        self._tier = tier
        self._config_version = config_version
        self._names = _Names(products, shift_of)
        self._open: _Minutes = {}
        self._doubts: list[tuple[int, int, int]] = []  # from, until, flags of whatever lies between

    def doubt(self, from_ns: int, until_ns: int, flags: Flag) -> None:
        """Minutes that touch [from_ns, until_ns) carry these flags, whoever brings them."""
        entry = (from_ns - from_ns % MINUTE_NS, until_ns, int(flags))
        if entry not in self._doubts:
            self._doubts.append(entry)

    def add(self, cells: Iterable[Cell]) -> None:
        """Take in cells the kernel is done with."""
        _gather(self._open, self._names, cells)

    @property
    def oldest_ns(self) -> int | None:
        """Start of the oldest minute whose row was not given yet."""
        return min((place.minute_ns for place in self._open), default=None)

    def finished(self, booked_ns: int) -> list[Row]:
        """Final rows of the minutes that ended before `booked_ns`, given once and forgotten. Drain the kernel first."""
        before_ns = open_minute_ns(booked_ns)
        done = [place for place in _in_order(self._open) if place.minute_ns < before_ns]
        rows = [self._row(place, self._open.pop(place), final=True) for place in done]
        if self._doubts:
            self._doubts = [doubt for doubt in self._doubts if doubt[1] > before_ns]
        return rows

    def provisional(self, peeked: Iterable[Cell]) -> list[Row]:
        """Rows of the minutes that are not final, as they look now. Changes no row."""
        seen = {place: Sums().add(sums) for place, sums in self._open.items()}
        _gather(seen, self._names, peeked)
        return [self._row(place, seen[place], final=False) for place in _in_order(seen)]

    def name(self, cells: Iterable[Cell]) -> None:
        """Learn under which names these cells will come back. Changes no row."""
        for cell in cells:
            self._names.place(cell)

    def dump(self) -> bytes:
        """What is committed together with the kernel's checkpoint, after a `name` of its open cell."""
        document = {
            "version": _DUMP_VERSION,
            "products": self._names.products,
            "shifts": [[shift_id, *named] for shift_id, named in self._names.shifts.items()],
            "minutes": [
                [place.minute_ns, place.product, place.shift, place.date, _nonzero(sums)]
                for place, sums in self._open.items()
            ],
            "doubts": self._doubts,
        }
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()

    def load(self, blob: bytes, open_cells: Iterable[Cell] = ()) -> None:
        """Go on from a dump. `open_cells`: what the kernel hands out right after its `load`, numbered as at the dump.

        Raises ValueError if the blob is not a dump of this version.
        """
        saved = _read(blob)
        _gather(saved.minutes, saved.names, open_cells)
        self._open = saved.minutes
        self._doubts = saved.doubts

    def _row(self, place: _Place, sums: Sums, *, final: bool) -> Row:
        for from_ns, until_ns, flags in self._doubts:
            if from_ns <= place.minute_ns < until_ns:
                sums.flags |= flags
        sums.flags = int(doubts(sums))
        return Row(
            key=RowKey(self._machine, MINUTE, place.minute_ns, place.product, place.shift, place.date),
            end_ns=place.minute_ns + MINUTE_NS,
            sums=sums,
            revision=0,
            final=final,
            config_version=self._config_version,
            tier=self._tier,
        )


def _in_order(minutes: _Minutes) -> list[_Place]:
    return sorted(minutes, key=lambda place: (place.minute_ns, place.date, place.shift, place.product))


# ---- the dump --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Saved:
    names: _Names
    minutes: _Minutes
    doubts: list[tuple[int, int, int]]


def _read(blob: bytes) -> _Saved:
    try:
        document = json.loads(blob)
        if document["version"] != _DUMP_VERSION:
            raise ValueError(f"minute book version {document['version']}, this build reads {_DUMP_VERSION}")
        names = _Names(document["products"], None)
        names.shifts = {int(shift_id): (str(name), str(date)) for shift_id, name, date in document["shifts"]}
        minutes = {_Place(*where): _sums(numbers) for *where, numbers in document["minutes"]}
        doubted = [(int(a), int(b), int(flags)) for a, b, flags in document.get("doubts", ())]
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a minute book, or a damaged one ({error!r}): start without it") from error
    return _Saved(names, minutes, doubted)


def _nonzero(sums: Sums) -> dict[str, Any]:
    """A few names instead of forty zeros. A sum that a later version adds reads as 0 from older dumps."""
    return {name: number for name in _SUMS if (number := getattr(sums, name))}


def _sums(numbers: dict[str, Any]) -> Sums:
    sums = Sums(**numbers)
    sums.stop_ns += [0] * (N_BUCKETS - len(sums.stop_ns))
    return sums
