# cython: language_level=3
"""The ledger kernel: readings in, integer nanoseconds and pieces out.

Theory. Time is booked only when its class is known. Between `booked_ns` and the last sample lies the present gap:
time in which the state did not change and nothing was counted, since the anchor (the last count, or when the state
began). What ends it decides:

    a count, within t2         it was RUN; beyond t1 the excess over the ideal cycles is slow
    a count, within t3         it was RUN by the state; the excess is a small stop
    a count, after t3          as many ideal cycles as pieces were RUN, the rest an UNASSIGNED stop, whatever the run
                               bit says
    no count, t3 passes        the same, from now on booked as it passes: the first ideal cycle after a count was RUN
    a count while "stopped"    counts beat states: within t2 it was all RUN, beyond it the ideal cycles of the pieces
                               (state conflict, unless the state turned to RUN meanwhile); not so while people make
                               pieces by hand
    another state              it was what the state said
    silence longer than hold   the state is believed for `hold`, then nobody knows: UNKNOWN

Where several pieces come in one sample, all but the first were made between the last two samples; only the rest of
the gap may hide a stop. A state that cannot be read is the last one for `hold`; then counts alone decide; without
them nobody knows. A counter that cannot be read proves nothing: the state alone decides, and what it shows later is
RECOVERED.

Booking walks from edge to edge (minute, calendar slice) and fills one cell per minute x shift x product; a cell
leaves when the walk passes its end. Breaks and unscheduled time leave planned production time unless counts prove
production there, so that t3 moves time between RUN and UNASSIGNED and nothing else: PPT and FPT do not depend on it.
Pieces belong to the cell in which they were seen to be counted. Pieces counted across silence are spread over its
scheduled part (over its breaks where it has none, over all of it where it has neither) by largest remainder.

Rules. Integers only. The buckets of a cell sum to the time booked into it, to the nanosecond; no time is booked twice
(time never runs backwards here: an earlier sample moves counts, not time). O(1) state per machine; output rows are
drained by the caller. The inner loop holds no Python object and no GIL. Stream, batch, replay and peek are one code
path. What can fail is asked before anything moves: a sample refused for its values or for the calendar's end has
changed nothing and may be pushed again.
"""

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize

from ext.counters cimport (
    C_GLITCH,
    C_REBASE,
    C_RESET,
    F_ROLLOVER,
    CounterState,
    Step,
    counter_step,
)
from ext.ledger cimport *

cdef extern from *:
    """
    #define MINUTE 60000000000LL
    #define STEP_LIMIT 500000000LL
    #define ELAPSED_LIMIT 315360000000000000LL
    """
    const int64_t MINUTE
    const int64_t STEP_LIMIT        # wall and monotonic time may differ by this much
    const int64_t ELAPSED_LIMIT     # ten years

cdef enum:
    T = 0
    G = 1
    R = 2
    HAS_T = 1
    HAS_G = 2
    HAS_R = 4
    EPOCH = 8

cdef enum:                      # ext.buckets.Flag, as numbers: Cython cannot check a shift in an enum for overflow
    F_CLOCK_STEP = 0x80
    F_STATE_CONFLICT = 0x100
    F_RECOVERED = 0x20
    F_ESTIMATED = 0x40
    F_QUALITY_ASSUMED = 0x2000
    F_BREAK_ASSUMED = 0x4000

CELL_FIELDS = (
    "minute_ns", "shift_id", "product",
    "run", "breakdown", "internal_minor", "setup", "startup", "external_starved", "external_blocked", "no_order",
    "planned_stop", "maintenance", "manual", "unassigned", "unknown", "not_scheduled",
    "ppt_ns", "rt_ns", "nrt_ns", "fpt_ns", "unknown_ns", "tc", "gc", "sc",
    "unscheduled_tc", "unscheduled_gc", "unscheduled_sc", "unscheduled_run_ns", "unscheduled_fpt_ns",
    "slow_ns", "small_ns", "conflict_ns", "recovered", "estimated",
    "resets", "rollovers", "glitches", "lost_max", "flags",
)
SAMPLE_FIELDS = ("t_ns", "elapsed_ns", "bucket", "fault_code", "product", "mask", "total", "good", "reject")


# ---- output rows -----------------------------------------------------------------------------------------------------

cdef inline int64_t* new_row(Rows* rows) noexcept nogil:
    cdef Py_ssize_t room
    cdef int64_t* data
    if rows.count == rows.room:
        room = 4 if rows.room == 0 else 2 * rows.room
        data = <int64_t*> realloc(rows.data, <size_t> (room * rows.width) * sizeof(int64_t))
        if data == NULL:
            rows.failed = 1
            return NULL
        rows.data = data
        rows.room = room
    rows.count += 1
    return rows.data + (rows.count - 1) * rows.width


