# cython: language_level=3
"""One counter, by itself: the decoder of `counters.pxd` for Python callers (replay, probes, tests).

The ledger kernel compiles the same inline code into its own loop; there is one decoder, not two.
"""

from libc.stdint cimport int64_t

from ext.counters cimport CounterRule, CounterState, Step, counter_step

from ext.rates import pace


cdef class CounterDecoder:
    """Decodes one counter register. Parameters: modulus (counts 0 … modulus-1), highest rate in counts per second,
    pieces per count, uncertainty of reading times in ns. Raises ValueError for what cannot be a counter."""

    cdef CounterState state
    cdef CounterRule rule

    def __cinit__(self, modulus, rate_per_s, multiplier=1, slack_ns=0):
        own = pace(modulus, rate_per_s, multiplier, slack_ns)
        self.rule.modulus, self.rule.multiplier = own.modulus, own.multiplier
        self.rule.rate, self.rule.scale_ns = own.rate, own.scale_ns
        self.rule.wrap_ns, self.rule.slack_ns = own.wrap_ns, own.slack_ns

    def push(self, int64_t t_ns, int64_t value, bint epoch=False):
        """One good sample.

        Returns pieces credited, Correction number or 0, pieces that may be lost, pieces not attributed, Flag bits.
        """
        cdef Step out
        counter_step(&self.state, &self.rule, t_ns, value, epoch, &out)
        cdef int64_t k = self.rule.multiplier
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
                counter_step(&self.state, &self.rule, t_ns[i], values[i], False, &out)
                total += out.credit
        return total * self.rule.multiplier
