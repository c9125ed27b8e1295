# cython: language_level=3
"""Decode kernel, table of contents: one `Op` per tag, one `DecodeTable` per request, one pass over a reply's bytes."""

from libc.stdint cimport int64_t, uint8_t, uint16_t


cpdef enum Code:
    """What the bytes at an offset are."""
    BIT = 0
    U16 = 1
    I16 = 2
    U32 = 3
    I32 = 4
    U64 = 5
    I64 = 6
    F32 = 7
    F64 = 8
    BCD16 = 9
    BCD32 = 10
    SKIP = 11  # a string: its place in the image is left alone, Python decodes it


cdef struct Op:
    uint8_t code
    uint8_t order          # 0 ABCD, 1 CDAB, 2 BADC, 3 DCBA
    uint8_t bit            # BIT only: 0 … 7 within the byte
    uint8_t n_sentinels
    uint16_t offset        # byte in the payload
    uint16_t sentinel      # index of its first sentinel
    double numerator       # value = (raw * numerator + addend) / denominator
    double addend
    double denominator
    double minimum
    double maximum


cdef class DecodeTable:
    cdef Op *ops
    cdef int64_t *sentinels
    cdef readonly Py_ssize_t first    # image index of the first tag
    cdef readonly Py_ssize_t count    # tags
    cdef readonly Py_ssize_t size     # bytes a payload must have at least
