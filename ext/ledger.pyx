# cython: language_level=3
"""The ledger kernel: readings in, integer nanoseconds and pieces out.

Theory. Time is booked only when its class is known. Between `booked_ns` and the last sample lies the present gap: time in which
the state did not change and nothing was counted. What it was is decided by what ends it:

    a count, within t3         it was RUN; beyond t1 the excess over the ideal cycle is slow, beyond t2 a small stop
    a count, after t3          the first ideal cycle was RUN, the rest an UNASSIGNED stop, whatever the run bit says
    no count, t3 passes        the same, from now on booked as it passes
    a count while "stopped"    counts beat states: it was RUN (state conflict), unless the state turned to RUN meanwhile
    another state              it was what the state said
    silence longer than hold   the state is believed for `hold`, then nobody knows: UNKNOWN

Booking walks from edge to edge (minute, calendar slice) and fills one cell per minute x shift x product; a cell leaves when the walk
enters the next. Breaks and unscheduled time leave planned production time unless counts prove production. Pieces belong to the cell in
which they were seen to be counted; pieces counted across unobserved time are spread over its scheduled part by largest remainder.

Rules. Integers only. The buckets of a cell sum to the time booked into it, to the nanosecond; no time is booked twice (time never runs
backwards here: an earlier sample moves counts, not time). O(1) state per machine; output rows are drained by the caller. The inner loop
holds no Python object and no GIL. Stream, batch, replay and peek are one code path.
"""

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, realloc
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

cdef int64_t MINUTE = 60_000_000_000
cdef int64_t STEP_LIMIT = 500_000_000

cdef enum:
    T = 0
    G = 1
    R = 2
    HAS_T = 1
    HAS_G = 2
    HAS_R = 4
    EPOCH = 8

cdef enum:
    F_CLOCK_STEP = 1 << 7
    F_STATE_CONFLICT = 1 << 8
    F_RECOVERED = 1 << 5
    F_ESTIMATED = 1 << 6
    F_QUALITY_ASSUMED = 1 << 13

CELL_FIELDS = (
    "minute_ns", "shift_id", "product",
    "run", "breakdown", "internal_minor", "setup", "startup", "external_starved", "external_blocked", "no_order",
    "planned_stop", "maintenance", "manual", "unassigned", "unknown", "not_scheduled",
    "ppt_ns", "rt_ns", "nrt_ns", "fpt_ns", "unknown_ns", "tc", "gc", "sc", "unscheduled_tc", "unscheduled_gc", "unscheduled_sc",
    "unscheduled_run_ns", "unscheduled_fpt_ns", "slow_ns", "small_ns", "conflict_ns", "recovered", "estimated", "resets", "rollovers",
    "glitches", "lost_max", "flags",
)
SAMPLE_FIELDS = ("t_ns", "elapsed_ns", "bucket", "fault_code", "product", "mask", "total", "good", "reject")


# ---- output rows ---------------------------------------------------------------------------------------------------------------

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


# ---- calendar and cells --------------------------------------------------------------------------------------------------------

cdef inline int find_slice(Ledger* m, int64_t t_ns) noexcept nogil:
    """Make `calendar.at` the slice that holds t_ns; 0 where the calendar does not reach."""
    cdef Calendar* c = &m.calendar
    while c.at > 0 and t_ns < c.start[c.at]:
        c.at -= 1
    while c.at < c.count and t_ns >= c.end[c.at]:
        c.at += 1
    if c.at >= c.count or t_ns < c.start[c.at]:
        c.at = 0
        m.uncovered = 1
        return 0
    return 1


cdef inline void flush_cell(Ledger* m) noexcept nogil:
    cdef int64_t* row
    if m.s.has_cell:
        row = new_row(&m.cells)
        if row != NULL:
            memcpy(row, &m.s.cell[0], N_CELL * sizeof(int64_t))
        m.s.has_cell = 0


