"""VictoriaMetrics: POST /write, with what it would lose in silence kept from it or said.

Theory. It answers 204 to everything, so its answer proves nothing about a line: every line is read and rewritten by
`ext.victoria` first (what that changes is told there), and a line that cannot be is condemned here, in our words. It
does not overwrite: a point that is sent again is stored again, and only a server that deduplicates by the interval we
write for shows it once. The server is asked for its flags before the first points and after every pause of the line;
where they are wrong the data wait, and where they are hidden (a proxy, a cluster) the page of the sink says so.

Source: VictoriaMetrics documentation, "How to send data from InfluxDB-compatible agents", "Deduplication", "Retention".
"""

from __future__ import annotations

import re
from contextlib import suppress

from edge.errors import Text
from edge.plan import InfluxSink, Target, VictoriaRules
from edge.sinks import Delivered, Outcome, Rejected, Wait
from edge.sinks.http import Body, Link, Ready, authorization_of, gzip_level, pack
from ext.victoria import to_victoria

_FLAG = re.compile(r'^-([\w.]+)="?([^"\n]*)"?$', re.MULTILINE)
_DURATION = re.compile(r"([0-9.]+)(ms|s|m|h|d|w|y)?")
_MS = {"ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6, "d": 8.64e7, "w": 6.048e8, "y": 3.1536e10}
_HIDDEN = (301, 302, 400, 401, 403, 404, 405)  # what stands in front of the server does not let us see its flags


class Victoria:
    """One VictoriaMetrics, single-node or cluster (its url then ends in /insert/<account>/influx)."""

    def __init__(self, plan: InfluxSink, rules: VictoriaRules) -> None:
        self.id = plan.id
        self.url = plan.url
        self._label = plan.database
        self._dedup_ms = rules.dedup_ns // 1_000_000
        self._asks = rules.check
        self._checked = not rules.check
        self._link = Link(plan, authorization_of(plan))
        self._level = gzip_level(plan)
        self._ready = Ready(self._rewritten)

    async def date_ns(self) -> int | None:
        """What the server's clock shows; None where it does not tell."""
        return await self._link.date_ns()

    async def prepare(self, lines: bytes) -> None:
        """Make the body of lines that come next; what is wrong with them `write` says."""
        with suppress(ValueError):
            await self._ready.prepare(lines)

    async def write(self, lines: bytes, target: Target | None = None) -> Outcome:
        """Send newline-separated line protocol, nanosecond precision. Never raises for network or server."""
        if not self._checked and (wait := await self._check()):
            return wait
        try:
            body = await self._ready.take(lines)
        except ValueError as error:
            return Rejected(str(error))
        if not body.data:  # nothing of it is for this server
            return Delivered()
        params = {"precision": "ms"}
        if database := target.database if target else self._label:
            params["db"] = database  # the server makes it a label
        outcome = await self._link.post("/write", params, body, self.url)
        if isinstance(outcome, Wait) and outcome.reason in ("refused", "reset", "timeout"):
            self._checked = not self._asks  # it may come back with other flags
        return outcome

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()

    async def _rewritten(self, lines: bytes) -> Body:
        """Raises ValueError for a line that cannot be."""
        return await pack(to_victoria(lines, self._dedup_ms)[0], self._level)

    async def _check(self) -> Wait | None:
        """Does the server deduplicate by the interval we write for? None = yes, or it cannot be seen."""
        page = await self._link.get("/flags", self.url)
        if isinstance(page, Wait):
            return page
        status, text = page
        if status != 200:
            self._checked = status in _HIDDEN
            return None if self._checked else self._unready(f"/flags: {status}")
        flags = dict(_FLAG.findall(text))
        found = _milliseconds(flags.get("dedup.minScrapeInterval", "0"))
        if found != self._dedup_ms:
            return self._unready(f"-dedup.minScrapeInterval={flags.get('dedup.minScrapeInterval', '0')}")
        if "influxSkipSingleField" in flags or "influxSkipMeasurement" in flags:
            return self._unready("-influxSkipSingleField, -influxSkipMeasurement")
        self._checked = True
        return None

    def _unready(self, found: str) -> Wait:
        wanted = f"-dedup.minScrapeInterval={self._dedup_ms}ms"
        return Wait(
            "settings",
            str(
                Text(
                    f"{self.url} 的启动参数不合适（{found}）：重发的点会存两份或改名。"
                    f"请以 {wanted} 启动 VictoriaMetrics，或改 dedup_ms；数据保留在存储中",
                    f"{self.url} runs with flags that do not fit ({found}): a point sent again would stand twice, or "
                    f"under another name. Start VictoriaMetrics with {wanted}, or change dedup_ms; the data stay in "
                    "the store",
                )
            ),
        )


def _milliseconds(text: str) -> float:
    """A duration as Go and VictoriaMetrics write it, `100ms` or `1m30s`; -1 for what is none."""
    parts = _DURATION.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        return -1
    return sum(float(number) * _MS.get(unit, 1.0) for number, unit in parts)
