# The counter decoder: what a PLC's counter register really says about pieces made.
#
# Theory. A register shows only a number in 0 … modulus-1. Between two samples it may have counted on, wrapped, been
# cleared by a hand or a restart, been replaced, or the sample may be a lie (torn 32-bit read, blank buffer). What tells
# them apart is physics: a machine can make at most `rate` counts in `scale_ns`, so at most
#     cap(dt) = ceil(rate * (dt + slack) / scale_ns) + 2
# counts in dt, where `slack` is how uncertain the time of a reading is (a slow reply, a late publish; 0 where times are
# exact). A change within cap is believed. A change beyond it is put on HOLD, and the next sample decides:
#     back near the old value           GLITCH    drop the held sample
#     goes on from the held value, and
#       the held value is within cap    RESET     credit what the counter shows; what it had not shown is lost_max
#       otherwise                       REBASE    credit only what came after; the jump itself is unattributed
#     neither, or by a wrap only      stay on HOLD; five held samples are a COUNTER_FAULT until two agree
# Where GLITCH and RESET both explain the samples (low counts), the smaller credit is taken: AMBIGUOUS.
# A RESET or REBASE is remembered for ten samples: a return to within cap of the old value takes it back (REVERSAL),
# because then it was a blank buffer; where counting on from zero explains the value as well, the smaller credit is
# taken: AMBIGUOUS. Over a time in which the counter could have wrapped entirely, a change is a lower bound: AMBIGUOUS;
# no change is no change. Over one in which it could have counted more than a quarter of a turn, a ROLLOVER to a value
# that counting from zero explains as well is AMBIGUOUS. A register that goes back by no more than cap and on from there
# (an encoder that swung, an undo) counts again what it has counted: so much of what follows is not credited. An undo
# may have taken back more than the fall that shows, by what was made since the sample before: lost_max is the fall and
# cap. Where the PLC says that it restarted, a smaller value is a RESET, never a ROLLOVER.
# A copy of a sample (same time, same value) confirms nothing. Of two values at one time the last stands, AMBIGUOUS; of
# what the first was credited too much, later credits are short.
#
# Rules. Integers only, their products in 128 bits: a bound is what it is on paper. Never a negative credit. Times are
# durations (monotonic), not wall time: a stepped clock must not look like a fast machine. Rules are made by ext.rates.

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

cdef struct CounterRule:    # as ext.rates.Pace
    int64_t modulus
    int64_t multiplier      # pieces per count
    int64_t rate            # at most so many counts …
    int64_t scale_ns        # … in this time
    int64_t wrap_ns         # the shortest time that may have hidden a whole turn
    int64_t slack_ns        # two readings may really lie this much further apart than their times say

cdef struct CounterState:
    int64_t modulus         # of the register this state is about
    # the last accepted sample
    int64_t value
    int64_t at_ns
    int64_t fresh           # counts credited by it as a plain change: what another value of the same time may take back
    int64_t owed            # counts credited too much, to be taken off later credits
    # the newest sample on hold
    int64_t held_value
    int64_t held_at_ns
    int64_t held_cap        # cap at the held sample: bound of what a RESET may hide
    # what to go back to if a RESET or REBASE was a blank buffer
    int64_t before_value
    int64_t before_at_ns
    int64_t credited_since
    int64_t lost_said
    int32_t started         # 0 until the first good sample
    int32_t held            # samples on hold
    int32_t memory_left     # samples for which `before_*` is kept
    int32_t steady          # none of the above is in use: the next sample may be a plain increment

cdef struct Step:
    int64_t credit          # counts credited by this sample
    int64_t old             # accepted value before
    int64_t new             # sample
    int64_t lost_max        # counts that may have been lost (negative: an earlier bound is taken back)
    int64_t unattributed    # size of a jump that was not credited
    int32_t correction      # 0 or a C_ number
    int32_t flags

