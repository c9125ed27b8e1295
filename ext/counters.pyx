# cython: language_level=3
"""One counter, by itself: the decoder of `counters.pxd` for Python callers (replay, probes, tests).

The ledger kernel compiles the same inline code into its own loop; there is one decoder, not two.
"""

from libc.stdint cimport int64_t

from ext.counters cimport CounterState, Step, counter_step


cdef class CounterDecoder:
    """Decodes one counter register. Parameters: modulus (counts 0 … modulus-1), highest rate in counts per second,
    pieces per count, uncertainty of reading times in ns."""

    cdef CounterState state

    def __cinit__(self, int64_t modulus, double rate_per_s, int64_t multiplier=1, int64_t slack_ns=0):
        if modulus < 2:
            raise ValueError(f"modulus must be at least 2, got {modulus}")
        if not 0.0 < rate_per_s < 1e12:
            raise ValueError(f"rate_per_s must be positive, got {rate_per_s}")
        if multiplier < 1:
            raise ValueError(f"multiplier must be at least 1, got {multiplier}")
        if not 0 <= slack_ns <= 86_400_000_000_000:
            raise ValueError(f"slack_ns must be between 0 and a day, got {slack_ns}")
        self.state.modulus = modulus
        self.state.rate_per_s = rate_per_s
        self.state.multiplier = multiplier
        self.state.slack_ns = slack_ns

    def push(self, int64_t t_ns, int64_t value, bint epoch=False):
        """One good sample.

        Returns pieces credited, Correction number or 0, pieces that may be lost, pieces not attributed, Flag bits.
        """
        cdef Step out
        counter_step(&self.state, t_ns, value, epoch, &out)
        cdef int64_t k = self.state.multiplier
        return out.credit * k, out.correction, out.lost_max * k, out.unattributed * k, out.flags

    def run(self, const int64_t[::1] t_ns, const int64_t[::1] values):
        """Many samples: the sum of pieces credited. Same code path as `push`."""
        cdef Step out
        cdef int64_t total = 0
        cdef Py_ssize_t i
        if t_ns.shape[0] != values.shape[0]:
            raise ValueError(f"{t_ns.shape[0]} times for {values.shape[0]} values")
        with nogil:
            for i in range(values.shape[0]):
                counter_step(&self.state, t_ns[i], values[i], False, &out)
                total += out.credit
        return total * self.state.multiplier
