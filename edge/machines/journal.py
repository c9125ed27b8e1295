"""What was read of one machine lately, in the order of time, with snapshots to begin again from. Bounded.

Theory. A fact is what one reply or publish said of a machine. Facts come nearly in order; one that comes late belongs
between others that were believed already. So the last of them are kept, cut into pages; each page begins with a
snapshot of the core (`edge.machines.core`) as it was before its first fact. A late fact is put in its place, and the
core goes back to the snapshot of that page and hears the facts again.

Bounds. A page has `PAGE_FACTS` facts, some 0.5 KiB packed, and a snapshot of about as much. Pages are dropped oldest
first beyond `LIMIT_BYTES`, and beyond `REACH_NS`; never one that the watermark still needs. A second-by-second poll
reaches back half an hour so; a silence costs nothing, so that its beginning stays in reach.

Rules. Of two facts of one time one is made: of each signal what came last, and the fact says that they contradicted each
other. A page that is full never changes but by a late fact, so it is stored once; the open one with every commit.
"""

from __future__ import annotations

import json
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

PAGE_FACTS = 32
LIMIT_BYTES = 64 << 10
SLOTS = 64  # names of pages in the store, used in turn
REACH_NS = 86_400_000_000_000
FROM_TIMES = -1  # elapsed: the difference of the facts' times

Stop = tuple[int, int, int, int]  # start, end, bucket, fault code: as MachineLedger.stops
Correction = tuple[int, int, int, int, int, int, int, int]  # as MachineLedger.corrections

_LEVEL = 1
_HEADER_END = b"\n"


@dataclass(slots=True)
class Fact:
    """What was read of a machine at one time."""

    t_ns: int
    samples: bool  # the ledger takes a sample then; otherwise the readings wait for the next one
    readings: tuple[int, ...]  # flat, three for each: index into Machine.signals, raw integer, Quality
    elapsed_ns: int = FROM_TIMES  # since the fact before it, by the monotonic clock
    contradicts: bool = False  # a signal had two values at this time

    def absorb(self, other: Fact) -> None:
        """Take in another fact of the same time, which came later."""
        known = dict(_by_signal(self.readings))
        said = dict(_by_signal(other.readings))
        self.contradicts |= any(known.get(signal, reading) != reading for signal, reading in said.items())
        merged = known | said
        self.readings = tuple(number for signal in merged for number in (signal, *merged[signal]))
        self.samples |= other.samples


def _by_signal(readings: Sequence[int]) -> Iterator[tuple[int, tuple[int, int]]]:
    for at in range(0, len(readings), 3):
        yield readings[at], (readings[at + 1], readings[at + 2])


@dataclass(slots=True)
class Page:
    """Consecutive facts, what the core was before them, and what it told while it heard them."""

    number: int
    start_ns: int  # facts from here on belong to this page or a later one
    snapshot: bytes
    facts: list[Fact] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)

    def pack(self) -> bytes:
        """For the store; `unpack` has the way back."""
        header = {
            "page": self.number,
            "start_ns": self.start_ns,
            "snapshot": len(self.snapshot),
            "stops": self.stops,
            "corrections": self.corrections,
        }
        numbers = array("q")
        for fact in self.facts:
            about = fact.samples | fact.contradicts << 1
            numbers.extend((fact.t_ns, about, fact.elapsed_ns, len(fact.readings), *fact.readings))
        return zlib.compress(json.dumps(header).encode() + _HEADER_END + self.snapshot + numbers.tobytes(), _LEVEL)


def unpack(blob: bytes) -> Page:
    """Raises ValueError for what is no page."""
    try:
        head, _, rest = zlib.decompress(blob).partition(_HEADER_END)
        header = json.loads(head)
        size = int(header["snapshot"])
        page = Page(int(header["page"]), int(header["start_ns"]), rest[:size], list(_facts(rest[size:])))
        page.stops = [(a, b, c, d) for a, b, c, d in header["stops"]]
        page.corrections = [(a, b, c, d, e, f, g, h) for a, b, c, d, e, f, g, h in header["corrections"]]
    except (zlib.error, KeyError, TypeError) as error:
        raise ValueError(f"not a page of a journal, or a damaged one: {error!r}") from error
    return page


