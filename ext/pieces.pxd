# Pieces: from counter readings to credits, and credits into cells; how what was counted across silence is shared out.
#
# Inline functions of the ledger kernel (theory in ledger.pyx, the counter decoder's in counters.pxd), compiled into it.

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from ext.booking cimport enter_cell, made_by, min64, put_correction, seek
from ext.counters cimport (
    C_GLITCH, C_REBASE, C_RESET, F_AMBIGUOUS, F_COUNTER_FAULT, F_RESET, F_ROLLOVER, CounterRule, CounterState, Step,
    below, counter_step, counts_on,
)
from ext.ledger cimport *

cdef extern from *:
    bint likely(bint condition) noexcept nogil


# ---- from registers to pieces ----------------------------------------------------------------------------------------

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


cdef inline bint in_transit(int64_t pieces, const CounterRule* total) noexcept nogil:
    cdef int64_t apart = pieces if pieces > 0 else -pieces
    return apart <= 10 * total.multiplier or below(apart, total.rate, MINUTE * total.multiplier, total.scale_ns)


cdef inline void compare(Ledger* m, const CounterRule* total, Credits* out) noexcept nogil:
    """Three counters are one equation too many. The stations stand apart, so that total and good + reject may differ by
    what is in transit: ten counts, or what is made in a minute at the highest rate. More is a contradiction, told once
    each time; after a correction they are compared anew.
    """
    m.s.drift += out.pieces[G] + out.pieces[R] - out.pieces[T]
    if out.flags & (F_RESET | F_AMBIGUOUS | F_COUNTER_FAULT):
        m.s.drift = 0
    elif not in_transit(m.s.drift, total):
        m.s.drift = 0
        out.flags |= F_COUNTER_CONFLICT


cdef inline void decode_doubtful(Ledger* m, const int64_t* sample, int c, const CounterRule* rule,
                                 Credits* out) noexcept nogil:
    """What is no plain increment: corrections go out as rows."""
    cdef Step step
    cdef bint restarted = (m.s.restarted & (1 << c)) != 0
    counter_step(&m.s.counters[c], rule, m.s.virtual_ns, sample[I_COUNTER + c], restarted, &step)
    out.pieces[c] = step.credit * rule.multiplier
    if step.correction:
        put_correction(m, sample[I_T], c, rule.multiplier, &step)
        out.resets += step.correction == C_RESET or step.correction == C_REBASE
        out.rollovers += (step.flags & F_ROLLOVER) != 0
        out.glitches += step.correction == C_GLITCH
        out.lost_max += step.lost_max * rule.multiplier
    out.flags |= step.flags


cdef inline int64_t decode_counter(Ledger* m, const int64_t* sample, int c, const CounterRule* rule,
                                   Credits* out) noexcept nogil:
    """Pieces that counter `c` was credited by this sample."""
    cdef CounterState* counter = &m.s.counters[c]
    cdef int64_t counts
    if likely(m.s.restarted == 0 and counts_on(counter, rule, m.s.virtual_ns, sample[I_COUNTER + c])):
        counts = sample[I_COUNTER + c] - counter.value
        counter.value += counts
        counter.at_ns = m.s.virtual_ns
        counter.fresh = counts
        out.pieces[c] = counts * rule.multiplier
    else:
        decode_doubtful(m, sample, c, rule, out)
    return out.pieces[c]


cdef inline void decode_counters(Ledger* m, const int64_t* sample, int64_t of, Credits* out) noexcept nogil:
    """Credits of this sample in pieces of product `of`."""
    cdef int64_t read = m.rule.counters & sample[I_MASK]
    cdef const CounterRule* rules = &m.rule.products[of].counters[0]
    cdef int proof = G if m.rule.output == HAS_G else T
    cdef int64_t unread_ns = m.s.virtual_ns - m.s.counters[proof].at_ns
    memset(out, 0, sizeof(Credits))
    if sample[I_MASK] & EPOCH:
        m.s.restarted = m.rule.counters
    if read & HAS_T:
        decode_counter(m, sample, T, &rules[T], out)
    if read & HAS_G:
        decode_counter(m, sample, G, &rules[G], out)
    if read & HAS_R:
        decode_counter(m, sample, R, &rules[R], out)
    out.evidence = out.pieces[proof]
    if unread_ns > m.rule.hold_ns and out.evidence > 0:
        out.doubts = F_RECOVERED
    if m.s.restarted:
        m.s.restarted &= ~read
    out.counted[T], out.counted[G], out.counted[R] = out.pieces[T], out.pieces[G], out.pieces[R]
    out.deficit = m.s.deficit
    if m.rule.counters != HAS_ALL:
        if read:
            derive(m, &out.pieces[0])
    elif read == HAS_ALL:
        compare(m, &rules[T], out)
    else:
        m.s.drift += out.pieces[G] + out.pieces[R] - out.pieces[T]


