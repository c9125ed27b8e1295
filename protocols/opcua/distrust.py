"""Why a server is not spoken to: one sentence per finding, for people, and the error that carries them.

Rules. Each sentence says what is wrong, whose fault it is and what to do; the commands it names exist. A reason is a
stable word for machines. Only what OPC 10000-4 §6.1.3 (table 100) lets an administrator suppress can be tolerated, by
`security.tolerate` in the site file: dates, host, usage, revocation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from protocols.errors import Fault
from protocols.opcua.errors import OpcuaSecurityError
from protocols.opcua.fingerprint import pairs
from protocols.opcua.x509 import Facts

TOLERABLE = ("dates", "host", "usage", "revocation")
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a certificate."""

    reason: str
    zh: str
    en: str
    fault: Fault
    tolerate: str = ""  # the word of `security.tolerate` that accepts it; "" = nothing does


class OpcuaTrustError(OpcuaSecurityError):
    """The server's certificate was not accepted. `findings`: everything wrong with it, worst first."""

    def __init__(self, url: str, findings: Sequence[Finding], sha256: str) -> None:
        self.findings = tuple(findings)
        self.sha256 = sha256
        zh = "；".join(one.zh for one in findings)
        en = "; ".join(one.en for one in findings)
        shown = pairs(sha256)
        super().__init__(
            findings[0].reason,
            f"{url}: 不接受服务器证书（SHA-256 {shown}）：{zh}",
            f"{url}: the server's certificate (SHA-256 {shown}) is not accepted: {en}",
            findings[0].fault,
        )


