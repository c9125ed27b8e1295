# cython: language_level=3
"""Line protocol writer. Table of contents:

    TextBuffer   a growable run of bytes, C side only
    Field        one field, compiled: its key escaped, its kind as a number
    Schema       the fields of one measurement
"""

cdef enum FieldKind:
    INTEGER = 0
    FLOAT = 1
    STRING = 2
    BOOLEAN = 3
    UNSIGNED = 4


cdef struct TextBuffer:
    char *data
    Py_ssize_t used
    Py_ssize_t size


cdef struct Field:
    const char *key             # ",name=", escaped once; owned by Schema._keys
    Py_ssize_t key_size
    unsigned char kind          # FieldKind


cdef class Schema:
    cdef readonly tuple names
    cdef readonly tuple kinds
    cdef list _keys
    cdef Field *_field
    cdef Py_ssize_t _count
    cdef Py_ssize_t _room       # bytes a row may need beyond its prefix and its strings
    cdef TextBuffer _text       # reused from row to row; its content lives only inside one call

    cdef int append_row(self, bytes prefix, tuple values, object t_ns) except -1
    cdef double _as_double(self, object value, Py_ssize_t i) except? -1.0
    cdef char *_put_exact(self, char *to, object value, Py_ssize_t i) except NULL
    cdef char *_put_string(self, char *to, object value, Py_ssize_t i, char **fields) except NULL
    cdef object _wrong_kind(self, object value, Py_ssize_t i)
