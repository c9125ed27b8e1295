"""A VictoriaMetrics as the second database of a gateway, behind a proxy of its own, and what it holds at the end.

It is hurt on the way only: what it said 204 to it keeps in memory for some seconds, so a kill -9 of it loses points
that were promised, and that is between it and its disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fixtures.victoria import VictoriaServer
from torture.proxy import FaultProxy

DEDUP_MS = 100
MINUTE_MS = 60_000
COUNTS = ("tc", "gc", "sc")
Counts = tuple[int, int, int]
_Key = tuple[str, str, str, int]  # machine, product, shift, start in ms


class SecondDatabase:
    """Its server and its proxy."""

    FAULTS = tuple(mode for mode in FaultProxy.FAULTS if mode != "400")  # it refuses no points

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True)
        self._server = VictoriaServer(home / "data", (f"-dedup.minScrapeInterval={DEDUP_MS}ms",))
        self.proxy = FaultProxy(self._server.port)

    async def start(self) -> None:
        """The server blocks while it starts: nothing else runs yet."""
        self._server.start()
        await self.proxy.start()

    async def close(self) -> None:
        """Nothing stays behind."""
        await self.proxy.close()
        self._server.kill()

    def settings(self, deadline_s: float) -> dict[str, Any]:
        """As a site file has it."""
        url = f"http://127.0.0.1:{self.proxy.port}"
        return {"id": "victoria", "type": "victoriametrics", "url": url, "deadline_s": deadline_s}

    async def windows(self) -> dict[_Key, Counts]:
        """Pieces of every closed minute, in shifts and outside."""
        found: dict[_Key, Counter[str]] = {}
        for count in COUNTS:
            for name in (f"ledger_{count}", f"ledger_unscheduled_{count}"):
                for (_, labels), samples in (await self._server.series(f'{name}{{window="1m"}}')).items():
                    told = dict(labels)
                    for t_ms, value in samples.items():
                        key = (told["machine"], told["product"], told.get("shift", ""), t_ms - t_ms % MINUTE_MS)
                        found.setdefault(key, Counter())[count] += int(value)
        return {key: (each["tc"], each["gc"], each["sc"]) for key, each in found.items()}

    async def pieces(self) -> dict[str, Counts]:
        """By machine."""
        sums: dict[str, Counts] = {}
        for (machine, *_), counts in (await self.windows()).items():
            before = sums.get(machine, (0, 0, 0))
            sums[machine] = (before[0] + counts[0], before[1] + counts[1], before[2] + counts[2])
        return sums

    async def wrong(self, true: Mapping[str, Counts], rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """In words: machines whose pieces are not those that were made, closed minutes that are not as the first
        database has them.
        """
        sums, windows = await self.pieces(), await self.windows()
        words = [
            f"{name}: made {made}, in VictoriaMetrics {sums.get(name)}"
            for name, made in true.items()
            if sums.get(name, (0, 0, 0)) != made
        ]
        first = {_key(row): _counts(row) for row in rows if row["final"]}
        other = [key for key in first.keys() | windows.keys() if first.get(key) != windows.get(key)]
        if other:
            key = min(other)
            pair = f"{first.get(key)} and {windows.get(key)}"
            words.append(f"{len(other)} minutes differ between both databases, such as {key}: {pair}")
        return words


def _key(row: Mapping[str, Any]) -> _Key:
    return row["machine"], row["product"] or "", row["shift"] or "", row["time"] // 1_000_000


def _counts(row: Mapping[str, Any]) -> Counts:
    tc, gc, sc = ((row[c] or 0) + (row[f"unscheduled_{c}"] or 0) for c in COUNTS)
    return tc, gc, sc
