"""From an endpoint to a connection on an open transport, and from what went wrong on the way to an error that helps."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial

from protocols.errors import Phrase
from protocols.modbus.ascii import AsciiFramer
from protocols.modbus.connection import About, Connection, DatagramConnection
from protocols.modbus.errors import ModbusConnectionError, connection_error
from protocols.modbus.framing import Framer, WireCounters
from protocols.modbus.mbap import MbapFramer
from protocols.modbus.pdu import Query
from protocols.modbus.rtu import RtuFramer
from protocols.modbus.tags import Endpoint, Framing, SerialEndpoint, TcpEndpoint, UdpEndpoint
from protocols.modbus.turns import Pace, TurnConnection

_FRAMERS: dict[Framing, Callable[[WireCounters], Framer]] = {
    Framing.MBAP: MbapFramer,
    Framing.RTU: RtuFramer,
    Framing.ASCII: AsciiFramer,
}

# A half-open connection (the device lost power, a firewall forgot us) is noticed in idle time by keep-alive probes,
# 17 s after the last byte that was heard. In Linux the limit on unacknowledged bytes decides for keep-alive, too; it is
# a second shorter, since a last probe that comes a moment too soon would cost another interval. A request that goes out
# meanwhile stops the probes and begins the limit anew: then it is its deadline, and the poller that makes sure of it,
# that notice.
_IDLE_S, _PROBE_S, _PROBES = 8, 3, 3
_UNACKNOWLEDGED_MS = 1000 * (_IDLE_S + _PROBE_S * _PROBES - 1)
_HANDSHAKE_SHARE = 0.8  # of the deadline: who took the connection and is mute is told from who is not there


async def open_connection(
    endpoint: Endpoint, counters: WireCounters, where: Callable[[int, Query], Phrase]
) -> Connection:
    """A connection ready to ask. Raises ModbusConnectionError; nothing stays open then."""
    connection = make_connection(endpoint, counters, where)
    deadline_s = endpoint.deadline_ns / 1e9
    try:
        async with asyncio.timeout(deadline_s):
            await _open(endpoint, connection)
    except ModbusConnectionError as error:
        connection.end(error)
    except OSError as error:  # TimeoutError is one, too, and so are the errors of TLS
        connection.end(explain_failure(endpoint, error))
    if connection.error is not None:
        raise connection.error
    return connection


def make_connection(endpoint: Endpoint, counters: WireCounters, where: Callable[[int, Query], Phrase]) -> Connection:
    """The connection an endpoint needs, not open yet."""
    framer = _FRAMERS[endpoint.framing](counters)
    deadline_s = endpoint.deadline_ns / 1e9
    about = About(endpoint.peer, where, partial(explain_end, endpoint))
    if not framer.numbered:
        pace = Pace.of(endpoint) if isinstance(endpoint, SerialEndpoint) else Pace()
        return TurnConnection(framer, counters, about, deadline_s=deadline_s, pace=pace)
    kind = DatagramConnection if isinstance(endpoint, UdpEndpoint) else Connection
    return kind(framer, counters, about, depth=max(1, endpoint.depth), deadline_s=deadline_s)


async def _open(endpoint: Endpoint, connection: Connection) -> None:
    loop = asyncio.get_running_loop()
    if isinstance(endpoint, SerialEndpoint):
        from protocols.modbus.serial_port import open_port

        await open_port(endpoint, connection)
    elif isinstance(connection, DatagramConnection):
        await loop.create_datagram_endpoint(lambda: connection, remote_addr=(endpoint.host, endpoint.port))
    elif isinstance(endpoint, TcpEndpoint):
        await _open_stream(endpoint, connection)


async def _open_stream(endpoint: TcpEndpoint, connection: Connection) -> None:
    loop = asyncio.get_running_loop()
    if endpoint.tls is None:
        transport, _ = await loop.create_connection(lambda: connection, endpoint.host, endpoint.port)
    else:
        from protocols.modbus.tls import make_context

        begun_s = loop.time()
        context = await asyncio.to_thread(make_context, endpoint)
        left_s = endpoint.deadline_ns / 1e9 - (loop.time() - begun_s)
        transport, _ = await loop.create_connection(
            lambda: connection,
            endpoint.host,
            endpoint.port,
            ssl=context,
            server_hostname=endpoint.tls.server_name or endpoint.host,
            ssl_handshake_timeout=max(_HANDSHAKE_SHARE * left_s, 0.001),
            ssl_shutdown_timeout=endpoint.deadline_ns / 1e9,
        )
    _watch_over(transport.get_extra_info("socket"))


def _watch_over(sock: socket.socket) -> None:
    """Notice a peer that is gone, and send small requests at once."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", _IDLE_S),
        ("TCP_KEEPINTVL", _PROBE_S),
        ("TCP_KEEPCNT", _PROBES),
        ("TCP_USER_TIMEOUT", _UNACKNOWLEDGED_MS),  # Linux only
    ):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def explain_end(endpoint: Endpoint, error: Exception | None, answered: bool) -> ModbusConnectionError:
    """Why a connection ended, for people. `answered`: the device had said something on it."""
    if error is not None and isinstance(endpoint, SerialEndpoint):
        return connection_error(endpoint.peer, "port-lost", str(error))
    if isinstance(endpoint, TcpEndpoint) and endpoint.tls is not None and not answered:
        # TLS 1.3: the server looks at our certificate when we are through with the handshake already.
        return _maybe_tls_error(endpoint, error) or connection_error(endpoint.peer, "tls-closed")
    if isinstance(error, TimeoutError):  # ETIMEDOUT: keep-alive, or bytes that nobody acknowledged
        return connection_error(endpoint.peer, "silent", error.strerror or "ETIMEDOUT")
    return connection_error(endpoint.peer, "closed")


def explain_failure(endpoint: Endpoint, error: OSError) -> ModbusConnectionError:
    """Why there was no connection in the first place."""
    peer = endpoint.peer
    if isinstance(error, TimeoutError):
        return connection_error(peer, "timeout", f"{endpoint.deadline_ns / 1e9:g}")
    if isinstance(error, ConnectionRefusedError):
        return connection_error(peer, "refused")
    if isinstance(error, socket.gaierror):
        return connection_error(peer, "name")
    if isinstance(endpoint, TcpEndpoint) and (tls := _maybe_tls_error(endpoint, error)) is not None:
        return tls
    if isinstance(error, ConnectionResetError | ConnectionAbortedError):
        return connection_error(peer, "closed")
    return connection_error(peer, "unreachable", error.strerror or str(error))


def _maybe_tls_error(endpoint: TcpEndpoint, error: Exception | None) -> ModbusConnectionError | None:
    """What the handshake failed of; None where it did not."""
    if endpoint.tls is None:
        return None
    import ssl

    from protocols.modbus.tls import tls_error

    if isinstance(error, ssl.SSLError):
        return tls_error(endpoint, error)
    if isinstance(error, ConnectionAbortedError):  # by ourselves: the handshake took too long
        return connection_error(endpoint.peer, "tls-mute", f"{endpoint.deadline_ns / 1e9:g}")
    if isinstance(error, ConnectionResetError):
        return connection_error(endpoint.peer, "tls-closed")
    return None