cdef inline void put_stop(Ledger* m, int64_t end_ns) noexcept nogil:
    cdef int64_t* row
    if m.quiet or m.s.open_bucket == B_RUN or m.s.open_bucket == B_NONE:
        return
    row = new_row(&m.stops)
    if row != NULL:
        row[0], row[1], row[2], row[3] = m.s.open_since_ns, end_ns, m.s.open_bucket, m.s.open_fault


cdef inline void put_correction(Ledger* m, int64_t t_ns, int counter, Step* step) noexcept nogil:
    cdef int64_t* row
    if m.quiet:
        return
    row = new_row(&m.corrections)
    if row != NULL:
        row[0], row[1], row[2], row[3], row[4] = t_ns, counter, step.correction, step.old, step.new
        row[5] = step.credit * m.s.counters[counter].multiplier
        row[6] = step.lost_max * m.s.counters[counter].multiplier
        row[7] = step.unattributed * m.s.counters[counter].multiplier


# ---- calendar and cells ----------------------------------------------------------------------------------------------

cdef inline int64_t min64(int64_t a, int64_t b) noexcept nogil:
    return a if a < b else b


cdef inline bint covers(Ledger* m, int64_t from_ns, int64_t last_ns) noexcept nogil:
    """The calendar reaches from `from_ns` to `last_ns`. Asked once per sample, before anything moves; nothing below
    asks again.
    """
    cdef Calendar* c = &m.calendar
    return c.count > 0 and c.start[0] <= from_ns and last_ns < c.end[c.count - 1]


cdef inline void seek(Calendar* c, int64_t t_ns) noexcept nogil:
    """Make `at` the slice that holds t_ns."""
    while t_ns < c.start[c.at]:
        c.at -= 1
    while t_ns >= c.end[c.at]:
        c.at += 1


cdef inline void flush_cell(Ledger* m) noexcept nogil:
    cdef int64_t* row
    if m.s.has_cell:
        row = new_row(&m.cells)
        if row != NULL:
            memcpy(row, &m.s.cell[0], N_CELL * sizeof(int64_t))
        m.s.has_cell = 0


cdef inline void enter_cell(Ledger* m, int64_t t_ns) noexcept nogil:
    """Make the open cell the one that holds t_ns, with the present product."""
    cdef int64_t* cell = &m.s.cell[0]
    cdef int64_t shift
    seek(&m.calendar, t_ns)
    shift = m.calendar.shift[m.calendar.at]
    if m.s.has_cell:
        if 0 <= t_ns - cell[K_MINUTE] < MINUTE and cell[K_SHIFT] == shift and cell[K_PRODUCT] == m.s.product:
            return
        flush_cell(m)
    memset(cell, 0, N_CELL * sizeof(int64_t))
    cell[K_MINUTE] = t_ns - t_ns % MINUTE
    cell[K_SHIFT] = shift
    cell[K_PRODUCT] = m.s.product
    m.s.has_cell = 1


cdef inline void live_through(Ledger* m, int64_t bucket, int64_t from_ns) noexcept nogil:
    """The stretch from `from_ns` on is `bucket`: close the stop event before it if it was another."""
    if bucket != m.s.open_bucket:
        put_stop(m, from_ns)
        m.s.open_bucket = bucket
        m.s.open_since_ns = from_ns
        m.s.open_fault = m.s.fault if bucket == m.s.bucket or bucket == B_UNASSIGNED else 0


cdef inline int64_t scheduled_bucket(int64_t kind, int64_t bucket, bint proven) noexcept nogil:
    """The calendar's word: it yields to production that is proven, and to nothing else. Pieces that can only have been
    made in a break prove production at a time that is UNKNOWN.
    """
    if kind == S_SCHEDULED or (proven and (bucket == B_RUN or (kind == S_BREAK and bucket == B_UNKNOWN))):
        return bucket
    return B_PLANNED_STOP if kind == S_BREAK else B_NOT_SCHEDULED


