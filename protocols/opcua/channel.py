"""The way to a server, as secure as the site file wants it: which endpoint, which certificates, which user.

Theory. Everything a server says before the secure channel stands may come from somebody else on the network: the list
of endpoints, the certificate, the server's name. So:

1. `ways`: the list is asked for, one endpoint chosen (`protocols.opcua.security`), and its certificate judged before
   any channel is opened (`protocols.opcua.trust`). asyncua by itself would fetch a certificate and trust it.
2. `client_of`: the channel will be opened with exactly that certificate; whoever lacks its key cannot answer.
3. `create_session`: the list comes again inside (OPC 10000-4 §5.6.2.2). What was chosen must be in it, with that
   certificate and that application URI, and nothing stronger; or the list outside was tampered with.
4. `activate`: only then the user, by the strongest token policy the endpoint lists; a password never readable on the
   wire unless the site file says security None.

Our own certificates make several ways: the newest first, an older one for servers that do not take the new one yet.

The order of these steps, and their ends, are the session's (`protocols.opcua.session`). No clock here: the time comes
with `Pki`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.crypto import security_policies
from asyncua.ua.uaerrors import UaError, UaStatusCodeError
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from protocols.opcua import distrust
from protocols.opcua.certificate import Identity, ensure_identities
from protocols.opcua.errors import OpcuaError, certificate_unwritable, downgraded, own_certificate_missing
from protocols.opcua.secure_client import SecureClient, rank
from protocols.opcua.security import URI_PREFIX, Offer, choose, reachable, weaker_than
from protocols.opcua.services import Translated
from protocols.opcua.tags import OpcuaEndpoint
from protocols.opcua.trust import Demand, TrustList
from protocols.opcua.x509 import CertificateError, Facts, leaf_of, load, load_file

SESSION_TIMEOUT_MS = (
    60_000  # PLCs allow few sessions: one left behind by a power cut must not block the next for an hour
)
_NS_PER_S = 1e9
_POLICIES: dict[str, Any] = {
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
}
_KINDS = {
    ua.UserTokenType.Anonymous: ("匿名登录", "anonymous user"),
    ua.UserTokenType.UserName: ("用户名加密码", "user name with password"),
    ua.UserTokenType.Certificate: ("用户证书", "user certificate"),
}


@dataclass(frozen=True, slots=True)
class Pki:
    """Own certificates and whom to trust. `hosts`: names and addresses of this gateway; `now_ns`: UTC."""

    folder: Path
    hosts: Callable[[], Sequence[str]]
    now_ns: Callable[[], int]

    @property
    def trust(self) -> TrustList:
        """The trust list; read when asked."""
        return TrustList(self.folder)

    def identities(self) -> list[Identity]:
        """Own certificates, newest first; made where needed. Blocking. Errors: OpcuaSecurityError."""
        try:
            return ensure_identities(self.folder, self.hosts(), self.now_ns())
        except OSError as error:
            raise certificate_unwritable(str(error.filename or self.folder), error) from error

    def judge(self, chain: bytes, demand: Demand) -> Facts:
        """The server's certificate, acceptable. Blocking. Errors: OpcuaSecurityError."""
        try:
            return self.trust.judge(chain, demand, self.now_ns())
        except OSError as error:
            raise certificate_unwritable(str(error.filename or self.folder), error) from error


@dataclass(frozen=True, slots=True)
class Way:
    """One endpoint with one of our certificates. Without security all but `offer` is None."""

    offer: Offer
    own: Identity | None = None
    newest: Facts | None = None  # our newest certificate: where it is not `own`, the server does not take it yet
    demand: Demand | None = None  # what the server's certificate was judged by
    server: Facts | None = None

    @property
    def security(self) -> str:
        """Policy and mode, e.g. Basic256Sha256/SignAndEncrypt; "" where there is none yet."""
        return str(self.offer) if self.offer.policy else ""