cdef inline int enter_cell(Ledger* m, int64_t t_ns) noexcept nogil:
    """Make the open cell the one that holds t_ns, with the present product."""
    cdef int64_t minute = t_ns - t_ns % MINUTE
    cdef int64_t shift
    if not find_slice(m, t_ns):
        return 0
    shift = m.calendar.shift[m.calendar.at]
    if m.s.has_cell and m.s.cell[K_MINUTE] == minute and m.s.cell[K_SHIFT] == shift and m.s.cell[K_PRODUCT] == m.s.product:
        return 1
    flush_cell(m)
    memset(&m.s.cell[0], 0, N_CELL * sizeof(int64_t))
    m.s.cell[K_MINUTE] = minute
    m.s.cell[K_SHIFT] = shift
    m.s.cell[K_PRODUCT] = m.s.product
    m.s.has_cell = 1
    return 1


cdef inline void live_through(Ledger* m, int64_t bucket, int64_t from_ns) noexcept nogil:
    """The stretch from `from_ns` on is `bucket`: close the stop event before it if it was another."""
    if bucket != m.s.open_bucket:
        put_stop(m, from_ns)
        m.s.open_bucket = bucket
        m.s.open_since_ns = from_ns
        m.s.open_fault = m.s.fault


cdef inline int64_t scheduled_bucket(int64_t kind, int64_t bucket, bint proven) noexcept nogil:
    """The calendar's word: it yields to production that is proven, and to nothing else."""
    if kind == S_SCHEDULED or (bucket == B_RUN and proven):
        return bucket
    return B_PLANNED_STOP if kind == S_BREAK else B_NOT_SCHEDULED


cdef inline int book(Ledger* m, int64_t until_ns, int64_t bucket, bint proven) noexcept nogil:
    """Book everything from `booked_ns` to `until_ns` as `bucket`. 0 where the calendar does not reach."""
    cdef int64_t edge, ns, effective, kind
    cdef int64_t* cell = &m.s.cell[0]
    while m.s.booked_ns < until_ns:
        if not enter_cell(m, m.s.booked_ns):
            return 0
        edge = cell[K_MINUTE] + MINUTE
        if m.calendar.end[m.calendar.at] < edge:
            edge = m.calendar.end[m.calendar.at]
        if until_ns < edge:
            edge = until_ns
        ns = edge - m.s.booked_ns
        kind = m.calendar.kind[m.calendar.at]
        effective = scheduled_bucket(kind, bucket, proven)
        live_through(m, effective, m.s.booked_ns)
        cell[K_BUCKET + effective] += ns
        if kind == S_SCHEDULED or (kind == S_BREAK and effective == B_RUN):
            cell[K_PPT] += ns
            if effective == B_RUN:
                cell[K_RT] += ns
            elif effective == B_UNKNOWN:
                cell[K_UNKNOWN] += ns
        elif effective == B_RUN:
            cell[K_URUN] += ns
        m.s.booked_ns = edge
    return 1


# ---- pieces --------------------------------------------------------------------------------------------------------------------

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
    m.s.made[T] += total
    m.s.made[G] += good
    m.s.made[R] += reject


cdef inline int64_t carry(State* s, int64_t whole, int64_t part) noexcept nogil:
    """whole - part, never negative: what is counted ahead of its whole (a reject station before the counter) is carried on."""
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


cdef inline void decode_counters(Ledger* m, const int64_t* sample, Credits* out) noexcept nogil:
    """Credits of this sample in pieces; corrections go out as rows."""
    cdef int c
    cdef int64_t multiplier
    cdef Step step
    memset(out, 0, sizeof(Credits))
    for c in range(N_COUNTER):
        if not (m.rule.counters & sample[I_MASK] & (1 << c)):
            continue
        counter_step(&m.s.counters[c], m.s.virtual_ns, sample[I_COUNTER + c], (sample[I_MASK] & EPOCH) != 0, &step)
        multiplier = m.s.counters[c].multiplier
        out.pieces[c] = step.credit * multiplier
        out.flags |= step.flags
        if step.correction:
            put_correction(m, sample[I_T], c, &step)
            out.resets += step.correction == C_RESET or step.correction == C_REBASE
            out.rollovers += (step.flags & F_ROLLOVER) != 0
            out.glitches += step.correction == C_GLITCH
            out.lost_max += step.lost_max * multiplier
    out.evidence = out.pieces[T] if m.rule.counters & HAS_T else out.pieces[G]
    derive(m, &out.pieces[0])
    if m.rule.counters == HAS_T or m.rule.counters == HAS_G:
        out.flags |= F_QUALITY_ASSUMED


