# Gaps: what the time since the last count was, decided by what ends it; and one sample from end to end.
#
# Inline functions of the ledger kernel (theory in ledger.pyx), compiled into it. All decisions about states live here.
# A gap lies in one kind of scheduled time and under one state: edges of the schedule, and the end of what is believed
# of a state, end gaps of their own (`lapse`), before the sample that comes after them is looked at.

from libc.stdint cimport int64_t
from libc.stdlib cimport free

from ext.booking cimport enter_cell, live_through, made_by, min64, seek
from ext.ledger cimport *
from ext.pieces cimport add_facts, anything, change_product, credit, decode_counters, maker
from ext.repair cimport repair, told_by_plc
from ext.walk cimport book, wait_for_time


# ---- the present gap -------------------------------------------------------------------------------------------------

cdef inline bint is_run(int64_t bucket) noexcept nogil:
    return bucket == B_RUN or bucket == B_NONE


cdef inline bint same(int64_t a, int64_t b) noexcept nogil:
    """No change of state that could end a gap."""
    return a == b or (is_run(a) and is_run(b))


cdef inline bint by_hand(int64_t bucket) noexcept nogil:
    """Modes in which people make pieces: their counts prove nothing about the machine."""
    return bucket == B_MAINTENANCE or bucket == B_MANUAL


cdef inline bint is_blind(Ledger* m, int64_t t_ns) noexcept nogil:
    """The machine runs by its state, and its counter was not read for longer than `hold`: the state alone decides."""
    return m.rule.output != 0 and is_run(m.s.bucket) and t_ns - m.s.read_ns > m.rule.hold_ns


cdef inline Product* now_made(Ledger* m) noexcept nogil:
    return &m.rule.products[m.s.product]


cdef inline int64_t patience(Ledger* m) noexcept nogil:
    """How long a gap may stay undecided, because a count may still say what it was."""
    if m.rule.output == 0 or by_hand(m.s.bucket):
        return 0
    return now_made(m).stop_ns if is_run(m.s.bucket) and m.s.kind == S_SCHEDULED else now_made(m).small_ns


cdef inline void anchor(Ledger* m, int64_t t_ns, bint by_count) noexcept nogil:
    m.s.anchor_ns = t_ns
    m.s.anchored_by_count = by_count
    m.s.anchor_rt_ns = m.s.rt_ns


cdef inline bint has_first_cycle(Ledger* m) noexcept nogil:
    """A piece was begun when the gap began, as far as anybody can say: a count came before, or the machine started. In
    breaks and off shift only what ends in a count is believed.
    """
    return m.s.kind == S_SCHEDULED and (m.s.anchored_by_count or m.s.bucket == B_RUN)


cdef inline int64_t first_cycle(Ledger* m) noexcept nogil:
    """End of the gap's first ideal cycle: it was run, whatever came after."""
    return m.s.anchor_ns + (now_made(m).ideal_ns if has_first_cycle(m) else 0)


cdef inline void settle_seen(Ledger* m, int64_t until_ns, bint stood) noexcept nogil:
    """A run in which a count would have been seen: its first cycle, and the rest. stood: for longer than t3."""
    book(m, min64(first_cycle(m), until_ns), B_RUN, False)
    book(m, until_ns, B_UNASSIGNED if stood else B_RUN, False)


cdef inline void settle_blind(Ledger* m, int64_t until_ns) noexcept nogil:
    """A run whose counter cannot be read. What was made in it will be counted elsewhere."""
    settle_seen(m, m.s.read_ns, m.s.read_ns - m.s.anchor_ns > now_made(m).stop_ns)
    if m.waiting == NULL:
        m.marks = F_ESTIMATED
    book(m, until_ns, B_RUN, False)
    m.marks = 0


