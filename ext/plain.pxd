# The plain sample: nine in ten, and what the ledger's speed is.
#
# Theory. A machine that goes on as it did before asks few questions: the same state and product, every counter read and
# counting on as it can, the next reading in time, in the same slice of the calendar. For such a sample all that
# `step_any` (gaps.pxd) looks into is known beforehand: nothing lapses, no edge of the schedule is crossed, nobody is
# blind, no fact is to be told. What is left are the pieces and the gap. What holds from sample to sample is found out
# once, by `calm_until`, after a sample that was not plain; a plain one leaves it so. Where a run or a stop just goes on
# inside the open cell, its time and pieces are put down here; all else is decided in gaps.pxd.
#
# Rules. A sample that is not plain has changed nothing here. A plain one does to the ledger what `step_any` would have
# done, bit for bit: it decides nothing of its own.
#
# Inline functions of the ledger kernel (theory in ledger.pyx), compiled into it.

from libc.stdint cimport int32_t, int64_t, uint64_t

from ext.booking cimport put_time, seek
from ext.counters cimport CounterRule, CounterState, within
from ext.gaps cimport anchor, is_run, note_fault, now_made, pass_counted, pass_uncounted, step_any
from ext.ledger cimport *
from ext.pieces cimport add_pieces, derive, in_transit

cdef extern from *:
    bint likely(bint condition) noexcept nogil


# ---- is it plain? ----------------------------------------------------------------------------------------------------

cdef inline bint knows_cell(Ledger* m) noexcept nogil:
    """The open cell, if it is not full, is that of the present product and kind of time, and booking stands in it."""
    return m.open.until_ns <= m.s.booked_ns or (
        m.open.from_ns <= m.s.booked_ns and m.open.kind == m.s.kind and m.s.cell[K_PRODUCT] == m.s.product
    )


cdef inline int64_t calm_until(Ledger* m) noexcept nogil:
    """How far samples may be plain. 0: not at all, since something was not read or heard with the last sample, or is
    still to be decided.
    """
    cdef int c
    cdef CounterState* counter
    for c in range(N_COUNTER):
        counter = &m.s.counters[c]
        if m.rule.counters & (1 << c) and not (counter.steady and counter.at_ns == m.s.virtual_ns):
            return 0
    if not (
        m.s.started and m.rule.output != 0
        and m.s.heard_ns == m.s.t_ns and m.s.read_ns == m.s.t_ns and m.s.crossed_ns == m.s.t_ns
        and m.s.silent_ns == 0 and m.s.restarted == 0
        and (m.s.flush_left <= 0 or m.s.flush_until_ns < m.s.t_ns)
        and m.s.booked_ns <= m.s.t_ns and knows_cell(m)
        and (m.rule.counters != HAS_ALL or in_transit(m.s.drift, &now_made(m).counters[T]))
    ):
        return 0
    seek(&m.calendar, m.s.t_ns)
    return m.calendar.end[m.calendar.at] if m.calendar.kind[m.calendar.at] == m.s.kind else 0


cdef inline bint up_to(int64_t x, int64_t limit) noexcept nogil:
    """0 < x <= limit."""
    return <uint64_t> (x - 1) < <uint64_t> limit


cdef inline bint is_plain(Ledger* m, const int64_t* sample, int64_t wall_ns, int64_t elapsed_ns) noexcept nogil:
    """All but its counts."""
    return (
        sample[I_T] <= m.calm_until_ns
        and sample[I_BUCKET] == m.s.bucket and sample[I_PRODUCT] == m.s.product
        and sample[I_MASK] & m.rule.counters == m.rule.counters
        and up_to(wall_ns, m.rule.hold_ns) and up_to(elapsed_ns, now_made(m).plain_ns)
        and -STEP_LIMIT <= wall_ns - elapsed_ns <= STEP_LIMIT
    )


cdef inline bint counts(const CounterState* c, const CounterRule* r, int64_t value, int64_t dt_ns,
                        int64_t* counted) noexcept nogil:
    """How many counts since the last sample; whether there are not less than none, nor more than can have been made."""
    if <uint64_t> value >= <uint64_t> r.modulus:
        return False
    counted[0] = value - c.value
    return <uint64_t> counted[0] <= 2 or (counted[0] > 0 and within(r, counted[0], dt_ns))


# ---- what it comes to ------------------------------------------------------------------------------------------------

cdef inline void accept(CounterState* c, int64_t counted, int64_t t_ns) noexcept nogil:
    c.value += counted
    c.at_ns = t_ns
    c.fresh = counted


