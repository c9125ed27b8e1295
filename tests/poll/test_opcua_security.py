"""Secured end to end, against asyncua's server and node-opcua's: every policy, mode and kind of user; every way a
server's certificate can be wrong; servers that offer too little, or lie about what they offer.

The whole way is taken, from the endpoint of a site file through the poller to a value; nothing of it is replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from copy import copy
from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from cryptography.hazmat.primitives import hashes
from peers.authority import DAY, NOW, URI, make
from peers.node_opcua import NodePeer
from peers.recorder import Recorder
from peers.secured import secured, wear

from edge.clock import ManualClock, SystemClock
from edge.errors import DeviceError
from edge.plan import OpcuaDevice
from edge.poll import opcua
from edge.poll.opcua import OpcuaPoller
from edge.trust.shelves import accept, reject
from protocols.opcua.channel import Pki
from protocols.opcua.distrust import OpcuaTrustError
from protocols.opcua.errors import OpcuaError
from protocols.opcua.pki_files import REJECTED, TRUSTED, TRUSTED_CRL, files
from protocols.opcua.security import POLICIES
from protocols.opcua.services import CallLimits, Services
from protocols.opcua.session import Session
from protocols.opcua.tags import OpcuaEndpoint, OpcuaTag
from protocols.reading import Quality, TagImage

NOW_NS = round(NOW.timestamp()) * 1_000_000_000
pytestmark = pytest.mark.asyncio(loop_scope="module")
STRONGEST = "Aes256_Sha256_RsaPss/SignAndEncrypt"
RIGHT = make()
SECURITY_URI = "http://opcfoundation.org/UA/SecurityPolicy#"
AES256 = SECURITY_URI + "Aes256_Sha256_RsaPss"


class Gateway:
    """A gateway with its folder of certificates, at a time of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(NOW_NS)
        self.pki = Pki(folder, lambda: ("gateway", "127.0.0.1"), self.clock.now_ns)

    def trust(self, *contents: bytes, where: str = TRUSTED) -> None:
        (self.folder / where).mkdir(parents=True, exist_ok=True)
        for content in contents:
            (self.folder / where / f"{len(files(self.folder / where))}.der").write_bytes(content)

    async def value(self, url: str, node: str = "nsu=urn:t;s=Total", **security: Any) -> tuple[str, int]:
        """Security in use and the value read. Errors: OpcuaError."""
        tag = OpcuaTag("total", node)
        image = TagImage(1)
        endpoint = OpcuaEndpoint(url, **{"deadline_ns": 20_000_000_000, **security})
        device = OpcuaDevice(0, "press", "generic", endpoint, (tag,))
        poller = OpcuaPoller(device, image, Recorder(), self.clock, pki=self.pki)
        try:
            await poller.read_once()
        except DeviceError as error:
            raise error.__cause__ or error from None
        assert Quality(image.quality[0]) is Quality.GOOD
        return poller.security, image.i64[0]

    async def refusal(self, url: str, **security: Any) -> OpcuaError:
        with pytest.raises(OpcuaError) as caught:
            await self.value(url, **security)
        return caught.value


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path / "pki")


def url_of(server: Any) -> str:
    return str(server.endpoint.geturl())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Server]:
    """One server for all: building its address space takes two seconds of processor time."""
    async with secured(make()) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """In its first state."""
    listed = [copy(one) for one in running.iserver.endpoints]
    wear(running, RIGHT)
    yield running
    running.iserver.endpoints[:] = listed
    running.set_certificate_validator(None)


# ── every policy, mode and user
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def users(folder: Path) -> dict[str, dict[str, Any]]:
    certificate, key = make("Operator", uri="urn:operator").write(folder, "operator")
    return {
        "anonymous": {},
        "password": {"user": "reader", "password": "secret"},
        "x509": {"user_certificate": str(certificate), "user_key": str(key)},
    }


async def every_combination(gateway: Gateway, url: str, node: str, folder: Path) -> None:
    """Each to a value. What auto takes is one of them."""
    for name, user in users(folder).items():
        seen, _ = await gateway.value(url, node, **user)
        assert seen == STRONGEST, f"auto, {name}"
        for policy, mode in [*product(POLICIES, ("Sign", "SignAndEncrypt")), ("None", "None")]:
            if f"{policy}/{mode}" != STRONGEST:
                seen, _ = await gateway.value(url, node, security=policy, mode=mode, **user)
                assert seen == f"{policy}/{mode}", name