cdef inline void settle(Ledger* m, int64_t until_ns) noexcept nogil:
    """Book the gap up to `until_ns` as what it is if no count ends it."""
    if not is_run(m.s.bucket):
        book(m, until_ns, m.s.bucket, m.worked and m.s.bucket == B_UNKNOWN)
    elif m.rule.output == 0:
        book(m, until_ns, B_RUN, True)
    elif is_blind(m, until_ns):
        settle_blind(m, until_ns)
    else:
        settle_seen(m, until_ns, until_ns - m.s.anchor_ns > now_made(m).stop_ns)


cdef inline void close_gap(Ledger* m, int64_t until_ns) noexcept nogil:
    """The gap ends at `until_ns` without a count. Beyond t2 its first ideal cycle was work, the rest a small stop."""
    cdef int64_t gap = until_ns - m.s.anchor_ns
    cdef int64_t lost
    cdef bint small = is_run(m.s.bucket) and m.rule.output != 0 and not is_blind(m, until_ns) and m.waiting == NULL
    settle(m, until_ns)
    if small and now_made(m).small_ns < gap <= now_made(m).stop_ns and m.s.booked_ns == until_ns:
        lost = m.s.rt_ns - m.s.anchor_rt_ns - now_made(m).ideal_ns
        if lost > 0:
            enter_cell(m, made_by(m, until_ns), m.s.product)
            m.s.cell[K_SMALL] += lost


# ---- what ends gaps by itself ----------------------------------------------------------------------------------------

cdef inline int64_t next_edge(Ledger* m, int64_t until_ns) noexcept nogil:
    """The next edge between kinds of time before `until_ns`; `until_ns`: there is none."""
    cdef Calendar* c = &m.calendar
    cdef int64_t from_ns = m.s.crossed_ns if m.s.crossed_ns > m.s.booked_ns else m.s.booked_ns
    cdef Py_ssize_t k
    if from_ns >= until_ns:
        return until_ns
    seek(c, from_ns)
    k = c.at
    while k < c.count and c.start[k] < until_ns:
        if c.kind[k] != m.s.kind:
            return c.start[k] if c.start[k] > from_ns else from_ns
        k += 1
    return until_ns


cdef inline void cross_edges(Ledger* m, int64_t until_ns) noexcept nogil:
    """A break, or time off shift, ends a gap and begins one, and so does its end. Not so while the machine is blind:
    its run waits, as a whole, for its pieces.
    """
    cdef int64_t edge
    if m.open.from_ns <= m.s.crossed_ns and until_ns <= m.open.until_ns and m.open.kind == m.s.kind:
        m.s.crossed_ns = until_ns if until_ns > m.s.crossed_ns else m.s.crossed_ns
        return      # all in the open cell: no edge
    if is_blind(m, until_ns):
        return
    edge = next_edge(m, until_ns)
    while edge < until_ns:
        close_gap(m, edge)
        seek(&m.calendar, edge)
        m.s.kind = m.calendar.kind[m.calendar.at]
        anchor(m, edge, False)
        edge = next_edge(m, until_ns)
    if until_ns > m.s.crossed_ns:
        m.s.crossed_ns = until_ns


cdef inline void lapse(Ledger* m, int64_t t_ns) noexcept nogil:
    """Everything before `t_ns` that ends a gap, whatever is seen then. A state is believed for `hold`; then nobody
    knows.
    """
    cdef int64_t until_ns = m.s.heard_ns + m.rule.hold_ns
    if m.s.bucket != B_UNKNOWN and until_ns < t_ns:
        cross_edges(m, until_ns)
        close_gap(m, until_ns)
        m.s.bucket = B_UNKNOWN
        m.s.fault = 0
        anchor(m, until_ns, False)
    cross_edges(m, t_ns)


cdef inline void conclude(Ledger* m, int64_t t_ns) noexcept nogil:
    """Nothing more comes, up to `t_ns`. What the last sample ended is over."""
    m.calm_until_ns = 0
    lapse(m, t_ns)
    settle(m, t_ns)
    if m.s.anchor_ns == t_ns and is_run(m.s.bucket):
        live_through(m, B_RUN, t_ns)