cdef inline void book(Ledger* m, int64_t until_ns, int64_t bucket, bint proven) noexcept nogil:
    """Book everything from `booked_ns` to `until_ns` as `bucket`."""
    cdef int64_t minute_end, edge, ns, effective, kind
    cdef int64_t* cell = &m.s.cell[0]
    while m.s.booked_ns < until_ns:
        enter_cell(m, m.s.booked_ns)
        minute_end = cell[K_MINUTE] + MINUTE
        edge = min64(min64(minute_end, m.calendar.end[m.calendar.at]), until_ns)
        ns = edge - m.s.booked_ns
        kind = m.calendar.kind[m.calendar.at]
        effective = scheduled_bucket(kind, bucket, proven)
        live_through(m, effective, m.s.booked_ns)
        cell[K_BUCKET + effective] += ns
        if kind == S_SCHEDULED or (kind == S_BREAK and effective != B_PLANNED_STOP):
            cell[K_PPT] += ns
            if effective == B_RUN:
                cell[K_RT] += ns
                m.s.rt_ns += ns
            elif effective == B_UNKNOWN:
                cell[K_UNKNOWN] += ns
        elif effective == B_RUN:
            cell[K_URUN] += ns
        elif kind == S_BREAK and bucket == B_UNKNOWN:
            cell[K_FLAGS] |= F_BREAK_ASSUMED
        m.s.booked_ns = edge
        if edge == minute_end:
            flush_cell(m)       # everything before the minute of booked_ns has left


# ---- pieces ----------------------------------------------------------------------------------------------------------

cdef inline void add_pieces(Ledger* m, int64_t total, int64_t good, int64_t reject) noexcept nogil:
    """Pieces into the open cell; output outside the schedule is output, but not OEE."""
    cdef int64_t* cell = &m.s.cell[0]
    cdef int64_t ideal = m.rule.ideal_ns[m.s.product]
    if m.calendar.kind[m.calendar.at] == S_NOT_SCHEDULED:
        cell[K_UTC] += total
        cell[K_UGC] += good
        cell[K_USC] += reject
        cell[K_UFPT] += ideal * good
    else:
        cell[K_TC] += total
        cell[K_GC] += good
        cell[K_SC] += reject
        cell[K_NRT] += ideal * total
        cell[K_FPT] += ideal * good
    if m.rule.counters == HAS_T or m.rule.counters == HAS_G:
        cell[K_FLAGS] |= F_QUALITY_ASSUMED
    m.s.made[T] += total
    m.s.made[G] += good
    m.s.made[R] += reject


cdef inline int64_t carry(State* s, int64_t whole, int64_t part) noexcept nogil:
    """whole - part, never negative: what is counted ahead of its whole (a reject station before the counter) is
    carried on.
    """
    cdef int64_t rest = whole - part - s.deficit
    if rest < 0:
        s.deficit = -rest
        return 0
    s.deficit = 0
    return rest


cdef inline void derive(Ledger* m, int64_t* d) noexcept nogil:
    """From the counters the machine has, the three quantities. d: credited total, good, reject; in and out."""
    cdef int32_t has = m.rule.counters
    if has == (HAS_T | HAS_R):
        d[G] = carry(&m.s, d[T], d[R])
    elif has == (HAS_T | HAS_G):
        d[R] = carry(&m.s, d[T], d[G])
    elif has == (HAS_G | HAS_R):
        d[T] = d[G] + d[R]
    elif has == HAS_T:
        d[G] = d[T]
    elif has == HAS_G:
        d[T] = d[G]


cdef inline void decode_counter(Ledger* m, const int64_t* sample, int c, Credits* out) noexcept nogil:
    cdef CounterState* counter = &m.s.counters[c]
    cdef int64_t multiplier = counter.multiplier
    cdef int64_t unread_ns = m.s.virtual_ns - counter.at_ns
    cdef Step step
    counter_step(counter, m.s.virtual_ns, sample[I_COUNTER + c], (sample[I_MASK] & EPOCH) != 0, &step)
    out.pieces[c] = step.credit * multiplier
    if m.rule.output == (1 << c):
        out.evidence = out.pieces[c]
        if out.evidence > 0 and unread_ns > m.rule.hold_ns:
            out.blind = 1
            out.flags |= F_RECOVERED
    if step.correction:
        put_correction(m, sample[I_T], c, &step)
        out.flags |= step.flags
        out.resets += step.correction == C_RESET or step.correction == C_REBASE
        out.rollovers += (step.flags & F_ROLLOVER) != 0
        out.glitches += step.correction == C_GLITCH
        out.lost_max += step.lost_max * multiplier


cdef inline void decode_counters(Ledger* m, const int64_t* sample, Credits* out) noexcept nogil:
    """Credits of this sample in pieces; corrections go out as rows."""
    cdef int64_t read = m.rule.counters & sample[I_MASK]
    memset(out, 0, sizeof(Credits))
    if read & HAS_T:
        decode_counter(m, sample, T, out)
    if read & HAS_G:
        decode_counter(m, sample, G, out)
    if read & HAS_R:
        decode_counter(m, sample, R, out)
    if read:
        derive(m, &out.pieces[0])


cdef inline bint anything(Credits* c) noexcept nogil:
    return c.pieces[T] != 0 or c.pieces[G] != 0 or c.pieces[R] != 0


