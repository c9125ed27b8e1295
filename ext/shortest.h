/* Numbers as text, without a call into Python and without a check per character.
 *
 * Theory. The shortest decimal that reads back as a double is the one with the fewest digits inside the interval of all
 * numbers that round to it, and of those the nearest. It is found with a 64 x 128 bit product per bound of the interval,
 * by the algorithm of R. Giulietti, "The Schubfach way to render doubles" (2020), sections 8 and 9; no digit is generated
 * and thrown away. The powers of ten it needs are computed when the module is loaded, so no table can hold a typing error.
 *
 * The spelling is Python's `repr`: fixed from 1e-4 up to 1e16, else with an exponent of at least two digits, and never
 * without a point or an exponent. Values of at most three decimals, which is what most PLCs give, take a shorter way: up
 * to 15 significant digits a decimal survives the way to a double and back (DBL_DIG), so no shorter spelling exists.
 */
#ifndef SEAMLINE_SHORTEST_H
#define SEAMLINE_SHORTEST_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define ROUNDER 6755399441055744.0 /* 1.5 x 2^52: added and taken away again, it leaves a whole number */
#define SHORTEST_ROOM 32 /* sign, 17 digits, point and exponent; or sign, 19 digits and a suffix */

enum { POWER_MIN = -292, POWER_MAX = 324 };

typedef struct {
  uint64_t high, low;
} Wide;

/* 10^k scaled to [2^127, 2^128), rounded up; filled by the module. */
static Wide powers_of_ten[POWER_MAX - POWER_MIN + 1];

static const char DIGIT_PAIRS[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657"
    "585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

static inline Wide product(uint64_t a, uint64_t b) {
  Wide wide;
#ifdef __SIZEOF_INT128__
  unsigned __int128 p = (unsigned __int128)a * b;
  wide.high = (uint64_t)(p >> 64);
  wide.low = (uint64_t)p;
#else /* gateways of 32 bits */
  uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
  uint64_t low = a0 * b0, mid = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)mid;
  wide.high = a1 * b1 + (mid >> 32) + (other >> 32);
  wide.low = other << 32 | (uint32_t)low;
#endif
  return wide;
}

