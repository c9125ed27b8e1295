# The ledger of one machine: every nanosecond in one bucket, every piece in one window. A table of contents; the theory
# is in ledger.pyx.

from libc.stdint cimport int32_t, int64_t

from ext.counters cimport CounterRule, CounterState

cdef enum:
    N_BUCKET = 14
    N_COUNTER = 3
    MAX_PRODUCTS = 32
    MAX_TIMES = 24
    CHECKPOINT_VERSION = 3

cdef enum:                      # buckets, as in ext.buckets.Bucket
    B_NONE = -1                 # the machine says nothing of its state: counts alone decide
    B_RUN = 0
    B_PLANNED_STOP = 8
    B_MAINTENANCE = 9
    B_MANUAL = 10
    B_UNASSIGNED = 11
    B_UNKNOWN = 12
    B_NOT_SCHEDULED = 13

cdef enum:                      # calendar, as in ext.buckets.Schedule
    S_SCHEDULED = 0
    S_BREAK = 1
    S_NOT_SCHEDULED = 2

cdef enum:                      # one sample, as a row of int64
    I_T = 0
    I_ELAPSED = 1               # monotonic ns since the last sample; negative = not known, wall time is used
    I_BUCKET = 2
    I_FAULT = 3
    I_PRODUCT = 4
    I_MASK = 5                  # bit c: counter c was read well; bit 3: the PLC restarted since the last sample
    I_COUNTER = 6               # total, good, reject
    N_SAMPLE = 9

cdef enum:                      # one cell, as a row of int64; names in CELL_FIELDS of ledger.pyx
    K_MINUTE = 0
    K_SHIFT = 1
    K_PRODUCT = 2
    K_BUCKET = 3                # fourteen of them
    K_PPT = 17
    K_RT = 18
    K_NRT = 19
    K_FPT = 20
    K_UNKNOWN = 21
    K_TC = 22
    K_GC = 23
    K_SC = 24
    K_UTC = 25
    K_UGC = 26
    K_USC = 27
    K_URUN = 28
    K_UFPT = 29
    K_SLOW = 30
    K_SMALL = 31
    K_CONFLICT = 32
    K_RECOVERED = 33
    K_ESTIMATED = 34
    K_RESETS = 35
    K_ROLLOVERS = 36
    K_GLITCHES = 37
    K_LOST_MAX = 38
    K_REPAIRED = 39
    K_FLAGS = 40
    N_CELL = 41

cdef extern from *:
    """
    #define MINUTE 60000000000LL
    #define STEP_LIMIT 500000000LL
    #define ELAPSED_LIMIT 315360000000000000LL
    #define FOREVER 4611686018427387904LL
    #define BLIND_LIMIT 7200000000000LL
    """
    const int64_t MINUTE
    const int64_t STEP_LIMIT        # wall and monotonic time may differ by this much
    const int64_t ELAPSED_LIMIT     # ten years
    const int64_t FOREVER           # no limit, with room to add to it
    const int64_t BLIND_LIMIT       # so long a run may wait for the pieces of a counter that cannot be read

cdef enum:
    T = 0
    G = 1
    R = 2
    HAS_T = 1
    HAS_G = 2
    HAS_R = 4
    HAS_ALL = 7
    EPOCH = 8

cdef enum:                      # ext.buckets.Flag, as numbers: Cython cannot check a shift in an enum for overflow
    F_CLOCK_STEP = 0x80
    F_STATE_CONFLICT = 0x100
    F_RECOVERED = 0x20
    F_ESTIMATED = 0x40
    F_QUALITY_ASSUMED = 0x2000
    F_BREAK_ASSUMED = 0x4000
    F_REPAIRED = 0x8000
    F_COUNTER_CONFLICT = 0x10000

cdef struct Product:            # the rules of one product
    int64_t ideal_ns
    int64_t slow_ns
    int64_t small_ns
    int64_t stop_ns
    int64_t flush_pieces        # work in process when another product follows: pieces …
    int64_t flush_ns            # … and time; 0 = no such limit, both 0 = no flush
    int64_t plain_ns            # within `hold`, and so long that none of the counters can have gone all around
    CounterRule counters[N_COUNTER]

cdef struct Rule:               # from the plan; never in a checkpoint
    int64_t hold_ns
    int32_t counters            # mask of the counters the machine has
    int32_t output              # which of them proves output: the total, else the goods; 0 = none
    int32_t n_products
    int32_t padding
    Product* products

