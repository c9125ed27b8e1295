# cython: language_level=3
"""The ledger kernel: readings in, integer nanoseconds and pieces out.

Theory. Time is booked only when its class is known. Between `booked_ns` and the last sample lies the present gap:
time under one state and in one kind of scheduled time in which nothing was counted, since the anchor (the last count,
or when the state or the kind began). What ends it decides:

    a count, within t2         it was RUN; beyond t1 the excess over the ideal cycles is slow
    a count, within t3         it was RUN by the state; the excess is a small stop
    a count, after t3          as many ideal cycles as pieces were RUN, the rest an UNASSIGNED stop, whatever the run
                               bit says
    no count, t3 passes        the same, booked as it passes, but for a last cycle that may still become a piece; the
                               first cycle, after a count or after RUN began, was RUN
    a count while "stopped"    counts beat states: within t2 it was all RUN, beyond it the ideal cycles of the pieces,
                               at most back to the last sample (state conflict); where the state turned to RUN in this
                               very sample, these cycles alone, no conflict; not so while people make pieces by hand
    another state              it was what the state said; of RUN beyond t2, all but the first cycle a small stop
    an edge of the schedule    the same. In breaks and off shift only what ends in a count seen there is RUN: all of it
                               within t2, beyond it the ideal cycles of the pieces. After them the gap begins anew
    hold, since the state      the same; then nobody knows. UNKNOWN is RUN where a count ends it within t2; beyond it
    was last read              the ideal cycles of the pieces are

Where several pieces come in one sample, all but the first were made between the last two samples; only the rest of
the gap may hide a stop. A sample in which nothing could be read is none: silence is what lies between two samples that
are. A counter that cannot be read proves nothing: the state alone decides. Its run time waits, up to two hours and as
long as the state stays, for the pieces.

Booking walks from edge to edge (minute, calendar slice) and fills one cell per minute x shift x product; a cell
leaves when the walk goes on beyond it. Breaks and unscheduled time leave planned production time unless counts prove
production there, so that t3 moves time between RUN and UNASSIGNED and nothing else: PPT and FPT do not depend on it.
Pieces belong to the interval that their reading ends: seen exactly on an edge, they were made before it, and so they
go, with what is said of them, into the cell of the nanosecond before the reading. Pieces counted while nobody could
look (RECOVERED) are spread over all that is scheduled of the time since the counter was read before (over its breaks
where nothing is, over all of it where it has neither) by largest remainder, each counter's for itself; what no counter
says is derived in each stretch, as it is in each sample. The time is what it was without them.
Where the PLC adds up its own state times, they tell what a silence was (repair.pxd).

Where the product changes, what was counted by then was made of the old one, and so are the pieces of its `flush`: the
work in process that comes out after the change. Time is the new product's at once.

Rules. Integers only. The buckets of a cell sum to the time booked into it, to the nanosecond; no time is booked twice
(time never runs backwards here: an earlier sample moves counts, not time). O(1) state per machine; output rows are
drained by the caller. The inner loop holds no Python object and no GIL. Stream, batch, replay and peek are one code
path. What can fail is asked before anything moves: a sample refused for its values or for the calendar's end has
changed nothing and may be pushed again.

Where things are. ledger.pxd: the structures. counters.pxd: what a register says. pieces.pxd: credits into cells.
booking.pxd: time into a cell. walk.pxd: time and waiting pieces from cell to cell. repair.pxd: silences that the PLC
can tell of. gaps.pxd: what the time was, and one sample from end to end. plain.pxd: the same for a sample that says
nothing new. Here: the face for Python.
"""

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize

from ext.booking cimport covers, flush_cell
from ext.counters cimport CounterRule, CounterState
from ext.gaps cimport broken, conclude, is_possible
from ext.ledger cimport *
from ext.plain cimport pass_samples
from ext.repair cimport note

from ext.rates import pace

