"""Ten thousand monitored items on one session: every one changing each second, and ten times a second.

CPU (percent of one core), RSS (MiB), notifications lost, latency from the server's source time stamp to the image (both
processes on one machine, one clock). Reference of CPU: asyncua's iterator on the same items in the same run. At 10 Hz
the node-opcua server needs more than a core to produce 100,000 changes a second: the rate that came is told beside,
`each` is what compares, and the latency is mostly that of the server's own queues.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.result import Result, summarise
from benchmarks.rig.opcua_plant import listened, serving

CASES = ("1s", "100ms")
ITEMS, SECONDS, RUNS = 10_000, 15.0, 1
_PERIOD_MS = {"1s": 1000, "100ms": 100}


def run(case: str | None) -> Iterable[Result]:
    """Every case, or one."""
    for name in CASES if case is None else (case,):
        yield from _case(name)


def _case(name: str) -> Iterable[Result]:
    period_ms = _PERIOD_MS[name]
    with serving(ITEMS, period_ms) as url:
        runs = [
            (listened("ours", url, ITEMS, period_ms, SECONDS), listened("iterator", url, ITEMS, period_ms, SECONDS))
            for _ in range(RUNS)
        ]
    mine = [ours for ours, _ in runs]
    cpu = [100 * one.cpu_s / one.seconds for one in mine]
    yield summarise(f"opcua_10k.{name}_cpu", "% of a core", cpu, [100 * bare.cpu_s / bare.seconds for _, bare in runs])
    per_value = [one.cpu_s / one.values * 1e6 for one in mine]
    yield summarise(
        f"opcua_10k.{name}_each", "us", per_value, [bare.cpu_s / bare.values * 1e6 for _, bare in runs if bare.values]
    )
    yield summarise(f"opcua_10k.{name}_rss", "MiB", [one.rss_mib for one in mine], [bare.rss_mib for _, bare in runs])
    yield summarise(f"opcua_10k.{name}_rate", "values/s", [one.values / one.seconds for one in mine])
    yield summarise(f"opcua_10k.{name}_lost", "notifications", [float(one.lost) for one in mine])
    yield summarise(f"opcua_10k.{name}_p50", "ms", [one.p50_ms or 0.0 for one in mine])
    yield summarise(f"opcua_10k.{name}_p99", "ms", [one.p99_ms or 0.0 for one in mine])