cdef extern from *:
    """
    /* counts < rate * dt_ns / scale_ns, exactly: no division, and no overflow over years of nanoseconds. */
    static inline int seamline_below(long long counts, long long rate, long long dt_ns, long long scale_ns) {
        return (__int128)counts * scale_ns < (__int128)rate * dt_ns;
    }
    /* min(limit, ceil(rate * dt_ns / scale_ns) + 2) */
    static inline long long seamline_cap(long long rate, long long dt_ns, long long scale_ns, long long limit) {
        __int128 counts = ((__int128)rate * dt_ns + scale_ns - 1) / scale_ns + 2;
        return counts < limit ? (long long)counts : limit;
    }
    """
    bint below "seamline_below"(int64_t counts, int64_t rate, int64_t dt_ns, int64_t scale_ns) noexcept nogil
    int64_t cap_of "seamline_cap"(int64_t rate, int64_t dt_ns, int64_t scale_ns, int64_t limit) noexcept nogil


cdef inline int64_t lasting(const CounterRule* r, int64_t dt_ns) noexcept nogil:
    """The longest time that two readings `dt_ns` apart may really lie apart."""
    return (dt_ns if dt_ns > 0 else 0) + r.slack_ns


cdef inline int64_t capacity(const CounterRule* r, int64_t dt_ns) noexcept nogil:
    return cap_of(r.rate, lasting(r, dt_ns), r.scale_ns, r.modulus)


cdef inline bint within(const CounterRule* r, int64_t counts, int64_t dt_ns) noexcept nogil:
    """counts <= capacity(dt_ns), for counts below the modulus."""
    return counts <= 2 or below(counts - 3, r.rate, lasting(r, dt_ns), r.scale_ns)


cdef inline bint may_have_wrapped(const CounterRule* r, int64_t dt_ns) noexcept nogil:
    return lasting(r, dt_ns) >= r.wrap_ns


