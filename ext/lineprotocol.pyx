# cython: language_level=3
"""InfluxDB line protocol, written from compiled schemas.

Theory. A point is `prefix fields timestamp`. What never changes is prepared once: the prefix (measurement and tags,
escaped) by `encode_prefix`, the field keys by `Schema`. A row then is a tuple of values in schema order, and writing
it is one pass of copies and number printing into a buffer that the schema keeps.

Rules (InfluxDB 1.x and 2.x, "Line protocol reference").
* Kinds are strict: an integer field takes an int (not a bool) within int64, a float field a float or int, a string
  field a str, a boolean field a bool. Anything else is a TypeError or OverflowError: a field keeps its type for ever.
* `None`, NaN and infinities are absent fields: they cannot be stored, and 0 would be a lie. A row without fields is
  not a row: it encodes to b"".
* Floats are written with the fewest digits that read back as the same double (as `repr` does).
* One line is one point: line feeds are refused everywhere, so that a batch can be cut at line ends. A tag or
  measurement with a backslash before a separator or at its end has no spelling in line protocol and is refused too.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check
from cpython.long cimport PyLong_AsDouble, PyLong_AsLongLong, PyLong_Check
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.unicode cimport PyUnicode_Check
from libc.math cimport fabs, isfinite, rint
from libc.string cimport memchr, memcpy, strlen

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    char *PyOS_double_to_string(double value, char code, int precision, int flags, int *kind) except NULL
    int Py_DTSF_ADD_DOT_0

cdef dict _KIND_BY_NAME = {"integer": INTEGER, "float": FLOAT, "string": STRING, "boolean": BOOLEAN}
cdef tuple _KIND_WORDS = ("an int within int64, not a bool", "a float", "a str", "a bool")

# Decimals are exact and shortest up to 15 digits: every decimal of at most 15 significant digits survives the way to a
# double and back (DBL_DIG), so no shorter spelling of the same double exists. This limit keeps value x 1000 below that.
cdef double _MILLI_LIMIT = 1e15

cdef int _ROOM_FOR_NUMBER = 32  # sign, 19 digits and suffix; or the longest repr of a double, 24 characters


cdef int reserve(TextBuffer *text, Py_ssize_t more) except -1:
    """Make room for `more` bytes."""
    cdef Py_ssize_t wanted = text.used + more
    if wanted <= text.size:
        return 0
    cdef Py_ssize_t size = 2 * wanted + 256
    cdef char *data = <char *>PyMem_Realloc(text.data, size)
    if data == NULL:
        raise MemoryError
    text.data = data
    text.size = size
    return 0


cdef int append(TextBuffer *text, const char *data, Py_ssize_t size) except -1:
    reserve(text, size)
    memcpy(text.data + text.used, data, size)
    text.used += size
    return 0


cdef int append_char(TextBuffer *text, char c) except -1:
    reserve(text, 1)
    text.data[text.used] = c
    text.used += 1
    return 0


cdef int append_unsigned(TextBuffer *text, unsigned long long value) except -1:
    """Decimal digits of `value`."""
    cdef char[20] digits
    cdef int first = 20
    while True:
        first -= 1
        digits[first] = <char>(c'0' + value % 10)
        value //= 10
        if value == 0:
            break
    return append(text, digits + first, 20 - first)


cdef int append_signed(TextBuffer *text, long long value) except -1:
    if value >= 0:
        return append_unsigned(text, <unsigned long long>value)
    append_char(text, c'-')
    # The magnitude of the most negative int64 fits only in unsigned arithmetic.
    return append_unsigned(text, <unsigned long long>(-(value + 1)) + 1)


cdef int append_millis(TextBuffer *text, long long millis) except -1:
    """`millis` / 1000 with at most three decimals, at least one: 1500 is "1.5", 2000 is "2.0"."""
    cdef unsigned long long magnitude = <unsigned long long>(-millis if millis < 0 else millis)
    cdef int rest = <int>(magnitude % 1000)
    cdef char[4] decimals
    cdef int size = 4
    if millis < 0:
        append_char(text, c'-')
    append_unsigned(text, magnitude // 1000)
    decimals[0] = c'.'
    decimals[1] = <char>(c'0' + rest // 100)
    decimals[2] = <char>(c'0' + rest // 10 % 10)
    decimals[3] = <char>(c'0' + rest % 10)
    while size > 2 and decimals[size - 1] == c'0':
        size -= 1
    return append(text, decimals, size)


cdef int append_double(TextBuffer *text, double value) except -1:
    """Shortest text that reads back as `value`.

    Values of at most three decimals, which is what PLCs give, need no dtoa.
    """
    cdef double scaled = value * 1000.0
    cdef double millis
    cdef char *shortest
    if value != 0.0 and fabs(scaled) < _MILLI_LIMIT:
        millis = rint(scaled)
        if millis / 1000.0 == value:
            return append_millis(text, <long long>millis)
    shortest = PyOS_double_to_string(value, c'r', 0, Py_DTSF_ADD_DOT_0, NULL)
    try:
        return append(text, shortest, <Py_ssize_t>strlen(shortest))
    finally:
        PyMem_Free(shortest)


cdef int append_string(TextBuffer *text, object value, str name) except -1:
    """A string field: in quotes, with quotes and backslashes escaped."""
    cdef Py_ssize_t size = 0
    cdef const char *data = PyUnicode_AsUTF8AndSize(value, &size)
    cdef Py_ssize_t i
    if memchr(data, c'\n', size) != NULL:
        raise ValueError(f"field {name!r} holds a line feed; one line is one point")
    reserve(text, 2 * size + 2)
    append_char(text, c'"')
    for i in range(size):
        if data[i] == c'"' or data[i] == c'\\':
            append_char(text, c'\\')
        append_char(text, data[i])
    return append_char(text, c'"')


cdef class Schema:
    """The fields of one measurement in writing order: pairs of name and kind.

    A kind is an InfluxDB word: integer, float, string or boolean. Raises ValueError for any other, or a name without
    spelling. One schema serves one thread at a time; the GIL is held from the first byte of a row to its last.
    """

    def __cinit__(self, fields):
        cdef Py_ssize_t i
        pairs = [(str(name), str(kind)) for name, kind in fields]
        self.names = tuple(name for name, _ in pairs)
        self.kinds = tuple(kind for _, kind in pairs)
        self._keys = [escape(name) + b"=" for name in self.names]
        self._count = len(pairs)
        self._kind = <unsigned char *>PyMem_Malloc(max(self._count, 1))
        if self._kind == NULL:
            raise MemoryError
        for i in range(self._count):
            if self.kinds[i] not in _KIND_BY_NAME:
                words = ", ".join(_KIND_BY_NAME)
                raise ValueError(f"field {self.names[i]!r}: no kind {self.kinds[i]!r}; there are {words}")
            self._kind[i] = _KIND_BY_NAME[self.kinds[i]]

    def __dealloc__(self):
        PyMem_Free(self._kind)
        PyMem_Free(self._text.data)

    cdef int append_row(self, bytes prefix, tuple values, object t_ns) except -1:
        """Append one line to the buffer, without line feed.

        Returns 1, or 0 and an unchanged buffer where no field is present.
        """
        cdef TextBuffer *text = &self._text
        cdef Py_ssize_t start = text.used
        cdef Py_ssize_t i
        cdef char separator = c' '
        cdef bytes key
        cdef double number
        if len(values) != self._count:
            raise ValueError(f"the schema has {self._count} fields, the row {len(values)}")
        append(text, PyBytes_AS_STRING(prefix), PyBytes_GET_SIZE(prefix))
        for i in range(self._count):
            value = values[i]
            if value is None:
                continue
            number = 0.0
            if self._kind[i] == FLOAT:
                number = self._as_double(value, i)
                if not isfinite(number):
                    continue
            key = <bytes>self._keys[i]
            append_char(text, separator)
            append(text, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
            separator = c','
            if self._kind[i] == FLOAT:
                append_double(text, number)
            else:
                self._append_exact(value, i)
        if separator == c' ':
            text.used = start
            return 0
        append_char(text, c' ')
        append_signed(text, PyLong_AsLongLong(t_ns))
        return 1

    cdef double _as_double(self, object value, Py_ssize_t i) except? -1.0:
        if PyFloat_Check(value):
            return PyFloat_AS_DOUBLE(value)
        if PyLong_Check(value) and not isinstance(value, bool):
            return PyLong_AsDouble(value)
        raise self._wrong_kind(value, i)

    cdef int _append_exact(self, object value, Py_ssize_t i) except -1:
        """A value of every kind but float."""
        cdef TextBuffer *text = &self._text
        cdef unsigned char kind = self._kind[i]
        if kind == INTEGER and PyLong_Check(value) and not isinstance(value, bool):
            append_signed(text, PyLong_AsLongLong(value))
            return append_char(text, c'i')
        if kind == STRING and PyUnicode_Check(value):
            return append_string(text, value, <str>self.names[i])
        if kind == BOOLEAN and isinstance(value, bool):
            return append(text, b"true", 4) if value is True else append(text, b"false", 5)
        raise self._wrong_kind(value, i)

    cdef object _wrong_kind(self, object value, Py_ssize_t i):
        return TypeError(f"field {self.names[i]!r} takes {_KIND_WORDS[self._kind[i]]}, not {value!r}")


cdef bytes escape(str text):
    """A tag key, tag value or field key: commas, equals signs and spaces behind a backslash."""
    refuse_unspeakable(text, ",= ")
    return text.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ").encode()


cdef bytes escape_measurement(str text):
    """A measurement: as a tag, but an equals sign stands for itself; a leading # would make the line a comment."""
    refuse_unspeakable(text, ", ")
    if text.startswith("#"):
        raise ValueError(f"measurement {text!r} would read as a comment")
    return text.replace(",", "\\,").replace(" ", "\\ ").encode()


