"""The Modbus client: one connection, reads only, raw bytes out, errors that say whose fault.

What a caller does: `connect()` (again after every loss), `read()` or `send()`, `watch()` between reads, `close()`.

Rules.
* Read-only: a `Query` (module `pdu`) is the only thing that can be sent, and there is none that writes.
* Up to `endpoint.depth` requests are in flight; what is asked beyond that waits its turn, in order.
* Every I/O has the endpoint's deadline. After a missed one the connection may go on.
* No method retries anything: retries, pauses and reconnects belong to the poller, which knows the device's budget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from protocols.errors import Phrase
from protocols.modbus.address import TABLE_NAMES
from protocols.modbus.connection import Connection, Exchange
from protocols.modbus.errors import (
    ModbusConnectionError,
    ModbusProtocolError,
    connection_error,
)
from protocols.modbus.framing import WireCounters
from protocols.modbus.identification import BASIC, REGULAR, Identity, goes_on, identity, parse_part
from protocols.modbus.opening import open_connection
from protocols.modbus.pdu import Query, ReplyError, identify, read
from protocols.modbus.plan import Request
from protocols.modbus.tags import Endpoint


class ModbusClient:
    """Reads blocks from one endpoint. Built without I/O; `connect` may be called again after every loss."""

    def __init__(self, endpoint: Endpoint, heard: Callable[[], None] | None = None) -> None:
        """`heard` is called whenever all that came at once was taken in, for waiters of one's own: see `post`."""
        self.endpoint = endpoint
        self._heard = heard
        self.counters = WireCounters()  # over all connections of this client
        self._connection: Connection | None = None

    @property
    def connected(self) -> bool:
        """True between a successful `connect` and the loss of the connection."""
        return self._connection is not None and self._connection.error is None

    @property
    def dropped_frames(self) -> int:
        """Frames that were recognised and ignored: late answers, other units', damaged ones."""
        return self.counters.dropped_frames

    @property
    def in_flight(self) -> int:
        """Requests on the wire; at most `endpoint.depth`."""
        return 0 if self._connection is None else self._connection.in_flight

    async def connect(self) -> None:
        """Connect anew. Raises ModbusConnectionError; its `reason` is a key of `errors.CONNECTION_WORDS`."""
        self.close()
        self._connection = await open_connection(self.endpoint, self.counters, self._where)
        self._connection.heard = self._heard

    def send(self, request: Request) -> asyncio.Future[bytes]:
        """Ask now, await later: the future of what `read` returns. Raises ModbusConnectionError where there is none."""
        return self.ask(request.unit, read(request.table, request.address, request.quantity))

    def ask(self, unit: int, query: Query) -> asyncio.Future[bytes]:
        """As `send`, of a query that was made before: whoever asks the same for years makes it once."""
        if self._connection is None:
            raise self._closed_error()
        return self._connection.ask(unit, query)

    def post(self, exchange: Exchange) -> None:
        """As `ask`, for an exchange of the caller's own kind."""
        if self._connection is None:
            raise self._closed_error()
        self._connection.post(exchange)

    async def read(self, request: Request) -> bytes:
        """The data bytes of the reply: two per register, or packed bits.

        Raises ModbusExceptionReply, ModbusTimeout, ModbusConnectionError, ModbusProtocolError.
        """
        return await self.send(request)

    async def identify(self, unit: int) -> Identity:
        """Who the device says it is (43/14). A device that does not tell answers exception 1: ModbusExceptionReply."""
        objects: dict[int, bytes] = {}
        if await self._stream(unit, BASIC, objects) >= REGULAR:
            await self._stream(unit, REGULAR, objects)
        return identity(objects)

    async def _stream(self, unit: int, access: int, objects: dict[int, bytes]) -> int:
        """All objects of one access code into `objects`. Returns the conformity level."""
        number: int | None = 0
        while number is not None:
            query = identify(access, number)
            reply = await self.ask(unit, query)
            try:
                part = parse_part(reply)
                number = goes_on(part, number)
            except ReplyError as error:
                raise ModbusProtocolError(self._where(unit, query), error.zh, error.en) from error
            objects.update(part.objects)
        return part.conformity

    async def watch(self) -> NoReturn:
        """Wait until the connection is lost (not at all where there is none), then raise what it was lost with."""
        if self._connection is None:
            raise self._closed_error()
        connection = self._connection
        await connection.lost.wait()
        raise self._closed_error() if connection.error is None else connection.error.with_traceback(None)

    def close(self) -> None:
        """Hang up; a waiting request fails at once."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.end(connection_error(self.endpoint.peer, "hung-up"))

    def _where(self, unit: int, query: Query) -> Phrase:
        if query.table is None:
            zh, en = "设备标识", "identification"
        else:
            rest = f"…{query.address + query.quantity - 1}" if query.quantity > 1 else ""
            zh = en = f"{TABLE_NAMES[query.table]}:{query.address}{rest}"
        return Phrase(f"{self.endpoint.peer} 站号 {unit} {zh}", f"{self.endpoint.peer} unit {unit} {en}")

    def _closed_error(self) -> ModbusConnectionError:
        return connection_error(self.endpoint.peer, "closed")
