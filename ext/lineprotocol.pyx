# cython: language_level=3
"""InfluxDB line protocol, written from compiled schemas.

Theory. A point is `prefix fields timestamp`. What never changes is prepared once: the prefix (measurement and tags,
escaped) by `encode_prefix`, the field keys by `Schema`. A row then is a tuple of values in schema order, and writing
it is one pass of copies and number printing into a buffer that the schema keeps.

Rules (InfluxDB 1.x and 2.x, "Line protocol reference").
* Kinds are strict: an integer field takes an int (not a bool) within int64, an unsigned one within uint64 (InfluxDB 2
  and 3; 1.x refuses the suffix), a float field a float or int, a string field a str, a boolean field a bool. Anything
  else is a TypeError or OverflowError: a field keeps its type for ever.
* `None`, NaN and infinities are absent fields: they cannot be stored, and 0 would be a lie. A row without fields is
  not a row: it encodes to b"".
* Floats are written with the fewest digits that read back as the same double (as `repr` does; `shortest.h`).
* One line is one point: line feeds are refused everywhere, so that a batch can be cut at line ends. A tag or
  measurement with a backslash before a separator or at its end has no spelling in line protocol and is refused too.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check
from cpython.long cimport PyLong_AsDouble, PyLong_AsLongLong, PyLong_AsUnsignedLongLong, PyLong_Check
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_Check
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr, memcpy

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef extern from "shortest.h" nogil:
    enum: SHORTEST_ROOM
    enum: POWER_MIN
    enum: POWER_MAX

    ctypedef struct Wide:
        uint64_t high
        uint64_t low

    Wide powers_of_ten[]
    char *put_signed(char *to, int64_t value)
    char *put_unsigned(char *to, uint64_t value)
    char *put_double(char *to, double value)

cdef dict _KIND_BY_NAME = {
    "integer": INTEGER, "float": FLOAT, "string": STRING, "boolean": BOOLEAN, "unsigned": UNSIGNED,
}
cdef tuple _KIND_WORDS = (
    "an int within int64, not a bool", "a float", "a str", "a bool", "an int within uint64, not a bool",
)


cdef int fill_powers() except -1:
    """10^k as 128 bits with the highest one set, rounded up, for every k the doubles need."""
    cdef object one = 1  # Python's integers: these have up to 1,200 bits
    cdef object power, spare, scaled
    cdef int k
    for k in range(POWER_MIN, POWER_MAX + 1):
        power = (10 * one) ** abs(<object>k)
        spare = power.bit_length() - 128 * one
        if k < 0:
            scaled = -(-(one << power.bit_length() + 127) // power)
        else:
            scaled = -(-power >> spare) if spare > 0 else power << -spare
        powers_of_ten[k - POWER_MIN].high = <uint64_t>(scaled >> 64)
        powers_of_ten[k - POWER_MIN].low = <uint64_t>(scaled & (one << 64) - 1)
    return 0


fill_powers()


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


cdef inline char *put(char *to, const char *data, Py_ssize_t size) noexcept:
    memcpy(to, data, size)
    return to + size


cdef class Schema:
    """The fields of one measurement in writing order: pairs of name and kind.

    A kind is an InfluxDB word: integer, unsigned, float, string or boolean. Raises ValueError for any other, or a name
    without spelling. One schema serves one thread at a time; the GIL is held from the first byte of a row to its last.
    """

    def __cinit__(self, fields):
        cdef Py_ssize_t i
        pairs = [(str(name), str(kind)) for name, kind in fields]
        self.names = tuple(name for name, _ in pairs)
        self.kinds = tuple(kind for _, kind in pairs)
        self._keys = [b"," + escape(name) + b"=" for name in self.names]
        self._count = len(pairs)
        # Every key, every number at its longest, and the time: one reservation a row, more only for strings.
        self._room = sum(len(key) for key in self._keys) + (self._count + 1) * SHORTEST_ROOM
        self._field = <Field *>PyMem_Malloc(max(self._count, 1) * sizeof(Field))
        if self._field == NULL:
            raise MemoryError
        for i in range(self._count):
            if self.kinds[i] not in _KIND_BY_NAME:
                words = ", ".join(_KIND_BY_NAME)
                raise ValueError(f"field {self.names[i]!r}: no kind {self.kinds[i]!r}; there are {words}")
            self._field[i].kind = _KIND_BY_NAME[self.kinds[i]]
            self._field[i].key = PyBytes_AS_STRING(<bytes>self._keys[i])
            self._field[i].key_size = PyBytes_GET_SIZE(<bytes>self._keys[i])

    def __dealloc__(self):
        PyMem_Free(self._field)
        PyMem_Free(self._text.data)

    cdef int append_row(self, bytes prefix, tuple values, object t_ns) except -1:
        """Append one line to the buffer, without line feed.

        Returns 1, or 0 and an unchanged buffer where no field is present.
        """
        cdef TextBuffer *text = &self._text
        cdef Py_ssize_t prefix_size = PyBytes_GET_SIZE(prefix)
        cdef Py_ssize_t i
        cdef Field *field
        cdef char *to
        cdef char *fields
        cdef double number
        if PyTuple_GET_SIZE(values) != self._count:
            raise ValueError(f"the schema has {self._count} fields, the row {len(values)}")
        reserve(text, prefix_size + self._room)
        to = fields = put(text.data + text.used, PyBytes_AS_STRING(prefix), prefix_size)
        for i in range(self._count):
            value = <object>PyTuple_GET_ITEM(values, i)
            if value is None:
                continue
            field = &self._field[i]
            if field.kind == FLOAT:
                number = PyFloat_AS_DOUBLE(value) if PyFloat_Check(value) else self._as_double(value, i)
                if isfinite(number):
                    to = put_double(put(to, field.key, field.key_size), number)
            elif field.kind == STRING:
                to = self._put_string(put(to, field.key, field.key_size), value, i, &fields)
            else:
                to = self._put_exact(put(to, field.key, field.key_size), value, i)
        if to == fields:
            return 0
        fields[0] = c' '  # instead of the comma before the first
        to[0] = c' '
        to = put_signed(to + 1, PyLong_AsLongLong(t_ns))
        text.used = to - text.data
        return 1

    cdef double _as_double(self, object value, Py_ssize_t i) except? -1.0:
        if PyLong_Check(value) and not isinstance(value, bool):
            return PyLong_AsDouble(value)
        raise self._wrong_kind(value, i)

    cdef char *_put_exact(self, char *to, object value, Py_ssize_t i) except NULL:
        """An integer, signed or not, or a boolean."""
        if self._field[i].kind == INTEGER and PyLong_Check(value) and not isinstance(value, bool):
            to = put_signed(to, PyLong_AsLongLong(value))
            to[0] = c'i'
            return to + 1
        if self._field[i].kind == UNSIGNED and PyLong_Check(value) and not isinstance(value, bool):
            to = put_unsigned(to, PyLong_AsUnsignedLongLong(value))
            to[0] = c'u'
            return to + 1
        if self._field[i].kind == BOOLEAN and isinstance(value, bool):
            return put(to, b"true", 4) if value is True else put(to, b"false", 5)
        raise self._wrong_kind(value, i)

    cdef char *_put_string(self, char *to, object value, Py_ssize_t i, char **fields) except NULL:
        """A string: in quotes, with quotes and backslashes escaped. The buffer may move, and `fields` with it."""
        cdef Py_ssize_t size = 0
        cdef const char *data
        cdef Py_ssize_t n
        cdef Py_ssize_t row = to - self._text.data
        cdef Py_ssize_t head = fields[0] - self._text.data
        if not PyUnicode_Check(value):
            raise self._wrong_kind(value, i)
        data = PyUnicode_AsUTF8AndSize(value, &size)
        if memchr(data, c'\n', size) != NULL:
            raise ValueError(f"field {self.names[i]!r} holds a line feed; one line is one point")
        reserve(&self._text, row - self._text.used + 2 * size + 2 + self._room)
        to = self._text.data + row
        fields[0] = self._text.data + head
        to[0] = c'"'
        to += 1
        for n in range(size):
            if data[n] == c'"' or data[n] == c'\\':
                to[0] = c'\\'
                to += 1
            to[0] = data[n]
            to += 1
        to[0] = c'"'
        return to + 1

    cdef object _wrong_kind(self, object value, Py_ssize_t i):
        return TypeError(f"field {self.names[i]!r} takes {_KIND_WORDS[self._field[i].kind]}, not {value!r}")


cdef bytes escape(str text):
    """A tag key, tag value or field key: commas, equals signs and spaces behind a backslash."""
    if is_plain(text):
        return text.encode()
    refuse_unspeakable(text, ",= ")
    return text.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ").encode()


cdef bint is_plain(str text) except -1:
    """Nothing in it means anything to line protocol: so it is with nearly every name."""
    cdef Py_ssize_t size = 0, n
    cdef const char *data = PyUnicode_AsUTF8AndSize(text, &size)
    for n in range(size):
        if data[n] == c'\\' or data[n] == c',' or data[n] == c'=' or data[n] == c' ' or data[n] == c'\n':
            return False
    return size > 0


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


def encode_tag(bytes prefix not None, bytes key not None, str value not None):
    """`prefix`, and behind it one more tag: `prefix,key=value`. `key` is escaped already.

    Raises ValueError for a value that line protocol cannot spell.
    """
    return prefix + b"," + key + b"=" + escape(value)


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
        if schema.append_row(<bytes?>prefix_list[i], <tuple?>row_list[i], time_list[i]):
            reserve(&schema._text, 1)
            schema._text.data[schema._text.used] = c'\n'
            schema._text.used += 1
            written += 1
    return PyBytes_FromStringAndSize(schema._text.data, max(0, schema._text.used - 1)), written
