"""One connection: who waits for which answer, until when, and what becomes of everything else that is heard.

Theory. A transport (TCP, TLS, UDP, serial line) delivers bytes, a framer cuts them into frames, and here each frame
finds its query. Every query in flight has a transaction id; on lines whose frames carry none, the framer tells whether
a frame answers what was asked last, and only one query is in flight.

    waiting      asked, but `depth` queries are in flight already, or the line must stay quiet a little longer
    in flight    on the wire; ends with its answer, its deadline, or the connection
    dead         over by its deadline; its answer may still come and must not be taken for another's

One timer serves all deadlines. Queries in flight stand in the order of their deadlines (each has the same one, or is
alone), so it is set for the first only, and an answer in time does not touch it: while answers come, a connection costs
one wake-up per deadline and not two operations on the loop's heap per query.

Rules.
* A frame answers a query by transaction, unit and function code, all three.
* A transaction id is not used again while its late answer may come. There are 65,536, and they are used in turn.
* Without transaction ids a late answer looks like the next one. So after a missed deadline the same unit is not asked
  again before its late answer has come or a further deadline has passed; other units are.
* A lost connection fails everything that waits, at once.
* A query that was given up by its caller stays in flight: the device is still working at it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from protocols.modbus.errors import (
    ModbusConnectionError,
    ModbusError,
    ModbusExceptionReply,
    ModbusProtocolError,
    ModbusTimeout,
    collision,
    connection_error,
)
from protocols.modbus.framing import NOBODY, Adu, Framer, FramingError, WireCounters
from protocols.modbus.pdu import EXCEPTION_BIT, Query, Refusal, ReplyError, payload

_IDS = 0x10000
_REMEMBERED = 4096  # dead transactions; older ones are forgotten first
_EARLY_S = 0.002  # a loop's timers are as fine as a millisecond


class Exchange:
    """One query and who waits for its answer."""

    __slots__ = ("due_s", "future", "other_unit", "query", "unit")

    def __init__(self, unit: int, query: Query, future: asyncio.Future[bytes]) -> None:
        self.unit = unit
        self.query = query
        self.future = future
        self.due_s = 0.0
        self.other_unit: int | None = None  # a unit that answered in the stead of ours


class Connection(asyncio.Protocol):
    """Between a transport and those who ask. Made for one connection, not used again after its end.

    `where` names unit and query in errors.
    """

    def __init__(
        self,
        framer: Framer,
        counters: WireCounters,
        where: Callable[[int, Query], str],
        *,
        peer: str,
        depth: int,
        deadline_s: float,
    ) -> None:
        self.lost = asyncio.Event()
        self.error: ModbusError | None = None  # why it was lost
        self._framer = framer
        self._counters = counters
        self._where = where
        self._peer = peer
        self._depth = depth
        self._deadline_s = deadline_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._in_flight: dict[int, Exchange] = {}
        self._waiting: deque[Exchange] = deque()
        self._dead: dict[int, int] = {}  # transaction -> unit
        self._next = 1
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, unit: int, query: Query) -> asyncio.Future[bytes]:
        """Send `query` as soon as depth and line allow. The result is the payload of the reply.

        The future ends in ModbusExceptionReply, ModbusTimeout, ModbusConnectionError or ModbusProtocolError otherwise.
        Raises ModbusConnectionError where the connection is lost already.
        """
        transport = self._transport
        if transport is None:
            raise self._gone()
        future: asyncio.Future[bytes] = self._loop.create_future()
        exchange = Exchange(unit, query, future)
        if len(self._in_flight) < self._depth and not self._waiting:
            self._send(exchange, transport)
        else:
            self._waiting.append(exchange)
        return future

    @property
    def in_flight(self) -> int:
        """Queries on the wire."""
        return len(self._in_flight)

    def _gone(self) -> ModbusConnectionError:
        if isinstance(self.error, ModbusConnectionError):
            return self.error.with_traceback(None)
        return connection_error(self._peer, "closed")

    def end(self, error: ModbusError) -> None:
        """Hang up; everything that waits fails with `error`."""
        if self.error is not None:
            return
        self.error = error
        transport, self._transport = self._transport, None
        if transport is not None:
            _hang_up(transport)
        if self._timer is not None:
            self._timer.cancel()
        for exchange in (*self._in_flight.values(), *self._waiting):
            _fail(exchange, error)
        self._in_flight.clear()
        self._waiting.clear()
        self.lost.set()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is up."""
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self._transport = None
        self.end(loss(self._peer, exc))

    def data_received(self, data: bytes) -> None:
        """Bytes of a stream."""
        self._framer.feed(data)
        try:
            for adu in self._framer.frames():
                self._heard(adu)
        except FramingError as error:
            self._counters.noise_bytes += len(data)
            self.end(ModbusProtocolError(self._peer, error.zh, error.en))
            return
        if self._waiting:
            self._pump()

    # Sending.

    def _pump(self) -> None:
        """Send what waits, as far as depth allows."""
        while self._waiting and len(self._in_flight) < self._depth and self._transport is not None:
            exchange = self._waiting.popleft()
            if not exchange.future.done():  # given up by its caller
                self._send(exchange, self._transport)

    def _send(self, exchange: Exchange, transport: asyncio.Transport) -> None:
        transaction = self._free_id()
        self._in_flight[transaction] = exchange
        exchange.due_s = self._loop.time() + self._deadline_s
        self._counters.sent += 1
        transport.write(self._framer.wrap(transaction, exchange.unit, exchange.query))
        if self._timer is None:
            self._timer = self._loop.call_at(exchange.due_s, self._on_due)

    def _free_id(self) -> int:
        transaction = self._next
        while transaction in self._in_flight or transaction in self._dead:
            transaction = (transaction + 1) % _IDS
        self._next = (transaction + 1) % _IDS
        return transaction

    # Hearing.

    def _heard(self, adu: Adu) -> None:
        exchange = self._in_flight.get(adu.transaction)
        if exchange is None or exchange.unit != adu.unit:
            self._drop(adu, exchange)
            return
        del self._in_flight[adu.transaction]
        self._counters.answered += 1
        if exchange.future.done():
            return
        try:
            exchange.future.set_result(payload(exchange.query, adu.pdu))
        except Refusal as refusal:
            exchange.future.set_exception(ModbusExceptionReply(refusal.code, self._where(adu.unit, exchange.query)))
        except ReplyError as error:
            where = self._where(adu.unit, exchange.query)
            exchange.future.set_exception(ModbusProtocolError(where, error.zh, error.en))

    def _drop(self, adu: Adu, exchange: Exchange | None) -> None:
        """Recognise and count a frame that answers nothing that is in flight."""
        if adu.request:
            self._overheard(adu)
        elif exchange is not None:
            self._counters.wrong_unit += 1
            exchange.other_unit = adu.unit
        elif self._dead.get(adu.transaction) == adu.unit:
            del self._dead[adu.transaction]
            self._counters.late += 1
        elif adu.transaction != NOBODY and (self._next - 1 - adu.transaction) % _IDS < _REMEMBERED <= _IDS:
            self._counters.duplicates += 1
        else:
            self._counters.strangers += 1

    def _overheard(self, adu: Adu) -> None:
        """A request of another master: whose is the answer that comes next?"""
        self._counters.foreign_requests += 1
        function = adu.pdu[0] & ~EXCEPTION_BIT
        for transaction, exchange in tuple(self._in_flight.items()):
            if exchange.unit == adu.unit and exchange.query.function == function:
                self._bury(transaction, exchange)
                _fail(exchange, collision(self._where(exchange.unit, exchange.query)))

    # Deadlines.

    def _on_due(self) -> None:
        """The first deadline has come, or had come had its answer not been in time."""
        self._timer = None
        now_s = self._loop.time() + _EARLY_S
        for transaction, exchange in tuple(self._in_flight.items()):
            if exchange.due_s > now_s:
                self._timer = self._loop.call_at(exchange.due_s, self._on_due)
                break
            self._bury(transaction, exchange)
            where = self._where(exchange.unit, exchange.query)
            _fail(exchange, ModbusTimeout(where, self._deadline_s, exchange.other_unit))
        self._pump()

    def _bury(self, transaction: int, exchange: Exchange) -> None:
        del self._in_flight[transaction]
        self._dead[transaction] = exchange.unit
        if len(self._dead) > _REMEMBERED:
            del self._dead[next(iter(self._dead))]


def loss(peer: str, exc: Exception | None) -> ModbusConnectionError:
    """Why a transport was lost, from the exception it was lost with."""
    if isinstance(exc, TimeoutError):  # ETIMEDOUT: keep-alive or unacknowledged bytes
        return connection_error(peer, "silent", exc.strerror or "timed out")
    return connection_error(peer, "closed")


def _hang_up(transport: asyncio.Transport) -> None:
    """Say goodbye where there is nothing left to say; a peer that takes no more bytes would keep us waiting."""
    if transport.get_write_buffer_size():
        transport.abort()
    else:
        transport.close()


def _fail(exchange: Exchange, error: ModbusError) -> None:
    if not exchange.future.done():
        exchange.future.set_exception(error)
