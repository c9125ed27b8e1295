"""Databases.

A sink takes bytes of line protocol and says delivered, wait, or these points are bad. It holds no queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edge.plan import Target


@dataclass(frozen=True, slots=True)
class Delivered:
    """The server said 204: the points are its responsibility now."""

    server_date_ns: int | None = None  # the server's Date header, to measure the clock offset


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is known to be stored; the very same bytes must be sent again later."""

    reason: str  # machine-readable: "refused", "timeout", "unauthorized", "not-found", "overloaded", "server-error", …
    detail: str  # for people: what, where, whose fault, what to do
    retry_after_s: float | None = None
    retry_at_ns: int | None = None  # the same as a time, from a server that does not tell its own


@dataclass(frozen=True, slots=True)
class TooLarge:
    """413: split and send again."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The server refuses something in this batch (400, 422, partial write): bisect down to the bad point.

    Where its words are none a database is known to say, they are about points only if it takes others; else it is
    `otherwise`.
    """

    words: str  # the server's own words
    otherwise: Wait | None = None


Outcome = Delivered | Wait | TooLarge | Rejected


class Sink(Protocol):
    """One database. At most two calls at a time (what is new, and the backlog beside it); never raises for anything
    the network or the server does.
    """

    id: str
    url: str

    async def date_ns(self) -> int | None:
        """The server's clock (RFC 9110 §6.6.1), asked without writing anything; None where it does not tell."""

    async def prepare(self, lines: bytes) -> None:
        """These very lines (the same object) are likely next, of what is new: make what goes over the wire of them
        while the server is busy with others. One is kept; `write` makes what was not.
        """

    async def write(self, lines: bytes, target: Target | None = None) -> Outcome:
        """Send newline-separated line protocol, nanosecond precision; without a target to the configured one."""

    async def close(self) -> None:
        """Let go of connections."""