# ---- counts ----------------------------------------------------------------------------------------------------------

cdef inline int64_t seen_for(Ledger* m, int64_t t_ns) noexcept nogil:
    """The part of the gap since the last sample: pieces seen at `t_ns` were made in it."""
    return t_ns - (m.s.t_ns if m.s.t_ns > m.s.anchor_ns else m.s.anchor_ns)


cdef inline void end_run_gap(Ledger* m, int64_t t_ns, int64_t pieces, int64_t* slow, int64_t* small) noexcept nogil:
    """A count ends a gap in which the machine was running, or has no state to tell."""
    cdef Product* rule = now_made(m)
    cdef int64_t ideal = rule.ideal_ns
    cdef int64_t gap = t_ns - m.s.anchor_ns
    cdef int64_t since_last = seen_for(m, t_ns)
    cdef int64_t idle = gap - min64((pieces - 1) * ideal, since_last)
    cdef int64_t tail, lost
    if idle <= rule.small_ns:
        book(m, t_ns, B_RUN, True)
    else:
        tail = min64((pieces - has_first_cycle(m)) * ideal, since_last + ideal)
        settle_seen(m, t_ns - tail, idle > rule.stop_ns)
        book(m, t_ns, B_RUN, True)
    lost = m.s.rt_ns - m.s.anchor_rt_ns - pieces * ideal
    if lost > 0 and idle > rule.small_ns:
        small[0] = lost
    elif lost > 0 and gap > pieces * rule.slow_ns:
        slow[0] = lost


cdef inline void end_stop_gap(Ledger* m, int64_t t_ns, int64_t pieces, int64_t now, int64_t* conflict) noexcept nogil:
    """A count although the machine said it stood, or nobody knew what it did. Where it starts with this very sample,
    nobody contradicts anybody.
    """
    cdef int64_t cycles = pieces * now_made(m).ideal_ns
    cdef int64_t since_last = seen_for(m, t_ns)
    cdef int64_t idle = t_ns - m.s.anchor_ns - min64(cycles - now_made(m).ideal_ns, since_last)
    cdef int64_t run = t_ns - m.s.booked_ns if t_ns > m.s.booked_ns else 0
    cdef bint starts = is_run(now) and m.s.bucket != B_UNKNOWN
    if by_hand(m.s.bucket):
        book(m, t_ns, m.s.bucket, False)
        return
    if starts or idle > now_made(m).small_ns:
        run = min64(min64(cycles, since_last), run)
    if not starts and m.s.bucket != B_UNKNOWN:
        conflict[0] = run
    book(m, t_ns - run, m.s.bucket, False)
    book(m, t_ns, B_RUN, True)


cdef inline void pass_recovered(Ledger* m, int64_t t_ns, int64_t of, Credits* credits) noexcept nogil:
    """Counted while nobody looked: the time is what it was without these pieces, and they are spread over all of it in
    which they may have been made and that is not booked yet.
    """
    cdef int64_t from_ns = m.s.read_ns if m.s.read_ns > m.s.booked_ns else m.s.booked_ns
    if from_ns < t_ns and not wait_for_time(m, from_ns, t_ns, of, credits):
        return
    lapse(m, t_ns)
    settle(m, t_ns)
    if m.waiting == NULL:
        credit(m, made_by(m, t_ns), of, &credits.pieces[0], F_RECOVERED)
    free(m.waiting)
    m.waiting = NULL
    m.worked = False
    anchor(m, t_ns, False)


