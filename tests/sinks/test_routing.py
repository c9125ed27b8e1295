"""Every line goes to exactly the target its measurement names, in order; none is lost but those left out on purpose."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.plan import Route, Target
from edge.sinks.routing import Parcel, Router

ARCHIVE = Target("archive", "ten_years")
ROUTES = (
    Route(frozenset({"ledger", "stop"}), ARCHIVE),
    Route(frozenset({"tag"}), None),
    Route(frozenset({"stop"}), Target("never")),
)
lines = st.sampled_from(
    [b"ledger,a=b x=1i 1", b"live x=1i 2", b"tag,n=t value=1 3", b"stop,m=1 x=1i 4", b"ledger2 x=1 5"]
)


@given(st.lists(lines, min_size=1))
def test_lines_by_target(given: list[bytes]) -> None:
    parcels = {parcel.target: parcel.lines.split(b"\n") for parcel in Router(ROUTES).parcels(b"\n".join(given))}
    archived = [line for line in given if line.startswith((b"ledger,", b"stop"))]
    usual = [line for line in given if line.startswith((b"live", b"ledger2"))]
    assert parcels == ({ARCHIVE: archived} if archived else {}) | ({None: usual} if usual else {})


def test_without_routes_nothing_is_looked_at() -> None:
    assert Router(()).parcels(b"anything\nat all") == [Parcel(None, b"anything\nat all")]


def test_an_escaped_comma_belongs_to_the_measurement() -> None:
    router = Router([Route(frozenset({"ledger"}), ARCHIVE)])
    assert router.parcels(rb"ledger\,x y=1 1") == [Parcel(None, rb"ledger\,x y=1 1")]
