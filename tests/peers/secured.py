"""An OPC UA server (asyncua) with any certificate and any policies, in the test's own loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.ua import SecurityPolicyType as Type
from fixtures.ports import free_port
from peers.authority import URI, Made

SECURED = (
    Type.Basic256Sha256_Sign,
    Type.Basic256Sha256_SignAndEncrypt,
    Type.Aes128Sha256RsaOaep_Sign,
    Type.Aes128Sha256RsaOaep_SignAndEncrypt,
    Type.Aes256Sha256RsaPss_Sign,
    Type.Aes256Sha256RsaPss_SignAndEncrypt,
)


class Users:
    """Anybody anonymous, one name with its password, one certificate."""

    def __init__(self, certificate: bytes = b"") -> None:
        self._certificate = certificate

    def get_user(
        self, _server: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        known = (username, password) in ((None, None), ("reader", "secret"))
        return User(role=UserRole.User) if known else None


def wear(server: Server, made: Made) -> None:
    """Show another certificate, of the same key, from now on."""
    server.iserver.certificate = made.certificate
    for factory in server._policies:
        factory.certificate = made.certificate
    for endpoint in server.iserver.endpoints:
        endpoint.ServerCertificate = made.der


@asynccontextmanager
async def secured(
    made: Made | None,
    policies: Sequence[Type] = (Type.NoSecurity, *SECURED),
    *,
    uri: str = URI,
    build: Any = None,
) -> AsyncIterator[Server]:
    """The server, started, with a variable `Total` = 42 in its namespace 2 (`urn:t`); `build(server, ns)` adds more."""
    server = Server(user_manager=Users())
    await server.init()
    await server.set_application_uri(uri)
    server.set_endpoint(f"opc.tcp://127.0.0.1:{free_port()}")
    server.set_security_policy(list(policies))
    if made is not None:
        await server.load_certificate(made.der)
        await server.load_private_key(made.pem_key, format="pem")
    ns = await server.register_namespace("urn:t")
    await server.nodes.objects.add_variable(ua.NodeId("Total", ns), "Total", 42)
    if build is not None:
        await build(server, ns)
    async with server:
        yield server
