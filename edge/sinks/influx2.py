"""InfluxDB 2.x, and 3.x through its 2.x route: POST /api/v2/write by influxdb-client.

Theory. The client's write service is used at its lowest public level: raw bytes out, (data, status, headers) back.
Its batching mode is not: it keeps an unbounded queue in memory and drops after retries, while the outbox is durable.
Its own gzip is not: it compresses at zlib's default level, ten times the CPU of level 1. Its `True` is not: it also
calls a 201 success, and the higher-level call hides the status. One request at a time; the asynchronous API ends at
once on cancel.

This module is imported only where a 2.x database is configured: the client costs 14 MiB and more.
"""

from __future__ import annotations

import aiohttp
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.rest import ApiException
from influxdb_client.service.write_service import WriteService

from edge.plan import InfluxSink
from edge.sinks import Outcome
from edge.sinks.influx1 import GZIP_FROM_BYTES, gzip_fast
from edge.sinks.verdict import judge_failure, judge_reply


class Influx2:
    """One bucket of one InfluxDB 2.x. Compresses unless the server is on this machine."""

    def __init__(self, plan: InfluxSink, *, compress: bool) -> None:
        self.id = plan.id
        self.url = plan.url
        self._plan = plan
        self._compress = compress
        self._target = f"{plan.url} {plan.org}/{plan.bucket}"
        self._client: InfluxDBClientAsync | None = None

    async def write(self, lines: bytes) -> Outcome:
        """Send newline-separated line protocol, nanosecond precision. Never raises for network or server."""
        encoding = "identity"
        body = lines
        if self._compress and len(lines) >= GZIP_FROM_BYTES:
            encoding = "gzip"
            body = await gzip_fast(lines)
        try:
            service = WriteService(self._connected().api_client)  # type: ignore[no-untyped-call]
            _, status, headers = await service.post_write_async(  # type: ignore[no-untyped-call]
                org=self._plan.org,
                bucket=self._plan.bucket,
                body=body,
                precision="ns",
                content_encoding=encoding,
                content_type="text/plain; charset=utf-8",
                _return_http_data_only=False,
            )
        except ApiException as refusal:
            return judge_reply(self._target, refusal.status, refusal.headers, _bytes(refusal.body))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return judge_failure(self._target, error)
        return judge_reply(self._target, status, headers, b"")

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]
            self._client = None

    def _connected(self) -> InfluxDBClientAsync:
        if self._client is None:
            self._client = InfluxDBClientAsync(
                url=self._plan.url,
                token=self._plan.token,
                org=self._plan.org,
                timeout=self._plan.deadline_ns // 1_000_000,  # milliseconds
                allow_redirects=False,  # a redirect is a portal, never the database
                connection_pool_maxsize=1,
            )
        return self._client


def _bytes(body: str | bytes | None) -> bytes:
    return body.encode() if isinstance(body, str) else body or b""
