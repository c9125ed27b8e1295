# cython: language_level=3
"""Process values worth keeping, table of contents: one `Kept` per value of a device, one `Backlog` per site."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t


cdef struct Rule:
    double deadband
    int64_t interval_ns


cdef struct Last:
    double number       # as it was kept last
    int64_t t_ns        # when that was read
    int64_t due_ns      # when it is kept again, whatever it is
    uint32_t tag        # in the image of the device
    uint16_t rule
    uint8_t quality     # NEVER before the first


cdef struct Entry:
    double number
    int64_t t_ns
    uint32_t value      # number of the value among all of the site
    uint8_t quality


cdef class Backlog:
    """What was kept and is not taken yet, oldest first; at most `limit`."""
    cdef Entry *entries
    cdef Py_ssize_t first, count, room
    cdef readonly Py_ssize_t limit
    cdef readonly int64_t refused     # readings worth keeping that found no room

    cdef bint add(self, double number, int64_t t_ns, uint32_t value, uint8_t quality) except -1


cdef class ValueTable:
    """The values of one device, by tag."""
    cdef Last *last
    cdef Rule *rules
    cdef readonly Py_ssize_t count
    cdef readonly uint32_t first      # number of its first value among all of the site
    cdef Py_ssize_t below(self, int64_t tag) noexcept
