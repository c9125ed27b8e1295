"""One connection: who waits for which answer, until when, and what becomes of everything else that is heard.

Theory. A transport (TCP, TLS, UDP, serial line) delivers bytes, a framer cuts them into frames, and here each frame
finds its query, by the transaction id it carries. Lines whose frames carry none are the subject of `turns.py`.

    waiting      asked, but `depth` queries are in flight already
    in flight    on the wire; ends with its answer, its deadline, or the connection
    dead         over by its deadline; its answer may still come and must not be taken for another's

One timer serves all deadlines. Queries in flight stand in the order of their deadlines (all have the same), so it is
set for the first only, and an answer in time does not touch it: while answers come, a connection costs one wake-up per
deadline and not two operations on the loop's heap per query.

Rules.
* A frame answers a query by transaction, unit and function code, all three.
* A transaction id is not used again while its late answer may come. There are 65,536, and they are used in turn.
* A lost connection fails everything that waits, at once.
* A query that was given up by its caller stays in flight: the device is still working at it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from protocols.errors import Phrase
from protocols.modbus.errors import (
    ModbusConnectionError,
    ModbusError,
    ModbusExceptionReply,
    ModbusProtocolError,
    ModbusTimeout,
    connection_error,
)
from protocols.modbus.framing import Adu, Framer, FramingError, WireCounters
from protocols.modbus.pdu import Query, Refusal, ReplyError, payload

_IDS = 0x10000
_MAX_UNIT = 0xFF
_REMEMBERED = 4096  # dead transactions; older ones are forgotten first
EARLY_S = 0.002  # a loop's timers are as fine as a millisecond


class Exchange:
    """One query and whoever waits for its answer. Who asks thousands of times a second makes a kind of his own: a
    future takes the loop another turn to tell what is known already.
    """

    __slots__ = ("due_s", "other_unit", "query", "unit")

    def __init__(self, unit: int, query: Query) -> None:
        self.unit = unit
        self.query = query
        self.due_s = 0.0
        self.other_unit: int | None = None  # a unit that answered in the stead of ours

    @property
    def given_up(self) -> bool:
        """Nobody waits any more."""
        return False

    def answer(self, payload: bytes) -> None:
        """The payload of the reply. Called while bytes are taken in: asking on must wait until `heard` is called."""
        raise NotImplementedError

    def fail(self, error: ModbusError) -> None:
        """Why there is none."""
        raise NotImplementedError


class _Awaited(Exchange):
    """Somebody waits for a future."""

    __slots__ = ("_future",)

    def __init__(self, unit: int, query: Query, future: asyncio.Future[bytes]) -> None:
        super().__init__(unit, query)
        self._future = future

    @property
    def given_up(self) -> bool:
        """It was cancelled."""
        return self._future.done()

    def answer(self, payload: bytes) -> None:
        """Wakes whoever waits."""
        if not self._future.done():
            self._future.set_result(payload)

    def fail(self, error: ModbusError) -> None:
        """Raises it where somebody waits."""
        if not self._future.done():
            self._future.set_exception(error)


@dataclass(frozen=True, slots=True)
class About:
    """How a connection speaks of itself in errors."""

    peer: str
    where: Callable[[int, Query], Phrase]  # names unit and query
    explain: Callable[[Exception | None, bool], ModbusConnectionError]  # its end: the exception; was ever answered?


class Connection(asyncio.Protocol):
    """Between a transport and those who ask. Made for one connection, not used again after its end."""

    def __init__(
        self,
        framer: Framer,
        counters: WireCounters,
        about: About,
        *,
        depth: int,
        deadline_s: float,
    ) -> None:
        self.lost = asyncio.Event()
        self.error: ModbusError | None = None  # why it was lost
        self.heard: Callable[[], None] | None = None  # called when all that came at once was taken in
        self._framer = framer
        self._counters = counters
        self._answered_before = counters.answered
        self._about = about
        self._depth = depth
        self._deadline_s = deadline_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._in_flight: dict[int, Exchange] = {}
        self._waiting: deque[Exchange] = deque()
        self._dead: dict[int, int] = {}  # transaction -> unit
        self._next = 1
        self._timer: asyncio.TimerHandle | None = None  # for the first deadline

    def ask(self, unit: int, query: Query) -> asyncio.Future[bytes]:
        """Send `query` as soon as depth and line allow. The result is the payload of the reply.

        The future ends in ModbusExceptionReply, ModbusTimeout, ModbusConnectionError or ModbusProtocolError otherwise.
        Raises ModbusConnectionError where the connection is lost already, ValueError for a unit that cannot be.
        """
        future = self._loop.create_future()
        self.post(_Awaited(unit, query, future))
        return future

    def post(self, exchange: Exchange) -> None:
        """As `ask`, for an exchange of the caller's own kind, new for each query."""
        if not 0 <= exchange.unit <= _MAX_UNIT:
            raise ValueError(f"unit {exchange.unit} is not one of 0 … {_MAX_UNIT}")
        if self._transport is None:
            raise self._gone()
        self._queue(exchange)

    @property
    def in_flight(self) -> int:
        """Queries on the wire."""
        return len(self._in_flight)

    def _gone(self) -> ModbusConnectionError:
        if isinstance(self.error, ModbusConnectionError):
            return self.error.with_traceback(None)
        return connection_error(self._about.peer, "closed")

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
            exchange.fail(error)
        self._in_flight.clear()
        self._waiting.clear()
        self.lost.set()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is up; too late, where connecting was given up meanwhile."""
        if self.error is None:
            self._transport = transport  # type: ignore[assignment]
        else:
            transport.abort()  # type: ignore[attr-defined]

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self._transport = None
        self.end(self._about.explain(exc, self._counters.answered > self._answered_before))

    def data_received(self, data: bytes) -> None:
        """Bytes of a stream."""
        self._framer.feed(data)
        try:
            for adu in self._framer.frames():
                self._heard(adu)
        except FramingError as error:
            self._counters.noise_bytes += len(data)
            self.end(ModbusProtocolError(Phrase(self._about.peer, self._about.peer), error.zh, error.en))
            return
        if self._waiting:
            self._pump()
        if self.heard is not None:
            self.heard()

    # Sending.

    def _queue(self, exchange: Exchange) -> None:
        """Send at once where nothing waits and depth allows: nearly always."""
        if self._waiting or len(self._in_flight) >= self._depth or self._transport is None:
            self._waiting.append(exchange)
            self._pump()
        else:
            self._send(exchange, self._transport)

    def _pump(self) -> None:
        """Send what waits, as far as depth allows."""
        while self._waiting and len(self._in_flight) < self._depth and self._transport is not None:
            exchange = self._waiting.popleft()
            if not exchange.given_up:
                self._send(exchange, self._transport)

    def _send(self, exchange: Exchange, transport: asyncio.Transport) -> None:
        in_flight, transaction = self._in_flight, self._next
        if transaction in in_flight or transaction in self._dead:
            transaction = self._free_id(transaction)
        self._next = (transaction + 1) % _IDS
        in_flight[transaction] = exchange
        exchange.due_s = self._loop.time() + self._deadline_s
        self._counters.sent += 1
        self._put(transport, self._framer.wrap(transaction, exchange.unit, exchange.query))
        if self._timer is None:
            self._timer = self._loop.call_at(exchange.due_s, self._on_due)

    def _put(self, transport: asyncio.Transport, frame: bytes) -> None:
        transport.write(frame)

    def _free_id(self, transaction: int) -> int:
        while transaction in self._in_flight or transaction in self._dead:
            transaction = (transaction + 1) % _IDS
        return transaction

    # Hearing.

    def _heard(self, adu: Adu) -> None:
        exchange = self._in_flight.get(adu.transaction)
        if exchange is None or exchange.unit != adu.unit:
            self._drop(adu, exchange)
            return
        del self._in_flight[adu.transaction]
        self._counters.answered += 1
        try:
            exchange.answer(payload(exchange.query, adu.pdu))
        except Refusal as refusal:
            exchange.fail(ModbusExceptionReply(refusal.code, self._about.where(adu.unit, exchange.query)))
        except ReplyError as error:
            where = self._about.where(adu.unit, exchange.query)
            exchange.fail(ModbusProtocolError(where, error.zh, error.en))

    def _drop(self, adu: Adu, exchange: Exchange | None) -> None:
        """Recognise and count a frame that answers nothing that is in flight."""
        if exchange is not None:
            self._counters.wrong_unit += 1
            exchange.other_unit = adu.unit
        elif adu.transaction in self._dead:
            del self._dead[adu.transaction]
            self._counters.late += 1
        elif (self._next - 1 - adu.transaction) % _IDS < min(self._counters.sent, _REMEMBERED):
            self._counters.duplicates += 1
        else:
            self._counters.strangers += 1

    # Deadlines.

    def _on_due(self) -> None:
        """The first deadline has come, or had come had its answer not been in time."""
        self._timer = None
        now_s = self._loop.time() + EARLY_S
        for transaction, exchange in tuple(self._in_flight.items()):
            if exchange.due_s > now_s:
                self._timer = self._loop.call_at(exchange.due_s, self._on_due)
                break
            del self._in_flight[transaction]
            self._bury(transaction, exchange)
            exchange.fail(self._overdue(exchange))
        self._pump()

    def _bury(self, transaction: int, exchange: Exchange) -> None:
        """A query is over without an answer: remember that one may come."""
        self._dead[transaction] = exchange.unit
        if len(self._dead) > _REMEMBERED:
            del self._dead[next(iter(self._dead))]

    def _overdue(self, exchange: Exchange) -> ModbusError:
        where = self._about.where(exchange.unit, exchange.query)
        return ModbusTimeout(where, self._deadline_s, exchange.other_unit)


class DatagramConnection(Connection, asyncio.DatagramProtocol):
    """On UDP: a datagram is one frame. What is no frame is counted and harms nothing but itself."""

    def datagram_received(self, data: bytes, addr: object) -> None:
        """One datagram; from the server only, the kernel sees to that."""
        self._framer.feed(data)
        try:
            for adu in self._framer.frames():
                self._heard(adu)
        except FramingError:
            self._counters.noise_bytes += len(data)
        self._framer.silence()
        self._pump()
        if self.heard is not None:
            self.heard()

    def _put(self, transport: asyncio.Transport, frame: bytes) -> None:
        transport.sendto(frame)  # type: ignore[attr-defined]

    def error_received(self, exc: Exception) -> None:
        """The network sent a datagram back: nobody listens there, or no way leads there."""
        reason = "refused" if isinstance(exc, ConnectionRefusedError) else "unreachable"
        self.end(connection_error(self._about.peer, reason, str(exc)))


def _hang_up(transport: asyncio.Transport) -> None:
    """Say goodbye where there is nothing left to say; a peer that takes no more bytes would keep us waiting."""
    if transport.get_write_buffer_size():
        transport.abort()
    else:
        transport.close()
