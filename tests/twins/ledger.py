"""Plain-Python twin of `ext.ledger`: the same rules, written to be read. The oracle of the compiled ledger.

It keeps cells as dicts by field name, finds the calendar by bisection, spreads pieces by sorting remainders, peeks into
a deep copy. Where the kernel walks a pointer or asks a number, the twin asks a question with a name.
"""

from __future__ import annotations

import copy
import pickle
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from twins.counters import CounterTwin, ratio_of

from ext.buckets import Bucket, Correction, Counter, Flag, Schedule
from ext.ledger import CELL_FIELDS

MINUTE = 60_000_000_000
STEP_LIMIT = 500_000_000
DAY = 86_400_000_000_000
TEN_YEARS = 10 * 365 * DAY
FOREVER = 2**62
DRIFT_PARTS = 5000
BLIND_LIMIT = 7200 * 1_000_000_000
NO_STATE = -1
EPOCH = 8
BUCKET_NAMES = [bucket.name.lower() for bucket in Bucket]


@dataclass(frozen=True)
class Product:
    ideal: int
    slow: int
    small: int
    stop: int
    flush: tuple[int, int] = (0, 0)  # pieces, ns
    multipliers: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True)
class Accumulator:
    bucket: int
    modulus: int
    unit: int
    slack: int = 0


@dataclass(frozen=True)
class Note:
    """The accumulators as read: those that were read well."""

    t: int
    values: dict[int, int]


@dataclass(frozen=True)
class Counting:
    """One counter with one product."""

    rate: Fraction
    multiplier: int


@dataclass
class Credits:
    """What the counters of one sample came to, in pieces."""

    total: int = 0
    good: int = 0
    reject: int = 0
    counted: tuple[int, int, int] = (0, 0, 0)  # of these, what counters said themselves
    deficit: int = 0  # before anything was derived
    evidence: int = 0
    doubts: int = 0
    facts: dict[str, int] = field(default_factory=dict)
    flags: int = 0

    def __bool__(self) -> bool:
        return bool(self.total or self.good or self.reject)


