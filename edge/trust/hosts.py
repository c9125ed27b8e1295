"""Names and addresses of this gateway, for its own certificate. Asks the kernel only, no name server."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

_SIOCGIFADDR = 0x8915  # netdevice(7)
_IF_INET6 = Path("/proc/net/if_inet6")


def own_hosts() -> Sequence[str]:
    """The host name first, then the addresses of all interfaces but loopback and link-local ones."""
    found: list[IPv4Address | IPv6Address] = [*_ipv4(), *_ipv6()]
    addresses = [str(one) for one in found if not (one.is_loopback or one.is_link_local)]
    name = (
        socket.gethostname().encode("ascii", "ignore").decode() or "localhost"
    )  # a certificate holds no other letters
    return list(dict.fromkeys([name, *addresses]))


def _ipv4() -> Iterator[IPv4Address]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # an interface without an IPv4 address
            yield IPv4Address(answer[20:24])


def _ipv6() -> Iterator[IPv6Address]:
    try:
        lines = _IF_INET6.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        address = ip_address(int(line.split()[0], 16).to_bytes(16, "big"))
        if isinstance(address, IPv6Address):
            yield address