cdef inline bint anything(Credits* c) noexcept nogil:
    return c.pieces[T] != 0 or c.pieces[G] != 0 or c.pieces[R] != 0


cdef inline void add_facts(Ledger* m, Credits* c) noexcept nogil:
    """Facts and doubts into the open cell."""
    if m.s.has_cell:
        m.s.cell[K_RESETS] += c.resets
        m.s.cell[K_ROLLOVERS] += c.rollovers
        m.s.cell[K_GLITCHES] += c.glitches
        m.s.cell[K_LOST_MAX] += c.lost_max
        m.s.cell[K_FLAGS] |= c.flags


# ---- pieces counted across unobserved time -------------------------------------------------------------------------------------

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
    int64_t weight
    int64_t rest
    int64_t pieces[N_COUNTER]


cdef inline void share_out(Share* shares, Py_ssize_t n, int64_t pieces, int which) noexcept nogil:
    """`pieces` in proportion to the weights, in whole pieces, by largest remainder (the earliest first among equals)."""
    cdef Py_ssize_t i, best
    cdef int64_t left = pieces
    cdef int64_t total = 0
    cdef long long rest = 0
    for i in range(n):
        total += shares[i].weight
    for i in range(n):
        shares[i].pieces[which] = muldiv(pieces, shares[i].weight, total, &rest)
        shares[i].rest = rest
        left -= shares[i].pieces[which]
    while left > 0:
        best = 0
        for i in range(1, n):
            if shares[i].rest > shares[best].rest:
                best = i
        shares[best].pieces[which] += 1
        shares[best].rest = -1
        left -= 1


cdef inline Py_ssize_t walk_shares(Ledger* m, int64_t from_ns, int64_t until_ns, Share* shares) noexcept nogil:
    """The stretches between edges in [from, until), weighted by scheduled time (by all time where none is). NULL: only count them."""
    cdef Py_ssize_t i, n = 0
    cdef int64_t edge, scheduled = 0
    while from_ns < until_ns:
        if not find_slice(m, from_ns):
            return 0
        edge = from_ns - from_ns % MINUTE + MINUTE
        if m.calendar.end[m.calendar.at] < edge:
            edge = m.calendar.end[m.calendar.at]
        if until_ns < edge:
            edge = until_ns
        if shares != NULL:
            shares[n].end_ns = edge
            shares[n].weight = edge - from_ns if m.calendar.kind[m.calendar.at] == S_SCHEDULED else 0
            scheduled += shares[n].weight
        n += 1
        from_ns = edge
    if shares != NULL and scheduled == 0:
        edge = m.s.booked_ns
        for i in range(n):
            shares[i].weight = shares[i].end_ns - edge
            edge = shares[i].end_ns
    return n


cdef inline int spread(Ledger* m, int64_t t_ns, Credits* credits) noexcept nogil:
    """Book [booked, t) as UNKNOWN and spread the pieces that were counted meanwhile over it."""
    cdef Py_ssize_t i, n = walk_shares(m, m.s.booked_ns, t_ns, NULL)
    cdef Share* shares
    if n == 0:
        return 0
    shares = <Share*> realloc(NULL, <size_t> n * sizeof(Share))
    if shares == NULL:
        m.cells.failed = 1
        return 0
    memset(shares, 0, <size_t> n * sizeof(Share))
    walk_shares(m, m.s.booked_ns, t_ns, shares)
    share_out(shares, n, credits.pieces[T], T)
    if credits.pieces[T] > 0:        # goods and rejects follow the totals, so that no stretch has more of them than pieces
        for i in range(n):
            shares[i].weight = shares[i].pieces[T]
    share_out(shares, n, credits.pieces[G], G)
    if credits.pieces[G] + credits.pieces[R] == credits.pieces[T]:
        for i in range(n):
            shares[i].pieces[R] = shares[i].pieces[T] - shares[i].pieces[G]
    else:
        share_out(shares, n, credits.pieces[R], R)
    for i in range(n):
        if not book(m, shares[i].end_ns, B_UNKNOWN, False):
            break
        add_pieces(m, shares[i].pieces[T], shares[i].pieces[G], shares[i].pieces[R])
        if shares[i].pieces[T] or shares[i].pieces[G]:
            m.s.cell[K_FLAGS] |= F_RECOVERED | F_ESTIMATED
            m.s.cell[K_RECOVERED] += shares[i].pieces[T]
            m.s.cell[K_ESTIMATED] += shares[i].pieces[T]
    free(shares)
    return 1


