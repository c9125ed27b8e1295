# Booking: time into cells. Rows going out, the calendar, the open cell.
#
# Inline functions of the ledger kernel (theory in ledger.pyx), compiled into it. Nothing is decided here: it is
# told how much time, as what, and whether counts prove it; it knows minutes, calendar slices, and what a schedule makes
# of a bucket.

from libc.stdint cimport int64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy, memset

from ext.counters cimport Step
from ext.ledger cimport *


# ---- output rows -----------------------------------------------------------------------------------------------------

cdef inline int64_t* new_row(Rows* rows) noexcept nogil:
    cdef Py_ssize_t room
    cdef int64_t* data
    if rows.count == rows.room:
        room = 1 if rows.room == 0 else 2 * rows.room
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


cdef inline void put_correction(Ledger* m, int64_t t_ns, int counter, int64_t pieces, Step* step) noexcept nogil:
    """pieces: per count."""
    cdef int64_t* row
    if m.quiet:
        return
    row = new_row(&m.corrections)
    if row != NULL:
        row[0], row[1], row[2], row[3], row[4] = t_ns, counter, step.correction, step.old, step.new
        row[5] = step.credit * pieces
        row[6] = step.lost_max * pieces
        row[7] = step.unattributed * pieces


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
    m.open.until_ns = m.open.from_ns


cdef inline void enter_cell(Ledger* m, int64_t t_ns, int64_t product) noexcept nogil:
    """Make the open cell the one of `product` that holds t_ns. The one before leaves."""
    if not (m.open.from_ns <= t_ns < m.open.until_ns and m.s.cell[K_PRODUCT] == product):
        change_cell(m, t_ns, product)


cdef inline void change_cell(Ledger* m, int64_t t_ns, int64_t product) noexcept nogil:
    cdef int64_t* cell = &m.s.cell[0]
    cdef Calendar* c = &m.calendar
    cdef int64_t minute = t_ns - t_ns % MINUTE
    seek(c, t_ns)
    if not m.s.has_cell or cell[K_MINUTE] != minute or cell[K_SHIFT] != c.shift[c.at] or cell[K_PRODUCT] != product:
        flush_cell(m)
        memset(cell, 0, N_CELL * sizeof(int64_t))
        cell[K_MINUTE] = minute
        cell[K_SHIFT] = c.shift[c.at]
        cell[K_PRODUCT] = product
        m.s.has_cell = 1
    m.open.from_ns = c.start[c.at] if c.start[c.at] > minute else minute
    m.open.until_ns = min64(minute + MINUTE, c.end[c.at])
    m.open.kind = c.kind[c.at]


cdef inline int64_t made_by(Ledger* m, int64_t t_ns) noexcept nogil:
    """The nanosecond by which all was made that is seen at `t_ns`: on an edge, still before it."""
    return t_ns - (t_ns > m.s.begun_ns)


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


cdef inline void put_time(Ledger* m, int64_t ns, int64_t bucket, int64_t effective) noexcept nogil:
    """`ns` from `booked_ns` on into the open cell, which holds them: told as `bucket`, `effective` under the
    calendar.
    """
    cdef int64_t* cell = &m.s.cell[0]
    cdef int64_t kind = m.open.kind
    cell[K_BUCKET + effective] += ns
    cell[K_FLAGS] |= m.marks
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
    m.s.booked_ns += ns