def _facts(blob: bytes) -> Iterator[Fact]:
    numbers, at = array("q", blob), 0
    while at < len(numbers):
        t_ns, about, elapsed_ns, size = numbers[at : at + 4]
        at += 4 + size
        yield Fact(t_ns, bool(about & 1), tuple(numbers[at - size : at]), elapsed_ns, bool(about & 2))


class Journal:
    """The pages of one machine: closed ones packed, the newest open."""

    def __init__(self, start_ns: int, snapshot: bytes, number: int = 0) -> None:
        self._closed: list[tuple[int, int, bytes]] = []  # number, start, packed
        self.open = Page(number, start_ns, snapshot)
        self._unsaved: set[int] = set()  # numbers of closed pages the store has not got as they are

    @property
    def start_ns(self) -> int:
        """Facts before are beyond reach."""
        return self._closed[0][1] if self._closed else self.open.start_ns

    @property
    def size_bytes(self) -> int:
        """Of the closed pages."""
        return sum(len(blob) for _, _, blob in self._closed)

    def first(self) -> Page:
        """The oldest page."""
        return unpack(self._closed[0][2]) if self._closed else self.open

    def turn(self, start_ns: int, snapshot: bytes) -> None:
        """The open page is full: close it and begin the next."""
        page = self.open
        self._closed.append((page.number, page.start_ns, page.pack()))
        self._unsaved.add(page.number)
        self.open = Page(page.number + 1, start_ns, snapshot)

    def take_back(self, t_ns: int) -> list[Page]:
        """Remove the pages from the one that holds `t_ns` on, and give them, oldest first; the first is open anew,
        without its facts.
        """
        at = bisect_left(self._closed, t_ns + 1, key=lambda page: page[1]) - 1
        if t_ns >= self.open.start_ns or at < 0:
            at = len(self._closed)
        pages = [*(unpack(blob) for _, _, blob in self._closed[at:]), self.open]
        del self._closed[at:]
        self.open = Page(pages[0].number, pages[0].start_ns, pages[0].snapshot)
        return pages

    def trim(self, needed_ns: int, reach_ns: int) -> bool:
        """Drop pages beyond the bounds, none of which holds anything from `needed_ns` on. True where one went."""
        before = len(self._closed)
        while self._closed:
            next_ns = self._closed[1][1] if len(self._closed) > 1 else self.open.start_ns
            bounded = len(self._closed) < SLOTS - 1 and self.size_bytes <= LIMIT_BYTES and next_ns >= reach_ns
            if bounded or next_ns > needed_ns:
                break
            self._unsaved.discard(self._closed.pop(0)[0])
        return len(self._closed) < before

    # ---- what outlives the process ----

    def unsaved(self) -> list[tuple[int, bytes]]:
        """Closed pages for the store, each under its slot, given once."""
        saved = [(number % SLOTS, blob) for number, _, blob in self._closed if number in self._unsaved]
        self._unsaved.clear()
        return saved

    @property
    def numbers(self) -> tuple[int, int]:
        """Of the oldest page and of the open one."""
        return (self._closed[0][0] if self._closed else self.open.number), self.open.number

    def load(self, open_page: Page, oldest: int, closed: Iterable[bytes]) -> None:
        """Go on with the stored open page and those of the closed ones that are whole, without a hole before it."""
        found: dict[int, tuple[int, int, bytes]] = {}
        for blob in closed:
            try:
                page = unpack(blob)
            except ValueError:
                continue  # the horizon is nearer then, and what it costs is said when a reading comes too late
            found[page.number] = (page.number, page.start_ns, blob)
        self.open = open_page
        self._closed = []
        for number in range(open_page.number - 1, oldest - 1, -1):
            if number not in found:
                break
            self._closed.insert(0, found[number])


def insert(facts: list[Fact], fact: Fact) -> int:
    """Put a fact in its place among others in order of time; returns where."""
    at = len(facts) if not facts or facts[-1].t_ns < fact.t_ns else bisect_left(facts, fact.t_ns, key=_time)
    if at < len(facts) and facts[at].t_ns == fact.t_ns:
        facts[at].absorb(fact)
    else:
        facts.insert(at, fact)
    return at


def _time(fact: Fact) -> int:
    return fact.t_ns
