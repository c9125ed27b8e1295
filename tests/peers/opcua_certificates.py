"""Certificates that are wrong, each on a real foreign server, and what cures it: what the gateway says, what is lost,
how soon after the cure values flow, and how many sessions the server holds meanwhile and at the end.

Theory. Every case is a play on a `Stage`: a node-opcua server with a certificate of the case, a gateway with a folder
of its own and a clock of its own (certificates have dates; the server's clock is the machine's), a poller between them.
A play ends with its cure; what follows is the same for all: values flow again, on one session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary
from cryptography.x509.oid import ExtendedKeyUsageOID
from fixtures.ports import free_port
from peers.authority import NOW, URI, Made, make
from peers.node_opcua import NodePeer
from peers.opcua_proxy import OpcuaProxy, Rule
from peers.opcua_rig import MS, PEER, Rig, Seen, rig

from edge.clock import ManualClock
from edge.poll import opcua
from edge.trust.shelves import accept, reject
from protocols.opcua.certificate import RENEW_BEFORE_NS
from protocols.opcua.channel import Pki
from protocols.opcua.fingerprint import pairs
from protocols.opcua.pki_files import OWN_CERTS, OWN_PRIVATE, TRUSTED, TRUSTED_CRL
from protocols.opcua.tags import OpcuaTag
from protocols.reading import Quality

NOW_NS = round(NOW.timestamp()) * 1_000_000_000
LOOK_NS = 500 * MS  # how often a running session looks at what a person decided; 30 s in the product
STEADY_S = 1.0
LIMIT_S = 150.0
_COUNTER = OpcuaTag("total", PEER + "V0", sampling_ns=0)
_ALWAYS = 10**9
_HEAD = 24  # of a message chunk: message header, channel, token, sequence header
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class CertificateCase:
    """One thing wrong, its cure and what the gateway does, in both languages."""

    name: str
    play: Callable[[Stage], Awaitable[None]]
    zh: str
    en: str
    does_zh: str
    does_en: str
    cure_zh: str
    cure_en: str
    reason: str  # the fact that must have been told before the cure
    lost_max: int | None = 0  # steps of the counter nobody saw; None: the server did not keep them
    sessions_meanwhile: int = 0  # held on the server while something is wrong


@dataclass(frozen=True, slots=True)
class CertificateOutcome:
    """What came of a case."""

    case: CertificateCase
    told: tuple[str, ...]  # "up connected", "down certificate-expired", …
    lost: int
    recovery_s: float  # from the cure to the first value after it
    sessions_meanwhile: int  # on the server just before the cure, of this client
    sessions: int  # at the end
    security: str
    flows: bool


class Stage:
    """The gateway, its server and the time of a case."""

    def __init__(self, case: CertificateCase, folder: Path, scenery: AsyncExitStack) -> None:
        self.case = case
        self.folder = folder
        self.clock = ManualClock(NOW_NS)
        self.pki = Pki(folder / "pki", lambda: ("gateway", "127.0.0.1"), self.clock.now_ns)
        self.cured_s = 0.0
        self.sessions_meanwhile = 0
        self.made: Rig
        self.seen: Seen
        self.peer: NodePeer
        self.proxy: OpcuaProxy
        self._scenery = scenery

    # ── the server
    async def serve(self, shown: Made, *, strict: bool = False) -> None:
        """A server with this certificate, behind a proxy. `strict`: it takes no client a person has not trusted."""
        self.peer = NodePeer(self.folder / "server", secure="all", strict=strict, uri=URI, items=1)
        self.peer.port = free_port()
        self._wears(shown)
        await self._scenery.enter_async_context(self.peer)
        self.proxy = await self._scenery.enter_async_context(OpcuaProxy(self.peer.port))

    def _wears(self, shown: Made) -> None:
        certificate, key = shown.write(self.folder / "server", "server")
        self.peer._options |= {"certificate": str(certificate), "key": str(key)}

    async def restart(self, shown: Made) -> None:
        """The server dies and comes back with another certificate."""
        await self.peer.kill()
        self._wears(shown)
        await self.peer.start()

    def server_trusts_us(self) -> None:
        """A person at the server accepts the gateway's newest certificate."""
        self.peer.do("trust", file=str(self.pki.identities()[0].certificate))

    # ── the gateway
    def trusts(self, *certificates: Made, revoked: Sequence[Made] | None = None) -> None:
        """Certificates in the trust list; with `revoked`, the list of the first one, an authority."""
        (self.pki.folder / TRUSTED).mkdir(parents=True, exist_ok=True)
        for number, one in enumerate(certificates):
            (self.pki.folder / TRUSTED / f"{number}.der").write_bytes(one.der)
        if revoked is not None:
            (self.pki.folder / TRUSTED_CRL).mkdir(parents=True, exist_ok=True)
            (self.pki.folder / TRUSTED_CRL / "list.crl").write_bytes(certificates[0].crl(*revoked))

    def owns(self, made: Made) -> None:
        """The gateway had this pair already."""
        for folder, content, suffix in ((OWN_CERTS, made.der, "der"), (OWN_PRIVATE, made.pem_key, "pem")):
            (self.pki.folder / folder).mkdir(parents=True, exist_ok=True)
            (self.pki.folder / folder / f"before.{suffix}").write_bytes(content)

    async def watch(self) -> None:
        """The poller begins."""
        settings = {"security": "auto", "deadline_ns": 20_000 * MS}
        self.made = rig(self.proxy.url, [_COUNTER], name=self.case.name, pki=self.pki, **settings)
        self.seen = Seen(self.made)
        await self._scenery.enter_async_context(self.made.running())

    async def flows(self) -> None:
        """Values come."""
        await self.made.seen.until(lambda: self.made.quality() == Quality.GOOD, LIMIT_S)

    async def refused(self) -> None:
        """The reason of the case has been told, and the server said how many sessions it holds."""
        await self.made.seen.until(lambda: (False, self.case.reason) in self.made.seen.ups, LIMIT_S)
        self.sessions_meanwhile = await self.sessions()

    async def sessions(self) -> int:
        """Of this client, on the server now."""
        names = (await self.peer.statistics())["names"]
        return sum(str(name).startswith(f"Seamline {self.case.name} ") for name in names)

    def cured(self) -> None:
        """From now on nothing is wrong."""
        self.cured_s = asyncio.get_running_loop().time()

    @property
    def refused_certificate(self) -> str:
        """The fingerprint the gateway told and put aside."""
        said = self.made.seen.facts[-1].detail
        return said.split("seamline trust accept ")[1].split()[0].rstrip("。；.;")


