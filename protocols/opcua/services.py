"""Asking a server: one request, one answer, errors that say whose fault; and how much one request may carry.

Theory. A server limits how many nodes a service takes in one call. It may say so (OperationLimits, OPC 10000-5
§6.3.11), say nothing, or say something it does not keep. What it says is believed, a make's profile narrows it, and
where it answers that a call was too large after all, halves are asked for from then on: `CallLimits` is kept by the
owner of the connection, so what was learned once outlives the session.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Any, TypeVar, cast

from asyncua import ua
from asyncua.ua.uaerrors import UaError, UaStatusCodeError
from cryptography.exceptions import InvalidSignature

from protocols.opcua.distrust import not_its_key
from protocols.opcua.errors import OpcuaConnectionError, lost, nonsense, refused
from protocols.opcua.secure_client import SecureClient
from protocols.opcua.tags import ServerLimits
from protocols.opcua.wire import Reader, WireError

CALL_MAX = 1000  # nodes per call of a server that says it has no limit
_CALL_UNKNOWN = 50  # of one that says nothing and is of no known make

_TOO_MUCH = frozenset(
    ("BadTooManyOperations", "BadResponseTooLarge", "BadRequestTooLarge", "BadEncodingLimitsExceeded")
)
_T = TypeVar("_T")
_R = TypeVar("_R")


class Call(Enum):
    """Services that take many nodes."""

    READ = "Read"
    MONITOR = "CreateMonitoredItems"
    TRANSLATE = "TranslateBrowsePathsToNodeIds"
    BROWSE = "Browse"
    HISTORY = "HistoryRead"


class CallLimits:
    """Nodes per call of one server."""

    def __init__(self, profile: ServerLimits | None = None) -> None:
        """`profile`: what is known of the make."""
        self._profile = profile.nodes_per_call if profile is not None else 0
        self._said: dict[Call, int] = {}
        self.learned: dict[Call, int] = {}  # calls of more were refused as too large

    def say(self, call: Call, nodes: int | None) -> None:
        """What the server says of itself: 0 = no limit (OPC 10000-5 §6.3.11), None = nothing."""
        if nodes is None:
            self._said.pop(call, None)
        else:
            self._said[call] = nodes or CALL_MAX

    def of(self, call: Call) -> int:
        """The most nodes to put into one call."""
        known = [self._said[call]] if call in self._said else []
        known += [self._profile] if self._profile else []
        return min(*(known or [_CALL_UNKNOWN]), self.learned.get(call, CALL_MAX), CALL_MAX)

    def refused(self, call: Call, nodes: int) -> None:
        """A call with so many nodes was too large."""
        self.learned[call] = max(1, nodes // 2)


class Services:
    """The requests of one session. `client` is asyncua's, while there is a connection."""

    def __init__(self, url: str, deadline_s: float, limits: CallLimits) -> None:
        self.url = url
        self.deadline_s = deadline_s
        self.limits = limits
        self.client: SecureClient | None = None
        self.answered_ns = 0  # when the server sent its last answer to `ask`, by its own clock; 0 = it did not say

    def live(self) -> SecureClient:
        """The connection. Errors: OpcuaConnectionError where there is none."""
        if self.client is None:
            raise lost(self.url, "closed")
        return self.client

    async def exchange(self, request: Any, timeout_s: float | None = None) -> bytes:
        """Send, wait, return the answer's bytes. `timeout_s` 0: wait for ever."""
        transport = self.live().uaclient.protocol
        if transport is None:
            raise ConnectionError("the connection is closed")
        return bytes(await transport.send_request(request, timeout_s))

    async def ask(self, request: Any, timeout_s: float | None = None) -> Reader:
        """One service call; the reader stands behind the ResponseHeader. Errors: OpcuaConnectionError."""
        async with Translated(self.url):
            reader = Reader(await self.exchange(request, timeout_s))
        reader.node_id()
        self.answered_ns = reader.time_ahead()
        result = reader.response_header()
        if result >> 31:
            raise refused(self.url, name_of(result))
        return reader

    async def in_parts(
        self, things: Sequence[_T], service: Call, call: Callable[[Sequence[_T]], Awaitable[list[_R]]]
    ) -> list[_R]:
        """`call` on parts no larger than the server takes; smaller ones where it finds that too many after all."""
        results: list[_R] = []
        at = 0
        while at < len(things):
            part = things[at : at + self.limits.of(service)]
            try:
                async with Translated(self.url):
                    results += await call(part)
            except OpcuaConnectionError as error:
                if not self.took_too_much(error, service, len(part)):
                    raise
                continue
            at += len(part)
        return results

    def took_too_much(self, error: OpcuaConnectionError, service: Call, nodes: int) -> bool:
        """Whether a call failed because of so many nodes; smaller ones are made from then on."""
        if error.reason not in _TOO_MUCH or nodes == 1:
            return False
        self.limits.refused(service, nodes)
        return True

    def decoded(self, decode: Callable[[], _T]) -> _T:
        """What `decode` returns. Errors: OpcuaProtocolError where the bytes do not add up."""
        try:
            return decode()
        except WireError as error:
            raise nonsense(self.url, str(error)) from error


class Translated:
    """Whatever a lost or refused exchange raises, as an OpcuaError that says where and whose fault."""

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> None:
        """Nothing to prepare."""

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Translate; cancellation and our own errors pass."""
        if isinstance(error, TimeoutError):
            raise lost(self._url, "timeout") from error
        if isinstance(error, ConnectionRefusedError):
            raise lost(self._url, "refused") from error
        if isinstance(error, OSError):
            raise lost(self._url, "closed") from error
        if isinstance(error, UaStatusCodeError):
            raise refused(self._url, name_of(error.code)) from error
        if isinstance(error, InvalidSignature):
            raise not_its_key(self._url) from error
        if isinstance(error, (UaError, AssertionError, ValueError, struct.error)):  # how asyncua meets odd answers
            raise lost(self._url, "protocol") from error
        if isinstance(error, asyncio.InvalidStateError):  # an answer that came when its request was given up
            raise lost(self._url, "closed") from error


def name_of(code: int) -> str:
    """Symbolic name of a StatusCode."""
    return ua.StatusCode(cast("ua.UInt32", code)).name


def node_id(identifier: Any, namespace: Any = 0) -> ua.NodeId:
    """A node id; asyncua's own types for both are plain int, str, bytes and UUID at run time."""
    return ua.NodeId(identifier, namespace)
