# Gaps: what the time since the last count was, decided by what ends it; and one sample from end to end.
#
# Inline functions of the ledger kernel (theory in ledger.pyx), compiled into it. All decisions about states live here.

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free

from ext.booking cimport book, enter_cell, made_by, min64, seek
from ext.ledger cimport *
from ext.pieces cimport (
    add_facts, anything, change_product, credit, credit_share, decode_counters, maker, share_credits, walk_shares,
)
from ext.repair cimport repair, told_by_plc


# ---- the present gap -------------------------------------------------------------------------------------------------

cdef inline bint is_run(int64_t bucket) noexcept nogil:
    return bucket == B_RUN or bucket == B_NONE


cdef inline bint same(int64_t a, int64_t b) noexcept nogil:
    """No change of state that could end a gap."""
    return a == b or (is_run(a) and is_run(b))


cdef inline bint by_hand(int64_t bucket) noexcept nogil:
    """Modes in which people make pieces: their counts prove nothing about the machine."""
    return bucket == B_MAINTENANCE or bucket == B_MANUAL


cdef inline Product* now_made(Ledger* m) noexcept nogil:
    return &m.rule.products[m.s.product]


cdef inline int64_t patience(Ledger* m) noexcept nogil:
    """How long a gap may stay undecided, because a count may still say what it was."""
    if m.rule.output == 0 or by_hand(m.s.bucket) or m.s.bucket == B_UNKNOWN:
        return 0
    return now_made(m).stop_ns if is_run(m.s.bucket) else now_made(m).small_ns


cdef inline void anchor(Ledger* m, int64_t t_ns, bint by_count) noexcept nogil:
    m.s.anchor_ns = t_ns
    m.s.anchored_by_count = by_count
    m.s.anchor_rt_ns = m.s.rt_ns


cdef inline bint leads(Ledger* m) noexcept nogil:
    """The gap begins with a cycle that was run: a count says so, or the machine that it runs."""
    return m.s.anchored_by_count or m.s.bucket == B_RUN


cdef inline void book_gap(Ledger* m, int64_t until_ns, bint stood) noexcept nogil:
    """Its first cycle was run, whatever came after. stood: the rest was a stop, whatever the machine says."""
    if leads(m):
        book(m, min64(m.s.anchor_ns + now_made(m).ideal_ns, until_ns), B_RUN, False)
    book(m, until_ns, B_UNASSIGNED if stood else B_RUN, False)


cdef inline void close_gap(Ledger* m, int64_t until_ns) noexcept nogil:
    """No count ended it, and no edge of the schedule lies in it. Beyond t2 what was run for nothing is a small stop."""
    cdef int64_t lost, gap = until_ns - m.s.anchor_ns
    book_gap(m, until_ns, gap > patience(m))
    lost = m.s.rt_ns - m.s.anchor_rt_ns - (now_made(m).ideal_ns if leads(m) else 0)
    if lost > 0 and gap > now_made(m).small_ns:
        enter_cell(m, made_by(m, until_ns), m.s.product)
        m.s.cell[K_SMALL] += lost
    anchor(m, until_ns, False)


cdef inline int64_t schedule_edge(Ledger* m, int64_t t_ns) noexcept nogil:
    """When a shift's working time that is going on at `t_ns` ends, or the next one begins."""
    cdef Calendar* c = &m.calendar
    cdef bint on
    cdef Py_ssize_t i
    seek(c, t_ns)
    i = c.at
    on = c.kind[i] == S_SCHEDULED
    while i + 1 < c.count and (c.kind[i + 1] == S_SCHEDULED) == on:
        i += 1
    return c.end[i]


cdef inline void cut(Ledger* m, int64_t until_ns) noexcept nogil:
    """A gap beyond t2 cannot prove that a break was worked through: it ends where the break begins, and a new one
    begins with the work.
    """
    cdef int64_t edge
    if until_ns - m.s.anchor_ns > now_made(m).small_ns:
        edge = schedule_edge(m, m.s.anchor_ns)
        while edge < until_ns:
            close_gap(m, edge)
            edge = schedule_edge(m, edge)


