# cython: language_level=3
"""Decode kernel: the raw bytes of one Modbus reply straight into the arrays of a tag image.

Theory. Everything that can be decided once is decided when the table is built: where a value lies, how wide it is, in
which order its bytes stand, how it is scaled, what counts as nonsense. A reply is then one pass over flat ops without a
Python object in sight. The plain-Python twin is tests/twins/decode.py.

Rules.
* i64 holds the raw integer, for floats the value rounded to the nearest (ties to even); f64 holds the engineering value
  (raw * numerator + addend) / denominator. With the decimal fractions people write (scale 0.1, offset -40.5) product
  and sum are exact integers and the one division rounds once: raw 3 with scale 0.1 is 0.3, not 0.30000000000000004.
* Quality is GOOD, or BAD where the value cannot be meant: outside [minimum, maximum] (NaN and infinities always are),
  equal to a sentinel, a BCD digit above 9, or no int64 (u64 from 2^63 on, floats beyond ±2^63). What the device said
  still stands in the arrays; where i64 cannot hold it, i64 is the nearest it can hold, and 0 for NaN; for invalid BCD
  i64 is 0 and f64 NaN.
* Every tag of the payload was read now: t_ns is written for bad values, too.
* Word order governs the bytes inside a register, too: under BADC and DCBA 16-bit values and bits are taken from the
  swapped register. 64-bit values have a third swap, of their halves: with that of the words, all four are reversed.
* A bit field is cut out of the value its registers make, and is signed if that is. Its sentinels are its own.
* Sentinels of floats are compared as floats: they are stored as the bits of a double, rounded as the tag's type rounds.
* Lengths are checked at the entries, once; the loop is unchecked. It does not let go of the GIL: a full reply takes
  less than a microsecond, a hand-over of the GIL costs more than that.
"""

from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport Py_SIZE
from libc.math cimport NAN
from libc.stdint cimport INT64_MAX, INT64_MIN, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


# The shuffles are C because shifting bits out is meant here, which a build with overflow checks would report.
cdef extern from * nogil:
    """
    #include <stdint.h>
    #include <string.h>
    #include <math.h>

    static inline uint16_t seam_load16(const uint8_t *p, uint8_t order) {
        return order & 2 ? (uint16_t)(p[1] << 8 | p[0]) : (uint16_t)(p[0] << 8 | p[1]);
    }
    static inline uint32_t seam_load32(const uint8_t *p, uint8_t order) {
        uint32_t first = seam_load16(p, order), second = seam_load16(p + 2, order);
        return order & 1 ? second << 16 | first : first << 16 | second;
    }
    static inline uint64_t seam_load64(const uint8_t *p, uint8_t order) {
        uint64_t first = seam_load32(p, order), second = seam_load32(p + 4, order);
        return order & 4 ? second << 32 | first : first << 32 | second;
    }
    static inline double seam_f32(uint32_t bits) { float x; memcpy(&x, &bits, 4); return x; }
    static inline double seam_f64(uint64_t bits) { double x; memcpy(&x, &bits, 8); return x; }
    /* binary16: 5 bits of exponent, 10 of fraction (IEEE 754-2008 3.6). Every value of it is a double. */
    static inline double seam_f16(uint16_t bits) {
        int exponent = bits >> 10 & 31;
        double fraction = bits & 1023, x;
        if (exponent == 31) x = bits & 1023 ? NAN : INFINITY;
        else x = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        return bits & 0x8000 ? -x : x;
    }
    /* Decimal value of packed BCD, -1 where a digit is above 9. */
    static inline int64_t seam_bcd(uint64_t bits, int digits) {
        int64_t value = 0;
        for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
            int digit = (int)(bits >> shift & 15);
            if (digit > 9) return -1;
            value = 10 * value + digit;
        }
        return value;
    }
    /* Sign and magnitude of a value of so many bits. */
    static inline int64_t seam_sm(uint32_t value, int width) {
        int64_t magnitude = value & ((UINT32_C(1) << (width - 1)) - 1);
        return value >> (width - 1) ? -magnitude : magnitude;
    }
    /* `bits` (1 to 63) bits of `value` from `bit` on; then the same in two's complement. */
    static inline int64_t seam_ufield(uint64_t value, int bit, int bits) {
        return (int64_t)(value >> bit & ((UINT64_C(1) << bits) - 1));
    }
    static inline int64_t seam_ifield(uint64_t value, int bit, int bits) {
        int64_t field = seam_ufield(value, bit, bits), top = INT64_C(1) << (bits - 1);
        return (field ^ top) - top;
    }
    """
    uint16_t seam_load16(const uint8_t *p, uint8_t order)
    uint32_t seam_load32(const uint8_t *p, uint8_t order)
    uint64_t seam_load64(const uint8_t *p, uint8_t order)
    double seam_f32(uint32_t bits)
    double seam_f64(uint64_t bits)
    double seam_f16(uint16_t bits)
    int64_t seam_bcd(uint64_t bits, int digits)
    int64_t seam_sm(uint32_t value, int width)
    int64_t seam_ufield(uint64_t value, int bit, int bits)
    int64_t seam_ifield(uint64_t value, int bit, int bits)
    int64_t llrint(double x)