cdef inline void add_facts(Ledger* m, Credits* c) noexcept nogil:
    """Facts and doubts into the cell where booking stands."""
    cdef int64_t* cell = &m.s.cell[0]
    if c.flags or c.resets or c.lost_max:
        enter_cell(m, m.s.booked_ns)
        cell[K_RESETS] += c.resets
        cell[K_ROLLOVERS] += c.rollovers
        cell[K_GLITCHES] += c.glitches
        cell[K_LOST_MAX] += c.lost_max
        cell[K_FLAGS] |= c.flags


# ---- pieces counted across unobserved time ---------------------------------------------------------------------------

cdef extern from *:
    """
    /* floor(a * b / c) and the remainder: a week of nanoseconds times a million pieces passes 2^63. */
    static inline long long seamline_muldiv(long long a, long long b, long long c, long long *rest) {
        __int128 product = (__int128)a * (__int128)b;
        *rest = (long long)(product % c);
        return (long long)(product / c);
    }
    """
    long long muldiv "seamline_muldiv"(long long a, long long b, long long c, long long* rest) noexcept nogil

cdef struct Share:
    int64_t end_ns
    int64_t kind
    int64_t weight
    int64_t rest
    int64_t pieces[N_COUNTER]


cdef inline Py_ssize_t count_above(Share* shares, Py_ssize_t n, int64_t rest) noexcept nogil:
    cdef Py_ssize_t i, above = 0
    for i in range(n):
        above += shares[i].rest > rest
    return above


cdef inline void share_out(Share* shares, Py_ssize_t n, int64_t pieces, int which) noexcept nogil:
    """`pieces` in proportion to the weights, in whole pieces, by largest remainder (the earliest first among
    equals).
    """
    cdef Py_ssize_t i
    cdef int64_t total = 0, left = pieces, low = 0, high, middle
    cdef long long rest = 0
    for i in range(n):
        total += shares[i].weight
    for i in range(n):
        shares[i].pieces[which] = muldiv(pieces, shares[i].weight, total, &rest)
        shares[i].rest = rest
        left -= shares[i].pieces[which]
    high = total
    while low < high:        # the smallest remainder that may still get one of the pieces left
        middle = low + (high - low) // 2
        if count_above(shares, n, middle) <= left:
            high = middle
        else:
            low = middle + 1
    left -= count_above(shares, n, low)
    for i in range(n):
        if shares[i].rest > low:
            shares[i].pieces[which] += 1
        elif shares[i].rest == low and left > 0:
            shares[i].pieces[which] += 1
            left -= 1


cdef inline Py_ssize_t walk_shares(Ledger* m, int64_t until_ns, Share* shares) noexcept nogil:
    """The stretches between edges from `booked_ns` to `until_ns`, with their lengths as weights. NULL: only count
    them.
    """
    cdef Py_ssize_t n = 0
    cdef int64_t edge, from_ns = m.s.booked_ns
    while from_ns < until_ns:
        seek(&m.calendar, from_ns)
        edge = min64(min64(from_ns - from_ns % MINUTE + MINUTE, m.calendar.end[m.calendar.at]), until_ns)
        if shares != NULL:
            shares[n].end_ns = edge
            shares[n].kind = m.calendar.kind[m.calendar.at]
            shares[n].weight = edge - from_ns
        n += 1
        from_ns = edge
    return n


cdef inline int64_t weigh_best(Share* shares, Py_ssize_t n) noexcept nogil:
    """Only the best kind of time gets pieces: scheduled, else breaks, else unscheduled. Which it is."""
    cdef Py_ssize_t i
    cdef int64_t best = S_NOT_SCHEDULED
    for i in range(n):
        best = min64(best, shares[i].kind)
    for i in range(n):
        if shares[i].kind != best:
            shares[i].weight = 0
    return best


cdef inline void share_credits(Share* shares, Py_ssize_t n, Credits* credits) noexcept nogil:
    """Totals by time; goods and rejects by totals, so that no stretch has more of them than pieces."""
    cdef Py_ssize_t i
    share_out(shares, n, credits.pieces[T], T)
    if credits.pieces[T] > 0:
        for i in range(n):
            shares[i].weight = shares[i].pieces[T]
    share_out(shares, n, credits.pieces[G], G)
    if credits.pieces[G] + credits.pieces[R] == credits.pieces[T]:
        for i in range(n):
            shares[i].pieces[R] = shares[i].pieces[T] - shares[i].pieces[G]
    else:
        share_out(shares, n, credits.pieces[R], R)


