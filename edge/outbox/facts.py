"""What the store tells the rest of the agent. Plain values; no SQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge.gaps.detail import coded
from edge.gaps.gap import Gap, GapCause, GapScope
from edge.outbox.flow import NO_FLOW, Hour
from edge.outbox.saved import Saved
from edge.points import RecordClass

FORGET_NEVER_NS = 0
MIN_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ClassBound:
    """How much of one class may be stored, below what the store as a whole may hold; 0 = no bound of its own."""

    record_class: RecordClass
    max_bytes: int = 0  # of its lines as they lie on the disk; beyond it the oldest go
    max_age_ns: int = FORGET_NEVER_NS  # delivered records older than this are forgotten


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the store is and how large it may grow."""

    path: Path
    max_bytes: int  # of all its files together, write-ahead log included
    max_age_ns: int = FORGET_NEVER_NS  # delivered records and ledger rows older than this are forgotten; 0 = never
    sinks: tuple[str, ...] = ()  # ids of the databases that must have a record before it counts as delivered
    loss_window_ns: int = 1_000_000_000  # commit interval: what a power cut may cost, shown to the user
    classes: tuple[ClassBound, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for a bound too small to hold the log of one commit."""
        if self.max_bytes < MIN_BYTES:
            raise ValueError(f"store.max_bytes is {self.max_bytes}; the smallest useful store has {MIN_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as it came back from the disk, its checksum verified."""

    id: int  # ascending in order of commit
    record_class: RecordClass
    lines: bytes
    points: int
    t_ns: int  # time of the batch it was committed with


@dataclass(frozen=True, slots=True)
class Eviction:
    """Records of one class that left the store because it was full, before every database had them."""

    record_class: RecordClass
    start_ns: int  # commit time of the oldest and the newest of them
    end_ns: int
    records: int
    points: int
    size_bytes: int
    sinks: tuple[str, ...]  # who never got them

    @property
    def gap(self) -> Gap:
        """What it is in the gap ledger."""
        name = self.record_class.name.lower()
        detail = coded("store-full", points=self.points, databases=",".join(self.sinks))
        return Gap(
            GapCause.EVICTED, GapScope.CLASS, name, self.start_ns, self.end_ns, records=self.records, detail=detail
        )


@dataclass(frozen=True, slots=True)
class OpenReport:
    """What `open` found."""

    created: bool  # a fresh store: the counters start from a new baseline
    set_aside: Path | None = None  # where a damaged file was moved to
    detail: str = ""  # for people, when something was wrong
    since_ns: int = 0  # commit time of the last record before what is missing; else when the file was last written
    saved: Saved | None = None  # what was carried over from the damaged file; None: nothing could be

    def code(self, began_anew: Iterable[str]) -> str:
        """For the gap ledger, of a damaged store; `began_anew`: machines that have no state any more."""
        file, anew = self.set_aside.name if self.set_aside else "", ",".join(began_anew)
        if self.saved is None:
            return coded("set-aside-empty", file=file, anew=anew)
        outdated = ",".join(key.partition(":")[2] for key in self.saved.outdated)
        return coded("set-aside", file=file, missing=self.saved.missing, outdated=outdated, anew=anew)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one database has not got yet."""

    sink: str
    records: int  # above 20,000: an upper bound
    oldest_ns: int | None  # commit time of the oldest of them; None = nothing waits
    quarantined: int  # points it refused for good


@dataclass(frozen=True, slots=True)
class ClassStats:
    """What is stored of one class."""

    record_class: RecordClass
    records: int
    points: int
    size_bytes: int  # lines as they lie on the disk
    oldest_ns: int | None  # commit times; None = there are none
    newest_ns: int | None


@dataclass(frozen=True, slots=True)
class StoreStats:
    """The store at one moment."""

    size_bytes: int  # real files, write-ahead log included
    records: int
    points: int
    last_id: int
    commit_p99_ms: float | None  # of the last commits; None before the first
    last_commit_ns: int | None  # UTC
    error: str  # of the last failed commit; "" once one succeeded again
    backlogs: tuple[Backlog, ...] = ()
    gaps: tuple[Gap, ...] = ()  # the newest, newest first
    classes: tuple[ClassStats, ...] = ()
    flow: Hour = NO_FLOW  # into the store, over the last day of activity
    autonomy_s: float | None = None  # how long all of it fits if no database takes anything from now on
    saved: Saved | None = None  # from a damaged file, at the start of this process


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A line that a database refused for good, with its words."""

    sink: str
    t_ns: int
    words: str
    line: bytes


@dataclass(frozen=True, slots=True)
class Counts:
    """Pieces of one machine over the whole life of the store, scheduled or not."""

    total: int = 0
    good: int = 0
    reject: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """How much of one class is stored."""

    records: int = 0
    points: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """How far one database has got.

    Everything up to `cursor` was delivered, except ids in (replay_from, replay_to]: a backlog that is sent beside
    what is new.
    """

    cursor: int = 0
    replay_from: int = 0
    replay_to: int = 0

    @property
    def replaying(self) -> bool:
        """A backlog is open behind the cursor."""
        return self.replay_from < self.replay_to

    @property
    def delivered_up_to(self) -> int:
        """Every record up to this id was delivered."""
        return self.replay_from if self.replaying else self.cursor

    def has(self, record_id: int) -> bool:
        """The record was delivered."""
        return record_id <= self.cursor and not self.replay_from < record_id <= self.replay_to

    def advanced(self, record_id: int) -> Position:
        """After everything up to `record_id`, in the stretch it belongs to, was delivered."""
        if record_id > self.cursor:
            return Position(record_id, self.replay_from, self.replay_to)
        if not self.replay_from < record_id <= self.replay_to:
            return self
        # The end of the backlog. What was committed since the leap is sent once more, in order: a point may stand on
        # both sides (a window while it was open, and closed), and the database keeps what it was told last.
        return Position(record_id) if record_id == self.replay_to else Position(self.cursor, record_id, self.replay_to)

    def leapt(self, last_id: int) -> Position:
        """Go on with what comes after `last_id`; the rest becomes the backlog.

        Records between two backlogs are sent twice, and so is what comes while the backlog is sent.
        """
        return Position(last_id, self.delivered_up_to, last_id)


def delivered_bytes(classes: Iterable[ClassStats], backlogs: Iterable[Backlog]) -> int:
    """Bytes of records every database has, to within the spread of record sizes: they make room first."""
    known = tuple(classes)
    records, size_bytes = sum(c.records for c in known), sum(c.size_bytes for c in known)
    waiting = min(max((backlog.records for backlog in backlogs), default=0), records)
    return size_bytes * (records - waiting) // records if records else 0
