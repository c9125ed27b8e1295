"""Frozen types of the OPC UA side. No logic, no I/O, and above all no import of asyncua."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpcuaTag:
    """One node's Value attribute. `name` is unique within its device."""

    name: str
    node: str  # "ns=2;s=Line.Total", "nsu=http://…;s=…", "i=2258", or a browse path "/0:Objects/2:Machine/2:Total"
    index: int | None = None  # element of an array value
    field: str | None = None  # field of a structure value, e.g. AccCount of a PackMLCountDataType
    scale: float = 1.0
    offset: float = 0.0
    sampling_ns: int = 500_000_000  # 0 = every change, where the server can


@dataclass(frozen=True, slots=True)
class OpcuaEndpoint:
    """One session to one server. Security `None` is only ever used where the site file says so."""

    url: str  # opc.tcp://host:port/path
    security: str = "auto"  # strongest offered; or "None", or one of protocols.opcua.security.POLICIES
    mode: str = "SignAndEncrypt"  # "Sign" | "SignAndEncrypt" ("None" goes with security None)
    user: str | None = None
    password: str | None = None  # already resolved secret; repr must never show it
    publishing_ns: int = 500_000_000
    deadline_ns: int = 4_000_000_000
    watchdog_ns: int = 5_000_000_000

    def __repr__(self) -> str:
        """Everything but the password."""
        return f"OpcuaEndpoint(url={self.url!r}, security={self.security!r}, mode={self.mode!r}, user={self.user!r})"