async def test_every_policy_mode_and_user_asyncua(gateway: Gateway, server: Server, tmp_path: Path) -> None:
    """Against asyncua's server; auto takes the strongest, a named policy exactly itself."""
    gateway.trust(RIGHT.der)
    await every_combination(gateway, url_of(server), "nsu=urn:t;s=Total", tmp_path)
    wrong = await gateway.refusal(url_of(server), user="reader", password="wrong")
    assert (wrong.reason, "user/password" in str(wrong)) == ("BadUserAccessDenied", True)


async def test_every_policy_mode_and_user_node_opcua(gateway: Gateway, tmp_path: Path) -> None:
    """Against a foreign stack; and its certificate where it has ended, has not begun, or nobody trusts it."""
    server = make()
    certificate, key = server.write(tmp_path / "server", "server")
    gateway.trust(server.der)
    options = {"secure": "all", "certificate": str(certificate), "key": str(key), "uri": URI}
    async with NodePeer(tmp_path, **options) as peer:
        await every_combination(gateway, peer.url, "nsu=urn:seamline:peer;s=Total", tmp_path)
        wrong = await gateway.refusal(peer.url, user="reader", password="wrong")
        assert "user/password" in str(wrong)
        for days, reason in ((730, "certificate-expired"), (-730, "certificate-not-yet-valid")):
            gateway.pki = replace(gateway.pki, now_ns=ManualClock(NOW_NS + days * 86_400_000_000_000).now_ns)
            assert (await gateway.refusal(peer.url)).reason == reason
        assert (await Gateway(tmp_path / "stranger").refusal(peer.url)).reason == "certificate-untrusted"


# ── certificates that are wrong
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

CA = make("Plant CA", authority=True)
_WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "expired": ("certificate-expired", {"ends": NOW - timedelta(hours=1)}),
    "not yet valid": ("certificate-not-yet-valid", {"begins": NOW + timedelta(hours=1)}),
    "wrong host": ("certificate-host", {"hosts": ("press-1.plant.local", "192.168.1.20")}),
    "wrong uri": ("certificate-uri", {"uri": "urn:another:server"}),
    "revoked": ("certificate-revoked", {"issuer": CA}),
    "self-signed, untrusted": ("certificate-untrusted", {}),
    "of an unknown authority": ("certificate-untrusted", {"issuer": make("Other CA", authority=True)}),
}