# ── refused from the first moment
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

CA = make("Plant CA", authority=True)


def _worn_wrong(**wrong: object) -> Callable[[Stage], Awaitable[None]]:
    """A certificate of the plant's authority, wrong in one way, until the server gets a right one."""

    async def play(stage: Stage) -> None:
        stage.trusts(CA, revoked=())
        await stage.serve(make("Press 1", CA, **wrong))  # type: ignore[arg-type]
        await stage.watch()
        await stage.refused()
        await stage.restart(make("Press 1", CA))
        stage.cured()

    return play


async def _too_early(stage: Stage) -> None:
    stage.trusts(CA, revoked=())
    await stage.serve(make("Press 1", CA, begins=NOW + _HOUR))
    await stage.watch()
    await stage.refused()
    stage.clock.step(2 * 3_600_000_000_000)
    stage.cured()


async def _stranger(stage: Stage) -> None:
    await stage.serve(make())
    await stage.watch()
    await stage.refused()
    accept(stage.pki.folder, stage.refused_certificate)
    stage.cured()


async def _we_are_strangers(stage: Stage) -> None:
    stage.trusts(shown := make())
    await stage.serve(shown, strict=True)
    await stage.watch()
    await stage.refused()
    stage.server_trusts_us()
    stage.cured()


# ── while values flow
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _revoked(stage: Stage) -> None:
    stage.trusts(CA, revoked=())
    await stage.serve(shown := make("Press 1", CA))
    await stage.watch()
    await stage.flows()
    stage.trusts(CA, revoked=(shown,))
    await stage.refused()
    await stage.restart(make("Press 1", CA))
    stage.cured()


