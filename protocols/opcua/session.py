"""A secure channel and the one session on it: opened, taken up again after a break, renewed, closed.

Theory. A session outlives the connection it was made on: the server keeps it, its subscriptions and what they have not
delivered until its timeout. After a break the same session is activated again on a new channel (OPC 10000-4 §6.7), so
that it holds exactly one of the few sessions a PLC allows. Only where the server has forgotten it is a new one made.

Rules.
* The list of endpoints comes over an unsecured channel; what is inside the session is compared with it.
* A session left behind must not block the next one for long: the timeout asked for is a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.client.client import Client
from asyncua.crypto import security_policies

from protocols.opcua.certificate import Identity
from protocols.opcua.errors import OpcuaError, downgraded, own_certificate_missing
from protocols.opcua.security import URI_PREFIX, Offer, choose, weaker_than
from protocols.opcua.services import Services, Translated
from protocols.opcua.tags import OpcuaEndpoint

DEFAULT_PORT = 4840
SESSION_TIMEOUT_MS = 60_000
_GOODBYE_S = 1.0
_FORGOTTEN = frozenset(("BadSessionIdInvalid", "BadSessionClosed", "BadSessionNotActivated"))

_POLICIES: dict[str, Any] = {
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
}


class Session:
    """One session of one server; `services` speaks over it."""

    def __init__(self, endpoint: OpcuaEndpoint, identity: Identity | None, services: Services) -> None:
        """Does no I/O."""
        self._endpoint = endpoint
        self._identity = identity
        self._services = services
        self._offer = Offer("None", "None")
        self.security = ""  # policy and mode in use, e.g. "Basic256Sha256/SignAndEncrypt"

    @property
    def timeout_s(self) -> float:
        """How long the server keeps a session that says nothing, as it revised it."""
        return self._services.live().session_timeout / 1000

    @property
    def channel_lifetime_s(self) -> float:
        """How long the channel's keys last, as the server revised it (OPC 10000-4 §5.6.2)."""
        return self._services.live().secure_channel_timeout / 1000

    async def open(self) -> None:
        """Open channel and session. Errors: OpcuaError, each step within the endpoint's deadline."""
        self._offer = await self._choose()
        client = self._services.client = self._new_client()
        if self._offer.policy != "None":
            await self._secure(client)
        async with Translated(self._endpoint.url), asyncio.timeout(self._services.deadline_s):
            await self._open_channel(client)
            await self._make(client)
        self.security = f"{self._offer.policy}/{self._offer.mode}"

    async def resume(self) -> bool:
        """Open a new channel and take the session up again; True where the server still had it, False where a new one
        had to be made. Errors: OpcuaError.
        """
        client = self._services.live()
        async with Translated(self._endpoint.url), asyncio.timeout(self._services.deadline_s):
            await self._open_channel(client)
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

    async def _open_channel(self, client: Client) -> None:
        await client.connect_socket()
        await client.send_hello()
        await client.open_secure_channel()

    async def _make(self, client: Client) -> None:
        session = await client.create_session()
        self._refuse_downgrade(session.ServerEndpoints)
        await self._activate(client)

    async def _activate(self, client: Client) -> None:
        await client.activate_session(username=self._endpoint.user, password=self._endpoint.password)

    def _new_client(self) -> Client:
        client = Client(_with_port(self._endpoint.url), timeout=self._services.deadline_s)
        client.name = client.description = "Seamline"
        client.product_uri = "urn:seamline"
        client.application_uri = self._identity.application_uri if self._identity else "urn:seamline"
        client.session_timeout = SESSION_TIMEOUT_MS
        return client

    async def _choose(self) -> Offer:
        """What to connect with. The list is asked for only where there is something to choose."""
        if self._endpoint.security == "None":
            return Offer("None", "None")
        async with Translated(self._endpoint.url), asyncio.timeout(self._services.deadline_s):
            listed = await self._new_client().connect_and_get_server_endpoints()
        return choose([_offer(one) for one in listed], self._endpoint.security, self._endpoint.mode)

    async def _secure(self, client: Client) -> None:
        if self._identity is None:
            raise own_certificate_missing(self._endpoint.url)
        await client.set_security(
            _POLICIES[self._offer.policy],
            self._identity.certificate,
            self._identity.key,
            server_certificate=self._offer.certificate,
            mode=ua.MessageSecurityMode[self._offer.mode],
        )

    def _refuse_downgrade(self, inside: Sequence[ua.EndpointDescription]) -> None:
        offers = [_offer(one) for one in inside]
        if weaker_than(self._offer, offers, self._endpoint.security, self._endpoint.mode):
            raise downgraded(self._endpoint.url, self._offer.policy)

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

    async def close(self) -> None:
        """End the session, delete its subscriptions, close the socket. Never raises for a server that is gone."""
        client, self._services.client = self._services.client, None
        if client is None:
            return
        if client.uaclient.protocol is not None and not await self._say_goodbye(client):
            _abort(client)  # close() would wait for a frozen peer to take what is still unsent
        client.disconnect_socket()
        await asyncio.sleep(0)  # lets the transport report its end while its loop still runs

    async def _say_goodbye(self, client: Client) -> bool:
        """Close session and channel; False where the server no longer answers: it will notice by its own timeouts."""
        try:
            deadline_s = min(self._services.deadline_s, _GOODBYE_S)
            async with Translated(self._endpoint.url), asyncio.timeout(deadline_s):
                await client.uaclient.close_session(True)
                await client.close_secure_channel()
        except OpcuaError:
            return False
        return True


def _abort(client: Client) -> None:
    transport = client.uaclient.protocol.transport if client.uaclient.protocol else None
    if transport is not None:
        transport.abort()


def _with_port(url: str) -> str:
    parts = urlsplit(url)
    return url if parts.port else parts._replace(netloc=f"{parts.netloc}:{DEFAULT_PORT}").geturl()


def _offer(listed: ua.EndpointDescription) -> Offer:
    policy = (listed.SecurityPolicyUri or "").removeprefix(URI_PREFIX)
    mode = listed.SecurityMode.name.removesuffix("_")
    return Offer(policy, mode, listed.ServerCertificate or b"")
