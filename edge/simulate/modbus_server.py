"""A real Modbus TCP server for simulated PLCs: one listening port, one or more units behind it.

Why an own server. pymodbus's server keeps one request per connection in mind: of two that arrive in one segment it
answers the second one twice, and a reply that is held back carries the transaction id of whatever came later. Late,
mute, truncated and mis-numbered replies are what this simulator is for, so requests are answered one by one from a
pure codec (`wire`), and the tests read it with pymodbus's client, which shares nothing with it.

Rules.
* Answers leave in the order of the requests, each built at the moment it leaves, unless a fault says otherwise.
* `kill` aborts every connection (RST) and closes the port, as a PLC that loses power; `start` binds the same port
  again.
* Bounded: a connection with more than `QUEUE` requests waiting stops being read until they are answered.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

from edge.simulate import wire
from edge.simulate.binding import DeviceImage
from edge.simulate.faults import Faults
from edge.simulate.inject import Fault, Injection
from edge.simulate.memory import Memory

QUEUE = 64
_CONNECTIONS = 64
_LINGER_RST = struct.pack("ii", 1, 0)


class Unit:
    """One unit id: its memory, its faults and what was asked of it."""

    def __init__(self, memory: Memory, image: DeviceImage, faults: Faults, identity: tuple[str, str, str]) -> None:
        self.memory = memory
        self.faults = faults
        self.identity = identity
        self.requests = 0
        self.refused_functions = 0  # anything but reading
        self._image = image

    def answer(self, ask: wire.Ask, holding: Mapping[Fault, Injection]) -> bytes:
        """The reply to a request, faults of content included."""
        self.requests += 1
        if failing := holding.get(Fault.EXCEPTION):
            return wire.refusal(ask, failing.code or 4)
        if wire.is_identification(ask):
            return wire.identification(ask, self.identity)
        span = wire.span(ask)
        if isinstance(span, wire.ExceptionCode):
            self.refused_functions += span is wire.ExceptionCode.ILLEGAL_FUNCTION
            return wire.refusal(ask, span)
        if Fault.FREEZE in holding:
            self._image.hold()
        else:
            self._image.release()
            self._image.refresh()
        data = self.memory.read(*span)
        return wire.refusal(ask, wire.ExceptionCode.ILLEGAL_ADDRESS) if data is None else wire.reply(ask, data)


class ModbusServer:
    """Serves units on one port."""

    def __init__(self, host: str, port: int, units: Mapping[int, Unit]) -> None:
        self.host = host
        self.port = port
        self.units = units
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """Listen. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), self.host, self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        """Reset every connection and refuse new ones."""
        server, self._server = self._server, None
        if server:
            server.close()
        for connection in list(self._connections):
            connection.reset()

    async def close(self) -> None:
        """Stop for good."""
        await self.kill()

    @property
    def up(self) -> bool:
        """True while the port answers."""
        return self._server is not None

    def join(self, connection: _Connection) -> bool:
        """A client wants in; False when the server is down or full."""
        if self._server is None or len(self._connections) >= _CONNECTIONS:
            return False
        self._connections.add(connection)
        return True

    def leave(self, connection: _Connection) -> None:
        """A client is gone."""
        self._connections.discard(connection)


class _Connection(asyncio.Protocol):
    """One client. Requests are answered on the spot; only a fault of timing makes them wait in line."""

    def __init__(self, server: ModbusServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: deque[wire.Ask] = deque()
        self._timer: asyncio.TimerHandle | None = None  # the reply at the head of the line is being held back
        self._late: set[asyncio.TimerHandle] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are no subclasses of asyncio's
        if not self._server.join(self):
            self.reset()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: nothing is owed to it any more."""
        self._forget()
        self._server.leave(self)

    def reset(self) -> None:
        """Drop the client with RST, as a device that loses power does after it comes back."""
        self._forget()
        if self._transport and not self._transport.is_closing():
            if raw := self._transport.get_extra_info("socket"):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RST)
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes of one or more requests, or a part of one."""
        self._buffer += data
        try:
            self._waiting.extend(wire.split(self._buffer))
        except wire.FramingError:
            self.reset()
            return
        if len(self._waiting) > QUEUE and self._transport:
            self._transport.pause_reading()
        self._answer_waiting()

    def _answer_waiting(self) -> None:
        while self._waiting and self._timer is None:
            ask = self._waiting[0]
            unit = self._server.units.get(ask.unit)
            if unit is None:
                self._send(wire.refusal(self._waiting.popleft(), wire.ExceptionCode.NO_SUCH_UNIT))
                continue
            holding = unit.faults.holding()
            if delay := holding.get(Fault.DELAY):
                self._timer = self._later(delay.delay_ms, self._answer_held)
            else:
                self._answer(self._waiting.popleft(), unit, holding)
        if self._transport and len(self._waiting) <= QUEUE and not self._transport.is_closing():
            self._transport.resume_reading()

    def _answer_held(self) -> None:
        self._timer = None
        if self._waiting:
            ask = self._waiting.popleft()
            unit = self._server.units[ask.unit]
            self._answer(ask, unit, unit.faults.holding())
        self._answer_waiting()

    def _answer(self, ask: wire.Ask, unit: Unit, holding: Mapping[Fault, Injection]) -> None:
        if Fault.NO_REPLY in holding:
            unit.requests += 1
            return
        answer = unit.answer(ask, holding)
        if Fault.WRONG_TRANSACTION in holding:
            answer = struct.pack(">H", (ask.transaction + 0x1234) & 0xFFFF) + answer[2:]
        if Fault.TRUNCATE in holding:
            answer = answer[:-2]
        if late := holding.get(Fault.LATE):
            self._send_late(late.delay_ms, answer)
        else:
            self._send(answer)

    def _send_late(self, delay_ms: int, answer: bytes) -> None:
        handle: asyncio.TimerHandle

        def leave() -> None:
            self._late.discard(handle)
            self._send(answer)

        handle = self._later(delay_ms, leave)
        self._late.add(handle)

    def _send(self, answer: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(answer)

    def _later(self, delay_ms: int, action: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay_ms / 1000, action)

    def _forget(self) -> None:
        self._waiting.clear()
        if self._timer:
            self._timer.cancel()
            self._timer = None
        for handle in self._late:
            handle.cancel()
        self._late.clear()
