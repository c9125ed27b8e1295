"""A serial port as a transport: pymodbus's, which is pyserial in the event loop. Imported only where a line is read.

What it leaves to us:
* Opening may wait for a USB adapter that hangs: it happens in a thread.
* Closing waits for output that cannot leave (the kernel's closing_wait, 30 s): what is left is thrown away first.
* It queues what a stuck port does not take, and would send all of it later: `TurnConnection` looks before it asks.
* Whether the driver switches the transmitter of an RS-485 port (ioctl TIOCSRS485) is ours to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import termios

import serial
from pymodbus.transport.serialtransport import SerialTransport
from serial.rs485 import RS485Settings

from protocols.modbus.connection import Connection
from protocols.modbus.errors import ModbusConnectionError, connection_error
from protocols.modbus.tags import SerialEndpoint

_REASONS = {
    errno.ENOENT: "port-missing",
    errno.ENXIO: "port-missing",
    errno.ENODEV: "port-missing",
    errno.EACCES: "port-denied",
    errno.EPERM: "port-denied",
    errno.EBUSY: "port-busy",
    errno.EWOULDBLOCK: "port-busy",  # somebody holds the lock
}


class _Port(SerialTransport):
    """The transport, closed without waiting."""

    def close(self, exc: Exception | None = None) -> None:
        """Throw away what has not left yet, then close."""
        if exc is None:
            with contextlib.suppress(OSError, termios.error):  # an adapter that was pulled
                self.sync_serial.reset_output_buffer()
        super().close(exc)


async def open_port(endpoint: SerialEndpoint, connection: Connection) -> None:
    """Open the port for `connection`. Raises ModbusConnectionError."""
    loop = asyncio.get_running_loop()
    try:
        port = await asyncio.to_thread(_open, endpoint, connection, loop)
    except serial.SerialException as error:
        raise _trouble(endpoint, error) from error
    except (ValueError, OSError, termios.error) as error:
        raise connection_error(endpoint.peer, "port-settings", str(error)) from error
    port.setup()
    await asyncio.sleep(0)  # connection_made


def _open(endpoint: SerialEndpoint, connection: Connection, loop: asyncio.AbstractEventLoop) -> _Port:
    port = _Port(
        loop, connection, endpoint.path, endpoint.baud, endpoint.data_bits, endpoint.parity, endpoint.stop_bits, 0
    )
    if endpoint.rs485:
        try:
            port.sync_serial.rs485_mode = RS485Settings()
        except ValueError:
            port.sync_serial.close()
            raise
    return port


def _trouble(endpoint: SerialEndpoint, error: serial.SerialException) -> ModbusConnectionError:
    cause = error.errno if error.errno is not None else getattr(error.__context__, "errno", None)
    reason = _REASONS.get(cause or 0, "port-settings")
    return connection_error(endpoint.peer, reason, str(error))
