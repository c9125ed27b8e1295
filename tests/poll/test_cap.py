"""A learned length of requests is refined upwards in few tries, and follows a device that changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.poll.cap import DOUBT_NS, NEAR, REFINE_NS, Cap, narrowed


def tries(cap: Cap, truth: int, most: int, count: int) -> tuple[Cap, int]:
    """So many tries against a device that takes `truth`; the cap then, and how many were refused."""
    refused = 0
    for _ in range(count):
        length = cap.length(most)
        if not length:
            break
        if length <= truth:
            cap = cap.accepted(length, 1, 0)
        else:
            cap, refused = cap.refused(length, 0), refused + 1
    return cap, refused


@given(truth=st.integers(1, 125), good=st.integers(1, 125), bad=st.integers(2, 125), most=st.integers(1, 125))
def test_found_in_eight_tries(truth, good, bad, most) -> None:
    """From anything that a halving can leave, eight tries lead to within a sixteenth of the truth, and never above."""
    good = min(good, truth)
    if bad <= truth:
        bad = truth + 1
    cap, _ = tries(Cap(good, bad, 0), truth, most, 8)
    assert cap.good <= max(truth, good)
    assert cap.good >= min(truth, most) - max(1, truth // NEAR)


def test_settled_is_asked_once_an_hour() -> None:
    """30 is the truth, 25 was found by halving: 29 or 30 after a few minutes, then one try an hour."""
    cap, refused = tries(narrowed(None, 25, 50, 7, 0), 30, 100, 8)
    assert cap.good in (29, 30)
    assert cap.settled
    assert refused <= 8
    assert cap.refused(cap.length(100), 5).due_ns == 5 + DOUBT_NS
    assert narrowed(None, 25, 50, 7, 5).due_ns == 5 + REFINE_NS


def test_a_better_device() -> None:
    """The gateway was exchanged: what was refused is accepted, and the search goes up in doubling steps."""
    cap, _ = tries(Cap(30, 31, 0), 125, 100, 8)
    assert (cap.good, cap.length(100)) == (100, 0)


def test_a_worse_device() -> None:
    """A shorter length is believed, a longer one (of another block) is not."""
    cap = narrowed(Cap(60, 62, 3), 20, 40, 9, 0)
    assert (cap.good, cap.bad, cap.since_ns) == (20, 40, 9)
    assert narrowed(cap, 25, 50, 11, 0) is cap
