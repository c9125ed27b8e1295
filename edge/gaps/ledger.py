"""The one owner of gaps: facts in, gaps out, once a commit.

Theory. What broke is told by facts: a device that goes down or comes up, a start after a life before, a clock that was
set, memory that could not keep records. What was not seen is told by the machines' ledgers: a stop of class UNKNOWN,
whose cause is that of the broken thing it overlaps most. A full store, a damaged record and a refused point are written
by the store itself, in the transaction that does it (`edge.outbox.writer`).

Rules. Gaps go into the transaction of the batch that tells of them, so `kill -9` leaves both or neither, and an open
gap is found in the store at the next start and goes on. Once told, a machine's gap keeps its cause: part of its name.
An open gap is told again once a minute. Pieces are bounded by the physical rate at first; when the minutes of the gap
are final, by what the counters said (`settle`), which the next batch tells.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from edge.gaps.detail import coded, filled
from edge.gaps.gap import Gap, GapCause, GapScope, Hidden, Key
from edge.machines.events import StopEvent
from edge.plan import Machine
from ext.buckets import Bucket, Flag
from protocols.reading import DeviceFact, Past

FILLS_KNOWN = 200  # parts of gaps told by a device's history
KNOWN = 2_000  # closed gaps that are remembered, to name the causes of what machines tell later
_NS_PER_S = 1_000_000_000
_UNSURE = Flag.AMBIGUOUS | Flag.COUNTER_FAULT  # the counters have more than one explanation

# The way to the device is broken. Any other reason means that something is there and gives no data.
LINK_REASONS = frozenset(
    {"unreachable", "silent", "name", "port-missing", "port-denied", "port-busy", "port-settings", "port-lost", "stuck"}
)


@dataclass(frozen=True, slots=True)
class _Fill:
    """Time of a device that its own history told."""

    device: str
    start_ns: int
    end_ns: int

    def touches(self, start_ns: int, end_ns: int) -> bool:
        """Whether some of it lies there."""
        return self.start_ns < end_ns and start_ns < self.end_ns


Look = Callable[[str, int, int, int, int], Awaitable[Hidden]]  # machine, start of the gap, from, until, hold (ns)


class GapLedger:
    """Gaps of one agent. Not thread-safe; lives on the event loop."""

    def __init__(self, site: str, machines: Sequence[Machine], devices: Sequence[str]) -> None:
        self._site = site
        self._machines = {machine.id: machine for machine in machines}
        self._devices = tuple(devices)
        self._known: dict[Key, Gap] = {}  # by time of first telling
        self._open: dict[str, Key] = {}  # device → its open gap
        self._news: dict[Key, Gap] = {}
        self._fills: deque[_Fill] = deque(maxlen=FILLS_KNOWN)

    def follow(self, machines: Sequence[Machine], devices: Sequence[str], now_ns: int) -> None:
        """Another plan. Open gaps of things it no longer names end here; facts told before were about the old one."""
        self._machines = {machine.id: machine for machine in machines}
        self._devices = tuple(devices)
        self._open.clear()
        self.load([gap for gap in self._known.values() if gap.is_open], now_ns)

    # ---- what broke ----

    def load(self, stored: Iterable[Gap], now_ns: int) -> None:
        """Go on from what the store has, oldest first. Open gaps of things the site file no longer names end here."""
        for gap in stored:
            self._known[gap.key] = gap
            if not gap.is_open:
                continue
            if gap.scope is GapScope.DEVICE and gap.subject in self._devices:
                self._open[gap.subject] = gap.key
            elif gap.scope is not GapScope.MACHINE or gap.subject not in self._machines:
                self._tell(replace(gap, end_ns=max(gap.end_ns, now_ns), is_open=False))

    def agent_stopped(self, alive_ns: int, now_ns: int) -> None:
        """A start: the life before was last heard of at `alive_ns`."""
        if now_ns < alive_ns:
            self.clock_stepped(now_ns, now_ns - alive_ns)
            return
        detail = coded("not-running")
        self._tell(Gap(GapCause.AGENT_STOPPED, GapScope.AGENT, self._site, alive_ns, now_ns, detail=detail))

    def clock_stepped(self, now_ns: int, step_ns: int) -> None:
        """The clock was set by `step_ns`, to `now_ns`."""
        code = "clock-forward" if step_ns > 0 else "clock-back"
        detail = coded(code, seconds=round(abs(step_ns) / _NS_PER_S, 3))
        start_ns, end_ns = sorted((now_ns - step_ns, now_ns))
        self._tell(Gap(GapCause.CLOCK_STEPPED, GapScope.AGENT, self._site, start_ns, end_ns, detail=detail))

    def store_damaged(self, since_ns: int, now_ns: int, began_anew: Iterable[str], detail: str) -> None:
        """A damaged store was set aside, and what was whole of it goes on. `began_anew`: machines whose checkpoint was
        lost; what they made meanwhile is counted by nobody.
        """
        since_ns = min(since_ns, now_ns)
        bounds = [self._physical(machine, now_ns - since_ns) for machine in began_anew]
        most = None if None in bounds else sum(bound or 0 for bound in bounds)
        self._tell(
            Gap(
                GapCause.DAMAGED, GapScope.AGENT, self._site, since_ns, now_ns, pieces_min=0, pieces_max=most,
                detail=detail,
            )
        )  # fmt: skip

    def shed(self, record_class: str, records: int, start_ns: int, end_ns: int) -> None:
        """Memory could not keep records while the disk took none."""
        detail = coded("memory-full")
        self._tell(
            Gap(GapCause.EVICTED, GapScope.CLASS, record_class, start_ns, end_ns, records=records, detail=detail)
        )

    def device(self, fact: DeviceFact) -> None:
        """A device went down, is down for another reason, or came up."""
        device = self._devices[fact.device]
        key = self._open.get(device)
        if key is not None:
            gap = replace(self._known[key], end_ns=max(fact.t_ns, self._known[key].end_ns), is_open=not fact.up)
            self._tell(gap if fact.up else replace(gap, detail=coded(fact.reason)))
            if fact.up:
                del self._open[device]
        elif not fact.up:
            cause = GapCause.LINK_DOWN if fact.reason in LINK_REASONS else GapCause.PLC_OFF
            gap = Gap(cause, GapScope.DEVICE, device, fact.t_ns, fact.t_ns, is_open=True, detail=coded(fact.reason))
            self._open[device] = gap.key
            self._tell(gap)

    def filled(self, past: Past) -> None:
        """A device told by its own history what nobody heard of it. Its gap says so, and the agent's, and keeps cause
        and duration: nobody heard it all the same. What the machines make of it their ledgers tell.
        """
        fill = _Fill(self._devices[past.device], past.from_ns, past.to_ns)
        self._fills.append(fill)
        for gap in tuple(self._known.values()):
            of_device = gap.scope is GapScope.DEVICE and gap.subject == fill.device
            if (of_device or gap.cause is GapCause.AGENT_STOPPED) and fill.touches(gap.start_ns, gap.end_ns):
                self._tell(replace(gap, detail=filled(gap.detail, fill.device)))

    def _said(self, machine: str, start_ns: int, end_ns: int) -> str:
        """Of a machine's gap: whose history told its time."""
        detail = ""
        devices = {self._devices[signal.device] for signal in self._machines[machine].signals}
        for fill in self._fills:
            if fill.device in devices and fill.touches(start_ns, end_ns):
                detail = filled(detail, fill.device)
        return detail

    # ---- what was not seen ----

    def machine(self, machine: str, stop: StopEvent) -> None:
        """What a machine's ledger tells of a stop: of class UNKNOWN it is a gap; another class, or none, undoes one."""
        known = [g for g in self._known.values() if g.subject == machine and g.start_ns == stop.start_ns]
        known = [g for g in known if g.scope is GapScope.MACHINE]
        if stop.void or stop.bucket is not Bucket.UNKNOWN:
            for gap in known:
                if not gap.void:
                    said = self._said(machine, gap.start_ns, gap.end_ns) or gap.detail
                    self._tell(
                        replace(gap, is_open=False, void=True, pieces_min=0, pieces_max=0, settled=True, detail=said)
                    )
            return
        cause = known[0].cause if known else self._cause_of(machine, stop.start_ns, stop.end_ns)
        before = known[0] if known else None
        if before is not None and not before.is_open and before.end_ns == stop.end_ns and not stop.is_open:
            return
        self._tell(
            Gap(
                cause,
                GapScope.MACHINE,
                machine,
                stop.start_ns,
                stop.end_ns,
                is_open=stop.is_open,
                pieces_min=0,
                pieces_max=self._physical(machine, stop.end_ns - stop.start_ns),
                settled=not self._machines[machine].counters,
            )
        )

    def _cause_of(self, machine: str, start_ns: int, end_ns: int) -> GapCause:
        """Of what broke, that which overlaps most; the machine's state is believed for a while after its last reading,
        so what broke began somewhat earlier.
        """
        plan = self._machines[machine]
        devices = {self._devices[signal.device] for signal in plan.signals}
        found: tuple[int, GapCause] = (0, GapCause.UNOBSERVED)
        for gap in self._known.values():
            ours = gap.scope is GapScope.AGENT or (gap.scope is GapScope.DEVICE and gap.subject in devices)
            if ours and not gap.void:
                until_ns = end_ns if gap.is_open else min(gap.end_ns + plan.hold_ns, end_ns)
                overlap_ns = until_ns - max(gap.start_ns, start_ns)
                if overlap_ns > found[0]:
                    found = overlap_ns, gap.cause
        return found[1]

    def _physical(self, machine: str, duration_ns: int) -> int | None:
        """Pieces its counters could have passed meanwhile; None for a machine without counters."""
        plan = self._machines[machine]
        if not plan.counters:
            return None
        rate = max(rule.max_rate_per_s for rule in plan.counters)
        return int(rate * (duration_ns + plan.hold_ns) / _NS_PER_S) + 1

    async def settle(self, look: Look) -> None:
        """Replace first bounds by what the ledger's final rows say. Cheap where nothing waits."""
        for gap in [g for g in self._known.values() if not g.settled and not g.is_open]:
            machine = self._machines.get(gap.subject)
            if machine is None:
                self._tell(replace(gap, settled=True))
                continue
            from_ns = gap.start_ns - machine.hold_ns
            hidden = await look(machine.id, gap.start_ns, from_ns, gap.end_ns, machine.hold_ns)
            if hidden.final_until_ns > gap.end_ns:
                self._tell(self._settled(gap, hidden))

    def _settled(self, gap: Gap, hidden: Hidden) -> Gap:
        most = hidden.recovered_all + hidden.lost_max
        if hidden.flags & _UNSURE:
            most = max(most, self._physical(gap.subject, gap.end_ns - gap.start_ns) or 0)
        return replace(gap, pieces_min=hidden.recovered, pieces_max=most, settled=True)

    # ---- out ----

    def take(self, now_ns: int, *, minute: bool) -> tuple[Gap, ...]:
        """What is new since the last call; once a `minute`, open gaps of devices as they have grown."""
        if minute:
            for key in self._open.values():
                self._tell(replace(self._known[key], end_ns=max(now_ns, self._known[key].end_ns)))
        news, self._news = tuple(self._news.values()), {}
        return news

    def _tell(self, gap: Gap) -> None:
        self._news.pop(gap.key, None)
        self._news[gap.key] = self._known[gap.key] = gap
        while len(self._known) > KNOWN:
            key = next((k for k, g in self._known.items() if not g.is_open and g.settled), None)
            if key is None:
                return
            del self._known[key]
