"""Facts come in any order; the core is as if they had come in the order of time.

Theory. Facts wait until somebody looks (a commit, a view) and are then heard in order: what came out of order within
that second costs nothing. A fact that is older than what the core has heard already goes into the journal where it
belongs, the core goes back to the snapshot before it and hears everything from there on again. One mechanism for
both: a fact that is a moment late (two devices feed one machine), and one that is half an hour late.

    newest fact ─┬──────── watermark ────────┬───────────── horizon ─────────────┬─────► older
                 │ in time: changes no row   │ late: the rows it touches are     │ too late: counted, said,
                 │ that is final             │ written again, revision + 1       │ not believed

When a minute is final. A fact within the watermark may still change what booking it would decide, so a minute is final
once a core that had heard only what is older than the watermark would have booked beyond it (`final_ns`). That depends
on the facts and their times alone, not on when they came: any order within the watermark gives the same rows.

Rules. Facts are ordered by UTC within one run of the clock. Where the clock was set, time starts over: nothing before
is opened again. Nothing is dropped silently: what is too late is counted and told.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge.machines.core import Core
from edge.machines.journal import (
    HEADER_END,
    PAGE_FACTS,
    REACH_NS,
    Correction,
    Fact,
    Journal,
    Page,
    Stop,
    header_of,
    insert,
    squeeze,
    unpack,
)


@dataclass(slots=True)
class Lateness:
    """Facts that were not in time, since somebody asked."""

    readings: int = 0
    oldest_ns: int = 0  # time of the oldest of them
    newest_ns: int = 0

    def note(self, fact: Fact) -> None:
        """One more."""
        self.oldest_ns = min(self.oldest_ns, fact.t_ns) if self.readings else fact.t_ns
        self.newest_ns = max(self.newest_ns, fact.t_ns)
        self.readings += max(1, len(fact.readings) // 3)


@dataclass(slots=True)
class Told:
    """What the core told since somebody asked."""

    stops: list[tuple[int, Stop]] = field(default_factory=list)  # each with the time of the fact that ended it
    taken_back: list[Stop] = field(default_factory=list)  # told before, and not told when time was lived again
    corrections: list[Correction] = field(default_factory=list)


class InOrder:
    """Keeps a core in the order of time."""

    def __init__(self, core: Core, wait_ns: int, page: int = 0) -> None:
        """`wait_ns`: the watermark. `page`: number of the first page, beyond those of a life before."""
        self.core = core
        self._wait_ns = wait_ns
        self._journal = Journal(self._page(page, 0))
        self._waiting: list[Fact] = []  # newer than what the core has heard
        self._passed: list[Fact] = []  # older
        self._edges: deque[tuple[int, int]] = deque()  # after which fact a minute begins to be the open one
        self.newest_ns = 0
        self.final_ns = 0  # minutes before are final
        self.late = Lateness()
        self.too_late = Lateness()
        self.told = Told()

    @property
    def open_ns(self) -> int:
        """Start of the oldest minute that a fact may still change."""
        return self._journal.open_ns

    @property
    def page(self) -> int:
        """Number of the open page."""
        return self._journal.open.number

    @property
    def start_ns(self) -> int:
        """Facts before are too late; 0 = nothing was heard yet."""
        return self._journal.start_ns

    # ---- facts ----

    def take(self, fact: Fact) -> None:
        """A fact, whenever it came."""
        if not self.newest_ns:
            self._journal.open.start_ns = fact.t_ns - self._wait_ns
        if fact.t_ns < self._journal.start_ns:
            self.too_late.note(fact)
            return
        if fact.t_ns < self.settled_ns:
            self.late.note(fact)
        insert(self._waiting if fact.t_ns > self._heard_ns else self._passed, fact)
        self.newest_ns = max(self.newest_ns, fact.t_ns)

    def start_over(self, fact: Fact) -> int | None:
        """The clock was set: this fact is the next whatever its time says, and what came before stays as it is. Returns
        what `catch_up` does.
        """
        redone_ns = self.catch_up()
        self._journal = Journal(self._page(self._journal.open.number + 1, fact.t_ns))
        self._edges.clear()
        self.final_ns = max(self.final_ns, self.core.open_minute_ns)
        self._waiting.append(fact)
        self.newest_ns = fact.t_ns
        return redone_ns

    def catch_up(self) -> int | None:
        """Hear what waits. Where time had to be lived again: start of the first minute concerned."""
        redone_ns = self._live_again() if self._passed else None
        for fact in self._waiting:
            self._hear(fact)
        self._waiting.clear()
        edges, limit_ns = self._edges, self.settled_ns
        while edges and edges[0][0] < limit_ns:
            self.final_ns = max(self.final_ns, edges.popleft()[1])
        return redone_ns

    def finish(self) -> None:
        """Nothing more will come."""
        self.catch_up()
        self.core.finish()
        stops, corrections = self.core.told()
        self.told.stops += [(self.core.t_ns, stop) for stop in stops]
        self.told.corrections += corrections

    def trim(self) -> None:
        """Let the horizon follow."""
        self._journal.trim(self.settled_ns, self.newest_ns - REACH_NS)

    @property
    def settled_ns(self) -> int:
        """Facts before have all come, or are late."""
        return self.newest_ns - self._wait_ns

    @property
    def _heard_ns(self) -> int:
        """Time of the last fact the core has heard; all of the open page are heard."""
        page = self._journal.open
        return page.facts[-1].t_ns if page.facts else page.start_ns - 1

    def _page(self, number: int, start_ns: int) -> Page:
        return Page(number, start_ns, self.core.oldest_minute_ns, squeeze(self.core.dump()))

    def _hear(self, fact: Fact) -> None:
        journal = self._journal
        page = journal.open
        if len(page.facts) >= PAGE_FACTS:
            journal.turn(page.facts[-1].t_ns + 1, self.core.oldest_minute_ns, squeeze(self.core.dump()))
            page = journal.open
        page.facts.append(fact)
        self.core.hear(fact)
        stops, corrections = self.core.told()
        page.stops += stops
        page.corrections += corrections
        self.told.stops += [(fact.t_ns, stop) for stop in stops]
        self.told.corrections += corrections
        self._note_edge(fact.t_ns, self.core.open_minute_ns)

    def _note_edge(self, t_ns: int, minute_ns: int) -> None:
        if minute_ns > (self._edges[-1][1] if self._edges else self.final_ns):
            self._edges.append((t_ns, minute_ns))

    def _live_again(self) -> int:
        """Back to before the oldest fact that came too late for the core, and forth again."""
        journal = self._journal
        passed, self._passed = self._passed, []
        pages = journal.take_back(passed[0].t_ns)
        facts = [fact for page in pages for fact in page.facts]
        for fact in passed:
            insert(facts, fact)
        first = pages[0]
        self.core.load(first.snapshot, self.newest_ns)
        self._edges = deque(edge for edge in self._edges if edge[0] < first.start_ns)
        self.final_ns = min(self.final_ns, self.core.open_minute_ns)
        self._note_edge(first.start_ns - 1, self.core.open_minute_ns)
        before, self.told = self.told, Told()
        for fact in facts:
            self._hear(fact)
        self._compare(before, pages)
        return first.open_ns

    def _compare(self, before: Told, pages: Iterable[Page]) -> None:
        """What was given already is not news; what is not told any more is taken back."""
        waiting = [stop for _, stop in before.stops]
        given = [stop for page in pages for stop in page.stops if stop not in waiting]
        known = [correction for page in pages for correction in page.corrections]
        lived = {stop for page in pages for stop in page.stops}
        again = self.told
        there = [stop for _, stop in again.stops]
        self.told = Told(
            stops=[s for s in before.stops if s[1] not in lived] + [s for s in again.stops if s[1] not in given],
            taken_back=before.taken_back + [s for s in given if s not in there],
            corrections=before.corrections + [c for c in again.corrections if c not in known],
        )

    def take_told(self) -> Told:
        """Stops and corrections since the last call."""
        told, self.told = self.told, Told()
        return told

    # ---- what outlives the process ----

    def unsaved(self) -> list[tuple[int, bytes]]:
        """Pages for the store that are not there as they are, each with its slot, given once."""
        return self._journal.unsaved()

    def dump(self) -> bytes:
        """Everything but the core and the closed pages. Catch up first."""
        page = self._journal.open.dump()
        header = header_of(
            page=len(page),
            oldest=self._journal.oldest,
            edges=self._edges,
            newest_ns=self.newest_ns,
            final_ns=self.final_ns,
        )
        return header + page

    def load(self, blob: bytes, closed: Iterable[bytes]) -> list[Stop]:
        """Go on from a dump, the core being as it was then. Returns the stops told by facts that may be heard again.
        Raises ValueError for what is none.
        """
        head, _, rest = blob.partition(HEADER_END)
        try:
            header = json.loads(head)
            oldest, newest_ns, final_ns = (int(header[name]) for name in ("oldest", "newest_ns", "final_ns"))
            edges = [(int(t_ns), int(minute_ns)) for t_ns, minute_ns in header["edges"]]
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a journal, or a damaged one: {error!r}") from error
        self._journal = Journal(unpack(rest[: int(header["page"])]))
        stops = self._journal.load(closed, oldest)
        self._edges, self.newest_ns, self.final_ns = deque(edges), newest_ns, final_ns
        return stops

    def forget(self) -> None:
        """Nothing before can be lived again: it was lived under another configuration."""
        self._journal = Journal(self._page(self._journal.open.number + 1, self.newest_ns + 1))
        self._edges.clear()
        self.final_ns = self.core.open_minute_ns
