# cython: language_level=3
"""Process values worth keeping: which of the tags a reply refreshed have moved, and which are due.

Theory. A big site has a hundred thousand analogue tags, read every second; of most there is nothing to tell. So the
readings of a reply are compared with what was kept last in one pass over arrays, and only those that say something
become Python objects, when somebody takes them. The plain-Python twin is tests/twins/values.py.

Rules. A reading is kept
* when it is the first, or its quality is another than that of the last one kept;
* when its value is further from the last one kept than the deadband (a distance from NaN is none);
* when its interval is over, or the clock was set back behind the last one kept.

* Values that begin together must not be due together for ever, or a site would store nothing for a minute and then all
  it has. So after a first reading, a change of quality and a clock set back, which meet many at once, the next interval
  is shorter by a share of it; the golden ratio gives each value of a device its own.
* What finds no room in the backlog is counted and not kept: the next reading is compared with what was kept, so a
  change that lasts is told once there is room.
"""

from cpython cimport array
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Realloc
from cpython.object cimport Py_SIZE
from libc.math cimport fabs
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memmove

cdef enum:
    NEVER = 255  # no Quality
    GOLDEN = 618_033_989  # of a billion; edge.poll.schedule spreads devices by it
    BILLION = 1_000_000_000
    MOST_RULES = 65_536
    AT_FIRST = 64  # entries


cdef class Backlog:
    """What was kept and is not taken yet, oldest first; at most `limit` of all devices together."""

    def __cinit__(self, Py_ssize_t limit):
        if limit < 1:
            raise ValueError(f"a backlog of {limit}")
        self.limit = limit

    def __dealloc__(self):
        PyMem_Free(self.entries)

    def __len__(self):
        return self.count

    cdef bint add(self, double number, int64_t t_ns, uint32_t value, uint8_t quality) except -1:
        """False where there is no room."""
        cdef Py_ssize_t room
        cdef Entry *entries
        if self.count == self.limit:
            self.refused += 1
            return False
        if self.first + self.count == self.room:
            if self.first:
                memmove(self.entries, self.entries + self.first, <size_t> self.count * sizeof(Entry))
                self.first = 0
            else:
                room = min(self.limit, max(AT_FIRST, 2 * self.room))
                entries = <Entry *> PyMem_Realloc(self.entries, <size_t> room * sizeof(Entry))
                if entries is NULL:
                    raise MemoryError
                self.entries, self.room = entries, room
        self.entries[self.first + self.count] = Entry(number, t_ns, value, quality)
        self.count += 1
        return True

    def take(self, Py_ssize_t most):
        """Remove the oldest, `most` at most: numbers of the values, times (UTC ns), values, qualities, side by side."""
        cdef Py_ssize_t n = max(0, min(most, self.count)), i
        cdef array.array values = array.clone(_VALUES, n, zero=False)
        cdef array.array times = array.clone(_TIMES, n, zero=False)
        cdef array.array numbers = array.clone(_NUMBERS, n, zero=False)
        cdef array.array qualities = array.clone(_QUALITIES, n, zero=False)
        cdef const Entry *entry
        for i in range(n):
            entry = &self.entries[self.first + i]
            values.data.as_uints[i] = entry.value
            times.data.as_longlongs[i] = entry.t_ns
            numbers.data.as_doubles[i] = entry.number
            qualities.data.as_uchars[i] = entry.quality
        self.first += n
        self.count -= n
        if not self.count:
            PyMem_Free(self.entries)
            self.entries, self.first, self.room = NULL, 0, 0
        return values, times, numbers, qualities


cdef array.array _VALUES = array.array("I")
cdef array.array _TIMES = array.array("q")
cdef array.array _NUMBERS = array.array("d")
cdef array.array _QUALITIES = array.array("B")


cdef class ValueTable:
    """The values of one device. Columns run over its values, tags ascending; the first is value `first` of the site."""

    def __cinit__(self, uint32_t first, *, tags, deadbands, intervals_ns):
        cdef Py_ssize_t n = len(tags), i
        if len(deadbands) != n or len(intervals_ns) != n or list(tags) != sorted(tags):
            raise ValueError("a value table needs one entry of each column per value, tags ascending")
        known = {}
        for pair in zip(deadbands, intervals_ns):
            known.setdefault(pair, len(known))
        if len(known) > MOST_RULES:
            raise ValueError(f"{len(known)} kinds of values on one device; {MOST_RULES} at most")
        self.last = <Last *> PyMem_Calloc(max(n, 1), sizeof(Last))
        self.rules = <Rule *> PyMem_Calloc(max(len(known), 1), sizeof(Rule))
        if self.last is NULL or self.rules is NULL:
            raise MemoryError
        self.first, self.count = first, n
        for (deadband, interval_ns), i in known.items():
            self.rules[i] = Rule(deadband, interval_ns)
        for i in range(n):
            self.last[i] = Last(0.0, 0, 0, tags[i], known[deadbands[i], intervals_ns[i]], NEVER)

    def __dealloc__(self):
        PyMem_Free(self.last)
        PyMem_Free(self.rules)

    cdef Py_ssize_t below(self, int64_t tag) noexcept:
        """How many of the values have a lower tag."""
        cdef Py_ssize_t low = 0, high = self.count, middle
        while low < high:
            middle = (low + high) >> 1
            if self.last[middle].tag < tag:
                low = middle + 1
            else:
                high = middle
        return low

    def keep(self, int64_t tag, int64_t end, array.array f64 not None, array.array quality not None,
             array.array t_ns not None, Backlog backlog not None):
        """Put what is worth it of the readings of tags `tag` … `end - 1` into the backlog; returns how many.

        Raises ValueError where an array of the image is too short or of another type.
        """
        cdef Py_ssize_t i, kept = 0
        cdef Py_ssize_t begin = self.below(tag), stop = self.below(end)
        cdef const double *numbers = f64.data.as_doubles
        cdef const uint8_t *qualities = quality.data.as_uchars
        cdef const int64_t *times = <const int64_t *> t_ns.data.as_longlongs
        cdef int64_t now_ns, interval_ns
        cdef Last *last
        cdef double number
        cdef uint8_t trust
        cdef bint met_many
        if f64.ob_descr.typecode != c'd' or quality.ob_descr.typecode != c'B' or t_ns.ob_descr.typecode != c'q':
            raise ValueError("image arrays must be of type codes d, B, q")
        if begin < stop and self.last[stop - 1].tag >= min(Py_SIZE(f64), Py_SIZE(quality), Py_SIZE(t_ns)):
            raise ValueError(f"image arrays have no tag {self.last[stop - 1].tag}")
        for i in range(begin, stop):
            last = &self.last[i]
            number, trust, now_ns = numbers[last.tag], qualities[last.tag], times[last.tag]
            if (last.t_ns <= now_ns < last.due_ns and trust == last.quality
                    and not fabs(number - last.number) > self.rules[last.rule].deadband):
                continue
            if not backlog.add(number, now_ns, self.first + <uint32_t> i, trust):
                continue
            kept += 1
            interval_ns = self.rules[last.rule].interval_ns
            met_many = trust != last.quality or now_ns < last.t_ns
            last.number, last.quality, last.t_ns, last.due_ns = number, trust, now_ns, now_ns + interval_ns
            if met_many:
                last.due_ns -= <int64_t> (<double> interval_ns * ((i * GOLDEN) % BILLION) / BILLION)
        return kept