async def _rejected(stage: Stage) -> None:
    stage.trusts(shown := make())
    await stage.serve(shown)
    await stage.watch()
    await stage.flows()
    reject(stage.pki.folder, shown.sha256)
    await stage.refused()
    accept(stage.pki.folder, shown.sha256)
    stage.cured()


async def _downloaded(stage: Stage) -> None:
    stage.trusts(shown := make())
    await stage.serve(shown)
    await stage.watch()
    await stage.flows()
    await stage.restart(make())
    await stage.refused()
    accept(stage.pki.folder, stage.refused_certificate)
    stage.cured()


async def _downloaded_in_a_plant(stage: Stage) -> None:
    stage.trusts(CA, revoked=())
    await stage.serve(make("Press 1", CA))
    await stage.watch()
    await stage.flows()
    await stage.restart(make("Press 1", CA))
    stage.cured()


async def _own_renewed(stage: Stage) -> None:
    stage.trusts(shown := make())
    ends = NOW + timedelta(microseconds=RENEW_BEFORE_NS / 1000) + _HOUR
    client = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    stage.owns(before := make("Gateway 7", uri="urn:gateway:seamline", ends=ends, extended=client))
    await stage.serve(shown, strict=True)
    stage.server_trusts_us()
    await stage.watch()
    await stage.flows()
    stage.clock.step(2 * 3_600_000_000_000)  # ninety days before the end, less an hour
    await stage.made.seen.until(lambda: len(list((stage.pki.folder / OWN_CERTS).iterdir())) == 2, LIMIT_S)
    newest, old = stage.pki.identities()
    assert old.facts.sha256 == before.sha256
    await stage.made.seen.until(lambda: pairs(newest.facts.sha256) in stage.made.seen.facts[-1].detail, LIMIT_S)
    stage.sessions_meanwhile = await stage.sessions()
    stage.server_trusts_us()
    stage.cured()
    await stage.made.seen.until(lambda: (False, stage.case.reason) in stage.made.seen.ups, LIMIT_S)


# ── a list of endpoints that somebody forged
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


Change = Callable[[list[ua.EndpointDescription]], list[ua.EndpointDescription]]


def _forged(change: Change) -> Rule:
    """The answer to GetEndpoints, its list changed; what is inside a secured channel nobody can change."""

    def forged(chunk: bytes) -> bytes:
        if chunk[:4] != b"MSGF" or chunk[_HEAD : _HEAD + 4] != b"\x01\x00\xaf\x01":  # i=431: GetEndpointsResponse
            return chunk
        answer = ua_binary.struct_from_binary(ua.GetEndpointsResponse, Buffer(chunk[_HEAD:]))
        answer.Endpoints = change(answer.Endpoints)
        body = ua_binary.struct_to_binary(answer)
        return chunk[:4] + (_HEAD + len(body)).to_bytes(4, "little") + chunk[8:_HEAD] + body

    return Rule("GetEndpoints", "forge", last=_ALWAYS, forged=forged)


def _lied_to(change: Change) -> Callable[[Stage], Awaitable[None]]:
    async def play(stage: Stage) -> None:
        stage.trusts(shown := make())
        await stage.serve(shown)
        stage.proxy.rules.append(_forged(change))
        await stage.watch()
        await stage.refused()
        stage.proxy.rules.clear()
        stage.cured()

    return play


_MAN_IN_THE_MIDDLE = make("Somebody").der


def _only_none(listed: list[ua.EndpointDescription]) -> list[ua.EndpointDescription]:
    return [one for one in listed if one.SecurityMode == ua.MessageSecurityMode.None_]


def _only_weaker(listed: list[ua.EndpointDescription]) -> list[ua.EndpointDescription]:
    return [one for one in listed if "Aes256" not in str(one.SecurityPolicyUri)]


def _another_key(listed: list[ua.EndpointDescription]) -> list[ua.EndpointDescription]:
    return [replace(one, ServerCertificate=_MAN_IN_THE_MIDDLE) for one in listed]


def _another_name(listed: list[ua.EndpointDescription]) -> list[ua.EndpointDescription]:
    return [replace(one, Server=replace(one.Server, ApplicationUri="urn:another:server")) for one in listed]