# ---- the present gap -----------------------------------------------------------------------------------------------------------

cdef inline bint is_run(int64_t bucket) noexcept nogil:
    return bucket == B_RUN or bucket == B_NONE


cdef inline int settle(Ledger* m, int64_t until_ns) noexcept nogil:
    """Book the gap up to `until_ns` as what it is if no count ends it."""
    cdef int64_t ideal = m.rule.ideal_ns[m.s.product]
    if not is_run(m.s.bucket):
        return book(m, until_ns, m.s.bucket, False)
    if m.rule.counters == 0:
        return book(m, until_ns, B_RUN, True)
    if until_ns - m.s.anchor_ns <= m.rule.stop_ns[m.s.product]:
        return book(m, until_ns, B_RUN, False)
    if not m.s.stalled:
        m.s.stalled = 1
        if not book(m, min64(m.s.anchor_ns + ideal, until_ns), B_RUN, m.s.anchored_by_count != 0):
            return 0
    return book(m, until_ns, B_UNASSIGNED, False)


cdef inline int64_t min64(int64_t a, int64_t b) noexcept nogil:
    return a if a < b else b


cdef inline void anchor(Ledger* m, int64_t t_ns, bint by_count) noexcept nogil:
    m.s.anchor_ns = t_ns
    m.s.anchored_by_count = by_count
    m.s.stalled = 0


cdef inline int end_run_gap(Ledger* m, int64_t t_ns, int64_t pieces, int64_t* slow, int64_t* small) noexcept nogil:
    """A count ends a gap in which the machine was running, or said nothing of its state."""
    cdef int64_t product = m.s.product
    cdef int64_t ideal = m.rule.ideal_ns[product]
    cdef int64_t gap = t_ns - m.s.anchor_ns
    cdef int64_t tail
    if gap <= m.rule.stop_ns[product] and not m.s.stalled:
        if gap > pieces * m.rule.small_ns[product]:
            small[0] = gap - pieces * ideal
        elif gap > pieces * m.rule.slow_ns[product]:
            slow[0] = gap - pieces * ideal
        return book(m, t_ns, B_RUN, True)
    # The first ideal cycle of the gap was run; so were, at its end, the cycles of the other pieces seen in this sample.
    tail = min64((pieces - 1) * ideal, t_ns - m.s.t_ns)
    if not m.s.stalled and not book(m, min64(m.s.anchor_ns + ideal, t_ns - tail), B_RUN, m.s.anchored_by_count != 0):
        return 0
    return book(m, t_ns - tail, B_UNASSIGNED, False) and book(m, t_ns, B_RUN, True)


cdef inline int end_stop_gap(Ledger* m, int64_t t_ns, int64_t pieces, int64_t now, int64_t* conflict) noexcept nogil:
    """A count although the machine said it stood. Counts beat states, but not a mode in which people make pieces by hand."""
    cdef int64_t tail
    if m.s.bucket == B_MAINTENANCE or m.s.bucket == B_MANUAL or is_run(now):
        return book(m, t_ns, m.s.bucket, False)
    if t_ns - m.s.anchor_ns <= m.rule.stop_ns[m.s.product]:
        tail = t_ns - m.s.booked_ns
    else:
        tail = min64(pieces * m.rule.ideal_ns[m.s.product], t_ns - m.s.booked_ns)
    conflict[0] = tail
    return book(m, t_ns - tail, m.s.bucket, False) and book(m, t_ns, B_RUN, True)


