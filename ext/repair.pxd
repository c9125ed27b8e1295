# Repair: the PLC's own accumulators of time tell what a silence was.
#
# Theory. While nobody listened the PLC went on adding up how long it was in each of its states (PackML
# StateCumulativeTime and ModeCumulativeTime, OPC 40444 totals, run and fault seconds in a register). Read before and
# after the silence, the differences say how long the machine was in each bucket, to the resolution of the register; not
# in which order. So:
#     proven      a difference that fits into the time passed. All together must fit, or none is believed
#     uncertain   each by its unit, by how late a reading may be, and by 200 ppm of crystal
#     complete    where the sum is as long as the silence within what is uncertain, what it is short or over is shared
#                 in proportion to the uncertainties: no bucket moves by more than its own, and the silence closes
#     partial     where it is shorter (only run and fault seconds, a PLC without power), the rest stays UNKNOWN
# Over several cells the order is not known. Run time goes into scheduled time as far as it fits, then into breaks, then
# outside (a break inside a silence is assumed taken, as for pieces); the other buckets fill what is left of each
# stretch, all in proportion to time: ESTIMATED. Run time that fits only into a break is proven there by pieces.
# A silence that was one bucket throughout has an order, and is an event of that bucket; else it is one event UNKNOWN.
#
# Inline functions of the ledger kernel (theory in ledger.pyx), compiled into it.

from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from ext.booking cimport enter_cell, live_through, min64, put_time, scheduled_bucket
from ext.ledger cimport *
from ext.pieces cimport anything, credit_share, share_credits, share_out, walk_shares

cdef enum:
    DRIFT_PARTS = 5000          # a crystal is right to one part in so many


# ---- what the accumulators say ---------------------------------------------------------------------------------------

cdef inline void note(Ledger* m, const int64_t* row) noexcept nogil:
    """The accumulators as read: time, mask, values. A value that cannot be one counts as not read."""
    cdef Times* times = m.times
    cdef Py_ssize_t i
    if times.newest.t_ns <= m.s.t_ns:
        times.base = times.newest
    times.newest.t_ns = row[0]
    times.newest.mask = 0
    for i in range(times.count):
        if (row[1] >> i) & 1 and 0 <= row[2 + i] < times.rule[i].modulus:
            times.newest.mask |= (<int64_t> 1) << i
            times.newest.value[i] = row[2 + i]


