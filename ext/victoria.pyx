# cython: language_level=3
"""Line protocol as VictoriaMetrics can keep it.

Theory. VictoriaMetrics takes InfluxDB's line protocol and answers 204 whatever becomes of it: strings are stored as 0,
times are cut to milliseconds, a malformed line is dropped, and a point that is written again with another value does
not replace the first. So every line is read here, strictly, and written anew in a form that loses nothing unsaid.

Rules (VictoriaMetrics documentation, "How to send data from InfluxDB-compatible agents", "Deduplication").
* A malformed line is a ValueError: nothing is left for the server to drop.
* Numbers and booleans stay fields. Strings become labels of one more series of the same tags, with the field `info=1`;
  empty ones and `detail`, which is free text and would be a new series each time, are left out.
* What is still open is left out: a line whose `final` is false, or whose `open` is true. It comes when it is closed.
* Times are whole milliseconds. A point that may be told again (it has `final`, `open` or `revision`) is moved to
  `1 + revision` ms behind the last multiple of `step_ms`, the server's deduplication interval: of the samples of one
  interval the server keeps the last, which is the highest revision, however often and in whatever order they were sent.
  A point that was made void (`void`) comes behind them all.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.string cimport memchr, memcmp, memcpy

cdef enum:
    MAX_LINE = 200_000  # VictoriaMetrics drops lines beyond 256 KiB (-influx.maxLineSize)
    MAX_LABELS = 30  # it drops labels beyond this many (-maxLabelsPerTimeseries)

cdef long long MAX_INT64 = 9223372036854775807

cdef enum ValueKind:
    BROKEN
    INTEGER
    NUMBER
    TEXT
    TRUE
    FALSE


cdef struct Buffer:
    char *data
    Py_ssize_t used
    Py_ssize_t size


cdef struct Point:
    Py_ssize_t series_end   # from the start of the line
    Py_ssize_t labels
    bint has_numbers
    bint has_texts
    bint versioned
    bint unfinished
    bint is_void
    long long revision
    long long t_ns


cdef inline int put(Buffer *to, const char *data, Py_ssize_t size) except -1:
    cdef Py_ssize_t wanted = to.used + size
    cdef char *grown
    if wanted > to.size:
        grown = <char *>PyMem_Realloc(to.data, 2 * wanted + 1024)
        if grown == NULL:
            raise MemoryError
        to.data = grown
        to.size = 2 * wanted + 1024
    memcpy(to.data + to.used, data, size)
    to.used = wanted
    return 0


cdef inline bint is_word(const char *data, Py_ssize_t size, const char *word, Py_ssize_t word_size) noexcept:
    return size == word_size and memcmp(data, word, size) == 0


cdef inline Py_ssize_t name_end(const char *line, Py_ssize_t at, Py_ssize_t end, char stop, char other) noexcept:
    """Index of the first unescaped `stop` or `other`; `end` where there is none."""
    while at < end and line[at] != stop and line[at] != other:
        at += 2 if line[at] == c'\\' and at + 1 < end else 1
    return at


cdef Py_ssize_t text_end(const char *line, Py_ssize_t at, Py_ssize_t end) noexcept:
    """Index behind the closing quote of the string that opens at `at`; -1 where it does not close."""
    at += 1
    while at < end:
        if line[at] == c'"':
            return at + 1
        at += 2 if line[at] == c'\\' else 1
    return -1


cdef inline Py_ssize_t digits_end(const char *line, Py_ssize_t at, Py_ssize_t end) noexcept:
    while at < end and c'0' <= line[at] <= c'9':
        at += 1
    return at


cdef ValueKind kind_of(const char *line, Py_ssize_t at, Py_ssize_t end) noexcept:
    """Kind of the unquoted value in [at, end): an integer, a float, a boolean, or none of them."""
    cdef Py_ssize_t size = end - at
    cdef const char *text = line + at
    cdef Py_ssize_t here = at
    cdef Py_ssize_t after
    cdef bint whole
    if size == 0:
        return BROKEN
    if text[0] == c't' or text[0] == c'T':
        return TRUE if size == 1 or is_word(text, size, b"true", 4) or is_word(text, size, b"True", 4) \
            or is_word(text, size, b"TRUE", 4) else BROKEN
    if text[0] == c'f' or text[0] == c'F':
        return FALSE if size == 1 or is_word(text, size, b"false", 5) or is_word(text, size, b"False", 5) \
            or is_word(text, size, b"FALSE", 5) else BROKEN
    if line[here] == c'-' or line[here] == c'+':
        here += 1
    after = digits_end(line, here, end)
    whole = after > here
    if whole and after == end - 1 and (line[after] == c'i' or line[after] == c'u'):
        return INTEGER
    here = after
    if here < end and line[here] == c'.':
        after = digits_end(line, here + 1, end)
        whole = whole or after > here + 1
        here = after
    if not whole:
        return BROKEN
    if here < end and (line[here] == c'e' or line[here] == c'E'):
        here += 1
        if here < end and (line[here] == c'-' or line[here] == c'+'):
            here += 1
        after = digits_end(line, here, end)
        if after == here:
            return BROKEN
        here = after
    return NUMBER if here == end else BROKEN


cdef inline Py_ssize_t plain_end(const char *line, Py_ssize_t at, Py_ssize_t end) noexcept:
    """Index behind the value at `at` where it is a decimal as most are, `-12`, `12i`, `1.25`; -1 where a closer look is
    needed.
    """
    cdef Py_ssize_t here = at + 1 if at < end and line[at] == c'-' else at
    cdef Py_ssize_t after = digits_end(line, here, end)
    if after == here or after == end:
        return -1
    if line[after] == c'i':
        after += 1
    elif line[after] == c'.':
        here = after + 1
        after = digits_end(line, here, end)
        if after == here:
            return -1
    return after if after < end and (line[after] == c',' or line[after] == c' ') else -1


cdef long long integer_of(const char *line, Py_ssize_t at, Py_ssize_t end) noexcept:
    """Value of the decimal digits in [at, end), sign allowed, at most 19 of them; cut to what int64 holds."""
    cdef unsigned long long value = 0
    cdef bint negative = at < end and line[at] == c'-'
    cdef Py_ssize_t last
    if at < end and (line[at] == c'-' or line[at] == c'+'):
        at += 1
    last = min(end, at + 19)
    while at < last and c'0' <= line[at] <= c'9':
        value = value * 10 + <unsigned long long>(line[at] - c'0')
        at += 1
    value = min(value, <unsigned long long>MAX_INT64)
    return -<long long>value if negative else <long long>value


cdef Py_ssize_t series_of(const char *line, Py_ssize_t end, Py_ssize_t *labels) noexcept:
    """End of measurement and tags, and how many tags; -1 where a tag is not `key=value`."""
    cdef Py_ssize_t at = name_end(line, 0, end, c',', c' ')
    cdef Py_ssize_t start
    labels[0] = 0
    if at == 0:
        return -1
    while at < end and line[at] == c',':
        start = at + 1
        at = name_end(line, start, end, c'=', c' ')
        if at >= end or line[at] != c'=' or at == start:
            return -1
        start = at + 1
        at = name_end(line, start, end, c',', c' ')
        if at == start:
            return -1
        labels[0] += 1
    return at if at < end else -1


cdef int put_label(Buffer *to, const char *text, Py_ssize_t size) except -1:
    """The inside of a quoted string as a tag value: its escapes undone, those of tags made."""
    cdef Py_ssize_t i = 0
    cdef char c
    while i < size:
        c = text[i]
        if c == c'\\' and i + 1 < size and (text[i + 1] == c'"' or text[i + 1] == c'\\'):
            i += 1
            c = text[i]
        if c == c',' or c == c'=' or c == c' ' or c == c'\\':
            put(to, b"\\", 1)
        put(to, &c, 1)
        i += 1
    return 0


cdef int put_int(Buffer *to, long long value) except -1:
    cdef char[20] digits
    cdef int first = 20
    cdef bint negative = value < 0
    if negative:
        value = -value
    while True:
        first -= 1
        digits[first] = <char>(c'0' + value % 10)
        value //= 10
        if value == 0:
            break
    if negative:
        put(to, b"-", 1)
    return put(to, digits + first, 20 - first)


cdef long long floor_div(long long value, long long step) noexcept:
    cdef long long rest = value % step
    if rest < 0:
        rest += step
    return (value - rest) // step


cdef long long time_ms(Point *point, long long step_ms) noexcept:
    cdef long long t_ms = floor_div(point.t_ns, 1_000_000)
    cdef long long place
    if not point.versioned:
        return t_ms
    if point.is_void:
        return floor_div(t_ms, step_ms) * step_ms + step_ms - 1
    place = 1 + max(0, min(point.revision, step_ms - 3))  # short of the next multiple, which another interval may own
    return floor_div(t_ms, step_ms) * step_ms + place


cdef int translate(const char *line, Py_ssize_t end, long long step_ms, Buffer *numbers, Buffer *labels, Point *point) \
        except -1:
    """One line into the fields (`numbers`) and labels it becomes. 0, or 1 where it is malformed."""
    cdef Py_ssize_t at, key, key_size, value, after, first
    cdef ValueKind kind
    cdef bint mixed = False  # a string was met: from here on the numbers are copied one by one
    numbers.used = 0
    labels.used = 0
    point.has_numbers = point.has_texts = point.versioned = point.unfinished = point.is_void = False
    point.revision = 0
    point.series_end = series_of(line, end, &point.labels)
    if point.series_end < 0 or end > MAX_LINE:
        return 1
    at = first = point.series_end + 1
    while True:
        key = at
        at = name_end(line, at, end, c'=', c' ')
        key_size = at - key
        if at >= end or line[at] != c'=' or key_size == 0:
            return 1
        value = at + 1
        after = plain_end(line, value, end)
        if after >= 0:
            kind = NUMBER
        elif value < end and line[value] == c'"':
            after = text_end(line, value, end)
            kind = TEXT
            if after < 0:
                return 1
        else:
            after = name_end(line, value, end, c',', c' ')
            kind = kind_of(line, value, after)
        if kind == BROKEN or after >= end or (line[after] != c',' and line[after] != c' '):
            return 1
        if kind == TEXT:
            if not mixed and key > first:
                put(numbers, line + first, key - 1 - first)
            mixed = True
            if after - value > 2 and not is_word(line + key, key_size, b"detail", 6):
                put(labels, b",", 1)
                put(labels, line + key, key_size)
                put(labels, b"=", 1)
                put_label(labels, line + value + 1, after - value - 2)
                point.has_texts = True
                point.labels += 1
        else:
            if is_word(line + key, key_size, b"final", 5):
                point.versioned = True
                point.unfinished = point.unfinished or kind == FALSE
            elif is_word(line + key, key_size, b"open", 4):
                point.versioned = True
                point.unfinished = point.unfinished or kind == TRUE
            elif is_word(line + key, key_size, b"void", 4):
                point.is_void = kind == TRUE
            elif is_word(line + key, key_size, b"revision", 8):
                point.versioned = True
                point.revision = integer_of(line, value, after)
            if mixed:
                if point.has_numbers:
                    put(numbers, b",", 1)
                put(numbers, line + key, after - key)
            point.has_numbers = True
        at = after + 1
        if line[after] == c' ':
            break
    if not mixed:
        put(numbers, line + first, after - first)
    value = at + 1 if at < end and line[at] == c'-' else at
    if value == end or end - value > 19 or digits_end(line, value, end) != end:
        return 1
    point.t_ns = integer_of(line, at, end)
    return 1 if point.labels > MAX_LABELS else 0


def to_victoria(bytes lines not None, long long step_ms):
    """The lines as VictoriaMetrics shall store them, times in milliseconds, and how many of the given ones are in.

    Raises ValueError, naming the line (from 1), for one that is malformed, longer than 200,000 bytes, or would have
    more than 30 labels; and for a `step_ms` below 3.
    """
    cdef Buffer out, numbers, labels
    cdef Point point
    cdef const char *data = PyBytes_AS_STRING(lines)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(lines)
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t number = 0
    cdef Py_ssize_t written = 0
    cdef Py_ssize_t end
    cdef const char *feed
    cdef const char *line
    if step_ms < 3:
        raise ValueError(f"a deduplication interval of {step_ms} ms")
    out.data = numbers.data = labels.data = NULL
    out.used = out.size = numbers.used = numbers.size = labels.used = labels.size = 0
    try:
        while at < size:
            number += 1
            line = data + at
            feed = <const char *>memchr(line, c'\n', size - at)
            end = size - at if feed == NULL else feed - line
            at += end + 1
            if translate(line, end, step_ms, &numbers, &labels, &point):
                raise ValueError(f"line {number} is not line protocol, or too long: {line[:min(end, 200)]!r}")
            if point.unfinished:
                continue
            written += 1
            if point.has_numbers:
                put(&out, line, point.series_end)
                put(&out, b" ", 1)
                put(&out, numbers.data, numbers.used)
                put(&out, b" ", 1)
                put_int(&out, time_ms(&point, step_ms))
                put(&out, b"\n", 1)
            if point.has_texts:
                put(&out, line, point.series_end)
                put(&out, labels.data, labels.used)
                put(&out, b" info=1 ", 8)
                put_int(&out, time_ms(&point, step_ms))
                put(&out, b"\n", 1)
        return PyBytes_FromStringAndSize(out.data, out.used), written
    finally:
        PyMem_Free(out.data)
        PyMem_Free(numbers.data)
        PyMem_Free(labels.data)


def newest_ns(bytes lines not None):
    """The latest time of any line, ns; the least int64 where there is none. A time that is no number counts as none."""
    cdef const char *line = PyBytes_AS_STRING(lines)
    cdef const char *stop = line + PyBytes_GET_SIZE(lines)
    cdef const char *feed
    cdef Py_ssize_t end, at
    cdef long long newest = -(1 << 63)
    while line < stop:
        feed = <const char *>memchr(line, c'\n', stop - line)
        end = at = (stop if feed == NULL else feed) - line
        while at > 0 and (c'0' <= line[at - 1] <= c'9' or line[at - 1] == c'-'):
            at -= 1
        if 0 < at < end <= at + 20 and line[at - 1] == c' ':
            newest = max(newest, integer_of(line, at, end))
        line += end + 1
    return newest