cdef inline int pass_silence(Ledger* m, int64_t t_ns, Credits* credits) noexcept nogil:
    """Longer than `hold` without a reading: the old state is believed for `hold`, then nobody knows."""
    if not settle(m, m.s.t_ns + m.rule.hold_ns):
        return 0
    if not anything(credits):
        return book(m, t_ns, B_UNKNOWN, False)
    if m.s.booked_ns // MINUTE == t_ns // MINUTE and walk_shares(m, m.s.booked_ns, t_ns, NULL) == 1:
        if not book(m, t_ns, B_UNKNOWN, False) or not enter_cell(m, t_ns):
            return 0
        add_pieces(m, credits.pieces[T], credits.pieces[G], credits.pieces[R])
        m.s.cell[K_FLAGS] |= F_RECOVERED
        m.s.cell[K_RECOVERED] += credits.pieces[T]
        return 1
    return spread(m, t_ns, credits)


cdef inline int pass_counted(Ledger* m, int64_t t_ns, int64_t now, Credits* credits) noexcept nogil:
    """Something was counted since the last sample: the gap is decided, everything up to t is booked."""
    cdef int64_t slow = 0, small = 0, conflict = 0
    cdef int done
    if credits.evidence <= 0:
        done = settle(m, t_ns)
    elif is_run(m.s.bucket):
        done = end_run_gap(m, t_ns, credits.evidence, &slow, &small)
    else:
        done = end_stop_gap(m, t_ns, credits.evidence, now, &conflict)
    if not done or not enter_cell(m, t_ns):
        return 0
    add_pieces(m, credits.pieces[T], credits.pieces[G], credits.pieces[R])
    m.s.cell[K_SLOW] += slow
    m.s.cell[K_SMALL] += small
    m.s.cell[K_CONFLICT] += conflict
    if conflict:
        m.s.cell[K_FLAGS] |= F_STATE_CONFLICT
    if credits.evidence > 0:
        anchor(m, t_ns, True)
    return 1


cdef inline int pass_uncounted(Ledger* m, int64_t t_ns, int64_t now, bint readable) noexcept nogil:
    """Nothing was counted. The gap goes on, unless the state changed, it can be no gap at all, or it became a stop."""
    cdef int64_t bucket = m.s.bucket
    cdef bint waits = m.rule.counters != 0 and readable and now == bucket
    if waits and (is_run(bucket) or not (bucket == B_MAINTENANCE or bucket == B_MANUAL or bucket == B_UNKNOWN)):
        if t_ns - m.s.anchor_ns <= m.rule.stop_ns[m.s.product]:
            return 1
        return settle(m, t_ns)
    if not settle(m, t_ns):
        return 0
    if now != bucket or not readable:
        anchor(m, t_ns, False)
    return 1


# ---- one sample ----------------------------------------------------------------------------------------------------------------

cdef inline void start(Ledger* m, const int64_t* sample) noexcept nogil:
    m.s.version = CHECKPOINT_VERSION
    m.s.started = 1
    m.s.t_ns = m.s.booked_ns = m.s.open_since_ns = sample[I_T]
    m.s.open_bucket = B_NONE
    m.s.bucket = sample[I_BUCKET]
    m.s.fault = sample[I_FAULT]
    m.s.product = sample[I_PRODUCT]
    anchor(m, sample[I_T], False)


