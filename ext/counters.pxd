# The counter decoder: what a PLC's counter register really says about pieces made.
#
# Theory. A register shows only a number in 0 … modulus-1. Between two samples it may have counted on, wrapped, been
# cleared by a hand or a restart, been replaced, or the sample may be a lie (torn 32-bit read, blank buffer). What tells
# them apart is physics: a machine can make at most `rate_per_s` counts a second, so at most
#     cap(dt) = ceil(rate_per_s * (dt + slack)) + 2
# counts in dt, where `slack` is how uncertain the time of a reading is (a slow reply, a late publish; 0 where times are
# exact). A change within cap is believed. A change beyond it is put on HOLD, and the next sample decides:
#     back near the old value           GLITCH    drop the held sample
#     goes on from the held value, and
#       the held value is within cap    RESET     credit what the counter shows; what it had not shown is lost_max
#       otherwise                       REBASE    credit only what came after; the jump itself is unattributed
#     neither                           stay on HOLD; after five held samples COUNTER_FAULT is raised
# Where GLITCH and RESET both explain the samples (low counts), the smaller credit is taken: AMBIGUOUS.
# A RESET or REBASE is remembered for ten samples: a return to within cap of the old value takes it back (REVERSAL),
# because then it was a blank buffer. Over a time in which the counter could have wrapped entirely, the change is a
# lower bound: AMBIGUOUS. A copy of a sample (same time, same value) confirms nothing.
#
# Rules. Integers only, but for cap, whose doubles are rounded the same way everywhere (IEEE 754). Never a negative
# credit. Times are durations (monotonic), not wall time: a stepped clock must not look like a fast machine.

from libc.math cimport ceil
from libc.stdint cimport int32_t, int64_t

cdef enum:
    C_ROLLOVER = 1
    C_RESET = 2
    C_REBASE = 3
    C_GLITCH = 4
    C_REVERSAL = 5
    C_AMBIGUOUS = 6
    C_COUNTER_FAULT = 7
    C_BASELINE = 8

cdef enum:      # ext.buckets.Flag, as numbers: Cython cannot check a shift in an enum for overflow
    F_RESET = 0x4
    F_ROLLOVER = 0x8
    F_AMBIGUOUS = 0x10
    F_GLITCH = 0x800
    F_COUNTER_FAULT = 0x1000

cdef enum:
    HELD_LIMIT = 5
    MEMORY_SAMPLES = 10

cdef struct CounterState:
    # the rule
    int64_t modulus
    double rate_per_s       # counts a second the machine can make at most
    int64_t multiplier      # pieces per count
    int64_t slack_ns        # two readings may really lie this much further apart than their times say
    # the last accepted sample
    int64_t value
    int64_t at_ns
    # the newest sample on hold
    int64_t held_value
    int64_t held_at_ns
    int64_t held_cap        # cap at the first held sample: bound of what a RESET may hide
    # what to go back to if a RESET or REBASE was a blank buffer
    int64_t before_value
    int64_t before_at_ns
    int64_t credited_since
    int64_t lost_said
    int32_t started         # 0 until the first good sample
    int32_t held            # samples on hold
    int32_t memory_left     # samples for which `before_*` is kept
    int32_t padding

cdef struct Step:
    int64_t credit          # counts credited by this sample
    int64_t old             # accepted value before
    int64_t new             # sample
    int64_t lost_max        # counts that may have been lost (negative: an earlier bound is taken back)
    int64_t unattributed    # size of a jump that was not credited
    int32_t correction      # 0 or a C_ number
    int32_t flags


cdef inline double possible(CounterState* c, int64_t dt_ns) noexcept nogil:
    return c.rate_per_s * (<double> ((dt_ns if dt_ns > 0 else 0) + c.slack_ns) * 1e-9)


cdef inline int64_t capacity(CounterState* c, int64_t dt_ns) noexcept nogil:
    cdef double counts = ceil(possible(c, dt_ns)) + 2.0
    return c.modulus if counts > <double> c.modulus else <int64_t> counts


cdef inline int64_t forward(CounterState* c, int64_t value, int64_t origin) noexcept nogil:
    """Counts from `origin` up to `value`, wrapping at the modulus."""
    return value - origin if value >= origin else value - origin + c.modulus


cdef inline void accept(CounterState* c, int64_t t_ns, int64_t value) noexcept nogil:
    c.value = value
    c.at_ns = t_ns
    c.held = 0


cdef inline void remember(CounterState* c, int64_t credit, int64_t lost_max) noexcept nogil:
    c.before_value = c.value
    c.before_at_ns = c.at_ns
    c.credited_since = credit
    c.lost_said = lost_max
    c.memory_left = MEMORY_SAMPLES


