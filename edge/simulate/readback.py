"""What really arrived: asks a real InfluxDB, 1.x or 2.x, by InfluxQL."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from edge.errors import SinkError, Text
from edge.plan import InfluxSink


class ReadBack:
    """The database a demo delivers to, seen from the reader's side."""

    def __init__(self, sink: InfluxSink, session: aiohttp.ClientSession) -> None:
        self._sink = sink
        self._session = session

    async def prepare(self) -> None:
        """Make the database of a 1.x server; a 2.x bucket must exist. Raises SinkError."""
        if self._sink.version == 1:
            await self._ask(f'CREATE DATABASE "{self._sink.database}"')

    async def pieces(self, site: str) -> dict[str, int]:
        """Pieces of every machine of a site: the sum of its one-minute ledger rows. Raises SinkError."""
        series = await self._ask(
            "SELECT sum(tc), sum(unscheduled_tc) FROM ledger WHERE \"window\" = '1m' "  # noqa: S608 - quoted below
            f"AND site = {_quoted(site)} GROUP BY machine"
        )
        return {one["tags"]["machine"]: sum(number or 0 for number in one["values"][0][1:]) for one in series}

    async def _ask(self, query: str) -> list[dict[str, Any]]:
        sink = self._sink
        headers = {"Authorization": f"Token {sink.token}"} if sink.version == 2 else {}
        login = aiohttp.BasicAuth(sink.user, sink.password) if sink.user else None
        parameters = {"q": query, "db": sink.database or sink.bucket, "epoch": "ns"}
        url = f"{sink.url.rstrip('/')}/query"
        try:
            async with self._session.post(url, params=parameters, headers=headers, auth=login) as response:
                answer = json.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise self._silent(error) from error
        results = answer.get("results", [])
        refusal = answer.get("error") or next((result["error"] for result in results if "error" in result), None)
        if refusal:
            raise SinkError(f"InfluxDB {sink.url}: {refusal}")
        series: list[dict[str, Any]] = results[0].get("series", [])
        return series

    def _silent(self, error: Exception) -> SinkError:
        why = str(error) or type(error).__name__
        return SinkError(
            str(
                Text(
                    f"InfluxDB {self._sink.url} 没有应答（{why}）：请确认地址与端口，以及服务是否在运行",
                    f"InfluxDB {self._sink.url} does not answer ({why}): check address and port, and that it runs",
                )
            )
        )


def _quoted(text: str) -> str:
    """A string literal of InfluxQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