cdef inline void settle(Ledger* m, int64_t until_ns) noexcept nogil:
    """Book the gap up to `until_ns` as what it is if no count ends it."""
    if not is_run(m.s.bucket):
        book(m, until_ns, m.s.bucket, False)
    elif m.rule.output == 0:
        book(m, until_ns, B_RUN, True)
    else:
        cut(m, until_ns)
        book_gap(m, until_ns, until_ns - m.s.anchor_ns > patience(m))


cdef inline void end_gap(Ledger* m, int64_t t_ns) noexcept nogil:
    """Something else than a count ends the gap: another state, another product."""
    if is_run(m.s.bucket) and m.rule.output:
        cut(m, t_ns)
        close_gap(m, t_ns)
    else:
        settle(m, t_ns)
        anchor(m, t_ns, False)


cdef inline void wait(Ledger* m, int64_t t_ns) noexcept nogil:
    """The gap goes on. What no count can change any more is booked; the last cycle may still become a piece."""
    cdef int64_t patient = patience(m)
    if is_run(m.s.bucket) and m.rule.output:
        cut(m, t_ns)
        if t_ns - m.s.anchor_ns > patient:
            book_gap(m, t_ns - now_made(m).ideal_ns, True)
    elif t_ns - m.s.anchor_ns > patient:
        settle(m, t_ns - now_made(m).ideal_ns if patient else t_ns)


cdef inline void settle_believed(Ledger* m, int64_t until_ns) noexcept nogil:
    """The same where the state has not been heard of since: it is believed for `hold`, then nobody knows."""
    settle(m, min64(m.s.heard_ns + m.rule.hold_ns, until_ns))
    book(m, until_ns, B_UNKNOWN, False)


cdef inline int64_t idle_of(Ledger* m, int64_t t_ns, int64_t pieces) noexcept nogil:
    """The part of the gap that may hide a stop: all but the first piece were made between the last two samples."""
    return t_ns - m.s.anchor_ns - min64((pieces - 1) * now_made(m).ideal_ns, t_ns - m.s.t_ns)


cdef inline void end_run_gap(Ledger* m, int64_t t_ns, int64_t pieces, int64_t* slow, int64_t* small) noexcept nogil:
    """A count ends a gap in which the machine was running, or said nothing of its state."""
    cdef Product* rule = now_made(m)
    cdef int64_t idle = idle_of(m, t_ns, pieces)
    cdef int64_t cycles, lost
    if idle > rule.small_ns:
        cut(m, t_ns)
        idle = idle_of(m, t_ns, pieces)
    if idle > rule.small_ns:
        seek(&m.calendar, m.s.anchor_ns)
        cycles = pieces - 1 if leads(m) and m.calendar.kind[m.calendar.at] == S_SCHEDULED else pieces
        book_gap(m, t_ns - min64(cycles * rule.ideal_ns, t_ns - m.s.t_ns + rule.ideal_ns), idle > rule.stop_ns)
    book(m, t_ns, B_RUN, True)
    lost = m.s.rt_ns - m.s.anchor_rt_ns - pieces * rule.ideal_ns
    if lost > 0 and idle > rule.small_ns:
        small[0] = lost
    elif lost > 0 and t_ns - m.s.anchor_ns > pieces * rule.slow_ns:
        slow[0] = lost


cdef inline void end_stop_gap(Ledger* m, int64_t t_ns, int64_t pieces, int64_t now, int64_t* conflict) noexcept nogil:
    """A count although the machine said it stood, or nobody knew what it did."""
    cdef int64_t cycles = pieces * now_made(m).ideal_ns
    cdef int64_t run = t_ns - m.s.booked_ns
    if by_hand(m.s.bucket):
        book(m, t_ns, m.s.bucket, False)
        return
    if is_run(now) or m.s.bucket == B_UNKNOWN:
        run = min64(cycles, run)
    else:
        if idle_of(m, t_ns, pieces) > now_made(m).small_ns:
            run = min64(cycles, run)
        conflict[0] = run
    book(m, t_ns - run, m.s.bucket, False)
    book(m, t_ns, B_RUN, True)