cdef inline bint anything(Credits* c) noexcept nogil:
    return c.pieces[T] != 0 or c.pieces[G] != 0 or c.pieces[R] != 0


# ---- sharing out -----------------------------------------------------------------------------------------------------

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
    """`pieces` (or ns) in proportion to the weights, in whole ones, by largest remainder (the earliest first among
    equals).
    """
    cdef Py_ssize_t i
    cdef int64_t total = 0, left = pieces, low = 0, high, middle
    cdef long long rest = 0
    for i in range(n):
        total += shares[i].weight
    for i in range(n):
        shares[i].part[which] = muldiv(pieces, shares[i].weight, total, &rest)
        shares[i].rest = rest
        left -= shares[i].part[which]
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
            shares[i].part[which] += 1
        elif shares[i].rest == low and left > 0:
            shares[i].part[which] += 1
            left -= 1


cdef inline void share_pieces(Share* shares, Py_ssize_t n, const int64_t* pieces) noexcept nogil:
    """Totals by the weights; goods and rejects by totals, so that no part has more of them than pieces."""
    cdef Py_ssize_t i
    share_out(shares, n, pieces[T], T)
    if pieces[T] > 0:
        for i in range(n):
            shares[i].weight = shares[i].part[T]
    share_out(shares, n, pieces[G], G)
    if pieces[G] + pieces[R] == pieces[T]:
        for i in range(n):
            shares[i].part[R] = shares[i].part[T] - shares[i].part[G]
    else:
        share_out(shares, n, pieces[R], R)


# ---- pieces into cells -----------------------------------------------------------------------------------------------

cdef inline int64_t maker(Ledger* m, int64_t t_ns) noexcept nogil:
    """The product of what is counted at `t_ns`: the one before, while its work in process comes out."""
    return m.s.left_product if t_ns <= m.s.flush_until_ns and m.s.flush_left > 0 else m.s.product


cdef inline void change_product(Ledger* m, int64_t t_ns, int64_t product) noexcept nogil:
    """From `t_ns` on. What was counted by then was made of the old one, and so is its work in process; while that of
    an earlier one is still coming out, it goes on doing so.
    """
    cdef Product* old = &m.rule.products[m.s.product]
    if maker(m, t_ns) == m.s.product:
        m.s.left_product = m.s.product
        m.s.flush_until_ns = t_ns + old.flush_ns if old.flush_ns or not old.flush_pieces else FOREVER
        m.s.flush_left = old.flush_pieces if old.flush_pieces else FOREVER
    m.s.product = product
    if product == m.s.left_product:
        m.s.flush_until_ns = 0


cdef inline void add_pieces(Ledger* m, int64_t product, const int64_t* pieces, int64_t doubts) noexcept nogil:
    """Pieces into the open cell, which is theirs; output outside the schedule is output, but not OEE."""
    cdef int64_t* cell = &m.s.cell[0]
    cdef int64_t ideal = m.rule.products[product].ideal_ns
    if m.open.kind == S_NOT_SCHEDULED:
        cell[K_UTC] += pieces[T]
        cell[K_UGC] += pieces[G]
        cell[K_USC] += pieces[R]
        cell[K_UFPT] += ideal * pieces[G]
    else:
        cell[K_TC] += pieces[T]
        cell[K_GC] += pieces[G]
        cell[K_SC] += pieces[R]
        cell[K_NRT] += ideal * pieces[T]
        cell[K_FPT] += ideal * pieces[G]
    if m.rule.counters == HAS_T or m.rule.counters == HAS_G:
        cell[K_FLAGS] |= F_QUALITY_ASSUMED
    m.s.made[T] += pieces[T]
    m.s.made[G] += pieces[G]
    m.s.made[R] += pieces[R]
    if doubts:
        cell[K_FLAGS] |= doubts
        cell[K_RECOVERED] += pieces[T]
        if doubts & F_ESTIMATED:
            cell[K_ESTIMATED] += pieces[T]


