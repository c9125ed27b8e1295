"""InfluxDB 3.x: POST /api/v3/write_lp.

The client library for 3.x needs pyarrow (63 MiB), which no gateway has to spare; a POST is all it takes. The route for
clients of 2.x is there too: `edge.sinks.influx2`.

Source: InfluxDB 3 Core documentation, "Use the v3 write_lp API to write data".
"""

from __future__ import annotations

from edge.plan import InfluxSink, Target
from edge.sinks import Outcome
from edge.sinks.http import Link, authorization_of, packing


class Influx3:
    """One InfluxDB 3.x. Good lines of a batch with a bad one are stored (accept_partial), as the older ones do."""

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
        params = {"db": to.database, "precision": "nanosecond", "accept_partial": "true"}
        body = await self._ready.take(lines)
        return await self._link.post("/api/v3/write_lp", params, body, f"{self.url} {to.database}")

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()