cdef inline void spread(Ledger* m, int64_t t_ns, Credits* credits) noexcept nogil:
    """Book [booked, t) as UNKNOWN and spread the pieces that were counted meanwhile over it."""
    cdef Py_ssize_t i, n = walk_shares(m, t_ns, NULL)
    cdef bint proven
    cdef Share* shares = <Share*> calloc(<size_t> n, sizeof(Share))
    if shares == NULL:
        m.cells.failed = 1
        return
    walk_shares(m, t_ns, shares)
    proven = weigh_best(shares, n) == S_BREAK and credits.evidence > 0
    share_credits(shares, n, credits)
    for i in range(n):
        if shares[i].pieces[T] or shares[i].pieces[G] or shares[i].pieces[R]:
            enter_cell(m, m.s.booked_ns)
            add_pieces(m, shares[i].pieces[T], shares[i].pieces[G], shares[i].pieces[R])
            m.s.cell[K_RECOVERED] += shares[i].pieces[T]
            m.s.cell[K_FLAGS] |= F_RECOVERED
            if n > 1:
                m.s.cell[K_ESTIMATED] += shares[i].pieces[T]
                m.s.cell[K_FLAGS] |= F_ESTIMATED
        book(m, shares[i].end_ns, B_UNKNOWN, proven)
    free(shares)


# ---- the present gap -------------------------------------------------------------------------------------------------

cdef inline bint is_run(int64_t bucket) noexcept nogil:
    return bucket == B_RUN or bucket == B_NONE


cdef inline bint same(int64_t a, int64_t b) noexcept nogil:
    """No change of state that could end a gap."""
    return a == b or (is_run(a) and is_run(b))


cdef inline bint by_hand(int64_t bucket) noexcept nogil:
    """Modes in which people make pieces: their counts prove nothing about the machine."""
    return bucket == B_MAINTENANCE or bucket == B_MANUAL


cdef inline int64_t patience(Ledger* m) noexcept nogil:
    """How long a gap may stay undecided, because a count may still say what it was."""
    if m.rule.output == 0 or by_hand(m.s.bucket) or m.s.bucket == B_UNKNOWN:
        return 0
    return m.rule.stop_ns[m.s.product] if is_run(m.s.bucket) else m.rule.small_ns[m.s.product]


cdef inline void anchor(Ledger* m, int64_t t_ns, bint by_count) noexcept nogil:
    m.s.anchor_ns = t_ns
    m.s.anchored_by_count = by_count
    m.s.anchor_rt_ns = m.s.rt_ns


cdef inline int64_t first_cycle(Ledger* m) noexcept nogil:
    """End of the cycle that followed the last count: it was run, whatever came after."""
    return m.s.anchor_ns + (m.rule.ideal_ns[m.s.product] if m.s.anchored_by_count else 0)


cdef inline void settle(Ledger* m, int64_t until_ns) noexcept nogil:
    """Book the gap up to `until_ns` as what it is if no count ends it."""
    if not is_run(m.s.bucket):
        book(m, until_ns, m.s.bucket, False)
    elif m.rule.output == 0:
        book(m, until_ns, B_RUN, True)
    else:
        book(m, min64(first_cycle(m), until_ns), B_RUN, True)
        book(m, until_ns, B_RUN if until_ns - m.s.anchor_ns <= patience(m) else B_UNASSIGNED, False)


cdef inline void settle_believed(Ledger* m, int64_t until_ns) noexcept nogil:
    """The same where the state has not been heard of since: it is believed for `hold`, then nobody knows."""
    settle(m, min64(m.s.heard_ns + m.rule.hold_ns, until_ns))
    book(m, until_ns, B_UNKNOWN, False)


cdef inline void end_run_gap(Ledger* m, int64_t t_ns, int64_t pieces, int64_t* slow, int64_t* small) noexcept nogil:
    """A count ends a gap in which the machine was running, or said nothing of its state."""
    cdef int64_t product = m.s.product
    cdef int64_t ideal = m.rule.ideal_ns[product]
    cdef int64_t gap = t_ns - m.s.anchor_ns
    cdef int64_t since_last = t_ns - m.s.t_ns
    cdef int64_t idle = gap - min64((pieces - 1) * ideal, since_last)
    cdef int64_t tail, lost
    if idle <= m.rule.small_ns[product]:
        book(m, t_ns, B_RUN, True)
    else:
        tail = min64((pieces - m.s.anchored_by_count) * ideal, since_last)
        book(m, min64(first_cycle(m), t_ns - tail), B_RUN, True)
        book(m, t_ns - tail, B_RUN if idle <= m.rule.stop_ns[product] else B_UNASSIGNED, False)
        book(m, t_ns, B_RUN, True)
    lost = m.s.rt_ns - m.s.anchor_rt_ns - pieces * ideal
    if lost > 0 and idle > m.rule.small_ns[product]:
        small[0] = lost
    elif lost > 0 and gap > pieces * m.rule.slow_ns[product]:
        slow[0] = lost