cdef inline bint reverses(CounterState* c, int64_t t_ns, int64_t value, Step* out) noexcept nogil:
    cdef int64_t since
    if c.memory_left <= 0:
        return False
    since = forward(c, value, c.before_value)
    if since > capacity(c, t_ns - c.before_at_ns) or since < c.credited_since:
        return False
    out.credit = since - c.credited_since
    out.lost_max = -c.lost_said
    out.correction = C_REVERSAL
    c.memory_left = 0
    accept(c, t_ns, value)
    return True


cdef inline void clear_epoch(CounterState* c, int64_t t_ns, int64_t value, Step* out) noexcept nogil:
    """The PLC itself says that it restarted: a smaller value is a RESET, never a ROLLOVER."""
    cdef int64_t cap = capacity(c, t_ns - c.at_ns)
    if value <= cap:
        out.credit = value
        out.lost_max = cap - value
        out.correction = C_RESET
        out.flags = F_RESET
    else:
        out.unattributed = forward(c, value, c.value)
        out.correction = C_REBASE
        out.flags = F_RESET | F_AMBIGUOUS
    accept(c, t_ns, value)
    c.memory_left = 0


cdef inline void decide_held(CounterState* c, int64_t t_ns, int64_t value, Step* out) noexcept nogil:
    cdef int64_t back = forward(c, value, c.value)
    cdef int64_t on = forward(c, value, c.held_value)
    cdef bint goes_back = back <= capacity(c, t_ns - c.at_ns)
    cdef bint goes_on = on <= capacity(c, t_ns - c.held_at_ns)
    cdef bint from_zero = goes_on and c.held_value <= c.held_cap
    cdef int64_t reset_credit = c.held_value + on
    if goes_back and from_zero:
        out.credit = back if back < reset_credit else reset_credit
        out.lost_max = (back if back > reset_credit else reset_credit) - out.credit
        out.correction = C_AMBIGUOUS
        out.flags = F_AMBIGUOUS
        accept(c, t_ns, value)
    elif goes_back:
        out.credit = back
        out.correction = C_GLITCH
        out.flags = F_GLITCH
        accept(c, t_ns, value)
    elif from_zero:
        out.credit = reset_credit
        out.lost_max = c.held_cap - c.held_value
        out.correction = C_RESET
        out.flags = F_RESET
        remember(c, reset_credit, out.lost_max)
        accept(c, t_ns, value)
    elif reverses(c, t_ns, value, out):
        return
    elif goes_on:
        out.credit = on
        out.unattributed = forward(c, c.held_value, c.value)
        out.correction = C_REBASE
        out.flags = F_RESET | F_AMBIGUOUS
        remember(c, on, 0)
        accept(c, t_ns, value)
    else:
        c.held += 1
        c.held_value = value
        c.held_at_ns = t_ns
        c.held_cap = capacity(c, t_ns - c.at_ns)
        if c.held == HELD_LIMIT:
            out.correction = C_COUNTER_FAULT
            out.flags = F_COUNTER_FAULT


cdef inline void counter_step(CounterState* c, int64_t t_ns, int64_t value, bint epoch, Step* out) noexcept nogil:
    """One good sample. `t_ns` must not run backwards; `epoch`: the PLC restarted since the last sample."""
    cdef int64_t delta
    cdef double most
    out.credit = 0
    out.old = c.value
    out.new = value
    out.lost_max = 0
    out.unattributed = 0
    out.correction = 0
    out.flags = 0
    if value < 0 or value >= c.modulus:
        return
    if not c.started:
        c.started = 1
        accept(c, t_ns, value)
        out.correction = C_BASELINE
        return
    if t_ns == (c.held_at_ns if c.held else c.at_ns) and value == (c.held_value if c.held else c.value):
        return      # the same reading again: a copy confirms nothing
    if c.held:
        decide_held(c, t_ns, value, out)
    else:
        delta = forward(c, value, c.value)
        most = possible(c, t_ns - c.at_ns)
        if epoch and value < c.value:
            clear_epoch(c, t_ns, value, out)
        elif <double> delta <= most + 2.0 or delta <= capacity(c, t_ns - c.at_ns):    # the first spares a ceil
            out.credit = delta
            if value < c.value:
                out.correction = C_ROLLOVER
                out.flags = F_ROLLOVER
            if most >= <double> c.modulus:
                out.correction = C_AMBIGUOUS
                out.flags |= F_AMBIGUOUS
            accept(c, t_ns, value)
        elif not reverses(c, t_ns, value, out):
            c.held = 1
            c.held_value = value
            c.held_at_ns = t_ns
            c.held_cap = capacity(c, t_ns - c.at_ns)
    if c.memory_left > 0 and out.correction != C_RESET and out.correction != C_REBASE:
        c.memory_left -= 1
        c.credited_since += out.credit