cdef inline void pass_repaired(Ledger* m, int64_t t_ns, int64_t of, bint readable, const int64_t* told,
                               Credits* credits) noexcept nogil:
    """A silence that the PLC's own accumulators tell of."""
    cdef bint stood = readable and credits.evidence <= 0 and told[B_RUN] > now_made(m).stop_ns
    lapse(m, m.s.t_ns)
    settle(m, m.s.t_ns)
    repair(m, t_ns, of, told, B_UNASSIGNED if stood else B_RUN, credits)
    m.s.bucket = B_UNKNOWN
    m.s.fault = 0
    lapse(m, t_ns)
    anchor(m, t_ns, False)


cdef inline void pass_counted(Ledger* m, int64_t t_ns, int64_t now, int64_t of, Credits* credits) noexcept nogil:
    """Something was counted since the last sample: the gap is decided, everything up to t is booked."""
    cdef int64_t slow = 0, small = 0, conflict = 0
    cdef int64_t* cell = &m.s.cell[0]
    if credits.evidence <= 0:
        if same(now, m.s.bucket):
            settle(m, t_ns)
        else:
            close_gap(m, t_ns)
    elif is_run(m.s.bucket):
        end_run_gap(m, t_ns, credits.evidence, &slow, &small)
    else:
        end_stop_gap(m, t_ns, credits.evidence, now, &conflict)
    if slow or small or conflict:
        enter_cell(m, made_by(m, t_ns), m.s.product)
        cell[K_SLOW] += slow
        cell[K_SMALL] += small
        if conflict:
            cell[K_CONFLICT] += conflict
            cell[K_FLAGS] |= F_STATE_CONFLICT
    credit(m, made_by(m, t_ns), of, &credits.pieces[0], credits.doubts)
    if credits.evidence > 0 or not same(now, m.s.bucket):
        anchor(m, t_ns, credits.evidence > 0)


cdef inline void pass_uncounted(Ledger* m, int64_t t_ns, int64_t now) noexcept nogil:
    """Nothing was counted. The gap goes on, unless the state changed, or it is decided without a count."""
    if not same(now, m.s.bucket):
        close_gap(m, t_ns)
        anchor(m, t_ns, False)
    elif is_blind(m, t_ns):
        if t_ns - m.s.booked_ns > BLIND_LIMIT:
            settle_blind(m, t_ns - BLIND_LIMIT)
    elif t_ns - m.s.anchor_ns > patience(m):
        if is_run(m.s.bucket) and m.rule.output:        # the last cycle may still become a piece
            settle_seen(m, t_ns - now_made(m).ideal_ns, t_ns - m.s.anchor_ns > now_made(m).stop_ns)
        else:
            settle(m, t_ns)


# ---- one sample ------------------------------------------------------------------------------------------------------

cdef inline int64_t believed(Ledger* m, int64_t t_ns, int64_t said, bint readable) noexcept nogil:
    """What the machine does from now on. A state that cannot be read is the one before, while `lapse` leaves it."""
    if said == B_UNKNOWN or (said == B_NONE and not readable):
        return m.s.bucket
    m.s.heard_ns = t_ns
    return said


cdef inline void start(Ledger* m, const int64_t* sample, bint readable) noexcept nogil:
    cdef Credits baseline
    cdef int64_t t_ns = sample[I_T]
    m.s.begun_ns = t_ns
    m.s.version = CHECKPOINT_VERSION
    m.s.started = 1
    m.s.t_ns = m.s.booked_ns = m.s.open_since_ns = m.s.read_ns = m.s.crossed_ns = t_ns
    seek(&m.calendar, t_ns)
    m.s.kind = m.calendar.kind[m.calendar.at]
    m.s.open_bucket = B_NONE
    m.s.bucket = B_UNKNOWN
    m.s.bucket = believed(m, t_ns, sample[I_BUCKET], readable)
    m.s.fault = sample[I_FAULT]
    m.s.product = sample[I_PRODUCT]
    anchor(m, t_ns, False)
    decode_counters(m, sample, m.s.product, &baseline)