cdef inline void put_pieces(Ledger* m, int64_t at_ns, int64_t product, const int64_t* pieces,
                            int64_t doubts) noexcept nogil:
    """Pieces into the cell of `at_ns`."""
    enter_cell(m, at_ns, product)
    add_pieces(m, product, pieces, doubts)


cdef inline void flush_pieces(Ledger* m, int64_t at_ns, const int64_t* pieces, int64_t doubts) noexcept nogil:
    """Pieces of the product before, as far as its work in process reaches; the rest is of the present one."""
    cdef Share[2] parts
    cdef int64_t old = min64(m.s.flush_left, pieces[T])
    if m.s.flush_left > 0 and old == pieces[T]:
        m.s.flush_left -= old
        put_pieces(m, at_ns, m.s.left_product, pieces, doubts)
        return
    parts[0].weight = old
    parts[1].weight = pieces[T] - old
    if old > 0:
        m.s.flush_left = 0
        share_pieces(&parts[0], 2, pieces)
        put_pieces(m, at_ns, m.s.left_product, &parts[0].part[0], doubts)
        pieces = &parts[1].part[0]
    put_pieces(m, at_ns, m.s.product, pieces, doubts)


cdef inline void credit(Ledger* m, int64_t at_ns, int64_t of, const int64_t* pieces, int64_t doubts) noexcept nogil:
    """What was counted into the cell of `at_ns`. of: what `maker` said; doubts: F_RECOVERED, F_ESTIMATED."""
    if of == m.s.product:
        put_pieces(m, at_ns, of, pieces, doubts)
    else:
        flush_pieces(m, at_ns, pieces, doubts)


cdef inline void add_facts(Ledger* m, int64_t t_ns, int64_t of, Credits* c) noexcept nogil:
    """Facts and doubts into the cell where booking stands, with the pieces they are about where it stands at t."""
    cdef int64_t* cell = &m.s.cell[0]
    if c.flags or c.resets or c.lost_max:
        if m.s.booked_ns < t_ns:
            enter_cell(m, m.s.booked_ns, m.s.product)
        else:
            enter_cell(m, made_by(m, t_ns), of)
        cell[K_RESETS] += c.resets
        cell[K_ROLLOVERS] += c.rollovers
        cell[K_GLITCHES] += c.glitches
        cell[K_LOST_MAX] += c.lost_max
        cell[K_FLAGS] |= c.flags


# ---- pieces counted across unobserved time ---------------------------------------------------------------------------

cdef inline Py_ssize_t walk_shares(Ledger* m, int64_t from_ns, int64_t until_ns, Share* shares) noexcept nogil:
    """The stretches between edges from `from_ns` to `until_ns`, their lengths as weights. NULL: only count them."""
    cdef Py_ssize_t n = 0
    cdef int64_t edge
    while from_ns < until_ns:
        seek(&m.calendar, from_ns)
        edge = min64(min64(from_ns - from_ns % MINUTE + MINUTE, m.calendar.end[m.calendar.at]), until_ns)
        if shares != NULL:
            shares[n].end_ns = edge
            shares[n].kind = m.calendar.kind[m.calendar.at]
            shares[n].length = shares[n].weight = edge - from_ns
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


cdef inline bint share_credits(Ledger* m, Share* shares, Py_ssize_t n, Credits* credits) noexcept nogil:
    """What each counter counted over the best kind of time; what none counted is derived in each stretch. Whether they
    prove production in breaks: there was nothing better.
    """
    cdef int64_t best = weigh_best(shares, n)
    cdef Py_ssize_t i
    cdef int c
    for c in range(N_COUNTER):
        share_out(shares, n, credits.counted[c], c)
    m.s.deficit = credits.deficit
    for i in range(n):
        derive(m, &shares[i].part[0])
    return best == S_BREAK and credits.evidence > 0


cdef inline void credit_share(Ledger* m, Share* share, Py_ssize_t n, int64_t of) noexcept nogil:
    """The pieces of a stretch, one of `n`."""
    if share.part[T] or share.part[G] or share.part[R]:
        credit(m, share.end_ns - share.length, of, &share.part[0], F_RECOVERED | F_ESTIMATED if n > 1 else F_RECOVERED)