cdef int refuse_unspeakable(str text, str separators) except -1:
    """Raise for what line protocol has no spelling for."""
    if not text:
        raise ValueError("a name or tag value is empty; leave the tag out instead")
    if "\n" in text:
        raise ValueError(f"{text!r} holds a line feed; one line is one point")
    if text.endswith("\\") or any("\\" + separator in text for separator in separators):
        raise ValueError(f"{text!r}: a backslash cannot stand at the end or before one of {separators!r}")
    return 0


def encode_prefix(str measurement not None, tags):
    """`measurement,key=value,…` escaped once. Empty tag values are left out, as the protocol forbids them.

    Raises ValueError for a name or value that line protocol cannot spell.
    """
    cdef list parts = [escape_measurement(measurement)]
    for key, value in tags:
        if value:
            parts.append(escape(key) + b"=" + escape(value))
    return b",".join(parts)


def encode_row(Schema schema not None, bytes prefix not None, tuple values not None, t_ns):
    """One line without line feed, or b"" where every field is absent.

    `values` in schema order; `t_ns` is UTC nanoseconds. Raises TypeError for a value of another kind, OverflowError
    beyond int64, ValueError for a line feed in a string or a row of the wrong length.
    """
    schema._text.used = 0
    schema.append_row(prefix, values, t_ns)
    return PyBytes_FromStringAndSize(schema._text.data, schema._text.used)


def encode_rows(Schema schema not None, prefixes, rows, times_ns):
    """Many lines joined by line feeds, and how many there are.

    Rows without a field are left out; errors as `encode_row`.
    """
    cdef list prefix_list = list(prefixes)
    cdef list row_list = list(rows)
    cdef list time_list = list(times_ns)
    cdef Py_ssize_t count = len(row_list)
    cdef Py_ssize_t written = 0
    cdef Py_ssize_t i
    if len(prefix_list) != count or len(time_list) != count:
        raise ValueError(f"{count} rows, {len(prefix_list)} prefixes, {len(time_list)} times")
    schema._text.used = 0
    for i in range(count):
        if written and (schema._text.used == 0 or schema._text.data[schema._text.used - 1] != c'\n'):
            append_char(&schema._text, c'\n')
        written += schema.append_row(<bytes?>prefix_list[i], <tuple?>row_list[i], time_list[i])
    if written and schema._text.data[schema._text.used - 1] == c'\n':
        schema._text.used -= 1
    return PyBytes_FromStringAndSize(schema._text.data, schema._text.used), written
