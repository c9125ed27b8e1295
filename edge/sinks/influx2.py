"""InfluxDB 2.x, and 3.x by its route for clients of 2.x: POST /api/v2/write by influxdb-client.

Theory. The client's write service is used at its lowest public level: raw bytes out, (data, status, headers) back.
Its batching mode is not: it keeps an unbounded queue in memory and drops after retries, while the outbox is durable.
Its own gzip is not: it compresses at zlib's default level, ten times the CPU of level 1. Its `True` is not: it also
calls a 201 success, and the higher-level call hides the status. Its TLS settings are not: it reads certificates on the
event loop. The asynchronous API ends at once on cancel.

This module is imported only where a 2.x database is configured: the client costs 14 MiB and more.
"""

from __future__ import annotations

import ssl

import aiohttp
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.rest import ApiException
from influxdb_client.service.ping_service import PingService
from influxdb_client.service.write_service import WriteService

from edge.plan import InfluxSink, Target
from edge.sinks import Outcome, Wait
from edge.sinks.http import BROKEN, CONNECTIONS, packing, proxy_url, timeout_of, trust
from edge.sinks.verdict import date_ns, judge_failure, judge_reply


class Influx2:
    """One InfluxDB 2.x, or a 3.x whose database is the bucket."""

    def __init__(self, plan: InfluxSink) -> None:
        self.id = plan.id
        self.url = plan.url
        self._plan = plan
        self._main = plan.target
        self._ready = packing(plan)
        self._client: InfluxDBClientAsync | None = None

    async def date_ns(self) -> int | None:
        """What the server's clock shows; None where it does not tell. Whatever it answers has a date."""
        try:
            service = PingService((await self._connected()).api_client)  # type: ignore[no-untyped-call]
            _, _, headers = await service.get_ping_async(_return_http_data_only=False)  # type: ignore[no-untyped-call]
        except ApiException as refusal:
            headers = refusal.headers
        except (aiohttp.ClientError, TimeoutError, OSError):  # the first request says what is wrong
            return None
        return date_ns(headers or {})

    async def prepare(self, lines: bytes) -> None:
        """Make the body of lines that come next."""
        await self._ready.prepare(lines)

    async def write(self, lines: bytes, target: Target | None = None) -> Outcome:
        """Send newline-separated line protocol, nanosecond precision. Never raises for network or server."""
        to = target or self._main
        name = f"{self.url} {self._plan.org}/{to.database}" if self._plan.org else f"{self.url} {to.database}"
        outcome = await self._post(lines, to.database, name)
        if isinstance(outcome, Wait) and outcome.reason in BROKEN:
            await self.close()
        return outcome

    async def _post(self, lines: bytes, bucket: str, name: str) -> Outcome:
        body = await self._ready.take(lines)
        try:
            service = WriteService((await self._connected()).api_client)  # type: ignore[no-untyped-call]
            _, status, headers = await service.post_write_async(  # type: ignore[no-untyped-call]
                org=self._plan.org,
                bucket=bucket,
                body=body.data,
                precision="ns",
                content_encoding=body.encoding,
                content_type="text/plain; charset=utf-8",
                _return_http_data_only=False,
            )
        except ApiException as refusal:
            return judge_reply(name, refusal.status, refusal.headers, _bytes(refusal.body))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return judge_failure(name, error)
        return judge_reply(name, status, headers, b"")

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()  # type: ignore[no-untyped-call]

    async def _connected(self) -> InfluxDBClientAsync:
        if self._client is None:
            context = await trust(self._plan)
            if self._client is not None:  # the other stream was quicker
                return self._client
            self._client = InfluxDBClientAsync(
                url=self._plan.url,
                token=self._plan.token,
                org=self._plan.org,
                timeout=timeout_of(self._plan),
                ssl_context=context if isinstance(context, ssl.SSLContext) else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                proxy=proxy_url(self._plan.reach),
                allow_redirects=False,  # a redirect is a portal, never the database
                connection_pool_maxsize=CONNECTIONS,
            )
        return self._client


def _bytes(body: str | bytes | None) -> bytes:
    return body.encode() if isinstance(body, str) else body or b""
