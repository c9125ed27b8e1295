"""What the database holds at the end against what was made: pieces, time, and what the gap ledger says of the holes.

Nothing here asks the agent. Machines say what they made; a real InfluxDB says what was stored; the store file is read
for the comparison row by row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torture.gateway import Gateway
from torture.hands import Hands

from edge.kpi.row import Row
from edge.outbox.reader import Reader
from edge.points import BUCKET_FIELDS

MINUTE_NS = 60_000_000_000
NEAR_NS = 15_000_000_000  # a gap is known by when a reading was missed; a window by its minute
COUNTS = ("tc", "gc", "sc")
_Key = tuple[str, int, str, str]  # machine, start, product, shift


@dataclass(frozen=True, slots=True)
class Pieces:
    """Of one machine."""

    true: tuple[int, int, int]  # total, good, reject
    stored: tuple[int, int, int]
    excused: int  # made in the time that `damaged` gaps name, as the gap ledger in the database has them
    lost_max: int  # how many the ledger itself says it may have lost

    @property
    def is_exact(self) -> bool:
        return self.true == self.stored

    @property
    def is_explained(self) -> bool:
        return self.is_exact or 0 <= self.true[0] - self.stored[0] <= self.excused + self.lost_max


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one round. `wrong` says in words what should not be."""

    name: str
    theme: str
    seed: int
    injected: Mapping[str, int]
    machines: Mapping[str, Pieces]
    is_exact: bool  # was promised
    windows: int
    damaged: int  # minutes of a machine in which time was not observed
    told: int  # of them, in the gap ledger
    set_aside: int  # stores
    wrong: tuple[str, ...]
    pieces: Mapping[str, int]  # made under each kind of fault

    @property
    def true(self) -> int:
        return sum(pieces.true[0] for pieces in self.machines.values())

    @property
    def stored(self) -> int:
        return sum(pieces.stored[0] for pieces in self.machines.values())

    @property
    def explained(self) -> int:
        """Pieces of the difference that the damage explains."""
        return sum(p.true[0] - p.stored[0] for p in self.machines.values() if p.is_explained)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def judge(gateway: Gateway, hands: Hands, seed: int) -> Outcome:
    """After `settle`."""
    truth = await gateway.truth()
    rows = await gateway.influx.query("SELECT * FROM ledger WHERE \"window\" = '1m'", gateway.database)
    gaps = await gateway.influx.query("SELECT * FROM gap", gateway.database)
    with Reader(gateway.store) as reader:
        local = [row for name in truth for row in reader.ledger_rows(name, "1m", 0, 1 << 62)]
    aside = len(
        [file for file in gateway.disk.folder.glob("*.damaged-*") if not file.name.endswith(("-wal", "-shm", ".txt"))]
    )
    machines = {name: _pieces(name, entry, rows, _excused(name, gateway, gaps)) for name, entry in truth.items()}
    damaged, told, untold = _damage(rows, gaps)
    exact = hands.theme.is_exact
    wrong = [
        *_wrong_pieces(machines, exact=exact),
        *_wrong_windows(rows),
        *([] if aside else _missing_minutes(rows)),
        *_differences(rows, local, exact=exact),
        *untold,
        *_untold_stores(aside, gaps),
        *(_unequal_gaps(rows, gaps) if exact and not gateway.diary.times("clock") else ()),
    ]
    if gateway.second is not None:
        wrong += await gateway.second.wrong({name: pieces.true for name, pieces in machines.items()}, rows)
    ends = gateway.agent.own_ends if gateway.agent else []
    if ends and not gateway.diary.times("disk") and not gateway.diary.times("edit"):
        wrong.append(f"the agent ended by itself {len(ends)} times: {ends}")
    log = gateway.agent.log.read_text("utf-8", "replace") if gateway.agent else ""
    if "Traceback" in log or "task failed" in log:
        wrong.append("a traceback in the agent's log")
    injected = Counter(kind for kind, *_ in gateway.diary.entries)
    injected.update({f"answer {mode}": n for mode, n in gateway.proxy.met.items() if mode != "pass"})
    return Outcome(
        gateway.name, hands.theme.key, seed, dict(injected), machines, exact, len(rows), damaged, told, aside,
        tuple(wrong), dict(gateway.diary.pieces),
    )  # fmt: skip


def _pieces(name: str, truth: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], excused: int) -> Pieces:
    own = [row for row in rows if row["machine"] == name]
    made = truth["made"]
    return Pieces(
        (made["total"], made["good"], made["reject"]),
        tuple(sum((row[c] or 0) + (row[f"unscheduled_{c}"] or 0) for row in own) for c in COUNTS),  # type: ignore[arg-type]
        excused,
        sum(row["lost_max"] or 0 for row in own),
    )


def _excused(name: str, gateway: Gateway, gaps: Sequence[Mapping[str, Any]]) -> int:
    """Pieces of a machine in the time of `damaged` gaps, by what was seen of it around them."""
    spans = sorted((gap["time"], gap["time"] + (gap["duration_ns"] or 0)) for gap in gaps if gap["cause"] == "damaged")
    pieces = until_ns = 0
    for start, end in spans:
        before = [made.get(name, 0) for t_ns, made in gateway.course if t_ns <= max(start, until_ns)]
        after = [made.get(name, 0) for t_ns, made in gateway.course if t_ns >= end]
        if end > until_ns and gateway.course:
            last = gateway.course[-1][1].get(name, 0)
            pieces += (after[0] if after else last) - (before[-1] if before else 0)
        until_ns = max(until_ns, end)
    return pieces