cdef inline int step(Ledger* m, const int64_t* sample) noexcept nogil:
    """One sample. 0: the calendar does not reach, or memory is out (see the flags of the ledger)."""
    cdef int64_t t_ns = sample[I_T]
    cdef int64_t now = sample[I_BUCKET]
    cdef int64_t elapsed, wall
    cdef bint readable = (sample[I_MASK] & m.rule.counters) != 0
    cdef Credits credits
    cdef int done
    if not m.s.started:
        start(m, sample)
        decode_counters(m, sample, &credits)
        return enter_cell(m, t_ns)
    wall = t_ns - m.s.t_ns
    elapsed = sample[I_ELAPSED] if sample[I_ELAPSED] >= 0 else (wall if wall > 0 else 0)
    m.s.virtual_ns += elapsed
    if wall < 0:
        t_ns = m.s.t_ns        # the wall clock went back: that time is booked already; pieces still count
    decode_counters(m, sample, &credits)
    if wall - elapsed > STEP_LIMIT or elapsed - wall > STEP_LIMIT:
        credits.flags |= F_CLOCK_STEP
    if t_ns - m.s.t_ns > m.rule.hold_ns:
        done = pass_silence(m, t_ns, &credits)
        anchor(m, t_ns, False)
    elif anything(&credits):
        done = pass_counted(m, t_ns, now, &credits)
        if now != m.s.bucket and not (is_run(now) and is_run(m.s.bucket)):
            anchor(m, t_ns, is_run(now) and credits.evidence > 0)
    else:
        done = pass_uncounted(m, t_ns, now, readable)
    if not done:
        return 0
    add_facts(m, &credits)
    if sample[I_PRODUCT] != m.s.product:
        if not settle(m, t_ns):
            return 0
        m.s.product = sample[I_PRODUCT]
        anchor(m, t_ns, False)
    if now != m.s.bucket or m.s.fault == 0:
        m.s.fault = sample[I_FAULT]      # first-out: the first code of a state stays
    if m.s.open_fault == 0 and m.s.open_bucket == now:
        m.s.open_fault = m.s.fault
    m.s.bucket = now
    m.s.t_ns = t_ns
    return not (m.cells.failed or m.stops.failed or m.corrections.failed)


cdef inline int close_at(Ledger* m, int64_t t_ns) noexcept nogil:
    """Book everything up to `t_ns` as it looks now."""
    cdef int64_t held = min64(m.s.t_ns + m.rule.hold_ns, t_ns)
    if not m.s.started or t_ns <= m.s.booked_ns:
        return 1
    return settle(m, held) and book(m, t_ns, B_UNKNOWN, False)


# ---- the face for Python -------------------------------------------------------------------------------------------------------

cdef list drain(Rows* rows):
    cdef Py_ssize_t i, k
    out = [tuple([rows.data[i * rows.width + k] for k in range(rows.width)]) for i in range(rows.count)]
    rows.count = 0
    return out


