"""What can go wrong between an OPC UA server and this gateway; part of the tree in `protocols.errors`.

`reason` is the short machine-readable cause that becomes `DeviceFact.reason`.
"""

from __future__ import annotations

from protocols.errors import Fault, ProtocolError


class OpcuaError(ProtocolError):
    """The server refused, vanished or answered nonsense."""

    def __init__(self, reason: str, zh: str, en: str, fault: Fault) -> None:
        self.reason = reason
        super().__init__(zh, en, fault)


class OpcuaConnectionError(OpcuaError):
    """There is no session, or it was lost. Connect again."""


class OpcuaSecurityError(OpcuaError):
    """Both sides do not agree on security, or one does not know the other. A person must act; trying is harmless."""


class OpcuaProtocolError(OpcuaError):
    """What came back is not an OPC UA answer to the question."""


_WORDS = {
    "timeout": ("没有按时应答，请检查网线、地址和电源", "no answer in time; check cable, address and power"),
    "refused": (
        "拒绝连接：服务器未启动或端口不对",
        "connection refused: the server is not running, or the port is wrong",
    ),
    "closed": ("连接已断开", "the connection was closed"),
    "protocol": ("应答不符合 OPC UA", "the answer is not OPC UA"),
}

_IDENTITY = frozenset(("BadIdentityTokenRejected", "BadIdentityTokenInvalid", "BadUserAccessDenied"))
_POLICY = frozenset(("BadSecurityModeRejected", "BadSecurityPolicyRejected"))
_CERTIFICATE = ("BadCertificate", "BadSecurity", "BadApplicationSignature")


def lost(url: str, reason: str) -> OpcuaConnectionError:
    """The session is gone; `reason` is a key of the words above or a StatusCode's name."""
    zh, en = _WORDS.get(reason, (f"服务器应答 {reason}", f"the server answered {reason}"))
    fault = Fault.NETWORK if reason in _WORDS else Fault.DEVICE
    return OpcuaConnectionError(reason, f"{url}: {zh}", f"{url}: {en}", fault)


def refused(url: str, name: str) -> OpcuaError:
    """A service fault by the name of its StatusCode. Those about identity and trust need a person."""
    if name in _IDENTITY:
        return OpcuaSecurityError(
            name,
            f"{url}: 服务器不接受用户名或密码（{name}），请检查站点文件的 user/password 和服务器上的用户",
            f"{url}: the server does not accept user or password ({name}); check user/password in the site file "
            "and the users on the server",
            Fault.CONFIG,
        )
    if name in _POLICY:
        return OpcuaSecurityError(
            name,
            f"{url}: 服务器不接受这种安全策略或模式（{name}），请修改站点文件的 security/mode",
            f"{url}: the server does not accept this security policy or mode ({name}); "
            "change security/mode in the site file",
            Fault.CONFIG,
        )
    if name.startswith(_CERTIFICATE):
        return OpcuaSecurityError(
            name,
            f"{url}: 服务器不接受本网关的证书（{name}）。请在服务器上信任它：seamline trust show own 会显示指纹和文件",
            f"{url}: the server does not accept this gateway's certificate ({name}). Trust it on the server: "
            "seamline trust show own shows its fingerprint and file",
            Fault.DEVICE,
        )
    return lost(url, name)


def nonsense(url: str, what: str) -> OpcuaProtocolError:
    """Bytes that do not add up."""
    return OpcuaProtocolError(
        "protocol", f"{url}: 应答不符合 OPC UA（{what}）", f"{url}: the answer is not OPC UA ({what})", Fault.DEVICE
    )


def subscription_closed(url: str, name: str) -> OpcuaConnectionError:
    """The server gave the subscription up, e.g. Bad_Timeout."""
    return OpcuaConnectionError(
        "subscription-closed",
        f"{url}: 服务器结束了订阅（{name}）",
        f"{url}: the server ended the subscription ({name})",
        Fault.DEVICE,
    )


def own_certificate_missing(url: str) -> OpcuaSecurityError:
    """A secured connection was asked for without an identity; the caller's mistake."""
    return OpcuaSecurityError(
        "own-certificate-missing",
        f"{url}: 加密连接需要本网关的证书",
        f"{url}: a secured connection needs this gateway's certificate",
        Fault.CONFIG,
    )


def downgraded(url: str, policy: str) -> OpcuaSecurityError:
    """The list of endpoints was weaker outside the session than inside."""
    return OpcuaSecurityError(
        "security-downgrade",
        f"{url}: 服务器在会话内提供的安全策略强于会话外所列（{policy}），端点列表可能在途中被篡改",
        f"{url}: inside the session the server offers stronger security than it listed outside ({policy}); "
        "somebody may have changed the list on its way",
        Fault.NETWORK,
    )


def silent(url: str, watchdog_s: float) -> OpcuaConnectionError:
    """Nothing was published for the watchdog's time, though the server promised a heartbeat every second."""
    return OpcuaConnectionError(
        "watchdog",
        f"{url}: {watchdog_s:g} 秒没有收到任何发布，服务器停住或链路半开",
        f"{url}: nothing was published for {watchdog_s:g} s; the server is frozen or the link is half open",
        Fault.NETWORK,
    )


def turned(url: str, what: str) -> OpcuaConnectionError:
    """The session is to be made anew: the server is another one under it, or takes our new certificate."""
    if what == "own-certificate":
        return OpcuaConnectionError(
            what,
            f"{url}: 服务器已信任本网关的新证书，用它重新建立会话",
            f"{url}: the server trusts this gateway's new certificate now; the session is made anew with it",
            Fault.CONFIG,
        )
    zh, en = {
        "restarted": ("服务器重新启动过", "the server was restarted"),
        "namespaces": ("命名空间的序号变了", "the server's namespaces have other indices"),
        "moved": (
            "浏览路径指向了别的节点（PLC 程序可能重新下载过）",
            "browse paths lead to other nodes: a program may have been downloaded",
        ),
        "security": (
            "服务器不再接受原来的安全通道，可能换了证书",
            "the server takes the secure channel of before no longer: it may have a new certificate",
        ),
    }[what]
    return OpcuaConnectionError(
        what, f"{url}: {zh}，重新查找全部节点", f"{url}: {en}; every node is looked up again", Fault.DEVICE
    )


def certificate_unwritable(folder: str, error: OSError) -> OpcuaSecurityError:
    """The folder for the certificate of this gateway cannot be written."""
    return OpcuaSecurityError(
        "own-certificate",
        f"无法在 {folder} 保存本网关的证书（{error.strerror}），请检查目录权限",
        f"cannot keep this gateway's certificate in {folder} ({error.strerror}); check the folder's permissions",
        Fault.CONFIG,
    )


def internal(url: str, error: Exception) -> OpcuaConnectionError:
    """A mistake in this program or its libraries ended the session; the next one may go well."""
    kind = type(error).__name__
    return OpcuaConnectionError(
        "internal",
        f"{url}: 会话因程序错误结束（{kind}），请把日志发给维护者",
        f"{url}: the session ended by an error of this program ({kind}); please report the log",
        Fault.CONFIG,
    )