CELL_FIELDS = (
    "minute_ns", "shift_id", "product",
    "run", "breakdown", "internal_minor", "setup", "startup", "external_starved", "external_blocked", "no_order",
    "planned_stop", "maintenance", "manual", "unassigned", "unknown", "not_scheduled",
    "ppt_ns", "rt_ns", "nrt_ns", "fpt_ns", "unknown_ns", "tc", "gc", "sc",
    "unscheduled_tc", "unscheduled_gc", "unscheduled_sc", "unscheduled_run_ns", "unscheduled_fpt_ns",
    "slow_ns", "small_ns", "conflict_ns", "recovered", "estimated",
    "resets", "rollovers", "glitches", "lost_max", "repaired_ns", "flags",
)
SAMPLE_FIELDS = ("t_ns", "elapsed_ns", "bucket", "fault_code", "product", "mask", "total", "good", "reject")


# ---- samples, one or many --------------------------------------------------------------------------------------------

cdef void tell(Ledger* m, const int64_t* sample, Py_ssize_t n, const int64_t* notes, Py_ssize_t n_notes) noexcept nogil:
    """Samples, already checked, and notes, each before the first sample that is not earlier. Where memory runs out, it
    goes on without writing rows, and `broken` says so.
    """
    cdef const int64_t* end = sample + n * N_SAMPLE
    cdef const int64_t* until
    while True:
        until = end if n_notes == 0 else sample
        while until < end and until[I_T] < notes[0]:
            until += N_SAMPLE
        pass_samples(m, sample, until)
        if n_notes == 0:
            return
        note(m, notes)
        notes += 2 + m.times.count
        n_notes -= 1
        sample = until


# ---- the face for Python ---------------------------------------------------------------------------------------------

cdef list drain(Rows* rows):
    cdef Py_ssize_t i, k
    out = [tuple([rows.data[i * rows.width + k] for k in range(rows.width)]) for i in range(rows.count)]
    rows.count = 0
    return out


