"""Secured end to end, against asyncua's server and node-opcua's: every policy, mode and kind of user; every way a
server's certificate can be wrong; servers that offer too little, or lie about what they offer.

The whole way is taken, from the endpoint of a site file through the poller to a value; nothing of it is replaced.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_server import InternalServer
from cryptography.hazmat.primitives import hashes
from peers.authority import DAY, NOW, URI, make
from peers.node_opcua import NodePeer
from peers.recorder import Recorder
from peers.secured import SECURED, secured

from edge.clock import ManualClock
from edge.errors import DeviceError
from edge.plan import OpcuaDevice
from edge.poll.opcua import OpcuaPoller
from protocols.opcua.channel import Pki, close_session, open_session
from protocols.opcua.distrust import OpcuaTrustError
from protocols.opcua.errors import OpcuaError
from protocols.opcua.pki_files import REJECTED, TRUSTED, TRUSTED_CRL, files
from protocols.opcua.security import POLICIES
from protocols.opcua.tags import OpcuaEndpoint, OpcuaTag
from protocols.reading import Quality, TagImage

NOW_NS = round(NOW.timestamp()) * 1_000_000_000
STRONGEST = "Basic256Sha256/SignAndEncrypt"  # of SECURED[:2]
SECURITY_URI = "http://opcfoundation.org/UA/SecurityPolicy#"


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
        device = OpcuaDevice(0, "press", "generic", OpcuaEndpoint(url, deadline_ns=10_000_000_000, **security), (tag,))
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
    for name, user in users(folder).items():
        seen, _ = await gateway.value(url, node, **user)
        assert seen == "Aes256_Sha256_RsaPss/SignAndEncrypt", f"auto, {name}"
        for policy in POLICIES:
            for mode in ("Sign", "SignAndEncrypt"):
                seen, _ = await gateway.value(url, node, security=policy, mode=mode, **user)
                assert seen == f"{policy}/{mode}", name
        seen, _ = await gateway.value(url, node, security="None", mode="None", **user)
        assert seen == "None/None", name


async def test_every_policy_mode_and_user_asyncua(gateway: Gateway, tmp_path: Path) -> None:
    """Against asyncua's server; auto takes the strongest, a named policy exactly itself."""
    server = make()
    gateway.trust(server.der)
    async with secured(server) as running:
        await every_combination(gateway, url_of(running), "nsu=urn:t;s=Total", tmp_path)
        wrong = await gateway.refusal(url_of(running), user="reader", password="wrong")
        assert (wrong.reason, "user/password" in str(wrong)) == ("BadUserAccessDenied", True)


async def test_every_policy_mode_and_user_node_opcua(gateway: Gateway, tmp_path: Path) -> None:
    """Against a foreign stack."""
    server = make()
    certificate, key = server.write(tmp_path / "server", "server")
    gateway.trust(server.der)
    options = {"secure": "all", "certificate": str(certificate), "key": str(key), "uri": URI}
    async with NodePeer(tmp_path, **options) as peer:
        await every_combination(gateway, peer.url, "nsu=urn:seamline:peer;s=Total", tmp_path)
        wrong = await gateway.refusal(peer.url, user="reader", password="wrong")
        assert "user/password" in str(wrong)


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
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason and the remedy are told and no session is asked for; an expired one in the wrong place is spoken to
    where the site file names both.
    """
    asked: list[str] = []
    made = InternalServer.create_session
    monkeypatch.setattr(
        InternalServer, "create_session", lambda self, name, *a, **k: asked.append(name) or made(self, name, *a, **k)
    )
    both = make("Press both", ends=NOW - DAY, hosts=("press-1",))
    gateway.trust(both.der, CA.der)
    async with secured(both, SECURED[:2]) as running:
        url, listed = url_of(running), running.iserver.endpoints
        for name, (reason, what) in _WRONG.items():
            server = make(f"Server {name}", **what)
            here = Gateway(gateway.folder / name)
            here.trust(CA.der)
            here.trust(CA.crl(server), where=TRUSTED_CRL)
            if "trusted" not in name and "issuer" not in what:
                here.trust(server.der)
            for endpoint in listed:
                endpoint.ServerCertificate = server.der
            error = await here.refusal(url)
            assert (type(error), error.reason) == (OpcuaTrustError, reason), name
            assert files(here.folder / REJECTED) or server.der in [f.read_bytes() for f in files(here.folder / TRUSTED)]
        assert asked == []
        for endpoint in listed:
            endpoint.ServerCertificate = both.der
        assert (await gateway.refusal(url, tolerate=frozenset(("host",)))).reason == "certificate-expired"
        assert await gateway.value(url, tolerate=frozenset(("host", "dates"))) == (STRONGEST, 42)
        assert await gateway.value(url, tolerate=frozenset(("host", "dates")), fingerprint=both.sha256) == (
            STRONGEST,
            42,
        )
        assert (await gateway.refusal(url, fingerprint=CA.sha256)).reason == "certificate-pin"


async def test_a_server_of_the_plants_authority(gateway: Gateway) -> None:
    """Its own certificate is nowhere; the authority's is trusted, its list of revoked ones is there."""
    server = make("Server CA", CA)
    gateway.trust(CA.der)
    gateway.trust(CA.crl(), where=TRUSTED_CRL)
    async with secured(server, SECURED[:2]) as running:
        assert await gateway.value(url_of(running)) == (STRONGEST, 42)
        (gateway.folder / TRUSTED_CRL / "0.der").write_bytes(CA.crl(server))
        assert (await gateway.refusal(url_of(running))).reason == "certificate-revoked", "without a restart"


