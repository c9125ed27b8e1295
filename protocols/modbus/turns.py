"""One query at a time: a connection whose frames carry no transaction id (RTU and ASCII, on a line or over TCP).

Theory. Without an id, an answer is known by its looks only: unit, function code, length. So one query is in flight, and
three things that an id would settle are settled by time and by listening:

* Late answers. After a missed deadline the answer may still come and look like the answer to the next query. So that
  unit is not asked again before its late answer has come or a further deadline has passed; other units are.
* Another master. When it asks the unit we wait for, nobody can tell whose the next answer is: our query fails, and its
  own answer may be the second one that comes. So that unit is left alone for a whole deadline.
* The line. Between two frames it must be quiet for 3.5 characters, at 19,200 baud and above for 1.75 ms (MODBUS over
  Serial Line V1.02 §2.5.1.1). A half-duplex transceiver needs that time to turn around as well.

The specification also ends a frame at a gap of 1.5 characters inside it. Behind an operating system and a USB adapter,
which hand over bytes every 16 ms, such gaps say nothing, and frames are cut by content; a gap that means something
here is `GAP_S` longer than 3.5 characters.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from protocols.modbus.connection import EARLY_S, About, Connection, Exchange
from protocols.modbus.errors import ModbusError, collision, connection_error, damaged
from protocols.modbus.framing import NOBODY, Adu, Framer, WireCounters
from protocols.modbus.pdu import MAX_PDU, Query
from protocols.modbus.tags import SerialEndpoint

GAP_S = 0.1  # what operating systems and USB adapters may add to the time between two bytes of one frame
FAST_BAUD = 19_200
FAST_QUIET_S = 0.001_75  # §2.5.1.1: above 19,200 baud the gap is fixed


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a line is. The default is a TCP stream: no line to be seen."""

    character_s: float = 0.0  # one character on the wire
    quiet_s: float = 0.0  # silence before a request

    @classmethod
    def of(cls, endpoint: SerialEndpoint) -> Pace:
        """From the settings of a port."""
        character_s = endpoint.bits_per_character / endpoint.baud
        specified_s = FAST_QUIET_S if endpoint.baud > FAST_BAUD else 3.5 * character_s
        return cls(character_s, max(specified_s, endpoint.silence_ns / 1e9))


