"""How long a request a device takes, as learned: found by halving, refined upwards, doubted now and then. Pure.

Theory. A refused block is halved until its parts are accepted, so what is known afterwards is two lengths: `good`, the
longest that was accepted, and `bad`, the shortest that was refused. The truth lies between them (25 and 50 where a
device takes 30), and every register below it costs requests for ever. So one request a minute asks for a length in the
middle, until the two are near each other; that is half a dozen requests in the life of a device. From then on one
request an hour asks for `bad` again: PLC programs and gateways are exchanged. Where that is accepted the search goes
on, upwards in doubling steps.

Rules.
* A try costs one request, reads tags that are wanted anyway, and its refusal is no fault of the device.
* What is known is remembered across restarts; tries go on from there.
"""

from __future__ import annotations

from dataclasses import dataclass

REFINE_NS = 60_000_000_000
DOUBT_NS = 3_600_000_000_000
NEAR = 16  # good and bad are near where they differ by less than a sixteenth


@dataclass(frozen=True, slots=True)
class Cap:
    """What is known of the longest request of one kind (registers, or bits)."""

    good: int  # accepted
    bad: int  # refused; 0 = nothing longer was refused yet
    since_ns: int  # UTC, of when the present `good` was learned; 0 = not known
    due_ns: int = 0  # monotonic, of the next try

    @property
    def settled(self) -> bool:
        """Whether it is known well enough to be left alone for an hour."""
        return 0 < self.bad <= self.good + max(1, self.good // NEAR)

    def length(self, most: int) -> int:
        """What to try next, at most `most` (what the plan would ask for without a cap); 0 = there is nothing to try."""
        if self.good >= most:
            return 0
        if not self.bad:
            return min(2 * self.good, most)
        if self.settled:
            return min(self.bad, most)
        return min((self.good + self.bad + 1) // 2, most)

    def accepted(self, length: int, utc_ns: int, now_ns: int) -> Cap:
        """A try was answered with data."""
        bad = self.bad if self.bad > length else 0
        return Cap(max(self.good, length), bad, utc_ns, now_ns + REFINE_NS)

    def refused(self, length: int, now_ns: int) -> Cap:
        """A try was refused."""
        bad = min(self.bad or length, max(length, self.good + 1))
        cap = Cap(self.good, bad, self.since_ns)
        return Cap(self.good, bad, self.since_ns, now_ns + (DOUBT_NS if cap.settled else REFINE_NS))


def narrowed(known: Cap | None, good: int, bad: int, utc_ns: int, now_ns: int) -> Cap:
    """A block of `bad` was refused whose parts of at most `good` were accepted."""
    if known is not None and known.good <= good:
        return known
    return Cap(good, max(bad, good + 1), utc_ns, now_ns + REFINE_NS)