cdef inline bint may_have_restarted(const CounterRule* r, int64_t dt_ns, int64_t value) noexcept nogil:
    """Over so long a time that a quarter of a turn can be counted, a register that wrapped shows little, as one does
    that was cleared meanwhile.
    """
    return within(r, r.modulus // 4 + 1, dt_ns) and within(r, value, dt_ns)


cdef inline int64_t forward(const CounterRule* r, int64_t value, int64_t origin) noexcept nogil:
    """Counts from `origin` up to `value`, wrapping at the modulus."""
    return value - origin if value >= origin else value - origin + r.modulus


cdef inline void accept(CounterState* c, int64_t t_ns, int64_t value, int64_t fresh) noexcept nogil:
    c.value = value
    c.at_ns = t_ns
    c.fresh = fresh
    c.held = 0


cdef inline void hold(CounterState* c, const CounterRule* r, int64_t t_ns, int64_t value, Step* out) noexcept nogil:
    c.held += 1
    c.held_value = value
    c.held_at_ns = t_ns
    c.held_cap = capacity(r, t_ns - c.at_ns)
    if c.held >= HELD_LIMIT:
        out.flags = F_COUNTER_FAULT
        if c.held == HELD_LIMIT:
            out.correction = C_COUNTER_FAULT


cdef inline void remember(CounterState* c, int64_t credit, int64_t lost_max) noexcept nogil:
    c.before_value = c.value
    c.before_at_ns = c.at_ns
    c.credited_since = credit
    c.lost_said = lost_max
    c.memory_left = MEMORY_SAMPLES


cdef inline int64_t returned(CounterState* c, const CounterRule* r, int64_t t_ns, int64_t value) noexcept nogil:
    """Counts to credit if `value` follows on what the register showed before a RESET or REBASE; -1: it does not."""
    cdef int64_t since
    if c.memory_left <= 0:
        return -1
    since = forward(r, value, c.before_value)
    if since < c.credited_since or not within(r, since, t_ns - c.before_at_ns):
        return -1
    return since - c.credited_since


cdef inline bint reverses(CounterState* c, const CounterRule* r, int64_t t_ns, int64_t value, Step* out) noexcept nogil:
    """A jump back to what the register showed before; a count or two that the blank buffer seemed to make are owed."""
    cdef int64_t credit = returned(c, r, t_ns, value)
    cdef int64_t owed = 0
    if credit < 0 and c.memory_left > 0 and c.credited_since <= 2:
        credit = forward(r, value, c.before_value)
        owed = c.credited_since - credit
        credit = 0 if owed > 0 else -1
    if credit < 0:
        return False
    c.owed = owed
    out.credit = credit
    out.lost_max = -c.lost_said
    out.correction = C_REVERSAL
    c.memory_left = 0
    accept(c, t_ns, value, 0)
    return True


cdef inline void clear_epoch(CounterState* c, const CounterRule* r, int64_t t_ns, int64_t value,
                             Step* out) noexcept nogil:
    """The PLC itself says that it restarted: a smaller value is a RESET, never a ROLLOVER. Where the sample on hold had
    shown it already, no more can be lost than then.
    """
    cdef int64_t cap = capacity(r, t_ns - c.at_ns)
    cdef bint shown = (
        c.held and c.held_value <= c.held_cap and c.held_value <= value
        and within(r, value - c.held_value, t_ns - c.held_at_ns)
    )
    if shown or value <= cap:
        out.credit = value
        out.lost_max = c.held_cap - c.held_value if shown else cap - value
        out.correction = C_RESET
        out.flags = F_RESET
    else:
        out.unattributed = forward(r, value, c.value)
        out.correction = C_REBASE
        out.flags = F_RESET | F_AMBIGUOUS
    accept(c, t_ns, value, 0)
    c.memory_left = 0


cdef inline void decide_held(CounterState* c, const CounterRule* r, int64_t t_ns, int64_t value,
                             Step* out) noexcept nogil:
    cdef int64_t back = forward(r, value, c.value)
    cdef int64_t on = forward(r, value, c.held_value)
    cdef bint goes_back = within(r, back, t_ns - c.at_ns)
    cdef bint goes_on = within(r, on, t_ns - c.held_at_ns)
    cdef bint from_zero = goes_on and c.held_value <= c.held_cap
    cdef int64_t reset_credit = c.held_value + on
    cdef int64_t swing
    if goes_back and from_zero:
        out.credit = back if back < reset_credit else reset_credit
        out.lost_max = (back if back > reset_credit else reset_credit) - out.credit
        out.correction = C_AMBIGUOUS
        out.flags = F_AMBIGUOUS
        accept(c, t_ns, value, 0)
    elif goes_back:
        out.credit = back
        out.correction = C_GLITCH
        out.flags = F_GLITCH | F_AMBIGUOUS if may_have_wrapped(r, t_ns - c.at_ns) else F_GLITCH
        accept(c, t_ns, value, 0)
    elif from_zero:
        out.credit = reset_credit
        out.lost_max = c.held_cap - c.held_value
        out.correction = C_RESET
        out.flags = F_RESET
        remember(c, reset_credit, out.lost_max)
        accept(c, t_ns, value, 0)
    elif reverses(c, r, t_ns, value, out):
        return
    elif goes_on and value >= c.held_value:     # all ones, then zeros, are no counter that wraps
        swing = forward(r, c.value, c.held_value)
        if within(r, swing, c.held_at_ns - c.at_ns):
            c.owed += swing
            out.lost_max = swing + c.held_cap
        else:
            out.unattributed = forward(r, c.held_value, c.value)
        out.credit = on
        out.correction = C_REBASE
        out.flags = F_RESET | F_AMBIGUOUS
        remember(c, on - (c.owed if c.owed < on else on), out.lost_max)
        accept(c, t_ns, value, 0)
    else:
        hold(c, r, t_ns, value, out)


cdef inline void count_on(CounterState* c, const CounterRule* r, int64_t t_ns, int64_t value, int64_t delta,
                          Step* out) noexcept nogil:
    """A change that the machine can have made."""
    cdef int64_t credit, plain
    out.credit = delta
    if value < c.value:
        out.correction = C_ROLLOVER
        out.flags = F_ROLLOVER | F_AMBIGUOUS if may_have_restarted(r, t_ns - c.at_ns, value) else F_ROLLOVER
    if may_have_wrapped(r, t_ns - c.at_ns):
        out.correction = C_AMBIGUOUS
        out.flags |= F_AMBIGUOUS
    if c.memory_left > 0:
        credit = returned(c, r, t_ns, value)
        plain = delta - c.owed if delta > c.owed else 0
        if 0 <= credit < plain:         # low counts: a blank buffer that filled again looks like counting on from zero
            out.credit = credit
            out.lost_max = plain - credit
            c.owed = 0
            out.correction = C_AMBIGUOUS
            out.flags |= F_AMBIGUOUS
            c.memory_left = 0
    accept(c, t_ns, value, out.credit)


cdef inline bint restate(CounterState* c, const CounterRule* r, int64_t t_ns, int64_t value, Step* out) noexcept nogil:
    """Another value of the same time as the last accepted one: the last stands. False: it cannot."""
    cdef int64_t back = forward(r, c.value, value)
    cdef int64_t on = forward(r, value, c.value)
    if back <= c.fresh:
        c.owed += back
        accept(c, t_ns, value, c.fresh - back)
    elif within(r, on, 0):
        out.credit = on
        accept(c, t_ns, value, c.fresh + on)
    else:
        return False
    out.correction = C_AMBIGUOUS
    out.flags = F_AMBIGUOUS
    return True


cdef inline bint counts_on(const CounterState* c, const CounterRule* r, int64_t t_ns, int64_t value) noexcept nogil:
    """The ordinary sample: later than the last one, not less, no more than can have been made, and nothing is in doubt.
    `counter_step` would credit the difference and say nothing; nine samples in ten need not ask it.
    """
    return (
        c.steady
        and c.value <= value < r.modulus
        and c.at_ns < t_ns
        and within(r, value - c.value, t_ns - c.at_ns)
        and not may_have_wrapped(r, t_ns - c.at_ns)
    )


cdef inline void judge(CounterState* c, const CounterRule* r, int64_t t_ns, int64_t value, bint epoch,
                       Step* out) noexcept nogil:
    cdef int64_t delta
    out.credit = 0
    out.old = c.value
    out.new = value
    out.lost_max = 0
    out.unattributed = 0
    out.correction = 0
    out.flags = 0
    if value < 0 or value >= r.modulus:
        return
    if not c.started:
        c.started = 1
        c.modulus = r.modulus
        accept(c, t_ns, value, 0)
        out.correction = C_BASELINE
        return
    if t_ns == (c.held_at_ns if c.held else c.at_ns) and value == (c.held_value if c.held else c.value):
        return      # the same reading again: a copy confirms nothing
    if epoch and value < c.value:
        clear_epoch(c, r, t_ns, value, out)
    elif c.held:
        decide_held(c, r, t_ns, value, out)
    elif t_ns == c.at_ns and restate(c, r, t_ns, value, out):
        pass
    else:
        delta = forward(r, value, c.value)
        if delta == 0:
            accept(c, t_ns, value, 0)
        elif within(r, delta, t_ns - c.at_ns):
            count_on(c, r, t_ns, value, delta, out)
        elif not reverses(c, r, t_ns, value, out):
            hold(c, r, t_ns, value, out)
    if c.owed > 0 and out.credit > 0:
        delta = c.owed if c.owed < out.credit else out.credit
        c.owed -= delta
        out.credit -= delta
    if c.memory_left > 0 and out.correction != C_RESET and out.correction != C_REBASE:
        c.memory_left -= 1
        c.credited_since += out.credit


cdef inline void counter_step(CounterState* c, const CounterRule* r, int64_t t_ns, int64_t value, bint epoch,
                              Step* out) noexcept nogil:
    """One good sample. `t_ns` must not run backwards; `epoch`: the PLC restarted since the last sample."""
    judge(c, r, t_ns, value, epoch, out)
    c.steady = c.started and c.held == 0 and c.memory_left == 0 and c.owed == 0
