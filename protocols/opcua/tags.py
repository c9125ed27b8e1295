"""Frozen types of the OPC UA side. No logic, no I/O, and above all no import of asyncua."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum, IntEnum

_LATER = {"later": True}  # metadata of a field earlier builds did not have: see edge.config.version


Codes = tuple[tuple[str, int], ...]  # texts and the numbers they stand for


class Mode(Enum):
    """How a group's values come: pushed by the server where they change, or read at an interval."""

    SUBSCRIBE = "subscribe"
    POLL = "poll"


class Trigger(IntEnum):
    """What the server reports (DataChangeTrigger, OPC 10000-4 §7.22.2)."""

    STATUS = 0
    STATUS_VALUE = 1
    STATUS_VALUE_TIMESTAMP = 2


class Deadband(IntEnum):
    """How a deadband is meant (DeadbandType, OPC 10000-4 §7.22.2)."""

    NONE = 0
    ABSOLUTE = 1
    PERCENT = 2  # of the node's EURange


@dataclass(frozen=True, slots=True)
class TagGroup:
    """Tags that come together: one subscription, or one round of reads."""

    name: str = "default"
    mode: Mode = Mode.SUBSCRIBE
    publishing_ns: int = 500_000_000  # how often the server may send; of a polled group: how often it is read
    queue_size: int = 0  # values an item may hold at the server; 0 = as many as a short break needs
    discard_oldest: bool = True  # which value goes where the queue is full
    trigger: Trigger = Trigger.STATUS_VALUE
    deadband: Deadband = Deadband.NONE
    deadband_value: float = 0.0  # absolute: in the node's own unit; percent: 0 … 100

    @property
    def filters(self) -> bool:
        """Whether some changes of a value are not reported."""
        return self.deadband_value > 0 or self.trigger is Trigger.STATUS


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What a make of server takes where it does not say so itself; a profile, as data of the brand's template."""

    nodes_per_call: int = 0  # 0 = unknown
    items: int = 0  # monitored items of one session; 0 = unknown
    subscriptions: int = 0  # of one session; 0 = unknown


@dataclass(frozen=True, slots=True)
class OpcuaTag:
    """One node's Value attribute. `name` is unique within its device."""

    name: str
    node: str  # "ns=2;s=Line.Total", "nsu=http://…;s=…", "i=2258", or a browse path "/0:Objects/2:Machine/2:Total"
    element: int | tuple[int, ...] | None = dataclasses.field(default=None, metadata=_LATER)  # [1], of a matrix [1, 6]
    field: str | None = None  # what of a structure value, e.g. AccCount; see protocols.opcua.place
    scale: float = 1.0
    offset: float = 0.0
    sampling_ns: int = 500_000_000  # 0 = every change, where the server can
    group: int = dataclasses.field(default=0, metadata=_LATER)  # index into OpcuaEndpoint.tag_groups
    text: bool = dataclasses.field(default=False, metadata=_LATER)  # a text: "" where what is sought is absent
    codes: Codes = dataclasses.field(default=(), metadata=_LATER)  # of a text: its number
    fact: int = dataclasses.field(default=0, metadata=_LATER)  # tags of one number are read in one call; 0 = alone

    def number_of(self, text: str) -> int:
        """What a text counts as: its code, 0 where it has none; without codes, whether it says anything."""
        return dict(self.codes).get(text, 0) if self.codes else int(bool(text.strip()))


@dataclass(frozen=True, slots=True)
class OpcuaEndpoint:
    """One session to one server. Security `None` is only ever used where the site file says so."""

    url: str  # opc.tcp://host:port/path
    security: str = "auto"  # strongest offered; or "None", or one of protocols.opcua.security.POLICIES
    mode: str = "SignAndEncrypt"  # "Sign" | "SignAndEncrypt" ("None" goes with security None)
    user: str | None = None
    password: str | None = None  # already resolved secret; repr must never show it
    user_certificate: str | None = None  # files of an X.509 user, in place of user and password
    user_key: str | None = None  # default: in the file of the certificate
    user_key_password: str | None = None
    fingerprint: str = ""  # SHA-256 of the one certificate this server may have, in place of the trust list
    tolerate: frozenset[str] = frozenset()  # of protocols.opcua.distrust.TOLERABLE
    publishing_ns: int = 500_000_000  # of the default group
    deadline_ns: int = 4_000_000_000
    watchdog_ns: int = 5_000_000_000
    groups: tuple[TagGroup, ...] = ()  # empty: the default group alone
    limits: ServerLimits = ServerLimits()

    @property
    def tag_groups(self) -> tuple[TagGroup, ...]:
        """Every group; tags name them by index."""
        return self.groups or (TagGroup(publishing_ns=self.publishing_ns),)

    def __repr__(self) -> str:
        """Everything but the passwords."""
        return f"OpcuaEndpoint(url={self.url!r}, security={self.security!r}, mode={self.mode!r}, user={self.user!r})"