class LedgerTwin:
    """Same interface as `ext.ledger.MachineLedger`."""

    def __init__(
        self,
        hold_ns: int,
        counters: Sequence[tuple],
        products: Sequence[tuple],
        *,
        flush: Sequence[tuple] = (),
        multipliers: Sequence[tuple] = (),
        times: Sequence[tuple] = (),
    ) -> None:
        if hold_ns <= 0:
            raise ValueError(f"hold_ns must be positive, got {hold_ns}")
        if not 0 < len(products) <= 32:
            raise ValueError(f"1 to 32 products, got {len(products)}")
        if len({c[0] for c in counters}) < len(counters):
            raise ValueError("two rules for one counter")
        for number, modulus, rate, multiplier, *slack in counters:
            if not 0 <= number < 3 or modulus < 2 or not 0 < rate < 1e9 or multiplier < 1 or min(slack, default=0) < 0:
                raise ValueError(f"impossible counter rule {(number, modulus, rate, multiplier, *slack)}")
        for p in products:
            if not 0 < p[0] <= p[1] <= p[2] <= p[3]:
                raise ValueError(f"0 < ideal <= t1 <= t2 <= t3 must hold, got {p}")
        flush, multipliers = flush or [(0, 0)] * len(products), multipliers or [(0, 0, 0)] * len(products)
        for pieces, ns in flush:
            if pieces < 0 or not 0 <= ns <= TEN_YEARS:
                raise ValueError(f"impossible flush {(pieces, ns)}")
        for bucket, modulus, unit, *slack in times:
            if not 0 <= bucket < 13 or modulus < 2 or not 0 < unit <= DAY or not 0 <= min(slack, default=0) <= DAY:
                raise ValueError(f"impossible accumulator {(bucket, modulus, unit, *slack)}")
        if len(times) > 24:
            raise ValueError("at most 24 accumulators")
        self.hold = hold_ns
        self.products = [Product(*p, tuple(f), tuple(k)) for p, f, k in zip(products, flush, multipliers, strict=True)]
        self.decoders = {Counter(n): CounterTwin(*rule) for n, *rule in counters}
        self.countings = [
            {Counter(n): counting(rate, own, p.multipliers[n]) for n, _, rate, own, *_ in counters}
            for p in self.products
        ]
        self.accumulators = [Accumulator(*rule) for rule in times]
        if set(self.decoders) == {Counter.REJECT}:
            raise ValueError("a reject counter alone says nothing of the output")
        self.output = next((c for c in (Counter.TOTAL, Counter.GOOD) if c in self.decoders), None)
        self.slices: list[tuple[int, int, int, int]] = []
        self.started = False
        self.begun = self.t_ns = self.virtual = self.booked_ns = self.heard = self.read = 0
        self.silent: int | None = 0  # monotonic time of samples in which nothing could be read; None = not known
        self.kind, self.crossed = 0, 0
        self.waiting: list[tuple[int, tuple[int, int, int]]] = []  # start of a stretch, pieces made in it
        self.waiting_of, self.spreading, self.waiting_flags, self.worked = 0, False, 0, False
        self.bucket = self.open_bucket = NO_STATE
        self.fault = self.open_fault = self.open_since = 0
        self.product = self.left_product = 0
        self.flush_until = self.flush_left = 0
        self.restarted: set[Counter] = set()  # not read since the PLC restarted
        self.deficit = 0
        self.drift = 0
        self.base: Note | None = None
        self.newest: Note | None = None
        self._made = [0, 0, 0]
        self.anchor, self.anchored_by_count = 0, False
        self.run_since_anchor = 0
        self.cell: dict[str, int] | None = None
        self._cells: list[tuple] = []
        self._stops: list[tuple] = []
        self._corrections: list[tuple] = []

    # ---- the face

    def set_calendar(self, start: Any, end: Any, kind: Any, shift: Any) -> None:
        slices = list(zip(start, end, kind, shift, strict=True))
        for i, (a, b, k, _) in enumerate(slices):
            if b <= a or (i and a != slices[i - 1][1]) or k not in (0, 1, 2):
                raise ValueError(f"calendar slice {i}")
        if not slices:
            raise ValueError("no calendar")
        self.slices = slices

    def push(self, t_ns, elapsed_ns, bucket, fault_code, product, mask, total=0, good=0, reject=0) -> None:
        self._check((t_ns, elapsed_ns, bucket, fault_code, product, mask))
        first = self.booked_ns if self.started else t_ns
        self._must_cover(first, max(t_ns, self.t_ns))
        self._sample(t_ns, elapsed_ns, bucket, fault_code, product, mask, (total, good, reject))

    def note_times(self, t_ns: int, mask: int, values: Sequence[int]) -> None:
        if not self.accumulators or len(values) != len(self.accumulators):
            raise ValueError("as many values as accumulators")
        if t_ns <= 0:
            raise ValueError(f"not a time: {t_ns}")
        self._note_times(t_ns, mask, values)

    def run(self, samples: Any, notes: Any = None) -> None:
        rows, told = samples.tolist(), [] if notes is None else notes.tolist()
        for row in rows:
            if len(row) != 9:
                raise ValueError("rows of 9 numbers")
            self._check(row)
        if not rows:
            return
        first = self.booked_ns if self.started else rows[0][0]
        self._must_cover(first, max([self.t_ns, *(row[0] for row in rows)]))
        for row in rows:
            while told and told[0][0] <= row[0]:
                t_ns, mask, *values = told.pop(0)
                self._note_times(t_ns, mask, values)
            self._sample(*row[:6], tuple(row[6:]))
        for t_ns, mask, *values in told:
            self._note_times(t_ns, mask, values)

    def peek(self, t_ns: int, since_ns: int = 0):
        if self.started and t_ns > self.booked_ns:
            self._must_cover(self.booked_ns, t_ns - 1)
        later = copy.deepcopy(self)
        later._cells = []
        if later.started:
            later._conclude(t_ns)
        later._leave_cell()
        cells = [cell for cell in later._cells if cell[0] >= since_ns]
        return cells, later.open_bucket, later.open_since, later.open_fault

    def finish(self, t_ns: int) -> tuple[int, int, int]:
        if self.started:
            if t_ns > self.booked_ns:
                self._must_cover(self.booked_ns, t_ns - 1)
            self._conclude(t_ns)
            self._leave_cell()
        return self.open_bucket, self.open_since, self.open_fault

    def cells(self) -> list[tuple]:
        rows, self._cells = self._cells, []
        return rows

    def stops(self) -> list[tuple]:
        rows, self._stops = self._stops, []
        return rows

    def corrections(self) -> list[tuple]:
        rows, self._corrections = self._corrections, []
        return rows

    @property
    def made(self) -> tuple[int, int, int]:
        return tuple(self._made)

    def dump(self) -> bytes:
        rules = {"hold", "products", "countings", "output", "slices", "_cells", "_stops", "_corrections"}
        return pickle.dumps({k: v for k, v in vars(self).items() if k not in rules})

    def load(self, blob: bytes, renumber: Sequence[int] = ()) -> None:
        try:
            state = pickle.loads(blob)
        except Exception as error:
            raise ValueError("not a checkpoint") from error
        fresh, accumulators = self.decoders, self.accumulators
        vars(self).update(state)
        if self.accumulators != accumulators:
            self.accumulators, self.base, self.newest = accumulators, None, None
        for counter, rule in fresh.items():
            old = self.decoders.get(counter)
            if old is not None and old.modulus == rule.modulus:
                rule.last, rule.held, rule.memory = old.last, old.held, old.memory
                rule.fresh, rule.owed = old.fresh, old.owed
        self.decoders = fresh
        self._leave_cell()
        self.product, self.left_product = (
            n if n < len(self.products) else 0
            for n in (renumber[p] if renumber else p for p in (self.product, self.left_product))
        )

    # ---- what is possible

    def _check(self, row: Sequence[int]) -> None:
        t_ns, elapsed_ns, bucket, _, product, mask, *_ = row
        if not NO_STATE <= bucket < Bucket.NOT_SCHEDULED:
            raise ValueError(f"no state of a machine: bucket {bucket}")
        if not 0 <= product < len(self.products):
            raise ValueError(f"no such product: {product}")
        if not 0 <= mask < 16:
            raise ValueError(f"no such counters: mask {mask}")
        if t_ns <= 0:
            raise ValueError(f"not a time: {t_ns}")
        if elapsed_ns > TEN_YEARS:
            raise ValueError(f"no elapsed time: {elapsed_ns} ns")

    def _must_cover(self, first: int, last: int) -> None:
        if not self.slices or first < self.slices[0][0] or last >= self.slices[-1][1]:
            raise LookupError("the calendar does not reach")

    # ---- one sample

    def _sample(self, t, elapsed, said, fault, product, mask, values) -> None:
        readable = self.output is not None and bool(mask >> self.output & 1)
        if not self.started:
            self._start(t, said, fault, product, mask, values, readable)
            return
        if said in (Bucket.UNKNOWN, NO_STATE) and not any(mask >> counter & 1 for counter in self.decoders):
            self._be_silent(elapsed, mask)
            return
        wall = t - self.t_ns
        elapsed = self._time_passed(elapsed, wall)
        self.virtual += elapsed
        wall_t, t = t, max(t, self.t_ns)
        maker = self._maker(t)
        counted = self._decode(wall_t, mask, values, maker)
        if abs(wall - elapsed) > STEP_LIMIT:
            counted.flags |= Flag.CLOCK_STEP
        now = self._pass_time(t, said, readable, maker, counted)
        if counted.flags or counted.facts.get("resets") or counted.facts.get("lost_max"):
            if self.booked_ns < t:
                self._note(self.booked_ns, self.product, counted.flags, **counted.facts)
            else:
                self._note(self._made_by(t), maker, counted.flags, **counted.facts)
        if product != self.product:
            self._close_gap(t)
            self._change_product(t, product)
            self._anchor(t, by_count=False)
        if now != self.bucket or self.fault == 0:
            self.fault = fault
        if self.open_fault == 0 and self.open_bucket == now:
            self.open_fault = self.fault
        self.bucket, self.t_ns = now, t
        if readable:
            self.read = t

    def _start(self, t, said, fault, product, mask, values, readable) -> None:
        self.started = True
        self.begun = t
        self.t_ns = self.booked_ns = self.open_since = self.read = self.crossed = t
        self.kind = self._slice(t)[2]
        self.bucket = Bucket.UNKNOWN
        self.bucket = self._believed(t, said, readable)
        self.fault, self.product = fault, product
        self._anchor(t, by_count=False)
        self._decode(t, mask, values, product)

    def _be_silent(self, elapsed: int, mask: int) -> None:
        """A sample in which nothing could be read is none."""
        if mask & EPOCH:
            self.restarted = set(self.decoders)
        self.silent = None if self.silent is None or elapsed < 0 else self.silent + elapsed

    def _time_passed(self, elapsed: int, wall: int) -> int:
        """Monotonic time since the last sample that was one; the wall clock's where it is not known."""
        silent, self.silent = self.silent, 0
        return max(wall, 0) if silent is None or elapsed < 0 else silent + elapsed

    def _pass_time(self, t: int, said: int, readable: bool, maker: int, counted: Credits) -> int:
        silence, told = t - self.t_ns > self.hold, None
        if silence:
            told = self._told(t)
        if told is not None:
            self._pass_repaired(t, maker, told, readable, counted)
        elif counted and (silence or (counted.evidence > 0 and t - self.read > self.hold)):
            self._pass_recovered(t, maker, counted)
        else:
            if readable:
                self.read = t
            self._lapse(t)
            now = self._believed(t, said, readable)
            if counted:
                self._pass_counted(t, now, maker, counted)
            else:
                self._pass_uncounted(t, now)
            return now
        self._anchor(t, by_count=False)
        return self._believed(t, said, readable)

    def _believed(self, t: int, said: int, readable: bool) -> int:
        """An unreadable state is the one before, until it lapses."""
        if said != Bucket.UNKNOWN if said != NO_STATE else readable:
            self.heard = t
            return said
        return self.bucket

    # ---- counters

    def _decode(self, t: int, mask: int, values: Sequence[int], maker: int) -> Credits:
        c = Credits()
        got = dict.fromkeys(Counter, 0)
        if mask & EPOCH:
            self.restarted = set(self.decoders)
        read = [counter for counter in self.decoders if mask >> counter & 1]
        for counter in sorted(read):
            decoder, rule = self.decoders[counter], self.countings[maker][counter]
            since = self.virtual - (decoder.last[1] if decoder.last else 0)
            old = decoder.last[0] if decoder.last else 0
            decoder.rate, decoder.multiplier = rule.rate, rule.multiplier
            pieces, correction, lost_max, unattributed, flags = decoder.push(
                self.virtual, values[counter], counter in self.restarted
            )
            self.restarted.discard(counter)
            got[counter] = pieces
            c.flags |= flags
            if counter == self.output:
                c.evidence = pieces
                if pieces > 0 and since > self.hold:
                    c.doubts = Flag.RECOVERED
            if correction:
                self._corrections.append((t, counter, correction, old, values[counter], pieces, lost_max, unattributed))
                facts = {
                    "resets": correction in (Correction.RESET, Correction.REBASE),
                    "rollovers": bool(flags & Flag.ROLLOVER),
                    "glitches": correction == Correction.GLITCH,
                    "lost_max": lost_max,
                }
                c.facts = {name: c.facts.get(name, 0) + n for name, n in facts.items()}
        c.total, c.good, c.reject = c.counted = tuple(got.values())
        c.deficit = self.deficit
        if read:
            self._derive(c)
        if len(self.decoders) == 3:
            self.drift += c.good + c.reject - c.total
            if len(read) == 3:
                self._compare(c, maker)
        return c

    def _derive(self, c: Credits) -> None:
        has = set(self.decoders)
        if has == {Counter.TOTAL, Counter.REJECT}:
            c.good = self._rest(c.total, c.reject)
        elif has == {Counter.TOTAL, Counter.GOOD}:
            c.reject = self._rest(c.total, c.good)
        elif has == {Counter.GOOD, Counter.REJECT}:
            c.total = c.good + c.reject
        elif has == {Counter.TOTAL}:
            c.good = c.total
        elif has == {Counter.GOOD}:
            c.total = c.good

    def _compare(self, c: Credits, maker: int) -> None:
        """Total, good and reject may differ by what may be in transit: ten counts, or a minute at the highest rate."""
        rule = self.countings[maker][Counter.TOTAL]
        if c.flags & (Flag.RESET | Flag.AMBIGUOUS | Flag.COUNTER_FAULT):
            self.drift = 0
        elif abs(self.drift) > 10 * rule.multiplier and abs(self.drift) >= 60 * rule.rate * rule.multiplier:
            self.drift = 0
            c.flags |= Flag.COUNTER_CONFLICT

    def _rest(self, whole: int, part: int) -> int:
        """whole - part, never negative: what is ahead is carried to the next sample."""
        rest = whole - part - self.deficit
        self.deficit = max(-rest, 0)
        return max(rest, 0)

    # ---- cells

    def _slice(self, t: int) -> tuple[int, int, int, int]:
        return self.slices[bisect_right([s[0] for s in self.slices], t) - 1]

    def _made_by(self, t: int) -> int:
        """What is seen at t was made before it, be t an edge."""
        return max(t - 1, self.begun)

    def _enter_cell(self, t: int, product: int) -> dict[str, int]:
        key = (t - t % MINUTE, self._slice(t)[3], product)
        if self.cell is None or (self.cell["minute_ns"], self.cell["shift_id"], self.cell["product"]) != key:
            self._leave_cell()
            self.cell = dict.fromkeys(CELL_FIELDS, 0) | dict(zip(CELL_FIELDS, key, strict=False))
        return self.cell

    def _leave_cell(self) -> None:
        if self.cell is not None:
            self._cells.append(tuple(int(n) for n in self.cell.values()))
            self.cell = None

    def _note(self, t: int, product: int, flags: int = 0, **numbers: int) -> None:
        cell = self._enter_cell(t, product)
        cell["flags"] |= flags
        for name, n in numbers.items():
            cell[name] += n

    def _stretches(self, until: int, start: int | None = None) -> Iterator[tuple[int, int, int]]:
        """From `start` (or `booked_ns`) on, cut at minutes and calendar slices: (start, end, Schedule)."""
        start = self.booked_ns if start is None else start
        while start < until:
            _, slice_end, kind, _ = self._slice(start)
            end = min(start - start % MINUTE + MINUTE, slice_end, until)
            yield start, end, kind
            start = end

    def _book(self, until: int, bucket: int, *, proven: bool = False, flags: int = 0) -> None:
        for start, end, kind in list(self._stretches(until)):
            while self.waiting and self.waiting[0][0] < end:
                made_in, pieces = self.waiting.pop(0)
                if any(pieces):
                    self._credit(made_in, self.waiting_of, pieces, self.waiting_flags)
            self._live_through(self._under_schedule(kind, bucket, proven), start)
            self._put_time(end, bucket, proven)
            self._note(start, self.product, flags)

    def _put_time(self, end: int, bucket: int, proven: bool) -> int:
        """From `booked_ns` to `end`, inside one cell and one slice. What the schedule made of it."""
        start, kind = self.booked_ns, self._slice(self.booked_ns)[2]
        effective = self._under_schedule(kind, bucket, proven)
        cell = self._enter_cell(start, self.product)
        cell[BUCKET_NAMES[effective]] += end - start
        planned = kind == Schedule.SCHEDULED or (kind == Schedule.BREAK and effective != Bucket.PLANNED_STOP)
        if planned:
            cell["ppt_ns"] += end - start
        if planned and effective == Bucket.RUN:
            cell["rt_ns"] += end - start
            self.run_since_anchor += end - start
        if planned and effective == Bucket.UNKNOWN:
            cell["unknown_ns"] += end - start
        if kind == Schedule.NOT_SCHEDULED and effective == Bucket.RUN:
            cell["unscheduled_run_ns"] += end - start
        if kind == Schedule.BREAK and bucket == Bucket.UNKNOWN and not planned:
            cell["flags"] |= Flag.BREAK_ASSUMED
        self.booked_ns = end
        return effective

    @staticmethod
    def _under_schedule(kind: int, bucket: int, proven: bool) -> int:
        if kind == Schedule.SCHEDULED:
            return bucket
        if proven and bucket == Bucket.RUN:
            return bucket
        if kind == Schedule.BREAK:
            return Bucket.UNKNOWN if proven and bucket == Bucket.UNKNOWN else Bucket.PLANNED_STOP
        return Bucket.NOT_SCHEDULED

    def _live_through(self, bucket: int, start: int) -> None:
        if bucket == self.open_bucket:
            return
        if self.open_bucket not in (Bucket.RUN, NO_STATE):
            self._stops.append((self.open_since, start, int(self.open_bucket), self.open_fault))
        self.open_bucket, self.open_since = bucket, start
        self.open_fault = self.fault if bucket in (self.bucket, Bucket.UNASSIGNED) else 0

    # ---- pieces of which product

    def _maker(self, t: int) -> int:
        """The product of what is counted at t: the one before, while its work in process comes out."""
        return self.left_product if t <= self.flush_until and self.flush_left > 0 else self.product

    def _change_product(self, t: int, product: int) -> None:
        if self._maker(t) == self.product:
            pieces, ns = self._rule.flush
            self.left_product = self.product
            self.flush_until = FOREVER if pieces and not ns else t + ns
            self.flush_left = pieces or FOREVER
        self.product = product
        if product == self.left_product:
            self.flush_until = 0

    def _credit(self, t: int, maker: int, pieces: tuple[int, int, int], doubts: int = 0) -> None:
        """Total, good and reject into the cell of t; of the old product as far as its work in process reaches."""
        total = pieces[0]
        if maker == self.product:
            self._put_pieces(t, maker, pieces, doubts)
        elif 0 < self.flush_left >= total:
            self.flush_left -= total
            self._put_pieces(t, maker, pieces, doubts)
        elif self.flush_left <= 0:
            self._put_pieces(t, self.product, pieces, doubts)
        else:
            first, rest = in_proportion(pieces, [self.flush_left, total - self.flush_left])
            self.flush_left = 0
            self._put_pieces(t, maker, first, doubts)
            self._put_pieces(t, self.product, rest, doubts)

    def _put_pieces(self, t: int, product: int, pieces: tuple[int, int, int], doubts: int) -> None:
        total, good, reject = pieces
        ideal = self.products[product].ideal
        if self._slice(t)[2] == Schedule.NOT_SCHEDULED:
            self._note(t, product, doubts, unscheduled_tc=total, unscheduled_gc=good, unscheduled_sc=reject)
            self._note(t, product, unscheduled_fpt_ns=ideal * good)
        else:
            self._note(t, product, doubts, tc=total, gc=good, sc=reject, nrt_ns=ideal * total, fpt_ns=ideal * good)
        if len(self.decoders) == 1:
            self._note(t, product, Flag.QUALITY_ASSUMED)
        if doubts:
            self._note(t, product, recovered=total, estimated=total if doubts & Flag.ESTIMATED else 0)
        self._made = [a + b for a, b in zip(self._made, pieces, strict=True)]

    # ---- the present gap

    @property
    def _rule(self) -> Product:
        return self.products[self.product]

    def _anchor(self, t: int, *, by_count: bool) -> None:
        self.anchor, self.anchored_by_count, self.run_since_anchor = t, by_count, 0

    @property
    def _has_first_cycle(self) -> bool:
        return self.kind == Schedule.SCHEDULED and (self.anchored_by_count or self.bucket == Bucket.RUN)

    @property
    def _first_cycle(self) -> int:
        """End of the cycle that was run at the beginning of the gap."""
        return self.anchor + (self._rule.ideal if self._has_first_cycle else 0)

    def _is_blind(self, t: int) -> bool:
        return self.output is not None and runs(self.bucket) and t - self.read > self.hold

    def _settle(self, until: int) -> None:
        """What the gap is if no count ends it."""
        if not runs(self.bucket):
            self._book(until, self.bucket, proven=self.worked and self.bucket == Bucket.UNKNOWN)
        elif self.output is None:
            self._book(until, Bucket.RUN, proven=True)
        elif self._is_blind(until):
            self._settle_blind(until)
        else:
            self._settle_seen(until, until)

    def _settle_seen(self, until: int, seen: int) -> None:
        """Book up to `until` a run of which it is known up to `seen` that no count came."""
        stood = seen - self.anchor > self._rule.stop
        self._book(min(self._first_cycle, until), Bucket.RUN)
        self._book(until, Bucket.UNASSIGNED if stood else Bucket.RUN)

    def _settle_blind(self, until: int) -> None:
        """What was made in it will be counted elsewhere, unless it is being spread over it now."""
        self._settle_seen(self.read, self.read)
        self._book(until, Bucket.RUN, flags=0 if self.spreading else Flag.ESTIMATED)

    def _close_gap(self, until: int) -> None:
        """It ends without a count; beyond t2 what exceeds one cycle is a small stop."""
        gap, seen = until - self.anchor, self.output is not None and not self._is_blind(until) and not self.spreading
        small = seen and runs(self.bucket) and self._rule.small < gap <= self._rule.stop
        self._settle(until)
        lost = self.run_since_anchor - self._rule.ideal
        if small and lost > 0 and self.booked_ns == until:
            self._note(self._made_by(until), self.product, small_ns=lost)

    def _cross_edges(self, until: int) -> None:
        """Breaks and time off shift, and their ends, end gaps; a blind run waits for its pieces as a whole."""
        if self._is_blind(until):
            return
        start = max(self.crossed, self.booked_ns)
        for first, _, kind, _ in self.slices[max(bisect_right([s[0] for s in self.slices], start) - 1, 0) :]:
            if start >= until or first >= until:
                break
            if kind != self.kind:
                self._close_gap(max(first, start))
                self.kind = kind
                self._anchor(max(first, start), by_count=False)
        self.crossed = max(self.crossed, until)

    def _lapse(self, t: int) -> None:
        """All that ends gaps before t, whatever is seen then."""
        until = self.heard + self.hold
        if self.bucket != Bucket.UNKNOWN and until < t:
            self._cross_edges(until)
            self._close_gap(until)
            self.bucket, self.fault = Bucket.UNKNOWN, 0
            self._anchor(until, by_count=False)
        self._cross_edges(t)

    def _conclude(self, t: int) -> None:
        """Nothing more comes up to t."""
        self._lapse(t)
        self._settle(t)
        if self.anchor == t and runs(self.bucket):
            self._live_through(Bucket.RUN, t)

    def _pass_recovered(self, t: int, maker: int, counted: Credits) -> None:
        """The time is what it is without the pieces; they fall into all of it that is not booked and was not read."""
        start = max(self.read, self.booked_ns)
        stretches = list(self._stretches(t, start))
        if stretches:
            shares, self.worked = self._shares(counted, stretches)
            self.waiting = [(a, pieces) for (a, _, _), pieces in zip(stretches, shares, strict=True)]
            self.waiting_of, self.waiting_flags, self.spreading = maker, recovered(len(stretches)), True
        self._lapse(t)
        self._settle(t)
        if not stretches:
            pieces = counted.total, counted.good, counted.reject
            self._credit(self._made_by(t), maker, pieces, Flag.RECOVERED)
        self.spreading = self.worked = False

    def _pass_repaired(self, t: int, maker: int, told: dict[int, int], readable: bool, counted: Credits) -> None:
        self._lapse(self.t_ns)
        self._settle(self.t_ns)
        stood = readable and counted.evidence <= 0 and told[Bucket.RUN] > self._rule.stop
        self._repair(t, maker, told, Bucket.UNASSIGNED if stood else Bucket.RUN, counted)
        self.bucket, self.fault = Bucket.UNKNOWN, 0
        self._lapse(t)

    def _pass_uncounted(self, t: int, now: int) -> None:
        if not same(now, self.bucket):
            self._close_gap(t)
            self._anchor(t, by_count=False)
        elif self._is_blind(t):
            if t - self.booked_ns > BLIND_LIMIT:
                self._settle_blind(t - BLIND_LIMIT)
        elif t - self.anchor > self._patience:
            if runs(self.bucket) and self.output is not None:
                self._settle_seen(t - self._rule.ideal, t)
            else:
                self._settle(t)

    @property
    def _patience(self) -> int:
        """So long a count could still say what the gap was."""
        if self.output is None or self.bucket in (Bucket.MAINTENANCE, Bucket.MANUAL):
            return 0
        return self._rule.stop if runs(self.bucket) and self.kind == Schedule.SCHEDULED else self._rule.small

    def _pass_counted(self, t: int, now: int, maker: int, counted: Credits) -> None:
        losses: dict[str, int] = {}
        if counted.evidence <= 0:
            (self._settle if same(now, self.bucket) else self._close_gap)(t)
        elif runs(self.bucket):
            losses = self._end_run_gap(t, counted.evidence)
        else:
            losses = self._end_stop_gap(t, counted.evidence, now)
        if losses:
            flag = Flag.STATE_CONFLICT if "conflict_ns" in losses else 0
            self._note(self._made_by(t), self.product, flag, **losses)
        self._credit(self._made_by(t), maker, (counted.total, counted.good, counted.reject), counted.doubts)
        if counted.evidence > 0 or not same(now, self.bucket):
            self._anchor(t, by_count=counted.evidence > 0)

    def _seen_for(self, t: int) -> int:
        return t - max(self.t_ns, self.anchor)

    def _idle(self, t: int, pieces: int) -> int:
        """The part of the gap that may hide a stop: all but the first piece were made between the last two samples."""
        return t - self.anchor - min((pieces - 1) * self._rule.ideal, self._seen_for(t))

    def _end_run_gap(self, t: int, pieces: int) -> dict[str, int]:
        rule, idle = self._rule, self._idle(t, pieces)
        if idle <= rule.small:
            self._book(t, Bucket.RUN, proven=True)
        else:
            cycles = pieces - 1 if self._has_first_cycle else pieces
            tail = t - min(cycles * rule.ideal, self._seen_for(t) + rule.ideal)
            self._book(min(self._first_cycle, tail), Bucket.RUN)
            self._book(tail, Bucket.RUN if idle <= rule.stop else Bucket.UNASSIGNED)
            self._book(t, Bucket.RUN, proven=True)
        lost = self.run_since_anchor - pieces * rule.ideal
        if lost <= 0:
            return {}
        if idle > rule.small:
            return {"small_ns": lost}
        return {"slow_ns": lost} if t - self.anchor > pieces * rule.slow else {}

    def _end_stop_gap(self, t: int, pieces: int, now: int) -> dict[str, int]:
        if self.bucket in (Bucket.MAINTENANCE, Bucket.MANUAL):
            self._book(t, self.bucket)
            return {}
        known = self.bucket != Bucket.UNKNOWN
        starts, conflict = known and runs(now), known and not runs(now)
        run = max(t - self.booked_ns, 0)
        if starts or self._idle(t, pieces) > self._rule.small:
            run = min(run, pieces * self._rule.ideal, self._seen_for(t))
        self._book(t - run, self.bucket)
        self._book(t, Bucket.RUN, proven=True)
        return {"conflict_ns": run} if conflict and run else {}

    # ---- pieces counted across unobserved time

    def _shares(self, counted: Credits, stretches: Sequence[tuple[int, int, int]]) -> tuple[list[Any], bool]:
        """The pieces of each stretch: each counter's over the best kind of time, the rest derived in each stretch.
        Whether they prove production in breaks.
        """
        best = min(kind for _, _, kind in stretches)
        weights = [end - start if kind == best else 0 for start, end, kind in stretches]
        self.deficit, pieces = counted.deficit, []
        for part in zip(*(largest_remainder(n, weights) for n in counted.counted), strict=True):
            share = Credits(*part)
            self._derive(share)
            pieces.append((share.total, share.good, share.reject))
        return pieces, best == Schedule.BREAK and counted.evidence > 0

    # ---- silences that the PLC can tell of

    def _note_times(self, t: int, mask: int, values: Sequence[int]) -> None:
        if self.newest is not None and self.newest.t <= self.t_ns:
            self.base = self.newest
        read = {i: v for i, v in enumerate(values) if mask >> i & 1 and 0 <= v < self.accumulators[i].modulus}
        self.newest = Note(t, read)

    def _told(self, t: int) -> dict[int, int] | None:
        """How long the machine was in each bucket since the last sample."""
        base, newest = self.base, self.newest
        if base is None or newest is None or not self.t_ns < newest.t <= t:
            return None
        if not base.t <= self.t_ns <= base.t + self.hold:
            return None
        span, gap = newest.t - base.t, newest.t - self.t_ns
        told, doubt, tolerance = dict.fromkeys(range(14), 0), dict.fromkeys(range(14), 0), 0
        for i in sorted(base.values.keys() & newest.values.keys()):
            rule = self.accumulators[i]
            units = (newest.values[i] - base.values[i]) % rule.modulus
            if units > (span + span // DRIFT_PARTS + rule.slack) // rule.unit + 1:
                return None
            ns = units * rule.unit
            uncertain = rule.unit + ns // DRIFT_PARTS + rule.slack
            told[rule.bucket] += ns
            doubt[rule.bucket] += min(ns, uncertain)
            tolerance += uncertain
        last = Bucket.RUN if runs(self.bucket) else self.bucket
        told[last] = max(told[last] - (self.t_ns - base.t), 0)
        doubt = {b: min(doubt[b], told[b]) for b in told}
        short = gap - sum(told.values())
        if not any(told.values()) or -short > sum(doubt.values()):
            return None
        if short <= tolerance:
            moved = min(abs(short), sum(doubt.values()))
            for b, ns in enumerate(largest_remainder(moved, list(doubt.values()))):
                told[b] += ns if short > 0 else -ns
        told[Bucket.UNKNOWN] += t - self.t_ns - sum(told.values())
        return told

    def _repair(self, t: int, maker: int, told: dict[int, int], run_as: int, counted: Credits) -> None:
        stretches = list(self._stretches(t))
        alone = max(told.values()) == t - self.booked_ns
        run = place_run([(end - start, kind) for start, end, kind in stretches], told[Bucket.RUN])
        left = [0 if b == Bucket.RUN else told[b] for b in range(14)]
        flags = Flag.REPAIRED | (Flag.NONE if alone or len(stretches) == 1 else Flag.ESTIMATED)
        shares, proven = self._shares(counted, stretches) if counted else ([(0, 0, 0)] * len(stretches), False)
        if not alone:
            self._live_through(Bucket.UNKNOWN, self.booked_ns)
        for (start, end, kind), run_ns, pieces in zip(stretches, run, shares, strict=True):
            if any(pieces):
                self._credit(start, maker, pieces, recovered(len(stretches)))
            others = largest_remainder(end - start - run_ns, left) if end - start > run_ns else [0] * 14
            left = [a - b for a, b in zip(left, others, strict=True)]
            worked = run_as, run_ns, counted.evidence > 0
            for bucket, ns, sure in [worked, *((b, n, proven) for b, n in enumerate(others) if n)]:
                if ns == 0:
                    continue
                if alone:
                    self._live_through(self._under_schedule(kind, bucket, sure), self.booked_ns)
                effective = self._put_time(self.booked_ns + ns, bucket, sure)
                if effective == bucket != Bucket.UNKNOWN:
                    self._note(start, self.product, flags, repaired_ns=ns)


def counting(rate: float, own: int, of_product: int) -> Counting:
    """A bound in pieces stays; the bound in counts follows the pieces per count."""
    pieces = of_product or own
    exact = (ratio_of(rate) * own / pieces).limit_denominator(10**9)
    return Counting(exact or Fraction(1, 10**9), pieces)


def recovered(stretches: int) -> int:
    return Flag.RECOVERED | Flag.ESTIMATED if stretches > 1 else Flag.RECOVERED


def in_proportion(pieces: tuple[int, int, int], weights: Sequence[int]) -> list[tuple[int, int, int]]:
    """Totals by the weights; goods and rejects by totals, so that no part has more of them than pieces."""
    total, good, reject = pieces
    totals = largest_remainder(total, weights)
    by_total = totals if total else weights
    goods = largest_remainder(good, by_total)
    if good + reject == total:
        rejects = [a - b for a, b in zip(totals, goods, strict=True)]
    else:
        rejects = largest_remainder(reject, by_total)
    return list(zip(totals, goods, rejects, strict=True))


def place_run(stretches: Sequence[tuple[int, int]], run: int) -> list[int]:
    """Run time of each stretch (length, kind): scheduled time first, then breaks, then what is outside."""
    placed = [0] * len(stretches)
    for kind in Schedule:
        lengths = [length if k == kind else 0 for length, k in stretches]
        part = min(run, sum(lengths))
        if part:
            placed = [a + b for a, b in zip(placed, largest_remainder(part, lengths), strict=True)]
        run -= part
    return placed


def runs(bucket: int) -> bool:
    return bucket in (Bucket.RUN, NO_STATE)


def same(a: int, b: int) -> bool:
    return a == b or (runs(a) and runs(b))


def largest_remainder(pieces: int, weights: Sequence[int]) -> list[int]:
    """Whole pieces in proportion to the weights; what is left goes to the largest remainders, the earliest first."""
    whole = sum(weights)
    shares = [pieces * w // whole for w in weights]
    remainders = [pieces * w % whole for w in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-remainders[i], i))
    for i in by_remainder[: pieces - sum(shares)]:
        shares[i] += 1
    return shares
