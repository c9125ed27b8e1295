"""What is known about one planned request: which of its tags the device refuses, and how the rest is read. Pure.

Theory. A device that lacks one register refuses the whole block around it (exception 2; exception 3 where the block is
too long for it). So a refused block is halved until the refusals are down to single tags. What was learned is kept
here: `refused` atoms are left out, and `splits` are places where two halves are fine and only the whole is refused,
because a hole between them does not exist or the block is too long. The reads are what remains: runs of accepted atoms.

An atom is the smallest part a request can be cut into: a tag, or several that share registers.

Some devices say it in other words: silence, or a failure (exception 4), to every request with the register in it. From
one such answer nobody can tell it from a bad moment. So a read that got nothing in `PATIENCE` rounds running becomes a
suspect: one of its atoms is asked for (the control). Where that is answered the device is there, and the read is asked
once more and halved like a refused one. Where it is not, it is the device, and nothing was learned.

A round reads a block once: `begin`, then `next` until there is nothing more to ask, telling `answered` or `refused`
for each; several may be under way at a time. Halves of a refused read are asked in the same round, so good tags lose no
cycle.

Rules.
* A bad register costs its own tags and nothing else.
* Nothing learned is for ever: PLC programs are changed. A refused atom is probed again, one atom per round at most, a
  split is forgotten after the same time. A block that is refused altogether is probed as a whole and sooner.
* Two halves that are fine where the whole was refused with no hole between them, or for its length (exception 3), mean
  a cap: `too_long` says so, and whoever plans the requests makes them shorter.
* A suspect is looked into every five minutes at most: parts that are met with silence cost their deadline each.
* One accepted probe makes the others due at once: what was refused together often comes back together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.packed import packed
from protocols.modbus.decode import BlockDecoder, compile_request
from protocols.modbus.errors import ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE, ILLEGAL_FUNCTION
from protocols.modbus.pdu import read as query
from protocols.modbus.plan import Request
from protocols.modbus.tags import ModbusTag

PROBE_NS = 300_000_000_000  # five minutes
PROBE_BLOCK_NS = 10_000_000_000
PATIENCE = 5  # rounds in which a read gets nothing before it is looked into
MUTE = 0  # in place of an exception's code: there was no answer


@dataclass(frozen=True, slots=True)
class _Atom:
    """Tags that cannot be read apart: image indices and addresses."""

    first: int
    count: int
    start: int
    end: int


class _Halving:
    """Two halves of a refused read, while they are asked."""

    __slots__ = ("code", "good", "middle", "whole")

    def __init__(self, whole: Read, middle: int, code: int) -> None:
        self.whole = whole
        self.middle = middle
        self.code = code
        self.good = 0


class _Inquiry:
    """What a suspect is looked into with."""

    __slots__ = ("control", "found", "in_a_row", "patience")

    def __init__(self, control: int, patience: int) -> None:
        self.control = control  # an atom that the device gives, if it is there
        self.patience = patience  # parts in a row that may get nothing: one register costs so many halvings
        self.in_a_row = 0
        self.found: list[int] = []  # atoms that were blamed


class Read:
    """One request that is really sent, for the atoms `begin` … `end - 1` of its block, and the decoder of its reply."""

    __slots__ = (
        "begin",
        "decoder",
        "end",
        "failures",
        "half_of",
        "longer",
        "probes",
        "query",
        "request",
        "suspect",
        "tags",
    )

    def __init__(self, begin: int, end: int, request: Request, decoder: BlockDecoder) -> None:
        self.begin = begin
        self.end = end
        self.request = request
        self.decoder = decoder
        self.query = query(request.table, request.address, request.quantity)
        self.tags = range(request.first, request.first + request.count)  # image indices
        self.half_of: _Halving | None = None
        self.probes = False  # asks for what was refused
        self.failures = 0  # rounds running in which it got nothing, and no refusal either
        self.suspect = False  # something in it may be what the device fails at
        self.longer = False  # tries whether the device takes this length: no part of its block


class Block:
    """One planned request and what was learned about it. Times are monotonic ns."""

    def __init__(self, request: Request, tags: Sequence[ModbusTag]) -> None:
        self.request = request
        self.place = 0  # among the blocks of its device
        self.exception = 0  # code of a passing exception (busy, failure) the block is answered with now; 0 = none
        self.refusal = ILLEGAL_DATA_ADDRESS  # of the last refusal, or MUTE; the likely one of what is recalled
        self.changed = False  # what is refused is not what it was; whoever tells of it clears this
        self.too_long = 0  # the device takes this many registers or bits, as a halving showed; 0 = not known
        self.too_long_refused = 0  # and this many it refused
        self.due_ns = 0
        self.phase_ns = 0
        self.todo: list[Read] = []  # of this round, the next one last
        self.flying = 0  # reads under way
        self.retries = 0  # left in this round
        self._tags = tags
        self._atoms = packed(_atoms(request, tags[request.first : request.first + request.count]))
        self._refused: dict[int, int] = {}  # atom -> when it is probed again
        self._refused_tags: tuple[int, ...] = ()
        self._probe_all_ns = 0  # when a block that is refused altogether is probed as a whole
        self._splits: dict[int, int] = {}  # atom that begins a new read -> when that is forgotten
        self._reads: tuple[Read, ...] | None = None
        self._look_ns = 0  # before that no suspect is looked into
        self._failing = False  # one of its reads is a suspect
        self._turn = 0  # which atom of a suspect is the control: another one each time
        self._inquiry: _Inquiry | None = None  # into a suspect, while there is one

    # A round.

    def begin(self, now_ns: int) -> None:
        """Ask for what is accepted, then for one part of what was refused if that is due."""
        probe = self.maybe_probe(now_ns) if self._refused or self._splits else None
        self._inquiry = None
        self.todo[:] = self.reads[::-1]
        if probe is not None:
            probe.probes = True
            self.todo.insert(0, probe)
        if self._failing and self._look_ns <= now_ns:
            self._look_into(now_ns)

    def _look_into(self, now_ns: int) -> None:
        """The first suspect: an atom of it, and then all of it, before anything else of this block."""
        self._look_ns = now_ns + PROBE_NS
        suspect = next((read for read in self.reads if read.failures >= PATIENCE and read.end - read.begin > 1), None)
        if suspect is None:
            self._failing = False
            return
        whole = self.part(suspect.begin, suspect.end)
        whole.suspect = True
        size = suspect.end - suspect.begin
        self._inquiry = inquiry = _Inquiry(suspect.begin + self._turn % size, size.bit_length() + 2)
        self._turn += 1 + size // 3
        others = [read for read in self.todo if read is not suspect]
        self.todo[:] = [*others, whole, self.part(inquiry.control, inquiry.control + 1)]

    def isolates(self, read: Read) -> bool:
        """Whether it is asked to find out what the device fails at: then a failure is an answer."""
        return self._inquiry is not None and (read.suspect or read.half_of is not None)

    def blame(self, read: Read, code: int, now_ns: int) -> None:
        """A part of a suspect got nothing either. After some in a row, see whether the device is still there."""
        inquiry = self._inquiry
        assert inquiry is not None, "only what isolates is blamed"
        inquiry.in_a_row += 1
        if read.end - read.begin > 1:
            self.refused(read, code, now_ns)
        elif code == MUTE and not read.failures:  # a single one is asked twice: a slow device is late at random
            read.failures = 1
            self.todo.append(read)
        else:
            self.refused(read, code, now_ns)
            inquiry.found.append(read.begin)
        if inquiry.in_a_row > inquiry.patience:
            inquiry.in_a_row = 0
            self.todo.append(self.part(inquiry.control, inquiry.control + 1))

    def failed(self, read: Read, now_ns: int) -> None:
        """It got nothing, for no reason that has to do with its addresses as far as one can tell."""
        if read.probes:
            self.refuse_again(read, now_ns)
            return
        read.failures += 1
        self._failing = self._failing or read.failures >= PATIENCE
        if self._inquiry is not None:  # the control was not answered, so it is the device
            self.todo[:] = [other for other in self.todo if not self.isolates(other)]
            for atom in self._inquiry.found:
                self._refused.pop(atom, None)
            if self._inquiry.found:
                self._news()
            self._inquiry = None

    def ask_anything(self) -> None:
        """Nothing of it is known to be readable, and somebody wants to know whether the device is there."""
        probe = self.part(0, 1)
        probe.probes = True
        self.todo.append(probe)

    def answered(self, read: Read, now_ns: int) -> None:
        """What was no plain read, or had failed, was read."""
        read.failures = 0
        if self._inquiry is not None:
            self._inquiry.in_a_row = 0
        if read.probes:
            self.accept(read.begin, read.end)
            return
        halving = read.half_of
        if halving is not None:
            halving.good += 1
            if halving.good == 2:
                self._both_are_fine(halving, now_ns)

    def refused(self, read: Read, code: int, now_ns: int) -> None:
        """The device refuses to have it read (exceptions 1, 2, 3), or fails at it. Halves are asked next."""
        self.refusal = code
        if read.probes:
            self.refuse_again(read, now_ns)
            return
        if read.end - read.begin == 1 or code == ILLEGAL_FUNCTION:
            self.refuse(read.begin, read.end, now_ns)
            return
        middle = (read.begin + read.end) // 2
        halving = _Halving(read, middle, code)
        for begin, end in ((middle, read.end), (read.begin, middle)):
            half = self.part(begin, end)
            half.half_of = halving
            self.todo.append(half)

    def _both_are_fine(self, halving: _Halving, now_ns: int) -> None:
        atoms, whole = self._atoms, halving.whole
        left = max(atom.end for atom in atoms[whole.begin : halving.middle])
        right = atoms[halving.middle].start
        if halving.code == ILLEGAL_DATA_VALUE or left >= right:
            longest = max(left - whole.request.address, whole.request.address + whole.request.quantity - right)
            if not self.too_long or longest < self.too_long:
                self.too_long, self.too_long_refused = longest, whole.request.quantity
        self.split(halving.middle, now_ns)

    # What is known.

    @property
    def reads(self) -> tuple[Read, ...]:
        """The requests that read all accepted atoms."""
        if self._reads is None:
            self._reads = tuple(self.part(begin, end) for begin, end in self._runs())
        return self._reads

    @property
    def refused_tags(self) -> tuple[int, ...]:
        """Image indices of the tags the device refuses, ascending."""
        return self._refused_tags

    @property
    def splits(self) -> tuple[int, ...]:
        """Addresses at which a new read has to begin."""
        return tuple(self._atoms[atom].start for atom in sorted(self._splits))

    def recall(self, tags: set[int], splits: set[int], now_ns: int) -> None:
        """What was learned earlier: image indices of refused tags, addresses of splits."""
        if not tags and not splits:
            return
        for number, atom in enumerate(self._atoms):
            if tags.issuperset(range(atom.first, atom.first + atom.count)):
                self.refuse(number, number + 1, now_ns)
            if number and atom.start in splits:
                self.split(number, now_ns)

    def part(self, begin: int, end: int) -> Read:
        """The request for the atoms `begin` … `end - 1`."""
        atoms = self._atoms[begin:end]
        start, stop = atoms[0].start, max(atom.end for atom in atoms)
        count = sum(atom.count for atom in atoms)
        request = replace(self.request, address=start, quantity=stop - start, first=atoms[0].first, count=count)
        return Read(begin, end, request, compile_request(request, self._tags))

    def refuse(self, begin: int, end: int, now_ns: int) -> None:
        """The device refuses these atoms, each by itself."""
        self._refused |= dict.fromkeys(range(begin, end), now_ns + PROBE_NS)
        self._probe_all_ns = now_ns + PROBE_BLOCK_NS
        self._news()

    def refuse_again(self, probe: Read, now_ns: int) -> None:
        """A probe was refused, too."""
        self._probe_all_ns = now_ns + PROBE_BLOCK_NS
        if probe.end - probe.begin == 1:
            self._refused[probe.begin] = now_ns + PROBE_NS

    def split(self, atom: int, now_ns: int) -> None:
        """What lies on both sides of the start of `atom` is fine, but not in one request."""
        self._splits[atom] = now_ns + PROBE_NS
        self._reads = None

    def accept(self, begin: int, end: int) -> None:
        """The device answered a probe of these atoms."""
        for atom in range(begin, end):
            self._refused.pop(atom, None)
        self._refused = dict.fromkeys(self._refused, 0)
        self._news()

    def _news(self) -> None:
        atoms = (self._atoms[i] for i in sorted(self._refused))
        self._refused_tags = tuple(index for atom in atoms for index in range(atom.first, atom.first + atom.count))
        self._reads = None
        self.changed = True

    def maybe_probe(self, now_ns: int) -> Read | None:
        """A read of refused atoms that is due: all of them where all are refused, else one. Forgets old splits."""
        if self._splits and min(self._splits.values()) <= now_ns:
            self._splits = {atom: due_ns for atom, due_ns in self._splits.items() if due_ns > now_ns}
            self._reads = None
        if len(self._refused) == len(self._atoms) and self._probe_all_ns <= now_ns:
            return self.part(0, len(self._atoms))
        due = (atom for atom, due_ns in self._refused.items() if due_ns <= now_ns)
        atom = next(due, None)
        return None if atom is None else self.part(atom, atom + 1)

    def _runs(self) -> list[tuple[int, int]]:
        """Maximal runs of accepted atoms that no split cuts."""
        if not self._refused and not self._splits:
            return [(0, len(self._atoms))]
        runs: list[tuple[int, int]] = []
        for atom in range(len(self._atoms)):
            if atom in self._refused:
                continue
            if runs and runs[-1][1] == atom and atom not in self._splits:
                runs[-1] = (runs[-1][0], atom + 1)
            else:
                runs.append((atom, atom + 1))
        return runs


def _atoms(request: Request, block: Sequence[ModbusTag]) -> list[_Atom]:
    """Tags are sorted by address, so an atom ends where the next tag begins beyond everything so far."""
    atoms: list[_Atom] = []
    for index, tag in enumerate(block, request.first):
        start, end = tag.address, tag.address + tag.registers
        if atoms and start < atoms[-1].end:
            last = atoms[-1]
            atoms[-1] = _Atom(last.first, last.count + 1, last.start, max(last.end, end))
        else:
            atoms.append(_Atom(index, 1, start, end))
    return atoms