cdef inline void end_stop_gap(Ledger* m, int64_t t_ns, int64_t pieces, int64_t now, int64_t* conflict) noexcept nogil:
    """A count although the machine said it stood, or nobody knew what it did."""
    cdef int64_t cycles = pieces * m.rule.ideal_ns[m.s.product]
    cdef int64_t idle = t_ns - m.s.anchor_ns - min64(cycles - m.rule.ideal_ns[m.s.product], t_ns - m.s.t_ns)
    cdef int64_t run = t_ns - m.s.booked_ns
    if by_hand(m.s.bucket):
        book(m, t_ns, m.s.bucket, False)
        return
    if is_run(now) or m.s.bucket == B_UNKNOWN:
        run = min64(cycles, run)
    else:
        if idle > m.rule.small_ns[m.s.product]:
            run = min64(cycles, run)
        conflict[0] = run
    book(m, t_ns - run, m.s.bucket, False)
    book(m, t_ns, B_RUN, True)


cdef inline void pass_silence(Ledger* m, int64_t t_ns, Credits* credits) noexcept nogil:
    """Longer than `hold` without a sample."""
    if anything(credits):
        settle(m, min64(m.s.heard_ns + m.rule.hold_ns, t_ns))
        spread(m, t_ns, credits)
    else:
        settle_believed(m, t_ns)
    anchor(m, t_ns, False)


cdef inline void pass_counted(Ledger* m, int64_t t_ns, int64_t now, Credits* credits) noexcept nogil:
    """Something was counted since the last sample: the gap is decided, everything up to t is booked."""
    cdef int64_t slow = 0, small = 0, conflict = 0
    cdef int64_t* cell = &m.s.cell[0]
    if credits.evidence <= 0:
        if now == B_UNKNOWN:
            settle_believed(m, t_ns)
        else:
            settle(m, t_ns)
    elif is_run(m.s.bucket):
        end_run_gap(m, t_ns, credits.evidence, &slow, &small)
    else:
        end_stop_gap(m, t_ns, credits.evidence, now, &conflict)
    enter_cell(m, t_ns)
    add_pieces(m, credits.pieces[T], credits.pieces[G], credits.pieces[R])
    cell[K_SLOW] += slow
    cell[K_SMALL] += small
    if credits.blind:
        cell[K_RECOVERED] += credits.pieces[T]
    if conflict:
        cell[K_CONFLICT] += conflict
        cell[K_FLAGS] |= F_STATE_CONFLICT
    if credits.evidence > 0 or not same(now, m.s.bucket):
        anchor(m, t_ns, credits.evidence > 0)


cdef inline void pass_uncounted(Ledger* m, int64_t t_ns, int64_t now, bint readable) noexcept nogil:
    """Nothing was counted. The gap goes on, unless the state changed, or it is decided without a count."""
    if not same(now, m.s.bucket):
        if now == B_UNKNOWN:
            settle_believed(m, t_ns)
        else:
            settle(m, t_ns)
        anchor(m, t_ns, False)
    elif not readable and is_run(m.s.bucket) and m.rule.output:
        if t_ns - m.s.read_ns > m.rule.hold_ns:     # the counter is blind, the state is not
            settle(m, m.s.read_ns)
            book(m, t_ns, B_RUN, False)
            anchor(m, t_ns, False)
    elif t_ns - m.s.anchor_ns > patience(m):
        settle(m, t_ns)


# ---- one sample ------------------------------------------------------------------------------------------------------

cdef inline int64_t believed(Ledger* m, int64_t t_ns, int64_t said, bint readable) noexcept nogil:
    """What the machine does from now on. A state that cannot be read is the last one for `hold`, then counts alone
    decide.
    """
    if said != B_UNKNOWN and (said != B_NONE or readable):
        m.s.heard_ns = t_ns
        return said
    if t_ns - m.s.heard_ns <= m.rule.hold_ns:
        return m.s.bucket
    if readable:
        m.s.heard_ns = t_ns
        return B_NONE
    return B_UNKNOWN


cdef inline void start(Ledger* m, const int64_t* sample, bint readable) noexcept nogil:
    cdef Credits baseline
    cdef int64_t t_ns = sample[I_T]
    m.s.version = CHECKPOINT_VERSION
    m.s.started = 1
    m.s.t_ns = m.s.booked_ns = m.s.open_since_ns = m.s.read_ns = t_ns
    m.s.heard_ns = t_ns - m.rule.hold_ns - 1      # nothing was heard before
    m.s.open_bucket = B_NONE
    m.s.bucket = believed(m, t_ns, sample[I_BUCKET], readable)
    m.s.fault = sample[I_FAULT]
    m.s.product = sample[I_PRODUCT]
    anchor(m, t_ns, False)
    decode_counters(m, sample, &baseline)