/* How many decimal digits; 1 for 0. */
static inline int digits_of(uint64_t value) {
  int count = 1;
  for (; value >= 10000; value /= 10000) count += 4;
  return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

static inline void put_pair(char *to, uint32_t pair) { memcpy(to, DIGIT_PAIRS + 2 * pair, 2); }

/* The decimal digits of `value`, which has `count` of them. */
static inline void put_digits(char *to, uint64_t value, int count) {
  char *at = to + count;
  while (value >= 100000000) { /* eight at once: 32 bits are enough for them */
    const uint64_t rest = value / 100000000;
    const uint32_t eight = (uint32_t)(value - rest * 100000000), high = eight / 10000, low = eight % 10000;
    at -= 8;
    put_pair(at, high / 100);
    put_pair(at + 2, high % 100);
    put_pair(at + 4, low / 100);
    put_pair(at + 6, low % 100);
    value = rest;
  }
  uint32_t left = (uint32_t)value;
  for (; left >= 100; left /= 100) put_pair(at -= 2, left % 100);
  if (left >= 10)
    put_pair(at - 2, left);
  else if (at > to)
    at[-1] = (char)('0' + left);
}

static inline char *put_unsigned(char *to, uint64_t value) {
  int count = digits_of(value);
  put_digits(to, value, count);
  return to + count;
}

static inline char *put_signed(char *to, int64_t value) {
  if (value < 0) *to++ = '-';
  return put_unsigned(to, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* `millis` / 1000 with one to three decimals: 1500 is "1.5", 2000 is "2.0". */
static inline char *put_millis(char *to, int64_t millis) {
  uint64_t magnitude = millis < 0 ? 0 - (uint64_t)millis : (uint64_t)millis;
  unsigned rest = (unsigned)(magnitude % 1000);
  if (millis < 0) *to++ = '-';
  to = put_unsigned(to, magnitude / 1000);
  to[0] = '.';
  to[1] = (char)('0' + rest / 100);
  memcpy(to + 2, DIGIT_PAIRS + 2 * (rest % 100), 2);
  return to + (rest % 10 ? 4 : rest % 100 ? 3 : 2);
}

/* floor(log10(2^q)), and floor(log10(3/4 2^q)), |q| <= 1500; floor(log2(10^k)), |k| <= 1233. */
static inline int log10_of_2(int q, int closer) { return (q * 1262611 - (closer ? 524031 : 0)) >> 22; }
static inline int log2_of_10(int k) { return (k * 1741647) >> 19; }

/* The upper 64 bits of g x c / 2^128, with the lowest bit set where anything below them is. */
static inline uint64_t rounded_to_odd(Wide g, uint64_t c) {
  uint64_t x1 = product(g.low, c).high;
  Wide y = product(g.high, c);
  uint64_t low = y.low + x1;
  uint64_t high = y.high + (low < x1);
  return high | (low > 1);
}

/* Digits and decimal exponent of the shortest decimal for the positive double with these bits. */
static inline uint64_t shortest_decimal(uint64_t bits, int *exponent) {
  const uint64_t fraction = bits & (((uint64_t)1 << 52) - 1);
  const int biased = (int)(bits >> 52);
  const uint64_t c = biased ? fraction | (uint64_t)1 << 52 : fraction;
  const int q = biased ? biased - 1075 : -1074;
  const int closer = fraction == 0 && biased > 1; /* the neighbour below is half as far away */
  const uint64_t odd = c & 1;
  const int k = log10_of_2(q, closer);
  const int h = q + log2_of_10(-k) + 1;
  const Wide g = powers_of_ten[-k - POWER_MIN];
  const uint64_t below = rounded_to_odd(g, (4 * c - 2 + closer) << h) + odd;
  const uint64_t here = rounded_to_odd(g, (4 * c) << h);
  const uint64_t above = rounded_to_odd(g, (4 * c + 2) << h) - odd;
  const uint64_t s = here / 4;
  if (s >= 10) { /* one digit less, where exactly one such decimal lies inside */
    const uint64_t tens = s / 10;
    const int under = below <= 40 * tens, over = 40 * tens + 40 <= above;
    if (under != over) {
      *exponent = k + 1;
      return tens + over;
    }
  }
  *exponent = k;
  const int under = below <= 4 * s, over = 4 * s + 4 <= above;
  if (under != over) return s + over;
  const uint64_t middle = 4 * s + 2; /* both lie inside: the nearer, and of equals the even one */
  return s + (here > middle || (here == middle && (s & 1)));
}

/* The shortest text that reads back as `value`, which is finite; at most SHORTEST_ROOM bytes. Returns its end. */
static inline char *put_double(char *to, double value) {
  uint64_t bits;
  double scaled = value * 1000.0;
  if (value != 0.0 && fabs(scaled) < 1e15) {
    double millis = (scaled + ROUNDER) - ROUNDER;
    if (millis / 1000.0 == value) return put_millis(to, (int64_t)millis);
  }
  memcpy(&bits, &value, sizeof bits);
  if (bits >> 63) *to++ = '-';
  bits &= ~((uint64_t)1 << 63);
  if (bits == 0) {
    memcpy(to, "0.0", 3);
    return to + 3;
  }
  int exponent;
  uint64_t digits = shortest_decimal(bits, &exponent);
  while (digits % 10 == 0) {
    digits /= 10;
    exponent++;
  }
  const int count = digits_of(digits);
  const int point = count + exponent; /* where the decimal point stands, counted from the first digit */
  if (point > 16 || point <= -4) {
    put_digits(to + 1, digits, count);
    to[0] = to[1];
    to[1] = '.';
    to += count == 1 ? 1 : count + 1;
    *to++ = 'e';
    *to++ = point - 1 < 0 ? '-' : '+';
    const int power = point - 1 < 0 ? 1 - point : point - 1;
    if (power < 10) *to++ = '0';
    return put_unsigned(to, (uint64_t)power);
  }
  if (point <= 0) {
    memcpy(to, "0.0000", 6);
    put_digits(to + 2 - point, digits, count);
    return to + 2 - point + count;
  }
  if (exponent >= 0) {
    put_digits(to, digits, count);
    memset(to + count, '0', (size_t)exponent);
    memcpy(to + point, ".0", 2);
    return to + point + 2;
  }
  put_digits(to + 1, digits, count);
  memmove(to, to + 1, (size_t)point);
  to[point] = '.';
  return to + count + 1;
}

#endif