cdef inline int64_t moved(Times* times, Py_ssize_t i, int64_t span_ns) noexcept nogil:
    """Units that accumulator i went on by; -1: more than can have passed in `span_ns`."""
    cdef TimeRule* rule = &times.rule[i]
    cdef int64_t units = times.newest.value[i] - times.base.value[i]
    if units < 0:
        units += rule.modulus
    return units if units <= (span_ns + span_ns // DRIFT_PARTS + rule.slack_ns) // rule.unit_ns + 1 else -1


cdef inline bint add_up(Times* times, int64_t span_ns, Share* told, int64_t* tolerance) noexcept nogil:
    """Per bucket the time told (length) and how uncertain it is (weight). False: it cannot be."""
    cdef int64_t read = times.base.mask & times.newest.mask
    cdef int64_t units, ns
    cdef Py_ssize_t i
    cdef TimeRule* rule
    memset(told, 0, N_BUCKET * sizeof(Share))
    tolerance[0] = 0
    for i in range(times.count):
        if not (read >> i) & 1:
            continue
        rule = &times.rule[i]
        units = moved(times, i, span_ns)
        if units < 0:
            return False
        ns = units * rule.unit_ns
        told[rule.bucket].length += ns
        told[rule.bucket].weight += min64(ns, rule.unit_ns + ns // DRIFT_PARTS + rule.slack_ns)
        tolerance[0] += rule.unit_ns + ns // DRIFT_PARTS + rule.slack_ns
    return True


cdef inline void take_off(Share* told, int64_t ns) noexcept nogil:
    """Time of a bucket that samples have told already."""
    told.length -= min64(ns, told.length)
    told.weight = min64(told.weight, told.length)


cdef inline bint fill(Share* told, int64_t gap_ns, int64_t tolerance, int64_t* ns) noexcept nogil:
    """From what was told to buckets that fill the gap; what is missing is UNKNOWN. False: it does not fit."""
    cdef int64_t total = 0, uncertain = 0, missing, moving
    cdef Py_ssize_t b
    for b in range(N_BUCKET):
        total += told[b].length
        uncertain += told[b].weight
    missing = gap_ns - total
    if total == 0 or -missing > uncertain:
        return False
    moving = -missing if missing < 0 else (min64(missing, uncertain) if missing <= tolerance else 0)
    share_out(told, N_BUCKET, moving, T)
    for b in range(N_BUCKET):
        ns[b] = told[b].length + (told[b].part[T] if missing > 0 else -told[b].part[T])
    if missing > 0:
        ns[B_UNKNOWN] += missing - moving
    return True


cdef inline bint told_by_plc(Ledger* m, int64_t t_ns, int64_t* ns) noexcept nogil:
    """How long the machine was in each bucket from the last sample to `t_ns`, as its accumulators say. False: they were
    not read on both sides of the silence, or cannot be right.
    """
    cdef Times* times = m.times
    cdef Share[N_BUCKET] told
    cdef int64_t tolerance
    if not m.s.t_ns < times.newest.t_ns <= t_ns or times.base.t_ns == 0:
        return False
    if not 0 <= m.s.t_ns - times.base.t_ns <= m.rule.hold_ns:
        return False
    if not add_up(times, times.newest.t_ns - times.base.t_ns, &told[0], &tolerance):
        return False
    take_off(&told[m.s.bucket if m.s.bucket >= 0 else B_RUN], m.s.t_ns - times.base.t_ns)
    if not fill(&told[0], times.newest.t_ns - m.s.t_ns, tolerance, ns):
        return False
    ns[B_UNKNOWN] += t_ns - times.newest.t_ns
    return True


# ---- into cells ------------------------------------------------------------------------------------------------------

cdef inline void place_run(Share* shares, Py_ssize_t n, int64_t run_ns) noexcept nogil:
    """Run time into scheduled time as far as it fits, then into breaks, then outside."""
    cdef int64_t kind, room, part
    cdef Py_ssize_t i
    for kind in range(3):
        room = 0
        for i in range(n):
            shares[i].weight = shares[i].length if shares[i].kind == kind else 0
            room += shares[i].weight
        part = min64(room, run_ns)
        if part > 0:
            share_out(shares, n, part, T)
            for i in range(n):
                shares[i].run += shares[i].part[T]
            run_ns -= part


cdef inline void lay(Ledger* m, int64_t ns, int64_t bucket, bint proven, bint alone, int64_t flags) noexcept nogil:
    """`ns` of one bucket from `booked_ns` on, inside the open cell. alone: the whole silence was this bucket."""
    cdef int64_t effective = scheduled_bucket(m.open.kind, bucket, proven)
    if alone:
        live_through(m, effective, m.s.booked_ns)
    put_time(m, ns, bucket, effective)
    if effective == bucket and bucket != B_UNKNOWN:
        m.s.cell[K_REPAIRED] += ns
        m.s.cell[K_FLAGS] |= flags


cdef inline void lay_stretch(Ledger* m, Share* share, Share* left, int64_t run_as, bint worked, bint proven, bint alone,
                             int64_t flags) noexcept nogil:
    """One stretch: its run time, then its part of what is `left` of the other buckets."""
    cdef Py_ssize_t b
    enter_cell(m, m.s.booked_ns, m.s.product)
    if share.run > 0:
        lay(m, share.run, run_as, worked, alone, flags)
    if share.length == share.run:
        return
    share_out(left, N_BUCKET, share.length - share.run, T)
    for b in range(N_BUCKET):
        if left[b].part[T] > 0:
            lay(m, left[b].part[T], b, proven, alone, flags)
            left[b].weight -= left[b].part[T]


cdef inline void repair(Ledger* m, int64_t t_ns, int64_t of, const int64_t* told, int64_t run_as,
                        Credits* credits) noexcept nogil:
    """Book [booked, t) as told, and spread the pieces that were counted meanwhile over it. run_as: what run time is."""
    cdef Py_ssize_t b, i, n = walk_shares(m, m.s.booked_ns, t_ns, NULL)
    cdef Share[N_BUCKET] left
    cdef bint alone = True, proven = False
    cdef int64_t flags
    cdef Share* shares = <Share*> calloc(<size_t> n, sizeof(Share))
    if shares == NULL:
        m.cells.failed = 1
        return
    walk_shares(m, m.s.booked_ns, t_ns, shares)
    place_run(shares, n, told[B_RUN])
    for b in range(N_BUCKET):
        left[b].weight = told[b] if b != B_RUN else 0
        alone = alone and (told[b] == 0 or told[b] == t_ns - m.s.booked_ns)
    flags = F_REPAIRED if alone or n == 1 else F_REPAIRED | F_ESTIMATED
    if not alone:
        live_through(m, B_UNKNOWN, m.s.booked_ns)
    for i in range(n):
        shares[i].weight = shares[i].length
    if anything(credits):
        proven = share_credits(m, shares, n, credits)
    for i in range(n):
        if anything(credits):
            credit_share(m, &shares[i], n, of)
        lay_stretch(m, &shares[i], &left[0], run_as, credits.evidence > 0, proven, alone, flags)
    free(shares)
