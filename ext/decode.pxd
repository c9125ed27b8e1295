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
    U8 = 12
    I8 = 13
    F16 = 14
    BCD64 = 15
    SM16 = 16  # sign and magnitude
    SM32 = 17
    UFIELD16 = 18  # a bit field within a value of so many bits
    UFIELD32 = 19
    UFIELD64 = 20
    IFIELD16 = 21  # the same in two's complement
    IFIELD32 = 22
    IFIELD64 = 23


cdef struct Op:
    uint8_t code
    uint8_t order          # 1: low word of 32 bits first, 2: low byte of a word first, 4: low half of 64 bits first
    uint8_t bit            # BIT: 0 … 7 within the byte; bit fields: the lowest bit
    uint8_t bits           # bit fields: how many
    uint8_t offset         # byte in the payload, of which Modbus has 250 at most
    uint8_t n_sentinels
    uint16_t sentinel      # index of its first sentinel
    double numerator       # value = (raw * numerator + addend) / denominator
    double addend
    double denominator
    double minimum
    double maximum


cdef class DecodeTable:
    cdef Op *ops
    cdef int64_t *sentinels           # of floats: the bits of the double
    cdef readonly Py_ssize_t first    # image index of the first tag
    cdef readonly Py_ssize_t count    # tags
    cdef readonly Py_ssize_t size     # bytes a payload must have at least