_BEFORE_ZH = "在打开通道之前拒绝，不建会话；逐次拉长间隔重试"
_BEFORE_EN = "refuses before a channel is opened, makes no session; tries again at growing pauses"
_LOOK_ZH = "运行中的会话每 30 秒（此处 0.5 秒）复查信任，发现后有序结束会话"
_LOOK_EN = "a running session looks every 30 s (0.5 s here) at what is trusted; the session is ended in order"
_RENEW_ZH, _RENEW_EN = "服务器换证书并重启", "the server gets a right one and restarts"
_ACCEPT_ZH, _ACCEPT_EN = "核对指纹后 seamline trust accept", "seamline trust accept, the fingerprint compared"
_HONEST_ZH, _HONEST_EN = "列表不再被改", "nobody changes the list any more"

CERTIFICATE_CASES: tuple[CertificateCase, ...] = (
    CertificateCase(
        "expired",
        _worn_wrong(ends=NOW - _HOUR),
        "服务器证书已过期",
        "the server's certificate has ended",
        _BEFORE_ZH,
        _BEFORE_EN,
        _RENEW_ZH,
        _RENEW_EN,
        "certificate-expired",
    ),
    CertificateCase(
        "not-yet-valid",
        _too_early,
        "服务器证书尚未生效（网关时钟慢）",
        "the server's certificate has not begun (the gateway's clock is behind)",
        _BEFORE_ZH,
        _BEFORE_EN,
        "网关校时",
        "the gateway's clock is set",
        "certificate-not-yet-valid",
    ),
    CertificateCase(
        "wrong-host",
        _worn_wrong(hosts=("press-1.plant.local", "192.168.1.20")),
        "证书是为别的主机签发的",
        "the certificate was made for another host",
        _BEFORE_ZH,
        _BEFORE_EN,
        _RENEW_ZH,
        _RENEW_EN,
        "certificate-host",
    ),
    CertificateCase(
        "wrong-uri",
        _worn_wrong(uri="urn:another:server"),
        "证书中的应用 URI 不是服务器自称的",
        "the certificate names another application URI than the server does",
        _BEFORE_ZH,
        _BEFORE_EN,
        _RENEW_ZH,
        _RENEW_EN,
        "certificate-uri",
    ),
    CertificateCase(
        "untrusted",
        _stranger,
        "没有人信任过的服务器",
        "a server nobody has trusted",
        _BEFORE_ZH + "；证书放入 rejected",
        _BEFORE_EN + "; the certificate is put into rejected",
        _ACCEPT_ZH,
        _ACCEPT_EN,
        "certificate-untrusted",
    ),
    CertificateCase(
        "own-untrusted",
        _we_are_strangers,
        "服务器不信任本网关的证书",
        "the server does not trust the gateway's certificate",
        "报告服务器的应答，并说明用 seamline trust show own 取指纹与文件",
        "tells the server's answer, and that seamline trust show own gives fingerprint and file",
        "在服务器上信任网关",
        "the gateway is trusted at the server",
        "BadSecurityChecksFailed",
    ),
    CertificateCase(
        "revoked",
        _revoked,
        "运行中服务器证书被吊销",
        "the server's certificate is revoked while values flow",
        _LOOK_ZH,
        _LOOK_EN,
        _RENEW_ZH,
        _RENEW_EN,
        "certificate-revoked",
        lost_max=None,
    ),
    CertificateCase(
        "rejected",
        _rejected,
        "运行中有人执行 seamline trust reject",
        "seamline trust reject while values flow",
        _LOOK_ZH,
        _LOOK_EN,
        "seamline trust accept",
        "seamline trust accept",
        "certificate-untrusted",
        lost_max=None,
    ),
    CertificateCase(
        "download",
        _downloaded,
        "下载 PLC 程序后服务器换了自签名证书",
        "after a PLC download the server shows a new self-signed certificate",
        "断线；新证书无人信任，被拒绝",
        "down; nobody trusts the new certificate, it is refused",
        _ACCEPT_ZH,
        _ACCEPT_EN,
        "certificate-untrusted",
        lost_max=None,
    ),
    CertificateCase(
        "download-plant",
        _downloaded_in_a_plant,
        "下载后服务器换了工厂 CA 签发的证书",
        "after a PLC download the server shows a new certificate of the plant's authority",
        "断线；信任 CA 即信任新证书，无需人工",
        "down; the authority is trusted and so is the new certificate: nobody has to act",
        "服务器重新监听",
        "the server listens again",
        "closed",
        lost_max=None,
    ),
    CertificateCase(
        "own-renewed",
        _own_renewed,
        "运行中本网关证书到期前 90 天，新证书服务器尚不信任",
        "the gateway's certificate ends in 90 days, values flow, the server does not know the new one",
        "新证书生成在旧证书旁，会话用旧证书继续；每小时（此处 0.5 秒）向服务器出示新证书，被接受后换用",
        "a new pair is made beside the old, the session goes on with the old; the new one is offered hourly "
        "(0.5 s here) and used once it is taken",
        "在服务器上信任新证书",
        "the new one is trusted at the server",
        "own-certificate",
        lost_max=None,
        sessions_meanwhile=1,
    ),
    CertificateCase(
        "forged-none",
        _lied_to(_only_none),
        "中间人把端点列表改成只剩 None",
        "somebody in between leaves only None in the list of endpoints",
        "不降级到 None，拒绝",
        "does not go down to None, refuses",
        _HONEST_ZH,
        _HONEST_EN,
        "security-none-only",
    ),
    CertificateCase(
        "forged-weaker",
        _lied_to(_only_weaker),
        "中间人从端点列表中删去最强策略",
        "somebody in between takes the strongest policy off the list",
        "会话内再比对一次列表，发现后有序结束会话",
        "the list is compared inside the session; the session is ended in order",
        _HONEST_ZH,
        _HONEST_EN,
        "security-downgrade",
    ),
    CertificateCase(
        "forged-certificate",
        _lied_to(_another_key),
        "中间人在端点列表中换上自己的证书",
        "somebody in between puts his own certificate into the list",
        _BEFORE_ZH,
        _BEFORE_EN,
        _HONEST_ZH,
        _HONEST_EN,
        "certificate-untrusted",
    ),
    CertificateCase(
        "forged-name",
        _lied_to(_another_name),
        "中间人在端点列表中改了服务器的应用 URI",
        "somebody in between changes the server's application URI in the list",
        _BEFORE_ZH,
        _BEFORE_EN,
        _HONEST_ZH,
        _HONEST_EN,
        "certificate-uri",
    ),
)