cdef inline void be_silent(Ledger* m, const int64_t* sample) noexcept nogil:
    """A sample in which nothing could be read is none: what the silence was is told by its end."""
    if sample[I_MASK] & EPOCH:
        m.s.restarted = m.rule.counters
    if sample[I_ELAPSED] < 0 or m.s.silent_ns < 0:
        m.s.silent_ns = -1
    else:
        m.s.silent_ns += sample[I_ELAPSED]


cdef inline int64_t time_passed(Ledger* m, int64_t elapsed_ns, int64_t wall_ns) noexcept nogil:
    """Monotonic time since the last sample that was one; where it is not known, what the wall clock says."""
    cdef int64_t silent_ns = m.s.silent_ns
    m.s.silent_ns = 0
    if elapsed_ns < 0 or silent_ns < 0:
        return wall_ns if wall_ns > 0 else 0
    return silent_ns + elapsed_ns


cdef inline int64_t pass_time(Ledger* m, int64_t t_ns, int64_t said, bint readable, int64_t of,
                              Credits* credits) noexcept nogil:
    """Time and pieces up to a sample. Returns the state from now on."""
    cdef int64_t[N_BUCKET] told
    cdef bint silence = t_ns - m.s.t_ns > m.rule.hold_ns
    cdef int64_t now
    if silence and m.times != NULL and told_by_plc(m, t_ns, &told[0]):
        pass_repaired(m, t_ns, of, readable, &told[0], credits)
    elif anything(credits) and (silence or (credits.evidence > 0 and t_ns - m.s.read_ns > m.rule.hold_ns)):
        pass_recovered(m, t_ns, of, credits)
    else:
        if readable:
            m.s.read_ns = t_ns      # and showed all that was counted: nobody is blind
        lapse(m, t_ns)
        now = believed(m, t_ns, said, readable)
        if anything(credits):
            pass_counted(m, t_ns, now, of, credits)
        else:
            pass_uncounted(m, t_ns, now)
        return now
    return believed(m, t_ns, said, readable)


cdef inline void note_fault(Ledger* m, int64_t now, int64_t fault) noexcept nogil:
    """First-out: the first code of a state stays."""
    if now != m.s.bucket or m.s.fault == 0:
        m.s.fault = fault
    if m.s.open_fault == 0 and m.s.open_bucket == now:
        m.s.open_fault = m.s.fault


cdef inline void step_any(Ledger* m, const int64_t* sample) noexcept nogil:
    """One sample, already checked, whatever it is."""
    cdef int64_t t_ns = sample[I_T]
    cdef int64_t now, elapsed, wall, of
    cdef bint readable = (sample[I_MASK] & m.rule.output) != 0
    cdef Credits credits
    if not m.s.started:
        start(m, sample, readable)
        return
    if not sample[I_MASK] & m.rule.counters and (sample[I_BUCKET] == B_UNKNOWN or sample[I_BUCKET] == B_NONE):
        be_silent(m, sample)
        return
    wall = t_ns - m.s.t_ns
    elapsed = time_passed(m, sample[I_ELAPSED], wall)
    m.s.virtual_ns += elapsed
    if wall < 0:
        t_ns = m.s.t_ns        # the wall clock went back: that time is booked already; pieces still count
    of = maker(m, t_ns)
    decode_counters(m, sample, of, &credits)
    if not -STEP_LIMIT <= wall - elapsed <= STEP_LIMIT:
        credits.flags |= F_CLOCK_STEP
    now = pass_time(m, t_ns, sample[I_BUCKET], readable, of, &credits)
    add_facts(m, t_ns, of, &credits)
    if sample[I_PRODUCT] != m.s.product:
        close_gap(m, t_ns)
        change_product(m, t_ns, sample[I_PRODUCT])
        anchor(m, t_ns, False)
    note_fault(m, now, sample[I_FAULT])
    m.s.bucket = now
    m.s.t_ns = t_ns
    if readable:
        m.s.read_ns = t_ns


cdef inline bint is_possible(const Rule* rule, const int64_t* sample) noexcept nogil:
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