# ── servers that offer too little, or lie
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_unsecured_server_is_refused_unless_the_site_file_says_none(gateway: Gateway) -> None:
    """auto does not fall back to None, and the error says what to write if that is wanted."""
    async with secured(None, [ua.SecurityPolicyType.NoSecurity]) as running:
        error = await gateway.refusal(url_of(running))
        assert error.reason == "security-none-only"
        assert 'security: {policy: "None"}' in str(error)
        assert await gateway.value(url_of(running), security="None", mode="None") == ("None/None", 42)


async def test_a_server_that_lies_about_its_endpoints(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that was cut, exchanged or embellished on its way is noticed, at the latest inside the session."""
    server, other = make(), make("Other")
    gateway.trust(server.der, other.der)
    lie: list[Any] = []
    truth = InternalServer.get_endpoints

    async def outside(self: InternalServer, params: Any = None, sockname: Any = None) -> list[Any]:
        listed = await truth(self, params, sockname)
        inside = params is None or isinstance(params, ua.CreateSessionParameters)
        return listed if inside or not lie else lie[0](listed)

    monkeypatch.setattr(InternalServer, "get_endpoints", outside)

    def only(policy: str) -> Any:
        return lambda listed: [one for one in listed if one.SecurityPolicyUri.endswith(policy)]

    def with_(**changes: Any) -> Any:
        return lambda listed: [replace(one, **changes) for one in listed]

    async with secured(server, SECURED) as running:
        url = url_of(running)
        lie[:] = [only("Aes128_Sha256_RsaOaep")]
        assert (await gateway.refusal(url)).reason == "security-downgrade"
        seen = await gateway.value(url, security="Aes128_Sha256_RsaOaep")
        assert seen == ("Aes128_Sha256_RsaOaep/SignAndEncrypt", 42), "named, it is no downgrade"
        lie[:] = [lambda _: []]
        assert (await gateway.refusal(url)).reason == "security-none-only"
        lie[:] = [with_(ServerCertificate=other.der)]
        error = await gateway.refusal(url)
        assert error.reason in ("closed", "BadSecurityChecksFailed", "BadCertificateInvalid"), "it lacks that key"
        posing = make("Posing", uri="urn:posing")
        gateway.trust(posing.der)
        lie[:] = [
            lambda listed: [replace(one, Server=replace(one.Server, ApplicationUri="urn:posing")) for one in listed]
        ]
        assert (await gateway.refusal(url)).reason == "certificate-uri"
        lie[:] = [with_(EndpointUrl="opc.tcp://nobody.invalid:1/")]
        assert await gateway.value(url) == ("Aes256_Sha256_RsaPss/SignAndEncrypt", 42), "the host is the site file's"
    async with secured(server, SECURED[:2]) as running:
        listed = SECURITY_URI + "Aes256_Sha256_RsaPss"
        lie[:] = [lambda found: [*found, replace(found[-1], SecurityPolicyUri=listed)]]
        assert isinstance(await gateway.refusal(url_of(running)), OpcuaError), "embellished: it cannot do what it lists"


async def test_a_password_never_crosses_readable(gateway: Gateway, tmp_path: Path) -> None:
    """On a channel that is only signed, with a server that wants plain passwords; and no kind of user it does not list."""
    server = make()
    gateway.trust(server.der)
    async with secured(server, SECURED[:2]) as running:
        account = {"user": "reader", "password": "secret"}
        for endpoint in running.iserver.endpoints:
            endpoint.UserIdentityTokens = [
                replace(one, SecurityPolicyUri=SECURITY_URI + "None") if one.TokenType.name == "UserName" else one
                for one in endpoint.UserIdentityTokens
                if one.TokenType.name != "Certificate"
            ]
        assert (await gateway.refusal(url_of(running), mode="Sign", **account)).reason == "password-plain"
        assert await gateway.value(url_of(running), **account) == (STRONGEST, 42)
        assert (await gateway.refusal(url_of(running), **users(tmp_path)["x509"])).reason == "identity-not-offered"
        missing = {"user_certificate": str(tmp_path / "no.der")}
        assert (await gateway.refusal(url_of(running), **missing)).reason == "user-certificate"


# ── our own certificate
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_renewed_certificate_waits_for_the_servers_trust(gateway: Gateway) -> None:
    """A server that does not know the new certificate yet is spoken to with the old one, and with the new one as soon as
    it is trusted there.
    """
    old = gateway.pki.identities()[0]
    gateway.clock.step(old.facts.ends_ns - NOW_NS - 30 * 86_400 * 1_000_000_000)
    new = gateway.pki.identities()[0]
    server = make(ends=NOW + 11 * 365 * DAY)
    gateway.trust(server.der)
    known = {old.facts.sha256}

    async def validator(certificate: Any, _description: Any) -> None:
        if certificate.fingerprint(hashes.SHA256()).hex().upper() not in known:
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    async with secured(server, SECURED[:2]) as running:
        running.set_certificate_validator(validator)
        endpoint = OpcuaEndpoint(url_of(running))
        for expected in (old, new):
            client, way = await open_session(endpoint, gateway.pki)
            await close_session(client, endpoint.url, 5.0)
            assert way.own is not None
            assert (way.own.facts, way.newest) == (expected.facts, new.facts)
            known.add(new.facts.sha256)
        known.clear()
        error = await gateway.refusal(url_of(running))
        assert (error.reason, "seamline trust show own" in str(error)) == ("BadCertificateUntrusted", True)