cdef inline bint goes_on(Ledger* m, int64_t t_ns, int64_t bucket) noexcept nogil:
    """Time up to `t_ns` as `bucket` is no other stretch, and no other cell."""
    return m.s.open_bucket == bucket and t_ns <= m.open.until_ns


cdef inline bint run_on(Ledger* m, int64_t t_ns, Credits* credits) noexcept nogil:
    """What `pass_counted` does where a run goes on: a count within t2 of the one before. False: it does not."""
    cdef Product* rule = now_made(m)
    cdef int64_t gap = t_ns - m.s.anchor_ns
    cdef int64_t lost
    if not (is_run(m.s.bucket) and goes_on(m, t_ns, B_RUN) and credits.evidence > 0 and gap <= rule.small_ns):
        return False
    put_time(m, t_ns - m.s.booked_ns, B_RUN, B_RUN)
    lost = m.s.rt_ns - m.s.anchor_rt_ns - credits.evidence * rule.ideal_ns
    if lost > 0 and gap > credits.evidence * rule.slow_ns:
        m.s.cell[K_SLOW] += lost
    add_pieces(m, m.s.product, &credits.pieces[0], 0)
    anchor(m, t_ns, True)
    return True


cdef inline bint stand_on(Ledger* m, int64_t t_ns) noexcept nogil:
    """What `pass_uncounted` does where a stop goes on that is booked already. False: it does not."""
    if not (goes_on(m, t_ns, m.s.bucket) and t_ns - m.s.anchor_ns > now_made(m).small_ns):
        return False
    put_time(m, t_ns - m.s.booked_ns, m.s.bucket, m.s.bucket)
    return True


cdef inline bint step_plain(Ledger* m, const int64_t* sample) noexcept nogil:
    """One sample, already checked, if it is a plain one. False: it is not, and nothing has changed."""
    cdef State* s = &m.s
    cdef const CounterRule* rules = &now_made(m).counters[0]
    cdef int64_t t_ns = sample[I_T]
    cdef int64_t wall_ns = t_ns - s.t_ns
    cdef int64_t elapsed_ns = sample[I_ELAPSED] if sample[I_ELAPSED] >= 0 else wall_ns
    cdef int64_t ahead, total = 0, good = 0, reject = 0
    cdef int32_t has = m.rule.counters
    cdef Credits credits
    if not is_plain(m, sample, wall_ns, elapsed_ns):
        return False
    if has & HAS_T and not counts(&s.counters[T], &rules[T], sample[I_COUNTER + T], elapsed_ns, &total):
        return False
    if has & HAS_G and not counts(&s.counters[G], &rules[G], sample[I_COUNTER + G], elapsed_ns, &good):
        return False
    if has & HAS_R and not counts(&s.counters[R], &rules[R], sample[I_COUNTER + R], elapsed_ns, &reject):
        return False
    credits.pieces[T] = total * rules[T].multiplier
    credits.pieces[G] = good * rules[G].multiplier
    credits.pieces[R] = reject * rules[R].multiplier
    if has == HAS_ALL:
        ahead = credits.pieces[G] + credits.pieces[R] - credits.pieces[T]
        if ahead != 0:
            if not in_transit(s.drift + ahead, &rules[T]):
                return False
            s.drift += ahead
    s.virtual_ns += elapsed_ns
    if has & HAS_T:
        accept(&s.counters[T], total, s.virtual_ns)
    if has & HAS_G:
        accept(&s.counters[G], good, s.virtual_ns)
    if has & HAS_R:
        accept(&s.counters[R], reject, s.virtual_ns)
    s.heard_ns = s.read_ns = s.crossed_ns = t_ns
    if total | good | reject:
        credits.evidence = credits.pieces[G if m.rule.output == HAS_G else T]
        credits.doubts = 0
        if has != HAS_ALL:
            derive(m, &credits.pieces[0])
        if not run_on(m, t_ns, &credits):
            pass_counted(m, t_ns, s.bucket, s.product, &credits)
    elif is_run(s.bucket):
        if t_ns - s.anchor_ns > now_made(m).small_ns:
            pass_uncounted(m, t_ns, s.bucket)
    elif not stand_on(m, t_ns):
        pass_uncounted(m, t_ns, s.bucket)
    if s.fault | sample[I_FAULT]:
        note_fault(m, s.bucket, sample[I_FAULT])
    s.t_ns = t_ns
    return True


cdef inline void pass_samples(Ledger* m, const int64_t* sample, const int64_t* end) noexcept nogil:
    """Samples, row after row, already checked. The calendar reaches from booked_ns to the last of them."""
    while sample < end:
        if not likely(step_plain(m, sample)):
            step_any(m, sample)
            m.calm_until_ns = calm_until(m)
        sample += N_SAMPLE
