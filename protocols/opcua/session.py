"""A secure channel and the one session on it: opened, taken up again after a break, renewed, closed.

Theory. A session outlives the connection it was made on: the server keeps it, its subscriptions and what they have not
delivered until its timeout. After a break the same session is activated again on a new channel (OPC 10000-4 §6.7), so
that it holds exactly one of the few sessions a PLC allows. Only where the server has forgotten it is a new one made.

Rules.
* How it is secured, and by whose certificates, is decided in `protocols.opcua.channel`; here is the order of steps.
* A session taken up again is judged again: what a person trusts may have changed since.
"""

from __future__ import annotations

import asyncio
import contextlib

from asyncua import ua
from asyncua.client.client import Client
from asyncua.client.ua_client import UaClientState

from protocols.opcua.channel import (
    Pki,
    Way,
    activate,
    client_of,
    create_session,
    judge_again,
    takes_newest,
    ways,
    with_newest,
)
from protocols.opcua.errors import OpcuaError, OpcuaSecurityError, turned
from protocols.opcua.secure_client import SecureClient
from protocols.opcua.security import Offer
from protocols.opcua.services import Services, Translated
from protocols.opcua.tags import OpcuaEndpoint

_GOODBYE_S = 1.0
_FORGOTTEN = frozenset(("BadSessionIdInvalid", "BadSessionClosed", "BadSessionNotActivated"))
_NO_CHANNEL = (UaClientState.DISCONNECTED, UaClientState.CONNECTING, UaClientState.SOCKET_OPEN)


class Session:
    """One session of one server; `services` speaks over it."""

    def __init__(self, endpoint: OpcuaEndpoint, pki: Pki | None, services: Services, name: str = "Seamline") -> None:
        """`name`: what the server lists the session as. Does no I/O."""
        self._name = name
        self._endpoint = endpoint
        self._pki = pki
        self._services = services
        self.way = Way(Offer("", ""))  # what secures it; before `open`: nothing

    @property
    def security(self) -> str:
        """Policy and mode in use, e.g. Basic256Sha256/SignAndEncrypt; "" before `open`."""
        return self.way.security

    @property
    def timeout_s(self) -> float:
        """How long the server keeps a session that says nothing, as it revised it."""
        return self._services.live().session_timeout / 1000

    @property
    def channel_lifetime_s(self) -> float:
        """How long the channel's keys last, as the server revised it (OPC 10000-4 §5.6.2)."""
        return self._services.live().secure_channel_timeout / 1000

    async def open(self) -> None:
        """Open channel and session, by the best way that works. Errors: OpcuaError, of the last way."""
        *newer, last = await ways(self._endpoint, self._pki)
        for way in newer:
            try:
                return await self._open_by(way)
            except OpcuaError:  # the server has not been told of the new certificate; the old one answers for both
                await self.close()
        return await self._open_by(last)

    async def _open_by(self, way: Way) -> None:
        """Each step within the endpoint's deadline."""
        self.way = way
        client = self._services.client = await client_of(way, self._endpoint)
        client.description = self._name
        async with Translated(self._endpoint.url), asyncio.timeout(self._services.deadline_s):
            await self._open_channel(client)
            await self._make(client)

    async def resume(self) -> bool:
        """Open a new channel and take the session up again; True where the server still had it, False where a new one
        had to be made. Errors: OpcuaError.
        """
        client = self._services.live()
        await judge_again(self.way, self._pki)
        try:
            async with Translated(self._endpoint.url), asyncio.timeout(self._services.deadline_s):
                await self._open_channel(client)
        except (
            OpcuaSecurityError
        ) as error:  # what was right before: the server has other certificates or other settings
            raise turned(self._endpoint.url, "security") from error
        client.uaclient.session.rebind_authentication_token()
        try:
            async with Translated(self._endpoint.url), asyncio.timeout(self._services.deadline_s):
                await self._activate(client)
        except OpcuaError as error:
            if error.reason not in _FORGOTTEN:
                raise
        else:
            return True
        client.uaclient.session.reset_authentication_token()
        async with Translated(self._endpoint.url), asyncio.timeout(self._services.deadline_s):
            await self._make(client)
        return False

    async def rejudge(self) -> None:
        """Is the server still trusted, and is our own certificate still the newest? What a person rejected or revoked
        since ends the session.

        What only time did, an end of validity or of a list, waits for the next channel: it was warned of.
        Errors: OpcuaSecurityError.
        """
        await judge_again(self.way, self._pki, tolerate=frozenset(("dates", "revocation")))
        self.way = await with_newest(self.way, self._pki)

    @property
    def outdated(self) -> bool:
        """Whether we have a newer certificate than the one this session was made with."""
        return self.way.own is not None and self.way.newest != self.way.own.facts

    async def succeeded(self) -> bool:
        """Whether the server takes our newest certificate now, which this session was not made with. A session keeps
        the certificate it was made with (OPC 10000-4, ActivateSession): the new one needs a new session.
        """
        return self.outdated and self._pki is not None and await takes_newest(self.way, self._endpoint, self._pki)

    async def _open_channel(self, client: SecureClient) -> None:
        await client.connect_socket()
        await client.send_hello()
        await client.open_secure_channel()

    async def _make(self, client: SecureClient) -> None:
        await create_session(client, self.way, self._endpoint)
        await self._activate(client)

    async def _activate(self, client: SecureClient) -> None:
        await activate(client, self.way, self._endpoint)

    async def renew(self) -> None:
        """Renew the channel's keys; due before `channel_lifetime_s` has passed. Errors: OpcuaConnectionError."""
        client = self._services.live()
        async with Translated(self._endpoint.url), asyncio.timeout(self._services.deadline_s):
            await client.open_secure_channel(renew=True)
            client.uaclient.revolve_security_token()

    async def drop(self) -> None:
        """Cut the connection and keep the session, to `resume` it."""
        client = self._services.client
        if client is not None:
            _abort(client)
            client.disconnect_socket()
            await asyncio.sleep(0)

    async def close(self) -> bool:
        """End the session, delete its subscriptions, close the socket; False where the server may still hold the
        session, since it could not be told. Never raises for a server that is gone.
        """
        client = self._services.client
        if client is None:
            return True
        held = client.uaclient.session.has_session
        told = await self._say_goodbye(client)
        if not told:
            _abort(client)  # close() would wait for a frozen peer to take what is still unsent
        ended = told or not held
        if ended:
            self._services.client = None
        client.disconnect_socket()
        await asyncio.sleep(0)  # lets the transport report its end while its loop still runs
        return ended

    async def _say_goodbye(self, client: Client) -> bool:
        """Close session and channel; False where there is none yet, or the server no longer answers: it will notice by
        its own timeouts.
        """
        if client.state in _NO_CHANNEL:
            return False
        request = ua.CloseSessionRequest()
        request.DeleteSubscriptions = True
        try:
            deadline_s = min(self._services.deadline_s, _GOODBYE_S)
            async with Translated(self._endpoint.url), asyncio.timeout(deadline_s):
                await self._services.exchange(request)
        except OpcuaError as error:
            return error.reason in _FORGOTTEN
        with contextlib.suppress(OpcuaError):
            async with Translated(self._endpoint.url):
                await client.close_secure_channel()
        return True


def _abort(client: Client) -> None:
    transport = client.uaclient.protocol.transport if client.uaclient.protocol else None
    if transport is not None:
        transport.abort()
