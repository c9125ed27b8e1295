"""Plain-Python twin of the kernel that keeps process values: reading by reading, as its rules are written."""

from dataclasses import dataclass

GOLDEN = 618_033_989


@dataclass
class Last:
    number: float
    t_ns: int
    quality: int
    due_ns: int


class Values:
    """One device: for each value its tag, deadband and interval."""

    def __init__(self, first, tags, deadbands, intervals_ns):
        self.first = first
        self.values = list(zip(tags, deadbands, intervals_ns, strict=True))
        self.last = [None] * len(self.values)

    def keep(self, tag, end, image, backlog, limit):
        """Appends (value, t_ns, number, quality) to `backlog`; returns how many found no room."""
        refused = 0
        for i, (at, deadband, interval_ns) in enumerate(self.values):
            if not tag <= at < end:
                continue
            number, quality, t_ns, last = image.f64[at], image.quality[at], image.t_ns[at], self.last[i]
            met_many = last is None or quality != last.quality or t_ns < last.t_ns
            if not (met_many or t_ns >= last.due_ns or abs(number - last.number) > deadband):
                continue
            if len(backlog) == limit:
                refused += 1
                continue
            share = int(interval_ns * float(i * GOLDEN % 10**9) / 10**9) if met_many else 0
            self.last[i] = Last(number, t_ns, quality, t_ns + interval_ns - share)
            backlog.append((self.first + i, t_ns, number, quality))
        return refused
