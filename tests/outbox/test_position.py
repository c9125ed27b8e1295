"""A database's position: nothing is skipped, whatever leaps and backlogs happen on the way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.outbox.facts import Position

ids = st.integers(0, 60)
moves = st.lists(st.tuples(st.sampled_from(["commit", "live", "replay", "leap"]), st.integers(1, 9)), max_size=60)


@given(moves)
def test_every_record_is_delivered_and_the_newest_is_told_last(steps: list[tuple[str, int]]) -> None:
    """Play a delivery that reads as the outbox lets it; `has` must agree with what was really sent.

    Every record is told for the last time after all older ones: of a point written twice, the newer version stands.
    """
    position, last_id, sent = Position(), 0, list[int]()
    for move, size in steps:
        if move == "commit":
            last_id += size
        elif move == "leap":
            position = position.leapt(last_id)
        else:
            after, up_to = (position.cursor, last_id)
            if move == "replay" or after >= up_to:
                after, up_to = (position.replay_from, position.replay_to)
            chunk = range(after + 1, min(after + size, up_to) + 1)
            if chunk:
                sent.extend(chunk)
                position = position.advanced(chunk[-1])
        assert position.cursor <= last_id
        assert all(record_id in sent for record_id in range(1, last_id + 1) if position.has(record_id))
        assert all(position.has(record_id) for record_id in range(1, position.delivered_up_to + 1))
    for _ in range(200):
        after, up_to = (position.cursor, last_id)
        if after >= up_to:
            after, up_to = (position.replay_from, position.replay_to)
        if after >= up_to:
            break
        sent.extend(range(after + 1, min(after + 5, up_to) + 1))
        position = position.advanced(min(after + 5, up_to))
    assert set(sent) == set(range(1, last_id + 1))
    last_told = {record_id: when for when, record_id in enumerate(sent)}
    assert sorted(last_told, key=last_told.__getitem__) == list(range(1, last_id + 1))
    assert (position.cursor, position.replaying) == (last_id, False)


@given(ids, ids, ids, ids)
def test_advancing_forgets_only_what_is_told_again_behind_a_backlog(cursor: int, a: int, b: int, to: int) -> None:
    """What was delivered stays delivered, but for what passed a backlog: it is told again when the backlog ends."""
    low, high = sorted((min(a, cursor), min(b, cursor)))
    before = Position(cursor, low, high)
    after = before.advanced(to)
    told_again = range(to + 1, cursor + 1) if before.replaying and to == before.replay_to else ()
    assert all(
        after.has(record_id) for record_id in range(1, 61) if before.has(record_id) and record_id not in told_again
    )