async def ways(endpoint: OpcuaEndpoint, pki: Pki | None) -> list[Way]:
    """How the server can be reached, best first, at least one. The server's certificate is acceptable in all.

    `pki` may be None with security None only. Errors: OpcuaError.
    """
    if endpoint.security == "None":
        return [Way(Offer("None", "None"))]
    if pki is None:
        raise own_certificate_missing(endpoint.url)
    offer = choose(await offers(endpoint), endpoint.security, endpoint.mode)
    demand = _demand(endpoint, offer)
    server = await asyncio.to_thread(pki.judge, offer.certificate, demand)
    own = await asyncio.to_thread(pki.identities)
    return [Way(offer, identity, own[0].facts, demand, server) for identity in own]


async def judge_again(way: Way, pki: Pki | None, *, tolerate: frozenset[str] = frozenset()) -> None:
    """Is the server of `way` still acceptable? `tolerate`: this too. Errors: OpcuaSecurityError."""
    if way.demand is not None and pki is not None:
        demand = replace(way.demand, tolerate=way.demand.tolerate | tolerate)
        await asyncio.to_thread(pki.judge, way.offer.certificate, demand)


async def with_newest(way: Way, pki: Pki | None) -> Way:
    """`way`, told of our newest certificate: made where the present one needs a successor by now. Errors:
    OpcuaSecurityError.
    """
    if way.own is None or pki is None:
        return way
    return replace(way, newest=(await asyncio.to_thread(pki.identities))[0].facts)


async def takes_newest(way: Way, endpoint: OpcuaEndpoint, pki: Pki) -> bool:
    """Whether the server opens a channel for our newest certificate. The channel is closed at once and carries no
    session; a server that refuses keeps the certificate for a person to look at. Never raises for a refusal.
    """
    newest = (await asyncio.to_thread(pki.identities))[0]
    client = await client_of(replace(way, own=newest), endpoint)
    try:
        async with Translated(endpoint.url), asyncio.timeout(endpoint.deadline_ns / _NS_PER_S):
            await client.connect_socket()
            await client.send_hello()
            await client.open_secure_channel()
            await client.close_secure_channel()
    except OpcuaError:
        return False
    finally:
        client.disconnect_socket()
        await asyncio.sleep(0)
    return True


async def offers(endpoint: OpcuaEndpoint) -> list[Offer]:
    """The server's endpoints as it lists them to anybody: not to be believed. Errors: OpcuaError."""
    async with Translated(endpoint.url), asyncio.timeout(endpoint.deadline_ns / _NS_PER_S):
        listed = await _new_client(endpoint, reachable(endpoint.url, ""), None).connect_and_get_server_endpoints()
    return [_offer(one) for one in listed]


# ── the steps
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def client_of(way: Way, endpoint: OpcuaEndpoint) -> SecureClient:
    """Asyncua's client for this way and its user; nothing is sent yet. Errors: OpcuaSecurityError."""
    client = _new_client(endpoint, reachable(endpoint.url, way.offer.url), way.own)
    if way.own is not None:
        client.secure_by(
            _POLICIES[way.offer.policy](
                load(leaf_of(way.offer.certificate)),  # judged; every message is verified by it
                way.own.parsed,
                way.own.private,
                ua.MessageSecurityMode[way.offer.mode],
            )
        )
    if endpoint.user_certificate is not None:
        client.user_certificate, client.user_private_key = await asyncio.to_thread(_user_files, endpoint)
    return client


async def create_session(client: SecureClient, way: Way, endpoint: OpcuaEndpoint) -> None:
    """On the open channel. The server proves its key and lists its endpoints again; both must fit what was chosen.

    Errors: OpcuaSecurityError, and what asyncua raises (see `Translated`).
    """
    try:
        session = await client.create_session()
    except UaStatusCodeError:
        raise
    except UaError as error:  # the two refusals of its own
        if "certificate" in str(error).lower():
            raise distrust.certificate_changed(endpoint.url) from error
        raise distrust.endpoint_vanished(endpoint.url, way.security) from error
    if way.own is not None:
        _compare(endpoint, way.offer, [_offer(one) for one in session.ServerEndpoints])


