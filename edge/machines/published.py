"""What the store has been told of minutes that may still change, and what it must be told now. Pure.

Theory. A final row is known by its key, its content and its revision. When time is lived again (`reopen`), the rows
from there on are in doubt until the same minutes are final again. Then a row with the same content is confirmed and not
written; one with another is written with revision + 1; one that did not come back is written void (no time, no pieces,
revision + 1). So a closed window never changes silently, and the store's sum is right after every commit.

Provisional rows (a silence, a clean stop) leave a trace as well: where the final row of that minute comes under another
product or shift, the provisional one is made void, or its time would count twice.

Memory. Rows wait packed, some 400 bytes each, no longer than a fact may still change them (`forget`); provisional ones
as stretches of minutes under one name, so that a silence of a week is a few numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from edge.kpi.row import Row, RowKey, Sums
from edge.kpi.windows import MINUTE_NS

_Name = tuple[str, str, str, str, str, int]  # machine, product, shift, shift_date, config_version, tier


@dataclass(frozen=True, slots=True)
class _Final:
    """A final row as it was written last."""

    revision: int
    packed: bytes
    config_version: str
    tier: int
    shown_over: bool = False  # a provisional row has been written over it since


@dataclass(slots=True)
class News:
    """What minutes becoming final comes to."""

    written: list[Row] = field(default_factory=list)  # for the store
    confirmed: list[Row] = field(default_factory=list)  # for the sums, whether written or not
    revised: list[tuple[Row, int]] = field(default_factory=list)  # of the written: was closed; pieces more than before


class Published:
    """One machine's minutes, from the horizon on."""

    def __init__(self) -> None:
        self._finals: dict[RowKey, _Final] = {}
        self._doubted: set[RowKey] = set()
        self._closed_ns = 0  # minutes before have been final
        self._shown: dict[_Name, list[tuple[int, int]]] = {}  # provisional minutes: [from, until), ascending

    # ---- final rows ----

    def final(self, rows: Iterable[Row], until_ns: int) -> News:
        """Rows that are final now; every minute before `until_ns` is."""
        news = News()
        for row in rows:
            self._confirm(row, news)
        for key in sorted((key for key in self._doubted if key.start_ns < until_ns), key=lambda key: key.start_ns):
            known = self._finals[key]
            self._confirm(_void(key, known.config_version, known.tier), news)
        for key, config_version, tier in self._take_shown(until_ns):
            if key not in self._finals:
                self._confirm(_void(key, config_version, tier), news)
        self._closed_ns = max(self._closed_ns, until_ns)
        return news

    def _confirm(self, row: Row, news: News) -> None:
        known, packed = self._finals.get(row.key), row.sums.pack()
        self._doubted.discard(row.key)
        same = known is not None and known.packed == packed and not known.shown_over
        if not same and (known is not None or row.key.start_ns < self._closed_ns):  # or: it was closed without this row
            row = replace(row, revision=known.revision + 1 if known else 1)
            before = Sums.unpack(known.packed) if known else Sums()
            news.revised.append((row, pieces_of(row.sums) - pieces_of(before)))
        elif known is not None:
            row = replace(row, revision=known.revision)
        self._finals[row.key] = _Final(row.revision, packed, row.config_version, row.tier)
        news.confirmed.append(row)
        if not same:
            news.written.append(row)

    def reopen(self, from_ns: int) -> None:
        """Minutes from here on are in doubt."""
        self._doubted.update(key for key in self._finals if key.start_ns >= from_ns)

    def settled(self) -> Iterator[Row]:
        """The final rows that are not in doubt."""
        return (_row(key, known) for key, known in self._finals.items() if key not in self._doubted)

    def forget(self, before_ns: int) -> list[Row]:
        """Take out the final rows of minutes before: nothing can change them any more."""
        keys = [key for key in self._finals if key.start_ns < before_ns and key not in self._doubted]
        return [_row(key, self._finals.pop(key)) for key in keys]

    # ---- provisional rows ----

    def provisional(self, rows: Iterable[Row], from_ns: int, until_ns: int) -> list[Row]:
        """Rows to be written although they are not final: those of all minutes in [from_ns, until_ns) that are not.

        What was written of these minutes under another name, or was final and is in doubt, is void for now.
        """
        written = [self._show(row) for row in rows]
        there = {row.key for row in written}
        gone = [self._void(key) for key in self._doubted if from_ns <= key.start_ns < until_ns and key not in there]
        for key, config_version, tier in list(self._shown_between(from_ns, until_ns)):
            if key not in there and key not in self._finals:
                self._hide(key, config_version, tier)
                gone.append(_void(key, config_version, tier))
        return written + [replace(row, final=False) for row in gone]

    def _show(self, row: Row) -> Row:
        key, known = row.key, self._finals.get(row.key)
        if known is not None:
            self._finals[key] = replace(known, shown_over=True)
            return replace(row, revision=known.revision + 1)
        name = (key.machine, key.product, key.shift, key.shift_date, row.config_version, row.tier)
        _extend(self._shown.setdefault(name, []), key.start_ns)
        return row

    def _void(self, key: RowKey) -> Row:
        known = self._finals[key]
        return self._show(_void(key, known.config_version, known.tier))

    def _shown_between(self, from_ns: int, until_ns: int) -> Iterator[tuple[RowKey, str, int]]:
        """Provisional minutes in [from_ns, until_ns)."""
        for (machine, product, shift, date, config_version, tier), stretches in self._shown.items():
            for start_ns, end_ns in stretches:
                for minute_ns in range(max(start_ns, from_ns), min(end_ns, until_ns), MINUTE_NS):
                    yield RowKey(machine, "1m", minute_ns, product, shift, date), config_version, tier

    def _hide(self, key: RowKey, config_version: str, tier: int) -> None:
        name = (key.machine, key.product, key.shift, key.shift_date, config_version, tier)
        self._cut(name, key.start_ns, key.start_ns + MINUTE_NS)

    def _cut(self, name: _Name, from_ns: int, until_ns: int) -> None:
        """Forget that provisional minutes in [from_ns, until_ns) were written under a name."""
        kept = [
            part
            for start_ns, end_ns in self._shown[name]
            for part in ((start_ns, min(end_ns, from_ns)), (max(start_ns, until_ns), end_ns))
            if part[0] < part[1]
        ]
        if kept:
            self._shown[name] = kept
        else:
            del self._shown[name]

    def _take_shown(self, until_ns: int) -> list[tuple[RowKey, str, int]]:
        """Provisional minutes before, once."""
        taken = list(self._shown_between(0, until_ns))
        for name in list(self._shown):
            self._cut(name, 0, until_ns)
        return taken

    # ---- a restart ----

    def remember(self, rows: Iterable[Row], final_ns: int) -> None:
        """Rows of the store; minutes from `final_ns` on are not final as the ledger stands."""
        for row in rows:
            if row.final or row.revision:
                revision = row.revision if row.final else row.revision - 1
                about = row.config_version, row.tier, not row.final
                self._finals[row.key] = _Final(revision, row.sums.pack(), *about)
                self._closed_ns = max(self._closed_ns, row.end_ns)
                if row.key.start_ns >= final_ns:
                    self._doubted.add(row.key)
            else:
                self._show(row)


def pieces_of(sums: Sums) -> int:
    """All output, scheduled or not."""
    return sums.tc + sums.unscheduled_tc


def _row(key: RowKey, known: _Final) -> Row:
    return Row(
        key, key.start_ns + MINUTE_NS, Sums.unpack(known.packed), known.revision, True, known.config_version, known.tier
    )


def _void(key: RowKey, config_version: str, tier: int) -> Row:
    return Row(key, key.start_ns + MINUTE_NS, Sums(), 0, True, config_version, tier)


def _extend(stretches: list[tuple[int, int]], minute_ns: int) -> None:
    """Add a minute to ascending stretches; mostly it follows the last one or lies in it."""
    if stretches and stretches[-1][0] <= minute_ns <= stretches[-1][1]:
        stretches[-1] = (stretches[-1][0], max(stretches[-1][1], minute_ns + MINUTE_NS))
    else:
        stretches.append((minute_ns, minute_ns + MINUTE_NS))
