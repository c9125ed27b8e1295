"""Which of the offered endpoints to use. Pure: offers in, one choice out.

Theory. A server lists its endpoints, each a security policy, a message security mode and its certificate (OPC 10000-4
§5.5.4). "auto" takes the strongest policy both sides know. Policies whose algorithms are withdrawn (Basic128Rsa15,
Basic256) are never chosen, and `None` only where the site file names it: the list comes over an unsecured channel, so
a machine in the middle could strip the strong offers. The same list comes again inside the secured session;
`weaker_than` compares, and a difference ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from protocols.errors import Fault
from protocols.opcua.errors import OpcuaSecurityError

URI_PREFIX = "http://opcfoundation.org/UA/SecurityPolicy#"
POLICIES = ("Aes256_Sha256_RsaPss", "Basic256Sha256", "Aes128_Sha256_RsaOaep")
"""Policies this gateway speaks, strongest first: by symmetric key length, then by padding (OPC 10000-7 §6.6)."""
MODES = ("None", "Sign", "SignAndEncrypt")
DEFAULT_PORT = 4840


@dataclass(frozen=True, slots=True)
class Offer:
    """One endpoint of a server: names as in the site file, certificate in DER (empty where there is none)."""

    policy: str
    mode: str  # one of MODES
    certificate: bytes = b""
    url: str = ""  # as the server writes it; often with a host name the gateway cannot resolve
    application_uri: str = ""

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.policy}/{self.mode}"


def choose(offers: Sequence[Offer], security: str, mode: str) -> Offer:
    """The endpoint to use for `security` ("auto", "None" or a policy) and `mode`. Errors: OpcuaSecurityError."""
    wanted = POLICIES if security == "auto" else (security,)
    wanted_mode = "None" if security == "None" else mode
    for policy in wanted:
        for offer in offers:
            if offer.policy == policy and offer.mode == wanted_mode:
                return offer
    raise _nothing_suits(offers, security, wanted_mode)


def weaker_than(chosen: Offer, offers: Sequence[Offer], security: str, mode: str) -> bool:
    """Whether the server, asked inside the session, offers something better than what was chosen outside it."""
    return security == "auto" and choose([*offers, chosen], security, mode).policy != chosen.policy


def reachable(site_url: str, offered_url: str) -> str:
    """The URL to open. Pure.

    Host and port are the site file's: servers list names that only they can resolve, and addresses from before a port
    was forwarded. The path is the server's where the site file has none.
    """
    given = urlsplit(site_url)
    if given.port is None:
        given = given._replace(netloc=f"{given.netloc}:{DEFAULT_PORT}")
    if given.path.strip("/"):
        return given.geturl()
    offered = urlsplit(offered_url)
    return given._replace(path=offered.path if offered.scheme == given.scheme else "").geturl()


def _nothing_suits(offers: Sequence[Offer], security: str, mode: str) -> OpcuaSecurityError:
    listed = ", ".join(map(str, offers)) or "-"
    if security == "auto" and all(offer.policy == "None" for offer in offers):
        line = 'security: {policy: "None"}'
        return OpcuaSecurityError(
            "security-none-only",
            f"服务器只提供不加密的连接（{listed}）。请在服务器上启用安全策略；"
            f"若确认接受明文，在站点文件该设备下写 {line}",
            f"the server offers unsecured connections only ({listed}). Enable a security policy on the server; if "
            f"plain text is acceptable here, write {line} under this device in the site file",
            Fault.DEVICE,
        )
    known = [offer for offer in offers if offer.policy in POLICIES]
    line = f"security: {{policy: {security}, mode: {mode}}}"
    if not known:
        return OpcuaSecurityError(
            "security-not-offered",
            f"服务器不提供 {security}/{mode}，只提供已废止或不加密的：{listed}。"
            "请在服务器上启用 Basic256Sha256 或更强的策略",
            f"the server does not offer {security}/{mode}; all it has is withdrawn or unsecured: {listed}. Enable "
            "Basic256Sha256 or a stronger policy on the server",
            Fault.DEVICE,
        )
    best = max(known, key=lambda offer: (MODES.index(offer.mode), -POLICIES.index(offer.policy)))
    instead = f"security: {{policy: {best.policy}, mode: {best.mode}}}"
    return OpcuaSecurityError(
        "security-not-offered",
        f"服务器不提供 {security}/{mode}（站点文件：{line}），它提供：{listed}。"
        f"请修改服务器设置，或在站点文件该设备下写 {instead}",
        f"the server does not offer {security}/{mode} (site file: {line}); it offers: {listed}. Change the server, or "
        f"write {instead} under this device in the site file",
        Fault.CONFIG,
    )
