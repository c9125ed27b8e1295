"""One server over HTTP: kept connections, verified TLS, a proxy, compression; and an outcome for whatever happens.

Theory. What is new and the backlog travel beside each other, so there are two connections and never more. Connections
are let go after trouble with TLS or the line: the next request reads the certificates anew and finds another server
behind the same name.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp

from edge.deflate import FAST, GZIP, compress
from edge.plan import InfluxSink, Reach
from edge.sinks import Outcome, Wait
from edge.sinks.tls import tls_context
from edge.sinks.verdict import date_ns, judge_failure, judge_reply

CONNECTIONS = 2
GZIP_FROM_BYTES = 1_024
GZIP_LEVEL = FAST  # four times smaller; level 6 costs ten times that
_MAX_REPLY_BYTES = 65_536  # errors are short; a portal page need not be read to its end
# Reasons to let go of the connections.
BROKEN = ("tls", "reset", "unreachable", "proxy", "dns")


@dataclass(frozen=True, slots=True)
class Body:
    """What goes over the wire; `encoding` as the header Content-Encoding has it (RFC 9110 §8.4)."""

    data: bytes
    encoding: str = "identity"


class Ready:
    """Makes bodies, and keeps one that was made ahead until it is taken or another is made."""

    def __init__(self, make: Callable[[bytes], Awaitable[Body]]) -> None:
        self._make = make
        self._lines: bytes | None = None
        self._body = Body(b"")

    async def prepare(self, lines: bytes) -> None:
        """Raises what `make` raises; nothing is kept then."""
        self._lines = None
        body = await self._make(lines)
        self._lines, self._body = lines, body

    async def take(self, lines: bytes) -> Body:
        """The body of these lines. Raises what `make` raises."""
        if self._lines is lines:
            body, self._lines, self._body = self._body, None, Body(b"")
            return body
        return await self._make(lines)


class Link:
    """The way to one server, for sinks that speak HTTP themselves. Opens nothing before the first request."""

    def __init__(self, plan: InfluxSink, authorization: str) -> None:
        self._plan = plan
        self._base = plan.url.rstrip("/")
        self._headers = {"Authorization": authorization} if authorization else {}
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, params: Mapping[str, str], body: Body, target: str) -> Outcome:
        """Send it; `target` names the database for people. Never raises for network or server."""
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if body.encoding != "identity":
            headers["Content-Encoding"] = body.encoding
        try:
            session = await self._connected()
            async with session.post(
                self._base + path,
                params=params,
                data=body.data,
                headers=headers,
                proxy=proxy_url(self._plan.reach),
                allow_redirects=False,  # a redirect is a portal, never the database
            ) as reply:
                words = b"" if reply.status == 204 else await reply.content.read(_MAX_REPLY_BYTES)
                outcome = judge_reply(target, reply.status, reply.headers, words)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            outcome = judge_failure(target, error)
        if isinstance(outcome, Wait) and outcome.reason in BROKEN:
            await self.close()
        return outcome

    async def date_ns(self) -> int | None:
        """What its clock shows; None where it does not tell. Whatever it answers has a date."""
        try:
            session = await self._connected()
            url = self._base + "/ping"
            fresh = {"Cache-Control": "no-cache"}  # the date of an answer out of a cache is old
            async with session.get(
                url, headers=fresh, proxy=proxy_url(self._plan.reach), allow_redirects=False
            ) as reply:
                return date_ns(reply.headers)
        except (aiohttp.ClientError, TimeoutError, OSError):  # the first request says what is wrong
            return None

    async def get(self, path: str, target: str) -> tuple[int, str] | Wait:
        """Status and text of a page, or what kept us from it."""
        try:
            session = await self._connected()
            url = self._base + path
            async with session.get(url, proxy=proxy_url(self._plan.reach), allow_redirects=False) as reply:
                return reply.status, (await reply.content.read(_MAX_REPLY_BYTES)).decode("utf-8", "replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return judge_failure(target, error)

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            session = aiohttp.ClientSession(
                headers=self._headers,
                timeout=timeout_of(self._plan),
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=await trust(self._plan)),
            )
            if self._session is not None:  # the other stream was quicker
                await session.close()
                return self._session
            self._session = session
        return self._session


async def trust(plan: InfluxSink) -> ssl.SSLContext | bool:
    """What the connector needs to know about TLS: nothing where neither server nor proxy use it."""
    secured = any(url.startswith("https:") for url in (plan.url, plan.reach.proxy))
    return await asyncio.to_thread(tls_context, plan.reach) if secured else True


def timeout_of(plan: InfluxSink) -> aiohttp.ClientTimeout:
    """The whole request, and reaching the server."""
    return aiohttp.ClientTimeout(total=plan.deadline_ns / 1e9, sock_connect=plan.reach.connect_ns / 1e9)


def proxy_url(reach: Reach) -> str | None:
    """With its credentials, which the HTTP client takes out again."""
    if not reach.proxy or not reach.proxy_user:
        return reach.proxy or None
    parts = urlsplit(reach.proxy)
    login = f"{quote(reach.proxy_user, safe='')}:{quote(reach.proxy_password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc}"))


def authorization_of(plan: InfluxSink) -> str:
    """A token as a bearer (RFC 6750), else user and password (RFC 7617): in a header, and so out of every log."""
    if plan.token:
        return f"Bearer {plan.token}"
    if plan.user:
        return f"Basic {base64.b64encode(f'{plan.user}:{plan.password}'.encode()).decode()}"
    return ""


def gzip_level(plan: InfluxSink) -> int:
    """As set; else compressed unless the server is on this machine, where bytes are free and CPU is not."""
    if plan.reach.gzip_level is not None:
        return plan.reach.gzip_level
    return 0 if is_this_machine(plan.url) and not plan.reach.proxy else GZIP_LEVEL


def is_this_machine(url: str) -> bool:
    """Whether the address is loopback."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def pack(lines: bytes, level: int) -> Body:
    """Compressed off the event loop where that is worth it."""
    if not level or len(lines) < GZIP_FROM_BYTES:
        return Body(lines)
    return Body(await asyncio.to_thread(compress, lines, level, GZIP), "gzip")


def packing(plan: InfluxSink) -> Ready:
    """For a server that takes the lines as they are."""
    level = gzip_level(plan)
    return Ready(lambda lines: pack(lines, level))
