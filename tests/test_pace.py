"""The backlog goes in pieces that are work of a bounded time, whatever server and line it is, never above its rate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.courier import end_of_piece
from edge.pace import FIRST_BYTES, MIN_BYTES, TARGET_NS, Pace

MS = 1_000_000


def after(pace: Pace, pieces: int, way_ns: int, ns_per_byte: float) -> list[int]:
    """Sizes that went to a server of that speed behind a line of that delay."""
    sizes = []
    for _ in range(pieces):
        sizes.append(pace.piece_bytes)
        pace.heard(way_ns)
        answer_ns = way_ns + round(sizes[-1] * ns_per_byte)
        pace.answered(sizes[-1], answer_ns, answer_ns)
    return sizes


@given(st.integers(1, 300), st.floats(10, 1_000))
def test_a_piece_is_work_of_about_the_target_however_far_the_server_is(way_ms: int, ns_per_byte: float) -> None:
    settled = after(Pace(0), 400, way_ms * MS, ns_per_byte)[200:]
    assert max(settled) * ns_per_byte <= 1.5 * TARGET_NS + MIN_BYTES * ns_per_byte
    assert min(settled) * ns_per_byte >= 0.5 * TARGET_NS or min(settled) >= MIN_BYTES


def test_a_quick_server_takes_ever_larger_pieces_and_a_hiccup_costs_a_third() -> None:
    pace = Pace(0)
    sizes = after(pace, 100, MS, 10)
    assert sizes[-1] > 8 * FIRST_BYTES
    pace.answered(sizes[-1], 10 * TARGET_NS, 10 * TARGET_NS)
    assert 0.6 * sizes[-1] < pace.piece_bytes < 0.8 * sizes[-1]


def test_the_rate_is_kept_and_the_server_rests_as_long_as_it_worked() -> None:
    pace = Pace(1_000_000)
    pace.heard(MS)
    assert pace.answered(50_000, 3 * MS, 10 * MS) == 40 * MS
    assert pace.answered(50_000, 201 * MS, 201 * MS) == 200 * MS
    assert pace.piece_bytes <= 1_000_000 // 16


def test_a_rest_is_bounded_and_without_a_rate_there_is_none() -> None:
    slow = Pace(1_000)
    slow.heard(MS)
    assert slow.answered(16, 90_000 * MS, 90_000 * MS) == 1_000 * MS
    assert Pace(0).answered(50_000, 900 * MS, 900 * MS) == 0


@given(
    st.lists(st.binary(min_size=1, max_size=30).map(lambda b: b.replace(b"\n", b"x")), min_size=1), st.integers(1, 99)
)
def test_pieces_are_whole_lines_and_all_of_them(lines: list[bytes], size: int) -> None:
    whole, start, pieces = b"\n".join(lines), 0, []
    while start < len(whole):
        end = end_of_piece(whole, start, size)
        pieces.append(whole[start:end])
        start = end + 1
    assert [line for piece in pieces for line in piece.split(b"\n")] == lines
    assert all(len(piece) <= size or b"\n" not in piece for piece in pieces)