def _wrong_pieces(machines: Mapping[str, Pieces], *, exact: bool) -> list[str]:
    return [
        f"{name}: made {p.true}, stored {p.stored}, excused {p.excused}, lost_max {p.lost_max}"
        for name, p in machines.items()
        if not (p.is_exact if exact else p.is_explained)
    ]


def _wrong_windows(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every window closes to the nanosecond, and no minute of a machine holds more than a minute."""
    wrong, minutes = [], Counter[tuple[str, int]]()
    for row in rows:
        where = f"{row['machine']} at {row['time']}"
        parts = sum(row[field] or 0 for field in BUCKET_FIELDS)
        if row["all_ns"] != parts:
            wrong.append(f"{where}: buckets sum to {parts}, all_ns is {row['all_ns']}")
        minutes[row["machine"], row["time"] - row["time"] % MINUTE_NS] += row["all_ns"]
    wrong += [f"{name} at {start}: a minute of {ns} ns" for (name, start), ns in minutes.items() if ns > MINUTE_NS]
    return wrong


def _missing_minutes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """From the first to the last, none is missing; all but these are whole."""
    wrong = []
    for name in sorted({row["machine"] for row in rows}):
        minutes = Counter[int]()
        for row in rows:
            if row["machine"] == name:
                minutes[row["time"] - row["time"] % MINUTE_NS] += row["all_ns"]
        first, last = min(minutes), max(minutes)
        missing = [start for start in range(first, last, MINUTE_NS) if start not in minutes]
        short = [start for start, ns in minutes.items() if first < start < last and ns != MINUTE_NS]
        wrong += [f"{name}: {len(missing)} minutes missing, from {missing[0]}"] if missing else []
        wrong += [f"{name}: {len(short)} minutes not whole, from {short[0]}"] if short else []
    return wrong


def _differences(rows: Sequence[Mapping[str, Any]], local: Sequence[Row], *, exact: bool) -> list[str]:
    """What the database has is what the store has, row by row."""
    there = {_key(row): (*(row[c] for c in COUNTS), row["all_ns"]) for row in rows}
    here = {
        (row.key.machine, row.key.start_ns, row.key.product, row.key.shift): (
            row.sums.tc, row.sums.gc, row.sums.sc, row.sums.all_ns,
        )
        for row in local
    }  # fmt: skip
    lacking = [key for key in here if key not in there]
    other = [key for key, values in here.items() if key in there and there[key] != values]
    more = [key for key in there if key not in here] if exact else []  # a store set aside took its rows along
    return [
        f"{len(keys)} rows {what}, such as {keys[0]}: stored {here.get(keys[0])}, in the database {there.get(keys[0])}"
        for what, keys in (("never arrived", lacking), ("arrived with other values", other), ("are not ours", more))
        if keys
    ]


def _key(row: Mapping[str, Any]) -> _Key:
    return row["machine"], row["time"], row["product"], row["shift"] or ""


def _damage(rows: Sequence[Mapping[str, Any]], gaps: Sequence[Mapping[str, Any]]) -> tuple[int, int, list[str]]:
    """Minutes with time nobody observed; how many of them a gap explains; in words, those that none does."""
    spans = [(gap["time"] - NEAR_NS, gap["time"] + (gap["duration_ns"] or 0) + NEAR_NS) for gap in gaps]
    first = {name: min(r["time"] for r in rows if r["machine"] == name) for name in {r["machine"] for r in rows}}
    damaged = [row for row in rows if (row["unobserved_ns"] or 0) > 0 and row["time"] > first[row["machine"]]]
    untold = [
        row for row in damaged if not any(start < row["time"] + MINUTE_NS and row["time"] < end for start, end in spans)
    ]
    words = []
    if untold:
        row = untold[0]
        where = f"{row['machine']} at {row['time']}: {row['unobserved_ns'] / 1e9:.1f} s"
        words = [f"{len(untold)} minutes with time unobserved and no gap, such as {where}"]
    return len(damaged), len(damaged) - len(untold), words


def _untold_stores(aside: int, gaps: Sequence[Mapping[str, Any]]) -> list[str]:
    """A store that was set aside is a gap."""
    told = [gap for gap in gaps if gap["cause"] == "damaged"]
    return [f"{aside} stores set aside and no gap says so"] if aside and not told else []


def _unequal_gaps(rows: Sequence[Mapping[str, Any]], gaps: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the gap ledger says of a machine and what its windows say was not seen: the same. Where the clock was set
    back, a time is lived twice, and may be seen the second time.
    """
    wrong = []
    for name in sorted({row["machine"] for row in rows}):
        unseen_ns = sum(row["unobserved_ns"] or 0 for row in rows if row["machine"] == name)
        told_ns = sum(gap["duration_ns"] or 0 for gap in gaps if gap["object"] == name)
        if abs(unseen_ns - told_ns) > NEAR_NS:
            wrong.append(f"{name}: {unseen_ns / 1e9:.1f} s unobserved, {told_ns / 1e9:.1f} s in the gap ledger")
    return wrong
