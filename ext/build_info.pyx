# cython: language_level=3
"""Which build of the kernels is loaded: the release one, or the checked one that the suite also runs against."""

cdef extern from *:
    int SEAMLINE_CHECKED


def is_checked() -> bool:
    """True where bounds, wrap-around and integer overflow are checked (CMake option SEAMLINE_CHECKED)."""
    return SEAMLINE_CHECKED != 0
