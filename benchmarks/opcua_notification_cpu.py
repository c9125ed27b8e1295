"""CPU of one notification: a thousand doubles at 10 Hz from a foreign server (node-opcua), by our client and by
asyncua's own fastest mode (its iterator, events thrown away) in the same run.

Ours writes value, status, source and server time and arrival of each into the image and hands a frame on; nothing is
dropped silently: `opcua_notification_cpu.lost` is what overflow bits, gaps in the numbering and a watched counter say.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.result import Result, summarise
from benchmarks.rig.opcua_plant import listened, serving

CASES = ("plain",)
RUNS = 3
ITEMS, PERIOD_MS, SECONDS = 1000, 100, 10.0


def run(case: str | None) -> Iterable[Result]:
    """The only case."""
    ours, bare, lost = [], [], []
    with serving(ITEMS, PERIOD_MS) as url:
        for _ in range(RUNS):
            mine, theirs = (listened(which, url, ITEMS, PERIOD_MS, SECONDS) for which in ("ours", "iterator"))
            ours.append(mine.cpu_s / mine.values * 1e6)
            bare.append(theirs.cpu_s / theirs.values * 1e6)
            lost.append(float(mine.lost))
    yield summarise("opcua_notification_cpu.plain", "us", ours, bare)
    yield summarise("opcua_notification_cpu.lost", "notifications", lost)