cdef inline void spread(Ledger* m, int64_t t_ns, int64_t of, Credits* credits) noexcept nogil:
    """From the last sample on, the state is believed for `hold`, then nobody knows; the pieces counted meanwhile are
    spread over all of it.
    """
    cdef Py_ssize_t i, n = walk_shares(m, t_ns, NULL)
    cdef int64_t believed_ns = m.s.heard_ns + m.rule.hold_ns
    cdef bint proven
    cdef Share* shares = <Share*> calloc(<size_t> n, sizeof(Share))
    if shares == NULL:
        m.cells.failed = 1
        return
    walk_shares(m, t_ns, shares)
    proven = share_credits(m, shares, n, credits)
    for i in range(n):
        credit_share(m, &shares[i], n, of)
        if m.s.booked_ns < believed_ns:
            settle(m, min64(believed_ns, shares[i].end_ns))
        book(m, shares[i].end_ns, B_UNKNOWN, proven)
    free(shares)


cdef inline void pass_silence(Ledger* m, int64_t t_ns, int64_t of, bint readable, Credits* credits) noexcept nogil:
    """Longer than `hold` without a sample."""
    cdef int64_t[N_BUCKET] told
    cdef bint stood
    if m.times != NULL and told_by_plc(m, t_ns, &told[0]):
        settle_believed(m, m.s.t_ns)
        stood = readable and credits.evidence <= 0 and told[B_RUN] > now_made(m).stop_ns
        repair(m, t_ns, of, &told[0], B_UNASSIGNED if stood else B_RUN, credits)
    elif anything(credits):
        settle_believed(m, m.s.t_ns)
        spread(m, t_ns, of, credits)
    else:
        settle_believed(m, t_ns)
    anchor(m, t_ns, False)


cdef inline void pass_counted(Ledger* m, int64_t t_ns, int64_t now, int64_t of, Credits* credits) noexcept nogil:
    """Something was counted since the last sample: the gap is decided, everything up to t is booked."""
    cdef int64_t slow = 0, small = 0, conflict = 0
    cdef int64_t* cell = &m.s.cell[0]
    if credits.evidence <= 0:
        if now == B_UNKNOWN:
            settle_believed(m, t_ns)
        elif same(now, m.s.bucket):
            settle(m, t_ns)
        else:
            end_gap(m, t_ns)
    elif is_run(m.s.bucket):
        end_run_gap(m, t_ns, credits.evidence, &slow, &small)
    else:
        end_stop_gap(m, t_ns, credits.evidence, now, &conflict)
    if slow or small or conflict:           # time passed: the cell of its end is open
        cell[K_SLOW] += slow
        cell[K_SMALL] += small
        if conflict:
            cell[K_CONFLICT] += conflict
            cell[K_FLAGS] |= F_STATE_CONFLICT
    credit(m, made_by(m, t_ns), of, &credits.pieces[0], credits.doubts)
    if credits.evidence > 0 or not same(now, m.s.bucket):
        anchor(m, t_ns, credits.evidence > 0)


cdef inline void pass_uncounted(Ledger* m, int64_t t_ns, int64_t now, bint readable) noexcept nogil:
    """Nothing was counted. The gap goes on, unless the state changed, or it is decided without a count."""
    if not same(now, m.s.bucket):
        if now == B_UNKNOWN:
            settle_believed(m, t_ns)
            anchor(m, t_ns, False)
        else:
            end_gap(m, t_ns)
    elif not readable and is_run(m.s.bucket) and m.rule.output:
        if t_ns - m.s.read_ns > m.rule.hold_ns:     # the counter is blind, the state is not
            settle(m, m.s.read_ns)
            book(m, t_ns, B_RUN, False)
            anchor(m, t_ns, False)
    else:
        wait(m, t_ns)