# ── running them
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def run(case: CertificateCase, folder: Path) -> CertificateOutcome:
    """One case to its end."""
    async with AsyncExitStack() as scenery:
        stage = Stage(case, folder, scenery)
        await case.play(stage)
        made, seen = stage.made, stage.seen
        await made.seen.until(
            lambda: made.quality() == Quality.GOOD and bool(seen.arrived) and seen.arrived[-1] > stage.cured_s, LIMIT_S
        )
        recovery_s = next(at for at in seen.arrived if at > stage.cured_s) - stage.cured_s
        await asyncio.sleep(STEADY_S)
        return CertificateOutcome(
            case,
            tuple(f"{'up' if up else 'down'} {reason}" for up, reason in made.seen.ups),
            seen.lost,
            recovery_s,
            stage.sessions_meanwhile,
            await stage.sessions(),
            made.poller.security,
            made.quality() == Quality.GOOD,
        )


@contextmanager
def _looking_often() -> Iterator[None]:
    """A running session looks at trust and at its own certificate every `LOOK_NS`."""
    before = opcua.UPKEEP_NS, opcua.OFFER_NS
    opcua.UPKEEP_NS = opcua.OFFER_NS = LOOK_NS
    try:
        yield
    finally:
        opcua.UPKEEP_NS, opcua.OFFER_NS = before


async def run_certificates(
    folder: Path, cases: Sequence[CertificateCase] = CERTIFICATE_CASES
) -> list[CertificateOutcome]:
    """Every case, three at a time, each with a server of its own."""
    few = asyncio.Semaphore(3)

    async def one(case: CertificateCase) -> CertificateOutcome:
        async with few:
            return await run(case, folder / case.name)

    with _looking_often():
        return list(await asyncio.gather(*map(one, cases)))