cdef enum:
    GOOD = 0  # protocols.reading.Quality
    BAD = 2

cdef double TWO_63 = 9223372036854775808.0
cdef uint8_t[24] WIDTH = [1, 2, 2, 4, 4, 8, 8, 4, 8, 2, 4, 0, 1, 1, 2, 8, 2, 4, 2, 4, 8, 2, 4, 8]  # bytes, by Code


cdef class DecodeTable:
    """The ops of one request. Columns run over its tags in image order; `sentinels` holds those of all tags."""

    def __cinit__(self, Py_ssize_t first, *, codes, orders, offsets, bits, widths, numerators, addends, denominators,
                  minima, maxima, sentinel_counts, sentinels):
        columns = (orders, offsets, bits, widths, numerators, addends, denominators, minima, maxima, sentinel_counts)
        cdef Py_ssize_t n = len(codes), i
        cdef Py_ssize_t n_sentinels = len(sentinels)
        cdef Py_ssize_t used = 0, end
        if first < 0 or any(len(column) != n for column in columns) or sum(sentinel_counts) != n_sentinels:
            raise ValueError("a decode table needs one entry of each column per tag")
        self.ops = <Op *> PyMem_Calloc(max(n, 1), sizeof(Op))
        self.sentinels = <int64_t *> PyMem_Calloc(max(n_sentinels, 1), sizeof(int64_t))
        if self.ops is NULL or self.sentinels is NULL:
            raise MemoryError
        self.first, self.count, self.size = first, n, 0
        for i in range(n_sentinels):
            self.sentinels[i] = sentinels[i]
        for i in range(n):
            if not (0 <= codes[i] <= IFIELD64 and 0 <= orders[i] <= 7 and denominators[i] != 0.0
                    and _is_field(codes[i], bits[i], widths[i])):
                what = f"code {codes[i]}, order {orders[i]}, {widths[i]} bits from bit {bits[i]}"
                raise ValueError(f"tag {i}: no such op: {what}")
            self.ops[i] = Op(codes[i], orders[i], bits[i], widths[i], offsets[i], sentinel_counts[i], <uint16_t> used,
                             numerators[i], addends[i], denominators[i], minima[i], maxima[i])
            used += self.ops[i].n_sentinels
            end = self.ops[i].offset + WIDTH[self.ops[i].code]
            if self.ops[i].code == U8 or self.ops[i].code == I8:  # registers come whole
                end += end & 1
            if self.ops[i].code != SKIP and end > self.size:
                self.size = end

    def __dealloc__(self):
        PyMem_Free(self.ops)
        PyMem_Free(self.sentinels)


cdef bint _is_field(code, bit, width):
    """True where `width` bits from `bit` on lie within the value (other codes: a bit of a byte, and no width)."""
    if code < UFIELD16:
        return 0 <= bit <= 7 and width == 0
    return bit >= 0 and 1 <= width <= 63 and bit + width <= 8 * WIDTH[code]


def decode(DecodeTable table not None, bytes payload not None, int64_t time_ns, array.array i64 not None,
           array.array f64 not None, array.array quality not None, array.array t_ns not None):
    """Write every tag of the table into the image arrays; return how many came out BAD.

    Raises ValueError where the payload is too short for the table or an array is too short or of another type.
    """
    cdef Py_ssize_t end = table.first + table.count
    if PyBytes_GET_SIZE(payload) < table.size:
        raise ValueError(f"reply of {len(payload)} bytes, {table.size} needed")
    if (i64.ob_descr.typecode != c'q' or f64.ob_descr.typecode != c'd' or quality.ob_descr.typecode != c'B'
            or t_ns.ob_descr.typecode != c'q'):
        raise ValueError("image arrays must be of type codes q, d, B, q")
    if Py_SIZE(i64) < end or Py_SIZE(f64) < end or Py_SIZE(quality) < end or Py_SIZE(t_ns) < end:
        raise ValueError(f"image arrays are shorter than {end}")
    return run(table.ops, table.count, table.sentinels, <const uint8_t *> PyBytes_AS_STRING(payload), time_ns,
               <int64_t *> i64.data.as_longlongs + table.first, f64.data.as_doubles + table.first,
               quality.data.as_uchars + table.first, <int64_t *> t_ns.data.as_longlongs + table.first)