async def activate(client: SecureClient, way: Way, endpoint: OpcuaEndpoint) -> None:
    """Who we are, on a session just made or taken up again. Errors as `create_session`."""
    _check_user(client, endpoint, way.offer)
    await client.activate_session(endpoint.user, endpoint.password, client.user_certificate)


def _new_client(endpoint: OpcuaEndpoint, url: str, identity: Identity | None) -> SecureClient:
    client = SecureClient(url, timeout=endpoint.deadline_ns / _NS_PER_S)
    client.name = client.description = "Seamline"
    client.product_uri = "urn:seamline"
    client.application_uri = identity.application_uri if identity else "urn:seamline"
    client.session_timeout = SESSION_TIMEOUT_MS
    return client


def _compare(endpoint: OpcuaEndpoint, chosen: Offer, inside: Sequence[Offer]) -> None:
    """The list outside was the one inside, as far as it matters."""
    same = [one for one in inside if (one.policy, one.mode) == (chosen.policy, chosen.mode)]
    if weaker_than(chosen, inside, endpoint.security, endpoint.mode):
        raise downgraded(endpoint.url, chosen.policy)
    if not any(one.application_uri == chosen.application_uri for one in same):
        raise distrust.endpoint_vanished(endpoint.url, f"{chosen} ({chosen.application_uri})")
    if all(one.certificate and leaf_of(one.certificate) != leaf_of(chosen.certificate) for one in same):
        raise distrust.certificate_changed(endpoint.url)


def _demand(endpoint: OpcuaEndpoint, offer: Offer) -> Demand:
    host = urlsplit(endpoint.url).hostname or ""
    return Demand(endpoint.url, host, offer.application_uri, endpoint.fingerprint, endpoint.tolerate)


def _offer(listed: ua.EndpointDescription) -> Offer:
    return Offer(
        policy=(listed.SecurityPolicyUri or "").removeprefix(URI_PREFIX),
        mode=listed.SecurityMode.name.removesuffix("_"),
        certificate=listed.ServerCertificate or b"",
        url=listed.EndpointUrl or "",
        application_uri=listed.Server.ApplicationUri or "",
    )


# ── the user
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _user_files(endpoint: OpcuaEndpoint) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    """Blocking. Errors: OpcuaSecurityError."""
    paths = Path(endpoint.user_certificate or ""), Path(endpoint.user_key or endpoint.user_certificate or "")
    path = paths[0]
    try:
        certificate = load_file(path.read_bytes())[0]
        path = paths[1]
        content = path.read_bytes()
        read = load_pem_private_key if b"-----BEGIN" in content else load_der_private_key
        key = read(content, endpoint.user_key_password.encode() if endpoint.user_key_password else None)
    except OSError as error:
        raise distrust.user_certificate_unreadable(endpoint.url, str(path), str(error.strerror)) from error
    except (CertificateError, ValueError, TypeError) as error:
        raise distrust.user_certificate_unreadable(endpoint.url, str(path), str(error)) from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.public_key() != certificate.public_key():
        raise distrust.user_certificate_unreadable(endpoint.url, str(path), "certificate and key are no RSA pair")
    return certificate, key


def _check_user(client: SecureClient, endpoint: OpcuaEndpoint, offer: Offer) -> None:
    """Before anything secret is sent. Errors: OpcuaSecurityError."""
    kind = ua.UserTokenType.Anonymous
    if endpoint.user_certificate is not None:
        kind = ua.UserTokenType.Certificate
    elif endpoint.user is not None:
        kind = ua.UserTokenType.UserName
    strength = rank(client.server_policy(kind))
    withdrawn = strength < 0 or (strength == 0 and kind is ua.UserTokenType.Certificate)
    if not client.takes(kind) or (withdrawn and kind is not ua.UserTokenType.Anonymous):
        raise distrust.identity_not_offered(endpoint.url, _KINDS[kind])
    if kind is ua.UserTokenType.UserName and strength == 0 and offer.mode == "Sign":
        raise distrust.plain_password(endpoint.url)