cdef class MachineLedger:
    """The ledger of one machine.

    hold_ns: how long a state is believed after its last reading.
    counters: (Counter number, modulus, highest rate in counts per second, pieces per count, and optionally how
    uncertain the time of a reading is, ns) of each counter the machine has.
    products: (ideal cycle, t1, t2, t3) in ns of each product; `product` in samples is an index into them.
    flush: (pieces, ns) per product: work in process that is counted after a change to another product. Both limits
    hold, 0 is none; both 0 (the default): nothing is.
    multipliers: (total, good, reject) per product: pieces per count of the counters with this product, where they are
    not the counter's own (0). The highest rate in pieces stays.
    times: (Bucket, modulus, unit in ns, and optionally how uncertain the time of a reading is, ns) of each of the PLC's
    accumulators of time, up to 24, as `note_times` will tell them. Several may belong to one bucket.

    All times are UTC ns, all durations ns. Raises ValueError for impossible rules and samples and LookupError where the
    calendar given by `set_calendar` does not reach from `booked_ns` to the sample: nothing has changed then, and the
    call may be repeated. Raises MemoryError where rows could not be written: this ledger is of no more use, go on from
    its last checkpoint.
    """

    cdef Ledger m
    cdef Py_buffer[4] kept      # the columns of the calendar: a memoryview object each would be twice the ledger
    cdef int n_kept

    def __cinit__(self, int64_t hold_ns, counters, products, *, flush=(), multipliers=(), times=()):
        memset(&self.m, 0, sizeof(Ledger))
        self.m.cells.width = N_CELL
        self.m.stops.width = 4
        self.m.corrections.width = 8
        if hold_ns <= 0:
            raise ValueError(f"hold_ns must be positive, got {hold_ns}")
        self.m.rule.hold_ns = hold_ns
        self.m.s.open_bucket = B_NONE
        self._set_products(products)
        self._set_counters(counters, multipliers or ((0, 0, 0),) * len(products))
        self._set_flush(flush or ((0, 0),) * len(products))
        if times:
            self._set_times(times)

    def __dealloc__(self):
        self._let_go()
        free(self.m.rule.products)
        free(self.m.times)
        free(self.m.cells.data)
        free(self.m.stops.data)
        free(self.m.corrections.data)

    cdef _set_products(self, products):
        cdef Product* rule
        if not 0 < len(products) <= MAX_PRODUCTS:
            raise ValueError(f"1 to {MAX_PRODUCTS} products, got {len(products)}")
        self.m.rule.products = <Product*> calloc(<size_t> len(products), sizeof(Product))
        if self.m.rule.products == NULL:
            raise MemoryError
        self.m.rule.n_products = <int32_t> len(products)
        for index, (ideal, slow, small, stop) in enumerate(products):
            if not 0 < ideal <= slow <= small <= stop:
                rules = (ideal, slow, small, stop)
                raise ValueError(f"product {index}: 0 < ideal <= t1 <= t2 <= t3 must hold, got {rules}")
            rule = &self.m.rule.products[<int> index]
            rule.ideal_ns, rule.slow_ns, rule.small_ns, rule.stop_ns = ideal, slow, small, stop
            rule.plain_ns = self.m.rule.hold_ns

    cdef _set_counters(self, counters, multipliers):
        cdef CounterRule* rule
        cdef int p, c
        if len(multipliers) != self.m.rule.n_products:
            raise ValueError(f"{len(multipliers)} rows of multipliers for {self.m.rule.n_products} products")
        for number, modulus, rate_per_s, multiplier, *slack in counters:
            if not 0 <= number < N_COUNTER:
                raise ValueError(f"no such counter: {number}")
            if self.m.rule.counters & (1 << <int> number):
                raise ValueError(f"two rules for counter {number}")
            c = number
            for p in range(self.m.rule.n_products):
                own = pace(modulus, rate_per_s, multiplier, slack[0] if slack else 0, multipliers[p][c])
                rule = &self.m.rule.products[p].counters[c]
                rule.modulus, rule.multiplier, rule.rate = own.modulus, own.multiplier, own.rate
                rule.scale_ns, rule.wrap_ns, rule.slack_ns = own.scale_ns, own.wrap_ns, own.slack_ns
                plain_ns = min(self.m.rule.products[p].plain_ns, own.wrap_ns - own.slack_ns - 1)
                self.m.rule.products[p].plain_ns = max(plain_ns, 0)
            self.m.rule.counters |= 1 << c
        if self.m.rule.counters == HAS_R:
            raise ValueError("a reject counter alone says nothing of the output: a total or good counter is needed")
        self.m.rule.output = HAS_T if self.m.rule.counters & HAS_T else self.m.rule.counters & HAS_G

    cdef _set_flush(self, flush):
        if len(flush) != self.m.rule.n_products:
            raise ValueError(f"{len(flush)} flush rules for {self.m.rule.n_products} products")
        for index, (pieces, ns) in enumerate(flush):
            if not (0 <= pieces < FOREVER and 0 <= ns <= ELAPSED_LIMIT):
                raise ValueError(f"product {index}: impossible flush {(pieces, ns)}")
            self.m.rule.products[<int> index].flush_pieces = pieces
            self.m.rule.products[<int> index].flush_ns = ns

    cdef _set_times(self, times):
        cdef TimeRule* rule
        if len(times) > MAX_TIMES:
            raise ValueError(f"at most {MAX_TIMES} accumulators, got {len(times)}")
        self.m.times = <Times*> calloc(1, sizeof(Times))
        if self.m.times == NULL:
            raise MemoryError
        self.m.times.count = len(times)
        for index, (bucket, modulus, unit_ns, *slack) in enumerate(times):
            slack_ns = slack[0] if slack else 0
            if (not 0 <= bucket < B_NOT_SCHEDULED or modulus < 2 or not 0 < unit_ns <= 86_400_000_000_000
                    or not 0 <= slack_ns <= 86_400_000_000_000):
                raise ValueError(f"impossible accumulator {(bucket, modulus, unit_ns, slack_ns)}")
            rule = &self.m.times.rule[<int> index]
            rule.bucket, rule.modulus, rule.unit_ns, rule.slack_ns = bucket, modulus, unit_ns, slack_ns

    def set_calendar(self, start, end, kind, shift):
        """Contiguous slices (start, end, Schedule number, shift id) that cover `booked_ns` and every sample to come,
        as far as known: four buffers of int64, which are kept and not copied, since many machines share a calendar.
        """
        cdef const int64_t[::1] starts = start, ends = end, kinds = kind, shifts = shift
        cdef Py_ssize_t i, n = starts.shape[0]
        if n == 0 or ends.shape[0] != n or kinds.shape[0] != n or shifts.shape[0] != n:
            raise ValueError("a calendar is four arrays of one length, at least 1")
        for i in range(n):
            if ends[i] <= starts[i] or (i > 0 and starts[i] != ends[i - 1]) or not 0 <= kinds[i] <= 2:
                raise ValueError(f"calendar slice {i} is empty, not contiguous or of no known kind")
        self._let_go()
        for column in (start, end, kind, shift):
            PyObject_GetBuffer(column, &self.kept[self.n_kept], PyBUF_SIMPLE)
            self.n_kept += 1
        self.m.calendar.start, self.m.calendar.end = &starts[0], &ends[0]
        self.m.calendar.kind, self.m.calendar.shift = &kinds[0], &shifts[0]
        self.m.calendar.count, self.m.calendar.at = n, 0
        self.m.open.until_ns = self.m.open.from_ns
        self.m.calm_until_ns = 0

    cdef _let_go(self):
        """The columns of the calendar may change again; the kernel has none."""
        self.m.calendar.count = 0
        while self.n_kept:
            self.n_kept -= 1
            PyBuffer_Release(&self.kept[self.n_kept])

    cdef _refuse(self, const int64_t* sample):
        """Say what is impossible about a sample that is."""
        if not B_NONE <= sample[I_BUCKET] < B_NOT_SCHEDULED:
            raise ValueError(f"no state of a machine: bucket {sample[I_BUCKET]}")
        if not 0 <= sample[I_PRODUCT] < self.m.rule.n_products:
            raise ValueError(f"no such product: {sample[I_PRODUCT]}")
        if not 0 <= sample[I_MASK] < 2 * EPOCH:
            raise ValueError(f"no such counters: mask {sample[I_MASK]}")
        if sample[I_T] <= 0:
            raise ValueError(f"not a time: {sample[I_T]}")
        raise ValueError(f"no elapsed time: {sample[I_ELAPSED]} ns")

    cdef int _cover(self, int64_t from_ns, int64_t last_ns) except -1:
        if not covers(&self.m, from_ns, last_ns):
            raise LookupError(f"the calendar does not reach from {from_ns} to {last_ns}: set_calendar, then repeat")
        return 0

    def push(self, int64_t t_ns, int64_t elapsed_ns, int64_t bucket, int64_t fault_code, int64_t product, int64_t mask,
             int64_t total=0, int64_t good=0, int64_t reject=0):
        """One sample; fields as SAMPLE_FIELDS.

        bucket: -1, the machine has no state signal; UNKNOWN, it could not be read now. mask: bit per Counter that was
        read well; bit 3: the PLC restarted since the last sample. elapsed_ns: monotonic time since the last sample,
        negative where it is not known. A sample in which nothing could be read changes nothing and need not be pushed.
        """
        cdef int64_t[N_SAMPLE] sample
        sample[I_T], sample[I_ELAPSED], sample[I_BUCKET], sample[I_FAULT] = t_ns, elapsed_ns, bucket, fault_code
        sample[I_PRODUCT], sample[I_MASK] = product, mask
        sample[I_COUNTER], sample[I_COUNTER + 1], sample[I_COUNTER + 2] = total, good, reject
        if not is_possible(&self.m.rule, &sample[0]):
            self._refuse(&sample[0])
        if self.m.s.started:
            self._cover(self.m.s.booked_ns, max(t_ns, self.m.s.t_ns))
        else:
            self._cover(t_ns, t_ns)
        tell(&self.m, &sample[0], 1, NULL, 0)
        if broken(&self.m):
            raise MemoryError

    cdef _must_have_times(self, Py_ssize_t width):
        if self.m.times == NULL:
            raise ValueError("this machine has no accumulators of time")
        if width != self.m.times.count:
            raise ValueError(f"{self.m.times.count} accumulators, got {width} values")

    def note_times(self, int64_t t_ns, int64_t mask, const int64_t[::1] values):
        """The PLC's accumulators of time as read at `t_ns`, raw; call it before the `push` of the same time.

        mask: bit per accumulator that was read well. A silence is repaired where they were read with the last sample
        before it (at most `hold` earlier) and again before the sample that ends it.
        """
        cdef int64_t[2 + MAX_TIMES] row
        cdef Py_ssize_t i
        self._must_have_times(values.shape[0])
        if t_ns <= 0:
            raise ValueError(f"not a time: {t_ns}")
        row[0], row[1] = t_ns, mask
        for i in range(values.shape[0]):
            row[2 + i] = values[i]
        note(&self.m, &row[0])

    def run(self, const int64_t[:, ::1] samples, const int64_t[:, ::1] notes=None):
        """Many samples, rows as SAMPLE_FIELDS, in time order: all or, where one is refused, none. Same code path as
        `push`, without the GIL.

        notes: what `note_times` is told, rows of time, mask and values, in time order; each is told before the first
        sample that is not earlier.
        """
        cdef Py_ssize_t i, n = samples.shape[0], n_notes = 0
        cdef int64_t last_ns
        cdef const int64_t* row
        cdef const int64_t* told = NULL
        if samples.shape[1] != N_SAMPLE:
            raise ValueError(f"rows of {N_SAMPLE} numbers, got {samples.shape[1]}")
        if notes is not None:
            self._must_have_times(notes.shape[1] - 2)
            n_notes = notes.shape[0]
        if n_notes > 0:
            told = &notes[0, 0]
        if n == 0:
            return
        row = &samples[0, 0]
        last_ns = self.m.s.t_ns if self.m.s.started else row[I_T]
        for i in range(n):
            if not is_possible(&self.m.rule, row + i * N_SAMPLE):
                self._refuse(row + i * N_SAMPLE)
            last_ns = max(last_ns, row[i * N_SAMPLE + I_T])
        self._cover(self.m.s.booked_ns if self.m.s.started else row[I_T], last_ns)
        with nogil:
            tell(&self.m, row, n, told, n_notes)
        if broken(&self.m):
            raise MemoryError

    def peek(self, int64_t t_ns, int64_t since_ns=0):
        """The ledger at `t_ns` if nothing more came: cells that `cells()` would hand out, from minute `since_ns` on.

        Changes nothing. Returns (cells, bucket, in this bucket since, fault code); bucket -1: nothing is booked yet.
        Drain first: finished cells that wait in `cells()` are not repeated.
        """
        cdef Ledger copy = self.m
        cdef Py_ssize_t i, k
        cdef int64_t* row
        if self.m.s.started and t_ns > self.m.s.booked_ns:
            self._cover(self.m.s.booked_ns, t_ns - 1)
        memset(&copy.cells, 0, sizeof(Rows))
        copy.cells.width = N_CELL
        copy.quiet = 1
        try:
            if copy.s.started:
                conclude(&copy, t_ns)
            flush_cell(&copy)
            if copy.cells.failed:
                raise MemoryError
            found = []
            for i in range(copy.cells.count):
                row = copy.cells.data + i * N_CELL
                if row[K_MINUTE] >= since_ns:
                    found.append(tuple([row[k] for k in range(N_CELL)]))
        finally:
            free(copy.cells.data)
        return found, copy.s.open_bucket, copy.s.open_since_ns, copy.s.open_fault

    def finish(self, int64_t t_ns):
        """Nothing more will come: what `peek` would show at `t_ns` is so. Returns (bucket, since, fault code) of what
        is still going on then; drain afterwards.
        """
        if self.m.s.started:
            if t_ns > self.m.s.booked_ns:
                self._cover(self.m.s.booked_ns, t_ns - 1)
            conclude(&self.m, t_ns)
            flush_cell(&self.m)
        if broken(&self.m):
            raise MemoryError
        return self.m.s.open_bucket, self.m.s.open_since_ns, self.m.s.open_fault

    def cells(self):
        """Finished cells since the last call: tuples as CELL_FIELDS. One minute x shift x product may come in
        several cells; they add up.
        """
        return drain(&self.m.cells)

    def stops(self):
        """Ended stops since the last call: (start_ns, end_ns, Bucket, fault code)."""
        return drain(&self.m.stops)

    def corrections(self):
        """Counter corrections since the last call: (t_ns, Counter, Correction, old, new, credited, lost_max,
        unattributed), in pieces from `credited` on.
        """
        return drain(&self.m.corrections)

    @property
    def started(self):
        """A first sample was seen: the counters have their baseline."""
        return self.m.s.started != 0

    @property
    def booked_ns(self):
        """Time is booked up to here. A minute that ended before is final, unless a later fact opens it again; one that
        ends here still gets what a reading at this very time shows.
        """
        return self.m.s.booked_ns

    @property
    def t_ns(self):
        """Time of the last sample, 0 = none."""
        return self.m.s.t_ns

    @property
    def made(self):
        """Pieces counted since the ledger began: (total, good, reject)."""
        return self.m.s.made[T], self.m.s.made[G], self.m.s.made[R]

    def dump(self):
        """A checkpoint: everything remembered, not the rules. Undrained rows are not part of it: drain first, commit
        together.
        """
        state = PyBytes_FromStringAndSize(<char*> &self.m.s, sizeof(State))
        if self.m.times == NULL:
            return state
        return state + PyBytes_FromStringAndSize(<char*> self.m.times, sizeof(Times))

    def load(self, bytes blob not None, renumber=()):
        """Continue from a checkpoint under the present rules. ValueError if it is not one of this version.

        The cell that was open comes out with the next `cells()`, under the numbers of the rules it was filled by.
        renumber: the product index now of each product index then; empty = the same.
        """
        cdef State saved
        cdef const char* data = blob
        cdef int c
        if len(blob) not in (sizeof(State), sizeof(State) + sizeof(Times)):
            raise ValueError(f"a checkpoint is {sizeof(State)} bytes, got {len(blob)}")
        memcpy(&saved, data, sizeof(State))
        if saved.version != CHECKPOINT_VERSION and saved.started:
            raise ValueError(f"checkpoint version {saved.version}, this build reads {CHECKPOINT_VERSION}")
        for c in range(N_COUNTER):
            if saved.counters[c].modulus != self.m.rule.products[0].counters[c].modulus:
                memset(&saved.counters[c], 0, sizeof(CounterState))    # another counter: its first sample is a baseline
        self.m.s = saved
        self.m.calm_until_ns = 0
        if len(blob) > sizeof(State):
            self._load_times(<const Times*> (data + sizeof(State)))
        flush_cell(&self.m)
        self.m.s.product = self._renumbered(saved.product, renumber)
        self.m.s.left_product = self._renumbered(saved.left_product, renumber)
        if broken(&self.m):
            raise MemoryError

    cdef int64_t _renumbered(self, int64_t product, renumber):
        if renumber:
            product = renumber[product]
        return product if 0 <= product < self.m.rule.n_products else 0

    cdef _load_times(self, const Times* saved):
        """Notes of other accumulators say nothing about these."""
        cdef Times* times = self.m.times
        cdef size_t rules = sizeof(TimeRule) * MAX_TIMES
        if times != NULL and times.count == saved.count and memcmp(&times.rule[0], &saved.rule[0], rules) == 0:
            times.base, times.newest = saved.base, saved.newest