cdef Py_ssize_t run(const Op *ops, Py_ssize_t n, const int64_t *sentinels, const uint8_t *payload,
                    int64_t time_ns, int64_t *i64, double *f64, uint8_t *quality, int64_t *t_ns) noexcept nogil:
    """The pass. `raw` is the exact integer, `x` the number that is scaled."""
    cdef Py_ssize_t i, s, bad_tags = 0
    cdef const Op *op
    cdef const uint8_t *p
    cdef uint64_t wide
    cdef int64_t raw
    cdef double x, value
    cdef bint bad, is_float
    for i in range(n):
        op = &ops[i]
        p = payload + op.offset
        bad = is_float = False
        if op.code == BIT:
            raw = (p[0] >> op.bit) & 1
        elif op.code == U16:
            raw = seam_load16(p, op.order)
        elif op.code == I16:
            raw = <int16_t> seam_load16(p, op.order)
        elif op.code == U32:
            raw = seam_load32(p, op.order)
        elif op.code == I32:
            raw = <int32_t> seam_load32(p, op.order)
        elif op.code == I64:
            raw = <int64_t> seam_load64(p, op.order)
        elif op.code == F32:
            x = seam_f32(seam_load32(p, op.order))
            is_float = True
        elif op.code == F64:
            x = seam_f64(seam_load64(p, op.order))
            is_float = True
        elif op.code == U64:
            wide = seam_load64(p, op.order)
            bad = wide > <uint64_t> INT64_MAX
            raw = INT64_MAX if bad else <int64_t> wide
        elif op.code == BCD16:
            raw = seam_bcd(seam_load16(p, op.order), 4)
            bad = raw < 0
        elif op.code == BCD32:
            raw = seam_bcd(seam_load32(p, op.order), 8)
            bad = raw < 0
        elif op.code == BCD64:
            raw = seam_bcd(seam_load64(p, op.order), 16)
            bad = raw < 0
        elif op.code == U8:
            raw = p[0]
        elif op.code == I8:
            raw = <int8_t> p[0]
        elif op.code == F16:
            x = seam_f16(seam_load16(p, op.order))
            is_float = True
        elif op.code == SM16:
            raw = seam_sm(seam_load16(p, op.order), 16)
        elif op.code == SM32:
            raw = seam_sm(seam_load32(p, op.order), 32)
        elif op.code == UFIELD16:
            raw = seam_ufield(seam_load16(p, op.order), op.bit, op.bits)
        elif op.code == UFIELD32:
            raw = seam_ufield(seam_load32(p, op.order), op.bit, op.bits)
        elif op.code == UFIELD64:
            raw = seam_ufield(seam_load64(p, op.order), op.bit, op.bits)
        elif op.code == IFIELD16:
            raw = seam_ifield(seam_load16(p, op.order), op.bit, op.bits)
        elif op.code == IFIELD32:
            raw = seam_ifield(seam_load32(p, op.order), op.bit, op.bits)
        elif op.code == IFIELD64:
            raw = seam_ifield(seam_load64(p, op.order), op.bit, op.bits)
        else:
            continue

        if is_float:
            if -TWO_63 <= x < TWO_63:
                raw = llrint(x)
            else:
                bad = True
                raw = INT64_MAX if x >= TWO_63 else INT64_MIN if x < 0 else 0
            for s in range(op.n_sentinels):
                bad |= x == seam_f64(<uint64_t> sentinels[op.sentinel + s])
        else:
            x = <double> wide if op.code == U64 else <double> raw
            if bad and op.code != U64:
                raw, x = 0, NAN
            for s in range(op.n_sentinels):
                bad |= raw == sentinels[op.sentinel + s]

        value = (x * op.numerator + op.addend) / op.denominator
        bad |= not (op.minimum <= value <= op.maximum)
        i64[i] = raw
        f64[i] = value
        quality[i] = BAD if bad else GOOD
        t_ns[i] = time_ns
        bad_tags += bad
    return bad_tags
