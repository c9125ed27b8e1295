# cython: language_level=3
"""Line protocol writer. Table of contents:

    TextBuffer   a growable run of bytes, C side only
    Schema       the fields of one measurement, compiled: keys escaped, kinds as numbers
"""

cdef enum FieldKind:
    INTEGER = 0
    FLOAT = 1
    STRING = 2
    BOOLEAN = 3


cdef struct TextBuffer:
    char *data
    Py_ssize_t used
    Py_ssize_t size


cdef class Schema:
    cdef readonly tuple names
    cdef readonly tuple kinds
    cdef list _keys             # b"name=" per field, escaped once
    cdef unsigned char *_kind   # FieldKind per field
    cdef Py_ssize_t _count
    cdef TextBuffer _text       # reused from row to row; its content lives only inside one call

    cdef int append_row(self, bytes prefix, tuple values, object t_ns) except -1
    cdef double _as_double(self, object value, Py_ssize_t i) except? -1.0
    cdef int _append_exact(self, object value, Py_ssize_t i) except -1
    cdef object _wrong_kind(self, object value, Py_ssize_t i)