# ---- one sample ------------------------------------------------------------------------------------------------------

cdef inline int64_t believed(Ledger* m, int64_t t_ns, int64_t said, bint readable, bint counted) noexcept nogil:
    """What the machine does from now on. A state that cannot be read is the last one for `hold`, then counts alone
    decide: they go on telling of a machine that ran, and of one that stood or was unknown once they count.
    """
    if said != B_UNKNOWN and (said != B_NONE or readable):
        m.s.heard_ns = t_ns
        return said
    if t_ns - m.s.heard_ns <= m.rule.hold_ns:
        return m.s.bucket
    if readable and (counted or is_run(m.s.bucket)):
        m.s.heard_ns = t_ns
        return B_NONE
    return B_UNKNOWN


cdef inline void start(Ledger* m, const int64_t* sample, bint readable) noexcept nogil:
    cdef Credits baseline
    cdef int64_t t_ns = sample[I_T]
    m.s.begun_ns = t_ns
    m.s.version = CHECKPOINT_VERSION
    m.s.started = 1
    m.s.t_ns = m.s.booked_ns = m.s.open_since_ns = m.s.read_ns = t_ns
    m.s.heard_ns = t_ns - m.rule.hold_ns - 1      # nothing was heard before
    m.s.open_bucket = B_NONE
    m.s.bucket = believed(m, t_ns, sample[I_BUCKET], readable, False)
    m.s.fault = sample[I_FAULT]
    m.s.product = sample[I_PRODUCT]
    anchor(m, t_ns, False)
    decode_counters(m, sample, m.s.product, &baseline)


cdef inline void step(Ledger* m, const int64_t* sample) noexcept nogil:
    """One sample, already checked. The calendar reaches from booked_ns to it."""
    cdef int64_t t_ns = sample[I_T]
    cdef int64_t now, elapsed, wall, of
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
    of = maker(m, t_ns)
    decode_counters(m, sample, of, &credits)
    if not -STEP_LIMIT <= wall - elapsed <= STEP_LIMIT:
        credits.flags |= F_CLOCK_STEP
    if t_ns - m.s.t_ns > m.rule.hold_ns:
        pass_silence(m, t_ns, of, readable, &credits)
        now = believed(m, t_ns, sample[I_BUCKET], readable, credits.evidence > 0)
    else:
        now = believed(m, t_ns, sample[I_BUCKET], readable, credits.evidence > 0)
        if anything(&credits):
            pass_counted(m, t_ns, now, of, &credits)
        else:
            pass_uncounted(m, t_ns, now, readable)
    add_facts(m, t_ns, of, &credits)
    if sample[I_PRODUCT] != m.s.product:
        end_gap(m, t_ns)
        change_product(m, t_ns, sample[I_PRODUCT])
    if now != m.s.bucket or m.s.fault == 0:
        m.s.fault = sample[I_FAULT]      # first-out: the first code of a state stays
    if m.s.open_fault == 0 and m.s.open_bucket == now:
        m.s.open_fault = m.s.fault
    m.s.bucket = now
    m.s.t_ns = t_ns
    if readable:
        m.s.read_ns = t_ns


cdef inline bint is_possible(const Rule* rule, const int64_t* sample) noexcept nogil:
    """Every comparison made and the answers joined: a branch for each would cost more."""
    return (
        (<uint64_t> (sample[I_BUCKET] - B_NONE) < <uint64_t> (B_NOT_SCHEDULED - B_NONE))
        & (<uint64_t> sample[I_PRODUCT] < <uint64_t> rule.n_products)
        & (<uint64_t> sample[I_MASK] < <uint64_t> (2 * EPOCH))
        & (sample[I_T] > 0)
        & (sample[I_ELAPSED] <= ELAPSED_LIMIT)
    )


cdef inline bint broken(Ledger* m) noexcept nogil:
    """Memory ran out while rows were written: they are incomplete, and so is everything after."""
    return m.cells.failed or m.stops.failed or m.corrections.failed
