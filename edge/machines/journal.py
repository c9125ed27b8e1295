"""What was read of one machine lately, in the order of time, with snapshots to begin again from. Bounded.

Theory. A fact is what one reply or publish said of a machine. Facts come nearly in order; one that comes late belongs
between others that were believed already. So the last of them are kept, cut into pages; each page begins with a
snapshot of the core (`edge.machines.core`) as it was before its first fact. A late fact is put in its place, and the
core goes back to the snapshot of that page and hears the facts again.

Bounds. A page has `PAGE_FACTS` facts, some 0.5 KiB packed, and a snapshot of about as much. Pages are dropped oldest
first beyond `LIMIT_BYTES`, and beyond `REACH_NS`; never one that the watermark still needs. A second-by-second poll
reaches back half an hour so; a silence costs nothing, so that its beginning stays in reach.

Rules. Of two facts of one time one is made: of each signal what came last, and the fact says where they contradicted
each other. A page that is full never changes but by a late fact, so it is stored once; the open one with every commit.
"""

from __future__ import annotations

import json
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

PAGE_FACTS = 32
LIMIT_BYTES = 64 << 10
SLOTS = 64  # names of pages in the store, used in turn
REACH_NS = 86_400_000_000_000
FROM_TIMES = -1  # elapsed: the difference of the facts' times

Stop = tuple[int, int, int, int]  # start, end, bucket, fault code: as MachineLedger.stops
Correction = tuple[int, int, int, int, int, int, int, int]  # as MachineLedger.corrections

_LEVEL = 1
_WINDOW_BITS, _MEMORY = 12, 4  # 4 KiB looked back, 16 KiB + 8 KiB of tables
HEADER_END = b"\n"


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
    open_ns: int  # start of the oldest minute whose row living again from here would give
    snapshot: bytes
    facts: list[Fact] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)

    def dump(self) -> bytes:
        """For the store; `unpack` has the way back."""
        header = header_of(
            page=self.number,
            start_ns=self.start_ns,
            open_ns=self.open_ns,
            snapshot=len(self.snapshot),
            stops=self.stops,
            corrections=self.corrections,
        )
        numbers: list[int] = []
        for fact in self.facts:
            about = fact.samples | fact.contradicts << 1
            numbers += fact.t_ns, about, fact.elapsed_ns, len(fact.readings), *fact.readings
        return header + self.snapshot + array("q", numbers).tobytes()


def header_of(**numbers: int | Iterable[Sequence[int]]) -> bytes:
    """JSON of whole numbers and rows of them, and the line feed that ends it. Python spells those as JSON does; to ask
    an encoder for every page of every machine costs five times as much.
    """
    spelled = (
        f'"{name}":{number if isinstance(number, int) else [[*map(int, row)] for row in number]}'
        for name, number in numbers.items()
    )
    return f"{{{','.join(spelled)}}}".encode() + HEADER_END


def squeeze(data: bytes) -> bytes:
    """Compressed for `zlib.decompress`, with tables of the size of what is compressed here, some kilobytes: zlib's own
    choice is 256 KiB, which is cleared for every page of every machine and stays in the process.
    """
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY)
    return packer.compress(data) + packer.flush()


def unsqueezed(blob: bytes) -> bytes:
    """What `squeeze` made, or what is JSON from the beginning and was never squeezed. Raises zlib.error."""
    return blob if blob.startswith(b"{") else zlib.decompress(blob)


def unpack(blob: bytes) -> Page:
    """Raises ValueError for what is no page."""
    try:
        head, _, rest = unsqueezed(blob).partition(HEADER_END)
        header = json.loads(head)
        size = int(header["snapshot"])
        about = int(header["page"]), int(header["start_ns"]), int(header["open_ns"])
        page = Page(*about, rest[:size], list(_facts(rest[size:])))
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