def day(instant_ns: int) -> str:
    """UTC date and minute."""
    return datetime.fromtimestamp(instant_ns // _NS_PER_S, UTC).strftime("%Y-%m-%d %H:%MZ")


def _hint(word: str) -> tuple[str, str]:
    return (
        f"；若确认可以接受，在站点文件该设备的 security 下写 tolerate: [{word}]",
        f"; if that is acceptable here, write tolerate: [{word}] under this device's security in the site file",
    )


def _finding(reason: str, zh: str, en: str, fault: Fault, tolerate: str = "") -> Finding:
    more = _hint(tolerate) if tolerate else ("", "")
    return Finding(reason, zh + more[0], en + more[1], fault, tolerate)


# ── the certificate
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def unreadable(url: str, why: str) -> OpcuaSecurityError:
    """What the server sent is no certificate."""
    return OpcuaSecurityError(
        "certificate-unreadable",
        f"{url}: 服务器证书无法读取（{why}）；请在服务器上重新生成证书",
        f"{url}: the server's certificate cannot be read ({why}); make a new one on the server",
        Fault.DEVICE,
    )


def untrusted(one: Facts) -> Finding:
    """Nobody has said that this certificate, or one above it, is to be trusted."""
    short = one.sha256
    return _finding(
        "certificate-untrusted",
        f"它不在信任列表中（{one.subject}）。与服务器上显示的指纹核对后运行 seamline trust accept {short}",
        f"it is not in the trust list ({one.subject}). Compare the fingerprint with what the server shows, then run "
        f"seamline trust accept {short}",
        Fault.CONFIG,
    )


def other_than_pinned(pin: str) -> Finding:
    """The site file names the one certificate this server may have."""
    return _finding(
        "certificate-pin",
        f"站点文件 security.fingerprint 要求的是 {pairs(pin)}。服务器换了证书就改这一行，否则有人在冒充服务器",
        f"security.fingerprint in the site file asks for {pairs(pin)}. If the server has a new certificate change that "
        "line; if not, somebody poses as the server",
        Fault.CONFIG,
    )


def dated(one: Facts, now_ns: int, *, issuer: bool) -> Finding | None:
    """Outside its validity; the gateway's own clock is the other suspect."""
    whose = ("签发者证书", "its issuer's certificate") if issuer else ("它", "it")
    kind = "issuer" if issuer else "certificate"
    said = (
        f"（本网关时钟为 {day(now_ns)}，请先确认时钟正确）；请在服务器上更换证书",
        f" (this gateway's clock says {day(now_ns)}: check that first); renew the certificate on the server",
    )
    if now_ns > one.ends_ns:
        zh, en = f"{whose[0]}已于 {day(one.ends_ns)} 过期", f"{whose[1]} expired on {day(one.ends_ns)}"
        return _finding(f"{kind}-expired", zh + said[0], en + said[1], Fault.DEVICE, "dates")
    if now_ns < one.begins_ns:
        zh, en = f"{whose[0]}自 {day(one.begins_ns)} 起才有效", f"{whose[1]} is valid only from {day(one.begins_ns)} on"
        return _finding(f"{kind}-not-yet-valid", zh + said[0], en + said[1], Fault.DEVICE, "dates")
    return None


def other_host(host: str, one: Facts) -> Finding:
    """The name in the site file is none of the certificate's."""
    listed = ", ".join(one.hosts) or "-"
    return _finding(
        "certificate-host",
        f"它不是为主机 {host} 签发的（证书中的主机：{listed}）。请在 url 中写证书里的名字，或在服务器上重新生成证书",
        f"it was not made for the host {host} (hosts in it: {listed}). Use one of these in url, or make a new "
        "certificate on the server",
        Fault.CONFIG,
        "host",
    )


def other_uri(wanted: str, one: Facts) -> Finding:
    """The server calls itself otherwise than its certificate does."""
    listed = ", ".join(one.uris) or "-"
    return _finding(
        "certificate-uri",
        f"服务器自称 {wanted or '-'}，证书中的应用 URI 却是 {listed}：不是这台服务器的证书，或服务器改名后没有重新生成",
        f"the server calls itself {wanted or '-'}, the application URI in the certificate is {listed}: it belongs to "
        "another server, or this one was renamed without making a new certificate",
        Fault.DEVICE,
    )


def misused(what: str, *, issuer: bool) -> Finding:
    """Key usage does not allow what it is used for."""
    whose = ("签发者证书", "its issuer's certificate") if issuer else ("它", "it")
    return _finding(
        "issuer-usage" if issuer else "certificate-usage",
        f"{whose[0]}的密钥用途不含 {what}；请在服务器上重新生成证书",
        f"{whose[1]} is not made for {what}; make a new certificate on the server",
        Fault.DEVICE,
        "" if issuer else "usage",
    )


def weak(what: str) -> Finding:
    """Key or signature below what the policy asks for."""
    return _finding(
        "certificate-weak",
        f"它太弱（{what}）：安全策略要求 RSA 2048 位以上和 SHA-256；请在服务器上重新生成证书",
        f"it is too weak ({what}): the policy asks for RSA of 2048 bits or more and SHA-256; make a new certificate on "
        "the server",
        Fault.DEVICE,
    )


def no_issuer(issuer: str) -> Finding:
    """The chain ends before a root."""
    return _finding(
        "certificate-chain",
        f"缺少签发者 {issuer} 的证书；向签发方索取后运行 seamline trust accept --issuer 文件",
        f"the certificate of its issuer {issuer} is missing; get it from whoever signs for the plant and run "
        "seamline trust accept --issuer FILE",
        Fault.CONFIG,
    )


def forged(issuer: str) -> Finding:
    """A signature that does not verify."""
    return _finding(
        "certificate-signature",
        f"它的签名与签发者 {issuer} 不符：证书被改动或是伪造的",
        f"its signature is not that of its issuer {issuer}: the certificate was changed, or is forged",
        Fault.DEVICE,
    )


def revoked(one: Facts, issuer: str, *, of_issuer: bool) -> Finding:
    """On the list of its issuer."""
    return _finding(
        "issuer-revoked" if of_issuer else "certificate-revoked",
        f"{one.subject} 已被签发者 {issuer} 吊销；请在服务器上更换证书",
        f"{one.subject} was revoked by its issuer {issuer}; renew the certificate on the server",
        Fault.DEVICE,
    )


def revocation_unknown(issuer: str, why: tuple[str, str]) -> Finding:
    """No usable list of revoked certificates."""
    return _finding(
        "revocation-unknown",
        f"无法确认是否被吊销：{why[0]}（签发者 {issuer}）；取得最新 CRL 后运行 seamline trust accept 文件",
        f"whether it was revoked is unknown: {why[1]} (issuer {issuer}); get the present CRL and run "
        "seamline trust accept FILE",
        Fault.CONFIG,
        "revocation",
    )


# ── the channel
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def not_its_key(url: str) -> OpcuaSecurityError:
    """The server's signature over our nonce does not verify."""
    return OpcuaSecurityError(
        "server-signature",
        f"{url}: 服务器不能证明它持有所出示证书的私钥：可能有人在冒充服务器",
        f"{url}: the server cannot prove that it holds the key of the certificate it shows: somebody may pose as it",
        Fault.NETWORK,
    )


def certificate_changed(url: str) -> OpcuaSecurityError:
    """Another certificate inside the channel than in the list."""
    return OpcuaSecurityError(
        "certificate-changed",
        f"{url}: 会话内的服务器证书与端点列表中的不同：列表可能在途中被篡改，或服务器正在更换证书（稍后会自动重试）",
        f"{url}: the server's certificate inside the session is another than in its list of endpoints: somebody may "
        "have changed the list on its way, or the server is just renewing it (it is tried again)",
        Fault.NETWORK,
    )


def endpoint_vanished(url: str, chosen: str) -> OpcuaSecurityError:
    """What was chosen is not in the list inside the session."""
    return OpcuaSecurityError(
        "endpoint-list",
        f"{url}: 会话外的列表中有 {chosen}，会话内的列表中却没有：端点列表可能在途中被篡改",
        f"{url}: {chosen} is in the list outside the session and not inside: somebody may have changed the list on its "
        "way",
        Fault.NETWORK,
    )


def plain_password(url: str) -> OpcuaSecurityError:
    """The server wants the password unencrypted on a channel that is only signed."""
    return OpcuaSecurityError(
        "password-plain",
        f"{url}: 服务器要求明文密码，而通道只签名不加密：请用 mode: SignAndEncrypt，或在服务器上为用户令牌启用安全策略",
        f"{url}: the server wants the password in plain text on a channel that is signed and not encrypted: use mode: "
        "SignAndEncrypt, or give the user token a security policy on the server",
        Fault.CONFIG,
    )


def identity_not_offered(url: str, kind: tuple[str, str]) -> OpcuaSecurityError:
    """The endpoint does not take this kind of user."""
    return OpcuaSecurityError(
        "identity-not-offered",
        f"{url}: 服务器在此端点不接受{kind[0]}；请修改站点文件 security 下的 user 或 user_certificate，或服务器设置",
        f"{url}: the server takes no {kind[1]} on this endpoint; change user or user_certificate under security in the "
        "site file, or the server",
        Fault.CONFIG,
    )


def user_certificate_unreadable(url: str, path: str, why: str) -> OpcuaSecurityError:
    """The user's own certificate or key."""
    return OpcuaSecurityError(
        "user-certificate",
        f"{url}: 读不了用户证书或私钥 {path}（{why}）",
        f"{url}: the user's certificate or key {path} cannot be read ({why})",
        Fault.CONFIG,
    )
