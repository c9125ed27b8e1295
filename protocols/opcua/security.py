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

from protocols.errors import Fault
from protocols.opcua.errors import OpcuaSecurityError

URI_PREFIX = "http://opcfoundation.org/UA/SecurityPolicy#"
POLICIES = ("Aes256_Sha256_RsaPss", "Basic256Sha256", "Aes128_Sha256_RsaOaep")
"""Policies this gateway speaks, strongest first: by symmetric key length, then by padding (OPC 10000-7 §6.6)."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One endpoint of a server: names as in the site file, certificate in DER (empty where there is none)."""

    policy: str
    mode: str  # "None" | "Sign" | "SignAndEncrypt"
    certificate: bytes = b""


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


def _nothing_suits(offers: Sequence[Offer], security: str, mode: str) -> OpcuaSecurityError:
    listed = ", ".join(f"{offer.policy}/{offer.mode}" for offer in offers) or "-"
    if security == "auto" and all(offer.policy == "None" for offer in offers):
        return OpcuaSecurityError(
            "security-none-only",
            f"服务器只提供不加密的连接（{listed}）。请在服务器上启用安全策略；"
            "若确认接受明文，在站点文件中写 security: None",
            f"the server offers unsecured connections only ({listed}). Enable a security policy on the server; "
            "if plain text is acceptable here, write security: None in the site file",
            Fault.DEVICE,
        )
    return OpcuaSecurityError(
        "security-not-offered",
        f"服务器不提供 {security}/{mode}，它提供：{listed}。请修改站点文件的 security/mode 或服务器设置",
        f"the server does not offer {security}/{mode}; it offers: {listed}. "
        "Change security/mode in the site file, or the server",
        Fault.CONFIG,
    )