@dataclass(frozen=True, slots=True)
class _Closed:
    """A full page, packed."""

    number: int
    start_ns: int
    open_ns: int
    blob: bytes

    @classmethod
    def of(cls, page: Page) -> Self:
        return cls(page.number, page.start_ns, page.open_ns, squeeze(page.dump()))


class Journal:
    """The pages of one machine: closed ones packed, the newest open."""

    def __init__(self, first: Page) -> None:
        self._closed: list[_Closed] = []
        self.size_bytes = 0  # of the closed pages
        self.open = first
        self._unsaved: set[int] = set()  # numbers of closed pages the store has not got as they are

    @property
    def _oldest(self) -> _Closed | Page:
        return self._closed[0] if self._closed else self.open

    @property
    def start_ns(self) -> int:
        """Facts before are beyond reach."""
        return self._oldest.start_ns

    @property
    def open_ns(self) -> int:
        """Start of the oldest minute that a fact within reach may change."""
        return self._oldest.open_ns

    def turn(self, start_ns: int, open_ns: int, snapshot: bytes) -> None:
        """The open page is full: close it and begin the next."""
        self._closed.append(closed := _Closed.of(self.open))
        self.size_bytes += len(closed.blob)
        self._unsaved.add(self.open.number)
        self.open = Page(self.open.number + 1, start_ns, open_ns, snapshot)

    def take_back(self, t_ns: int) -> list[Page]:
        """Remove the pages from the one that holds `t_ns` on, and give them, oldest first; the first is open anew,
        without its facts.
        """
        at = len(self._closed)
        if t_ns < self.open.start_ns:
            at = bisect_right(self._closed, t_ns, key=_start) - 1
        pages = [*(unpack(page.blob) for page in self._closed[at:]), self.open]
        self.size_bytes -= sum(len(page.blob) for page in self._closed[at:])
        del self._closed[at:]
        first = pages[0]
        self.open = Page(first.number, first.start_ns, first.open_ns, first.snapshot)
        return pages

    def trim(self, needed_ns: int, reach_ns: int) -> None:
        """Drop pages beyond the bounds, none that holds anything from `needed_ns` on."""
        while self._closed:
            next_ns = self._closed[1].start_ns if len(self._closed) > 1 else self.open.start_ns
            bounded = len(self._closed) < SLOTS and self.size_bytes <= LIMIT_BYTES and next_ns >= reach_ns
            if bounded or next_ns > needed_ns:
                break
            gone = self._closed.pop(0)
            self.size_bytes -= len(gone.blob)
            self._unsaved.discard(gone.number)

    # ---- what outlives the process ----

    def unsaved(self) -> list[tuple[int, bytes]]:
        """Closed pages for the store, each with its slot, given once."""
        saved = [(page.number % SLOTS, page.blob) for page in self._closed if page.number in self._unsaved]
        self._unsaved.clear()
        return saved

    @property
    def oldest(self) -> int:
        """Number of the oldest page."""
        return self._oldest.number

    def load(self, closed: Iterable[bytes], oldest: int) -> list[Stop]:
        """Take in the stored closed pages from number `oldest` on, as far as there is no hole before the open one.
        Returns the stops that were told while their facts, and those of the open one, were heard.

        What is missing brings the horizon nearer; that is said when a reading comes too late for it.
        """
        found: dict[int, _Closed] = {}
        stops: dict[int, list[Stop]] = {}
        for blob in closed:
            with suppress(ValueError):
                page = unpack(blob)
                found[page.number] = _Closed(page.number, page.start_ns, page.open_ns, blob)
                stops[page.number] = page.stops
        self._closed = []
        for number in range(self.open.number - 1, oldest - 1, -1):
            if number not in found:
                break
            self._closed.insert(0, found[number])
        self.size_bytes = sum(len(page.blob) for page in self._closed)
        return [stop for page in self._closed for stop in stops[page.number]] + self.open.stops


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


def _start(page: _Closed) -> int:
    return page.start_ns
