"""Numbers shared by the ledger kernel and everything above it: time buckets, schedule kinds, flags, correction kinds.

Each nanosecond of a machine's life lies in exactly one `Bucket`; their sum is the calendar time, always. The values are
stored in checkpoints and in the database: they are appended to, never renumbered.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Bucket(IntEnum):
    """Where a nanosecond goes:

    RUN, or one of the fixed stop classes (finer reasons stand beside them, as fault codes).
    """

    RUN = 0
    BREAKDOWN = 1
    INTERNAL_MINOR = 2
    SETUP = 3
    STARTUP = 4
    EXTERNAL_STARVED = 5
    EXTERNAL_BLOCKED = 6
    NO_ORDER = 7
    PLANNED_STOP = 8
    MAINTENANCE = 9
    MANUAL = 10
    UNASSIGNED = 11
    UNKNOWN = 12
    NOT_SCHEDULED = 13


class Schedule(IntEnum):
    """What the calendar says about a moment."""

    SCHEDULED = 0
    BREAK = 1  # planned stop inside a shift: leaves planned production time only where nothing was produced
    NOT_SCHEDULED = 2


class Flag(IntFlag):
    """Doubts and corrections inside a window. Capacity claims require the severe ones to be absent."""

    NONE = 0
    COVERAGE_LOW = 1 << 0  # less than 95 % of planned production time was observed
    ICT_SUSPECT = 1 << 1  # performance above 100 % over 30 min or more: the ideal cycle is too slow
    RESET = 1 << 2
    ROLLOVER = 1 << 3
    AMBIGUOUS = 1 << 4
    RECOVERED = 1 << 5  # pieces counted across a time nobody observed
    ESTIMATED = 1 << 6  # such pieces, or time that was repaired, were spread over several windows pro rata
    CLOCK_STEP = 1 << 7
    STATE_CONFLICT = 1 << 8
    CONFIG_CHANGED = 1 << 9
    MANUAL_EDIT = 1 << 10
    GLITCH = 1 << 11
    COUNTER_FAULT = 1 << 12
    QUALITY_ASSUMED = 1 << 13  # no good or reject counter: every piece was taken as good
    BREAK_ASSUMED = 1 << 14  # a break nobody observed: taken as taken
    REPAIRED = 1 << 15  # time nobody observed, told afterwards by the PLC's own accumulators
    COUNTER_CONFLICT = 1 << 16  # total, good and reject contradict each other by more than can be in transit


class Correction(IntEnum):
    """What a counter decoder decided about a sample that was not a plain increment."""

    ROLLOVER = 1
    RESET = 2
    REBASE = 3
    GLITCH = 4
    REVERSAL = 5  # an earlier RESET turned out to be a stuck or blank buffer; its effect is taken back
    AMBIGUOUS = 6
    COUNTER_FAULT = 7
    BASELINE = 8  # first sample ever: credit nothing


class Counter(IntEnum):
    """Which counter of a machine."""

    TOTAL = 0
    GOOD = 1
    REJECT = 2


N_BUCKETS = len(Bucket)
N_COUNTERS = len(Counter)
