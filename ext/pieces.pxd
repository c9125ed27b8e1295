# Pieces: from counter readings to credits, and credits into cells. What was counted across silence is spread over it.
#
# Inline functions of the ledger kernel (theory in ledger.pyx, the counter decoder's in counters.pxd), compiled into it.

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from ext.booking cimport book, enter_cell, min64, put_correction, seek
from ext.counters cimport C_GLITCH, C_REBASE, C_RESET, F_ROLLOVER, CounterState, Step, counter_step
from ext.ledger cimport *


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
