"""One Modbus device on a link: what its answers mean, whether it is up, what it has taught us. No I/O, no waiting.

What an answer means:

    reply                   tags GOOD or BAD as decoded, frame upward; the device is up
    exception 2, 3          some address (or the length) is refused: halve down to the bad tags, which become BAD
    exception 1             this table does not exist in the device: all tags of the block BAD
    exception 4, 5, 6, 8    busy, a bad moment: nothing was read, nothing is re-stamped, and it is asked more slowly
                            for a while (module `strain`)
                            Five rounds running for one block: some register in it is to blame, if the device is well
                            otherwise (module `block`). So it is with silence
    exception 10, 11        the unit behind the gateway is gone: the device is down
    nonsense, no answer     once: nothing was read, and it is asked more slowly; twice in a row: the device is down.
                            Where the site wants retries it is asked again in the same round, so often at most, and so
                            many more make it down
    connection lost         the device is down

Down means: a fact (on change only), all tags COMM_LOST, values and times as they were. Up is said at the first answer,
not at the connection: PLCs are known that accept connections and never speak.

Learning. What is refused is left out (module `block`). Where the planner, told of it, finds a way with fewer requests,
the device is planned anew: tags keep their places in the image, refused ones lie in blocks of their own that ask
nothing but a rare probe. How long a request may be (module `cap`) and how many may be under way (module `depth`) is
found in the same way, from what the device does with them, and doubted now and then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from edge.clock import Clock
from edge.errors import Text
from edge.plan import ModbusDevice
from edge.poll.block import MUTE, PROBE_NS, Block, Read
from edge.poll.cap import DOUBT_NS, REFINE_NS, Cap, narrowed
from edge.poll.depth import Depth
from edge.poll.learned import Notebook, Notes
from edge.poll.refusal import SLOW, refusal
from edge.poll.schedule import Backoff, Budget, phase_ns
from edge.poll.stats import PollStats
from edge.poll.strain import Strain
from protocols.errors import Fault
from protocols.modbus.bus import bus_of
from protocols.modbus.decode import compile_request
from protocols.modbus.errors import (
    ACKNOWLEDGE,
    GATEWAY_PATH_UNAVAILABLE,
    GATEWAY_TARGET_FAILED,
    ILLEGAL_DATA_ADDRESS,
    ILLEGAL_DATA_VALUE,
    ILLEGAL_FUNCTION,
    SERVER_DEVICE_BUSY,
    ModbusError,
    ModbusExceptionReply,
)
from protocols.modbus.plan import Request, plan_requests
from protocols.modbus.tags import Learned, Table
from protocols.reading import DeviceFact, Frame, Quality, Receiver, TagImage

SILENT_TO_DOWN = 2
_REFUSALS = (ILLEGAL_FUNCTION, ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE)
_ASK_AGAIN = (ACKNOWLEDGE, SERVER_DEVICE_BUSY)  # exceptions that mean "later"
_GATEWAY = (GATEWAY_PATH_UNAVAILABLE, GATEWAY_TARGET_FAILED)

_WHOSE = {
    Fault.DEVICE: Text("设备侧", "the device"),
    Fault.NETWORK: Text("网络侧", "the network"),
    Fault.CONFIG: Text("配置侧", "the configuration"),
}


class Unit:
    """One device: its blocks, its budget, its state. The link asks, and tells what came of it."""

    def __init__(
        self, device: ModbusDevice, image: TagImage, receiver: Receiver, clock: Clock, notebook: Notebook
    ) -> None:
        limits = device.limits
        self.device = device
        self.stats = PollStats()
        self.budget = Budget(limits.pause_ns, limits.requests_per_s, device.depth, limits.occupancy)
        self.backoff = Backoff()  # of attempts to reach it while others on its link answer
        self.blocks: list[Block] = []
        self.ready: deque[Block] = deque()  # due, oldest first
        self.flying = 0
        self.up: bool | None = None  # None: never tried
        self.demoted = False  # down while the link is up: asked now and then only
        self.heard_ns = 0  # monotonic, of its last answer on this connection; 0 = none
        self.last_error: ModbusError | None = None  # what it went down with, while the link stayed
        self.epoch = 0  # what was asked in another one is nobody's concern
        self._image = image
        self._receiver = receiver
        self._clock = clock
        self._notebook = notebook
        self.silent = 0  # requests without a usable answer, in a row
        self._silent_ns = 0  # when the last of them was over
        self._strain = Strain()
        self._recalled = False  # tags are known to be refused from before, and nobody was told yet
        self._news = False  # something was learned that the plan does not know yet
        self._caps: dict[bool, Cap] = {}  # how long a request may be: of bits (True), of registers (False)
        self._trying: tuple[bool, int] | None = None  # a longer request that is under way: of bits, and its length
        self._depth = Depth(device.depth)
        self._since: dict[int, int] = {}  # refused tag -> UTC ns of when that was found
        self._learned = Learned()

    @property
    def refused(self) -> tuple[int, ...]:
        """Image indices of the tags the device refuses, ascending."""
        return tuple(sorted(tag for block in self.blocks for tag in block.refused_tags))

    # ── the way of a request
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def connect(self) -> None:
        """A new connection: everybody is asked at once."""
        if not self.blocks:
            self._recall()
        self.silent = 0
        self.heard_ns = 0
        self.last_error = None
        self._drop_round()

    def lay_grid(self, offset_ns: int) -> None:
        """Lay all due times on this device's share of the grid; `offset_ns`: UTC minus monotonic."""
        for block in self.blocks:
            block.phase_ns = phase_ns(self.device.index, block.request.interval_ns, offset_ns)

    def probe_place(self) -> int:
        """Number of the block to ask for when one wants to know whether the device is there."""
        return next((place for place, block in enumerate(self.blocks) if block.reads), 0)

    def begin(self, block: Block, now_ns: int) -> None:
        """Its time has come."""
        block.begin(now_ns)
        block.retries = self.device.limits.retries
        if self.demoted and not block.todo:
            block.ask_anything()
        elif self._caps and block.todo:
            self._maybe_try_longer(block, now_ns)
        if block.todo:
            self.ready.append(block)

    def next_read(self, now_ns: int) -> tuple[Block, Read]:
        """What is asked now. Counts it."""
        block = self.ready[0]
        read = block.todo.pop()
        block.flying += 1
        if not block.todo:
            self.ready.popleft()
        self.flying += 1
        self.budget.start(now_ns)
        self.stats.requests += 1
        return block, read

    def landed(self, block: Block, start_ns: int, now_ns: int, epoch: int) -> bool:
        """A request is over, however. False where it belonged to a round that was given up."""
        self.flying -= 1
        self.budget.end(start_ns, now_ns)
        self.stats.busy_ns += now_ns - start_ns
        if epoch != self.epoch:
            return False
        block.flying -= 1
        return True

    def go_on(self, block: Block) -> None:
        """Its round is not over: what is left to ask, halves of what was refused perhaps, is asked next."""
        if block.todo and block not in self.ready:
            self.ready.appendleft(block)

    # ── what came of it
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, block: Block, read: Read, payload: bytes, start_ns: int, now_ns: int) -> None:
        """A reply: into the image and upward."""
        t_ns = self._clock.now_ns()
        self._answered(start_ns, now_ns)
        read.decoder.decode(payload, t_ns, self._image)
        self._receiver.on_frame(Frame(self.device.index, t_ns, read.tags, now_ns - start_ns))
        if read.longer:
            self._tried(read, now_ns, accepted=True)
        elif read.probes or read.half_of is not None or read.failures or read.suspect:
            block.answered(read, now_ns)
        if block.exception:
            block.exception = 0
            self.say_up("recovered", Text("设备恢复正常应答", "the device answers normally again"))
        if self._strain:
            self._relax(now_ns)

    def except_(self, block: Block, read: Read, reply: ModbusExceptionReply, start_ns: int, now_ns: int) -> None:
        """An exception reply. A gateway's (10, 11) is no answer of the device: see `is_gateway`."""
        self.stats.exceptions += 1
        if is_gateway(reply):
            self.stats.replied(now_ns - start_ns)
            return
        self._answered(start_ns, now_ns)
        if reply.code in _REFUSALS or (reply.code not in _ASK_AGAIN and block.isolates(read)):
            if self._strain:
                self._relax(now_ns)
            if read.longer:
                self._tried(read, now_ns, accepted=False)
            elif reply.code in _REFUSALS:
                block.refused(read, reply.code, now_ns)
            else:
                block.blame(read, reply.code, now_ns)
            return
        self._rest(now_ns, self._strain.busy())
        if reply.code in _ASK_AGAIN:
            self.maybe_again(block, read)
        else:
            self._failed(block, read, now_ns)
        if block.exception != reply.code:
            block.exception = reply.code
            tags = range(block.request.first, block.request.first + block.request.count)
            self.say_up(reply.reason, Text(reply.zh, reply.en), tags)

    def mute(self, block: Block, read: Read, now_ns: int) -> bool:
        """No answer in time. True where that tells of addresses, and not of the device."""
        if not block.isolates(read):
            if not read.longer:
                self._failed(block, read, now_ns)
            return False
        block.blame(read, MUTE, now_ns)
        block.due_ns = now_ns  # others on the wire first: each part may cost a deadline
        return True

    def _failed(self, block: Block, read: Read, now_ns: int) -> None:
        block.failed(read, now_ns)
        if not block.todo and block in self.ready:  # what it had still to ask was of no use any more
            self.ready.remove(block)

    def unanswered(self, start_ns: int, now_ns: int, patience: int) -> bool:
        """No usable answer. True where the device is down now; what was under way together is one silence."""
        if start_ns >= self._silent_ns or not self.silent:
            self.silent += 1
            self._silent_ns = now_ns
            self._rest(now_ns, self._strain.missed())
        if self.heard_ns > start_ns and self._depth.lost(self._clock.now_ns(), now_ns):
            self._deepen()
        if self.silent >= patience + (self.device.limits.retries if patience > 1 else 0):
            return True
        if self.silent < SILENT_TO_DOWN and self._strain.lasting and not self._strain.told and self.up:
            self._strain.told = True
            self.say_up("slow", SLOW)
        return False

    def maybe_again(self, block: Block, read: Read) -> None:
        """What got no usable answer is asked again in this round, where the site wants that."""
        if block.retries and not read.probes and not read.longer:
            block.retries -= 1
            block.todo.append(read)
            self.stats.retries += 1

    def lose(self, error: ModbusError) -> None:
        """The device is down: one fact, all tags COMM_LOST, values and times untouched."""
        self._drop_round()
        if self.up is False:
            return
        self.up = False
        for index in range(self._image.size):
            self._image.quality[index] = Quality.COMM_LOST
        tags = range(self._image.size)
        self._receiver.on_fact(
            DeviceFact(self.device.index, self._clock.now_ns(), False, error.reason, self.explain(error), tags)
        )

    def finish(self, block: Block, now_ns: int) -> bool:
        """A round of a block is over. True where the device is planned anew: its blocks are others now."""
        for index in block.refused_tags:
            self._image.quality[index] = Quality.BAD
        if block.changed:
            block.changed = False
            self.stats.refused = self.refused
            known, utc_ns = self._since, self._clock.now_ns()
            self._since = {index: known.get(index, utc_ns) for index in self.refused}
            self._tell_refused(block)
            self._write()
            self._news = True
        self._news = self._news or block.too_long > 0
        if self._news and not self.ready and not self.flying:  # what is due is read first
            self._news = False
            return self._learn(now_ns)
        return False

    def say_up(self, reason: str, detail: Text, tags: Sequence[int] = ()) -> None:
        """A fact about a device that is up."""
        text = f"{self.device.id}: {detail}"
        self._receiver.on_fact(DeviceFact(self.device.index, self._clock.now_ns(), True, reason, text, tags))

    def explain(self, error: ModbusError) -> str:
        """For people: which device, what, whose fault."""
        whose = _WHOSE[error.fault]
        return f"{self.device.id}: {Text(f'{error.zh}（{whose.zh}）', f'{error.en} ({whose.en})')}"

    def _answered(self, start_ns: int, now_ns: int) -> None:
        self.stats.replied(now_ns - start_ns)
        self.silent = 0
        self.heard_ns = now_ns
        if self._depth.uneasy and self._depth.answered(self._clock.now_ns(), now_ns):
            self._deepen()
        if not self.up:
            self.up = True
            self.backoff.reset()
            self.say_up("connected", Text("设备在线", "the device answers"))
            if self._recalled:  # who reads this log knows nothing of the one before
                self._recalled = False
                self._say_refused(ILLEGAL_DATA_ADDRESS, self.refused)

    def _rest(self, now_ns: int, pause_s: float) -> None:
        if pause_s:
            self.budget.hold(now_ns + int(pause_s * 1e9))

    def _relax(self, now_ns: int) -> None:
        self._rest(now_ns, self._strain.answered())
        if self._strain.told and not self._strain:
            self._strain.told = False
            self.say_up("recovered", Text("又能按时应答", "answers in time again"))

    def _drop_round(self) -> None:
        self.epoch += 1
        self.ready.clear()
        for block in self.blocks:
            block.todo.clear()
            block.flying = 0

    # ── learning
    # ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _tell_refused(self, block: Block) -> None:
        """A fact where the set of refused tags has changed."""
        refused = block.refused_tags
        if not refused:
            self.say_up("recovered", Text("此前被拒绝的地址已恢复", "addresses refused before are readable again"))
            return
        self._say_refused(block.refusal, refused)

    def _say_refused(self, code: int, refused: Sequence[int]) -> None:
        names = [self.device.tags[index].name for index in refused]
        nothing_left = len(self.refused) == len(self.device.tags)
        reason = "unanswered" if code == MUTE else f"exception-{code}"
        self.say_up(reason, refusal(code, names, nothing_left=nothing_left), refused)

    def _learn(self, now_ns: int) -> bool:
        """Write down what is known; plan anew where that saves requests or a cap was found."""
        found = False
        for block in self.blocks:
            if block.too_long:
                found = True
                of_bits = block.request.table.is_bits
                known = narrowed(
                    self._caps.get(of_bits), block.too_long, block.too_long_refused, self._clock.now_ns(), now_ns
                )
                self._caps[of_bits] = known
                block.too_long = 0
        replanned = self._plan(self._known(), now_ns, only_if_better=not found)
        self._show_caps()
        self._write()
        return replanned

    def _show_caps(self) -> None:
        cap = self._caps.get(False)
        self.stats.max_registers = None if cap is None else cap.good

    def _longest(self, of_bits: bool) -> int:
        """What the plan asks for at most where nothing was learned."""
        return max((r.quantity for r in self.device.requests if r.table.is_bits == of_bits), default=0)

    def _known(self) -> Learned:
        """For the planner."""
        registers, bits = self._caps.get(False), self._caps.get(True)
        return Learned(
            None if registers is None else registers.good, None if bits is None else bits.good, self._bad_ranges()
        )

    def _maybe_try_longer(self, block: Block, now_ns: int) -> None:
        """Where a try of a longer request is due, ask for one after this block."""
        of_bits = block.request.table.is_bits
        cap = self._caps.get(of_bits)
        if cap is None or cap.due_ns > now_ns:
            return
        if self._trying is not None:  # the last try was never answered: some devices refuse by silence
            of_bits, length = self._trying
            self._caps[of_bits] = self._caps[of_bits].refused(length, now_ns)
            self._trying = None
            self._write()
            return
        request = self._longer(block, cap.length(self._longest(of_bits)), cap.good)
        if request is None:
            return
        self._caps[of_bits] = replace(cap, due_ns=now_ns + REFINE_NS)
        self._trying = of_bits, request.quantity
        read = Read(0, 0, request, compile_request(request, self.device.tags))
        read.probes = read.longer = True
        block.todo.insert(0, read)

    def _longer(self, block: Block, length: int, good: int) -> Request | None:
        """A request of more than `good` and at most `length` from the start of a block on, over nothing that is known
        to be refused; None where there is none.
        """
        first, refused, tags = block.request.first, set(self.refused), self.device.tags
        planned = next(r for r in self.device.requests if r.first <= first < r.first + r.count)
        start, end, count = block.request.address, block.request.address, 0
        for index in range(first, planned.first + planned.count):
            tag_end = max(end, tags[index].address + tags[index].registers)
            if tag_end - start > length or index in refused:
                break
            end, count = tag_end, count + 1
        split = any(
            other.request.table is planned.table and start < at < end for other in self.blocks for at in other.splits
        )
        if end - start <= good or split:
            return None
        return replace(planned, address=start, quantity=end - start, first=first, count=count)

    def _tried(self, read: Read, now_ns: int, *, accepted: bool) -> None:
        """A longer request was answered."""
        of_bits, length = read.request.table.is_bits, read.request.quantity
        cap, self._trying = self._caps[of_bits], None
        if not accepted:
            self._caps[of_bits] = cap.refused(length, now_ns)
        elif length < self._longest(of_bits):
            self._caps[of_bits] = cap.accepted(length, self._clock.now_ns(), now_ns)
        else:  # as long as any the plan wants: there is no cap
            del self._caps[of_bits]
        self._news = self._news or accepted
        self._show_caps()
        self._write()

    def _deepen(self) -> None:
        """How many requests it takes at a time is another number now."""
        self.budget.limit(self._depth.allowed)
        self.stats.depth = self._depth.learned
        self._write()

    def _bad_ranges(self) -> tuple[tuple[Table, int, int], ...]:
        tags = self.device.tags
        return tuple((tags[i].table, tags[i].address, tags[i].address + tags[i].registers - 1) for i in self.refused)

    def _plan(self, learned: Learned, now_ns: int, *, only_if_better: bool = False) -> bool:
        """Blocks by what is known. False where the present ones ask no more often."""
        device = self.device
        bus = bus_of(device.endpoint, device.limits.turnaround_ns)
        planned = plan_requests(device.tags, device.limits, device.unit, bus, learned)
        if planned.tags != device.tags:  # it would move tags in the image
            return False
        if only_if_better and len(planned.requests) >= sum(len(block.reads) for block in self.blocks):
            return False
        notes, refused = self._notes(), set(self.refused)
        aside = [replace(r, interval_ns=PROBE_NS) for r in _apart(planned.left_out, device)]
        self._learned = learned
        self._make_blocks([*planned.requests, *aside], refused, notes, now_ns)
        return True

    def _make_blocks(self, requests: Sequence[Request], refused: set[int], notes: Notes, now_ns: int) -> None:
        self._drop_round()
        self.blocks = [Block(request, self.device.tags) for request in requests]
        for place, block in enumerate(self.blocks):
            block.place = place
            splits = {address for table, address in notes.splits if table == block.request.table}
            block.recall(refused, splits, now_ns)
            block.changed = False
        self.stats.refused = self.refused

    def _notes(self) -> Notes:
        return Notes(
            tuple((self.device.tags[index].name, self._since.get(index, 0)) for index in self.refused),
            tuple((int(b.request.table), address) for b in self.blocks for address in b.splits),
            self._caps.get(False),
            self._caps.get(True),
            self._depth.learned,
            self._depth.since_ns if self._depth.learned else 0,
        )

    def _write(self) -> None:
        self._notebook.write(self.device, self._notes())

    def _recall(self) -> None:
        """The plan's blocks, and what was learned of them before the agent was last stopped."""
        notes, now_ns = self._notebook.recall(self.device), self._clock.monotonic_ns()
        since = dict(notes.refused)
        self._since = {index: since[tag.name] for index, tag in enumerate(self.device.tags) if tag.name in since}
        self._make_blocks(self.device.requests, set(self._since), notes, now_ns)
        if notes == Notes():
            return
        self._recalled = bool(self.refused)
        if notes.depth is not None:
            self._depth.recall(notes.depth, notes.depth_since_ns, now_ns)
            self.budget.limit(self._depth.allowed)
            self.stats.depth = self._depth.learned
        for of_bits, cap in ((False, notes.registers), (True, notes.bits)):
            if cap is not None:
                self._caps[of_bits] = replace(cap, due_ns=now_ns + (DOUBT_NS if cap.settled else REFINE_NS))
        self._show_caps()
        self._plan(self._known(), now_ns, only_if_better=not self._caps)


def is_gateway(reply: ModbusExceptionReply) -> bool:
    """A gateway speaks in the stead of the unit: that one does not answer."""
    return reply.code in _GATEWAY


def _apart(left_out: Sequence[int], device: ModbusDevice) -> list[Request]:
    """A request for each run of refused tags that share registers: never sent but as a probe."""
    runs: list[Request] = []
    for index in left_out:
        tag = device.tags[index]
        end = tag.address + tag.registers
        last = runs[-1] if runs else None
        if (
            last is not None
            and last.table is tag.table
            and index == last.first + last.count
            and tag.address < last.address + last.quantity
        ):
            wide = max(end, last.address + last.quantity) - last.address
            runs[-1] = replace(last, quantity=wide, count=last.count + 1)
        else:
            runs.append(Request(tag.table, device.unit, tag.address, tag.registers, tag.interval_ns, index, 1))
    return runs
