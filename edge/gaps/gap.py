"""A gap as a value: what went missing, from when to when, why, and how much it may hide.

Two scopes answer two questions. *What broke*: a device, the agent, the clock, the store, a database. *What was not
seen*: a machine. A cable that is pulled leaves one gap of the device and one of each machine that hangs on it, under
the same cause; sums are made over one scope. A machine's gap is the stretch its ledger booked as UNKNOWN, so the gaps
of a machine and its unobserved time are the same nanoseconds.

A gap is known by cause, object and start. It is told when it opens, again as it grows, and when it ends: the same
point, so it overwrites.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Key = tuple[str, str, int]


class GapCause(StrEnum):
    """Why. Stored and sent; never rename."""

    PLC_OFF = "plc-off"  # something answers at its address, but not the device: off, stopped, refusing
    LINK_DOWN = "link-down"  # no way to the device: cable, switch, network, serial port
    AGENT_STOPPED = "agent-stopped"
    CLOCK_STEPPED = "clock-stepped"  # the gateway's clock was set: this time was skipped, or lived twice
    UNOBSERVED = "unobserved"  # the device answers, and not with what tells the machine's state
    EVICTED = "evicted"  # the store was full
    QUARANTINED = "quarantined"  # a database refused points for good
    DAMAGED = "damaged"  # the disk gave back something else than was stored


class GapScope(StrEnum):
    """What the object is. Stored and sent; never rename."""

    MACHINE = "machine"
    DEVICE = "device"
    AGENT = "agent"  # object: the site
    CLASS = "class"  # of records
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Gap:
    """One gap. `pieces_*` bound the pieces made meanwhile, for machines; None = nobody can tell."""

    cause: GapCause
    scope: GapScope
    subject: str  # id of the machine, device, site, record class or database
    start_ns: int  # UTC
    end_ns: int  # so far, while it is open
    is_open: bool = False
    records: int | None = None  # records, or points for a database, that are not where they should be
    pieces_min: int | None = None  # by the counters: made meanwhile, and counted afterwards
    pieces_max: int | None = None  # and what a reset may have hidden, or the physical rate allows
    detail: str = ""  # a code and values (edge.gaps.detail)
    settled: bool = True  # False: the pieces are a first bound, the ledger's rows of this time are not final yet
    void: bool = False  # later facts showed that there was none

    @property
    def key(self) -> Key:
        """What it is known by."""
        return self.cause, self.subject, self.start_ns

    @property
    def duration_ns(self) -> int:
        """How long; 0 where there was none."""
        return 0 if self.void else max(0, self.end_ns - self.start_ns)


@dataclass(frozen=True, slots=True)
class Hidden:
    """What the ledger's minute rows say of the time of a gap."""

    recovered: int = 0  # pieces counted across it, in minutes no other gap of the machine touches
    recovered_all: int = 0  # in all of its minutes
    lost_max: int = 0  # pieces a counter reset may have hidden
    flags: int = 0
    final_until_ns: int = 0  # rows reach so far, all of them final; 0 = one is not