cdef struct TimeRule:           # one of the PLC's own accumulators of time
    int64_t bucket
    int64_t modulus
    int64_t unit_ns
    int64_t slack_ns            # how uncertain the time of a reading is

cdef struct Note:               # the accumulators as they were read
    int64_t t_ns                # 0 = never
    int64_t mask                # bit per accumulator that was read well
    int64_t value[MAX_TIMES]

cdef struct Times:              # part of the checkpoint where a machine has accumulators
    int64_t count
    TimeRule rule[MAX_TIMES]
    Note base                   # the last one not later than the last sample
    Note newest

cdef struct State:              # all that is remembered; a checkpoint is a copy of it
    int64_t version
    int64_t started
    int64_t t_ns                # last sample
    int64_t begun_ns            # first sample
    int64_t virtual_ns          # monotonic time of the counters
    int64_t silent_ns           # of that, in samples since t_ns in which nothing could be read; -1 = not known
    int64_t booked_ns           # everything before is in cells; from here to t_ns nothing is decided yet
    int64_t anchor_ns           # last count, edge of the schedule, or when the state began: the present gap started
    int64_t anchored_by_count
    int64_t anchor_rt_ns        # rt_ns at the anchor: run time since, beyond the ideal cycles, is slow or small stop
    int64_t rt_ns               # run time inside planned production time since the ledger began
    int64_t heard_ns            # last sample in which the state was known, by its signal or by a counter
    int64_t read_ns             # last sample in which the counter of output was read
    int64_t kind                # of the schedule, in the present gap
    int64_t crossed_ns          # edges of the schedule before this time have ended their gaps
    int64_t bucket              # what the machine is believed to do since t_ns
    int64_t fault
    int64_t product
    int64_t left_product        # the one before: its work in process is still counted …
    int64_t flush_until_ns      # … up to this time, …
    int64_t flush_left          # … so many pieces of it
    int64_t restarted           # mask of counters not read since the PLC restarted
    int64_t deficit             # rejects (or goods) counted ahead of their total
    int64_t drift               # with three counters: goods and rejects counted ahead of their total, since it was told
    int64_t made[N_COUNTER]     # pieces counted since the ledger began: total, good, reject
    int64_t open_bucket         # the stretch being lived: for stop events
    int64_t open_since_ns
    int64_t open_fault
    int64_t has_cell
    int64_t cell[N_CELL]
    CounterState counters[N_COUNTER]

cdef struct Rows:               # growing output of int64 rows
    int64_t* data
    Py_ssize_t count
    Py_ssize_t room
    Py_ssize_t width
    int failed

cdef struct Open:               # what holds for all of the open cell: found once a cell, asked for with every sample
    int64_t from_ns
    int64_t until_ns            # end of its minute or of its calendar slice; from_ns = nothing is known
    int64_t kind

cdef struct Calendar:           # contiguous slices of the plan's calendar
    const int64_t* start
    const int64_t* end
    const int64_t* kind
    const int64_t* shift
    Py_ssize_t count
    Py_ssize_t at               # last slice used: time moves on, so look-ups are O(1)

cdef struct Credits:            # what the counters of one sample came to
    int64_t pieces[N_COUNTER]
    int64_t counted[N_COUNTER]  # of these, what counters said themselves; the rest was derived, …
    int64_t deficit             # … from this on
    int64_t evidence            # pieces that prove production (rejects alone do not)
    int64_t doubts              # F_RECOVERED: counted while the counter could not be read
    int64_t resets
    int64_t rollovers
    int64_t glitches
    int64_t lost_max
    int64_t flags

cdef struct Share:
    int64_t end_ns
    int64_t kind
    int64_t length
    int64_t weight
    int64_t rest
    int64_t run
    int64_t part[N_COUNTER]

cdef struct Ledger:
    Rule rule
    State s
    Open open                   # of the open cell; never in a checkpoint
    Times* times                # NULL: the machine has no accumulators
    Calendar calendar
    Rows cells
    Rows stops
    Rows corrections
    int64_t calm_until_ns       # samples may be plain up to here; never in a checkpoint
    int quiet                   # a peek: no stops, no corrections
    # while time is booked in which recovered pieces were made
    Share* waiting              # pieces of the stretches that the walk comes to; NULL: none
    Py_ssize_t n_waiting
    Py_ssize_t next_waiting
    int64_t waiting_of          # what `maker` said
    int worked                  # they prove that breaks of UNKNOWN time were worked through
    int64_t marks               # flags of the cells that the walk comes to
