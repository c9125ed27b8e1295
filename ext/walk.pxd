# The walk: time and the pieces that were made in it, from edge to edge.
#
# Inline functions of the ledger kernel (theory in ledger.pyx), compiled into it. Time is booked in order, and a cell
# that was left is not entered again. So pieces that were made in time that is not booked yet wait, one share for each
# stretch between edges, and fall into their cells as the walk comes by, whatever the time turns out to be.

from libc.stdint cimport int64_t
from libc.stdlib cimport calloc

from ext.booking cimport enter_cell, live_through, min64, put_time, scheduled_bucket, seek
from ext.ledger cimport *
from ext.pieces cimport credit_share, share_credits, walk_shares

cdef extern from *:
    bint likely(bint condition) noexcept nogil


cdef inline bint wait_for_time(Ledger* m, int64_t from_ns, int64_t until_ns, int64_t of,
                               Credits* credits) noexcept nogil:
    """Spread what was counted over [from, until), of which nothing is booked yet. The caller books that time, then
    frees `waiting`. False: out of memory.
    """
    cdef Py_ssize_t n = walk_shares(m, from_ns, until_ns, NULL)
    cdef Share* shares = <Share*> calloc(<size_t> n, sizeof(Share))
    if shares == NULL:
        m.cells.failed = 1
        return False
    walk_shares(m, from_ns, until_ns, shares)
    m.worked = share_credits(m, shares, n, credits)
    m.waiting, m.n_waiting, m.next_waiting, m.waiting_of = shares, n, 0, of
    return True


cdef inline void hand_out(Ledger* m, int64_t until_ns) noexcept nogil:
    """The walk comes to a stretch: pieces that wait for it. `until_ns`: it goes no further."""
    cdef int64_t booked_ns = m.s.booked_ns, edge_ns
    cdef Share* share
    seek(&m.calendar, booked_ns)
    edge_ns = min64(min64(booked_ns - booked_ns % MINUTE + MINUTE, m.calendar.end[m.calendar.at]), until_ns)
    while m.next_waiting < m.n_waiting:
        share = m.waiting + m.next_waiting
        if share.end_ns - share.length >= edge_ns:
            return
        credit_share(m, share, m.n_waiting, m.waiting_of)
        m.next_waiting += 1


cdef inline void walk(Ledger* m, int64_t until_ns, int64_t bucket, bint proven) noexcept nogil:
    cdef int64_t edge, effective
    while m.s.booked_ns < until_ns:
        if m.waiting != NULL:
            hand_out(m, until_ns)
        enter_cell(m, m.s.booked_ns, m.s.product)
        edge = min64(m.open.until_ns, until_ns)
        effective = scheduled_bucket(m.open.kind, bucket, proven)
        live_through(m, effective, m.s.booked_ns)
        put_time(m, edge - m.s.booked_ns, bucket, effective)


cdef inline void book(Ledger* m, int64_t until_ns, int64_t bucket, bint proven) noexcept nogil:
    """Book everything from `booked_ns` to `until_ns` as `bucket`. The last cell stays open, be its minute full: what a
    reading on the edge shows was made in it.
    """
    if m.s.booked_ns >= until_ns:
        return
    if likely(
        m.open.kind == S_SCHEDULED and bucket == m.s.open_bucket and m.waiting == NULL
        and m.open.from_ns <= m.s.booked_ns and until_ns <= m.open.until_ns and m.s.cell[K_PRODUCT] == m.s.product
    ):
        put_time(m, until_ns - m.s.booked_ns, bucket, bucket)       # goes on in the open cell
    else:
        walk(m, until_ns, bucket, proven)