cdef inline void step(Ledger* m, const int64_t* sample) noexcept nogil:
    """One sample, already checked. The calendar reaches from booked_ns to it."""
    cdef int64_t t_ns = sample[I_T]
    cdef int64_t now, elapsed, wall
    cdef bint readable = (sample[I_MASK] & m.rule.output) != 0
    cdef Credits credits
    if not m.s.started:
        start(m, sample, readable)
        return
    wall = t_ns - m.s.t_ns
    elapsed = sample[I_ELAPSED] if sample[I_ELAPSED] >= 0 else (wall if wall > 0 else 0)
    m.s.virtual_ns += elapsed
    if wall < 0:
        t_ns = m.s.t_ns        # the wall clock went back: that time is booked already; pieces still count
    decode_counters(m, sample, &credits)
    if wall - elapsed > STEP_LIMIT or elapsed - wall > STEP_LIMIT:
        credits.flags |= F_CLOCK_STEP
    if t_ns - m.s.t_ns > m.rule.hold_ns:
        pass_silence(m, t_ns, &credits)
        now = believed(m, t_ns, sample[I_BUCKET], readable)
    else:
        now = believed(m, t_ns, sample[I_BUCKET], readable)
        if anything(&credits):
            pass_counted(m, t_ns, now, &credits)
        else:
            pass_uncounted(m, t_ns, now, readable)
    add_facts(m, &credits)
    if sample[I_PRODUCT] != m.s.product:
        settle(m, t_ns)
        m.s.product = sample[I_PRODUCT]
        anchor(m, t_ns, False)
    if now != m.s.bucket or m.s.fault == 0:
        m.s.fault = sample[I_FAULT]      # first-out: the first code of a state stays
    if m.s.open_fault == 0 and m.s.open_bucket == now:
        m.s.open_fault = m.s.fault
    m.s.bucket = now
    m.s.t_ns = t_ns
    if readable:
        m.s.read_ns = t_ns


cdef inline bint is_possible(Rule* rule, const int64_t* sample) noexcept nogil:
    return (
        B_NONE <= sample[I_BUCKET] < B_NOT_SCHEDULED
        and 0 <= sample[I_PRODUCT] < rule.n_products
        and 0 <= sample[I_MASK] < 2 * EPOCH
        and sample[I_T] > 0
        and sample[I_ELAPSED] <= ELAPSED_LIMIT
    )


