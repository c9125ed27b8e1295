"""Ten thousand monitored items on one session: every one changing each second, and ten times a second.

CPU (percent of one core), RSS (MiB), notifications lost (of each item, by its sequence), latency from the server's
source time stamp to the image (both processes on one machine, one clock). Reference of CPU: asyncua's iterator on the
same items in the same run; not at 10 Hz, where 100,000 notifications a second at what each costs it are more than a
core. The server is one that costs next to nothing (`rig/opcua_beat.py`): node-opcua makes some 6,000 changes a
second. The rate that came is told beside. Latency contains the wait for the publishing interval, 500 ms at 1 Hz and
100 ms at 10 Hz.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.result import Result, summarise
from benchmarks.rig.opcua_plant import beating, listened

CASES = ("1s", "100ms")
ITEMS, SECONDS, RUNS = 10_000, 15.0, 1
_PERIOD_MS = {"1s": 1000, "100ms": 100}


def run(case: str | None) -> Iterable[Result]:
    """Every case, or one."""
    for name in CASES if case is None else (case,):
        yield from _case(name)


def _case(name: str) -> Iterable[Result]:
    period_ms = _PERIOD_MS[name]
    with beating(ITEMS, period_ms) as url:
        mine = [listened("ours", url, ITEMS, period_ms, SECONDS) for _ in range(RUNS)]
        bare = [listened("iterator", url, ITEMS, period_ms, SECONDS) for _ in range(RUNS if name == "1s" else 0)]
    cpu = [100 * one.cpu_s / one.seconds for one in mine]
    yield summarise(
        f"opcua_10k.{name}_cpu", "% of a core", cpu, [100 * one.cpu_s / one.seconds for one in bare] or None
    )
    each, bare_each = ([one.cpu_s / one.values * 1e6 for one in those] for those in (mine, bare))
    yield summarise(f"opcua_10k.{name}_each", "us", each, bare_each or None)
    yield summarise(
        f"opcua_10k.{name}_rss", "MiB", [one.rss_mib for one in mine], [one.rss_mib for one in bare] or None
    )
    yield summarise(f"opcua_10k.{name}_rate", "values/s", [one.values / one.seconds for one in mine])
    yield summarise(f"opcua_10k.{name}_lost", "notifications", [float(one.lost) for one in mine])
    yield summarise(f"opcua_10k.{name}_p50", "ms", [one.p50_ms or 0.0 for one in mine])
    yield summarise(f"opcua_10k.{name}_p99", "ms", [one.p99_ms or 0.0 for one in mine])