cdef class MachineLedger:
    """The ledger of one machine.

    hold_ns: how long a state is believed after its last reading.
    counters: (Counter number, modulus, highest rate in counts per second, pieces per count) of each counter the machine has.
    products: (ideal cycle, t1, t2, t3) in ns of each product; `product` in samples is an index into them.

    All times are UTC ns, all durations ns. Raises ValueError for impossible rules and samples, LookupError where the calendar given by
    `set_calendar` does not reach a time that must be booked, MemoryError.
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
        for number, modulus, rate_per_s, multiplier in counters:
            if not 0 <= number < N_COUNTER or modulus < 2 or not 0.0 < rate_per_s < 1e12 or multiplier < 1:
                raise ValueError(f"impossible counter rule {(number, modulus, rate_per_s, multiplier)}")
            c = &self.m.s.counters[<int> number]
            c.modulus, c.rate_per_s, c.multiplier = modulus, rate_per_s, multiplier
            self.m.rule.counters |= 1 << <int> number

    cdef _set_products(self, products):
        if not 0 < len(products) <= MAX_PRODUCTS:
            raise ValueError(f"1 to {MAX_PRODUCTS} products, got {len(products)}")
        for index, (ideal, slow, small, stop) in enumerate(products):
            if not 0 < ideal <= slow <= small <= stop:
                raise ValueError(f"product {index}: 0 < ideal <= t1 <= t2 <= t3 must hold, got {(ideal, slow, small, stop)}")
            self.m.rule.ideal_ns[<int> index] = ideal
            self.m.rule.slow_ns[<int> index] = slow
            self.m.rule.small_ns[<int> index] = small
            self.m.rule.stop_ns[<int> index] = stop
        self.m.rule.n_products = <int32_t> len(products)

    def set_calendar(self, const int64_t[::1] start, const int64_t[::1] end, const int64_t[::1] kind, const int64_t[::1] shift):
        """Contiguous slices (start, end, Schedule number, shift id); they must cover every time that will be booked."""
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

    cdef _check(self, const int64_t* sample):
        if not -1 <= sample[I_BUCKET] < N_BUCKET:
            raise ValueError(f"no such bucket: {sample[I_BUCKET]}")
        if not 0 <= sample[I_PRODUCT] < self.m.rule.n_products:
            raise ValueError(f"no such product: {sample[I_PRODUCT]}")
        if sample[I_T] <= 0:
            raise ValueError(f"not a time: {sample[I_T]}")

    cdef _fail(self):
        if self.m.uncovered:
            self.m.uncovered = 0
            raise LookupError("the calendar does not reach the time to be booked")
        raise MemoryError

    def push(self, int64_t t_ns, int64_t elapsed_ns, int64_t bucket, int64_t fault_code, int64_t product, int64_t mask,
             int64_t total=0, int64_t good=0, int64_t reject=0):
        """One sample; fields as SAMPLE_FIELDS. bucket -1: no state signal; mask: bit per Counter read well, bit 3: the PLC restarted."""
        cdef int64_t[N_SAMPLE] sample
        sample[I_T], sample[I_ELAPSED], sample[I_BUCKET], sample[I_FAULT] = t_ns, elapsed_ns, bucket, fault_code
        sample[I_PRODUCT], sample[I_MASK] = product, mask
        sample[I_COUNTER], sample[I_COUNTER + 1], sample[I_COUNTER + 2] = total, good, reject
        self._check(&sample[0])
        if not step(&self.m, &sample[0]):
            self._fail()

    def run(self, const int64_t[:, ::1] samples):
        """Many samples, rows as SAMPLE_FIELDS, in time order. Same code path as `push`, without the GIL."""
        cdef Py_ssize_t i, n = samples.shape[0]
        cdef int done = 1
        if samples.shape[1] != N_SAMPLE:
            raise ValueError(f"rows of {N_SAMPLE} numbers, got {samples.shape[1]}")
        for i in range(n):
            self._check(&samples[i, 0])
        with nogil:
            for i in range(n):
                done = step(&self.m, &samples[i, 0])
                if not done:
                    break
        if not done:
            self._fail()

    def peek(self, int64_t t_ns, int64_t since_ns=0):
        """The ledger as it would be if nothing more came: cells from minute `since_ns` on that are not drained yet, the open one included.

        Changes nothing. Returns (cells, bucket, in this bucket since, fault code)."""
        cdef Ledger copy = self.m
        cdef Py_ssize_t i, k
        cdef int64_t* row
        memset(&copy.cells, 0, sizeof(Rows))
        copy.cells.width = N_CELL
        copy.quiet = 1
        try:
            if not close_at(&copy, t_ns):
                self._fail_peek(&copy)
            flush_cell(&copy)
            found = []
            for i in range(copy.cells.count):
                row = copy.cells.data + i * N_CELL
                if row[K_MINUTE] >= since_ns:
                    found.append(tuple([row[k] for k in range(N_CELL)]))
        finally:
            free(copy.cells.data)
        return found, copy.s.open_bucket, copy.s.open_since_ns, copy.s.open_fault if copy.s.open_bucket == copy.s.bucket else 0

    cdef _fail_peek(self, Ledger* copy):
        if copy.uncovered:
            raise LookupError("the calendar does not reach the time to be booked")
        raise MemoryError

    def cells(self):
        """Finished cells since the last call: tuples as CELL_FIELDS. One minute x shift x product may come in several cells; they add up."""
        return drain(&self.m.cells)

    def stops(self):
        """Ended stops since the last call: (start_ns, end_ns, Bucket, fault code)."""
        return drain(&self.m.stops)

    def corrections(self):
        """Counter corrections since the last call: (t_ns, Counter, Correction, old, new, credited, lost_max, unattributed), in pieces from `credited` on."""
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
        """A checkpoint: everything remembered, not the rules. Undrained rows are not part of it: drain first, commit together."""
        return PyBytes_FromStringAndSize(<char*> &self.m.s, sizeof(State))

    def load(self, bytes blob not None):
        """Continue from a checkpoint under the present rules. ValueError if it is not one of this version."""
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
        if not 0 <= saved.product < self.m.rule.n_products:
            saved.product = 0
        self.m.s = saved