cdef inline bint broken(Ledger* m) noexcept nogil:
    """Memory ran out while rows were written: they are incomplete, and so is everything after."""
    return m.cells.failed or m.stops.failed or m.corrections.failed


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

    All times are UTC ns, all durations ns. Raises ValueError for impossible rules and samples and LookupError where the
    calendar given by `set_calendar` does not reach from `booked_ns` to the sample: nothing has changed then, and the
    call may be repeated. Raises MemoryError where rows could not be written: this ledger is of no more use, go on from
    its last checkpoint.
    """

    cdef Ledger m
    cdef object calendar_arrays

    def __cinit__(self, int64_t hold_ns, counters, products):
        memset(&self.m, 0, sizeof(Ledger))
        self.m.cells.width = N_CELL
        self.m.stops.width = 4
        self.m.corrections.width = 8
        if hold_ns <= 0:
            raise ValueError(f"hold_ns must be positive, got {hold_ns}")
        self.m.rule.hold_ns = hold_ns
        self._set_counters(counters)
        self._set_products(products)

    def __dealloc__(self):
        free(self.m.cells.data)
        free(self.m.stops.data)
        free(self.m.corrections.data)

    cdef _set_counters(self, counters):
        cdef CounterState* c
        for number, modulus, rate_per_s, multiplier, *slack in counters:
            slack_ns = slack[0] if slack else 0
            if (not 0 <= number < N_COUNTER or modulus < 2 or not 0.0 < rate_per_s < 1e12 or multiplier < 1
                    or not 0 <= slack_ns <= 86_400_000_000_000):
                raise ValueError(f"impossible counter rule {(number, modulus, rate_per_s, multiplier, slack_ns)}")
            if self.m.rule.counters & (1 << <int> number):
                raise ValueError(f"two rules for counter {number}")
            c = &self.m.s.counters[<int> number]
            c.modulus, c.rate_per_s, c.multiplier, c.slack_ns = modulus, rate_per_s, multiplier, slack_ns
            self.m.rule.counters |= 1 << <int> number
        if self.m.rule.counters == HAS_R:
            raise ValueError("a reject counter alone says nothing of the output: a total or good counter is needed")
        self.m.rule.output = HAS_T if self.m.rule.counters & HAS_T else self.m.rule.counters & HAS_G

    cdef _set_products(self, products):
        if not 0 < len(products) <= MAX_PRODUCTS:
            raise ValueError(f"1 to {MAX_PRODUCTS} products, got {len(products)}")
        for index, (ideal, slow, small, stop) in enumerate(products):
            if not 0 < ideal <= slow <= small <= stop:
                rule = (ideal, slow, small, stop)
                raise ValueError(f"product {index}: 0 < ideal <= t1 <= t2 <= t3 must hold, got {rule}")
            self.m.rule.ideal_ns[<int> index] = ideal
            self.m.rule.slow_ns[<int> index] = slow
            self.m.rule.small_ns[<int> index] = small
            self.m.rule.stop_ns[<int> index] = stop
        self.m.rule.n_products = <int32_t> len(products)

    def set_calendar(self, const int64_t[::1] start, const int64_t[::1] end, const int64_t[::1] kind,
                     const int64_t[::1] shift):
        """Contiguous slices (start, end, Schedule number, shift id) that cover `booked_ns` and every sample to come,
        as far as known.
        """
        cdef Py_ssize_t i, n = start.shape[0]
        if n == 0 or end.shape[0] != n or kind.shape[0] != n or shift.shape[0] != n:
            raise ValueError("a calendar is four arrays of one length, at least 1")
        for i in range(n):
            if end[i] <= start[i] or (i > 0 and start[i] != end[i - 1]) or not 0 <= kind[i] <= 2:
                raise ValueError(f"calendar slice {i} is empty, not contiguous or of no known kind")
        self.calendar_arrays = (start, end, kind, shift)
        self.m.calendar.start, self.m.calendar.end = &start[0], &end[0]
        self.m.calendar.kind, self.m.calendar.shift = &kind[0], &shift[0]
        self.m.calendar.count, self.m.calendar.at = n, 0

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
        negative where it is not known. A sample in which nothing could be read need not be pushed.
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
        step(&self.m, &sample[0])
        if broken(&self.m):
            raise MemoryError

    def run(self, const int64_t[:, ::1] samples):
        """Many samples, rows as SAMPLE_FIELDS, in time order: all or, where one is refused, none. Same code path as
        `push`, without the GIL.
        """
        cdef Py_ssize_t i, n = samples.shape[0]
        cdef int64_t last_ns
        if samples.shape[1] != N_SAMPLE:
            raise ValueError(f"rows of {N_SAMPLE} numbers, got {samples.shape[1]}")
        if n == 0:
            return
        last_ns = self.m.s.t_ns if self.m.s.started else samples[0, I_T]
        for i in range(n):
            if not is_possible(&self.m.rule, &samples[i, 0]):
                self._refuse(&samples[i, 0])
            last_ns = max(last_ns, samples[i, I_T])
        self._cover(self.m.s.booked_ns if self.m.s.started else samples[0, I_T], last_ns)
        with nogil:
            for i in range(n):
                step(&self.m, &samples[i, 0])
                if broken(&self.m):
                    break
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
                settle_believed(&copy, t_ns)
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
        """Everything before is final unless a later fact opens it again."""
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
        return PyBytes_FromStringAndSize(<char*> &self.m.s, sizeof(State))

    def load(self, bytes blob not None, renumber=()):
        """Continue from a checkpoint under the present rules. ValueError if it is not one of this version.

        The cell that was open comes out with the next `cells()`, under the numbers of the rules it was filled by.
        renumber: the product index now of each product index then; empty = the same.
        """
        cdef State saved
        cdef CounterState rule
        cdef int c
        if len(blob) != sizeof(State):
            raise ValueError(f"a checkpoint is {sizeof(State)} bytes, got {len(blob)}")
        memcpy(&saved, PyBytes_AsString(blob), sizeof(State))
        if saved.version != CHECKPOINT_VERSION and saved.started:
            raise ValueError(f"checkpoint version {saved.version}, this build reads {CHECKPOINT_VERSION}")
        for c in range(N_COUNTER):
            rule = self.m.s.counters[c]
            if saved.counters[c].modulus != rule.modulus:
                saved.counters[c] = rule          # another counter: its first sample is a new baseline
            saved.counters[c].rate_per_s = rule.rate_per_s
            saved.counters[c].multiplier = rule.multiplier
            saved.counters[c].slack_ns = rule.slack_ns
        self.m.s = saved
        flush_cell(&self.m)
        if renumber:
            self.m.s.product = renumber[saved.product]
        if not 0 <= self.m.s.product < self.m.rule.n_products:
            self.m.s.product = 0
        if broken(&self.m):
            raise MemoryError
