"""InfluxDB 1.x: POST /write. Influxdb-client has no 1.x write route."""

from __future__ import annotations

from edge.plan import InfluxSink, Target
from edge.sinks import Outcome
from edge.sinks.http import Link, authorization_of, packing


class Influx1:
    """One InfluxDB 1.x."""

    def __init__(self, plan: InfluxSink) -> None:
        self.id = plan.id
        self.url = plan.url
        self._main = plan.target
        self._link = Link(plan, authorization_of(plan))
        self._ready = packing(plan)

    async def date_ns(self) -> int | None:
        """What the server's clock shows; None where it does not tell."""
        return await self._link.date_ns()

    async def prepare(self, lines: bytes) -> None:
        """Make the body of lines that come next."""
        await self._ready.prepare(lines)

    async def write(self, lines: bytes, target: Target | None = None) -> Outcome:
        """Send newline-separated line protocol, nanosecond precision. Never raises for network or server."""
        to = target or self._main
        params = {"db": to.database, "precision": "ns"}
        if to.retention_policy:
            params["rp"] = to.retention_policy
        body = await self._ready.take(lines)
        return await self._link.post("/write", params, body, f"{self.url} {to.database}")

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()