async def test_each_wrong_certificate_is_refused_before_anything_is_sent(
    gateway: Gateway, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason and the remedy are told and no session is asked for; an expired one in the wrong place is spoken to
    where the site file names both.
    """
    asked: list[str] = []
    made = InternalServer.create_session

    def counting(self: InternalServer, name: str, *rest: Any, **named: Any) -> Any:
        asked.append(name)
        return made(self, name, *rest, **named)

    monkeypatch.setattr(InternalServer, "create_session", counting)
    url = url_of(server)
    for name, (reason, what) in _WRONG.items():
        wrong = make(f"Server {name}", **what)
        here = Gateway(gateway.folder / name)
        here.trust(CA.der)
        here.trust(CA.crl(wrong), where=TRUSTED_CRL)
        trusted = "trusted" not in name and "issuer" not in what
        if trusted:
            here.trust(wrong.der)
        for endpoint in server.iserver.endpoints:
            endpoint.ServerCertificate = wrong.der
        error = await here.refusal(url)
        assert (type(error), error.reason) == (OpcuaTrustError, reason), name
        assert [file.read_bytes() for file in files(here.folder / REJECTED)] == ([] if trusted else [wrong.der])
    assert asked == []
    both = make(ends=NOW - DAY, hosts=("press-1",))
    wear(server, both)
    gateway.trust(both.der)
    tolerant = {"tolerate": frozenset(("host", "dates"))}
    assert (await gateway.refusal(url, tolerate=frozenset(("host",)))).reason == "certificate-expired"
    assert await gateway.value(url, **tolerant) == (STRONGEST, 42)
    assert await gateway.value(url, **tolerant, fingerprint=both.sha256) == (STRONGEST, 42)
    assert (await gateway.refusal(url, fingerprint=CA.sha256)).reason == "certificate-pin"


async def test_a_server_of_the_plants_authority(gateway: Gateway, server: Server) -> None:
    """Its own certificate is nowhere; the authority's is trusted, its list of revoked ones is there."""
    signed = make("Press 1", CA)
    wear(server, signed)
    gateway.trust(CA.der)
    gateway.trust(CA.crl(), where=TRUSTED_CRL)
    assert await gateway.value(url_of(server)) == (STRONGEST, 42)
    (gateway.folder / TRUSTED_CRL / "0.der").write_bytes(CA.crl(signed))
    assert (await gateway.refusal(url_of(server))).reason == "certificate-revoked", "without a restart"


# ── servers that offer too little, or lie
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_unsecured_server_is_refused_unless_the_site_file_says_none(gateway: Gateway, server: Server) -> None:
    """auto does not fall back to None, and the error says what to write if that is wanted."""
    server.iserver.endpoints[:] = [one for one in server.iserver.endpoints if one.SecurityMode.value == 1]
    error = await gateway.refusal(url_of(server))
    assert error.reason == "security-none-only"
    assert 'security: {policy: "None"}' in str(error)
    assert await gateway.value(url_of(server), security="None", mode="None") == ("None/None", 42)


async def test_a_server_that_lies_about_its_endpoints(
    gateway: Gateway, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that was cut, exchanged or embellished on its way is noticed, at the latest inside the session."""
    other = make("Other")
    gateway.trust(RIGHT.der, other.der)
    truth = InternalServer.get_endpoints
    lie: list[Callable[[list[Any]], list[Any]]] = []

    async def outside(self: InternalServer, params: Any = None, sockname: Any = None) -> list[Any]:
        return lie[0](await truth(self, params, sockname))

    async def inside(self: InternalSession, params: Any = None, sockname: Any = None) -> list[Any]:
        return await truth(self.iserver, params, sockname)

    monkeypatch.setattr(InternalServer, "get_endpoints", outside)
    monkeypatch.setattr(InternalSession, "get_endpoints", inside)
    url = url_of(server)

    def with_(**changes: Any) -> Callable[[list[Any]], list[Any]]:
        return lambda listed: [replace(one, **changes) for one in listed]

    lie[:] = [lambda listed: [one for one in listed if one.SecurityPolicyUri.endswith("Aes128_Sha256_RsaOaep")]]
    assert (await gateway.refusal(url)).reason == "security-downgrade"
    seen = await gateway.value(url, security="Aes128_Sha256_RsaOaep")
    assert seen == ("Aes128_Sha256_RsaOaep/SignAndEncrypt", 42), "named in the site file, it is no downgrade"
    lie[:] = [lambda _: []]
    assert (await gateway.refusal(url)).reason == "security-none-only"
    lie[:] = [with_(ServerCertificate=other.der)]
    assert (await gateway.refusal(url, deadline_ns=500_000_000)).reason in ("closed", "timeout"), "it lacks that key"
    lie[:] = [with_(ServerCertificate=make("Press 1").der)]
    gateway.trust(lie[0](server.iserver.endpoints)[0].ServerCertificate)
    assert (await gateway.refusal(url)).reason == "certificate-changed", "its key, and another certificate"
    lie[:] = [lambda listed: [replace(one, Server=replace(one.Server, ApplicationUri="urn:x")) for one in listed]]
    assert (await gateway.refusal(url)).reason == "certificate-uri"
    lie[:] = [with_(EndpointUrl="opc.tcp://nobody.invalid:1/")]
    assert await gateway.value(url) == (STRONGEST, 42), "the host is the site file's"
    server.iserver.endpoints[:] = [one for one in server.iserver.endpoints if "Aes256" not in one.SecurityPolicyUri]
    lie[:] = [lambda listed: [*listed, replace(listed[-1], SecurityPolicyUri=AES256)]]
    assert (await gateway.refusal(url)).reason == "endpoint-list", "embellished"


async def test_a_password_never_crosses_readable(gateway: Gateway, server: Server, tmp_path: Path) -> None:
    """On a channel only signed, with a server that wants plain passwords; and no kind of user it does not list."""
    gateway.trust(RIGHT.der)
    account = {"user": "reader", "password": "secret"}
    for endpoint in server.iserver.endpoints:
        endpoint.UserIdentityTokens = [
            replace(one, SecurityPolicyUri=SECURITY_URI + "None") if one.TokenType.name == "UserName" else one
            for one in endpoint.UserIdentityTokens
            if one.TokenType.name != "Certificate"
        ]
    assert (await gateway.refusal(url_of(server), mode="Sign", **account)).reason == "password-plain"
    assert await gateway.value(url_of(server), **account) == (STRONGEST, 42)
    assert (await gateway.refusal(url_of(server), **users(tmp_path)["x509"])).reason == "identity-not-offered"
    missing = {"user_certificate": str(tmp_path / "no.der")}
    assert (await gateway.refusal(url_of(server), **missing)).reason == "user-certificate"


# ── our own certificate
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_renewed_certificate_waits_for_the_servers_trust(gateway: Gateway, server: Server) -> None:
    """A server that does not know the new one yet is spoken to with the old one, and with the new one once it does."""
    old = gateway.pki.identities()[0]
    gateway.clock.step(old.facts.ends_ns - NOW_NS - 30 * 86_400 * 1_000_000_000)
    new = gateway.pki.identities()[0]
    lasting = make(ends=NOW + 11 * 365 * DAY)
    wear(server, lasting)
    gateway.trust(lasting.der)
    known = {old.facts.sha256}

    async def validator(certificate: Any, _description: Any) -> None:
        if certificate.fingerprint(hashes.SHA256()).hex().upper() not in known:
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    server.set_certificate_validator(validator)
    endpoint = OpcuaEndpoint(url_of(server))
    for expected in (old, new):
        session = Session(endpoint, gateway.pki, Services(endpoint.url, 20.0, CallLimits()))
        await session.open()
        await session.close()
        assert session.way.own is not None
        assert (session.way.own.facts, session.way.newest) == (expected.facts, new.facts)
        known.add(new.facts.sha256)
    known.clear()
    error = await gateway.refusal(url_of(server))
    assert (error.reason, "seamline trust show own" in str(error)) == ("BadCertificateUntrusted", True)


class Frozen(SystemClock):
    """The day of the certificates, durations as they are."""

    def now_ns(self) -> int:
        return NOW_NS


async def test_a_running_session_follows_what_a_person_decides(
    gateway: Gateway, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rejected, the session ends and the reason is told; accepted again, values flow again: no restart in between. What
    ends soon is told while all is well, and stands in the figures.
    """
    soon = make(ends=NOW + 20 * DAY)
    wear(server, soon)
    gateway.trust(soon.der)
    monkeypatch.setattr(opcua, "UPKEEP_NS", 100_000_000)
    clock = Frozen()
    pki = replace(gateway.pki, now_ns=clock.now_ns)
    seen = Recorder()
    tag = OpcuaTag("total", "nsu=urn:t;s=Total", sampling_ns=100_000_000)
    endpoint = OpcuaEndpoint(url_of(server), publishing_ns=100_000_000, deadline_ns=20_000_000_000)
    device = OpcuaDevice(0, "press", "generic", endpoint, (tag,))
    poller = OpcuaPoller(device, TagImage(1), seen, clock, pki=pki)
    task = asyncio.create_task(poller.run())
    try:
        await seen.until(lambda: seen.ups == [(True, "connected")])
        assert "20" in seen.facts[-1].detail
        assert "证书" in seen.facts[-1].detail or "certificate ends" in seen.facts[-1].detail
        assert poller.stats.certificate_ends_ns == round((NOW + 20 * DAY).timestamp()) * 1_000_000_000
        assert poller.stats.own_certificate_ends_ns is not None
        reject(gateway.folder, soon.sha256)
        await seen.until(lambda: seen.ups[-1] == (False, "certificate-untrusted"))
        assert f"seamline trust accept {soon.sha256}" in seen.facts[-1].detail
        accept(gateway.folder, soon.sha256)
        await seen.until(lambda: seen.ups[-1] == (True, "connected"))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
