"""asyncua's client with two things of ours: the strongest user token policy instead of the first, and the server's own
word where it refuses a channel.

Theory. A server that does not know our certificate may answer OpenSecureChannel with a ServiceFault (OPC 10000-6
§6.7.4). asyncua reads any such answer as the response that was hoped for, fails on its missing rest and only knows that
something was odd; the status code that tells a person what to do is lost. So the fault is read before asyncua sees it.
"""

from __future__ import annotations

from dataclasses import replace

from asyncua import ua
from asyncua.client.client import Client
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.common.shortcuts import Shortcuts
from asyncua.crypto.security_policies import SecurityPolicy
from asyncua.ua.object_ids import ObjectIds

from protocols.opcua.security import POLICIES, URI_PREFIX
from protocols.opcua.wire import Reader

_SERVICE_FAULT = (0, ObjectIds.ServiceFault_Encoding_DefaultBinary)


class SecureClient(Client):
    """One connection."""

    def __init__(self, url: str, timeout: float) -> None:
        """`timeout`: of every exchange, s."""
        super().__init__(url, timeout=timeout)
        self.uaclient = _Connection(timeout)
        self.nodes = Shortcuts(self.uaclient.session)

    def secure_by(self, policy: SecurityPolicy) -> None:
        """What `set_security` does with certificates and a key that are loaded already; nothing is read or sent."""
        self.security_policy = policy  # type: ignore[assignment]  # asyncua's own set_security does the same
        self.uaclient.set_security(policy)

    def server_policy(self, token_type: ua.UserTokenType) -> ua.UserTokenPolicy:
        """The strongest of this kind, its policy URI filled in."""
        tokens = [_filled(one, self.security_policy.URI) for one in self._policy_ids if one.TokenType == token_type]
        return max(tokens, key=rank, default=super().server_policy(token_type))

    def takes(self, token_type: ua.UserTokenType) -> bool:
        """Whether the endpoint lists this kind of user at all; a server that lists none is given the benefit."""
        return not self._policy_ids or any(one.TokenType == token_type for one in self._policy_ids)


class _Connection(UaClient):
    """Speaks by `_Protocol`; otherwise asyncua's."""

    def _make_protocol(self) -> UASocketProtocol:
        self.protocol = _Protocol(self._timeout, security_policy=self.security_policy)
        self.protocol.pre_request_hook = self._pre_request_hook
        self.protocol.on_connection_lost = self._on_transport_lost
        self.protocol.is_session_closing = self._is_session_closing
        return self.protocol


class _Protocol(UASocketProtocol):
    """Raises what a fault says in place of an OpenSecureChannel response; asyncua fails the request with it."""

    def _process_received_message(self, msg: ua.Message | ua.Acknowledge | ua.ErrorMessage | None) -> None:
        if isinstance(msg, ua.Message) and isinstance(
            self._open_secure_channel_exchange, ua.OpenSecureChannelParameters
        ):
            reader = Reader(bytes(msg.body().copy()))  # type: ignore[no-untyped-call]
            if reader.node_id() == _SERVICE_FAULT:
                ua.StatusCode(ua.UInt32(reader.response_header())).check()
        super()._process_received_message(msg)


def _filled(policy: ua.UserTokenPolicy, uri: str) -> ua.UserTokenPolicy:
    """An empty policy URI means the endpoint's (OPC 10000-4 §7.41)."""
    return policy if policy.SecurityPolicyUri else replace(policy, SecurityPolicyUri=uri)


def rank(policy: ua.UserTokenPolicy) -> int:
    """Strongest highest; none at all above a withdrawn one, which would only look like protection."""
    name = (policy.SecurityPolicyUri or "").removeprefix(URI_PREFIX)
    return len(POLICIES) - POLICIES.index(name) if name in POLICIES else 0 if name == "None" else -1