class TurnConnection(Connection):
    """Asks one query after the other, with the pauses of the line."""

    def __init__(
        self,
        framer: Framer,
        counters: WireCounters,
        about: About,
        *,
        deadline_s: float,
        pace: Pace,
    ) -> None:
        super().__init__(framer, counters, about, depth=1, deadline_s=deadline_s)
        self._pace = pace
        self._heard_s = self._loop.time()  # when the line was last heard
        self._settled_s: dict[int, float] = {}  # unit -> until when its late answer is waited for
        self._owed: dict[int, Query] = {}  # unit -> what its late answer, which settles it sooner, answers
        self._pump_timer: asyncio.TimerHandle | None = None
        self._gap_timer: asyncio.TimerHandle | None = None

    def end(self, error: ModbusError) -> None:
        """Hang up; everything that waits fails with `error`."""
        for timer in (self._pump_timer, self._gap_timer):
            if timer is not None:
                timer.cancel()
        super().end(error)

    def data_received(self, data: bytes) -> None:
        """Bytes of the line."""
        self._heard_s = self._loop.time()
        super().data_received(data)
        if self._pace.quiet_s and self._gap_timer is None and self.error is None:
            self._gap_timer = self._loop.call_at(self._gap_ends_s, self._on_gap)

    @property
    def _gap_ends_s(self) -> float:
        return self._heard_s + self._pace.quiet_s + GAP_S

    def _on_gap(self) -> None:
        """The line is silent: what came so far is all there is of it."""
        self._gap_timer = None
        if self._gap_ends_s > self._loop.time() + EARLY_S:
            self._gap_timer = self._loop.call_at(self._gap_ends_s, self._on_gap)
            return
        self._framer.silence()
        if self._framer.damaged:
            for transaction, exchange in tuple(self._in_flight.items()):
                del self._in_flight[transaction]
                exchange.fail(damaged(self._about.where(exchange.unit, exchange.query)))
        self._pump()

    # Sending.

    def _queue(self, exchange: Exchange) -> None:
        """Whether it may go at once depends on the line and on its unit."""
        self._waiting.append(exchange)
        self._pump()

    def _pump(self) -> None:
        """Send the first query whose unit may be asked, as soon as the line is quiet."""
        transport = self._transport
        if self._in_flight or not self._waiting or transport is None:
            return
        now_s = self._loop.time()
        later_s = free_s = self._heard_s + self._pace.quiet_s
        if free_s <= now_s:
            for exchange in tuple(self._waiting):
                later_s = self._settled_s.get(exchange.unit, 0.0)
                if exchange.given_up:
                    self._waiting.remove(exchange)
                elif later_s <= now_s:
                    self._waiting.remove(exchange)
                    self._settle(exchange.unit)
                    self._send(exchange, transport)
                    return
            later_s = min((self._settled_s[exchange.unit] for exchange in self._waiting), default=0.0)
        if self._waiting:
            self._pump_at(later_s)

    def _pump_at(self, time_s: float) -> None:
        if self._pump_timer is not None:
            self._pump_timer.cancel()
        self._pump_timer = self._loop.call_at(time_s, self._pump)

    def _send(self, exchange: Exchange, transport: asyncio.Transport) -> None:
        """Send; request and reply have their time on the wire on top of the deadline."""
        if self._pace.quiet_s and transport.get_write_buffer_size():  # the last request has not left yet
            stuck = connection_error(self._about.peer, "stuck")
            exchange.fail(stuck)
            self.end(stuck)
            return
        super()._send(exchange, transport)
        reply_bytes = MAX_PDU if exchange.query.reply_bytes is None else 2 + exchange.query.reply_bytes
        characters = self._framer.length(len(exchange.query.pdu)) + self._framer.length(reply_bytes)
        exchange.due_s += characters * self._pace.character_s

    # Hearing.

    def _drop(self, adu: Adu, exchange: Exchange | None) -> None:
        """Recognise and count a frame that is not the answer that is waited for."""
        if adu.request:
            self._overheard(adu)
        elif adu.unit in self._settled_s:
            self._counters.late += 1
            owed = self._owed.get(adu.unit)
            if owed is not None and owed.answered_by(adu.pdu):
                self._settle(adu.unit)
        elif exchange is not None or any(other.unit != adu.unit for other in self._in_flight.values()):
            self._counters.wrong_unit += 1
            for other in self._in_flight.values():
                other.other_unit = adu.unit
        elif adu.transaction != NOBODY:
            self._counters.duplicates += 1
        else:
            self._counters.strangers += 1

    def _overheard(self, adu: Adu) -> None:
        """A request of another master: whose is the answer that comes next?"""
        self._counters.foreign_requests += 1
        for transaction, exchange in tuple(self._in_flight.items()):
            if exchange.unit == adu.unit and exchange.query.function == adu.pdu[0]:
                del self._in_flight[transaction]
                self._bury(transaction, exchange)
                del self._owed[exchange.unit]  # two answers are under way
                exchange.fail(collision(self._about.where(exchange.unit, exchange.query)))

    # Deadlines.

    def _bury(self, transaction: int, exchange: Exchange) -> None:
        """An answer to this unit may still come."""
        self._settled_s[exchange.unit] = self._loop.time() + self._deadline_s
        self._owed[exchange.unit] = exchange.query

    def _settle(self, unit: int) -> None:
        """No late answer of this unit is waited for any more."""
        self._settled_s.pop(unit, None)
        self._owed.pop(unit, None)

    def _overdue(self, exchange: Exchange) -> ModbusError:
        """Nothing came in time, or nothing that could be read."""
        self._framer.silence()
        if self._framer.damaged:
            self._settle(exchange.unit)  # that was its answer
            return damaged(self._about.where(exchange.unit, exchange.query))
        return super()._overdue(exchange)
