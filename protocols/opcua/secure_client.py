"""asyncua's client, which would take the first user token policy it finds, with the strongest instead."""

from __future__ import annotations

from dataclasses import replace

from asyncua import ua
from asyncua.client.client import Client
from asyncua.crypto.security_policies import SecurityPolicy

from protocols.opcua.security import POLICIES, URI_PREFIX


class SecureClient(Client):
    """One connection."""

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


def _filled(policy: ua.UserTokenPolicy, uri: str) -> ua.UserTokenPolicy:
    """An empty policy URI means the endpoint's (OPC 10000-4 §7.41)."""
    return policy if policy.SecurityPolicyUri else replace(policy, SecurityPolicyUri=uri)


def rank(policy: ua.UserTokenPolicy) -> int:
    """Strongest highest; none at all above a withdrawn one, which would only look like protection."""
    name = (policy.SecurityPolicyUri or "").removeprefix(URI_PREFIX)
    return len(POLICIES) - POLICIES.index(name) if name in POLICIES else 0 if name == "None" else -1
