"""The Modbus client: one connection, read requests only, raw bytes out, errors that say whose fault.

Only this module imports pymodbus on the client side.

Theory. pymodbus 3.16 gives the transport, the transaction lock, the transaction ids and the request encoders. Where it
keeps a promise we make only partly, this module does the smallest thing that is true:

* raw bytes       Its responses unpack every register into a Python int and forget the bytes. Our framer hands out
  `_Reply`.
* framing         Its framer stops for good at a foreign protocol id, forgets half a late frame when the next request is
                  sent (and then reads the other half as a header), throws away everything once two late frames wait
                  together, and lets an undecodable one end in a traceback of the event loop. Ours is
                  `framing.MbapStream`; it keeps the stream itself and always reports all bytes as used.
* late frames     A frame of another transaction or unit is counted and dropped; pymodbus would log it.
* lost connection pymodbus lets the waiting request sit until its deadline. We fail its future at once.
* connect         `connect()` answers False and hides the cause. We await its connection factory and keep the OSError.
* reconnect       reconnect_delay=0, retries=0, and its own hanging up after some silent requests is switched off:
                  retries, pauses and reconnects belong to the poller, which alone knows the budget of the device.
* logging         Its log is one singleton for the process that mixes devices. It is switched off; our errors say it
  all.

Rules.
* Read-only. The framer is the only place where bytes to a device are made, and it refuses every function code but 1 to
  4.
* One request is outstanding at a time; every I/O has the endpoint's deadline. After a timeout the connection may go on.
* No method retries anything.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusIOException
from pymodbus.framer.socket import FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from protocols.errors import Fault
from protocols.modbus.address import TABLE_NAMES
from protocols.modbus.errors import (
    ModbusConnectionError,
    ModbusExceptionReply,
    ModbusProtocolError,
    ModbusTimeout,
)
from protocols.modbus.framing import MbapError, MbapStream
from protocols.modbus.plan import Request, payload_bytes
from protocols.modbus.tags import ModbusEndpoint, Table

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL + 1)

_REQUESTS: dict[Table, type[ModbusPDU]] = {
    Table.COILS: ReadCoilsRequest,
    Table.DISCRETE_INPUTS: ReadDiscreteInputsRequest,
    Table.HOLDING_REGISTERS: ReadHoldingRegistersRequest,
    Table.INPUT_REGISTERS: ReadInputRegistersRequest,
}
_EXCEPTION_BIT = 0x80
_BUFFER_BYTES = 1 << 20  # of pymodbus's own buffer, which must never overflow before our framer has seen the bytes


class ModbusClient:
    """Reads blocks from one endpoint. Built without I/O; `connect` may be called again after every loss."""

    def __init__(self, endpoint: ModbusEndpoint) -> None:
        self.endpoint = endpoint
        self.dropped_frames = 0  # late answers, answers of other units
        self._deadline_s = endpoint.deadline_ns / 1e9
        self._client: AsyncModbusTcpClient | None = None
        self._lost = asyncio.Event()
        self._turn = asyncio.Lock()
        self._waiting = False

    @property
    def connected(self) -> bool:
        """True between a successful `connect` and the loss of the connection."""
        return self._client is not None and not self._lost.is_set()

    async def connect(self) -> None:
        """Connect anew. Raises ModbusConnectionError (refused, timeout, unreachable, name, closed)."""
        self.close()
        self._lost = lost = asyncio.Event()
        client = self._make_client(lost)
        try:
            async with asyncio.timeout(self._deadline_s):
                await client.ctx.call_create()
        except OSError as error:  # TimeoutError is one, too
            client.close()
            raise self._connect_error(error) from error
        if lost.is_set():
            raise self._closed_error()
        self._client = client

    async def read(self, request: Request) -> bytes:
        """The data bytes of the reply: two per register, or packed bits.

        Raises ModbusExceptionReply, ModbusTimeout, ModbusConnectionError, ModbusProtocolError.
        """
        pdu = _REQUESTS[request.table](dev_id=request.unit, address=request.address, count=request.quantity)
        async with self._turn:
            if self._client is None or self._lost.is_set():
                raise self._closed_error()
            self._waiting = True
            try:
                reply = await self._client.execute(False, pdu)
            except ModbusIOException as error:
                raise ModbusTimeout(self._where(request), self._deadline_s) from error
            except ConnectionException as error:
                raise self._closed_error() from error
            finally:
                self._waiting = False
        return self._payload(reply.pdu, request)

    async def watch(self) -> NoReturn:
        """Wait until the connection is lost (not at all where there is none), then raise ModbusConnectionError."""
        if self._client is not None:
            await self._lost.wait()
        raise self._closed_error()

    def close(self) -> None:
        """Hang up; a waiting request fails at once."""
        if self._client is not None:
            self._fail(self._closed_error())
            self._lost.set()
            self._client.close()
            self._client = None

    def _make_client(self, lost: asyncio.Event) -> AsyncModbusTcpClient:
        def on_connection(up: bool) -> None:
            if not up:
                self._fail(self._closed_error())
                lost.set()

        def on_dropped() -> None:
            self.dropped_frames += 1

        def on_garbage(error: MbapError) -> None:
            self._fail(ModbusProtocolError(self._peer(), error.zh, error.en))
            client.close()
            lost.set()

        client = AsyncModbusTcpClient(
            self.endpoint.host,
            port=self.endpoint.port,
            timeout=self._deadline_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=on_connection,
        )
        client.set_max_no_responses(sys.maxsize)
        client.ctx.framer = _ReadOnlyFramer(on_dropped, on_garbage)
        client.ctx.max_buffer_size = _BUFFER_BYTES
        return client

    def _fail(self, error: ModbusConnectionError | ModbusProtocolError) -> None:
        """Hand `error` to the request that waits, if one does."""
        if self._client is not None and self._waiting and not self._client.ctx.response_future.done():
            self._client.ctx.response_future.set_exception(error)

    def _payload(self, pdu: bytes, request: Request) -> bytes:
        function, wanted = pdu[0], payload_bytes(request.table, request.quantity)
        if function == request.table | _EXCEPTION_BIT and len(pdu) == 2:
            raise ModbusExceptionReply(pdu[1], self._where(request))
        if function != request.table:
            raise ModbusProtocolError(
                self._where(request),
                f"以功能码 {function} 应答功能码 {request.table:d}",
                f"answers function code {request.table:d} with {function}",
            )
        if len(pdu) != 2 + wanted or pdu[1] != wanted:
            raise ModbusProtocolError(
                self._where(request),
                f"应答 {len(pdu) - 2} 字节，应为 {wanted}",
                f"{len(pdu) - 2} bytes instead of {wanted}",
            )
        return pdu[2:]

    def _peer(self) -> str:
        return f"{self.endpoint.host}:{self.endpoint.port}"

    def _where(self, request: Request) -> str:
        last = request.address + request.quantity - 1
        return f"{self._peer()} unit {request.unit} {TABLE_NAMES[request.table]}:{request.address}…{last}"

    def _closed_error(self) -> ModbusConnectionError:
        return ModbusConnectionError(
            "closed",
            f"{self._peer()}：连接被对方关闭；设备重启、断网，或其连接数已满",
            f"{self._peer()}: closed by the device; it restarted, the network broke, or all its connections are taken",
        )

    def _connect_error(self, error: OSError) -> ModbusConnectionError:
        peer = self._peer()
        if isinstance(error, TimeoutError):
            return ModbusConnectionError(
                "timeout",
                f"{peer}：{self._deadline_s:g} 秒内连接不上；检查设备电源、网线、IP 地址",
                f"{peer}: no connection within {self._deadline_s:g} s; check power, cable and IP address of the device",
            )
        if isinstance(error, ConnectionRefusedError):
            return ModbusConnectionError(
                "refused",
                f"{peer}：拒绝连接；设备在线，但 Modbus 服务未启用、端口不对或连接数已满",
                f"{peer}: refused; the host is there, but its Modbus server is off, on another port, or full",
                Fault.DEVICE,
            )
        if isinstance(error, socket.gaierror):
            return ModbusConnectionError(
                "name",
                f"{peer}：主机名无法解析；请改用 IP 地址",
                f"{peer}: unknown host name; use the IP address",
                Fault.CONFIG,
            )
        return ModbusConnectionError(
            "unreachable", f"{peer}：网络不可达（{error.strerror}）", f"{peer}: network unreachable ({error.strerror})"
        )


class _Reply(ModbusPDU):
    """A reply as it came: function code and data, undecoded."""

    def __init__(self, unit: int, transaction: int, pdu: bytes) -> None:
        super().__init__(dev_id=unit, transaction_id=transaction)
        self.pdu = pdu


class _ReadOnlyFramer(FramerSocket):
    """Between pymodbus's transaction manager and the wire: sends reads only, hands out undecoded replies."""

    def __init__(self, on_dropped: Callable[[], None], on_garbage: Callable[[MbapError], None]) -> None:
        super().__init__(DecodePDU(False))
        self._stream = MbapStream()
        self._on_dropped = on_dropped
        self._on_garbage = on_garbage

    def buildFrame(self, message: ModbusPDU) -> bytes:  # noqa: N802 - pymodbus's name
        """The bytes of a request; RuntimeError for anything but the four reads."""
        if message.function_code not in _REQUESTS:
            raise RuntimeError(f"function code {message.function_code} is no read; this client never writes")
        return super().buildFrame(message)

    def handleFrame(self, data: bytes, exp_devid: int, exp_tid: int) -> tuple[int, _Reply | None]:  # noqa: N802
        """All of `data` is used; the reply of the expected transaction and unit, if it is complete."""
        self._stream.feed(data)
        try:
            for frame in self._stream.frames():
                if (frame.transaction, frame.unit) == (exp_tid, exp_devid):
                    return len(data), _Reply(frame.unit, frame.transaction, frame.pdu)
                self._on_dropped()
        except MbapError as error:
            self._on_garbage(error)
        return len(data), None
